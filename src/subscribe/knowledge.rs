//! What brokers that share a store know of each other's subscriptions: of every change to one that
//! was answered, before the next change of an entity begins, wherever it comes in.
//!
//! A change of a subscription stands in the log of events, so whoever matches meets it in its
//! place. Whoever writes has to know of it, too, since a change that nobody wants leaves no event.
//! So every broker reads the log to its end again and again, and what it knows by that counts for
//! [`COUNTS`] from when it asked; without such knowledge it takes everything to be wanted. And a
//! change of a subscription is answered only when all brokers said that they have met it in the
//! log, or what those know who said nothing counts no more. No clock of another machine matters.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{OnceLock, Weak};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{Inner, Notifier};
use crate::model::{SubscriptionId, TenantId, Timestamp};
use crate::store::{Event, Records, Shelf, StoreError};

/// How long what a broker knows counts after it asked.
const COUNTS: Duration = Duration::from_secs(3);

/// How long a broker counts as there after it said so.
const PRESENT: Duration = Duration::from_secs(9);

/// A broker that was not heard of for so long has no part in the work. It may be that its clock is
/// wrong, so nothing that must not happen rests on this.
const GONE: Duration = Duration::from_secs(12);

/// When nobody remembers a broker that ended without a word.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// How long one waits between two looks at what others know: first, and at most.
const PAUSE: Duration = Duration::from_millis(4);
const LONG_PAUSE: Duration = Duration::from_millis(40);

/// When it is asked whether who says nothing is there at all.
const SILENT: Duration = Duration::from_millis(400);

/// Where the brokers of a store say that they are there, and what they know.
const BROKERS: Shelf = Shelf::shared("brokers");

/// Who reads subscriptions where they are kept.
pub trait Keeper: Send + Sync {
    /// Takes a subscription as it is kept now, or forgets it if it is no more.
    fn renew<'a>(
        &'a self,
        tenant: &'a TenantId,
        id: &'a SubscriptionId,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The same with all of them.
    fn renew_all(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

#[derive(Debug, Serialize, Deserialize)]
struct Heartbeat {
    /// By the clock of that broker, in microseconds.
    seen: i64,
    /// It has met every change of a subscription up to this event.
    #[serde(default)]
    known: u64,
}

/// What this broker knows.
pub(super) struct Knowledge {
    shared: bool,
    begun: Instant,
    /// Until when it counts, in milliseconds since the beginning.
    until: AtomicU64,
    grounds: Mutex<Grounds>,
    /// Every change of a subscription up to this event was met.
    known: AtomicU64,
    /// One was met since the others were told how far we have come.
    learned: AtomicBool,
    /// All that was before this event was read from where subscriptions are kept.
    mark: AtomicU64,
    keeper: OnceLock<Weak<dyn Keeper>>,
}

/// Why what is known counts.
#[derive(Default)]
struct Grounds {
    /// Since when and until when others see that we are there.
    present: Option<(Instant, Instant)>,
    /// When the log was asked that was read to its end.
    asked: Option<Instant>,
}

impl Knowledge {
    /// Nothing is known yet; all there is, where no other broker can change a subscription.
    pub fn new(shared: bool) -> Self {
        Self {
            shared,
            begun: Instant::now(),
            until: AtomicU64::new(0),
            grounds: Mutex::default(),
            known: AtomicU64::new(0),
            learned: AtomicBool::new(false),
            mark: AtomicU64::new(u64::MAX),
            keeper: OnceLock::new(),
        }
    }

    /// Whether no subscription can be unknown here whose creation was answered.
    pub fn is_complete(&self) -> bool {
        !self.shared
            || (self.begun.elapsed().as_millis() as u64) < self.until.load(Ordering::Acquire)
    }

    /// The log was read to its end; it was asked for at this time.
    pub fn asked(&self, at: Instant) {
        if self.shared {
            let mut grounds = self.grounds.lock();
            grounds.asked = grounds.asked.max(Some(at));
            self.conclude(&grounds);
        }
    }

    /// Others see from now on that we are there; it was asked for at this time. After a while in which
    /// they could not, nothing that was known before counts.
    fn be_present(&self, asked: Instant) {
        let (now, until) = (Instant::now(), asked + PRESENT);
        let mut grounds = self.grounds.lock();
        let since = grounds.present.filter(|(_, end)| *end > now).map_or(now, |(since, _)| since);
        grounds.present = Some((since, until));
        self.conclude(&grounds);
    }

    /// We are not there any more.
    pub fn leave(&self) {
        let mut grounds = self.grounds.lock();
        *grounds = Grounds::default();
        self.conclude(&grounds);
    }

    fn conclude(&self, grounds: &Grounds) {
        let until = match (grounds.present, grounds.asked) {
            (Some((since, end)), Some(asked)) if asked >= since => {
                end.min(asked + COUNTS).saturating_duration_since(self.begun).as_millis() as u64
            }
            _ => 0,
        };
        self.until.store(until, Ordering::Release);
    }

    /// Where the log is to be read from so that no change of a subscription is missed.
    pub fn first_unknown(&self) -> Option<u64> {
        let mark = self.mark.load(Ordering::Acquire);
        (mark != u64::MAX).then(|| mark + 1)
    }
}

/// The lease of a broker on being there.
fn presence(holder: &str) -> String {
    format!("broker-{holder}")
}

impl Inner {
    /// Takes over what became of a subscription.
    pub(super) async fn renew(&self, event: &Event) -> Result<(), StoreError> {
        self.knowledge.learned.store(true, Ordering::Release);
        let keeper = self.knowledge.keeper.get().and_then(Weak::upgrade);
        let Some(keeper) = keeper.filter(|_| self.store.is_shared()) else { return Ok(()) };
        let id = SubscriptionId::from_trusted(event.change.id.as_str());
        keeper.renew(&event.tenant, &id).await
    }

    /// Events were forgotten before they were met here: some may have told of subscriptions.
    pub(super) async fn renew_all(&self) -> Result<(), StoreError> {
        let keeper = self.knowledge.keeper.get().and_then(Weak::upgrade);
        match keeper.filter(|_| self.store.is_shared()) {
            Some(keeper) => keeper.renew_all().await,
            None => Ok(()),
        }
    }

    /// Everything up to an event was met. Whoever waits for us to know of a subscription hears it.
    pub(super) async fn met(&self, up_to: u64) {
        self.knowledge.known.fetch_max(up_to, Ordering::AcqRel);
        if self.slots.is_shared() && self.knowledge.learned.swap(false, Ordering::AcqRel) {
            // Whoever does not hear it waits a little longer, and for no more than that.
            if let Err(error) = self.say_known().await {
                tracing::debug!(%error, "the others do not know which subscriptions are known here");
            }
        }
    }

    async fn say_known(&self) -> Result<(), StoreError> {
        let known = self.knowledge.known.load(Ordering::Acquire);
        let heartbeat = Heartbeat { seen: Timestamp::now().micros(), known };
        Records::on(&*self.store, BROKERS).put(self.slots.holder(), &heartbeat).await
    }

    /// Says that we are there; how many brokers there are, we included.
    pub(super) async fn brokers(&self) -> Result<usize, StoreError> {
        let (asked, holder) = (Instant::now(), self.slots.holder());
        let present = self.store.claim(&presence(holder), holder, PRESENT).await?;
        self.say_known().await?;
        if present {
            self.knowledge.be_present(asked);
        }
        let shelf = Records::<Heartbeat>::on(&*self.store, BROKERS);
        let mut count = 1;
        for (name, heartbeat) in shelf.all().await? {
            if name == holder {
                continue;
            }
            let silent = heartbeat.silent();
            if silent < GONE {
                count += 1;
            } else if silent > FORGOTTEN && self.is_away(&name).await? {
                shelf.take(&name).await?;
            }
        }
        Ok(count)
    }

    /// Whether another broker is not there: then it knows that what it knows does not count.
    async fn is_away(&self, other: &str) -> Result<bool, StoreError> {
        let (lease, holder) = (presence(other), self.slots.holder());
        let away = self.store.claim(&lease, holder, PRESENT).await?;
        if away {
            self.store.release(&lease, holder).await?;
        }
        Ok(away)
    }

    /// We are not there any more.
    pub(super) async fn leave(&self) {
        self.knowledge.leave();
        let holder = self.slots.holder();
        let gone = async {
            Records::<Heartbeat>::on(&*self.store, BROKERS).take(holder).await?;
            self.store.release(&presence(holder), holder).await
        };
        if let Err(error) = gone.await {
            tracing::debug!(%error, "the others will notice that this broker has ended");
        }
    }

    /// Whether all brokers have met the changes of subscriptions up to an event. With `asking` it
    /// is asked of each that has not whether it is there.
    async fn is_known(&self, event: u64, asking: bool) -> Result<bool, StoreError> {
        if self.knowledge.known.load(Ordering::Acquire) < event {
            return Ok(false);
        }
        let others = Records::<Heartbeat>::on(&*self.store, BROKERS).all().await?;
        for (name, heartbeat) in others {
            let knows = name == self.slots.holder() || heartbeat.known >= event;
            let ask = asking || heartbeat.silent() > GONE;
            if knows || (ask && self.is_away(&name).await?) {
                continue;
            }
            return Ok(false);
        }
        Ok(true)
    }

    async fn settle(&self) {
        let begun = Instant::now();
        let known = async {
            let event = self.store.latest_event().await?;
            self.incoming.look();
            let (mut pause, mut asked) = (PAUSE, false);
            loop {
                let ask = !asked && begun.elapsed() >= SILENT;
                asked |= ask;
                if self.is_known(event, ask).await? {
                    return Ok::<(), StoreError>(());
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONG_PAUSE);
            }
        };
        match tokio::time::timeout(COUNTS, known).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "what other brokers know could not be read");
                tokio::time::sleep(COUNTS.saturating_sub(begun.elapsed())).await;
            }
        }
    }
}

impl Heartbeat {
    fn silent(&self) -> Duration {
        let silent = Timestamp::now().micros().saturating_sub(self.seen).max(0);
        Duration::from_micros(silent as u64)
    }
}

impl Notifier {
    /// Whether several brokers may share the work. Then changes of subscriptions are noted in the log of
    /// events, and the store is not asked before [`Notifier::mark`].
    pub fn is_shared(&self) -> bool {
        self.inner.slots.is_shared()
    }

    /// From now on what others do to subscriptions is found in the log. To be called before all of
    /// them are read and put, and before the start.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn mark(&self, keeper: Weak<dyn Keeper>) -> Result<(), StoreError> {
        // A later one has no effect.
        let _ = self.inner.knowledge.keeper.set(keeper);
        if self.is_shared() {
            let mark = self.inner.store.latest_event().await?;
            self.inner.knowledge.mark.store(mark, Ordering::Release);
        }
        Ok(())
    }

    /// Looks at the log: another broker may have changed a subscription.
    pub fn look(&self) {
        self.inner.incoming.look();
    }

    /// Waits until no broker that shares the store passes over what was noted of subscriptions so
    /// far: milliseconds, or [`COUNTS`] where one does not answer.
    pub async fn settle(&self) {
        if self.is_shared() && self.inner.handle.get().is_some() {
            self.inner.settle().await;
        }
    }

    /// Every subscription that is known.
    pub fn known(&self) -> Vec<(TenantId, SubscriptionId)> {
        let all = self.inner.register.all();
        all.iter().map(|entry| (entry.tenant.clone(), entry.id.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_known_before_one_was_away_counts_no_more() {
        assert!(Knowledge::new(false).is_complete(), "nobody else changes anything");
        let knowledge = Knowledge::new(true);
        let start = Instant::now();
        knowledge.asked(start);
        assert!(!knowledge.is_complete(), "nobody waits for who is not there");
        knowledge.be_present(start);
        assert!(!knowledge.is_complete(), "that was asked before");
        knowledge.asked(Instant::now());
        assert!(knowledge.is_complete());
        knowledge.be_present(Instant::now());
        assert!(knowledge.is_complete(), "and it was there all the time");
        knowledge.grounds.lock().present = Some((start, Instant::now()));
        knowledge.be_present(Instant::now());
        assert!(!knowledge.is_complete(), "others may have gone on without it");
        knowledge.asked(Instant::now());
        assert!(knowledge.is_complete());
        knowledge.leave();
        assert!(!knowledge.is_complete());
    }

    #[test]
    fn what_was_asked_long_ago_counts_no_more() {
        let Some(long_ago) = Instant::now().checked_sub(2 * COUNTS) else { return };
        let knowledge = Knowledge { begun: long_ago, ..Knowledge::new(true) };
        knowledge.grounds.lock().present = Some((long_ago, Instant::now() + PRESENT));
        knowledge.asked(long_ago);
        assert!(!knowledge.is_complete());
        knowledge.asked(Instant::now());
        assert!(knowledge.is_complete());
    }
}
