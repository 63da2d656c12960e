//! Packing: what becomes of a series' blocks when its tail is put into them, and of small blocks
//! larger ones.

use std::ops::{ControlFlow, Range};

use super::block::{self, open, write_rows};
use super::rows::{GONE, Rows};
use super::series::{Place, Reach, SeriesKey, Volumes, next};
use crate::store::StoreError;
use crate::store::record::Damaged;

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
    let parts = parts(volumes, series, tail)?;
    let late: usize = parts.iter().filter(|part| part.overlaps).map(|part| part.rows).sum();
    if !all && tail.len() < MANY && late > tail.len() * WORTH {
        return Ok(None);
    }
    // Part by part, so that little is unpacked at a time.
    let mut rows = Rows::default();
    for Part { tail: own, block, is_followed, .. } in parts {
        if let Some((place, value)) = block {
            packed.removed.push(place);
            block::read(&value, &mut rows)?;
        }
        own.for_each(|row| rows.push(tail.get(row)));
        // What is small grows together with what follows it.
        if rows.len() >= TARGET || !is_followed {
            rows.settle(false);
            packed.write(&std::mem::take(&mut rows));
        }
    }
    Ok(Some(packed))
}

/// Rows of a tail that come together, and the block that they are put into.
struct Part {
    tail: Range<usize>,
    /// None if they become one of their own.
    block: Option<(Place, Vec<u8>)>,
    /// How many rows the block has.
    rows: usize,
    /// Rows of the tail lie between its rows, and not just behind it.
    overlaps: bool,
    /// The part after this one lies next to it: there is no block in between that stays.
    is_followed: bool,
}

/// Divides a tail among the blocks that its rows lie in, with blocks before them that are small
/// enough to grow by them; in the order of time. Blocks between that no row lies in stay as they
/// are, however many there are.
fn parts(volumes: &dyn Volumes, series: &SeriesKey, tail: &Rows) -> Result<Vec<Part>, StoreError> {
    let mut parts: Vec<Part> = Vec::new();
    // From the latest row to the first; up to `end` nothing has its place yet.
    let mut end = tail.len();
    while end > 0 {
        // How many rows come together from here on.
        let mut growing = 0;
        let mut stays = false;
        let reach = Reach { from: None, before: Some(next(tail.key(end - 1))), backwards: true };
        volumes.blocks(series, reach, &mut |place, value| {
            let begin = (0..end).rev().take_while(|row| tail.key(*row) >= place).count();
            let own = end - begin..end;
            let opened = open(value, &mut Rows::default())?;
            let Some(block) = opened else { return Err(Damaged("a block is a row").into()) };
            let rows = block.summary.count;
            let overlaps =
                own.clone().next().is_some_and(|row| tail.time[row] <= block.summary.time.1);
            let grown = growing + own.len();
            let grows = rows <= grown.saturating_mul(GROWTH) && rows + grown <= TARGET;
            stays = !overlaps && !grows;
            if own.is_empty() && stays {
                return Ok(ControlFlow::Break(()));
            }
            end = own.start;
            let block = (!stays).then(|| (place, value.to_vec()));
            let is_followed = growing > 0;
            parts.push(Part { tail: own, block, rows, overlaps, is_followed });
            growing = grown + rows;
            Ok(if stays { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        if end > 0 && !stays {
            // They come before all blocks.
            let (tail, is_followed) = (0..end, growing > 0);
            parts.push(Part { tail, block: None, rows: 0, overlaps: false, is_followed });
            end = 0;
        }
    }
    parts.reverse();
    Ok(parts)
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
