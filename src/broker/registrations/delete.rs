//! Delete Context Source Registration (5.9.4).

use super::{Registry, no_registration, note, shelf};
use crate::broker::{Broker, Call, Error};
use crate::model::{RegistrationId, TenantId, Timestamp};
use crate::represent::registration::{ReadLimits, RegistrationRecord};
use crate::store::RecordEdit;

impl Broker {
    /// Deletes a registration. 5.9.4.
    pub async fn delete_registration(&self, call: &Call, id: &RegistrationId) -> Result<(), Error> {
        let registry = self.registry();
        let turn = registry.turn().await?;
        let deleted = registry.delete(&call.tenant, id, call.now).await;
        turn.end().await;
        deleted
    }
}

impl Registry {
    async fn delete(
        &self,
        tenant: &TenantId,
        id: &RegistrationId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let record = self.record(tenant, id).await?;
        // Whether it has just expired is of no matter when it cannot even be read.
        let alive = record.registration(&ReadLimits::of_kept()).map_or(true, |r| r.is_alive(now));
        self.take(tenant, id, &record, now).await?;
        match alive {
            true => Ok(()),
            false => Err(no_registration(id)),
        }
    }

    /// Takes a registration away, as it was read.
    pub(super) async fn take(
        &self,
        tenant: &TenantId,
        id: &RegistrationId,
        record: &RegistrationRecord,
        now: Timestamp,
    ) -> Result<(), Error> {
        let note = note(id, Some(record), None, now)?;
        self.store.note_record(&shelf(tenant), id.as_str(), RecordEdit::Take, vec![note]).await?;
        self.remove(tenant, id);
        Ok(())
    }
}
