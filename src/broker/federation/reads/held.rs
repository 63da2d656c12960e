//! What entity maps and snapshots are made of (4.3.6.7): who holds which entity, and the entities of
//! those who hold them.

use std::sync::Arc;

use futures_util::FutureExt;
use rustc_hash::FxHashMap;

use super::super::super::entity_maps::{Candidates, only, too_many};
use super::super::ask::all;
use super::super::{Broker, Call, Error, Origin};
use super::{Asked, IDS, has_one_part, weight};
use crate::federate::{Matched, Union, Warning};
use crate::model::{EntityId, Held, Holder, Stored};
use crate::query::{EntityPlan, Page};
use crate::represent::Rendering;
use crate::store::StoreError;

/// Entities in the order in which they were found, and who holds them.
#[derive(Default)]
pub(in crate::broker) struct Finds {
    all: Vec<Held>,
    places: FxHashMap<EntityId, usize>,
}

impl Finds {
    /// Takes note that somebody holds an entity.
    pub fn add(&mut self, id: EntityId, holder: Holder) {
        match self.places.get(&id) {
            Some(place) => {
                let by = &mut self.all[*place].by;
                if !by.contains(&holder) {
                    by.push(holder);
                }
            }
            None => {
                self.places.insert(id.clone(), self.all.len());
                self.all.push(Held { id, by: vec![holder] });
            }
        }
    }

    /// Each entity once.
    pub fn into_held(self) -> Vec<Held> {
        self.all
    }
}

/// Leaves of what matched what is held there.
pub(in crate::broker) fn keep_held(matched: &mut Matched, held: &[Held]) {
    let by: FxHashMap<&EntityId, &Held> = held.iter().map(|one| (&one.id, one)).collect();
    matched.legs.retain_mut(|leg| {
        let source = leg.source.id();
        leg.select.ids.retain(|id| by.get(id).is_some_and(|held| held.is_at(source)));
        !leg.select.ids.is_empty()
    });
}

/// The ids of those that are held here.
pub(in crate::broker) fn held_here(held: &[Held]) -> Vec<EntityId> {
    held.iter().filter(|held| held.is_here()).map(|held| held.id.clone()).collect()
}

impl Broker {
    /// All entities that a query may find, and who has something of them; None if no source is
    /// concerned. Where entities may be split over sources, they may turn out not to match.
    pub(in crate::broker) async fn candidates_everywhere(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        most: usize,
    ) -> Result<Option<Candidates>, Error> {
        let matched = match self.query_legs(call, origin, asked, &Rendering::default()) {
            Some(matched) => matched,
            // What a filter leads to may concern others than the query does.
            None if asked.plan.link_depth() > 0 => Matched::default(),
            None => return Ok(None),
        };
        asked.check_order()?;
        let (plan, need) = (asked.plan_here(), most.saturating_add(1));
        let jobs = matched.legs.iter().map(|leg| {
            let alone = has_one_part(&matched, leg);
            self.ids_there(call, origin, asked, leg, need, alone).boxed()
        });
        let jobs = jobs.collect();
        let (here, there) = futures_util::join!(self.candidates_here(call, &plan, most), all(jobs));
        let here = match here {
            Err(Error::Store(StoreError::UnknownTenant(_))) => Vec::new(),
            here => here?,
        };
        let (mut finds, mut linked) = (Finds::default(), Vec::new());
        let mut warnings = self.beyond(&matched);
        here.into_iter().for_each(|held| finds.add(held.id, Holder::Here));
        for (leg, ids) in matched.legs.iter().zip(there) {
            if !ids.complete {
                return Err(too_many(most));
            }
            let holder = Holder::Source(leg.source.id().into());
            ids.order.into_iter().for_each(|id| finds.add(id, holder.clone()));
            linked.extend(ids.map.map(|map| (leg.source.id().to_owned(), map)));
            warnings.extend(ids.warnings);
        }
        Ok(Some(Candidates { held: finds.into_held(), linked, warnings }))
    }

    /// What a query finds of some entities, of those who hold them. The plan selects these entities
    /// alone.
    pub(in crate::broker) async fn query_held(
        &self,
        call: &Call,
        asked: &Asked<'_>,
        rendering: &Rendering,
        held: &[Held],
    ) -> Result<(Vec<Arc<Stored>>, Vec<Warning>), Error> {
        let mut matched = Matched::default();
        if let Some(origin) = call.origin() {
            matched = self.query_legs(call, origin, asked, rendering).unwrap_or_default();
            keep_held(&mut matched, held);
        }
        let mut jobs = Vec::new();
        for leg in &matched.legs {
            for some in leg.select.ids.chunks(IDS) {
                let Some(origin) = call.origin() else { continue };
                let job = async move {
                    (weight(leg), self.query_some(call, origin, asked, leg, some).await)
                };
                jobs.push(job.boxed());
            }
        }
        let (here, there) = futures_util::join!(self.query_here(call, asked, held), all(jobs));
        let (mut union, mut warnings) = (Union::new(call.now), self.beyond(&matched));
        let here = here?;
        if there.is_empty() && !asked.split {
            return Ok((here, warnings));
        }
        here.iter().for_each(|stored| union.add_here(stored));
        for (weight, received) in there {
            warnings.extend(received.warnings);
            let own = received.entities.into_iter().filter(|entity| asked.may_be(entity));
            own.for_each(|entity| union.add_told(entity, weight));
        }
        if !asked.split {
            return Ok((union.into_stored(), warnings));
        }
        let found = self.chosen(call, asked.plan, union.into_entities(), &mut warnings).await?;
        Ok((found.into_iter().map(Stored::passing).collect(), warnings))
    }

    async fn query_here(
        &self,
        call: &Call,
        asked: &Asked<'_>,
        held: &[Held],
    ) -> Result<Vec<Arc<Stored>>, Error> {
        let ids = held_here(held);
        let Some(select) = only(&asked.plan.select, &ids) else { return Ok(Vec::new()) };
        let page = Page { limit: ids.len(), ..Page::default() };
        let plan = EntityPlan { select, page, ..asked.plan_here() };
        match self.store.find(&call.tenant, &plan, call.now).await {
            Err(StoreError::UnknownTenant(_)) => Ok(Vec::new()),
            found => Ok(found?.entities),
        }
    }
}
