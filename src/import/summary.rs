//! What became of an import.

use std::fmt;

/// Where something stood in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The line it began on, from 1.
    pub line: u64,
    /// Which value of the input it is or came from, from 1.
    pub number: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, value {}", self.line, self.number)
    }
}

/// Something that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub place: Place,
    /// The entity or station it was, if that could be read.
    pub id: Option<String>,
    pub why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{} ({id}): {}", self.place, self.why),
            None => write!(f, "{}: {}", self.place, self.why),
        }
    }
}

/// How many reasons are kept in full; the rest is only counted.
pub const KEPT_REASONS: usize = 20;

/// What an import has taken and refused so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of input read.
    pub bytes: u64,
    /// Values of the input, or rows of a table, that are done with: an import that ended early
    /// goes on after them.
    pub done: u64,
    /// Entities that did not exist before.
    pub created: u64,
    /// Entities that existed and were replaced.
    pub updated: u64,
    /// Entities that were taken, of which the broker did not say whether they were new.
    pub taken_otherwise: u64,
    /// Entities, or values that should have been some, that were not taken.
    pub refused: u64,
    /// The first of them, with reasons.
    pub first_refused: Vec<Refused>,
    /// Parts left out of entities that were taken, such as a reading that is no number.
    pub notes: u64,
    /// The first of them.
    pub first_notes: Vec<String>,
}

impl Summary {
    /// Entities taken in all.
    pub fn taken(&self) -> u64 {
        self.created + self.updated + self.taken_otherwise
    }

    /// Counts a refusal and keeps its reason if it is among the first.
    pub fn refuse(&mut self, refused: Refused) {
        self.refused += 1;
        if self.first_refused.len() < KEPT_REASONS {
            self.first_refused.push(refused);
        }
    }

    /// Counts a note and keeps it if it is among the first.
    pub fn note(&mut self, note: String) {
        self.notes += 1;
        if self.first_notes.len() < KEPT_REASONS {
            self.first_notes.push(note);
        }
    }
}

impl fmt::Display for Summary {
    /// The summary as a person reads it at the end of an import, over several lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entities taken", self.taken())?;
        let parts = [
            (self.created, "created"),
            (self.updated, "replaced"),
            (self.taken_otherwise, "created or replaced"),
        ];
        let said: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        if !said.is_empty() {
            write!(f, " ({})", said.join(", "))?;
        }
        write!(f, ", {} refused", self.refused)?;
        for refused in &self.first_refused {
            write!(f, "\n  refused: {refused}")?;
        }
        rest(f, self.refused, self.first_refused.len())?;
        for note in &self.first_notes {
            write!(f, "\n  left out: {note}")?;
        }
        rest(f, self.notes, self.first_notes.len())
    }
}

fn rest(f: &mut fmt::Formatter<'_>, all: u64, shown: usize) -> fmt::Result {
    match all.saturating_sub(shown as u64) {
        0 => Ok(()),
        more => write!(f, "\n  and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_summary_says_what_was_refused_and_why() {
        let mut summary = Summary { created: 3, updated: 1, ..Summary::default() };
        for number in 1..=22 {
            summary.refuse(Refused {
                place: Place { line: number + 1, number },
                id: (number == 1).then(|| "urn:x:1".into()),
                why: "it has no type".into(),
            });
        }
        summary.first_refused.truncate(2);
        summary.note("40t: PM25 is not a number".into());
        expect![[r#"
            4 entities taken (3 created, 1 replaced), 22 refused
              refused: line 2, value 1 (urn:x:1): it has no type
              refused: line 3, value 2: it has no type
              and 20 more
              left out: 40t: PM25 is not a number"#]]
        .assert_eq(&summary.to_string());
    }
}
