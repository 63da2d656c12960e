//! Retrieve Entity (5.7.1).

use std::sync::Arc;

use super::entity_maps::Family;
use super::{Broker, Call, Error, MapTexts, MapUse, not_found};
use crate::model::{EntityId, Held, Stored};
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
        let found = self.store.get(&call.tenant, id, call.now).await?;
        let entity = found.ok_or_else(|| not_found(id))?;
        if only.is_some_and(|only| !only.selects(entity.types.as_slice())) {
            return Err(not_found(id));
        }
        if let Some(attrs) = &rendering.projection.attrs {
            let names = attrs.iter().filter_map(|term| term.name());
            if !names.into_iter().any(|name| entity.attributes.get(name).is_some()) {
                return Err(Error::NotFound(format!(
                    "the entity {id} has none of the attributes that attrs names"
                )));
            }
        }
        let entities = vec![entity];
        let linked = self.linked(call, &entities, rendering).await?;
        let map = match map.any() {
            true => {
                let held = Held::here(id.clone());
                let made = self.map_retrieved(call, map, Family::Current, named, held);
                Some(Box::pin(made).await?)
            }
            false => None,
        };
        Ok(Answer { entities, linked, count: None, more: false, map })
    }
}
