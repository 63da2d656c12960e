//! Where history is read and written: one session with the database, seen as of one moment, used
//! by a thread that may wait.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::sync::Arc;

use mongodb::Collection;
use mongodb::bson::raw::{RawArrayBuf, cstr};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Bson, Document, RawBinaryRef, RawDocument, RawDocumentBuf, doc};
use mongodb::error::{Error, TRANSIENT_TRANSACTION_ERROR};
use tokio::runtime::Handle;
use tokio::sync::{MutexGuard, SemaphorePermit};

use super::super::read::ids_index;
use super::super::session::Session;
use super::super::write::Reply;
use super::super::{Inner, document, error};
use super::ahead::{Ahead, BLOCKS_AHEAD};
use super::book::parts;
use super::{BLOCKS, CHAPTERS};
use crate::model::{Change, TenantId};
use crate::store::history::{
    Place, Reach, Repacked, Rows, SeriesKey, ShowBlock, Volumes, last_time, next,
};
use crate::store::record::Damaged;
use crate::store::record::short::shorten;
use crate::store::{Event, StoreError, Topic};

/// How many documents come at once.
const BATCH: u32 = 500;

/// How many blocks come first: most questions are answered by few.
const FIRST_BLOCKS: u32 = BLOCKS_AHEAD as u32;

/// How many come at once behind those.
const MORE_BLOCKS: u32 = 64;

/// How many statements one command takes, and bytes of what is written.
const MAX_STATEMENTS: usize = 5_000;
const MAX_COMMAND: usize = 12 << 20;

/// One session.
pub(super) struct Desk {
    pub inner: Arc<Inner>,
    handle: Handle,
    pub(super) session: RefCell<Session>,
    /// What failed may succeed when it is done again from the beginning.
    again: Cell<bool>,
    /// Something was not answered in time, and may still be under way.
    late: Cell<bool>,
    /// Whether several places may be asked at once.
    pub(super) unites: Cell<bool>,
    pub(super) ahead: RefCell<Ahead>,
}

impl Desk {
    /// A session that sees everything as of one moment.
    pub fn reading(inner: &Arc<Inner>, handle: &Handle) -> Result<Self, StoreError> {
        let desk = Self::with(inner, handle, handle.block_on(Session::look(inner)))?;
        // What is not acknowledged by a majority is looked at in a transaction.
        desk.unites.set(inner.settings.majority);
        Ok(desk)
    }

    /// A session in a transaction.
    pub fn changing(inner: &Arc<Inner>, handle: &Handle) -> Result<Self, StoreError> {
        Self::with(inner, handle, handle.block_on(Session::begin(inner)))
    }

    fn with(
        inner: &Arc<Inner>,
        handle: &Handle,
        session: Result<Session, Error>,
    ) -> Result<Self, StoreError> {
        let session = session.map_err(|failure| error::from_read(&failure))?;
        let (inner, handle) = (inner.clone(), handle.clone());
        Ok(Self {
            inner,
            handle,
            session: RefCell::new(session),
            again: Cell::new(false),
            late: Cell::new(false),
            unites: Cell::new(false),
            ahead: RefCell::default(),
        })
    }

    /// Whether what failed may succeed when it is done again.
    pub fn may_try_again(&self) -> bool {
        self.again.get()
    }

    /// Waits for the database as long as anyone waits.
    pub(super) fn wait<T>(
        &self,
        ask: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StoreError> {
        let patience = self.inner.settings.patience;
        let asked = self.handle.block_on(async { tokio::time::timeout(patience, ask).await });
        match asked {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(failure)) => {
                let duplicate = error::code(&failure).is_some_and(error::is_duplicate);
                if duplicate || failure.contains_label(TRANSIENT_TRANSACTION_ERROR) {
                    self.again.set(true);
                }
                Err(error::from_read(&failure))
            }
            Err(_) => {
                self.late.set(true);
                Err(StoreError::Broken("MongoDB did not answer in time".into()))
            }
        }
    }

    /// Documents that pass a filter, in an order.
    pub fn find(
        &self,
        collection: &Collection<RawDocumentBuf>,
        filter: Document,
        (projection, sort, limit): (Document, Document, i64),
    ) -> Result<Vec<RawDocumentBuf>, StoreError> {
        let mut session = self.session.borrow_mut();
        let is_by_id = filter.contains_key("_id");
        let mut find = collection.find(filter).projection(projection).sort(sort).limit(limit);
        if is_by_id {
            find = find.hint(ids_index());
        }
        let find = find.batch_size(BATCH).max_time(self.inner.settings.time_limit);
        self.wait(async {
            let mut cursor = find.session(&mut **session).await?;
            let mut found = Vec::new();
            while cursor.advance(&mut session).await? {
                found.push(cursor.current().to_owned());
            }
            Ok(found)
        })
    }

    /// Has a command carried out in the transaction, each of whose statements must succeed.
    pub fn run(&self, command: RawDocumentBuf) -> Result<i64, StoreError> {
        let mut session = self.session.borrow_mut();
        let run = self.inner.database.run_raw_command(command).session(&mut **session);
        let reply = Reply::read(&self.wait(async { run.await })?);
        match reply.errors.first() {
            None => Ok(reply.met),
            Some((_, code, why)) => {
                self.again.set(self.again.get() || error::is_duplicate(*code));
                Err(error::from_code(*code, why))
            }
        }
    }

    /// Has statements carried out, many in a command.
    pub fn write(
        &self,
        collection: &'static str,
        (verb, list): (Verb, Vec<RawDocumentBuf>),
    ) -> Result<(), StoreError> {
        let mut left = list.into_iter().peekable();
        while left.peek().is_some() {
            let (mut statements, mut count, mut bytes) = (RawArrayBuf::new(), 0, 0);
            while let Some(next) = left.next_if(|next| {
                let fits = bytes + next.as_bytes().len() <= MAX_COMMAND && count < MAX_STATEMENTS;
                fits || count == 0
            }) {
                bytes += next.as_bytes().len();
                count += 1;
                statements.push(next);
            }
            let mut command = RawDocumentBuf::new();
            match verb {
                Verb::Update => {
                    command.append(cstr!("update"), collection);
                    command.append(cstr!("updates"), statements);
                }
                Verb::Delete => {
                    command.append(cstr!("delete"), collection);
                    command.append(cstr!("deletes"), statements);
                }
            }
            self.run(command)?;
        }
        Ok(())
    }

    /// Numbers changes and lays them down as events, by whose turn it is.
    pub fn append_events<'g>(
        &self,
        inner: &'g Inner,
        passage: &mut Passage<'g>,
        (tenant, told): (&TenantId, Vec<Change>),
    ) -> Result<Vec<Event>, StoreError> {
        passage.take_turn(inner, &self.handle)?;
        let mut session = self.session.borrow_mut();
        let told = told.into_iter().map(|change| (Topic::Entity, change)).collect();
        self.wait(self.inner.append_events(&mut session, tenant, told))
    }

    /// What failed though nobody said that it might: others were faster.
    pub fn was_overtaken(&self) -> StoreError {
        self.again.set(true);
        StoreError::Busy
    }

    /// Ends the transaction well.
    ///
    /// # Errors
    /// [`StoreError::Uncertain`] if nobody can tell whether it did.
    pub fn commit(&self) -> Result<(), StoreError> {
        let mut session = self.session.borrow_mut();
        let patience = self.inner.settings.patience;
        let commit = session.commit();
        match self.handle.block_on(async { tokio::time::timeout(patience, commit).await }) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => {
                self.again.set(failure.contains_label(TRANSIENT_TRANSACTION_ERROR));
                Err(error::from_write(&failure))
            }
            Err(_) => Err(StoreError::Uncertain("MongoDB did not answer in time".into())),
        }
    }

    /// Takes everything back.
    pub fn abort(&self) {
        // The driver may not know of what is under way: then the session ends it when it goes.
        if self.late.get() {
            return;
        }
        let mut session = self.session.borrow_mut();
        let patience = self.inner.settings.patience;
        // Who does not answer now finds out by itself.
        let _ =
            self.handle.block_on(async { tokio::time::timeout(patience, session.abort()).await });
    }

    /// The `_id` from which on blocks of a series may reach into what comes from a time on: that of
    /// the last one that begins before it, if there is one.
    fn block_before(&self, series: &SeriesKey, from: i64) -> Result<Document, StoreError> {
        let (first, at) = (block_bound(series, None, false)?, (from, 0));
        let bound = block_bound(series, Some(at), false)?;
        let filter = between(series, first, bound.clone())?;
        let shape = (doc! { "_id": 1 }, doc! { "_id": -1 }, 1);
        let found = self.find(&blocks(&self.inner), filter, shape)?;
        let Some(before) = found.first() else { return Ok(bound) };
        let before = before.get_document("_id").map_err(document::damaged)?;
        Document::try_from(before).map_err(document::damaged)
    }

    /// Statements that put down what becomes of a series' blocks.
    pub fn repack(
        &self,
        series: &SeriesKey,
        repacked: Repacked,
        (removed, written): (&mut Vec<RawDocumentBuf>, &mut Vec<RawDocumentBuf>),
    ) -> Result<(), StoreError> {
        let stays = |place: &Place| repacked.written.iter().any(|(own, _)| own == place);
        for place in repacked.removed.iter().filter(|place| !stays(place)) {
            let mut filter = RawDocumentBuf::new();
            filter.append(cstr!("_id"), block_id(series, *place)?);
            removed.push(statement(filter, None, 1));
        }
        for (place, bytes) in &repacked.written {
            let id = block_id(series, *place)?;
            let mut filter = RawDocumentBuf::new();
            filter.append(cstr!("_id"), &*id);
            let mut block = RawDocumentBuf::new();
            block.append(cstr!("_id"), id);
            block.append(cstr!("l"), last_time(bytes)?);
            let binary = RawBinaryRef { subtype: BinarySubtype::Generic, bytes };
            block.append(cstr!("r"), binary);
            written.push(statement(filter, Some(block), 1));
        }
        Ok(())
    }

    /// Takes all blocks of a series away.
    pub fn erase(&self, series: &SeriesKey) -> Result<(), StoreError> {
        let (from, to) = (block_bound(series, None, false)?, block_bound(series, None, true)?);
        let filter = between(series, from, to)?;
        let filter = RawDocumentBuf::try_from(&filter).map_err(document::damaged)?;
        self.write(BLOCKS, (Verb::Delete, vec![statement(filter, None, 0)]))
    }
}

/// What lets somebody in: the permit of the gate, and the turn of who numbers events.
#[derive(Default)]
pub(super) struct Passage<'g> {
    permit: Option<SemaphorePermit<'g>>,
    turn: Option<MutexGuard<'g, ()>>,
}

impl<'g> Passage<'g> {
    /// Goes through the gate.
    pub fn enter(inner: &'g Inner, handle: &Handle) -> Result<Self, StoreError> {
        let permit = handle.block_on(inner.gate.enter())?;
        Ok(Self { permit: Some(permit), turn: None })
    }

    /// Waits for the turn; outside the gate, through which whose turn it is has to come.
    fn take_turn(&mut self, inner: &'g Inner, handle: &Handle) -> Result<(), StoreError> {
        if self.turn.is_none() {
            self.permit = None;
            self.turn = Some(handle.block_on(inner.events_turn.lock()));
            self.permit = Some(handle.block_on(inner.gate.enter())?);
        }
        Ok(())
    }
}

/// What statements do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Update,
    Delete,
}

/// A statement: what it is about, what takes its place, or how many go at most.
pub(super) fn statement(
    filter: RawDocumentBuf,
    update: Option<RawDocumentBuf>,
    limit: i32,
) -> RawDocumentBuf {
    let mut statement = RawDocumentBuf::new();
    statement.append(cstr!("q"), filter);
    match update {
        Some(update) => {
            statement.append(cstr!("u"), update);
            statement.append(cstr!("upsert"), true);
        }
        None => statement.append(cstr!("limit"), limit),
    }
    statement
}

/// The collections of history.
pub(super) fn chapters(inner: &Inner) -> Collection<RawDocumentBuf> {
    inner.database.collection(CHAPTERS)
}

fn blocks(inner: &Inner) -> Collection<RawDocumentBuf> {
    inner.database.collection(BLOCKS)
}

/// The `_id` of a block.
fn block_id(series: &SeriesKey, (time, ordinal): Place) -> Result<RawDocumentBuf, StoreError> {
    let [tenant, id, attribute, dataset] = parts(series)?;
    let mut key = RawDocumentBuf::new();
    key.append(cstr!("t"), tenant);
    key.append(cstr!("i"), id);
    key.append(cstr!("a"), &*shorten(attribute));
    key.append(cstr!("d"), dataset);
    key.append(cstr!("w"), time);
    key.append(cstr!("n"), i64::from(ordinal));
    Ok(key)
}

/// The least `_id` that a block of a series may have from a place on; or, without a place, that of
/// its first block or beyond its last.
pub(super) fn block_bound(
    series: &SeriesKey,
    place: Option<Place>,
    beyond: bool,
) -> Result<Document, StoreError> {
    let [tenant, id, attribute, dataset] = parts(series)?;
    let mut key = doc! { "t": tenant, "i": id, "a": &*shorten(attribute), "d": dataset };
    match place {
        Some((time, ordinal)) => {
            key.insert("w", time);
            key.insert("n", i64::from(ordinal));
        }
        None if beyond => drop(key.insert("w", Bson::MaxKey)),
        None => drop(key.insert("w", Bson::MinKey)),
    }
    Ok(key)
}

/// Blocks of a series between two places. The first member is what the index holds, the others what
/// a router of shards looks for.
pub(super) fn between(
    series: &SeriesKey,
    from: Document,
    to: Document,
) -> Result<Document, StoreError> {
    let [tenant, id, ..] = parts(series)?;
    Ok(doc! { "_id": { "$gte": from, "$lt": to }, "_id.t": tenant, "_id.i": id })
}

pub(super) fn read_block(document: &RawDocument) -> Result<(Place, &[u8]), StoreError> {
    let id = document.get_document("_id").map_err(document::damaged)?;
    let time = id.get_i64("w").map_err(document::damaged)?;
    let ordinal = id.get_i64("n").map_err(document::damaged)?;
    let ordinal = u32::try_from(ordinal).map_err(document::damaged)?;
    let bytes = document.get_binary("r").map_err(document::damaged)?.bytes;
    Ok(((time, ordinal), bytes))
}

impl Volumes for Desk {
    fn tail(&self, _: &SeriesKey) -> Result<Rows, StoreError> {
        // Books bring the tails along.
        Err(Damaged("a series has no tail").into())
    }

    fn blocks(
        &self,
        series: &SeriesKey,
        reach: Reach,
        show: &mut ShowBlock<'_>,
    ) -> Result<(), StoreError> {
        let mut reach = reach;
        let (mut behind, mut batch) = (None, FIRST_BLOCKS);
        if let Some(known) = self.known_ahead(series, reach)? {
            for (place, bytes) in &known.blocks {
                if show(*place, bytes)?.is_break() {
                    return Ok(());
                }
            }
            let Some((last, _)) = known.blocks.last().filter(|_| known.goes_on) else {
                return Ok(());
            };
            match reach.backwards {
                true => reach.before = Some(*last),
                false => behind = Some(next(*last)),
            }
            batch = MORE_BLOCKS;
        }
        // Backwards whoever asks stops in time; a condition on where blocks end would have the
        // database look for more of them to the very beginning.
        let from = match reach.from.filter(|_| !reach.backwards) {
            _ if behind.is_some() => block_bound(series, behind, false)?,
            Some(from) => self.block_before(series, from)?,
            None => block_bound(series, None, false)?,
        };
        let to = block_bound(series, reach.before, true)?;
        let filter = between(series, from, to)?;
        let order = doc! { "_id": if reach.backwards { -1 } else { 1 } };
        let blocks = blocks(&self.inner);
        let find = blocks.find(filter).sort(order).batch_size(batch);
        let find = find.max_time(self.inner.settings.time_limit);
        let mut cursor = {
            let mut session = self.session.borrow_mut();
            self.wait(async { find.session(&mut **session).await })?
        };
        loop {
            let more = {
                let mut session = self.session.borrow_mut();
                self.wait(async { cursor.advance(&mut session).await })?
            };
            if !more {
                return Ok(());
            }
            let (place, bytes) = read_block(cursor.current())?;
            if show(place, bytes)?.is_break() {
                return Ok(());
            }
        }
    }
}
