//! Delete Entity (5.6.6).

use super::{Broker, Call, Error};
use crate::model::{Action, EntityId, Write};

impl Broker {
    /// Deletes an entity. 5.6.6.
    pub async fn delete_entity(
        &self,
        call: &Call,
        id: EntityId,
        only: Option<&str>,
    ) -> Result<(), Error> {
        let only = self.only(call, only)?;
        self.commit_one(call, Write { id, only, action: Action::Delete }).await?;
        Ok(())
    }
}
