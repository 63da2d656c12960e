//! Indexes of values and places are built when a query first would have liked one, by a thread of
//! their own, while others read and write; they are remembered, and built again at the start.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::Inner;
use super::index::{Index, Place, Places, Sort, Values, Wish, keys, places};
use super::queue::Job;
use super::seats::SeatNumber;
use super::tenants::{State, Tenant};
use crate::model::{AttrName, Attribute, Stored};
use crate::query::Key;
use crate::store::StoreError;

/// How many seats are looked up before others get a turn.
const TURN: usize = 256;

/// Indexes that queries wished for.
#[derive(Default)]
pub(super) struct Wishes {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    wishes: Vec<(Arc<Tenant>, Wish)>,
    building: bool,
    closed: bool,
}

impl Wishes {
    /// Asks for an index; asking twice does no harm.
    pub fn add(&self, tenant: &Arc<Tenant>, wish: Wish) {
        let mut waiting = self.waiting.lock();
        let asked = |(own, other): &(Arc<Tenant>, Wish)| Arc::ptr_eq(own, tenant) && *other == wish;
        if !waiting.closed && !waiting.wishes.iter().any(asked) {
            waiting.wishes.push((tenant.clone(), wish));
            drop(waiting);
            self.changed.notify_all();
        }
    }

    /// The next wish; sleeps until there is one. None at the end.
    fn next(&self) -> Option<(Arc<Tenant>, Wish)> {
        let mut waiting = self.waiting.lock();
        waiting.building = false;
        self.changed.notify_all();
        loop {
            if waiting.closed {
                return None;
            }
            if let Some(wish) = waiting.wishes.first().cloned() {
                waiting.building = true;
                return Some(wish);
            }
            self.changed.wait(&mut waiting);
        }
    }

    /// The first wish was seen to.
    fn done(&self) {
        self.waiting.lock().wishes.remove(0);
    }

    /// Waits until nothing is wished for any more.
    pub fn wait(&self) {
        let mut waiting = self.waiting.lock();
        while waiting.building || !waiting.wishes.is_empty() {
            if waiting.closed {
                return;
            }
            self.changed.wait(&mut waiting);
        }
    }

    /// Builds no more.
    pub fn close(&self) {
        self.waiting.lock().closed = true;
        self.changed.notify_all();
    }

    fn is_closed(&self) -> bool {
        self.waiting.lock().closed
    }
}

/// What was found for an index, by seat.
pub(super) enum Entries {
    Values(Vec<(SeatNumber, Key)>),
    Places(Vec<Place>),
}

impl Entries {
    /// Nothing yet.
    pub fn new(sort: Sort) -> Self {
        match sort {
            Sort::Values => Entries::Values(Vec::new()),
            Sort::Places => Entries::Places(Vec::new()),
        }
    }

    /// Takes note of an attribute. Seats must come in order.
    pub fn add(&mut self, seat: SeatNumber, attribute: &Attribute) {
        match self {
            Entries::Values(entries) => {
                entries.extend(keys(Some(attribute)).into_iter().map(|key| (seat, key)));
            }
            Entries::Places(entries) => entries.extend(places(Some(attribute), seat)),
        }
    }

    /// Adds what was found in seats that were counted from this one.
    pub fn append(&mut self, more: Entries, first: SeatNumber) {
        match (self, more) {
            (Entries::Values(all), Entries::Values(more)) => {
                all.extend(more.into_iter().map(|(seat, key)| (first + seat, key)));
            }
            (Entries::Places(all), Entries::Places(more)) => {
                all.extend(more.into_iter().map(|place| place.moved(first)));
            }
            // Both are of the wish's sort.
            _ => {}
        }
    }

    /// The index of what was found.
    pub fn build(self) -> Ready {
        match self {
            Entries::Values(entries) => {
                let entries = entries.into_iter().map(|(seat, key)| (key, seat)).collect();
                Ready::Values(Values::build(entries))
            }
            Entries::Places(entries) => Ready::Places(Places::build(entries)),
        }
    }
}

/// An index that can be put to use.
pub(super) enum Ready {
    Values(Values),
    Places(Places),
}

/// An index that is built but not in use yet.
enum Built {
    Values(Values, Vec<(SeatNumber, Key)>),
    Places(Places, Vec<Place>),
}

impl Inner {
    /// Builds what is wished for, until the end.
    pub(super) fn build_indexes(&self) {
        while let Some((tenant, wish)) = self.builder.next() {
            let started = std::time::Instant::now();
            match self.build_index(&tenant, wish) {
                Ok(true) => tracing::info!(
                    tenant = %tenant.id,
                    attribute = %wish.attribute,
                    sort = ?wish.sort,
                    millis = started.elapsed().as_millis() as u64,
                    "built an index"
                ),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "an index could not be built"),
            }
            tenant.state.write().index.changed = None;
            self.builder.done();
        }
    }

    fn build_index(&self, tenant: &Tenant, wish: Wish) -> Result<bool, StoreError> {
        let seats = {
            let mut state = tenant.state.write();
            if state.index.has(wish) {
                return Ok(false);
            }
            state.index.changed = Some(roaring::RoaringBitmap::new());
            let mut seats = roaring::RoaringBitmap::new();
            if let Some(holders) = state.index.attributes.get(&wish.attribute) {
                holders.add_to(&mut seats);
            }
            seats
        };
        let mut entries = Entries::new(wish.sort);
        let seats: Vec<SeatNumber> = seats.into_iter().collect();
        for some in seats.chunks(TURN) {
            if self.builder.is_closed() {
                return Ok(false);
            }
            for (seat, entity) in self.entities_of(tenant, some)? {
                if let Some(attribute) = entity.attributes.get(wish.attribute) {
                    entries.add(seat, attribute);
                }
            }
        }
        let built = match entries {
            Entries::Values(entries) => {
                let by_key = entries.iter().map(|(seat, key)| (key.clone(), *seat)).collect();
                Built::Values(Values::build(by_key), entries)
            }
            Entries::Places(entries) => Built::Places(Places::build(entries.clone()), entries),
        };
        self.catch_up(tenant, wish, built)?;
        let number = tenant.number;
        let asked = self.ask(|answer| Job::Remember { tenant: number, wish, answer })?;
        asked.blocking_recv().unwrap_or_else(|gone: oneshot::error::RecvError| {
            Err(StoreError::Broken(gone.to_string()))
        })?;
        Ok(true)
    }

    /// Corrects what changed while the index was built, and puts it to use.
    fn catch_up(&self, tenant: &Tenant, wish: Wish, built: Built) -> Result<(), StoreError> {
        let mut state = tenant.state.write();
        let changed = state.index.changed.take().unwrap_or_default();
        match built {
            Built::Values(mut values, entries) => {
                for seat in changed {
                    let begin = entries.partition_point(|(own, _)| *own < seat);
                    let old = entries[begin..].iter().take_while(|(own, _)| *own == seat);
                    let entity = self.entity_of(tenant, &state, seat)?;
                    let now = entity.as_ref().and_then(|e| e.attributes.get(wish.attribute));
                    values.correct(seat, old.map(|(_, key)| key), now);
                }
                state.index.values.insert(wish.attribute, values);
            }
            Built::Places(mut index, entries) => {
                for seat in changed {
                    let begin = entries.partition_point(|place| place.seat() < seat);
                    let old: Vec<Place> = entries[begin..]
                        .iter()
                        .take_while(|place| place.seat() == seat)
                        .copied()
                        .collect();
                    let entity = self.entity_of(tenant, &state, seat)?;
                    let now = entity.as_ref().and_then(|e| e.attributes.get(wish.attribute));
                    index.correct(&old, places(now, seat));
                }
                state.index.places.insert(wish.attribute, index);
            }
        }
        Ok(())
    }

    fn entity_of(
        &self,
        tenant: &Tenant,
        state: &State,
        seat: SeatNumber,
    ) -> Result<Option<Arc<Stored>>, StoreError> {
        match state.located(seat) {
            Some(located) => self.obtain(tenant, located.whereabouts),
            None => Ok(None),
        }
    }

    /// The entities of some seats that are still taken.
    pub(super) fn entities_of(
        &self,
        tenant: &Tenant,
        seats: &[SeatNumber],
    ) -> Result<Vec<(SeatNumber, Arc<Stored>)>, StoreError> {
        let found = {
            let state = tenant.state.read();
            seats.iter().filter_map(|seat| state.located(*seat)).collect()
        };
        let obtained = self.obtain_all(tenant, found)?;
        Ok(obtained.into_iter().map(|one| (one.seat, one.entity)).collect())
    }
}

impl Index {
    /// Puts an index to use.
    pub fn put(&mut self, attribute: AttrName, ready: Ready) {
        match ready {
            Ready::Values(values) => drop(self.values.insert(attribute, values)),
            Ready::Places(places) => drop(self.places.insert(attribute, places)),
        }
    }

    /// Whether an index is in use.
    pub fn has(&self, wish: Wish) -> bool {
        match wish.sort {
            Sort::Values => self.values.contains_key(&wish.attribute),
            Sort::Places => self.places.contains_key(&wish.attribute),
        }
    }
}
