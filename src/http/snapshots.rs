//! `/snapshots`, `/snapshots/{snapshotId}` and its `/clone` (6.36 to 6.38).

use actix_web::HttpResponse;
use serde_json::Value;

use super::answer::{batch_done, created, document, no_content};
use super::negotiate::{Media, accept};
use super::problem::Problem;
use super::request::Incoming;
use crate::broker::{Call, Error};
use crate::model::SnapshotId;
use crate::represent::snapshot::Snapshot;

const COLLECTION: &str = "snapshots";

/// Create Snapshot (5.16.1, 6.36.3.1).
pub async fn create(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let body = incoming.body().await?;
    let (call, snapshot) = incoming.read(&body).await?;
    let id = incoming.broker.create_snapshot(&call, &snapshot).await?;
    Ok(created(COLLECTION, id.as_str()))
}

/// Purge Snapshots (5.16.7, 6.36.3.2).
pub async fn purge(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let q = params.take("q");
    params.finish()?;
    let Some(q) = q else {
        return Err(Problem::bad_request("q says which snapshots are to go, and is missing"));
    };
    let call = incoming.call().await?;
    Ok(batch_done(incoming.broker.purge_snapshots(&call, &q).await?))
}

/// Retrieve the status of a Snapshot (5.16.3, 6.37.3.1).
pub async fn retrieve(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let media = accept(incoming.http, false)?;
    incoming.params()?.finish()?;
    let call = incoming.call().await?;
    let snapshot = incoming.broker.retrieve_snapshot(&call, &snapshot_id(id)?).await?;
    Ok(shown(media, &call, &snapshot))
}

/// Update a Snapshot (5.16.4, 6.37.3.2).
pub async fn update(mut incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let media = accept(incoming.http, false)?;
    incoming.params()?.finish()?;
    let body = incoming.body().await?;
    let (call, fragment) = incoming.read(&body).await?;
    let snapshot = incoming.broker.update_snapshot(&call, &snapshot_id(id)?, &fragment).await?;
    Ok(shown(media, &call, &snapshot))
}

/// Delete Snapshot (5.16.5, 6.37.3.3).
pub async fn delete(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let call = incoming.call().await?;
    incoming.broker.delete_snapshot(&call, &snapshot_id(id)?).await?;
    Ok(no_content())
}

/// Clone Snapshot (5.16.2, 6.38.3.1).
pub async fn clone(mut incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let body = incoming.body().await?;
    let (call, snapshot) = incoming.read(&body).await?;
    let id = incoming.broker.clone_snapshot(&call, &snapshot_id(id)?, &snapshot).await?;
    Ok(created(COLLECTION, id.as_str()))
}

fn snapshot_id(text: &str) -> Result<SnapshotId, Error> {
    SnapshotId::parse(text).map_err(|why| Error::bad(why.to_string()))
}

fn shown(media: Media, call: &Call, snapshot: &Snapshot) -> HttpResponse {
    let mut shown = snapshot.shown();
    if media == Media::LdJson {
        let context = serde_json::from_str(&call.context.link().body);
        shown.insert("@context".into(), context.unwrap_or(Value::Null));
    }
    document(media, call, Value::from(shown).to_string().into_bytes())
}
