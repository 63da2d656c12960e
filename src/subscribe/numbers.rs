//! What there is to know about deliveries.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Serialize;

use crate::model::TenantId;

/// How many tenants are counted one by one.
const TENANTS: usize = 1_000;

/// What became of the notifications of a tenant since the start, and what is still to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Changes that wait to be told, as far as they are in memory.
    pub queued: u64,
    /// Notifications that reached their receivers.
    pub delivered: u64,
    /// Attempts that failed and are made again.
    pub retried: u64,
    /// Notifications that became dead letters.
    pub dead: u64,
    /// How long ago the oldest change happened that waits to be told, in milliseconds.
    pub lag_millis: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub delivered: AtomicU64,
    pub retried: AtomicU64,
    pub dead: AtomicU64,
}

impl Tally {
    /// What was counted.
    pub fn counts(&self) -> Counts {
        Counts {
            delivered: self.delivered.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            dead: self.dead.load(Ordering::Relaxed),
            ..Counts::default()
        }
    }
}

/// Counters by tenant; tenants beyond the first thousand share theirs, which has no name.
#[derive(Default)]
pub(super) struct Tallies {
    own: Mutex<HashMap<TenantId, Arc<Tally>>>,
    others: Arc<Tally>,
}

impl Tallies {
    /// The counters of a tenant.
    pub fn of(&self, tenant: &TenantId) -> Arc<Tally> {
        let mut own = self.own.lock();
        match own.get(tenant) {
            Some(tally) => tally.clone(),
            None if own.len() < TENANTS => own.entry(tenant.clone()).or_default().clone(),
            None => self.others.clone(),
        }
    }

    /// All counters; None stands for all other tenants.
    pub fn all(&self) -> HashMap<Option<TenantId>, Counts> {
        let own = self.own.lock();
        let mut all: HashMap<_, _> =
            own.iter().map(|(tenant, tally)| (Some(tenant.clone()), tally.counts())).collect();
        let others = self.others.counts();
        if others != Counts::default() {
            all.insert(None, others);
        }
        all
    }

    /// Under which name a tenant is counted.
    pub fn name(&self, tenant: &TenantId) -> Option<TenantId> {
        self.own.lock().contains_key(tenant).then(|| tenant.clone())
    }
}

/// How it stands with one subscription.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    pub id: String,
    /// Where its notifications go, without a password.
    pub uri: String,
    /// `active`, `paused` or `expired`.
    pub status: &'static str,
    /// Changes that wait to be told, as far as they are in memory.
    pub queued: usize,
    /// There are more in the log.
    pub behind: bool,
    /// When the oldest change happened that waits to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// Attempts that failed since the last success.
    pub failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How long until the next attempt, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_millis: Option<u64>,
    /// How long its receiver is left alone, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_millis: Option<u64>,
    pub times_sent: u64,
    pub times_failed: u64,
}
