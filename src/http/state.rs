//! What all workers share: configuration, counters, and whether the broker is on its way out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Map, Value};

use crate::config::Config;
use crate::model::Timestamp;

use super::metrics::Metrics;

/// What the rest of the broker has to say about its health. Each part has a default, so that a
/// reporter says only what it knows.
pub trait Report: Send + Sync + 'static {
    /// Members for `/health`.
    fn health(&self) -> Map<String, Value> {
        Map::new()
    }

    /// Why requests should not be sent here just now, if so.
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    /// Lines for `/metrics`, in the text format of Prometheus.
    fn metrics(&self, _out: &mut String) {}
}

/// A report of nothing.
impl Report for () {}

/// What all workers share.
pub struct State {
    /// The configuration.
    pub config: Arc<Config>,
    /// The counters.
    pub metrics: Metrics,
    /// What the rest of the broker reports.
    pub report: Box<dyn Report>,
    /// When the broker was started.
    pub started_at: Timestamp,
    /// A random number that begins the ids of this process's requests.
    pub process: u32,
    started: Instant,
    draining: AtomicBool,
}

impl State {
    /// The state of a broker that starts now.
    pub fn new(config: Arc<Config>, report: impl Report) -> Arc<Self> {
        Arc::new(Self {
            config,
            metrics: Metrics::default(),
            report: Box::new(report),
            started_at: Timestamp::now(),
            process: uuid::Uuid::new_v4().as_fields().0,
            started: Instant::now(),
            draining: AtomicBool::new(false),
        })
    }

    /// How long the broker has been running.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// From now on `/ready` answers 503 and connections are not kept.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the broker is on its way out.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
