//! `lanna serve`: builds the broker, serves it, and ends without losing anything.

use std::{sync::Arc, time::Duration};

use actix_web::web::Data;
use lanna::broker::{Broker, OpenError, shipped_context};
use lanna::config::Config;
use lanna::derive::{DeriveError, Deriver};
use lanna::feed::{Feeds, FeedsError, load_samples};
use lanna::http::problem::details;
use lanna::http::report::Reporter;
use lanna::http::server::{self, Running, ServeError};
use lanna::http::state::State;
use lanna::import::SinkError;
use lanna::model::Timestamp;
use lanna::store::StoreError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::args::Serve;

/// Why serving failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Derive(#[from] DeriveError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("the samples cannot be loaded: {0}")]
    Sample(#[from] SinkError),
    #[error(transparent)]
    Feeds(#[from] FeedsError),
    #[error("the store was not closed in order: {0}")]
    Close(#[from] StoreError),
}

/// Serves until SIGTERM or SIGINT.
pub fn run(mut config: Config, options: &Serve) -> Result<(), Failure> {
    if options.sample {
        speak_of_the_sample(&mut config);
    }
    actix_web::rt::System::new().block_on(async {
        let broker = Arc::new(Broker::open(&config).await?);
        let deriver = Deriver::start(&broker, &config.derive).await?.map(Data::new);
        if options.sample {
            let taken = load_samples(&config, broker.clone()).await?;
            tracing::info!(records = taken, "the samples are loaded");
        }
        let config = Arc::new(config);
        let feeds = Feeds::open(config.clone(), broker.clone()).await?;
        let derived = deriver.clone().map(Data::into_inner);
        let reporter =
            Reporter::new(broker.clone()).with_feeds(feeds.clone()).with_deriver(derived);
        let state = State::new(config, reporter);
        let (data, mounted) = (Data::from(broker.clone()), deriver.clone());
        let shown = Data::from(feeds.clone());
        let running = server::start(&state, move |config| {
            config.app_data(data.clone()).app_data(shown.clone());
            if let Some(deriver) = &mounted {
                config.app_data(deriver.clone());
            }
        })?;
        feeds.start();
        greet(&running);
        let renewing = actix_web::rt::spawn(renew_contexts(broker.clone()));
        let keeping = actix_web::rt::spawn(broker.clone().keep_house(details));
        let reporting = actix_web::rt::spawn(keep_reports(broker.clone()));
        let leveling = actix_web::rt::spawn(level_subscriptions(broker.clone()));
        let ended = until_told(running, &state).await;
        renewing.abort();
        reporting.abort();
        leveling.abort();
        feeds.close().await;
        if let Some(deriver) = deriver {
            deriver.close().await;
        }
        keeping.abort();
        broker.close().await?;
        Ok(ended?)
    })
}

/// Who looks at the sample should find it by its short names, without naming a context first.
fn speak_of_the_sample(config: &mut Config) {
    if config.contexts.default.is_none() {
        config.contexts.default = shipped_context(config, "mae-moh").parse().ok();
    }
    if config.derive.profiles.is_empty() {
        config.derive.profiles = vec!["mae-moh".to_owned()];
    }
}

/// Looks every few seconds for copies of contexts that are in use and about to expire.
async fn renew_contexts(broker: Arc<Broker>) {
    let mut turns = tokio::time::interval(Duration::from_secs(5));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        broker.contexts().renew_due(Timestamp::now()).await;
    }
}

/// Writes down every few seconds how sources fared.
async fn keep_reports(broker: Arc<Broker>) {
    let mut turns = tokio::time::interval(broker.report_interval());
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        if let Err(error) = broker.keep_reports().await {
            tracing::warn!(%error, "how sources fared could not be written down");
        }
    }
}

/// Brings in line now and then what is planted at sources.
async fn level_subscriptions(broker: Arc<Broker>) {
    let mut turns = tokio::time::interval(broker.level_interval());
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        if let Err(error) = broker.level_all().await {
            tracing::warn!(%error, "subscriptions at sources are not in line");
        }
    }
}

/// Waits for a signal, then ends in order; a second signal ends at once.
async fn until_told(mut running: Running, state: &State) -> Result<(), ServeError> {
    let listen = |kind| signal(kind).map_err(ServeError::Stopped);
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let grace = tokio::select! {
        _ = term.recv() => state.config.limits.grace,
        _ = int.recv() => Duration::ZERO,
        why = running.ended() => return Err(why),
    };
    tracing::info!(?grace, "ending: requests under way are answered first");
    tokio::select! {
        ended = running.stop(grace) => ended,
        () = again(&mut term, &mut int) => {
            tracing::warn!("told twice to end: requests under way are cut off");
            Ok(())
        }
    }
}

async fn again(term: &mut Signal, int: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Says where to look.
fn greet(running: &Running) {
    for address in &running.addresses {
        let base = format!("{}://{address}", running.scheme);
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            "serving at {base}/ (API at {base}/docs, state at {base}/health)"
        );
    }
}
