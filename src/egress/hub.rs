//! Those who listen: notifications go to them as they are sent, and the last ones are kept for
//! those who come back.
//!
//! Nobody waits for a listener. One that does not keep up is left, and finds what it missed when it
//! comes back.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::config;
use crate::model::{SubscriptionId, TenantId};

/// All listeners of this broker.
#[derive(Debug)]
pub struct Hub {
    settings: config::Stream,
    /// How many rings there are, to be read without the lock.
    followed: AtomicUsize,
    rings: Mutex<Rings>,
    seats: Mutex<Seats>,
    counts: Counts,
}

type Rings = HashMap<TenantId, HashMap<SubscriptionId, Ring>>;

/// What was told: its place in the order of changes, if it has one there, and the notification. An
/// empty one says that some were not told here, and are to be looked for in the log.
pub type Told = (Option<u64>, Bytes);

/// How often something happened.
#[derive(Debug, Default)]
struct Counts {
    told: AtomicUsize,
    left: AtomicUsize,
    turned_away: AtomicUsize,
}

#[derive(Debug, Default)]
struct Seats {
    taken: usize,
    by_tenant: HashMap<TenantId, usize>,
}

/// The last notifications of one subscription, and who listens to it.
#[derive(Debug)]
struct Ring {
    told: VecDeque<Told>,
    bytes: usize,
    /// Everything that was told after this place is in the ring.
    after: Option<u64>,
    listeners: Vec<Ear>,
    /// When it was last listened to.
    used: Instant,
}

#[derive(Debug)]
struct Ear {
    told: mpsc::Sender<Told>,
    /// The bytes that wait for this listener.
    waiting: Arc<AtomicUsize>,
}

/// There is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    #[error("this broker has as many listeners as it may have ({0})")]
    Broker(usize),
    #[error("the tenant has as many listeners as it may have ({0})")]
    Tenant(usize),
}

/// Somebody who listens to a subscription.
#[derive(Debug)]
pub struct Listener {
    told: mpsc::Receiver<Told>,
    waiting: Arc<AtomicUsize>,
    missed: Missed,
    // Dropped last: the seat looks for listeners that are gone.
    seat: Seat,
}

/// What somebody missed who comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missed {
    /// Nothing was asked for.
    Unasked,
    /// All of this.
    All(Vec<Told>),
    /// The hub does not know: the log of events may.
    Unknown,
}

#[derive(Debug)]
struct Seat {
    hub: Arc<Hub>,
    tenant: TenantId,
    subscription: SubscriptionId,
}

impl Hub {
    /// Nobody listens yet.
    pub fn new(settings: config::Stream) -> Arc<Self> {
        Arc::new(Self {
            settings,
            followed: AtomicUsize::default(),
            rings: Mutex::default(),
            seats: Mutex::default(),
            counts: Counts::default(),
        })
    }

    /// Whether somebody listens to a subscription, or may come back to it: then it is to be told.
    pub fn wants(&self, tenant: &TenantId, subscription: &SubscriptionId) -> bool {
        if self.followed.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut rings = self.rings.lock();
        let Some(own) = rings.get_mut(tenant) else { return false };
        let Some(ring) = own.get(subscription) else { return false };
        if !ring.listeners.is_empty() || ring.used.elapsed() < self.settings.keep_time {
            return true;
        }
        own.remove(subscription);
        if own.is_empty() {
            rings.remove(tenant);
        }
        self.followed.fetch_sub(1, Ordering::Release);
        false
    }

    /// Tells those who listen to a subscription. Never waits.
    pub fn tell(
        &self,
        tenant: &TenantId,
        subscription: &SubscriptionId,
        place: Option<u64>,
        body: &Bytes,
    ) {
        let mut rings = self.rings.lock();
        let ring = rings.get_mut(tenant).and_then(|own| own.get_mut(subscription));
        let Some(ring) = ring else { return };
        ring.keep((place, body.clone()), &self.settings);
        let before = ring.listeners.len();
        let most = self.settings.queue_bytes.bytes();
        ring.listeners.retain(|ear| ear.tell((place, body.clone()), most));
        self.counts.told.fetch_add(ring.listeners.len(), Ordering::Relaxed);
        self.counts.left.fetch_add(before - ring.listeners.len(), Ordering::Relaxed);
    }

    /// Something is not told here that belongs between what was and what will be: those who listen
    /// hear that, and who comes back for it has to look elsewhere.
    pub fn skip(&self, tenant: &TenantId, subscription: &SubscriptionId) {
        if self.followed.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut rings = self.rings.lock();
        let ring = rings.get_mut(tenant).and_then(|own| own.get_mut(subscription));
        if let Some(ring) = ring {
            ring.told.clear();
            (ring.bytes, ring.after) = (0, None);
            let most = self.settings.queue_bytes.bytes();
            ring.listeners.retain(|ear| ear.tell((None, Bytes::new()), most));
        }
    }

    /// Listens to a subscription from now on; `after` is the place of the last notification that
    /// was heard before. Whatever is after the place `from` will be told here, if that is known.
    pub fn listen(
        self: &Arc<Self>,
        tenant: &TenantId,
        subscription: &SubscriptionId,
        after: Option<u64>,
        from: Option<u64>,
    ) -> Result<Listener, NoRoom> {
        let seat = self.sit(tenant, subscription)?;
        let (ear, told) = mpsc::channel(self.settings.queue.max(1));
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut rings = self.rings.lock();
        if self.followed.load(Ordering::Acquire) > self.settings.listeners {
            self.forget_unused(&mut rings);
        }
        let ring = rings.entry(tenant.clone()).or_default().entry(subscription.clone());
        let ring = ring.or_insert_with(|| {
            self.followed.fetch_add(1, Ordering::Release);
            Ring::new(from)
        });
        ring.listeners.push(Ear { told: ear, waiting: Arc::clone(&waiting) });
        let missed = after.map_or(Missed::Unasked, |after| ring.since(after));
        drop(rings);
        Ok(Listener { told, waiting, missed, seat })
    }

    /// Forgets what nobody came back for.
    fn forget_unused(&self, rings: &mut Rings) {
        rings.retain(|_, own| {
            own.retain(|_, ring| {
                let keep =
                    !ring.listeners.is_empty() || ring.used.elapsed() < self.settings.keep_time;
                if !keep {
                    self.followed.fetch_sub(1, Ordering::Release);
                }
                keep
            });
            !own.is_empty()
        });
    }

    /// Lets the listeners of a subscription go, because it is no more.
    pub fn end(&self, tenant: &TenantId, subscription: &SubscriptionId) {
        let mut rings = self.rings.lock();
        if rings.get_mut(tenant).and_then(|own| own.remove(subscription)).is_some() {
            self.followed.fetch_sub(1, Ordering::Release);
        }
    }

    fn sit(
        self: &Arc<Self>,
        tenant: &TenantId,
        subscription: &SubscriptionId,
    ) -> Result<Seat, NoRoom> {
        let (most, most_of_tenant) = (self.settings.listeners, self.settings.listeners_per_tenant);
        let mut seats = self.seats.lock();
        let own = seats.by_tenant.get(tenant).copied().unwrap_or_default();
        let no_room = match (seats.taken >= most, own >= most_of_tenant) {
            (true, _) => Some(NoRoom::Broker(most)),
            (false, true) => Some(NoRoom::Tenant(most_of_tenant)),
            (false, false) => None,
        };
        if let Some(no_room) = no_room {
            self.counts.turned_away.fetch_add(1, Ordering::Relaxed);
            return Err(no_room);
        }
        seats.taken += 1;
        seats.by_tenant.insert(tenant.clone(), own + 1);
        Ok(Seat {
            hub: Arc::clone(self),
            tenant: tenant.clone(),
            subscription: subscription.clone(),
        })
    }

    /// Writes counters in the text format of Prometheus.
    pub fn metrics(&self, out: &mut String) {
        use std::fmt::Write;
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        for (name, kind, help, value) in [
            (
                "listeners",
                "gauge",
                "Listeners to streams of notifications.",
                self.seats.lock().taken,
            ),
            ("told_total", "counter", "Notifications told to listeners.", count(&self.counts.told)),
            (
                "left_total",
                "counter",
                "Listeners left because they did not keep up.",
                count(&self.counts.left),
            ),
            (
                "turned_away_total",
                "counter",
                "Listeners for whom there was no room.",
                count(&self.counts.turned_away),
            ),
        ] {
            // Writing into a string does not fail.
            let _ = writeln!(
                out,
                "# HELP lanna_stream_{name} {help}\n# TYPE lanna_stream_{name} {kind}\n\
                 lanna_stream_{name} {value}"
            );
        }
    }
}

impl Ring {
    fn new(after: Option<u64>) -> Self {
        Self { told: VecDeque::new(), bytes: 0, after, listeners: Vec::new(), used: Instant::now() }
    }

    fn keep(&mut self, told: Told, settings: &config::Stream) {
        self.bytes += told.1.len();
        self.after = self.after.or(told.0);
        self.told.push_back(told);
        while self.told.len() > settings.keep || self.bytes > settings.keep_bytes.bytes() {
            let Some((place, body)) = self.told.pop_front() else { break };
            self.bytes -= body.len();
            // What has no place followed the last one that had.
            self.after = place.or(self.after.map(|after| after + 1));
        }
    }

    /// What was told after a place, in the order in which it was; what has no place belongs to the
    /// one before.
    fn since(&self, after: u64) -> Missed {
        match self.after {
            Some(known) if known <= after => {
                let heard = |told: &Told| told.0.is_some_and(|place| place <= after);
                let count = self.told.iter().rposition(heard).map_or(0, |last| last + 1);
                let newer = self.told.iter().skip(count);
                Missed::All(newer.cloned().collect())
            }
            _ => Missed::Unknown,
        }
    }
}

impl Ear {
    /// Whether the listener keeps up.
    fn tell(&self, told: Told, most: usize) -> bool {
        let bytes = told.1.len();
        let waiting = self.waiting.fetch_add(bytes, Ordering::AcqRel);
        if waiting > 0 && waiting + bytes > most {
            return false;
        }
        match self.told.try_send(told) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => false,
        }
    }
}

impl Listener {
    /// The next notification; nothing more when the listener did not keep up, or the subscription
    /// is no more.
    pub async fn next(&mut self) -> Option<Told> {
        let told = self.told.recv().await?;
        self.waiting.fetch_sub(told.1.len(), Ordering::AcqRel);
        Some(told)
    }

    /// What it missed before it came, as far as the hub knows; to be asked once.
    pub fn missed(&mut self) -> Missed {
        std::mem::replace(&mut self.missed, Missed::Unasked)
    }

    /// The subscription that is listened to.
    pub fn subscription(&self) -> (&TenantId, &SubscriptionId) {
        (&self.seat.tenant, &self.seat.subscription)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.hub.seats.lock();
        seats.taken -= 1;
        if let Some(own) = seats.by_tenant.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                seats.by_tenant.remove(&self.tenant);
            }
        }
        drop(seats);
        let mut rings = self.hub.rings.lock();
        let ring = rings.get_mut(&self.tenant).and_then(|own| own.get_mut(&self.subscription));
        if let Some(ring) = ring {
            ring.listeners.retain(|ear| !ear.told.is_closed());
            ring.used = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::config::ByteSize;

    fn hub(change: impl FnOnce(&mut config::Stream)) -> Arc<Hub> {
        let mut settings = config::Stream::default();
        change(&mut settings);
        Hub::new(settings)
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::named(name).expect("a name")
    }

    fn id(name: &str) -> SubscriptionId {
        SubscriptionId::parse(&format!("urn:ngsi-ld:Subscription:{name}")).expect("an id")
    }

    fn tell(hub: &Hub, name: &str, place: u64) {
        hub.tell(&tenant("a"), &id(name), Some(place), &Bytes::from(format!("{name}{place}")));
    }

    fn heard(listener: &mut Listener) -> Vec<u64> {
        std::iter::from_fn(|| listener.next().now_or_never().flatten())
            .filter_map(|(place, _)| place)
            .collect()
    }

    fn places(missed: &Missed) -> Option<Vec<u64>> {
        match missed {
            Missed::All(told) => Some(told.iter().map(|(place, _)| place.unwrap_or(0)).collect()),
            _ => None,
        }
    }

    #[test]
    fn a_listener_hears_what_is_told_from_now_on() {
        let hub = hub(|_| {});
        assert!(!hub.wants(&tenant("a"), &id("s")));
        let mut one = hub.listen(&tenant("a"), &id("s"), None, None).expect("room");
        let mut other = hub.listen(&tenant("a"), &id("t"), None, None).expect("room");
        assert!(hub.wants(&tenant("a"), &id("s")));
        assert!(!hub.wants(&tenant("b"), &id("s")), "another tenant's is another");
        tell(&hub, "s", 1);
        tell(&hub, "s", 2);
        tell(&hub, "t", 3);
        assert_eq!((heard(&mut one), heard(&mut other)), (vec![1, 2], vec![3]));
        assert_eq!(one.missed, Missed::Unasked);
    }

    #[test]
    fn who_comes_back_hears_what_it_missed() {
        let hub = hub(|settings| settings.keep = 3);
        let first = hub.listen(&tenant("a"), &id("s"), Some(0), None).expect("room");
        assert_eq!(first.missed, Missed::Unknown, "nothing was told yet");
        tell(&hub, "s", 5);
        drop(first);
        assert!(hub.wants(&tenant("a"), &id("s")), "it may come back");
        for place in [6, 8, 9] {
            tell(&hub, "s", place);
        }
        let back = |after| {
            hub.listen(&tenant("a"), &id("s"), Some(after), None).expect("room").missed.clone()
        };
        assert_eq!(places(&back(5)), Some(vec![6, 8, 9]));
        assert_eq!(places(&back(8)), Some(vec![9]));
        assert_eq!(places(&back(9)), Some(vec![]));
        assert_eq!(back(4), Missed::Unknown);
        tell(&hub, "s", 10);
        assert_eq!(back(5), Missed::Unknown, "6 had to make room");
        assert_eq!(places(&back(6)), Some(vec![8, 9, 10]));
    }

    #[test]
    fn what_has_no_place_is_heard_again_by_who_comes_back() {
        let hub = hub(|settings| settings.keep = 4);
        let listen = |after, from| {
            hub.listen(&tenant("a"), &id("s"), after, from).expect("room").missed.clone()
        };
        let other = || hub.tell(&tenant("a"), &id("s"), None, &Bytes::from("other"));
        assert_eq!(listen(None, Some(3)), Missed::Unasked);
        other();
        assert_eq!(places(&listen(Some(3), None)), Some(vec![0]), "whatever comes is told here");
        tell(&hub, "s", 5);
        other();
        other();
        assert_eq!(places(&listen(Some(3), None)), Some(vec![0, 5, 0, 0]));
        assert_eq!(places(&listen(Some(5), None)), Some(vec![0, 0]));
        tell(&hub, "s", 7);
        assert_eq!(listen(Some(3), None), Missed::Unknown, "the first had to make room");
        assert_eq!(places(&listen(Some(4), None)), Some(vec![5, 0, 0, 7]));
        let mut there = hub.listen(&tenant("a"), &id("s"), None, None).expect("room");
        hub.skip(&tenant("a"), &id("s"));
        assert_eq!(there.next().now_or_never(), Some(Some((None, Bytes::new()))));
        assert_eq!(listen(Some(7), None), Missed::Unknown, "something lies between");
        tell(&hub, "s", 9);
        assert_eq!(listen(Some(8), None), Missed::Unknown);
        assert_eq!(places(&listen(Some(9), None)), Some(vec![]));
    }

    #[test]
    fn what_is_kept_ends_some_time_after_the_last_listener() {
        let hub = hub(|settings| settings.keep_time = std::time::Duration::ZERO);
        drop(hub.listen(&tenant("a"), &id("s"), None, None).expect("room"));
        assert!(!hub.wants(&tenant("a"), &id("s")));
        assert!(hub.rings.lock().is_empty());
    }

    #[test]
    fn a_listener_that_does_not_keep_up_is_left() {
        let hub = hub(|settings| {
            settings.queue = 4;
            settings.queue_bytes = ByteSize(20);
        });
        let mut slow = hub.listen(&tenant("a"), &id("s"), None, None).expect("room");
        let mut quick = hub.listen(&tenant("a"), &id("s"), None, None).expect("room");
        for place in 1..=10 {
            tell(&hub, "s", place);
            assert_eq!(heard(&mut quick), [place]);
        }
        assert_eq!(heard(&mut slow), [1, 2, 3, 4]);
        assert_eq!(slow.next().now_or_never(), Some(None), "and then its stream ends");
        let mut large = hub.listen(&tenant("a"), &id("s"), None, None).expect("room");
        let body = Bytes::from(vec![b'x'; 30]);
        hub.tell(&tenant("a"), &id("s"), Some(11), &body);
        hub.tell(&tenant("a"), &id("s"), Some(12), &body);
        assert_eq!(heard(&mut large), [11], "one is always taken");
        let mut metrics = String::new();
        hub.metrics(&mut metrics);
        assert!(metrics.contains("lanna_stream_left_total 3\n"), "{metrics}");
        assert!(metrics.contains("lanna_stream_listeners 3\n"), "{metrics}");
    }

    #[test]
    fn there_is_room_for_so_many() {
        let hub = hub(|settings| {
            settings.listeners = 3;
            settings.listeners_per_tenant = 2;
        });
        let listen = |of: &str| hub.listen(&tenant(of), &id("s"), None, None);
        let (one, _two) = (listen("a").expect("room"), listen("a").expect("room"));
        assert_eq!(listen("a").expect_err("full"), NoRoom::Tenant(2));
        let _three = listen("b").expect("room");
        assert_eq!(listen("b").expect_err("full"), NoRoom::Broker(3));
        drop(one);
        listen("a").expect("room again");
    }

    #[test]
    fn listeners_are_let_go_with_their_subscription() {
        let hub = hub(|_| {});
        let mut listener = hub.listen(&tenant("a"), &id("s"), None, None).expect("room");
        tell(&hub, "s", 1);
        hub.end(&tenant("a"), &id("s"));
        assert_eq!(heard(&mut listener), [1]);
        assert_eq!(listener.next().now_or_never(), Some(None));
        assert!(!hub.wants(&tenant("a"), &id("s")));
    }
}
