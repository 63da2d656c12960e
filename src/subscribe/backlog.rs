//! What waits for one subscription, in order, within bounds: the changes themselves while there is
//! memory for them, then only where they stand in the log, then only from where on to look.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustc_hash::FxHashMap;

use crate::model::{EntityId, Stored, Timestamp};
use crate::store::Event;

/// How many changes wait for one subscription at most; later ones are found in the log.
const MOST: usize = 4_096;

/// How many places each backlog has in any case: what is read from the log at once.
pub(super) const FREE: usize = 64;

/// What a place in the queue takes, beside the change itself.
const PLACE: usize = 96;

/// The memory that all backlogs share.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    most: usize,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(most: usize) -> Self {
        Self { used: AtomicUsize::new(0), most }
    }

    /// Takes bytes if they are there.
    fn take(&self, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before + bytes <= self.most;
        if !fits {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How many bytes are taken.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// What is to be told of one entity: a change, or several that were merged.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The event it begins with, and the one it ends with; the same unless changes were merged.
    pub first: u64,
    pub last: u64,
    pub entity: EntityId,
    pub at: Timestamp,
    /// Whether only a look at linked entities can tell if it is to be told.
    pub ask: bool,
    /// What was and what is; absent while it is only in the log.
    pub held: Option<Held>,
    /// Its place is taken from the budget.
    charged: bool,
}

impl Item {
    /// What one event tells.
    pub fn of(event: &Event, ask: bool) -> Self {
        Self {
            first: event.sequence,
            last: event.sequence,
            entity: event.change.id.clone(),
            at: event.change.at,
            ask,
            held: None,
            charged: false,
        }
    }
}

/// An entity before and after.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub before: Option<Arc<Stored>>,
    pub after: Option<Arc<Stored>>,
    bytes: usize,
}

impl Held {
    /// What the events of an item held; not counted against the budget.
    pub fn new(first: &Event, last: &Event) -> Self {
        let (before, after) = (first.change.before.clone(), last.change.after.clone());
        Self { before, after, bytes: 0 }
    }
}

/// What waits for one subscription.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    items: VecDeque<Item>,
    /// The log is to be read after this sequence once the items are done.
    behind: Option<u64>,
    /// Where each entity waits, while changes are merged; counted from the first item ever.
    merging: Option<FxHashMap<EntityId, u64>>,
    popped: u64,
}

impl Backlog {
    /// What waits after a start: everything after a sequence.
    pub fn after(sequence: u64) -> Self {
        Self { behind: Some(sequence), ..Self::default() }
    }

    /// Adds an event that is to be told. With `merge` a change of an entity that waits already
    /// joins the one that waits. If there is no room, the log is read from here on later.
    pub fn push(&mut self, event: &Event, ask: bool, merge: bool, budget: &Budget) {
        if self.behind.is_none() && !self.place(event, ask, merge, budget) {
            self.behind = Some(event.sequence - 1);
        }
    }

    /// Adds an event that was read from the log; false if there is no room.
    pub fn refill(&mut self, event: &Event, ask: bool, merge: bool, budget: &Budget) -> bool {
        let placed = self.place(event, ask, merge, budget);
        if placed {
            self.behind = Some(event.sequence);
        }
        placed
    }

    /// The log was read up to a sequence without finding more.
    pub fn passed(&mut self, sequence: u64) {
        if let Some(behind) = &mut self.behind {
            *behind = (*behind).max(sequence);
        }
    }

    /// The log was read up to its end: from now on events are pushed again.
    pub fn caught_up(&mut self) {
        self.behind = None;
    }

    /// After which sequence the log is to be read, if it is.
    pub fn behind(&self) -> Option<u64> {
        self.behind
    }

    fn place(&mut self, event: &Event, ask: bool, merge: bool, budget: &Budget) -> bool {
        if merge && self.merge(event, ask, budget) {
            return true;
        }
        let charged = self.items.len() >= FREE;
        if charged && (self.items.len() >= MOST || !budget.take(PLACE)) {
            return false;
        }
        let bytes = event.bytes;
        let held = budget.take(bytes).then(|| Held { bytes, ..Held::new(event, event) });
        if merge {
            let merging = self.merging.get_or_insert_default();
            merging.insert(event.change.id.clone(), self.popped + self.items.len() as u64);
        }
        self.items.push_back(Item { held, charged, ..Item::of(event, ask) });
        true
    }

    fn merge(&mut self, event: &Event, ask: bool, budget: &Budget) -> bool {
        let Some(number) = self.merging.as_ref().and_then(|all| all.get(&event.change.id)) else {
            return false;
        };
        let Some(item) =
            number.checked_sub(self.popped).and_then(|at| self.items.get_mut(at as usize))
        else {
            return false;
        };
        item.last = event.sequence;
        item.at = event.change.at;
        item.ask |= ask;
        if let Some(held) = &mut item.held {
            held.after = event.change.after.clone();
            if held.bytes < event.bytes && budget.take(event.bytes - held.bytes) {
                held.bytes = event.bytes;
            }
        }
        true
    }

    /// Whether something about this id waits here.
    pub fn waits_for(&self, id: &str) -> bool {
        self.items.iter().any(|item| item.entity.as_str() == id)
    }

    /// How many items wait here.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing waits here; more may be in the log.
    pub fn holds_nothing(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether nothing waits, neither here nor in the log.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.behind.is_none()
    }

    /// Everything up to this sequence is done; none if nothing waits.
    pub fn done_up_to(&self) -> Option<u64> {
        let first = self.items.front().map(|item| item.first - 1);
        first.or(self.behind)
    }

    /// When the first thing that waits happened, as far as that is known.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.items.front().map(|item| item.at)
    }

    /// The first items, so many at most, no two about the same entity: what one notification
    /// can tell without hiding a change.
    pub fn parcel(&self, most: usize) -> Vec<Item> {
        let mut parcel: Vec<Item> = Vec::new();
        for item in self.items.iter().take(most) {
            if parcel.iter().any(|other| other.entity == item.entity) {
                break;
            }
            parcel.push(item.clone());
        }
        parcel
    }

    /// How many of the first items end no later than a sequence, or began before a time.
    pub fn stale(&self, sequence: u64, before: Timestamp) -> usize {
        self.items.iter().take_while(|item| item.last <= sequence || item.at < before).count()
    }

    /// How many of the first items begin no later than an event.
    pub fn begun_by(&self, sequence: u64) -> usize {
        self.items.iter().take_while(|item| item.first <= sequence).count()
    }

    /// The first items are done.
    pub fn pop(&mut self, count: usize, budget: &Budget) {
        for _ in 0..count {
            let Some(item) = self.items.pop_front() else { break };
            self.popped += 1;
            if let Some(merging) = &mut self.merging
                && merging.get(&item.entity).is_some_and(|number| *number < self.popped)
            {
                merging.remove(&item.entity);
            }
            let place = if item.charged { PLACE } else { 0 };
            budget.give(place + item.held.map_or(0, |held| held.bytes));
        }
    }

    /// Whatever comes for the first items begins anew: they are being told.
    pub fn seal(&mut self, count: usize) {
        if let Some(merging) = &mut self.merging {
            for item in self.items.iter().take(count) {
                merging.remove(&item.entity);
            }
        }
    }

    /// Gives back the memory of changes; they are read from the log when their turn comes.
    pub fn strip(&mut self, budget: &Budget) {
        for item in &mut self.items {
            if let Some(held) = item.held.take() {
                budget.give(held.bytes);
            }
        }
    }

    /// Waits with as little as possible: what is not in the first items is looked for in the log
    /// later.
    pub fn retreat(&mut self, count: usize, budget: &Budget) {
        self.strip(budget);
        // Merged changes cannot be told from later ones of the same entity there.
        if self.merging.is_some() || self.items.len() <= count.max(1) {
            return;
        }
        let kept = self.items.split_off(0).into_iter();
        for (number, item) in kept.enumerate() {
            if number < count.max(1) {
                self.items.push_back(item);
            } else {
                if number == count.max(1) {
                    self.behind = Some(item.first - 1);
                }
                if item.charged {
                    budget.give(PLACE);
                }
            }
        }
    }

    /// Forgets everything that waits.
    pub fn clear(&mut self, budget: &Budget) {
        self.pop(self.items.len(), budget);
        self.behind = None;
        self.merging = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Change, Outcome, TenantId};
    use crate::store::Topic;

    fn event(sequence: u64, entity: u8) -> Event {
        let id = EntityId::parse(&format!("urn:x:{entity}")).unwrap();
        let at = Timestamp::from_micros(sequence as i64);
        let change = Change { id, at, before: None, after: None, outcome: Outcome::default() };
        Event { sequence, tenant: TenantId::DEFAULT, topic: Topic::Entity, change, bytes: 100 }
    }

    /// What the owner of a backlog does.
    #[derive(Debug, Clone)]
    enum Deed {
        Push(u8),
        /// Takes a parcel, and does it or fails.
        Take(usize, bool),
        Strip,
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let deed = prop_oneof![
            5 => (0u8..6).prop_map(Deed::Push),
            2 => (1usize..5, any::<bool>()).prop_map(|(most, done)| Deed::Take(most, done)),
            1 => Just(Deed::Strip),
        ];
        vec(deed, 0..400)
    }

    proptest! {
        /// Whatever happens and however little memory there is, everything is told once, in order,
        /// with the log read again where the backlog says so.
        #[test]
        fn everything_comes_once_and_in_order(deeds in deeds(), most in 0usize..4_000) {
            let budget = Budget::new(most);
            let mut backlog = Backlog::default();
            let (mut log, mut told) = (Vec::new(), Vec::new());
            let take = |backlog: &mut Backlog, log: &[Event], most: usize| {
                while let (0, Some(after)) = (backlog.len(), backlog.behind()) {
                    for event in log.iter().filter(|event| event.sequence > after) {
                        if !backlog.refill(event, false, false, &budget) {
                            break;
                        }
                    }
                    if backlog.behind() == log.last().map(|event| event.sequence) {
                        backlog.caught_up();
                    }
                }
                backlog.parcel(most)
            };
            for deed in deeds {
                match deed {
                    Deed::Push(entity) => {
                        let event = event(log.len() as u64 + 1, entity);
                        backlog.push(&event, false, false, &budget);
                        log.push(event);
                    }
                    Deed::Take(most, done) => {
                        let parcel = take(&mut backlog, &log, most);
                        if done {
                            backlog.pop(parcel.len(), &budget);
                            told.extend(parcel.iter().map(|item| item.first));
                        } else {
                            backlog.retreat(parcel.len(), &budget);
                        }
                    }
                    Deed::Strip => backlog.strip(&budget),
                }
                prop_assert!(budget.used() <= most);
                let done = backlog.done_up_to().unwrap_or(log.len() as u64);
                prop_assert_eq!(done, told.len() as u64);
            }
            while !backlog.is_empty() {
                let parcel = take(&mut backlog, &log, 3);
                backlog.pop(parcel.len(), &budget);
                told.extend(parcel.iter().map(|item| item.first));
            }
            prop_assert_eq!(told, (1..=log.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn merged_changes_keep_their_first_place_until_they_are_told() {
        let (budget, mut backlog) = (Budget::new(10_000), Backlog::default());
        for (sequence, entity) in [(1, 1), (2, 2), (3, 1), (4, 2)] {
            backlog.push(&event(sequence, entity), false, true, &budget);
        }
        let ends = |backlog: &Backlog| -> Vec<_> {
            backlog.items.iter().map(|item| (item.first, item.last)).collect()
        };
        assert_eq!(ends(&backlog), [(1, 3), (2, 4)]);
        backlog.seal(1);
        backlog.push(&event(5, 1), false, true, &budget);
        backlog.push(&event(6, 2), false, true, &budget);
        assert_eq!(ends(&backlog), [(1, 3), (2, 6), (5, 5)]);
        backlog.pop(1, &budget);
        backlog.push(&event(7, 1), false, true, &budget);
        assert_eq!(ends(&backlog), [(2, 6), (5, 7)]);
        assert_eq!(backlog.done_up_to(), Some(1));
        backlog.clear(&budget);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_notification_never_tells_two_changes_of_an_entity() {
        let (budget, mut backlog) = (Budget::new(10_000), Backlog::default());
        for (sequence, entity) in [(1, 1), (2, 2), (3, 1), (4, 3)] {
            backlog.push(&event(sequence, entity), false, false, &budget);
        }
        assert_eq!(backlog.parcel(10).len(), 2);
        assert_eq!(backlog.parcel(1).len(), 1);
    }
}
