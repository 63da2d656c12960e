//! Archives: what history keeps of entities, taken out of one store to be put into another.

use std::hash::Hasher;
use std::ops::ControlFlow;

use rustc_hash::FxHasher;

use super::head::Head;
use super::merge::{Bounds, Kept, merged};
use super::rows::{Row, Rows};
use super::series::{Line, Place, Volumes};
use crate::model::EntityId;
use crate::query::Series;
use crate::store::StoreError;
use crate::store::record::{Rewrite, Spelling};

/// What history keeps of one entity, or a part of that: names are spelled out, so that any store
/// can take it.
#[derive(Debug, Clone)]
pub struct Archive {
    pub id: EntityId,
    pub(in crate::store) head: Head,
    /// It is the first part: what the store had of the entity goes.
    pub(in crate::store) begins: bool,
    pub(in crate::store) series: Vec<(Line, Rows)>,
}

/// Some archives, and where those that follow begin.
#[derive(Debug, Clone, Default)]
pub struct Archives {
    pub archives: Vec<Archive>,
    pub next: Option<String>,
}

/// Where in the history of an entity an archive goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Bookmark {
    pub id: String,
    /// The place of the line, and the last row of it that was taken; none if the entity is done.
    pub within: Option<(usize, Place)>,
}

impl Bookmark {
    /// Reads what [`Bookmark::write`] wrote; the beginning if there is none.
    pub fn read(text: Option<&str>) -> Option<Self> {
        let mut parts = text?.split('\n');
        let id = parts.next()?.to_owned();
        let mut number = || parts.next()?.parse::<i64>().ok();
        let within = match (number(), number(), number()) {
            (Some(line), Some(time), Some(ordinal)) => {
                Some((usize::try_from(line).ok()?, (time, u32::try_from(ordinal).ok()?)))
            }
            _ => None,
        };
        Some(Self { id, within })
    }

    /// The bookmark as a text. No id holds a line break.
    pub fn write(&self) -> String {
        match self.within {
            Some((line, (time, ordinal))) => format!("{}\n{line}\n{time}\n{ordinal}", self.id),
            None => self.id.clone(),
        }
    }
}

impl Archive {
    /// How many rows it has.
    pub fn rows(&self) -> u64 {
        self.series.iter().map(|(_, rows)| rows.len() as u64).sum()
    }

    /// Adds what the archive says to a checksum; the same for the same history in parts of any
    /// length.
    pub fn sum_up(&self, sum: u64) -> u64 {
        let mut sum = sum;
        if self.begins {
            let mut hasher = FxHasher::default();
            hasher.write_u64(sum);
            hasher.write(self.id.as_str().as_bytes());
            let Head { created_at, modified_at, deleted_at, told, types, lines } = &self.head;
            hasher.write_i64(created_at.micros());
            hasher.write_i64(modified_at.micros());
            hasher.write_i64(deleted_at.map_or(i64::MIN, |at| at.micros()));
            hasher.write_u8(u8::from(*told));
            types.iter().for_each(|name| hasher.write(name.as_str().as_bytes()));
            lines.iter().for_each(|line| write_line(&mut hasher, line));
            sum = hasher.finish();
        }
        // Each row for itself, so that it does not matter where an archive was divided.
        for (line, rows) in &self.series {
            for row in 0..rows.len() {
                let Row { time, ordinal, created, modified, number, word } = rows.get(row);
                let mut hasher = FxHasher::default();
                write_line(&mut hasher, line);
                for part in [time, i64::from(ordinal), created, modified, number.to_bits() as i64] {
                    hasher.write_i64(part);
                }
                hasher.write(word.unwrap_or_default());
                sum = sum.wrapping_add(hasher.finish());
            }
        }
        sum
    }
}

fn write_line(hasher: &mut FxHasher, line: &Line) {
    if let Line::Attribute(Series { attribute, dataset }) = line {
        hasher.write(attribute.as_str().as_bytes());
        hasher.write(dataset.as_ref().map_or("", |dataset| dataset.as_str()).as_bytes());
    }
    hasher.write_u8(0xff);
}

/// Takes an archive of an entity, from a row on, with so many rows at most, which is lowered by
/// what was taken; where the next part goes on, if it is not all.
pub(in crate::store) fn archive(
    volumes: &dyn Volumes,
    spelling: Spelling<'_>,
    (id, head, kept): (EntityId, Head, &[Kept]),
    from: Option<(usize, Place)>,
    most: &mut usize,
) -> Result<(Archive, Option<(usize, Place)>), StoreError> {
    let mut archive = Archive { id, begins: from.is_none(), series: Vec::new(), head };
    let mut end = None;
    for (number, (line, kept)) in archive.head.lines.iter().zip(kept).enumerate() {
        let after = match from {
            Some((place, _)) if number < place => continue,
            Some((place, after)) if number == place => Some(after),
            _ => None,
        };
        let bounds = Bounds {
            from: after.map(|(time, _)| time),
            to: None,
            backwards: false,
            step: usize::MAX,
        };
        let mut rows = Rows::default();
        merged(volumes, kept, bounds, &mut |row| {
            let place = (row.time, row.ordinal);
            if after.is_some_and(|after| place <= after) {
                return Ok(ControlFlow::Continue(()));
            }
            if *most == 0 {
                end = Some(());
                return Ok(ControlFlow::Break(()));
            }
            *most -= 1;
            let word = Rewrite::Own.rewrite(*line == Line::Scopes, &row, spelling)?;
            rows.push(Row { word: Some(&word), ..row });
            Ok(ControlFlow::Continue(()))
        })?;
        let last = rows.len().checked_sub(1).map(|last| rows.key(last));
        if !rows.is_empty() {
            archive.series.push((line.clone(), rows));
        }
        if end.is_some() {
            let place = last.or(after).unwrap_or((i64::MIN, 0));
            return Ok((archive, Some((number, place))));
        }
    }
    Ok((archive, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bookmark_reads_as_it_was_written() {
        assert_eq!(Bookmark::read(None), None);
        for within in [None, Some((0, (i64::MIN, 0))), Some((7, (-5, u32::MAX)))] {
            let bookmark = Bookmark { id: "urn:x:1".to_owned(), within };
            assert_eq!(Bookmark::read(Some(&bookmark.write())), Some(bookmark));
        }
    }
}
