//! The JSON tree of a request body: parsed in one pass, borrowing what needs no unescaping, within
//! limits that are checked while reading.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;

use crate::model::Number;

pub use read::{Item, Items, ParseError, ParseLimits};

/// A JSON value that borrows its text from the body it was read from.
#[derive(Debug, Clone, PartialEq)]
pub enum Document<'a> {
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'a, str>),
    Array(Vec<Document<'a>>),
    /// Members in the order they came, each key once.
    Object(Vec<(Cow<'a, str>, Document<'a>)>),
}

impl<'a> Document<'a> {
    /// Reads one JSON text of at most the allowed depth, width and size. Anything after it but
    /// white space, a duplicate key, a number that no double can hold or text that is not UTF-8
    /// is refused.
    pub fn parse(bytes: &'a [u8], limits: &ParseLimits) -> Result<Self, ParseError> {
        read::parse(bytes, limits, read::Duplicates::Refused)
    }

    /// Reads like [`Document::parse`], but of duplicate keys the last one counts: for documents
    /// of others, which cannot be sent back to be mended.
    pub fn parse_tolerant(bytes: &'a [u8], limits: &ParseLimits) -> Result<Self, ParseError> {
        read::parse(bytes, limits, read::Duplicates::LastCounts)
    }

    /// The same tree as a JSON value, borrowing its strings.
    pub fn from_json(value: &'a serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => Self::Number(from_number(number)),
            serde_json::Value::String(text) => Self::String(Cow::Borrowed(text)),
            serde_json::Value::Array(items) => {
                Self::Array(items.iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(members) => Self::Object(
                members
                    .iter()
                    .map(|(key, value)| (Cow::Borrowed(key.as_str()), Self::from_json(value)))
                    .collect(),
            ),
        }
    }

    /// The tree as a JSON value of its own.
    pub fn into_json(self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => value.into(),
            Self::Number(Number::Int(number)) => number.into(),
            Self::Number(Number::UInt(number)) => number.into(),
            Self::Number(Number::Float(number)) => number.into(),
            Self::String(text) => text.into_owned().into(),
            Self::Array(items) => items.into_iter().map(Self::into_json).collect(),
            Self::Object(members) => members
                .into_iter()
                .map(|(key, value)| (key.into_owned(), value.into_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// The tree with text of its own, to outlive the body.
    pub fn into_owned(self) -> Document<'static> {
        match self {
            Self::Null => Document::Null,
            Self::Bool(value) => Document::Bool(value),
            Self::Number(number) => Document::Number(number),
            Self::String(text) => Document::String(Cow::Owned(text.into_owned())),
            Self::Array(items) => {
                Document::Array(items.into_iter().map(Document::into_owned).collect())
            }
            Self::Object(members) => Document::Object(
                members
                    .into_iter()
                    .map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned()))
                    .collect(),
            ),
        }
    }

    /// The member of an object, if this is one and has it.
    pub fn get(&self, key: &str) -> Option<&Document<'a>> {
        self.as_object()?.iter().find(|(member, _)| member == key).map(|(_, value)| value)
    }

    /// Takes a member out of an object, if this is one and has it.
    pub fn remove(&mut self, key: &str) -> Option<Document<'a>> {
        let Self::Object(members) = self else { return None };
        let place = members.iter().position(|(member, _)| member == key)?;
        Some(members.remove(place).1)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The items of an array.
    pub fn as_array(&self) -> Option<&[Document<'a>]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members of an object.
    pub fn as_object(&self) -> Option<&[(Cow<'a, str>, Document<'a>)]> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// What kind of JSON this is, as an error message would say it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

fn from_number(number: &serde_json::Number) -> Number {
    if let Some(number) = number.as_i64() {
        Number::Int(number)
    } else if let Some(number) = number.as_u64() {
        Number::UInt(number)
    } else {
        Number::Float(number.as_f64().unwrap_or_default())
    }
}
