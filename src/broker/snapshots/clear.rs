//! Taking away what a snapshot held, when it has ended, or before it is filled anew.

use super::keep::Kept;
use crate::broker::{About, Broker, Call, Error};
use crate::jsonld::Context;
use crate::model::{
    Action, EntityId, HistoryAction, HistoryWrite, SnapshotId, SubscriptionId, TenantId, Timestamp,
    Write,
};
use crate::query::{EntityPlan, HistoryPlan, Page, Projection};
use crate::represent::snapshot::SnapshotStatus;
use crate::store::{Shelf, StoreError};
use crate::subscribe::Pick;

use super::fill::PORTION;

/// Shelves of a place that may hold something beside what is taken away by name.
const SHELVES: [&str; 2] = ["deliveries", crate::store::HISTORY_RULES];

impl Broker {
    /// Takes a snapshot away that has ended, unless a clone is still made of it.
    pub(super) async fn take_snapshot_away(
        &self,
        tenant: &TenantId,
        id: &SnapshotId,
        kept: &Kept,
    ) -> Result<(), Error> {
        if !kept.ending {
            self.end_snapshot(tenant, id, Timestamp::now()).await?;
        }
        let all = self.snapshots.all(tenant).await?;
        let is_copied = all.iter().any(|other| {
            other.origin.as_deref() == Some(id.as_str())
                && !other.ending
                && other.snapshot.status == SnapshotStatus::Preparing
        });
        if is_copied {
            return Ok(());
        }
        self.clear(&tenant.place_for_snapshot(kept.place)).await?;
        self.snapshots.forget(tenant, kept).await?;
        Ok(())
    }

    /// Takes away all that a place holds.
    pub(super) async fn clear(&self, place: &TenantId) -> Result<(), Error> {
        match self.clear_known(place).await {
            // Nothing was ever kept there.
            Err(Error::Store(StoreError::UnknownTenant(_))) => Ok(()),
            cleared => cleared,
        }
    }

    async fn clear_known(&self, place: &TenantId) -> Result<(), Error> {
        let now = Timestamp::now();
        let call = Call { tenant: place.clone(), now, context: Context::core(), origin: None };
        // Nobody is to be told of what goes.
        for (id, _) in self.subscriptions().records(place, About::Entities).all().await? {
            match self
                .delete_subscription(&call, About::Entities, &SubscriptionId::from_trusted(&id))
                .await
            {
                Ok(()) | Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.notifier().drop_dead(place, &Pick::All).await?;
        self.clear_entities(&call).await?;
        self.clear_past(&call).await?;
        self.entity_maps.clear(place).await?;
        for name in SHELVES {
            let shelf = Shelf::of(place, name);
            for (key, _) in self.store.records(&shelf).await? {
                self.store.take_record(&shelf, &key).await?;
            }
        }
        Ok(())
    }

    async fn clear_entities(&self, call: &Call) -> Result<(), Error> {
        let page = Page { limit: PORTION, ..Page::default() };
        let plan = EntityPlan { page, ..EntityPlan::default() };
        loop {
            let found = self.store.find(&call.tenant, &plan, call.now).await?;
            if found.entities.is_empty() {
                return Ok(());
            }
            let delete = |id: &EntityId| Write::new(id.clone(), Action::Delete);
            let writes = found.entities.iter().map(|entity| delete(&entity.id)).collect();
            self.store.commit(&call.tenant, writes, call.now).await?;
        }
    }

    async fn clear_past(&self, call: &Call) -> Result<(), Error> {
        let shown = Projection::parse(Some("id"), None, None, &call.context, &self.query_limits)?;
        let mut plan = HistoryPlan { shown, whatever_the_window: true, ..HistoryPlan::default() };
        plan.entities.page = Page { limit: PORTION, ..Page::default() };
        loop {
            let found = match self.store.evolve(&call.tenant, &plan, call.now).await {
                // A store that keeps no history has none to take away.
                Err(StoreError::Unusable(_)) => return Ok(()),
                found => found?,
            };
            if found.told.evolutions.is_empty() {
                return Ok(());
            }
            let ids = found.told.evolutions.into_iter().map(|evolution| evolution.chapter.id);
            let writes = ids.map(|id| HistoryWrite { id, action: HistoryAction::Delete });
            self.store.commit_history(&call.tenant, writes.collect(), call.now).await?;
        }
    }
}
