//! Notes: what writes record, as they lie in an entity's document until they are folded.

use mongodb::bson::RawBinaryRef;
use mongodb::bson::raw::RawArrayBuf;
use mongodb::bson::spec::BinarySubtype;

use crate::model::{Change, DatasetId, Instance, Timestamp, TypeName};
use crate::query::Series;
use crate::store::HistoryRules;
use crate::store::history::{Deed, Item, Line, OBSERVED, Row, THINNED, recorded_by, write_row};
use crate::store::mongo::clock::Clock;
use crate::store::record::short::shorten;
use crate::store::record::{Damaged, In, Out, encode_deletion, encode_scopes};
use crate::store::record::{own_past, own_word, read_name, write_name};

/// The version that every note begins with.
const VERSION: u8 = 1;

/// The bits of a note.
mod has {
    /// The entity came, went, or has other types.
    pub const NEWS: u8 = 1;
    /// It is not there any more.
    pub const GONE: u8 = 1 << 1;
}

/// What a line of a note is.
mod line {
    pub const SCOPES: u8 = 0;
    pub const ATTRIBUTE: u8 = 1;
    pub const DATASET: u8 = 2;
}

/// What a decision records.
#[derive(Debug, Clone, Default)]
pub(in crate::store::mongo) struct Notes {
    entries: Vec<Vec<u8>>,
    types: Vec<TypeName>,
}

impl Notes {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.entries.len() as u32
    }

    /// How many bytes they take in a document, about.
    pub fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.len() + 16).sum()
    }

    /// The notes as a document holds them.
    pub fn entries(&self) -> RawArrayBuf {
        let mut array = RawArrayBuf::new();
        for bytes in &self.entries {
            array.push(RawBinaryRef { subtype: BinarySubtype::Generic, bytes });
        }
        array
    }

    /// The types they name, spelled short.
    pub fn types(&self) -> RawArrayBuf {
        let mut array = RawArrayBuf::new();
        for name in &self.types {
            array.push(shorten(name.as_str()).into_owned());
        }
        array
    }

    /// Adds what is recorded of a change.
    pub fn change(&mut self, clock: &Clock, rules: Option<&HistoryRules>, change: &Change) {
        let Some(deed) = recorded_by(change, rules) else { return };
        if !deed.news && deed.items.is_empty() {
            return;
        }
        for name in deed.types {
            if !self.types.contains(name) {
                self.types.push(*name);
            }
        }
        self.entries.push(write(&deed, change.at, clock));
    }
}

/// The time and the ordinal of something that was observed, or else happens now. The ordinal tells
/// it from all that happened to the series at the same time: how much later it was written, which
/// never is the same twice.
pub(super) fn place(clock: &Clock, now: Timestamp, observed: Option<Timestamp>) -> (i64, u32) {
    if let Some(time) = observed {
        return (time.micros(), OBSERVED);
    }
    let later = clock.micros() - now.micros();
    // Neither the first nor the last ordinal, which have a meaning.
    (now.micros(), later.rem_euclid(i64::from(THINNED) - 1) as u32 + 1)
}

/// Writes a line, as notes and chapters name it.
pub(super) fn write_line(out: &mut Out, line: &Line) {
    match line {
        Line::Scopes => out.byte(line::SCOPES),
        Line::Attribute(Series { attribute, dataset: None }) => {
            out.byte(line::ATTRIBUTE);
            write_name(out, *attribute);
        }
        Line::Attribute(Series { attribute, dataset: Some(dataset) }) => {
            out.byte(line::DATASET);
            write_name(out, *attribute);
            out.text(dataset.as_str());
        }
    }
}

/// Reads what [`write_line`] wrote.
pub(super) fn read_line(input: &mut In<'_>) -> Result<Line, Damaged> {
    let form = input.byte()?;
    if form == line::SCOPES {
        return Ok(Line::Scopes);
    }
    let attribute = read_name(input)?;
    let dataset = match form {
        line::ATTRIBUTE => None,
        line::DATASET => Some(DatasetId::from_trusted(input.text()?)),
        _ => return Err(Damaged("a series is of no known sort")),
    };
    Ok(Line::Attribute(Series { attribute, dataset }))
}

fn write(deed: &Deed<'_>, now: Timestamp, clock: &Clock) -> Vec<u8> {
    let mut out = Out(Vec::with_capacity(128));
    out.byte(VERSION);
    let bit = |there: bool, bit: u8| if there { bit } else { 0 };
    out.byte(bit(deed.news, has::NEWS) | bit(deed.gone, has::GONE));
    out.signed(now.bits());
    out.signed(deed.created_at.bits());
    out.count(deed.types.len());
    deed.types.iter().for_each(|name| write_name(&mut out, *name));
    let (mut word, mut bytes) = (Vec::new(), Vec::new());
    for item in &deed.items {
        let (line, observed, number) = match item {
            Item::Scopes(scopes) => {
                encode_scopes(scopes, None, &mut word);
                own_word(&mut word);
                (Line::Scopes, None, 0.0)
            }
            Item::Instance(name, instance) => {
                let number = own_past(instance, now, &mut word);
                (line_of(*name, instance), instance.observed_at, number)
            }
            Item::Deletion(name, instance) => {
                encode_deletion(instance.kind(), &mut word);
                own_word(&mut word);
                (line_of(*name, instance), None, 0.0)
            }
        };
        let (time, ordinal) = place(clock, now, observed);
        let at = now.micros();
        let row = Row { time, ordinal, created: at, modified: at, number, word: Some(&word[..]) };
        write_line(&mut out, &line);
        write_row(row, &mut bytes);
        out.count(bytes.len());
        out.0.extend_from_slice(&bytes);
    }
    out.0
}

fn line_of(name: crate::model::AttrName, instance: &Instance) -> Line {
    Line::of(name, instance.dataset())
}

/// A note that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Note<'a> {
    pub news: bool,
    pub gone: bool,
    pub at: Timestamp,
    pub created_at: Timestamp,
    pub types: Vec<TypeName>,
    pub rows: Vec<(Line, &'a [u8])>,
}

impl<'a> Note<'a> {
    /// Reads a note.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let mut input = In(bytes);
        if input.byte()? != VERSION {
            return Err(Damaged("a note is of another version"));
        }
        let bits = input.byte()?;
        let at = Timestamp::from_bits(input.signed()?);
        let created_at = Timestamp::from_bits(input.signed()?);
        let count = input.count()?;
        let types = (0..count).map(|_| read_name(&mut input)).collect::<Result<_, _>>()?;
        let mut rows = Vec::new();
        while !input.0.is_empty() {
            let line = read_line(&mut input)?;
            let length = input.count()?;
            rows.push((line, input.bytes(length)?));
        }
        let (news, gone) = (bits & has::NEWS != 0, bits & has::GONE != 0);
        Ok(Self { news, gone, at, created_at, types, rows })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{Outcome, Stored};
    use crate::store::samples::{self, at};

    proptest! {
        #[test]
        fn a_note_reads_back(entity in samples::entity(), place in any::<prop::sample::Index>()) {
            let mut entity = entity;
            for (_, attribute) in entity.attributes.iter_mut() {
                attribute.instances_mut().iter_mut().for_each(|one| one.modified_at = at(5));
            }
            let updated = entity.attributes.iter().map(|(name, _)| name).collect();
            let change = Change {
                id: entity.id.clone(),
                at: at(5),
                before: None,
                after: Some(Stored::new(entity.clone())),
                outcome: Outcome { updated, ..Outcome::default() },
            };
            let mut notes = Notes::default();
            notes.change(&Clock::new(1), None, &change);
            prop_assert_eq!(notes.count(), 1);
            let bytes = &notes.entries[0];
            let note = Note::read(bytes).unwrap();
            prop_assert!(note.news && !note.gone);
            prop_assert_eq!((note.at, &note.types[..]), (at(5), entity.types.as_slice()));
            let instances: usize =
                entity.attributes.iter().map(|(_, attribute)| attribute.instances().len()).sum();
            let scopes = usize::from(!entity.scopes.is_empty());
            prop_assert_eq!(note.rows.len(), instances + scopes);
            prop_assert!(Note::read(&bytes[..place.index(bytes.len())]).is_err() || !note.rows.is_empty());
            drop(Arc::new(change));
        }
    }

    #[test]
    fn what_happens_at_the_same_time_is_told_apart_in_order() {
        let (clock, mut last) = (Clock::new(3), 0);
        for _ in 0..100 {
            let (time, ordinal) = place(&clock, Timestamp::now(), None);
            assert!(time > 0 && ordinal != OBSERVED && ordinal != THINNED);
            let (_, next) = place(&clock, at(7), None);
            assert!(next > last || next < 1_000, "but where it begins anew");
            last = next;
        }
        assert_eq!(place(&clock, at(9), Some(at(3))), (at(3).micros(), OBSERVED));
    }
}
