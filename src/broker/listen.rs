//! Listening to the notifications of a subscription, which the specification does not know.

use super::{Broker, Error};
use crate::egress::Listener;
use crate::model::{SubscriptionId, TenantId};
use crate::store::StoreError;
use crate::subscribe::Resumed;

impl Broker {
    /// Listens to a subscription from now on. `after` is the place of the last notification that
    /// was heard before: what came after it is told first.
    pub async fn listen(
        &self,
        tenant: &TenantId,
        id: &SubscriptionId,
        after: Option<u64>,
    ) -> Result<Listener, Error> {
        if self.notifier().overview_of(tenant, id).is_none() {
            return Err(Error::NotFound(format!("there is no subscription {id}")));
        }
        // Whatever is matched from now on is told after this.
        let from = self.notifier().tells(tenant, id).then(|| self.notifier().reach());
        Ok(self.hub().listen(tenant, id, after, from)?)
    }

    /// Whether what happens has to be read in the log by who listens to a subscription: another
    /// broker that shares the store tells it, or its receiver keeps it waiting.
    pub fn told_elsewhere(&self, tenant: &TenantId, id: &SubscriptionId) -> bool {
        !self.notifier().tells(tenant, id)
    }

    /// Whether there is such a tenant.
    ///
    /// # Errors
    /// If there is none, and [`TenantId::DEFAULT`] is not meant.
    pub async fn check_tenant(&self, tenant: &TenantId) -> Result<(), Error> {
        match *tenant == TenantId::DEFAULT || self.store.tenants().await?.contains(tenant) {
            true => Ok(()),
            false => Err(StoreError::UnknownTenant(tenant.clone()).into()),
        }
    }

    /// Whether a subscription is told when something changes, not by the clock.
    pub fn tells_changes(&self, tenant: &TenantId, id: &SubscriptionId) -> bool {
        self.notifier().tells_changes(tenant, id)
    }

    /// The place of the last change that was looked at.
    pub fn reach(&self) -> u64 {
        self.notifier().reach()
    }

    /// What a listener missed, as far as the log of changes still has it.
    pub async fn missed(
        &self,
        tenant: &TenantId,
        id: &SubscriptionId,
        after: u64,
        limit: usize,
    ) -> Result<Resumed, Error> {
        Ok(self.notifier().resume(tenant, id, after, limit).await?)
    }
}
