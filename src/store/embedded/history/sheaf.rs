//! Sheaves: rows of several series of one entity under one key. An upsert of an entity records a
//! row or two of each of its attributes; keys of their own would cost the engine many times what
//! the rows do.
//!
//! A sheaf lies among the tails, by the sequence it was laid down with. It holds each series once:
//! what tells it from others of the entity, then a value like that of a tail.

use std::ops::ControlFlow;

use crate::store::StoreError;
use crate::store::embedded::engine::{Batch, Look, Past};
use crate::store::history::SeriesKey;
use crate::store::record::{Damaged, In, Out};

/// A value of more bytes lies under a key of its own: what is taken out of a sheaf costs writing
/// all that is left anew.
pub(super) const MOST_BYTES: usize = 1 << 10;

/// More rows of a series lie under a key of their own.
pub(super) const MOST_ROWS: u32 = 8;

/// A sheaf in the making.
#[derive(Default)]
pub(super) struct Sheaf(Out);

impl Sheaf {
    /// An empty one with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Out(Vec::with_capacity(bytes)))
    }

    /// Adds the value of a line that is not in it yet.
    pub fn add(&mut self, line: &[u8], value: &[u8]) {
        for bytes in [line, value] {
            self.0.count(bytes.len());
            self.0.0.extend_from_slice(bytes);
        }
    }

    /// What is written; empty if nothing was added.
    pub fn value(self) -> Vec<u8> {
        self.0.0
    }
}

/// Shows the lines of a sheaf with their values.
pub(super) fn each_line<'a>(
    sheaf: &'a [u8],
    mut show: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), Damaged>,
) -> Result<(), Damaged> {
    let mut input = In(sheaf);
    while !input.0.is_empty() {
        let mut bytes = || {
            let length = input.count()?;
            input.bytes(length)
        };
        let (line, value) = (bytes()?, bytes()?);
        show(line, value)?;
    }
    Ok(())
}

/// The value of a line in a sheaf.
pub(super) fn value_of<'a>(sheaf: &'a [u8], wanted: &[u8]) -> Result<Option<&'a [u8]>, Damaged> {
    let mut found = None;
    each_line(sheaf, |line, value| {
        if line == wanted {
            found = Some(value);
        }
        Ok(())
    })?;
    Ok(found)
}

/// The sheaf without a line; empty if nothing is left.
pub(super) fn without(sheaf: &[u8], gone: &[u8]) -> Result<Vec<u8>, Damaged> {
    let mut left = Sheaf::default();
    each_line(sheaf, |line, value| {
        if line != gone {
            left.add(line, value);
        }
        Ok(())
    })?;
    Ok(left.value())
}

/// A key of the engine and the sheaf under it.
pub(in crate::store::embedded) type Keyed = (Vec<u8>, Vec<u8>);

/// The sheaves of an entity that hold a series, with their keys, in the order they were laid down.
pub(in crate::store::embedded) fn sheaves_with(
    look: &Look<'_>,
    series: &SeriesKey,
    begin: Option<&[u8]>,
) -> Result<Vec<Keyed>, StoreError> {
    let sheaves = series.sheaves();
    let (_, line) = series.split();
    let mut found = Vec::new();
    let from = begin.unwrap_or(sheaves.bytes());
    look.past(Past::Tails, (from, &sheaves.end()), false, |key, value| {
        if value_of(&value, line)?.is_some() {
            found.push((key.to_vec(), value.to_vec()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// What the engine has of a series.
#[derive(Default)]
pub(in crate::store::embedded) struct There {
    /// Keys.
    pub tails: Vec<Vec<u8>>,
    pub blocks: Vec<Vec<u8>>,
    /// Sheaves that hold some of it, with their keys.
    pub sheaves: Vec<Keyed>,
}

impl There {
    /// Has all of it go with a batch.
    pub(super) fn leave(&mut self, series: &SeriesKey, batch: &mut Batch) {
        for (past, keys) in [(Past::Tails, &mut self.tails), (Past::Blocks, &mut self.blocks)] {
            let pairs = batch.past_mut(past);
            // A tail may have been packed in the same group.
            for (_, value) in pairs.iter_mut().filter(|(key, _)| series.holds(key)) {
                *value = None;
            }
            pairs.extend(std::mem::take(keys).into_iter().map(|key| (key, None)));
        }
        let (_, line) = series.split();
        let pairs = batch.past_mut(Past::Tails);
        for (key, sheaf) in std::mem::take(&mut self.sheaves) {
            // As the group left it, if it did something to it.
            pairs.entry(key).or_insert(Some(sheaf));
        }
        let sheaves = series.sheaves();
        for (_, value) in pairs.iter_mut().filter(|(key, _)| sheaves.holds(key)) {
            match value.as_deref().map(|sheaf| without(sheaf, line)) {
                Some(Ok(left)) => *value = (!left.is_empty()).then_some(left),
                // It was read when it was found.
                Some(Err(error)) => tracing::error!(%error, "history was not taken away"),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheaf_holds_its_lines_until_they_are_taken_out() {
        let mut sheaf = Sheaf::default();
        let lines: [(&[u8], &[u8]); 3] = [(b"a", b"one"), (b"", b""), (b"ab", &[7; 300])];
        for (line, value) in lines {
            sheaf.add(line, value);
        }
        let mut sheaf = sheaf.value();
        for (line, value) in lines {
            assert_eq!(value_of(&sheaf, line), Ok(Some(value)));
            assert_eq!(without(&sheaf, b"b").as_ref(), Ok(&sheaf));
            sheaf = without(&sheaf, line).unwrap();
            assert_eq!(value_of(&sheaf, line), Ok(None));
        }
        assert!(sheaf.is_empty());
        assert!(value_of(&[200], b"a").is_err() && without(&[1, 2, 9], b"a").is_err());
    }
}
