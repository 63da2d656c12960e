//! `/jsonldContexts` and `/jsonldContexts/{contextId}` (6.29, 6.30).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::answer::{created, json, no_content};
use super::problem::Problem;
use super::request::Incoming;
use crate::model::Timestamp;

/// Add @context (5.13.2, 6.29.3.1).
pub async fn add(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let body = incoming.body().await?;
    let document = incoming.parse_object(&body)?;
    let tenant = incoming.tenant()?;
    let id = incoming.broker.add_context(&tenant, &document, Timestamp::now()).await?;
    Ok(created("jsonldContexts", &id))
}

/// List @contexts (5.13.3, 6.29.3.2).
pub async fn list(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let details = params.take_flag("details")?.unwrap_or(false);
    let kind = params.take("kind");
    params.finish()?;
    let all = incoming.broker.list_contexts(&incoming.tenant()?, kind.as_deref())?;
    let list: serde_json::Value = match details {
        true => all.iter().map(|context| context.to_json()).collect(),
        false => all.iter().map(|context| serde_json::Value::from(&*context.url)).collect(),
    };
    Ok(json(StatusCode::OK, list.to_string().into_bytes()))
}

/// Serve @context (5.13.4, 6.30.3.1).
pub async fn serve(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let details = params.take_flag("details")?.unwrap_or(false);
    params.finish()?;
    let (tenant, now) = (incoming.tenant()?, Timestamp::now());
    let body = match details {
        true => incoming.broker.context_details(&tenant, id, now)?.to_json().to_string(),
        false => {
            let context = incoming.broker.serve_context(&tenant, id, now)?;
            ["{\"@context\":", &context, "}"].concat()
        }
    };
    Ok(json(StatusCode::OK, body.into_bytes()))
}

/// Delete and reload @context (5.13.5, 6.30.3.2).
pub async fn delete(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let reload = params.take_flag("reload")?.unwrap_or(false);
    params.finish()?;
    let tenant = incoming.tenant()?;
    incoming.broker.delete_context(&tenant, id, reload, Timestamp::now()).await?;
    Ok(no_content())
}
