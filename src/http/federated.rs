//! What sources tell of subscriptions that were planted at them (5.8.6), and bringing those in line.

use std::time::Duration;

use actix_web::http::Method;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::answer::json;
use super::params;
use super::places::Place;
use super::problem::Problem;
use super::request::Incoming;
use crate::broker::Broker;

/// A source tells of a subscription (5.8.6).
pub async fn told(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    incoming.broker.told_by_source(&call, &document).await?;
    Ok(json(actix_web::http::StatusCode::OK, b"{}".to_vec()))
}

/// When it is tried to bring in line what is planted.
const TRIES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];

/// After a subscription or a registration changed, copies at sources are brought in line; nobody
/// waits for that.
pub fn level_later(
    place: Place,
    request: &HttpRequest,
    broker: &Data<Broker>,
    response: &HttpResponse,
) {
    let concerned = matches!(
        place,
        Place::Subscriptions
            | Place::Subscription
            | Place::CsourceRegistrations
            | Place::CsourceRegistration
    );
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !concerned || reads || !response.status().is_success() {
        return;
    }
    let header = request.headers().get("NGSILD-Tenant").map(|value| value.as_bytes());
    let Ok(tenant) = params::tenant(header) else { return };
    let broker = broker.clone().into_inner();
    actix_web::rt::spawn(async move {
        for pause in TRIES {
            actix_web::rt::time::sleep(pause).await;
            match broker.level(&tenant).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "subscriptions at sources are not in line"),
            }
        }
    });
}
