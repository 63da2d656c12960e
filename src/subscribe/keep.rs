//! Remembering how far everyone has come, a little later than it happens: what was told since then
//! is told again after a kill, and nothing is left out.
//!
//! Each slot has one position: everything up to it is done for all its subscriptions. One that
//! lags for long would hold it back for all, so it gets a cursor of its own, in its record, before
//! the position passes it. The log is trimmed below the lowest of them all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::Inner;
use super::entry::{Entry, State};
use super::record::{Kept, SlotRecord, deliveries};
use crate::store::{READERS, Reached, Records, StoreError};

/// How often positions are kept.
const OFTEN: Duration = Duration::from_millis(250);

/// Every how many times the counters and cursors of subscriptions are kept too.
const RECORDS: u32 = 4;

/// Who lags for longer than this gets a cursor.
const LAGS: Duration = Duration::from_secs(2);

/// How many records are written at once.
const AT_ONCE: usize = 256;

/// How many events there must be to be trimmed before the log is.
const TRIM: u64 = 256;

/// How many events are measured together.
const MEASURED: u64 = 64;

/// Subscriptions that something waits for.
#[derive(Default)]
pub(super) struct Active(Mutex<FxHashMap<usize, Arc<Entry>>>);

impl Active {
    /// Something waits for a subscription.
    pub fn add(&self, entry: &Arc<Entry>) {
        self.0.lock().insert(Arc::as_ptr(entry) as usize, entry.clone());
    }

    /// Nothing waits for it any more.
    pub fn remove(&self, entry: &Arc<Entry>) {
        self.0.lock().remove(&(Arc::as_ptr(entry) as usize));
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.0.lock().values().cloned().collect()
    }
}

/// How many bytes the events of the log take, a few together.
#[derive(Default)]
pub(super) struct Sizes(Mutex<Measured>);

#[derive(Default)]
struct Measured {
    /// The last event of each group, and the bytes of the group.
    groups: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Sizes {
    /// An event was met in the log; events come in order, but some may be met again.
    pub fn add(&self, sequence: u64, bytes: usize) {
        let mut measured = self.0.lock();
        match measured.groups.back_mut() {
            Some((last, _)) if *last >= sequence => return,
            Some((last, group)) if sequence / MEASURED == *last / MEASURED => {
                *last = sequence;
                *group += bytes;
            }
            _ => measured.groups.push_back((sequence, bytes)),
        }
        measured.bytes += bytes;
    }

    /// Events up to this one are gone.
    fn trim(&self, low: u64) {
        let mut measured = self.0.lock();
        while let Some((last, bytes)) = measured.groups.front().copied()
            && last <= low
        {
            measured.groups.pop_front();
            measured.bytes -= bytes;
        }
    }

    /// Up to which event the log must go for the rest to take no more than so many bytes.
    fn excess(&self, most: usize) -> Option<u64> {
        let measured = self.0.lock();
        if measured.bytes <= most {
            return None;
        }
        let mut left = measured.bytes;
        let over = measured.groups.iter().find(|(_, bytes)| {
            left -= bytes;
            left <= most
        });
        over.map(|(last, _)| *last)
    }
}

/// Why a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its counters or its cursor changed.
    Changed,
    /// The subscription lags, and gets a cursor.
    Lags,
    /// What is in hand is to be sent.
    InHand,
}

impl State {
    /// What the record is to say now, while the position of the slot is kept as this.
    pub fn to_keep(&self, why: Why, throttled: bool, crowd: bool, position: u64) -> Kept {
        let behind = match (self.backlog.done_up_to(), self.kept) {
            (Some(done), None) => (why != Why::Changed).then_some(done),
            (Some(done), Some(_)) => Some(done),
            (None, None) => None,
            // The cursor goes when the position of the slot has come as far.
            (None, Some(kept)) => Some(self.told_up_to.max(kept)).filter(|told| position < *told),
        };
        let exact = match why {
            _ if self.is_told_alone() => false,
            Why::InHand => throttled || crowd,
            Why::Lags | Why::Changed => throttled || self.exact || self.trouble.is_some(),
        };
        Kept {
            report: self.report,
            behind,
            sealed: self.sealed.or(self.resealed).filter(|_| behind.is_some()),
            exact: exact && behind.is_some(),
            begun: self.begun,
        }
    }
}

impl Inner {
    /// Keeps what is to be kept, again and again.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut round = 0;
        while !self.closing.load(Ordering::Acquire) {
            tokio::time::sleep(OFTEN).await;
            round += 1;
            if let Err(error) = self.flush_some(false, round % RECORDS == 0).await {
                tracing::warn!(%error, "how far notifications have come could not be kept");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    /// Keeps everything, exactly.
    pub(super) async fn flush(&self, last: bool) -> Result<(), StoreError> {
        self.flush_some(last, true).await
    }

    async fn flush_some(&self, last: bool, records: bool) -> Result<(), StoreError> {
        let _flushing = self.flushing.lock().await;
        // First how far matching has come: whatever it handed out is in the active ones now.
        let mut positions = self.slots.positions();
        let lagging = self.hold_back(&mut positions, last);
        self.write_records(lagging, records).await?;
        let mut lows = positions.clone();
        for entry in self.active.all() {
            let state = entry.state.lock();
            let Some(low) = lows.get_mut(&entry.slot) else { continue };
            let done = state.backlog.done_up_to();
            *low = state.kept.or(done).map_or(*low, |needed| needed.min(*low));
            // Whoever has no cursor after all holds the position back.
            if let (None, Some(done), Some(position)) =
                (state.kept, done, positions.get_mut(&entry.slot))
            {
                *position = (*position).min(done);
            }
        }
        for (slot, position) in positions {
            let Some(fence) = self.slots.fence(slot) else { continue };
            let low = lows.get(&slot).copied().unwrap_or(0);
            let record = SlotRecord { position, low, fence };
            if self.slots.kept(slot) != Some(record) {
                match self.put_slot(slot, &record).await? {
                    true => self.slots.keep(slot, record),
                    false => self.slots.lose(slot),
                }
            }
        }
        if records {
            self.trim().await?;
        }
        Ok(())
    }

    /// Lets positions not pass what still waits, unless who waits has a cursor; who gets one.
    fn hold_back(&self, positions: &mut FxHashMap<usize, u64>, last: bool) -> Vec<Arc<Entry>> {
        let mut lagging = Vec::new();
        for entry in self.active.all() {
            let mut state = entry.state.lock();
            let Some(done) = state.backlog.done_up_to() else { continue };
            let Some(position) = positions.get_mut(&entry.slot) else { continue };
            match state.kept {
                Some(kept) if done > kept => self.soil(&entry, &mut state),
                Some(_) => {}
                None if last || state.waiting_since.is_some_and(|since| since.elapsed() > LAGS) => {
                    lagging.push(entry.clone());
                }
                None => *position = (*position).min(done),
            }
        }
        lagging
    }

    /// Writes the records of those who lag, and perhaps of all whose counters changed.
    async fn write_records(&self, lagging: Vec<Arc<Entry>>, all: bool) -> Result<(), StoreError> {
        // Each once: of two writes of one record, the one that knows no cursor might be the last.
        let key = |entry: &Arc<Entry>| Arc::as_ptr(entry) as usize;
        let mut entries: FxHashMap<usize, (Arc<Entry>, bool)> =
            lagging.into_iter().map(|entry| (key(&entry), (entry, true))).collect();
        if all {
            for entry in std::mem::take(&mut *self.dirty.lock()) {
                entries.entry(key(&entry)).or_insert((entry, false));
            }
        }
        let entries: Vec<(Arc<Entry>, bool)> = entries.into_values().collect();
        let mut failed = None;
        for some in entries.chunks(AT_ONCE) {
            let why = |lags: &bool| if *lags { Why::Lags } else { Why::Changed };
            let writes = some.iter().map(|(entry, lags)| self.write_record(entry, why(lags)));
            for (result, (entry, _)) in join_all(writes).await.into_iter().zip(some) {
                if let Err(error) = result {
                    self.soil(entry, &mut entry.state.lock());
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Has the record of a subscription say what is in hand, before it is sent: if it is told
    /// again after a kill, that is in the same notification.
    pub(super) async fn record(&self, entry: &Arc<Entry>) -> Result<(), StoreError> {
        self.write_record(entry, Why::InHand).await
    }

    async fn write_record(&self, entry: &Arc<Entry>, why: Why) -> Result<(), StoreError> {
        let _writing = entry.writing.lock().await;
        let (kept, fence) = {
            let mut state = entry.state.lock();
            state.dirty = false;
            let Some(fence) = self.slots.fence(entry.slot).filter(|_| !state.gone) else {
                return Ok(());
            };
            let kept = self.to_keep(entry, &mut state, why);
            state.exact = kept.exact;
            (kept, fence)
        };
        let shelf = deliveries(&entry.tenant);
        let (key, record) = (entry.id.as_str(), kept.to_json());
        if !self.store.put_fenced(&shelf, key, record, fence).await? {
            // Another broker has it, and we were away for too long to notice.
            self.slots.lose(entry.slot);
            return Ok(());
        }
        let mut state = entry.state.lock();
        state.kept = kept.behind;
        if why == Why::InHand {
            state.unrecorded = false;
        }
        Ok(())
    }

    /// What the record of a subscription is to say now.
    fn to_keep(&self, entry: &Arc<Entry>, state: &mut State, why: Why) -> Kept {
        let throttled = entry.what.load().subscription.throttling().is_some();
        let crowd = self.is_crowd(state.backlog.len());
        let position = self.slots.kept(entry.slot).map_or(0, |record| record.position);
        let kept = state.to_keep(why, throttled, crowd, position);
        if kept.behind.is_some() && state.backlog.is_empty() {
            self.soil(entry, state);
        }
        kept
    }

    /// Trims the log below what anyone needs, and lets go of the oldest if it is too large.
    async fn trim(&self) -> Result<(), StoreError> {
        if let Some(low) = self.slots.low(&*self.store).await? {
            let reach = self.reach.load(Ordering::Relaxed);
            let low = low.min(reach.saturating_sub(self.settings.keep as u64));
            let trimmed = self.trimmed.load(Ordering::Relaxed);
            let low = if low >= trimmed + TRIM { low.min(self.readers_low().await?) } else { 0 };
            if low >= trimmed + TRIM {
                self.store.forget_events(low).await?;
                self.trimmed.store(low, Ordering::Relaxed);
                self.sizes.trim(low);
            }
        }
        if let Some(excess) = self.sizes.excess(self.settings.log.bytes()) {
            self.let_go(excess);
        }
        Ok(())
    }

    /// How far everyone has come who follows the log beside the subscriptions.
    async fn readers_low(&self) -> Result<u64, StoreError> {
        let all = Records::<Reached>::on(&*self.store, READERS).all().await?;
        Ok(all.iter().map(|(_, reached)| reached.position).min().unwrap_or(u64::MAX))
    }

    /// What waits up to an event becomes dead letters.
    fn let_go(&self, excess: u64) {
        if self.shed.fetch_max(excess, Ordering::Relaxed) >= excess {
            return;
        }
        tracing::warn!(
            "the log of undelivered changes is full (notify.log): the oldest become dead letters"
        );
        for entry in self.active.all() {
            let mut state = entry.state.lock();
            if state.backlog.done_up_to().is_some_and(|done| done < excess) {
                state.not_before = None;
                self.nudge(&entry, &mut state);
            }
        }
    }
}
