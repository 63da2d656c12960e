//! Modify Attribute Instance in Temporal Evolution of an Entity (5.6.14).

use crate::egress::Method;

use super::super::federation::{Body, Place};
use super::super::{Broker, Call, Error, Settled};
use super::{attribute_of, instance_of};
use crate::federate::path_part;
use crate::jsonld::Document;
use crate::model::{EntityId, HistoryAction};
use crate::represent::Reading;
use crate::represent::registration::Operation;

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
    ) -> Result<Settled, Error> {
        let attribute = attribute_of(call, attribute)?;
        let patch = self.reader(call, Reading::Update).instance_fragment(body, attribute)?;
        let place = Place::Past(&id, attribute, format!("/{}", path_part(instance)));
        let instance = instance_of(call, attribute, instance)?;
        let action = HistoryAction::ModifyInstance { attribute, instance, patch };
        let how = (Operation::UpdateAttrInstanceTemporal, Method::PATCH, Vec::new());
        self.change_past(call, &id, attribute, place, Body::Attribute(body), how, action).await
    }
}
