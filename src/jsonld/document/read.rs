//! The reader: a serde visitor that counts as it goes.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::HashSet,
    fmt,
    hash::{BuildHasher, RandomState},
};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Document;
use crate::model::Number;

/// How large a JSON text may become as a tree. The number of bytes is the business of whoever
/// received them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseLimits {
    /// Arrays and objects within each other; at most 120.
    pub max_depth: usize,
    /// Members of one object.
    pub max_members: usize,
    /// Values altogether.
    pub max_items: usize,
}

impl Default for ParseLimits {
    fn default() -> Self {
        Self { max_depth: 64, max_members: 4_096, max_items: 1_000_000 }
    }
}

/// Why a text is not a document. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("not JSON: {reason} (line {line}, column {column})")]
    NotJson { reason: String, line: usize, column: usize },
    #[error("the key {key:?} occurs twice in one object (line {line}, column {column})")]
    DuplicateKey { key: String, line: usize, column: usize },
    #[error("arrays and objects are nested deeper than {limit} (line {line}, column {column})")]
    TooDeep { limit: usize, line: usize, column: usize },
    #[error("an object has more than {limit} members (line {line}, column {column})")]
    TooWide { limit: usize, line: usize, column: usize },
    #[error("more than {limit} values")]
    TooMany { limit: usize },
    #[error("a number is beyond the range of doubles (line {line}, column {column})")]
    NumberTooLarge { line: usize, column: usize },
}

/// What to do about a key that occurs twice in an object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Duplicates {
    Refused,
    LastCounts,
}

/// Objects up to this size look for duplicates one by one, larger ones by hash.
const FEW: usize = 32;
/// serde_json stops at 128 by itself.
const DEEPEST: usize = 120;

/// What our own checks found; serde's errors carry only text.
enum Refusal {
    DuplicateKey(String),
    TooDeep,
    TooWide,
    TooMany,
    NumberTooLarge,
}

struct Reader<'l> {
    limits: &'l ParseLimits,
    duplicates: Duplicates,
    items: Cell<usize>,
    refusal: RefCell<Option<Refusal>>,
}

pub(super) fn parse<'a>(
    bytes: &'a [u8],
    limits: &ParseLimits,
    duplicates: Duplicates,
) -> Result<Document<'a>, ParseError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(not_utf8(bytes, error.valid_up_to())),
    };
    let reader = Reader { limits, duplicates, items: Cell::new(0), refusal: RefCell::new(None) };
    let mut json = serde_json::Deserializer::from_str(text);
    Value { reader: &reader, depth: 0 }
        .deserialize(&mut json)
        .and_then(|document| json.end().map(|()| document))
        .map_err(|error| explain(&error, &reader))
}

fn not_utf8(bytes: &[u8], at: usize) -> ParseError {
    let before = &bytes[..at];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    ParseError::NotJson {
        reason: "the text is not UTF-8".into(),
        line: memchr::memchr_iter(b'\n', before).count() + 1,
        column: at - line_start + 1,
    }
}

fn explain(error: &serde_json::Error, reader: &Reader<'_>) -> ParseError {
    let (line, column) = (error.line(), error.column());
    let limits = reader.limits;
    match reader.refusal.take() {
        Some(Refusal::DuplicateKey(key)) => ParseError::DuplicateKey { key, line, column },
        Some(Refusal::TooDeep) => ParseError::TooDeep { limit: limits.max_depth, line, column },
        Some(Refusal::TooWide) => ParseError::TooWide { limit: limits.max_members, line, column },
        Some(Refusal::TooMany) => ParseError::TooMany { limit: limits.max_items },
        Some(Refusal::NumberTooLarge) => ParseError::NumberTooLarge { line, column },
        None => {
            let text = error.to_string();
            let reason = text.split(" at line ").next().unwrap_or(&text);
            if reason.starts_with("number out of range") {
                return ParseError::NumberTooLarge { line, column };
            }
            ParseError::NotJson { reason: reason.to_owned(), line, column }
        }
    }
}

impl Reader<'_> {
    fn refuse<E: serde::de::Error>(&self, refusal: Refusal) -> E {
        *self.refusal.borrow_mut() = Some(refusal);
        E::custom("refused")
    }

    /// Counts one more value.
    fn count<E: serde::de::Error>(&self) -> Result<(), E> {
        let items = self.items.get() + 1;
        self.items.set(items);
        if items > self.limits.max_items { Err(self.refuse(Refusal::TooMany)) } else { Ok(()) }
    }
}

#[derive(Clone, Copy)]
struct Value<'r, 'l> {
    reader: &'r Reader<'l>,
    depth: usize,
}

impl Value<'_, '_> {
    /// For what stands inside this value.
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= self.reader.limits.max_depth.min(DEEPEST) {
            return Err(self.reader.refuse(Refusal::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = Document<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Document<'de>, D::Error> {
        self.reader.count()?;
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = Document<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Document<'de>, E> {
        Ok(Document::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Document<'de>, E> {
        Ok(Document::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Document<'de>, E> {
        Ok(Document::Number(Number::Int(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Document<'de>, E> {
        Ok(Document::Number(i64::try_from(number).map_or(Number::UInt(number), Number::Int)))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Document<'de>, E> {
        if !number.is_finite() {
            return Err(self.reader.refuse(Refusal::NumberTooLarge));
        }
        Ok(Document::Number(Number::Float(number)))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Document<'de>, E> {
        Ok(Document::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Document<'de>, E> {
        Ok(Document::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Document<'de>, A::Error> {
        let inner = self.inner()?;
        let mut found = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            found.push(item);
        }
        Ok(Document::Array(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Document<'de>, A::Error> {
        let inner = self.inner()?;
        let mut found = Members { reader: self.reader, list: Vec::new(), hashes: None };
        while let Some(key) = members.next_key_seed(Key)? {
            let place = found.place(&key)?;
            let value = members.next_value_seed(inner)?;
            match place {
                Some(place) => found.list[place].1 = value,
                None => found.list.push((key, value)),
            }
        }
        Ok(Document::Object(found.list))
    }
}

/// The members of an object being read.
struct Members<'r, 'l, 'de> {
    reader: &'r Reader<'l>,
    list: Vec<(Cow<'de, str>, Document<'de>)>,
    /// Made when there are more than a few.
    hashes: Option<(RandomState, HashSet<u64>)>,
}

impl Members<'_, '_, '_> {
    /// Where a repeated key has to go; none for a new key.
    fn place<E: serde::de::Error>(&mut self, key: &str) -> Result<Option<usize>, E> {
        let place = match self.is_new(key) {
            true => None,
            false => self.list.iter().position(|(member, _)| member == key),
        };
        if place.is_some() && self.reader.duplicates == Duplicates::Refused {
            return Err(self.reader.refuse(Refusal::DuplicateKey(key.to_owned())));
        }
        if place.is_none() && self.list.len() >= self.reader.limits.max_members {
            return Err(self.reader.refuse(Refusal::TooWide));
        }
        Ok(place)
    }

    /// Whether the key surely was not seen before.
    fn is_new(&mut self, key: &str) -> bool {
        if self.list.len() < FEW {
            return self.list.iter().all(|(member, _)| member != key);
        }
        let list = &self.list;
        let (state, hashes) = self.hashes.get_or_insert_with(|| {
            let state = RandomState::new();
            let hashes = list.iter().map(|(member, _)| state.hash_one(&**member)).collect();
            (state, hashes)
        });
        hashes.insert(state.hash_one(key))
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Cow<'de, str>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
