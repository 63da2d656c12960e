//! Replace Entity (5.6.18).

use crate::egress::Method;

use super::federation::{Body, Missing, Place, Settled, Telling, about, entity_path};
use super::{Broker, Call, Error, check_same_id};
use crate::jsonld::Document;
use crate::model::{Action, EntityId, Write};
use crate::represent::Reading;
use crate::represent::registration::Operation;

impl Broker {
    /// Replaces all of an entity but its creation time. 5.6.18.
    pub async fn replace_entity(
        &self,
        call: &Call,
        id: EntityId,
        only: Option<&str>,
        body: &Document<'_>,
    ) -> Result<Settled, Error> {
        let only = self.only(call, only)?;
        let mut fragment = self.reader(call, Reading::Whole).fragment(body)?;
        check_same_id(&id, fragment.id.as_ref())?;
        fragment.id = Some(id.clone());
        let entity = fragment.into_entity()?;
        let types = call.origin().map_or(Vec::new(), |_| entity.types.as_slice().to_vec());
        let telling = Telling {
            id: &id,
            types: &types,
            only: only.as_ref(),
            attributes: call.origin().map(|_| about(call, body)),
            operation: Operation::ReplaceEntity,
            method: Method::PUT,
            path: Place::Plain(entity_path(&id, "")),
            params: Vec::new(),
            body: Body::Entity(body),
        };
        match self.write_everywhere(call, &telling, Action::Replace(entity)).await? {
            Ok(parts) => parts.settle(&id, Missing::Fails),
            Err(action) => {
                self.commit_one(call, Write { id, only, action }).await?;
                Ok(Settled::Done)
            }
        }
    }
}
