//! Things that are kept in memory in case they are asked for again, within a number of bytes.

use std::borrow::Borrow;
use std::hash::Hash;
use std::mem;

use hashbrown::HashMap;

/// What an entry costs beside what it is said to take.
const COST: usize = 128;

/// Things by their keys, in two generations: when the young have grown to half of what may be
/// kept, they become the old, and the old that nobody asked for meanwhile go.
pub(crate) struct Generations<K, V> {
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    /// What the young take.
    bytes: usize,
    most: usize,
}

impl<K: Hash + Eq, V: Clone> Generations<K, V> {
    /// Room for so many bytes.
    pub fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), bytes: 0, most }
    }

    /// What is kept under a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if let Some((thing, _)) = self.young.get(key) {
            return Some(thing.clone());
        }
        let (key, (thing, bytes)) = self.old.remove_entry(key)?;
        self.keep(key, thing.clone(), bytes);
        Some(thing)
    }

    /// Keeps something that takes so many bytes, in place of what was there; not if it would take
    /// more than a small part of all.
    pub fn keep(&mut self, key: K, thing: V, bytes: usize) {
        if bytes > self.most / 32 {
            return;
        }
        self.bytes += bytes + COST;
        if self.bytes > self.most / 2 {
            self.old = mem::take(&mut self.young);
            self.bytes = bytes + COST;
        }
        if let Some((_, before)) = self.young.insert(key, (thing, bytes)) {
            self.bytes -= before + COST;
        }
    }

    /// Keeps what is under a key no longer.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some((_, bytes)) = self.young.remove(key) {
            self.bytes -= bytes + COST;
        }
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_no_more_is_kept_than_was_said() {
        let mut kept = Generations::new(64 << 10);
        for number in 0..500 {
            kept.keep(number, number, 1_000);
            assert_eq!(kept.get(&0), Some(0));
            assert_eq!(kept.get(&number), Some(number));
        }
        let held = kept.young.len() + kept.old.len();
        assert!((20..=64).contains(&held), "{held}");
        assert_eq!(kept.get(&250), None);
        kept.keep(1_000, 1, 3_000);
        assert_eq!(kept.get(&1_000), None, "too large");
    }

    #[test]
    fn what_is_removed_or_replaced_takes_no_room() {
        let mut kept = Generations::new(64 << 10);
        for _ in 0..500 {
            kept.keep("again", 1, 1_000);
        }
        kept.keep("another", 2, 1_000);
        assert_eq!(kept.bytes, 2 * (1_000 + COST));
        kept.remove("again");
        assert_eq!((kept.bytes, kept.get("again")), (1_000 + COST, None));
    }
}
