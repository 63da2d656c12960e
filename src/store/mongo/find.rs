//! Queries: the entities of a tenant in their order, and the evaluator decides.

use std::sync::Arc;

use futures_util::TryStreamExt;
use mongodb::bson::{RawDocumentBuf, doc};
use rustc_hash::FxHashMap;

use super::Inner;
use super::cache::Held;
use super::document;
use super::read::{id_of, what_is_read};
use crate::model::{EntityId, Stored, TenantId, Timestamp};
use crate::query::{Anchor, EntityPlan, Lookup};
use crate::store::{Found, StoreError};

/// Finds the entities of a plan.
pub(super) async fn find(
    inner: &Inner,
    tenant: &TenantId,
    plan: &EntityPlan,
    now: Timestamp,
) -> Result<Found, StoreError> {
    let after = plan.page.after.as_ref().map(read_anchor).transpose()?;
    let all = everything(inner, tenant).await?;
    let links = all.iter().map(|held| (held.entity.id.clone(), held.entity.clone()));
    let lookup = All { links: links.collect(), now };
    let mut hits: Vec<&Arc<Held>> =
        all.iter().filter(|held| plan.matches(&held.entity, now, &lookup)).collect();
    hits.sort_by(|a, b| plan.compare(&a.entity, &b.entity, now));
    let count = plan.page.count.then_some(hits.len() as u64);
    let first =
        after.map_or(0, |stamp| hits.iter().filter(|held| held.stamps.created <= stamp).count());
    let begin = first.saturating_add(plan.page.offset).min(hits.len());
    let end = begin.saturating_add(plan.page.limit).min(hits.len());
    let (page, more) = (&hits[begin..end], end < hits.len());
    let last = page.last().filter(|_| more && plan.order.is_none());
    Ok(Found {
        entities: page.iter().map(|held| held.entity.clone()).collect(),
        count,
        more,
        next: last.map(|held| Anchor::new(&format!("{:x}", held.stamps.created))),
    })
}

/// All entities of a tenant, in the order of their creation.
pub(super) async fn everything(
    inner: &Inner,
    tenant: &TenantId,
) -> Result<Vec<Arc<Held>>, StoreError> {
    let mut projection = what_is_read();
    projection.insert("_id", 1);
    let find = inner.entities.find(doc! { "_id.t": document::tenant_name(tenant) });
    let find = find.sort(doc! { "s": 1 }).projection(projection);
    let documents: Vec<RawDocumentBuf> =
        inner.reading(async { find.await?.try_collect().await }).await?;
    documents.iter().map(|one| inner.held(tenant, &id_of(one)?, one)).collect()
}

fn read_anchor(anchor: &Anchor) -> Result<i64, StoreError> {
    i64::from_str_radix(anchor.as_str(), 16)
        .ok()
        .filter(|stamp| *stamp >= 0)
        .ok_or_else(|| StoreError::BadAnchor(anchor.as_str().chars().take(32).collect()))
}

struct All {
    links: FxHashMap<EntityId, Arc<Stored>>,
    now: Timestamp,
}

impl Lookup for All {
    fn entity(&self, id: &EntityId) -> Option<Arc<Stored>> {
        self.links.get(id).filter(|entity| entity.is_alive(self.now)).cloned()
    }
}
