//! Create Snapshot, retrieve, update and delete it (5.16.1, 5.16.3 to 5.16.5).

use std::time::Duration;

use super::keep::Kept;
use super::no_snapshot;
use super::tell::target_of;
use crate::broker::{Broker, Call, Error, HistoryTexts, QueryTexts, ViewTexts};
use crate::jsonld::Document;
use crate::model::{SnapshotId, TenantId, Timestamp};
use crate::represent::snapshot::{Snapshot, SnapshotDraft, SnapshotSettings, SnapshotStatus};

/// How long it is waited for somebody who works on a snapshot that has to go.
const TURN: Duration = Duration::from_secs(10);

impl Broker {
    /// Creates a snapshot and returns its id. Its queries are carried out afterwards. 5.16.1.
    pub async fn create_snapshot(
        &self,
        call: &Call,
        body: &Document<'_>,
    ) -> Result<SnapshotId, Error> {
        let draft = SnapshotDraft::read(body, self.snapshots.limits.queries)?;
        for (place, query) in draft.queries.iter().enumerate() {
            let asked = self.snapshot_query(call, query);
            asked.map_err(|error| within("snapshotQueries", place, error))?;
        }
        for (place, query) in draft.temporal_queries.iter().enumerate() {
            let asked = self.temporal_snapshot_query(call, query);
            asked.map_err(|error| within("snapshotTemporalQueries", place, error))?;
        }
        self.add_snapshot(call, draft, None).await
    }

    /// Keeps a snapshot that is to be filled.
    pub(super) async fn add_snapshot(
        &self,
        call: &Call,
        draft: SnapshotDraft,
        origin: Option<&Kept>,
    ) -> Result<SnapshotId, Error> {
        let expires_at = self.end_of_snapshot(&draft.settings, call.now)?;
        self.check_notified(&draft.settings)?;
        let id = draft.id.unwrap_or_else(new_id);
        let context = match origin {
            Some(origin) => origin.context.clone(),
            None => {
                let all = self.subscriptions();
                let named =
                    all.context_of_notifications(&call.tenant, None, &call.context, call.now);
                named.await?.1.to_string()
            }
        };
        let snapshot = Snapshot {
            id: id.as_str().to_owned(),
            queries: draft.queries,
            temporal_queries: draft.temporal_queries,
            settings: draft.settings,
            status: SnapshotStatus::Preparing,
            details: Vec::new(),
            temporal_details: Vec::new(),
            created_at: call.now,
            modified_at: call.now,
            expires_at,
            last_used_at: call.now,
        };
        let origin = origin.map(|origin| origin.snapshot.id.clone());
        // Whom room is made for takes it before somebody else does.
        let _turn = self.snapshots.room.lock().await;
        self.make_room(call, snapshot.settings.priority).await?;
        self.snapshots.add(&call.tenant, snapshot, context, origin, call.now).await?;
        Ok(id)
    }

    /// Where there is no room for one more snapshot, one that matters less goes: of the lowest
    /// priority, below that of the new one, the one that was not used for the longest (5.2.41).
    async fn make_room(&self, call: &Call, priority: u8) -> Result<(), Error> {
        // Also tells whether the tenant is there: snapshots do not bring one into being.
        let all = self.snapshots.all(&call.tenant).await?;
        let most = self.snapshots.limits.per_tenant;
        if all.len() < most {
            return Ok(());
        }
        let (there, going): (Vec<Kept>, _) =
            all.into_iter().partition(|kept| kept.is_there(call.now));
        for kept in going {
            self.see_it_go(call, &kept).await?;
        }
        if self.snapshots.all(&call.tenant).await?.len() < most {
            return Ok(());
        }
        let lesser = there.iter().filter(|kept| kept.snapshot.settings.priority < priority);
        let least =
            lesser.min_by_key(|kept| (kept.snapshot.settings.priority, kept.snapshot.last_used_at));
        if let Some(kept) = least {
            let id = SnapshotId::from_trusted(&kept.snapshot.id);
            self.end_snapshot(&call.tenant, &id, call.now).await?;
            self.see_it_go(call, kept).await?;
        }
        Ok(())
    }

    /// Takes a snapshot away that has ended. Whoever is at work on it, or has begun to take it away
    /// already, is waited for: only then its place is free.
    async fn see_it_go(&self, call: &Call, kept: &Kept) -> Result<(), Error> {
        let one = (call.tenant.clone(), SnapshotId::from_trusted(&kept.snapshot.id));
        if tokio::time::timeout(TURN, self.snapshots.begin_in_turn(&one)).await.is_ok() {
            let worked = self.work_on_snapshot(&one.0, &one.1).await;
            self.snapshots.done(&one);
            worked?;
        }
        Ok(())
    }

    /// An endpoint that can never be told is refused.
    fn check_notified(&self, settings: &SnapshotSettings) -> Result<(), Error> {
        use crate::egress::Courier;
        let Some(target) = target_of(settings) else { return Ok(()) };
        let refuse = |why: String| Error::bad(format!("$.endpoint: {why}"));
        let target = target.map_err(|error| refuse(error.to_string()))?;
        if target.is_stream() {
            return Err(refuse("it is for subscriptions".to_owned()));
        }
        self.carrier.admits(&target).map_err(|error| refuse(error.to_string()))
    }

    /// Retrieves the status of a snapshot. 5.16.3.
    pub async fn retrieve_snapshot(&self, call: &Call, id: &SnapshotId) -> Result<Snapshot, Error> {
        Ok(self.kept_snapshot(call, id).await?.snapshot)
    }

    /// Changes how long a snapshot is kept, how much it matters, and who is told. 5.16.4.
    pub async fn update_snapshot(
        &self,
        call: &Call,
        id: &SnapshotId,
        body: &Document<'_>,
    ) -> Result<Snapshot, Error> {
        let mut settings = self.kept_snapshot(call, id).await?.snapshot.settings;
        let lifetime = settings.amend(body, id.as_str())?;
        self.check_notified(&settings)?;
        let end = self.end_of_snapshot(&settings, call.now)?;
        let changed = self.snapshots.change(&call.tenant, id, |kept| {
            kept.snapshot.settings = settings;
            kept.snapshot.modified_at = call.now;
            if lifetime {
                kept.snapshot.expires_at = end;
            }
        });
        let kept = changed.await?.ok_or_else(|| no_snapshot(id))?;
        self.tell_of_snapshot(&call.tenant, &kept.snapshot, call.now);
        Ok(kept.snapshot)
    }

    /// Deletes a snapshot. It is not seen from now on; its data go afterwards. 5.16.5.
    pub async fn delete_snapshot(&self, call: &Call, id: &SnapshotId) -> Result<(), Error> {
        self.kept_snapshot(call, id).await?;
        self.end_snapshot(&call.tenant, id, call.now).await
    }

    /// Lets a snapshot end now.
    pub(super) async fn end_snapshot(
        &self,
        tenant: &TenantId,
        id: &SnapshotId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let changed = self.snapshots.change(tenant, id, |kept| {
            kept.ending = true;
            kept.snapshot.expires_at = kept.snapshot.expires_at.min(now.plus_micros(-1));
        });
        if let Some(kept) = changed.await? {
            self.tell_of_snapshot(tenant, &kept.snapshot, now);
            self.snapshots.want(tenant, id);
        }
        Ok(())
    }

    /// What a query of a snapshot asks. It does not reach into other entities, and all of it is
    /// collected, so that neither joins nor pages nor maps have a meaning.
    pub(super) fn snapshot_query(
        &self,
        call: &Call,
        query: &serde_json::Value,
    ) -> Result<(QueryTexts, ViewTexts), Error> {
        let (mut texts, mut view) = (QueryTexts::default(), ViewTexts::default());
        self.read_query(&Document::from_json(query), &mut texts, &mut view)?;
        if view.join.as_deref().is_some_and(|join| join != "@none") {
            return Err(Error::bad(
                "$.join: a query of a snapshot does not join: ask for the linked entities in a \
                 query of their own",
            ));
        }
        texts.map = <_>::default();
        let plan = self.plan(call, &texts)?;
        if plan.link_depth() > 0 {
            return Err(Error::bad("$.q: it follows a relationship, which needs a join"));
        }
        self.rendering(call, &view)?;
        Ok((texts, view))
    }

    /// What a temporal query of a snapshot asks.
    pub(super) fn temporal_snapshot_query(
        &self,
        call: &Call,
        query: &serde_json::Value,
    ) -> Result<(QueryTexts, HistoryTexts, ViewTexts), Error> {
        let (mut texts, mut view) = (QueryTexts::default(), ViewTexts::default());
        let mut time = HistoryTexts::default();
        self.read_temporal_query(&Document::from_json(query), &mut texts, &mut time, &mut view)?;
        if time.mentions_aggregates {
            return Err(Error::bad(
                "$.aggrParams: a snapshot holds what was recorded; aggregate when you ask it",
            ));
        }
        texts.map = <_>::default();
        self.evolution_plan(call, &texts, &time, &view)?;
        Ok((texts, time, view))
    }
}

fn within(list: &str, place: usize, error: Error) -> Error {
    let why = error.to_string();
    let why = why.strip_prefix('$').unwrap_or(&why);
    let gap = if why.starts_with(['.', '[', ':']) { "" } else { ": " };
    match error {
        Error::Query(_) | Error::Read(_) | Error::BadRequestData(_) => {
            Error::bad(format!("$.{list}[{place}]{gap}{why}"))
        }
        other => other,
    }
}

fn new_id() -> SnapshotId {
    SnapshotId::from_trusted(&format!("urn:ngsi-ld:Snapshot:{}", uuid::Uuid::now_v7()))
}
