//! The history that a snapshot holds: copied with all its times.

use serde_json::Value;

use super::fill::{Collected, Filling};
use crate::broker::entity_maps::add_warnings;
use crate::broker::{Call, Error, elsewhere};
use crate::federate::Via;
use crate::model::{EntityId, HistoryAction, HistoryWrite, Remembered, TimeProperty, Timestamp};
use crate::query::{Evolution, HistoryLimits, HistoryPlan, Line, Page, Told, Window};
use crate::store::StoreError;

/// The histories of how many entities are read at once.
const AT_ONCE: usize = 20;

impl Filling<'_> {
    /// Copies the histories that a temporal query finds, here and at sources.
    pub(super) async fn collect_past(
        &mut self,
        call: &Call,
        query: &Value,
    ) -> Result<Collected, Error> {
        let (texts, time, view) = self.broker.temporal_snapshot_query(call, query)?;
        let (plan, _) = self.broker.evolution_plan(call, &texts, &time, &view)?;
        if elsewhere(call, &plan.entities).is_none() {
            let any = self.gather_past(call, plan).await?;
            return Ok(Collected { any, ..Collected::default() });
        }
        let most = self.broker.snapshots.limits.entities;
        let found = self.broker.past_candidates(call, &texts, &plan, most, None).await?;
        let mut collected = Collected { any: false, warnings: found.warnings };
        for some in found.held.chunks(AT_ONCE) {
            let call = self.broker.unhurried(&call.tenant, &call.context, Via::default()).await?;
            let page = Page { limit: some.len(), ..Page::default() };
            let (found, _) = self.broker.past_of(&call, &texts, &plan, (some, &[]), page).await?;
            add_warnings(&mut collected.warnings, found.warnings);
            collected.any |= !found.told.evolutions.is_empty();
            self.keep_told(&call, &plan, found.told).await?;
        }
        Ok(collected)
    }

    /// Copies all histories that a snapshot holds.
    pub(super) async fn copy_past(&mut self, call: &Call) -> Result<(), Error> {
        let plan = HistoryPlan {
            window: Window { property: TimeProperty::Placed, ..Window::default() },
            whatever_the_window: true,
            limits: HistoryLimits {
                instances: self.broker.limits.temporal_instances,
                ..HistoryLimits::default()
            },
            ..HistoryPlan::default()
        };
        match self.gather_past(call, plan).await {
            // A store that keeps no history has none to copy.
            Err(Error::Store(StoreError::Unusable(_))) => Ok(()),
            gathered => gathered.map(drop),
        }
    }

    async fn gather_past(&mut self, call: &Call, mut plan: HistoryPlan) -> Result<bool, Error> {
        plan.entities.page = Page { limit: AT_ONCE, ..Page::default() };
        let mut any = false;
        loop {
            let found = self.broker.store.evolve(&call.tenant, &plan, call.now).await?;
            let evolutions = found.told.evolutions;
            any |= !evolutions.is_empty();
            let page = &mut plan.entities.page;
            match found.next {
                Some(next) => (page.offset, page.after) = (0, Some(next)),
                None => page.offset += evolutions.len(),
            }
            self.keep_told(call, &plan, Told { evolutions, cut: found.told.cut }).await?;
            if !found.more {
                return Ok(any);
            }
        }
    }

    /// Copies what was told of some histories.
    async fn keep_told(
        &mut self,
        call: &Call,
        plan: &HistoryPlan,
        told: Told,
    ) -> Result<(), Error> {
        if told.cut.is_none() {
            return self.keep_past(told.evolutions).await;
        }
        // More than one answer holds: each by itself, part after part.
        for evolution in told.evolutions {
            self.keep_parts(call, plan, &evolution.chapter.id).await?;
        }
        Ok(())
    }

    /// Copies the history of one entity.
    async fn keep_parts(
        &mut self,
        call: &Call,
        plan: &HistoryPlan,
        id: &EntityId,
    ) -> Result<(), Error> {
        let mut after: Option<Timestamp> = None;
        loop {
            let part = self.broker.part_of_history(call, plan, id, after).await?;
            self.keep_past(part.evolutions).await?;
            match part.cut {
                None => return Ok(()),
                Some(_) if plan.last_n.is_some() => {
                    return Err(Error::TooManyResults(format!(
                        "the last instances of {id} are more than one answer holds: ask for fewer"
                    )));
                }
                Some(cut) => after = Some(cut),
            }
        }
    }

    /// Keeps histories, or parts of them, in the snapshot.
    async fn keep_past(&mut self, evolutions: Vec<Evolution>) -> Result<(), Error> {
        self.go_on().await?;
        let mut writes = Vec::with_capacity(evolutions.len());
        for Evolution { chapter, attributes } in evolutions {
            let instances = attributes.into_iter().filter_map(|(name, line)| match line {
                Line::Instances(all) => Some((name, all)),
                Line::Cut(_) | Line::Aggregates(_) => None,
            });
            let attributes: Vec<_> = instances.collect();
            self.instances += attributes.iter().map(|(_, all)| all.len()).sum::<usize>();
            let id = chapter.id.clone();
            let action = HistoryAction::Restore(Box::new(Remembered { chapter, attributes }));
            writes.push(HistoryWrite { id, action });
        }
        let most = self.broker.snapshots.limits.instances;
        if self.instances > most {
            return Err(Error::TooManyResults(format!(
                "the snapshot would hold more than {most} instances of history"
            )));
        }
        if writes.is_empty() {
            return Ok(());
        }
        let (store, now) = (&self.broker.store, Timestamp::now());
        for outcome in store.commit_history(&self.place, writes, now).await? {
            outcome?;
        }
        Ok(())
    }
}
