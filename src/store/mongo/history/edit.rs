//! Changing the history of some entities, all of it or nothing: what was noted is folded into
//! their chapters, whatever else is to be done is done, what has grown long is packed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mongodb::bson::raw::cstr;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{RawBinaryRef, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;

use super::super::cache::Held;
use super::super::decide::{Decision, End};
use super::super::read::{id_of, key, of_keys, what_is_read};
use super::super::write::command;
use super::super::{ENTITIES, Inner, document};
use super::ahead::{Ask, Vacant};
use super::book::{Book, Tail, series_key};
use super::desk::{Desk, Passage, Verb, statement};
use super::{BLOCKS, CHAPTERS};
use crate::model::{Change, EntityId, Stored, TenantId, Timestamp};
use crate::store::history::{Line, PACK, Rows, Volumes, pack};
use crate::store::record::short::shorten;
use crate::store::{Event, StoreError};

/// How often an edit is begun anew because others were faster, before it is given up.
const MAX_ATTEMPTS: u32 = 100;

/// From so many attempts on the entities are taken first, so that nobody can be faster.
const PATIENT: u32 = 2;

/// A chapter of more bytes is packed, however short its tails.
const MAX_CHAPTER: usize = 1 << 20;

/// Which tails are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Those that have grown long.
    Long,
    All,
    Never,
}

/// An entity whose history is being changed.
pub(super) struct Item {
    pub id: EntityId,
    pub book: Book,
    /// When the entity was modified, if it is there.
    pub modified_at: Option<Timestamp>,
    /// The entity as it was, an expired one too; only if it was asked for.
    held: Option<Arc<Held>>,
    /// The entity as the edit leaves it.
    pub entity: Option<Arc<Stored>>,
    /// Changes of the entity that somebody wants to be told of.
    pub told: Vec<Change>,
    /// The chapter is there.
    had_chapter: bool,
    /// Something lies in the entity's document that is in the book now.
    noted: bool,
    pub packing: Packing,
    /// The book is not what the chapter says.
    pub changed: bool,
}

/// A transaction in which history is changed.
pub(super) struct Edit<'a> {
    pub desk: &'a Desk,
    pub tenant: &'a TenantId,
    pub now: Timestamp,
    pub items: Vec<Item>,
    places: FxHashMap<EntityId, usize>,
    /// Blocks that go, and others that come.
    pub blocks: (Vec<RawDocumentBuf>, Vec<RawDocumentBuf>),
}

/// What is edited.
#[derive(Clone)]
pub(super) struct Scope {
    pub tenant: TenantId,
    pub ids: Vec<EntityId>,
    pub now: Timestamp,
    /// Whether the entities themselves are needed.
    pub entities: bool,
    /// Whether whoever asks has locked them.
    pub locked: bool,
}

/// Does some work in a transaction, and again if others were faster. The work may be done several
/// times and must depend on nothing but what it sees in the edit.
pub(super) async fn edit<T: Send + 'static>(
    inner: &Arc<Inner>,
    scope: Scope,
    work: impl Fn(&mut Edit<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (inner, handle) = (inner.clone(), Handle::current());
    let done = tokio::task::spawn_blocking(move || edit_here(&inner, &handle, &scope, &work));
    done.await.map_err(|error| StoreError::Broken(error.to_string()))?
}

fn edit_here<T>(
    inner: &Arc<Inner>,
    handle: &Handle,
    scope: &Scope,
    work: &dyn Fn(&mut Edit<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let to_lock = if scope.locked { &[][..] } else { &scope.ids[..] };
    let _locks = handle.block_on(inner.locks.lock(&scope.tenant, to_lock.iter()));
    // Only who has the locks goes through the gate: those who wait keep nobody else out.
    let mut passage = Passage::enter(inner, handle)?;
    let begun = Instant::now();
    for attempt in 0..MAX_ATTEMPTS {
        let desk = Desk::changing(inner, handle)?;
        let done = try_edit(&desk, (inner, &mut passage), scope, attempt, work);
        let done = done.and_then(|(done, finish)| desk.commit().map(|()| (done, finish)));
        match done {
            Ok((done, finish)) => {
                finish.done(inner, &scope.tenant);
                return Ok(done);
            }
            Err(error @ StoreError::Uncertain(_)) => return Err(error),
            Err(error) => {
                desk.abort();
                scope.ids.iter().for_each(|id| inner.cache.forget(&scope.tenant, id));
                let late = begun.elapsed() >= inner.settings.patience;
                if !desk.may_try_again() || late {
                    return Err(error);
                }
                std::thread::sleep(Duration::from_millis(u64::from(attempt.min(20))));
            }
        }
    }
    Err(StoreError::Busy)
}

/// What remains to be done once everything is committed.
#[derive(Default)]
struct Finish {
    decisions: Vec<Decision>,
    events: Vec<Event>,
    folded: Vec<EntityId>,
}

impl Finish {
    fn done(self, inner: &Inner, tenant: &TenantId) {
        self.decisions.iter().for_each(|decision| inner.remember(tenant, decision));
        self.folded.iter().for_each(|id| inner.history.folded(tenant, id));
        if let Some(watch) = inner.watch.get().filter(|_| !self.events.is_empty()) {
            watch.committed(self.events);
        }
    }
}

fn try_edit<'g, T>(
    desk: &Desk,
    (inner, passage): (&'g Inner, &mut Passage<'g>),
    scope: &Scope,
    attempt: u32,
    work: &dyn Fn(&mut Edit<'_>) -> Result<T, StoreError>,
) -> Result<(T, Finish), StoreError> {
    let (tenant, now) = (&scope.tenant, scope.now);
    if attempt >= PATIENT {
        desk.take(tenant, &scope.ids)?;
    }
    let items = read_items(desk, tenant, &scope.ids, scope.entities)?;
    let places = items.iter().enumerate().map(|(place, item)| (item.id.clone(), place)).collect();
    let mut edit = Edit { desk, tenant, now, items, places, blocks: Default::default() };
    let done = work(&mut edit)?;
    let mut finish = edit.write()?;
    let told = finish.decisions.iter().flat_map(|decision| decision.told.iter().cloned());
    let told: Vec<Change> = told.collect();
    if !told.is_empty() {
        finish.events = desk.append_events(inner, passage, (tenant, told))?;
    }
    Ok((done, finish))
}

/// Reads what is known of some entities, in their order, with what was noted lately.
pub(super) fn read_items(
    desk: &Desk,
    tenant: &TenantId,
    ids: &[EntityId],
    entities: bool,
) -> Result<Vec<Item>, StoreError> {
    let filter = of_keys(ids.iter().map(|id| (tenant, id)));
    let chapters = Ask::new(CHAPTERS, filter.clone(), (doc! { "r": 1, "o": 1 }, doc! {}, 0));
    let mut shape = doc! { "_id": 1, "o": 1, "m": 1 };
    if entities {
        shape.extend(what_is_read());
        shape.insert("_id", 1);
    }
    let [found, chapters] =
        desk.find_both(Ask::new(ENTITIES, filter, (shape, doc! {}, 0)), chapters)?;
    let mut books: FxHashMap<EntityId, (Book, bool)> = FxHashMap::default();
    for chapter in chapters {
        let mut book = match chapter.get("r").map_err(document::damaged)? {
            Some(RawBsonRef::Binary(record)) => Book::read(record.bytes)?,
            _ => Book::default(),
        };
        let noted = fold(&mut book, &chapter)?;
        books.insert(id_of(&chapter)?, (book, noted));
    }
    let mut documents: FxHashMap<EntityId, RawDocumentBuf> = FxHashMap::default();
    for document in found {
        documents.insert(id_of(&document)?, document);
    }
    let mut items = Vec::with_capacity(ids.len());
    for id in ids {
        let (book, document) = (books.remove(id), documents.remove(id));
        let had_chapter = book.is_some();
        let (book, changed) = book.unwrap_or_default();
        let mut item = Item {
            id: id.clone(),
            book,
            modified_at: None,
            held: None,
            entity: None,
            told: Vec::new(),
            had_chapter,
            noted: false,
            packing: Packing::Long,
            changed,
        };
        if let Some(document) = document {
            item.noted = fold(&mut item.book, &document)?;
            item.changed |= item.noted;
            item.modified_at = document.get_i64("m").ok().map(Timestamp::from_micros);
            if entities {
                let held = desk.inner.held_for_now(tenant, id, &document)?.0;
                item.entity = Some(held.entity.clone());
                item.held = Some(held);
            }
        }
        items.push(item);
    }
    Ok(items)
}

/// Adds what was noted to a book; whether there was anything.
fn fold(book: &mut Book, document: &RawDocument) -> Result<bool, StoreError> {
    let Some(RawBsonRef::Array(notes)) = document.get("o").map_err(document::damaged)? else {
        return Ok(false);
    };
    for note in notes {
        match note.map_err(document::damaged)? {
            RawBsonRef::Binary(note) => book.apply(note.bytes)?,
            _ => return Err(document::damaged("a note is no note")),
        }
    }
    Ok(true)
}

impl Desk {
    /// Takes entities for this transaction, so that nobody else writes to them until it ends.
    fn take(&self, tenant: &TenantId, ids: &[EntityId]) -> Result<(), StoreError> {
        let command = doc! {
            "update": ENTITIES,
            "updates": [{
                "q": of_keys(ids.iter().map(|id| (tenant, id))),
                "u": { "$inc": { "ht": 1_i64 } },
                "multi": true,
                "hint": "_id_",
            }],
        };
        let command = RawDocumentBuf::try_from(&command).map_err(document::damaged)?;
        self.run(command).map(drop)
    }
}

impl Edit<'_> {
    /// The place of an entity.
    pub fn item(&mut self, id: &EntityId) -> Result<&mut Item, StoreError> {
        let item = self.places.get(id).and_then(|place| self.items.get_mut(*place));
        item.ok_or_else(|| StoreError::Broken("an entity was not read".to_owned()))
    }

    /// Takes lines of an entity out of history.
    pub fn erase(&mut self, id: &EntityId, lines: &[Line]) -> Result<(), StoreError> {
        for line in lines {
            self.desk.erase(&series_key(self.tenant, id, line))?;
        }
        let item = self.item(id)?;
        item.book.forget_lines(lines);
        item.changed = true;
        Ok(())
    }

    /// Writes everything that has changed, but for the events.
    fn write(mut self) -> Result<Finish, StoreError> {
        let (mut gone, mut kept, mut folded) = (Vec::new(), Vec::new(), Vec::new());
        let mut finish = Finish::default();
        let circumstances = self.desk.inner.circumstances(self.tenant, self.now, None);
        for item in &mut self.items {
            if item.noted {
                finish.folded.push(item.id.clone());
                folded.push(fold_statement(self.tenant, &item.id)?);
            }
            if item.changed || item.packing == Packing::All {
                match write_item(self.desk, self.tenant, item, &mut self.blocks)? {
                    Some(chapter) => kept.push(chapter),
                    None if item.had_chapter => {
                        let mut filter = RawDocumentBuf::new();
                        filter.append(cstr!("_id"), document::key(self.tenant, &item.id));
                        gone.push(statement(filter, None, 1));
                    }
                    None => {}
                }
            }
            let (held, entity) = (item.held.take(), item.entity.take());
            let told = std::mem::take(&mut item.told);
            let decision = circumstances.leave(&item.id, held, entity, told);
            finish.decisions.extend(Some(decision).filter(Decision::is_to_be_written));
        }
        let (removed, written) = std::mem::take(&mut self.blocks);
        self.desk.write(BLOCKS, (Verb::Delete, removed))?;
        self.desk.write(BLOCKS, (Verb::Update, written))?;
        self.desk.write(CHAPTERS, (Verb::Delete, gone))?;
        self.desk.write(CHAPTERS, (Verb::Update, kept))?;
        self.desk.write(ENTITIES, (Verb::Update, folded))?;
        self.write_entities(&finish.decisions)?;
        Ok(finish)
    }

    fn write_entities(&self, decisions: &[Decision]) -> Result<(), StoreError> {
        let (puts, others): (Vec<&Decision>, Vec<&Decision>) =
            decisions.iter().partition(|one| matches!(one.end, End::Put(..)));
        let gone: Vec<_> = others.into_iter().filter(|one| matches!(one.end, End::Gone)).collect();
        for chosen in [puts, gone] {
            // Entities are larger than what the rest of an edit writes: some at a time.
            for some in chosen.chunks(64) {
                let some: Vec<_> = some.iter().map(|one| (self.tenant, *one)).collect();
                let met = self.desk.run(command(&some, true))?;
                if met != some.len() as i64 {
                    return Err(self.desk.was_overtaken());
                }
            }
        }
        Ok(())
    }
}

/// Packs what has grown long, and writes the chapter; none if there is nothing to tell.
fn write_item(
    desk: &Desk,
    tenant: &TenantId,
    item: &mut Item,
    (removed, written): &mut (Vec<RawDocumentBuf>, Vec<RawDocumentBuf>),
) -> Result<Option<RawDocumentBuf>, StoreError> {
    let mut all = item.packing == Packing::All;
    let never = item.packing == Packing::Never;
    loop {
        for (line, tail) in item.book.tails() {
            let Tail { rows, has_blocks } = tail;
            if rows.is_empty() || never || !all && rows.len() < PACK as usize {
                continue;
            }
            let series = series_key(tenant, &item.id, line);
            let volumes: &dyn Volumes = if *has_blocks { desk } else { &Vacant };
            if let Some(repacked) = pack(volumes, &series, rows, all)? {
                desk.repack(&series, repacked, (removed, written))?;
                *tail = Tail { rows: Rows::default(), has_blocks: true };
            }
        }
        let Some(record) = item.book.write() else { return Ok(None) };
        if record.len() > MAX_CHAPTER && !all && !never {
            all = true;
            continue;
        }
        return chapter(desk, tenant, item, &record).map(Some);
    }
}

/// The statement that puts a chapter down.
fn chapter(
    desk: &Desk,
    tenant: &TenantId,
    item: &Item,
    record: &[u8],
) -> Result<RawDocumentBuf, StoreError> {
    let mut filter = RawDocumentBuf::new();
    filter.append(cstr!("_id"), document::key(tenant, &item.id));
    let mut types = mongodb::bson::raw::RawArrayBuf::new();
    for name in item.book.head.iter().flat_map(|head| &head.types) {
        types.push(shorten(name.as_str()).into_owned());
    }
    let mut chapter = RawDocumentBuf::new();
    chapter.append(cstr!("_id"), document::key(tenant, &item.id));
    chapter.append(cstr!("ty"), types);
    chapter.append(cstr!("v"), desk.inner.clock.stamp());
    chapter.append(cstr!("n"), item.book.rows() as i64);
    let binary = RawBinaryRef { subtype: BinarySubtype::Generic, bytes: record };
    chapter.append(cstr!("r"), binary);
    Ok(statement(filter, Some(chapter), 1))
}

/// The statement that takes what was folded out of an entity's document.
fn fold_statement(tenant: &TenantId, id: &EntityId) -> Result<RawDocumentBuf, StoreError> {
    let statement = doc! {
        "q": { "_id": key(tenant, id) },
        "u": { "$unset": { "o": "", "hn": "", "f": "", "ht": "" } },
    };
    RawDocumentBuf::try_from(&statement).map_err(document::damaged)
}
