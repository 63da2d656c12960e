//! What one source, or this broker itself, has of what is asked for; and how several such zones
//! become a page.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::weight;
use crate::broker::Call;
use crate::federate::{Leg, Union, Weight};
use crate::model::{Entity, EntityId, Stored};

/// What one leg, or this broker itself, has.
#[derive(Default)]
pub(super) struct Zone {
    pub order: Vec<EntityId>,
    pub entities: FxHashMap<EntityId, Found>,
    /// There is nothing more.
    pub complete: bool,
}

/// An entity as somebody told it.
pub(super) enum Found {
    Here(Arc<Stored>),
    There(Arc<Stored>),
}

impl Found {
    fn join(self, union: &mut Union, weight: Weight) {
        match self {
            Found::Here(stored) => union.add_here(&stored),
            Found::There(told) => union.add_told(told, weight),
        }
    }
}

impl Zone {
    /// Adds what is here.
    pub fn add_here(&mut self, stored: Arc<Stored>) {
        self.add(stored.id.clone(), || Found::Here(stored));
    }

    /// Adds what a source told.
    pub fn add_there(&mut self, told: Arc<Stored>) {
        self.add(told.id.clone(), || Found::There(told));
    }

    fn add(&mut self, id: EntityId, found: impl FnOnce() -> Found) {
        // A source that tells of an entity twice is believed once.
        if let Entry::Vacant(place) = self.entities.entry(id) {
            self.order.push(place.key().clone());
            place.insert(found());
        }
    }

    /// The entities of a page that it may have beyond what is known of it.
    pub fn missing(&self, page: &[EntityId]) -> Vec<EntityId> {
        if self.complete {
            return Vec::new();
        }
        page.iter().filter(|id| !self.entities.contains_key(*id)).cloned().collect()
    }
}

/// The entities of a page, put together from all zones.
pub(super) fn joined(
    call: &Call,
    legs: &[Leg],
    zones: &mut [Zone],
    page: &[EntityId],
) -> Vec<Arc<Stored>> {
    let mut union = Union::new(call.now);
    for id in page {
        for (place, zone) in zones.iter_mut().enumerate() {
            if let Some(found) = zone.entities.remove(id) {
                found.join(&mut union, weight_at(legs, place));
            }
        }
    }
    union.into_stored()
}

/// All entities, put together from all zones.
pub(super) fn united(call: &Call, legs: &[Leg], zones: Vec<Zone>) -> Vec<Entity> {
    let mut union = Union::new(call.now);
    for (place, zone) in zones.into_iter().enumerate() {
        let Zone { order, mut entities, .. } = zone;
        let own = order.iter().filter_map(|id| entities.remove(id));
        own.for_each(|found| found.join(&mut union, weight_at(legs, place)));
    }
    union.into_entities()
}

/// What the zone at a place counts: the first is what is here.
fn weight_at(legs: &[Leg], place: usize) -> Weight {
    place.checked_sub(1).map_or(Weight::Equal, |leg| weight(&legs[leg]))
}
