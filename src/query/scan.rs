//! A place in a text: what all parsers of this room stand on.

use super::{Limits, QueryError, Term};
use crate::jsonld::Context;
use crate::model::{Name, check_uri, is_mark};

/// Reads the text of one parameter from left to right.
pub(super) struct Cursor<'a> {
    parameter: &'static str,
    text: &'a str,
    at: usize,
    limits: &'a Limits,
    nodes: usize,
    depth: usize,
}

/// Whether a `.` within a name's last segment ends the name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dots {
    Separate,
    Belong,
}

impl<'a> Cursor<'a> {
    pub fn new(parameter: &'static str, text: &'a str, limits: &'a Limits) -> Self {
        Self { parameter, text, at: 0, limits, nodes: 0, depth: 0 }
    }

    pub fn parameter(&self) -> &'static str {
        self.parameter
    }

    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Goes on behind the token if it stands here.
    pub fn eat(&mut self, token: &str) -> bool {
        let here = self.rest().starts_with(token);
        if here {
            self.at += token.len();
        }
        here
    }

    /// Like [`Cursor::eat`], but leaves spaces before the token out.
    pub fn eat_spaced(&mut self, token: &str) -> bool {
        let before = self.at;
        self.skip_spaces();
        let here = self.eat(token);
        if !here {
            self.at = before;
        }
        here
    }

    /// Takes so many bytes.
    pub fn take(&mut self, length: usize) -> &'a str {
        let taken = &self.rest()[..length];
        self.at += length;
        taken
    }

    /// Takes characters as long as they pass.
    pub fn take_while(&mut self, passes: impl Fn(char) -> bool) -> &'a str {
        self.take(self.rest().find(|c| !passes(c)).unwrap_or(self.rest().len()))
    }

    /// Counts one more thing to be checked per entity.
    pub fn count(&mut self) -> Result<(), QueryError> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(QueryError::too_complex(
                self.parameter,
                format!("it names more than {} things", self.limits.nodes),
            ));
        }
        Ok(())
    }

    /// Goes one parenthesis or brace deeper. [`Cursor::leave`] comes back.
    pub fn enter(&mut self) -> Result<(), QueryError> {
        self.depth += 1;
        if self.depth > self.limits.nesting {
            return Err(QueryError::too_complex(
                self.parameter,
                format!("it is nested more than {} deep", self.limits.nesting),
            ));
        }
        Ok(())
    }

    pub fn leave(&mut self) {
        self.depth -= 1;
    }

    /// What stands here is not what should.
    pub fn expected(&self, what: &str) -> QueryError {
        let place = self.text[..self.at].chars().count() + 1;
        let (found, length) = match self.peek() {
            None => ("the end".to_owned(), 0),
            Some(c) => (format!("{:?} at character {place}", c.to_string()), c.len_utf8()),
        };
        self.refused(format!("expected {what}, found {found}"), self.at, self.at + length)
    }

    /// Something is wrong between two places.
    pub fn refused(&self, message: impl Into<String>, start: usize, end: usize) -> QueryError {
        QueryError::syntax(self.parameter, message, Some((start, end)))
    }

    /// Nothing may follow.
    pub fn must_end(&mut self, what_might: &str) -> Result<(), QueryError> {
        self.skip_spaces();
        if self.is_at_end() { Ok(()) } else { Err(self.expected(what_might)) }
    }

    /// A name as it was written: short, with a prefix, a whole IRI, or an IRI in angle brackets.
    pub fn name(&mut self, what: &str, dots: Dots) -> Result<&'a str, QueryError> {
        let rest = self.rest();
        let length = if rest.starts_with('<') {
            bracketed(rest)
        } else if is_iri(rest) {
            iri_length(rest, dots)
        } else {
            short_length(rest)
        };
        match length {
            0 => Err(self.expected(what)),
            length => Ok(self.take(length)),
        }
    }
}

/// Whether the text begins with a scheme and two slashes.
fn is_iri(text: &str) -> bool {
    let scheme = text.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.is_some_and(|end| text[end..].starts_with("://"))
}

fn bracketed(text: &str) -> usize {
    let inner = text[1..].split_once('>').map(|(inner, _)| inner);
    inner.filter(|inner| check_uri(inner).is_ok()).map_or(0, |inner| inner.len() + 2)
}

/// An IRI goes up to what no IRI in a query can hold. With [`Dots::Separate`] it ends before a dot
/// that follows its last slash or hash, or before another IRI that follows a dot.
fn iri_length(text: &str, dots: Dots) -> usize {
    let ends = |c: char| c.is_whitespace() || c.is_control() || "\"'=!<>~;|(),[]{}".contains(c);
    let run = &text[..text.find(ends).unwrap_or(text.len())];
    if dots == Dots::Belong {
        return run.len();
    }
    let next = run.match_indices('.').map(|(dot, _)| dot).find(|dot| is_iri(&run[dot + 1..]));
    // The scheme itself may hold dots, and a second IRI can only follow the first one's slashes.
    let first = match next {
        Some(dot) if run[..dot].contains("://") => &run[..dot],
        _ => run,
    };
    let tail = first.rfind(['/', '#']).map_or(0, |slash| slash + 1);
    first[tail..].find('.').map_or(first.len(), |dot| tail + dot)
}

/// A short name, or one with a prefix; after the colon slashes and hashes may follow, as compact
/// IRIs have them.
fn short_length(text: &str) -> usize {
    if !text.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '@') {
        return 0;
    }
    let mut prefixed = false;
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((place, c)) = characters.next() {
        let goes_on = match c {
            ':' => {
                prefixed = true;
                characters.peek().is_some_and(|(_, c)| c.is_alphanumeric() || *c == '_')
            }
            '/' | '#' | '%' => prefixed,
            c => is_name_character(c),
        };
        if !goes_on {
            return place;
        }
    }
    text.len()
}

/// What may follow the first letter of a name; marks are parts of the letters before them.
pub(super) fn is_name_character(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-' || is_mark(c)
}

/// The meaning of a name that [`Cursor::name`] read.
pub(super) fn term(written: &str, context: &Context) -> Term {
    match written.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')) {
        Some(iri) => Term::new(written, iri, Name::known(iri)),
        None => meaning(written, written, context),
    }
}

/// The meaning of a short name that is written so.
pub(super) fn meaning(written: &str, name: &str, context: &Context) -> Term {
    match context.lookup(name) {
        Some(known) => Term::new(written, "", Some(known)),
        None => Term::new(written, &context.expand_text(name), None),
    }
}
