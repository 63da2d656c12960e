//! Modify Attribute Instance in Temporal Evolution of an Entity (5.6.14).

use super::super::{Broker, Call, Error};
use super::{attribute_of, instance_of};
use crate::jsonld::Document;
use crate::model::{EntityId, HistoryAction, HistoryWrite};
use crate::represent::Reading;

impl Broker {
    /// Changes one instance in the history of an entity: members that are sent are replaced, or
    /// deleted by a Null; it keeps its instanceId and creation time. 5.6.14.
    pub async fn modify_instance(
        &self,
        call: &Call,
        id: EntityId,
        attribute: &str,
        instance: &str,
        body: &Document<'_>,
    ) -> Result<(), Error> {
        let attribute = attribute_of(call, attribute)?;
        let patch = self.reader(call, Reading::Update).instance_fragment(body, attribute)?;
        let instance = instance_of(attribute, instance)?;
        let action = HistoryAction::ModifyInstance { attribute, instance, patch };
        self.commit_past(call, HistoryWrite { id, action }).await?;
        Ok(())
    }
}
