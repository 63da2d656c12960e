//! Representations of entities (4.5, 4.6, 5.2): normalized, concise, simplified and GeoJSON, read
//! and written; the documents of discovery and the results of operations.
//!
//! The only room that spells NGSI-LD JSON. Knows no store and no HTTP: documents arrive parsed,
//! names are expanded and compacted by a context, time arrives as an argument.

mod error;
mod terms;

pub mod discovery;
pub mod notification;
pub mod registration;
pub mod results;
pub mod snapshot;
pub mod subscription;

mod entity_map;
mod query_body;
mod read;
mod respell;

mod linked;
mod write;

pub mod table;

#[cfg(test)]
mod samples;

pub use entity_map::{read_entity_map, read_entity_map_expiry, write_entity_map};
pub use error::{JsonPath, ReadError};
pub use linked::{Linked, Links};
pub use query_body::{EntitySelector, QueryBody, TemporalBody, read_query, read_temporal_query};
pub use read::{
    Evolved, Reader, Reading, is_language_tag, read_attribute, read_entity, read_fragment,
};
pub use respell::{Part, attributes_of, part_of_entity, respell_attribute, respell_entity};
pub use terms::check_attribute_term;
pub use write::{
    Format, GeoJson, Join, JoinForm, NotAVersion, Renderer, Rendering, SpecVersion, TemporalForm,
    TemporalRendering, Written, downgraded, write_entity, write_evolution, write_evolutions,
};
