//! Laying down: what was recorded lately becomes blocks where it is much, and tails where it is
//! little; of an entity that had a little of several series, one sheaf. Then its log goes.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hashbrown::DefaultHashBuilder;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::pack::{AT_ONCE, Packed, STEP_BYTES, STEP_SERIES, Tail, read_tail_from};
use super::recent::{Due, Lately, Layer};
use super::sheaf::{MOST_BYTES, MOST_ROWS, Sheaf, each_line};
use crate::store::StoreError;
use crate::store::embedded::Inner;
use crate::store::embedded::engine::{Look, Past};
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
    /// How many rows a tail has with so many more, and whether it is to be packed. Of sheaves it
    /// is the rows of the longest series that count, at most.
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
        let (entities, sequences) = (layer.entities(), layer.sequences());
        let sequence = sequences.last().copied().unwrap_or_default();
        let mut left = &entities[..];
        loop {
            let packing = self.history.ripe.packing.lock();
            let packed = self.begin_packing();
            let recent = self.history.recent.view();
            let (mut packed, tally, done) = self.engine.look(|look| {
                let tally = Vec::new();
                let mut step = Step { inner: self, look, sequence, packed, tally, series: 0 };
                let mut done = 0;
                for entity in left {
                    if step.packed.bytes >= STEP_BYTES || step.series >= STEP_SERIES {
                        break;
                    }
                    done += 1;
                    layer.lines(entity, |lines| {
                        let gone = |line: &[u8]| recent.erased_since(layer, entity, line);
                        let lines = lines.iter().filter(|own| own.rows > 0 && !gone(&own.line));
                        step.lay_entity(entity, &lines.collect::<Vec<_>>())
                    })?;
                }
                Ok((step.packed, step.tally, done))
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
            for (series, tail) in tally {
                match tail {
                    Some((rows, most)) => self.history.tally.set(&series, rows, most),
                    None => self.history.tally.forget(&series),
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
}

/// One step of laying down.
struct Step<'a> {
    inner: &'a Inner,
    look: &'a Look<'a>,
    /// What tails and sheaves end with.
    sequence: u64,
    packed: Packed,
    /// How long tails and sheaves are then, and at how many rows they are to be packed.
    tally: Vec<(SeriesKey, Option<(u32, u32)>)>,
    series: usize,
}

impl Step<'_> {
    /// Lays down what a layer holds of an entity.
    fn lay_entity(&mut self, entity: &[u8], lines: &[&Lately]) -> Result<(), StoreError> {
        self.series += lines.len();
        let is_small = |own: &&&Lately| own.rows <= MOST_ROWS && own.bytes() <= MOST_BYTES;
        let few = lines.iter().filter(is_small).count();
        let rows = |own: &Lately| {
            let mut rows = Rows::default();
            own.rows(&mut rows).map(|()| rows)
        };
        if few < 2 {
            for own in lines {
                self.lay(&SeriesKey::joined(entity, &own.line), rows(own)?)?;
            }
            return Ok(());
        }
        let sheaves = SeriesKey::sheaves_of(entity);
        let more = lines.iter().filter(is_small).map(|own| own.rows).max().unwrap_or(0);
        let (count, much) = self.inner.history.tally.count(&sheaves, more);
        if much && self.dissolve(entity, &sheaves, lines)? {
            return Ok(());
        }
        for own in lines.iter().filter(|own| !is_small(own)) {
            self.lay(&SeriesKey::joined(entity, &own.line), rows(own)?)?;
        }
        let mut sheaf = Sheaf::default();
        for own in lines.iter().filter(is_small) {
            if let Some(value) = own.value()? {
                sheaf.add(&own.line, &value);
            }
        }
        // The last word on this key in the step.
        self.packed.add_tail(sheaves.tail(self.sequence), sheaf.value());
        self.tally.push((sheaves, Some((count, PACK))));
        Ok(())
    }

    /// Packs all that the sheaves of an entity hold, and these lines with it; false if there is
    /// too much for that, and nothing was done.
    fn dissolve(
        &mut self,
        entity: &[u8],
        sheaves: &SeriesKey,
        lines: &[&Lately],
    ) -> Result<bool, StoreError> {
        let begin = self.inner.history.ripe.begin(sheaves).own;
        let (mut keys, mut all) = (Vec::new(), BTreeSet::<Box<[u8]>>::new());
        self.look.past(Past::Tails, (&begin, &sheaves.end()), false, |key, sheaf| {
            keys.push(key.to_vec());
            each_line(&sheaf, |line, _| {
                if !all.contains(line) {
                    all.insert(line.into());
                }
                Ok(())
            })?;
            Ok(ControlFlow::Continue(()))
        })?;
        all.extend(lines.iter().map(|own| own.line.clone()));
        let mut tails = Vec::with_capacity(all.len());
        for line in all {
            let series = SeriesKey::joined(entity, &line);
            let begin = self.inner.history.ripe.begin(&series);
            let Tail { mut rows, lain, more } =
                read_tail_from(self.look, &series, &begin, AT_ONCE)?;
            if more {
                self.packed.more.push(series);
                return Ok(false);
            }
            if let Some(own) = lines.iter().find(|own| own.line == line) {
                own.rows(&mut rows)?;
                rows.settle(true);
            }
            tails.push((series, rows, lain.keys));
        }
        for (series, rows, keys) in tails {
            self.packed.remove_tails(&series, keys);
            match history::pack(self.look, &series, &rows, false)? {
                Some(repacked) => {
                    self.packed.add(&series, repacked);
                    self.tally.push((series, None));
                }
                // It is to grow first.
                None => {
                    self.leave(&series, &rows);
                    let count = rows.len() as u32;
                    self.tally.push((series, Some((count, count.saturating_mul(2)))));
                }
            }
        }
        self.packed.remove_tails(sheaves, keys);
        self.tally.push((sheaves.clone(), None));
        Ok(true)
    }

    /// Lays down rows of a series.
    fn lay(&mut self, series: &SeriesKey, mut rows: Rows) -> Result<(), StoreError> {
        let (count, much) = self.inner.history.tally.count(series, rows.len() as u32);
        let mut most = PACK;
        if much {
            let begin = self.inner.history.ripe.begin(series);
            let Tail { rows: mut tail, lain, more } =
                read_tail_from(self.look, series, &begin, AT_ONCE)?;
            if more {
                self.packed.more.push(series.clone());
            } else {
                (0..rows.len()).for_each(|row| tail.push(rows.get(row)));
                tail.settle(true);
                match history::pack(self.look, series, &tail, false)? {
                    Some(repacked) => {
                        self.packed.replace(series, lain, repacked)?;
                        self.tally.push((series.clone(), None));
                        return Ok(());
                    }
                    // It is to grow first.
                    None => most = count.saturating_mul(2),
                }
            }
        }
        rows.settle(true);
        self.leave(series, &rows);
        self.tally.push((series.clone(), Some((count, most))));
        Ok(())
    }

    /// Leaves settled rows as a tail.
    fn leave(&mut self, series: &SeriesKey, rows: &Rows) {
        if !rows.is_empty() {
            let value = write_rows(rows, 0..rows.len());
            self.packed.add_tail(series.tail(self.sequence), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::block_in_place;

    use super::*;
    use crate::model::{
        Chronology, Datum, HistoryAction, HistoryWrite, Instance, Instances, TenantId,
        TimeProperty, Timestamp,
    };
    use crate::query::{HistoryPlan, Line, Selector, Window};
    use crate::store::Store;
    use crate::store::embedded::{Embedded, Settings};
    use crate::store::samples::{at, attribute_name, entity_id, type_name};

    const ATTRIBUTES: usize = 3;

    /// Tells a reading of each attribute at one time.
    async fn tell(store: &Embedded, second: i64) {
        let attributes = (0..ATTRIBUTES).map(|number| {
            let mut instance = Instance::new(Datum::Property((second as f64).into()));
            instance.observed_at = Some(at(second));
            (attribute_name(number), vec![instance])
        });
        let told = Chronology {
            types: vec![type_name(0)],
            scopes: Vec::new(),
            attributes: attributes.collect(),
        };
        commit(store, HistoryAction::Upsert(told)).await;
    }

    async fn commit(store: &Embedded, action: HistoryAction) {
        let write = HistoryWrite { id: entity_id(0), action };
        let done = store.commit_history(&TenantId::DEFAULT, vec![write], Timestamp::now()).await;
        done.unwrap().remove(0).unwrap();
    }

    fn lay_down(store: &Embedded) {
        block_in_place(|| store.inner.lay_down_everything()).unwrap();
    }

    /// How many instances are told of each attribute.
    async fn count(store: &Embedded) -> [usize; ATTRIBUTES] {
        let window = Window { property: TimeProperty::ObservedAt, ..Window::default() };
        let mut plan = HistoryPlan { window, ..HistoryPlan::default() };
        plan.entities.select = vec![Selector { ids: vec![entity_id(0)], ..Selector::default() }];
        let found = store.evolve(&TenantId::DEFAULT, &plan, Timestamp::now()).await.unwrap();
        let mut counts = [0; ATTRIBUTES];
        for evolution in &found.told.evolutions {
            for (name, line) in &evolution.attributes {
                let Line::Instances(all) = line else { panic!("{line:?}") };
                let number = (0..ATTRIBUTES).find(|number| attribute_name(*number) == *name);
                counts[number.unwrap()] = all.len();
            }
        }
        counts
    }

    /// How many sheaves there are, and how many other tails.
    fn tails(store: &Embedded) -> (usize, usize) {
        let (mut sheaves, mut others) = (0, 0);
        store
            .inner
            .engine
            .look(|look| {
                look.past(Past::Tails, (&[], &[0xff; 9]), false, |key, _| {
                    let series = SeriesKey::of_tail(key).unwrap();
                    *(if series.is_sheaves() { &mut sheaves } else { &mut others }) += 1;
                    Ok(ControlFlow::Continue(()))
                })
            })
            .unwrap();
        (sheaves, others)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_little_of_several_attributes_lies_in_sheaves_until_it_is_much() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        // What a history begins with is not counted.
        let most = PACK as usize + 1;
        for laid in 1..=most {
            tell(&store, laid as i64).await;
            lay_down(&store);
            let expected = if laid < most { (laid, 0) } else { (0, 0) };
            assert_eq!(tails(&store), expected);
            assert_eq!(count(&store).await, [laid; ATTRIBUTES]);
        }
        tell(&store, 1_000).await;
        lay_down(&store);
        assert_eq!(tails(&store), (1, 0));
        assert_eq!(count(&store).await, [most + 1; ATTRIBUTES]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_history_begins_with_is_laid_down_with_its_write() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Embedded::open(Settings::new(folder.path())).unwrap();
        tell(&store, 0).await;
        assert_eq!(tails(&store), (1, 0));
        assert_eq!(count(&store).await, [1; ATTRIBUTES]);
        for round in 1..4 {
            tell(&store, 10 * round).await;
            assert_eq!(count(&store).await, [2; ATTRIBUTES]);
            commit(&store, HistoryAction::Delete).await;
            assert_eq!(count(&store).await, [0; ATTRIBUTES]);
            // The layer that says so is still there, and so is what it held before.
            tell(&store, 10 * round + 1).await;
            assert_eq!(tails(&store), (1, 0));
            assert_eq!(count(&store).await, [1; ATTRIBUTES]);
            match round {
                1 => lay_down(&store),
                2 => {
                    drop(store);
                    store = Embedded::open(Settings::new(folder.path())).unwrap();
                }
                _ => {}
            }
            assert_eq!(count(&store).await, [1; ATTRIBUTES]);
        }
        lay_down(&store);
        assert_eq!(count(&store).await, [1; ATTRIBUTES]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_last_word_on_a_time_counts_in_sheaves_too() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        for _ in 0..70 {
            tell(&store, 5).await;
            lay_down(&store);
            assert_eq!(count(&store).await, [1; ATTRIBUTES]);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_erased_leaves_the_sheaves_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        for second in 0..3 {
            tell(&store, second).await;
            lay_down(&store);
        }
        tell(&store, 3).await;
        let erase = |number| HistoryAction::DeleteAttribute {
            attribute: attribute_name(number),
            instances: Instances::All,
        };
        commit(&store, erase(1)).await;
        assert_eq!(count(&store).await, [4, 0, 4]);
        lay_down(&store);
        assert_eq!(count(&store).await, [4, 0, 4]);
        drop(store);
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        assert_eq!(count(&store).await, [4, 0, 4]);
        commit(&store, erase(0)).await;
        commit(&store, erase(2)).await;
        lay_down(&store);
        assert_eq!(tails(&store), (0, 0));
        assert_eq!(count(&store).await, [0; ATTRIBUTES]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sheaves_are_packed_with_everything_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        for second in 0..10 {
            tell(&store, second).await;
            lay_down(&store);
        }
        assert_eq!(tails(&store), (10, 0));
        block_in_place(|| store.pack_all());
        assert_eq!(tails(&store), (0, 0));
        assert_eq!(count(&store).await, [10; ATTRIBUTES]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn long_series_are_packed_out_of_sheaves() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        for second in 0..i64::from(PACK) - 1 {
            tell(&store, second).await;
            lay_down(&store);
        }
        drop(store);
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        // Nobody knows any more how long they are.
        for second in 100..110 {
            tell(&store, second).await;
            lay_down(&store);
        }
        let laid = PACK as usize + 9;
        assert_eq!(tails(&store), (laid, 0));
        store.inner.history.ripe.look_through();
        block_in_place(|| store.inner.finish_packing());
        assert_eq!(tails(&store), (0, 0));
        assert_eq!(count(&store).await, [laid; ATTRIBUTES]);
    }

    /// Whatever is laid down, packed, erased and read anew in between, told is what was recorded.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn told_is_what_was_recorded_whatever_was_done_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Embedded::open(Settings::new(folder.path())).unwrap();
        let mut times: [BTreeSet<i64>; ATTRIBUTES] = Default::default();
        let mut dice = 17_u64;
        for _ in 0..600 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
            let (what, which) = ((dice >> 33) % 100, (dice >> 50) as usize % ATTRIBUTES);
            match what {
                0..60 => {
                    let second = (dice >> 40) as i64 % 150;
                    tell(&store, second).await;
                    for own in &mut times {
                        own.insert(second);
                    }
                }
                60..90 => lay_down(&store),
                90..92 => block_in_place(|| store.pack_all()),
                92..94 if !times[which].is_empty() => {
                    let attribute = attribute_name(which);
                    let instances = Instances::All;
                    commit(&store, HistoryAction::DeleteAttribute { attribute, instances }).await;
                    times[which].clear();
                }
                94..96 => {
                    drop(store);
                    store = Embedded::open(Settings::new(folder.path())).unwrap();
                }
                _ => store.inner.history.recent.close(),
            }
            let expected: Vec<usize> = times.iter().map(BTreeSet::len).collect();
            assert_eq!(count(&store).await, expected[..], "after {what}");
        }
    }
}
