//! Derived values: what official tables make of readings, each with the scheme and the readings it
//! comes from, and made anew when late readings come.
//!
//! ```text
//! profile   TOML → rules: which type, which inputs, which table from when to when
//! store     a change of an input is an event in its log, in one step with the change
//! follow    events → entities and times for which values may have changed
//! past      history → readings
//! evaluate  readings → a value that cites what it is made from, or why there is none
//! store     what differs from what is there is written, to history and to what the entity is now
//! ```
//!
//! No number of any country is in code. This room knows no HTTP.

mod document;
mod evaluate;
mod explain;
mod follow;
mod job;
mod past;
mod profile;
mod reading;
mod rule;
mod scheme;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde::Serialize;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

pub use explain::Explained;
pub use profile::{Profile, ProfileError};
pub use rule::Rule;

use self::follow::{KEY, Watcher};
use crate::broker::Broker;
use crate::config::Derive;
use crate::model::TypeName;
use crate::store::{READERS, Store, StoreError};

/// Why nothing can be derived.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error("cannot start threads to derive: {0}")]
    Threads(std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Derives what its profiles say, as long as it lives.
pub struct Deriver {
    inner: Arc<Inner>,
    runtime: Mutex<Option<Runtime>>,
}

/// What the tasks share.
struct Inner {
    store: Arc<dyn Store>,
    settings: Derive,
    profiles: Vec<Profile>,
    rules: Vec<Rule>,
    by_type: FxHashMap<TypeName, Vec<usize>>,
    /// One for each rule.
    tallies: Vec<Tally>,
    /// Of all profiles.
    fingerprint: u64,
    /// Something was committed.
    come: Notify,
    /// The last event that was committed here.
    seen: AtomicU64,
    /// The last event that is done with.
    done_up_to: AtomicU64,
    /// Whether this broker derives, of those that share the store.
    leads: AtomicBool,
    /// The name of this broker, for as long as it runs.
    holder: String,
    closing: AtomicBool,
}

/// What came of a rule since the start.
#[derive(Debug, Default)]
struct Tally {
    /// Values that were new or changed.
    derived: AtomicU64,
    /// Values that were made again and were the same.
    unchanged: AtomicU64,
    /// Times for which there was too little.
    lacking: AtomicU64,
    /// Entities whose source says the value itself.
    given: AtomicU64,
    /// Values that the store did not take.
    refused: AtomicU64,
}

/// What came of a rule since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Values that were new or changed.
    pub derived: u64,
    /// Values that were made again and were the same.
    pub unchanged: u64,
    /// Times for which there was too little.
    pub lacking: u64,
    /// Times and entities whose source says the value itself.
    pub given: u64,
    /// Values that the store did not take.
    pub refused: u64,
}

/// How deriving stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Whether this broker derives, of those that share the store.
    pub leads: bool,
    /// The last event that was committed here, and the last that is done with.
    pub seen: u64,
    pub done: u64,
}

impl Deriver {
    /// Reads the profiles and begins to derive; what came while nobody did is derived first. None
    /// if no profile is set.
    ///
    /// # Errors
    /// If a profile is not as it should be, or the store cannot be read.
    pub async fn start(
        broker: &Arc<Broker>,
        settings: &Derive,
    ) -> Result<Option<Self>, DeriveError> {
        if settings.profiles.is_empty() {
            forget(&**broker.store()).await?;
            return Ok(None);
        }
        let mut profiles = Vec::with_capacity(settings.profiles.len());
        for name in &settings.profiles {
            profiles.push(Profile::load(name)?);
        }
        let inner = Arc::new(Inner::new(broker.store().clone(), settings.clone(), profiles));
        let watcher: Weak<Inner> = Arc::downgrade(&inner);
        broker.notifier().beside(Arc::new(Watcher(watcher)));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("lanna-derive")
            .enable_all()
            .build()
            .map_err(DeriveError::Threads)?;
        // It ends by itself when this does.
        drop(runtime.spawn(inner.clone().follow()));
        Ok(Some(Self { inner, runtime: Mutex::new(Some(runtime)) }))
    }

    /// The profiles with their rules.
    pub fn profiles(&self) -> &[Profile] {
        &self.inner.profiles
    }

    /// What came of the rules of this name since the start.
    pub fn counts(&self, name: &str) -> Counts {
        let own = self.inner.rules.iter().zip(&self.inner.tallies);
        own.filter(|(rule, _)| *rule.name == *name).fold(Counts::default(), |sum, (_, tally)| {
            let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
            Counts {
                derived: sum.derived + of(&tally.derived),
                unchanged: sum.unchanged + of(&tally.unchanged),
                lacking: sum.lacking + of(&tally.lacking),
                given: sum.given + of(&tally.given),
                refused: sum.refused + of(&tally.refused),
            }
        })
    }

    /// How deriving stands.
    pub fn standing(&self) -> Standing {
        Standing {
            leads: self.inner.leads.load(Ordering::Relaxed),
            seen: self.inner.seen.load(Ordering::Relaxed),
            done: self.inner.done_up_to.load(Ordering::Relaxed),
        }
    }

    /// Ends. What is not derived yet is derived after the next start. To be called before the
    /// broker is closed.
    pub async fn close(&self) {
        self.inner.closing.store(true, Ordering::Release);
        self.inner.come.notify_one();
        if self.inner.store.is_shared() {
            // So that another need not wait until the lease is over.
            let _ = self.inner.store.release(follow::LEASE, &self.inner.holder).await;
        }
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Deriver {
    fn drop(&mut self) {
        self.inner.closing.store(true, Ordering::Release);
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }
}

impl Inner {
    fn new(store: Arc<dyn Store>, settings: Derive, profiles: Vec<Profile>) -> Self {
        let mut rules: Vec<Rule> = Vec::new();
        for rule in profiles.iter().flat_map(|profile| &profile.rules) {
            let known = |one: &Rule| one.name == rule.name && one.type_name == rule.type_name;
            if !rules.iter().any(known) {
                rules.push(rule.clone());
            }
        }
        let mut by_type: FxHashMap<TypeName, Vec<usize>> = FxHashMap::default();
        for (place, rule) in rules.iter().enumerate() {
            by_type.entry(rule.type_name).or_default().push(place);
        }
        let fingerprints = profiles.iter().map(|profile| profile.fingerprint);
        Self {
            tallies: rules.iter().map(|_| Tally::default()).collect(),
            fingerprint: fingerprints.fold(0, |all, one| all.rotate_left(7) ^ one),
            store,
            settings,
            profiles,
            rules,
            by_type,
            come: Notify::new(),
            seen: AtomicU64::new(0),
            done_up_to: AtomicU64::new(0),
            leads: AtomicBool::new(false),
            holder: uuid::Uuid::now_v7().to_string(),
            closing: AtomicBool::new(false),
        }
    }
}

/// Nobody derives here any more: how far it had come must not keep the log from being trimmed.
async fn forget(store: &dyn Store) -> Result<(), StoreError> {
    let nobody = || uuid::Uuid::now_v7().to_string();
    // Where brokers share a store another may still derive.
    if store.claim(follow::LEASE, &nobody(), Duration::from_millis(1)).await? {
        store.take_record(&READERS, KEY).await?;
    }
    Ok(())
}
