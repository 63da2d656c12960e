//! Create EntityMap for Query Entities, Retrieve, Update and Delete EntityMap (5.14.1 to 5.14.4).

use super::{Family, asks};
use crate::broker::{Broker, Call, Error, QueryTexts};
use crate::federate::Warning;
use crate::jsonld::Document;
use crate::model::{EntityMap, EntityMapId};
use crate::represent::read_entity_map_expiry;

impl Broker {
    /// Makes a map of all entities that a query finds; and what there is to say of sources. 5.14.4.
    pub async fn create_entity_map(
        &self,
        call: &Call,
        texts: &QueryTexts,
    ) -> Result<(EntityMap, Vec<Warning>), Error> {
        let plan = self.plan(call, texts)?;
        let end = self.end_of_map(call, &texts.map)?;
        let most = self.entity_maps.limits.entities;
        let mut found = self.candidates(call, texts, &plan, most, Some(end)).await?;
        let warnings = std::mem::take(&mut found.warnings);
        let asks = asks(Family::Current, call, texts);
        let made = self.make_map(call, Family::Current, Some(asks), &texts.map, found);
        let (id, head) = made.await?;
        Ok((self.entity_maps.whole(&call.tenant, &id, &head).await?, warnings))
    }

    /// Retrieves a map. 5.14.1.
    pub async fn retrieve_entity_map(
        &self,
        call: &Call,
        id: &EntityMapId,
    ) -> Result<EntityMap, Error> {
        let head = self.entity_maps.head(&call.tenant, id, call.now).await?;
        let head = head.ok_or_else(|| no_map(id))?;
        Ok(self.entity_maps.whole(&call.tenant, id, &head).await?)
    }

    /// Lets a map end at another time, though not later than allowed; one that is told to have
    /// ended is gone. 5.14.2.
    pub async fn update_entity_map(
        &self,
        call: &Call,
        id: &EntityMapId,
        body: &Document<'_>,
    ) -> Result<(), Error> {
        let wish = read_entity_map_expiry(body)?;
        let latest = super::later(call.now, self.entity_maps.limits.lifetime_max);
        let head = self.entity_maps.head(&call.tenant, id, call.now).await?;
        let head = head.ok_or_else(|| no_map(id))?;
        let Some(end) = wish.map(|end| end.min(latest)) else { return Ok(()) };
        if !self.entity_maps.end_at(&call.tenant, id, end, call.now).await? {
            return Err(no_map(id));
        }
        self.end_linked_maps(call, head.linked(), end).await;
        Ok(())
    }

    /// Deletes a map, and those of sources that are linked with it. 5.14.3.
    pub async fn delete_entity_map(&self, call: &Call, id: &EntityMapId) -> Result<(), Error> {
        let head = self.entity_maps.head(&call.tenant, id, call.now).await?;
        // One that has ended is taken away as well, but was not there.
        let taken = self.entity_maps.take(&call.tenant, id).await?;
        let Some(head) = head.filter(|_| taken) else { return Err(no_map(id)) };
        self.delete_linked_maps(call, head.linked()).await;
        Ok(())
    }
}

fn no_map(id: &EntityMapId) -> Error {
    Error::NotFound(format!("there is no entity map {id}"))
}
