//! Query Temporal Evolution of Entities (5.7.4).

use super::super::federation::PastEverywhere;
use super::super::{Broker, Call, Error, QueryTexts, ViewTexts};
use super::{History, HistoryTexts, TimeRange};
use crate::model::TypeSelection;
use crate::query::HistoryPlan;
use crate::represent::TemporalRendering;

impl Broker {
    /// Queries the history of entities within a window, a page of entities at a time. 5.7.4.
    pub async fn query_evolution(
        &self,
        call: &Call,
        query: &QueryTexts,
        texts: &HistoryTexts,
        view: &ViewTexts,
    ) -> Result<History, Error> {
        let (mut plan, looks) = self.evolution_plan(call, query, texts, view)?;
        plan.entities.page = self.page(&query.page)?;
        query.map.check()?;
        let here = plan.entities.select.iter().any(|one| one.types == Some(TypeSelection::Any));
        if let Some(origin) = call.origin().filter(|_| !here) {
            let split = query.split_entities.unwrap_or(self.federation.splits_entities());
            let csf = query.csf.as_deref();
            let sources = csf.map(|csf| self.source_filter(call, csf)).transpose()?;
            let found =
                Box::pin(self.evolve_everywhere(call, origin, &plan, split, sources.as_ref()));
            if let Some(found) = found.await? {
                if plan.entities.order.is_some() {
                    return Err(Error::bad(
                        "an order can be asked for with local=true only (4.23)",
                    ));
                }
                let PastEverywhere { told, count, more, warnings } = found;
                let range = TimeRange::of(&plan, &told);
                let (thinned, map) = (None, None);
                return Ok(History {
                    told,
                    plan,
                    looks,
                    count,
                    more,
                    range,
                    thinned,
                    warnings,
                    map,
                });
            }
        }
        let (found, map) = match query.map.any() {
            true => {
                let (found, map) = Box::pin(self.evolve_by_map(call, query, &plan)).await?;
                (found, Some(map))
            }
            false => {
                let offset = query.page.offset;
                let key = self.pages.temporal_key(&call.tenant, call.context.id(), query, texts);
                if let Some(end) = self.pages.end_before(key, offset, call.now) {
                    plan.entities.page.offset = 0;
                    plan.entities.page.after = Some(end);
                }
                let mut found = self.store.evolve(&call.tenant, &plan, call.now).await?;
                if let (true, Some(end)) = (found.more, found.next.take()) {
                    let next = offset.saturating_add(found.told.evolutions.len() as u64);
                    self.pages.remember(key, next, end, call.now);
                }
                (found, None)
            }
        };
        let range = TimeRange::of(&plan, &found.told);
        let (told, thinned) = (found.told, found.thinned);
        let (count, more) = (found.count, found.more);
        let warnings = Vec::new();
        Ok(History { told, plan, looks, count, more, range, thinned, warnings, map })
    }

    /// The plan of a temporal query, its page left open; what does not belong into one is refused
    /// (5.7.4.4).
    pub(in crate::broker) fn evolution_plan(
        &self,
        call: &Call,
        query: &QueryTexts,
        texts: &HistoryTexts,
        view: &ViewTexts,
    ) -> Result<(HistoryPlan, TemporalRendering), Error> {
        let entities = self.plan(call, query)?;
        if entities.link_depth() > 0 {
            return Err(Error::bad("a temporal query follows no relationships (5.7.4.4)"));
        }
        if entities.order.as_ref().is_some_and(|order| !order.is_by_id()) {
            return Err(Error::bad("a temporal query can be ordered by id only (5.7.4.4)"));
        }
        let (mut plan, looks, bounded) = self.history_plan(call, texts, view)?;
        if !bounded {
            return Err(Error::bad(
                "a temporal query needs timerel and timeAt: say which time is asked about (5.7.4)",
            ));
        }
        plan.entities = entities;
        Ok((plan, looks))
    }
}
