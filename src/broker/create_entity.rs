//! Create Entity (5.6.1).

use super::{Broker, Call, Error};
use crate::jsonld::Document;
use crate::model::{Action, EntityId, Write};
use crate::represent::Reading;

impl Broker {
    /// Creates an entity and returns its id; one that is there already is refused. 5.6.1.
    pub async fn create_entity(&self, call: &Call, body: &Document<'_>) -> Result<EntityId, Error> {
        let entity = self.reader(call, Reading::Whole).entity(body)?;
        let id = entity.id.clone();
        self.commit_one(call, Write::new(id.clone(), Action::Create(entity))).await?;
        Ok(id)
    }
}
