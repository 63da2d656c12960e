//! Finding the entities that a new map names (4.3.6.7): all that a query selects, in its order, here
//! and at sources.

use crate::broker::federation::PastQuery;
use crate::broker::{Broker, Call, Error, QueryTexts, elsewhere};
use crate::federate::Warning;
use crate::model::{Held, Timestamp};
use crate::query::{EntityPlan, HistoryPlan, Page, Projection};
use crate::represent::Rendering;

/// How many entities are read at once.
const PORTION: usize = 500;

/// What a map is to name.
#[derive(Default)]
pub(in crate::broker) struct Candidates {
    pub held: Vec<Held>,
    /// The maps that sources made for the same query: registrations, and the ids of the maps.
    pub linked: Vec<(String, String)>,
    /// What there is to say of sources.
    pub warnings: Vec<Warning>,
}

/// A query that finds more than can be named.
pub(in crate::broker) fn too_many(most: usize) -> Error {
    Error::TooManyResults(format!(
        "the query finds more than {most} entities, which is as many as are named here: narrow it \
         down"
    ))
}

fn check_size(entities: usize, most: usize) -> Result<(), Error> {
    if entities > most { Err(too_many(most)) } else { Ok(()) }
}

impl Broker {
    /// All entities that a query finds, in its order, and who holds them. Sources make maps of their
    /// own for a map that is kept `until` a time.
    pub(in crate::broker) async fn candidates(
        &self,
        call: &Call,
        texts: &QueryTexts,
        plan: &EntityPlan,
        most: usize,
        until: Option<Timestamp>,
    ) -> Result<Candidates, Error> {
        if let Some(origin) = elsewhere(call, plan) {
            let mut asked = self.asked(call, plan, texts, &Rendering::default())?;
            (asked.bare, asked.until) = (true, until);
            let found = Box::pin(self.candidates_everywhere(call, origin, &asked, most));
            if let Some(found) = found.await? {
                check_size(found.held.len(), most)?;
                return Ok(found);
            }
        }
        let held = self.candidates_here(call, plan, most).await?;
        Ok(Candidates { held, ..Candidates::default() })
    }

    /// All entities that a plan selects of those that are here.
    pub(in crate::broker) async fn candidates_here(
        &self,
        call: &Call,
        plan: &EntityPlan,
        most: usize,
    ) -> Result<Vec<Held>, Error> {
        let mut plan = plan.clone();
        // What is ordered has to be gathered as a whole anyway: once, and not for every portion.
        let limit = if plan.order.is_some() { most.saturating_add(1) } else { PORTION };
        plan.page = Page { limit, ..Page::default() };
        let mut held = Vec::new();
        loop {
            let found = self.store.find(&call.tenant, &plan, call.now).await?;
            held.extend(found.entities.iter().map(|entity| Held::here(entity.id.clone())));
            check_size(held.len(), most)?;
            match found.next {
                Some(next) => plan.page.after = Some(next),
                None => return Ok(held),
            }
        }
    }

    /// All entities whose history a query finds, in its order, and who holds them. Sources make maps
    /// of their own for a map that is kept `until` a time.
    pub(in crate::broker) async fn past_candidates(
        &self,
        call: &Call,
        texts: &QueryTexts,
        plan: &HistoryPlan,
        most: usize,
        until: Option<Timestamp>,
    ) -> Result<Candidates, Error> {
        if let Some(origin) = elsewhere(call, &plan.entities) {
            let csf = self.source_filter_of(call, texts)?;
            let (split, sources) = (self.splits(texts), csf.as_ref());
            let query = PastQuery { sources, until, ..PastQuery::new(plan, split) };
            let found = Box::pin(self.past_candidates_everywhere(call, origin, query, most));
            if let Some(found) = found.await? {
                check_size(found.held.len(), most)?;
                return Ok(found);
            }
        }
        let held = self.past_candidates_here(call, plan, most).await?;
        Ok(Candidates { held, ..Candidates::default() })
    }

    /// All entities whose history here a plan selects.
    pub(in crate::broker) async fn past_candidates_here(
        &self,
        call: &Call,
        plan: &HistoryPlan,
        most: usize,
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
            check_size(held.len(), most)?;
            if !found.more {
                return Ok(held);
            }
            if let Some(next) = found.next {
                (page.offset, page.after) = (0, Some(next));
            }
        }
    }
}
