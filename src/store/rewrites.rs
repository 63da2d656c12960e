//! How much the writes of one commit may make anew: a small change of a large entity makes all of
//! the entity again, so that a short batch could keep the writer, and fill the memory, for long.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{Action, EntityId, Refusal, Write};

/// How many bytes of entities one commit may make by changing parts of them, unless a store is told
/// otherwise: a second or two of the writer's time.
pub(super) const USUAL_REWRITES: u64 = 256 << 20;

/// What is left of it.
#[derive(Debug)]
pub(super) struct Rewrites {
    most: u64,
    left: AtomicU64,
}

impl Rewrites {
    pub fn new(most: u64) -> Self {
        Self { most, left: AtomicU64::new(most) }
    }

    /// Refuses a write that would change a part of an entity if nothing is left. The first of a
    /// commit is taken in any case, and so is the one that spends what was left.
    pub fn check(&self, write: &Write) -> Result<(), Refusal> {
        match self.left.load(Ordering::Relaxed) {
            0 if changes_a_part(&write.action) => Err(self.refusal(&write.id)),
            _ => Ok(()),
        }
    }

    /// Counts an entity of this weight that was made.
    pub fn count(&self, weight: u32) {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(weight.into()), Ordering::Relaxed);
    }

    fn refusal(&self, id: &EntityId) -> Refusal {
        let most = self.most;
        Refusal::Incomplete(format!(
            "the batch makes more than {most} bytes of entities anew (limits.batch_rewrites): \
             change {id} in another"
        ))
    }
}

/// Whether a write makes more than it brings: what brings a whole entity is bounded by the body.
pub(super) fn changes_a_part(action: &Action) -> bool {
    matches!(
        action,
        Action::UpsertUpdate(_) | Action::Merge { .. } | Action::Append { .. } | Action::Update(_)
    )
}
