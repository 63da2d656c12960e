//! Finding the entities that a new map names (4.3.6.7): all that a query selects, in its order.

use super::keep::EntityMaps;
use crate::broker::{Broker, Call, Error};
use crate::model::Held;
use crate::query::{EntityPlan, HistoryPlan, Page, Projection};

/// How many entities are read at once.
const PORTION: usize = 500;

impl EntityMaps {
    /// Refuses a map of more entities than one may name.
    pub(super) fn check_size(&self, entities: usize) -> Result<(), Error> {
        let most = self.limits.entities;
        if entities <= most {
            return Ok(());
        }
        Err(Error::TooManyResults(format!(
            "the query finds more than {most} entities, which is as many as an entity map names \
             here: narrow it down"
        )))
    }
}

impl Broker {
    /// All entities that a plan selects, in its order, and who holds them.
    pub(super) async fn candidates(
        &self,
        call: &Call,
        plan: &EntityPlan,
    ) -> Result<Vec<Held>, Error> {
        let mut plan = plan.clone();
        // What is ordered has to be gathered as a whole anyway, and cannot be gone on with.
        let most = self.entity_maps.limits.entities;
        let limit = if plan.order.is_some() { most.saturating_add(1) } else { PORTION };
        plan.page = Page { limit, ..Page::default() };
        let mut held = Vec::new();
        loop {
            let found = self.store.find(&call.tenant, &plan, call.now).await?;
            held.extend(found.entities.iter().map(|entity| Held::here(entity.id.clone())));
            self.entity_maps.check_size(held.len())?;
            match found.next {
                Some(next) => plan.page.after = Some(next),
                None => return Ok(held),
            }
        }
    }

    /// All entities whose history a plan selects, in its order, and who holds them.
    pub(super) async fn past_candidates(
        &self,
        call: &Call,
        plan: &HistoryPlan,
    ) -> Result<Vec<Held>, Error> {
        let mut plan = HistoryPlan {
            last_n: None,
            aggregate: None,
            // Nothing but their ids is wanted of them.
            shown: Projection::parse(Some("id"), None, None, &call.context, &self.query_limits)?,
            ..plan.clone()
        };
        plan.entities.page = Page { limit: PORTION, ..Page::default() };
        let mut held = Vec::new();
        loop {
            let found = self.store.evolve(&call.tenant, &plan, call.now).await?;
            let page = &mut plan.entities.page;
            page.offset += found.told.evolutions.len();
            let ids = found.told.evolutions.into_iter().map(|evolution| evolution.chapter.id);
            held.extend(ids.map(Held::here));
            self.entity_maps.check_size(held.len())?;
            if !found.more {
                return Ok(held);
            }
            if let Some(next) = found.next {
                (page.offset, page.after) = (0, Some(next));
            }
        }
    }
}
