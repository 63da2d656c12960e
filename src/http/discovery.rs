//! `/types` and `/attributes` (6.25 to 6.28).

use actix_web::HttpResponse;
use uuid::Uuid;

use super::answer::document;
use super::negotiate::{Media, accept};
use super::problem::Problem;
use super::request::Incoming;
use crate::broker::Inquiry;
use crate::represent::discovery::{AttributeFacts, Discovery, TypeFacts};
use crate::store::{AttributeCensus, TypeCensus};

/// Entity types, as a list or with details (5.7.5, 5.7.6, 6.25.3.1).
pub async fn types(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let (media, details) = looks(&incoming)?;
    let call = incoming.call().await?;
    let census = incoming.broker.census(&call, Inquiry::Types { details }).await?;
    let discovery = Discovery::new(&call.context, media == Media::LdJson);
    let body = match details {
        true => discovery.types(census.types.into_iter().map(facts_of_type)),
        false => {
            let id = format!("urn:ngsi-ld:EntityTypeList:{}", Uuid::new_v4());
            discovery.type_list(&id, census.types.iter().map(|census| census.name))
        }
    };
    Ok(document(media, &call, body))
}

/// One entity type (5.7.7, 6.26.3.1).
pub async fn entity_type(incoming: Incoming<'_>, name: &str) -> Result<HttpResponse, Problem> {
    let media = no_details(&incoming)?;
    let call = incoming.call().await?;
    let census = incoming.broker.entity_type(&call, name).await?;
    let discovery = Discovery::new(&call.context, media == Media::LdJson);
    Ok(document(media, &call, discovery.type_info(&facts_of_type(census))))
}

/// Attributes, as a list or with details (5.7.8, 5.7.9, 6.27.3.1).
pub async fn attributes(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let (media, details) = looks(&incoming)?;
    let call = incoming.call().await?;
    let census = incoming.broker.census(&call, Inquiry::Attributes { details }).await?;
    let discovery = Discovery::new(&call.context, media == Media::LdJson);
    let body = match details {
        true => discovery.attributes(census.attributes.into_iter().map(facts_of_attribute)),
        false => {
            let id = format!("urn:ngsi-ld:AttributeList:{}", Uuid::new_v4());
            discovery.attribute_list(&id, census.attributes.iter().map(|census| census.name))
        }
    };
    Ok(document(media, &call, body))
}

/// One attribute (5.7.10, 6.28.3.1).
pub async fn attribute(incoming: Incoming<'_>, name: &str) -> Result<HttpResponse, Problem> {
    let media = no_details(&incoming)?;
    let call = incoming.call().await?;
    let census = incoming.broker.attribute(&call, name).await?;
    let discovery = Discovery::new(&call.context, media == Media::LdJson);
    Ok(document(media, &call, discovery.attribute_info(&facts_of_attribute(census))))
}

fn looks(incoming: &Incoming<'_>) -> Result<(Media, bool), Problem> {
    let media = accept(incoming.http, false)?;
    let mut params = incoming.params()?;
    let details = params.take_flag("details")?.unwrap_or(false);
    params.take_flag("local")?;
    params.finish()?;
    Ok((media, details))
}

fn no_details(incoming: &Incoming<'_>) -> Result<Media, Problem> {
    let media = accept(incoming.http, false)?;
    incoming.no_parameters_but_local()?;
    Ok(media)
}

fn facts_of_type(census: TypeCensus) -> TypeFacts {
    let TypeCensus { name, entities, attributes } = census;
    TypeFacts { name, entities, attributes }
}

fn facts_of_attribute(census: AttributeCensus) -> AttributeFacts {
    let AttributeCensus { name, entities, kinds, types } = census;
    AttributeFacts { name, entities, kinds, types }
}
