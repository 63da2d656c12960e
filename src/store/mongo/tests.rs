//! What the suite promises, on a real MongoDB.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Mongo, Settings};
use crate::model::{Change, TenantId, Timestamp};
use crate::store::suite::{Backend, store_suite};
use crate::store::{Event, Store, Watch};

/// Where a MongoDB for tests is: `scripts/test` starts one and says so.
fn url() -> String {
    std::env::var("TEST_MONGODB").unwrap_or_else(|_| {
        panic!("these tests need a MongoDB: run scripts/test, or scripts/mongod and what it says")
    })
}

/// Settings for a database of one test, under which nothing happens by itself.
pub(in crate::store) fn settings() -> Settings {
    Settings {
        database: format!("lanna-test-{}", uuid::Uuid::new_v4().simple()),
        sweep_every: Duration::from_secs(3_600),
        fold_after: Duration::from_secs(36_000),
        pool: 16,
        // No test rests on how fast the machine is.
        patience: Duration::from_secs(600),
        time_limit: Duration::from_secs(600),
        ..Settings::new(url())
    }
}

/// Wants every change.
pub(super) struct All;

impl Watch for All {
    fn wants(&self, _: &TenantId, _: &Change) -> bool {
        true
    }

    fn committed(&self, _: Vec<Event>) {}
}

/// A database of its own, removed in the end.
pub(super) struct Own {
    settings: Settings,
    store: Arc<Mongo>,
}

impl Own {
    /// An empty one.
    pub async fn start() -> Self {
        Self::with(settings()).await
    }

    /// An empty one, set up so.
    pub async fn with(settings: Settings) -> Self {
        let store = Arc::new(Mongo::open(settings.clone()).await.unwrap());
        Self { settings, store }
    }

    /// The store.
    pub fn store(&self) -> &Mongo {
        &self.store
    }

    /// The store, for tasks.
    pub fn shared(&self) -> Arc<Mongo> {
        self.store.clone()
    }

    /// What the store is made of.
    pub fn inner(&self) -> &super::Inner {
        &self.store.inner
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let database = self.store.inner.database.clone();
        // The test's runtime is about to end; the removal needs one that does not.
        let removal = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let url = url();
                let client = mongodb::Client::with_uri_str(url).await.unwrap();
                client.database(database.name()).drop().await.unwrap();
            });
        });
        let _ = removal.join();
    }
}

struct InMongo(Option<Own>);

impl InMongo {
    fn own(&self) -> &Own {
        self.0.as_ref().unwrap()
    }
}

#[async_trait]
impl Backend for InMongo {
    async fn start() -> Self {
        Self(Some(Own::start().await))
    }

    fn store(&self) -> Arc<dyn Store> {
        self.own().store.clone()
    }

    async fn restart(mut self) -> Self {
        let own = self.0.as_mut().unwrap();
        own.store.close().await.unwrap();
        own.store = Arc::new(Mongo::open(own.settings.clone()).await.unwrap());
        self
    }

    async fn sweep(&self, now: Timestamp) {
        self.own().store.sweep(now).await.unwrap();
    }

    async fn settle(&self) {
        self.own().store.pack_all().await.unwrap();
    }
}

store_suite!(mongo, super::InMongo);
store_suite!(history mongo_history, super::InMongo);
