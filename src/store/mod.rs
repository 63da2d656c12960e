//! The store: entities and small records, kept durably, behind one trait.
//!
//! A backend decides nothing about NGSI-LD: what a write does is [`Write::apply`], what a query
//! selects is [`EntityPlan::matches`]. It promises what `suite.rs` says, and nothing else. It
//! knows no HTTP and no @context.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::model::{AttrName, Change, EntityId, Kind, Refusal, Stored, TenantId};
use crate::model::{HistoryChange, HistoryWrite, Timestamp, TypeName, Write};
use crate::query::{Anchor, EntityPlan, HistoryPlan, QueryError};

pub use events::{Event, Note, READERS, Reached, RecordEdit, Topic, Watch};
pub(crate) use generations::Generations;
pub use guard::{Guard, Told};
pub use history::{
    Archive, Archives, EVERY_TYPE, FoundHistory, HISTORY_RULES, HeldHistory, HeldSeries,
    HistoryRule, HistoryRules, Keep, Recording, Stretch,
};

/// The store within this process, on a folder.
pub mod embedded;
mod events;
mod generations;
mod guard;
/// Copying from one store to another.
pub mod migrate;
mod record;
mod rewrites;
mod weight;

mod history;
/// The store in a MongoDB that several brokers share.
pub mod mongo;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod suite;

/// What every backend can do. Tenants are isolated from each other in all of it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Carries out writes in order, each seeing those before it, and answers one by one. A write
    /// that is refused has no effect and does not hinder the others. Of several that change one entity
    /// only the last is answered with the entity as it was and is. When this returns, what was
    /// done is durable (as far as the backend is configured to be) and visible to everyone.
    ///
    /// A tenant that is not there comes into being with the first entity that is created in it;
    /// other writes to it are answered with [`StoreError::UnknownTenant`].
    ///
    /// # Errors
    /// After an error nothing was acknowledged; part of the writes may have been carried out only
    /// if the error is [`StoreError::Uncertain`].
    async fn commit(
        &self,
        tenant: &TenantId,
        writes: Vec<Write>,
        now: Timestamp,
    ) -> Result<Vec<Result<Change, Refusal>>, StoreError>;

    /// The entity of this id, unless it has expired. Expired attributes may still be in it.
    async fn get(
        &self,
        tenant: &TenantId,
        id: &EntityId,
        now: Timestamp,
    ) -> Result<Option<Arc<Stored>>, StoreError>;

    /// The entities of these ids that are there, in the order of the ids.
    async fn get_many(
        &self,
        tenant: &TenantId,
        ids: &[EntityId],
        now: Timestamp,
    ) -> Result<Vec<Arc<Stored>>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.extend(self.get(tenant, id, now).await?);
        }
        Ok(found)
    }

    /// The entities a plan selects, in the order it asks for, or else in the order in which they
    /// were created: who follows [`Found::next`] meets no entity twice, and misses none that was
    /// there all the time, whatever others write meanwhile.
    async fn find(
        &self,
        tenant: &TenantId,
        plan: &EntityPlan,
        now: Timestamp,
    ) -> Result<Found, StoreError>;

    /// What is told of the history of the entities that a plan selects.
    async fn evolve(
        &self,
        tenant: &TenantId,
        plan: &HistoryPlan,
        now: Timestamp,
    ) -> Result<FoundHistory, StoreError>;

    /// A number that is another one whenever anything changed that the history of an entity tells,
    /// and perhaps when nothing did; None if the store does not know.
    fn history_stamp(&self, tenant: &TenantId, id: &EntityId) -> Option<u64> {
        let _ = (tenant, id);
        None
    }

    /// What is held of the history of the entities that a plan selects by ids and types: a page
    /// of them, in the order of their ids.
    async fn held_history(
        &self,
        tenant: &TenantId,
        plan: &EntityPlan,
    ) -> Result<Vec<HeldHistory>, StoreError>;

    /// Changes the history of entities, in order, each write seeing those before it, and answers
    /// one by one, as [`Store::commit`] does. An entity whose history is added to becomes known by
    /// [`Store::get`] in the same step, as [`Chronology::project`] says.
    ///
    /// [`Chronology::project`]: crate::model::Chronology::project
    ///
    /// # Errors
    /// As those of [`Store::commit`].
    async fn commit_history(
        &self,
        tenant: &TenantId,
        writes: Vec<HistoryWrite>,
        now: Timestamp,
    ) -> Result<Vec<Result<HistoryChange, Refusal>>, StoreError>;

    /// What history keeps of the tenant's entities, in the order of their ids, about so many rows
    /// at once; those after a place that was named before. For copying to another store.
    ///
    /// # Errors
    /// [`StoreError::UnknownTenant`]; [`StoreError::Broken`] if it cannot be read.
    async fn archive(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        rows: usize,
    ) -> Result<Archives, StoreError>;

    /// Puts archives in place of what history keeps of their entities, which bring all their times
    /// along; parts of one entity must come in their order. The entities themselves stay as they
    /// are.
    async fn restore(&self, tenant: &TenantId, archives: Vec<Archive>) -> Result<(), StoreError>;

    /// How the first page of a plan is found, tried out: for those who ask why a query is slow.
    async fn explain(
        &self,
        tenant: &TenantId,
        plan: &EntityPlan,
        now: Timestamp,
    ) -> Result<Explanation, StoreError>;

    /// Which types and attributes the entities have, and how many entities have them.
    async fn census(&self, tenant: &TenantId, now: Timestamp) -> Result<Census, StoreError>;

    /// Every tenant, the default one included, in no particular order.
    async fn tenants(&self) -> Result<Vec<TenantId>, StoreError>;

    /// Lays a record on a shelf, in place of the one that may be there.
    async fn put_record(
        &self,
        shelf: &Shelf,
        key: &str,
        record: serde_json::Value,
    ) -> Result<(), StoreError>;

    /// Lays a record on a shelf, in place of the one that may be there, unless that one was laid
    /// down with a higher number: then false. So who was away while another took over what it did
    /// cannot write over what the other wrote. A store of one process has nobody to fence off.
    async fn put_fenced(
        &self,
        shelf: &Shelf,
        key: &str,
        record: serde_json::Value,
        fence: u64,
    ) -> Result<bool, StoreError> {
        let _ = fence;
        self.put_record(shelf, key, record).await.map(|()| true)
    }

    /// Lays a record on a shelf unless there is one; false if there is.
    async fn add_record(
        &self,
        shelf: &Shelf,
        key: &str,
        record: serde_json::Value,
    ) -> Result<bool, StoreError>;

    /// Takes a record away; false if there is none.
    async fn take_record(&self, shelf: &Shelf, key: &str) -> Result<bool, StoreError>;

    /// Changes a record and keeps notes with it as events, in one atomic step and in this order,
    /// whether [`Watch::wants`] them or not. False if there is a record to be added already, or none
    /// to be replaced, taken or left; then no event is kept either.
    async fn note_record(
        &self,
        shelf: &Shelf,
        key: &str,
        edit: RecordEdit,
        notes: Vec<Note>,
    ) -> Result<bool, StoreError>;

    /// One record of a shelf.
    async fn record(
        &self,
        shelf: &Shelf,
        key: &str,
    ) -> Result<Option<serde_json::Value>, StoreError>;

    /// All records of a shelf with their keys, ordered by key.
    async fn records(&self, shelf: &Shelf) -> Result<Vec<(String, serde_json::Value)>, StoreError>;

    /// From now on `told` hears which records other processes that share the store changed, within
    /// a second, so that who keeps some in memory can read them anew. It may hear of one's own
    /// changes too. A store of one process has nothing to tell.
    fn on_records(&self, told: mpsc::Sender<RecordChange>) {
        drop(told);
    }

    /// From now on every entity is shown to `guard` before it is kept. To be called once, before
    /// anything is written; a later call has no effect.
    fn guard(&self, guard: Arc<dyn Guard>);

    /// From now on changes that `watch` wants are kept as events, each in the same atomic step as
    /// the change it tells of. Changes are what writes do and what expiry does once it is noticed.
    /// To be called once, before anything is written; a later call has no effect.
    fn watch(&self, watch: Arc<dyn Watch>);

    /// The events after a sequence, in order, so many at most. Fewer may come though there are
    /// more; when none comes there is none yet. An event that is committed later never has a
    /// sequence that was passed already: who goes on from the last one skips nothing.
    async fn events(&self, after: u64, limit: usize) -> Result<Vec<Event>, StoreError>;

    /// The sequence of the last event that was committed, whether it was forgotten since or not;
    /// 0 if there never was one.
    async fn latest_event(&self) -> Result<u64, StoreError>;

    /// Forgets the events up to a sequence, this one included. Sequences are not used again.
    async fn forget_events(&self, up_to: u64) -> Result<(), StoreError>;

    /// Takes or renews a lease: true if `holder` has it now, and nobody else will before the time
    /// to live is over. A store of one process grants everything to it.
    async fn claim(&self, lease: &str, holder: &str, ttl: Duration) -> Result<bool, StoreError>;

    /// Whether several processes may use the store at once, each with its own broker.
    fn is_shared(&self) -> bool {
        false
    }

    /// Gives a lease back, if `holder` has it.
    async fn release(&self, lease: &str, holder: &str) -> Result<(), StoreError>;

    /// Some records of a shelf, ordered by key, and how many there are in all.
    async fn records_page(
        &self,
        shelf: &Shelf,
        offset: usize,
        limit: usize,
    ) -> Result<(Vec<(String, serde_json::Value)>, usize), StoreError> {
        let all = self.records(shelf).await?;
        let count = all.len();
        Ok((all.into_iter().skip(offset).take(limit).collect(), count))
    }

    /// Whether writes and reads would work now; why not otherwise.
    async fn check(&self) -> Result<(), StoreError>;

    /// Brings everything to the disk before an orderly end.
    async fn close(&self) -> Result<(), StoreError>;
}

/// Why a store could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No entity was ever created in this tenant.
    #[error("there is no tenant {0}")]
    UnknownTenant(TenantId),
    /// More is waiting than the store is configured to hold; nothing was done.
    #[error("the store has too much to do")]
    Busy,
    /// No room is left on the disk. Reading goes on; writing resumes by itself when there is room.
    #[error("the disk of the store is full: {0}")]
    Full(String),
    /// The store cannot be reached or used; it says so until it can again.
    #[error("the store is broken: {0}")]
    Broken(String),
    /// The store did not answer in time: what was asked may have been done or not.
    #[error("the store did not say whether it did what was asked: {0}")]
    Uncertain(String),
    /// What was asked took longer than the store is configured to work on one thing.
    #[error("it took longer than the store may work on one request: narrow it down")]
    TooSlow,
    /// The store cannot be opened.
    #[error("{0}")]
    Unusable(String),
    /// What is asked of history does not suit what was recorded.
    #[error(transparent)]
    Unanswerable(#[from] QueryError),
    /// The page was asked to begin after a place that this store never named.
    #[error("{0:?} is not a place where a page can begin")]
    BadAnchor(String),
    /// A record on a shelf is not what it is taken for.
    #[error("the record {key} cannot be read: {why}")]
    BadRecord { key: String, why: String },
}

impl StoreError {
    /// Tells a full disk from other failures of the disk.
    pub(crate) fn from_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded => Self::Full(error.to_string()),
            _ => Self::Broken(error.to_string()),
        }
    }
}

/// What a plan found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// One page.
    pub entities: Vec<Arc<Stored>>,
    /// How many there are in all, if the plan asked.
    pub count: Option<u64>,
    /// Whether there are more after this page.
    pub more: bool,
    /// Where the next page begins; absent if there is none, or if the plan has an order of its
    /// own by values that are too long to be kept: then only an offset can continue.
    pub next: Option<Anchor>,
}

/// How a store finds what a plan selects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// What candidates are found by, in the store's own language.
    pub filter: serde_json::Value,
    /// Whether every candidate matches; if not, each is evaluated.
    pub exact: bool,
    /// Whether candidates come in the order of the plan, so that no more are looked at than a page
    /// needs.
    pub ordered: bool,
    /// What the store is asked, in its own language, where it knows the order of the plan in part
    /// and brings what comes first.
    pub lead: Option<serde_json::Value>,
    /// What the store does, the last step first, with the names of the indexes it uses.
    pub steps: Vec<String>,
    /// How many entries of indexes were looked at; absent where they are not counted.
    pub keys: Option<u64>,
    /// How many candidates were looked at.
    pub candidates: u64,
}

/// What there is in a tenant. Types and attributes are ordered by their IRIs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    pub types: Vec<TypeCensus>,
    pub attributes: Vec<AttributeCensus>,
}

/// The entities of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeCensus {
    pub name: TypeName,
    /// How many entities have the type.
    pub entities: u64,
    /// The attributes they have, with the kinds these have in entities of the type.
    pub attributes: Vec<(AttrName, Vec<Kind>)>,
}

/// The entities with one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeCensus {
    pub name: AttrName,
    /// How many entities have the attribute.
    pub entities: u64,
    /// The kinds it has.
    pub kinds: Vec<Kind>,
    /// The types of the entities that have it.
    pub types: Vec<TypeName>,
}

impl Census {
    /// What is known of a type.
    pub fn of_type(&self, name: TypeName) -> Option<&TypeCensus> {
        self.types.iter().find(|census| census.name == name)
    }

    /// What is known of an attribute.
    pub fn of_attribute(&self, name: AttrName) -> Option<&AttributeCensus> {
        self.attributes.iter().find(|census| census.name == name)
    }
}

/// Where small records of one sort lie: of the whole broker, or of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shelf {
    /// Short and constant, like `contexts`.
    pub name: &'static str,
    /// Absent for what all tenants share.
    pub tenant: Option<TenantId>,
}

impl Shelf {
    /// A shelf of the whole broker.
    pub const fn shared(name: &'static str) -> Self {
        Self { name, tenant: None }
    }

    /// A shelf of a tenant.
    pub fn of(tenant: &TenantId, name: &'static str) -> Self {
        Self { name, tenant: Some(tenant.clone()) }
    }
}

/// A record that was laid down or taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordChange {
    /// The name of its shelf.
    pub shelf: String,
    /// Absent for what all tenants share.
    pub tenant: Option<TenantId>,
    pub key: String,
}

/// Records as values: a helper over the records of a store.
pub struct Records<'a, T> {
    store: &'a dyn Store,
    shelf: Shelf,
    what: std::marker::PhantomData<fn() -> T>,
}

impl<'a, T: Serialize + DeserializeOwned> Records<'a, T> {
    /// The records of a shelf.
    pub fn on(store: &'a dyn Store, shelf: Shelf) -> Self {
        Self { store, shelf, what: std::marker::PhantomData }
    }

    /// See [`Store::put_record`].
    pub async fn put(&self, key: &str, record: &T) -> Result<(), StoreError> {
        self.store.put_record(&self.shelf, key, to_json(key, record)?).await
    }

    /// See [`Store::add_record`].
    pub async fn add(&self, key: &str, record: &T) -> Result<bool, StoreError> {
        self.store.add_record(&self.shelf, key, to_json(key, record)?).await
    }

    /// See [`Store::take_record`].
    pub async fn take(&self, key: &str) -> Result<bool, StoreError> {
        self.store.take_record(&self.shelf, key).await
    }

    /// See [`Store::record`].
    pub async fn get(&self, key: &str) -> Result<Option<T>, StoreError> {
        let record = self.store.record(&self.shelf, key).await?;
        record.map(|json| from_json(key, json)).transpose()
    }

    /// See [`Store::records`].
    pub async fn all(&self) -> Result<Vec<(String, T)>, StoreError> {
        typed(self.store.records(&self.shelf).await?)
    }

    /// See [`Store::records_page`].
    pub async fn page(
        &self,
        offset: usize,
        limit: usize,
    ) -> Result<(Vec<(String, T)>, usize), StoreError> {
        let (records, count) = self.store.records_page(&self.shelf, offset, limit).await?;
        Ok((typed(records)?, count))
    }
}

fn typed<T: DeserializeOwned>(
    records: Vec<(String, serde_json::Value)>,
) -> Result<Vec<(String, T)>, StoreError> {
    let each = records.into_iter().map(|(key, json)| {
        let record = from_json(&key, json)?;
        Ok((key, record))
    });
    each.collect()
}

fn to_json<T: Serialize>(key: &str, record: &T) -> Result<serde_json::Value, StoreError> {
    serde_json::to_value(record)
        .map_err(|error| StoreError::BadRecord { key: key.into(), why: error.to_string() })
}

fn from_json<T: DeserializeOwned>(key: &str, json: serde_json::Value) -> Result<T, StoreError> {
    serde_json::from_value(json)
        .map_err(|error| StoreError::BadRecord { key: key.into(), why: error.to_string() })
}
