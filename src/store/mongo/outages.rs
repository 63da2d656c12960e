//! Three members, of which some are killed, and one whose disk is full: what was acknowledged is
//! there afterwards, what is not there is said to be away, and everything comes back by itself.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use parking_lot::Mutex;

use super::tests::{All, Own, settings};
use super::{Mongo, Settings};
use crate::model::{Action, TenantId, Write};
use crate::query::{EntityPlan, Page};
use crate::store::samples::{at, attribute_name, bare_entity, entity_id, property};
use crate::store::suite::queries::filter;
use crate::store::{Store, StoreError};

const HERE: TenantId = TenantId::DEFAULT;

/// A replica set on this machine.
struct Members {
    folder: tempfile::TempDir,
    ports: Vec<u16>,
    running: Vec<Option<Child>>,
    /// Servers without it are no members of a set.
    set: &'static str,
    /// No file can be larger, in halves of a KiB: then there is no room left on the disk.
    room: Option<u64>,
}

impl Members {
    /// Three of them, ready.
    async fn start() -> Self {
        let mut members = Self::of(3);
        (0..3).for_each(|number| members.run(number));
        members.initiate().await;
        members
    }

    /// So many, none of which runs yet.
    fn of(count: usize) -> Self {
        let free = |_| std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let held: Vec<_> = (0..count).map(free).collect();
        let ports = held.iter().map(|held| held.local_addr().unwrap().port()).collect();
        drop(held);
        let folder = tempfile::tempdir().unwrap();
        let running = (0..count).map(|_| None).collect();
        Self { folder, ports, running, set: "three", room: None }
    }

    /// Starts a member, or starts it again.
    fn run(&mut self, number: usize) {
        let server = std::env::var("TEST_MONGOD")
            .unwrap_or_else(|_| panic!("this test needs a mongod: scripts/test says which"));
        let folder: PathBuf = self.folder.path().join(number.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let port = self.ports[number].to_string();
        let mut command = match self.room {
            None => Command::new(server),
            Some(room) => {
                let mut command = Command::new("sh");
                let limited = format!("ulimit -f {room}; exec \"$0\" \"$@\"");
                command.args(["-c", &limited, &server]);
                command
            }
        };
        if !self.set.is_empty() {
            command.args(["--replSet", self.set]);
        }
        let child = command
            .args(["--bind_ip", "127.0.0.1", "--port", &port])
            .args(["--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25", "--nounixsocket"])
            // A transaction that is left stays, so that no test waits for its end unawares.
            .args(["--setParameter", "transactionLifetimeLimitSeconds=86400"])
            .arg("--dbpath")
            .arg(&folder)
            .arg("--logpath")
            .arg(folder.join("log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.running[number] = Some(child);
    }

    /// As a loss of power would.
    fn kill(&mut self, number: usize) {
        if let Some(mut child) = self.running[number].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    async fn initiate(&self) {
        let url = format!("mongodb://127.0.0.1:{}/?directConnection=true", self.ports[0]);
        let client = mongodb::Client::with_uri_str(url).await.unwrap();
        let admin = client.database("admin");
        let members = self.ports.iter().zip(0_i32..);
        let members: Vec<Document> = members
            .map(|(port, number)| doc! { "_id": number, "host": format!("127.0.0.1:{port}") })
            .collect();
        let config = doc! {
            "_id": "three",
            "members": members,
            "settings": { "electionTimeoutMillis": 2_000, "heartbeatIntervalMillis": 500 },
        };
        while admin.run_command(doc! { "replSetInitiate": config.clone() }).await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn url(&self) -> String {
        let hosts: Vec<_> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("mongodb://{}/?replicaSet=three", hosts.join(","))
    }

    /// The member that is primary now. On a busy machine elections take their time.
    async fn primary(&self, store: &Mongo) -> usize {
        loop {
            let hello = store.inner.database.run_command(doc! { "hello": 1 }).await;
            let hello = hello.unwrap_or_default();
            let port = hello.get_str("primary").ok().and_then(|name| name.rsplit(':').next());
            let port: Option<u16> = port.and_then(|port| port.parse().ok());
            if let Some(place) = self.ports.iter().position(|own| Some(*own) == port) {
                return place;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A store in this set, which may not be ready yet.
    async fn open(&self, patience: u64) -> Arc<Mongo> {
        let patience = Duration::from_secs(patience);
        let settings = Settings { patience, ..Settings::new(self.url()) };
        loop {
            if let Ok(store) = Mongo::open(settings.clone()).await {
                return Arc::new(store);
            }
        }
    }
}

/// Whether an entity is there. Members may elect a primary meanwhile: then it is asked again.
async fn is_there(store: &Mongo, id: usize) -> bool {
    loop {
        match store.get(&HERE, &entity_id(id), at(1)).await {
            Ok(found) => return found.is_some(),
            Err(StoreError::Broken(_) | StoreError::Busy | StoreError::TooSlow) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        (0..self.ports.len()).for_each(|number| self.kill(number));
    }
}

fn create(id: usize) -> Write {
    Write::new(entity_id(id), Action::Create(bare_entity(id, 0)))
}

/// Creates entities one after the other until told to stop, and notes what was acknowledged.
async fn load(store: Arc<Mongo>, ids: Arc<AtomicUsize>, done: Arc<Mutex<Vec<usize>>>, most: usize) {
    while done.lock().len() < most {
        let id = ids.fetch_add(1, Ordering::Relaxed);
        match store.commit(&HERE, vec![create(id)], at(0)).await {
            Ok(results) => {
                results[0].as_ref().expect("nobody else creates it");
                done.lock().push(id);
            }
            Err(StoreError::Unusable(why)) => panic!("{why}"),
            Err(_) => {}
        }
    }
}

/// Writes with four hands until so many writes are acknowledged in all.
async fn load_until(
    store: &Arc<Mongo>,
    ids: &Arc<AtomicUsize>,
    done: &Arc<Mutex<Vec<usize>>>,
    most: usize,
) {
    let hands: Vec<_> = (0..4)
        .map(|_| tokio::spawn(load(store.clone(), ids.clone(), done.clone(), most)))
        .collect();
    for hand in hands {
        hand.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_when_members_are_killed() {
    let mut members = Members::start().await;
    let store = members.open(15).await;
    let (ids, done) = (Arc::new(AtomicUsize::new(0)), Arc::<Mutex<Vec<usize>>>::default());

    // The primary is killed while four hands write.
    let loaded = tokio::spawn({
        let (store, ids, done) = (store.clone(), ids.clone(), done.clone());
        async move { load_until(&store, &ids, &done, 300).await }
    });
    while done.lock().len() < 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let first = members.primary(&store).await;
    members.kill(first);
    loaded.await.unwrap();
    let second = members.primary(&store).await;
    assert_ne!(first, second);
    let all = done.lock().clone();
    for id in &all {
        assert!(is_there(&store, *id).await, "{id} was acknowledged and is lost");
    }

    // Everything is away: that is said, and nothing else.
    (0..3).for_each(|number| members.kill(number));
    while store.check().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let read = store.get(&HERE, &entity_id(0), at(1)).await;
    assert!(matches!(read, Err(StoreError::Broken(_))), "{read:?}");
    let id = ids.fetch_add(1, Ordering::Relaxed);
    let write = store.commit(&HERE, vec![create(id)], at(1)).await;
    assert!(matches!(write, Err(StoreError::Broken(_) | StoreError::Uncertain(_))), "{write:?}");

    // And everything comes back by itself.
    (0..3).for_each(|number| members.run(number));
    while store.check().await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    load_until(&store, &ids, &done, 350).await;
    let all = done.lock().clone();
    for id in &all {
        assert!(is_there(&store, *id).await, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stalled_goes_on_where_it_was() {
    let mut member = Members::of(1);
    member.run(0);
    member.initiate().await;
    let store = member.open(2).await;
    store.watch(Arc::new(All));
    let (ids, done) = (Arc::new(AtomicUsize::new(0)), Arc::<Mutex<Vec<usize>>>::default());
    let pid = member.running[0].as_ref().unwrap().id().to_string();
    for most in [50, 100, 150] {
        let loaded = tokio::spawn({
            let (store, ids, done) = (store.clone(), ids.clone(), done.clone());
            async move { load_until(&store, &ids, &done, most).await }
        });
        while done.lock().len() < most - 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Those who write meanwhile give up, in the midst of transactions that number events.
        let tell = |signal: &str| Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(tell("-STOP").success());
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(tell("-CONT").success());
        // A transaction that was left would be in the way for a day. Who is refused at once, since
        // the server is not known to be back, says nothing.
        let mut id = 1_000_000 + most;
        let mut refused = 0;
        while let Err(error) = store.commit(&HERE, vec![create(id)], at(0)).await {
            (id, refused) = (id + 1_000_000, refused + usize::from(store.check().await.is_ok()));
            assert!(refused < 300, "something is in the way: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        loaded.await.unwrap();
    }
    let all = done.lock().clone();
    for id in &all {
        assert!(is_there(&store, *id).await, "{id}");
    }
    let events = loop {
        match store.events(0, 10_000).await {
            Ok(events) => break events,
            Err(error) => assert!(matches!(error, StoreError::Broken(_)), "{error}"),
        }
    };
    let told: std::collections::BTreeSet<_> =
        events.iter().map(|event| event.change.id.clone()).collect();
    assert_eq!(told.len(), events.len(), "each is told once");
    assert!(all.iter().all(|id| told.contains(&entity_id(*id))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_no_member_of_a_set_is_refused() {
    let mut alone = Members::of(1);
    alone.set = "";
    alone.run(0);
    let url = format!("mongodb://127.0.0.1:{}/", alone.ports[0]);
    let settings = Settings { patience: Duration::from_secs(60), ..Settings::new(url) };
    let Err(refused) = Mongo::open(settings).await else { panic!("it opened") };
    assert!(refused.to_string().contains("replica set"), "{refused}");
}

/// An entity that takes a MiB and cannot be compressed.
fn large(id: usize) -> Write {
    let mut entity = bare_entity(id, 0);
    let text: String = (0..32 << 10).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    entity.attributes.insert(attribute_name(0), property(text.as_str()));
    Write::new(entity_id(id), Action::Create(entity))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_takes_nothing_back() {
    // Enough for the server to start, and not for what is written.
    let mut member = Members::of(1);
    member.room = Some((2 * 110) << 10);
    member.run(0);
    member.initiate().await;
    let store = member.open(5).await;
    let mut done = Vec::new();
    let refused = loop {
        match store.commit(&HERE, vec![large(done.len())], at(0)).await {
            Ok(results) => results[0].as_ref().map(|_| done.push(done.len())).unwrap(),
            Err(error) => break error,
        }
        assert!(done.len() < 2_000, "there is room for everything");
    };
    // A server that finds no room ends itself; one that only refuses says why.
    let known =
        matches!(refused, StoreError::Full(_) | StoreError::Broken(_) | StoreError::Uncertain(_));
    assert!(known, "{refused}");
    member.kill(0);
    member.room = None;
    member.run(0);
    while store.check().await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for id in &done {
        assert!(is_there(&store, *id).await, "{id}");
    }
    let mut next = done.len() + 1;
    while let Err(error) = store.commit(&HERE, vec![large(next)], at(1)).await {
        // It may be slow still; that it is full is said no more.
        assert!(!matches!(error, StoreError::Full(_)), "{error}");
        next += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_takes_too_long_is_given_up_by_the_server() {
    let limited = Settings { time_limit: Duration::from_millis(1), ..settings() };
    let own = Own::with(limited).await;
    for page in 0..10 {
        let writes = (0..1_000).map(|id| {
            let mut entity = bare_entity(page * 1_000 + id, 0);
            let text = format!("{}{id}", "ab".repeat(50));
            (0..8).for_each(|number| {
                entity.attributes.insert(attribute_name(number), property(text.as_str()));
            });
            Write::new(entity.id.clone(), Action::Create(entity))
        });
        own.store().commit(&HERE, writes.collect(), at(0)).await.unwrap();
    }
    // No index helps with what texts hold somewhere.
    let terms: Vec<String> =
        (0..8).map(|number| format!("a{number}~=\"b.*9{number}7$\"")).collect();
    let plan = EntityPlan {
        filter: Some(filter(&terms.join("|"))),
        page: Page { limit: 10, count: true, ..Page::default() },
        ..EntityPlan::default()
    };
    let found = own.store().find(&HERE, &plan, at(1)).await;
    assert!(matches!(found, Err(StoreError::TooSlow)), "{found:?}");
    assert!(own.store().get(&HERE, &entity_id(7), at(1)).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_the_pool_exhausted_is_told_so_and_the_others_are_served() {
    let own = Own::with(Settings { pool: 1, queue: 4, ..settings() }).await;
    own.store().commit(&HERE, vec![create(0)], at(0)).await.unwrap().remove(0).unwrap();
    let store = own.shared();
    let (mut served, mut refused) = (0, 0);
    // Of so many at once most find the queue full.
    while served == 0 || refused == 0 {
        let reads = (0..64).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.get(&HERE, &entity_id(0), at(1)).await })
        });
        for read in reads.collect::<Vec<_>>() {
            match read.await.unwrap() {
                Ok(found) => served += usize::from(found.is_some()),
                Err(StoreError::Busy) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(own.store().get(&HERE, &entity_id(0), at(1)).await.unwrap().is_some());
}
