//! Delete Temporal Evolution of an Entity (5.6.16).

use super::super::{Broker, Call, Error};
use crate::model::{EntityId, HistoryAction, HistoryWrite};

impl Broker {
    /// Forgets the history of an entity; one that the core API wrote goes on to live. 5.6.16.
    pub async fn delete_evolution(&self, call: &Call, id: EntityId) -> Result<(), Error> {
        self.commit_past(call, HistoryWrite { id, action: HistoryAction::Delete }).await?;
        Ok(())
    }
}
