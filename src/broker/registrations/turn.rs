//! One change of the registry at a time, so that two that exclude each other do not both come in:
//! within this broker by a lock, among those that share a store by a lease as well.

use std::time::{Duration, Instant};

use tokio::sync::MutexGuard;

use super::Registry;
use crate::store::StoreError;

const LEASE: &str = "registry";

/// How long a lease lasts if its holder is gone.
const TTL: Duration = Duration::from_secs(10);

/// How often one asks for it, and for how long.
const PAUSE: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(12);

/// The right to change the registry.
pub(super) struct Turn<'a> {
    registry: &'a Registry,
    _changing: MutexGuard<'a, ()>,
}

impl Registry {
    /// Waits until it is our turn.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, StoreError> {
        let changing = self.changing.lock().await;
        if self.store.is_shared() {
            let begun = Instant::now();
            while !self.store.claim(LEASE, &self.holder, TTL).await? {
                if begun.elapsed() > PATIENCE {
                    return Err(StoreError::Busy);
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(Turn { registry: self, _changing: changing })
    }
}

impl Turn<'_> {
    /// Lets others have theirs. Who drops a turn instead lets the others wait for a while.
    pub(super) async fn end(self) {
        let registry = self.registry;
        if registry.store.is_shared()
            && let Err(error) = registry.store.release(LEASE, &registry.holder).await
        {
            tracing::debug!(%error, "the lease of the registry runs out by itself");
        }
    }
}
