//! What sources tell of the copies that were planted at them (5.8.6), told on.

use std::sync::Arc;

use super::{Kind, PLANTED, PREFIX, Plant, RegistrationLimits};
use crate::broker::federation::receive::Names;
use crate::broker::{Broker, Call, Error};
use crate::federate::{Union, Weight};
use crate::jsonld::Document;
use crate::model::{Change, Entity, Outcome, RegistrationId, Stored, TenantId};
use crate::represent::registration::Registration;
use crate::represent::subscription::{Status, Subscription};
use crate::represent::{Reading, Rendering};
use crate::store::{Note, RecordEdit, Shelf, StoreError, Topic};

impl Broker {
    /// Takes what a source tells of a copy; when this returns it is kept, and told on like all that
    /// changes here. What is told of no copy that was planted, or of what was not asked for, is
    /// dropped.
    pub async fn told_by_source(&self, call: &Call, body: &Document<'_>) -> Result<(), Error> {
        let id = body.get("subscriptionId").and_then(Document::as_str).unwrap_or_default();
        let Some((tenant, copy)) = self.copy_by_id(id).await? else { return Ok(()) };
        let limits = RegistrationLimits::of_kept();
        let Ok(registration) = copy.registration.registration(&limits) else { return Ok(()) };
        let all = self.subscriptions();
        let record = all.records(&tenant, Kind::Entities).get(&copy.subscription).await?;
        let Some(record) = record else { return Ok(()) };
        let subscription = all.told(&tenant, Kind::Entities, &record, call.now).await?;
        if subscription.status(call.now) != Status::Active {
            return Ok(());
        }
        let call = Call {
            tenant: tenant.clone(),
            now: call.now,
            context: call.context.clone(),
            origin: None,
        };
        let mut notes = Vec::new();
        let mut names = Names::new(call.context.clone());
        let items = body.get("data").and_then(Document::as_array).unwrap_or_default();
        for item in items.iter().take(self.federation.settings.entities) {
            let mut item = item.clone();
            let Ok(context) = names.of(self, &call, &mut item).await else { continue };
            let gone = item.get("deletedAt").is_some();
            let reader = self.reader_by(&context, Reading::Whole);
            let Ok(entity) = reader.received(&item) else { continue };
            let Some(entity) = within(&registration, entity) else { continue };
            let select = &subscription.plan.select;
            if !select.is_empty() && !select.iter().any(|one| one.matches(&entity)) {
                continue;
            }
            let teller = registration.id.clone();
            let change = self.whole_of(&call, &subscription, teller, entity, gone).await?;
            let topic = || Topic::Told(subscription.id.clone());
            notes.extend(change.map(|change| Note { topic: topic(), change }));
        }
        if !notes.is_empty() {
            let shelf = Shelf::of(&tenant, PLANTED);
            // Nobody asks for it any more if the copy was forgotten meanwhile.
            self.store.note_record(&shelf, id, RecordEdit::Leave, notes).await?;
        }
        Ok(())
    }

    /// A copy that was planted, by this broker or by another that shares the store.
    async fn copy_by_id(&self, id: &str) -> Result<Option<(TenantId, Plant)>, Error> {
        if let Some(known) = self.federation.planted.known.lock().get(id).cloned() {
            return Ok(Some(known));
        }
        if !self.store.is_shared() || !id.starts_with(PREFIX) {
            return Ok(None);
        }
        for tenant in self.store.tenants().await? {
            match self.copies(&tenant).get(id).await {
                Ok(Some(copy)) => return Ok(Some((tenant, copy))),
                Ok(None) | Err(StoreError::UnknownTenant(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// What there is to tell of an entity that a source told of: itself, or if its parts may lie
    /// at several places all of it, as far as the subscription asks for that. Who told of it is not
    /// asked for it.
    async fn whole_of(
        &self,
        call: &Call,
        subscription: &Subscription,
        teller: RegistrationId,
        entity: Entity,
        gone: bool,
    ) -> Result<Option<Change>, Error> {
        let split = subscription.split_entities.unwrap_or(self.federation.splits_entities());
        if gone {
            return Ok(told(call, Some(entity), None));
        }
        let mut whole = entity;
        if split {
            let mut origin = self.origin_of(&call.tenant, &subscription.id).await?;
            origin.told_by = Some(teller);
            let rendering = Rendering::default();
            let id = whole.id.clone();
            let found =
                self.retrieve_everywhere(call, &origin, &id, None, &rendering, None).await?;
            origin.told_by = None;
            let found = found.entity;
            let mut union = Union::new(call.now);
            union.add(whole, Weight::Equal);
            if let Some(found) = found {
                union.add(found.entity.clone(), Weight::Equal);
            }
            let Some(united) = union.into_entities().pop() else { return Ok(None) };
            let call = Call {
                tenant: call.tenant.clone(),
                now: call.now,
                context: call.context.clone(),
                origin: Some(Arc::new(origin)),
            };
            let one = vec![united];
            let chosen = self.chosen(&call, &subscription.plan, one, &mut Vec::new()).await?;
            let Some(united) = chosen.into_iter().next() else { return Ok(None) };
            whole = united;
        }
        Ok(told(call, None, Some(whole)))
    }
}

/// What was told of an entity, as it is kept: what it is, or what it was if it is gone.
fn told(call: &Call, before: Option<Entity>, after: Option<Entity>) -> Option<Change> {
    let id = before.as_ref().or(after.as_ref())?.id.clone();
    let outcome = Outcome::default();
    let [before, after] = [before, after].map(|entity| entity.map(Stored::new));
    Some(Change { id, at: call.now, before, after, outcome })
}

/// What of an entity is registered.
fn within(registration: &Registration, mut entity: Entity) -> Option<Entity> {
    let types = entity.types.as_slice();
    let infos: Vec<_> = registration
        .information
        .iter()
        .filter(|info| info.has_entity(&entity.id, Some(types)))
        .collect();
    if infos.is_empty() {
        return None;
    }
    entity.attributes.retain(|name, _| infos.iter().any(|info| info.has_attribute(name)));
    Some(entity)
}
