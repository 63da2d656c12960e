//! Following the log: each event is matched once, in order, and goes to the backlogs of the
//! subscriptions that are to be told.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Inner;
use super::entry::Entry;
use super::matching::{Happened, Verdict};
use crate::model::{Change, TenantId};
use crate::store::{Event, StoreError, Topic, Watch};

/// How many committed events wait in memory to be matched; more are read from the log.
const MOST: usize = 8_192;
const MOST_BYTES: usize = 16 << 20;

/// How many events are read from the log at once.
pub(super) const PAGE: usize = 256;

/// After how many events others get a turn.
const TURN: usize = 64;

/// How often the log is looked at unasked: another broker may have written to it.
const LOOK_SHARED: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_secs(5);

/// Events on their way from the store to the follower.
#[derive(Default)]
pub(super) struct Incoming {
    waiting: Mutex<Waiting>,
    come: Notify,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    bytes: usize,
    /// Some did not fit: they are in the log.
    missed: bool,
}

impl Incoming {
    fn add(&self, events: Vec<Event>) {
        let mut waiting = self.waiting.lock();
        for event in events {
            if waiting.missed || waiting.events.len() >= MOST || waiting.bytes >= MOST_BYTES {
                waiting.missed = true;
                break;
            }
            waiting.bytes += event.bytes;
            waiting.events.push_back(event);
        }
        drop(waiting);
        self.come.notify_one();
    }

    fn take(&self) -> (VecDeque<Event>, bool) {
        let mut waiting = self.waiting.lock();
        waiting.bytes = 0;
        let missed = std::mem::take(&mut waiting.missed);
        (std::mem::take(&mut waiting.events), missed)
    }

    /// Lets the follower look at the log.
    pub fn look(&self) {
        self.waiting.lock().missed = true;
        self.come.notify_one();
    }
}

/// What a store asks; it does not keep the rest alive, which keeps the store.
pub(super) struct Watcher(pub Weak<Inner>);

impl Watch for Watcher {
    fn wants(&self, tenant: &TenantId, change: &Change) -> bool {
        self.0.upgrade().is_some_and(|inner| {
            inner.register.wants(tenant, change)
                || inner.beside.get().is_some_and(|beside| beside.wants(tenant, change))
                || !inner.knowledge.is_complete()
        })
    }

    fn wants_past(&self, tenant: &TenantId, change: &Change) -> bool {
        self.0.upgrade().is_some_and(|inner| {
            inner.beside.get().is_some_and(|beside| beside.wants_past(tenant, change))
        })
    }

    fn committed(&self, events: Vec<Event>) {
        if let Some(inner) = self.0.upgrade() {
            if let Some(beside) = inner.beside.get() {
                beside.committed(events.clone());
            }
            inner.incoming.add(events);
        }
    }
}

impl Inner {
    /// Follows the log until the end.
    pub(super) async fn follow(self: Arc<Self>) {
        let look = if self.store.is_shared() { LOOK_SHARED } else { LOOK };
        let first = [self.slots.next(), self.knowledge.first_unknown()];
        let mut next = first.into_iter().flatten().min().unwrap_or(1);
        let (mut missed, mut looked) = (true, Instant::now());
        while !self.closing.load(Ordering::Acquire) {
            if let Some(back) = self.slots.join(next) {
                next = back;
                missed = true;
            }
            let (events, overflow) = self.incoming.take();
            // However much is written here, others write, too.
            missed |= overflow || looked.elapsed() >= look;
            if missed {
                looked = Instant::now();
            }
            let followed = self.follow_some(events, missed, &mut next).await;
            missed = false;
            if let Err(error) = followed {
                tracing::warn!(%error, "the log of events cannot be read; trying again");
                missed = true;
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            self.caught_up.notify_waiters();
            if tokio::time::timeout(look, self.incoming.come.notified()).await.is_err() {
                missed = true;
            }
        }
    }

    async fn follow_some(
        &self,
        events: VecDeque<Event>,
        missed: bool,
        next: &mut u64,
    ) -> Result<(), StoreError> {
        let mut found = Vec::new();
        for (number, event) in events.into_iter().enumerate() {
            if event.sequence > *next {
                self.follow_log(next, event.sequence, &mut found).await?;
            }
            // Whoever is to go back meets the rest on the way.
            if self.slots.is_rewound() {
                return Ok(());
            }
            if event.sequence == *next {
                self.meet(&Arc::new(event), &mut found).await?;
                *next += 1;
            }
            if number % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        if missed {
            self.follow_log(next, u64::MAX, &mut found).await?;
        }
        self.met(*next - 1).await;
        Ok(())
    }

    /// Matches what the log has, up to a sequence or to its end.
    async fn follow_log(
        &self,
        next: &mut u64,
        up_to: u64,
        found: &mut Vec<Arc<Entry>>,
    ) -> Result<(), StoreError> {
        loop {
            let asked = Instant::now();
            let page = self.store.events(*next - 1, PAGE).await?;
            let Some(first) = page.first().filter(|_| !self.closing.load(Ordering::Acquire)) else {
                self.knowledge.asked(asked);
                return Ok(());
            };
            if first.sequence > *next {
                self.renew_all().await?;
            }
            for event in page {
                let sequence = event.sequence;
                self.meet(&Arc::new(event), found).await?;
                *next = sequence + 1;
            }
            self.met(*next - 1).await;
            tokio::task::yield_now().await;
            if *next >= up_to || self.slots.is_rewound() {
                return Ok(());
            }
        }
    }

    /// Takes an event in: what it says of subscriptions holds before anything after it is matched.
    async fn meet(
        &self,
        event: &Arc<Event>,
        found: &mut Vec<Arc<Entry>>,
    ) -> Result<(), StoreError> {
        if event.topic == Topic::Subscription {
            self.renew(event).await?;
        }
        self.match_event(event, found);
        Ok(())
    }

    fn match_event(&self, event: &Arc<Event>, found: &mut Vec<Arc<Entry>>) {
        // Who reads the log again must know before anyone is passed over that there is more.
        self.reach.fetch_max(event.sequence, Ordering::SeqCst);
        self.sizes.add(event.sequence, event.bytes);
        match &event.topic {
            Topic::Entity => self.register.candidates(&event.tenant, &event.change, found),
            Topic::Registration => self.register.about_sources(&event.tenant, found),
            Topic::Subscription => found.clear(),
            Topic::Told(subscription) => {
                found.clear();
                found.extend(self.register.get(&event.tenant, subscription));
            }
        }
        if !found.is_empty() {
            let happened = Happened::of(event);
            let waits = |entry: &&Arc<Entry>| self.slots.wants(entry.slot, event.sequence);
            for entry in found.iter().filter(waits) {
                let what = entry.what.load();
                let verdict = happened.judge(&what.subscription);
                if verdict != Verdict::No {
                    self.push(entry, event, verdict, what.subscription.throttling().is_some());
                }
            }
            found.clear();
        }
        self.slots.passed(event.sequence);
    }

    fn push(&self, entry: &Arc<Entry>, event: &Event, verdict: Verdict, merge: bool) {
        let mut state = entry.state.lock();
        if state.gone || event.sequence <= state.looked_up_to {
            return;
        }
        state.backlog.push(event, verdict == Verdict::Ask, merge, &self.budget);
        self.engage(entry, &mut state);
    }

    /// Lets a subscription that something waits for have a turn, unless it is about to.
    pub(super) fn engage(&self, entry: &Arc<Entry>, state: &mut super::entry::State) {
        if state.busy {
            return;
        }
        state.busy = true;
        state.waiting_since.get_or_insert_with(Instant::now);
        self.active.add(entry);
        let receiver = entry.what.load().receiver.clone();
        let next = self.lanes.ready(&receiver, entry.clone(), Instant::now());
        self.begin(next);
    }
}
