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

use super::entries::{Entry, each_entry};
use super::key::split;
use crate::store::StoreError;
use crate::store::embedded::engine::{Engine, Past};
use crate::store::history::{self, PACK, Rows, SeriesKey, write_rows};
use crate::store::record::{Damaged, In, Out};

/// How many bytes a layer has when it is full.
const FULL: usize = 16 << 20;

/// How many rows of one series a layer has before it is full, so that they are read quickly.
const LONG: u32 = 2_048;

/// How many layers wait to be laid down before writers wait, too.
const BEHIND: usize = 3;

/// How old a layer is before it is laid down for the sake of a series that is worth packing.
const RIPENS: Duration = Duration::from_secs(2);

/// What an entity or a series costs a layer beside its own bytes.
const COST: usize = 64;

/// An entity of more lines has a map of them.
const MANY_LINES: usize = 32;

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
    entities: HashMap<Box<[u8]>, Page>,
    /// What the groups are called in the log.
    sequences: Vec<u64>,
    bytes: usize,
    /// How many rows the longest series has.
    longest: u32,
    /// How many series were taken out of history.
    erasures: usize,
    since: Option<Instant>,
}

/// What a layer holds of an entity.
#[derive(Default)]
struct Page {
    lines: Vec<Lately>,
    /// The places of lines, if they are many.
    places: HashMap<Box<[u8]>, usize>,
    /// Behind the line that was written last: mostly the next one to be written.
    next: usize,
}

/// What a layer holds of a series.
#[derive(Debug, Default, Clone)]
pub(super) struct Lately {
    /// What tells it from others of its entity.
    pub line: Box<[u8]>,
    /// What was recorded before is taken out of history.
    erased: bool,
    pub rows: u32,
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

impl Page {
    fn place(&self, line: &[u8]) -> Option<usize> {
        if self.lines.get(self.next).is_some_and(|next| *next.line == *line) {
            return Some(self.next);
        }
        if self.lines.len() > MANY_LINES {
            return self.places.get(line).copied();
        }
        self.lines.iter().position(|own| *own.line == *line)
    }

    fn get(&self, line: &[u8]) -> Option<&Lately> {
        self.place(line).map(|place| &self.lines[place])
    }

    /// A line, and whether it is new.
    fn line(&mut self, line: &[u8]) -> (&mut Lately, bool) {
        let found = self.place(line);
        let place = found.unwrap_or(self.lines.len());
        if found.is_none() {
            self.lines.push(Lately { line: line.into(), ..Lately::default() });
            if self.lines.len() > MANY_LINES {
                let known = self.places.len();
                let new = self.lines.iter().enumerate().skip(known);
                self.places.extend(new.map(|(place, own)| (own.line.clone(), place)));
            }
        }
        self.next = place + 1;
        (&mut self.lines[place], found.is_none())
    }
}

impl Lately {
    fn add(&mut self, rows: u32, value: &[u8]) {
        let mut out = Out(std::mem::take(&mut self.values));
        if out.0.capacity() == 0 {
            // Most are the only ones of their series.
            out.0.reserve_exact(value.len() + 2);
        }
        out.count(value.len());
        out.0.extend_from_slice(value);
        self.values = out.0;
        self.rows = self.rows.saturating_add(rows);
    }

    /// The rows as they came.
    pub fn rows(&self, rows: &mut Rows) -> Result<(), Damaged> {
        read_values(&self.values, rows)
    }

    /// How many bytes its values take.
    pub fn bytes(&self) -> usize {
        self.values.len()
    }

    /// All of it as one value, as a tail holds it; None if there is nothing.
    pub fn value(&self) -> Result<Option<Vec<u8>>, Damaged> {
        let mut input = In(&self.values);
        if input.0.is_empty() {
            return Ok(None);
        }
        let length = input.count()?;
        let first = input.bytes(length)?;
        if input.0.is_empty() {
            return Ok(Some(first.to_vec()));
        }
        let mut rows = Rows::default();
        self.rows(&mut rows)?;
        rows.settle(true);
        Ok(Some(write_rows(&rows, 0..rows.len())))
    }
}

impl Content {
    fn get(&self, entity: &[u8], line: &[u8]) -> Option<&Lately> {
        self.entities.get(entity)?.get(line)
    }

    fn page(&mut self, entity: &[u8]) -> &mut Page {
        self.entities.entry_ref(entity).or_insert_with(|| {
            self.bytes += entity.len() + COST;
            Page::default()
        })
    }

    fn erase(&mut self, series: &[u8]) {
        let (entity, line) = split(series);
        self.erasures += 1;
        self.bytes += line.len() + COST;
        let lately = self.page(entity).line(line).0;
        (lately.erased, lately.rows) = (true, 0);
        lately.values = Vec::new();
    }

    /// Adds what the log says of a group.
    fn add(&mut self, sequence: u64, value: &[u8]) -> Result<(), Damaged> {
        // Lines of an entity follow one another, so it is looked up once.
        let mut of: &[u8] = &[];
        let mut lines = Vec::new();
        let done = each_entry(value, |entry| {
            match entry {
                Entry::Line(_, line, value) => lines.push((line, value)),
                Entry::Erased(series) => {
                    self.add_lines(of, &mut lines)?;
                    self.erase(series);
                }
                Entry::Entity(entity) => {
                    self.add_lines(of, &mut lines)?;
                    of = entity;
                }
            }
            Ok(())
        });
        let done = done.and_then(|()| self.add_lines(of, &mut lines));
        self.bytes += size_of_val(&sequence);
        self.sequences.push(sequence);
        done
    }

    /// Adds lines of an entity, if there are some.
    fn add_lines(&mut self, of: &[u8], lines: &mut Vec<(&[u8], &[u8])>) -> Result<(), Damaged> {
        if lines.is_empty() {
            return Ok(());
        }
        self.since.get_or_insert_with(Instant::now);
        let (mut bytes, mut longest) = (0, self.longest);
        let page = self.page(of);
        for (line, value) in lines.drain(..) {
            let rows = history::count(value)? as u32;
            let (lately, new) = page.line(line);
            lately.add(rows, value);
            longest = longest.max(lately.rows);
            bytes += value.len() + 2 + if new { line.len() + COST } else { 0 };
        }
        self.bytes += bytes;
        self.longest = longest;
        Ok(())
    }
}

impl Layer {
    /// The entities, in order, by what tells them in keys.
    pub fn entities(&self) -> Vec<Box<[u8]>> {
        let mut all: Vec<Box<[u8]>> = self.content.read().entities.keys().cloned().collect();
        all.sort_unstable();
        all
    }

    /// The groups that it holds.
    pub fn sequences(&self) -> Vec<u64> {
        self.content.read().sequences.clone()
    }

    /// Shows what it holds of an entity.
    pub fn lines<T>(&self, entity: &[u8], show: impl FnOnce(&[Lately]) -> T) -> T {
        let content = self.content.read();
        show(content.entities.get(entity).map_or(&[], |page| &page.lines))
    }

    /// What it holds of a series, and whether what was before is erased.
    fn values(&self, series: &SeriesKey) -> Option<(Vec<u8>, bool)> {
        let (entity, line) = series.split();
        let content = self.content.read();
        let lately = content.get(entity, line)?;
        Some((lately.values.clone(), lately.erased))
    }

    fn erases(&self, entity: &[u8], line: &[u8]) -> bool {
        let content = self.content.read();
        content.erasures > 0 && content.get(entity, line).is_some_and(|lately| lately.erased)
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
                content.add(sequence, &value)?;
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

    /// Adds what a group recorded, the same that it put into the log, after that was written;
    /// whether there is something to lay down.
    pub(super) fn add(&self, sequence: u64, value: &[u8]) -> bool {
        // Held, so that nobody closes the layer meanwhile.
        let layers = self.layers.read();
        let Some(open) = layers.last() else { return false };
        let mut content = open.content.write();
        let before = content.longest;
        if let Err(error) = content.add(sequence, value) {
            tracing::error!(%error, "what was just recorded cannot be read");
        }
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
    /// Adds the rows of a series as they came, behind those that the engine has. What the series
    /// had when it was taken out of history the engine lost with the same batch.
    pub fn rows(&self, series: &SeriesKey, rows: &mut Rows) -> Result<(), Damaged> {
        let mut found = Vec::new();
        for layer in self.0.iter().rev() {
            let Some((values, erased)) = layer.values(series) else { continue };
            found.push(values);
            if erased {
                break;
            }
        }
        found.iter().rev().try_for_each(|values| read_values(values, rows))
    }

    /// Whether a series was taken out of history after what this layer holds.
    pub(super) fn erased_since(&self, layer: &Arc<Layer>, entity: &[u8], line: &[u8]) -> bool {
        let mut newer = self.0.iter().rev().take_while(|own| !Arc::ptr_eq(own, layer));
        newer.any(|own| own.erases(entity, line))
    }
}
