//! Delete Attribute from Temporal Evolution of an Entity (5.6.13), and Delete Attribute Instance
//! (5.6.15).

use super::super::{Broker, Call, Error};
use super::{attribute_of, instance_of};
use crate::model::{EntityId, HistoryAction, HistoryWrite, Instances};

impl Broker {
    /// Takes instances of an attribute out of the history of an entity. 5.6.13.
    pub async fn delete_course(
        &self,
        call: &Call,
        id: EntityId,
        attribute: &str,
        instances: Instances,
    ) -> Result<(), Error> {
        let attribute = attribute_of(call, attribute)?;
        let action = HistoryAction::DeleteAttribute { attribute, instances };
        self.commit_past(call, HistoryWrite { id, action }).await?;
        Ok(())
    }

    /// Takes one instance out of the history of an entity. 5.6.15.
    pub async fn delete_instance(
        &self,
        call: &Call,
        id: EntityId,
        attribute: &str,
        instance: &str,
    ) -> Result<(), Error> {
        let attribute = attribute_of(call, attribute)?;
        let instance = instance_of(attribute, instance)?;
        let action = HistoryAction::DeleteInstance { attribute, instance };
        self.commit_past(call, HistoryWrite { id, action }).await?;
        Ok(())
    }
}
