//! Temporal queries: candidates by chapters and by what was noted lately, all as of one moment.

use std::ops::ControlFlow;
use std::sync::Arc;

use mongodb::bson::{Bson, Document, doc};
use tokio::runtime::Handle;

use super::super::document::tenant_name;
use super::super::read::id_of;
use super::super::{ENTITIES, Inner};
use super::CHAPTERS;
use super::ahead::Ask;
use super::book::{kept, series_key};
use super::desk::{Desk, Passage};
use super::edit::{Item, read_items};
use crate::model::{EntityId, TenantId, Timestamp};
use crate::query::{EntityPlan, HistoryPlan, TellError};
use crate::store::history::{Held, Page, Recall, Source, after_anchor, may_be, source};
use crate::store::record::Spelling;
use crate::store::record::short::shorten;
use crate::store::{FoundHistory, HeldHistory, StoreError};

/// How many candidates are read at once: few at first, since most pages are small.
const FIRST: usize = 32;
const MOST: usize = 500;

/// Answers a temporal query.
pub(in crate::store::mongo) async fn evolve(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    plan: &HistoryPlan,
    now: Timestamp,
) -> Result<FoundHistory, StoreError> {
    inner.check_tenant(tenant).await?;
    let (inner, tenant, plan) = (inner.clone(), tenant.clone(), plan.clone());
    let handle = Handle::current();
    let answer = tokio::task::spawn_blocking(move || {
        let _passage = Passage::enter(&inner, &handle)?;
        let desk = Desk::reading(&inner, &handle)?;
        evolve_here(&desk, &tenant, &plan, now)
    });
    answer.await.map_err(|error| StoreError::Broken(error.to_string()))?
}

fn evolve_here(
    desk: &Desk,
    tenant: &TenantId,
    plan: &HistoryPlan,
    now: Timestamp,
) -> Result<FoundHistory, StoreError> {
    let mut page = Page::new(plan, now);
    candidates(desk, tenant, plan, &mut |item| {
        let Some(recall) = recall(desk, tenant, item)? else {
            return Ok(ControlFlow::Continue(()));
        };
        if !plan.selects(&recall)? {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(page.hit(recall))
    })?;
    let found = page.found();
    desk.expect(found.0.iter().flat_map(|recall| recall.in_blocks(plan)).cloned());
    let told = plan.tell(&found.0).map_err(|error| match error {
        TellError::Store(error) => error,
        TellError::Query(error) => StoreError::Unanswerable(error),
    })?;
    let thinned = found.0.iter().filter_map(Recall::thinned).max();
    Ok(FoundHistory { told, thinned, ..found.1 })
}

/// See [`Store::held_history`](crate::store::Store::held_history).
pub(in crate::store::mongo) async fn held(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    plan: &EntityPlan,
) -> Result<Vec<HeldHistory>, StoreError> {
    inner.check_tenant(tenant).await?;
    let most = plan.page.limit;
    let plan = HistoryPlan { entities: plan.clone(), ..HistoryPlan::default() };
    let (inner, tenant, handle) = (inner.clone(), tenant.clone(), Handle::current());
    let found = tokio::task::spawn_blocking(move || {
        let _passage = Passage::enter(&inner, &handle)?;
        let desk = Desk::reading(&inner, &handle)?;
        let mut found = Vec::new();
        if most == 0 {
            return Ok(found);
        }
        candidates(&desk, &tenant, &plan, &mut |item| {
            found.extend(held_of(&desk, &tenant, item)?);
            let more = found.len() < most;
            Ok(if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(found)
    });
    found.await.map_err(|error| StoreError::Broken(error.to_string()))?
}

fn held_of(desk: &Desk, tenant: &TenantId, item: Item) -> Result<Option<HeldHistory>, StoreError> {
    let Item { id, book, .. } = item;
    let Some((head, tails)) = book.into_parts() else { return Ok(None) };
    let mut series = Vec::with_capacity(head.lines.len());
    for (line, tail) in head.lines.iter().zip(&tails) {
        if let Some(own) = line.series() {
            let mut held = match tail.has_blocks {
                true => Held::of_blocks(desk, &series_key(tenant, &id, line))?,
                false => Held::default(),
            };
            held.rows(&tail.rows);
            series.push(held.told(own));
        }
    }
    Ok(Some(HeldHistory { id, types: head.types, series }))
}

/// The history of an entity; None if there is none.
fn recall<'d>(
    desk: &'d Desk,
    tenant: &TenantId,
    item: Item,
) -> Result<Option<Recall<'d>>, StoreError> {
    let Item { id, book, modified_at, .. } = item;
    let Some((mut head, tails)) = book.into_parts() else { return Ok(None) };
    head.modified_at = modified_at.map_or(head.modified_at, |at| at.max(head.modified_at));
    let lines = kept(tenant, &id, &head, tails);
    Recall::new(desk, Spelling::Own, id, head, lines).map(Some)
}

type Show<'s> = dyn FnMut(Item) -> Result<ControlFlow<()>, StoreError> + 's;

/// Shows those who may be asked for, in the order of their ids, until told to stop.
fn candidates(
    desk: &Desk,
    tenant: &TenantId,
    plan: &HistoryPlan,
    show: &mut Show<'_>,
) -> Result<(), StoreError> {
    let first = after_anchor(plan);
    let name = match source(plan) {
        Source::Nobody => return Ok(()),
        Source::Ids(mut ids) => {
            ids.sort_unstable();
            ids.dedup();
            ids.retain(|id| id.as_str() >= first.as_str() && may_be(plan, id));
            return ids
                .chunks(MOST)
                .try_for_each(|some| show_some(desk, (tenant, plan), some, show).map(drop));
        }
        Source::Type(name) => Some(name),
        Source::All => None,
    };
    let (mut from, mut most) = (first, FIRST);
    loop {
        let (mut ids, next) =
            some_ids(desk, tenant, name.as_ref().map(|it| it.as_str()), &from, most)?;
        ids.retain(|id| may_be(plan, id));
        if show_some(desk, (tenant, plan), &ids, show)?.is_break() {
            return Ok(());
        }
        let Some(next) = next else { return Ok(()) };
        (from, most) = (next, (most * 4).min(MOST));
    }
}

fn show_some(
    desk: &Desk,
    (tenant, plan): (&TenantId, &HistoryPlan),
    ids: &[EntityId],
    show: &mut Show<'_>,
) -> Result<ControlFlow<()>, StoreError> {
    if ids.is_empty() {
        return Ok(ControlFlow::Continue(()));
    }
    let items = read_items(desk, tenant, ids, false)?;
    let in_blocks = items.iter().flat_map(|item| item.book.in_blocks(tenant, &item.id));
    let shown = in_blocks.filter(|(line, _)| line.series().is_some_and(|one| plan.shows(one)));
    desk.expect(shown.map(|(_, key)| key));
    for item in items {
        if show(item)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Some ids from one on, in order, of all or of those that history knows by a type; and where
/// those that follow begin.
pub(super) fn some_ids(
    desk: &Desk,
    tenant: &TenantId,
    name: Option<&str>,
    from: &str,
    most: usize,
) -> Result<(Vec<EntityId>, Option<String>), StoreError> {
    let name = name.map(|name| Bson::from(shorten(name).into_owned()));
    let shape = || (doc! { "_id": 1 }, doc! { "_id.i": 1 }, most as i64);
    let within = |member: &str| -> Document {
        let mut filter = doc! { "_id.t": tenant_name(tenant), "_id.i": { "$gte": from } };
        let any = Bson::from(doc! { "$exists": true });
        // Entities of which nothing was noted lately are not in the index that is asked.
        if name.is_some() || member == "hn" {
            filter.insert(member, name.clone().unwrap_or(any));
        }
        filter
    };
    let mut ids: Vec<EntityId> = Vec::new();
    let mut complete: Option<EntityId> = None;
    let chapters = Ask::new(CHAPTERS, within("ty"), shape());
    for found in desk.find_both(chapters, Ask::new(ENTITIES, within("hn"), shape()))? {
        let found = found.iter().map(|document| id_of(document)).collect::<Result<Vec<_>, _>>()?;
        if found.len() == most {
            // Beyond its last one this list does not tell.
            let last = found.last().cloned();
            complete = match (complete, last) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        ids.extend(found);
    }
    ids.sort_unstable();
    ids.dedup();
    if let Some(complete) = &complete {
        ids.retain(|id| id <= complete);
    }
    Ok((ids, complete.map(|id| format!("{id}\0"))))
}
