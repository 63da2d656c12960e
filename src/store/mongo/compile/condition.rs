//! Which keys a value may have that passes a check.

use mongodb::bson::{Bson, Document, doc};

use super::super::keys::{MAX_TEXT, cut};
use crate::model::Number;
use crate::query::{Literal, Moment, Operand, Relation};

/// Beyond this, neighbouring integers share their nearest double, and the evaluator compares
/// doubles with doubles.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Alternatives for a key, and whether they are exact.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Alternatives {
    /// Values that a key may equal.
    equal: Vec<Bson>,
    /// Ranges in which it may lie.
    ranges: Vec<Document>,
    pub is_exact: bool,
}

impl Alternatives {
    fn none() -> Self {
        Self { equal: Vec::new(), ranges: Vec::new(), is_exact: true }
    }

    fn add(&mut self, other: Self) {
        self.equal.extend(other.equal);
        self.ranges.extend(other.ranges);
        self.is_exact &= other.is_exact;
    }

    /// Conditions on a member that is an array of keys, one of which is enough.
    pub fn of_array(self, member: &str) -> Vec<Document> {
        let mut all = Vec::new();
        if !self.equal.is_empty() {
            all.push(doc! { member: super::part::one_of(self.equal) });
        }
        all.extend(self.ranges.into_iter().map(|range| doc! { member: { "$elemMatch": range } }));
        all
    }

    /// The keys of targets that equal the operand, or lie within it.
    pub fn including(operand: &Operand) -> Self {
        match operand {
            Operand::One(literal) => equal_to(literal),
            Operand::List(literals) => {
                let mut all = Self::none();
                literals.iter().for_each(|literal| all.add(equal_to(literal)));
                all
            }
            Operand::Range(low, high) => between(&[
                End { literal: low, relation: Relation::GreaterOrEqual },
                End { literal: high, relation: Relation::LessOrEqual },
            ]),
        }
    }

    /// The keys of targets that stand in two relations to literals of one type.
    pub fn within(ends: [(Relation, &Literal); 2]) -> Self {
        between(&ends.map(|(relation, literal)| End { literal, relation }))
    }

    /// The keys of targets that stand in a relation to the literal.
    pub fn related(relation: Relation, literal: &Literal) -> Self {
        between(&[End { literal, relation }])
    }
}

/// One end of a range of targets.
struct End<'a> {
    literal: &'a Literal,
    relation: Relation,
}

/// What targets are as far as literals compare with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Texts that say no date or time.
    Plain,
    /// Texts that say a time of day.
    Time,
    /// Texts that say a date, or a date and time.
    Date,
}

impl Class {
    fn of(moment: Moment) -> Self {
        if matches!(moment, Moment::Time(_)) { Class::Time } else { Class::Date }
    }
}

fn equal_to(literal: &Literal) -> Alternatives {
    let equal =
        |keys: Vec<Bson>, is_exact| Alternatives { equal: keys, ranges: Vec::new(), is_exact };
    match literal {
        Literal::Bool(value) => equal(vec![(*value).into()], true),
        Literal::Number(number) if number.as_f64().abs() < EXACT => {
            equal(vec![exact_number(*number)], true)
        }
        Literal::Number(_) => {
            Alternatives::including(&Operand::Range(literal.clone(), literal.clone()))
        }
        Literal::Moment(moment) => at(*moment),
        Literal::Text(text) => match text.moment() {
            Some(moment) => at(moment),
            None => {
                let words = text.as_str();
                let mut keys = vec![Bson::from(cut(words))];
                // A name that happens to read as a date or time.
                match Moment::parse(words).map(Class::of) {
                    Some(Class::Time) => keys.push(doc! { "sh": words }.into()),
                    Some(_) => keys.push(doc! { "sd": words }.into()),
                    None => {}
                }
                equal(keys, is_whole(words))
            }
        },
    }
}

/// Whether no cut text has the key of this one.
fn is_whole(text: &str) -> bool {
    text.len() + char::MAX.len_utf8() <= MAX_TEXT
}

/// What equals a date or time: a date equals all instants of its day.
fn at(moment: Moment) -> Alternatives {
    let mut all = Alternatives::none();
    match moment {
        Moment::DateTime(at) => {
            all.equal.push(doc! { "t": at.micros() }.into());
            all.equal.push(doc! { "d": first_of_day(at.micros()) }.into());
        }
        Moment::Date(day) => {
            all.equal.push(doc! { "d": day.micros() }.into());
            let (first, last) = (day.micros(), day.micros() + DAY - 1);
            all.ranges.push(doc! { "$gte": { "t": first }, "$lte": { "t": last } });
        }
        Moment::Time(time) => all.equal.push(doc! { "h": time.micros() }.into()),
    }
    all
}

fn first_of_day(micros: i64) -> i64 {
    micros.div_euclid(DAY) * DAY
}

/// The keys of targets that lie between ends of one type.
fn between(ends: &[End<'_>]) -> Alternatives {
    let mut all = Alternatives::none();
    match ends.first().map(|end| end.literal) {
        Some(Literal::Number(_)) => {
            let mut range = Document::new();
            for end in ends {
                let Literal::Number(number) = end.literal else { return Alternatives::none() };
                all.is_exact &= number.as_f64().abs() < EXACT;
                bound_number(*number, end.relation, &mut range);
            }
            all.ranges.push(range);
        }
        Some(Literal::Moment(_) | Literal::Text(_)) => {
            for class in [Class::Plain, Class::Time, Class::Date] {
                all.add(texts(class, ends));
            }
        }
        // Booleans have no order.
        Some(Literal::Bool(_)) | None => {}
    }
    all
}

fn operator(relation: Relation) -> &'static str {
    match relation {
        Relation::Less => "$lt",
        Relation::LessOrEqual => "$lte",
        Relation::Greater => "$gt",
        Relation::GreaterOrEqual => "$gte",
    }
}

fn is_lower(relation: Relation) -> bool {
    matches!(relation, Relation::Greater | Relation::GreaterOrEqual)
}

fn exact_number(number: Number) -> Bson {
    match number {
        Number::Int(number) => number.into(),
        number => (number.as_f64() + 0.0).into(),
    }
}

/// An end beyond what doubles hold exactly gives way to the next double.
fn bound_number(number: Number, relation: Relation, range: &mut Document) {
    let double = number.as_f64();
    if double.abs() < EXACT {
        range.insert(operator(relation), exact_number(number));
    } else if is_lower(relation) {
        range.insert("$gte", double.next_down());
    } else {
        range.insert("$lte", double.next_up());
    }
}

/// The keys of texts of one class. A target is compared as a date or time if both it and the
/// literal say one that compare, letter by letter if the literal is a text, and else not at all.
fn texts(class: Class, ends: &[End<'_>]) -> Alternatives {
    let mut all = Alternatives::none();
    let mut timely = Vec::new();
    let mut literal = Vec::new();
    for end in ends {
        let (moment, text) = match end.literal {
            Literal::Moment(moment) => (Some(*moment), None),
            Literal::Text(text) => (text.moment(), Some(text.as_str())),
            _ => return all,
        };
        match (moment.filter(|moment| Class::of(*moment) == class), text) {
            (Some(moment), _) => timely.push((moment, end.relation)),
            (None, Some(text)) => literal.push((text, end.relation)),
            (None, None) => return all,
        }
    }
    // Of two ends that compare differently, one is asked of the keys.
    all.is_exact = timely.is_empty() || literal.is_empty();
    match (class, timely.is_empty()) {
        (_, true) => {
            all.is_exact &= literal.iter().all(|(text, _)| is_whole(text));
            all.ranges.push(letters(class, &literal));
        }
        (Class::Time, false) => {
            all.ranges.push(instants("h", &timely, |moment, relation| (moment.micros(), relation)))
        }
        (_, false) => {
            all.ranges.push(instants("t", &timely, instant_bound));
            all.ranges.push(instants("d", &timely, day_bound));
        }
    }
    all
}

/// A range of texts, in the order of their bytes. Cut texts share keys: the ends belong to it.
fn letters(class: Class, ends: &[(&str, Relation)]) -> Document {
    // Objects are ordered by the names of their members before their values.
    let (member, next) = match class {
        Class::Plain => (None, ""),
        Class::Time => (Some("sh"), "si"),
        Class::Date => (Some("sd"), "se"),
    };
    let mut range = Document::new();
    for (text, relation) in ends {
        let operator = match (is_whole(text), is_lower(*relation)) {
            (true, _) => operator(*relation),
            (false, true) => "$gte",
            (false, false) => "$lte",
        };
        let key = match member {
            Some(member) => doc! { member: *text }.into(),
            None => Bson::from(cut(text)),
        };
        range.insert(operator, key);
    }
    if let Some(member) = member {
        close(&mut range, doc! { member: "" }.into(), doc! { next: "" }.into());
    }
    range
}

/// A range of instants, by what bounds it.
fn instants(
    member: &str,
    ends: &[(Moment, Relation)],
    bound: impl Fn(Moment, Relation) -> (i64, Relation),
) -> Document {
    let mut range = Document::new();
    for (moment, relation) in ends {
        let (micros, relation) = bound(*moment, *relation);
        range.insert(operator(relation), doc! { member: micros });
    }
    close(&mut range, doc! { member: i64::MIN }.into(), doc! { member: i64::MAX }.into());
    range
}

/// Gives a range the ends that it has not: keys of other kinds follow.
fn close(range: &mut Document, first: Bson, last: Bson) {
    if !range.contains_key("$gt") && !range.contains_key("$gte") {
        range.insert("$gte", first);
    }
    if !range.contains_key("$lt") && !range.contains_key("$lte") {
        range.insert("$lte", last);
    }
}

/// How instants compare to a bound: to a date as its first or last microsecond would.
fn instant_bound(moment: Moment, relation: Relation) -> (i64, Relation) {
    match (moment, relation) {
        (Moment::Date(day), Relation::Greater | Relation::LessOrEqual) => {
            (day.micros() + DAY - 1, relation)
        }
        (moment, relation) => (moment.micros(), relation),
    }
}

/// How dates compare to a bound: to an instant as its day would.
fn day_bound(moment: Moment, relation: Relation) -> (i64, Relation) {
    (first_of_day(moment.micros()), relation)
}

/// Conditions on a member that is one instant; none if nothing can pass. They are exact.
pub(super) fn of_instant(member: &str, ends: &[(Moment, Relation)]) -> Option<Document> {
    let mut range = Document::new();
    for (moment, relation) in ends {
        if Class::of(*moment) == Class::Time {
            return None;
        }
        let (micros, relation) = instant_bound(*moment, *relation);
        range.insert(operator(relation), micros);
    }
    Some(doc! { member: range })
}
