//! Carrying out jobs, and what happens when the disk refuses.
//!
//! After a failed write nothing is acknowledged and nothing changes in memory; further writes are
//! refused at once, reads go on. When the disk was full, or failed while every acknowledged write
//! had been synced, the store tries again now and then: it opens the engine anew, undoes what may
//! have been written of the failed batch, and goes on. After other failures it cannot know what the
//! disk holds, and stays closed to writes until a restart reads it again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::engine::{Batch, Depth, Mend, WriteFailure};
use super::group::Group;
use super::queue::Job;
use super::{Durability, Inner};
use crate::store::StoreError;

/// How many jobs become one batch at most, so that nobody waits for a very long one.
const MAX_JOBS: usize = 4_096;

/// How long to wait before the first attempt to recover, and between later ones: an attempt keeps
/// readers from the engine for a moment.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// Whether the store failed.
#[derive(Default)]
pub(super) struct Failure {
    failed: AtomicBool,
    what: Mutex<Option<Failed>>,
}

struct Failed {
    error: StoreError,
    /// When to try to recover, and how long to wait after that.
    retry: (Instant, Duration),
    /// What makes the engine agree with memory again; absent if nothing can.
    undo: Option<Batch>,
}

impl Failure {
    /// The error that stands, if the store failed.
    pub fn check(&self) -> Result<(), StoreError> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        match &*self.what.lock() {
            Some(failed) => Err(failed.error.clone()),
            None => Ok(()),
        }
    }

    fn set(&self, error: StoreError, undo: Option<Batch>) {
        tracing::error!(%error, "the store takes no writes");
        let retry = (Instant::now() + FIRST_PAUSE, FIRST_PAUSE * 2);
        *self.what.lock() = Some(Failed { error, retry, undo });
        self.failed.store(true, Ordering::Release);
    }

    /// Whether it is time to try to recover; the next time comes later.
    pub fn is_due(&self) -> bool {
        match &mut *self.what.lock() {
            Some(Failed { retry: (next, pause), undo: Some(_), .. }) if Instant::now() >= *next => {
                *next = Instant::now() + *pause;
                *pause = (*pause * 2).min(LAST_PAUSE);
                true
            }
            _ => false,
        }
    }

    fn clear(&self) {
        *self.what.lock() = None;
        self.failed.store(false, Ordering::Release);
    }
}

impl Inner {
    /// Carries out jobs, as few batches as possible.
    pub(super) fn carry_out(&self, jobs: Vec<Job>) {
        let mut jobs = jobs.into_iter().peekable();
        while jobs.peek().is_some() {
            let some: Vec<Job> = jobs.by_ref().take(MAX_JOBS).collect();
            let mut writer = self.writer.lock();
            if let Err(error) = self.failure.check() {
                some.into_iter().for_each(|job| job.refuse(error.clone()));
                continue;
            }
            let depth = match self.settings.durability {
                Durability::Commit => Depth::Disk,
                Durability::Every(_) => Depth::System,
            };
            let done = catch_unwind(AssertUnwindSafe(|| {
                let mut group = Group::new(self, &mut writer);
                some.into_iter().for_each(|job| group.add(job));
                group.finish(depth)
            }));
            match done {
                Ok(Ok(())) if depth == Depth::System => {
                    self.unsynced.store(true, Ordering::Relaxed);
                }
                Ok(Ok(())) => {}
                Ok(Err((failure, batch))) => {
                    let undo = self.engine.undoing(&batch).ok();
                    self.failed(failure, undo);
                }
                // Memory may be half changed: only a restart can mend that.
                Err(_) => {
                    let error = StoreError::Broken("the writer panicked".into());
                    self.failed(error.into(), None);
                }
            }
        }
    }

    fn failed(&self, failure: WriteFailure, undo: Option<Batch>) {
        let mendable = match failure.mend {
            Mend::Yes => true,
            Mend::IfAllWasSynced => self.settings.durability == Durability::Commit,
            Mend::No => false,
        };
        let undo = undo.filter(|_| mendable);
        let error = match (failure.error, &undo) {
            (StoreError::Broken(why), None) => {
                StoreError::Broken(format!("{why}; reading goes on, but writing needs a restart"))
            }
            (error, _) => error,
        };
        self.failure.set(error, undo);
    }

    /// Brings what was written to the disk, in the relaxed mode.
    pub(super) fn sync(&self) {
        if !self.unsynced.swap(false, Ordering::Relaxed) || self.failure.check().is_err() {
            return;
        }
        if let Err(failure) = self.engine.sync() {
            self.failed(failure, Some(Batch::default()));
        }
    }

    /// Tries to go on after the disk was full or failed.
    pub(super) fn recover(&self) {
        // A group that just failed says so before it lets go.
        let _writer = self.writer.lock();
        if self.failure.check().is_ok() {
            return;
        }
        let what = self.failure.what.lock();
        let Some(Failed { undo: Some(undo), .. }) = &*what else { return };
        let recovered = self.engine.reopen().and_then(|()| {
            let write = || self.engine.write(undo, Depth::Disk);
            let written = self.history.newest.around(undo, write);
            written.map_err(|failure| failure.error)
        });
        drop(what);
        match recovered {
            Ok(()) => {
                self.failure.clear();
                self.history.ripe.look_through();
                tracing::info!("the store takes writes again");
            }
            Err(error) => tracing::warn!(%error, "the store still takes no writes"),
        }
    }
}
