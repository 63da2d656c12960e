//! Models of data: which attributes entities of a type have, in which kinds and units, checked by
//! JSON Schema (2020-12) against the simplified form of an entity (4.5.4).
//!
//! A model says what is wrong with an entity, by attribute; what follows from that is said
//! elsewhere. This room knows no request, no store and no tenant.

mod describe;
mod document;
mod model;
mod quick;
mod reach;
mod shipped;
mod simplify;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trips;

pub use model::{Model, Property};
pub use shipped::{Refused, Shipped, Unit, prepare, shipped, shipped_for, unit};

/// Why a document is no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Not a JSON Schema that could be used.
    #[error("{0}")]
    NotASchema(String),
    /// It lacks something, or has something that a model cannot have.
    #[error("{at}: {why}")]
    Unfit { at: String, why: String },
}

impl ModelError {
    fn unfit(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unfit { at: at.into(), why: why.into() }
    }
}
