//! Delete Attribute (5.6.5).

use super::{Broker, Call, Error};
use crate::model::{Action, DatasetId, EntityId, Instances, Name, Write};
use crate::represent::check_attribute_term;

impl Broker {
    /// Deletes instances of an attribute, or the scope. 5.6.5.
    pub async fn delete_attribute(
        &self,
        call: &Call,
        id: EntityId,
        attribute: &str,
        only: Option<&str>,
        instances: Instances,
    ) -> Result<(), Error> {
        let only = self.only(call, only)?;
        let name = call.context.expand(attribute)?;
        let action = if name == Name::SCOPE {
            Action::DeleteScope
        } else {
            check_attribute_term(attribute)?;
            Action::DeleteAttribute { attribute: name, instances }
        };
        self.commit_one(call, Write { id, only, action }).await?;
        Ok(())
    }
}

/// Which instances the parameters of the operation mean.
pub fn delete_instances(dataset: Option<&str>, all: bool) -> Result<Instances, Error> {
    match (dataset, all) {
        (_, true) => Ok(Instances::All),
        (None | Some("@none"), false) => Ok(Instances::Default),
        (Some(text), false) => DatasetId::parse(text)
            .map(Instances::Dataset)
            .map_err(|why| Error::bad(format!("datasetId: {why}"))),
    }
}
