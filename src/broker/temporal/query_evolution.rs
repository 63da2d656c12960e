//! Query Temporal Evolution of Entities (5.7.4).

use super::super::federation::{PastEverywhere, PastQuery};
use super::super::{Broker, Call, Error, QueryTexts, ViewTexts, elsewhere};
use super::{History, HistoryTexts, TimeRange};
use crate::model::Timestamp;
use crate::query::HistoryPlan;
use crate::represent::TemporalRendering;
use crate::store::FoundHistory;

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
        let (found, thinned, map) = match query.map.any() {
            true => {
                let (found, thinned, map) =
                    Box::pin(self.evolve_by_map(call, query, &plan)).await?;
                (found, thinned, Some(map))
            }
            false => {
                let (found, thinned) = self.evolve_page(call, query, texts, &mut plan).await?;
                (found, thinned, None)
            }
        };
        let PastEverywhere { told, count, more, warnings, .. } = found;
        let range = TimeRange::of(&plan, &told);
        Ok(History { told, plan, looks, count, more, range, thinned, warnings, map })
    }

    /// A page of what is found now, here and at sources.
    async fn evolve_page(
        &self,
        call: &Call,
        query: &QueryTexts,
        texts: &HistoryTexts,
        plan: &mut HistoryPlan,
    ) -> Result<(PastEverywhere, Option<Timestamp>), Error> {
        let offset = query.page.offset;
        let key = self.pages.temporal_key(&call.tenant, call.context.id(), query, texts);
        if let Some(origin) = elsewhere(call, &plan.entities) {
            let csf = self.source_filter_of(call, query)?;
            let (split, sources) = (self.splits(query), csf.as_ref());
            let before = self.turned.before(key, offset, call.now);
            let past =
                PastQuery { sources, before: before.as_ref(), ..PastQuery::new(plan, split) };
            if let Some(mut found) = Box::pin(self.evolve_everywhere(call, origin, past)).await? {
                if plan.entities.order.is_some() {
                    return Err(Error::bad(
                        "an order can be asked for with local=true only (4.23)",
                    ));
                }
                if let Some(shown) = found.shown.take().filter(|_| found.more) {
                    let next = offset.saturating_add(plan.entities.page.limit as u64);
                    self.turned.remember(key, next, shown, call.now);
                }
                return Ok((found, None));
            }
        }
        if let Some(end) = self.pages.end_before(key, offset, call.now) {
            plan.entities.page.offset = 0;
            plan.entities.page.after = Some(end);
        }
        let found = self.store.evolve(&call.tenant, plan, call.now).await?;
        let FoundHistory { told, count, more, next, thinned } = found;
        if let (true, Some(end)) = (more, next) {
            let next = offset.saturating_add(told.evolutions.len() as u64);
            self.pages.remember(key, next, end, call.now);
        }
        Ok((PastEverywhere { told, count, more, ..PastEverywhere::default() }, thinned))
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
        if view.join.as_deref().is_some_and(|join| join != "@none") || view.join_level.is_some() {
            return Err(Error::bad("a temporal query joins no linked entities (5.7.4.4)"));
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
