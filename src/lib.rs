//! Lanna, an NGSI-LD context broker (ETSI GS CIM 009 V1.9.1).
//!
//! The order of the rooms is the reading order and the dependency order: a room uses only rooms
//! above it, which `tests/architecture.rs` checks.

/// Geometry and its predicates.
pub mod geo;

/// The information model and what a write does to it.
pub mod model;

/// JSON documents and JSON-LD contexts.
pub mod jsonld;

/// Query languages: text becomes a plan, and the evaluator says what a plan means.
pub mod query;

/// Representations of entities, read and written: the only room that spells NGSI-LD JSON.
pub mod represent;

/// Models of data: what entities of a type are like, checked against JSON Schema.
pub mod schema;

/// Configuration: one file per concern, defaults beside their reasons.
pub mod config;

/// What leaves the broker by itself, and the rules of where it may go.
pub mod egress;

/// Entities and small records, kept durably.
pub mod store;

/// Subscriptions: who wants to be told of a change, and telling them until they know.
pub mod subscribe;

/// Distributed operations: who is asked for what, and how answers become one.
pub mod federate;

/// The operations of the specification, one file each.
pub mod broker;

/// Files become entities in a broker.
pub mod import;

/// Derived values: what official tables make of readings, with what they are made from.
pub mod derive;

/// Feeds become entities by mapping files.
pub mod feed;

/// The HTTP face: the only room that knows actix and status codes.
pub mod http;
