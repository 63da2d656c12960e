//! What other brokers do to records, told to those who keep some in memory: by a change stream,
//! and where there is none, or while it is broken, by looking every half second.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use mongodb::bson::{Document, doc};
use mongodb::change_stream::event::OperationType;

use super::Inner;
use crate::model::TenantId;
use crate::store::RecordChange;

/// How often records are looked at where there is no change stream.
const LOOK: Duration = Duration::from_millis(500);

/// How long one looks before a change stream is tried again.
const RETRY: Duration = Duration::from_secs(15);

/// How far back one looks, in stamps: the clocks of brokers differ a little, and a write with an
/// earlier stamp may be seen later.
const OVERLAP: i64 = 10_000_000 << 10;

/// Follows the records as long as the store is open.
pub(super) async fn keep(inner: Arc<Inner>) {
    let mut seen = Seen { since: inner.clock.stamp(), told: HashMap::new() };
    loop {
        if inner.listeners.lock().is_empty() {
            tokio::time::sleep(LOOK).await;
            seen.since = inner.clock.stamp();
            continue;
        }
        if let Err(error) = stream(&inner, &mut seen).await {
            tracing::debug!(%error, "no change stream: looking for changes instead");
        }
        let begun = Instant::now();
        while begun.elapsed() < RETRY {
            // While the database is away there is nothing to see, and nothing is missed.
            let _ = look(&inner, &mut seen).await;
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What was told already.
struct Seen {
    /// The latest stamp that was met.
    since: i64,
    /// The stamps of what is looked at again and again.
    told: HashMap<String, i64>,
}

/// Follows a change stream until it breaks.
async fn stream(inner: &Inner, seen: &mut Seen) -> mongodb::error::Result<()> {
    #[cfg(test)]
    if !inner.settings.streams {
        return Ok(());
    }
    // Which record it is will do.
    let less = [doc! { "$unset": ["fullDocument", "updateDescription"] }];
    let records = inner.records.clone_with_type::<Document>();
    let mut changes = records.watch().pipeline(less).await?;
    // What happened before the stream began.
    look(inner, seen).await?;
    while let Some(change) = changes.next().await {
        let change = change?;
        if change.operation_type == OperationType::Invalidate {
            break;
        }
        if let Some(change) = change.document_key.as_ref().and_then(of_key) {
            tell(inner, change).await;
        }
        seen.since = seen.since.max(inner.clock.stamp());
    }
    Ok(())
}

/// Tells what has changed since one last looked.
async fn look(inner: &Inner, seen: &mut Seen) -> mongodb::error::Result<()> {
    let records = inner.records.clone_with_type::<Document>();
    let find = records.find(doc! { "v": { "$gt": seen.since - OVERLAP } });
    let found: Vec<Document> =
        find.projection(doc! { "_id": 1, "v": 1 }).await?.try_collect().await?;
    let mut told = HashMap::with_capacity(found.len());
    for document in found {
        let (Ok(id), Ok(stamp)) = (document.get_document("_id"), document.get_i64("v")) else {
            continue;
        };
        let name = id.to_string();
        if seen.told.get(&name) != Some(&stamp)
            && let Some(change) = of_key(&document)
        {
            tell(inner, change).await;
        }
        seen.since = seen.since.max(stamp);
        told.insert(name, stamp);
    }
    seen.told = told;
    Ok(())
}

async fn tell(inner: &Inner, change: RecordChange) {
    inner.record_changed(&change.shelf, change.tenant.as_ref());
    let listeners = inner.listeners.lock().clone();
    for listener in listeners {
        // Who does not listen any more is not told.
        let _ = listener.send(change.clone()).await;
    }
}

fn of_key(document: &Document) -> Option<RecordChange> {
    let id = document.get_document("_id").ok()?;
    let tenant = match id.get_str("t") {
        Ok("") => Some(TenantId::DEFAULT),
        Ok(name) => Some(TenantId::from_kept(name).ok()?),
        Err(_) => None,
    };
    let (shelf, key) = (id.get_str("n").ok()?.to_owned(), id.get_str("k").ok()?.to_owned());
    Some(RecordChange { shelf, tenant, key })
}
