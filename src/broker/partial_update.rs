//! Partial Attribute Update (5.6.4).

use crate::egress::Method;

use super::federation::{Body, Updated};
use super::{Broker, Call, Error};
use crate::jsonld::Document;
use crate::model::{Action, EntityId};
use crate::represent::Reading;
use crate::represent::registration::Operation;

impl Broker {
    /// Changes the members of one attribute instance that the body mentions. 5.6.4.
    pub async fn partial_update(
        &self,
        call: &Call,
        id: EntityId,
        attribute: &str,
        only: Option<&str>,
        body: &Document<'_>,
    ) -> Result<Updated, Error> {
        let only = self.only(call, only)?;
        let attribute = self.attribute_name(call, attribute)?;
        let patch = self.reader(call, Reading::Update).attribute_fragment(body, attribute)?;
        let action = Action::PartialUpdate { attribute, patch };
        let how = (Operation::UpdateAttrs, Method::PATCH, Vec::new());
        self.change_attribute(call, id, attribute, only, Body::Attribute(body), how, action).await
    }
}
