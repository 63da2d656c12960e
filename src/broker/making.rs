//! Subscriptions that are being changed here: what is kept of them and who is told meet only when
//! the operation is over. If nobody waits for it any more, they are brought together without it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Subscriptions;
use crate::model::{SubscriptionId, TenantId};

type Key = (TenantId, SubscriptionId);

/// Which subscriptions are being changed, and by how many.
#[derive(Default)]
pub(super) struct InTheMaking {
    all: Mutex<HashMap<Key, usize>>,
    over: Notify,
}

impl InTheMaking {
    /// Waits until nobody changes a subscription.
    pub async fn over(&self, tenant: &TenantId, id: &SubscriptionId) {
        let key = (tenant.clone(), id.clone());
        loop {
            let over = self.over.notified();
            if !self.all.lock().contains_key(&key) {
                return;
            }
            over.await;
        }
    }

    fn add(&self, key: Key) {
        *self.all.lock().entry(key).or_default() += 1;
    }

    fn take(&self, key: &Key) {
        let mut all = self.all.lock();
        if let Some(count) = all.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                all.remove(key);
            }
        }
        drop(all);
        self.over.notify_waiters();
    }
}

/// A change of a subscription under way.
pub(super) struct Making {
    all: Weak<Subscriptions>,
    key: Key,
    done: bool,
}

impl Making {
    /// A subscription is changed from now on.
    pub fn of(all: &Arc<Subscriptions>, tenant: &TenantId, id: &SubscriptionId) -> Self {
        let key = (tenant.clone(), id.clone());
        all.making.add(key.clone());
        Self { all: Arc::downgrade(all), key, done: false }
    }

    /// What is kept is what is told.
    pub fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let Some(all) = self.all.upgrade() else { return };
        all.making.take(&self.key);
        // Whoever asked for it went away, or it failed half-way.
        if let (false, Ok(runtime)) = (self.done, tokio::runtime::Handle::try_current()) {
            let (tenant, id) = self.key.clone();
            drop(runtime.spawn(async move {
                if let Err(error) = all.refresh(&tenant, &id).await {
                    tracing::error!(%tenant, %id, %error, "a subscription is not served as it is kept");
                }
            }));
        }
    }
}
