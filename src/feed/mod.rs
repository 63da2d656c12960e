//! Feeds: what agencies and meters publish becomes entities, by mapping files instead of code.
//!
//! ```text
//! source → bytes → walk → records → mapping → entities and reasons → broker
//! ```
//!
//! [`mapping`] is the language, checked when a file is read; [`Mapping::map`] is pure. This room
//! knows what feeds are like in general, and nothing of any feed in particular: that is in
//! `feeds/`.

mod made;
mod mapper;
pub mod mapping;
mod run;
mod sample;
mod shipped;
mod status;
mod value;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

pub use mapper::{FLAGS, Input, Issue, IssueKind, Mapped, Refused};
pub use mapping::{Fault, Faults, Mapping};
pub use run::{Feed, Feeds, FeedsError, Overview, TakeError, Taken, read_mapping, read_mappings};
pub use sample::load_samples;
pub use shipped::{ShippedFeed, shipped_feeds};
pub use status::{Rejected, Status, Tally, Which};
pub use walk::NotReadable;
pub use writer::{NotTaken, Writer, Written};
