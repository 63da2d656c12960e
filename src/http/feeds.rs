//! `/feeds`: how feeds fare, what they refused, and where documents are sent to them. No part of
//! NGSI-LD.

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Data;

use super::params::decode_percent;
use super::problem::{ErrorKind, Problem};
use super::request::Incoming;
use crate::broker::Error;
use crate::feed::{Feed, Feeds, Which};

/// How many rejections are listed when the request does not say, and at most.
const REJECTED: (u64, u64) = (50, 10_000);

/// How feeds fare.
pub async fn list(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let all = match feeds(&incoming) {
        Some(feeds) => feeds.overview().await,
        None => Vec::new(),
    };
    Ok(HttpResponse::Ok().json(all))
}

/// How a feed fares.
pub async fn show(incoming: Incoming<'_>, name: &str) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let overview = feed(&incoming, name)?.overview().await;
    Ok(HttpResponse::Ok().json(overview))
}

/// What a feed refused, newest first.
pub async fn rejected(incoming: Incoming<'_>, name: &str) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let limit = params.take_number("limit")?.unwrap_or(REJECTED.0).min(REJECTED.1);
    let mut text = |name: &str| params.take(name).map(Cow::into_owned);
    let which = Which { entity: text("entity"), what: text("what"), from: text("from") };
    params.finish()?;
    let rejected = feed(&incoming, name)?.rejected(&which, limit as usize).await;
    Ok(HttpResponse::Ok().json(rejected))
}

/// Takes a document.
pub async fn push(mut incoming: Incoming<'_>, name: &str) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let feed = feed(&incoming, name)?;
    let most = feed.most().min(incoming.broker.limits().batch_body.bytes());
    let body = incoming.any_body(most).await?;
    match feed.push(body).await {
        Some(taken) => Ok(HttpResponse::Ok().json(taken?)),
        None => Err(Problem::new(
            ErrorKind::OperationNotSupported,
            format!("the feed {name} is fetched by the broker itself, and nobody sends to it"),
        )),
    }
}

/// The name of a feed in a path.
pub fn name(path: &str) -> Result<Cow<'_, str>, Error> {
    decode_percent(path.split('/').nth(2).unwrap_or_default())
}

fn feeds(incoming: &Incoming<'_>) -> Option<Data<Feeds>> {
    incoming.http.app_data::<Data<Feeds>>().cloned()
}

fn feed(incoming: &Incoming<'_>, name: &str) -> Result<Arc<Feed>, Problem> {
    let found = feeds(incoming).and_then(|feeds| feeds.feed(name).cloned());
    found.ok_or_else(|| Problem::not_found(format!("no feed {name} runs here")))
}
