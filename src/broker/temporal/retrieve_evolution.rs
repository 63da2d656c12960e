//! Retrieve Temporal Evolution of an Entity (5.7.3).

use super::super::entity_maps::{Family, Known};
use super::super::federation::{PastEverywhere, PastQuery};
use super::super::{Broker, Call, Error, MapTexts, ViewTexts};
use super::{History, HistoryTexts, TimeRange, unknown};
use crate::model::{EntityId, Held, Holder, Timestamp};
use crate::query::{EntityPlan, HistoryPlan, Selector, Told};

impl Broker {
    /// Retrieves the history of an entity, or the part of it in a window. An entity of which
    /// nothing lies in the window is there all the same; one without any of the attributes that
    /// `attrs` names is not. 5.7.3.
    pub async fn retrieve_evolution(
        &self,
        call: &Call,
        id: &EntityId,
        texts: &HistoryTexts,
        view: &ViewTexts,
        map: &MapTexts,
    ) -> Result<History, Error> {
        map.check()?;
        let named = match map.any() {
            true => Box::pin(self.map_to_retrieve(call, map, Family::Temporal, id)).await?,
            false => None,
        };
        let (mut plan, looks, _) = self.history_plan(call, texts, view)?;
        plan.entities.select = vec![Selector { ids: vec![id.clone()], ..Selector::default() }];
        plan.entities.page.limit = 1;
        plan.whatever_the_window = true;
        let (found, thinned) = self.evolution(call, &plan, named.as_ref()).await?;
        let PastEverywhere { told, by, warnings, .. } = found;
        let Some(evolution) = told.evolutions.first() else {
            return Err(unknown(id).warned(warnings));
        };
        if view.attrs.is_some() && evolution.attributes.is_empty() {
            let why =
                format!("of the attributes that attrs names, the history of {id} has nothing then");
            return Err(Error::NotFound(why).warned(warnings));
        }
        let range = TimeRange::of(&plan, &told);
        let map = match map.any() {
            true => {
                let (named, held) = (named.map(|known| known.map), Held { id: id.clone(), by });
                let made = self.map_retrieved(call, map, Family::Temporal, named, held);
                Some(Box::pin(made).await?)
            }
            false => None,
        };
        let (count, more) = (None, false);
        Ok(History { told, plan, looks, count, more, range, thinned, warnings, map })
    }

    /// What a plan tells of one entity, here and at sources; only by those who hold it, if that is
    /// known.
    async fn evolution(
        &self,
        call: &Call,
        plan: &HistoryPlan,
        known: Option<&Known>,
    ) -> Result<(PastEverywhere, Option<Timestamp>), Error> {
        if let Some(origin) = call.origin() {
            let held = known.map(|known| std::slice::from_ref(&known.held));
            let linked = known.map_or(&[] as &[_], |known| &known.linked);
            let query = PastQuery { held, linked, ..PastQuery::new(plan, false) };
            if let Some(found) = Box::pin(self.evolve_everywhere(call, origin, query)).await? {
                return Ok((found, None));
            }
        }
        let found = self.store.evolve(&call.tenant, plan, call.now).await?;
        let (told, by) = (found.told, vec![Holder::Here]);
        Ok((PastEverywhere { told, by, ..PastEverywhere::default() }, found.thinned))
    }

    /// A part of the history of an entity that a plan selected before: what follows a time at
    /// which an earlier part was cut.
    pub async fn part_of_history(
        &self,
        call: &Call,
        plan: &HistoryPlan,
        id: &EntityId,
        after: Option<Timestamp>,
    ) -> Result<Told, Error> {
        let mut part = HistoryPlan { whatever_the_window: true, ..plan.clone() };
        // Scopes stay: they say which parts of the window are told of.
        part.entities = EntityPlan {
            select: vec![Selector { ids: vec![id.clone()], ..Selector::default() }],
            scope: part.entities.scope,
            ..EntityPlan::default()
        };
        if let Some(after) = after {
            part.window.from = Some(after.plus_micros(1));
        }
        Ok(self.evolution(call, &part, None).await?.0.told)
    }
}
