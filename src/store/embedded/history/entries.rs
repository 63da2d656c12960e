//! What the log says of a group of writes: which series were taken out of history, and what was
//! recorded, entity by entity.

use super::key::split;
use crate::store::history::SeriesKey;
use crate::store::record::{Damaged, In, Out};

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
}

impl Entries {
    pub fn erased(&mut self, series: &SeriesKey) {
        self.entity.clear();
        self.entry(entry::ERASED, series.bytes());
    }

    pub fn rows(&mut self, series: &SeriesKey, value: &[u8]) {
        let (entity, line) = series.split();
        if self.entity != entity {
            self.entity.clear();
            self.entity.extend_from_slice(entity);
            self.entry(entry::ENTITY, entity);
        }
        self.entry(entry::LINE, line);
        self.out.count(value.len());
        self.out.0.extend_from_slice(value);
    }

    fn entry(&mut self, kind: u8, key: &[u8]) {
        self.out.byte(kind);
        self.out.count(key.len());
        self.out.0.extend_from_slice(key);
    }

    pub fn is_empty(&self) -> bool {
        self.out.0.is_empty()
    }

    /// Where it ends now.
    pub fn mark(&self) -> usize {
        self.out.0.len()
    }

    /// Takes back what was added since a mark.
    pub fn undo(&mut self, mark: usize) {
        self.out.0.truncate(mark);
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

    /// The value of the group in the log.
    pub fn value(&mut self) -> Vec<u8> {
        self.entity.clear();
        std::mem::take(&mut self.out.0)
    }
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

    fn series(entity: u8, line: u8) -> SeriesKey {
        SeriesKey([0, 0, 0, 1, b'a' + entity, 0, 0, 0, 0, line, 0].into())
    }

    #[test]
    fn entries_are_told_as_they_came() {
        let mut entries = Entries::default();
        assert!(entries.is_empty());
        entries.rows(&series(1, 1), b"one");
        entries.rows(&series(1, 2), b"two");
        let mark = entries.mark();
        entries.rows(&series(2, 1), b"never");
        entries.erased(&series(1, 1));
        entries.undo(mark);
        entries.rows(&series(1, 1), b"three");
        assert_eq!(
            entries.of(&series(1, 1)),
            Ok((vec![b"one".to_vec(), b"three".to_vec()], false))
        );
        entries.erased(&series(1, 1));
        entries.rows(&series(1, 1), b"four");
        entries.rows(&series(2, 1), b"");
        assert_eq!(entries.of(&series(1, 1)), Ok((vec![b"four".to_vec()], true)));
        assert_eq!(entries.of(&series(1, 2)), Ok((vec![b"two".to_vec()], false)));
        assert_eq!(entries.of(&series(2, 1)), Ok((vec![Vec::new()], false)));
        assert_eq!(entries.of(&series(2, 2)), Ok((Vec::new(), false)));
        let value = entries.value();
        let mut told = Vec::new();
        told_of(&value, &mut |entity| told.push(entity.to_vec()));
        let [one, two] = [1, 2].map(|entity| series(entity, 1).split().0.to_vec());
        assert_eq!(told, [one.clone(), one.clone(), one.clone(), one, two]);
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
        let entries = Entries { out, entity: Vec::new() };
        assert_eq!(entries.of(&series(3, 4)), Ok((vec![b"rows".to_vec()], true)));
    }

    #[test]
    fn damage_is_told() {
        for bytes in [&[9][..], &[entry::LINE, 0, 0], &[entry::ENTITY, 3, 1], &[entry::ROWS]] {
            assert!(each_entry(bytes, |_| Ok(())).is_err(), "{bytes:?}");
        }
    }
}
