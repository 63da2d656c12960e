//! Entity maps of temporal queries (5.7.3.4, 5.7.4.4, 5.14.5).

use super::page::{is_named, narrows, only};
use super::{Family, Head, MapUse, add_warnings, asks, check_use};
use crate::broker::federation::{PastEverywhere, PastQuery};
use crate::broker::{Broker, Call, Error, HistoryTexts, QueryTexts, ViewTexts};
use crate::federate::Warning;
use crate::model::{EntityId, EntityMap, EntityMapId, Held, Timestamp};
use crate::query::{HistoryPlan, Page};
use crate::store::FoundHistory;

impl Broker {
    /// Makes a map of all entities whose history a temporal query finds; and what there is to say of
    /// sources. 5.14.5.
    pub async fn create_temporal_entity_map(
        &self,
        call: &Call,
        query: &QueryTexts,
        texts: &HistoryTexts,
        view: &ViewTexts,
    ) -> Result<(EntityMap, Vec<Warning>), Error> {
        let (plan, _) = self.evolution_plan(call, query, texts, view)?;
        let end = self.end_of_map(call, &query.map)?;
        let most = self.entity_maps.limits.entities;
        let mut found = self.past_candidates(call, query, &plan, most, Some(end)).await?;
        let warnings = std::mem::take(&mut found.warnings);
        let asks = asks(Family::Temporal, call, query);
        let made = self.make_map(call, Family::Temporal, Some(asks), &query.map, found);
        let (id, head) = made.await?;
        Ok((self.entity_maps.whole(&call.tenant, &id, &head).await?, warnings))
    }

    /// A page of a temporal query by the map that is named, or by a new one.
    pub(in crate::broker) async fn evolve_by_map(
        &self,
        call: &Call,
        query: &QueryTexts,
        plan: &HistoryPlan,
    ) -> Result<(PastEverywhere, Option<Timestamp>, MapUse), Error> {
        query.map.check()?;
        let end = self.end_of_map(call, &query.map)?;
        let asks = asks(Family::Temporal, call, query);
        let named = self.named_map(call, &query.map).await?;
        let (created, mut warnings) = (named.is_none(), Vec::new());
        let (id, head) = match named {
            Some((id, head)) => {
                check_use(&head, Family::Temporal, asks)?;
                (id, head)
            }
            None => {
                let most = self.entity_maps.limits.entities;
                let found = self.past_candidates(call, query, plan, most, Some(end));
                let mut found = found.await?;
                warnings = std::mem::take(&mut found.warnings);
                self.make_map(call, Family::Temporal, Some(asks), &query.map, found).await?
            }
        };
        let (mut page, thinned) = self.past_page_of_map(call, query, plan, &id, &head).await?;
        add_warnings(&mut page.warnings, warnings);
        Ok((page, thinned, MapUse { id, created }))
    }

    /// One page of the entities that a map names and whose history a plan still selects. A temporal
    /// result has no order but that of ids, which is the map's. Where its instances are cut depends
    /// on all entities of a page, so the page is asked for as a whole, from among more and more
    /// entities of the map until it is full.
    async fn past_page_of_map(
        &self,
        call: &Call,
        query: &QueryTexts,
        plan: &HistoryPlan,
        id: &EntityMapId,
        head: &Head,
    ) -> Result<(PastEverywhere, Option<Timestamp>), Error> {
        let Page { offset, limit, count, .. } = plan.entities.page;
        let count = match count {
            true => Some(self.count_past_in_map(call, query, plan, id, head).await?),
            false => None,
        };
        if limit == 0 {
            return Ok((PastEverywhere { count, ..PastEverywhere::default() }, None));
        }
        let select = &plan.entities.select;
        let narrowed = narrows(select);
        let (begin, skip) = match narrowed {
            true => (0, offset),
            false => (self.begin_in_map(call, id, head, offset as u64), 0),
        };
        let offset = offset as u64;
        let mut most = limit.saturating_add(1);
        let (some, (mut found, thinned)) = loop {
            let mut some = self.entity_maps.entities(&call.tenant, id, head, begin, most).await?;
            let is_all = some.len() < most;
            // What is not asked for by its id stays in the map.
            some.retain(|(_, held)| is_named(select, &held.id));
            some.drain(..skip.min(some.len()));
            let held: Vec<Held> = some.iter().map(|(_, held)| held.clone()).collect();
            let page = Page { limit, ..Page::default() };
            let found = self.past_of(call, query, plan, (&held, head.linked()), page).await?;
            let full = found.0.told.evolutions.len() >= limit && found.0.more;
            // Of those whose sources do not answer the places stay, and are empty.
            if full || is_all || !found.0.warnings.is_empty() {
                break (some, found);
            }
            most = most.saturating_mul(2);
        };
        let silent = !found.warnings.is_empty();
        if silent && !found.more {
            // What lies beyond the page's places comes with the next one.
            let within = &some[..some.len().min(limit)];
            let is_within = |id: &EntityId| within.iter().any(|(_, held)| held.id == *id);
            found.told.evolutions.retain(|one| is_within(&one.chapter.id));
        }
        let told = &found.told.evolutions;
        let last = told.last().map(|evolution| &evolution.chapter.id);
        let mut more = found.more;
        // Of what follows a full page nothing is known yet.
        let looked_at = match last.filter(|_| found.more) {
            Some(last) => some.iter().position(|(_, held)| held.id == *last).map_or(0, |at| at + 1),
            None if silent => {
                more = some.len() > limit;
                some.len().min(limit)
            }
            None => some.len(),
        };
        let is_there = |id: &EntityId| told.iter().any(|one| one.chapter.id == *id);
        let is_sure = |held: &Held| held.is_here_alone() || !silent && call.origin().is_some();
        let gone = some[..looked_at].iter().filter(|(_, held)| !is_there(&held.id));
        let gone: Vec<u32> =
            gone.filter(|(_, held)| is_sure(held)).map(|(place, _)| *place).collect();
        self.entity_maps.drop_places(&call.tenant, id, &gone).await?;
        if let (true, Some((place, _))) = (more && !narrowed, some[..looked_at].last()) {
            let shown = looked_at - gone.len();
            let next = offset.saturating_add(shown as u64);
            self.end_in_map(call, id, next, place + 1);
        }
        Ok((PastEverywhere { count, more, ..found }, thinned))
    }

    /// What is told of a page of some entities that a plan selects, by those who hold them.
    pub(in crate::broker) async fn past_of(
        &self,
        call: &Call,
        query: &QueryTexts,
        plan: &HistoryPlan,
        (held, linked): (&[Held], &[(String, String)]),
        page: Page,
    ) -> Result<(PastEverywhere, Option<Timestamp>), Error> {
        let ids: Vec<EntityId> = held.iter().map(|held| held.id.clone()).collect();
        let Some(select) = only(&plan.entities.select, &ids) else {
            return Ok(Default::default());
        };
        let mut plan = plan.clone();
        (plan.entities.select, plan.entities.page) = (select, page);
        if let Some(origin) = call.origin()
            && !held.iter().all(Held::is_here_alone)
        {
            let csf = self.source_filter_of(call, query)?;
            let (split, sources) = (self.splits(query), csf.as_ref());
            let past =
                PastQuery { sources, held: Some(held), linked, ..PastQuery::new(&plan, split) };
            if let Some(found) = Box::pin(self.evolve_everywhere(call, origin, past)).await? {
                return Ok((found, None));
            }
        }
        let found = self.store.evolve(&call.tenant, &plan, call.now).await?;
        let FoundHistory { told, count, more, thinned, .. } = found;
        Ok((PastEverywhere { told, count, more, ..PastEverywhere::default() }, thinned))
    }

    async fn count_past_in_map(
        &self,
        call: &Call,
        query: &QueryTexts,
        plan: &HistoryPlan,
        id: &EntityMapId,
        head: &Head,
    ) -> Result<u64, Error> {
        let all = self.entity_maps.whole(&call.tenant, id, head).await?;
        let mut count = 0;
        for some in all.entities.chunks(500) {
            let page = Page { limit: 0, count: true, ..Page::default() };
            let (found, _) = self.past_of(call, query, plan, (some, head.linked()), page).await?;
            count += found.count.unwrap_or_default();
        }
        Ok(count)
    }
}
