//! Append Attributes (5.6.3) and Update Attributes (5.6.2).

use super::{Broker, Call, Error, check_same_id};
use crate::jsonld::Document;
use crate::model::{Action, EntityId, Outcome, Write};
use crate::represent::Reading;

impl Broker {
    /// Adds attributes to an entity; those that are there are replaced, or left and reported if
    /// `overwrite` is false. 5.6.3.
    pub async fn append_attributes(
        &self,
        call: &Call,
        id: EntityId,
        only: Option<&str>,
        overwrite: bool,
        body: &Document<'_>,
    ) -> Result<Outcome, Error> {
        let only = self.only(call, only)?;
        let fragment = self.reader(call, Reading::Whole).fragment(body)?;
        check_same_id(&id, fragment.id.as_ref())?;
        let action = Action::Append { fragment, overwrite };
        Ok(self.commit_one(call, Write { id, only, action }).await?.outcome)
    }

    /// Replaces, adds and (by NGSI-LD Null) deletes attribute instances of an entity. 5.6.2.
    pub async fn update_attributes(
        &self,
        call: &Call,
        id: EntityId,
        only: Option<&str>,
        body: &Document<'_>,
    ) -> Result<Outcome, Error> {
        let only = self.only(call, only)?;
        let fragment = self.reader(call, Reading::Update).fragment(body)?;
        check_same_id(&id, fragment.id.as_ref())?;
        let action = Action::Update(fragment);
        Ok(self.commit_one(call, Write { id, only, action }).await?.outcome)
    }
}
