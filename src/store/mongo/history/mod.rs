//! History in MongoDB.
//!
//! A write puts what it records into the entity's own document, in the same update: that is as
//! atomic as the write and costs no round trip. From there it is folded, many writes at once and
//! by whoever made the heap large or holds the lease, into the entity's *chapter*, a document that
//! holds its head and the tails of its series, and from there into *blocks*, a document each. All
//! of it is one entity's, changed in transactions, and read as of one moment.
//!
//! ```text
//! chapters  _id { t, i }   ty  every type the entity had     r   head and tails, see book.rs
//!           o, hn, f       as in an entity's document: what was recorded of one that went
//! blocks    _id { t, i, a: attribute, d: datasetId, w: time, n: ordinal of the first row }
//!           l   time of the last row                         r   the rows
//! ```

mod ahead;
mod archive;
mod book;
mod chronology;
mod desk;
mod edit;
mod evolve;
mod fold;
mod notes;

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hashbrown::DefaultHashBuilder;
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;

pub(super) use self::archive::{archives, restore};
pub(super) use self::chronology::commit_history;
pub(super) use self::evolve::{evolve, held};
pub(super) use self::fold::{FOLD_LEASE, fold_all, keep, thin};
pub(super) use self::notes::Notes;

use super::Inner;
use crate::model::{EntityId, TenantId};
use crate::store::history::Rounds;
use crate::store::{HISTORY_RULES, HistoryRules, Shelf, StoreError};

/// What the collections are called.
pub(super) const CHAPTERS: &str = "chapters";
pub(super) const BLOCKS: &str = "blocks";

/// How many notes an entity's document holds before they are folded.
const FOLD: u32 = 32;
/// How many bytes of them.
const FOLD_BYTES: usize = 64 << 10;

/// How many entities are remembered by how much was noted of them.
const REMEMBERED: usize = 1 << 18;

/// How many entities may wait to be folded; those beyond are found by and by.
const WAITING: usize = 1 << 14;

/// How long rules are believed if nobody hears of changes.
const UNHEARD: Duration = Duration::from_secs(60);

/// What a broker remembers of history.
pub(super) struct History {
    rules: RwLock<FxHashMap<TenantId, Rules>>,
    /// How often rules were forgotten: what was read before must not be remembered after.
    forgotten: AtomicU64,
    /// How many notes were made of entities since they were folded, and their bytes.
    noted: Mutex<FxHashMap<u64, (u32, usize)>>,
    hasher: DefaultHashBuilder,
    rounds: Rounds,
    ripe: mpsc::Sender<(TenantId, EntityId)>,
    /// Taken by who folds.
    waiting: Mutex<Option<mpsc::Receiver<(TenantId, EntityId)>>>,
}

/// The rules of a tenant, as they were read.
struct Rules {
    rules: Option<Arc<HistoryRules>>,
    read: Instant,
}

impl Default for History {
    fn default() -> Self {
        let (ripe, waiting) = mpsc::channel(WAITING);
        Self {
            rules: RwLock::default(),
            forgotten: AtomicU64::new(0),
            noted: Mutex::default(),
            hasher: DefaultHashBuilder::default(),
            rounds: Rounds::default(),
            ripe,
            waiting: Mutex::new(Some(waiting)),
        }
    }
}

impl History {
    /// The rules of a tenant may have changed.
    pub fn forget_rules(&self, tenant: &TenantId) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.rules.write().remove(tenant);
    }

    /// Notes were written: when they are many, they are to be folded.
    pub fn noted(&self, tenant: &TenantId, id: &EntityId, notes: &Notes) {
        if notes.is_empty() {
            return;
        }
        let key = self.hasher.hash_one((tenant, id));
        let mut noted = self.noted.lock();
        if noted.len() >= REMEMBERED {
            // Those that are forgotten are folded when they are old.
            noted.clear();
        }
        let (count, bytes) = noted.entry(key).or_default();
        *count += notes.count();
        *bytes += notes.bytes();
        if *count >= FOLD || *bytes >= FOLD_BYTES {
            noted.remove(&key);
            drop(noted);
            // If too many wait, it will be found by its age.
            let _ = self.ripe.try_send((tenant.clone(), id.clone()));
        }
    }

    /// What was noted of an entity was folded.
    fn folded(&self, tenant: &TenantId, id: &EntityId) {
        let key = self.hasher.hash_one((tenant, id));
        self.noted.lock().remove(&key);
    }
}

impl Inner {
    /// The rules of a tenant; None if it has none.
    pub async fn history_rules(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<Arc<HistoryRules>>, StoreError> {
        let heard = !self.listeners.lock().is_empty();
        if let Some(known) = self.history.rules.read().get(tenant)
            && (heard || known.read.elapsed() < UNHEARD)
        {
            return Ok(known.rules.clone());
        }
        let (read, forgotten) = (Instant::now(), self.history.forgotten.load(Ordering::Acquire));
        let mut rules = HistoryRules::default();
        for (key, rule) in self.shelf(&Shelf::of(tenant, HISTORY_RULES)).await? {
            match serde_json::from_value(rule) {
                Ok(rule) => rules.insert(&key, rule),
                Err(error) => tracing::warn!(%key, %error, "a rule of history cannot be read"),
            }
        }
        let rules = (!rules.is_empty()).then(|| Arc::new(rules));
        let mut all = self.history.rules.write();
        if self.history.forgotten.load(Ordering::Acquire) == forgotten {
            all.insert(tenant.clone(), Rules { rules: rules.clone(), read });
        }
        drop(all);
        Ok(rules)
    }
}

#[cfg(test)]
mod tests;
