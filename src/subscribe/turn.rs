//! One turn of a subscription: it is told what waits for it, in order, until nothing does, its
//! receiver fails, or others have waited long enough.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::backlog::{FREE, GROUP, Item};
use super::entry::{Entry, State, Trouble, What, notification_id};
use super::gather::{Page, Wanted};
use super::matching::{Happened, Verdict};
use super::tell::Gathered;
use super::{Inner, Met, Rest};
use crate::egress::{Message, SendError};
use crate::model::Timestamp;
use crate::represent::subscription::Status;
use crate::store::StoreError;

/// How many notifications a turn sends at most, and how long it goes on.
const MOST: usize = 16;
const LONG: Duration = Duration::from_millis(100);

/// An answer that takes longer is slow.
const SLOW: Duration = Duration::from_secs(1);

/// How long to wait when the store does not answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What a turn does next.
enum Step {
    Rest(Rest),
    /// Read the log after this event.
    Reread(u64),
    /// Make dead letters of these items.
    Bury(Vec<Item>, String),
    /// Try a dead letter once more.
    Replay(String),
    /// A time interval has passed.
    Tick(Timestamp),
    /// All registrations that there are are to be told of.
    Begin(Timestamp),
    Tell(Vec<Item>),
}

impl From<Wanted> for Step {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Page(after) => Self::Reread(after),
            Wanted::Tell(items) => Self::Tell(items),
        }
    }
}

/// How telling went: what the receiver did, and whether to go on.
pub(super) enum Went {
    On(Met),
    Wait(Met, Instant),
}

impl Inner {
    /// Gives a subscription a turn.
    pub(super) async fn turn(&self, entry: &Arc<Entry>) -> (Met, Rest) {
        let begun = Instant::now();
        let mut met = Met::Nobody;
        for _ in 0..MOST {
            if self.closing.load(Ordering::Acquire) {
                return (met, Rest::Until(Instant::now() + STORE_PAUSE));
            }
            let what = entry.what.load_full();
            let step = match self.step(entry, &what) {
                Step::Rest(rest) => return (met, rest),
                step => step,
            };
            // Pinned where it is: it is large, and would be copied otherwise.
            let taken = pin!(self.take(entry, &what, step));
            let done = AssertUnwindSafe(taken).catch_unwind().await;
            let went = match done {
                Ok(Ok(went)) => went,
                Ok(Err(error)) => {
                    tracing::warn!(subscription = %entry.id, %error, "the store fails; waiting");
                    return (met, Rest::Until(Instant::now() + STORE_PAUSE));
                }
                Err(_) => self.stumbled(entry),
            };
            match went {
                Went::On(Met::Nobody) => {}
                Went::On(now) => met = now,
                Went::Wait(Met::Nobody, at) => return (met, Rest::Until(at)),
                Went::Wait(now, at) => return (now, Rest::Until(at)),
            }
            if begun.elapsed() > LONG {
                break;
            }
        }
        (met, Rest::More)
    }

    async fn take(
        &self,
        entry: &Arc<Entry>,
        what: &Arc<What>,
        step: Step,
    ) -> Result<Went, StoreError> {
        match step {
            Step::Rest(_) => Ok(Went::On(Met::Nobody)),
            Step::Reread(after) => self.reread(entry, what, after).await,
            Step::Bury(items, why) => self.bury(entry, what, items, &why).await,
            Step::Replay(key) => self.replay(entry, what, &key).await,
            Step::Tick(at) if what.subscription.about_sources.is_some() => {
                self.tell_all_sources(entry, what, at).await
            }
            Step::Tick(at) => self.tell_all(entry, what, at).await,
            Step::Begin(version) => self.tell_beginning(entry, what, version).await,
            Step::Tell(items) => {
                let unrecorded = || entry.state.lock().unrecorded;
                if unrecorded() {
                    self.record(entry).await?;
                    // It is another broker's by now.
                    if unrecorded() {
                        return Ok(Went::On(Met::Nobody));
                    }
                }
                self.tell(entry, what, items).await
            }
        }
    }

    /// What is to be done next for a subscription.
    fn step(&self, entry: &Arc<Entry>, what: &What) -> Step {
        let mut state = entry.state.lock();
        let (now, clock) = (Instant::now(), Timestamp::now());
        let active = what.subscription.status(clock) == Status::Active;
        if state.awaiting {
            return Step::Rest(Rest::Until(now + STORE_PAUSE));
        }
        if state.gone || !active || !self.slots.is_held(entry.slot) {
            self.give_up(entry, &mut state);
        }
        if let Some(key) = state.replays.pop_front() {
            return Step::Replay(key);
        }
        if let Some(at) = state.not_before.filter(|at| *at > now) {
            return Step::Rest(Rest::Until(at));
        }
        if let Some(version) = state.beginning {
            return Step::Begin(version);
        }
        if let Some(at) = state.tick {
            return Step::Tick(at);
        }
        if let Some(again) = state.again() {
            return again.into();
        }
        if state.backlog.is_empty() {
            return Step::Rest(self.rest(entry, &mut state));
        }
        if let Some(bury) = self.stale(&mut state, clock) {
            return bury;
        }
        let throttling = what.subscription.throttling();
        if let (None, Some(gap), Some(last)) =
            (&state.trouble, throttling, state.report.last_notification)
        {
            let passed = clock.micros().saturating_sub(last.micros()).max(0) as u64;
            let left = gap.saturating_sub(Duration::from_micros(passed));
            if !left.is_zero() {
                return Step::Rest(Rest::Until(now + left));
            }
        }
        let most = match throttling {
            None if state.is_told_alone() => 1,
            None if self.is_crowd(state.backlog.len()) => self.settings.combine.max(1),
            None => 1,
            Some(_) => GROUP,
        };
        let in_hand = state.in_hand.is_some();
        let next = state.next(most);
        if !in_hand && state.in_hand.is_some() {
            // Single changes are told as such after a kill unless the record knows better.
            let merged = state.sealed.and_then(|sealed| sealed.merged).unwrap_or_default();
            state.unrecorded = most > 1 || merged || state.exact;
        }
        next.into()
    }

    /// Whether so many changes wait that several go into one notification. Each such notification is
    /// first written down, which is only worth while if there is much in it.
    pub(super) fn is_crowd(&self, waiting: usize) -> bool {
        waiting > self.settings.combine / 2
    }

    /// What has waited for too long, while its receiver failed all the time.
    fn stale(&self, state: &mut State, clock: Timestamp) -> Option<Step> {
        let shed = self.shed.load(Ordering::Relaxed);
        let patience = self.settings.retry_for.as_micros().min(i64::MAX as u128) as i64;
        let oldest = clock.plus_micros(patience.saturating_neg());
        let trouble = state.trouble.as_ref().filter(|trouble| trouble.since <= oldest);
        let before = trouble.map_or(Timestamp::from_micros(i64::MIN / 16), |_| oldest);
        let stale = state.backlog.stale(shed, before);
        // What was tried together is given up together.
        if stale < state.in_hand.unwrap_or(1) {
            return None;
        }
        let why = match trouble {
            Some(trouble) => trouble.why.clone(),
            None => "the log of undelivered changes was full (notify.log)".to_owned(),
        };
        let items = match state.in_hand {
            Some(count) => state.backlog.front(count),
            None => state.seal(stale.min(self.settings.combine.max(1))),
        };
        Some(Step::Bury(items, why))
    }

    /// Nothing waits any more.
    fn rest(&self, entry: &Arc<Entry>, state: &mut State) -> Rest {
        state.busy = false;
        state.waiting_since = None;
        self.active.remove(entry);
        if state.kept.is_some() {
            self.soil(entry, state);
        }
        Rest::Idle
    }

    /// The subscription is paused, over or gone, or another broker's: it is told nothing.
    fn give_up(&self, entry: &Arc<Entry>, state: &mut State) {
        let held = self.slots.is_held(entry.slot);
        state.backlog.clear(&self.budget);
        state.replays.clear();
        state.tick = None;
        state.beginning = None;
        state.let_go();
        state.resealed = None;
        state.trouble = None;
        state.not_before = None;
        if !held {
            state.kept = None;
            state.dirty = false;
        }
    }

    /// What waits for a subscription changed in a way that is to be kept.
    pub(super) fn soil(&self, entry: &Arc<Entry>, state: &mut State) {
        if !state.dirty && !state.gone {
            state.dirty = true;
            self.dirty.lock().push(entry.clone());
        }
    }

    /// Reads on in the log for a subscription that is behind.
    async fn reread(
        &self,
        entry: &Arc<Entry>,
        what: &What,
        after: u64,
    ) -> Result<Went, StoreError> {
        // Whatever was matched before the log is read is in the log.
        let reach = self.reach.load(Ordering::SeqCst);
        let page = self.store.events(after, FREE).await?;
        let merge = what.subscription.throttling().is_some();
        let mut events = Vec::with_capacity(page.len());
        for event in &page {
            let verdict = match event.tenant == entry.tenant {
                true => Happened::of(event).judge(&what.subscription),
                false => Verdict::No,
            };
            events.push((event, verdict));
        }
        let mut state = entry.state.lock();
        if state.backlog.behind() != Some(after) {
            return Ok(Went::On(Met::Nobody));
        }
        let reach = (reach, self.reach.load(Ordering::SeqCst));
        let combine = self.settings.combine;
        state.gather(&Page { after, events, reach, merge, combine }, &self.budget);
        self.soil(entry, &mut state);
        Ok(Went::On(Met::Nobody))
    }

    /// Tells a subscription some changes.
    async fn tell(
        &self,
        entry: &Arc<Entry>,
        what: &What,
        items: Vec<Item>,
    ) -> Result<Went, StoreError> {
        if what.subscription.about_sources.is_some() {
            return self.tell_of_sources(entry, what, items).await;
        }
        let Gathered { told, count, unclear } = self.told(entry, what, &items).await?;
        let (first, last) = ends(&items[..count]);
        if let Some(why) = unclear {
            // It is said rather than left out: its status shows it, and a dead letter has it.
            self.failed(entry, what, &SendError::Refused(why.clone()));
            entry.state.lock().not_before = None;
            return self.bury(entry, what, items.into_iter().take(count).collect(), &why).await;
        }
        let id = notification_id(entry, first, last);
        let message = self.render(entry, what, &told, &id, Timestamp::now()).await?;
        let Some(message) = message else {
            self.done(entry, count);
            return Ok(Went::On(Met::Nobody));
        };
        let begun = Instant::now();
        match self.send(entry, what, Some(last), &message).await {
            Ok(()) => {
                self.done(entry, count);
                Ok(Went::On(self.succeeded(entry, begun)))
            }
            Err(error) if error.is_permanent() => {
                self.failed(entry, what, &error);
                let items = items.into_iter().take(count).collect();
                self.bury(entry, what, items, &error.to_string()).await?;
                Ok(Went::On(met(&error)))
            }
            Err(error) => {
                let at = self.failed(entry, what, &error);
                Ok(Went::Wait(met(&error), at))
            }
        }
    }

    /// Sends a message to the receiver, and to whoever listens; what is tried again of the log is
    /// nothing new to these.
    pub(super) async fn send(
        &self,
        entry: &Entry,
        what: &What,
        sequence: Option<u64>,
        message: &Message,
    ) -> Result<(), SendError> {
        if self.listeners.wants(&entry.tenant, &entry.id) {
            match sequence.is_some() && entry.keeps_listeners_waiting() {
                true => self.listeners.skip(&entry.tenant, &entry.id),
                false => {
                    self.listeners.tell(&entry.tenant, &entry.id, sequence, &message.body);
                }
            }
        }
        self.deliver(what, message).await
    }

    /// Sends a message to the receiver.
    pub(super) async fn deliver(&self, what: &What, message: &Message) -> Result<(), SendError> {
        if what.target.is_stream() {
            return Ok(());
        }
        self.courier.send(&what.target, message).await
    }

    /// The first items are told.
    pub(super) fn done(&self, entry: &Arc<Entry>, count: usize) {
        let mut state = entry.state.lock();
        state.done(count, &self.budget);
        if state.kept.is_some() {
            self.soil(entry, &mut state);
        }
    }

    /// A notification reached its receiver.
    pub(super) fn succeeded(&self, entry: &Arc<Entry>, begun: Instant) -> Met {
        self.tallies.of(&entry.tenant).delivered.fetch_add(1, Ordering::Relaxed);
        let mut state = entry.state.lock();
        state.report.succeeded(Timestamp::now());
        state.trouble = None;
        state.not_before = None;
        self.soil(entry, &mut state);
        if begun.elapsed() > SLOW { Met::Slow } else { Met::Quick }
    }

    /// A notification did not reach its receiver; when to try again.
    pub(super) fn failed(&self, entry: &Arc<Entry>, what: &What, error: &SendError) -> Instant {
        let (now, clock) = (Instant::now(), Timestamp::now());
        let mut state = entry.state.lock();
        let busy = *error == SendError::Busy;
        if !busy {
            state.report.failed(clock);
            if !error.is_permanent() {
                self.tallies.of(&entry.tenant).retried.fetch_add(1, Ordering::Relaxed);
            }
        }
        let trouble = state.trouble.get_or_insert_with(|| Trouble {
            since: clock,
            attempts: 0,
            why: String::new(),
            status: None,
        });
        trouble.attempts += 1;
        trouble.why = error.to_string();
        trouble.status = match error {
            SendError::Answered { status, .. } => Some(*status),
            _ => None,
        };
        let attempts = trouble.attempts;
        // Who is away is left alone for all its subscriptions together.
        let own = match met(error) {
            Met::Away => Duration::ZERO,
            _ => self.pauses.after(attempts, &entry.id),
        };
        let wanted = error.retry_after().unwrap_or_default().min(self.settings.retry_for);
        let cooldown = what.subscription.notification.endpoint.cooldown.unwrap_or_default();
        let cooldown = if busy { Duration::ZERO } else { cooldown };
        let at = now + own.max(wanted).max(cooldown);
        state.not_before = Some(at);
        let count = state.in_hand.unwrap_or(1);
        state.backlog.retreat(count, &self.budget);
        self.soil(entry, &mut state);
        at
    }

    /// What was being done for a subscription broke; it goes on without it.
    fn stumbled(&self, entry: &Arc<Entry>) -> Went {
        tracing::error!(
            subscription = %entry.id,
            "telling a subscription panicked; what was to be told is left out"
        );
        let mut state = entry.state.lock();
        state.tick = None;
        let count = state.in_hand.unwrap_or(1);
        state.let_go();
        state.backlog.pop(count, &self.budget);
        Went::Wait(Met::Nobody, Instant::now() + STORE_PAUSE)
    }
}

/// The first and the last event of some items.
pub(super) fn ends(items: &[Item]) -> (u64, u64) {
    let first = items.first().map_or(0, |item| item.first);
    (first, items.iter().map(|item| item.last).max().unwrap_or(first))
}

/// What an error says of the receiver.
pub(super) fn met(error: &SendError) -> Met {
    match error {
        SendError::Refused(_) | SendError::Busy => Met::Nobody,
        SendError::Answered { .. } => Met::Slow,
        SendError::Unreachable(_) | SendError::TimedOut(_) => Met::Away,
    }
}
