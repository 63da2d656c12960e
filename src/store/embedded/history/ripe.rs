//! What there is to pack, and how writers wait for packing when it falls behind.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashMap;

use super::pack::Begin;
use super::recent::{Due, Recent};
use crate::store::StoreError;
use crate::store::embedded::Inner;
use crate::store::history::SeriesKey;

/// How many series may wait to be packed; those beyond are found when everything is looked through
/// again.
const WAITING: usize = 1 << 18;

/// Of how many series it is remembered up to where they were packed, at about 150 bytes each.
const PASSED: usize = 1 << 16;

/// How long a writer waits for packing before it is told that there is too much to do.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be packed.
pub(in crate::store::embedded) struct Ripe {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    emptier: tokio::sync::Notify,
    /// How often series were erased: what was read before must not be written after.
    pub erasures: AtomicU64,
    /// Held from reading to writing, so that no two make blocks of the same tail.
    pub packing: Mutex<()>,
    /// Held while a layer is laid down.
    pub laying: Mutex<()>,
    /// Up to where tails were packed lately: what was taken away there still costs the engine
    /// time to pass over.
    passed: Mutex<FxHashMap<SeriesKey, Vec<u8>>>,
}

struct Waiting {
    /// Series with long tails.
    series: VecDeque<SeriesKey>,
    /// All tails are to be looked through, from the first: after a start nobody knows which are
    /// long.
    look_through: bool,
    busy: bool,
    closed: bool,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The oldest layer, or the open one, is laid down.
    LayDown,
    /// The tail of a series is packed.
    Pack(SeriesKey),
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
            emptier: tokio::sync::Notify::new(),
            erasures: AtomicU64::new(0),
            packing: Mutex::new(()),
            laying: Mutex::new(()),
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
    pub(super) fn begin(&self, series: &SeriesKey) -> Begin {
        let mut begin = Begin::of(series);
        let passed = self.passed.lock();
        for (of, begin) in [(series, &mut begin.own), (&series.sheaves(), &mut begin.sheaves)] {
            if let Some(key) = passed.get(of) {
                begin.clone_from(key);
            }
        }
        begin
    }

    /// Asks for series to be packed.
    pub(super) fn add(&self, series: Vec<SeriesKey>) {
        let mut waiting = self.waiting.lock();
        if waiting.series.len() < WAITING {
            waiting.series.extend(series);
        } else {
            waiting.look_through = true;
        }
    }

    /// Says that there is something to lay down.
    pub fn wake(&self) {
        // Locked, so that nobody is just about to sleep.
        drop(self.waiting.lock());
        self.changed.notify_all();
    }

    /// Asks for all tails to be looked through.
    pub fn look_through(&self) {
        self.waiting.lock().look_through = true;
        self.changed.notify_all();
    }

    /// What to do next; sleeps until there is something. None at the end.
    pub(super) fn next(&self, recent: &Recent, looking: bool) -> Option<Step> {
        let mut waiting = self.waiting.lock();
        loop {
            if waiting.closed {
                return None;
            }
            let due = recent.due();
            let step = if due == Due::Now {
                Some(Step::LayDown)
            } else if let Some(series) = waiting.series.pop_front() {
                Some(Step::Pack(series))
            } else if std::mem::take(&mut waiting.look_through) {
                Some(Step::LookThrough)
            } else {
                looking.then_some(Step::LookOn)
            };
            waiting.busy = step.is_some();
            if step.is_some() {
                return step;
            }
            self.changed.notify_all();
            match due {
                Due::In(left) => {
                    self.changed.wait_for(&mut waiting, left);
                }
                _ => self.changed.wait(&mut waiting),
            }
        }
    }

    /// Another series whose tail is long, if one waits.
    pub(super) fn another(&self) -> Option<SeriesKey> {
        self.waiting.lock().series.pop_front()
    }

    /// A layer was laid down.
    pub(super) fn is_emptier(&self) {
        self.emptier.notify_waiters();
    }

    /// Waits a little, or until there is something new.
    pub(super) fn pause(&self, time: Duration) {
        let mut waiting = self.waiting.lock();
        if !waiting.closed {
            self.changed.wait_for(&mut waiting, time);
        }
    }

    /// Waits until nothing is to be packed.
    pub fn wait(&self, recent: &Recent) {
        let mut waiting = self.waiting.lock();
        let is_left = |waiting: &Waiting| {
            let queued = waiting.look_through || !waiting.series.is_empty();
            waiting.busy || queued || recent.due() == Due::Now
        };
        while is_left(&waiting) && !waiting.closed {
            self.changed.notify_all();
            self.changed.wait_for(&mut waiting, Duration::from_millis(10));
        }
    }

    /// Packs no more.
    pub fn close(&self) {
        self.waiting.lock().closed = true;
        self.changed.notify_all();
        self.emptier.notify_waiters();
    }

    fn is_closed(&self) -> bool {
        self.waiting.lock().closed
    }
}

impl Inner {
    /// Waits while more is recorded than packing keeps up with, so that memory stays bounded and
    /// what is read row by row short.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if that takes too long.
    pub(in crate::store::embedded) async fn room_to_record(&self) -> Result<(), StoreError> {
        let (ripe, recent) = (&self.history.ripe, &self.history.recent);
        if !recent.is_behind() {
            return Ok(());
        }
        let room = async {
            // A store that cannot write says so by itself.
            while recent.is_behind() && !ripe.is_closed() && self.failure.check().is_ok() {
                let emptier = ripe.emptier.notified();
                let _ = tokio::time::timeout(Duration::from_millis(100), emptier).await;
            }
        };
        tokio::time::timeout(PATIENCE, room).await.map_err(|_| StoreError::Busy)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::block_in_place;

    use super::super::pack::read_tail;
    use super::*;
    use crate::model::{
        Chronology, Datum, EntityId, HistoryAction, HistoryWrite, Instance, TenantId, TimeProperty,
        Timestamp,
    };
    use crate::query::{HistoryPlan, Line, Selector, Window};
    use crate::store::Store;
    use crate::store::embedded::engine::Past;
    use crate::store::embedded::{Embedded, Settings};
    use crate::store::samples::{at, attribute_name, entity_id, type_name};

    const ROWS_TOLD: i64 = 10_000;

    /// Tells readings of a series, each once.
    async fn tell(store: &Embedded, id: EntityId, seconds: std::ops::Range<i64>) {
        let instances = seconds.map(|second| {
            let mut instance = Instance::new(Datum::Property((second as f64).into()));
            instance.observed_at = Some(at(second));
            instance
        });
        let told = Chronology {
            types: vec![type_name(0)],
            scopes: Vec::new(),
            attributes: vec![(attribute_name(0), instances.collect())],
        };
        let write = HistoryWrite { id, action: HistoryAction::Upsert(told) };
        let now = Timestamp::now();
        store.commit_history(&TenantId::DEFAULT, vec![write], now).await.unwrap();
    }

    /// Tells the readings of one series, a hundred to a write.
    async fn tell_many(store: &Embedded) {
        for first in (0..ROWS_TOLD).step_by(100) {
            tell(store, entity_id(0), first..first + 100).await;
        }
    }

    async fn count(store: &Embedded, id: EntityId) -> usize {
        let window = Window { property: TimeProperty::ObservedAt, ..Window::default() };
        let mut plan = HistoryPlan { window, ..HistoryPlan::default() };
        plan.entities.select = vec![Selector { ids: vec![id], ..Selector::default() }];
        let found = store.evolve(&TenantId::DEFAULT, &plan, Timestamp::now()).await.unwrap();
        let Some(evolution) = found.told.evolutions.first() else { return 0 };
        match &evolution.attributes[0].1 {
            Line::Instances(all) => all.len(),
            other => panic!("{other:?}"),
        }
    }

    /// How many rows lie in tails, and how many groups in the log.
    fn unpacked(store: &Embedded) -> (usize, usize) {
        let (mut all, mut groups) = (Vec::new(), 0);
        store
            .inner
            .engine
            .look(|look| {
                look.past(Past::Log, (&[], &[0xff; 9]), false, |_, _| {
                    groups += 1;
                    Ok(std::ops::ControlFlow::Continue(()))
                })?;
                look.past(Past::Tails, (&[], &[0xff; 9]), false, |key, _| {
                    all.extend(SeriesKey::of_tail(key));
                    Ok(std::ops::ControlFlow::Continue(()))
                })?;
                all.dedup();
                Ok(())
            })
            .unwrap();
        let rows = |series: &SeriesKey| {
            let tail = store.inner.engine.look(|look| read_tail(look, series, usize::MAX));
            tail.unwrap().rows.len()
        };
        (all.iter().map(rows).sum(), groups)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_recorded_is_told_before_and_after_it_is_laid_down() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        tell_many(&store).await;
        assert_eq!(count(&store, entity_id(0)).await, ROWS_TOLD as usize);
        block_in_place(|| store.pack_all());
        assert_eq!(unpacked(&store), (0, 0));
        assert_eq!(count(&store, entity_id(0)).await, ROWS_TOLD as usize);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_not_laid_down_is_told_after_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        store.inner.history.ripe.close();
        tell_many(&store).await;
        assert_eq!(unpacked(&store).0, 0, "nothing is laid down by itself");
        drop(store);
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        assert_eq!(count(&store, entity_id(0)).await, ROWS_TOLD as usize);
        block_in_place(|| store.inner.finish_packing());
        assert_eq!(unpacked(&store), (0, 0));
        assert_eq!(count(&store, entity_id(0)).await, ROWS_TOLD as usize);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_few_rows_wait_in_tails_until_they_are_many() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        for first in (0..90).step_by(30) {
            tell(&store, entity_id(0), first..first + 30).await;
            block_in_place(|| store.inner.lay_down_everything()).unwrap();
            let expected = if first < 60 { first as usize + 30 } else { 0 };
            assert_eq!(unpacked(&store), (expected, 0));
            assert_eq!(count(&store, entity_id(0)).await, first as usize + 30);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_erased_does_not_come_back_when_older_layers_are_laid_down() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        store.inner.history.ripe.close();
        tell(&store, entity_id(0), 0..100).await;
        tell(&store, entity_id(1), 0..10).await;
        store.inner.history.recent.close();
        let write = HistoryWrite { id: entity_id(0), action: HistoryAction::Delete };
        let done = store.commit_history(&TenantId::DEFAULT, vec![write], at(500)).await.unwrap();
        assert!(done[0].is_ok());
        assert_eq!(count(&store, entity_id(0)).await, 0);
        tell(&store, entity_id(0), 50..53).await;
        assert_eq!(count(&store, entity_id(0)).await, 3);
        block_in_place(|| store.inner.lay_down_everything()).unwrap();
        assert_eq!(count(&store, entity_id(0)).await, 3);
        assert_eq!(count(&store, entity_id(1)).await, 10);
        drop(store);
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        assert_eq!(count(&store, entity_id(0)).await, 3);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_is_missed_while_it_is_laid_down() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Embedded::open(Settings::new(folder.path())).unwrap());
        let told = Arc::new(AtomicU64::new(0));
        let reader = tokio::spawn({
            let (store, told) = (store.clone(), told.clone());
            async move {
                let mut asked = 0;
                loop {
                    let before = told.load(Ordering::SeqCst);
                    let found = count(&store, entity_id(0)).await as u64;
                    assert!(found >= before, "{found} of {before}");
                    asked += 1;
                    if before == 20_000 {
                        return asked;
                    }
                }
            }
        });
        for first in (0..20_000).step_by(200) {
            tell(&store, entity_id(0), first..first + 200).await;
            told.store(first as u64 + 200, Ordering::SeqCst);
        }
        assert!(reader.await.unwrap() > 1);
        block_in_place(|| store.pack_all());
        assert_eq!(count(&store, entity_id(0)).await, 20_000);
    }

    fn series() -> SeriesKey {
        SeriesKey::of_tail(&[1; 20]).unwrap()
    }

    #[test]
    fn what_waits_comes_before_what_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        let (ripe, recent) = (Ripe::default(), &store.inner.history.recent);
        ripe.add(vec![series(), series()]);
        assert_eq!(ripe.next(recent, false), Some(Step::Pack(series())));
        assert_eq!(ripe.next(recent, false), Some(Step::Pack(series())));
        assert_eq!(ripe.next(recent, false), Some(Step::LookThrough));
        assert_eq!(ripe.next(recent, true), Some(Step::LookOn));
        ripe.look_through();
        assert_eq!(ripe.next(recent, true), Some(Step::LookThrough));
        ripe.close();
        assert_eq!(ripe.next(recent, true), None);
    }
}
