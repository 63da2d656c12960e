//! JSON documents and JSON-LD contexts (5.5.5, 5.5.7, 5.13): request bodies are read once into a
//! borrowed [`Document`], names are expanded and compacted by the tables of a [`Context`], and
//! [`Contexts`] finds, fetches, caches and hosts contexts.
//!
//! Knows no entity rules and no HTTP: remote documents come through a [`DocumentLoader`].

mod bare;
mod check;
mod compile;
mod context;
mod document;
mod shipped;
mod table;

pub use context::{Context, ContextError, ContextLink};
pub use document::{Document, ParseError, ParseLimits};
pub use shipped::{CORE_CONTEXT, DEFAULT_VOCABULARY, is_core};
