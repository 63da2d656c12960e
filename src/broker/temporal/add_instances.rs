//! Add Attributes to Temporal Evolution of an Entity (5.6.12).

use crate::egress::Method;

use super::super::federation::{Body, Missing, Place, Telling, about, past_path};
use super::super::{Broker, Call, Error, Settled, check_same_id};
use crate::jsonld::Document;
use crate::model::{EntityId, HistoryAction, HistoryWrite};
use crate::represent::Reading;
use crate::represent::registration::Operation;

impl Broker {
    /// Adds instances to the history of an entity. 5.6.12.
    pub async fn add_instances(
        &self,
        call: &Call,
        id: EntityId,
        body: &Document<'_>,
    ) -> Result<Settled, Error> {
        let (own, told) = self.reader(call, Reading::Whole).chronology(body)?;
        check_same_id(&id, own.as_ref())?;
        if told.attributes.is_empty() && told.scopes.is_empty() && told.types.is_empty() {
            return Err(Error::bad("the body adds nothing: give it attributes with instances"));
        }
        let telling = Telling {
            id: &id,
            types: &[],
            only: None,
            attributes: call.origin().map(|_| about(call, body)),
            operation: Operation::AppendAttrsTemporal,
            method: Method::POST,
            path: Place::Plain(past_path(&id, "/attrs")),
            params: Vec::new(),
            body: Body::Entity(body),
        };
        match self.history_everywhere(call, &telling, HistoryAction::Append(told)).await? {
            Ok(parts) => parts.settle(&id, Missing::Anywhere),
            Err(action) => {
                self.commit_past(call, HistoryWrite { id, action }).await?;
                Ok(Settled::Done)
            }
        }
    }
}
