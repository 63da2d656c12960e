//! Entities that were used lately, with the stamps they had: what a write is decided upon without
//! reading first, and what saves decoding and rendering again what has not changed.
//!
//! Two generations stand for an order of use: what is used moves into the young one, and when that
//! is full it becomes the old one, and what was in the old one is forgotten.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use rustc_hash::{FxBuildHasher, FxHasher};

use super::document::Stamps;
use crate::model::{EntityId, Stored, TenantId};
use crate::store::weight::weigh;

/// An entity as it was in the database.
#[derive(Debug)]
pub(super) struct Held {
    pub stamps: Stamps,
    pub entity: Arc<Stored>,
}

type Key = (TenantId, EntityId);
type Generation = HashMap<Key, (Arc<Held>, u64), FxBuildHasher>;

const SHARDS: usize = 16;

/// What an entry needs beside the entity; its rendering counts as much as the entity.
const OVERHEAD: u64 = 160;

pub(super) struct Cache {
    shards: Vec<Mutex<Shard>>,
    /// How many bytes a generation of a shard may hold.
    room: u64,
}

#[derive(Default)]
struct Shard {
    young: Generation,
    old: Generation,
    /// Bytes of the young generation.
    weight: u64,
}

impl Cache {
    pub fn new(bytes: u64) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, room: bytes / (2 * SHARDS as u64) }
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        use std::hash::{Hash, Hasher};
        let mut hasher = FxHasher::default();
        key.hash(&mut hasher);
        // The upper bits: the lower ones tell places within the maps.
        &self.shards[(hasher.finish() >> 60) as usize % SHARDS]
    }

    /// What is remembered of an entity; it may be out of date.
    pub fn get(&self, tenant: &TenantId, id: &EntityId) -> Option<Arc<Held>> {
        let key = (tenant.clone(), id.clone());
        let mut shard = self.shard(&key).lock();
        if let Some((held, _)) = shard.young.get(&key) {
            return Some(held.clone());
        }
        let (held, weight) = shard.old.remove(&key)?;
        shard.insert(key, held.clone(), weight, self.room);
        Some(held)
    }

    /// Remembers an entity, unless a later state of it is remembered.
    pub fn remember(&self, tenant: &TenantId, held: Arc<Held>) {
        let weight = 2 * u64::from(weigh(&held.entity)) + OVERHEAD;
        if weight > self.room {
            return self.forget(tenant, &held.entity.id);
        }
        let key = (tenant.clone(), held.entity.id.clone());
        let mut shard = self.shard(&key).lock();
        if let Some((known, _)) = shard.young.get(&key).or_else(|| shard.old.get(&key))
            && known.stamps.version > held.stamps.version
        {
            return;
        }
        shard.old.remove(&key);
        shard.insert(key, held, weight, self.room);
    }

    /// Forgets an entity.
    pub fn forget(&self, tenant: &TenantId, id: &EntityId) {
        let key = (tenant.clone(), id.clone());
        let mut shard = self.shard(&key).lock();
        shard.old.remove(&key);
        if let Some((_, weight)) = shard.young.remove(&key) {
            shard.weight -= weight;
        }
    }
}

impl Shard {
    fn insert(&mut self, key: Key, held: Arc<Held>, weight: u64, room: u64) {
        if let Some((_, before)) = self.young.insert(key, (held, weight)) {
            self.weight -= before;
        }
        self.weight += weight;
        if self.weight > room {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::samples::{bare_entity, entity_id};

    const HERE: TenantId = TenantId::DEFAULT;

    fn held(id: usize, stamp: i64) -> Arc<Held> {
        Arc::new(Held { stamps: Stamps::new(stamp), entity: Stored::new(bare_entity(id, 0)) })
    }

    #[test]
    fn later_states_stay_and_what_nobody_uses_goes() {
        let cache = Cache::new(400_000);
        cache.remember(&HERE, held(1, 5));
        cache.remember(&HERE, held(1, 4));
        assert_eq!(cache.get(&HERE, &entity_id(1)).unwrap().stamps.version, 5);
        assert!(cache.get(&TenantId::named("other").unwrap(), &entity_id(1)).is_none());
        for id in 2..10_000 {
            cache.remember(&HERE, held(id, 1));
            if id % 10 == 0 {
                assert!(cache.get(&HERE, &entity_id(1)).is_some(), "{id}");
            }
        }
        let left = (2..10_000).filter(|id| cache.get(&HERE, &entity_id(*id)).is_some()).count();
        assert!(left < 2_000, "{left}");
        cache.forget(&HERE, &entity_id(1));
        assert!(cache.get(&HERE, &entity_id(1)).is_none());
    }
}
