//! What the writes of a group leave in history, put down in the same batch.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use rustc_hash::{FxHashMap, FxHashSet};

use super::entries::{Entries, told_of};
use super::key::{chapter_key, entity_bytes, line_bytes, type_key, whose};
use super::recent::Recent;
use super::sheaf::There;
use crate::model::{Change, EntityId, Instance, Timestamp, TypeName};
use crate::store::StoreError;
use crate::store::embedded::Inner;
use crate::store::embedded::engine::{Batch, Past, Rest};
use crate::store::embedded::group::Writer;
use crate::store::embedded::names::Dictionary;
use crate::store::history::{Deed, Head, Item, Line, OBSERVED, Row, Rows, SeriesKey};
use crate::store::history::{THINNED, pieces, recorded_by, write_row, write_rows};
use crate::store::record::{Damaged, encode_deletion, encode_past, encode_scopes};

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

    fn hash(&self, series: &[u8]) -> u128 {
        let [a, b] = &self.hashers;
        u128::from(a.hash_one(series)) << 64 | u128::from(b.hash_one(series))
    }

    /// Chapters may say something else than what is remembered.
    pub fn forget(&mut self) {
        self.known.clear();
    }
}

/// What a group records.
#[derive(Default)]
pub(in crate::store::embedded) struct Notes {
    entries: Entries,
    heads: FxHashMap<(u32, EntityId), Draft>,
    /// Counts the jobs.
    job: u32,
    /// What heads were before the job that is being decided, if it asked for them.
    before: Vec<((u32, EntityId), Option<Draft>)>,
    /// Series that the group recorded something of, without observedAt, at a time.
    moments: FxHashSet<(u128, Timestamp)>,
    /// The group recorded the beginning of a history.
    some_begin: bool,
    newest: Option<Timestamp>,
    /// Series that chapters name once the group is written.
    known: Vec<u128>,
    erased: Vec<Erased>,
    word: Vec<u8>,
    row: Vec<u8>,
    /// What the group is called in the log.
    sequence: u64,
}

/// A series that was taken out of history.
struct Erased {
    series: SeriesKey,
    /// What the engine had of it.
    there: There,
}

/// A head that the group looked at.
#[derive(Clone)]
struct Draft {
    /// None if there is none, or none any more.
    head: Option<Head>,
    /// As the engine has it.
    was: Option<Head>,
    /// The last job that asked for it.
    job: u32,
}

/// Where in its notes a group was.
#[derive(Clone, Copy)]
pub(in crate::store::embedded) struct Mark {
    entries: usize,
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
    /// The key of the series: what tells the entity, and what tells the line.
    key: (Cow<'a, [u8]>, usize),
    hash: u128,
}

impl<'a> Target<'a> {
    pub fn new(writer: &mut Writer, whose: Whose<'a>, line: &'a Line) -> Self {
        let mut key = Vec::with_capacity(16 + whose.id.as_str().len());
        entity_bytes(whose.tenant, whose.id, &mut key);
        let entity = key.len();
        line_bytes(line.numbered(&mut writer.dictionary), &mut key);
        Self { whose, line, hash: writer.recorder.hash(&key), key: (key.into(), entity) }
    }

    /// The same; `key` tells the entity in so many bytes, and is to tell the line behind them.
    fn within(
        writer: &mut Writer,
        whose: Whose<'a>,
        line: &'a Line,
        (key, entity): (&'a mut Vec<u8>, usize),
    ) -> Self {
        key.truncate(entity);
        line_bytes(line.numbered(&mut writer.dictionary), key);
        let key = &key[..];
        Self { whose, line, hash: writer.recorder.hash(key), key: (key.into(), entity) }
    }

    fn split(&self) -> (&[u8], &[u8]) {
        self.key.0.split_at(self.key.1)
    }
}

fn types(head: Option<&Head>) -> &[TypeName] {
    head.map_or(&[], |head| &head.types)
}

/// An ordinal that nothing else at the same time has.
fn unique(writer: &mut Writer) -> u32 {
    (writer.take_sequence() % (u64::from(THINNED) - 3)) as u32 + 2
}

impl Notes {
    /// Begins a job, which may have to be undone.
    pub fn begin(&mut self) -> Mark {
        self.before.clear();
        self.job += 1;
        Mark { entries: self.entries.mark(), erased: self.erased.len() }
    }

    /// Takes back what was noted since.
    pub fn undo(&mut self, mark: Mark) {
        self.entries.undo(mark.entries);
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
            let draft = self.draft_mut(inner, whose)?;
            if draft.head.is_none() && draft.was.is_none() && !gone {
                let head = self.begin_history(writer, whose, &items);
                self.draft_mut(inner, whose)?.head = Some(head);
                return Ok(());
            }
            let head = draft.head.get_or_insert_with(|| whose.head());
            head.told = false;
            head.deleted_at = gone.then_some(change.at);
            head.add_types(types);
        }
        let mut key = Vec::with_capacity(16 + whose.id.as_str().len());
        entity_bytes(tenant, &change.id, &mut key);
        let entity = key.len();
        for item in items {
            let line = item.line();
            let target = Target::within(writer, whose, &line, (&mut key, entity));
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

    /// Notes what an entity begins with of which nothing was recorded before, and what its chapter
    /// begins with: nothing needs to be looked up for any of it.
    fn begin_history(&mut self, writer: &mut Writer, whose: Whose<'_>, items: &[Item<'_>]) -> Head {
        let (mut head, now) = (whose.head(), whose.now);
        head.lines.reserve_exact(items.len());
        self.newest = self.newest.max(Some(now));
        self.some_begin = true;
        let mut key = Vec::with_capacity(8 + whose.id.as_str().len());
        entity_bytes(whose.tenant, whose.id, &mut key);
        self.entries.entity(&key, true);
        for item in items {
            let line = item.line();
            let (mut number, mut observed_at) = (0.0, None);
            match item {
                Item::Scopes(scopes) => encode_scopes(scopes, None, &mut self.word),
                Item::Instance(_, instance) => {
                    observed_at = instance.observed_at;
                    number = encode_past(instance, now, &mut self.word, &mut writer.dictionary);
                }
                Item::Deletion(_, instance) => encode_deletion(instance.kind(), &mut self.word),
            }
            key.clear();
            line_bytes(line.numbered(&mut writer.dictionary), &mut key);
            let first = head.add_line(&line);
            let (time, ordinal) = match observed_at {
                Some(time) => (time.micros(), OBSERVED),
                None if first => (now.micros(), OBSERVED + 1),
                None => (now.micros(), unique(writer)),
            };
            let (created, modified) = (now.micros(), now.micros());
            let row = Row { time, ordinal, created, modified, number, word: Some(&self.word) };
            write_row(row, &mut self.row);
            self.entries.line(&key, &self.row);
        }
        head
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
        let fresh = now > writer.recorder.newest && !self.begins(target.whose);
        self.newest = self.newest.max(Some(now));
        if fresh && self.moments.insert((target.hash, now)) {
            return (now.micros(), OBSERVED + 1);
        }
        (now.micros(), unique(writer))
    }

    /// Whether the history of an entity begins with this group, and may have such a time already.
    fn begins(&self, whose: Whose<'_>) -> bool {
        self.some_begin
            && self.heads.get(&(whose.tenant, whose.id.clone())).is_some_and(|it| it.was.is_none())
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
        let new = self.know(inner, writer, &target)?;
        write_row(row, &mut self.row);
        self.entries.rows(target.split(), &self.row, new);
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
        let new = self.know(inner, writer, &target)?;
        if rows.len() == 1 {
            write_row(rows.get(0), &mut self.row);
            self.entries.rows(target.split(), &self.row, new);
            return Ok(());
        }
        rows.settle(true);
        for range in pieces(&rows) {
            self.entries.rows(target.split(), &write_rows(&rows, range), new);
        }
        Ok(())
    }

    /// Sees to it that the entity's chapter names the series. Whether the chapter begins with the
    /// group, so that nothing was recorded of the entity before.
    fn know(
        &mut self,
        inner: &Inner,
        writer: &Writer,
        target: &Target<'_>,
    ) -> Result<bool, StoreError> {
        if writer.recorder.known.contains(&target.hash) {
            return Ok(false);
        }
        let draft = self.draft_mut(inner, target.whose)?;
        let new = draft.was.is_none();
        let head = draft.head.get_or_insert_with(|| target.whose.head());
        head.add_line(target.line);
        head.told &= target.whose.told;
        // Most that is new is not written to again soon: when it is, its chapter is read once more.
        if !head.told && !new {
            self.known.push(target.hash);
        }
        Ok(new)
    }

    /// The head of an entity as the group left it, or else as it is.
    pub fn head_mut(
        &mut self,
        inner: &Inner,
        whose: Whose<'_>,
    ) -> Result<&mut Option<Head>, StoreError> {
        Ok(&mut self.draft_mut(inner, whose)?.head)
    }

    fn draft_mut(&mut self, inner: &Inner, whose: Whose<'_>) -> Result<&mut Draft, StoreError> {
        let job = self.job;
        let draft = match self.heads.entry((whose.tenant, whose.id.clone())) {
            Entry::Occupied(entry) => {
                if entry.get().job != job {
                    self.before.push((entry.key().clone(), Some(entry.get().clone())));
                }
                entry.into_mut()
            }
            Entry::Vacant(entry) => {
                self.before.push((entry.key().clone(), None));
                let bytes = chapter_key(whose.tenant, whose.id.as_str());
                let was = match inner.engine.get(Rest::Chapter, &bytes)? {
                    Some(bytes) => Some(Head::read(&bytes, &inner.names)?),
                    None => None,
                };
                entry.insert(Draft { head: was.clone(), was, job })
            }
        };
        draft.job = job;
        Ok(draft)
    }

    /// What the group recorded of a series so far, in order, and whether that is all there is.
    pub fn recorded(&self, series: &SeriesKey) -> Result<(Vec<Vec<u8>>, bool), Damaged> {
        self.entries.of(series)
    }

    /// Takes a series out of history, of which the engine has this.
    pub fn erase(&mut self, series: SeriesKey, there: There) {
        self.entries.erased(&series);
        self.erased.push(Erased { series, there });
    }

    /// Puts everything into the batch; what was recorded, under sequences of its own.
    pub fn fill(&mut self, batch: &mut Batch, writer: &mut Writer) {
        for Erased { series, there } in &mut self.erased {
            there.leave(series, batch);
        }
        let sequence = writer.take_sequence();
        self.sequence = writer.take_sequence();
        let log = self.entries.divide(sequence, batch.past_mut(Past::Tails));
        if !log.is_empty() {
            let key = self.sequence.to_be_bytes().to_vec();
            batch.past_mut(Past::Log).insert(key, Some(log));
        }
        self.fill_heads(batch, &mut writer.dictionary);
    }

    /// Shows the entities whose history the group changed, by tenant and id, once it was filled.
    pub fn touched(&self, batch: &Batch, show: &mut dyn FnMut(u32, &[u8])) {
        for (tenant, id) in self.heads.keys() {
            show(*tenant, id.as_str().as_bytes());
        }
        if let Some(value) = self.value(batch) {
            told_of(value, &mut |entity| {
                let whose = whose(entity);
                whose.into_iter().for_each(|(tenant, id)| show(tenant, id));
            });
        }
    }

    /// What the group put into the log.
    fn value<'b>(&self, batch: &'b Batch) -> Option<&'b [u8]> {
        batch.past(Past::Log).get(&self.sequence.to_be_bytes()[..])?.as_deref()
    }

    fn fill_heads(&self, batch: &mut Batch, dictionary: &mut Dictionary) {
        batch.reserve(2 * self.heads.len());
        for ((tenant, id), Draft { head, was, .. }) in &self.heads {
            if head == was {
                continue;
            }
            let key = chapter_key(*tenant, id.as_str());
            let (has, had) = (types(head.as_ref()), types(was.as_ref()));
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
    pub fn written(self, batch: &Batch, recorder: &mut Recorder, recent: &Recent) -> (bool, bool) {
        recorder.newest = recorder.newest.max(self.newest.unwrap_or(recorder.newest));
        if recorder.known.len() + self.known.len() > REMEMBERED {
            recorder.known.clear();
        }
        recorder.known.extend(&self.known);
        let due = self.value(batch).is_some_and(|value| recent.add(self.sequence, value));
        (!self.erased.is_empty(), due)
    }
}
