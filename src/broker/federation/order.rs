//! In which order a result stands that several places make up together.

use rustc_hash::FxHashSet;

use crate::model::EntityId;

/// The ids of all places, one place after the other and each id once, as far as it is known which
/// come next: what a place has in its own order, and whether there is nothing more.
pub(super) fn order_of<'z>(places: impl Iterator<Item = (&'z [EntityId], bool)>) -> Vec<EntityId> {
    let mut seen = FxHashSet::default();
    let mut order = Vec::new();
    for (ids, complete) in places {
        order.extend(ids.iter().filter(|id| seen.insert(*id)).cloned());
        if !complete {
            break;
        }
    }
    order
}
