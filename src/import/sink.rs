//! Where imported entities go.

use async_trait::async_trait;

use super::Place;

/// An entity document on its way into a broker: NGSI-LD, normalized or concise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where it stood in the input.
    pub place: Place,
    /// Its id as written, not yet checked.
    pub id: String,
    /// The JSON object.
    pub json: Vec<u8>,
    pub context: ItemContext,
}

/// By which `@context` the names of an item are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemContext {
    /// The one that it brings.
    Own,
    /// The one that was chosen for the import.
    Chosen,
    /// One that comes with the broker, by its local id, unless another was chosen.
    Shipped(&'static str),
}

/// What became of an [`Item`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Created,
    Updated,
    /// It was taken; whether the entity was new is not known.
    Taken,
    /// It was not taken, and why.
    Refused(String),
}

/// Why a sink can take nothing more.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The broker cannot be reached, or stopped answering.
    #[error("the broker cannot be reached: {0}")]
    Unreachable(String),
    /// The broker refuses everything, whatever the entities are.
    #[error("the broker refuses the import: {0}")]
    Denied(String),
    /// The broker's answer makes no sense.
    #[error("the broker gave an answer that cannot be understood: {0}")]
    Confused(String),
    /// The store failed.
    #[error("the store failed: {0}")]
    Broken(String),
}

/// What happens to an entity that exists (5.6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// The imported one takes its place, and nothing of it stays.
    #[default]
    Replace,
    /// Its attributes are updated, and those that the imported one does not have stay.
    Update,
    /// What is imported is its history, which is added to (5.6.11).
    History,
}

/// By which `@context` entities are read that bring none of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ContextChoice {
    /// The one that is configured, or the core context alone.
    #[default]
    Default,
    /// The document at this address.
    Url(String),
    /// The value of an `@context` member, as JSON.
    Inline(String),
}

/// Takes entities in batches, each kept durably when its verdict is given.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Creates the entities or replaces those that exist, in order, and tells what became of each:
    /// as many verdicts as items.
    async fn upsert(&self, batch: &[Item]) -> Result<Vec<Verdict>, SinkError>;
}
