//! Events: changes that somebody wants to be told of, kept until everyone was.

use serde::{Deserialize, Serialize};

use super::Shelf;
use crate::model::{Change, SubscriptionId, TenantId};

/// Where readers of the log other than subscriptions keep how far they have come, each under a key
/// of its own: the log is not trimmed above any of them.
pub const READERS: Shelf = Shelf::shared("readers");

/// How far a reader of the log has come, among other things that it may remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Whatever is up to this event is done with.
    pub position: u64,
}

/// Says which changes are kept as events.
///
/// A store asks while it commits, on the thread that everyone waits for: answers must be quick,
/// must not block and must not panic. It asks only of changes that change something.
pub trait Watch: Send + Sync {
    /// Whether someone wants to be told of this change.
    fn wants(&self, tenant: &TenantId, change: &Change) -> bool;

    /// Whether someone wants to be told that the history of an entity was changed, apart from what
    /// the entity is now: before and after are the same then, `updated` names the attributes, and
    /// what was recorded carries the time of the change as its `modifiedAt`.
    fn wants_past(&self, _: &TenantId, _: &Change) -> bool {
        false
    }

    /// These events were committed, in the order of their sequences. They come from this process;
    /// a store that several processes share may hear of the others' too, or may leave them to be
    /// found by [`Store::events`](super::Store::events).
    fn committed(&self, events: Vec<Event>);
}

/// What an event tells of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Topic {
    /// A change of an entity.
    #[default]
    Entity,
    /// A change of a registration, whose records the entities of the change hold.
    Registration,
    /// A change of the subscription whose id the change names; the record says what it is now.
    Subscription,
    /// What a source told of an entity (5.8.6), for this subscription alone: what it is now, or what
    /// it was if it is gone. What it was before a source did not say.
    Told(SubscriptionId),
}

/// What is kept as an event with what becomes of a record; see
/// [`Store::note_record`](super::Store::note_record).
#[derive(Debug, Clone)]
pub struct Note {
    pub topic: Topic,
    pub change: Change,
}

/// What is to become of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordEdit {
    /// Laid down where there is none.
    Add(serde_json::Value),
    /// Laid down in place of the one that is there.
    Replace(serde_json::Value),
    /// Taken away.
    Take,
    /// Left as it is, if it is there.
    Leave,
}

/// A change that somebody wants to be told of, as it was committed.
#[derive(Debug, Clone)]
pub struct Event {
    /// Grows with every event of a store, whatever the tenant, and never begins again.
    pub sequence: u64,
    pub tenant: TenantId,
    pub topic: Topic,
    /// What was, what is, and what the write reported.
    pub change: Change,
    /// About how many bytes the event takes in the log.
    pub bytes: usize,
}
