//! Conditions, and how they join.

use mongodb::bson::{Bson, Document, doc};

use super::super::document::tenant_name;
use super::regex;
use crate::model::TenantId;
use crate::query::{ScopeFilter, ScopePattern};

/// A condition on documents. It may hold of too many, never of too few.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    what: What,
    /// Whether it holds of just the right ones.
    pub is_exact: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Always,
    Never,
    When(Document),
}

impl Part {
    /// Holds of everything, and rightly so.
    pub fn always() -> Self {
        Self { what: What::Always, is_exact: true }
    }

    /// Holds of everything, since nothing better is known.
    pub fn wide() -> Self {
        Self { what: What::Always, is_exact: false }
    }

    /// Holds of nothing.
    pub fn never() -> Self {
        Self { what: What::Never, is_exact: true }
    }

    /// Holds of the right ones.
    pub fn exact(condition: Document) -> Self {
        Self { what: What::When(condition), is_exact: true }
    }

    /// The same, but perhaps of others too.
    pub fn loosely(self) -> Self {
        Self { is_exact: self.is_exact && self.what == What::Never, ..self }
    }

    /// Holds where every part does.
    pub fn all(parts: Vec<Part>) -> Self {
        if parts.iter().any(Part::is_never) {
            return Self::never();
        }
        let is_exact = parts.iter().all(|part| part.is_exact);
        let conditions: Vec<Document> = parts.into_iter().filter_map(Part::condition).collect();
        Self { what: join(conditions), is_exact }
    }

    /// Holds where any part does.
    pub fn any(parts: Vec<Part>) -> Self {
        let parts: Vec<Part> = parts.into_iter().filter(|part| !part.is_never()).collect();
        let is_exact = parts.iter().all(|part| part.is_exact);
        // What certainly always holds makes the others pointless.
        if parts.iter().any(|part| part.what == What::Always && part.is_exact) {
            return Self::always();
        }
        if parts.iter().any(|part| part.what == What::Always) {
            return Self { what: What::Always, is_exact };
        }
        let mut conditions: Vec<Document> = parts.into_iter().filter_map(Part::condition).collect();
        let what = match conditions.len() {
            0 => What::Never,
            1 => conditions.pop().map_or(What::Never, What::When),
            _ => What::When(doc! { "$or": conditions }),
        };
        Self { what, is_exact }
    }

    /// Whether it holds of nothing.
    pub fn is_never(&self) -> bool {
        self.what == What::Never
    }

    /// Whether it says nothing.
    pub fn is_always(&self) -> bool {
        self.what == What::Always
    }

    /// The condition as a filter.
    pub fn into_document(self) -> Document {
        match self.what {
            What::Always => Document::new(),
            What::Never => doc! { "_id": { "$in": [] } },
            What::When(condition) => condition,
        }
    }

    fn condition(self) -> Option<Document> {
        match self.what {
            What::When(condition) => Some(condition),
            What::Always | What::Never => None,
        }
    }
}

/// One document of several that must all hold: side by side where their members differ.
fn join(conditions: Vec<Document>) -> What {
    let mut joined = Document::new();
    let mut others: Vec<Bson> = Vec::new();
    for condition in conditions {
        match condition.get_array("$and") {
            Ok(inner) if condition.len() == 1 => others.extend(inner.iter().cloned()),
            _ if condition.keys().any(|key| joined.contains_key(key)) => {
                others.push(condition.into());
            }
            _ => joined.extend(condition),
        }
    }
    if !others.is_empty() {
        match joined.get_array_mut("$and") {
            Ok(all) => all.extend(others),
            Err(_) => drop(joined.insert("$and", others)),
        }
    }
    if joined.is_empty() { What::Always } else { What::When(joined) }
}

/// Leaves the planner of the database the best of several conditions on keys.
///
/// It tries but one of them with the index of values, and not the one that would leave in least;
/// a double negation keeps it from trying the others.
pub(super) fn favour(filter: Document) -> Document {
    let mut conditions = Vec::new();
    take_apart(filter, &mut conditions);
    let best = conditions
        .iter()
        .enumerate()
        .filter_map(|(place, condition)| Some((rank(condition)?, place)))
        .min();
    let hide = |(place, condition): (usize, Document)| match best {
        Some((_, best)) if place != best && rank(&condition).is_some() => {
            doc! { "$nor": [{ "$nor": [condition] }] }
        }
        _ => condition,
    };
    match join(conditions.into_iter().enumerate().map(hide).collect()) {
        What::When(filter) => filter,
        What::Always | What::Never => Document::new(),
    }
}

/// Everything that must hold, one by one.
fn take_apart(filter: Document, conditions: &mut Vec<Document>) {
    for (name, condition) in filter {
        match (&*name, condition) {
            ("$and", Bson::Array(all)) => {
                for one in all {
                    if let Bson::Document(one) = one {
                        take_apart(one, conditions);
                    }
                }
            }
            ("$or", Bson::Array(any)) => {
                let branch = |branch: Bson| match branch {
                    Bson::Document(branch) => favour(branch).into(),
                    other => other,
                };
                let any: Vec<Bson> = any.into_iter().map(branch).collect();
                conditions.push(doc! { "$or": any });
            }
            (_, condition) => conditions.push(doc! { name: condition }),
        }
    }
}

/// How little a condition on keys leaves in, as far as can be told; the less, the lower.
fn rank(condition: &Document) -> Option<u8> {
    if condition.contains_key("k.a") {
        return Some(5);
    }
    let element = condition.get_document("k").ok()?.get_document("$elemMatch").ok()?;
    Some(match element.get("v") {
        None => 5,
        Some(Bson::RegularExpression(_)) => 4,
        Some(Bson::Document(value)) => match value.get_document("$elemMatch") {
            Ok(range) if range.len() > 1 => 2,
            Ok(_) => 3,
            Err(_) if value.contains_key("$in") => 1,
            Err(_) if value.contains_key("$type") => 4,
            Err(_) => 0,
        },
        Some(_) => 0,
    })
}

/// A condition on a member that may be one of several values.
pub(super) fn one_of(mut values: Vec<Bson>) -> Bson {
    match values.len() {
        1 => values.pop().unwrap_or(Bson::Null),
        _ => doc! { "$in": values }.into(),
    }
}

/// The entities of these ids.
pub(super) fn ids<'a>(tenant: &TenantId, ids: impl Iterator<Item = &'a str>) -> Part {
    let ids: Vec<Bson> = ids.map(Bson::from).collect();
    let key = |id: &Bson| doc! { "t": tenant_name(tenant), "i": id.clone() }.into();
    let keys = ids.iter().map(key).collect();
    // The one is what the index holds, the other what a router of shards looks for.
    Part::exact(doc! { "_id": one_of(keys), "_id.i": one_of(ids) })
}

/// What a `scopeQ` says.
pub(super) fn scope(filter: &ScopeFilter) -> Part {
    let alternative = |patterns: &Vec<ScopePattern>| {
        Part::all(
            patterns.iter().map(|pattern| Part::exact(doc! { "sc": fits(pattern) })).collect(),
        )
    };
    Part::any(filter.alternatives.iter().map(alternative).collect())
}

/// A scope is kept as it was written, with or without a slash in front.
fn fits(pattern: &ScopePattern) -> Bson {
    let is_plain = pattern.levels.iter().all(Option::is_some);
    if pattern.levels.is_empty() {
        return doc! { "$exists": true }.into();
    }
    if is_plain && !pattern.below {
        let text = pattern.to_string();
        let bare = text.trim_start_matches('/').to_owned();
        return doc! { "$in": [text, bare] }.into();
    }
    let level = |level: &Option<Box<str>>| match level {
        Some(text) => regex::escaped(text),
        None => "[^/]+".to_owned(),
    };
    let levels: Vec<String> = pattern.levels.iter().map(level).collect();
    let end = if pattern.below { "(?:/|\\z)" } else { "\\z" };
    let both = ["^/", "^"].map(|start| regex::raw(&format!("{start}{}{end}", levels.join("/"))));
    doc! { "$in": both.into_iter().flatten().collect::<Vec<Bson>>() }.into()
}
