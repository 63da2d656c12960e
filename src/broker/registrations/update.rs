//! Update Context Source Registration (5.9.3).

use std::sync::Arc;

use super::{Registry, check_expiry, no_registration, note, shelf, to_json};
use crate::broker::{Broker, Call, Error};
use crate::jsonld::Document;
use crate::model::RegistrationId;
use crate::represent::registration::{Draft, ReadLimits, Setting};
use crate::store::RecordEdit;

impl Broker {
    /// Replaces members of a registration, or takes them away (5.5.8). 5.9.3.
    pub async fn update_registration(
        &self,
        call: &Call,
        id: &RegistrationId,
        body: &Document<'_>,
    ) -> Result<(), Error> {
        let registry = self.registry();
        let fragment = Draft::fragment(body, &call.context, &registry.limits)?;
        if let Some(own) = fragment.id.as_ref().filter(|own| *own != id) {
            return Err(Error::bad(format!("the body is about {own}, but the request about {id}")));
        }
        check_expiry(fragment.expires_at()?, call.now)?;
        let turn = registry.turn().await?;
        let updated = registry.update(call, id, fragment).await;
        turn.end().await;
        updated
    }
}

impl Registry {
    async fn update(&self, call: &Call, id: &RegistrationId, fragment: Draft) -> Result<(), Error> {
        let before = self.record(&call.tenant, id).await?;
        let was = before.registration(&ReadLimits::of_kept())?;
        if !was.is_alive(call.now) {
            return Err(no_registration(id));
        }
        let mut draft = was.draft().clone();
        draft.amend(fragment);
        let setting = Setting { id: id.clone(), created_at: was.created_at, modified_at: call.now };
        let registration = draft.read(setting, &self.limits)?;
        self.check_endpoint(&registration)?;
        self.check_claims(&call.tenant, &registration, call.now).await?;
        let after = registration.record();
        let note = note(id, Some(&before), Some(&after), call.now)?;
        let replace = RecordEdit::Replace(to_json(&after)?);
        if !self.store.note_record(&shelf(&call.tenant), id.as_str(), replace, vec![note]).await? {
            return Err(no_registration(id));
        }
        self.put(&call.tenant, Arc::new(registration));
        Ok(())
    }
}
