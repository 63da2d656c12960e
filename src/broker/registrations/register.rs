//! Register Context Source (5.9.2).

use std::sync::Arc;

use super::{Registry, check_expiry, note, shelf, to_json};
use crate::broker::{Broker, Call, Error};
use crate::jsonld::Document;
use crate::model::RegistrationId;
use crate::represent::registration::{Draft, Registration, Setting};
use crate::store::RecordEdit;

impl Broker {
    /// Registers a context source and returns the id of the registration; one that is there
    /// already is refused, and so is one that claims what another source or this broker has.
    /// 5.9.2.
    pub async fn register_source(
        &self,
        call: &Call,
        body: &Document<'_>,
    ) -> Result<RegistrationId, Error> {
        let registry = self.registry();
        let draft = Draft::accept(body, &call.context, &registry.limits)?;
        check_expiry(draft.expires_at()?, call.now)?;
        let setting = Setting {
            id: draft.id.clone().unwrap_or_else(new_id),
            created_at: call.now,
            modified_at: call.now,
        };
        let registration = draft.read(setting, &registry.limits)?;
        registry.check_endpoint(&registration)?;
        if registry.count(&call.tenant) >= registry.most {
            return Err(Error::TooManyResults(format!(
                "a tenant may have {} registrations (limits.registrations)",
                registry.most
            )));
        }
        let turn = registry.turn().await?;
        let registered = registry.register(call, registration).await;
        turn.end().await;
        registered
    }
}

impl Registry {
    async fn register(
        &self,
        call: &Call,
        registration: Registration,
    ) -> Result<RegistrationId, Error> {
        let id = registration.id.clone();
        let there = || Error::AlreadyExists(format!("there is a registration {id} already"));
        if self.get(&call.tenant, &id).is_some() {
            return Err(there());
        }
        self.check_claims(&call.tenant, &registration, call.now).await?;
        let record = registration.record();
        let note = note(&id, None, Some(&record), call.now)?;
        let add = RecordEdit::Add(to_json(&record)?);
        if !self.store.note_record(&shelf(&call.tenant), id.as_str(), add, vec![note]).await? {
            return Err(there());
        }
        self.put(&call.tenant, Arc::new(registration));
        Ok(id)
    }
}

fn new_id() -> RegistrationId {
    let id = format!("urn:ngsi-ld:ContextSourceRegistration:{}", uuid::Uuid::now_v7());
    RegistrationId::from_trusted(&id)
}
