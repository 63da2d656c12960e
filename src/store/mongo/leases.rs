//! Leases: who does what must happen once. Time is the database's, so that brokers whose clocks
//! differ agree on when a lease is over.

use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::ReturnDocument;

use super::{Inner, error};
use crate::store::StoreError;

/// Takes a lease that nobody else has, or keeps it; whether the holder has it now.
pub(super) async fn claim(
    leases: &Collection<Document>,
    lease: &str,
    holder: &str,
    ttl: Duration,
) -> Result<bool, StoreError> {
    let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 2);
    // A lease that nobody has yet lacks its time, and what is lacking is less than any time.
    let free = doc! { "$or": [
        { "$eq": ["$holder", { "$literal": holder }] },
        { "$lt": ["$until", "$$NOW"] },
    ] };
    let take = |new: Bson, old: &str| doc! { "$cond": [free.clone(), new, old] };
    let until = doc! { "$add": ["$$NOW", ttl] };
    let turn = vec![doc! { "$set": {
        "holder": take(doc! { "$literal": holder }.into(), "$holder"),
        "until": take(until.into(), "$until"),
    } }];
    let ask = leases.find_one_and_update(doc! { "_id": lease }, turn);
    match ask.upsert(true).return_document(ReturnDocument::After).await {
        Ok(found) => Ok(found.is_some_and(|found| found.get_str("holder").ok() == Some(holder))),
        // Two began it at once, and the other was faster.
        Err(failure) if error::code(&failure).is_some_and(error::is_duplicate) => Ok(false),
        Err(failure) => Err(error::from_write(&failure)),
    }
}

impl Inner {
    /// See [`Store::claim`](crate::store::Store::claim).
    pub async fn claim(
        &self,
        lease: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let _permit = self.gate.enter().await?;
        claim(&self.leases, lease, holder, ttl).await
    }

    /// See [`Store::release`](crate::store::Store::release).
    pub async fn release(&self, lease: &str, holder: &str) -> Result<(), StoreError> {
        let _permit = self.gate.enter().await?;
        match self.leases.delete_one(doc! { "_id": lease, "holder": holder }).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(error::from_write(&failure)),
        }
    }
}
