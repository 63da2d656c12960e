//! What the log says of a group of writes: which series were taken out of history, and what was
//! recorded, entity by entity. It need not say what a group recorded of entities that are new to
//! history: that goes at once where it would be laid down.

use rustc_hash::FxHashSet;

use super::key::split;
use super::sheaf::{MOST_BYTES, MOST_ROWS, Sheaf};
use crate::store::embedded::engine::Pairs;
use crate::store::history::{SeriesKey, count};
use crate::store::record::{Damaged, In, Out};

/// An entity that begins with more lines goes through the log: each would be compared with all.
const MANY_LINES: usize = 64;

/// The first byte of an entry of the log.
mod entry {
    /// A series was taken out of history.
    pub const ERASED: u8 = 0;
    /// Rows of a series, as they were written until format 3.
    pub const ROWS: u8 = 1;
    /// The entity that the lines behind it are of.
    pub const ENTITY: u8 = 2;
    /// Rows of a line.
    pub const LINE: u8 = 3;
}

/// The entries of a group on their way into the log.
#[derive(Default)]
pub(super) struct Entries {
    out: Out,
    /// The entity that lines are of if nothing else is said.
    entity: Vec<u8>,
    /// One follows another, from the first byte to the last.
    sections: Vec<Section>,
    /// Something was taken out of history.
    erases: bool,
}

/// An erasure, or an entity with its lines.
struct Section {
    begin: usize,
    /// Nothing was recorded of the entity before the group.
    new: bool,
}

impl Entries {
    pub fn erased(&mut self, series: &SeriesKey) {
        self.entity.clear();
        self.erases = true;
        self.sections.push(Section { begin: self.out.0.len(), new: false });
        self.entry(entry::ERASED, series.bytes());
    }

    /// Adds rows of a series; `new` says that nothing was recorded of its entity before the group.
    pub fn rows(&mut self, (entity, line): (&[u8], &[u8]), value: &[u8], new: bool) {
        if self.entity != entity {
            self.entity(entity, new);
        }
        self.line(line, value);
    }

    /// Says whose the lines are that follow.
    pub fn entity(&mut self, entity: &[u8], new: bool) {
        self.entity.clear();
        self.entity.extend_from_slice(entity);
        self.sections.push(Section { begin: self.out.0.len(), new });
        self.entry(entry::ENTITY, entity);
    }

    /// Adds rows of a line of the entity.
    pub fn line(&mut self, line: &[u8], value: &[u8]) {
        self.entry(entry::LINE, line);
        self.out.count(value.len());
        self.out.0.extend_from_slice(value);
    }

    fn entry(&mut self, kind: u8, key: &[u8]) {
        self.out.byte(kind);
        self.out.count(key.len());
        self.out.0.extend_from_slice(key);
    }

    /// Where it ends now.
    pub fn mark(&self) -> usize {
        self.out.0.len()
    }

    /// Takes back what was added since a mark.
    pub fn undo(&mut self, mark: usize) {
        self.out.0.truncate(mark);
        self.sections.retain(|section| section.begin < mark);
        self.entity.clear();
    }

    /// What was noted of a series since it was taken out of history last, in order; and whether
    /// it was.
    pub fn of(&self, wanted: &SeriesKey) -> Result<(Vec<Vec<u8>>, bool), Damaged> {
        let (mut found, mut erased) = (Vec::new(), false);
        let (of, own) = wanted.split();
        each_entry(&self.out.0, |entry| {
            match entry {
                Entry::Erased(series) if series == wanted.bytes() => {
                    found.clear();
                    erased = true;
                }
                Entry::Line(entity, line, value) if entity == of && line == own => {
                    found.push(value.to_vec());
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok((found, erased))
    }

    /// The value of the group in the log, which may be empty. What is little of an entity that is
    /// new goes into `tails` instead, under this sequence, which comes before that of the log.
    pub fn divide(&mut self, sequence: u64, tails: &mut Pairs) -> Vec<u8> {
        self.entity.clear();
        let all = std::mem::take(&mut self.out.0);
        let sections = std::mem::take(&mut self.sections);
        // What is erased may be of an entity that is new.
        if std::mem::take(&mut self.erases) || !sections.iter().any(|section| section.new) {
            return all;
        }
        let ends = sections.iter().skip(1).map(|section| section.begin).chain([all.len()]);
        let (mut log, mut seen) = (Vec::new(), FxHashSet::default());
        for (section, end) in sections.iter().zip(ends) {
            let bytes = &all[section.begin..end];
            if !section.new || !lay_new(bytes, sequence, tails, &mut seen) {
                log.extend_from_slice(bytes);
            }
        }
        log
    }
}

/// Lays down a section as it would be if it came from the log; false if it is to go that way, as a
/// second one of the same entity does, since it counts after the first.
fn lay_new<'a>(
    section: &'a [u8],
    sequence: u64,
    tails: &mut Pairs,
    seen: &mut FxHashSet<&'a [u8]>,
) -> bool {
    let mut of: &[u8] = &[];
    let mut lines: Vec<(&[u8], &[u8])> = Vec::new();
    let mut little = true;
    let read = each_entry(section, |entry| {
        match entry {
            Entry::Erased(_) => little = false,
            Entry::Entity(entity) => of = entity,
            Entry::Line(_, line, value) => {
                little &= lines.len() < MANY_LINES
                    && value.len() <= MOST_BYTES
                    && count(value)? <= MOST_ROWS as usize
                    && lines.iter().all(|(other, _)| *other != line);
                if little {
                    lines.push((line, value));
                }
            }
        }
        Ok(())
    });
    debug_assert!(read.is_ok(), "what was just written is read");
    if !seen.insert(of) || read.is_err() || !little || lines.is_empty() {
        return false;
    }
    let (series, value) = match &lines[..] {
        [(line, value)] => (SeriesKey::joined(of, line), value.to_vec()),
        _ => {
            let mut sheaf = Sheaf::with_capacity(section.len());
            lines.iter().for_each(|(line, value)| sheaf.add(line, value));
            (SeriesKey::sheaves_of(of), sheaf.value())
        }
    };
    tails.insert(series.tail(sequence), Some(value));
    true
}

/// An entry of the log.
pub(super) enum Entry<'a> {
    Erased(&'a [u8]),
    /// The lines behind it are of this entity.
    Entity(&'a [u8]),
    /// Rows of an entity's line.
    Line(&'a [u8], &'a [u8], &'a [u8]),
}

/// Shows what the log says of a group.
pub(super) fn each_entry<'a>(
    value: &'a [u8],
    mut show: impl FnMut(Entry<'a>) -> Result<(), Damaged>,
) -> Result<(), Damaged> {
    let mut input = In(value);
    let mut entity: &[u8] = &[];
    while !input.0.is_empty() {
        let kind = input.byte()?;
        let mut bytes = || {
            let length = input.count()?;
            input.bytes(length)
        };
        match kind {
            entry::ERASED => show(Entry::Erased(bytes()?))?,
            entry::ROWS => {
                let (of, line) = split(bytes()?);
                show(Entry::Entity(of))?;
                show(Entry::Line(of, line, bytes()?))?;
                entity = &[];
            }
            entry::ENTITY => {
                entity = bytes()?;
                show(Entry::Entity(entity))?;
            }
            entry::LINE if entity.is_empty() => return Err(Damaged("a line is of nobody")),
            entry::LINE => {
                let (line, value) = (bytes()?, bytes()?);
                show(Entry::Line(entity, line, value))?;
            }
            _ => return Err(Damaged("an entry of the log is of no known kind")),
        }
    }
    Ok(())
}

/// Shows the entities that a value of the log tells of, by their keys.
pub(super) fn told_of(value: &[u8], show: &mut dyn FnMut(&[u8])) {
    let told = each_entry(value, |entry| {
        match entry {
            Entry::Erased(series) => show(split(series).0),
            Entry::Entity(entity) => show(entity),
            Entry::Line(..) => {}
        }
        Ok(())
    });
    debug_assert!(told.is_ok(), "what was just written is read");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::history::{Row, write_row};

    fn series(entity: u8, line: u8) -> SeriesKey {
        SeriesKey([0, 0, 0, 1, b'a' + entity, 0, 0, 0, 0, line, 0].into())
    }

    #[test]
    fn entries_are_told_as_they_came() {
        let mut entries = Entries::default();
        entries.rows(series(1, 1).split(), b"one", false);
        entries.rows(series(1, 2).split(), b"two", false);
        let mark = entries.mark();
        entries.rows(series(2, 1).split(), b"never", false);
        entries.erased(&series(1, 1));
        entries.undo(mark);
        entries.rows(series(1, 1).split(), b"three", false);
        assert_eq!(
            entries.of(&series(1, 1)),
            Ok((vec![b"one".to_vec(), b"three".to_vec()], false))
        );
        entries.erased(&series(1, 1));
        entries.rows(series(1, 1).split(), b"four", false);
        entries.rows(series(2, 1).split(), b"", true);
        assert_eq!(entries.of(&series(1, 1)), Ok((vec![b"four".to_vec()], true)));
        assert_eq!(entries.of(&series(1, 2)), Ok((vec![b"two".to_vec()], false)));
        assert_eq!(entries.of(&series(2, 1)), Ok((vec![Vec::new()], false)));
        assert_eq!(entries.of(&series(2, 2)), Ok((Vec::new(), false)));
        let mut tails = Pairs::default();
        let value = entries.divide(1, &mut tails);
        assert!(tails.is_empty(), "something was erased");
        let mut told = Vec::new();
        told_of(&value, &mut |entity| told.push(entity.to_vec()));
        let [one, two] = [1, 2].map(|entity| series(entity, 1).split().0.to_vec());
        assert_eq!(told, [one.clone(), one.clone(), one.clone(), one, two]);
    }

    /// A row as a write leaves it.
    fn row(number: u8) -> Vec<u8> {
        let word = [0, 6, 1, number];
        let row = Row { time: 1, ordinal: 0, created: 2, modified: 2, number: 0.0, word: None };
        let mut bytes = Vec::new();
        write_row(Row { word: Some(&word), ..row }, &mut bytes);
        bytes
    }

    #[test]
    fn what_is_little_of_new_entities_does_not_go_through_the_log() {
        let mut entries = Entries::default();
        let [one, two, three] = [1, 2, 3].map(row);
        let much = [&three[..], &[b'x'; MOST_BYTES]].concat();
        entries.rows(series(1, 1).split(), &one, true);
        entries.rows(series(1, 2).split(), &two, true);
        entries.rows(series(2, 1).split(), &one, false);
        entries.rows(series(3, 1).split(), &three, true);
        let mark = entries.mark();
        entries.rows(series(4, 1).split(), &one, true);
        entries.undo(mark);
        // Again, once more, and much.
        entries.rows(series(1, 1).split(), &three, true);
        entries.rows(series(5, 1).split(), &one, true);
        entries.rows(series(5, 1).split(), &two, true);
        entries.rows(series(6, 1).split(), &much, true);
        entries.rows(series(7, 1).split(), &one, false);
        entries.rows(series(6, 2).split(), &one, true);
        let mut tails = Pairs::default();
        let log = entries.divide(7, &mut tails);
        let mut told = Vec::new();
        told_of(&log, &mut |entity| told.push(entity[4] - b'a'));
        assert_eq!(told, [2, 1, 5, 6, 7, 6]);
        let mut sheaf = Sheaf::default();
        sheaf.add(series(1, 1).split().1, &one);
        sheaf.add(series(1, 2).split().1, &two);
        let expected = [
            (series(1, 1).sheaves().tail(7), Some(sheaf.value())),
            (series(3, 1).tail(7), Some(three)),
        ];
        assert_eq!(tails, Pairs::from_iter(expected));
        assert!(entries.divide(8, &mut tails).is_empty());
    }

    #[test]
    fn what_was_written_before_format_3_is_read() {
        let mut out = Out::default();
        for (kind, bytes) in [(entry::ERASED, &b""[..]), (entry::ROWS, b"rows")] {
            out.byte(kind);
            out.count(series(3, 4).bytes().len());
            out.0.extend_from_slice(series(3, 4).bytes());
            if kind == entry::ROWS {
                out.count(bytes.len());
                out.0.extend_from_slice(bytes);
            }
        }
        let entries = Entries { out, ..Entries::default() };
        assert_eq!(entries.of(&series(3, 4)), Ok((vec![b"rows".to_vec()], true)));
    }

    #[test]
    fn damage_is_told() {
        for bytes in [&[9][..], &[entry::LINE, 0, 0], &[entry::ENTITY, 3, 1], &[entry::ROWS]] {
            assert!(each_entry(bytes, |_| Ok(())).is_err(), "{bytes:?}");
        }
    }
}
