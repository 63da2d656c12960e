//! The engine: ordered bytes on disk, written in atomic batches. Only what is here knows fjall.
//!
//! Six keyspaces. `entities`: tenant number and creation sequence → record, so that entities lie
//! in the order they were created. `events`: sequence of the first → sheet of events. `log`, `tails`
//! and `blocks`: what was recorded in history, as groups of writes recorded it, by series, and packed.
//! `rest`: a letter and a key → everything else.

mod batch;
mod look;
mod mend;

use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use fjall::{
    Database, Guard, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Slice,
};
use parking_lot::RwLock;

pub(super) use self::batch::{Batch, EntityKey, Pairs, Past, Rest};
pub(super) use self::look::Look;
use self::mend::{probe, rewrite_journals};
use crate::store::StoreError;

/// How many bytes of new records the engine gathers in memory before it writes them to a file, and
/// reads again from its journal at the start.
const MEMTABLE: u64 = 32 << 20;

/// How far a write has gone when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// On the disk: it survives the loss of power.
    Disk,
    /// With the operating system: it survives the end of the process.
    System,
}

/// Why nothing was written.
#[derive(Debug, Clone)]
pub(super) struct WriteFailure {
    pub error: StoreError,
    pub mend: Mend,
}

/// Whether the engine can be trusted again once it was reopened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mend {
    /// After want of room, and when it had stopped before it touched anything.
    Yes,
    /// After a failure of the disk: what was synced before is there, what was only written may
    /// not be.
    IfAllWasSynced,
    No,
}

impl From<StoreError> for WriteFailure {
    fn from(error: StoreError) -> Self {
        let mend = if matches!(error, StoreError::Full(_)) { Mend::Yes } else { Mend::No };
        Self { mend, error }
    }
}

struct Open {
    database: Database,
    entities: Keyspace,
    events: Keyspace,
    log: Keyspace,
    tails: Keyspace,
    blocks: Keyspace,
    rest: Keyspace,
}

/// The engine in its folder. It can be opened anew without anyone else noticing, which is how it
/// recovers from a failure.
pub(super) struct Engine {
    path: PathBuf,
    cache_bytes: u64,
    open: RwLock<Option<Open>>,
    #[cfg(test)]
    pub faults: super::faults::Faults,
}

impl Engine {
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let open = Open::at(path, cache_bytes)?;
        Ok(Self {
            path: path.to_owned(),
            cache_bytes,
            open: RwLock::new(Some(open)),
            #[cfg(test)]
            faults: super::faults::Faults::default(),
        })
    }

    /// Closes the engine and opens it again. What was acknowledged is there afterwards; what
    /// failed may be there or not.
    pub fn reopen(&self) -> Result<(), StoreError> {
        let failed = |error: std::io::Error| StoreError::from_io(&error);
        // Reading goes on as long as there is no hope.
        probe(&self.path).map_err(failed)?;
        let mut open = self.open.write();
        drop(open.take());
        let rewritten = rewrite_journals(&self.path).map_err(failed);
        *open = Some(Open::at(&self.path, self.cache_bytes)?);
        rewritten
    }

    fn with<T>(&self, act: impl FnOnce(&Open) -> Result<T, fjall::Error>) -> Result<T, StoreError> {
        match &*self.open.read() {
            Some(open) => act(open).map_err(|error| store_error(&error)),
            None => Err(StoreError::Broken("the storage engine is closed after a failure".into())),
        }
    }

    /// Writes a batch, whole or not at all.
    pub fn write(&self, batch: &Batch, depth: Depth) -> Result<(), WriteFailure> {
        #[cfg(test)]
        self.faults.check()?;
        let mode = match depth {
            Depth::Disk => PersistMode::SyncAll,
            Depth::System => PersistMode::Buffer,
        };
        self.try_write(|open| {
            let mut writes = OwnedWriteBatch::with_capacity(open.database.clone(), batch.len());
            for (key, record) in &batch.entities {
                match record {
                    Some(record) => writes.insert(&open.entities, key.bytes(), &record[..]),
                    None => writes.remove(&open.entities, key.bytes()),
                }
            }
            for (first, sheet) in &batch.sheets {
                let key = first.to_be_bytes();
                match sheet {
                    Some(sheet) => writes.insert(&open.events, key, &sheet[..]),
                    None => writes.remove(&open.events, key),
                }
            }
            let pairs = [
                (&open.rest, &batch.rest),
                (&open.log, &batch.log),
                (&open.tails, &batch.tails),
                (&open.blocks, &batch.blocks),
            ];
            for (keyspace, pairs) in pairs {
                // Neighbours find their places in the engine's memory faster one after another.
                let mut pairs: Vec<_> = pairs.iter().collect();
                pairs.sort_unstable_by_key(|(key, _)| *key);
                for (key, value) in pairs {
                    match value {
                        Some(value) => writes.insert(keyspace, &key[..], &value[..]),
                        None => writes.remove(keyspace, &key[..]),
                    }
                }
            }
            writes.durability(Some(mode)).commit()
        })
    }

    /// The batch that undoes a batch which was not written.
    pub fn undoing(&self, batch: &Batch) -> Result<Batch, StoreError> {
        let mut undo = Batch::default();
        for (key, _) in &batch.entities {
            undo.entities.push((*key, self.entity(*key)?.map(|record| record.to_vec())));
        }
        // Events that were to be forgotten may be forgotten: nobody needs them.
        for (first, _) in batch.sheets.iter().filter(|(_, sheet)| sheet.is_some()) {
            undo.sheets.push((*first, None));
        }
        for key in batch.rest.keys() {
            let value = self.with(|open| open.rest.get(key))?;
            undo.rest.insert(key.clone(), value.map(|value| value.to_vec()));
        }
        for past in Past::ALL {
            for key in batch.past(past).keys() {
                let value = self.with(|open| open.past(past).get(key))?;
                undo.past_mut(past).insert(key.clone(), value.map(|value| value.to_vec()));
            }
        }
        Ok(undo)
    }

    /// Brings everything that was written to the disk.
    pub fn sync(&self) -> Result<(), WriteFailure> {
        #[cfg(test)]
        self.faults.check()?;
        self.try_write(|open| open.database.persist(PersistMode::SyncAll))
    }

    fn try_write(
        &self,
        act: impl FnOnce(&Open) -> Result<(), fjall::Error>,
    ) -> Result<(), WriteFailure> {
        let (mut stopped, mut disk) = (false, false);
        let written = self.with(|open| {
            act(open).inspect_err(|error| {
                stopped = matches!(error, fjall::Error::Poisoned);
                disk = is_io(error);
            })
        });
        written.map_err(|error| match (stopped, probe(&self.path)) {
            // It stopped when something went wrong in the background, most likely for want of room.
            (true, Err(probe)) => StoreError::from_io(&probe).into(),
            (true, Ok(())) => WriteFailure { error, mend: Mend::Yes },
            (false, _) if disk && !matches!(error, StoreError::Full(_)) => {
                WriteFailure { error, mend: Mend::IfAllWasSynced }
            }
            (false, _) => error.into(),
        })
    }

    /// The record of an entity.
    pub fn entity(&self, key: EntityKey) -> Result<Option<Slice>, StoreError> {
        self.with(|open| open.entities.get(key.bytes()))
    }

    /// The first and the last sequence of a tenant's records; None if it has none.
    pub fn sequences(&self, tenant: u32) -> Result<Option<(u64, u64)>, StoreError> {
        let (first, last) =
            (EntityKey { tenant, sequence: 0 }, EntityKey { tenant, sequence: u64::MAX });
        self.with(|open| {
            let mut all = open.entities.range(first.bytes()..=last.bytes());
            let Some(first) = all.next().map(Guard::key).transpose()? else { return Ok(None) };
            let last = all.next_back().map(Guard::key).transpose()?;
            let sequence = |key: &[u8]| EntityKey::read(key).map(|key| key.sequence);
            let first = sequence(&first);
            Ok(first.zip(last.map_or(first, |key| sequence(&key))))
        })
    }

    /// Shows the records of a tenant with these sequences in the order of creation, until told to
    /// stop.
    pub fn entities_within(
        &self,
        tenant: u32,
        sequences: Range<u64>,
        mut show: impl FnMut(EntityKey, Slice) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let key = |sequence| EntityKey { tenant, sequence }.bytes();
        self.with(|open| {
            for entry in open.entities.range(key(sequences.start)..key(sequences.end)) {
                let (key, record) = entry.into_inner()?;
                let Some(key) = EntityKey::read(&key) else { continue };
                if show(key, record).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Shows the sheets of events from the one that the end of a range would lie in, with their
    /// first events, in order, until told to stop. None lies before the beginning of the range.
    pub fn sheets(
        &self,
        range: Range<u64>,
        mut show: impl FnMut(u64, Slice) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let Range { start, end: wanted } = range;
        self.with(|open| {
            let key = |number: u64| number.to_be_bytes();
            let mut before = open.events.range(key(start.min(wanted))..=key(wanted));
            let first = match before.next_back() {
                Some(sheet) => sheet.key()?,
                None => key(wanted).into(),
            };
            for entry in open.events.range(first..) {
                let (key, sheet) = entry.into_inner()?;
                let Some(first) = sequence(&key) else { continue };
                if show(first, sheet).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The first events of the sheets that begin between two sequences, both included.
    pub fn sheets_between(&self, first: u64, last: u64) -> Result<Vec<u64>, StoreError> {
        if first > last {
            return Ok(Vec::new());
        }
        self.with(|open| {
            let sheets = open.events.range(first.to_be_bytes()..=last.to_be_bytes());
            sheets.filter_map(|sheet| sheet.key().map(|key| sequence(&key)).transpose()).collect()
        })
    }

    /// The last sheet, with the sequence of its first event, if there is one.
    pub fn last_sheet(&self) -> Result<Option<(u64, Slice)>, StoreError> {
        self.with(|open| match open.events.last_key_value() {
            None => Ok(None),
            Some(entry) => {
                let (key, sheet) = entry.into_inner()?;
                Ok(sequence(&key).zip(Some(sheet)))
            }
        })
    }

    /// A value of `rest`.
    pub fn get(&self, letter: Rest, key: &[u8]) -> Result<Option<Slice>, StoreError> {
        self.with(|open| open.rest.get(letter.key(key)))
    }

    /// Everything in `rest` under a letter and a beginning of the key: keys without the letter,
    /// and values, in order.
    pub fn all(&self, letter: Rest, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Slice)>, StoreError> {
        self.with(|open| {
            let mut found = Vec::new();
            for entry in open.rest.prefix(letter.key(prefix)) {
                let (key, value) = entry.into_inner()?;
                found.push((key[1..].to_vec(), value));
            }
            Ok(found)
        })
    }

    /// Looks at one state of everything, whatever is written meanwhile.
    pub fn look<T>(
        &self,
        act: impl FnOnce(&Look<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &*self.open.read() {
            Some(open) => act(&Look { open, snapshot: open.database.snapshot() }),
            None => Err(StoreError::Broken("the storage engine is closed after a failure".into())),
        }
    }

    /// The bytes on disk.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.with(|open| open.database.disk_space())
    }
}

impl Open {
    fn past(&self, past: Past) -> &Keyspace {
        match past {
            Past::Log => &self.log,
            Past::Tails => &self.tails,
            Past::Blocks => &self.blocks,
        }
    }

    fn at(path: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let open = || {
            let database = Database::builder(path).cache_size(cache_bytes).open()?;
            // Every key that is asked for is there, so filters for the last level would be idle.
            let entities = database.keyspace("entities", || {
                KeyspaceCreateOptions::default()
                    .expect_point_read_hits(true)
                    .max_memtable_size(MEMTABLE)
            })?;
            // Most events are forgotten before they would leave memory; where receivers are slow
            // this is what memory grows by.
            let events = database.keyspace("events", || {
                KeyspaceCreateOptions::default().max_memtable_size(16 << 20)
            })?;
            // Most of it is laid down before it would leave memory.
            let log = database
                .keyspace("log", || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE))?;
            let tails = database.keyspace("tails", || {
                KeyspaceCreateOptions::default().max_memtable_size(32 << 20)
            })?;
            let blocks = database.keyspace("blocks", || {
                KeyspaceCreateOptions::default().expect_point_read_hits(true)
            })?;
            // Whatever is written there is merged with most of what lies there, so that little at a
            // time would cost much.
            let rest = database.keyspace("rest", || {
                KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE)
            })?;
            Ok(Self { database, entities, events, log, tails, blocks, rest })
        };
        open().map_err(|error: fjall::Error| match store_error(&error) {
            StoreError::Broken(why) => StoreError::Unusable(format!(
                "the storage engine cannot open {}: {why}",
                path.display()
            )),
            other => other,
        })
    }
}

/// The sequence that is the key of a sheet.
fn sequence(key: &[u8]) -> Option<u64> {
    key.try_into().map(u64::from_be_bytes).ok()
}

fn is_io(error: &fjall::Error) -> bool {
    matches!(error, fjall::Error::Io(_) | fjall::Error::Storage(fjall::LsmError::Io(_)))
}

fn store_error(error: &fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(error) => StoreError::from_io(error),
        fjall::Error::Storage(fjall::LsmError::Io(error)) => StoreError::from_io(error),
        fjall::Error::Poisoned => {
            StoreError::Broken("the storage engine stopped after a failed write".into())
        }
        other => StoreError::Broken(other.to_string()),
    }
}
