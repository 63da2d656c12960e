//! Places in an ordered result: what an entity was ordered by, kept as text, so that the next page
//! begins behind it though the entity be gone or changed.

use std::cmp::Ordering;

use serde_json::{Value as Json, json};

use super::{Order, Part};
use crate::model::{Entity, Number, Timestamp};
use crate::query::Anchor;

/// The longest place that is kept, in bytes: what is ordered by longer texts is counted instead.
const LONGEST: usize = 4_096;

/// A place in an ordered result: behind an entity that had these values when its page was read.
#[derive(Debug, Clone)]
pub struct Place {
    /// Which entity it was among those that the order does not tell apart: later ones have more.
    sequence: u64,
    /// A value for each element of the order.
    parts: Vec<Json>,
}

impl Place {
    /// Which entity it was among those that the order does not tell apart.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The values, if all of them are times, in microseconds.
    pub fn times(&self) -> Option<Vec<i64>> {
        let time = |part: &Json| match read(part) {
            Some(Part::DateTime(micros)) => Some(micros),
            _ => None,
        };
        self.parts.iter().map(time).collect()
    }
}

/// What stands at a place, by the first element of its order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Edge<'a> {
    /// Metres.
    Distance(f64),
    Number(Number),
    Text(&'a str),
    Bool(bool),
    /// A date with a time, in microseconds.
    DateTime(i64),
    /// A value of another sort, with the rank of that sort (4.23.2).
    Other(u8),
    Nothing,
}

impl Place {
    /// What stands there by the first element of the order.
    pub fn edge(&self) -> Edge<'_> {
        match self.parts.first().and_then(read) {
            Some(Part::Distance(metres)) => Edge::Distance(metres),
            Some(Part::Number(number)) => Edge::Number(number),
            Some(Part::Text(text)) => Edge::Text(text),
            Some(Part::Bool(truth)) => Edge::Bool(truth),
            Some(Part::DateTime(micros)) => Edge::DateTime(micros),
            Some(Part::Null | Part::Missing) | None => Edge::Nothing,
            Some(other) => Edge::Other(other.rank()),
        }
    }
}

impl Order {
    /// The place behind an entity; None if it would be too long, or cannot be written.
    pub fn place_behind(&self, entity: &Entity, now: Timestamp, sequence: u64) -> Option<Anchor> {
        let parts = self.elements.iter().map(|element| write(&self.part(element, entity, now)));
        let text = json!([sequence, parts.collect::<Vec<_>>()]).to_string();
        let anchor = (text.len() <= LONGEST).then(|| Anchor::new(&text))?;
        // Numbers that JSON cannot hold, and depths that nobody reads, are found out here.
        self.place(&anchor).is_some().then_some(anchor)
    }

    /// The place that an anchor names; None if it is none of this order.
    pub fn place(&self, anchor: &Anchor) -> Option<Place> {
        let (sequence, parts): (u64, Vec<Json>) = serde_json::from_str(anchor.as_str()).ok()?;
        let is_ours = parts.len() == self.elements.len();
        (is_ours && parts.iter().all(|part| read(part).is_some()))
            .then_some(Place { sequence, parts })
    }

    /// Whether an entity comes behind a place.
    pub fn is_behind(&self, place: &Place, entity: &Entity, now: Timestamp, sequence: u64) -> bool {
        let mut pairs = self.elements.iter().zip(&place.parts);
        let unequal = pairs.find_map(|(element, kept)| {
            let own = self.part(element, entity, now);
            let kept = read(kept).unwrap_or(Part::Missing);
            Some(self.compare_parts(element.direction, &own, &kept)).filter(|order| order.is_ne())
        });
        unequal.unwrap_or_else(|| sequence.cmp(&place.sequence)) == Ordering::Greater
    }
}

/// A value with a letter for its kind.
fn write(part: &Part<'_>) -> Json {
    match part {
        Part::Distance(metres) => json!(["m", metres]),
        Part::Number(Number::Int(number)) => json!(["i", number]),
        Part::Number(Number::UInt(number)) => json!(["u", number]),
        Part::Number(Number::Float(number)) => json!(["f", number]),
        Part::Text(text) => json!(["t", text]),
        Part::Object(members) => {
            let members = members.iter().map(|(name, part)| json!([name, write(part)]));
            json!(["o", members.collect::<Vec<_>>()])
        }
        Part::Array(items) => json!(["a", items.iter().map(write).collect::<Vec<_>>()]),
        Part::Bool(value) => json!(["b", value]),
        Part::Time(micros) => json!(["h", micros]),
        Part::Date(micros) => json!(["d", micros]),
        Part::DateTime(micros) => json!(["s", micros]),
        Part::Null => json!(["n", null]),
        Part::Missing => json!(["x", null]),
    }
}

fn read(json: &Json) -> Option<Part<'_>> {
    let [kind, value] = json.as_array()?.as_slice() else { return None };
    Some(match kind.as_str()? {
        "m" => Part::Distance(value.as_f64()?),
        "i" => Part::Number(Number::Int(value.as_i64()?)),
        "u" => Part::Number(Number::UInt(value.as_u64()?)),
        "f" => Part::Number(Number::Float(value.as_f64()?)),
        "t" => Part::Text(value.as_str()?),
        "o" => Part::Object(value.as_array()?.iter().map(read_member).collect::<Option<_>>()?),
        "a" => Part::Array(value.as_array()?.iter().map(read).collect::<Option<_>>()?),
        "b" => Part::Bool(value.as_bool()?),
        "h" => Part::Time(value.as_i64()?),
        "d" => Part::Date(value.as_i64()?),
        "s" => Part::DateTime(value.as_i64()?),
        "n" => Part::Null,
        "x" => Part::Missing,
        _ => return None,
    })
}

fn read_member(json: &Json) -> Option<(&str, Part<'_>)> {
    let [name, part] = json.as_array()?.as_slice() else { return None };
    Some((name.as_str()?, read(part)?))
}
