//! Queries that follow Relationships: what they lead to is asked of the database in rounds.
//!
//! An evaluation that misses an entity notes its id. What was missed by many is fetched in one
//! round trip, and those evaluations begin anew, until none misses anything: as many rounds as the
//! query follows links.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::super::Inner;
use super::page::{Hit, Hits};
use crate::model::{EntityId, Stored, TenantId, Timestamp};
use crate::query::{EntityPlan, Lookup, Lookups};
use crate::store::StoreError;

/// How many candidates are evaluated together.
pub(super) const AT_ONCE: usize = 32;

/// How many entities are fetched in one round trip.
const ROUND: usize = 2_000;

/// How many linked entities are remembered from one evaluation to the next.
const REMEMBERED: usize = 10_000;

/// Linked entities that were fetched, and those that are missing.
pub(super) struct Linked<'a> {
    inner: &'a Inner,
    tenant: &'a TenantId,
    now: Timestamp,
    found: FxHashMap<EntityId, Option<Arc<Stored>>>,
}

impl<'a> Linked<'a> {
    pub fn new(inner: &'a Inner, tenant: &'a TenantId, now: Timestamp) -> Self {
        Self { inner, tenant, now, found: FxHashMap::default() }
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
            let left = matches.iter().filter(|one| one.is_none()).count();
            let missing = self.evaluate(plan, doubtful, &mut matches)?;
            if missing.is_empty() {
                break;
            }
            // Only when some were decided, or those who need most would never be.
            let decided = matches.iter().filter(|one| one.is_none()).count() < left;
            if decided && self.found.len() > REMEMBERED {
                self.found.clear();
            }
            self.fetch(missing).await?;
        }
        for (hit, matches) in doubtful.drain(..).zip(matches) {
            if matches == Some(true) {
                hits.add(hit);
            }
        }
        if self.found.len() > REMEMBERED {
            self.found.clear();
        }
        Ok(())
    }

    /// Evaluates what is not decided yet, and says which entities that took which are not here.
    fn evaluate(
        &self,
        plan: &EntityPlan,
        candidates: &[Hit],
        matches: &mut [Option<bool>],
    ) -> Result<Vec<EntityId>, StoreError> {
        let lookup = Noting {
            found: &self.found,
            missing: RefCell::default(),
            most: plan.lookups,
            too_much: Cell::new(false),
        };
        let mut all_missing = FxHashSet::default();
        for (hit, matches) in candidates.iter().zip(matches) {
            if matches.is_some() || all_missing.len() >= ROUND {
                continue;
            }
            let holds = plan.matches(&hit.held.entity, self.now, &lookup);
            let missing = lookup.missing.take();
            // Some of the missing may decide before it is too much.
            if lookup.too_much.take() && missing.is_empty() {
                return Err(plan.too_many_lookups().into());
            }
            if missing.is_empty() {
                *matches = Some(holds);
            }
            all_missing.extend(missing);
        }
        Ok(all_missing.into_iter().collect())
    }

    async fn fetch(&mut self, missing: Vec<EntityId>) -> Result<(), StoreError> {
        for some in missing.chunks(ROUND) {
            let mut held = self.inner.read_many(self.tenant, some, false).await?;
            for id in some {
                let entity = held.remove(id).map(|held| held.entity.clone());
                let entity = entity.filter(|entity| entity.is_alive(self.now));
                self.found.insert(id.clone(), entity);
            }
        }
        Ok(())
    }
}

/// Finds what was fetched, and notes what was not.
struct Noting<'a> {
    found: &'a FxHashMap<EntityId, Option<Arc<Stored>>>,
    missing: RefCell<Vec<EntityId>>,
    most: Lookups,
    too_much: Cell<bool>,
}

impl Lookup for Noting<'_> {
    fn entity(&self, id: &EntityId) -> Option<Arc<Stored>> {
        match self.found.get(id) {
            Some(found) => found.clone(),
            None => {
                self.missing.borrow_mut().push(id.clone());
                None
            }
        }
    }
    fn most(&self) -> Lookups {
        self.most
    }

    fn was_too_much(&self) {
        self.too_much.set(true);
    }
}
