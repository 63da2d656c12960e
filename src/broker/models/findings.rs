//! What was found: counts for ever, and the last entities that were not as their models say.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::model::{EntityId, TenantId, Timestamp, Violation};

/// How many models are counted apart; the rest are counted together.
const MAX_COUNTED: usize = 1_000;

/// An entity that was not as its model says.
#[derive(Debug, Clone)]
pub struct Finding {
    pub at: Timestamp,
    pub id: EntityId,
    /// The short name of the model.
    pub model: Box<str>,
    /// Whether it was refused; else it was taken as it was.
    pub refused: bool,
    pub violations: Box<[Violation]>,
}

/// How many entities were checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub passed: u64,
    pub warned: u64,
    pub refused: u64,
}

/// What was found.
pub(super) struct Findings {
    capacity: usize,
    last: VecDeque<(TenantId, Finding)>,
    counts: BTreeMap<Box<str>, Counts>,
}

impl Findings {
    pub fn new(capacity: usize) -> Self {
        Self { capacity, last: VecDeque::new(), counts: BTreeMap::new() }
    }

    /// An entity was as its model says.
    pub fn pass(&mut self, model: &str) {
        self.count(model).passed += 1;
    }

    /// An entity was not.
    pub fn note(&mut self, tenant: &TenantId, finding: Finding) {
        let counts = self.count(&finding.model);
        match finding.refused {
            true => counts.refused += 1,
            false => counts.warned += 1,
        }
        if self.capacity == 0 {
            return;
        }
        if self.last.len() >= self.capacity {
            self.last.pop_front();
        }
        self.last.push_back((tenant.clone(), finding));
    }

    /// The last findings of a tenant, newest first, of one model or of all, of one entity or of all.
    pub fn of(
        &self,
        tenant: &TenantId,
        model: Option<&str>,
        entity: Option<&str>,
        limit: usize,
    ) -> Vec<Finding> {
        let own = self.last.iter().rev().filter(|(owner, finding)| {
            owner == tenant
                && model.is_none_or(|model| *finding.model == *model)
                && entity.is_none_or(|id| finding.id.as_str() == id)
        });
        own.take(limit).map(|(_, finding)| finding.clone()).collect()
    }

    pub fn counts(&self) -> Vec<(Box<str>, Counts)> {
        self.counts.iter().map(|(model, counts)| (model.clone(), *counts)).collect()
    }

    fn count(&mut self, model: &str) -> &mut Counts {
        if !self.counts.contains_key(model) {
            let name = if self.counts.len() < MAX_COUNTED { model } else { "other" };
            return self.counts.entry(name.into()).or_default();
        }
        self.counts.get_mut(model).expect("it is there")
    }
}
