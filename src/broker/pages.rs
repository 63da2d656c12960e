//! Where the pages of recent queries ended, so that the next page begins there.
//!
//! Paging is by `offset` (5.5.9), and an offset counts from the beginning: when entities before it
//! are deleted between two pages, others slip past the reader unseen. The broker therefore
//! remembers for a while after which entity each page ended; a request for what follows continues
//! after that entity, wherever it is counted now. What is forgotten is counted as the
//! specification says.

use std::hash::{BuildHasher, Hash, RandomState};
use std::mem;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{HistoryTexts, QueryTexts};
use crate::model::{EntityMapId, TenantId, Timestamp};
use crate::query::{Anchor, Term};

/// How many ends are remembered in each of two generations, at about 100 bytes each; those of an
/// order hold the values it orders by, 4 KB at most.
const GENERATION: usize = 4_096;

/// How long an end is remembered at most: a reader who turns pages takes seconds.
const LIFETIME_MICROS: i64 = 5 * 60 * 1_000_000;

/// The ends of recent pages.
#[derive(Default)]
pub struct Pages {
    hasher: RandomState,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: FxHashMap<(u64, u64), (Anchor, Timestamp)>,
    old: FxHashMap<(u64, u64), (Anchor, Timestamp)>,
}

/// All that selects and orders, whoever asks.
#[derive(Debug, Clone, Copy, Hash)]
pub struct Selection(u64);

/// Which query a page belongs to: what selects and orders, and the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct QueryKey(u64);

#[cfg(test)]
impl QueryKey {
    /// A key of its own.
    pub fn of(number: u64) -> Self {
        Self(number)
    }
}

impl Pages {
    /// What a query selects that finds only what has one of these attributes, whatever page of it
    /// is wanted.
    pub fn selection(&self, context: u64, texts: &QueryTexts, attrs: &[Term]) -> Selection {
        let QueryTexts { page: _, local: _, map: _, .. } = texts;
        Selection(self.hasher.hash_one((context, Selecting(texts), attrs)))
    }

    /// The key of a query of a tenant, whatever page of it is wanted.
    pub fn key(&self, tenant: &TenantId, selection: Selection) -> QueryKey {
        QueryKey(self.hasher.hash_one((tenant, selection)))
    }

    /// The key of a temporal query, whatever page of it is wanted.
    pub fn temporal_key(
        &self,
        tenant: &TenantId,
        context: u64,
        texts: &QueryTexts,
        time: &HistoryTexts,
    ) -> QueryKey {
        let window = (&time.timerel, &time.time_at, &time.end_time_at, &time.time_property);
        QueryKey(self.hasher.hash_one((tenant, context, Selecting(texts), window)))
    }

    /// The key of an entity map, whatever page of it is wanted.
    pub fn map_key(&self, tenant: &TenantId, map: &EntityMapId) -> QueryKey {
        QueryKey(self.hasher.hash_one((tenant, "entity map", map)))
    }

    /// After which entity the result goes on at this offset.
    pub fn end_before(&self, key: QueryKey, offset: u64, now: Timestamp) -> Option<Anchor> {
        if offset == 0 {
            return None;
        }
        let generations = self.generations.lock();
        let place = (key.0, offset);
        let found = generations.young.get(&place).or_else(|| generations.old.get(&place));
        found.filter(|(_, until)| *until > now).map(|(anchor, _)| anchor.clone())
    }

    /// Remembers after which entity the result goes on at an offset.
    pub fn remember(&self, key: QueryKey, offset: u64, end: Anchor, now: Timestamp) {
        let until = now.plus_micros(LIFETIME_MICROS);
        let mut generations = self.generations.lock();
        if generations.young.len() >= GENERATION {
            generations.old = mem::take(&mut generations.young);
        }
        generations.young.insert((key.0, offset), (end, until));
    }
}

/// Hashes what selects and orders.
struct Selecting<'a>(&'a QueryTexts);

impl Hash for Selecting<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let texts = self.0;
        for selector in &texts.selectors {
            (&selector.ids, &selector.id_pattern, &selector.types).hash(state);
        }
        (&texts.attrs, &texts.q, &texts.scope_q, &texts.expand_values, &texts.json_keys)
            .hash(state);
        let geo = &texts.geo;
        (&geo.georel, &geo.geometry, &geo.coordinates, &geo.geoproperty).hash(state);
        (&texts.order_by, &texts.collation, &texts.order_from, &texts.order_geometry).hash(state);
        (&texts.csf, &texts.split_entities).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn an_end_is_found_for_its_query_and_offset_only() {
        let pages = Pages::default();
        let vehicles = QueryTexts { q: Some("speed>5".into()), ..QueryTexts::default() };
        let key =
            |texts: &QueryTexts| pages.key(&TenantId::DEFAULT, pages.selection(1, texts, &[]));
        let others = key(&QueryTexts::default());
        let key = key(&vehicles);
        pages.remember(key, 20, Anchor::new("x"), at(0));
        assert!(pages.end_before(key, 20, at(1)).is_some());
        assert!(pages.end_before(key, 40, at(1)).is_none());
        assert!(pages.end_before(others, 20, at(1)).is_none());
    }

    #[test]
    fn ends_are_forgotten_by_age_and_number() {
        let pages = Pages::default();
        let nothing = pages.selection(1, &QueryTexts::default(), &[]);
        let key = pages.key(&TenantId::DEFAULT, nothing);
        pages.remember(key, 20, Anchor::new("x"), at(0));
        assert!(pages.end_before(key, 20, at(301)).is_none());
        for offset in 0..3 * GENERATION as u64 {
            pages.remember(key, 100 + offset, Anchor::new("y"), at(0));
        }
        assert!(pages.end_before(key, 20, at(1)).is_none());
        let generations = pages.generations.lock();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
    }
}
