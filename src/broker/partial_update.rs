//! Partial Attribute Update (5.6.4).

use super::{Broker, Call, Error};
use crate::jsonld::Document;
use crate::model::{Action, EntityId, Write};
use crate::represent::{Reading, read_attribute};

impl Broker {
    /// Changes the members of one attribute instance that the body mentions. 5.6.4.
    pub async fn partial_update(
        &self,
        call: &Call,
        id: EntityId,
        attribute: &str,
        only: Option<&str>,
        body: &Document<'_>,
    ) -> Result<(), Error> {
        let only = self.only(call, only)?;
        let attribute = self.attribute_name(call, attribute)?;
        let patch = read_attribute(body, attribute, &call.context, Reading::Update)?;
        let action = Action::PartialUpdate { attribute, patch };
        self.commit_one(call, Write { id, only, action }).await?;
        Ok(())
    }
}
