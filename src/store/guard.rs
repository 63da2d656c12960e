//! A word with whoever decides what may be kept, before it is.

use crate::model::{AttrName, Entity, EntityId, Instance, Refusal, TenantId, Timestamp, TypeName};

/// Says what may be kept.
///
/// A store asks while it commits, on the thread that everyone waits for, of each entity that a
/// write would create or change: answers must be quick, must not block and must not panic. What is
/// copied from another place (`Action::Restore`) is kept as it is there, and nobody is asked.
pub trait Guard: Send + Sync {
    /// Refuses an entity that must not be kept as it would become.
    ///
    /// # Errors
    /// The write is refused with what comes, and has no effect.
    fn check(&self, tenant: &TenantId, after: &Entity) -> Result<(), Refusal>;

    /// Refuses what must not be kept of the past. What the entity becomes by it is judged as such.
    ///
    /// # Errors
    /// The write is refused with what comes, and has no effect.
    fn check_past(&self, tenant: &TenantId, told: Told<'_>) -> Result<(), Refusal> {
        let _ = (tenant, told);
        Ok(())
    }
}

/// What is told of the past of an entity.
#[derive(Debug, Clone, Copy)]
pub struct Told<'t> {
    pub id: &'t EntityId,
    pub types: &'t [TypeName],
    pub attributes: &'t [(AttrName, Vec<Instance>)],
    /// How the entity becomes by it, if it changes: instances that it has are judged with it.
    pub entity: Option<&'t Entity>,
    pub now: Timestamp,
}
