//! What a store may index, and what a plan says about it: every hint is a necessary condition, so
//! following it may leave in too much and never leaves out a match.

use std::{
    cmp::Ordering,
    fmt,
    ops::{Bound, RangeBounds},
};

use super::{Moment, ScopeFilter};
use crate::geo::Rect;
use crate::model::{AttrName, Attribute, Datum, EntityId, Name, TypeSelection, Value};

/// A condition that holds of every entity that a plan matches.
#[derive(Debug, Clone, PartialEq)]
pub enum Hint {
    /// No entity matches: the plan names something that nothing has.
    Nothing,
    /// The entity is one of these.
    Ids(Vec<EntityId>),
    Types(TypeSelection),
    /// The entity has at least one of these attributes.
    AnyAttribute(Vec<AttrName>),
    /// One of the attribute's [`keys_of`] lies in one of the ranges.
    Value {
        attribute: AttrName,
        ranges: Vec<KeyRange>,
    },
    Scope(ScopeFilter),
    /// The bounds of one of the GeoProperty's geometries touch one of the rectangles.
    Bounds {
        attribute: AttrName,
        rects: Vec<Rect>,
    },
    /// At least one of these holds.
    OneOf(Vec<Hint>),
}

/// The longest text that is kept whole in a key, in bytes.
const MAX_TEXT: usize = 128;

/// A value of an attribute as an index holds it. Keys of different kinds never mingle: booleans
/// come first, then numbers, instants and texts.
#[derive(Clone, PartialEq)]
pub enum Key {
    Bool(bool),
    /// Never NaN, and zero is never negative.
    Number(f64),
    /// Microseconds since 1970; the days and times that a text says, too.
    Instant(i64),
    /// UTF-8, cut after a while: texts that begin alike may share a key.
    Text(Box<[u8]>),
}

impl Key {
    /// The key of a number.
    pub fn number(number: f64) -> Self {
        Key::Number(number + 0.0)
    }

    /// The key of a text.
    pub fn text(text: &str) -> Self {
        Key::Text(text.as_bytes()[..text.len().min(MAX_TEXT)].into())
    }

    fn kind(&self) -> u8 {
        match self {
            Key::Bool(_) => 0,
            Key::Number(_) => 1,
            Key::Instant(_) => 2,
            Key::Text(_) => 3,
        }
    }
}

impl Eq for Key {}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Key::Bool(a), Key::Bool(b)) => a.cmp(b),
            (Key::Number(a), Key::Number(b)) => a.total_cmp(b),
            (Key::Instant(a), Key::Instant(b)) => a.cmp(b),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            (a, b) => a.kind().cmp(&b.kind()),
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Bool(value) => write!(f, "{value}"),
            Key::Number(number) => write!(f, "{number}"),
            Key::Instant(micros) => write!(f, "@{micros}"),
            Key::Text(text) => write!(f, "{:?}", String::from_utf8_lossy(text)),
        }
    }
}

/// A range of keys, fit for `BTreeMap::range`. It may be empty; [`KeyRange::is_empty`] tells, and
/// such a range must not be given to a `BTreeMap`.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRange {
    pub low: Bound<Key>,
    pub high: Bound<Key>,
}

impl KeyRange {
    /// The range of one key.
    pub fn of(key: Key) -> Self {
        Self { low: Bound::Included(key.clone()), high: Bound::Included(key) }
    }

    /// Whether no key can lie within.
    pub fn is_empty(&self) -> bool {
        match (&self.low, &self.high) {
            (Bound::Included(low), Bound::Included(high)) => low > high,
            (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high))
            | (Bound::Excluded(low), Bound::Included(high)) => low >= high,
            _ => false,
        }
    }
}

impl RangeBounds<Key> for KeyRange {
    fn start_bound(&self) -> Bound<&Key> {
        self.low.as_ref()
    }

    fn end_bound(&self) -> Bound<&Key> {
        self.high.as_ref()
    }
}

/// Appends the keys of an attribute: those of every instance, expired or not, and of every item of
/// an array. A key may come twice.
pub fn keys_of(attribute: &Attribute, keys: &mut Vec<Key>) {
    for instance in attribute.instances() {
        match &instance.datum {
            Datum::Property(value) => keys_of_value(value, keys),
            Datum::ListProperty(items) => {
                items.iter().for_each(|item| keys_of_scalar(item, keys));
            }
            Datum::VocabProperty(words) => {
                keys.extend(words.as_slice().iter().map(|word| Key::text(word.as_str())));
            }
            Datum::LanguageProperty(map) => {
                let texts = map.0.iter().flat_map(|(_, texts)| texts.as_slice());
                texts.for_each(|text| keys_of_text(text, keys));
            }
            Datum::JsonProperty(json) => keys_of_json(json, keys),
            Datum::Relationship(_) | Datum::ListRelationship(_) => {
                keys.extend(instance.datum.targets().iter().map(|id| Key::text(id.as_str())));
            }
            Datum::GeoProperty(_) | Datum::Bare(_) => {}
        }
    }
}

fn keys_of_value(value: &Value, keys: &mut Vec<Key>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| keys_of_scalar(item, keys)),
        value => keys_of_scalar(value, keys),
    }
}

fn keys_of_scalar(value: &Value, keys: &mut Vec<Key>) {
    match value {
        Value::Bool(value) => keys.push(Key::Bool(*value)),
        Value::Number(number) => keys.push(Key::number(number.as_f64())),
        Value::String(text) => keys_of_text(text, keys),
        Value::Object(_) => match value.member(Name::AT_VALUE) {
            Some(Value::Object(_)) | None => {}
            Some(inner) => keys_of_scalar(inner, keys),
        },
        Value::Null | Value::Array(_) => {}
    }
}

fn keys_of_json(json: &serde_json::Value, keys: &mut Vec<Key>) {
    use serde_json::Value as Json;
    let items = match json {
        Json::Array(items) => items.as_slice(),
        json => std::slice::from_ref(json),
    };
    for item in items {
        match item {
            Json::Bool(value) => keys.push(Key::Bool(*value)),
            Json::Number(number) => keys.extend(number.as_f64().map(Key::number)),
            Json::String(text) => keys_of_text(text, keys),
            _ => {}
        }
    }
}

/// A text that says a date or time has that key beside its own.
fn keys_of_text(text: &str, keys: &mut Vec<Key>) {
    keys.push(Key::text(text));
    keys.extend(Moment::parse(text).map(|moment| Key::Instant(moment.micros())));
}
