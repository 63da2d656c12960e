//! The store within this process: an engine on disk (fjall), and in memory what makes it fast.
//!
//! One writer carries out all writes. In the durable mode it is a thread that takes whatever
//! waits, decides it, writes one batch, waits for the disk once, makes the changes visible and
//! answers everyone. In the relaxed mode whoever writes is the writer for a moment, of those who
//! ask in the same moment one for all, and the disk follows a little later. Readers see only what was acknowledged or is about to be.

mod build;
mod cache;
mod census;
mod engine;
mod events;
#[cfg(test)]
mod faults;
mod fetch;
mod find;
mod folder;
mod group;
mod history;
mod index;
mod keeper;
mod load;
pub(super) mod names;
mod open;
mod queue;
mod recovery;
mod seats;
mod sheet;
mod tenants;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value as Json;
use tokio::sync::oneshot;

use self::cache::Cache;
use self::engine::{Engine, Rest};
use self::folder::Folder;
use self::group::{Writer, record_key, record_prefix};

use self::history::History;
use self::names::Names;
use self::queue::{Answer, Job, Queue, RecordChange, RecordJob};
use self::recovery::Failure;
use self::tenants::{Away, Tenant, Tenants, Whereabouts};
use super::{
    Archive, Archives, Census, Event, Explanation, Found, FoundHistory, Guard, HeldHistory, Note,
    RecordEdit, Shelf, Store, StoreError, Watch,
};
use crate::model::{
    Change, EntityId, HistoryChange, HistoryWrite, Refusal, Stored, TenantId, Timestamp, Write,
};
use crate::query::{EntityPlan, HistoryPlan};
use crate::store::record::decode;
use crate::store::rewrites::USUAL_REWRITES;
use crate::store::weight::weigh;

/// How the embedded store is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data folder; made if it is not there.
    pub folder: PathBuf,
    pub durability: Durability,
    /// How many bytes entities and their renderings may take in memory; all that was read or
    /// written stays if absent. Indexes and ids come on top.
    pub memory_bytes: Option<u64>,
    /// How many bytes of its files the engine keeps in memory.
    pub cache_bytes: u64,
    /// How many writes may wait for the disk before more are refused as [`StoreError::Busy`].
    pub queue: usize,
    /// The largest entity, as bytes in memory (its JSON is usually a little smaller).
    pub max_entity_bytes: u32,
    /// How many bytes of entities the writes of one commit may make by changing parts of them.
    pub max_rewrite_bytes: u64,
    /// How often expired entities are swept away. They are hidden in any case.
    pub sweep_every: Duration,
    /// Tells the sweeper the time.
    pub clock: fn() -> Timestamp,
}

/// When a write counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When it is on the disk: it survives the loss of power.
    Commit,
    /// When the operating system has it: it survives the end of the process, and the loss of power
    /// once the disk has followed, which it does this often.
    Every(Duration),
}

impl Settings {
    /// Durable, unbounded, in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            durability: Durability::Commit,
            memory_bytes: None,
            // Entities stay in memory themselves; this serves the ones that do not.
            cache_bytes: 64 << 20,
            // About a second's work of a slow disk.
            queue: 100_000,
            max_entity_bytes: 64 << 20,
            max_rewrite_bytes: USUAL_REWRITES,
            sweep_every: Duration::from_secs(1),
            clock: Timestamp::now,
        }
    }
}

/// The store.
pub struct Embedded {
    inner: Arc<Inner>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

/// What the store and its threads share.
struct Inner {
    settings: Settings,
    engine: Engine,
    names: Names,
    tenants: Tenants,
    cache: Cache,
    /// Held by whoever carries out writes.
    writer: Mutex<Writer>,
    queue: Queue,
    failure: Failure,
    /// Says what may be kept.
    guard: OnceLock<Arc<dyn Guard>>,
    /// Says which changes are kept as events.
    watch: OnceLock<Arc<dyn Watch>>,
    builder: build::Wishes,
    history: History,
    /// Something was written that the disk does not have yet.
    unsynced: AtomicBool,
    stopping: keeper::Stop,
    /// Released last.
    _folder: Folder,
}

impl Embedded {
    /// Opens the store in its folder, reads what is there, and starts its threads.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if the folder belongs to another process, is of a newer format, or
    /// cannot be read.
    pub fn open(settings: Settings) -> Result<Self, StoreError> {
        let inner = Arc::new(open::open(settings)?);
        let threads = keeper::start(&inner)?;
        Ok(Self { inner, threads: Mutex::new(threads) })
    }

    /// What there is to know about the store, for metrics.
    pub fn numbers(&self) -> Numbers {
        let inner = &self.inner;
        let tenants = inner.tenants.all();
        let entities = tenants.iter().map(|tenant| tenant.state.read().seats.taken() as u64).sum();
        Numbers {
            tenants: tenants.len() as u64,
            entities,
            entity_bytes: inner.cache.used(),
            disk_bytes: inner.engine.disk_bytes().unwrap_or_default(),
            names: inner.names.count() as u64,
        }
    }

    /// Sweeps away what has expired by this time; how many entities ended. Done now and then by
    /// itself.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut ended = 0;
        for (tenant, seats) in self.inner.expired(now) {
            let job = |answer| Job::Sweep { tenant, seats, now, answer };
            ended += self.inner.ask(job)?.await.map_err(gone)??;
        }
        Ok(ended)
    }

    /// Waits until the indexes that queries wished for are built.
    #[doc(hidden)]
    pub fn finish_indexes(&self) {
        self.inner.builder.wait();
    }

    /// Applies the rules of retention as of a time. Done now and then by itself.
    pub async fn thin(&self, now: Timestamp) -> Result<(), StoreError> {
        let inner = self.inner.clone();
        let thinned = tokio::task::spawn_blocking(move || inner.thin_all(now)).await;
        thinned.map_err(|error| StoreError::Broken(error.to_string()))
    }

    /// Packs everything that was recorded.
    #[doc(hidden)]
    pub fn pack_all(&self) {
        self.inner.finish_packing();
        self.inner.pack_everything();
    }

    /// Carries out what waits, brings it to the disk, and ends the threads.
    fn stop(&self) {
        self.inner.stopping.send();
        self.inner.queue.close();
        self.inner.builder.close();
        self.inner.history.ripe.close();
        for thread in self.threads.lock().drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
        self.inner.carry_out(self.inner.queue.drain());
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop();
        if let Err(failure) = self.inner.engine.sync() {
            let error = failure.error;
            tracing::error!(%error, "the last writes could not be brought to the disk");
        }
    }
}

/// What there is to know about an embedded store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    pub tenants: u64,
    pub entities: u64,
    /// What entities in memory and their renderings are taken to need.
    pub entity_bytes: u64,
    pub disk_bytes: u64,
    /// Distinct names in use.
    pub names: u64,
}

/// The writer ended without an answer.
fn gone(_: oneshot::error::RecvError) -> StoreError {
    StoreError::Broken("the store has stopped".into())
}

impl Inner {
    /// Hands a job to the writer; its answer comes through what is returned.
    fn ask<T>(
        &self,
        job: impl FnOnce(Answer<T>) -> Job,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError> {
        self.failure.check()?;
        let (answer, answered) = oneshot::channel();
        let job = job(answer);
        match self.settings.durability {
            Durability::Commit => self.queue.push(job)?,
            Durability::Every(_) => self.carry_out(vec![job]),
        }
        Ok(answered)
    }

    /// The entity of an id, with expired ones too.
    fn entity(&self, tenant: &Tenant, id: &EntityId) -> Result<Option<Arc<Stored>>, StoreError> {
        // Who is deleted and created again while we look has moved; nobody moves often.
        for _ in 0..4 {
            let located = tenant.state.read().locate(id);
            let Some(located) = located else { return Ok(None) };
            let away = located.away();
            if let Some(entity) = self.obtain(tenant, located.whereabouts)? {
                if let Some(away) = away {
                    self.settle(tenant, away, &entity);
                }
                return Ok(Some(entity));
            }
        }
        Ok(None)
    }

    /// An entity from memory or from the engine; None if it is gone.
    fn obtain(
        &self,
        tenant: &Tenant,
        whereabouts: Whereabouts,
    ) -> Result<Option<Arc<Stored>>, StoreError> {
        match whereabouts {
            Whereabouts::Here(entity) => Ok(Some(entity)),
            Whereabouts::Away(away) => {
                let record = self.engine.entity(tenant.key(away.sequence))?;
                match record {
                    Some(record) => Ok(Some(Stored::new(decode(&record, &self.names)?))),
                    None => Ok(None),
                }
            }
        }
    }

    /// Keeps an entity that was read from the engine in memory, unless it changed meanwhile.
    fn settle(&self, tenant: &Tenant, away: Away, entity: &Arc<Stored>) {
        let weight = weigh(entity);
        let mut state = tenant.state.write();
        if let Some(seat) = state.seats.get_mut(away.seat)
            && seat.id().is_some()
            && seat.version == away.version
            && seat.entity.is_none()
        {
            self.cache.remember(seat, entity.clone(), weight);
        }
        drop(state);
        self.cache.make_room(&self.tenants);
    }

    /// The number of the tenant of a shelf.
    fn shelf_tenant(&self, shelf: &Shelf) -> Result<Option<u32>, StoreError> {
        shelf.tenant.as_ref().map(|id| Ok(self.tenants.get(id)?.number)).transpose()
    }

    async fn change_record(
        &self,
        shelf: &Shelf,
        key: &str,
        change: RecordChange,
        notes: Vec<Note>,
    ) -> Result<bool, StoreError> {
        self.change_record_soon(shelf, key, change, notes, false).await
    }

    async fn change_record_soon(
        &self,
        shelf: &Shelf,
        key: &str,
        change: RecordChange,
        notes: Vec<Note>,
        patient: bool,
    ) -> Result<bool, StoreError> {
        let job = |answer| {
            Job::Record(RecordJob {
                tenant: shelf.tenant.clone(),
                shelf: shelf.name,
                key: key.to_owned(),
                change,
                notes,
                patient,
                answer,
            })
        };
        self.ask(job)?.await.map_err(gone)?
    }
}

/// A relaxed commit of more writes than this is not carried out on the asker's thread.
const INLINE_WRITES: usize = 64;

/// Carries out what waits when it goes, even if nobody waits for the answer any more.
struct Turn<'a>(&'a Inner);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.carry_out(self.0.queue.drain());
    }
}

#[async_trait]
impl Store for Embedded {
    async fn commit(
        &self,
        tenant: &TenantId,
        writes: Vec<Write>,
        now: Timestamp,
    ) -> Result<Vec<Result<Change, Refusal>>, StoreError> {
        self.inner.room_to_record().await?;
        let tenant = tenant.clone();
        let long = writes.len() > INLINE_WRITES;
        let job = move |answer| Job::Writes { tenant, writes, now, answer };
        let answered = match self.inner.settings.durability {
            Durability::Commit => self.inner.ask(job)?,
            Durability::Every(_) if long => {
                let inner = self.inner.clone();
                let asked = tokio::task::spawn_blocking(move || inner.ask(job)).await;
                asked.map_err(|error| StoreError::Broken(error.to_string()))??
            }
            Durability::Every(_) => {
                self.inner.failure.check()?;
                let (answer, answered) = oneshot::channel();
                self.inner.queue.push(job(answer))?;
                let turn = Turn(&self.inner);
                // Who else on this thread is about to write comes along: one batch costs less.
                tokio::task::yield_now().await;
                drop(turn);
                answered
            }
        };
        answered.await.map_err(gone)?
    }

    async fn get(
        &self,
        tenant: &TenantId,
        id: &EntityId,
        now: Timestamp,
    ) -> Result<Option<Arc<Stored>>, StoreError> {
        let tenant = self.inner.tenants.get(tenant)?;
        let entity = self.inner.entity(&tenant, id)?;
        Ok(entity.filter(|entity| entity.is_alive(now)))
    }

    async fn find(
        &self,
        tenant: &TenantId,
        plan: &EntityPlan,
        now: Timestamp,
    ) -> Result<Found, StoreError> {
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

    fn history_stamp(&self, tenant: &TenantId, id: &EntityId) -> Option<u64> {
        let tenant = self.inner.tenants.find(tenant)?;
        let stamps = &self.inner.history.stamps;
        Some(stamps.get(stamps.stripe(tenant.number, id.as_str().as_bytes())))
    }

    async fn held_history(
        &self,
        tenant: &TenantId,
        plan: &EntityPlan,
    ) -> Result<Vec<HeldHistory>, StoreError> {
        let tenant = self.inner.tenants.get(tenant)?;
        let (inner, plan) = (self.inner.clone(), plan.clone());
        let held = tokio::task::spawn_blocking(move || inner.held_history(&tenant, &plan)).await;
        held.map_err(|error| StoreError::Broken(error.to_string()))?
    }

    async fn commit_history(
        &self,
        tenant: &TenantId,
        writes: Vec<HistoryWrite>,
        now: Timestamp,
    ) -> Result<Vec<Result<HistoryChange, Refusal>>, StoreError> {
        self.inner.room_to_record().await?;
        let (inner, tenant) = (self.inner.clone(), tenant.clone());
        let ask = move || inner.ask(|answer| Job::History { tenant, writes, now, answer });
        let asked = match self.inner.settings.durability {
            Durability::Commit => ask()?,
            // Here whoever asks does the work.
            Durability::Every(_) => tokio::task::spawn_blocking(ask)
                .await
                .map_err(|error| StoreError::Broken(error.to_string()))??,
        };
        asked.await.map_err(gone)?
    }

    async fn archive(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        rows: usize,
    ) -> Result<Archives, StoreError> {
        let tenant = self.inner.tenants.get(tenant)?;
        let (inner, after) = (self.inner.clone(), after.map(str::to_owned));
        let read = move || history::archives(&inner, &tenant, after.as_deref(), rows);
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|error| StoreError::Broken(error.to_string()))?
    }

    async fn restore(&self, tenant: &TenantId, archives: Vec<Archive>) -> Result<(), StoreError> {
        self.inner.room_to_record().await?;
        let (inner, tenant) = (self.inner.clone(), tenant.clone());
        let ask = move || inner.ask(|answer| Job::Archives { tenant, archives, answer });
        let asked = tokio::task::spawn_blocking(ask).await;
        asked.map_err(|error| StoreError::Broken(error.to_string()))??.await.map_err(gone)?
    }

    async fn explain(
        &self,
        tenant: &TenantId,
        plan: &EntityPlan,
        now: Timestamp,
    ) -> Result<Explanation, StoreError> {
        find::explain(&self.inner, tenant, plan, now)
    }

    async fn census(&self, tenant: &TenantId, now: Timestamp) -> Result<Census, StoreError> {
        census::census(&self.inner, tenant, now).await
    }

    async fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        Ok(self.inner.tenants.all().iter().map(|tenant| tenant.id.clone()).collect())
    }

    async fn put_record(&self, shelf: &Shelf, key: &str, record: Json) -> Result<(), StoreError> {
        let change = RecordChange::Put(record.to_string().into_bytes());
        self.inner.change_record(shelf, key, change, Vec::new()).await.map(drop)
    }

    async fn put_fenced(
        &self,
        shelf: &Shelf,
        key: &str,
        record: Json,
        _: u64,
    ) -> Result<bool, StoreError> {
        // Nobody else writes here. How far delivery has come is no client's question: it goes to
        // the disk with what clients write, if they do.
        let change = RecordChange::Put(record.to_string().into_bytes());
        self.inner.change_record_soon(shelf, key, change, Vec::new(), true).await.map(|_| true)
    }

    async fn add_record(&self, shelf: &Shelf, key: &str, record: Json) -> Result<bool, StoreError> {
        let change = RecordChange::Add(record.to_string().into_bytes());
        self.inner.change_record(shelf, key, change, Vec::new()).await
    }

    async fn take_record(&self, shelf: &Shelf, key: &str) -> Result<bool, StoreError> {
        self.inner.change_record(shelf, key, RecordChange::Take, Vec::new()).await
    }

    async fn note_record(
        &self,
        shelf: &Shelf,
        key: &str,
        edit: RecordEdit,
        notes: Vec<Note>,
    ) -> Result<bool, StoreError> {
        let change = match edit {
            RecordEdit::Add(json) => RecordChange::Add(json.to_string().into_bytes()),
            RecordEdit::Replace(json) => RecordChange::Replace(json.to_string().into_bytes()),
            RecordEdit::Take => RecordChange::Take,
            RecordEdit::Leave => RecordChange::Leave,
        };
        self.inner.change_record(shelf, key, change, notes).await
    }

    async fn record(&self, shelf: &Shelf, key: &str) -> Result<Option<Json>, StoreError> {
        let tenant = self.inner.shelf_tenant(shelf)?;
        let found = self.inner.engine.get(Rest::Record, &record_key(shelf.name, tenant, key))?;
        found.map(|bytes| read_record(key, &bytes)).transpose()
    }

    async fn records(&self, shelf: &Shelf) -> Result<Vec<(String, Json)>, StoreError> {
        Ok(self.records_page(shelf, 0, usize::MAX).await?.0)
    }

    async fn records_page(
        &self,
        shelf: &Shelf,
        offset: usize,
        limit: usize,
    ) -> Result<(Vec<(String, Json)>, usize), StoreError> {
        let tenant = self.inner.shelf_tenant(shelf)?;
        let prefix = record_prefix(shelf.name, tenant);
        let all = self.inner.engine.all(Rest::Record, &prefix)?;
        let count = all.len();
        let page = all.into_iter().skip(offset).take(limit);
        let page: Result<Vec<_>, StoreError> = page
            .map(|(key, bytes)| {
                let key = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
                let record = read_record(&key, &bytes)?;
                Ok((key, record))
            })
            .collect();
        Ok((page?, count))
    }

    fn guard(&self, guard: Arc<dyn Guard>) {
        let _ = self.inner.guard.set(guard);
    }

    fn watch(&self, watch: Arc<dyn Watch>) {
        let _ = self.inner.watch.set(watch);
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        let inner = self.inner.clone();
        let read = tokio::task::spawn_blocking(move || inner.read_events(after, limit)).await;
        read.map_err(|error| StoreError::Broken(error.to_string()))?
    }

    async fn latest_event(&self) -> Result<u64, StoreError> {
        Ok(self.inner.writer.lock().next_event.saturating_sub(1))
    }

    async fn forget_events(&self, up_to: u64) -> Result<(), StoreError> {
        for (sheets, forgotten) in self.inner.forgetting(up_to)? {
            let job = |answer| Job::Forget { sheets, forgotten, answer };
            self.inner.ask(job)?.await.map_err(gone)??;
        }
        Ok(())
    }

    async fn claim(&self, _: &str, _: &str, _: Duration) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn release(&self, _: &str, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.inner.failure.check()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.stop();
        self.inner.unsynced.store(false, Ordering::Relaxed);
        self.inner.engine.sync().map_err(|failure| failure.error)
    }
}

fn read_record(key: &str, bytes: &[u8]) -> Result<Json, StoreError> {
    serde_json::from_slice(bytes)
        .map_err(|error| StoreError::BadRecord { key: key.to_owned(), why: error.to_string() })
}
