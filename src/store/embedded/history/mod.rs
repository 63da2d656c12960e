//! History: what was recorded of entities, kept in blocks of compressed columns.
//!
//! A group of writes puts what it records into a log, in the same batch as itself, and into memory,
//! by series. A thread of its own lays that down: in blocks where it is much, in tails where it is
//! little, and in one sheaf what is little of several series of an entity. A chapter says which
//! series an entity has, and what is known of it beside them.

mod chapter;
mod entries;
mod evolve;
mod held;
mod key;
mod lay;
mod newest;
mod note;
mod pack;
mod reading;
mod recent;
mod ripe;
mod sheaf;
mod stamps;
mod thin;

use std::sync::Arc;

use parking_lot::RwLock;
use rustc_hash::FxHashMap;

pub(super) use self::evolve::{archives, evolve};
pub(super) use self::note::{Notes, Recorder, Target, Whose};
pub(super) use self::pack::Packed;
pub(super) use self::reading::tail_at;
pub(super) use self::sheaf::{There, sheaves_with};
pub(super) use self::stamps::Stripe;

use self::lay::Tally;
use self::newest::Newest;
use self::recent::Recent;
use self::ripe::Ripe;
use self::stamps::Stamps;
use super::Inner;
use super::engine::{Engine, Rest};
use super::group::record_prefix;
use crate::store::history::Rounds;
use crate::store::{HISTORY_RULES, HistoryRules, StoreError};

/// What the threads of the store share of history.
pub(super) struct History {
    pub ripe: Ripe,
    pub recent: Recent,
    pub newest: Newest,
    pub stamps: Stamps,
    rounds: Rounds,
    tally: Tally,
    /// By the number of the tenant; absent where there are none.
    rules: RwLock<FxHashMap<u32, Arc<HistoryRules>>>,
}

impl History {
    /// With what the engine's log holds, and room for so many bytes of blocks.
    pub fn load(engine: &Engine, cache_bytes: u64) -> Result<Self, StoreError> {
        Ok(Self {
            ripe: Ripe::default(),
            recent: Recent::load(engine)?,
            newest: Newest::new(usize::try_from(cache_bytes).unwrap_or(usize::MAX)),
            stamps: Stamps::default(),
            rounds: Rounds::default(),
            tally: Tally::default(),
            rules: RwLock::default(),
        })
    }

    /// The rules of a tenant; None if it has none.
    pub fn rules(&self, tenant: u32) -> Option<Arc<HistoryRules>> {
        self.rules.read().get(&tenant).cloned()
    }

    /// Reads the rules of a tenant anew.
    pub fn load_rules(&self, engine: &Engine, tenant: u32) -> Result<(), StoreError> {
        let prefix = record_prefix(HISTORY_RULES, Some(tenant));
        let mut rules = HistoryRules::default();
        for (key, bytes) in engine.all(Rest::Record, &prefix)? {
            let key = String::from_utf8_lossy(&key[prefix.len()..]);
            match serde_json::from_slice(&bytes) {
                Ok(rule) => rules.insert(&key, rule),
                Err(error) => tracing::warn!(%key, %error, "a rule of history cannot be read"),
            }
        }
        let mut all = self.rules.write();
        if rules.is_empty() {
            all.remove(&tenant);
        } else {
            all.insert(tenant, Arc::new(rules));
        }
        Ok(())
    }
}

impl Inner {
    /// Waits until nothing is to be packed.
    pub(super) fn finish_packing(&self) {
        self.history.ripe.wait(&self.history.recent);
    }
}
