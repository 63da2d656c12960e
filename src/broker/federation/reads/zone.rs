//! What one source, or this broker itself, has of what is asked for; and how several such zones
//! become a page.

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
    pub entities: FxHashMap<EntityId, Entity>,
    /// There is nothing more.
    pub complete: bool,
}

impl Zone {
    pub fn add(&mut self, entity: Entity) {
        // A source that tells of an entity twice is believed once.
        if !self.entities.contains_key(&entity.id) {
            self.order.push(entity.id.clone());
            self.entities.insert(entity.id.clone(), entity);
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
            if let Some(entity) = zone.entities.remove(id) {
                union.add(entity, weight_at(legs, place));
            }
        }
    }
    union.into_entities().into_iter().map(Stored::new).collect()
}

/// All entities, put together from all zones.
pub(super) fn united(call: &Call, legs: &[Leg], zones: Vec<Zone>) -> Vec<Entity> {
    let mut union = Union::new(call.now);
    for (place, zone) in zones.into_iter().enumerate() {
        let Zone { order, mut entities, .. } = zone;
        let own = order.iter().filter_map(|id| entities.remove(id));
        own.for_each(|entity| union.add(entity, weight_at(legs, place)));
    }
    union.into_entities()
}

/// What the zone at a place counts: the first is what is here.
fn weight_at(legs: &[Leg], place: usize) -> Weight {
    place.checked_sub(1).map_or(Weight::Equal, |leg| weight(&legs[leg]))
}
