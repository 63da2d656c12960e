//! Create or Update Temporal Evolution of an Entity (5.6.11).

use super::super::{Broker, Call, Error};
use crate::jsonld::Document;
use crate::model::{EntityId, HistoryAction, HistoryWrite};
use crate::represent::Reading;

impl Broker {
    /// Begins the history of an entity, or adds instances to it; tells its id and whether it was
    /// begun. 5.6.11.
    pub async fn upsert_evolution(
        &self,
        call: &Call,
        body: &Document<'_>,
    ) -> Result<(EntityId, bool), Error> {
        let (id, told) = self.reader(call, Reading::Whole).chronology(body)?;
        let id = id.ok_or_else(|| Error::bad("$.id: the entity has no id: give it a URI"))?;
        if told.types.is_empty() {
            return Err(Error::bad("$.type: the entity has no type: give it one or more"));
        }
        let write = HistoryWrite { id: id.clone(), action: HistoryAction::Upsert(told) };
        let change = self.commit_past(call, write).await?;
        Ok((id, change.created))
    }
}
