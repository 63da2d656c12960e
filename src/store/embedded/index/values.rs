//! The values of one attribute: which seats have which keys.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::super::seats::SeatNumber;
use crate::model::Attribute;
use crate::query::{Key, KeyRange, keys_of};

/// The seats with one key; most readings are nobody else's.
#[derive(Debug)]
enum Holders {
    One(SeatNumber),
    Many(Box<RoaringBitmap>),
}

impl Holders {
    fn len(&self) -> u64 {
        match self {
            Holders::One(_) => 1,
            Holders::Many(seats) => seats.len(),
        }
    }
}

/// Seats by the keys of an attribute.
#[derive(Debug, Default)]
pub(in super::super) struct Values(BTreeMap<Key, Holders>);

/// The keys of an attribute, sorted, each once.
pub(in super::super) fn keys(attribute: Option<&Attribute>) -> Vec<Key> {
    let mut keys = Vec::new();
    if let Some(attribute) = attribute {
        keys_of(attribute, &mut keys);
        keys.sort_unstable();
        keys.dedup();
    }
    keys
}

impl Values {
    /// An index of what was found when all entities were read.
    pub fn build(mut entries: Vec<(Key, SeatNumber)>) -> Self {
        entries.sort_unstable();
        let mut all: Vec<(Key, Holders)> = Vec::new();
        for (key, seat) in entries {
            match all.last_mut() {
                Some((last, holders)) if *last == key => holders.insert(seat),
                _ => all.push((key, Holders::One(seat))),
            }
        }
        Self(all.into_iter().collect())
    }

    /// Takes note of what became of the attribute in a seat.
    pub fn update(
        &mut self,
        seat: SeatNumber,
        before: Option<&Attribute>,
        after: Option<&Attribute>,
    ) {
        let (old, new) = (keys(before), keys(after));
        if old == new {
            return;
        }
        for key in old.iter().filter(|key| new.binary_search(key).is_err()) {
            self.remove(key, seat);
        }
        for key in new {
            if old.binary_search(&key).is_err() {
                self.insert(key, seat);
            }
        }
    }

    /// Replaces the keys a seat had by those it has.
    pub fn correct<'a>(
        &mut self,
        seat: SeatNumber,
        old: impl Iterator<Item = &'a Key>,
        now: Option<&Attribute>,
    ) {
        old.for_each(|key| self.remove(key, seat));
        keys(now).into_iter().for_each(|key| self.insert(key, seat));
    }

    fn insert(&mut self, key: Key, seat: SeatNumber) {
        match self.0.get_mut(&key) {
            Some(holders) => holders.insert(seat),
            None => drop(self.0.insert(key, Holders::One(seat))),
        }
    }

    fn remove(&mut self, key: &Key, seat: SeatNumber) {
        let none_left = match self.0.get_mut(key) {
            Some(Holders::One(own)) => *own == seat,
            Some(Holders::Many(seats)) => {
                seats.remove(seat);
                seats.is_empty()
            }
            None => false,
        };
        if none_left {
            self.0.remove(key);
        }
    }

    /// The seats with a key in one of the ranges; None if there are more than `most`.
    pub fn find(&self, ranges: &[KeyRange], most: u64) -> Option<RoaringBitmap> {
        let mut single = Vec::new();
        let mut found = RoaringBitmap::new();
        let mut count = 0;
        for range in ranges.iter().filter(|range| !range.is_empty()) {
            for (_, holders) in self.0.range(range.clone()) {
                count += holders.len();
                if count > most {
                    return None;
                }
                match holders {
                    Holders::One(seat) => single.push(*seat),
                    Holders::Many(seats) => found |= &**seats,
                }
            }
        }
        single.sort_unstable();
        single.dedup();
        if let Ok(single) = RoaringBitmap::from_sorted_iter(single) {
            found |= single;
        }
        Some(found)
    }
}

impl Holders {
    fn insert(&mut self, seat: SeatNumber) {
        match self {
            Holders::One(own) if *own == seat => {}
            Holders::One(own) => {
                *self = Holders::Many(Box::new(RoaringBitmap::from_iter([*own, seat])));
            }
            Holders::Many(seats) => drop(seats.insert(seat)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use super::*;
    use crate::model::{Datum, Instance, Value};

    fn attribute(number: f64) -> Attribute {
        Attribute::one(Instance::new(Datum::Property(Value::from(number))))
    }

    fn above(number: f64) -> Vec<KeyRange> {
        vec![KeyRange {
            low: Bound::Excluded(Key::number(number)),
            high: Bound::Included(Key::number(f64::INFINITY)),
        }]
    }

    #[test]
    fn seats_are_found_by_ranges_as_values_change() {
        let mut values = Values::build(vec![(Key::number(5.0), 1), (Key::number(5.0), 2)]);
        values.update(3, None, Some(&attribute(7.0)));
        assert_eq!(values.find(&above(4.0), 10), Some(RoaringBitmap::from_iter([1, 2, 3])));
        assert_eq!(values.find(&above(4.0), 2), None, "more than asked for");
        assert_eq!(values.find(&above(6.0), 10), Some(RoaringBitmap::from_iter([3])));
        values.update(2, Some(&attribute(5.0)), Some(&attribute(8.0)));
        values.update(3, Some(&attribute(7.0)), None);
        assert_eq!(values.find(&above(6.0), 10), Some(RoaringBitmap::from_iter([2])));
        values.update(1, Some(&attribute(5.0)), None);
        values.update(2, Some(&attribute(8.0)), None);
        assert!(values.0.is_empty());
    }
}
