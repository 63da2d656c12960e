//! What histories are read with: a look at the engine, and how long tails may be.

use std::cell::RefCell;
use std::ops::ControlFlow;

use super::pack::read_tail;
use crate::store::StoreError;
use crate::store::embedded::engine::{Look, Past};
use crate::store::history::{Reach, Rows, SeriesKey, ShowBlock, Volumes, read};

/// What reads of histories are made with.
pub(in crate::store::embedded) struct Reading<'a> {
    pub look: &'a Look<'a>,
    pub tails: &'a Tails,
}

impl Volumes for Reading<'_> {
    fn tail(&self, series: &SeriesKey) -> Result<Rows, StoreError> {
        self.tails.read(self.look, series)
    }

    fn blocks(
        &self,
        series: &SeriesKey,
        reach: Reach,
        show: &mut ShowBlock<'_>,
    ) -> Result<(), StoreError> {
        self.look.blocks(series, reach, show)
    }
}

/// How long tails may be that are read row by row, and which were longer: what was found then is
/// not right, and is to be found again once they are packed.
pub(in crate::store::embedded) struct Tails {
    most: usize,
    long: RefCell<Vec<SeriesKey>>,
}

/// The longest tail that is read as it is: a few times what packing leaves.
const LONG: usize = 4_096;

/// How many long tails are packed before the histories are read again.
const LONG_TAILS: usize = 256;

impl Default for Tails {
    fn default() -> Self {
        Self { most: LONG, long: RefCell::default() }
    }
}

impl Tails {
    /// All are read, however long they are.
    pub fn any() -> Self {
        Self { most: usize::MAX, ..Self::default() }
    }

    /// Whether any was too long.
    pub fn found_long(&self) -> bool {
        !self.long.borrow().is_empty()
    }

    /// Those that were too long.
    pub fn long(self) -> Vec<SeriesKey> {
        self.long.into_inner()
    }

    /// The tail of a series; nothing if it is too long.
    fn read(&self, look: &Look<'_>, series: &SeriesKey) -> Result<Rows, StoreError> {
        let tail = read_tail(look, series, self.most)?;
        if !tail.more {
            return Ok(tail.rows);
        }
        let mut long = self.long.borrow_mut();
        long.push(series.clone());
        // Enough to do: what else is found is thrown away.
        if long.len() < LONG_TAILS { Ok(Rows::default()) } else { Err(StoreError::Busy) }
    }
}

/// What the tail of a series says of one time, however long it is.
pub(in crate::store::embedded) fn tail_at(
    look: &Look<'_>,
    series: &SeriesKey,
    time: i64,
) -> Result<Rows, StoreError> {
    let mut found = Rows::default();
    look.past(Past::Tails, (series.bytes(), &series.end()), false, |_, value| {
        let mut rows = Rows::default();
        read(&value, &mut rows)?;
        for row in (0..rows.len()).filter(|row| rows.time[*row] == time) {
            found.push(rows.get(row));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    found.settle(true);
    Ok(found)
}
