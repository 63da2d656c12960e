//! Opening a broker as it is configured: its store, its contexts, its outbound client.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use super::freshness::keep_fresh;
use super::{
    Broker, Federation, FolderError, Models, Registry, StoredContexts, Subscriptions, Telling,
    query_limits,
};
use crate::config::{self, Config};
use crate::egress::{self, Carrier, Guard, Hub};
use crate::jsonld::{ContextError, ContextSettings, Contexts, HOSTED_PATH, ShelfError};
use crate::model::{Name, Timestamp, limit_identifiers};
use crate::schema;
use crate::store::embedded::{Durability, Embedded, Settings};
use crate::store::mongo::{self, Mongo};
use crate::store::{Store, StoreError};
use crate::subscribe::Notifier;

/// Why a broker cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the outbound client cannot be set up: {0}")]
    Egress(#[from] egress::EgressError),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error(transparent)]
    Models(#[from] FolderError),
    /// A file that is to answer for a context URL.
    #[error("the file for the context {url} cannot be used: {why}")]
    Preload { url: String, why: String },
}

impl Broker {
    /// Opens the broker that a configuration describes. Reading a large store takes seconds.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        Name::set_limit(config.limits.names);
        limit_identifiers(config.limits.identifier.bytes());
        let store = open_store(config).await?;
        let contexts = open_contexts(config, store.clone()).await?;
        let models = open_models(config, &store).await?;
        let carrier = Arc::new(Carrier::new(config)?);
        let hub = Hub::new(config.stream.clone());
        let notifier =
            Notifier::new(store.clone(), carrier.clone(), hub.clone(), config.notify.clone());
        let limits = config.limits.clone();
        let subscriptions = Subscriptions::new(
            store.clone(),
            contexts.clone(),
            notifier,
            &limits,
            query_limits(&limits),
        );
        let guard = Guard::new(&config.egress);
        let registry = Registry::new(store.clone(), guard, &limits, query_limits(&limits));
        let registry = Arc::new(registry);
        keep_fresh(&store, &contexts, &models, &subscriptions, &registry);
        let sources = registry.load().await?;
        registry.keep_expiring();
        let keeper = Arc::downgrade(&subscriptions);
        subscriptions.notifier.mark(keeper).await?;
        let count = subscriptions.load(Timestamp::now()).await?;
        subscriptions.notifier.start().await?;
        if count > 0 {
            tracing::info!(subscriptions = count, "subscriptions are served");
        }
        if sources > 0 {
            tracing::info!(registrations = sources, "sources are registered");
        }
        let telling = Telling { subscriptions, hub, carrier };
        let client = Arc::new(egress::Client::new(&config.egress)?);
        let federation =
            Arc::new(Federation::new(client, config.federation.clone(), base_url(config)));
        registry.follow(federation.clone());
        let broker = Self::new(store, contexts, models, limits, telling, registry, federation)
            .with_keeping(config.maps.clone(), config.snapshots.clone());
        if let Err(error) = broker.recall_reports().await {
            tracing::error!(%error, "how sources fared is not known");
        }
        if let Err(error) = broker.recall_planted().await {
            tracing::error!(%error, "what was planted at sources is not known");
        }
        Ok(broker)
    }
}

/// The models, which from now on see every entity before it is kept.
async fn open_models(config: &Config, store: &Arc<dyn Store>) -> Result<Arc<Models>, OpenError> {
    let models = Arc::new(Models::new(&config.models)?.with_type_limit(config.limits.types));
    models.load(&**store).await?;
    store.guard(models.clone());
    // Compiling them takes a moment, which the first write should not have to wait for.
    std::thread::spawn(schema::prepare);
    Ok(models)
}

/// The address of a context that comes with the broker, by its local id.
pub fn shipped_context(config: &Config, id: &str) -> String {
    [&base_url(config), HOSTED_PATH, id].concat()
}

/// Opens the store that a configuration describes: the MongoDB it names, or else the folder.
pub async fn open_store(config: &Config) -> Result<Arc<dyn Store>, StoreError> {
    if let Some(url) = &config.store.url {
        return Ok(Arc::new(Mongo::open(mongo_settings(config, url.as_str())).await?));
    }
    let settings = store_settings(config);
    let store = tokio::task::spawn_blocking(|| Embedded::open(settings))
        .await
        .map_err(|error| StoreError::Unusable(error.to_string()))??;
    Ok(Arc::new(store))
}

fn mongo_settings(config: &Config, url: &str) -> mongo::Settings {
    let own = &config.mongodb;
    mongo::Settings {
        database: own.database.clone(),
        pool: u32::try_from(own.pool).unwrap_or(u32::MAX),
        queue: own.queue,
        majority: own.majority,
        time_limit: own.time_limit,
        patience: own.patience,
        cache_bytes: own.cache.0,
        max_rewrite_bytes: config.limits.batch_rewrites.bytes() as u64,
        ..mongo::Settings::new(url)
    }
}

fn store_settings(config: &Config) -> Settings {
    let memory = config.store.memory.bytes() as u64;
    let durability = match config.store.durability {
        config::Durability::Commit => Durability::Commit,
        config::Durability::Every(duration) => Durability::Every(duration),
    };
    Settings {
        durability,
        memory_bytes: (memory > 0).then_some(memory),
        max_rewrite_bytes: config.limits.batch_rewrites.bytes() as u64,
        ..Settings::new(&config.store.data)
    }
}

async fn open_contexts(config: &Config, store: Arc<dyn Store>) -> Result<Arc<Contexts>, OpenError> {
    let limits = &config.limits;
    let settings = ContextSettings {
        base: base_url(config),
        default_url: config.contexts.default.as_ref().map(|url| url.to_string()),
        max_bytes: limits.context.bytes(),
        max_documents: limits.context_documents,
        max_depth: limits.context_depth,
        max_compiled: limits.context_cache,
        ..ContextSettings::default()
    };
    let client = egress::Client::new(&config.egress)?;
    let shelf = Arc::new(StoredContexts(store));
    let mut contexts = Contexts::new(Arc::new(client), shelf, settings, Timestamp::now());
    for preload in &config.contexts.preload {
        let refuse = |why: String| OpenError::Preload { url: preload.url.to_string(), why };
        let shipped = preload.file.to_str().and_then(crate::jsonld::shipped_document);
        let document = match shipped.filter(|_| !preload.file.exists()) {
            Some(text) => text.as_bytes().to_vec(),
            None => fs::read(&preload.file).map_err(|error| refuse(error.to_string()))?,
        };
        contexts
            .preload(preload.url.as_str(), &document)
            .map_err(|error: ContextError| refuse(error.to_string()))?;
    }
    contexts.restore().await?;
    Ok(Arc::new(contexts))
}

/// The address under which clients reach the broker, as far as it is known.
fn base_url(config: &Config) -> String {
    let server = &config.server;
    if let Some(url) = &server.public_url {
        return url.as_str().trim_end_matches('/').to_owned();
    }
    let scheme = if server.tls_cert.is_some() { "https" } else { "http" };
    let address = server.listen.first().copied();
    let address = address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9090)));
    format!("{scheme}://{address}")
}
