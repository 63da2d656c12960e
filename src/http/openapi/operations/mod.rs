//! The table of operations: summary, clause, parameters, body and answers of each. A file to each kind of resource.

use std::borrow::Cow;

use crate::http::places::Place;

/// An operation, as people and programs are told of it.
pub(super) struct Described {
    pub place: Place,
    pub method: Method,
    pub id: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
    pub details: &'static str,
    /// Clauses of CIM 009: behaviour, binding.
    pub clauses: &'static str,
    pub parameters: &'static [&'static [&'static str]],
    pub headers: &'static [&'static str],
    pub body: Option<Body>,
    pub answers: &'static [Answer],
    /// Statuses that others of its shape do not have.
    pub refuses: &'static [u16],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// What is sent.
pub(super) struct Body {
    pub about: &'static str,
    /// Media types with the names of their shapes.
    pub media: &'static [(&'static str, &'static str)],
}

/// What comes back when all goes well.
pub(super) struct Answer {
    pub status: u16,
    pub about: &'static str,
    /// Media types with the names of their shapes.
    pub media: &'static [(&'static str, &'static str)],
    pub headers: &'static [&'static str],
}

impl Described {
    /// The description: what the summary leaves out, and where the specification says it.
    pub fn about(&self) -> String {
        let details = match self.details {
            "" => Cow::Borrowed(""),
            details => Cow::Owned(format!("{details}\n\n")),
        };
        match self.clauses {
            "" => details.trim_end().to_owned(),
            clauses => format!("{details}CIM 009: {clauses}."),
        }
    }
}

pub(super) const TAGS: &[(&str, &str)] = &[
    (ENTITIES, "Entities and their attributes."),
    (BATCH, "Many entities in one request."),
    (TEMPORAL, "What entities were over time."),
    (MAPS, "What queries found, kept so that pages fit together."),
    (SNAPSHOTS, "What queries found at a time, kept apart from what becomes of it."),
    (DISCOVERY, "Which types and attributes there are."),
    (SUBSCRIPTIONS, "Who is told of what changes."),
    (SOURCES, "Other brokers that have data, and who is told of them."),
    (CONTEXTS, "JSON-LD contexts that the broker hosts and keeps."),
    (MODELS, "What the entities of a city look like."),
    (DERIVED, "What official tables make of readings."),
    (FEEDS, "What agencies and meters publish, taken in by mapping files."),
    (DELIVERY, "Listening to notifications, and what becomes of them."),
    (RETENTION, "What is recorded of the past, for how long, and what is held."),
    (BROKER, "The broker itself."),
];

const ENTITIES: &str = "Entities";
const BATCH: &str = "Batch operations";
const TEMPORAL: &str = "Temporal evolution";
const MAPS: &str = "Entity maps";
const SNAPSHOTS: &str = "Snapshots";
const DISCOVERY: &str = "Discovery";
const SUBSCRIPTIONS: &str = "Subscriptions";
const SOURCES: &str = "Context sources";
const CONTEXTS: &str = "Contexts";
const MODELS: &str = "Models";
const DERIVED: &str = "Derived values";
const FEEDS: &str = "Feeds";
const DELIVERY: &str = "Delivery";
const RETENTION: &str = "Retention";
const BROKER: &str = "Broker";

macro_rules! found {
    ($shape:literal, $about:literal) => {
        &[Answer {
            status: 200,
            about: $about,
            media: &[(JSON, $shape), (LD, $shape)],
            headers: &["Link"],
        }]
    };
}

macro_rules! operations {
    ($(
        $method:ident $place:ident $id:literal in $tag:ident ($clauses:literal):
        $summary:literal $details:literal
        { $($field:ident: $value:expr),* $(,)? }
    )*) => {
        /// The operations, in the order in which people read them.
        pub(super) const OPERATIONS: &[super::Described] = &[$(super::Described {
            $($field: $value,)*
            ..super::Described {
                place: crate::http::places::Place::$place,
                method: super::Method::$method,
                id: $id,
                tag: $tag,
                summary: $summary,
                details: $details,
                clauses: $clauses,
                parameters: &[],
                headers: &[],
                body: None,
                answers: &[],
                refuses: &[],
            }
        }),*];
    };
}

mod broker;
mod discovery;
mod entities;
mod maps;
mod models;
mod parts;
mod sources;
mod subscriptions;
mod temporal;

/// Every operation, in the order in which people read them.
pub(super) fn operations() -> impl Iterator<Item = &'static Described> {
    [
        entities::OPERATIONS,
        temporal::OPERATIONS,
        maps::OPERATIONS,
        subscriptions::OPERATIONS,
        sources::OPERATIONS,
        discovery::OPERATIONS,
        models::OPERATIONS,
        broker::OPERATIONS,
    ]
    .into_iter()
    .flatten()
}
