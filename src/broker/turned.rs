//! What the pages of recent distributed queries showed, so that the next page goes on with what
//! none of them did.
//!
//! An offset counts from the beginning of a result that several brokers make up together, and that
//! moves whenever any of them is written to. What was shown is therefore remembered for a while;
//! who asks for what follows is shown the first entities that were not. What is forgotten is
//! counted as the specification says (5.5.9.2).

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::pages::QueryKey;
use crate::model::{EntityId, Timestamp};

/// How many pages are remembered in each of two generations, at eight bytes for each entity on
/// them: a few megabytes if all pages are as large as allowed.
const GENERATION: usize = 1_024;

/// How long a page is remembered at most: a reader who turns pages takes seconds.
const LIFETIME_MICROS: i64 = 5 * 60 * 1_000_000;

/// What recent pages showed.
#[derive(Default)]
pub(super) struct TurnedPages {
    hasher: RandomState,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: FxHashMap<(QueryKey, u64), (Shown, Timestamp)>,
    old: FxHashMap<(QueryKey, u64), (Shown, Timestamp)>,
}

/// Entities that were shown on pages that follow each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    hasher: RandomState,
    last: Option<Arc<Leaf>>,
}

/// The entities of a page, and those of the pages before.
#[derive(Debug)]
struct Leaf {
    entities: Box<[u64]>,
    /// Those of the pages before included.
    count: usize,
    before: Option<Arc<Leaf>>,
}

/// Which entities were shown, to be looked at often.
pub(super) struct Seen<'a> {
    shown: &'a Shown,
    entities: HashSet<u64>,
}

impl TurnedPages {
    /// Nothing was shown yet.
    pub fn nothing(&self) -> Shown {
        Shown { hasher: self.hasher.clone(), last: None }
    }

    /// What was shown before this offset of a query; None if that is not known.
    pub fn before(&self, key: QueryKey, offset: u64, now: Timestamp) -> Option<Shown> {
        if offset == 0 {
            return Some(self.nothing());
        }
        let generations = self.generations.lock();
        let place = (key, offset);
        let found = generations.young.get(&place).or_else(|| generations.old.get(&place));
        found.filter(|(_, until)| *until > now).map(|(shown, _)| shown.clone())
    }

    /// Remembers what was shown before this offset of a query.
    pub fn remember(&self, key: QueryKey, offset: u64, shown: Shown, now: Timestamp) {
        let until = now.plus_micros(LIFETIME_MICROS);
        let mut generations = self.generations.lock();
        if generations.young.len() >= GENERATION {
            generations.old = mem::take(&mut generations.young);
        }
        generations.young.insert((key, offset), (shown, until));
    }
}

impl Shown {
    /// How many entities were shown.
    pub fn len(&self) -> usize {
        self.last.as_ref().map_or(0, |leaf| leaf.count)
    }

    /// With those of a page more.
    pub fn with<'i>(self, page: impl Iterator<Item = &'i EntityId>) -> Self {
        let entities: Box<[u64]> = page.map(|id| self.hasher.hash_one(id)).collect();
        let count = self.len() + entities.len();
        Self { last: Some(Arc::new(Leaf { entities, count, before: self.last })), ..self }
    }

    /// The entities, to be looked at often.
    pub fn seen(&self) -> Seen<'_> {
        let mut entities = HashSet::with_capacity(self.len());
        let mut next = self.last.as_deref();
        while let Some(leaf) = next {
            entities.extend(&leaf.entities);
            next = leaf.before.as_deref();
        }
        Seen { shown: self, entities }
    }
}

impl Seen<'_> {
    /// Whether an entity was shown.
    pub fn has(&self, id: &EntityId) -> bool {
        !self.entities.is_empty() && self.entities.contains(&self.shown.hasher.hash_one(id))
    }
}

impl Drop for Leaf {
    /// One after the other, however many pages there are.
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(leaf) = next {
            next = Arc::into_inner(leaf).and_then(|mut leaf| leaf.before.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn id(number: usize) -> EntityId {
        EntityId::from_trusted(&format!("urn:x:{number}"))
    }

    #[test]
    fn what_was_shown_is_known_for_a_while_and_of_each_page() {
        let pages = TurnedPages::default();
        let key = QueryKey::of(1);
        let first = pages.before(key, 0, at(0)).expect("nothing").with([id(1), id(2)].iter());
        pages.remember(key, 2, first, at(0));
        let second = pages.before(key, 2, at(1)).expect("remembered").with([id(3)].iter());
        pages.remember(key, 4, second, at(1));
        let shown = pages.before(key, 4, at(1)).expect("remembered");
        assert_eq!(shown.len(), 3);
        let seen = shown.seen();
        assert!([1, 2, 3].iter().all(|number| seen.has(&id(*number))) && !seen.has(&id(4)));
        let shown = pages.before(key, 2, at(1)).expect("remembered");
        assert!(!shown.seen().has(&id(3)));
        assert!(pages.before(QueryKey::of(2), 2, at(1)).is_none());
        assert!(pages.before(key, 3, at(1)).is_none());
        assert!(pages.before(key, 2, at(301)).is_none());
    }

    #[test]
    fn pages_are_forgotten_by_number_and_many_let_go_of_no_stack() {
        let pages = TurnedPages::default();
        let mut shown = pages.nothing();
        for number in 0..200_000 {
            shown = shown.with([id(number)].iter());
        }
        let key = QueryKey::of(1);
        pages.remember(key, 1, shown, at(0));
        for offset in 0..3 * GENERATION as u64 {
            pages.remember(key, 10 + offset, pages.nothing(), at(0));
        }
        assert!(pages.before(key, 1, at(1)).is_none());
    }
}
