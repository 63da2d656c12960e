//! What a broker does by itself while it serves: snapshots are filled, and what has ended is taken
//! away.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::Value;
use tokio::time::MissedTickBehavior;

use super::{Broker, Error};
use crate::model::Timestamp;

/// How often it is looked for snapshots that something is to be done about, and for maps that have
/// ended.
const LOOK: Duration = Duration::from_secs(5);

impl Broker {
    /// Keeps house until it is dropped. `describe` makes ProblemDetails of an error, for those who
    /// are told of it later.
    pub async fn keep_house(self: Arc<Self>, describe: fn(Error) -> Value) {
        // Only the first counts.
        let _ = self.describe.set(describe);
        let own: Weak<Self> = Arc::downgrade(&self);
        self.notifier().look_elsewhere(own);
        let mut turns = tokio::time::interval(LOOK);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turns.tick() => {
                    if let Err(error) = self.tidy(Timestamp::now()).await {
                        tracing::warn!(%error, "what has ended could not be taken away just now");
                    }
                }
                () = self.snapshots.woken.notified() => {}
            }
            while let Some(one) = self.snapshots.next() {
                let broker = self.clone();
                tokio::spawn(async move {
                    let (tenant, id) = &one;
                    if let Err(error) = broker.work_on_snapshot(tenant, id).await {
                        tracing::warn!(%tenant, %id, %error, "a snapshot has to wait");
                    }
                    broker.snapshots.done(&one);
                });
            }
        }
    }

    /// An error as ProblemDetails.
    pub(super) fn described(&self, error: Error) -> Value {
        match self.describe.get() {
            Some(describe) => describe(error),
            None => serde_json::json!({ "title": error.to_string() }),
        }
    }
}
