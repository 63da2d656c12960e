//! `/info/sourceIdentity` (6.33).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::answer::json;
use super::problem::Problem;
use super::request::Incoming;
use crate::model::Timestamp;

/// Retrieve Context Source Identity (5.15.1, 6.33.3.1).
pub async fn source_identity(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let tenant = incoming.tenant()?;
    let identity = incoming.broker.source_identity(&tenant, Timestamp::now()).await?;
    let body = serde_json::json!({
        "id": identity.id,
        "type": "ContextSourceIdentity",
        "contextSourceAlias": identity.alias,
        "contextSourceUptime": format!("PT{}S", identity.uptime_seconds),
        "contextSourceTimeAt": identity.time.to_string(),
    });
    Ok(json(StatusCode::OK, body.to_string().into_bytes()))
}
