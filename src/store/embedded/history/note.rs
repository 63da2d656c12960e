//! What the writes of a group leave in history, put down in the same batch.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use rustc_hash::{FxHashMap, FxHashSet};

use super::key::{chapter_key, type_key};
use super::recent::{Entries, Recent};
use crate::model::{Change, EntityId, Instance, Timestamp, TypeName};
use crate::store::StoreError;
use crate::store::embedded::Inner;
use crate::store::embedded::engine::{Batch, Past, Rest};
use crate::store::embedded::group::Writer;
use crate::store::embedded::names::Dictionary;
use crate::store::history::{Deed, Head, Item, Line, OBSERVED, Row, Rows, SeriesKey};
use crate::store::history::{THINNED, pieces, recorded_by, write_row, write_rows};
use crate::store::record::{encode_deletion, encode_past, encode_scopes};

/// How many series the writer remembers as known to their chapters, at about twenty bytes each.
const REMEMBERED: usize = 1 << 20;

/// What the one writer remembers of history between groups.
pub(in crate::store::embedded) struct Recorder {
    /// Hashes of series that their entity's chapter names.
    known: FxHashSet<u128>,
    hashers: [DefaultHashBuilder; 2],
    /// Nothing was recorded at a later time.
    newest: Timestamp,
}

impl Recorder {
    /// Nothing is remembered, but that nothing was recorded later than this.
    pub fn new(newest: Timestamp) -> Self {
        Self { known: FxHashSet::default(), hashers: Default::default(), newest }
    }

    fn hash(&self, series: &SeriesKey) -> u128 {
        let [a, b] = &self.hashers;
        u128::from(a.hash_one(series.bytes())) << 64 | u128::from(b.hash_one(series.bytes()))
    }

    /// Chapters may say something else than what is remembered.
    pub fn forget(&mut self) {
        self.known.clear();
    }
}

/// What one write recorded of one series.
struct Tail {
    series: SeriesKey,
    value: Vec<u8>,
    rows: u32,
}

/// What a group records.
#[derive(Default)]
pub(in crate::store::embedded) struct Notes {
    tails: Vec<Tail>,
    heads: FxHashMap<(u32, EntityId), Draft>,
    /// What heads were before the job that is being decided.
    before: Vec<((u32, EntityId), Option<Draft>)>,
    /// Series that the group recorded something of, without observedAt, at a time.
    moments: FxHashSet<(u128, Timestamp)>,
    newest: Option<Timestamp>,
    /// Series that chapters name once the group is written.
    known: Vec<u128>,
    erased: Vec<Erased>,
    word: Vec<u8>,
    /// What the group is called in the log.
    sequence: u64,
}

/// A series that was taken out of history.
struct Erased {
    series: SeriesKey,
    /// What the engine had of it.
    tails: Vec<Vec<u8>>,
    blocks: Vec<Vec<u8>>,
    /// How many tails the group had noted before: those of the series are not to be kept.
    before: usize,
}

/// A head that the group looked at.
#[derive(Clone)]
struct Draft {
    /// None if there is none, or none any more.
    head: Option<Head>,
    /// As the engine has it.
    was: Option<Head>,
}

/// Where in its notes a group was.
#[derive(Clone, Copy)]
pub(in crate::store::embedded) struct Mark {
    tails: usize,
    erased: usize,
}

/// Whom a note is of.
#[derive(Clone, Copy)]
pub(in crate::store::embedded) struct Whose<'a> {
    pub tenant: u32,
    pub id: &'a EntityId,
    pub now: Timestamp,
    /// What its chapter begins with, if it has none.
    pub created_at: Timestamp,
    pub types: &'a [TypeName],
    /// History itself is changed, not the entity.
    pub told: bool,
}

impl Whose<'_> {
    /// The beginning of a chapter.
    pub fn head(&self) -> Head {
        let mut head = Head::new(self.created_at);
        head.add_types(self.types);
        head
    }
}

/// A series that a note is of.
pub(in crate::store::embedded) struct Target<'a> {
    whose: Whose<'a>,
    line: &'a Line,
    pub series: SeriesKey,
    hash: u128,
}

impl<'a> Target<'a> {
    pub fn new(writer: &mut Writer, whose: Whose<'a>, line: &'a Line) -> Self {
        let series = SeriesKey::new(whose.tenant, whose.id, line, &mut writer.dictionary);
        let hash = writer.recorder.hash(&series);
        Self { whose, line, series, hash }
    }
}

/// An ordinal that nothing else at the same time has.
fn unique(writer: &mut Writer) -> u32 {
    (writer.take_sequence() % (u64::from(THINNED) - 3)) as u32 + 2
}

impl Notes {
    /// Begins a job, which may have to be undone.
    pub fn begin(&mut self) -> Mark {
        self.before.clear();
        Mark { tails: self.tails.len(), erased: self.erased.len() }
    }

    /// Takes back what was noted since.
    pub fn undo(&mut self, mark: Mark) {
        self.tails.truncate(mark.tails);
        self.erased.truncate(mark.erased);
        for (key, before) in self.before.drain(..).rev() {
            match before {
                Some(draft) => self.heads.insert(key, draft),
                None => self.heads.remove(&key),
            };
        }
        // A series may be known only by what was taken back.
        self.known.clear();
    }

    /// Notes what a write through the core API, or expiry, did to an entity.
    pub fn change(
        &mut self,
        inner: &Inner,
        writer: &mut Writer,
        tenant: u32,
        change: &Change,
    ) -> Result<(), StoreError> {
        let rules = inner.history.rules(tenant);
        let Some(deed) = recorded_by(change, rules.as_deref()) else { return Ok(()) };
        let Deed { types, created_at, news, gone, items } = deed;
        let whose =
            Whose { tenant, id: &change.id, now: change.at, created_at, types, told: false };
        if news {
            let head = self.head_mut(inner, whose)?;
            let head = head.get_or_insert_with(|| whose.head());
            head.told = false;
            head.deleted_at = gone.then_some(change.at);
            head.add_types(types);
        }
        for item in items {
            let line = match &item {
                Item::Scopes(_) => Line::Scopes,
                Item::Instance(name, instance) | Item::Deletion(name, instance) => {
                    Line::of(*name, instance.dataset())
                }
            };
            let target = Target::new(writer, whose, &line);
            match item {
                Item::Scopes(scopes) => {
                    self.word(inner, writer, target, |word| encode_scopes(scopes, None, word))?;
                }
                Item::Instance(_, instance) => self.instance(inner, writer, target, instance)?,
                Item::Deletion(_, instance) => {
                    self.word(inner, writer, target, |word| {
                        encode_deletion(instance.kind(), word);
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Notes an instance as it is now.
    fn instance(
        &mut self,
        inner: &Inner,
        writer: &mut Writer,
        target: Target<'_>,
        instance: &Instance,
    ) -> Result<(), StoreError> {
        let mut word = std::mem::take(&mut self.word);
        let now = target.whose.now;
        let number = encode_past(instance, now, &mut word, &mut writer.dictionary);
        let now = now.micros();
        let (time, ordinal) = self.place(writer, &target, instance.observed_at);
        let row = Row { time, ordinal, created: now, modified: now, number, word: Some(&word) };
        let noted = self.row(inner, writer, target, row);
        self.word = word;
        noted
    }

    /// Notes something that has no number and happened now.
    pub fn word(
        &mut self,
        inner: &Inner,
        writer: &mut Writer,
        target: Target<'_>,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), StoreError> {
        let mut word = std::mem::take(&mut self.word);
        encode(&mut word);
        let now = target.whose.now.micros();
        let (time, ordinal) = self.place(writer, &target, None);
        let row =
            Row { time, ordinal, created: now, modified: now, number: 0.0, word: Some(&word) };
        let noted = self.row(inner, writer, target, row);
        self.word = word;
        noted
    }

    /// The time and the ordinal of something that was observed, or else happens now. The ordinal
    /// tells it from all that happened to the series at the same time: little for the first, else
    /// a number that no other has.
    pub fn place(
        &mut self,
        writer: &mut Writer,
        target: &Target<'_>,
        observed_at: Option<Timestamp>,
    ) -> (i64, u32) {
        if let Some(time) = observed_at {
            return (time.micros(), OBSERVED);
        }
        let now = target.whose.now;
        let fresh = now > writer.recorder.newest;
        self.newest = self.newest.max(Some(now));
        if fresh && self.moments.insert((target.hash, now)) {
            return (now.micros(), OBSERVED + 1);
        }
        (now.micros(), unique(writer))
    }

    /// The time and the ordinal of something that was recorded elsewhere before.
    pub fn place_again(
        &mut self,
        writer: &mut Writer,
        observed_at: Option<Timestamp>,
        placed: Timestamp,
    ) -> (i64, u32) {
        match observed_at {
            Some(time) => (time.micros(), OBSERVED),
            None => {
                self.newest = self.newest.max(Some(placed));
                (placed.micros(), unique(writer))
            }
        }
    }

    /// Notes one row.
    pub fn row(
        &mut self,
        inner: &Inner,
        writer: &mut Writer,
        target: Target<'_>,
        row: Row<'_>,
    ) -> Result<(), StoreError> {
        self.know(inner, writer, &target)?;
        self.tail(target.series, 1, write_row(row));
        Ok(())
    }

    /// Notes several rows, in any order.
    pub fn rows(
        &mut self,
        inner: &Inner,
        writer: &mut Writer,
        target: Target<'_>,
        mut rows: Rows,
    ) -> Result<(), StoreError> {
        self.know(inner, writer, &target)?;
        if rows.len() == 1 {
            self.tail(target.series, 1, write_row(rows.get(0)));
            return Ok(());
        }
        rows.settle(true);
        for range in pieces(&rows) {
            let count = range.len() as u32;
            let value = write_rows(&rows, range);
            self.tail(target.series.clone(), count, value);
        }
        Ok(())
    }

    /// Sees to it that the entity's chapter names the series.
    fn know(
        &mut self,
        inner: &Inner,
        writer: &Writer,
        target: &Target<'_>,
    ) -> Result<(), StoreError> {
        if writer.recorder.known.contains(&target.hash) {
            return Ok(());
        }
        let head = self.head_mut(inner, target.whose)?;
        let head = head.get_or_insert_with(|| target.whose.head());
        head.add_line(target.line);
        head.told &= target.whose.told;
        if !head.told {
            self.known.push(target.hash);
        }
        Ok(())
    }

    fn tail(&mut self, series: SeriesKey, rows: u32, value: Vec<u8>) {
        self.tails.push(Tail { series, value, rows });
    }

    /// The head of an entity as the group left it, or else as it is.
    pub fn head_mut(
        &mut self,
        inner: &Inner,
        whose: Whose<'_>,
    ) -> Result<&mut Option<Head>, StoreError> {
        let key = (whose.tenant, whose.id.clone());
        let old = self.heads.get(&key).cloned();
        self.before.push((key.clone(), old.clone()));
        if old.is_none() {
            let bytes = chapter_key(whose.tenant, whose.id.as_str());
            let was = match inner.engine.get(Rest::Chapter, &bytes)? {
                Some(bytes) => Some(Head::read(&bytes, &inner.names)?),
                None => None,
            };
            self.heads.insert(key.clone(), Draft { head: was.clone(), was });
        }
        match self.heads.get_mut(&key) {
            Some(draft) => Ok(&mut draft.head),
            None => Err(StoreError::Broken("a chapter was lost".into())),
        }
    }

    /// What the group recorded of a series so far, in order, and whether that is all there is.
    pub fn recorded(&self, series: &SeriesKey) -> (impl Iterator<Item = &[u8]>, bool) {
        let erased = self.erased.iter().rfind(|erased| erased.series == *series);
        let since = erased.map_or(0, |erased| erased.before);
        let own = self.tails[since..].iter().filter(move |tail| tail.series == *series);
        (own.map(|tail| &tail.value[..]), erased.is_some())
    }

    /// Takes a series out of history, of which the engine has these keys.
    pub fn erase(&mut self, series: SeriesKey, [tails, blocks]: [Vec<Vec<u8>>; 2]) {
        self.erased.push(Erased { series, tails, blocks, before: self.tails.len() });
    }

    /// Puts everything into the batch; what was recorded, under a sequence of its own.
    pub fn fill(&mut self, batch: &mut Batch, dictionary: &mut Dictionary, sequence: u64) {
        self.sequence = sequence;
        let erased = &self.erased;
        let mut place = 0;
        self.tails.retain(|tail| {
            place += 1;
            !erased.iter().any(|gone| place <= gone.before && gone.series == tail.series)
        });
        let mut entries = Entries::default();
        for Erased { series, tails, blocks, .. } in &mut self.erased {
            for (past, keys) in [(Past::Tails, tails), (Past::Blocks, blocks)] {
                let pairs = batch.past_mut(past);
                // A tail may have been packed in the same group.
                for (_, value) in pairs.iter_mut().filter(|(key, _)| series.holds(key)) {
                    *value = None;
                }
                pairs.extend(std::mem::take(keys).into_iter().map(|key| (key, None)));
            }
            entries.erased(series);
        }
        for tail in &self.tails {
            entries.rows(&tail.series, &tail.value);
        }
        if !self.is_empty() {
            let key = sequence.to_be_bytes().to_vec();
            batch.past_mut(Past::Log).insert(key, Some(entries.value()));
        }
        self.fill_heads(batch, dictionary);
    }

    /// Shows the entities whose history the group changed, by tenant and id.
    pub fn touched(&self, show: &mut dyn FnMut(u32, &[u8])) {
        for (tenant, id) in self.heads.keys() {
            show(*tenant, id.as_str().as_bytes());
        }
        let erased = self.erased.iter().map(|erased| &erased.series);
        let series = self.tails.iter().map(|tail| &tail.series).chain(erased);
        series.filter_map(SeriesKey::whose).for_each(|(tenant, id)| show(tenant, id));
    }

    fn is_empty(&self) -> bool {
        self.tails.is_empty() && self.erased.is_empty()
    }

    fn fill_heads(&self, batch: &mut Batch, dictionary: &mut Dictionary) {
        for ((tenant, id), Draft { head, was }) in &self.heads {
            if head == was {
                continue;
            }
            let key = chapter_key(*tenant, id.as_str());
            let types = |head: &Option<Head>| head.as_ref().map(|head| head.types.clone());
            let (has, had) = (types(head).unwrap_or_default(), types(was).unwrap_or_default());
            match head {
                Some(head) => batch.put(Rest::Chapter, &key, head.write(dictionary)),
                None => batch.remove(Rest::Chapter, &key),
            }
            for name in has.iter().filter(|name| !had.contains(name)) {
                batch.put(Rest::ChapterType, &type_key(*tenant, *name, id.as_str()), Vec::new());
            }
            for name in had.iter().filter(|name| !has.contains(name)) {
                batch.remove(Rest::ChapterType, &type_key(*tenant, *name, id.as_str()));
            }
        }
    }

    /// The group was written: remembers what is known now and what was recorded. Whether anything
    /// was erased, and whether there is something to lay down.
    pub fn written(self, recorder: &mut Recorder, recent: &Recent) -> (bool, bool) {
        recorder.newest = recorder.newest.max(self.newest.unwrap_or(recorder.newest));
        if recorder.known.len() + self.known.len() > REMEMBERED {
            recorder.known.clear();
        }
        recorder.known.extend(&self.known);
        if self.is_empty() {
            return (false, false);
        }
        let erased: Vec<SeriesKey> = self.erased.into_iter().map(|one| one.series).collect();
        let rows = self.tails.into_iter().map(|tail| (tail.series, tail.rows, tail.value));
        let any_erased = !erased.is_empty();
        (any_erased, recent.add(self.sequence, erased, rows))
    }
}
