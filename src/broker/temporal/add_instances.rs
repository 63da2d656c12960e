//! Add Attributes to Temporal Evolution of an Entity (5.6.12).

use super::super::{Broker, Call, Error, check_same_id};
use crate::jsonld::Document;
use crate::model::{EntityId, HistoryAction, HistoryWrite};
use crate::represent::Reading;

impl Broker {
    /// Adds instances to the history of an entity. 5.6.12.
    pub async fn add_instances(
        &self,
        call: &Call,
        id: EntityId,
        body: &Document<'_>,
    ) -> Result<(), Error> {
        let (own, told) = self.reader(call, Reading::Whole).chronology(body)?;
        check_same_id(&id, own.as_ref())?;
        if told.attributes.is_empty() && told.scopes.is_empty() && told.types.is_empty() {
            return Err(Error::bad("the body adds nothing: give it attributes with instances"));
        }
        self.commit_past(call, HistoryWrite { id, action: HistoryAction::Append(told) }).await?;
        Ok(())
    }
}
