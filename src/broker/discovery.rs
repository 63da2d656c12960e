//! Which entity types and attributes there are (5.7.5 to 5.7.10).

use super::{Broker, Call, Error, Inquiry};
use crate::model::Name;
use crate::store::{AttributeCensus, Census, TypeCensus};

impl Broker {
    /// All entity types and attributes of a tenant, with their numbers. 5.7.5, 5.7.6, 5.7.8,
    /// 5.7.9.
    pub async fn census(&self, call: &Call, inquiry: Inquiry) -> Result<Census, Error> {
        match call.origin() {
            Some(origin) => Box::pin(self.census_everywhere(call, origin, inquiry)).await,
            None => Ok(self.store.census(&call.tenant, call.now).await?),
        }
    }

    /// What is known of an entity type. 5.7.7.
    pub async fn entity_type(&self, call: &Call, term: &str) -> Result<TypeCensus, Error> {
        let iri = call.context.expand_text(term);
        let unknown = || Error::NotFound(format!("there are no entities of the type {iri}"));
        let name = name_of(call, term).ok_or_else(unknown)?;
        let census = self.census(call, Inquiry::Type(name)).await?;
        census.of_type(name).cloned().ok_or_else(unknown)
    }

    /// What is known of an attribute. 5.7.10.
    pub async fn attribute(&self, call: &Call, term: &str) -> Result<AttributeCensus, Error> {
        let iri = call.context.expand_text(term);
        let unknown = || Error::NotFound(format!("there are no entities with the attribute {iri}"));
        let name = name_of(call, term).ok_or_else(unknown)?;
        let census = self.census(call, Inquiry::Attribute(name)).await?;
        census.of_attribute(name).cloned().ok_or_else(unknown)
    }
}

/// The name of a term. What nobody here ever heard of may be known at sources.
fn name_of(call: &Call, term: &str) -> Option<Name> {
    match call.origin() {
        Some(_) => call.context.expand(term).ok(),
        None => call.context.lookup(term),
    }
}
