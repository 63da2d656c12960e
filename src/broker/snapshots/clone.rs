//! Clone Snapshot (5.16.2).

use super::fill::{Filling, PORTION};
use crate::broker::{Broker, Call, Error};
use crate::jsonld::{Context, Document};
use crate::model::{SnapshotId, Timestamp};
use crate::query::{EntityPlan, Page};
use crate::represent::snapshot::{Execution, SnapshotDraft, SnapshotStatus};
use crate::store::StoreError;

impl Broker {
    /// Creates a snapshot that holds what another one holds, and returns its id. It is filled
    /// afterwards, though the original be deleted. 5.16.2.
    pub async fn clone_snapshot(
        &self,
        call: &Call,
        id: &SnapshotId,
        body: &Document<'_>,
    ) -> Result<SnapshotId, Error> {
        let origin = self.kept_snapshot(call, id).await?;
        let mut draft = SnapshotDraft::read_clone(body)?;
        draft.queries.clone_from(&origin.snapshot.queries);
        draft.temporal_queries.clone_from(&origin.snapshot.temporal_queries);
        self.add_snapshot(call, draft, Some(&origin)).await
    }
}

impl Filling<'_> {
    /// Copies what another snapshot holds; what came of its queries. None if it is not filled yet.
    pub(super) async fn copy(
        &mut self,
        origin: &SnapshotId,
    ) -> Result<Option<(Vec<Execution>, Vec<Execution>)>, Error> {
        let gone = || {
            let error =
                Error::NotFound(format!("the snapshot {origin} was gone before it was copied"));
            Execution::Failure(self.broker.described(error))
        };
        let Some(kept) = self.broker.snapshots.any(self.tenant, origin).await? else {
            return Ok(Some((vec![gone()], Vec::new())));
        };
        if kept.snapshot.status == SnapshotStatus::Preparing {
            // It will not be filled any more once it has ended.
            let never = !kept.is_there(Timestamp::now());
            return Ok(never.then(|| (vec![gone()], Vec::new())));
        }
        let tenant = self.tenant.place_for_snapshot(kept.place);
        let call = Call { tenant, now: Timestamp::now(), context: Context::core(), origin: None };
        let copied = match self.copy_entities(&call).await {
            Ok(()) => self.copy_past(&call).await,
            Err(error) => Err(error),
        };
        match copied {
            Ok(()) | Err(Error::Store(StoreError::UnknownTenant(_))) => {}
            Err(Error::Conflict(why)) => return Err(Error::Conflict(why)),
            Err(error) => {
                let why = self.broker.described(error);
                return Ok(Some((vec![Execution::Failure(why)], Vec::new())));
            }
        }
        Ok(Some((kept.snapshot.details, kept.snapshot.temporal_details)))
    }

    async fn copy_entities(&mut self, call: &Call) -> Result<(), Error> {
        let page = Page { limit: PORTION, ..Page::default() };
        let mut plan = EntityPlan { page, ..EntityPlan::default() };
        loop {
            let found = self.broker.store.find(&call.tenant, &plan, call.now).await?;
            let entities = found.entities.iter().map(|stored| stored.entity.clone());
            self.keep(entities.collect()).await?;
            match found.next {
                Some(next) => plan.page.after = Some(next),
                None => return Ok(()),
            }
        }
    }
}
