//! Packing: a thread of its own makes blocks of tails, and of small blocks larger ones.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashMap;

use super::ripe::{RipeSeries, Step};
use crate::store::StoreError;
use crate::store::embedded::Inner;
use crate::store::embedded::engine::{Look, Pairs, Past};
use crate::store::embedded::queue::Job;
use crate::store::history::{self, PACK, Reach, Repacked, Rows, SeriesKey, ShowBlock, Volumes};
use crate::store::record::Damaged;

/// How many rows of a tail are packed at once.
const AT_ONCE: usize = 1 << 16;

/// How many bytes one step of packing writes before the next begins.
const STEP_BYTES: usize = 4 << 20;

/// How many series are packed in one step.
const STEP_SERIES: usize = 1_024;

/// How many writes are looked at in one step when all tails are looked through.
const LOOK: usize = 1 << 16;

/// What packing some series comes to.
#[derive(Default)]
pub(in crate::store::embedded) struct Packed {
    pub tails: Pairs,
    pub blocks: Pairs,
    /// What was erased when the series were read.
    pub erasures: u64,
    /// Series whose tails are to grow first, with the rows they have.
    pub later: Vec<(SeriesKey, u32)>,
    /// Series whose tails were too long to be packed at once.
    more: Vec<RipeSeries>,
    /// The last keys of the tails that were packed.
    through: Vec<(SeriesKey, Vec<u8>)>,
    bytes: usize,
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

    fn remove_tail(&mut self, key: Vec<u8>) {
        self.bytes += key.len();
        self.tails.insert(key, None);
    }

    fn is_empty(&self) -> bool {
        self.tails.is_empty() && self.blocks.is_empty() && self.later.is_empty()
    }
}

impl Inner {
    /// Packs what is ripe, until the end.
    pub(in crate::store::embedded) fn pack_ripe(&self) {
        // Where looking through all tails goes on.
        let mut place: Option<Vec<u8>> = None;
        while let Some(step) = self.history.ripe.next(place.is_some()) {
            let from = match step {
                Step::Pack(ripe) => {
                    self.pack_with_others(ripe);
                    continue;
                }
                Step::LookThrough => Vec::new(),
                Step::LookOn => place.take().unwrap_or_default(),
            };
            place = match self.engine.look(|look| find_long(look, &from)) {
                Ok((found, next)) => {
                    self.history.ripe.add(found);
                    next
                }
                Err(error) => {
                    tracing::warn!(%error, "what is to be packed could not be looked for");
                    None
                }
            };
        }
    }

    /// Packs a series, and others that wait, in one step.
    fn pack_with_others(&self, (series, rows): RipeSeries) {
        let _packing = self.history.ripe.packing.lock();
        let mut packed = self.begin_packing();
        // None twice in a step: what the step does to a series is not to be seen yet.
        let mut some = FxHashMap::default();
        some.insert(series, rows);
        while some.len() < STEP_SERIES
            && let Some((another, rows)) = self.history.ripe.another()
        {
            *some.entry(another).or_insert(0) += rows;
        }
        let mut left = Vec::new();
        for (series, rows) in some {
            if packed.bytes >= STEP_BYTES {
                left.push((series, rows));
            } else if let Err(error) = self.pack(&series, false, &mut packed) {
                tracing::warn!(%error, "history could not be packed");
            }
        }
        let more = std::mem::take(&mut packed.more);
        if self.commit_packed(packed) {
            left.extend(more);
        }
        self.history.ripe.add(left);
    }

    /// Packs the tail of a series, at most as much of it as fits into memory at once; false if
    /// that could not be written.
    pub(super) fn pack_now(&self, series: &SeriesKey) -> Result<bool, StoreError> {
        let _packing = self.history.ripe.packing.lock();
        let mut packed = self.begin_packing();
        self.pack(series, true, &mut packed)?;
        Ok(self.commit_packed(packed))
    }

    /// Packs all tails, however short.
    pub(in crate::store::embedded) fn pack_everything(&self) {
        let _packing = self.history.ripe.packing.lock();
        let mut from = Vec::new();
        loop {
            let mut packed = self.begin_packing();
            match self.engine.look(|look| pack_some(look, &from, &mut packed)) {
                Ok(next) => {
                    let written = self.commit_packed(packed);
                    match next.filter(|_| written) {
                        Some(next) => from = next,
                        None => return,
                    }
                }
                Err(error) => return tracing::warn!(%error, "history could not be packed"),
            }
        }
    }

    pub(super) fn begin_packing(&self) -> Packed {
        let erasures = self.history.ripe.erasures.load(Ordering::Acquire);
        Packed { erasures, ..Packed::default() }
    }

    /// Has the writer put down what was packed; false if it could not.
    pub(super) fn commit_packed(&self, mut packed: Packed) -> bool {
        if packed.is_empty() {
            return true;
        }
        let erasures = packed.erasures;
        let through = std::mem::take(&mut packed.through);
        let asked = self.ask(|answer| Job::Pack { packed: Box::new(packed), answer });
        let written = asked.map(tokio::sync::oneshot::Receiver::blocking_recv);
        let written = matches!(written, Ok(Ok(Ok(()))));
        if written {
            self.history.ripe.pass(through, erasures);
        } else {
            // The tails are as they were; why was said elsewhere.
            tracing::debug!("packed history was not written");
        }
        written
    }

    /// Makes blocks of a series' tail; it may be left to grow, unless `all` of it is wanted packed.
    pub(super) fn pack(
        &self,
        series: &SeriesKey,
        all: bool,
        packed: &mut Packed,
    ) -> Result<(), StoreError> {
        let begin = self.history.ripe.begin(series);
        self.engine.look(|look| pack(look, series, &begin, all, packed))
    }
}

/// Packs the series whose tails lie from a key on, for one step; where to go on.
fn pack_some(
    look: &Look<'_>,
    from: &[u8],
    packed: &mut Packed,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut next = from.to_vec();
    while packed.bytes < STEP_BYTES {
        let mut series = None;
        look.past(Past::Tails, (&next, &[0xff; 9]), false, |key, _| {
            series = SeriesKey::of_tail(key);
            Ok(ControlFlow::Break(()))
        })?;
        let Some(series) = series else { return Ok(None) };
        pack(look, &series, series.bytes(), true, packed)?;
        if packed.more.pop().is_some() {
            // What is left of it is seen once this step was written.
            return Ok(Some(series.bytes().to_vec()));
        }
        next = series.end();
    }
    Ok(Some(next))
}

/// The series whose tails are long, among those that lie from a key on, for one step; where to go
/// on.
fn find_long(
    look: &Look<'_>,
    from: &[u8],
) -> Result<(Vec<RipeSeries>, Option<Vec<u8>>), StoreError> {
    let (mut found, mut next, mut seen) = (Vec::new(), None, 0);
    let mut open: Option<RipeSeries> = None;
    let mut close = |open: &mut Option<RipeSeries>| {
        found.extend(open.take().filter(|(_, rows)| *rows >= PACK));
    };
    look.past(Past::Tails, (from, &[0xff; 9]), false, |key, value| {
        if !open.as_ref().is_some_and(|(series, _)| series.is_of_tail(key)) {
            close(&mut open);
            if seen >= LOOK {
                next = Some(key.to_vec());
                return Ok(ControlFlow::Break(()));
            }
            open = SeriesKey::of_tail(key).map(|series| (series, 0));
        }
        seen += 1;
        if let Some((_, rows)) = &mut open {
            *rows = rows.saturating_add(history::count(&value)? as u32);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    close(&mut open);
    Ok((found, next))
}

/// A tail, or the first part of one.
pub(super) struct Tail {
    /// Settled.
    pub rows: Rows,
    /// The keys they lie under.
    pub keys: Vec<Vec<u8>>,
    /// There may be more.
    pub more: bool,
}

/// The tail of a series, read until there are so many rows.
pub(super) fn read_tail(
    look: &Look<'_>,
    series: &SeriesKey,
    most: usize,
) -> Result<Tail, StoreError> {
    read_tail_from(look, series, series.bytes(), most)
}

fn read_tail_from(
    look: &Look<'_>,
    series: &SeriesKey,
    begin: &[u8],
    most: usize,
) -> Result<Tail, StoreError> {
    let (mut rows, mut keys, mut more) = (Rows::default(), Vec::new(), false);
    look.past(Past::Tails, (begin, &series.end()), false, |key, value| {
        history::read(&value, &mut rows)?;
        keys.push(key.to_vec());
        more = rows.len() >= most;
        Ok(if more { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    rows.settle(true);
    Ok(Tail { rows, keys, more })
}

/// Makes blocks of a series' tail, or of as much of it as is read at once. Before `begin` there is
/// nothing of it.
pub(super) fn pack(
    look: &Look<'_>,
    series: &SeriesKey,
    begin: &[u8],
    all: bool,
    packed: &mut Packed,
) -> Result<(), StoreError> {
    let Tail { rows: tail, keys, more } = read_tail_from(look, series, begin, AT_ONCE)?;
    if tail.is_empty() {
        return Ok(());
    }
    if more {
        packed.more.push((series.clone(), 0));
    }
    match history::pack(look, series, &tail, all)? {
        Some(repacked) => {
            packed.through.extend(keys.last().map(|last| (series.clone(), last.clone())));
            for key in keys {
                packed.remove_tail(key);
            }
            packed.add(series, repacked);
        }
        None => packed.later.push((series.clone(), tail.len() as u32)),
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
