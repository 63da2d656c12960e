//! What a registration may not lay claim to (4.3.6.3, 5.9.2.4): what another one has for itself,
//! and what is kept here.

use std::sync::Arc;

use url::Url;

use super::Registry;
use crate::broker::Error;
use crate::model::{TenantId, Timestamp};
use crate::represent::registration::{Mode, ReadLimits, Registration};
use crate::store::StoreError;

impl Registry {
    /// Whether the source is where one may go.
    pub(super) fn check_endpoint(&self, registration: &Registration) -> Result<(), Error> {
        let endpoint = &*registration.endpoint;
        let refuse = |why: String| Error::bad(format!("$.endpoint: {why}"));
        let url = Url::parse(endpoint).map_err(|why| refuse(format!("it is no URL: {why}")))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it is the base of addresses, without ? and #".to_owned()));
        }
        self.guard.check(&url).map_err(|refused| refuse(refused.to_string()))
    }

    /// Whether the registration can stand beside the others and beside the entities.
    pub(super) async fn check_claims(
        &self,
        tenant: &TenantId,
        registration: &Registration,
        now: Timestamp,
    ) -> Result<(), Error> {
        if !registration.mode.is_proxied() {
            return Ok(());
        }
        let others = self.latest(tenant, now).await?;
        let other = others
            .iter()
            .find(|other| other.id != registration.id && registration.conflicts_with(other));
        if let Some(other) = other {
            return Err(Error::Conflict(format!(
                "{} is registered as {} by {} for an entity and attribute of this one: Conflict \
                 (4.3.6.3)",
                other.endpoint,
                other.mode.word(),
                other.id
            )));
        }
        for plan in registration.claims() {
            let found = match self.store.find(tenant, &plan, now).await {
                Err(StoreError::UnknownTenant(_)) => return Ok(()),
                found => found?,
            };
            if let Some(entity) = found.entities.first() {
                let what = match registration.mode {
                    Mode::Exclusive => "has an attribute of this exclusive registration",
                    _ => "matches this registration that redirects",
                };
                return Err(Error::Conflict(format!(
                    "the entity {} is kept here and {what}: Conflict (4.3.6.3)",
                    entity.id
                )));
            }
        }
        Ok(())
    }

    /// The registrations as they are kept: what another broker wrote a moment ago may not be in
    /// memory yet.
    async fn latest(
        &self,
        tenant: &TenantId,
        now: Timestamp,
    ) -> Result<Vec<Arc<Registration>>, Error> {
        if !self.store.is_shared() {
            return Ok(self.all(tenant, now));
        }
        let records = match self.records(tenant).all().await {
            Err(StoreError::UnknownTenant(_)) => return Ok(Vec::new()),
            records => records?,
        };
        let mut all = Vec::with_capacity(records.len());
        for (_, record) in records {
            match self.get(tenant, &crate::model::RegistrationId::from_trusted(&record.id)) {
                Some(known) if known.modified_at.bits() == record.modified_at => all.push(known),
                _ => all.extend(record.registration(&ReadLimits::of_kept()).ok().map(Arc::new)),
            }
        }
        all.retain(|one| one.is_alive(now));
        Ok(all)
    }
}
