//! Delete Attribute from Temporal Evolution of an Entity (5.6.13), and Delete Attribute Instance
//! (5.6.15).

use crate::egress::Method;

use super::super::federation::{Body, Place};
use super::super::{Broker, Call, Error, Settled};
use super::{attribute_of, instance_of};
use crate::federate::path_part;
use crate::model::{EntityId, HistoryAction, Instances};
use crate::represent::registration::Operation;

impl Broker {
    /// Takes instances of an attribute out of the history of an entity. 5.6.13.
    pub async fn delete_course(
        &self,
        call: &Call,
        id: EntityId,
        attribute: &str,
        instances: Instances,
    ) -> Result<Settled, Error> {
        let attribute = attribute_of(call, attribute)?;
        let params = match &instances {
            Instances::All => vec![("deleteAll", "true".to_owned())],
            Instances::Dataset(dataset) => vec![("datasetId", dataset.as_str().to_owned())],
            Instances::Default => Vec::new(),
        };
        let action = HistoryAction::DeleteAttribute { attribute, instances };
        let place = Place::Past(&id, attribute, String::new());
        let how = (Operation::DeleteAttrsTemporal, Method::DELETE, params);
        self.change_past(call, &id, attribute, place, Body::Nothing, how, action).await
    }

    /// Takes one instance out of the history of an entity. 5.6.15.
    pub async fn delete_instance(
        &self,
        call: &Call,
        id: EntityId,
        attribute: &str,
        instance: &str,
    ) -> Result<Settled, Error> {
        let attribute = attribute_of(call, attribute)?;
        let text = instance;
        let instance = instance_of(call, attribute, text)?;
        let place = Place::Past(&id, attribute, format!("/{}", path_part(text)));
        let action = HistoryAction::DeleteInstance { attribute, instance };
        let how = (Operation::DeleteAttrInstanceTemporal, Method::DELETE, Vec::new());
        self.change_past(call, &id, attribute, place, Body::Nothing, how, action).await
    }
}
