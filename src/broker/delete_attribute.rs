//! Delete Attribute (5.6.5).

use crate::egress::Method;

use super::federation::{Body, Updated};
use super::{Broker, Call, Error};
use crate::model::{Action, DatasetId, EntityId, Instances, Name};
use crate::represent::check_attribute_term;
use crate::represent::registration::Operation;

impl Broker {
    /// Deletes instances of an attribute, or the scope. 5.6.5.
    pub async fn delete_attribute(
        &self,
        call: &Call,
        id: EntityId,
        attribute: &str,
        only: Option<&str>,
        instances: Instances,
    ) -> Result<Updated, Error> {
        let only = self.only(call, only)?;
        let parts = instances.clone();
        let name = call.context.expand(attribute)?;
        let action = if name == Name::SCOPE {
            Action::DeleteScope
        } else {
            check_attribute_term(attribute)?;
            Action::DeleteAttribute { attribute: name, instances }
        };
        let all = |all| ("deleteAll", format!("{all}"));
        let params = match &parts {
            Instances::All => vec![all(true)],
            Instances::Dataset(dataset) => vec![("datasetId", dataset.as_str().to_owned())],
            Instances::Default => Vec::new(),
        };
        let how = (Operation::DeleteAttrs, Method::DELETE, params);
        self.change_attribute(call, id, name, only, Body::Nothing, how, action).await
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
