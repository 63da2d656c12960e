//! What waits for the one writer. While a batch goes to the disk the next one gathers here: that
//! is group commit. In the relaxed mode those gather that ask in the same moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::events::Forgotten;
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

/// How long a job that can wait does so for others to share the way to the disk with.
const PATIENCE: Duration = Duration::from_millis(2);

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
    /// Sheets of events, each named by its first one, are no longer needed.
    Forget {
        sheets: Vec<u64>,
        forgotten: Forgotten,
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
    pub notes: Vec<Note>,
    /// It can wait a moment for others, so that all go to the disk together.
    pub patient: bool,
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
    /// Nothing happens to it; only if there is one.
    Leave,
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

    /// Whether it can wait for others a moment.
    fn is_patient(&self) -> bool {
        matches!(self, Job::Record(RecordJob { patient: true, .. }))
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
    /// One of them cannot wait for others.
    urgent: bool,
    /// The writer sleeps and must be woken.
    asleep: bool,
    closed: bool,
}

impl Waiting {
    fn take(&mut self) -> Vec<Job> {
        self.size = 0;
        self.urgent = false;
        std::mem::take(&mut self.jobs)
    }
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
        waiting.urgent |= !job.is_patient();
        waiting.jobs.push(job);
        if std::mem::take(&mut waiting.asleep) {
            drop(waiting);
            self.come.notify_one();
        }
        Ok(())
    }

    /// Everything that waits; sleeps until there is something that is worth its while. None when the queue was closed and
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
        let until = Instant::now() + PATIENCE;
        while !waiting.urgent && !waiting.closed {
            waiting.asleep = true;
            if self.come.wait_until(&mut waiting, until).timed_out() {
                break;
            }
        }
        waiting.asleep = false;
        Some(waiting.take())
    }

    /// Everything that waits now, which may be nothing.
    pub fn drain(&self) -> Vec<Job> {
        self.waiting.lock().take()
    }

    /// Lets nothing more in.
    pub fn close(&self) {
        self.waiting.lock().closed = true;
        self.come.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(patient: bool) -> Job {
        let (answer, _) = oneshot::channel();
        let (key, change) = (String::new(), RecordChange::Take);
        let (tenant, notes) = (None, Vec::new());
        Job::Record(RecordJob { tenant, shelf: "x", key, change, notes, patient, answer })
    }

    #[test]
    fn what_can_wait_goes_with_others_or_by_itself_in_the_end() {
        let queue = Arc::new(Queue::new(100));
        queue.push(record(true)).unwrap();
        queue.push(record(true)).unwrap();
        assert_eq!(queue.take().unwrap().len(), 2, "nobody else came");
        queue.push(record(true)).unwrap();
        queue.push(record(false)).unwrap();
        assert_eq!(queue.take().unwrap().len(), 2);
        queue.push(record(true)).unwrap();
        queue.close();
        assert_eq!(queue.take().unwrap().len(), 1, "nobody comes any more");
        assert!(queue.take().is_none());
    }
}
