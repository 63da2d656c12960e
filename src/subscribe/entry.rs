//! A subscription as delivery knows it: what it says, what waits for it, how it went.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustc_hash::FxHasher;

use super::backlog::Backlog;
use super::record::Sealed;
use crate::egress::{Target, TargetError};
use crate::model::{SubscriptionId, TenantId, Timestamp};
use crate::represent::subscription::{DeliveryReport, KeyValuePair, Subscription, Timing};

/// A subscription and everything about it.
pub(super) struct Entry {
    pub tenant: TenantId,
    pub id: SubscriptionId,
    /// Whose work it is, where several brokers share the work.
    pub slot: usize,
    /// What its notifications are recognised by.
    mark: u128,
    pub what: ArcSwap<What>,
    pub state: Mutex<State>,
    /// Held while its record is written, so that an older one does not follow a newer one.
    pub writing: tokio::sync::Mutex<()>,
}

/// What a subscription says.
#[derive(Clone)]
pub(super) struct What {
    pub subscription: Arc<Subscription>,
    pub target: Target,
    /// The receiver that takes turns for it.
    pub receiver: Arc<str>,
}

/// What waits for a subscription, and how it went.
#[derive(Default)]
pub(super) struct State {
    pub backlog: Backlog,
    /// A turn is running, waits for its receiver, or is set for later.
    pub busy: bool,
    /// A turn is set for later.
    pub parked: bool,
    /// Grows when what was set for later is to be ignored.
    pub generation: u64,
    /// Events up to this one were looked at when the log was read again.
    pub looked_up_to: u64,
    /// How many of the first items are left of what is told together now.
    pub in_hand: Option<usize>,
    /// All that is told together now, by its place in the log.
    pub sealed: Option<Sealed>,
    /// The record is to say what is in hand before it is sent.
    pub unrecorded: bool,
    /// What was in hand when the record was written that was taken over; it is gathered again. As
    /// long as it is, the log is to be read: nothing that is matched meanwhile may join it.
    pub resealed: Option<Sealed>,
    /// What was kept was taken over, but the slot is not ours yet.
    pub awaiting: bool,
    /// Changes up to this time may have been told one by one before the work was taken over.
    pub alone_before: Option<Timestamp>,
    /// The record says that nothing is sent that it does not name: what is not in hand then has to
    /// be named first.
    pub exact: bool,
    /// The last change that was told, or given up.
    pub told_up_to: u64,
    /// Since when it fails, and how.
    pub trouble: Option<Trouble>,
    /// No attempt before this time.
    pub not_before: Option<Instant>,
    /// Dead letters to try once more.
    pub replays: VecDeque<String>,
    /// A time interval has passed.
    pub tick: Option<Timestamp>,
    /// This version of a subscription to registrations is to be told of all that there are.
    pub beginning: Option<Timestamp>,
    /// When it began to wait for that: from then on what changes is told as such.
    pub beginning_since: Option<Timestamp>,
    /// The version that was told so last.
    pub begun: Option<Timestamp>,
    /// Grows when the time that was set for the next interval is to be ignored.
    pub tick_generation: u64,
    /// It was asked for another turn while one was running.
    pub nudged: bool,
    /// When something began to wait; to tell who is behind for long.
    pub waiting_since: Option<Instant>,
    pub report: DeliveryReport,
    /// The report or the cursor changed since they were kept.
    pub dirty: bool,
    /// The cursor that was kept on disk: what is after it is still due.
    pub kept: Option<u64>,
    /// The subscription was deleted.
    pub gone: bool,
}

/// Failures in a row.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub since: Timestamp,
    pub attempts: u32,
    pub why: String,
    pub status: Option<u16>,
}

impl State {
    /// Whether nothing waits for the subscription.
    pub fn is_idle(&self) -> bool {
        self.backlog.is_empty()
            && self.replays.is_empty()
            && self.tick.is_none()
            && self.beginning.is_none()
    }

    /// Whether what waits first may have been told by itself already, and has to be told so again
    /// to be recognised.
    pub fn is_told_alone(&self) -> bool {
        self.alone_before.is_some_and(|before| self.backlog.oldest() <= Some(before))
    }
}

impl Entry {
    /// A subscription of which nothing is known yet.
    pub fn new(tenant: TenantId, what: What, slots: usize) -> Self {
        let id = what.subscription.id.clone();
        let slot = slot_of(&tenant, &id, slots);
        let mark = mark(&tenant, &id);
        Self {
            tenant,
            id,
            slot,
            mark,
            what: ArcSwap::from_pointee(what),
            state: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Whether it is about registrations.
    pub fn is_about_sources(&self) -> bool {
        self.what.load().subscription.about_sources.is_some()
    }

    /// Whether it is told when something changes, not by the clock.
    pub fn is_on_change(&self) -> bool {
        matches!(self.what.load().subscription.timing, Timing::OnChange { .. })
    }

    /// Whether its receiver fails to take what happened: who listens as well reads of it in the log
    /// meanwhile.
    pub fn keeps_listeners_waiting(&self) -> bool {
        self.is_on_change() && self.state.lock().trouble.is_some()
    }
}

/// Where the notifications of a subscription go.
pub(super) fn target(subscription: &Subscription) -> Result<Target, TargetError> {
    let endpoint = &subscription.notification.endpoint;
    let pairs = |pairs: &[KeyValuePair]| -> Vec<(String, String)> {
        pairs.iter().map(|pair| (pair.key.to_string(), pair.value.to_string())).collect()
    };
    let (receiver, notifier) = (pairs(&endpoint.receiver_info), pairs(&endpoint.notifier_info));
    Target::parse(&endpoint.uri, &receiver, &notifier, endpoint.timeout)
}

/// The slot of a subscription; every broker comes to the same.
pub(super) fn slot_of(tenant: &TenantId, id: &SubscriptionId, slots: usize) -> usize {
    let mut hasher = FxHasher::default();
    tenant.name().unwrap_or_default().hash(&mut hasher);
    id.as_str().hash(&mut hasher);
    (hasher.finish() >> 32) as usize % slots.max(1)
}

/// What tells the notifications of a subscription from those of all others.
fn mark(tenant: &TenantId, id: &SubscriptionId) -> u128 {
    [tenant.name().unwrap_or_default(), "\n", id.as_str()]
        .iter()
        .flat_map(|text| text.bytes())
        // FNV-1a: no security rests on it.
        .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        })
}

/// The id of a notification: the same whenever the same is told again.
pub(super) fn notification_id(entry: &Entry, first: u64, last: u64) -> String {
    let mark = entry.mark;
    match first == last {
        true => format!("urn:ngsi-ld:Notification:{mark:032x}:{first}"),
        false => format!("urn:ngsi-ld:Notification:{mark:032x}:{first}-{last}"),
    }
}
