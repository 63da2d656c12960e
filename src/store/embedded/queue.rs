//! What waits for the one writer. While a batch goes to the disk the next one gathers here: that
//! is group commit. In the relaxed mode those gather that ask in the same moment.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::group::HistoryResults;
use super::history::Packed;
use super::index::Wish;
use super::seats::SeatNumber;
use super::tenants::Tenant;
use crate::model::{Change, HistoryAction, HistoryWrite, Refusal, TenantId, Timestamp, Write};
use crate::store::{Archive, Note, StoreError};

/// Where the answer to a job goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What each write of a commit came to.
pub(super) type Results = Vec<Result<Change, Refusal>>;

/// To record so many instances at once takes as long as to write an entity.
const INSTANCES: usize = 8;

/// One thing to be done, whole or not at all.
pub(super) enum Job {
    Writes {
        tenant: TenantId,
        writes: Vec<Write>,
        now: Timestamp,
        answer: Answer<Results>,
    },
    /// Something in these seats may have expired.
    Sweep {
        tenant: Arc<Tenant>,
        seats: Vec<SeatNumber>,
        now: Timestamp,
        answer: Answer<u64>,
    },
    Record(RecordJob),
    /// Changes of history itself.
    History {
        tenant: TenantId,
        writes: Vec<HistoryWrite>,
        now: Timestamp,
        answer: Answer<HistoryResults>,
    },
    /// What another store kept of history.
    Archives {
        tenant: TenantId,
        archives: Vec<Archive>,
        answer: Answer<()>,
    },
    /// Blocks that were made of tails.
    Pack {
        packed: Box<Packed>,
        answer: Answer<()>,
    },
    /// Events from one sequence to another are no longer needed.
    Forget {
        first: u64,
        last: u64,
        answer: Answer<()>,
    },
    /// An index of this tenant is to be built at every start.
    Remember {
        tenant: u32,
        wish: Wish,
        answer: Answer<()>,
    },
}

/// A change of a record on a shelf, answered by whether it was made.
pub(super) struct RecordJob {
    /// The tenant, who comes into being if the record is laid down.
    pub tenant: Option<TenantId>,
    pub shelf: &'static str,
    pub key: String,
    pub change: RecordChange,
    /// Kept as an event if the record is changed.
    pub note: Option<Note>,
    pub answer: Answer<bool>,
}

/// What is to become of a record.
pub(super) enum RecordChange {
    Put(Vec<u8>),
    /// Only if there is none.
    Add(Vec<u8>),
    /// Only if there is one.
    Replace(Vec<u8>),
    Take,
}

impl Job {
    /// How much there is to do, in writes.
    fn size(&self) -> usize {
        match self {
            Job::Writes { writes, .. } => writes.len().max(1),
            Job::Sweep { seats, .. } => seats.len().max(1),
            Job::History { writes, .. } => {
                let size = |write: &HistoryWrite| match &write.action {
                    HistoryAction::Upsert(told) | HistoryAction::Append(told) => {
                        let instances = told.attributes.iter().map(|(_, all)| all.len());
                        instances.sum::<usize>() / INSTANCES + 1
                    }
                    HistoryAction::Restore(told) => {
                        let instances = told.attributes.iter().map(|(_, all)| all.len());
                        instances.sum::<usize>() / INSTANCES + 1
                    }
                    _ => 1,
                };
                writes.iter().map(size).sum::<usize>().max(1)
            }
            Job::Archives { archives, .. } => {
                let rows: u64 = archives.iter().map(Archive::rows).sum();
                (rows as usize / INSTANCES).max(1)
            }
            Job::Record(_) | Job::Remember { .. } | Job::Forget { .. } | Job::Pack { .. } => 1,
        }
    }

    /// Answers a job that was not done.
    pub fn refuse(self, error: StoreError) {
        // Whoever asked may have gone meanwhile.
        match self {
            Job::Writes { answer, .. } => drop(answer.send(Err(error))),
            Job::Sweep { answer, .. } => drop(answer.send(Err(error))),
            Job::Record(job) => drop(job.answer.send(Err(error))),
            Job::History { answer, .. } => drop(answer.send(Err(error))),
            Job::Remember { answer, .. }
            | Job::Forget { answer, .. }
            | Job::Archives { answer, .. }
            | Job::Pack { answer, .. } => {
                drop(answer.send(Err(error)));
            }
        }
    }
}

/// Jobs in the order they came.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    come: Condvar,
    /// How many writes may wait.
    capacity: usize,
}

#[derive(Default)]
struct Waiting {
    jobs: Vec<Job>,
    size: usize,
    /// The writer sleeps and must be woken.
    asleep: bool,
    closed: bool,
}

impl Queue {
    pub fn new(capacity: usize) -> Self {
        Self { waiting: Mutex::default(), come: Condvar::new(), capacity }
    }

    /// Adds a job. One that alone is larger than the queue is taken when nothing else waits.
    pub fn push(&self, job: Job) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(StoreError::Broken("the store is closed".into()));
        }
        let size = job.size();
        if waiting.size > 0 && waiting.size + size > self.capacity {
            return Err(StoreError::Busy);
        }
        waiting.size += size;
        waiting.jobs.push(job);
        if std::mem::take(&mut waiting.asleep) {
            drop(waiting);
            self.come.notify_one();
        }
        Ok(())
    }

    /// Everything that waits; sleeps until there is something. None when the queue was closed and
    /// nothing is left.
    pub fn take(&self) -> Option<Vec<Job>> {
        let mut waiting = self.waiting.lock();
        while waiting.jobs.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting.asleep = true;
            self.come.wait(&mut waiting);
        }
        waiting.size = 0;
        Some(std::mem::take(&mut waiting.jobs))
    }

    /// Everything that waits now, which may be nothing.
    pub fn drain(&self) -> Vec<Job> {
        let mut waiting = self.waiting.lock();
        waiting.size = 0;
        std::mem::take(&mut waiting.jobs)
    }

    /// Lets nothing more in.
    pub fn close(&self) {
        self.waiting.lock().closed = true;
        self.come.notify_all();
    }
}
