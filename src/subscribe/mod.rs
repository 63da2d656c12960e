//! Subscriptions: who wants to be told of a change, and telling them until they know (5.8.6).
//!
//! ```text
//! store      commits a change and, if someone may want it, an event, in one step
//! follow     takes each event once, in order, finds who is to be told, files it in backlogs
//! lanes      let the subscriptions of each receiver take turns
//! turn       tells one subscription what waits for it, in order, until it is done or fails
//! keep       remembers on disk how far everyone has come, and trims the log
//! knowledge  where brokers share a store: none of them passes over another's subscriptions
//! ```
//!
//! Nothing here is in the way of a write: a store asks [`Watch::wants`](crate::store::Watch::wants)
//! which changes it shall keep, and that is all. What is in memory is bounded: what does not fit is
//! read from the log again when its turn comes.

mod backlog;
mod dead;
mod entry;
mod follow;
mod gather;
mod index;
mod interval;
mod keep;
mod knowledge;
mod lanes;
mod listen;
mod matching;
mod numbers;
mod pause;
mod record;
mod register;
mod resume;
mod slots;
mod sources;
mod tell;
#[cfg(test)]
mod tests;
mod timer;
mod turn;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Notify;

pub use dead::{DeadLetter, Pick};
pub use knowledge::Keeper;
pub use numbers::{Counts, Overview};
pub use resume::Resumed;
pub use sources::REGISTRATIONS;

use self::backlog::Budget;
use self::entry::{Entry, What};
use self::follow::{Incoming, Watcher};
use self::keep::{Active, Sizes};
use self::knowledge::Knowledge;
use self::lanes::{Lane, Lanes, Met, Next};
use self::numbers::Tallies;
use self::pause::Pauses;
use self::record::{Kept, deliveries};
use self::register::Register;
use self::slots::Slots;
use self::timer::Timer;
use crate::config::Notify as Settings;
use crate::egress::{Courier, Hub, TargetError};
use crate::model::{Stored, SubscriptionId, TenantId, Timestamp};
use crate::represent::subscription::{DeliveryReport, Subscription};
use crate::store::{Store, StoreError, Watch};

/// Those who listen to the notifications of subscriptions while they are sent.
pub trait Listeners: Send + Sync {
    /// Whether anyone may listen to a subscription. Must be quick.
    fn wants(&self, tenant: &TenantId, subscription: &SubscriptionId) -> bool;

    /// A notification, as its receiver gets it. `sequence` is that of the last change in it, if it
    /// is one of changes in the log.
    fn tell(
        &self,
        tenant: &TenantId,
        subscription: &SubscriptionId,
        sequence: Option<u64>,
        body: &Bytes,
    );

    /// Changes are not told that belong between those that were and those that will be.
    fn skip(&self, _: &TenantId, _: &SubscriptionId) {}

    /// A subscription is no more.
    fn end(&self, _: &TenantId, _: &SubscriptionId) {}
}

/// Where entities lie beside the store: at sources that registered themselves.
pub trait Elsewhere: Send + Sync {
    /// All entities that a subscription is about, here and elsewhere; None if they are all here.
    fn entities<'a>(
        &'a self,
        tenant: &'a TenantId,
        subscription: &'a Subscription,
    ) -> BoxFuture<'a, Option<Vec<Arc<Stored>>>>;
}

/// Nobody listens.
#[derive(Debug, Clone, Copy)]
pub struct NoListeners;

impl Listeners for NoListeners {
    fn wants(&self, _: &TenantId, _: &SubscriptionId) -> bool {
        false
    }

    fn tell(&self, _: &TenantId, _: &SubscriptionId, _: Option<u64>, _: &Bytes) {}
}

impl Listeners for Hub {
    fn wants(&self, tenant: &TenantId, subscription: &SubscriptionId) -> bool {
        Hub::wants(self, tenant, subscription)
    }

    fn tell(
        &self,
        tenant: &TenantId,
        subscription: &SubscriptionId,
        sequence: Option<u64>,
        body: &Bytes,
    ) {
        Hub::tell(self, tenant, subscription, sequence, body);
    }

    fn skip(&self, tenant: &TenantId, subscription: &SubscriptionId) {
        Hub::skip(self, tenant, subscription);
    }

    fn end(&self, tenant: &TenantId, subscription: &SubscriptionId) {
        Hub::end(self, tenant, subscription);
    }
}

/// Why a subscription is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// Its endpoint cannot be used.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The rules of where the broker may send forbid its endpoint; which of them is said.
    #[error("$.notification.endpoint.uri: {0}")]
    Forbidden(String),
    /// One about something else has the id.
    #[error("{0} is a subscription already, about something else")]
    Taken(SubscriptionId),
    /// The tenant has as many as it may have.
    #[error("a tenant may have {0} subscriptions (notify.subscriptions)")]
    TooMany(usize),
}

/// Tells subscriptions what they asked for.
pub struct Notifier {
    inner: Arc<Inner>,
    runtime: Mutex<Option<Runtime>>,
}

/// What the tasks share.
struct Inner {
    me: Weak<Inner>,
    settings: Settings,
    store: Arc<dyn Store>,
    courier: Arc<dyn Courier>,
    listeners: Arc<dyn Listeners>,
    register: Register,
    /// Someone else who follows the same log.
    beside: OnceLock<Arc<dyn Watch>>,
    elsewhere: OnceLock<Weak<dyn Elsewhere>>,
    incoming: Incoming,
    /// The last event that was matched, or is being matched.
    reach: AtomicU64,
    /// Told whenever everything that was committed has been matched.
    caught_up: Notify,
    slots: Slots,
    knowledge: Knowledge,
    lanes: Lanes<Arc<Entry>>,
    pauses: Pauses,
    budget: Budget,
    timer: Timer<Due>,
    /// Subscriptions that something waits for.
    active: Active,
    dirty: Mutex<Vec<Arc<Entry>>>,
    flushing: tokio::sync::Mutex<()>,
    sizes: Sizes,
    /// What waits up to this event becomes dead letters.
    shed: AtomicU64,
    trimmed: AtomicU64,
    dead: dead::Kept,
    tallies: Tallies,
    handle: OnceLock<Handle>,
    closing: AtomicBool,
}

/// What is set for later.
enum Due {
    /// A subscription tries again, unless it was given another generation.
    Turn(Arc<Entry>, u64),
    /// A time interval has passed.
    Tick(Arc<Entry>, u64),
    /// A receiver is no longer left alone.
    Receiver(Arc<str>),
}

/// What a subscription does after a turn.
enum Rest {
    /// Nothing waits for it.
    Idle,
    /// It wants another turn.
    More,
    /// Nothing can be done before this time.
    Until(Instant),
}

impl Notifier {
    /// Notifications of what changes in a store, carried by a courier. From now on the store keeps
    /// what someone wants to be told of; nothing is told before [`Notifier::start`].
    pub fn new(
        store: Arc<dyn Store>,
        courier: Arc<dyn Courier>,
        listeners: Arc<dyn Listeners>,
        settings: Settings,
    ) -> Self {
        let pauses = Pauses { first: settings.retry_first, last: settings.retry_last };
        let inner = Arc::new_cyclic(|me: &Weak<Inner>| Inner {
            me: me.clone(),
            slots: Slots::new(store.is_shared()),
            knowledge: Knowledge::new(store.is_shared()),
            lanes: Lanes::new(settings.in_flight.max(2), settings.per_receiver, pauses),
            budget: Budget::new(settings.queue.bytes()),
            pauses,
            store,
            courier,
            listeners,
            settings,
            register: Register::default(),
            beside: OnceLock::new(),
            elsewhere: OnceLock::new(),
            incoming: Incoming::default(),
            reach: AtomicU64::new(0),
            caught_up: Notify::new(),
            timer: Timer::default(),
            active: Active::default(),
            dirty: Mutex::default(),
            flushing: tokio::sync::Mutex::default(),
            sizes: Sizes::default(),
            shed: AtomicU64::new(0),
            trimmed: AtomicU64::new(0),
            dead: dead::Kept::default(),
            tallies: Tallies::default(),
            handle: OnceLock::new(),
            closing: AtomicBool::new(false),
        });
        inner.store.watch(Arc::new(Watcher(Arc::downgrade(&inner))));
        Self { inner, runtime: Mutex::new(None) }
    }

    /// Begins to tell, with the subscriptions that were put so far; what was not told before the
    /// last end is told first.
    ///
    /// # Errors
    /// If the store cannot be read, or no threads can be started.
    pub async fn start(&self) -> Result<(), StoreError> {
        let threads = match self.inner.settings.threads {
            0 => std::thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2)),
            some => some,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("lanna-notify")
            .enable_all()
            .build()
            .map_err(|error| StoreError::Unusable(format!("cannot start threads: {error}")))?;
        let _ = self.inner.handle.set(runtime.handle().clone());
        *self.runtime.lock() = Some(runtime);
        self.inner.claim_slots().await?;
        for task in [Task::Follow, Task::Wake, Task::Keep, Task::Lease] {
            self.inner.spawn(task);
        }
        Ok(())
    }

    /// From now on `watch` is asked and told too: a store has one watch, and this one shares it.
    /// How far it has come is kept on the shelf [`READERS`](crate::store::READERS). To be called
    /// once, before anything is written; a later call has no effect.
    pub fn beside(&self, watch: Arc<dyn Watch>) {
        let _ = self.inner.beside.set(watch);
    }

    /// From now on subscriptions that tell by the clock are about what lies elsewhere, too. A later
    /// call has no effect.
    pub fn look_elsewhere(&self, elsewhere: Weak<dyn Elsewhere>) {
        let _ = self.inner.elsewhere.set(elsewhere);
    }

    /// Takes a subscription as it is from now on, whether it was known or not. What waits for it
    /// is told under its new terms.
    ///
    /// # Errors
    /// If its endpoint cannot be used.
    pub fn put(
        &self,
        tenant: &TenantId,
        subscription: Arc<Subscription>,
    ) -> Result<(), SubscribeError> {
        let inner = &self.inner;
        let what = What::new(subscription)?;
        let id = what.subscription.id.clone();
        let about_sources = what.subscription.about_sources.is_some();
        let mut known = inner.register.get(tenant, &id);
        if known.is_none() {
            if inner.register.count(tenant) >= inner.settings.subscriptions {
                return Err(SubscribeError::TooMany(inner.settings.subscriptions));
            }
            let entry = Entry::new(tenant.clone(), what.clone(), inner.slots.count());
            let entry = Arc::new(entry);
            known = inner.register.add(entry.clone());
            if known.is_none() {
                inner.changed(&entry);
            }
        }
        // It was known, or whoever heard of it at the same time from elsewhere was faster.
        match known {
            None => Ok(()),
            Some(entry) if entry.is_about_sources() != about_sources => {
                Err(SubscribeError::Taken(id))
            }
            Some(entry) => {
                inner.register.replace(&entry, what);
                inner.changed(&entry);
                Ok(())
            }
        }
    }

    /// When the subscription that is told was changed last; none if it is not known.
    pub fn version(&self, tenant: &TenantId, id: &SubscriptionId) -> Option<Timestamp> {
        let entry = self.inner.register.get(tenant, id)?;
        Some(entry.what.load().subscription.modified_at)
    }

    /// Whether a subscription would be taken.
    ///
    /// # Errors
    /// See [`Notifier::put`].
    pub fn check(
        &self,
        tenant: &TenantId,
        subscription: &Subscription,
    ) -> Result<(), SubscribeError> {
        entry::target(subscription)?;
        let inner = &self.inner;
        let known = inner.register.get(tenant, &subscription.id);
        let about_sources = subscription.about_sources.is_some();
        if known.as_ref().is_some_and(|entry| entry.is_about_sources() != about_sources) {
            return Err(SubscribeError::Taken(subscription.id.clone()));
        }
        match known.is_none() && inner.register.count(tenant) >= inner.settings.subscriptions {
            true => Err(SubscribeError::TooMany(inner.settings.subscriptions)),
            false => Ok(()),
        }
    }

    /// Whether the rules of where the broker may send would let notifications of a subscription
    /// go, as far as that can be told before its receiver's name is resolved. Asked for what is
    /// new only: a subscription outlives a change of the rules, and says then that it fails.
    ///
    /// # Errors
    /// [`SubscribeError::Forbidden`], and [`SubscribeError::Target`] as [`Notifier::put`].
    pub fn admit(&self, subscription: &Subscription) -> Result<(), SubscribeError> {
        let target = entry::target(subscription)?;
        let settings = &self.inner.settings;
        target.bound_receiver_info(settings.receiver_info_pairs, settings.receiver_info.bytes())?;
        let admitted = self.inner.courier.admits(&target);
        admitted.map_err(|refused| SubscribeError::Forbidden(refused.to_string()))
    }

    /// Forgets a subscription, what waits for it, and its dead letters.
    ///
    /// # Errors
    /// If the store cannot be written; the subscription is forgotten all the same.
    pub async fn remove(&self, tenant: &TenantId, id: &SubscriptionId) -> Result<(), StoreError> {
        let Some(entry) = self.inner.register.remove(tenant, id) else { return Ok(()) };
        self.inner.listeners.end(tenant, id);
        {
            let mut state = entry.state.lock();
            state.gone = true;
            state.generation += 1;
            state.backlog.clear(&self.inner.budget);
        }
        self.inner.active.remove(&entry);
        // A flush that saw it alive must not write after this.
        let _flushing = self.inner.flushing.lock().await;
        let _writing = entry.writing.lock().await;
        self.inner.store.take_record(&deliveries(tenant), id.as_str()).await?;
        self.drop_dead(tenant, &Pick::Of(id.clone())).await?;
        Ok(())
    }

    /// The address of the context that the notifications of a subscription name.
    pub fn context_of(&self, tenant: &TenantId, id: &SubscriptionId) -> Option<Arc<str>> {
        let entry = self.inner.register.get(tenant, id)?;
        Some(entry.what.load().subscription.context_address.clone())
    }

    /// Whether the notifications of any subscription name a context.
    pub fn names_context(&self, address: &str) -> bool {
        let all = self.inner.register.all();
        all.iter().any(|entry| *entry.what.load().subscription.context_address == *address)
    }

    /// How the notifications of a subscription went.
    ///
    /// # Errors
    /// If another broker tells this subscription and the store cannot be read.
    pub async fn report(
        &self,
        tenant: &TenantId,
        id: &SubscriptionId,
    ) -> Result<DeliveryReport, StoreError> {
        let entry = self.inner.register.get(tenant, id);
        if let Some(entry) = entry.filter(|entry| self.inner.slots.is_held(entry.slot)) {
            return Ok(entry.state.lock().report);
        }
        match self.inner.store.record(&deliveries(tenant), id.as_str()).await {
            Ok(record) => Ok(record.map(Kept::from_json).unwrap_or_default().report),
            Err(StoreError::UnknownTenant(_)) => Ok(DeliveryReport::default()),
            Err(error) => Err(error),
        }
    }

    /// What was told to whom since the start, by tenant; None stands for the tenants beyond the
    /// first thousand.
    pub fn counts(&self) -> HashMap<Option<TenantId>, Counts> {
        let now = Timestamp::now();
        let mut all = self.inner.tallies.all();
        for entry in self.inner.active.all() {
            let state = entry.state.lock();
            let counts = all.entry(self.inner.tallies.name(&entry.tenant)).or_default();
            counts.queued += state.backlog.len() as u64;
            if let Some(oldest) = state.backlog.oldest() {
                let lag = now.micros().saturating_sub(oldest.micros()).max(0) as u64 / 1_000;
                counts.lag_millis = counts.lag_millis.max(lag);
            }
        }
        all
    }

    /// How it stands with the subscriptions of a tenant, ordered by id, after one of them.
    pub fn overview(&self, tenant: &TenantId, after: Option<&str>, limit: usize) -> Vec<Overview> {
        let now = Instant::now();
        let entries = self.inner.register.of(tenant);
        let after = entries
            .iter()
            .skip_while(|entry| after.is_some_and(|after| entry.id.as_str() <= after));
        after.take(limit).map(|entry| self.inner.overview(entry, now)).collect()
    }

    /// How it stands with one subscription.
    pub fn overview_of(&self, tenant: &TenantId, id: &SubscriptionId) -> Option<Overview> {
        let entry = self.inner.register.get(tenant, id)?;
        Some(self.inner.overview(&entry, Instant::now()))
    }

    /// The bytes that waiting changes take in memory.
    pub fn queued_bytes(&self) -> usize {
        self.inner.budget.used()
    }

    /// Tells what is due for a while, remembers exactly how far everyone has come, and ends. To be
    /// called when nothing is written any more, before the store is closed.
    ///
    /// # Errors
    /// If that could not be remembered: then some of it is told again after the next start.
    pub async fn close(&self) -> Result<(), StoreError> {
        let inner = &self.inner;
        if inner.handle.get().is_none() || inner.closing.load(Ordering::Acquire) {
            return Ok(());
        }
        inner.drain().await;
        inner.closing.store(true, Ordering::Release);
        let flushed = inner.flush(true).await;
        inner.release_slots().await;
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
        flushed
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.inner.closing.store(true, Ordering::Release);
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }
}

/// What runs as long as there is something to tell.
#[derive(Clone, Copy)]
enum Task {
    Follow,
    Wake,
    Keep,
    Lease,
}

impl Inner {
    fn spawn(&self, task: Task) {
        let (Some(handle), Some(me)) = (self.handle.get(), self.me.upgrade()) else { return };
        let spawned = match task {
            Task::Follow => handle.spawn(me.follow()),
            Task::Wake => handle.spawn(me.wake()),
            Task::Keep => handle.spawn(me.keep()),
            Task::Lease if self.slots.is_shared() => handle.spawn(me.lease()),
            Task::Lease => return,
        };
        // It ends by itself when the broker closes.
        drop(spawned);
    }

    /// Does what is due at its time.
    async fn wake(self: Arc<Self>) {
        while !self.closing.load(Ordering::Acquire) {
            for due in self.timer.next().await {
                match due {
                    Due::Turn(entry, generation) => {
                        let mut state = entry.state.lock();
                        if state.generation == generation && !state.gone {
                            self.turn_again(&entry, &mut state);
                        }
                    }
                    Due::Tick(entry, generation) => self.tick_is_due(&entry, generation),
                    Due::Receiver(name) => self.begin(self.lanes.reopen(&name, Instant::now())),
                }
            }
        }
    }

    fn turn_again(&self, entry: &Arc<Entry>, state: &mut entry::State) {
        state.parked = false;
        let receiver = entry.what.load().receiver.clone();
        self.begin(self.lanes.ready(&receiver, entry.clone(), Instant::now()));
    }

    /// Begins turns.
    fn begin(&self, next: Next<Arc<Entry>>) {
        let (Some(handle), Some(me)) = (self.handle.get(), self.me.upgrade()) else { return };
        for (entry, receiver, lane) in next.starts {
            let me = me.clone();
            drop(handle.spawn(async move { me.run(entry, receiver, lane).await }));
        }
        if let Some((receiver, at)) = next.alarm {
            self.timer.set(at, Due::Receiver(receiver));
        }
    }

    /// Gives a turn, and goes on with the next one that may begin: most of the time that is one,
    /// and a task of its own would cost more than to match a change.
    async fn run(&self, mut entry: Arc<Entry>, mut receiver: Arc<str>, mut lane: Lane) {
        loop {
            let (met, rest) = self.turn(&entry).await;
            let mut next = self.lanes.finished(&receiver, lane, met, Instant::now());
            let own = next.starts.pop();
            self.begin(next);
            self.rest_after(&entry, rest);
            match own {
                Some(own) => (entry, receiver, lane) = own,
                None => return,
            }
            tokio::task::coop::consume_budget().await;
        }
    }

    fn rest_after(&self, entry: &Arc<Entry>, rest: Rest) {
        match rest {
            Rest::Idle => {}
            Rest::More => self.turn_again(entry, &mut entry.state.lock()),
            Rest::Until(at) => {
                let mut state = entry.state.lock();
                if std::mem::take(&mut state.nudged) {
                    return self.turn_again(entry, &mut state);
                }
                state.parked = true;
                self.timer.set(at, Due::Turn(entry.clone(), state.generation));
            }
        }
    }

    /// A subscription says something else, or is new: what was set for later is set anew.
    fn changed(&self, entry: &Arc<Entry>) {
        let mut state = entry.state.lock();
        state.not_before = None;
        if self.handle.get().is_some() {
            self.set_tick(entry, &mut state);
            self.set_beginning(entry, &mut state);
            self.nudge(entry, &mut state);
        }
    }

    /// Lets a subscription have a turn now if anything waits for it.
    fn nudge(&self, entry: &Arc<Entry>, state: &mut entry::State) {
        if state.parked {
            state.generation += 1;
            self.turn_again(entry, state);
        } else if state.busy {
            state.nudged = true;
        } else if !state.is_idle() {
            self.engage(entry, state);
        }
    }

    fn overview(&self, entry: &Entry, now: Instant) -> Overview {
        let what = entry.what.load();
        let state = entry.state.lock();
        let millis = |at: Instant| at.saturating_duration_since(now).as_millis() as u64;
        let trouble = state.trouble.as_ref();
        Overview {
            id: entry.id.as_str().to_owned(),
            uri: what.target.uri().to_owned(),
            status: what.subscription.status(Timestamp::now()).word(),
            queued: state.backlog.len(),
            behind: state.backlog.behind().is_some(),
            oldest: state.backlog.oldest().map(|time| time.to_string()),
            failures: trouble.map_or(0, |trouble| trouble.attempts),
            failing_since: trouble.map(|trouble| trouble.since.to_string()),
            last_error: trouble.map(|trouble| trouble.why.clone()),
            next_attempt_millis: state.not_before.filter(|at| *at > now).map(millis),
            closed_millis: self.lanes.closed(&what.receiver, now).map(millis),
            times_sent: state.report.times_sent,
            times_failed: state.report.times_failed,
        }
    }

    /// Waits until everything that can be told now was told, but not for long.
    async fn drain(&self) {
        let told = async {
            let caught_up = self.caught_up.notified();
            self.incoming.look();
            caught_up.await;
            while self.active.all().iter().any(|entry| !entry.state.lock().parked) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(self.settings.grace, told).await.is_err() {
            tracing::info!("ending before all notifications were told: they follow later");
        }
    }
}

impl What {
    /// What a subscription says, its endpoint understood.
    fn new(subscription: Arc<Subscription>) -> Result<Self, TargetError> {
        let target = entry::target(&subscription)?;
        let receiver = target.party().into();
        Ok(Self { subscription, target, receiver })
    }
}
