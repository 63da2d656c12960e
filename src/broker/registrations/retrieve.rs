//! Retrieve Context Source Registration (5.10.1).

use std::sync::Arc;

use super::{Registry, no_registration};
use crate::broker::{Broker, Call, Error};
use crate::model::{RegistrationId, TenantId};
use crate::represent::registration::{ReadLimits, Registration};

impl Broker {
    /// Retrieves a registration. 5.10.1.
    pub async fn retrieve_registration(
        &self,
        call: &Call,
        id: &RegistrationId,
    ) -> Result<Arc<Registration>, Error> {
        let registry = self.registry();
        let known = registry.find(&call.tenant, id).await?;
        known.filter(|one| one.is_alive(call.now)).ok_or_else(|| no_registration(id))
    }
}

impl Registry {
    /// A registration; what another broker changed a moment ago is read from the store.
    async fn find(
        &self,
        tenant: &TenantId,
        id: &RegistrationId,
    ) -> Result<Option<Arc<Registration>>, Error> {
        let known = self.get(tenant, id);
        if known.is_some() && !self.store.is_shared() {
            return Ok(known);
        }
        let record = self.records(tenant).get(id.as_str()).await?;
        let read = record.map(|record| record.registration(&ReadLimits::of_kept()));
        Ok(read.transpose()?.map(Arc::new))
    }
}
