//! Append Attributes (5.6.3) and Update Attributes (5.6.2).

use crate::egress::Method;

use super::federation::{Body, Place, Telling, Updated, about, entity_path};
use super::{Broker, Call, Error, check_same_id};
use crate::jsonld::Document;
use crate::model::{Action, EntityId, TypeSelection, Write};
use crate::represent::Reading;
use crate::represent::registration::Operation;

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
    ) -> Result<Updated, Error> {
        let only = self.only(call, only)?;
        let fragment = self.reader(call, Reading::Whole).fragment(body)?;
        check_same_id(&id, fragment.id.as_ref())?;
        let action = Action::Append { fragment, overwrite };
        let options = (!overwrite).then(|| ("options", "noOverwrite".to_owned()));
        let how = (Operation::AppendAttrs, Method::POST, options.into_iter().collect());
        self.change_attributes(call, id, only, body, how, action).await
    }

    /// Replaces, adds and (by NGSI-LD Null) deletes attribute instances of an entity. 5.6.2.
    pub async fn update_attributes(
        &self,
        call: &Call,
        id: EntityId,
        only: Option<&str>,
        body: &Document<'_>,
    ) -> Result<Updated, Error> {
        let only = self.only(call, only)?;
        let fragment = self.reader(call, Reading::Update).fragment(body)?;
        check_same_id(&id, fragment.id.as_ref())?;
        let how = (Operation::UpdateEntity, Method::PATCH, Vec::new());
        self.change_attributes(call, id, only, body, how, Action::Update(fragment)).await
    }

    async fn change_attributes(
        &self,
        call: &Call,
        id: EntityId,
        only: Option<TypeSelection>,
        body: &Document<'_>,
        (operation, method, params): (Operation, Method, Vec<(&'static str, String)>),
        action: Action,
    ) -> Result<Updated, Error> {
        let attributes = call.origin().map_or(Vec::new(), |_| about(call, body));
        let telling = Telling {
            id: &id,
            types: &[],
            only: only.as_ref(),
            attributes: Some(attributes.clone()),
            operation,
            method,
            path: Place::Plain(entity_path(&id, "/attrs")),
            params,
            body: Body::Entity(body),
        };
        match self.write_everywhere(call, &telling, action).await? {
            Ok(parts) => parts.settle_attributes(&attributes),
            Err(action) => {
                let change = self.commit_one(call, Write { id, only, action }).await?;
                Ok(Updated { outcome: change.outcome, failed: Vec::new() })
            }
        }
    }
}
