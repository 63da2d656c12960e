//! Packing: a thread of its own lays down what was recorded lately, makes blocks of tails, and of
//! small blocks larger ones.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustc_hash::FxHashSet;

use super::ripe::Step;
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

    fn remove_tail(&mut self, key: Vec<u8>) {
        self.bytes += key.len();
        self.tails.insert(key, None);
    }

    /// Puts blocks in place of a tail.
    pub(super) fn replace(&mut self, series: &SeriesKey, keys: Vec<Vec<u8>>, repacked: Repacked) {
        self.through.extend(keys.last().map(|last| (series.clone(), last.clone())));
        for key in keys {
            self.remove_tail(key);
        }
        self.add(series, repacked);
    }

    /// Adds rows to the tail of a series.
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
) -> Result<(Vec<SeriesKey>, Option<Vec<u8>>), StoreError> {
    let (mut found, mut next, mut seen) = (Vec::new(), None, 0);
    let mut open: Option<(SeriesKey, u32)> = None;
    let mut close = |open: &mut Option<(SeriesKey, u32)>| {
        let long = open.take().filter(|(_, rows)| *rows >= PACK);
        found.extend(long.map(|(series, _)| series));
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

pub(super) fn read_tail_from(
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

/// Makes blocks of a series' tail, or of as much of it as is read at once; it may be left to grow,
/// unless `all` of it is wanted packed. Before `begin` there is nothing of it.
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
        packed.more.push(series.clone());
    }
    if let Some(repacked) = history::pack(look, series, &tail, all)? {
        packed.replace(series, keys, repacked);
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
