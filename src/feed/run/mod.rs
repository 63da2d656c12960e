//! Feeds at work: each in a task of its own, on a thread that the broker's requests know nothing
//! of. Where several brokers share a store, a feed runs in one of them: whoever holds its lease.

mod feed;
mod folder;
mod http;
mod keep;
mod mqtt;
mod pause;
mod refused;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::pause::Pause;
use super::mapping::source::{Source, Way};
use super::mapping::{Fault, Faults, Mapping};
use super::shipped::shipped_feeds;
use super::status::{Rejected, Status, Which};
use crate::broker::Broker;
use crate::config::Config;
use crate::egress::{Client, EgressError};
use crate::import::SinkError;
use crate::model::Timestamp;

pub use feed::{Feed, Overview, TakeError, Taken};

/// The feeds of a broker.
pub struct Feeds {
    all: BTreeMap<String, Arc<Feed>>,
    shared: Arc<Shared>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// What all feeds need.
pub(super) struct Shared {
    pub broker: Arc<Broker>,
    pub config: Arc<Config>,
    pub client: Client,
    /// Who holds the leases.
    pub holder: String,
    pub started: Timestamp,
    closing: AtomicBool,
    told: Notify,
}

/// Why feeds cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum FeedsError {
    #[error("{0}")]
    Faults(#[from] Faults),
    #[error("the folder of mappings {folder} cannot be read: {why}")]
    Folder { folder: String, why: std::io::Error },
    #[error("there is no feed {name}{hint}; `lanna feeds list` names them")]
    NoSuchFeed { name: String, hint: String },
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// Reads all mappings: those that are shipped, and those of the configured folder, which come first.
///
/// # Errors
/// Every fault of every file.
pub fn read_mappings(folder: Option<&Path>) -> Result<BTreeMap<String, Mapping>, FeedsError> {
    let (mut all, mut faults) = (BTreeMap::new(), Vec::new());
    for shipped in shipped_feeds() {
        match shipped.mapping() {
            Ok(mapping) => drop(all.insert(mapping.name.clone(), mapping)),
            Err(found) => faults.extend(found.0),
        }
    }
    if let Some(folder) = folder {
        let unreadable = |why| FeedsError::Folder { folder: folder.display().to_string(), why };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                files.push(path);
            }
        }
        files.sort();
        for path in files {
            match read_mapping(&path) {
                Ok(mapping) => drop(all.insert(mapping.name.clone(), mapping)),
                Err(found) => faults.extend(found.0),
            }
        }
    }
    if faults.is_empty() { Ok(all) } else { Err(Faults(faults).into()) }
}

/// Reads one mapping file; files that it names stand beside it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_mapping(path: &Path) -> Result<Mapping, Faults> {
    let file = path.display().to_string();
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let text = std::fs::read_to_string(path).map_err(|why| {
        let (file, why) = (file.clone(), format!("it cannot be read: {why}"));
        Faults(vec![Fault { file, line: 0, key: String::new(), why }])
    })?;
    let beside = |own: &str| {
        let beside = path.parent().unwrap_or(Path::new(".")).join(own);
        std::fs::read(&beside).map_err(|why| format!("{}: {why}", beside.display()))
    };
    Mapping::parse(&file, name, &text, &beside)
}

impl Feeds {
    /// The feeds that are configured to run, none of them running yet.
    ///
    /// # Errors
    /// Whatever is wrong with any mapping file, or a name that no feed has.
    pub async fn open(config: Arc<Config>, broker: Arc<Broker>) -> Result<Arc<Self>, FeedsError> {
        let mut mappings = read_mappings(config.feeds.folder.as_deref())?;
        let shared = Arc::new(Shared {
            client: Client::new(&config.egress)?,
            holder: uuid::Uuid::now_v7().to_string(),
            started: Timestamp::now(),
            closing: AtomicBool::new(false),
            told: Notify::new(),
            broker,
            config,
        });
        let mut all = BTreeMap::new();
        for name in &shared.config.feeds.run {
            if all.contains_key(name) {
                continue;
            }
            let Some(mapping) = mappings.remove(name) else {
                let meant = crate::config::nearest(name, mappings.keys().map(String::as_str));
                let hint = meant.map_or(String::new(), |meant| format!(": did you mean {meant}?"));
                return Err(FeedsError::NoSuchFeed { name: name.clone(), hint });
            };
            let feed = Feed::new(mapping, shared.clone())?;
            // Where brokers share a store, whoever comes to run it takes up what was kept.
            if !shared.broker.store().is_shared() {
                feed.restore().await;
            }
            all.insert(name.clone(), Arc::new(feed));
        }
        Ok(Arc::new(Self { all, shared, thread: Mutex::new(None) }))
    }

    /// Begins to run them, on a thread of their own.
    pub fn start(&self) {
        if self.all.is_empty() {
            return;
        }
        let feeds: Vec<Arc<Feed>> = self.all.values().cloned().collect();
        tracing::info!(feeds = feeds.len(), "feeds are run");
        let thread = std::thread::Builder::new().name("feeds".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(4)
                .build();
            match runtime {
                Ok(runtime) => {
                    let work = feeds.into_iter().map(work);
                    runtime.block_on(futures_util::future::join_all(work));
                    runtime.shutdown_timeout(Duration::from_secs(5));
                }
                Err(why) => tracing::error!(%why, "feeds cannot be run"),
            }
        });
        match thread {
            Ok(thread) => *self.thread.lock() = Some(thread),
            Err(why) => tracing::error!(%why, "feeds cannot be run"),
        }
    }

    /// Ends: what was taken is finished, and leases are given back.
    pub async fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.told.notify_waiters();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    /// One of them.
    pub fn feed(&self, name: &str) -> Option<&Arc<Feed>> {
        self.all.get(name)
    }

    /// How each of them fares.
    pub async fn overview(&self) -> Vec<Overview> {
        let mut all = Vec::with_capacity(self.all.len());
        for feed in self.all.values() {
            all.push(feed.overview().await);
        }
        all
    }

    /// How those fare that this broker runs. Another that shares the store knows of the others, so
    /// that sums over all brokers count everything once.
    pub fn statuses(&self) -> Vec<(&str, Status, bool, Duration)> {
        let now = Timestamp::now();
        let shared = self.shared.broker.store().is_shared();
        let own = self.all.values().filter(|feed| !shared || feed.is_held());
        let each = own.map(|feed| {
            let status = feed.status();
            let expect = feed.source().expect;
            let quiet = status.is_quiet(expect, self.shared.started, now);
            (feed.name(), status, quiet, expect)
        });
        each.collect()
    }

    /// What a feed refused last, newest first.
    pub async fn rejected(&self, name: &str, limit: usize) -> Option<Vec<Arc<Rejected>>> {
        Some(self.all.get(name)?.rejected(&Which::default(), limit).await)
    }
}

impl Drop for Feeds {
    /// Whoever does not close them lets them end by themselves.
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
    }
}

impl Shared {
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Waits, unless the end comes first.
    pub async fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.is_closing() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            // Whoever is told just before it listens would miss it, so nobody sleeps for long.
            let nap = left.min(Duration::from_millis(500));
            let _ = tokio::time::timeout(nap, self.told.notified()).await;
        }
    }
}

/// Runs one feed until the end, whatever happens in it.
async fn work(feed: Arc<Feed>) {
    let shared = feed.shared().clone();
    let leasing = lease(feed.clone());
    let working = async {
        let mut pause = Pause::new(&shared.config.feeds);
        while !shared.is_closing() {
            if !feed.is_held() {
                feed.keep(false).await;
                shared.rest(Duration::from_millis(200)).await;
                continue;
            }
            let step = AssertUnwindSafe(step(&feed)).catch_unwind().await;
            let step = step.unwrap_or_else(|_| Err("it stumbled over a mistake in Lanna".into()));
            let rest = match step {
                Ok(rest) => {
                    pause.forget();
                    rest
                }
                Err(why) => {
                    let rest = pause.next();
                    feed.failed(&why);
                    tracing::warn!(
                        feed = feed.name(),
                        why,
                        ?rest,
                        "a feed failed; it is tried again"
                    );
                    rest
                }
            };
            feed.keep(false).await;
            shared.rest(rest).await;
        }
    };
    futures_util::future::join(working, leasing).await;
    feed.keep(true).await;
    feed.release().await;
}

/// One turn of a feed; how long to wait for the next.
async fn step(feed: &Arc<Feed>) -> Result<Duration, String> {
    let source = feed.resolved()?;
    match &source.way {
        Way::Http(http) => http::step(feed, http, source.most).await,
        Way::Folder(folder) => folder::step(feed, folder, source.most).await,
        Way::Mqtt(mqtt) => mqtt::step(feed, mqtt, source.most).await,
        // What comes is taken when it comes; there is only its state to be kept.
        Way::Push => Ok(Duration::from_secs(1)),
    }
}

/// Holds the lease of a feed as far as nobody else has it.
async fn lease(feed: Arc<Feed>) {
    let shared = feed.shared().clone();
    while !shared.is_closing() {
        feed.claim().await;
        shared.rest(shared.config.feeds.lease / 3).await;
    }
}

/// The source with its variables, or what is missing.
pub(super) fn resolve(source: &Source) -> Result<Source, String> {
    source.resolved(&|name| std::env::var(name).ok()).map_err(|missing| {
        format!("it waits for what the environment has to say: {}", missing.join(", "))
    })
}
