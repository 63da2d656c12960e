//! A page of what a query finds everywhere (5.7.2).

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustc_hash::FxHashSet;

use super::super::super::entity_maps::{add_warnings, only};
use super::super::super::turned::Shown;
use super::super::ask::all;
use super::super::order::order_of;
use super::super::receive::Received;
use super::super::{Broker, Call, Error, Origin, too_far};
use super::drafts::{Filtered, query_draft};
use super::zone::{Zone, joined, united};
use super::{Asked, Everywhere, IDS, QUERIES, map_of};
use crate::federate::{Leg, Matched, Warning};
use crate::model::{Attributes, Entity, EntityId, Stored};
use crate::query::{EntityPlan, Page};
use crate::represent::registration::Operation;
use crate::store::StoreError;

/// How many entities are asked for at once of a source that refused more.
const SMALL_PAGE: usize = 100;

impl Broker {
    /// A page of the entities that are here and at sources: what none of the pages `before` showed,
    /// or else what comes at its offset.
    pub(in crate::broker) async fn query_everywhere(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        matched: &Matched,
        before: Option<Shown>,
    ) -> Result<Everywhere, Error> {
        asked.check_order()?;
        let Page { offset, limit, count, .. } = asked.plan.page;
        let (before, skip) = match before {
            Some(before) => (before, 0),
            None => (self.turned.nothing(), offset),
        };
        let most = self.federation.settings.entities;
        let wanted = match count || asked.split {
            true => usize::MAX,
            false => before.len().saturating_add(skip).saturating_add(limit).saturating_add(1),
        };
        let gathered = self.zones(call, origin, asked, matched, wanted.min(most)).await?;
        let (mut zones, mut warnings) = gathered;
        let partial = zones.iter().any(|zone| !zone.complete);
        if partial && wanted > most {
            return Err(too_far(most));
        }
        let mut whole: Vec<Entity> = Vec::new();
        let order: Vec<EntityId> = match asked.split {
            true => {
                let found = united(call, &matched.legs, std::mem::take(&mut zones));
                whole = self.chosen(call, asked.plan, found, &mut warnings).await?;
                whole.iter().map(|entity| entity.id.clone()).collect()
            }
            false => order_of(zones.iter().map(|zone| (&*zone.order, zone.complete))),
        };
        let seen = before.seen();
        let mut left = order.iter().filter(|id| !seen.has(id));
        let skipped: Vec<EntityId> = left.by_ref().take(skip).cloned().collect();
        let page: Vec<EntityId> = left.by_ref().take(limit).cloned().collect();
        let more = page.len() == limit && (partial || left.next().is_some());
        let entities = match asked.split {
            true => {
                let on_page: FxHashSet<&EntityId> = page.iter().collect();
                whole.retain(|entity| on_page.contains(&entity.id));
                whole.into_iter().map(Stored::passing).collect()
            }
            false => {
                let said = self.fill(call, origin, asked, &matched.legs, &mut zones, &page).await?;
                add_warnings(&mut warnings, said);
                joined(call, &matched.legs, &mut zones, &page)
            }
        };
        let count = count.then_some(order.len() as u64);
        let shown = before.clone().with(skipped.iter().chain(&page));
        Ok(Everywhere { entities, count, more, warnings, shown: Some(shown) })
    }

    /// What is here, and what each source has, as far as it is needed; and what there is to say of
    /// sources.
    async fn zones(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        matched: &Matched,
        need: usize,
    ) -> Result<(Vec<Zone>, Vec<Warning>), Error> {
        let here = self.zone_here(call, asked, need).await?;
        // Where what is here fills the page, sources are asked for their parts of it alone.
        let is_full = !asked.split && !here.complete && here.order.len() >= need;
        let mut zones = vec![here];
        let mut warnings = self.beyond(matched);
        match is_full {
            true => zones.extend(matched.legs.iter().map(|_| Zone::default())),
            false => {
                for (zone, said) in all(self.zones_there(call, origin, asked, matched, need)).await
                {
                    zones.push(zone);
                    add_warnings(&mut warnings, said);
                }
            }
        }
        Ok((zones, warnings))
    }

    /// What is here.
    async fn zone_here(&self, call: &Call, asked: &Asked<'_>, need: usize) -> Result<Zone, Error> {
        let mut plan = asked.plan_here();
        plan.page = Page { offset: 0, limit: need, count: false, after: None };
        let found = match self.store.find(&call.tenant, &plan, call.now).await {
            Err(StoreError::UnknownTenant(_)) => {
                return Ok(Zone { complete: true, ..Zone::default() });
            }
            found => found?,
        };
        let mut zone = Zone { complete: !found.more, ..Zone::default() };
        found.entities.into_iter().for_each(|stored| zone.add_here(stored));
        Ok(zone)
    }

    /// What each source has, to be asked.
    pub(super) fn zones_there<'j>(
        &'j self,
        call: &'j Call,
        origin: &'j Origin,
        asked: &'j Asked<'_>,
        matched: &'j Matched,
        need: usize,
    ) -> Vec<BoxFuture<'j, (Zone, Vec<Warning>)>> {
        let legs = matched.legs.iter();
        legs.map(|leg| self.zone_there(call, origin, asked, leg, need).boxed()).collect()
    }

    /// What a source has.
    pub(super) async fn zone_there(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        leg: &Leg,
        need: usize,
    ) -> (Zone, Vec<Warning>) {
        let (mut zone, mut warnings) = (Zone::default(), Vec::new());
        let mut page = self.federation.settings.page.max(1);
        let mut offset = 0;
        while zone.order.len() < need && offset < need {
            let limit = page.min(need.saturating_sub(offset).max(1));
            let received = self.query_leg(call, origin, asked, leg, Some((offset, limit))).await;
            if received.too_many && limit > SMALL_PAGE {
                page = SMALL_PAGE;
                continue;
            }
            warnings.extend(received.warnings);
            for entity in received.entities.into_iter().filter(|entity| asked.may_be(entity)) {
                zone.add_there(match asked.bare {
                    true => bare(&entity),
                    false => entity,
                });
            }
            offset = offset.saturating_add(limit);
            if received.count < limit {
                zone.complete = true;
                break;
            }
        }
        (zone, warnings)
    }

    pub(super) async fn query_leg(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        leg: &Leg,
        page: Option<(usize, usize)>,
    ) -> Received {
        let operation = leg.source.first_of(QUERIES).unwrap_or(Operation::QueryEntity);
        let batch = operation == Operation::QueryBatch;
        let naming = self.naming(call, &leg.source, batch).await;
        let about = Filtered { asked, leg, page };
        let draft = query_draft(leg, operation, &about, &naming);
        let draft = draft.by_map(map_of(asked.linked, &leg.source));
        let heard = self.ask(origin, &leg.source, &draft, &naming).await;
        let mut received = self.receive(call, leg, &naming, heard).await;
        if !asked.bare {
            origin.held.take(received.room.take());
        }
        received
    }

    /// Some entities of those that a leg is for.
    pub(super) async fn query_some(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        leg: &Leg,
        some: &[EntityId],
    ) -> Received {
        let mut part = leg.clone();
        part.select.ids = some.to_vec();
        part.select.id_pattern = None;
        self.query_leg(call, origin, asked, &part, Some((0, some.len()))).await
    }

    /// Fetches what is missing of the entities of a page, where a source, or this broker, has more
    /// than was fetched.
    async fn fill(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        legs: &[Leg],
        zones: &mut [Zone],
        page: &[EntityId],
    ) -> Result<Vec<Warning>, Error> {
        let missing: Vec<Vec<EntityId>> = zones.iter().map(|zone| zone.missing(page)).collect();
        let mut jobs = Vec::new();
        for (place, ids) in missing.iter().enumerate().skip(1) {
            let leg = &legs[place - 1];
            let ids: Vec<EntityId> =
                ids.iter().filter(|id| leg.select.has_id(id)).cloned().collect();
            for some in ids.chunks(IDS) {
                let some = some.to_vec();
                let job =
                    async move { (place, self.query_some(call, origin, asked, leg, &some).await) };
                jobs.push(job.boxed());
            }
        }
        let mut warnings = Vec::new();
        for (place, received) in all(jobs).await {
            warnings.extend(received.warnings);
            received.entities.into_iter().for_each(|entity| zones[place].add_there(entity));
        }
        let Some(ids) = missing.into_iter().next().filter(|ids| !ids.is_empty()) else {
            return Ok(warnings);
        };
        let Some(select) = only(&asked.plan.select, &ids) else {
            return Ok(warnings);
        };
        let page = Page { limit: ids.len(), ..Page::default() };
        let plan = EntityPlan { select, page, ..asked.plan_here() };
        let found = self.store.find(&call.tenant, &plan, call.now).await?;
        found.entities.into_iter().for_each(|stored| zones[0].add_here(stored));
        Ok(warnings)
    }
}

/// An entity of which it matters only that it is there.
fn bare(entity: &Entity) -> Arc<Stored> {
    Stored::passing(Entity {
        id: entity.id.clone(),
        types: entity.types.clone(),
        scopes: entity.scopes.clone(),
        attributes: Attributes::new(),
        ..*entity
    })
}

impl Asked<'_> {
    /// What is asked of this broker's own store; whole entities are filtered later.
    pub(super) fn plan_here(&self) -> EntityPlan {
        match self.split {
            true => EntityPlan { select: self.plan.select.clone(), ..EntityPlan::default() },
            false => EntityPlan { order: None, page: Page::default(), ..self.plan.clone() },
        }
    }

    /// Nobody orders what lies at several places.
    pub(super) fn check_order(&self) -> Result<(), Error> {
        match self.plan.order {
            None => Ok(()),
            Some(_) => Err(Error::bad(
                "an order can be asked for with local=true only: sources are asked, too (4.23)",
            )),
        }
    }
}
