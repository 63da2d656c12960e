//! `/entities/{entityId}/attrs` and `/entities/{entityId}/attrs/{attrId}` (6.6, 6.7).

use actix_web::HttpResponse;

use super::answer::updated;
use super::problem::Problem;
use super::request::Incoming;
use crate::broker::delete_instances;

/// Append Attributes (5.6.3, 6.6.3.1).
pub async fn append(mut incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    let mut params = incoming.params()?;
    let overwrite = !params.take_option("noOverwrite")?;
    let only = params.take("type");
    params.take_flag("local")?;
    params.finish()?;
    let id = incoming.entity_id(id)?;
    let outcome =
        incoming.broker.append_attributes(&call, id, only.as_deref(), overwrite, &document).await?;
    Ok(updated(outcome))
}

/// Update Attributes (5.6.2, 6.6.3.2).
pub async fn update(mut incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    let only = incoming.only_type_parameter()?;
    let id = incoming.entity_id(id)?;
    let outcome = incoming.broker.update_attributes(&call, id, only.as_deref(), &document).await?;
    Ok(updated(outcome))
}

/// Partial Attribute Update (5.6.4, 6.7.3.1).
pub async fn partial_update(
    mut incoming: Incoming<'_>,
    id: &str,
    attribute: &str,
) -> Result<HttpResponse, Problem> {
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    let only = incoming.only_type_parameter()?;
    let id = incoming.entity_id(id)?;
    let outcome =
        incoming.broker.partial_update(&call, id, attribute, only.as_deref(), &document).await?;
    Ok(updated(outcome))
}

/// Replace Attribute (5.6.19, 6.7.3.3).
pub async fn replace(
    mut incoming: Incoming<'_>,
    id: &str,
    attribute: &str,
) -> Result<HttpResponse, Problem> {
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    let only = incoming.only_type_parameter()?;
    let id = incoming.entity_id(id)?;
    let outcome =
        incoming.broker.replace_attribute(&call, id, attribute, only.as_deref(), &document).await?;
    Ok(updated(outcome))
}

/// Delete Attribute (5.6.5, 6.7.3.2).
pub async fn delete(
    incoming: Incoming<'_>,
    id: &str,
    attribute: &str,
) -> Result<HttpResponse, Problem> {
    let call = incoming.call().await?;
    let mut params = incoming.params()?;
    let dataset = params.take("datasetId");
    let all = params.take_flag("deleteAll")?.unwrap_or(false);
    let only = params.take("type");
    params.take_flag("local")?;
    params.finish()?;
    let id = incoming.entity_id(id)?;
    let instances = delete_instances(dataset.as_deref(), all)?;
    let outcome =
        incoming.broker.delete_attribute(&call, id, attribute, only.as_deref(), instances).await?;
    Ok(updated(outcome))
}
