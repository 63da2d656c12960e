//! Looking: one state of everything, whatever is written meanwhile.

use std::ops::ControlFlow;

use fjall::{Readable, Slice, Snapshot};

use super::{Open, Past, Rest, store_error};
use crate::store::StoreError;

/// One state of everything.
pub(in crate::store::embedded) struct Look<'a> {
    pub(super) open: &'a Open,
    pub(super) snapshot: Snapshot,
}

impl Look<'_> {
    /// A value of `rest`.
    pub fn get(&self, letter: Rest, key: &[u8]) -> Result<Option<Slice>, StoreError> {
        let found = self.snapshot.get(&self.open.rest, letter.key(key));
        found.map_err(|error| store_error(&error))
    }

    /// Shows what `rest` holds under a letter between two keys, the second excluded, until told to
    /// stop; keys without the letter.
    pub fn rest(
        &self,
        letter: Rest,
        (from, to): (&[u8], &[u8]),
        backwards: bool,
        mut show: impl FnMut(&[u8], Slice) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let range = letter.key(from)..letter.key(to);
        let entries = self.snapshot.range(&self.open.rest, range);
        each(entries, backwards, |key, value| show(&key[1..], value))
    }

    /// Shows what a keyspace of history holds between two keys, the second excluded, until told to
    /// stop.
    pub fn past(
        &self,
        past: Past,
        (from, to): (&[u8], &[u8]),
        backwards: bool,
        show: impl FnMut(&[u8], Slice) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        each(self.snapshot.range(self.open.past(past), from..to), backwards, show)
    }
}

fn each(
    mut entries: fjall::Iter,
    backwards: bool,
    mut show: impl FnMut(&[u8], Slice) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    while let Some(entry) = if backwards { entries.next_back() } else { entries.next() } {
        let (key, value) = entry.into_inner().map_err(|error| store_error(&error))?;
        if show(&key, value)?.is_break() {
            break;
        }
    }
    Ok(())
}
