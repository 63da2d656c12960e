//! The promises of a store: each is one generic function, and one test per backend.
//!
//! ```ignore
//! store_suite!(embedded, EmbeddedBackend);
//! ```

mod events;
mod guards;
mod history;
mod lifetimes;
mod pages;
pub(in crate::store) mod queries;
mod records;
mod tenants;
mod writes;

use std::sync::Arc;

use async_trait::async_trait;

use super::samples::{at, bare_entity, entity_id, property, type_name};
use super::{Store, StoreError};
use crate::model::{Action, Change, Entity, EntityId, Name, Refusal, Stored, TenantId, Timestamp};
use crate::model::{TypeSelection, Write};
use crate::query::{EntityPlan, Page, Selector};

pub use events::*;
pub use guards::*;
pub use history::*;
pub use lifetimes::*;
pub use pages::*;
pub use queries::*;
pub use records::*;
pub use tenants::*;
pub use writes::*;

/// A backend under test.
#[async_trait]
pub trait Backend: Send + Sync + Sized {
    /// An empty store.
    async fn start() -> Self;
    /// The store.
    fn store(&self) -> Arc<dyn Store>;
    /// Ends the store as an orderly end does, and opens it again on the same data.
    async fn restart(self) -> Self;
    /// Removes what has expired by this time.
    async fn sweep(&self, now: Timestamp);
    /// Waits until everything that makes queries faster is in use.
    async fn settle(&self);
}

/// One test per promise.
macro_rules! store_suite {
    ($name:ident, $backend:ty) => {
        $crate::store::suite::store_suite!(@ $name, $backend,
            // writes
            what_is_created_is_there,
            every_kind_of_write_does_what_the_model_says,
            a_refused_write_has_no_effect_and_hinders_no_other,
            a_commit_makes_only_so_much_anew,
            writes_of_one_commit_see_each_other,
            an_entity_deleted_and_created_again_is_new,
            concurrent_changes_to_one_entity_lose_nothing,
            what_is_too_deep_is_refused,
            a_change_tells_what_was_and_what_is,
            what_a_guard_refuses_is_not_kept,
            a_guard_is_not_asked_of_what_is_copied,
            // tenants
            tenants_do_not_see_each_other,
            a_tenant_comes_into_being_with_its_first_entity,
            // pages
            entities_come_in_the_order_they_were_created,
            pages_have_neither_gaps_nor_duplicates_while_others_write,
            ordered_pages_go_on_where_they_ended,
            ordered_pages_have_neither_gaps_nor_duplicates_while_others_write,
            a_wrong_anchor_is_refused,
            counting_needs_no_page,
            // queries
            a_store_finds_what_the_evaluator_finds,
            links_are_followed_to_the_end_or_refused,
            changes_are_found_at_once,
            the_census_counts_what_is_there,
            // lifetimes
            what_has_expired_is_not_there,
            what_has_expired_is_swept_away,
            everything_is_there_after_a_restart,
            instants_keep_their_decimals,
            // records
            records_are_put_added_and_taken,
            records_of_tenants_are_apart,
            a_record_changes_together_with_its_events,
            // events
            wanted_changes_are_kept_as_events,
            events_survive_a_restart_until_they_are_forgotten,
            expiry_makes_events,
            who_follows_the_log_skips_nothing,
            leases_are_taken_renewed_and_released,
        );
    };
    // Of stores that keep history.
    (history $name:ident, $backend:ty) => {
        $crate::store::suite::store_suite!(@ $name, $backend,
            history_is_what_was_recorded,
            history_is_restored_as_it_was,
            readings_are_placed_by_when_they_were_observed,
            instances_are_modified_and_deleted,
            rules_say_what_is_recorded,
            what_a_guard_refuses_does_not_come_by_history,
            what_a_guard_refuses_of_the_past_is_not_kept,
            changes_of_the_past_make_events,
            history_survives_a_restart,
            recorded_instants_keep_their_decimals,
            what_is_told_changes_only_with_its_stamp,
            a_stamp_that_is_still_the_same_hides_no_acknowledged_write,
            deviations_are_exact_far_from_zero,
            windows_find_what_lies_in_them,
        );
    };
    (@ $name:ident, $backend:ty, $($promise:ident,)*) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    $crate::store::suite::$promise::<$backend>().await;
                }
            )*
        }
    };
}

pub(crate) use store_suite;

/// The tenant most promises are tried in.
const HERE: TenantId = TenantId::DEFAULT;

/// Carries out one write.
async fn write(store: &dyn Store, write: Write, now: Timestamp) -> Result<Change, Refusal> {
    let mut results = store.commit(&HERE, vec![write], now).await.expect("the store works");
    assert_eq!(results.len(), 1);
    results.remove(0)
}

/// Intends to create an entity.
fn create(entity: Entity) -> Write {
    Write::new(entity.id.clone(), Action::Create(entity))
}

/// Creates entities of one type in order.
async fn create_some(store: &dyn Store, ids: std::ops::Range<usize>, now: Timestamp) {
    let writes = ids.map(|id| create(bare_entity(id, 0))).collect();
    let results = store.commit(&HERE, writes, now).await.expect("the store works");
    assert!(results.iter().all(Result::is_ok));
}

/// The entity of this number.
async fn get(store: &dyn Store, id: usize, now: Timestamp) -> Option<Arc<Stored>> {
    store.get(&HERE, &entity_id(id), now).await.expect("the store works")
}

/// The plan of all entities of a type.
fn of_type(number: usize, page: Page) -> EntityPlan {
    let types = Some(TypeSelection::of(type_name(number)));
    EntityPlan {
        select: vec![Selector { types, ..Selector::default() }],
        page,
        ..EntityPlan::default()
    }
}

/// The plan of everything.
fn everything() -> EntityPlan {
    EntityPlan::default()
}

/// The ids a plan finds.
async fn ids(store: &dyn Store, plan: &EntityPlan, now: Timestamp) -> Vec<EntityId> {
    let found = store.find(&HERE, plan, now).await.expect("the store works");
    found.entities.iter().map(|entity| entity.id.clone()).collect()
}
