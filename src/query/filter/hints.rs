//! What a query says about indexes.

use std::ops::Bound;

use super::super::{Hint, Key, KeyRange, Moment};
use super::{Check, Filter, Literal, Member, Operand, Path, Relation, Test, Text};
use crate::model::{AttrName, EntityId, Number};

impl Filter {
    /// Conditions that hold of every entity that the query holds of.
    pub fn hints(&self) -> Vec<Hint> {
        match self {
            Filter::All(parts) => parts.iter().flat_map(Filter::hints).collect(),
            Filter::Any(parts) => any(parts).into_iter().collect(),
            Filter::Test(test) => hint(test).into_iter().collect(),
        }
    }
}

/// The condition that one of the parts gives, if every part gives one.
fn any(parts: &[Filter]) -> Option<Hint> {
    let mut best: Vec<Hint> = Vec::new();
    for part in parts {
        match part.hints().into_iter().min_by_key(rank)? {
            Hint::Nothing => {}
            hint => best.push(hint),
        }
    }
    let mut merged: Vec<Hint> = Vec::new();
    for hint in best {
        if let Some(hint) = merge(&mut merged, hint) {
            merged.push(hint);
        }
    }
    match merged.len() {
        0 => Some(Hint::Nothing),
        1 => merged.pop(),
        _ => Some(Hint::OneOf(merged)),
    }
}

/// The more a hint leaves out, the lower.
fn rank(hint: &Hint) -> u8 {
    match hint {
        Hint::Nothing => 0,
        Hint::Ids(_) => 1,
        Hint::Value { .. } => 2,
        Hint::OneOf(_) => 3,
        _ => 4,
    }
}

/// Takes a hint into one of its kind, or gives it back.
fn merge(merged: &mut [Hint], hint: Hint) -> Option<Hint> {
    for own in merged {
        match (own, &hint) {
            (Hint::Value { attribute, ranges }, Hint::Value { attribute: other, ranges: more })
                if attribute == other =>
            {
                ranges.extend(more.iter().cloned());
                return None;
            }
            (Hint::AnyAttribute(names), Hint::AnyAttribute(more)) => {
                names.extend(more);
                return None;
            }
            (Hint::Ids(ids), Hint::Ids(more)) => {
                ids.extend(more.iter().cloned());
                return None;
            }
            _ => {}
        }
    }
    Some(hint)
}

fn hint(test: &Test) -> Option<Hint> {
    let Test { path, check } = test;
    if *check == Check::Absent {
        return None;
    }
    let Some(attribute) = path.attribute() else { return ids(path, check) };
    let Some(attribute) = attribute.name() else { return Some(Hint::Nothing) };
    let whole = path.links.is_empty()
        && path.names.len() == 1
        && path.member.is_none()
        && path.within.is_empty();
    let ranges = if whole { ranges(check) } else { None };
    Some(match ranges {
        Some(ranges) => value(attribute, ranges),
        None => Hint::AnyAttribute(vec![attribute]),
    })
}

fn value(attribute: AttrName, mut ranges: Vec<KeyRange>) -> Hint {
    ranges.retain(|range| !range.is_empty());
    if ranges.is_empty() { Hint::Nothing } else { Hint::Value { attribute, ranges } }
}

/// `id==…` says which entities.
fn ids(path: &Path, check: &Check) -> Option<Hint> {
    let literals = match (&path.member, check) {
        (Some((Member::Id, _)), Check::Equal(Operand::One(literal))) => {
            std::slice::from_ref(literal)
        }
        (Some((Member::Id, _)), Check::Equal(Operand::List(literals))) => literals,
        _ => return None,
    };
    let id = |literal: &Literal| match literal {
        Literal::Text(text) if text.moment().is_none() => EntityId::parse(text.as_str()).ok(),
        _ => None,
    };
    Some(Hint::Ids(literals.iter().filter_map(id).collect()))
}

/// The keys that a target which passes may have; None if they may be any.
fn ranges(check: &Check) -> Option<Vec<KeyRange>> {
    match check {
        Check::Equal(Operand::One(literal)) => Some(span(Some(literal), Some(literal), true)),
        Check::Equal(Operand::Range(low, high)) => Some(span(Some(low), Some(high), true)),
        Check::Equal(Operand::List(literals)) => Some(
            literals.iter().flat_map(|literal| span(Some(literal), Some(literal), true)).collect(),
        ),
        Check::Order(relation, literal) => Some(match relation {
            Relation::Greater => span(Some(literal), None, false),
            Relation::GreaterOrEqual => span(Some(literal), None, true),
            Relation::Less => span(None, Some(literal), false),
            Relation::LessOrEqual => span(None, Some(literal), true),
        }),
        _ => None,
    }
}

/// The keys between two literals of one type, of which one may be missing.
fn span(low: Option<&Literal>, high: Option<&Literal>, inclusive: bool) -> Vec<KeyRange> {
    match low.or(high) {
        Some(Literal::Bool(value)) => vec![KeyRange::of(Key::Bool(*value))],
        Some(Literal::Number(_)) => vec![numbers(number(low), number(high), inclusive)],
        Some(Literal::Moment(_)) => instants(moment(low), moment(high), inclusive),
        Some(Literal::Text(_)) => {
            let mut ranges = vec![texts(low, high)];
            if moment(low).or(moment(high)).is_some() {
                ranges.extend(instants(moment(low), moment(high), inclusive));
            }
            ranges
        }
        None => Vec::new(),
    }
}

fn number(literal: Option<&Literal>) -> Option<Number> {
    match literal {
        Some(Literal::Number(number)) => Some(*number),
        _ => None,
    }
}

fn moment(literal: Option<&Literal>) -> Option<Moment> {
    match literal {
        Some(Literal::Moment(moment)) => Some(*moment),
        Some(Literal::Text(text)) => text.moment(),
        _ => None,
    }
}

fn numbers(low: Option<Number>, high: Option<Number>, inclusive: bool) -> KeyRange {
    let bound = |number: Number| {
        let key = Key::number(number.as_f64());
        // Larger integers may share their nearest double with a neighbour that does match.
        let exact = matches!(number, Number::Float(_)) || number.as_f64().abs() < 9e15;
        if inclusive || !exact { Bound::Included(key) } else { Bound::Excluded(key) }
    };
    KeyRange {
        low: low.map_or(Bound::Included(Key::Number(f64::NEG_INFINITY)), bound),
        high: high.map_or(Bound::Included(Key::Number(f64::INFINITY)), bound),
    }
}

/// Texts share keys when they are long, so the ends always belong to the range.
fn texts(low: Option<&Literal>, high: Option<&Literal>) -> KeyRange {
    let bound = |literal: Option<&Literal>| match literal {
        Some(Literal::Text(text)) => Some(Bound::Included(Key::text(Text::as_str(text)))),
        _ => None,
    };
    KeyRange {
        low: bound(low).unwrap_or(Bound::Included(Key::text(""))),
        high: bound(high).unwrap_or(Bound::Unbounded),
    }
}

/// A date's key is its first instant. It equals every instant of its day, so a range that begins
/// within a day holds that day's key too if its end is included.
fn instants(low: Option<Moment>, high: Option<Moment>, inclusive: bool) -> Vec<KeyRange> {
    let day = |moment: Moment| match moment {
        Moment::Date(_) => moment.day_micros(),
        _ => (moment.micros(), moment.micros()),
    };
    let bound = |micros: i64| {
        let key = Key::Instant(micros);
        if inclusive { Bound::Included(key) } else { Bound::Excluded(key) }
    };
    let first = low.map(|low| if inclusive { day(low).0 } else { day(low).1 });
    let last = high.map(|high| if inclusive { day(high).1 } else { day(high).0 });
    let mut ranges = vec![KeyRange {
        low: first.map_or(Bound::Included(Key::Instant(i64::MIN)), bound),
        high: last.map_or(Bound::Included(Key::Instant(i64::MAX)), bound),
    }];
    if let (Some(Moment::DateTime(_)), true) = (low, inclusive) {
        ranges.extend(low.map(|low| KeyRange::of(Key::Instant(low.day_micros().0))));
    }
    ranges
}
