//! Entity maps (5.2.39): which entities a query found, and who holds each of them.

use std::fmt;
use std::sync::Arc;

use super::{EntityId, EntityMapId, Timestamp};

/// What a query found (5.2.39).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityMap {
    pub id: EntityMapId,
    /// From then on it is not there any more.
    pub expires_at: Timestamp,
    /// In the order in which the query found them.
    pub entities: Vec<Held>,
    /// Of context sources that made maps of their own for the query: the ids of the registrations
    /// and where the maps are.
    pub linked: Vec<(String, String)>,
}

/// An entity, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub id: EntityId,
    /// At least one.
    pub by: Vec<Holder>,
}

/// Who holds an entity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// This broker.
    Here,
    /// The context source of a registration, by its id.
    Source(Arc<str>),
}

impl Held {
    /// An entity that this broker alone holds.
    pub fn here(id: EntityId) -> Self {
        Self { id, by: vec![Holder::Here] }
    }

    /// Whether this broker holds something of it.
    pub fn is_here(&self) -> bool {
        self.by.contains(&Holder::Here)
    }

    /// Whether the source of a registration holds something of it.
    pub fn is_at(&self, registration: &str) -> bool {
        self.by.iter().any(|one| matches!(one, Holder::Source(id) if **id == *registration))
    }

    /// Whether nobody but this broker holds it.
    pub fn is_here_alone(&self) -> bool {
        self.by == [Holder::Here]
    }
}

impl Holder {
    /// As an entity map names it: the id of the registration, or `@none`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Here => "@none",
            Self::Source(id) => id,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
