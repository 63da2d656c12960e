//! Packing: what becomes of a series' blocks when its tail is put into them, and of small blocks
//! larger ones.

use std::ops::{ControlFlow, Range};

use super::block::{self, open, write_rows};
use super::rows::{GONE, Rows};
use super::series::{Place, Reach, SeriesKey, Volumes, next};
use crate::store::StoreError;

/// How many rows a tail has before it is packed.
pub(in crate::store) const PACK: u32 = 64;

/// How many rows a block has when it is full.
const TARGET: usize = 2_048;

/// A block in the middle of a series may be a little fuller before it is divided.
const FULL: usize = TARGET + TARGET / 2;

/// How many bytes of distinct words a block holds before it is divided.
const WORD_BYTES: usize = 512 << 10;

/// A block grows by the tail behind it, unless it is so many times larger: each row is packed only
/// a few times that way.
const GROWTH: usize = 4;

/// Late rows wait until there are so many times fewer rows to pack anew, or so many of them.
const WORTH: usize = 16;
const MANY: usize = 1_024;

/// What becomes of a series' blocks.
#[derive(Debug, Default)]
pub(in crate::store) struct Repacked {
    /// Blocks that go, by their places, before others are written.
    pub removed: Vec<Place>,
    /// Blocks with their places, in order.
    pub written: Vec<(Place, Vec<u8>)>,
}

impl Repacked {
    /// Writes rows, which are settled, as blocks.
    pub(super) fn write(&mut self, rows: &Rows) {
        for range in pieces(rows) {
            self.written.push((rows.key(range.start), write_rows(rows, range)));
        }
    }
}

/// Puts a settled tail into the blocks of its series. None if it is to grow first, unless `all` of
/// it is wanted packed.
pub(in crate::store) fn pack(
    volumes: &dyn Volumes,
    series: &SeriesKey,
    tail: &Rows,
    all: bool,
) -> Result<Option<Repacked>, StoreError> {
    let mut packed = Repacked::default();
    if tail.is_empty() {
        return Ok(Some(packed));
    }
    let (first, last) = (tail.key(0), tail.key(tail.len() - 1));
    let old = touched(volumes, series, first, last, tail.len())?;
    let late: usize = old.iter().filter(|old| old.overlaps).map(|old| old.rows).sum();
    if !all && tail.len() < MANY && late > tail.len() * WORTH {
        return Ok(None);
    }
    // Block by block, so that little is unpacked at a time: each takes the rows of the tail up to
    // where the next one begins.
    let mut begin = 0;
    let mut rows = Rows::default();
    let mut old = old.into_iter().peekable();
    while let Some(Old { value, first, .. }) = old.next() {
        packed.removed.push(first);
        block::read(&value, &mut rows)?;
        let next = old.peek().map(|next| next.first);
        let end = match next {
            Some(next) => begin + within(tail, begin, next),
            None => tail.len(),
        };
        // What is small grows together with what follows it.
        let grows = rows.len() + (end - begin) < TARGET && old.peek().is_some();
        for row in begin..end {
            rows.push(tail.get(row));
        }
        begin = end;
        if !grows {
            rows.settle(false);
            packed.write(&std::mem::take(&mut rows));
        }
    }
    for row in begin..tail.len() {
        rows.push(tail.get(row));
    }
    rows.settle(false);
    packed.write(&rows);
    Ok(Some(packed))
}

/// How many rows of the tail from `begin` on come before a key.
fn within(tail: &Rows, begin: usize, next: Place) -> usize {
    (begin..tail.len()).take_while(|row| tail.key(*row) < next).count()
}

/// A block that packing touches.
struct Old {
    value: Vec<u8>,
    first: Place,
    rows: usize,
    /// Rows of the tail lie between its rows, and not just behind it.
    overlaps: bool,
}

/// The blocks that a tail between two keys touches: those it lies in, and those before it that are
/// small enough to grow by it.
fn touched(
    volumes: &dyn Volumes,
    series: &SeriesKey,
    first: Place,
    last: Place,
    tail: usize,
) -> Result<Vec<Old>, StoreError> {
    let mut touched: Vec<Old> = Vec::new();
    let mut growing = tail;
    let reach = Reach { from: None, before: Some(next(last)), backwards: true };
    volumes.blocks(series, reach, &mut |place, value| {
        let opened = open(value, &mut Rows::default())?;
        let Some(block) = opened else { return Ok(ControlFlow::Break(())) };
        let summary = block.summary;
        let overlaps = summary.time.1 >= first.0;
        let grows =
            summary.count <= growing.saturating_mul(GROWTH) && summary.count + growing <= TARGET;
        if !overlaps && !grows {
            return Ok(ControlFlow::Break(()));
        }
        growing += summary.count;
        let rows = summary.count;
        touched.push(Old { first: place, value: value.to_vec(), rows, overlaps });
        Ok(ControlFlow::Continue(()))
    })?;
    touched.reverse();
    Ok(touched)
}

/// Divides rows among blocks that are neither too long nor too heavy.
pub(in crate::store) fn pieces(rows: &Rows) -> Vec<Range<usize>> {
    let count = if rows.len() > FULL { rows.len().div_ceil(TARGET) } else { 1 };
    let length = rows.len().div_ceil(count).max(1);
    let (mut pieces, mut begin, mut weight) = (Vec::new(), 0, 0);
    for row in 0..rows.len() {
        let new = row == begin || rows.word[row] != rows.word[row - 1];
        let word = rows.words.get(rows.word[row]).filter(|_| new && rows.word[row] != GONE);
        weight += word.map_or(0, <[u8]>::len);
        if row > begin && (row - begin == length || weight > WORD_BYTES) {
            pieces.push(begin..row);
            begin = row;
            weight = word.map_or(0, <[u8]>::len);
        }
    }
    if begin < rows.len() {
        pieces.push(begin..rows.len());
    }
    pieces
}
