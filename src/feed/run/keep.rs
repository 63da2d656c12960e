//! What is kept of a feed in the store: its state, what it refused, and which files are done. So a
//! restart forgets nothing, and brokers that share a store know of each other's feeds.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Feed;
use crate::feed::status::{Rejected, Status};
use crate::store::{Records, Shelf, StoreError};

/// The state of feeds, by their names.
const STATES: Shelf = Shelf::shared("feeds");
/// What they refused, by their names.
const REJECTED: Shelf = Shelf::shared("feed-rejected");
/// Files that are done, by feed and name.
const FILES: Shelf = Shelf::shared("feed-files");

/// How often the state of a feed is kept at most.
const EVERY: Duration = Duration::from_secs(10);

/// What a file was when it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileMark {
    pub size: u64,
    pub modified: i64,
}

impl Feed {
    /// Takes up what was kept.
    pub(super) async fn restore(&self) {
        let store = &**self.shared().broker.store();
        let status: Result<Option<Status>, _> = Records::on(store, STATES).get(self.name()).await;
        let rejected: Result<Option<Vec<Rejected>>, _> =
            Records::on(store, REJECTED).get(self.name()).await;
        match (status, rejected) {
            (Ok(status), Ok(rejected)) => {
                let mut book = self.book.lock();
                if book.dirty {
                    // What was pushed here before the lease was had is not to be forgotten.
                    return;
                }
                book.status = status.unwrap_or_default();
                book.rejected = rejected.unwrap_or_default().into();
                book.dirty = false;
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(feed = self.name(), %error, "the state of a feed cannot be read");
            }
        }
    }

    /// Keeps the state, if it changed and was not kept just now.
    pub(super) async fn keep(&self, at_once: bool) {
        let early = self.kept.lock().is_some_and(|kept| kept.elapsed() < EVERY);
        if (early && !at_once) || !self.is_held() {
            return;
        }
        let (status, rejected) = {
            let mut book = self.book.lock();
            if !std::mem::take(&mut book.dirty) {
                return;
            }
            (book.status.clone(), Vec::from(book.rejected.clone()))
        };
        *self.kept.lock() = Some(Instant::now());
        let store = &**self.shared().broker.store();
        let state = Records::on(store, STATES).put(self.name(), &status).await;
        let refused = Records::on(store, REJECTED).put(self.name(), &rejected).await;
        if let Err(error) = state.and(refused) {
            self.book.lock().dirty = true;
            tracing::warn!(feed = self.name(), %error, "the state of a feed cannot be kept");
        }
    }

    /// The state: of this broker if it runs the feed, as it was kept otherwise.
    pub(super) async fn known_status(&self) -> Status {
        if !self.is_elsewhere() {
            return self.status();
        }
        let store = &**self.shared().broker.store();
        let kept: Result<Option<Status>, _> = Records::on(store, STATES).get(self.name()).await;
        kept.ok().flatten().unwrap_or_default()
    }

    /// What was refused last, newest first.
    pub async fn rejected(&self, limit: usize) -> Vec<Rejected> {
        let all: Vec<Rejected> = match self.is_elsewhere() {
            false => self.book.lock().rejected.iter().cloned().collect(),
            true => {
                let store = &**self.shared().broker.store();
                let kept = Records::on(store, REJECTED).get(self.name()).await;
                kept.ok().flatten().unwrap_or_default()
            }
        };
        all.into_iter().rev().take(limit).collect()
    }

    fn is_elsewhere(&self) -> bool {
        // What was pushed here while another broker runs the feed is known here alone.
        let known_here = self.book.lock().dirty;
        self.shared().broker.store().is_shared() && !self.is_held() && !known_here
    }

    fn file_key(&self, file: &str) -> String {
        format!("{}/{file}", self.name())
    }

    /// Whether a file was done, as it is.
    pub(super) async fn is_done(&self, file: &str, mark: &FileMark) -> Result<bool, StoreError> {
        let store = &**self.shared().broker.store();
        let kept: Option<FileMark> = Records::on(store, FILES).get(&self.file_key(file)).await?;
        Ok(kept.as_ref() == Some(mark))
    }

    /// A file is done.
    pub(super) async fn mark_done(&self, file: &str, mark: &FileMark) -> Result<(), StoreError> {
        let store = &**self.shared().broker.store();
        Records::on(store, FILES).put(&self.file_key(file), mark).await
    }

    /// A file that was done is not there any more.
    pub(super) async fn unmark(&self, file: &str) -> Result<(), StoreError> {
        let store = &**self.shared().broker.store();
        Records::<FileMark>::on(store, FILES).take(&self.file_key(file)).await.map(drop)
    }

    /// The files that are marked.
    pub(super) async fn marked(&self) -> Result<Vec<String>, StoreError> {
        let store = &**self.shared().broker.store();
        let own = format!("{}/", self.name());
        let all: Vec<(String, FileMark)> = Records::on(store, FILES).all().await?;
        Ok(all
            .into_iter()
            .filter_map(|(key, _)| Some(key.strip_prefix(&own)?.to_owned()))
            .collect())
    }

    /// The name by which an MQTT server knows this feed of these brokers, whichever of them runs it.
    pub(super) async fn client_name(&self) -> Result<String, StoreError> {
        let store = &**self.shared().broker.store();
        let shelf: Records<'_, String> = Records::on(store, FILES);
        let key = self.file_key("*mqtt");
        if let Some(known) = shelf.get(&key).await? {
            return Ok(known);
        }
        let new = format!("lanna{:016x}", uuid::Uuid::new_v4().as_u64_pair().0);
        match shelf.add(&key, &new).await? {
            true => Ok(new),
            false => Ok(shelf.get(&key).await?.unwrap_or(new)),
        }
    }
}
