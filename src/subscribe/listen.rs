//! What those who listen need to know of those who tell.

use std::sync::atomic::Ordering;

use super::Notifier;
use crate::model::{SubscriptionId, TenantId};

impl Notifier {
    /// Whether listeners to a subscription are told here of what happens when it does. Where brokers
    /// share a store another may tell the subscription, and a receiver that fails holds it up.
    pub fn tells(&self, tenant: &TenantId, id: &SubscriptionId) -> bool {
        let entry = self.inner.register.get(tenant, id);
        entry.is_some_and(|entry| {
            self.inner.slots.is_held(entry.slot) && !entry.keeps_listeners_waiting()
        })
    }

    /// Whether a subscription is told when something changes, not by the clock.
    pub fn tells_changes(&self, tenant: &TenantId, id: &SubscriptionId) -> bool {
        let entry = self.inner.register.get(tenant, id);
        entry.is_some_and(|entry| entry.is_on_change())
    }

    /// The place of the last change that was looked at.
    pub fn reach(&self) -> u64 {
        self.inner.reach.load(Ordering::Acquire)
    }
}
