//! Replace Entity (5.6.18).

use super::{Broker, Call, Error, check_same_id};
use crate::jsonld::Document;
use crate::model::{Action, EntityId, Write};
use crate::represent::Reading;

impl Broker {
    /// Replaces all of an entity but its creation time. 5.6.18.
    pub async fn replace_entity(
        &self,
        call: &Call,
        id: EntityId,
        only: Option<&str>,
        body: &Document<'_>,
    ) -> Result<(), Error> {
        let only = self.only(call, only)?;
        let mut fragment = self.reader(call, Reading::Whole).fragment(body)?;
        check_same_id(&id, fragment.id.as_ref())?;
        fragment.id = Some(id.clone());
        let entity = fragment.into_entity()?;
        self.commit_one(call, Write { id, only, action: Action::Replace(entity) }).await?;
        Ok(())
    }
}
