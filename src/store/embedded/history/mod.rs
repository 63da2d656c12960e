//! History: what was recorded of entities, kept in blocks of compressed columns.
//!
//! A write adds what it records to the tail of a series, in the same batch as itself; a thread of
//! its own packs tails into blocks. A chapter says which series an entity has, and what is known
//! of it beside them.

mod chapter;
mod evolve;
mod held;
mod key;
mod note;
mod pack;
mod reading;
mod ripe;
mod thin;

use std::sync::Arc;

use parking_lot::RwLock;
use rustc_hash::FxHashMap;

pub(super) use self::evolve::{archives, evolve};
pub(super) use self::note::{Notes, Recorder, Target, Whose};
pub(super) use self::pack::Packed;
pub(super) use self::reading::tail_at;

use self::ripe::Ripe;
use super::Inner;
use super::engine::{Engine, Rest};
use super::group::record_prefix;
use crate::store::{HISTORY_RULES, HistoryRules, StoreError};

/// What the threads of the store share of history.
#[derive(Default)]
pub(super) struct History {
    pub ripe: Ripe,
    /// By the number of the tenant; absent where there are none.
    rules: RwLock<FxHashMap<u32, Arc<HistoryRules>>>,
}

impl History {
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
        self.history.ripe.wait();
    }
}
