//! Drafts: what a group makes of the entities that it touches, and how others come to see it.

use std::sync::Arc;

use crate::model::Stored;
use crate::store::embedded::Inner;
use crate::store::embedded::seats::SeatNumber;
use crate::store::embedded::tenants::{State, Tenant};

/// An entity that the group touched.
pub(super) struct Draft {
    pub tenant: Arc<Tenant>,
    /// Where it sat before the group, and where it lay.
    pub seat: Option<(SeatNumber, u64)>,
    pub before: Option<Arc<Stored>>,
    pub version: Version,
}

/// What the group has made of an entity so far.
pub(super) struct Version {
    pub entity: Option<Arc<Stored>>,
    /// Where it will lie, if the group created it.
    pub sequence: Option<u64>,
    /// What it will need in memory.
    pub weight: u32,
}

impl Draft {
    /// Whether the group made something else of it.
    pub fn is_changed(&self) -> bool {
        match (&self.before, &self.version.entity) {
            (Some(before), Some(after)) => !Arc::ptr_eq(before, after),
            (None, None) => false,
            _ => true,
        }
    }

    /// Lets others see it.
    pub fn publish(self, state: &mut State, inner: &Inner) {
        let Version { entity: after, sequence, weight } = self.version;
        let stays = after.is_some() && sequence.is_none();
        if let Some((number, _)) = self.seat.filter(|_| !stays) {
            state.index.update(number, self.before.as_deref().map(|e| &e.entity), None);
            if let Some(seat) = state.seats.get_mut(number) {
                inner.cache.forget(seat);
            }
            state.seats.leave(number);
        }
        let Some(after) = after else { return };
        let number = match (sequence, self.seat) {
            (Some(sequence), _) => {
                let Some(number) = state.seats.take(after.id.clone(), sequence) else {
                    // Four thousand million entities were created since the start.
                    tracing::error!("no seat is left: restart to see {}", after.id);
                    return;
                };
                state.index.update(number, None, Some(&after.entity));
                number
            }
            (None, Some((number, _))) => {
                let before = self.before.as_deref().map(|e| &e.entity);
                state.index.update(number, before, Some(&after.entity));
                number
            }
            (None, None) => return,
        };
        if let Some(seat) = state.seats.get_mut(number) {
            seat.version = seat.version.wrapping_add(1);
            inner.cache.remember(seat, after, weight);
        }
    }
}
