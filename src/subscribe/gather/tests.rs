use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::keep::Why;
use super::*;
use crate::model::{Change, EntityId, Outcome, TenantId};
use crate::store::Topic;

/// Events of this entity are told to nobody.
const UNWANTED: u8 = 13;

fn event(sequence: u64, entity: u8) -> Event {
    let id = EntityId::parse(&format!("urn:x:{entity}")).unwrap();
    let at = Timestamp::from_micros(sequence as i64);
    let change = Change { id, at, before: None, after: None, outcome: Outcome::default() };
    Event { sequence, tenant: TenantId::DEFAULT, topic: Topic::Entity, change, bytes: 100 }
}

/// A subscription's delivery, one step at a time, with all that outlives a kill.
struct World {
    log: Vec<(Event, Verdict)>,
    budget: Budget,
    throttled: bool,
    combine: usize,
    /// What is on disk: the record, and how far the slot has come.
    kept: Kept,
    position: u64,
    /// What was sent, by the first and the last event of each notification: each entity with the
    /// first and the last event that were merged.
    sent: BTreeMap<(u64, u64), BTreeMap<String, (u64, u64)>>,
    taken: BTreeSet<(u64, u64)>,
    state: State,
    /// How far events were matched in this life.
    reach: u64,
    doing: Doing,
}

/// Where a turn is.
enum Doing {
    Nothing,
    /// A page was read: so many events after one, when matching had come so far.
    Read(u64, usize, u64),
    Recorded(Vec<Item>),
    Sent(Vec<Item>),
}

#[derive(Debug, Clone)]
enum Deed {
    Write(Vec<u8>),
    Match(usize),
    /// The turn goes a step further; what it reads is a page of so many, what it sends arrives.
    Step(usize, bool),
    /// What is to be kept is kept: perhaps not the position, since others hold it up; perhaps with
    /// a cursor.
    Flush(bool, bool),
    Kill,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        3 => vec(0..=UNWANTED, 1..16).prop_map(Deed::Write),
        4 => (1usize..20).prop_map(Deed::Match),
        12 => (1usize..70, prop::bool::weighted(0.8)).prop_map(|(n, ok)| Deed::Step(n, ok)),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(held, lags)| Deed::Flush(held, lags)),
        1 => Just(Deed::Kill),
    ];
    vec(deed, 0..300)
}

impl World {
    fn new(throttled: bool, budget: usize) -> Self {
        Self {
            log: Vec::new(),
            budget: Budget::new(budget),
            throttled,
            combine: 6,
            kept: Kept::default(),
            position: 0,
            sent: BTreeMap::new(),
            taken: BTreeSet::new(),
            state: State::default(),
            reach: 0,
            doing: Doing::Nothing,
        }
    }

    fn write(&mut self, entities: &[u8]) {
        for entity in entities {
            let event = event(self.log.len() as u64 + 1, *entity);
            let verdict = if *entity == UNWANTED { Verdict::No } else { Verdict::Yes };
            self.log.push((event, verdict));
        }
    }

    fn match_some(&mut self, count: usize) {
        for _ in 0..count {
            let Some((event, verdict)) = self.log.get(self.reach as usize) else { return };
            self.reach = event.sequence;
            if *verdict == Verdict::Yes && event.sequence > self.state.looked_up_to {
                self.state.backlog.push(event, false, self.throttled, &self.budget);
            }
        }
    }

    fn is_crowd(&self) -> bool {
        self.state.backlog.len() > self.combine / 2
    }

    fn wanted(&mut self) -> Option<Wanted> {
        if let Some(again) = self.state.again() {
            return Some(again);
        }
        if self.state.backlog.is_empty() {
            return None;
        }
        let most = match self.throttled {
            true => GROUP,
            false if self.state.is_told_alone() => 1,
            false if self.is_crowd() => self.combine,
            false => 1,
        };
        let in_hand = self.state.in_hand.is_some();
        let next = self.state.next(most);
        if !in_hand && self.state.in_hand.is_some() {
            self.state.unrecorded = most > 1 || self.state.exact;
        }
        Some(next)
    }

    fn record(&mut self, why: Why) {
        let (throttled, crowd) = (self.throttled, self.is_crowd());
        self.kept = self.state.to_keep(why, throttled, crowd, self.position);
        self.state.exact = self.kept.exact;
        self.state.kept = self.kept.behind;
        if why == Why::InHand {
            self.state.unrecorded = false;
        }
    }

    fn step(&mut self, page: usize, arrives: bool) {
        match std::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Nothing => match self.wanted() {
                None => {}
                Some(Wanted::Page(after)) => self.doing = Doing::Read(after, page, self.reach),
                Some(Wanted::Tell(items)) => {
                    if self.state.unrecorded {
                        self.record(Why::InHand);
                    }
                    self.doing = Doing::Recorded(items);
                }
            },
            Doing::Read(after, page, before) => {
                let left = self.log.iter().skip(after as usize).take(page);
                let events = left.map(|(event, verdict)| (event, *verdict)).collect();
                let reach = (before, self.reach);
                let (merge, combine) = (self.throttled, self.combine);
                assert_eq!(self.state.backlog.behind(), Some(after));
                let page = Page { after, events, reach, merge, combine };
                self.state.gather(&page, &self.budget);
            }
            Doing::Recorded(items) => {
                self.send(&items, arrives);
                match arrives {
                    true => self.doing = Doing::Sent(items),
                    false => {
                        let count = self.state.in_hand.unwrap();
                        self.state.backlog.retreat(count, &self.budget);
                    }
                }
            }
            Doing::Sent(items) => self.state.done(items.len(), &self.budget),
        }
    }

    fn send(&mut self, items: &[Item], arrives: bool) {
        let ends = super::super::turn::ends(items);
        let told =
            items.iter().map(|i| (i.entity.as_str().to_owned(), (i.first, i.last))).collect();
        let before = self.sent.insert(ends, told);
        if let Some(before) = before {
            assert_eq!(before, self.sent[&ends], "{ends:?} tells the same again");
        }
        if arrives {
            self.taken.insert(ends);
        }
    }

    fn flush(&mut self, held_up: bool, lags: bool) {
        let (kept, done) = (self.state.kept, self.state.backlog.done_up_to());
        if kept.is_some() {
            self.record(Why::Changed);
        } else if lags && done.is_some() {
            self.record(Why::Lags);
        }
        let done = self.state.backlog.done_up_to().filter(|_| self.state.kept.is_none());
        if !held_up {
            self.position = self.reach.min(done.unwrap_or(u64::MAX)).max(self.position);
        }
    }

    fn kill(&mut self) {
        self.budget = Budget::new(10_000);
        self.state = State::default();
        let now = Timestamp::from_micros(self.log.len() as i64);
        self.state.restore(&self.kept, now, &self.budget);
        self.reach = self.position;
        self.doing = Doing::Nothing;
    }

    fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Write(entities) => self.write(&entities),
            Deed::Match(count) => self.match_some(count),
            Deed::Step(page, arrives) => self.step(page, arrives),
            Deed::Flush(held_up, lags) => self.flush(held_up, lags),
            Deed::Kill => self.kill(),
        }
    }

    fn finish(&mut self) {
        for _ in 0..10_000 {
            self.match_some(7);
            self.step(64, true);
        }
        assert!(self.state.backlog.is_empty() && self.reach == self.log.len() as u64);
        assert_eq!(self.budget.used(), 0);
    }

    /// Everything after an event was told, and nothing in two ways.
    fn check(&self, after: u64) {
        let mut ids: BTreeMap<(&str, u64), BTreeSet<(u64, u64)>> = BTreeMap::new();
        for (id, told) in &self.sent {
            for (entity, (_, last)) in told {
                ids.entry((entity, *last)).or_default().insert(*id);
            }
        }
        for (value, ids) in &ids {
            assert_eq!(ids.len(), 1, "{value:?} is told as {ids:?}");
        }
        for (event, verdict) in &self.log[after as usize..] {
            let (entity, sequence) = (event.change.id.as_str(), event.sequence);
            let told = self.taken.iter().any(|id| {
                let item = self.sent[id].get(entity);
                item.is_some_and(|(first, last)| (*first..=*last).contains(&sequence))
            });
            assert_eq!(told, *verdict == Verdict::Yes, "{sequence} of {entity}");
        }
        if !self.throttled {
            let count = self.sent.values().flat_map(BTreeMap::values);
            assert!(count.into_iter().all(|(first, last)| first == last));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_everything_is_told_and_nothing_in_two_ways(
        deeds in deeds(), throttled: bool, budget in 0usize..20_000,
    ) {
        let mut world = World::new(throttled, budget);
        deeds.into_iter().for_each(|deed| world.act(deed));
        world.finish();
        world.check(0);
    }
}

/// A world whose log is there already, in a life that begins with what is kept.
fn after_a_kill(entities: impl Iterator<Item = u8>, kept: Kept, position: u64) -> World {
    let mut world = World::new(true, 100_000);
    world.write(&entities.collect::<Vec<_>>());
    (world.kept, world.position) = (kept, position);
    world.kill();
    world
}

fn sealed(behind: u64, first: u64, last: u64) -> Kept {
    let sealed = Some(Sealed { first, last, merged: Some(true) });
    Kept { behind: Some(behind), sealed, exact: true, ..Kept::default() }
}

fn until_it_tells(world: &mut World, page: usize) -> Vec<(u64, u64)> {
    for _ in 0..1_000 {
        if let Doing::Recorded(items) = &world.doing {
            return items.iter().map(|item| (item.first, item.last)).collect();
        }
        world.step(page, true);
    }
    panic!("it tells nothing");
}

#[test]
fn what_is_gathered_again_ends_where_it_ended_though_matching_has_not_come_so_far() {
    // Matching begins at 3, the notification has what is between 11 and 90, a page is 20 or 64.
    for page in [1, 20, 64, 500] {
        let entities = (0..200u8).map(|number| number % 13);
        let mut world = after_a_kill(entities, sealed(10, 11, 90), 3);
        world.match_some(30);
        let told = until_it_tells(&mut world, page);
        assert_eq!(told.len(), 13, "pages of {page}");
        assert_eq!((told[0], told[12]), ((11, 89), (23, 88)), "pages of {page}");
        // What was matched meanwhile begins anew, and is merged as ever.
        world.match_some(100);
        world.step(page, true);
        world.step(page, true);
        let told = until_it_tells(&mut world, page);
        assert_eq!((told.len(), told[0].0), (13, 91), "pages of {page}");
        world.finish();
        world.check(10);
    }
}

#[test]
fn what_was_merged_is_gathered_so_though_the_subscription_is_no_longer_throttled() {
    let mut world = after_a_kill((0..60).map(|n| n % 3), sealed(4, 5, 16), 60);
    world.throttled = false;
    assert_eq!(until_it_tells(&mut world, 7), [(5, 14), (6, 15), (7, 16)]);
    world.step(7, true);
    world.step(7, true);
    // What comes after it is not merged any more, though it may be told together.
    assert_eq!(until_it_tells(&mut world, 64), [(17, 17), (18, 18), (19, 19)]);
}

#[test]
fn what_is_no_longer_in_the_log_is_not_waited_for() {
    let mut world = after_a_kill((0..4).map(|_| UNWANTED), sealed(2, 3, 40), 2);
    for _ in 0..10 {
        world.match_some(1);
        world.step(64, true);
    }
    assert!(world.state.backlog.is_empty() && world.state.resealed.is_none());
    world.write(&[1]);
    assert_eq!(world.state.looked_up_to, 40, "a log does not begin anew");
}

#[test]
fn who_is_throttled_and_behind_reads_on_before_it_is_told() {
    let kept = Kept { behind: Some(0), exact: true, ..Kept::default() };
    let mut world = after_a_kill((0..200).map(|n| n % 5), kept, 200);
    let told = until_it_tells(&mut world, 64);
    assert_eq!(told, [(1, 196), (2, 197), (3, 198), (4, 199), (5, 200)]);
}

#[test]
fn what_is_told_in_parts_stays_in_hand_until_all_of_it_is_done() {
    let mut world = World::new(true, 100_000);
    world.write(&[1, 2, 3, 1, 2, 3]);
    world.match_some(6);
    let told = until_it_tells(&mut world, 64);
    assert_eq!(told, [(1, 4), (2, 5), (3, 6)]);
    world.state.done(2, &world.budget);
    assert_eq!((world.state.in_hand, world.state.backlog.done_up_to()), (Some(1), Some(0)));
    world.write(&[1]);
    world.match_some(1);
    let Wanted::Tell(items) = world.state.next(GROUP) else { panic!() };
    assert_eq!(items.iter().map(|item| item.last).collect::<Vec<_>>(), [6]);
    let range = |kept: Kept| kept.sealed.map(|sealed| (kept.behind, sealed.first, sealed.last));
    let kept = world.state.to_keep(Why::Changed, true, false, 0);
    assert_eq!(range(kept), Some((Some(0), 1, 6)));
    world.state.done(1, &world.budget);
    assert_eq!((world.state.in_hand, world.state.backlog.done_up_to()), (None, Some(6)));
}

#[test]
fn what_was_let_go_of_after_a_failure_comes_though_it_was_looked_at_before() {
    let kept = Kept { behind: Some(0), exact: true, ..Kept::default() };
    let mut world = after_a_kill((0..30).map(|n| n % 10), kept, 0);
    world.throttled = false;
    // Twenty are read, the first of them fail, and the others are let go of.
    until_it_tells(&mut world, 20);
    world.step(20, false);
    assert_eq!((world.state.looked_up_to, world.state.backlog.behind()), (20, Some(6)));
    for _ in 0..4 {
        world.step(3, true);
    }
    world.step(3, true);
    // Matching has not come so far, so what follows will be matched.
    assert_eq!((world.state.looked_up_to, world.state.backlog.behind()), (9, None));
    world.finish();
    world.check(0);
}
