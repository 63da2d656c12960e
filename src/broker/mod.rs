//! One file per operation of the specification; composes the rooms above. Knows no HTTP.
//!
//! An operation takes a [`Call`] (who asks, when, with which `@context`) and what it works on,
//! and answers with model types or an [`Error`].

mod batch;
mod contexts;
mod create_entity;
mod create_subscription;
mod delete_attribute;
mod delete_entity;
mod delete_subscription;
mod discovery;
mod entity_maps;
mod error;
mod explain_query;
mod federation;
mod freshness;
mod history_rules;
mod house;
mod listen;
mod making;
mod merge_entity;
mod models;
mod open;
mod pages;
mod partial_update;
mod purge_entities;
mod query_body;
mod query_entities;
mod query_subscriptions;
mod registrations;
mod replace_attribute;
mod replace_entity;
mod retrieve_entity;
mod retrieve_subscription;
mod snapshots;
mod source_identity;
mod subscriptions;
mod temporal;
mod tidy;
mod turned;
mod update_attributes;
mod update_subscription;
mod view;

use std::sync::{Arc, OnceLock};

pub use batch::{BatchOutcome, Element, Existing};
pub use contexts::StoredContexts;
pub use delete_attribute::delete_instances;
pub use entity_maps::{MapTexts, MapUse};
pub use error::Error;
pub use federation::{
    Federation, Headers, INBOX, Inquiry, Origin, Settled, SourceFailure, Updated, Why,
};
pub use history_rules::HeldTexts;
pub use merge_entity::Merging;
pub use models::{Checked, Counts, Finding, FolderError, ModelEntry, ModelRef, Models};
pub use open::{OpenError, open_store, shipped_context};
pub use purge_entities::Purging;
use query_entities::elsewhere;
pub use query_entities::{GeoTexts, PageTexts, Query, QueryTexts, SelectorTexts};
pub use query_subscriptions::SubscriptionPage;
pub use registrations::{RegistrationPage, RegistrationTexts, Registry, RegistryFollower};
pub use retrieve_entity::Answer;
pub use source_identity::SourceIdentity;
pub use subscriptions::{About, Subscribed, Subscriptions};
pub use temporal::{AskedHistory, History, HistoryTexts, KeptHistory, RangeSize, TimeRange};
pub use view::ViewTexts;

use self::entity_maps::EntityMaps;
use self::snapshots::Snapshots;
use self::tidy::Tidy;
use crate::config::{self, Limits};
use crate::egress::{Carrier, Hub};
use crate::geo;
use crate::jsonld::{Context, Contexts, ParseLimits};
use crate::model::{Change, EntityId, Refusal, TenantId, Timestamp, TypeSelection, Write};
use crate::query::{self, parse_types};
use crate::represent::{Reader, Reading};
use crate::store::{Store, StoreError};
use crate::subscribe::Notifier;

/// The broker: a store, the contexts, and the limits of what it takes.
pub struct Broker {
    store: Arc<dyn Store>,
    contexts: Arc<Contexts>,
    models: Arc<Models>,
    limits: Limits,
    query_limits: query::Limits,
    pages: pages::Pages,
    turned: turned::TurnedPages,
    kept_histories: temporal::KeptHistories,
    started_at: Timestamp,
    subscriptions: Arc<Subscriptions>,
    registry: Arc<Registry>,
    hub: Arc<Hub>,
    carrier: Arc<Carrier>,
    tidy: Arc<Tidy>,
    entity_maps: EntityMaps,
    snapshots: Snapshots,
    describe: OnceLock<fn(Error) -> serde_json::Value>,
    federation: Arc<Federation>,
}

/// What carries notifications to those who subscribed.
pub struct Telling {
    pub subscriptions: Arc<Subscriptions>,
    pub hub: Arc<Hub>,
    pub carrier: Arc<Carrier>,
}

/// What every operation is told: the tenant, the time, and the `@context` of the request.
pub struct Call {
    pub tenant: TenantId,
    pub now: Timestamp,
    pub context: Arc<Context>,
    /// How the request came, if it may concern sources that registered themselves: absent where
    /// the tenant has none, and for what is to be done here alone.
    pub origin: Option<Arc<Origin>>,
}

impl Broker {
    /// A broker over a store.
    pub fn new(
        store: Arc<dyn Store>,
        contexts: Arc<Contexts>,
        models: Arc<Models>,
        limits: Limits,
        telling: Telling,
        registry: Arc<Registry>,
        federation: Arc<Federation>,
    ) -> Self {
        let Telling { subscriptions, hub, carrier } = telling;
        let query_limits = query_limits(&limits);
        let kept_most = limits.temporal_kept;
        let tidy = Arc::new(Tidy::new(store.clone()));
        let entity_maps = EntityMaps::new(store.clone(), tidy.clone(), config::Maps::default());
        let snapshots = Snapshots::new(store.clone(), tidy.clone(), config::Snapshots::default());
        Self {
            store,
            contexts,
            models,
            limits,
            query_limits,
            pages: pages::Pages::default(),
            turned: turned::TurnedPages::default(),
            kept_histories: temporal::KeptHistories::new(kept_most.bytes() as u64),
            started_at: Timestamp::now(),
            subscriptions,
            registry,
            hub,
            carrier,
            tidy,
            entity_maps,
            snapshots,
            describe: OnceLock::new(),
            federation,
        }
    }

    /// The same broker with other limits of entity maps and snapshots.
    pub fn with_keeping(mut self, maps: config::Maps, snapshots: config::Snapshots) -> Self {
        self.entity_maps = EntityMaps::new(self.store.clone(), self.tidy.clone(), maps);
        self.snapshots = Snapshots::new(self.store.clone(), self.tidy.clone(), snapshots);
        self
    }

    /// Who tells subscribers.
    pub fn notifier(&self) -> &Notifier {
        &self.subscriptions.notifier
    }

    /// Who listens to subscriptions.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// What carries notifications.
    pub fn carrier(&self) -> &Arc<Carrier> {
        &self.carrier
    }

    /// Ends in order: what is due is told for a while, then all that was taken is on disk. To be
    /// called when no more requests are answered.
    pub async fn close(&self) -> Result<(), StoreError> {
        let told = self.notifier().close().await;
        self.carrier.close().await;
        if let Err(error) = self.keep_reports().await {
            tracing::warn!(%error, "how sources fared could not be written down");
        }
        self.store.close().await?;
        told
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The contexts.
    pub fn contexts(&self) -> &Contexts {
        &self.contexts
    }

    /// The limits of what is taken.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The limits of a request's body.
    pub fn parse_limits(&self) -> ParseLimits {
        let Limits { depth, members, items, .. } = self.limits;
        ParseLimits { max_depth: depth, max_members: members, max_items: items }
    }

    /// Reads bodies by the call's `@context`, within the limits of this broker.
    fn reader<'c>(&self, call: &'c Call, reading: Reading) -> Reader<'c> {
        self.reader_by(&call.context, reading)
    }

    fn reader_by<'c>(&self, context: &'c Context, reading: Reading) -> Reader<'c> {
        Reader::new(context, reading)
            .with_geometry_limits(self.query_limits.geometry)
            .with_type_limit(self.limits.types)
            .with_instance_limit(self.limits.instances)
    }

    /// Commits one write; its refusal becomes the operation's error.
    async fn commit_one(&self, call: &Call, write: Write) -> Result<Change, Error> {
        let mut outcomes = self.store.commit(&call.tenant, vec![write], call.now).await?;
        match outcomes.pop() {
            Some(outcome) => Ok(outcome?),
            None => Err(Error::Internal("the store answered nothing".to_owned())),
        }
    }

    /// The type selection of a by-id operation's `type` parameter (4.17).
    fn only(&self, call: &Call, text: Option<&str>) -> Result<Option<TypeSelection>, Error> {
        let limits = self.query_limits;
        Ok(text.map(|text| parse_types(text, &call.context, &limits)).transpose()?)
    }
}

/// How much a query may ask for.
fn query_limits(limits: &Limits) -> query::Limits {
    query::Limits {
        nodes: limits.query_terms,
        pattern_bytes: limits.regex.bytes(),
        geometry: geo::Limits { max_vertices: limits.vertices, ..geo::Limits::default() },
        ..query::Limits::default()
    }
}

/// A fragment's id, where it has one, is that of the target (5.6.17, 5.6.18).
fn check_same_id(target: &EntityId, own: Option<&EntityId>) -> Result<(), Error> {
    match own {
        Some(own) if own != target => {
            Err(Error::bad(format!("the body is about {own}, but the request about {target}")))
        }
        _ => Ok(()),
    }
}

/// Turns the refusal of a vanished entity into one that says which.
fn not_found(id: &EntityId) -> Error {
    Error::Refused(Refusal::NoSuchEntity(id.clone()))
}
