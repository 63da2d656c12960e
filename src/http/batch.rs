//! `/entityOperations/…` (6.14 to 6.17, 6.31).

use actix_web::HttpResponse;

use super::answer::{batch_created, batch_done};
use super::problem::Problem;
use super::request::Incoming;
use crate::broker::Existing;

/// Batch Create (5.6.7, 6.14.3.1).
pub async fn create(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    incoming.no_parameters_but_local()?;
    let body = incoming.batch_body().await?;
    let (call, elements) = incoming.read_elements(&body).await?;
    let outcome = incoming.broker.batch_create(&call, elements).await?;
    Ok(batch_created(outcome))
}

/// Batch Upsert (5.6.8, 6.15.3.1).
pub async fn upsert(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let existing = match params.take_choice("options", &["replace", "update"])? {
        Some("update") => Existing::Update,
        _ => Existing::Replace,
    };
    params.take_flag("local")?;
    params.finish()?;
    let body = incoming.batch_body().await?;
    let (call, elements) = incoming.read_elements(&body).await?;
    let outcome = incoming.broker.batch_upsert(&call, existing, elements).await?;
    Ok(batch_created(outcome))
}

/// Batch Update (5.6.9, 6.16.3.1).
pub async fn update(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let leave = params.take_option("noOverwrite")?;
    params.take_flag("local")?;
    params.finish()?;
    let existing = if leave { Existing::Leave } else { Existing::Update };
    let body = incoming.batch_body().await?;
    let (call, elements) = incoming.read_elements(&body).await?;
    let outcome = incoming.broker.batch_update(&call, existing, elements).await?;
    Ok(batch_done(outcome))
}

/// Batch Merge (5.6.20, 6.31.3.1).
pub async fn merge(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    incoming.no_parameters_but_local()?;
    let body = incoming.batch_body().await?;
    let (call, elements) = incoming.read_elements(&body).await?;
    let outcome = incoming.broker.batch_merge(&call, elements).await?;
    Ok(batch_done(outcome))
}

/// Batch Delete (5.6.10, 6.17.3.1).
pub async fn delete(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    incoming.no_parameters_but_local()?;
    let body = incoming.batch_body().await?;
    let (call, ids) = incoming.read_ids(&body).await?;
    let outcome = incoming.broker.batch_delete(&call, &ids).await?;
    Ok(batch_done(outcome))
}
