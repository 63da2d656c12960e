//! Query terms as conditions on documents.

use mongodb::bson::{Bson, Document, doc};

use super::super::keys::{CUT, MAX_DEPTH, SEPARATOR, SEVERAL};
use super::condition::{Alternatives, of_instant};
use super::part::{Part, ids, one_of};
use super::{Compiler, regex};
use crate::model::TenantId;
use crate::query::{
    Check, Filter, Literal, Member, Moment, Operand, Path, Pattern, Relation, Term, Test,
};
use crate::store::record::short::shorten;

impl Compiler {
    /// What a query term says.
    pub(super) fn test(&mut self, test: &Test, tenant: &TenantId) -> Part {
        let Test { path, check } = test;
        if let Some(link) = path.links.first() {
            // Whom the link leads to is not asked of the database.
            return match check {
                Check::Absent => Part::wide(),
                _ => self.on_path(&link.names, vec![Document::new()]).loosely(),
            };
        }
        let (member, is_within) = (path.member.as_ref(), !path.within.is_empty());
        match (member.map(|(member, _)| *member), path.names.is_empty()) {
            // Nothing lies within a member.
            (Some(_), _) if is_within => absent_or(check, Part::never()),
            (Some(member), true) => of_entity(member, check, tenant),
            (Some(member), false) => self.of_member(member, path, check),
            (None, true) => absent_or(check, Part::never()),
            (None, false) if is_within => match check {
                Check::Absent => Part::wide(),
                _ => self.on_path(&path.names, vec![Document::new()]).loosely(),
            },
            (None, false) => self.of_values(path, check),
        }
    }

    /// A check of the values of an attribute.
    fn of_values(&mut self, path: &Path, check: &Check) -> Part {
        if *check == Check::Absent {
            return self.absent(path);
        }
        let (alternatives, is_exact) = values(check);
        let asks_keys = !matches!(check, Check::Exists);
        let is_pattern = matches!(check, Check::Matches(_) | Check::MatchesNot(_));
        if let (true, Some(first)) = (asks_keys, path.names.first()) {
            let first = shorten(first.iri()).into_owned();
            if is_pattern && is_exact {
                self.odd.insert(format!("{first}{CUT}"));
            }
            self.odd.insert(first);
        }
        let part = self.on_path(&path.names, alternatives);
        if is_exact { part } else { part.loosely() }
    }

    /// Two bounds of one attribute, which has one value.
    pub(super) fn range(&mut self, first: &Filter, second: &Filter) -> Part {
        let (Some((path, low)), Some((_, high))) = (bound(first), bound(second)) else {
            return Part::wide();
        };
        let found = Alternatives::within([low, high]);
        let is_exact = found.is_exact;
        if let Some(name) = path.names.first() {
            let name = shorten(name.iri()).into_owned();
            self.odd.insert(format!("{name}{SEVERAL}"));
            self.odd.insert(name);
        }
        let part = self.on_path(&path.names, with(found.of_array("v"), &single()));
        if is_exact { part } else { part.loosely() }
    }

    /// A check of a member of an attribute's instances.
    fn of_member(&self, member: Member, path: &Path, check: &Check) -> Part {
        if *check == Check::Absent {
            return Part::wide();
        }
        let (alternatives, is_exact) = match member {
            Member::ObservedAt => instant("o", check),
            Member::UnitCode => text("u", check),
            Member::DatasetId => text("d", check),
            Member::ValueType => text("w", check),
            Member::CreatedAt | Member::ModifiedAt | Member::ExpiresAt | Member::ObjectType => {
                (vec![Document::new()], false)
            }
            Member::Id | Member::Type | Member::Scope | Member::DeletedAt => (Vec::new(), true),
        };
        let part = self.on_path(&path.names, alternatives);
        if is_exact { part } else { part.loosely() }
    }

    /// No living instance is where the names lead.
    fn absent(&self, path: &Path) -> Part {
        if path.names.len() > MAX_DEPTH {
            return Part::wide();
        }
        let (field, attribute) = place(&path.names);
        let present = self.element(field, attribute.into(), Document::new());
        Part::exact(doc! { "$nor": [present] })
    }

    /// One of the alternatives holds of a living instance that the names lead to.
    fn on_path(&self, names: &[Term], alternatives: Vec<Document>) -> Part {
        let is_too_deep = names.len() > MAX_DEPTH;
        let names = &names[..names.len().min(MAX_DEPTH)];
        let (field, attribute) = place(names);
        let one =
            |alternative| Part::exact(self.element(field, attribute.as_str().into(), alternative));
        if is_too_deep && !alternatives.is_empty() {
            return one(Document::new()).loosely();
        }
        let found = Part::any(alternatives.into_iter().map(one).collect());
        match names {
            // The index knows the attribute, but not what lies below.
            [first, _, ..] if !found.is_never() => {
                let first = shorten(first.iri()).into_owned();
                Part::all(vec![Part::exact(doc! { "k.a": first }), found])
            }
            _ => found,
        }
    }
}

/// A bound of the value of an attribute.
fn bound(filter: &Filter) -> Option<(&Path, (Relation, &Literal))> {
    let Filter::Test(Test { path, check: Check::Order(relation, literal) }) = filter else {
        return None;
    };
    let is_plain = path.links.is_empty()
        && path.names.len() == 1
        && path.member.is_none()
        && path.within.is_empty();
    is_plain.then_some((path, (*relation, literal)))
}

/// Whether one is a lower and the other an upper bound of the same attribute.
pub(super) fn bounds(first: &Filter, second: &Filter) -> bool {
    let (Some((path, first)), Some((other, second))) = (bound(first), bound(second)) else {
        return false;
    };
    let is_lower = |relation| matches!(relation, Relation::Greater | Relation::GreaterOrEqual);
    path.names == other.names
        && is_lower(first.0) != is_lower(second.0)
        && std::mem::discriminant(first.1) == std::mem::discriminant(second.1)
}

/// The member of a document that tells of what the names lead to, and what it is called there.
fn place(names: &[Term]) -> (&'static str, String) {
    let mut path = String::new();
    for name in names {
        if !path.is_empty() {
            path.push(SEPARATOR);
        }
        path.push_str(&shorten(name.iri()));
    }
    (if names.len() == 1 { "k" } else { "y" }, path)
}

/// `!path` holds where the path leads nowhere.
fn absent_or(check: &Check, part: Part) -> Part {
    if *check == Check::Absent { Part::always() } else { part }
}

/// Conditions on an element of `k` of which one must hold, and whether they are exact.
fn values(check: &Check) -> (Vec<Document>, bool) {
    match check {
        Check::Exists | Check::Absent => (vec![Document::new()], true),
        Check::Equal(operand) => {
            let found = Alternatives::including(operand);
            let is_exact = found.is_exact;
            let is_range = matches!(operand, Operand::Range(..));
            // Only single values lie in a range.
            let besides = if is_range {
                doc! { "q": { "$ne": "a" } }
            } else {
                Document::new()
            };
            (with(found.of_array("v"), &besides), is_exact)
        }
        Check::Unequal(operand) => {
            let found = Alternatives::including(operand);
            if !found.is_exact {
                return (vec![Document::new()], false);
            }
            let mut alternatives = vec![none_of(found.of_array("v"))];
            if matches!(operand, Operand::Range(..)) {
                alternatives.push(doc! { "q": "a" });
            }
            (alternatives, true)
        }
        Check::Order(relation, literal) => {
            let found = Alternatives::related(*relation, literal);
            let is_exact = found.is_exact;
            (with(found.of_array("v"), &single()), is_exact)
        }
        Check::Matches(pattern) => match texts_like(pattern) {
            Some(like) => (with(like, &single()), true),
            None => (vec![single()], false),
        },
        Check::MatchesNot(pattern) => match texts_like(pattern) {
            Some(like) => (none_like(like), true),
            None => (vec![single()], false),
        },
    }
}

/// Orders and patterns are not asked of the items of arrays, nor of links.
fn single() -> Document {
    doc! { "q": { "$ne": "a" }, "r": { "$exists": false } }
}

fn with(alternatives: Vec<Document>, besides: &Document) -> Vec<Document> {
    let join = |mut alternative: Document| {
        alternative.extend(besides.clone());
        alternative
    };
    alternatives.into_iter().map(join).collect()
}

fn none_of(alternatives: Vec<Document>) -> Document {
    if alternatives.is_empty() {
        Document::new()
    } else {
        doc! { "$nor": alternatives }
    }
}

/// Conditions on an element one of whose texts is like the pattern.
fn texts_like(pattern: &Pattern) -> Option<Vec<Document>> {
    let regex = regex::translated(pattern.as_str())?;
    Some(["v", "v.sd", "v.sh"].map(|member| doc! { member: regex.clone() }).to_vec())
}

/// Conditions on an element that has a text, and none like the pattern.
fn none_like(like: Vec<Document>) -> Vec<Document> {
    let unlike = none_of(like);
    let has = |condition: Document| {
        let mut condition = condition;
        condition.extend(unlike.clone());
        condition
    };
    let alone = |text: Document| {
        let mut text = text;
        text.extend(doc! { "q": { "$exists": false }, "r": { "$exists": false } });
        has(text)
    };
    vec![
        alone(doc! { "v": { "$type": "string" } }),
        alone(doc! { "v.sd": { "$exists": true } }),
        alone(doc! { "v.sh": { "$exists": true } }),
        // Of no texts at all, none is like it.
        has(doc! { "q": "l" }),
    ]
}

/// Conditions on a member of an element that is an instant.
fn instant(member: &str, check: &Check) -> (Vec<Document>, bool) {
    let there = doc! { member: { "$exists": true } };
    match check {
        Check::Exists => (vec![there], true),
        Check::Equal(operand) => (instants(member, operand), true),
        Check::Unequal(operand) => {
            let mut unequal = there;
            unequal.extend(none_of(instants(member, operand)));
            (vec![unequal], true)
        }
        Check::Order(relation, literal) => {
            let range =
                moment(literal).and_then(|moment| of_instant(member, &[(moment, *relation)]));
            (range.into_iter().collect(), true)
        }
        Check::Absent | Check::Matches(_) | Check::MatchesNot(_) => (Vec::new(), true),
    }
}

fn moment(literal: &Literal) -> Option<Moment> {
    match literal {
        Literal::Moment(moment) => Some(*moment),
        Literal::Text(text) => text.moment(),
        _ => None,
    }
}

/// The conditions of which an instant that the operand includes fulfils one.
fn instants(member: &str, operand: &Operand) -> Vec<Document> {
    let between = |low: &Literal, high: &Literal| {
        let ends =
            [(moment(low)?, Relation::GreaterOrEqual), (moment(high)?, Relation::LessOrEqual)];
        of_instant(member, &ends)
    };
    match operand {
        Operand::One(literal) => between(literal, literal).into_iter().collect(),
        Operand::List(literals) => {
            literals.iter().filter_map(|literal| between(literal, literal)).collect()
        }
        Operand::Range(low, high) => between(low, high).into_iter().collect(),
    }
}

/// The texts of an operand, if it is nothing but texts that say no date or time.
fn plain_texts(operand: &Operand) -> Option<Vec<Bson>> {
    let plain = |literal: &Literal| match literal {
        Literal::Text(text) if text.moment().is_none() => Some(Bson::from(text.as_str())),
        _ => None,
    };
    match operand {
        Operand::One(literal) => Some(vec![plain(literal)?]),
        Operand::List(literals) => literals.iter().map(plain).collect(),
        Operand::Range(..) => None,
    }
}

/// Conditions on a member that is one text.
fn text(member: &str, check: &Check) -> (Vec<Document>, bool) {
    let there = doc! { member: { "$exists": true } };
    match check {
        Check::Exists => (vec![there], true),
        Check::Equal(operand) => match plain_texts(operand) {
            Some(texts) => (vec![doc! { member: one_of(texts) }], true),
            None => (vec![there], false),
        },
        Check::Unequal(operand) => match plain_texts(operand) {
            Some(texts) => (vec![doc! { member: { "$exists": true, "$nin": texts } }], true),
            None => (vec![there], false),
        },
        _ => (vec![there], false),
    }
}

/// A check of a member of the entity itself.
fn of_entity(member: Member, check: &Check, tenant: &TenantId) -> Part {
    let part = match member {
        Member::CreatedAt => stamp("c", check),
        Member::ModifiedAt => stamp("m", check),
        Member::ExpiresAt => stamp("e", check),
        Member::Id => id(check, tenant),
        Member::Type => words("ty", check, |text| shorten(text).into_owned().into()),
        Member::Scope => words("sc", check, |text| text.into()),
        _ => absent_or(check, Part::never()),
    };
    // The entity has it or has it not; only what comes and goes can be absent.
    match (check, member) {
        (Check::Absent, Member::ExpiresAt) => Part::exact(doc! { "e": { "$exists": false } }),
        (Check::Absent, Member::Scope) => Part::exact(doc! { "sc": { "$exists": false } }),
        (Check::Absent, Member::CreatedAt | Member::ModifiedAt | Member::Id | Member::Type) => {
            Part::never()
        }
        _ => part,
    }
}

fn stamp(member: &str, check: &Check) -> Part {
    let (alternatives, is_exact) = instant(member, check);
    let part = Part::any(alternatives.into_iter().map(Part::exact).collect());
    if is_exact { part } else { part.loosely() }
}

fn id(check: &Check, tenant: &TenantId) -> Part {
    match check {
        Check::Exists => Part::always(),
        Check::Equal(operand) => match plain_texts(operand) {
            Some(texts) => ids(tenant, texts.iter().filter_map(Bson::as_str)),
            None => Part::wide(),
        },
        _ => Part::wide(),
    }
}

/// A check of a member of the entity that is an array of words.
fn words(member: &str, check: &Check, spelled: impl Fn(&str) -> Bson) -> Part {
    let there = Part::exact(doc! { member: { "$exists": true } });
    let spell = |texts: Vec<Bson>| -> Vec<Bson> {
        texts.iter().filter_map(Bson::as_str).map(&spelled).collect()
    };
    match check {
        Check::Exists => there,
        Check::Equal(operand) => match plain_texts(operand) {
            Some(texts) => Part::exact(doc! { member: one_of(spell(texts)) }),
            None => there.loosely(),
        },
        Check::Unequal(operand) => match plain_texts(operand) {
            Some(texts) => Part::exact(doc! { member: { "$exists": true, "$nin": spell(texts) } }),
            None => there.loosely(),
        },
        _ => there.loosely(),
    }
}
