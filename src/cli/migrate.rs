//! `lanna migrate`: a tenant, or all there is, from one store to another.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use lanna::broker::open_store;
use lanna::config::{Config, Value};
use lanna::model::{Name, TenantId, Timestamp};
use lanna::store::StoreError;
use lanna::store::migrate::{Copied, MigrateError, SoFar, migrate};

/// What to copy, and where to.
#[derive(Debug, Clone, PartialEq)]
pub struct Migrate {
    /// A data folder, or the URL of a MongoDB.
    pub from: String,
    pub to: String,
    /// These tenants alone; all of them, and what they share, if there are none.
    pub tenants: Vec<TenantId>,
}

/// Why a migration failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{place} cannot be used: {why}")]
    Place { place: String, why: String },
    #[error("there is nothing at {0} to be copied")]
    Nothing(String),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error("the store was not closed in order: {0}")]
    Close(#[from] StoreError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Copies; the outcome goes to standard output, progress to standard error.
pub fn run(config: &Config, asked: Migrate) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        Name::set_limit(config.limits.names);
        let (from, to) = (at(config, &asked.from)?, at(config, &asked.to)?);
        if from.store == to.store && from.mongodb == to.mongodb {
            let why = "it is where to copy from and where to copy to".to_owned();
            return Err(Failure::Place { place: asked.to, why });
        }
        // Opening it would make a new one.
        if from.store.url.is_none() && !from.store.data.exists() {
            return Err(Failure::Nothing(asked.from));
        }
        let open = async |config: &Config, place: &str| {
            let refused =
                |why: StoreError| Failure::Place { place: place.to_owned(), why: why.to_string() };
            open_store(config).await.map_err(refused)
        };
        let from = open(&from, &asked.from).await?;
        let to = open(&to, &asked.to).await?;
        let tenants = (!asked.tenants.is_empty()).then_some(&asked.tenants[..]);
        let mut told = Told::new();
        let now = Timestamp::now();
        let copied =
            migrate(&*from, &*to, tenants, now, |tenant, so_far| told.page(tenant, so_far)).await;
        from.close().await?;
        to.close().await?;
        let copied = copied?;
        if copied.iter().all(|one| one.entities + one.instances + one.records == 0) {
            return Err(Failure::Nothing(asked.from));
        }
        let mut out = std::io::stdout().lock();
        for Copied { tenant, entities, instances, records, checksum } in copied {
            let whose = match tenant.snapshot_of() {
                Some(owner) => format!("a snapshot of {owner}"),
                None => tenant.to_string(),
            };
            writeln!(
                out,
                "{whose}: {entities} entities, {instances} recorded instances and {records} \
                 records copied and compared, checksum {checksum:016x}"
            )?;
        }
        Ok(())
    })
}

/// The configuration with its store at a place.
fn at(config: &Config, place: &str) -> Result<Config, Failure> {
    let mut config = config.clone();
    if place.starts_with("mongodb") && place.contains("://") {
        let url = lanna::config::MongoUrl::from_text(place);
        let refuse =
            |_| Failure::Place { place: place.to_owned(), why: "no MongoDB URL".to_owned() };
        config.store.url = Some(url.map_err(refuse)?);
    } else {
        config.store.url = None;
        config.store.data = place.into();
    }
    Ok(config)
}

/// Says now and then how far it is.
struct Told {
    last: Instant,
    every: Duration,
}

impl Told {
    fn new() -> Self {
        // A terminal is told often, a log seldom.
        let every = if std::io::stderr().is_terminal() { 1 } else { 10 };
        Self { last: Instant::now(), every: Duration::from_secs(every) }
    }

    fn page(&mut self, tenant: &TenantId, so_far: SoFar) {
        if self.last.elapsed() >= self.every {
            self.last = Instant::now();
            let SoFar { entities, instances } = so_far;
            tracing::info!(%tenant, entities, instances, "copied so far");
        }
    }
}
