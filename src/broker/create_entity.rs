//! Create Entity (5.6.1).

use crate::egress::Method;

use super::federation::{Body, Missing, Place, Settled, Telling, about};
use super::{Broker, Call, Error};
use crate::jsonld::Document;
use crate::model::{Action, EntityId, Write};
use crate::represent::Reading;
use crate::represent::registration::Operation;

impl Broker {
    /// Creates an entity and returns its id, and what became of parts of it that are for others;
    /// one that is there already is refused. 5.6.1.
    pub async fn create_entity(
        &self,
        call: &Call,
        body: &Document<'_>,
    ) -> Result<(EntityId, Settled), Error> {
        let entity = self.reader(call, Reading::Whole).entity(body)?;
        let id = entity.id.clone();
        if call.origin().is_none() {
            self.commit_one(call, Write::new(id.clone(), Action::Create(entity))).await?;
            return Ok((id, Settled::Done));
        }
        let types = entity.types.as_slice().to_vec();
        let telling = Telling {
            id: &id,
            types: &types,
            only: None,
            attributes: Some(about(call, body)),
            operation: Operation::CreateEntity,
            method: Method::POST,
            path: Place::Plain("/entities".into()),
            params: Vec::new(),
            body: Body::Entity(body),
        };
        let settled = match self.write_everywhere(call, &telling, Action::Create(entity)).await? {
            Ok(parts) => parts.settle(&id, Missing::Fails)?,
            Err(action) => {
                self.commit_one(call, Write::new(id.clone(), action)).await?;
                Settled::Done
            }
        };
        Ok((id, settled))
    }
}
