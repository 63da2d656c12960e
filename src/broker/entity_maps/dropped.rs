//! The places of an entity map whose entities no longer fit its query (5.5.9.3).

use serde::{Deserialize, Serialize};

/// Places that are passed over, as ranges: first and beyond the last, in order, apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Dropped(Vec<(u32, u32)>);

impl Dropped {
    /// Whether nothing was dropped.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many were dropped.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|(first, beyond)| beyond - first).sum()
    }

    /// Whether a place was dropped.
    pub fn contains(&self, place: u32) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= place);
        after > 0 && place < self.0[after - 1].1
    }

    /// Drops a place.
    pub fn insert(&mut self, place: u32) {
        if self.contains(place) {
            return;
        }
        let after = self.0.partition_point(|(first, _)| *first <= place);
        let touches_before = after > 0 && self.0[after - 1].1 == place;
        let touches_after = self.0.get(after).is_some_and(|(first, _)| *first == place + 1);
        match (touches_before, touches_after) {
            (true, true) => {
                let (_, beyond) = self.0.remove(after);
                self.0[after - 1].1 = beyond;
            }
            (true, false) => self.0[after - 1].1 = place + 1,
            (false, true) => self.0[after].0 = place,
            (false, false) => self.0.insert(after, (place, place + 1)),
        }
    }

    /// The place that has so many before it which were not dropped.
    pub fn place_of(&self, number: u64) -> u32 {
        let mut place = number;
        for (first, beyond) in &self.0 {
            if u64::from(*first) > place {
                break;
            }
            place = place.saturating_add(u64::from(beyond - first));
        }
        u32::try_from(place).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_the_set_of_places(places in prop::collection::vec(0_u32..60, 0..80)) {
            let mut dropped = Dropped::default();
            let mut reference = BTreeSet::new();
            for place in places {
                dropped.insert(place);
                reference.insert(place);
            }
            prop_assert_eq!(dropped.len() as usize, reference.len());
            prop_assert_eq!(dropped.is_empty(), reference.is_empty());
            for place in 0..64 {
                prop_assert_eq!(dropped.contains(place), reference.contains(&place));
            }
            let live: Vec<u32> = (0..200).filter(|place| !reference.contains(place)).collect();
            for (number, place) in live.iter().enumerate() {
                prop_assert_eq!(dropped.place_of(number as u64), *place);
            }
            // No range touches another.
            prop_assert!(dropped.0.windows(2).all(|two| two[0].1 < two[1].0));
        }
    }

    #[test]
    fn no_number_is_too_large() {
        let mut dropped = Dropped::default();
        dropped.insert(3);
        assert_eq!(dropped.place_of(u64::MAX), u32::MAX);
    }
}
