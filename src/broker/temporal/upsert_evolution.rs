//! Create or Update Temporal Evolution of an Entity (5.6.11).

use crate::egress::Method;

use super::super::federation::{Body, Missing, Place, Telling, about};
use super::super::{Broker, Call, Error, Settled};
use crate::jsonld::Document;
use crate::model::{EntityId, HistoryAction, HistoryWrite};
use crate::represent::Reading;
use crate::represent::registration::Operation;

impl Broker {
    /// Begins the history of an entity, or adds instances to it; tells its id, whether it was
    /// begun, and what became of parts of it that are for others. 5.6.11.
    pub async fn upsert_evolution(
        &self,
        call: &Call,
        body: &Document<'_>,
    ) -> Result<(EntityId, bool, Settled), Error> {
        let (id, told) = self.reader(call, Reading::Whole).chronology(body)?;
        let id = id.ok_or_else(|| Error::bad("$.id: the entity has no id: give it a URI"))?;
        if told.types.is_empty() {
            return Err(Error::bad("$.type: the entity has no type: give it one or more"));
        }
        let types = call.origin().map_or(Vec::new(), |_| told.types.clone());
        let telling = Telling {
            id: &id,
            types: &types,
            only: None,
            attributes: call.origin().map(|_| about(call, body)),
            operation: Operation::UpsertTemporal,
            method: Method::POST,
            path: Place::Plain("/temporal/entities".into()),
            params: Vec::new(),
            body: Body::Entity(body),
        };
        match self.history_everywhere(call, &telling, HistoryAction::Upsert(told)).await? {
            Ok(parts) => {
                let begun = match &parts.here {
                    Some(Ok(change)) => change.created,
                    _ => false,
                };
                let settled = parts.settle(&id, Missing::Fails)?;
                Ok((id, begun, settled))
            }
            Err(action) => {
                let change =
                    self.commit_past(call, HistoryWrite { id: id.clone(), action }).await?;
                Ok((id, change.created, Settled::Done))
            }
        }
    }
}
