//! Values of Properties: JSON whose member names were expanded.

use std::fmt;

use super::Name;

/// The value of a Property: any JSON but null (4.5.2), with the member names of objects expanded.
///
/// In a patch, [`Value::Null`] is the NGSI-LD Null that deletes what stands in its place (4.5.0);
/// no stored entity holds one.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// NGSI-LD Null, in patches only.
    Null,
    Bool(bool),
    Number(Number),
    String(Box<str>),
    Array(Box<[Value]>),
    /// Members in the order they came, each name once. The member [`Name::AT_TYPE`] holds expanded
    /// type names; a typed value has it beside [`Name::AT_VALUE`].
    Object(Box<[(Name, Value)]>),
}

/// A JSON number as it was written: integers stay integers.
#[derive(Clone, Copy)]
pub enum Number {
    Int(i64),
    /// Beyond `i64`.
    UInt(u64),
    /// Finite.
    Float(f64),
}

impl Number {
    /// The nearest double.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(number) => number as f64,
            Number::UInt(number) => number as f64,
            Number::Float(number) => number,
        }
    }

    /// Compares by numeric value, whatever the spelling: 1 equals 1.0.
    pub fn compare(self, other: Number) -> std::cmp::Ordering {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => a.cmp(&b),
            (Number::UInt(a), Number::UInt(b)) => a.cmp(&b),
            (Number::Int(_), Number::UInt(_)) => std::cmp::Ordering::Less,
            (Number::UInt(_), Number::Int(_)) => std::cmp::Ordering::Greater,
            (a, b) => a.as_f64().total_cmp(&(b.as_f64() + 0.0)).then(std::cmp::Ordering::Equal),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => a == b,
            (Number::UInt(a), Number::UInt(b)) => a == b,
            _ => self.as_f64() == other.as_f64(),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Int(number) => write!(f, "{number}"),
            Number::UInt(number) => write!(f, "{number}"),
            Number::Float(number) => f.write_str(ryu::Buffer::new().format(*number)),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Value {
    /// The member of an object, if this is one and has it.
    pub fn member(&self, name: Name) -> Option<&Value> {
        match self {
            Value::Object(members) => {
                members.iter().find(|(member, _)| *member == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Whether an NGSI-LD Null stands anywhere within.
    pub fn has_null(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Array(items) => items.iter().any(Value::has_null),
            Value::Object(members) => members.iter().any(|(_, value)| value.has_null()),
            _ => false,
        }
    }

    /// Whether this is a typed value, which is one thing though it looks like an object.
    pub fn is_literal(&self) -> bool {
        self.member(Name::AT_VALUE).is_some()
            || matches!(self.member(Name::AT_TYPE), Some(Value::String(text)) if text.as_ref() == "@json")
    }

    /// Deep merge (5.5.12): objects are merged member by member, Null deletes, all else replaces,
    /// typed values among it.
    pub fn merge(&mut self, patch: Value) {
        if self.is_literal() || patch.is_literal() {
            *self = patch.without_nulls();
            return;
        }
        match (self, patch) {
            (Value::Object(members), Value::Object(patches)) => {
                let mut merged = std::mem::take(members).into_vec();
                for (name, patch) in patches {
                    let place = merged.iter().position(|(member, _)| *member == name);
                    match (place, patch) {
                        (Some(place), Value::Null) => drop(merged.remove(place)),
                        (Some(place), patch) => merged[place].1.merge(patch),
                        (None, Value::Null) => {}
                        (None, patch) => merged.push((name, patch.without_nulls())),
                    }
                }
                *members = merged.into();
            }
            (place, patch) => *place = patch.without_nulls(),
        }
    }

    /// The value with the members that are Null left out: what a patch leaves where nothing was.
    pub fn without_nulls(self) -> Value {
        match self {
            Value::Object(members) if members.iter().any(|(_, value)| value.has_null()) => {
                Value::Object(
                    members
                        .into_iter()
                        .filter(|(_, value)| !matches!(value, Value::Null))
                        .map(|(name, value)| (name, value.without_nulls()))
                        .collect(),
                )
            }
            whole => whole,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::String(value) => write!(f, "{value:?}"),
            Value::Array(items) => f.debug_list().entries(items).finish(),
            Value::Object(members) => {
                f.debug_map().entries(members.iter().map(|(name, value)| (name, value))).finish()
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Number(Number::Float(number))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Number(Number::Int(number))
    }
}
