//! Query Temporal Evolution of Entities (5.7.4).

use super::super::{Broker, Call, Error, QueryTexts, ViewTexts};
use super::{History, HistoryTexts, TimeRange};

impl Broker {
    /// Queries the history of entities within a window, a page of entities at a time. 5.7.4.
    pub async fn query_evolution(
        &self,
        call: &Call,
        query: &QueryTexts,
        texts: &HistoryTexts,
        view: &ViewTexts,
    ) -> Result<History, Error> {
        let mut entities = self.plan(call, query)?;
        if entities.link_depth() > 0 {
            return Err(Error::bad("a temporal query follows no relationships (5.7.4.4)"));
        }
        if entities.order.as_ref().is_some_and(|order| !order.is_by_id()) {
            return Err(Error::bad("a temporal query can be ordered by id only (5.7.4.4)"));
        }
        entities.page = self.page(&query.page)?;
        let (mut plan, looks, bounded) = self.history_plan(call, texts, view)?;
        if !bounded {
            return Err(Error::bad(
                "a temporal query needs timerel and timeAt: say which time is asked about (5.7.4)",
            ));
        }
        plan.entities = entities;
        let offset = query.page.offset;
        let key = self.pages.temporal_key(&call.tenant, call.context.id(), query, texts);
        if let Some(end) = self.pages.end_before(key, offset, call.now) {
            plan.entities.page.offset = 0;
            plan.entities.page.after = Some(end);
        }
        let found = self.store.evolve(&call.tenant, &plan, call.now).await?;
        let (told, thinned) = (found.told, found.thinned);
        if let (true, Some(end)) = (found.more, found.next) {
            let next = offset.saturating_add(told.evolutions.len() as u64);
            self.pages.remember(key, next, end, call.now);
        }
        let range = TimeRange::of(&plan, &told);
        let (count, more) = (found.count, found.more);
        Ok(History { told, plan, looks, count, more, range, thinned })
    }
}
