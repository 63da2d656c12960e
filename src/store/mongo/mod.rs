//! The store in a MongoDB, for those who outgrow one machine: brokers share nothing but the
//! database, and each sees at once what the others write.
//!
//! Reads go to the database always. What a broker remembers of an entity only saves the reading
//! before a write: a write names the version it was decided upon, and if that is not what is there
//! any more, it is decided again upon what is.

#[cfg(test)]
mod brokers;
mod cache;
mod census;
mod clock;
mod commit;
mod compile;
mod connect;
mod decide;
mod document;
mod error;
mod events;
mod explain;
mod find;
mod gate;
mod history;
mod indexes;
mod keys;
mod leases;
mod noted;
mod number;
#[cfg(test)]
mod outages;
mod place;
mod read;
mod records;
#[cfg(test)]
mod round_trips;
mod session;
mod sweep;
mod tell;
mod tenants;
#[cfg(test)]
pub(super) mod tests;
mod watch;
mod write;

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::{Document, RawDocumentBuf};
use mongodb::{Client, Collection, Database};
use parking_lot::{Mutex, RwLock};
use serde_json::Value as Json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::cache::Cache;
use self::clock::Clock;
use self::commit::Locks;
use self::gate::Gate;
use self::history::History;
use self::tell::Teller;
use super::{
    Archive, Archives, Census, Event, Explanation, Found, FoundHistory, Guard, HeldHistory, Note,
    RecordChange, RecordEdit, Shelf, Store, StoreError, Watch,
};
use crate::model::{Change, EntityId, HistoryChange, HistoryWrite, Refusal, Stored, TenantId};
use crate::model::{Timestamp, Write};
use crate::query::{EntityPlan, HistoryPlan};
use crate::store::rewrites::USUAL_REWRITES;

/// What the collections are called.
const ENTITIES: &str = "entities";
const TENANTS: &str = "tenants";
const RECORDS: &str = "records";
const LEASES: &str = "leases";
const EVENTS: &str = "events";
const META: &str = "meta";

/// How the store in MongoDB is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `mongodb://…` or `mongodb+srv://…`, with whatever options the driver knows.
    pub url: String,
    /// The database, unless the URL names one.
    pub database: String,
    /// How many connections are open at once at most.
    pub pool: u32,
    /// How many requests may wait for a connection before more are refused as
    /// [`StoreError::Busy`].
    pub queue: usize,
    /// Whether a write is acknowledged when a majority of the members has it in its journal;
    /// otherwise when the primary has it, which loses it if the primary is lost at once.
    pub majority: bool,
    /// How long MongoDB works on a query before it gives it up.
    pub time_limit: Duration,
    /// How long a request waits for MongoDB to come back, as during an election.
    pub patience: Duration,
    /// How many bytes recently used entities may take in memory.
    pub cache_bytes: u64,
    /// How many bytes of entities the writes of one commit may make by changing parts of them.
    pub max_rewrite_bytes: u64,
    /// How long what a write recorded lies in the entity's document before it is folded, if it is
    /// not much.
    pub fold_after: Duration,
    /// How often expired entities are swept away. They are hidden in any case.
    pub sweep_every: Duration,
    /// Tells the sweeper the time.
    pub clock: fn() -> Timestamp,
    /// Whether change streams are tried; where there are none, one looks for changes.
    #[cfg(test)]
    pub streams: bool,
    /// Whether this broker folds history by itself.
    #[cfg(test)]
    pub folds: bool,
    /// Is told of every command, in tests.
    #[cfg(test)]
    pub commands: Option<mongodb::event::EventHandler<mongodb::event::command::CommandEvent>>,
}

impl Settings {
    /// Safe settings for this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            database: "lanna".to_owned(),
            pool: 64,
            queue: 10_000,
            majority: true,
            time_limit: Duration::from_secs(10),
            // Members elect a new primary ten to twelve seconds after the old one is lost.
            patience: Duration::from_secs(20),
            max_rewrite_bytes: USUAL_REWRITES,
            cache_bytes: 256 << 20,
            // Long enough for many readings of a sensor, so that they are folded together.
            fold_after: Duration::from_secs(600),
            sweep_every: Duration::from_secs(1),
            clock: Timestamp::now,
            #[cfg(test)]
            streams: true,
            #[cfg(test)]
            folds: true,
            #[cfg(test)]
            commands: None,
        }
    }
}

/// The store.
pub struct Mongo {
    inner: Arc<Inner>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What the store and its tasks share.
struct Inner {
    settings: Settings,
    client: Client,
    database: Database,
    entities: Collection<RawDocumentBuf>,
    tenants: Collection<Document>,
    records: Collection<RawDocumentBuf>,
    leases: Collection<Document>,
    events: Collection<RawDocumentBuf>,
    history: History,
    meta: Collection<Document>,
    clock: Clock,
    gate: Gate,
    cache: Cache,
    /// What entities of each shape have in common.
    shapes: census::Shapes,
    locks: Locks,
    watch: OnceLock<Arc<dyn Watch>>,
    guard: OnceLock<Arc<dyn Guard>>,
    /// Who wants to hear of changed records.
    listeners: Mutex<Vec<mpsc::Sender<RecordChange>>>,
    /// Writes what is to be told of.
    teller: Teller,
    /// Held by whoever numbers events.
    events_turn: tokio::sync::Mutex<()>,
    /// Tenants that are there; they never go.
    known: RwLock<HashSet<TenantId>>,
    /// Who this broker is among those that share the database, and its number.
    holder: String,
    number: AtomicI64,
}

impl Mongo {
    /// Connects to the database, and prepares it if it is new.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if it cannot be reached within the patience, is no replica set, or
    /// is of a newer format.
    pub async fn open(settings: Settings) -> Result<Self, StoreError> {
        let inner = Arc::new(connect::open(settings).await?);
        let tasks = vec![
            tokio::spawn(gate::keep(inner.clone())),
            tokio::spawn(number::keep(inner.clone())),
            tokio::spawn(sweep::keep(inner.clone())),
            tokio::spawn(watch::keep(inner.clone())),
            tokio::spawn(history::keep(inner.clone())),
            tokio::spawn(tell::keep(inner.clone())),
        ];
        Ok(Self { inner, tasks: Mutex::new(tasks) })
    }

    /// Removes the database, when a test is over.
    #[cfg(test)]
    pub(super) async fn drop_database(&self) {
        self.inner.database.drop().await.expect("the database is removed");
    }

    /// Applies the rules of retention as of a time. Done now and then by one of the brokers.
    pub async fn thin(&self, now: Timestamp) -> Result<(), StoreError> {
        history::thin(&self.inner, now, false).await
    }

    /// Packs everything that was recorded.
    #[doc(hidden)]
    pub async fn pack_all(&self) -> Result<(), StoreError> {
        history::fold_all(&self.inner).await
    }

    /// Sweeps away what has expired by this time; how many entities ended. Done now and then by
    /// itself, by one of the brokers.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        sweep::sweep(&self.inner, now).await
    }
}

impl Drop for Mongo {
    fn drop(&mut self) {
        self.tasks.lock().iter().for_each(JoinHandle::abort);
    }
}

#[async_trait]
impl Store for Mongo {
    async fn commit(
        &self,
        tenant: &TenantId,
        writes: Vec<Write>,
        now: Timestamp,
    ) -> Result<Vec<Result<Change, Refusal>>, StoreError> {
        self.inner.commit(tenant, writes, now).await
    }

    async fn get(
        &self,
        tenant: &TenantId,
        id: &EntityId,
        now: Timestamp,
    ) -> Result<Option<Arc<Stored>>, StoreError> {
        let held = self.inner.read_one(tenant, id).await?;
        if held.is_none() {
            self.inner.check_tenant(tenant).await?;
        }
        Ok(held.map(|held| held.entity.clone()).filter(|entity| entity.is_alive(now)))
    }

    async fn get_many(
        &self,
        tenant: &TenantId,
        ids: &[EntityId],
        now: Timestamp,
    ) -> Result<Vec<Arc<Stored>>, StoreError> {
        self.inner.check_tenant(tenant).await?;
        let held = self.inner.read_many(tenant, ids, false).await?;
        let found = ids.iter().filter_map(|id| held.get(id)).map(|held| held.entity.clone());
        Ok(found.filter(|entity| entity.is_alive(now)).collect())
    }

    async fn find(
        &self,
        tenant: &TenantId,
        plan: &EntityPlan,
        now: Timestamp,
    ) -> Result<Found, StoreError> {
        self.inner.check_tenant(tenant).await?;
        find::find(&self.inner, tenant, plan, now).await
    }

    async fn evolve(
        &self,
        tenant: &TenantId,
        plan: &HistoryPlan,
        now: Timestamp,
    ) -> Result<FoundHistory, StoreError> {
        history::evolve(&self.inner, tenant, plan, now).await
    }

    async fn commit_history(
        &self,
        tenant: &TenantId,
        writes: Vec<HistoryWrite>,
        now: Timestamp,
    ) -> Result<Vec<Result<HistoryChange, Refusal>>, StoreError> {
        history::commit_history(&self.inner, tenant, writes, now).await
    }

    async fn held_history(
        &self,
        tenant: &TenantId,
        plan: &EntityPlan,
    ) -> Result<Vec<HeldHistory>, StoreError> {
        history::held(&self.inner, tenant, plan).await
    }

    async fn archive(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        rows: usize,
    ) -> Result<Archives, StoreError> {
        history::archives(&self.inner, tenant, after, rows).await
    }

    async fn restore(&self, tenant: &TenantId, archives: Vec<Archive>) -> Result<(), StoreError> {
        history::restore(&self.inner, tenant, archives).await
    }

    async fn explain(
        &self,
        tenant: &TenantId,
        plan: &EntityPlan,
        now: Timestamp,
    ) -> Result<Explanation, StoreError> {
        self.inner.check_tenant(tenant).await?;
        explain::explain(&self.inner, tenant, plan, now).await
    }

    async fn census(&self, tenant: &TenantId, now: Timestamp) -> Result<Census, StoreError> {
        self.inner.check_tenant(tenant).await?;
        census::census(&self.inner, tenant, now).await
    }

    async fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        self.inner.all_tenants().await
    }

    async fn put_record(&self, shelf: &Shelf, key: &str, record: Json) -> Result<(), StoreError> {
        self.inner.put_record(shelf, key, &record).await
    }

    async fn put_fenced(
        &self,
        shelf: &Shelf,
        key: &str,
        record: Json,
        fence: u64,
    ) -> Result<bool, StoreError> {
        self.inner.put_fenced(shelf, key, &record, fence).await
    }

    async fn add_record(&self, shelf: &Shelf, key: &str, record: Json) -> Result<bool, StoreError> {
        self.inner.add_record(shelf, key, &record).await
    }

    async fn take_record(&self, shelf: &Shelf, key: &str) -> Result<bool, StoreError> {
        self.inner.take_record(shelf, key).await
    }

    async fn note_record(
        &self,
        shelf: &Shelf,
        key: &str,
        edit: RecordEdit,
        notes: Vec<Note>,
    ) -> Result<bool, StoreError> {
        self.inner.note_record(shelf, key, &edit, &notes).await
    }

    async fn record(&self, shelf: &Shelf, key: &str) -> Result<Option<Json>, StoreError> {
        self.inner.record(shelf, key).await
    }

    async fn records(&self, shelf: &Shelf) -> Result<Vec<(String, Json)>, StoreError> {
        self.inner.records(shelf).await
    }

    async fn records_page(
        &self,
        shelf: &Shelf,
        offset: usize,
        limit: usize,
    ) -> Result<(Vec<(String, Json)>, usize), StoreError> {
        self.inner.records_page(shelf, offset, limit).await
    }

    fn on_records(&self, told: mpsc::Sender<RecordChange>) {
        self.inner.listeners.lock().push(told);
    }

    fn guard(&self, guard: Arc<dyn Guard>) {
        // Only the first is heard.
        let _ = self.inner.guard.set(guard);
    }

    fn watch(&self, watch: Arc<dyn Watch>) {
        // Only the first is heard.
        let _ = self.inner.watch.set(watch);
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.inner.events_after(after, limit).await
    }

    async fn latest_event(&self) -> Result<u64, StoreError> {
        self.inner.latest_event().await
    }

    async fn forget_events(&self, up_to: u64) -> Result<(), StoreError> {
        self.inner.forget_events(up_to).await
    }

    async fn claim(&self, lease: &str, holder: &str, ttl: Duration) -> Result<bool, StoreError> {
        self.inner.claim(lease, holder, ttl).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn release(&self, lease: &str, holder: &str) -> Result<(), StoreError> {
        self.inner.release(lease, holder).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.inner.gate.check()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.tasks.lock().drain(..).for_each(|task| task.abort());
        // Those who listen hear that nothing more comes.
        self.inner.listeners.lock().clear();
        // Another broker need not wait until the lease is over.
        let number = number::lease(self.inner.number.load(Ordering::Relaxed));
        for lease in [sweep::LEASE, history::FOLD_LEASE, &number] {
            let _ = self.inner.release(lease, &self.inner.holder).await;
        }
        Ok(())
    }
}
