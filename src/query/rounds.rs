//! Evaluating plans that follow Relationships where linked entities have to be fetched from
//! elsewhere: an evaluation that misses an entity notes its id. What was missed by many is fetched
//! at once, and those evaluations begin anew, until none misses anything: as many rounds as the
//! query follows links.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{EntityPlan, Lookup, Lookups, QueryError};
use crate::model::{Entity, EntityId, Stored, Timestamp};

/// How many entities are missed in one round at most.
const ROUND: usize = 2_000;

/// How many linked entities are remembered from one evaluation to the next.
const REMEMBERED: usize = 10_000;

/// Linked entities that were fetched, or that are nowhere.
#[derive(Debug, Default)]
pub struct Rounds {
    found: FxHashMap<EntityId, Option<Arc<Stored>>>,
}

impl Rounds {
    /// Evaluates those candidates that are not decided yet, and says which entities that took which
    /// are not known: to be fetched, told by [`Rounds::learn`], and tried again. Nothing if all are
    /// decided.
    ///
    /// # Errors
    /// A candidate leads to more entities than the plan allows to look at.
    pub fn decide<'e>(
        &mut self,
        plan: &EntityPlan,
        candidates: impl Iterator<Item = &'e Entity>,
        decided: &mut [Option<bool>],
        now: Timestamp,
    ) -> Result<Vec<EntityId>, QueryError> {
        let lookup = Noting {
            found: &self.found,
            missing: RefCell::default(),
            most: plan.lookups,
            too_much: Cell::new(false),
        };
        let mut all_missing = FxHashSet::default();
        let mut any = false;
        for (candidate, decided) in candidates.zip(decided) {
            if decided.is_some() || all_missing.len() >= ROUND {
                continue;
            }
            let holds = plan.matches(candidate, now, &lookup);
            let missing = lookup.missing.take();
            // Some of the missing may decide before it is too much.
            if lookup.too_much.take() && missing.is_empty() {
                return Err(plan.too_many_lookups());
            }
            if missing.is_empty() {
                *decided = Some(holds);
                any = true;
            }
            all_missing.extend(missing);
        }
        // Only when some were decided, or those who need most would never be.
        if any && !all_missing.is_empty() {
            self.forget_some();
        }
        Ok(all_missing.into_iter().collect())
    }

    /// Takes note of an entity that was missing; None if it is nowhere.
    pub fn learn(&mut self, id: EntityId, entity: Option<Arc<Stored>>) {
        self.found.insert(id, entity);
    }

    /// Forgets what was fetched if that is much.
    pub fn forget_some(&mut self) {
        if self.found.len() > REMEMBERED {
            self.found.clear();
        }
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
