//! Delete Entity (5.6.6).

use crate::egress::Method;

use super::federation::{Body, Missing, Place, Settled, Telling, entity_path};
use super::{Broker, Call, Error};
use crate::model::{Action, EntityId, Write};
use crate::represent::registration::Operation;

impl Broker {
    /// Deletes an entity. 5.6.6.
    pub async fn delete_entity(
        &self,
        call: &Call,
        id: EntityId,
        only: Option<&str>,
    ) -> Result<Settled, Error> {
        let only = self.only(call, only)?;
        let telling = Telling {
            id: &id,
            types: &[],
            only: only.as_ref(),
            attributes: None,
            operation: Operation::DeleteEntity,
            method: Method::DELETE,
            path: Place::Plain(entity_path(&id, "")),
            params: Vec::new(),
            body: Body::Nothing,
        };
        match self.write_everywhere(call, &telling, Action::Delete).await? {
            Ok(parts) => parts.settle(&id, Missing::Here),
            Err(action) => {
                self.commit_one(call, Write { id, only, action }).await?;
                Ok(Settled::Done)
            }
        }
    }
}
