//! `/info/sourceIdentity` (6.33).

use actix_web::HttpResponse;

use super::answer::document;
use super::negotiate::{Media, accept};
use super::problem::Problem;
use super::request::Incoming;

/// Retrieve Context Source Identity (5.15.1, 6.33.3.1).
pub async fn source_identity(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let media = accept(incoming.http, false)?;
    incoming.params()?.finish()?;
    let call = incoming.call().await?;
    let identity = incoming.broker.source_identity(&call.tenant, call.now).await?;
    let mut body = serde_json::json!({
        "id": identity.id,
        "type": "ContextSourceIdentity",
        "contextSourceAlias": identity.alias,
        "contextSourceUptime": format!("PT{}S", identity.uptime_seconds),
        "contextSourceTimeAt": identity.time.to_string(),
    });
    if media == Media::LdJson {
        let context = serde_json::from_str(&call.context.link().body);
        body["@context"] = context.unwrap_or_default();
    }
    Ok(document(media, &call, body.to_string().into_bytes()))
}
