//! Telling of the status of a snapshot (5.3.4, 5.16.6): when it was filled, changed, and is gone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::broker::Broker;
use crate::egress::{Carrier, Courier, Message, Target, TargetError};
use crate::model::{TenantId, Timestamp};
use crate::represent::snapshot::{Snapshot, SnapshotSettings};

/// The pauses before it is tried again to tell somebody. Whoever is not reached by then asks.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];

/// How many notifications may be on their way at once; more are dropped, and said so.
const MOST: usize = 256;

static UNDER_WAY: Semaphore = Semaphore::const_new(MOST);

impl Broker {
    /// Tells the endpoint of a snapshot how it is, if it has one.
    pub(super) fn tell_of_snapshot(&self, tenant: &TenantId, snapshot: &Snapshot, now: Timestamp) {
        let target = match target_of(&snapshot.settings) {
            None => return,
            Some(Ok(target)) => target,
            Some(Err(error)) => {
                tracing::warn!(snapshot = snapshot.id, %error, "a snapshot's endpoint is unusable");
                return;
            }
        };
        let Ok(permit) = UNDER_WAY.try_acquire() else {
            tracing::warn!(snapshot = snapshot.id, "too many are told of snapshots: one was not");
            return;
        };
        let id = format!("urn:ngsi-ld:SnapshotNotification:{}", uuid::Uuid::now_v7());
        let mut headers = vec![("Content-Type", "application/json".to_owned())];
        if let Some(name) = tenant.name() {
            headers.push(("NGSILD-Tenant", name.to_owned()));
        }
        let body = Bytes::from(snapshot.notification(&id, now));
        let (carrier, message) = (self.carrier.clone(), Message { body, headers });
        tokio::spawn(async move {
            send(carrier, target, message).await;
            drop(permit);
        });
    }
}

async fn send(carrier: Arc<Carrier>, target: Target, message: Message) {
    let mut pauses = PAUSES.iter();
    loop {
        let Err(error) = carrier.send(&target, &message).await else { return };
        let pause = pauses.next().filter(|_| !error.is_permanent());
        let Some(pause) = pause else {
            tracing::warn!(uri = target.uri(), %error, "nobody could be told of a snapshot");
            return;
        };
        tokio::time::sleep(*pause).await;
    }
}

/// Where to tell of a snapshot, if somebody wants to be told.
pub(super) fn target_of(settings: &SnapshotSettings) -> Option<Result<Target, TargetError>> {
    let uri = settings.endpoint.as_deref()?;
    Some(Target::parse(uri, &settings.receiver, &[], None))
}
