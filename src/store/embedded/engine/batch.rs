//! Keys and batches: what is written in one step, and where it lies.

use rustc_hash::FxHashMap;

/// Where an entity lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::store::embedded) struct EntityKey {
    pub tenant: u32,
    pub sequence: u64,
}

impl EntityKey {
    pub(super) fn bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&self.tenant.to_be_bytes());
        bytes[4..].copy_from_slice(&self.sequence.to_be_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (tenant, sequence) = bytes.split_first_chunk::<4>()?;
        Some(Self {
            tenant: u32::from_be_bytes(*tenant),
            sequence: u64::from_be_bytes(sequence.try_into().ok()?),
        })
    }
}

/// The letters that the keys of `rest` begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::store::embedded) enum Rest {
    /// Number of a name → its IRI.
    Name = b'n',
    /// Number of a tenant → its name, empty for the default one.
    Tenant = b't',
    /// Shelf, tenant, key → JSON.
    Record = b's',
    /// Tenant, attribute, sort → nothing: an index to build at the start.
    Index = b'i',
    /// Nothing → the sequence that no entity has reached.
    Sequence = b'q',
    /// Nothing → the last event that was forgotten.
    Forgotten = b'e',
    /// Tenant, id of an entity → what history knows of it.
    Chapter = b'h',
    /// Tenant, type, id of an entity → nothing: history knows the entity by this type.
    ChapterType = b'y',
}

/// The keyspaces of history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::store::embedded) enum Past {
    /// Sequence → what one group of writes recorded, until it is laid down by series.
    Log,
    /// Series, sequence → a few rows that are to be packed with others.
    Tails,
    /// Series, first time → packed rows.
    Blocks,
}

impl Past {
    pub(super) const ALL: [Past; 3] = [Past::Log, Past::Tails, Past::Blocks];
}

impl Rest {
    pub(super) fn key(self, key: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(1 + key.len());
        whole.push(self as u8);
        whole.extend_from_slice(key);
        whole
    }
}

/// One atomic step. No key stands in it twice: the engine would not know the order.
#[derive(Debug, Default)]
pub(in crate::store::embedded) struct Batch {
    pub(super) entities: Vec<(EntityKey, Option<Vec<u8>>)>,
    pub(super) rest: FxHashMap<Vec<u8>, Option<Vec<u8>>>,
    pub(super) sheets: Vec<(u64, Option<Vec<u8>>)>,
    pub(super) log: Pairs,
    pub(super) tails: Pairs,
    pub(super) blocks: Pairs,
}

/// Keys with what they will hold.
pub(in crate::store::embedded) type Pairs = FxHashMap<Vec<u8>, Option<Vec<u8>>>;

impl Batch {
    /// Makes room for so many more keys of `rest`.
    pub fn reserve(&mut self, more: usize) {
        self.rest.reserve(more);
    }

    /// The record of an entity whose key is not in the batch yet; its place among those.
    pub fn put_entity(&mut self, key: EntityKey, record: Vec<u8>) -> usize {
        self.entities.push((key, Some(record)));
        self.entities.len() - 1
    }

    /// The record of an entity by its place.
    pub fn entity(&self, place: usize) -> Option<&[u8]> {
        self.entities.get(place)?.1.as_deref()
    }

    /// Takes away the record of an entity whose key is not in the batch yet.
    pub fn remove_entity(&mut self, key: EntityKey) {
        self.entities.push((key, None));
    }

    /// A sheet of events, under the sequence of the first.
    pub fn put_sheet(&mut self, first: u64, sheet: Vec<u8>) {
        self.sheets.push((first, Some(sheet)));
    }

    /// Takes away a sheet that was written before.
    pub fn remove_sheet(&mut self, first: u64) {
        self.sheets.push((first, None));
    }

    pub fn put(&mut self, letter: Rest, key: &[u8], value: impl Into<Vec<u8>>) {
        self.rest.insert(letter.key(key), Some(value.into()));
    }

    pub fn remove(&mut self, letter: Rest, key: &[u8]) {
        self.rest.insert(letter.key(key), None);
    }

    /// What the batch will leave under a key, if it touches it.
    pub fn get(&self, letter: Rest, key: &[u8]) -> Option<Option<&[u8]>> {
        self.rest.get(&letter.key(key)).map(Option::as_deref)
    }

    /// The batch's part of a keyspace of history, to be changed.
    pub fn past_mut(&mut self, past: Past) -> &mut Pairs {
        match past {
            Past::Log => &mut self.log,
            Past::Tails => &mut self.tails,
            Past::Blocks => &mut self.blocks,
        }
    }

    /// The batch's part of a keyspace of history.
    pub fn past(&self, past: Past) -> &Pairs {
        match past {
            Past::Log => &self.log,
            Past::Tails => &self.tails,
            Past::Blocks => &self.blocks,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        let past: usize = Past::ALL.iter().map(|past| self.past(*past).len()).sum();
        self.entities.len() + self.rest.len() + self.sheets.len() + past
    }
}
