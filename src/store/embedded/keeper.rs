//! The threads of the store: the writer, the keeper who sweeps and mends, the builder of indexes,
//! the one who fills memory after a start, and in the relaxed mode the one who follows with the
//! disk.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::queue::Job;
use super::seats::SeatNumber;
use super::tenants::Tenant;
use super::{Durability, Inner};
use crate::model::Timestamp;
use crate::store::StoreError;

/// How many expired seats of a tenant are swept at once.
const SWEEP: usize = 1_000;

/// How often history is looked through for what is too old; rules count in days.
const THIN_EVERY: Duration = Duration::from_secs(3_600);

/// How many turns the cache's hand makes each time the keeper looks after renderings.
const SURVEY: usize = 64;

/// Tells threads that wait to end.
#[derive(Default)]
pub(super) struct Stop {
    stopped: Mutex<bool>,
    sent: Condvar,
}

impl Stop {
    pub fn send(&self) {
        *self.stopped.lock() = true;
        self.sent.notify_all();
    }

    pub fn is_sent(&self) -> bool {
        *self.stopped.lock()
    }

    /// Waits this long, or until the end; false at the end.
    fn wait(&self, time: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        if !*stopped {
            self.sent.wait_for(&mut stopped, time);
        }
        !*stopped
    }
}

/// Starts the threads.
pub(super) fn start(inner: &Arc<Inner>) -> Result<Vec<JoinHandle<()>>, StoreError> {
    let spawn = |name: &str, run: fn(&Inner)| {
        let inner = inner.clone();
        std::thread::Builder::new()
            .name(name.into())
            .spawn(move || run(&inner))
            .map_err(|error| StoreError::Unusable(format!("cannot start a thread: {error}")))
    };
    let mut threads = vec![
        spawn("lanna-keeper", keep)?,
        spawn("lanna-builder", |inner| inner.build_indexes())?,
        spawn("lanna-filler", |inner| inner.fill_memory())?,
        spawn("lanna-packer", |inner| inner.pack_ripe())?,
        spawn("lanna-thinner", thin)?,
    ];
    threads.push(match inner.settings.durability {
        Durability::Commit => spawn("lanna-writer", write)?,
        Durability::Every(_) => spawn("lanna-sync", follow)?,
    });
    Ok(threads)
}

fn write(inner: &Inner) {
    while let Some(jobs) = inner.queue.take() {
        inner.carry_out(jobs);
    }
}

fn follow(inner: &Inner) {
    if let Durability::Every(time) = inner.settings.durability {
        while inner.stopping.wait(time) {
            inner.sync();
        }
    }
}

fn thin(inner: &Inner) {
    while inner.stopping.wait(THIN_EVERY) {
        inner.thin_due((inner.settings.clock)());
    }
}

fn keep(inner: &Inner) {
    while inner.stopping.wait(inner.settings.sweep_every) {
        if inner.failure.is_due() {
            inner.recover();
        }
        inner.cache.survey(&inner.tenants, SURVEY);
        while inner.sweep_some((inner.settings.clock)()) && !inner.stopping.is_sent() {}
    }
}

impl Inner {
    /// Sweeps some of what has expired; whether there may be more.
    fn sweep_some(&self, now: Timestamp) -> bool {
        let mut more = false;
        for (tenant, seats) in self.expired(now) {
            more |= seats.len() == SWEEP;
            let asked = self.ask(|answer| Job::Sweep { tenant, seats, now, answer });
            match asked.map(oneshot::Receiver::blocking_recv) {
                Ok(Ok(Ok(ended))) => tracing::debug!(ended, "swept away what has expired"),
                // Why was said elsewhere; the next round tries again.
                _ => return false,
            }
        }
        more
    }

    /// Seats where something has expired by now, some of each tenant.
    pub(super) fn expired(&self, now: Timestamp) -> Vec<(Arc<Tenant>, Vec<SeatNumber>)> {
        let mut expired = Vec::new();
        for tenant in self.tenants.all() {
            let seats: Vec<SeatNumber> = {
                let state = tenant.state.read();
                let stale = state.index.expiries.range(..=(now, SeatNumber::MAX));
                stale.take(SWEEP).map(|(_, seat)| *seat).collect()
            };
            if !seats.is_empty() {
                expired.push((tenant, seats));
            }
        }
        expired
    }
}
