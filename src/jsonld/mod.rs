//! JSON documents and JSON-LD contexts (5.5.5, 5.5.7, 5.13): request bodies are read once into a
//! borrowed [`Document`], names are expanded and compacted by the tables of a [`Context`], and
//! [`Contexts`] finds, fetches, caches and hosts contexts.
//!
//! Knows no entity rules and no HTTP: remote documents come through a [`DocumentLoader`].

mod bare;
mod check;
mod compile;
mod context;
mod contexts;
mod document;
mod loader;
mod shipped;
mod table;

pub use context::{Context, ContextError, ContextLink};
pub use contexts::{
    ContextDetails, ContextKind, ContextSettings, ContextShelf, ContextSource, Contexts,
    HOSTED_PATH, HostError, NoShelf, RemoveError, ServeError, ShelfError, StoredContext,
};
pub use document::{Document, Item, Items, ParseError, ParseLimits};
pub use loader::{DocumentLoader, LoadError, RemoteDocument};
pub use shipped::{CORE_CONTEXT, DEFAULT_VOCABULARY, is_core, shipped_context, shipped_document};
