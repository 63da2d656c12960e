//! The newest blocks of series that were asked for lately: most questions end there, and asking the
//! engine where it lies costs more than reading it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::key::series_of_block;
use crate::store::embedded::engine::{Batch, Past};
use crate::store::generations::Generations;
use crate::store::history::{Place, SeriesKey};

/// The newest blocks, as long as nothing is known to have changed them.
pub(in crate::store::embedded) struct Newest {
    /// Odd while blocks are being written.
    epoch: AtomicU64,
    kept: Mutex<Generations<Box<[u8]>, Block>>,
}

type Block = (Place, Arc<[u8]>);

/// A moment at which no blocks were being written.
#[derive(Clone, Copy)]
pub(in crate::store::embedded) struct Epoch(u64);

impl Newest {
    /// Room for so many bytes.
    pub fn new(most: usize) -> Self {
        Self { epoch: AtomicU64::new(0), kept: Mutex::new(Generations::new(most)) }
    }

    /// The moment, to be taken before the engine is looked at; None if blocks are being written.
    pub fn epoch(&self) -> Option<Epoch> {
        let epoch = self.epoch.load(Ordering::SeqCst);
        epoch.is_multiple_of(2).then_some(Epoch(epoch))
    }

    fn is_still(&self, epoch: Epoch) -> bool {
        self.epoch.load(Ordering::SeqCst) == epoch.0
    }

    /// The newest block of a series, if it is kept and the same as at that moment.
    pub(super) fn get(&self, epoch: Epoch, series: &SeriesKey) -> Option<Block> {
        let mut kept = self.kept.lock();
        if self.is_still(epoch) { kept.get(series.bytes()) } else { None }
    }

    /// Keeps what was the newest block of a series at that moment.
    pub(super) fn keep(&self, epoch: Epoch, series: &SeriesKey, block: Block) {
        let mut kept = self.kept.lock();
        if self.is_still(epoch) {
            let bytes = series.bytes().len() + block.1.len();
            kept.keep(series.bytes().into(), block, bytes);
        }
    }

    /// Carries out the writing of a batch; what it changes is kept no longer.
    pub fn around<T>(&self, batch: &Batch, write: impl FnOnce() -> T) -> T {
        if batch.past(Past::Blocks).is_empty() {
            return write();
        }
        self.epoch.fetch_add(1, Ordering::SeqCst);
        let done = write();
        let mut kept = self.kept.lock();
        for series in batch.past(Past::Blocks).keys().filter_map(|key| series_of_block(key)) {
            kept.remove(series);
        }
        drop(kept);
        self.epoch.fetch_add(1, Ordering::SeqCst);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(number: u8) -> SeriesKey {
        SeriesKey([number; 20].into())
    }

    fn batch(series: &SeriesKey) -> Batch {
        let mut batch = Batch::default();
        batch.past_mut(Past::Blocks).insert(series.block((7, 0)), None);
        batch
    }

    #[test]
    fn what_is_written_is_kept_no_longer() {
        let newest = Newest::new(1 << 20);
        let before = newest.epoch().unwrap();
        for number in 0..2 {
            newest.keep(before, &series(number), ((7, 0), [number; 10].into()));
        }
        assert!(newest.get(before, &series(0)).is_some());
        newest.around(&batch(&series(0)), || assert!(newest.epoch().is_none()));
        let after = newest.epoch().unwrap();
        assert!(newest.get(after, &series(0)).is_none());
        assert!(newest.get(before, &series(1)).is_none(), "another moment");
        assert_eq!(newest.get(after, &series(1)), Some(((7, 0), [1; 10].into())));
        newest.keep(before, &series(0), ((7, 0), [0; 10].into()));
        assert!(newest.get(after, &series(0)).is_none(), "it may be older than what was written");
    }
}
