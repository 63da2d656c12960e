//! What waits for one subscription, in order, within bounds: the changes themselves while there is
//! memory for them, then only where they stand in the log, then only from where on to look.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{EntityId, Stored, Timestamp};
use crate::store::{Event, Topic};

/// How many changes wait for one subscription at most; later ones are found in the log.
const MOST: usize = 4_096;

/// How many entities are in a group, whose changes are merged and told in one notification.
pub(super) const GROUP: usize = 1_000;

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

    /// Takes bytes whether they are there or not.
    fn take_anyway(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
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
    /// The first event of its group, if changes are merged. A group is told in one notification,
    /// and has all that is to be told from its first event to its last.
    pub group: Option<u64>,
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
            group: None,
            entity: event.change.id.clone(),
            at: event.change.at,
            ask,
            held: None,
            charged: false,
        }
    }

    /// Where what is told with it begins.
    pub fn begins(&self) -> u64 {
        self.group.unwrap_or(self.first)
    }

    fn let_go(self, budget: &Budget) {
        let place = if self.charged { PLACE } else { 0 };
        budget.give(place + self.held.map_or(0, |held| held.bytes));
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
    /// About how many bytes the entities of an event take. In the log what was may be told by the
    /// little that differs; here it is there as a whole.
    fn weight(event: &Event) -> usize {
        let both = event.change.before.is_some() && event.change.after.is_some();
        if both { 2 * event.bytes } else { event.bytes }
    }

    /// What the events of an item held; not counted against the budget.
    pub fn new(first: &Event, last: &Event) -> Self {
        let (before, after) = (first.change.before.clone(), None);
        let mut held = Self { before, after, bytes: 0 };
        held.join(last);
        held
    }

    /// Ends with a later event.
    fn join(&mut self, event: &Event) {
        self.after.clone_from(&event.change.after);
        // A source does not say what an entity was before, so that it looks new: but what it tells
        // as gone was there.
        if self.after.is_none() && matches!(event.topic, Topic::Told(_)) {
            self.before.clone_from(&event.change.before);
        }
    }
}

/// What waits for one subscription.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    items: VecDeque<Item>,
    /// The log is to be read after this sequence once the items are done.
    behind: Option<u64>,
    /// The group that changes join, the last one if there is one.
    open: Option<Group>,
    /// How many items were taken out at the front.
    popped: u64,
}

/// Changes that are merged by their entities.
#[derive(Debug)]
struct Group {
    /// Its first event.
    begins: u64,
    /// Where each entity waits; counted from the first item ever.
    places: FxHashMap<EntityId, u64>,
}

/// How an event that was read from the log is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// If there is room for it.
    AsThereIs,
    /// In any case: so much was in memory before, too.
    AsBefore,
}

impl Backlog {
    /// What waits after a start: everything after a sequence.
    pub fn after(sequence: u64) -> Self {
        Self { behind: Some(sequence), ..Self::default() }
    }

    /// Adds an event that is to be told. With `merge` a change of an entity that waits in the open
    /// group joins the one that waits. If there is no room, the log is read from here on later.
    pub fn push(&mut self, event: &Event, ask: bool, merge: bool, budget: &Budget) {
        if self.behind.is_none() && !self.place(event, ask, merge, Room::AsThereIs, budget) {
            self.behind = Some(event.sequence - 1);
        }
    }

    /// Adds an event that was read from the log; false if there is no room.
    pub fn refill(
        &mut self,
        event: &Event,
        ask: bool,
        merge: bool,
        room: Room,
        budget: &Budget,
    ) -> bool {
        let placed = self.place(event, ask, merge, room, budget);
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

    /// Whatever comes begins anew: nothing joins what waits.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Whether what comes may join what is told next.
    pub fn is_first_open(&self) -> bool {
        self.items.front().is_some_and(|item| self.is_open(item))
            && self.open.as_ref().is_some_and(|open| open.places.len() < GROUP)
    }

    fn is_open(&self, item: &Item) -> bool {
        self.open.as_ref().is_some_and(|open| item.group == Some(open.begins))
    }

    fn place(
        &mut self,
        event: &Event,
        ask: bool,
        merge: bool,
        room: Room,
        budget: &Budget,
    ) -> bool {
        match merge {
            true if self.merge(event, ask, budget) => return true,
            true => {}
            // What is told by itself stands between what came before and what comes after it.
            false => self.close(),
        }
        let charged = self.items.len() >= FREE;
        match room {
            Room::AsThereIs if !charged => {}
            Room::AsThereIs if self.items.len() >= MOST || !budget.take(PLACE) => return false,
            Room::AsThereIs => {}
            Room::AsBefore if charged => budget.take_anyway(PLACE),
            Room::AsBefore => {}
        }
        let bytes = Held::weight(event);
        let held = budget.take(bytes).then(|| Held { bytes, ..Held::new(event, event) });
        let group = merge.then(|| {
            let open = match self.open.take() {
                Some(open) if open.places.len() < GROUP => open,
                _ => Group { begins: event.sequence, places: FxHashMap::default() },
            };
            let open = self.open.insert(open);
            open.places.insert(event.change.id.clone(), self.popped + self.items.len() as u64);
            open.begins
        });
        self.items.push_back(Item { group, held, charged, ..Item::of(event, ask) });
        true
    }

    fn merge(&mut self, event: &Event, ask: bool, budget: &Budget) -> bool {
        let Some(number) = self.open.as_ref().and_then(|open| open.places.get(&event.change.id))
        else {
            return false;
        };
        let at = number.checked_sub(self.popped).map(|at| at as usize);
        let Some(item) = at.and_then(|at| self.items.get_mut(at)) else { return false };
        item.last = event.sequence;
        item.at = event.change.at;
        item.ask |= ask;
        if let Some(held) = &mut item.held {
            held.join(event);
            let bytes = Held::weight(event);
            if held.bytes < bytes && budget.take(bytes - held.bytes) {
                held.bytes = bytes;
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

    /// Everything up to this sequence is done; none if nothing waits. A group is done when all of
    /// it is.
    pub fn done_up_to(&self) -> Option<u64> {
        let first = self.items.front().map(|item| item.begins() - 1);
        first.or(self.behind)
    }

    /// When the first thing that waits happened, as far as that is known.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.items.front().map(|item| item.at)
    }

    /// What one notification can tell without hiding a change: the first group as a whole, or so
    /// many of the first items at most, no two about the same entity.
    pub fn parcel(&self, most: usize) -> Vec<Item> {
        let Some(first) = self.items.front() else { return Vec::new() };
        let group = first.group;
        if most == 1 && group.is_none() {
            return vec![first.clone()];
        }
        let most = if group.is_some() { usize::MAX } else { most };
        let together = self.items.iter().take_while(|item| item.group == group);
        let mut seen = FxHashSet::default();
        together.take(most).take_while(|item| seen.insert(&item.entity)).cloned().collect()
    }

    /// The first items, as many as were in a parcel, or are left of it.
    pub fn front(&self, count: usize) -> Vec<Item> {
        self.items.iter().take(count).cloned().collect()
    }

    /// Takes a parcel: what comes from now on does not join it.
    pub fn seal(&mut self, most: usize) -> Vec<Item> {
        if self.items.front().is_some_and(|item| self.is_open(item)) {
            self.close();
        }
        self.parcel(most)
    }

    /// How many of the first items begin no later than a sequence, or happened before a time; all
    /// of a group or none.
    pub fn stale(&self, sequence: u64, before: Timestamp) -> usize {
        let is_stale = |item: &&Item| item.begins() <= sequence || item.at < before;
        let count = self.items.iter().take_while(is_stale).count();
        let torn = |at: &usize| {
            let group = self.items.get(*at).and_then(|item| item.group);
            group.is_some() && self.items[at - 1].group == group
        };
        (1..=count).rev().find(|at| !torn(at)).unwrap_or(0)
    }

    /// The first items are done.
    pub fn pop(&mut self, count: usize, budget: &Budget) {
        for _ in 0..count {
            let Some(item) = self.items.pop_front() else { break };
            self.popped += 1;
            if self.is_open(&item) {
                self.close();
            }
            item.let_go(budget);
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

    /// Waits with as little as possible: what is not in the first items, which are told together,
    /// is looked for in the log later.
    pub fn retreat(&mut self, count: usize, budget: &Budget) {
        self.strip(budget);
        let count = count.max(1);
        let Some(next) = self.items.get(count) else { return };
        // Of a group all waits here, or nothing.
        if next.group.is_some() && next.group == self.items[count - 1].group {
            return;
        }
        self.behind = Some(next.begins() - 1);
        self.close();
        for item in self.items.drain(count..) {
            item.let_go(budget);
        }
    }

    /// Forgets everything that waits.
    pub fn clear(&mut self, budget: &Budget) {
        self.pop(self.items.len(), budget);
        self.behind = None;
        self.close();
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
                        if !backlog.refill(event, false, false, Room::AsThereIs, &budget) {
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

    /// The ends of all items, and where their groups begin.
    fn ends(backlog: &Backlog) -> Vec<(u64, u64, Option<u64>)> {
        backlog.items.iter().map(|item| (item.first, item.last, item.group)).collect()
    }

    #[test]
    fn merged_changes_keep_their_first_place_until_they_are_told() {
        let (budget, mut backlog) = (Budget::new(10_000), Backlog::default());
        for (sequence, entity) in [(1, 1), (2, 2), (3, 1), (4, 2)] {
            backlog.push(&event(sequence, entity), false, true, &budget);
        }
        assert_eq!(ends(&backlog), [(1, 3, Some(1)), (2, 4, Some(1))]);
        // A group is told as a whole, however little is asked for.
        assert_eq!(backlog.seal(1).len(), 2);
        for (sequence, entity) in [(5, 1), (6, 2), (7, 1)] {
            backlog.push(&event(sequence, entity), false, true, &budget);
        }
        let later = [(5, 7, Some(5)), (6, 6, Some(5))];
        assert_eq!(ends(&backlog)[2..], later);
        // It is done when all of it is.
        backlog.pop(1, &budget);
        assert_eq!(backlog.done_up_to(), Some(0));
        backlog.pop(1, &budget);
        assert_eq!((ends(&backlog), backlog.done_up_to()), (later.to_vec(), Some(4)));
        // To seal again what was sealed does not keep later changes from being merged.
        backlog.seal(1);
        for (sequence, entity) in [(8, 1), (9, 1)] {
            backlog.push(&event(sequence, entity), false, true, &budget);
        }
        backlog.seal(1);
        backlog.push(&event(10, 1), false, true, &budget);
        assert_eq!(ends(&backlog)[2..], [(8, 10, Some(8))]);
        backlog.clear(&budget);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_group_is_dropped_from_memory_as_a_whole_and_is_stale_as_a_whole() {
        let (budget, mut backlog) = (Budget::new(10_000), Backlog::default());
        let push = |backlog: &mut Backlog, all: &[(u64, u8)]| {
            for (sequence, entity) in all {
                backlog.push(&event(*sequence, *entity), false, true, &budget);
            }
        };
        push(&mut backlog, &[(3, 1), (4, 2)]);
        let count = backlog.seal(1).len();
        push(&mut backlog, &[(5, 1), (6, 2), (7, 1)]);
        let never = Timestamp::from_micros(i64::MIN);
        let stale = [2, 3, 4, 5, 6].map(|sequence| backlog.stale(sequence, never));
        assert_eq!(stale, [0, 2, 2, 4, 4]);
        assert_eq!(backlog.stale(0, Timestamp::from_micros(4)), 0, "one of two is too young");
        backlog.retreat(1, &budget);
        assert_eq!(backlog.len(), 4, "nothing of a group that is told");
        backlog.retreat(count, &budget);
        assert_eq!((backlog.len(), backlog.behind()), (2, Some(4)));
        push(&mut backlog, &[(8, 1)]);
        assert_eq!(ends(&backlog), [(3, 3, Some(3)), (4, 4, Some(3))]);
    }

    #[test]
    fn groups_are_bounded_and_end_where_something_is_told_by_itself() {
        let (budget, mut backlog) = (Budget::new(10_000_000), Backlog::default());
        let id = |number: u64| EntityId::parse(&format!("urn:y:{number}")).unwrap();
        for sequence in 1..=GROUP as u64 + 2 {
            let mut event = event(sequence, 0);
            event.change.id = id(sequence);
            backlog.push(&event, false, true, &budget);
        }
        // The first entity changes again: it is in the second group now.
        let mut again = event(GROUP as u64 + 3, 0);
        again.change.id = id(1);
        backlog.push(&again, false, true, &budget);
        assert_eq!(backlog.seal(1).len(), GROUP);
        backlog.pop(GROUP, &budget);
        assert_eq!(backlog.parcel(1).len(), 3);
        backlog.push(&event(2_000, 7), false, false, &budget);
        backlog.push(&event(2_001, 8), false, true, &budget);
        assert_eq!(backlog.parcel(1).len(), 3);
        backlog.pop(3, &budget);
        assert_eq!(ends(&backlog), [(2_000, 2_000, None), (2_001, 2_001, Some(2_001))]);
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
