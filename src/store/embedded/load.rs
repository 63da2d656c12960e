//! Loading: at the start the heads of a tenant's records become seats, sets and indexes.
//!
//! Records are read and decoded in stretches, by as many threads as there are processors, and
//! what the stretches say is put together in the order of creation. Sets are made from runs of
//! neighbours, since most entities have what the one before them had.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use super::build::Entries;
use super::engine::{Engine, EntityKey};
use super::index::{Wish, scope_key};
use super::names::Names;
use super::seats::{Hasher, SeatNumber};
use super::tenants::State;
use crate::model::{EntityId, Kind, Name, Timestamp};
use crate::store::StoreError;
use crate::store::record::{Damaged, Head, decode_head};

/// How many sequences a stretch has at least: fewer are not worth handing over.
const STRETCH: u64 = 8_192;

/// How many stretches there are for each thread, so that none waits long for another.
const STRETCHES_PER_THREAD: u64 = 16;

/// Reads the heads of a tenant's records, in the order of creation, into memory.
pub(super) fn load(
    engine: &Engine,
    names: &Names,
    tenant: u32,
    wishes: &[Wish],
) -> Result<State, StoreError> {
    let mut state = State::default();
    let Some((first, last)) = engine.sequences(tenant)? else { return Ok(state) };
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let length = ((last - first) / (threads * STRETCHES_PER_THREAD) + 1).max(STRETCH);
    let source = Source { engine, names, tenant, wishes, hasher: state.seats.hasher() };
    let mut whole = Whole::new(wishes);
    let stretches = (last - first) / length + 1;
    let stretch = |number: u64| {
        let begin: u64 = first + number * length;
        begin..begin.saturating_add(length)
    };
    if stretches == 1 {
        whole.append(&mut state, source.read(stretch(0))?)?;
    } else {
        let threads = threads.min(stretches);
        source.read_all(threads, stretches, &stretch, |part| whole.append(&mut state, part))?;
    }
    whole.finish(&mut state);
    Ok(state)
}

/// Numbers in ascending order, as runs of neighbours.
#[derive(Default)]
struct Runs(Vec<Range<u32>>);

impl Runs {
    fn push(&mut self, number: u32) {
        match self.0.last_mut() {
            Some(last) if last.end == number => last.end += 1,
            // Said twice of one entity.
            Some(last) if last.end > number => {}
            _ => self.0.push(number..number + 1),
        }
    }

    /// Adds the numbers, moved, to a set whose numbers are all lower.
    fn add_to(&self, set: &mut RoaringBitmap, offset: u32) {
        for run in &self.0 {
            if run.len() > 1 || set.try_push(offset + run.start).is_err() {
                set.insert_range(offset + run.start..offset + run.end);
            }
        }
    }
}

/// What a stretch of records says; its entities are counted from zero.
struct Part {
    entities: Vec<(EntityId, u64)>,
    hashes: Vec<u64>,
    types: FxHashMap<Name, Runs>,
    attributes: FxHashMap<(Name, u8), Runs>,
    scopes: BTreeMap<Box<str>, Runs>,
    expiries: Vec<(Timestamp, u32)>,
    /// As many as there are wishes.
    entries: Vec<Entries>,
}

impl Part {
    fn add(&mut self, sequence: u64, head: &Head<'_>, source: &Source<'_>) -> Result<(), Damaged> {
        let place = u32::try_from(self.entities.len()).map_err(|_| TOO_MANY)?;
        self.hashes.push(source.hasher.hash(head.id));
        self.entities.push((EntityId::from_trusted(head.id), sequence));
        for name in &head.types {
            self.types.entry(*name).or_default().push(place);
        }
        for scope in &head.scopes {
            let key = scope_key(scope);
            match self.scopes.get_mut(key) {
                Some(runs) => runs.push(place),
                None => self.scopes.entry(key.into()).or_default().push(place),
            }
        }
        self.expiries.extend(head.expiry.map(|time| (time, place)));
        for attribute in &head.attributes {
            let bits = 0..Kind::ALL.len() as u8;
            for kind in bits.filter(|kind| attribute.kinds & 1 << kind != 0) {
                self.attributes.entry((attribute.name, kind)).or_default().push(place);
            }
            for (wish, entries) in source.wishes.iter().zip(&mut self.entries) {
                if wish.attribute == attribute.name {
                    entries.add(place, &head.attribute(attribute, source.names)?);
                }
            }
        }
        Ok(())
    }
}

const TOO_MANY: Damaged = Damaged("there are too many entities");

/// Where parts come from.
struct Source<'a> {
    engine: &'a Engine,
    names: &'a Names,
    tenant: u32,
    wishes: &'a [Wish],
    hasher: Hasher,
}

impl Source<'_> {
    /// Reads one stretch.
    fn read(&self, sequences: Range<u64>) -> Result<Part, StoreError> {
        let mut part = Part {
            entities: Vec::new(),
            hashes: Vec::new(),
            types: FxHashMap::default(),
            attributes: FxHashMap::default(),
            scopes: BTreeMap::new(),
            expiries: Vec::new(),
            entries: self.wishes.iter().map(|wish| Entries::new(wish.sort)).collect(),
        };
        let mut failed = None;
        self.engine.entities_within(self.tenant, sequences, |key, record| {
            let head = decode_head(&record, self.names);
            match head.and_then(|head| part.add(key.sequence, &head, self)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(damage) => {
                    failed = Some((key, damage));
                    ControlFlow::Break(())
                }
            }
        })?;
        match failed {
            Some((key, damage)) => Err(damaged(key, damage)),
            None => Ok(part),
        }
    }

    /// Reads all stretches with several threads, and hands them on in order.
    fn read_all(
        &self,
        threads: u64,
        stretches: u64,
        stretch: &(impl Fn(u64) -> Range<u64> + Sync),
        mut take: impl FnMut(Part) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
        let (send, receive) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let send = send.clone();
                let (next, failed) = (&next, &failed);
                scope.spawn(move || {
                    while !failed.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= stretches {
                            break;
                        }
                        // Who receives has gone only after a failure.
                        if send.send((number, self.read(stretch(number)))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(send);
            let mut early = BTreeMap::new();
            let mut wanted = 0;
            let taken = receive.iter().try_for_each(|(number, part)| {
                early.insert(number, part);
                while let Some(part) = early.remove(&wanted) {
                    take(part?)?;
                    wanted += 1;
                }
                Ok(())
            });
            failed.store(true, Ordering::Relaxed);
            taken
        })
    }
}

fn damaged(key: EntityKey, damage: Damaged) -> StoreError {
    StoreError::Unusable(format!(
        "the store is damaged at entity {} of tenant number {}: {damage}",
        key.sequence, key.tenant
    ))
}

/// What the parts have come to so far, beside the state.
struct Whole<'a> {
    wishes: &'a [Wish],
    entries: Vec<Entries>,
    hashes: Vec<u64>,
}

impl<'a> Whole<'a> {
    fn new(wishes: &'a [Wish]) -> Self {
        let entries = wishes.iter().map(|wish| Entries::new(wish.sort)).collect();
        Self { wishes, entries, hashes: Vec::new() }
    }

    /// Seats the entities of the next part.
    fn append(&mut self, state: &mut State, part: Part) -> Result<(), StoreError> {
        let offset = state.seats.end();
        let count = part.entities.len() as u32;
        let end = offset.checked_add(count).filter(|end| *end < SeatNumber::MAX);
        let end = end.ok_or_else(|| StoreError::Unusable(TOO_MANY.to_string()))?;
        for (id, sequence) in part.entities {
            state.seats.append(id, sequence);
        }
        self.hashes.extend(part.hashes);
        let index = &mut state.index;
        index.all.insert_range(offset..end);
        for (name, runs) in &part.types {
            runs.add_to(index.types.entry(*name).or_default(), offset);
        }
        for ((name, kind), runs) in &part.attributes {
            let kind = Kind::ALL[usize::from(*kind)];
            runs.add_to(index.attributes.entry(*name).or_default().of_kind(kind), offset);
        }
        for (scope, runs) in part.scopes {
            runs.add_to(index.scopes.entry(scope).or_default(), offset);
        }
        index.expiries.extend(part.expiries.iter().map(|(time, place)| (*time, offset + place)));
        for (all, entries) in self.entries.iter_mut().zip(part.entries) {
            all.append(entries, offset);
        }
        Ok(())
    }

    /// Builds what needs everyone: the table of ids, and the indexes, each in a thread of its own.
    fn finish(self, state: &mut State) {
        let State { seats, index } = state;
        std::thread::scope(|scope| {
            let build = |(wish, entries): (&Wish, Entries)| {
                let attribute = wish.attribute;
                scope.spawn(move || (attribute, entries.build()))
            };
            let building: Vec<_> = self.wishes.iter().zip(self.entries).map(build).collect();
            seats.index(&self.hashes);
            for built in building {
                match built.join() {
                    Ok((attribute, built)) => index.put(attribute, built),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
    }
}
