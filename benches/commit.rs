//! How much of the engine's speed is left when the store writes: 64 writers that wait for the
//! disk, against the same bytes written by nothing but group commit; and batches.
//!
//! `LANNA_BENCH_SECONDS` (2) for each figure. Ratios travel between machines, figures do not.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use lanna::model::{
    Action, AttributePatch, Datum, EntityId, InstanceEdit, InstancePatch, Kind, Number, TenantId,
    Timestamp, Value, Write,
};
use lanna::store::Store;
use lanna::store::embedded::{Durability, Embedded, Settings};
use parking_lot::{Condvar, Mutex};
use support::{name, processor_time, setting, station, upsert, vehicle, vehicle_id};
use tokio::sync::oneshot;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WRITERS: usize = 64;
const VEHICLES: usize = 1_000;
/// What the store writes for a changed vehicle, keys included.
const RECORD: usize = 380;

/// Changes one attribute.
fn patch(index: usize, value: i64) -> Write {
    let patch = InstancePatch {
        kind: Some(Kind::Property),
        datum: Some(Datum::Property(Value::Number(Number::Int(value)))),
        ..InstancePatch::default()
    };
    let patch = AttributePatch(vec![InstanceEdit::Put(patch)]);
    let id = EntityId::from_trusted(&vehicle_id(index));
    Write::new(id, Action::PartialUpdate { attribute: name("speed"), patch })
}

struct Result {
    per_second: f64,
    processor_micros: f64,
}

impl std::fmt::Display for Result {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>8.0}/s, {:>6.1} µs of processor each", self.per_second, self.processor_micros)
    }
}

/// Lets many tasks repeat something for a while.
async fn repeat<F, T>(writers: usize, act: F) -> Result
where
    F: Fn(usize, u64) -> T + Clone + Send + 'static,
    T: Future<Output = ()> + Send,
{
    let length = Duration::from_secs(setting("LANNA_BENCH_SECONDS", 2) as u64);
    let count = Arc::new(AtomicU64::new(0));
    let (started, processor) = (Instant::now(), processor_time());
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (act, count) = (act.clone(), count.clone());
            tokio::spawn(async move {
                let mut step = 0;
                while started.elapsed() < length {
                    act(writer, step).await;
                    step += 1;
                }
                count.fetch_add(step, Ordering::Relaxed);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let count = count.load(Ordering::Relaxed) as f64;
    Result {
        per_second: count / started.elapsed().as_secs_f64(),
        processor_micros: (processor_time() - processor).as_secs_f64() * 1e6 / count,
    }
}

/// The least that group commit needs: a thread that writes what waits and syncs once.
#[derive(Clone)]
struct Bare(Arc<(Mutex<Vec<Waiting>>, Condvar)>);

type Waiting = ([u8; 12], Vec<u8>, oneshot::Sender<()>);

impl Bare {
    fn start(folder: &std::path::Path) -> Self {
        let bare = Self(Arc::new((Mutex::new(Vec::new()), Condvar::new())));
        let database = Database::builder(folder).open().unwrap();
        let keyspace = database.keyspace("bare", KeyspaceCreateOptions::default).unwrap();
        let queue = Arc::downgrade(&bare.0);
        std::thread::spawn(move || {
            while let Some(queue) = queue.upgrade() {
                let mut waiting = queue.0.lock();
                if waiting.is_empty() {
                    queue.1.wait_for(&mut waiting, Duration::from_millis(100));
                }
                let jobs = std::mem::take(&mut *waiting);
                drop(waiting);
                let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
                let mut answers = Vec::with_capacity(jobs.len());
                for (key, value, answer) in jobs {
                    batch.insert(&keyspace, key, value);
                    answers.push(answer);
                }
                batch.commit().unwrap();
                for answer in answers {
                    let _ = answer.send(());
                }
            }
        });
        bare
    }

    async fn write(&self, key: [u8; 12], value: Vec<u8>) {
        let (answer, answered) = oneshot::channel();
        self.0.0.lock().push((key, value, answer));
        self.0.1.notify_one();
        answered.await.unwrap();
    }
}

async fn store(folder: &std::path::Path, durability: Durability) -> Arc<Embedded> {
    let settings = Settings { durability, ..Settings::new(folder) };
    let store = Arc::new(Embedded::open(settings).unwrap());
    let writes = (0..VEHICLES).map(|index| upsert(vehicle(index))).collect();
    store.commit(&TenantId::DEFAULT, writes, Timestamp::now()).await.unwrap();
    store
}

async fn patches(store: &Arc<Embedded>, writers: usize) -> Result {
    let store = store.clone();
    repeat(writers, move |writer, step| {
        let store = store.clone();
        async move {
            let index = (writer + step as usize * WRITERS) % VEHICLES;
            let write = patch(index, step as i64);
            let mut results =
                store.commit(&TenantId::DEFAULT, vec![write], Timestamp::now()).await.unwrap();
            results.remove(0).unwrap();
        }
    })
    .await
}

async fn batches(store: &Arc<Embedded>, size: usize) -> Result {
    let store = store.clone();
    repeat(4, move |writer, step| {
        let store = store.clone();
        async move {
            let first = (writer + step as usize * 4) * size % VEHICLES;
            let writes = (first..first + size).map(|index| upsert(vehicle(index))).collect();
            store.commit(&TenantId::DEFAULT, writes, Timestamp::now()).await.unwrap();
        }
    })
    .await
}

async fn load(store: &Arc<Embedded>) -> Result {
    let store = store.clone();
    repeat(2, move |writer, step| {
        let store = store.clone();
        async move {
            let first = (writer + step as usize * 2) * 1_000;
            let writes = (first..first + 1_000).map(|i| upsert(station(i, 1_000_000))).collect();
            store.commit(&TenantId::DEFAULT, writes, Timestamp::now()).await.unwrap();
        }
    })
    .await
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bare = Bare::start(&at("bare"));
    let durable = store(&at("durable"), Durability::Commit).await;
    for round in 1..=3 {
        println!("round {round}");
        let own = bare.clone();
        let ceiling = repeat(WRITERS, move |writer, step| {
            let own = own.clone();
            async move {
                let mut key = [0; 12];
                let index = (writer + step as usize * WRITERS) % VEHICLES;
                key[..8].copy_from_slice(&(index as u64).to_be_bytes());
                own.write(key, vec![step as u8; RECORD]).await;
            }
        })
        .await;
        println!("  bare group commit, 64 writers    {ceiling}");
        let ours = patches(&durable, WRITERS).await;
        println!("  durable PATCH, 64 writers        {ours}");
        println!("  ratio                            {:.2}", ours.per_second / ceiling.per_second);
        println!("  durable PATCH, 1 writer          {}", patches(&durable, 1).await);
        let batch = batches(&durable, 100).await;
        println!("  durable batches of 100           {batch}");
        println!(
            "  processor of one in a batch to one alone: {:.2}",
            batch.processor_micros / 100.0 / ours.processor_micros
        );
    }
    drop(durable);
    let every = Durability::Every(Duration::from_millis(100));
    let relaxed = store(&at("relaxed"), every).await;
    println!("relaxed PATCH, 1 writer            {}", patches(&relaxed, 1).await);
    println!("relaxed PATCH, 64 writers          {}", patches(&relaxed, WRITERS).await);
    let loaded = store(&at("load"), Durability::Commit).await;
    println!("load, durable, batches of 1000     {}", load(&loaded).await);
}
