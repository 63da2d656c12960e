//! The number of a broker, which its stamps tell: no two that run have the same.
//!
//! Numbers are counted up by every broker that starts, and stamps have room for some of them only.
//! So a broker holds a lease on its number; one that comes upon a number that is held takes the next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::ReturnDocument;
use mongodb::{Collection, Database};

use super::clock::Clock;
use super::leases::claim;
use super::{Inner, LEASES, META, error};
use crate::store::StoreError;

/// How long a number is held without being asked for again, and how often that is done.
const TTL: Duration = Duration::from_secs(300);
const RENEWAL: Duration = Duration::from_secs(60);

/// How many numbers are tried.
const TRIES: usize = 1_024;

/// Takes a number that no other broker has.
pub(super) async fn take(database: &Database, holder: &str) -> Result<i64, StoreError> {
    let leases = database.collection::<Document>(LEASES);
    for _ in 0..TRIES {
        let number = next(&database.collection(META)).await?;
        if claim(&leases, &lease(number), holder, TTL).await? {
            return Ok(number);
        }
    }
    Err(StoreError::Unusable("more brokers share the database than there are numbers".to_owned()))
}

async fn next(meta: &Collection<Document>) -> Result<i64, StoreError> {
    let number = meta
        .find_one_and_update(doc! { "_id": "brokers" }, doc! { "$inc": { "n": 1_i64 } })
        .upsert(true)
        .return_document(ReturnDocument::After)
        .await
        .map_err(|failure| error::from_write(&failure))?;
    Ok(number.unwrap_or_default().get_i64("n").unwrap_or(0))
}

/// The lease on a number.
pub(super) fn lease(number: i64) -> String {
    format!("number {}", Clock::bits_of(number))
}

/// Keeps the number as long as the store is open. Who was away for so long that another broker has
/// it takes a new one.
pub(super) async fn keep(inner: Arc<Inner>) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        let number = inner.number.load(Ordering::Relaxed);
        match inner.claim(&lease(number), &inner.holder, TTL).await {
            Ok(true) => {}
            Ok(false) => match take(&inner.database, &inner.holder).await {
                Ok(another) => {
                    inner.clock.renumber(another);
                    inner.number.store(another, Ordering::Relaxed);
                }
                Err(error) => tracing::warn!(%error, "the broker could not be given a number"),
            },
            // What cannot be asked now is asked again.
            Err(error) => tracing::debug!(%error, "the broker's number could not be renewed"),
        }
    }
}
