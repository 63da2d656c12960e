//! The tail and the blocks of a series as one.

use std::cell::OnceCell;
use std::ops::{ControlFlow, Range};

use super::block::{self, Block};
use super::ints;
use super::rows::{Row, Rows};
use super::series::{Place, Reach, SeriesKey, Volumes};
use crate::store::StoreError;
use crate::store::record;

/// A series of the entity.
pub(in crate::store) struct Kept {
    pub(super) key: SeriesKey,
    tail: OnceCell<Rows>,
    /// Whether blocks may lie before the tail.
    pub(super) has_blocks: bool,
}

impl Kept {
    /// A series whose tail is read when it is needed.
    pub fn new(key: SeriesKey) -> Self {
        Self { key, tail: OnceCell::new(), has_blocks: true }
    }

    /// A series whose tail is known.
    pub fn with_tail(key: SeriesKey, tail: Rows) -> Self {
        Self { key, tail: OnceCell::from(tail), has_blocks: true }
    }

    /// All of the series is in its tail, unless it has blocks.
    pub fn only_with_blocks(self, has_blocks: bool) -> Self {
        Self { has_blocks, ..self }
    }

    pub(super) fn tail(&self, volumes: &dyn Volumes) -> Result<&Rows, StoreError> {
        if let Some(tail) = self.tail.get() {
            return Ok(tail);
        }
        let tail = volumes.tail(&self.key)?;
        Ok(self.tail.get_or_init(|| tail))
    }
}

/// Which rows are read, in which direction, and how many at a time.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub from: Option<i64>,
    pub to: Option<i64>,
    pub backwards: bool,
    pub step: usize,
}

pub(super) type ShowRow<'s> = dyn FnMut(Row<'_>) -> Result<ControlFlow<()>, StoreError> + 's;

/// Shows the blocks that may hold something between two times, in order.
pub(super) fn blocks(
    volumes: &dyn Volumes,
    kept: &Kept,
    bounds: Bounds,
    mut show: impl FnMut(&Block<'_>) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    if !kept.has_blocks {
        return Ok(());
    }
    let before = bounds.to.map(|to| (to, 0));
    let reach = Reach { from: bounds.from, before, backwards: bounds.backwards };
    volumes.blocks(&kept.key, reach, &mut |_, value| {
        let Some(block) = block::open(value, &mut Rows::default())? else {
            return Err(record::Damaged("a block is a row").into());
        };
        if bounds.from.is_some_and(|from| block.summary.time.1 < from) {
            // Backwards, all that follow end earlier still.
            let beyond = bounds.backwards;
            return Ok(if beyond { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        }
        show(&block)
    })
}

/// Shows the rows of a series between two times, tail and blocks as one, in the order of their
/// keys or backwards. Rows that are taken away are not shown.
pub(super) fn merged(
    volumes: &dyn Volumes,
    kept: &Kept,
    bounds: Bounds,
    show: &mut ShowRow<'_>,
) -> Result<(), StoreError> {
    let tail = kept.tail(volumes)?;
    let mut merge = Merge::new(tail, bounds, show);
    let mut ended = false;
    blocks(volumes, kept, bounds, |block| {
        let flow = merge.block(block)?;
        ended = flow.is_break();
        Ok(flow)
    })?;
    if !ended {
        let _ = merge.rest()?;
    }
    Ok(())
}

/// A tail being merged with the blocks that are shown one after another.
pub(super) struct Merge<'t, 's> {
    tail: &'t Rows,
    /// What is left of the tail's part between the times.
    left: Range<usize>,
    bounds: Bounds,
    show: &'t mut ShowRow<'s>,
}

impl<'t, 's> Merge<'t, 's> {
    pub fn new(tail: &'t Rows, bounds: Bounds, show: &'t mut ShowRow<'s>) -> Self {
        Self { tail, left: tail.within(bounds.from, bounds.to), bounds, show }
    }

    pub fn block(&mut self, block: &Block<'_>) -> Result<ControlFlow<()>, StoreError> {
        let count = block.summary.count;
        let mut done = 0;
        while done < count {
            let step = self.bounds.step.max(ints::RUN).min(count - done);
            let range = if self.bounds.backwards {
                count - done - step..count - done
            } else {
                done..done + step
            };
            done += step;
            let mut rows = Rows::default();
            block.rows(range, &mut rows)?;
            let within = rows.within(self.bounds.from, self.bounds.to);
            let flow = if self.bounds.backwards {
                self.rows(&rows, within.rev())?
            } else {
                self.rows(&rows, within)?
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn rows(
        &mut self,
        rows: &Rows,
        order: impl Iterator<Item = usize>,
    ) -> Result<ControlFlow<()>, StoreError> {
        for row in order {
            let key = rows.key(row);
            let mut own = Some(rows.get(row));
            while let Some(next) = self.peek() {
                let other = self.tail.key(next);
                let earlier = if self.bounds.backwards { other > key } else { other < key };
                if !earlier && other != key {
                    break;
                }
                self.skip();
                let mut said = self.tail.get(next);
                if other == key {
                    // The later word counts, about what was created before.
                    said.created = rows.created[row];
                    own = None;
                }
                if said.word.is_some() && (self.show)(said)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            if let Some(own) = own
                && (self.show)(own)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn peek(&self) -> Option<usize> {
        let Range { start, end } = self.left;
        (start < end).then(|| if self.bounds.backwards { end - 1 } else { start })
    }

    fn skip(&mut self) {
        if self.bounds.backwards {
            self.left.end -= 1;
        } else {
            self.left.start += 1;
        }
    }

    /// Shows what of the tail comes after all blocks.
    pub fn rest(&mut self) -> Result<ControlFlow<()>, StoreError> {
        while let Some(next) = self.peek() {
            self.skip();
            let row = self.tail.get(next);
            if row.word.is_some() && (self.show)(row)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Finds one row of a series, where later notes of the same group count.
pub(in crate::store) fn find_row<'n>(
    kept: Option<(&dyn Volumes, &Kept)>,
    place: Place,
    notes: impl Iterator<Item = &'n [u8]>,
) -> Result<Option<Rows>, StoreError> {
    let mut rows = Rows::default();
    if let Some((volumes, kept)) = kept {
        let bounds = Bounds {
            from: Some(place.0),
            to: Some(place.0.saturating_add(1)),
            backwards: false,
            step: usize::MAX,
        };
        merged(volumes, kept, bounds, &mut |row| {
            rows.push(row);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    for bytes in notes {
        block::read(bytes, &mut rows)?;
    }
    rows.settle(false);
    let found = (0..rows.len()).find(|row| rows.key(*row) == place);
    Ok(found.map(|row| {
        rows.choose(&[row as u32]);
        rows
    }))
}
