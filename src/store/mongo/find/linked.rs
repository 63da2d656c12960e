//! Queries that follow Relationships: what they lead to is asked of the database in rounds.

use super::super::Inner;
use super::page::{Hit, Hits};
use crate::model::{EntityId, TenantId, Timestamp};
use crate::query::{EntityPlan, Rounds};
use crate::store::StoreError;

/// How many candidates are evaluated together.
pub(super) const AT_ONCE: usize = 32;

/// How many entities are fetched in one round trip.
const ROUND: usize = 2_000;

/// Linked entities that were fetched, and those that are missing.
pub(super) struct Linked<'a> {
    inner: &'a Inner,
    tenant: &'a TenantId,
    now: Timestamp,
    rounds: Rounds,
}

impl<'a> Linked<'a> {
    pub fn new(inner: &'a Inner, tenant: &'a TenantId, now: Timestamp) -> Self {
        Self { inner, tenant, now, rounds: Rounds::default() }
    }

    /// Evaluates candidates, and adds those that match in the order they came.
    pub async fn settle(
        &mut self,
        plan: &EntityPlan,
        doubtful: &mut Vec<Hit>,
        hits: &mut Hits<'_>,
    ) -> Result<(), StoreError> {
        let mut matches: Vec<Option<bool>> = vec![None; doubtful.len()];
        loop {
            let candidates = doubtful.iter().map(|hit| &hit.held.entity.entity);
            let missing = self.rounds.decide(plan, candidates, &mut matches, self.now)?;
            if missing.is_empty() {
                break;
            }
            self.fetch(missing).await?;
        }
        for (hit, matches) in doubtful.drain(..).zip(matches) {
            if matches == Some(true) {
                hits.add(hit);
            }
        }
        self.rounds.forget_some();
        Ok(())
    }

    async fn fetch(&mut self, missing: Vec<EntityId>) -> Result<(), StoreError> {
        for some in missing.chunks(ROUND) {
            let mut held = self.inner.read_many(self.tenant, some, false).await?;
            for id in some {
                let entity = held.remove(id).map(|held| held.entity.clone());
                let entity = entity.filter(|entity| entity.is_alive(self.now));
                self.rounds.learn(id.clone(), entity);
            }
        }
        Ok(())
    }
}
