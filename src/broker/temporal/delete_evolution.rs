//! Delete Temporal Evolution of an Entity (5.6.16).

use crate::egress::Method;

use super::super::federation::{Body, Missing, Place, Telling, past_path};
use super::super::{Broker, Call, Error, Settled};
use crate::model::{EntityId, HistoryAction, HistoryWrite};
use crate::represent::registration::Operation;

impl Broker {
    /// Forgets the history of an entity; one that the core API wrote goes on to live. 5.6.16.
    pub async fn delete_evolution(&self, call: &Call, id: EntityId) -> Result<Settled, Error> {
        let telling = Telling {
            id: &id,
            types: &[],
            only: None,
            attributes: None,
            operation: Operation::DeleteTemporal,
            method: Method::DELETE,
            path: Place::Plain(past_path(&id, "")),
            params: Vec::new(),
            body: Body::Nothing,
        };
        match self.history_everywhere(call, &telling, HistoryAction::Delete).await? {
            Ok(parts) => parts.settle(&id, Missing::Anywhere),
            Err(action) => {
                self.commit_past(call, HistoryWrite { id, action }).await?;
                Ok(Settled::Done)
            }
        }
    }
}
