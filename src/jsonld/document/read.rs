//! The reader (RFC 8259): one pass that counts as it goes. Our own, since it borrows text, reads
//! every number exactly and checks width, depth and duplicates on the way.

mod items;
mod number;
mod string;

use std::{
    borrow::Cow,
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

use super::Document;

pub use items::{Item, Items};

/// How large a JSON text may become as a tree. The number of bytes is the business of whoever
/// received them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseLimits {
    /// Arrays and objects within each other; at most 256, whatever is set.
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

/// Why a text is not a document. Lines and columns count characters, from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("not JSON: {reason} (line {line}, column {column})")]
    NotJson { reason: &'static str, line: usize, column: usize },
    #[error("the key {key:?} occurs twice in one object (line {line}, column {column})")]
    DuplicateKey { key: String, line: usize, column: usize },
    #[error("arrays and objects are nested deeper than {limit} (line {line}, column {column})")]
    TooDeep { limit: usize, line: usize, column: usize },
    #[error("an object has more than {limit} members (line {line}, column {column})")]
    TooWide { limit: usize, line: usize, column: usize },
    #[error("more than {limit} values (line {line}, column {column})")]
    TooMany { limit: usize, line: usize, column: usize },
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
/// The reader recurses, and a thread's stack is no setting.
const DEEPEST: usize = 256;

pub(super) fn parse<'a>(
    bytes: &'a [u8],
    limits: &ParseLimits,
    duplicates: Duplicates,
) -> Result<Document<'a>, ParseError> {
    let mut reader = Reader::new(bytes, limits, duplicates)?;
    let document = reader.value(0)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(document),
        Some(_) => Err(reader.not_json("something follows the end")),
    }
}

/// Line and column of a byte.
fn place(bytes: &[u8], at: usize) -> (usize, usize) {
    let before = &bytes[..at.min(bytes.len())];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let is_start_of_char = |byte: &&u8| (**byte as i8) >= -0x40;
    (line, before[line_start..].iter().filter(is_start_of_char).count() + 1)
}

struct Reader<'a, 'l> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    items: usize,
    limits: &'l ParseLimits,
    duplicates: Duplicates,
    /// Members of the objects that are being read, the innermost last: when one is complete, they
    /// go where there is just enough room for them.
    members: Vec<(Cow<'a, str>, Document<'a>)>,
    /// The same of arrays.
    values: Vec<Document<'a>>,
}

impl<'a, 'l> Reader<'a, 'l> {
    fn new(
        bytes: &'a [u8],
        limits: &'l ParseLimits,
        duplicates: Duplicates,
    ) -> Result<Self, ParseError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let (line, column) = place(bytes, error.valid_up_to());
            ParseError::NotJson { reason: "the text is not UTF-8", line, column }
        })?;
        let (members, values) = (Vec::new(), Vec::new());
        Ok(Self { text, bytes, at: 0, items: 0, limits, duplicates, members, values })
    }
}

impl<'a> Reader<'a, '_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn not_json(&self, reason: &'static str) -> ParseError {
        let reason = if self.at < self.bytes.len() { reason } else { "it ends too early" };
        let (line, column) = place(self.bytes, self.at);
        ParseError::NotJson { reason, line, column }
    }

    /// Reads a value that stands inside so many others.
    fn value(&mut self, depth: usize) -> Result<Document<'a>, ParseError> {
        self.skip_space();
        self.items += 1;
        if self.items > self.limits.max_items {
            let (line, column) = place(self.bytes, self.at);
            return Err(ParseError::TooMany { limit: self.limits.max_items, line, column });
        }
        match self.peek() {
            Some(b'"') => self.string().map(Document::String),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number().map(Document::Number),
            Some(b't') => self.word("true", Document::Bool(true)),
            Some(b'f') => self.word("false", Document::Bool(false)),
            Some(b'n') => self.word("null", Document::Null),
            _ => Err(self.not_json("expected a value")),
        }
    }

    fn word(
        &mut self,
        word: &'static str,
        document: Document<'a>,
    ) -> Result<Document<'a>, ParseError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.not_json("expected a value"));
        }
        self.at += word.len();
        Ok(document)
    }

    /// Steps over the opening bracket.
    fn open(&mut self, depth: usize) -> Result<(), ParseError> {
        if depth >= self.limits.max_depth.min(DEEPEST) {
            let limit = self.limits.max_depth.min(DEEPEST);
            let (line, column) = place(self.bytes, self.at);
            return Err(ParseError::TooDeep { limit, line, column });
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// Steps over a comma, or over the closing bracket and says so.
    fn closes(&mut self, closing: u8, reason: &'static str) -> Result<bool, ParseError> {
        self.skip_space();
        match self.peek() {
            Some(b',') => self.at += 1,
            Some(byte) if byte == closing => {
                self.at += 1;
                return Ok(true);
            }
            _ => return Err(self.not_json(reason)),
        }
        Ok(false)
    }

    fn array(&mut self, depth: usize) -> Result<Document<'a>, ParseError> {
        self.open(depth)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Document::Array(Vec::new()));
        }
        let begin = self.values.len();
        loop {
            let value = self.value(depth + 1)?;
            self.values.push(value);
            if self.closes(b']', "expected a comma or ']'")? {
                return Ok(Document::Array(self.values.split_off(begin)));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Document<'a>, ParseError> {
        self.open(depth)?;
        let mut members = Members { begin: self.members.len(), hashes: None };
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Document::Object(Vec::new()));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.not_json("expected a key"));
            }
            let start = self.at;
            let key = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.not_json("expected a colon"));
            }
            self.at += 1;
            let place = self.place_for(&mut members, &key, start)?;
            let value = self.value(depth + 1)?;
            match place {
                Some(place) => self.members[place].1 = value,
                None => self.members.push((key, value)),
            }
            if self.closes(b'}', "expected a comma or '}'")? {
                return Ok(Document::Object(self.members.split_off(members.begin)));
            }
        }
    }

    /// Where a repeated key has to go; none for a new key.
    fn place_for(
        &self,
        members: &mut Members,
        key: &str,
        start: usize,
    ) -> Result<Option<usize>, ParseError> {
        let list = &self.members[members.begin..];
        let known = members.find(list, key);
        if known.is_some() && self.duplicates == Duplicates::Refused {
            let (line, column) = place(self.bytes, start);
            return Err(ParseError::DuplicateKey { key: key.to_owned(), line, column });
        }
        if known.is_none() && list.len() >= self.limits.max_members {
            let (line, column) = place(self.bytes, start);
            return Err(ParseError::TooWide { limit: self.limits.max_members, line, column });
        }
        Ok(known.map(|place| members.begin + place))
    }
}

/// The members of an object being read.
struct Members {
    /// Where they begin among those of all.
    begin: usize,
    /// Made when there are more than a few.
    hashes: Option<(RandomState, HashSet<u64>)>,
}

impl Members {
    /// Where this key stands already in the list of them; otherwise it is about to be added.
    fn find(&mut self, list: &[(Cow<'_, str>, Document<'_>)], key: &str) -> Option<usize> {
        if list.len() >= FEW {
            let (state, hashes) = self.hashes.get_or_insert_with(|| {
                let state = RandomState::new();
                let hashes = list.iter().map(|(member, _)| state.hash_one(&**member)).collect();
                (state, hashes)
            });
            if hashes.insert(state.hash_one(key)) {
                return None;
            }
        }
        list.iter().position(|(member, _)| member == key)
    }
}
