//! Packing: a thread of its own lays down what was recorded lately, makes blocks of tails, and of
//! small blocks larger ones.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

use super::key::sequence_of_tail;
use super::ripe::Step;
use super::sheaf::{each_line, sheaves_with, value_of, without};
use crate::store::StoreError;
use crate::store::embedded::engine::{Look, Pairs, Past};
use crate::store::embedded::queue::Job;
use crate::store::embedded::{Inner, gone};
use crate::store::history::{self, PACK, Reach, Repacked, Rows, SeriesKey, ShowBlock, Volumes};
use crate::store::record::Damaged;

/// How many rows of a tail are packed at once.
pub(super) const AT_ONCE: usize = 1 << 16;

/// How many bytes one step of packing writes before the next begins.
pub(super) const STEP_BYTES: usize = 4 << 20;

/// How many series are packed in one step.
pub(super) const STEP_SERIES: usize = 1_024;

/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// How many writes are looked at in one step when all tails are looked through.
const LOOK: usize = 1 << 16;

/// What packing some series comes to.
#[derive(Default)]
pub(in crate::store::embedded) struct Packed {
    pub log: Pairs,
    pub tails: Pairs,
    pub blocks: Pairs,
    /// What was erased when the series were read.
    pub erasures: u64,
    /// Series whose tails were too long to be packed at once.
    pub(super) more: Vec<SeriesKey>,
    /// The last keys of the tails that were packed.
    through: Vec<(SeriesKey, Vec<u8>)>,
    pub(super) bytes: usize,
}

impl Packed {
    /// Adds what becomes of a series' blocks.
    pub(super) fn add(&mut self, series: &SeriesKey, repacked: Repacked) {
        for place in repacked.removed {
            let key = series.block(place);
            self.bytes += key.len();
            self.blocks.insert(key, None);
        }
        for (place, value) in repacked.written {
            let key = series.block(place);
            self.bytes += key.len() + value.len();
            self.blocks.insert(key, Some(value));
        }
    }

    /// Puts blocks in place of a tail.
    pub(super) fn replace(
        &mut self,
        series: &SeriesKey,
        lain: Lain,
        repacked: Repacked,
    ) -> Result<(), Damaged> {
        self.remove_tails(series, lain.keys);
        let (_, line) = series.split();
        for (key, sheaf) in lain.sheaves {
            // Another line may have been taken out in the same step.
            let now = match self.tails.get(&key) {
                None => &sheaf,
                Some(Some(now)) => now,
                Some(None) => continue,
            };
            let left = without(now, line)?;
            self.bytes += key.len() + left.len();
            self.tails.insert(key, (!left.is_empty()).then_some(left));
        }
        self.add(series, repacked);
        Ok(())
    }

    /// Takes away tails or sheaves, the last of what there was.
    pub(super) fn remove_tails(&mut self, series: &SeriesKey, keys: Vec<Vec<u8>>) {
        self.through.extend(keys.last().map(|last| (series.clone(), last.clone())));
        for key in keys {
            self.bytes += key.len();
            self.tails.insert(key, None);
        }
    }

    /// Adds a tail or a sheaf.
    pub(super) fn add_tail(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.tails.insert(key, Some(value));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.log.is_empty() && self.tails.is_empty() && self.blocks.is_empty()
    }
}

impl Inner {
    /// Lays down and packs what there is to pack, until the end.
    pub(in crate::store::embedded) fn pack_ripe(&self) {
        let (ripe, recent) = (&self.history.ripe, &self.history.recent);
        // Where looking through all tails goes on.
        let mut place: Option<Vec<u8>> = None;
        while let Some(step) = ripe.next(recent, place.is_some()) {
            let from = match step {
                Step::LayDown => {
                    if let Err(error) = self.lay_down_one() {
                        // Why was said elsewhere, and what was recorded lies in the log.
                        tracing::debug!(%error, "history was not laid down");
                        ripe.pause(PAUSE);
                    }
                    continue;
                }
                Step::Pack(series) => {
                    self.pack_with_others(series);
                    continue;
                }
                Step::LookThrough => Vec::new(),
                Step::LookOn => place.take().unwrap_or_default(),
            };
            place = match self.engine.look(|look| find_long(look, &from)) {
                Ok((found, next)) => {
                    ripe.add(found);
                    next
                }
                Err(error) => {
                    tracing::warn!(%error, "what is to be packed could not be looked for");
                    None
                }
            };
        }
    }

    /// Packs a series with a long tail, and others that wait, in one step.
    fn pack_with_others(&self, series: SeriesKey) {
        let _packing = self.history.ripe.packing.lock();
        let mut packed = self.begin_packing();
        // None twice in a step: what the step does to a series is not to be seen yet.
        let mut some = FxHashSet::from_iter([series]);
        while some.len() < STEP_SERIES
            && let Some(another) = self.history.ripe.another()
        {
            some.insert(another);
        }
        let mut left = Vec::new();
        for series in some {
            if packed.bytes >= STEP_BYTES {
                left.push(series);
                continue;
            }
            let begin = self.history.ripe.begin(&series);
            let done = self.engine.look(|look| pack(look, &series, &begin, false, &mut packed));
            if let Err(error) = done {
                tracing::warn!(%error, "history could not be packed");
            }
        }
        let more = std::mem::take(&mut packed.more);
        match self.commit_packed(packed) {
            Ok(()) => left.extend(more),
            Err(error) => tracing::debug!(%error, "packed history was not written"),
        }
        self.history.ripe.add(left);
    }

    /// Packs all that was recorded, however little it is.
    pub(in crate::store::embedded) fn pack_everything(&self) {
        if let Err(error) = self.lay_down_everything() {
            return tracing::warn!(%error, "history could not be laid down");
        }
        let _packing = self.history.ripe.packing.lock();
        let mut from = Vec::new();
        loop {
            let mut packed = self.begin_packing();
            let looked = self.engine.look(|look| pack_some(look, &from, &mut packed));
            match looked.and_then(|next| self.commit_packed(packed).map(|()| next)) {
                Ok(Some(next)) => from = next,
                Ok(None) => return,
                Err(error) => return tracing::warn!(%error, "history could not be packed"),
            }
        }
    }

    pub(super) fn begin_packing(&self) -> Packed {
        let erasures = self.history.ripe.erasures.load(Ordering::Acquire);
        Packed { erasures, ..Packed::default() }
    }

    /// Has the writer put down what was packed.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if something was erased meanwhile: it is to be packed again.
    pub(super) fn commit_packed(&self, mut packed: Packed) -> Result<(), StoreError> {
        if packed.is_empty() {
            return Ok(());
        }
        let erasures = packed.erasures;
        let through = std::mem::take(&mut packed.through);
        let asked = self.ask(|answer| Job::Pack { packed: Box::new(packed), answer })?;
        asked.blocking_recv().map_err(gone)??;
        self.history.ripe.pass(through, erasures);
        Ok(())
    }
}

/// Packs the series whose tails lie from a key on, for one step; where to go on.
fn pack_some(
    look: &Look<'_>,
    from: &[u8],
    packed: &mut Packed,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut next = from.to_vec();
    // Of entities with sheaves: none twice in a step.
    let mut done = FxHashSet::default();
    while packed.bytes < STEP_BYTES {
        let mut first = None;
        look.past(Past::Tails, (&next, &[0xff; 9]), false, |key, value| {
            first = SeriesKey::of_tail(key).map(|series| (key.to_vec(), series, value));
            Ok(ControlFlow::Break(()))
        })?;
        let Some((key, first, value)) = first else { return Ok(None) };
        let mut all = Vec::new();
        if first.is_sheaves() {
            let (entity, _) = first.split();
            each_line(&value, |line, _| {
                all.push(SeriesKey::joined(entity, line));
                Ok(())
            })?;
        } else {
            all.push(first.clone());
        }
        for series in all {
            if !done.insert(series.clone()) {
                continue;
            }
            pack(look, &series, &Begin::of(&series), true, packed)?;
            if packed.more.pop().is_some() {
                // What is left of it is seen once this step was written.
                return Ok(Some(series.bytes().to_vec()));
            }
        }
        next = if first.is_sheaves() { [&key[..], &[0]].concat() } else { first.end() };
    }
    Ok(Some(next))
}

/// The series whose tails are long, among those that lie from a key on, for one step; where to go
/// on.
fn find_long(
    look: &Look<'_>,
    from: &[u8],
) -> Result<(Vec<SeriesKey>, Option<Vec<u8>>), StoreError> {
    let (mut found, mut next, mut seen) = (Vec::new(), None, 0);
    // Tails and sheaves of an entity follow one another.
    let mut entity: Box<[u8]> = Box::default();
    let mut lines: FxHashMap<Box<[u8]>, u32> = FxHashMap::default();
    let mut close = |entity: &[u8], lines: &mut FxHashMap<Box<[u8]>, u32>| {
        let long = lines.drain().filter(|(_, rows)| *rows >= PACK);
        found.extend(long.map(|(line, _)| SeriesKey::joined(entity, &line)));
    };
    look.past(Past::Tails, (from, &[0xff; 9]), false, |key, value| {
        let Some(series) = SeriesKey::of_tail(key) else { return Ok(ControlFlow::Continue(())) };
        let (of, line) = series.split();
        if *of != *entity {
            close(&entity, &mut lines);
            entity = of.into();
            if seen >= LOOK {
                next = Some(key.to_vec());
                return Ok(ControlFlow::Break(()));
            }
        }
        seen += 1;
        let mut count = |line: &[u8], value: &[u8]| {
            let more = history::count(value)? as u32;
            let rows = lines.entry(line.into()).or_default();
            *rows = rows.saturating_add(more);
            Ok(())
        };
        if series.is_sheaves() {
            each_line(&value, count)?
        } else {
            count(line, &value)?
        }
        Ok(ControlFlow::Continue(()))
    })?;
    close(&entity, &mut lines);
    Ok((found, next))
}

/// Where the tail of a series begins at the earliest, and where the sheaves of its entity do.
pub(super) struct Begin {
    pub own: Vec<u8>,
    pub sheaves: Vec<u8>,
}

impl Begin {
    /// At the beginning.
    pub fn of(series: &SeriesKey) -> Self {
        Self { own: series.bytes().to_vec(), sheaves: series.sheaves().bytes().to_vec() }
    }
}

/// A tail, or the first part of one.
pub(super) struct Tail {
    /// Settled.
    pub rows: Rows,
    pub lain: Lain,
    /// There may be more.
    pub more: bool,
}

/// Where rows of a tail lay.
#[derive(Default)]
pub(super) struct Lain {
    /// The keys they lie under.
    pub keys: Vec<Vec<u8>>,
    /// The sheaves they are in, with their keys.
    pub sheaves: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The tail of a series, read until there are so many rows.
pub(super) fn read_tail(
    look: &Look<'_>,
    series: &SeriesKey,
    most: usize,
) -> Result<Tail, StoreError> {
    read_tail_from(look, series, &Begin::of(series), most)
}

pub(super) fn read_tail_from(
    look: &Look<'_>,
    series: &SeriesKey,
    begin: &Begin,
    most: usize,
) -> Result<Tail, StoreError> {
    let (_, line) = series.split();
    let mut left = sheaves_with(look, series, Some(&begin.sheaves))?.into_iter().peekable();
    let (mut rows, mut lain, mut more) = (Rows::default(), Lain::default(), false);
    // In the order they were laid down, since the last word on a row counts.
    let mut take_sheaves = |rows: &mut Rows, lain: &mut Lain, up_to: u64| {
        while let Some((key, sheaf)) = left.next_if(|(key, _)| sequence_of_tail(key) <= up_to) {
            if let Some(value) = value_of(&sheaf, line)? {
                history::read(value, rows)?;
            }
            lain.sheaves.push((key, sheaf));
        }
        Ok::<_, Damaged>(())
    };
    look.past(Past::Tails, (&begin.own, &series.end()), false, |key, value| {
        take_sheaves(&mut rows, &mut lain, sequence_of_tail(key))?;
        history::read(&value, &mut rows)?;
        lain.keys.push(key.to_vec());
        more = rows.len() >= most;
        Ok(if more { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    if !more {
        take_sheaves(&mut rows, &mut lain, u64::MAX)?;
    }
    rows.settle(true);
    Ok(Tail { rows, lain, more })
}

/// Makes blocks of a series' tail, or of as much of it as is read at once; it may be left to grow,
/// unless `all` of it is wanted packed. Before `begin` there is nothing of it.
pub(super) fn pack(
    look: &Look<'_>,
    series: &SeriesKey,
    begin: &Begin,
    all: bool,
    packed: &mut Packed,
) -> Result<(), StoreError> {
    let Tail { rows: tail, lain, more } = read_tail_from(look, series, begin, AT_ONCE)?;
    if tail.is_empty() {
        return Ok(());
    }
    if more {
        packed.more.push(series.clone());
    }
    if let Some(repacked) = history::pack(look, series, &tail, all)? {
        packed.replace(series, lain, repacked)?;
    }
    Ok(())
}

impl Volumes for Look<'_> {
    fn tail(&self, series: &SeriesKey) -> Result<Rows, StoreError> {
        read_tail(self, series, usize::MAX).map(|tail| tail.rows)
    }

    fn blocks(
        &self,
        series: &SeriesKey,
        reach: Reach,
        show: &mut ShowBlock<'_>,
    ) -> Result<(), StoreError> {
        let mut begin = series.bytes().to_vec();
        let end = match reach.before {
            Some(before) => series.block(before),
            None => series.end(),
        };
        if let Some(from) = reach.from.filter(|_| !reach.backwards) {
            // The block before may reach into the time.
            let at = series.block((from, 0));
            self.past(Past::Blocks, (series.bytes(), &at), true, |key, _| {
                begin = key.to_vec();
                Ok(ControlFlow::Break(()))
            })?;
            if begin.len() == series.bytes().len() {
                begin = at;
            }
        }
        self.past(Past::Blocks, (&begin, &end), reach.backwards, |key, value| {
            let place = series.place_of(key).ok_or(Damaged("a block lies nowhere"))?;
            show(place, &value)
        })
    }
}
