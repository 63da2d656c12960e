//! Events: changes that somebody wants to be told of, kept until everyone was.

use crate::model::{Change, TenantId};

/// Says which changes are kept as events.
///
/// A store asks while it commits, on the thread that everyone waits for: answers must be quick,
/// must not block and must not panic. It asks only of changes that change something.
pub trait Watch: Send + Sync {
    /// Whether someone wants to be told of this change.
    fn wants(&self, tenant: &TenantId, change: &Change) -> bool;

    /// These events were committed, in the order of their sequences. They come from this process;
    /// a store that several processes share may hear of the others' too, or may leave them to be
    /// found by [`Store::events`](super::Store::events).
    fn committed(&self, events: Vec<Event>);
}

/// A change that somebody wants to be told of, as it was committed.
#[derive(Debug, Clone)]
pub struct Event {
    /// Grows with every event of a store, whatever the tenant, and never begins again.
    pub sequence: u64,
    pub tenant: TenantId,
    /// What was, what is, and what the write reported.
    pub change: Change,
    /// About how many bytes the event takes in the log.
    pub bytes: usize,
}
