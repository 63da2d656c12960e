//! Which tenants have something that will end: entity maps or snapshots. Who takes away what has
//! ended looks at these alone.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Broker;
use crate::model::{TenantId, Timestamp};
use crate::store::{Records, Shelf, Store, StoreError};

/// Where the tenants are noted, with the time.
const TENANTS: Shelf = Shelf::shared("ending");

/// How long a note that was made is taken to be there still, in microseconds.
const SURE: i64 = 60 * 1_000_000;

/// How old a note has to be before it is taken away, in microseconds: somebody may be about to
/// rely on it.
const SETTLED: i64 = 10 * SURE;

/// The tenants that have something that will end.
pub(super) struct Tidy {
    store: Arc<dyn Store>,
    noted: Mutex<HashMap<TenantId, Timestamp>>,
}

impl Tidy {
    /// The tenants that are noted in a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, noted: Mutex::default() }
    }

    fn records(&self) -> Records<'_, i64> {
        Records::on(&*self.store, TENANTS)
    }

    /// Notes that a tenant is about to have something that will end.
    pub async fn note(&self, tenant: &TenantId, now: Timestamp) -> Result<(), StoreError> {
        let sure = |noted: &Timestamp| now.micros() - noted.micros() < SURE;
        if self.noted.lock().get(tenant).is_some_and(sure) {
            return Ok(());
        }
        self.records().put(&key(tenant), &now.micros()).await?;
        let mut noted = self.noted.lock();
        noted.retain(|_, at| sure(at));
        noted.insert(tenant.clone(), now);
        Ok(())
    }

    /// The tenants that are noted, and since when.
    async fn tenants(&self) -> Result<Vec<(TenantId, Timestamp)>, StoreError> {
        let all = self.records().all().await?.into_iter();
        let read = |(key, at): (String, i64)| {
            let tenant = match key.strip_prefix('=')? {
                "" => TenantId::DEFAULT,
                name => TenantId::from_kept(name).ok()?,
            };
            Some((tenant, Timestamp::from_micros(at)))
        };
        Ok(all.filter_map(read).collect())
    }

    /// Forgets a tenant that has nothing that will end any more.
    async fn forget(
        &self,
        tenant: &TenantId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if now.micros() - since.micros() >= SETTLED {
            self.records().take(&key(tenant)).await?;
        }
        Ok(())
    }
}

fn key(tenant: &TenantId) -> String {
    format!("={}", tenant.name().unwrap_or_default())
}

impl Broker {
    /// Takes away the entity maps that have ended, and sees to it that snapshots are filled and
    /// taken away. To be called now and then.
    pub async fn tidy(&self, now: Timestamp) -> Result<(), StoreError> {
        for (tenant, since) in self.tidy.tenants().await? {
            let left = match self.tidy_tenant(&tenant, now).await {
                Err(StoreError::UnknownTenant(_)) => 0,
                left => left?,
            };
            if left == 0 {
                self.tidy.forget(&tenant, since, now).await?;
            }
        }
        Ok(())
    }

    async fn tidy_tenant(&self, tenant: &TenantId, now: Timestamp) -> Result<usize, StoreError> {
        let maps = self.entity_maps.sweep(tenant, now).await?;
        Ok(maps + self.look_after_snapshots(tenant, now).await?)
    }
}
