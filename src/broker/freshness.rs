//! Keeping what is held in memory fresh where other brokers share the store: what one of them
//! changed is read anew here.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Models;
use super::contexts::CONTEXTS;
use super::models::{MODELS, VALIDATION};
use super::subscriptions::About;
use super::{Registry, Subscriptions};
use crate::jsonld::Contexts;
use crate::store::{RecordChange, Store};
use crate::subscribe::REGISTRATIONS;

/// How many changes may wait to be looked after.
const QUEUE: usize = 1_024;

/// Reads anew what others change, as long as the store tells of it.
pub(super) fn keep_fresh(
    store: &Arc<dyn Store>,
    contexts: &Arc<Contexts>,
    models: &Arc<Models>,
    subscriptions: &Arc<Subscriptions>,
    registry: &Arc<Registry>,
) {
    let (sender, mut changes) = mpsc::channel(QUEUE);
    store.on_records(sender);
    let (store, contexts) = (Arc::downgrade(store), contexts.clone());
    let (models, subscriptions) = (models.clone(), Arc::downgrade(subscriptions));
    let registry = Arc::downgrade(registry);
    tokio::spawn(async move {
        while let Some(change) = changes.recv().await {
            let Some(store) = store.upgrade() else { return };
            if About::of_shelf(&change.shelf).is_some() {
                // The log has it, in its place among all changes.
                let Some(subscriptions) = subscriptions.upgrade() else { return };
                subscriptions.notifier.look();
            } else if change.shelf == REGISTRATIONS {
                let Some(registry) = registry.upgrade() else { return };
                refresh_registration(&registry, &change).await;
            } else {
                refresh(&store, &contexts, &models, change).await;
            }
        }
    });
}

async fn refresh_registration(registry: &Registry, change: &RecordChange) {
    let Some(tenant) = &change.tenant else { return };
    if let Err(error) = registry.refresh(tenant, &change.key).await {
        let id = &change.key;
        tracing::warn!(id, %error, "a registration that another broker changed cannot be served");
    }
}

async fn refresh(
    store: &Arc<dyn Store>,
    contexts: &Contexts,
    models: &Models,
    change: RecordChange,
) {
    let RecordChange { shelf, tenant, key } = change;
    let refreshed = match (shelf.as_str(), tenant) {
        (CONTEXTS, None) => contexts.refresh(&key).await.map_err(|error| error.to_string()),
        (MODELS | VALIDATION, Some(tenant)) => {
            models.refresh(&**store, &tenant).await.map_err(|error| error.to_string())
        }
        _ => Ok(()),
    };
    if let Err(error) = refreshed {
        tracing::warn!(shelf, key, error, "what another broker changed could not be read");
    }
}
