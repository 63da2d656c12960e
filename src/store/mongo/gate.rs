//! The gate before the database: so many requests at once, so many that wait, and none while the
//! database has been away for long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mongodb::bson::doc;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::clock::Clock;
use super::connect::newer_format;
use super::{Inner, error};
use crate::store::StoreError;

/// How often the database is asked whether it is there.
pub(super) const PING: Duration = Duration::from_secs(1);

pub(super) struct Gate {
    permits: Semaphore,
    waiting: AtomicUsize,
    most_waiting: usize,
    patience: Duration,
    away: Mutex<Option<Away>>,
    /// Why nobody is let through any more.
    shut: OnceLock<String>,
}

/// The database does not answer.
struct Away {
    since: Instant,
    why: String,
}

impl Gate {
    pub fn new(at_once: u32, most_waiting: usize, patience: Duration) -> Self {
        let permits = Semaphore::new(at_once.max(1) as usize);
        Self {
            permits,
            waiting: AtomicUsize::new(0),
            most_waiting,
            patience,
            away: Mutex::new(None),
            shut: OnceLock::new(),
        }
    }

    /// Lets one request through, now or a little later.
    pub async fn enter(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        self.check_patience()?;
        if let Ok(permit) = self.permits.try_acquire() {
            return Ok(permit);
        }
        let _waits = Waits::begin(self)?;
        match tokio::time::timeout(self.patience, self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(StoreError::Busy),
        }
    }

    /// Whether the database answers.
    pub fn check(&self) -> Result<(), StoreError> {
        self.check_shut()?;
        match &*self.away.lock() {
            Some(away) => Err(StoreError::Broken(away.why.clone())),
            None => Ok(()),
        }
    }

    /// Nobody waits for what has been away for longer than anyone would wait.
    fn check_patience(&self) -> Result<(), StoreError> {
        self.check_shut()?;
        match &*self.away.lock() {
            Some(away) if away.since.elapsed() >= self.patience => {
                Err(StoreError::Broken(away.why.clone()))
            }
            _ => Ok(()),
        }
    }

    fn check_shut(&self) -> Result<(), StoreError> {
        self.shut.get().map_or(Ok(()), |why| Err(StoreError::Unusable(why.clone())))
    }

    /// Lets nobody through from now on.
    fn shut(&self, why: String) {
        tracing::error!(%why, "this broker serves no more");
        // The first reason stands.
        let _ = self.shut.set(why);
    }

    fn is_there(&self) {
        if let Some(away) = self.away.lock().take() {
            let seconds = away.since.elapsed().as_secs();
            tracing::info!(seconds, "MongoDB is back");
        }
    }

    fn is_away(&self, why: StoreError) {
        let mut away = self.away.lock();
        if away.is_none() {
            tracing::warn!(error = %why, "MongoDB does not answer");
            let why = match why {
                StoreError::Broken(why) => why,
                other => other.to_string(),
            };
            *away = Some(Away { since: Instant::now(), why });
        }
    }
}

/// One that waits; it is counted until it is dropped.
struct Waits<'a>(&'a Gate);

impl<'a> Waits<'a> {
    fn begin(gate: &'a Gate) -> Result<Self, StoreError> {
        let waits = Self(gate);
        if gate.waiting.fetch_add(1, Ordering::Relaxed) >= gate.most_waiting {
            return Err(StoreError::Busy);
        }
        Ok(waits)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Asks the primary again and again whether it is there, what time it is, and whether the database
/// is still of a format that is known here.
pub(super) async fn keep(inner: Arc<Inner>) {
    let admin = inner.client.database("admin");
    loop {
        let asked = Clock::own_time();
        let hello = admin.run_command(doc! { "hello": 1 });
        match tokio::time::timeout(PING * 2, async { hello.await }).await {
            Ok(Ok(answer)) => {
                inner.gate.is_there();
                if let Ok(time) = answer.get_datetime("localTime") {
                    let ours = asked + (Clock::own_time() - asked) / 2;
                    inner.clock.adjust(time.timestamp_millis(), ours);
                }
                // What an older broker writes a newer one would miss.
                if let Ok(Some(why)) = newer_format(&inner.meta).await {
                    return inner.gate.shut(why);
                }
            }
            Ok(Err(failure)) => inner.gate.is_away(error::from_read(&failure)),
            Err(_) => {
                inner.gate.is_away(StoreError::Broken("MongoDB did not answer a ping".into()))
            }
        }
        tokio::time::sleep(PING).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_too_many_waiting_is_sent_away() {
        let gate = Gate::new(1, 1, Duration::from_millis(50));
        let through = gate.enter().await.unwrap();
        let (waited, refused) = tokio::join!(gate.enter(), gate.enter());
        assert_eq!(waited.err(), Some(StoreError::Busy));
        assert_eq!(refused.err(), Some(StoreError::Busy));
        drop(through);
        assert!(gate.enter().await.is_ok());
    }

    #[tokio::test]
    async fn nobody_waits_for_what_has_long_been_away() {
        let gate = Gate::new(1, 1, Duration::from_millis(20));
        gate.is_away(StoreError::Broken("gone".into()));
        assert!(gate.check().is_err());
        assert!(gate.enter().await.is_ok(), "it may be an election");
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(gate.enter().await.err(), Some(StoreError::Broken("gone".into())));
        gate.is_there();
        assert!(gate.enter().await.is_ok() && gate.check().is_ok());
    }
}
