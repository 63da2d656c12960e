//! Registrations end by themselves (5.2.9, `expiresAt`): when their time has come they are
//! deleted, and who subscribed is told.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Registry;
use crate::broker::Error;
use crate::model::{RegistrationId, TenantId, Timestamp};
use crate::represent::registration::ReadLimits;
use crate::store::StoreError;

/// How often one looks.
const OFTEN: Duration = Duration::from_millis(500);

/// How many are deleted before others get a turn.
const SOME: usize = 64;

impl Registry {
    /// Deletes registrations when they expire, as long as the registry is there.
    pub(in crate::broker) fn keep_expiring(self: &Arc<Self>) {
        let registry: Weak<Self> = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(OFTEN).await;
                let Some(registry) = registry.upgrade() else { return };
                if let Err(error) = registry.expire(Timestamp::now()).await {
                    tracing::warn!(%error, "registrations that expired could not be deleted yet");
                    tokio::time::sleep(OFTEN).await;
                }
            }
        });
    }

    /// Deletes some of those that have expired by now.
    async fn expire(&self, now: Timestamp) -> Result<(), Error> {
        let over: Vec<(TenantId, RegistrationId)> = {
            let expiring = self.expiring.lock();
            let over = expiring.iter().take_while(|(end, ..)| *end <= now).take(SOME);
            over.map(|(_, tenant, id)| (tenant.clone(), id.clone())).collect()
        };
        if over.is_empty() {
            return Ok(());
        }
        let turn = self.turn().await?;
        let mut ended = Ok(());
        for (tenant, id) in over {
            ended = self.end_one(&tenant, &id, now).await;
            if ended.is_err() {
                break;
            }
        }
        turn.end().await;
        ended
    }

    async fn end_one(
        &self,
        tenant: &TenantId,
        id: &RegistrationId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let record = match self.records(tenant).get(id.as_str()).await {
            Ok(Some(record)) => record,
            // Another broker was faster.
            Ok(None) | Err(StoreError::UnknownTenant(_)) => {
                self.remove(tenant, id);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let registration = record.registration(&ReadLimits::of_kept())?;
        match registration.is_alive(now) {
            true => self.put(tenant, Arc::new(registration)),
            false => self.take(tenant, id, &record, now).await?,
        }
        Ok(())
    }
}
