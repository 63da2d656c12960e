//! Seats: every entity of a tenant has one, numbered in the order of creation.
//!
//! A number is not used again while the process runs, so that pages stay stable and indexes can
//! be sets of numbers. Seats lie in blocks; a block that everyone has left is given back.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::model::{EntityId, Stored};

/// The number of a seat.
pub(super) type SeatNumber = u32;

const BLOCK: usize = 1024;

/// Where an entity sits.
#[derive(Debug)]
pub(super) struct Seat {
    /// Absent once the entity is gone.
    id: Option<EntityId>,
    /// Where the entity lies in the engine.
    pub sequence: u64,
    /// The entity, as long as there is room for it in memory.
    pub entity: Option<Arc<Stored>>,
    /// Counts the changes, so that who read an older record does not put it here.
    pub version: u32,
    /// The bytes that the entity in memory is taken to need, zero if it is not here.
    pub weight: u32,
    /// The bytes that its renderings needed when the clock's hand last passed.
    pub rendered: u32,
    /// Whether someone asked for the entity since the clock's hand passed.
    pub touched: AtomicBool,
}

impl Seat {
    /// The entity's id, absent once it is gone.
    pub fn id(&self) -> Option<&EntityId> {
        self.id.as_ref()
    }

    /// Remembers that the entity was asked for.
    pub fn touch(&self) {
        if !self.touched.load(Ordering::Relaxed) {
            self.touched.store(true, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
struct Block {
    first_sequence: u64,
    /// Empty once all seats were taken and left.
    seats: Vec<Seat>,
    taken: usize,
}

/// How the ids of a tenant are hashed; nobody outside can guess it.
#[derive(Clone, Default)]
pub(super) struct Hasher(DefaultHashBuilder);

impl Hasher {
    pub fn hash(&self, id: &str) -> u64 {
        self.0.hash_one(id)
    }
}

/// All seats of a tenant.
pub(super) struct Seats {
    blocks: Vec<Block>,
    next: usize,
    by_id: HashTable<SeatNumber>,
    hasher: Hasher,
}

impl Default for Seats {
    fn default() -> Self {
        Self { blocks: Vec::new(), next: 0, by_id: HashTable::new(), hasher: Hasher::default() }
    }
}

impl Seats {
    /// How many entities have a seat.
    pub fn taken(&self) -> usize {
        self.by_id.len()
    }

    /// The number that no seat has reached.
    pub fn end(&self) -> SeatNumber {
        self.next as SeatNumber
    }

    /// Where the entity of this id sits.
    pub fn find(&self, id: &str) -> Option<SeatNumber> {
        let is_it = |number: &SeatNumber| self.has_id(*number, id);
        self.by_id.find(self.hasher.hash(id), is_it).copied()
    }

    fn has_id(&self, number: SeatNumber, id: &str) -> bool {
        self.get(number).and_then(Seat::id).is_some_and(|own| own.as_str() == id)
    }

    /// A seat, whether someone sits there or left.
    pub fn get(&self, number: SeatNumber) -> Option<&Seat> {
        let number = number as usize;
        self.blocks.get(number / BLOCK)?.seats.get(number % BLOCK)
    }

    /// A seat, to be changed.
    pub fn get_mut(&mut self, number: SeatNumber) -> Option<&mut Seat> {
        let number = number as usize;
        self.blocks.get_mut(number / BLOCK)?.seats.get_mut(number % BLOCK)
    }

    /// Gives a new entity the next seat. Sequences must grow, and the id must have none. None
    /// if all numbers are used up.
    pub fn take(&mut self, id: EntityId, sequence: u64) -> Option<SeatNumber> {
        let number = SeatNumber::try_from(self.next).ok().filter(|n| *n < SeatNumber::MAX)?;
        let hash = self.hasher.hash(id.as_str());
        self.append(id, sequence);
        self.list(hash, number);
        Some(number)
    }

    /// Gives an entity the next seat, where it is not found by its id until
    /// [`Seats::index`] was called. There must be one left.
    pub fn append(&mut self, id: EntityId, sequence: u64) {
        let seat = Seat {
            id: Some(id),
            sequence,
            entity: None,
            version: 0,
            weight: 0,
            rendered: 0,
            touched: AtomicBool::new(false),
        };
        if self.next.is_multiple_of(BLOCK) {
            let seats = Vec::with_capacity(if self.next == 0 { 0 } else { BLOCK });
            self.blocks.push(Block { first_sequence: sequence, seats, taken: 0 });
        }
        let Some(block) = self.blocks.last_mut() else { return };
        block.seats.push(seat);
        block.taken += 1;
        self.next += 1;
    }

    /// Lets all seats be found by the ids of their entities, which have these hashes. Nobody has
    /// left yet.
    pub fn index(&mut self, hashes: &[u64]) {
        self.by_id = HashTable::with_capacity(hashes.len());
        for (number, hash) in hashes.iter().enumerate() {
            self.list(*hash, number as SeatNumber);
        }
    }

    fn list(&mut self, hash: u64, number: SeatNumber) {
        let Self { blocks, by_id, hasher, .. } = self;
        by_id.insert_unique(hash, number, |other| {
            let other = *other as usize;
            let id = blocks[other / BLOCK].seats[other % BLOCK].id.as_ref();
            hasher.hash(id.map_or("", EntityId::as_str))
        });
    }

    /// How ids are hashed here.
    pub fn hasher(&self) -> Hasher {
        self.hasher.clone()
    }

    /// Frees a seat for good.
    pub fn leave(&mut self, number: SeatNumber) {
        let Some(seat) = self.get_mut(number) else { return };
        let Some(id) = seat.id.take() else { return };
        seat.entity = None;
        seat.version = seat.version.wrapping_add(1);
        let hash = self.hasher.hash(id.as_str());
        if let Ok(entry) = self.by_id.find_entry(hash, |other| *other == number) {
            entry.remove();
        }
        let block = &mut self.blocks[number as usize / BLOCK];
        block.taken -= 1;
        if block.taken == 0 && block.seats.len() == BLOCK {
            block.seats = Vec::new();
        }
    }

    /// The first seat whose entity was created after this sequence.
    pub fn after(&self, sequence: u64) -> SeatNumber {
        let block = self.blocks.partition_point(|block| block.first_sequence <= sequence);
        let Some(block) = block.checked_sub(1) else { return 0 };
        let within = self.blocks[block].seats.partition_point(|seat| seat.sequence <= sequence);
        (block * BLOCK + within) as SeatNumber
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> EntityId {
        EntityId::parse(&format!("urn:x:{number}")).unwrap()
    }

    #[test]
    fn seats_are_found_by_id_and_by_sequence() {
        let mut seats = Seats::default();
        for number in 0..5_000 {
            assert_eq!(seats.take(id(number), number as u64 * 10 + 1), Some(number as u32));
        }
        assert_eq!(seats.find("urn:x:1234"), Some(1234));
        assert_eq!(seats.find("urn:x:none"), None);
        assert_eq!(seats.after(0), 0);
        assert_eq!(seats.after(1), 1);
        assert_eq!(seats.after(10_241), 1025);
        assert_eq!(seats.after(10_245), 1025);
        assert_eq!(seats.after(u64::MAX), 5_000);
    }

    #[test]
    fn seats_that_were_left_are_not_given_again() {
        let mut seats = Seats::default();
        for number in 0..3_000 {
            seats.take(id(number), number as u64 + 1);
        }
        for number in 0..2_500 {
            seats.leave(number);
            seats.leave(number);
        }
        assert_eq!(seats.taken(), 500);
        assert!(seats.get(17).is_none(), "the block was given back");
        assert_eq!(seats.find("urn:x:17"), None);
        assert_eq!(seats.take(id(17), 4_000), Some(3_000));
        assert_eq!(seats.find("urn:x:17"), Some(3_000));
        assert_eq!(seats.after(3_000), 3_000);
        assert!(seats.after(100) <= 2_500, "nobody who is there is skipped");
    }
}
