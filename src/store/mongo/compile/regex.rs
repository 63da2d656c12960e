//! Regular expressions that mean the same to the database.
//!
//! The database searches with PCRE, which tries one way after another: what repeats a repetition
//! may take it for ever. And some of what it understands means other things here. So only plain
//! expressions are handed over; the others are left to the evaluator.

use mongodb::bson::raw::CString;
use mongodb::bson::{Bson, Regex};

/// The longest expression that is handed over, in bytes.
const LONGEST: usize = 256;

/// How many repetitions an expression that is handed over may have: each may multiply the work.
const REPETITIONS: usize = 3;

/// The expression for the database, if it means the same there.
pub(super) fn translated(text: &str) -> Option<Bson> {
    if text.len() > LONGEST {
        return None;
    }
    let mut reader = Reader { rest: text, out: String::new(), repetitions: 0 };
    while let Some(c) = reader.next() {
        reader.one(c)?;
    }
    raw(&reader.out)
}

/// An expression in the language of the database, which cannot hold NUL.
pub(super) fn raw(pattern: &str) -> Option<Bson> {
    let text = |text: &str| CString::try_from(text.to_owned()).ok();
    Some(Bson::RegularExpression(Regex { pattern: text(pattern)?, options: text("s")? }))
}

/// A text that matches itself.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        push_literal(c, &mut out);
    }
    out
}

fn push_literal(c: char, out: &mut String) {
    if c.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(c);
}

struct Reader<'a> {
    rest: &'a str,
    out: String,
    repetitions: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// One element of the expression. Groups are not handed over: repeated, they could hold
    /// repetitions.
    fn one(&mut self, c: char) -> Option<()> {
        match c {
            '\0' | '(' | ')' | '{' | '}' => return None,
            '.' | '^' | '|' => self.out.push(c),
            // Not before a last line break, as PCRE would have it.
            '$' => self.out.push_str("\\z"),
            '*' | '+' | '?' => {
                self.repetitions += 1;
                let follows_another = self.rest.starts_with(['*', '+', '?', '{']);
                let follows_nothing = self.out.is_empty()
                    || self.out.ends_with(['|', '^'])
                    || self.out.ends_with("\\z");
                if follows_another || follows_nothing || self.repetitions > REPETITIONS {
                    return None;
                }
                self.out.push(c);
            }
            '[' => self.bracket()?,
            '\\' => match self.next()? {
                c if c.is_ascii_punctuation() => push_literal(c, &mut self.out),
                _ => return None,
            },
            c => push_literal(c, &mut self.out),
        }
        Some(())
    }

    /// A set of letters, digits and other plain characters, and ranges of them.
    fn bracket(&mut self) -> Option<()> {
        self.out.push('[');
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.rest = rest;
            self.out.push('^');
        }
        let mut is_empty = true;
        loop {
            match self.next()? {
                ']' if !is_empty => break,
                '-' if !is_empty && !self.rest.starts_with(['-', ']', '\\', '[']) => {
                    let end = self.next().filter(|c| c.is_alphanumeric())?;
                    self.out.push('-');
                    self.out.push(end);
                }
                '[' | ']' | '\\' | '-' | '&' | '~' | '\0' => return None,
                c => push_literal(c, &mut self.out),
            }
            is_empty = false;
        }
        self.out.push(']');
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_expressions_are_handed_over() {
        for (text, expected) in [
            ("a", Some("a")),
            ("^2026", Some("^2026")),
            ("^$", Some("^\\z")),
            ("แม่.*เมาะ", Some("แม่.*เมาะ")),
            ("[a-z0-9]+x?", Some("[a-z0-9]+x?")),
            ("[^ab]$", Some("[^ab]\\z")),
            ("a|b", Some("a|b")),
            ("a\\.b/c-d", Some("a\\.b\\/c\\-d")),
            ("(a*)*b", None),
            ("a**", None),
            ("a*a*a*a*b", None),
            ("\\d", None),
            ("[[:alpha:]]", None),
            ("a{2,3}", None),
            ("*a", None),
            ("[\"\\\\]", None),
        ] {
            let found = translated(text).map(|regex| match regex {
                Bson::RegularExpression(regex) => regex.pattern.as_str().to_owned(),
                other => panic!("{other}"),
            });
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
