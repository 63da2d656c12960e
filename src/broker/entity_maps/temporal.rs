//! Entity maps of temporal queries (5.7.3.4, 5.7.4.4, 5.14.5).

use super::page::only;
use super::{Family, Head, MapUse, asks, check_use};
use crate::broker::{Broker, Call, Error, HistoryTexts, QueryTexts, ViewTexts};
use crate::model::{EntityId, EntityMap, EntityMapId, Held};
use crate::query::{HistoryPlan, Page};
use crate::store::FoundHistory;

impl Broker {
    /// Makes a map of all entities whose history a temporal query finds. 5.14.5.
    pub async fn create_temporal_entity_map(
        &self,
        call: &Call,
        query: &QueryTexts,
        texts: &HistoryTexts,
        view: &ViewTexts,
    ) -> Result<EntityMap, Error> {
        let (plan, _) = self.evolution_plan(call, query, texts, view)?;
        self.end_of_map(call, &query.map)?;
        let held = self.past_candidates(call, &plan).await?;
        let asks = asks(Family::Temporal, call, query);
        let (id, head) =
            self.make_map(call, Family::Temporal, Some(asks), &query.map, held).await?;
        Ok(self.entity_maps.whole(&call.tenant, &id, &head).await?)
    }

    /// A page of a temporal query by the map that is named, or by a new one.
    pub(in crate::broker) async fn evolve_by_map(
        &self,
        call: &Call,
        query: &QueryTexts,
        plan: &HistoryPlan,
    ) -> Result<(FoundHistory, MapUse), Error> {
        query.map.check()?;
        self.end_of_map(call, &query.map)?;
        let asks = asks(Family::Temporal, call, query);
        let named = self.named_map(call, &query.map).await?;
        let created = named.is_none();
        let (id, head) = match named {
            Some((id, head)) => {
                check_use(&head, Family::Temporal, asks)?;
                (id, head)
            }
            None => {
                let held = self.past_candidates(call, plan).await?;
                self.make_map(call, Family::Temporal, Some(asks), &query.map, held).await?
            }
        };
        let found = self.past_page_of_map(call, plan, &id, &head).await?;
        Ok((found, MapUse { id, created }))
    }

    /// One page of the entities that a map names and whose history a plan still selects. A temporal
    /// result has no order but that of ids, which is the map's. Where its instances are cut depends
    /// on all entities of a page, so the page is asked for as a whole, from among more and more
    /// entities of the map until it is full.
    async fn past_page_of_map(
        &self,
        call: &Call,
        plan: &HistoryPlan,
        id: &EntityMapId,
        head: &Head,
    ) -> Result<FoundHistory, Error> {
        let Page { offset, limit, count, .. } = plan.entities.page;
        let count = match count {
            true => Some(self.count_past_in_map(call, plan, id, head).await?),
            false => None,
        };
        if limit == 0 {
            return Ok(FoundHistory { count, ..FoundHistory::default() });
        }
        let offset = offset as u64;
        let begin = self.begin_in_map(call, id, head, offset);
        let mut most = limit.saturating_add(1);
        let (some, found) = loop {
            let some = self.entity_maps.entities(&call.tenant, id, head, begin, most).await?;
            let found = self.past_of(call, plan, &some, limit).await?;
            let full = found.told.evolutions.len() >= limit && found.more;
            if full || some.len() < most {
                break (some, found);
            }
            most = most.saturating_mul(2);
        };
        let last = found.told.evolutions.last().map(|evolution| &evolution.chapter.id);
        // Of what follows a full page nothing is known yet.
        let looked_at = match last.filter(|_| found.more) {
            Some(last) => some.iter().position(|(_, held)| held.id == *last).map_or(0, |at| at + 1),
            None => some.len(),
        };
        let is_there = |id: &EntityId| {
            found.told.evolutions.iter().any(|evolution| evolution.chapter.id == *id)
        };
        let gone = some[..looked_at].iter().filter(|(_, held)| !is_there(&held.id));
        let gone: Vec<u32> = gone.map(|(place, _)| *place).collect();
        self.entity_maps.drop_places(&call.tenant, id, &gone).await?;
        if let (true, Some((place, _))) = (found.more, some[..looked_at].last()) {
            let next = offset.saturating_add(found.told.evolutions.len() as u64);
            self.end_in_map(call, id, next, place + 1);
        }
        Ok(FoundHistory { count, next: None, ..found })
    }

    /// What is told of the first so many of some entities that a plan selects.
    async fn past_of(
        &self,
        call: &Call,
        plan: &HistoryPlan,
        some: &[(u32, Held)],
        limit: usize,
    ) -> Result<FoundHistory, Error> {
        let ids: Vec<EntityId> = some.iter().map(|(_, held)| held.id.clone()).collect();
        let Some(select) = only(&plan.entities.select, &ids) else {
            return Ok(FoundHistory::default());
        };
        let mut plan = plan.clone();
        plan.entities.select = select;
        plan.entities.page = Page { limit, ..Page::default() };
        Ok(self.store.evolve(&call.tenant, &plan, call.now).await?)
    }

    async fn count_past_in_map(
        &self,
        call: &Call,
        plan: &HistoryPlan,
        id: &EntityMapId,
        head: &Head,
    ) -> Result<u64, Error> {
        let all = self.entity_maps.whole(&call.tenant, id, head).await?;
        let mut count = 0;
        for some in all.entities.chunks(500) {
            let ids: Vec<EntityId> = some.iter().map(|held| held.id.clone()).collect();
            let Some(select) = only(&plan.entities.select, &ids) else { continue };
            let mut plan = plan.clone();
            plan.entities.select = select;
            plan.entities.page = Page { limit: 0, count: true, ..Page::default() };
            let found = self.store.evolve(&call.tenant, &plan, call.now).await?;
            count += found.count.unwrap_or_default();
        }
        Ok(count)
    }
}
