//! What was recorded lately: in the engine one value for each group of writes, in memory by series.
//! Layers of it are laid down one after another, into blocks and tails; then their log goes.
//!
//! A layer holds what it held until it goes as a whole, so who sees the layers before looking at
//! the engine misses nothing: a row that is laid down meanwhile is seen once more, which changes
//! nothing. For the same reason what was laid down in part before a crash is laid down again.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::RwLock;

use crate::store::StoreError;
use crate::store::embedded::engine::{Engine, Past};
use crate::store::history::{self, PACK, Rows, SeriesKey};
use crate::store::record::{Damaged, In, Out};

/// How many bytes a layer has when it is full.
const FULL: usize = 16 << 20;

/// How many rows of one series a layer has before it is full, so that they are read quickly.
const LONG: u32 = 2_048;

/// How many layers wait to be laid down before writers wait, too.
const BEHIND: usize = 3;

/// How old a layer is before it is laid down for the sake of a series that is worth packing.
const RIPENS: Duration = Duration::from_secs(2);

/// What a series costs a layer beside its own bytes.
const COST: usize = 64;

/// The first byte of an entry of the log.
mod entry {
    /// A series was taken out of history.
    pub const ERASED: u8 = 0;
    /// Rows of a series.
    pub const ROWS: u8 = 1;
}

/// Layers of what was recorded lately.
pub(in crate::store::embedded) struct Recent {
    /// The oldest first; the last one is open, the others are to be laid down.
    layers: RwLock<Vec<Arc<Layer>>>,
}

/// What was recorded within a short time.
#[derive(Default)]
pub(in crate::store::embedded) struct Layer {
    content: RwLock<Content>,
    /// Some of it was laid down, or may have been.
    pub begun: AtomicBool,
}

#[derive(Default)]
struct Content {
    series: HashMap<SeriesKey, Lately>,
    /// What the groups are called in the log.
    sequences: Vec<u64>,
    bytes: usize,
    /// How many rows the longest series has.
    longest: u32,
    since: Option<Instant>,
}

/// What a layer holds of a series.
#[derive(Default)]
struct Lately {
    /// What was recorded before is taken out of history.
    erased: bool,
    rows: u32,
    /// Values, each behind its length.
    values: Vec<u8>,
}

/// When there is something to lay down.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Now,
    In(Duration),
    /// Not before more is recorded.
    Never,
}

/// The entries of a group on their way into the log.
#[derive(Default)]
pub(super) struct Entries {
    out: Out,
}

impl Entries {
    pub fn erased(&mut self, series: &SeriesKey) {
        self.out.byte(entry::ERASED);
        self.key(series);
    }

    pub fn rows(&mut self, series: &SeriesKey, value: &[u8]) {
        self.out.byte(entry::ROWS);
        self.key(series);
        self.out.count(value.len());
        self.out.0.extend_from_slice(value);
    }

    fn key(&mut self, series: &SeriesKey) {
        self.out.count(series.bytes().len());
        self.out.0.extend_from_slice(series.bytes());
    }

    /// The value of the group in the log.
    pub fn value(self) -> Vec<u8> {
        self.out.0
    }
}

impl Content {
    fn erase(&mut self, series: SeriesKey) {
        let lately = self.entry(series);
        *lately = Lately { erased: true, ..Lately::default() };
    }

    /// What it holds of a series, which costs something though it may be nothing.
    fn entry(&mut self, series: SeriesKey) -> &mut Lately {
        let key = series.bytes().len() + COST;
        self.series.entry(series).or_insert_with(|| {
            self.bytes += key;
            Lately::default()
        })
    }

    fn add(&mut self, series: SeriesKey, rows: u32, value: &[u8]) {
        self.bytes += value.len() + 2;
        let lately = self.entry(series);
        let mut out = Out(std::mem::take(&mut lately.values));
        out.count(value.len());
        out.0.extend_from_slice(value);
        lately.values = out.0;
        lately.rows = lately.rows.saturating_add(rows);
        let rows = lately.rows;
        self.longest = self.longest.max(rows);
        self.since.get_or_insert_with(Instant::now);
    }

    /// Adds what the log says of a group.
    fn replay(&mut self, sequence: u64, value: &[u8]) -> Result<(), Damaged> {
        let mut input = In(value);
        while !input.0.is_empty() {
            let kind = input.byte()?;
            let length = input.count()?;
            let series = SeriesKey(input.bytes(length)?.into());
            match kind {
                entry::ERASED => self.erase(series),
                entry::ROWS => {
                    let length = input.count()?;
                    let value = input.bytes(length)?;
                    self.add(series, history::count(value)? as u32, value);
                }
                _ => return Err(Damaged("an entry of the log is of no known kind")),
            }
        }
        self.bytes += size_of_val(&sequence);
        self.sequences.push(sequence);
        Ok(())
    }
}

impl Layer {
    /// The series, in order.
    pub fn series(&self) -> Vec<SeriesKey> {
        let mut all: Vec<SeriesKey> = self.content.read().series.keys().cloned().collect();
        all.sort_unstable_by(|a, b| a.bytes().cmp(b.bytes()));
        all
    }

    /// The groups that it holds.
    pub fn sequences(&self) -> Vec<u64> {
        self.content.read().sequences.clone()
    }

    /// Adds the rows of a series as they came.
    pub fn rows(&self, series: &SeriesKey, rows: &mut Rows) -> Result<(), Damaged> {
        match self.values(series) {
            Some((values, _)) => read_values(&values, rows),
            None => Ok(()),
        }
    }

    /// What it holds of a series, and whether what was before is erased.
    fn values(&self, series: &SeriesKey) -> Option<(Vec<u8>, bool)> {
        let content = self.content.read();
        let lately = content.series.get(series)?;
        Some((lately.values.clone(), lately.erased))
    }

    fn erases(&self, series: &SeriesKey) -> bool {
        self.content.read().series.get(series).is_some_and(|lately| lately.erased)
    }
}

fn read_values(values: &[u8], rows: &mut Rows) -> Result<(), Damaged> {
    let mut input = In(values);
    while !input.0.is_empty() {
        let length = input.count()?;
        history::read(input.bytes(length)?, rows)?;
    }
    Ok(())
}

impl Recent {
    /// Reads what the log holds.
    pub fn load(engine: &Engine) -> Result<Self, StoreError> {
        let mut content = Content::default();
        engine.look(|look| {
            look.past(Past::Log, (&[], &[0xff; 9]), false, |key, value| {
                let sequence = key.try_into().map(u64::from_be_bytes);
                let sequence = sequence.map_err(|_| Damaged("a group lies nowhere"))?;
                content.replay(sequence, &value)?;
                Ok(ControlFlow::Continue(()))
            })
        })?;
        let mut layers = Vec::new();
        if !content.sequences.is_empty() {
            // Nobody knows how much of it was laid down.
            layers.push(Arc::new(Layer { content: content.into(), begun: AtomicBool::new(true) }));
        }
        layers.push(Arc::default());
        Ok(Self { layers: RwLock::new(layers) })
    }

    /// Adds what a group recorded, after it was written; whether there is something to lay down.
    pub(super) fn add(
        &self,
        sequence: u64,
        erased: Vec<SeriesKey>,
        rows: impl Iterator<Item = (SeriesKey, u32, Vec<u8>)>,
    ) -> bool {
        // Held, so that nobody closes the layer meanwhile.
        let layers = self.layers.read();
        let Some(open) = layers.last() else { return false };
        let mut content = open.content.write();
        let before = content.longest;
        erased.into_iter().for_each(|series| content.erase(series));
        for (series, rows, value) in rows {
            content.add(series, rows, &value);
        }
        content.bytes += size_of_val(&sequence);
        content.sequences.push(sequence);
        let ripens = before < PACK && content.longest >= PACK;
        let full = content.bytes >= FULL || content.longest >= LONG;
        drop(content);
        drop(layers);
        if full {
            self.close();
        }
        ripens || full
    }

    /// Begins another layer, so that all that was recorded until now can be laid down.
    pub(super) fn close(&self) {
        let mut layers = self.layers.write();
        if layers.last().is_some_and(|open| !open.content.read().sequences.is_empty()) {
            layers.push(Arc::default());
        }
    }

    /// When something is to be laid down.
    pub(super) fn due(&self) -> Due {
        let layers = self.layers.read();
        if layers.len() > 1 {
            return Due::Now;
        }
        let Some(open) = layers.last() else { return Due::Never };
        let content = open.content.read();
        match content.since.filter(|_| content.longest >= PACK) {
            None => Due::Never,
            Some(since) => match RIPENS.checked_sub(since.elapsed()) {
                Some(left) if !left.is_zero() => Due::In(left),
                _ => Due::Now,
            },
        }
    }

    /// The oldest layer that is to be laid down.
    pub(super) fn oldest(&self) -> Option<Arc<Layer>> {
        let layers = self.layers.read();
        (layers.len() > 1).then(|| layers[0].clone())
    }

    /// Lets the oldest layer go, which was laid down.
    pub(super) fn let_go(&self, layer: &Arc<Layer>) {
        self.layers.write().retain(|own| !Arc::ptr_eq(own, layer));
    }

    /// Whether more waits to be laid down than is good.
    pub(super) fn is_behind(&self) -> bool {
        self.layers.read().len() > BEHIND
    }

    /// Whether some of it was laid down in part.
    pub(super) fn is_in_part(&self) -> bool {
        self.layers.read().iter().any(|layer| layer.begun.load(Ordering::Acquire))
    }

    /// What there is now; to be taken before the engine is looked at.
    pub fn view(&self) -> View {
        View(self.layers.read().clone())
    }
}

/// The layers as of a moment, and what was added since.
pub(in crate::store::embedded) struct View(Vec<Arc<Layer>>);

impl View {
    /// Adds the rows of a series as they came; whether all that was before is erased.
    pub fn rows(&self, series: &SeriesKey, rows: &mut Rows) -> Result<bool, Damaged> {
        let mut found = Vec::new();
        let mut gone = false;
        for layer in self.0.iter().rev() {
            if let Some((values, erased)) = layer.values(series) {
                found.push(values);
                gone = erased;
            }
            if gone {
                break;
            }
        }
        found.iter().rev().try_for_each(|values| read_values(values, rows))?;
        Ok(gone)
    }

    /// Whether a series was taken out of history after what this layer holds.
    pub(super) fn erased_since(&self, layer: &Arc<Layer>, series: &SeriesKey) -> bool {
        let newer = self.0.iter().rev().take_while(|own| !Arc::ptr_eq(own, layer));
        newer.into_iter().any(|own| own.erases(series))
    }
}
