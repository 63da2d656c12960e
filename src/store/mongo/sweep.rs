//! Sweeping: what has expired is hidden in any case; the broker that holds the lease removes it,
//! and tells those who want to know.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::bson::{RawDocumentBuf, doc};
use rustc_hash::FxHashMap;

use super::decide::{Decision, End};
use super::read::{id_of, what_is_read};
use super::write::{Failure, Fate};
use super::{Inner, document};
use crate::model::{TenantId, Timestamp};
use crate::store::{HistoryRules, StoreError};

/// The lease of whoever sweeps.
pub(super) const LEASE: &str = "sweep";

/// How many entities are swept at once.
const SWEEP: i64 = 500;

/// Sweeps again and again, while this broker holds the lease.
pub(super) async fn keep(inner: Arc<Inner>) {
    let every = inner.settings.sweep_every;
    // Long enough for a turn, short enough that another takes over soon.
    let ttl = every * 3 + Duration::from_secs(5);
    loop {
        tokio::time::sleep(every).await;
        if inner.gate.check().is_err() {
            continue;
        }
        match inner.claim(LEASE, &inner.holder, ttl).await {
            Ok(true) => match sweep(&inner, (inner.settings.clock)()).await {
                Ok(0) => {}
                Ok(ended) => tracing::debug!(ended, "swept away what has expired"),
                Err(error) => tracing::warn!(%error, "what has expired could not be swept away"),
            },
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "the lease for sweeping could not be asked for"),
        }
    }
}

/// Sweeps away what has expired by this time; how many entities ended.
pub(super) async fn sweep(inner: &Arc<Inner>, now: Timestamp) -> Result<u64, StoreError> {
    let mut ended = 0;
    loop {
        let some = due(inner, now).await?;
        let last = some.values().map(Vec::len).sum::<usize>() < SWEEP as usize;
        let mut progress = false;
        for (tenant, documents) in some {
            let rules = inner.history_rules(&tenant).await?;
            let decisions = decide(inner, &tenant, &documents, (now, rules))?;
            let fates = inner.write(&tenant, &decisions).await;
            for (decision, fate) in decisions.iter().zip(fates) {
                match fate {
                    Fate::Done => {
                        progress = true;
                        ended += u64::from(matches!(decision.end, End::Gone));
                        inner.remember(&tenant, decision);
                    }
                    // Somebody changed it meanwhile; there is always a next time.
                    Fate::Conflict
                    | Fate::Failed(Failure::Passing | Failure::Crowded | Failure::Doubtful(_)) => {
                        inner.cache.forget(&tenant, &decision.id);
                    }
                    Fate::Failed(Failure::Error(error)) => return Err(error),
                }
            }
        }
        if last || !progress {
            return Ok(ended);
        }
    }
}

/// Some entities in which something has expired, by tenant.
async fn due(
    inner: &Inner,
    now: Timestamp,
) -> Result<FxHashMap<TenantId, Vec<RawDocumentBuf>>, StoreError> {
    let mut projection = what_is_read();
    projection.insert("_id", 1);
    let find = inner.entities.find(doc! { "x": { "$lte": now.micros() } }).projection(projection);
    let find = find.sort(doc! { "x": 1 }).limit(SWEEP);
    let found: Vec<RawDocumentBuf> =
        inner.reading(async { find.await?.try_collect().await }).await?;
    let mut by_tenant: FxHashMap<TenantId, Vec<RawDocumentBuf>> = FxHashMap::default();
    for document in found {
        let tenant = document::tenant(&document)?;
        by_tenant.entry(tenant).or_default().push(document);
    }
    Ok(by_tenant)
}

fn decide(
    inner: &Inner,
    tenant: &TenantId,
    documents: &[RawDocumentBuf],
    (now, rules): (Timestamp, Option<Arc<HistoryRules>>),
) -> Result<Vec<Decision>, StoreError> {
    let circumstances = inner.circumstances(tenant, now, rules);
    let mut decisions = Vec::with_capacity(documents.len());
    for document in documents {
        let held = inner.held(tenant, &id_of(document)?, document)?;
        decisions.extend(circumstances.expire(held));
    }
    Ok(decisions)
}
