//! What waits to be packed, and how writers wait for packing when it falls behind.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashMap;

use crate::store::StoreError;
use crate::store::embedded::Inner;
use crate::store::history::SeriesKey;

/// How many series may wait to be packed; those beyond are found when everything is looked through.
const WAITING: usize = 1 << 18;

/// Of how many series it is remembered up to where they were packed, at about 150 bytes each.
const PASSED: usize = 1 << 16;

/// How many rows may wait to be packed before writers wait too: about a second's work.
const ROWS: u64 = 1 << 20;

/// How long a writer waits for packing before it is told that there is too much to do.
const PATIENCE: Duration = Duration::from_secs(10);

/// A series whose tail is to be packed, and how many rows it is known to have.
pub(in crate::store::embedded) type RipeSeries = (SeriesKey, u32);

/// What waits to be packed.
pub(in crate::store::embedded) struct Ripe {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// How many rows wait, as far as they were counted.
    rows: AtomicU64,
    emptier: tokio::sync::Notify,
    /// How often series were erased: what was read before must not be written after.
    pub erasures: AtomicU64,
    /// Held from reading to writing, so that no two make blocks of the same tail.
    pub packing: Mutex<()>,
    /// Up to where tails were packed lately: what was taken away there still costs the engine
    /// time to pass over.
    passed: Mutex<FxHashMap<SeriesKey, Vec<u8>>>,
}

struct Waiting {
    series: VecDeque<RipeSeries>,
    /// All tails are to be looked through, from the first: after a start nobody knows which are
    /// long, nor after more became ripe than are remembered.
    look_through: bool,
    busy: bool,
    closed: bool,
}

/// What is to be done next.
pub(super) enum Step {
    Pack(RipeSeries),
    /// Looking through all tails begins.
    LookThrough,
    /// It goes on.
    LookOn,
}

impl Default for Ripe {
    fn default() -> Self {
        let waiting =
            Waiting { series: VecDeque::new(), look_through: true, busy: false, closed: false };
        Self {
            waiting: Mutex::new(waiting),
            changed: Condvar::new(),
            rows: AtomicU64::new(0),
            emptier: tokio::sync::Notify::new(),
            erasures: AtomicU64::new(0),
            packing: Mutex::new(()),
            passed: Mutex::default(),
        }
    }
}

impl Ripe {
    /// Remembers up to where tails were packed, if nothing was erased since.
    pub(super) fn pass(&self, through: Vec<(SeriesKey, Vec<u8>)>, erasures: u64) {
        if erasures != self.erasures.load(Ordering::Acquire) {
            // It may have been left undone.
            return;
        }
        let mut passed = self.passed.lock();
        if passed.len() + through.len() > PASSED {
            passed.clear();
        }
        passed.extend(through.into_iter().take(PASSED));
    }

    /// Where the tail of a series begins at the earliest, for who holds `packing`: rows are added
    /// behind all others.
    pub(super) fn begin(&self, series: &SeriesKey) -> Vec<u8> {
        self.passed.lock().get(series).cloned().unwrap_or_else(|| series.bytes().to_vec())
    }

    /// Asks for series to be packed.
    pub fn add(&self, series: Vec<RipeSeries>) {
        if series.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        if waiting.series.len() < WAITING {
            let rows: u64 = series.iter().map(|(_, rows)| u64::from(*rows)).sum();
            self.rows.fetch_add(rows, Ordering::Relaxed);
            waiting.series.extend(series);
        } else {
            waiting.look_through = true;
        }
        drop(waiting);
        self.changed.notify_all();
    }

    /// Asks for all tails to be looked through.
    pub fn look_through(&self) {
        self.waiting.lock().look_through = true;
        self.changed.notify_all();
    }

    /// What to do next; sleeps until there is something. None at the end.
    pub(super) fn next(&self, looking: bool) -> Option<Step> {
        let mut waiting = self.waiting.lock();
        loop {
            if waiting.closed {
                return None;
            }
            let step = match waiting.series.pop_front() {
                Some(ripe) => Some(Step::Pack(self.taken(ripe))),
                None if std::mem::take(&mut waiting.look_through) => Some(Step::LookThrough),
                None => looking.then_some(Step::LookOn),
            };
            waiting.busy = step.is_some();
            if step.is_some() {
                return step;
            }
            self.changed.notify_all();
            self.changed.wait(&mut waiting);
        }
    }

    /// Another series, if one waits.
    pub(super) fn another(&self) -> Option<RipeSeries> {
        let ripe = self.waiting.lock().series.pop_front();
        ripe.map(|ripe| self.taken(ripe))
    }

    fn taken(&self, ripe: RipeSeries) -> RipeSeries {
        let before = self.rows.fetch_sub(u64::from(ripe.1), Ordering::Relaxed);
        if before > ROWS && before - u64::from(ripe.1) <= ROWS {
            self.emptier.notify_waiters();
        }
        ripe
    }

    /// Waits until nothing is to be packed.
    pub fn wait(&self) {
        let mut waiting = self.waiting.lock();
        while (waiting.busy || waiting.look_through || !waiting.series.is_empty())
            && !waiting.closed
        {
            self.changed.wait(&mut waiting);
        }
    }

    /// Packs no more.
    pub fn close(&self) {
        self.waiting.lock().closed = true;
        self.changed.notify_all();
        self.emptier.notify_waiters();
    }

    fn is_full(&self) -> bool {
        self.rows.load(Ordering::Relaxed) > ROWS
    }

    fn is_closed(&self) -> bool {
        self.waiting.lock().closed
    }
}

impl Inner {
    /// Waits while more is recorded than packing keeps up with, so that what has to be read row by
    /// row stays short.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if that takes too long.
    pub(in crate::store::embedded) async fn room_to_record(&self) -> Result<(), StoreError> {
        let ripe = &self.history.ripe;
        if !ripe.is_full() {
            return Ok(());
        }
        let room = async {
            // A store that cannot write says so by itself.
            while ripe.is_full() && !ripe.is_closed() && self.failure.check().is_ok() {
                let emptier = ripe.emptier.notified();
                let _ = tokio::time::timeout(Duration::from_millis(100), emptier).await;
            }
        };
        tokio::time::timeout(PATIENCE, room).await.map_err(|_| StoreError::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pack::read_tail;
    use super::*;
    use crate::model::{
        Chronology, Datum, HistoryAction, HistoryWrite, Instance, TenantId, TimeProperty, Timestamp,
    };
    use crate::query::{HistoryPlan, Line, Window};
    use crate::store::Store;
    use crate::store::embedded::engine::Past;
    use crate::store::embedded::{Embedded, Settings};
    use crate::store::samples::{at, attribute_name, entity_id, type_name};

    const ROWS_TOLD: i64 = 10_000;

    /// Tells the readings of one series, a hundred to a write.
    async fn tell(store: &Embedded) {
        for first in (0..ROWS_TOLD).step_by(100) {
            let instances = (first..first + 100).map(|second| {
                let mut instance = Instance::new(Datum::Property((second as f64).into()));
                instance.observed_at = Some(at(second));
                instance
            });
            let told = Chronology {
                types: vec![type_name(0)],
                scopes: Vec::new(),
                attributes: vec![(attribute_name(0), instances.collect())],
            };
            let write = HistoryWrite { id: entity_id(0), action: HistoryAction::Upsert(told) };
            let now = Timestamp::now();
            store.commit_history(&TenantId::DEFAULT, vec![write], now).await.unwrap();
        }
    }

    async fn count(store: &Embedded) -> usize {
        let window = Window { property: TimeProperty::ObservedAt, ..Window::default() };
        let plan = HistoryPlan { window, ..HistoryPlan::default() };
        let found = store.evolve(&TenantId::DEFAULT, &plan, Timestamp::now()).await.unwrap();
        match &found.told.evolutions[0].attributes[0].1 {
            Line::Instances(all) => all.len(),
            other => panic!("{other:?}"),
        }
    }

    /// How many rows lie in the tails of a store, as far as a query reads them.
    fn unpacked(store: &Embedded) -> usize {
        let inner = &store.inner;
        let series = inner.engine.look(|look| {
            let mut series = None;
            look.past(Past::Tails, (&[], &[0xff; 9]), false, |key, _| {
                series = SeriesKey::of_tail(key);
                Ok(std::ops::ControlFlow::Break(()))
            })?;
            Ok(series)
        });
        let Some(series) = series.unwrap() else { return 0 };
        let tail = inner.engine.look(|look| read_tail(look, &series, usize::MAX)).unwrap();
        tail.rows.len()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_long_tail_is_packed_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        // Nothing is packed by itself from now on.
        store.inner.history.ripe.close();
        tell(&store).await;
        assert_eq!(unpacked(&store), ROWS_TOLD as usize);
        assert_eq!(count(&store).await, ROWS_TOLD as usize);
        assert_eq!(unpacked(&store), 0, "reading had it packed");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_left_unpacked_is_packed_after_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        store.inner.history.ripe.close();
        tell(&store).await;
        drop(store);
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        store.inner.finish_packing();
        assert_eq!(unpacked(&store), 0);
        assert_eq!(count(&store).await, ROWS_TOLD as usize);
    }

    fn series() -> SeriesKey {
        SeriesKey::of_tail(&[1; 20]).unwrap()
    }

    #[test]
    fn what_waits_comes_before_what_is_looked_for() {
        let ripe = Ripe::default();
        ripe.add(vec![(series(), 70), (series(), 80)]);
        assert!(matches!(ripe.next(false), Some(Step::Pack((_, 70)))));
        assert!(matches!(ripe.next(false), Some(Step::Pack((_, 80)))));
        assert!(matches!(ripe.next(false), Some(Step::LookThrough)));
        assert!(matches!(ripe.next(true), Some(Step::LookOn)));
        ripe.look_through();
        assert!(matches!(ripe.next(true), Some(Step::LookThrough)));
        assert_eq!(ripe.rows.load(Ordering::Relaxed), 0);
        ripe.close();
        assert!(ripe.next(true).is_none());
    }

    #[test]
    fn too_many_rows_fill_it() {
        let ripe = Ripe::default();
        ripe.add(vec![(series(), ROWS as u32), (series(), 1)]);
        assert!(ripe.is_full());
        ripe.another();
        assert!(!ripe.is_full());
    }
}
