//! The book of an entity: its head and the tails of its series, as a chapter holds them, and as
//! notes change them.

use crate::model::{EntityId, TenantId, Timestamp};
use crate::query::Series;
use crate::store::StoreError;
use crate::store::history::{Head, Kept, Line, Rows, SeriesKey, read, write_rows};
use crate::store::record::{Damaged, In, Out, read_name, write_name};

use super::super::document::tenant_name;
use super::notes::{Note, read_line, write_line};

/// The version that every chapter begins with.
const VERSION: u8 = 1;

const DELETED: u8 = 1;
const TOLD: u8 = 1 << 1;

/// What was recorded of a series and is not in its blocks.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    pub rows: Rows,
    /// Whether blocks may lie before it: of what no chapter tells yet there are none.
    pub has_blocks: bool,
}

/// What is known of an entity beside its blocks.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    /// None if history does not know the entity.
    pub head: Option<Head>,
    /// What is not in blocks, by the places of the head's lines.
    tails: Vec<Tail>,
}

impl Book {
    /// Reads the record of a chapter.
    pub fn read(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut input = In(bytes);
        if input.byte()? != VERSION {
            return Err(Damaged("a chapter is of another version"));
        }
        let bits = input.byte()?;
        let mut head = Head::new(Timestamp::from_bits(input.signed()?));
        head.modified_at = Timestamp::from_bits(input.signed()?);
        if bits & DELETED != 0 {
            head.deleted_at = Some(Timestamp::from_bits(input.signed()?));
        }
        head.told = bits & TOLD != 0;
        let count = input.count()?;
        head.types = (0..count).map(|_| read_name(&mut input)).collect::<Result<_, _>>()?;
        let count = input.count()?;
        let mut tails = Vec::with_capacity(count);
        for _ in 0..count {
            head.lines.push(read_line(&mut input)?);
            let length = input.count()?;
            let mut rows = Rows::default();
            if length > 0 {
                read(input.bytes(length)?, &mut rows)?;
            }
            tails.push(Tail { rows, has_blocks: true });
        }
        Ok(Self { head: Some(head), tails })
    }

    /// The record of the chapter; None if there is nothing to tell.
    pub fn write(&mut self) -> Option<Vec<u8>> {
        let head = self.head.as_ref()?;
        let mut out = Out::default();
        out.byte(VERSION);
        let bit = |there: bool, bit: u8| if there { bit } else { 0 };
        out.byte(bit(head.deleted_at.is_some(), DELETED) | bit(head.told, TOLD));
        out.signed(head.created_at.bits());
        out.signed(head.modified_at.bits());
        if let Some(deleted) = head.deleted_at {
            out.signed(deleted.bits());
        }
        out.count(head.types.len());
        head.types.iter().for_each(|name| write_name(&mut out, *name));
        out.count(head.lines.len());
        for (line, tail) in head.lines.iter().zip(&mut self.tails) {
            write_line(&mut out, line);
            let tail = &mut tail.rows;
            tail.settle(true);
            if tail.is_empty() {
                out.count(0);
            } else {
                let rows = write_rows(tail, 0..tail.len());
                out.count(rows.len());
                out.0.extend_from_slice(&rows);
            }
        }
        Some(out.0)
    }

    /// Adds what was noted, as [`Notes::change`](super::Notes::change) noted it.
    pub fn apply(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        let note = Note::read(bytes)?;
        let begin = || {
            let mut head = Head::new(note.created_at);
            head.add_types(&note.types);
            head
        };
        if note.news {
            let head = self.head.get_or_insert_with(begin);
            head.told = false;
            head.deleted_at = note.gone.then_some(note.at);
            head.add_types(&note.types);
        }
        for (line, row) in &note.rows {
            self.head.get_or_insert_with(begin).told = false;
            read(row, self.tail_mut(line))?;
        }
        Ok(())
    }

    /// The tail of a line, which may be new to the head. There must be a head.
    pub fn tail_mut(&mut self, line: &Line) -> &mut Rows {
        let known = self.head.as_ref();
        let known = known.and_then(|head| head.lines.iter().position(|own| own == line));
        let place = known.unwrap_or_else(|| {
            if let Some(head) = &mut self.head {
                head.lines.push(line.clone());
            }
            self.tails.push(Tail::default());
            self.tails.len() - 1
        });
        &mut self.tails[place].rows
    }

    /// The lines with their tails, settled.
    pub fn tails(&mut self) -> impl Iterator<Item = (&Line, &mut Tail)> {
        self.tails.iter_mut().for_each(|tail| tail.rows.settle(true));
        let lines = self.head.as_ref().map_or(&[][..], |head| &head.lines[..]);
        lines.iter().zip(&mut self.tails)
    }

    /// How many rows the tails have.
    pub fn rows(&self) -> usize {
        self.tails.iter().map(|tail| tail.rows.len()).sum()
    }

    /// Takes lines out, with their tails.
    pub fn forget_lines(&mut self, lines: &[Line]) {
        let Some(head) = &mut self.head else { return };
        let kept: Vec<bool> = head.lines.iter().map(|line| !lines.contains(line)).collect();
        let mut each = kept.iter();
        self.tails.retain(|_| *each.next().unwrap_or(&true));
        head.forget_lines(lines);
    }

    /// Becomes the book of this head, with nothing in its lines.
    pub fn begin(&mut self, head: Head) {
        self.tails = head.lines.iter().map(|_| Tail::default()).collect();
        self.head = Some(head);
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.head = None;
        self.tails.clear();
    }

    /// The keys of the series that lie in blocks, too.
    pub fn in_blocks<'b>(
        &'b self,
        tenant: &'b TenantId,
        id: &'b EntityId,
    ) -> impl Iterator<Item = (&'b Line, SeriesKey)> {
        let lines = self.head.iter().flat_map(|head| &head.lines).zip(&self.tails);
        let lines = lines.filter(|(_, tail)| tail.has_blocks);
        lines.map(move |(line, _)| (line, series_key(tenant, id, line)))
    }

    /// The head and the tails, to be read.
    pub fn into_parts(mut self) -> Option<(Head, Vec<Tail>)> {
        self.tails.iter_mut().for_each(|tail| tail.rows.settle(true));
        Some((self.head?, self.tails))
    }
}

/// The series of an entity, with what is in their tails.
pub(super) fn kept(tenant: &TenantId, id: &EntityId, head: &Head, tails: Vec<Tail>) -> Vec<Kept> {
    let lines = head.lines.iter().zip(tails);
    let one = |(line, tail): (&Line, Tail)| {
        let kept = Kept::with_tail(series_key(tenant, id, line), tail.rows);
        kept.only_with_blocks(tail.has_blocks)
    };
    lines.map(one).collect()
}

/// The key of a series: tenant, entity, attribute and datasetId, each with a zero byte behind it,
/// which none of them holds. The scopes have no attribute.
pub(super) fn series_key(tenant: &TenantId, id: &EntityId, line: &Line) -> SeriesKey {
    let (attribute, dataset) = match line {
        Line::Scopes => ("", ""),
        Line::Attribute(Series { attribute, dataset }) => {
            (attribute.as_str(), dataset.as_ref().map_or("", |dataset| dataset.as_str()))
        }
    };
    let mut key = Vec::new();
    for part in [tenant_name(tenant), id.as_str(), attribute, dataset] {
        key.extend_from_slice(part.as_bytes());
        key.push(0);
    }
    SeriesKey(key.into())
}

/// The parts of a key of [`series_key`].
pub(super) fn parts(key: &SeriesKey) -> Result<[&str; 4], StoreError> {
    let mut parts = [""; 4];
    for (part, bytes) in parts.iter_mut().zip(key.bytes().split(|byte| *byte == 0)) {
        *part = std::str::from_utf8(bytes).map_err(|_| Damaged("a series has no name"))?;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DatasetId;
    use crate::store::history::Row;
    use crate::store::samples::{at, attribute_name, entity_id, type_name};

    #[test]
    fn a_book_reads_as_it_was_written() {
        let mut book = Book { head: Some(Head::new(at(1))), tails: Vec::new() };
        let head = book.head.as_mut().unwrap();
        head.add_types(&[type_name(1), type_name(2)]);
        (head.told, head.deleted_at) = (true, Some(at(5)));
        let dataset = DatasetId::from_trusted("urn:x:d");
        let name = attribute_name(3);
        let lines = [Line::of(name, Some(&dataset)), Line::Scopes, Line::of(name, None)];
        for (number, line) in lines.iter().enumerate() {
            for time in 0..=number as i64 {
                let row = Row {
                    time: 100 - time,
                    ordinal: 0,
                    created: 7,
                    modified: 9,
                    number: 0.5,
                    word: Some(&[8, 0]),
                };
                book.tail_mut(line).push(row);
            }
        }
        let bytes = book.write().unwrap();
        let mut again = Book::read(&bytes).unwrap();
        assert_eq!(again.head, book.head);
        assert_eq!((again.rows(), again.write()), (6, Some(bytes)));
        again.forget_lines(&lines[1..2]);
        assert_eq!((again.rows(), again.tails().count()), (4, 2));
        again.clear();
        assert_eq!((again.rows(), again.write()), (0, None));
    }

    #[test]
    fn a_series_is_known_by_its_parts() {
        let tenant = TenantId::named("ลำปาง").unwrap();
        let (id, name) = (entity_id(1), attribute_name(2));
        let dataset = DatasetId::from_trusted("urn:x:d");
        for (line, attribute, dataset) in [
            (Line::Scopes, "", ""),
            (Line::of(name, None), name.as_str(), ""),
            (Line::of(name, Some(&dataset)), name.as_str(), "urn:x:d"),
        ] {
            let key = series_key(&tenant, &id, &line);
            assert_eq!(parts(&key).unwrap(), ["ลำปาง", id.as_str(), attribute, dataset]);
        }
    }
}
