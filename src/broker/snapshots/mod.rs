//! Snapshots (5.16): what queries found at a time, kept apart from what becomes of it.
//!
//! What a snapshot holds lies in a tenant of its own that no client can name; the header
//! `NGSILD-Snapshot` leads an operation there, so that every operation works on a snapshot as it
//! does on anything else. Each tenant has a number of such places, which are used again.

mod clear;
mod clone;
mod fill;
mod keep;
mod operations;
mod past;
mod purge;
mod tell;

use self::keep::Kept;
pub(super) use self::keep::{Snapshots, snapshot_in};
use super::{Broker, Call, Error};
use crate::model::{SnapshotId, TenantId, Timestamp};
use crate::query::Period;
use crate::represent::snapshot::SnapshotSettings;
use crate::store::StoreError;

/// How seldom it is noted that a snapshot is used, in microseconds.
const USED_EVERY: i64 = 60 * 1_000_000;

impl Broker {
    /// Where what a snapshot holds lies (5.5.15).
    pub async fn place_of_snapshot(
        &self,
        tenant: &TenantId,
        id: &str,
        now: Timestamp,
    ) -> Result<TenantId, Error> {
        let unknown = || Error::NotFound(format!("there is no snapshot {id}"));
        // A name that no snapshot can have is one that no snapshot has.
        let id = SnapshotId::parse(id).map_err(|_| unknown())?;
        let kept = self.snapshots.get(tenant, &id, now).await?.ok_or_else(unknown)?;
        if now.micros() - kept.snapshot.last_used_at.micros() >= USED_EVERY {
            self.snapshots
                .change(tenant, &id, |kept| {
                    kept.snapshot.last_used_at = kept.snapshot.last_used_at.max(now);
                })
                .await?;
        }
        Ok(tenant.place_for_snapshot(kept.place))
    }

    /// Asks for something to be done about the snapshots of a tenant that want it; how many there
    /// are.
    pub(super) async fn look_after_snapshots(
        &self,
        tenant: &TenantId,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let all = self.snapshots.all(tenant).await?;
        for kept in all.iter().filter(|kept| kept.wants_work(now)) {
            self.snapshots.want(tenant, &SnapshotId::from_trusted(&kept.snapshot.id));
        }
        self.snapshots.sweep_places(tenant, now).await?;
        Ok(all.len())
    }

    /// When a snapshot ends (5.2.41): as is wished, but not later than allowed.
    fn end_of_snapshot(
        &self,
        settings: &SnapshotSettings,
        now: Timestamp,
    ) -> Result<Timestamp, Error> {
        let limits = &self.snapshots.limits;
        let latest = super::entity_maps::later(now, limits.lifetime_max);
        let Some(text) = settings.lifetime.as_deref() else {
            return Ok(super::entity_maps::later(now, limits.lifetime).min(latest));
        };
        let wish: Period = text.parse().map_err(|_| {
            Error::bad(format!(
                "$.snapshotLifetime: {text:?} is not a duration: write it like P7D or PT12H"
            ))
        })?;
        let end = wish.after(now);
        if end <= now {
            return Err(Error::bad("$.snapshotLifetime: it has to be longer than nothing"));
        }
        Ok(end.min(latest))
    }

    /// The snapshot of an id.
    async fn kept_snapshot(&self, call: &Call, id: &SnapshotId) -> Result<Kept, Error> {
        let kept = self.snapshots.get(&call.tenant, id, call.now).await?;
        kept.ok_or_else(|| no_snapshot(id))
    }
}

fn no_snapshot(id: &SnapshotId) -> Error {
    Error::NotFound(format!("there is no snapshot {id}"))
}
