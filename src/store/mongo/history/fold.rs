//! Folding: what was noted in entities' documents moves into chapters and blocks, and what is too
//! old to be kept one by one is thinned. Each broker folds where it made the heap large; what lies
//! for long is folded by the one that holds the lease.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;

use super::super::Inner;
use super::super::document::{self, tenant_name};
use super::super::read::id_of;
use super::book::series_key;
use super::desk::{Desk, Passage, chapters};
use super::edit::{Edit, Packing, Scope, edit, read_items};
use crate::model::{EntityId, TenantId, Timestamp};
use crate::store::history::{Ages, thin as thin_series};
use crate::store::record::Spells;
use crate::store::{HistoryRules, StoreError};

/// The leases of whoever folds what is old, and of whoever thins.
pub(in crate::store::mongo) const FOLD_LEASE: &str = "fold";
const THIN_LEASE: &str = "thin";

/// How often one looks for what lies for long: so many times before it does.
const LOOKS: u32 = 20;

/// How often rules of retention are applied; they count in days.
const THIN_EVERY: Duration = Duration::from_secs(3_600);

/// How many entities are folded in one transaction.
const AT_ONCE: usize = 64;

/// The same of those that have no room for what was noted of them.
const CROWDED_AT_ONCE: usize = 4;

/// How many are looked up at once.
const PAGE: i64 = 512;

/// Folds and thins, again and again, as long as the store is open.
pub(in crate::store::mongo) async fn keep(inner: Arc<Inner>) {
    let Some(mut ripe) = inner.history.waiting.lock().take() else { return };
    #[cfg(test)]
    if !inner.settings.folds {
        return;
    }
    let look = inner.settings.fold_after / LOOKS;
    let mut looked = Instant::now();
    let mut thinned = Instant::now();
    let mut some = Vec::new();
    loop {
        let left = look.saturating_sub(looked.elapsed());
        if !left.is_zero() {
            let came = tokio::time::timeout(left, ripe.recv_many(&mut some, AT_ONCE)).await;
            if matches!(came, Ok(0)) {
                return;
            }
        }
        for (tenant, ids) in by_tenant(some.drain(..)) {
            if let Err(error) = fold(&inner, &tenant, ids, false).await {
                tracing::debug!(%error, "what was noted could not be folded");
            }
        }
        if looked.elapsed() < look {
            continue;
        }
        looked = Instant::now();
        if inner.gate.check().is_ok() {
            look_after(&inner, &mut thinned).await;
        }
    }
}

/// Does what one of the brokers has to do.
async fn look_after(inner: &Arc<Inner>, thinned: &mut Instant) {
    if let Ok(true) =
        inner.claim(FOLD_LEASE, &inner.holder, inner.settings.fold_after / LOOKS * 4).await
    {
        let before = inner.clock.stamp_before(inner.settings.fold_after);
        if let Err(error) = fold_old(inner, before).await {
            tracing::warn!(%error, "what was noted could not be folded");
        }
    }
    if thinned.elapsed() >= THIN_EVERY {
        *thinned = Instant::now();
        let now = (inner.settings.clock)();
        match inner.claim(THIN_LEASE, &inner.holder, THIN_EVERY / 2).await {
            Ok(true) => {
                if let Err(error) = thin(inner, now, true).await {
                    tracing::warn!(%error, "history could not be thinned");
                }
            }
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "the lease for thinning could not be asked for"),
        }
    }
}

fn by_tenant(
    all: impl Iterator<Item = (TenantId, EntityId)>,
) -> FxHashMap<TenantId, Vec<EntityId>> {
    let mut by_tenant: FxHashMap<TenantId, Vec<EntityId>> = FxHashMap::default();
    for (tenant, id) in all {
        let ids = by_tenant.entry(tenant).or_default();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    by_tenant
}

/// Folds what was noted of some entities; with all tails packed, if they are to be.
async fn fold(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    ids: Vec<EntityId>,
    pack_all: bool,
) -> Result<(), StoreError> {
    let now = (inner.settings.clock)();
    for some in ids.chunks(AT_ONCE) {
        let (tenant, ids) = (tenant.clone(), some.to_vec());
        let scope = Scope { tenant, ids, now, entities: false, locked: false };
        let work = move |edit: &mut Edit<'_>| {
            for item in &mut edit.items {
                if pack_all && item.book.rows() > 0 {
                    item.packing = Packing::All;
                }
            }
            Ok(())
        };
        edit(inner, scope, work).await?;
    }
    Ok(())
}

impl Inner {
    /// Folds what was noted of some entities, on behalf of a writer who has locked them.
    pub async fn make_room(
        self: &Arc<Self>,
        tenant: &TenantId,
        ids: Vec<EntityId>,
    ) -> Result<(), StoreError> {
        let now = (self.settings.clock)();
        // Whoever is crowded has much that was noted.
        for some in ids.chunks(CROWDED_AT_ONCE) {
            let (tenant, ids) = (tenant.clone(), some.to_vec());
            let scope = Scope { tenant, ids, now, entities: false, locked: true };
            edit(self, scope, |_| Ok(())).await?;
        }
        Ok(())
    }
}

/// Folds what was noted before a stamp.
async fn fold_old(inner: &Arc<Inner>, before: i64) -> Result<(), StoreError> {
    for collection in [inner.entities.clone(), chapters(inner)] {
        let mut last = None;
        loop {
            let some = ids(inner, &collection, doc! { "f": { "$lt": before } }, "f").await?;
            // What comes again could not be folded.
            if some.is_empty() || last.as_ref() == Some(&some) {
                break;
            }
            for (tenant, ids) in by_tenant(some.iter().cloned()) {
                fold(inner, &tenant, ids, false).await?;
            }
            last = Some(some);
        }
    }
    Ok(())
}

/// Folds everything that was noted, and packs all tails.
pub(in crate::store::mongo) async fn fold_all(inner: &Arc<Inner>) -> Result<(), StoreError> {
    fold_old(inner, i64::MAX).await?;
    let chapters = chapters(inner);
    loop {
        let some = ids(inner, &chapters, doc! { "n": { "$gt": 0 } }, "_id").await?;
        if some.is_empty() {
            return Ok(());
        }
        for (tenant, ids) in by_tenant(some.into_iter()) {
            fold(inner, &tenant, ids, true).await?;
        }
    }
}

/// Whose documents pass a filter, some of them in an order.
async fn ids(
    inner: &Inner,
    collection: &Collection<RawDocumentBuf>,
    filter: Document,
    order: &str,
) -> Result<Vec<(TenantId, EntityId)>, StoreError> {
    let find = collection.find(filter).projection(doc! { "_id": 1 }).sort(doc! { order: 1 });
    let find = find.limit(PAGE);
    let found: Vec<RawDocumentBuf> =
        inner.reading(async { find.await?.try_collect().await }).await?;
    found.iter().map(|document| Ok((document::tenant(document)?, id_of(document)?))).collect()
}

/// Applies the rules of retention as of a time, or only where this broker has not applied them on
/// the same day.
pub(in crate::store::mongo) async fn thin(
    inner: &Arc<Inner>,
    now: Timestamp,
    where_due: bool,
) -> Result<(), StoreError> {
    let rounds = &inner.history.rounds;
    for tenant in inner.all_tenants().await? {
        let Some(rules) = inner.history_rules(&tenant).await? else { continue };
        if where_due && !rounds.is_due(&tenant, &rules, now) {
            continue;
        }
        let mut after: Bson = Bson::MinKey;
        loop {
            let beyond = doc! { "$gt": { "t": tenant_name(&tenant), "i": after.clone() },
            "$lt": { "t": tenant_name(&tenant), "i": Bson::MaxKey } };
            let some = ids(inner, &chapters(inner), doc! { "_id": beyond }, "_id").await?;
            let Some((_, last)) = some.last() else { break };
            after = last.as_str().into();
            let ids = some.into_iter().map(|(_, id)| id).collect();
            let due = due(inner, &tenant, ids, &rules, now).await?;
            for id in due {
                // Two steps: what the first writes is what the second reads.
                fold(inner, &tenant, vec![id.clone()], true).await?;
                thin_entity(inner, &tenant, id, rules.clone(), now).await?;
            }
        }
        rounds.done(&tenant, rules, now);
    }
    Ok(())
}

/// Those of some entities of which something is too old.
async fn due(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    ids: Vec<EntityId>,
    rules: &Arc<HistoryRules>,
    now: Timestamp,
) -> Result<Vec<EntityId>, StoreError> {
    let (inner, tenant, rules) = (inner.clone(), tenant.clone(), rules.clone());
    let handle = Handle::current();
    let found = tokio::task::spawn_blocking(move || {
        let _passage = Passage::enter(&inner, &handle)?;
        let mut due = Vec::new();
        for some in ids.chunks(AT_ONCE) {
            let desk = Desk::reading(&inner, &handle)?;
            for mut item in read_items(&desk, &tenant, some, false)? {
                let types = item.book.head.as_ref().map(|head| head.types.clone());
                let types = types.unwrap_or_default();
                for (line, tail) in item.book.tails() {
                    let Some(ages) = ages(&rules, &types, line, now) else { continue };
                    let series = series_key(&tenant, &item.id, line);
                    if tail.rows.time.iter().any(|time| *time < ages.raw())
                        || thin_series(&desk, Spells::Own, &series, ages)?.is_some()
                    {
                        due.push(item.id.clone());
                        break;
                    }
                }
            }
        }
        Ok(due)
    });
    found.await.map_err(|error| StoreError::Broken(error.to_string()))?
}

fn ages(
    rules: &HistoryRules,
    types: &[crate::model::TypeName],
    line: &crate::store::history::Line,
    now: Timestamp,
) -> Option<Ages> {
    let attribute = line.series()?.attribute;
    rules.keep(types, attribute).and_then(|keep| Ages::new(keep, now))
}

async fn thin_entity(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    id: EntityId,
    rules: Arc<HistoryRules>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (tenant, ids) = (tenant.clone(), vec![id]);
    let scope = Scope { tenant, ids, now, entities: false, locked: false };
    let work = move |edit: &mut Edit<'_>| {
        let Edit { desk, tenant, items, blocks, .. } = edit;
        for item in items {
            // What was noted since must not go into blocks that are thinned here.
            item.packing = Packing::Never;
            let types = item.book.head.as_ref().map(|head| head.types.clone());
            let types = types.unwrap_or_default();
            for (line, _) in item.book.tails() {
                let Some(ages) = ages(&rules, &types, line, now) else { continue };
                let series = series_key(tenant, &item.id, line);
                if let Some(thinned) = thin_series(*desk, Spells::Own, &series, ages)? {
                    desk.repack(&series, thinned, (&mut blocks.0, &mut blocks.1))?;
                }
            }
        }
        Ok(())
    };
    edit(inner, scope, work).await
}
