//! Retrieve Entity (5.7.1).

use std::sync::Arc;

use super::entity_maps::Family;
use super::federation::Retrieved;
use super::{Broker, Call, Error, MapTexts, MapUse, not_found};
use crate::federate::Warning;
use crate::model::{EntityId, Held, Holder, Stored, TypeSelection};
use crate::represent::{Linked, Rendering};

/// Entities that were found, and those that they are joined with.
#[derive(Debug, Default)]
pub struct Answer {
    pub entities: Vec<Arc<Stored>>,
    pub linked: Linked,
    /// How many there are in all, if it was asked.
    pub count: Option<u64>,
    /// Whether there are more after these.
    pub more: bool,
    /// What there is to say of sources.
    pub warnings: Vec<Warning>,
    /// The entity map that they were found by, if one was asked for (5.5.14).
    pub map: Option<MapUse>,
}

impl Broker {
    /// Retrieves an entity; one without any of the attributes that `attrs` names counts as
    /// unknown. 5.7.1.
    pub async fn retrieve_entity(
        &self,
        call: &Call,
        id: &EntityId,
        only: Option<&str>,
        rendering: &Rendering,
        map: &MapTexts,
    ) -> Result<Answer, Error> {
        let only = self.only(call, only)?;
        map.check()?;
        let named = match map.any() {
            true => Box::pin(self.map_to_retrieve(call, map, Family::Current, id)).await?,
            false => None,
        };
        let here = |entity| Retrieved { entity, by: vec![Holder::Here], ..Retrieved::default() };
        let found = match call.origin() {
            None => here(self.store.get(&call.tenant, id, call.now).await?),
            // Who is not concerned should not notice that there are sources.
            Some(_) if !self.may_be_elsewhere(call, id, only.as_ref()) => {
                here(self.local_entity(call, id).await?)
            }
            Some(origin) => {
                let (only, known) = (only.as_ref(), named.as_ref());
                Box::pin(self.retrieve_everywhere(call, origin, id, only, rendering, known)).await?
            }
        };
        let Retrieved { entity, by, warnings } = found;
        let Some(entity) = entity else { return Err(not_found(id).warned(warnings)) };
        let mut answer = self.answer(call, entity, only, rendering, warnings).await?;
        if map.any() {
            let (named, held) = (named.map(|known| known.map), Held { id: id.clone(), by });
            let made = self.map_retrieved(call, map, Family::Current, named, held);
            answer.map = Some(Box::pin(made).await?);
        }
        Ok(answer)
    }

    async fn answer(
        &self,
        call: &Call,
        entity: Arc<Stored>,
        only: Option<TypeSelection>,
        rendering: &Rendering,
        mut warnings: Vec<Warning>,
    ) -> Result<Answer, Error> {
        let id = &entity.id;
        if only.is_some_and(|only| !only.selects(entity.types.as_slice())) {
            return Err(not_found(id).warned(warnings));
        }
        if let Some(attrs) = &rendering.projection.attrs {
            let names = attrs.iter().filter_map(|term| term.name());
            if !names.into_iter().any(|name| entity.attributes.get(name).is_some()) {
                let why = format!("the entity {id} has none of the attributes that attrs names");
                return Err(Error::NotFound(why).warned(warnings));
            }
        }
        let entities = vec![entity];
        let linked = self.linked(call, &entities, rendering, &mut warnings).await?;
        Ok(Answer { entities, linked, count: None, more: false, warnings, map: None })
    }
}
