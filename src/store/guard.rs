//! A word with whoever decides what may be kept, before it is.

use crate::model::{Entity, Refusal, TenantId};

/// Says what may be kept.
///
/// A store asks while it commits, on the thread that everyone waits for, of each entity that a
/// write would create or change: answers must be quick, must not block and must not panic.
pub trait Guard: Send + Sync {
    /// Refuses an entity that must not be kept as it would become.
    ///
    /// # Errors
    /// The write is refused with what comes, and has no effect.
    fn check(&self, tenant: &TenantId, after: &Entity) -> Result<(), Refusal>;
}
