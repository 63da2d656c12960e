//! Laying down: what was recorded lately becomes blocks where it is much, and tails where it is
//! little. Then its log goes.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hashbrown::DefaultHashBuilder;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::pack::{AT_ONCE, Packed, STEP_BYTES, STEP_SERIES, Tail, read_tail_from};
use super::recent::{Due, Layer};
use crate::store::StoreError;
use crate::store::embedded::Inner;
use crate::store::embedded::engine::Look;
use crate::store::history::{self, PACK, Rows, SeriesKey, write_rows};

/// Of how many series it is remembered how long their tails are, at about forty bytes each.
const REMEMBERED: usize = 1 << 20;

/// How long after something was erased a step is taken again.
const AGAIN: Duration = Duration::from_millis(1);

/// How long the tails of series are, as far as is known: by a hash, the rows and at how many they
/// are packed.
#[derive(Default)]
pub(super) struct Tally {
    rows: Mutex<FxHashMap<u64, (u32, u32)>>,
    hasher: DefaultHashBuilder,
}

impl Tally {
    /// How many rows a tail has with so many more, and whether it is to be packed.
    fn count(&self, series: &SeriesKey, more: u32) -> (u32, bool) {
        let (rows, most) =
            self.rows.lock().get(&self.hasher.hash_one(series)).copied().unwrap_or((0, PACK));
        let rows = rows.saturating_add(more);
        (rows, rows >= most)
    }

    /// The tail has so many rows, and is packed at so many.
    fn set(&self, series: &SeriesKey, rows: u32, most: u32) {
        let mut all = self.rows.lock();
        if all.len() >= REMEMBERED {
            // Their tails may become twice as long before they are packed.
            all.clear();
        }
        all.insert(self.hasher.hash_one(series), (rows, most));
    }

    fn forget(&self, series: &SeriesKey) {
        self.rows.lock().remove(&self.hasher.hash_one(series));
    }
}

impl Inner {
    /// Lays down the oldest layer, if there is one that is due.
    pub(super) fn lay_down_one(&self) -> Result<(), StoreError> {
        let _laying = self.history.ripe.laying.lock();
        if self.history.recent.oldest().is_none() && self.history.recent.due() == Due::Now {
            self.history.recent.close();
        }
        match self.history.recent.oldest() {
            Some(layer) => self.lay_down(&layer),
            None => Ok(()),
        }
    }

    /// Lays down all that was recorded until now.
    pub(super) fn lay_down_everything(&self) -> Result<(), StoreError> {
        let _laying = self.history.ripe.laying.lock();
        self.history.recent.close();
        while let Some(layer) = self.history.recent.oldest() {
            self.lay_down(&layer)?;
        }
        Ok(())
    }

    /// Lays down a layer step by step; with the last step its log goes.
    fn lay_down(&self, layer: &Arc<Layer>) -> Result<(), StoreError> {
        layer.begun.store(true, Ordering::Release);
        let (series, sequences) = (layer.series(), layer.sequences());
        let last = sequences.last().copied().unwrap_or_default();
        let mut left = &series[..];
        loop {
            let packing = self.history.ripe.packing.lock();
            let mut packed = self.begin_packing();
            let recent = self.history.recent.view();
            let mut tails = Vec::new();
            let mut done = 0;
            self.engine.look(|look| {
                for series in left.iter().take(STEP_SERIES) {
                    if packed.bytes >= STEP_BYTES {
                        break;
                    }
                    done += 1;
                    if recent.erased_since(layer, series) {
                        continue;
                    }
                    let mut rows = Rows::default();
                    layer.rows(series, &mut rows)?;
                    tails.push((series, self.lay(look, series, rows, last, &mut packed)?));
                }
                Ok(())
            })?;
            if done == left.len() {
                let keys = sequences.iter().map(|sequence| sequence.to_be_bytes().to_vec());
                packed.log.extend(keys.map(|key| (key, None)));
            }
            let long = std::mem::take(&mut packed.more);
            let written = self.commit_packed(packed);
            drop(packing);
            match written {
                Err(StoreError::Busy) => {
                    // Something was erased meanwhile.
                    self.history.ripe.pause(AGAIN);
                    continue;
                }
                written => written?,
            }
            self.history.ripe.add(long);
            for (series, tail) in tails {
                match tail {
                    Some((rows, most)) => self.history.tally.set(series, rows, most),
                    None => self.history.tally.forget(series),
                }
            }
            left = &left[done..];
            if left.is_empty() {
                break;
            }
        }
        self.history.recent.let_go(layer);
        self.history.ripe.is_emptier();
        Ok(())
    }

    /// Lays down rows of a series; how long its tail is then, and at how many it is to be packed.
    fn lay(
        &self,
        look: &Look<'_>,
        series: &SeriesKey,
        mut rows: Rows,
        sequence: u64,
        packed: &mut Packed,
    ) -> Result<Option<(u32, u32)>, StoreError> {
        if rows.is_empty() {
            return Ok(None);
        }
        let (count, much) = self.history.tally.count(series, rows.len() as u32);
        let mut most = PACK;
        if much {
            let begin = self.history.ripe.begin(series);
            let Tail { rows: mut tail, keys, more } =
                read_tail_from(look, series, &begin, AT_ONCE)?;
            if more {
                packed.more.push(series.clone());
            } else {
                (0..rows.len()).for_each(|row| tail.push(rows.get(row)));
                tail.settle(true);
                match history::pack(look, series, &tail, false)? {
                    Some(repacked) => {
                        packed.replace(series, keys, repacked);
                        return Ok(None);
                    }
                    // It is to grow first.
                    None => most = count.saturating_mul(2),
                }
            }
        }
        rows.settle(true);
        packed.add_tail(series.tail(sequence), write_rows(&rows, 0..rows.len()));
        Ok(Some((count, most)))
    }
}
