//! Replace Attribute (5.6.19).

use crate::egress::Method;

use super::federation::{Body, Updated};
use super::{Broker, Call, Error};
use crate::jsonld::Document;
use crate::model::{Action, AttrName, EntityId, InstanceEdit, Name};
use crate::represent::registration::Operation;
use crate::represent::{Reading, check_attribute_term};

impl Broker {
    /// Replaces one attribute instance that is there, keeping its creation time. 5.6.19.
    pub async fn replace_attribute(
        &self,
        call: &Call,
        id: EntityId,
        attribute: &str,
        only: Option<&str>,
        body: &Document<'_>,
    ) -> Result<Updated, Error> {
        let only = self.only(call, only)?;
        let attribute = self.attribute_name(call, attribute)?;
        let mut edits = self.reader(call, Reading::Whole).attribute_fragment(body, attribute)?.0;
        let patch = match (edits.pop(), edits.is_empty()) {
            (Some(InstanceEdit::Put(patch)), true) => patch,
            _ => return Err(Error::bad("the body is not a single attribute instance")),
        };
        let action = Action::ReplaceAttribute { attribute, patch };
        let how = (Operation::ReplaceAttrs, Method::PUT, Vec::new());
        self.change_attribute(call, id, attribute, only, Body::Attribute(body), how, action).await
    }

    /// The name in a path, expanded; what cannot be an attribute is refused, `scope` included.
    pub(super) fn attribute_name(&self, call: &Call, term: &str) -> Result<AttrName, Error> {
        check_attribute_term(term)?;
        let name = call.context.expand(term)?;
        if name == Name::SCOPE {
            return Err(Error::bad("scope is not an attribute: change it through its entity"));
        }
        Ok(name)
    }
}
