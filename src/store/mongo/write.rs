//! Carrying decisions out: one by one, many in one command, or with their events in a transaction.

use std::future::Future;
use std::sync::Arc;

use mongodb::ClientSession;
use mongodb::bson::raw::{RawArrayBuf, cstr};
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::error::{Error, TRANSIENT_TRANSACTION_ERROR};
use rustc_hash::FxHashMap;

use super::commit::was_done;
use super::decide::{Decision, End};
use super::history::CHAPTERS;
use super::read::{id_of, ids_index, of_keys};
use super::session::Session;
use super::{Inner, document, error};
use crate::model::{EntityId, TenantId};
use crate::store::{Event, StoreError, Topic};

/// What became of a decision.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    Done,
    /// The entity is not what it was decided upon.
    Conflict,
    Failed(Failure),
}

/// Why a decision could not be carried out.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Failure {
    /// Nothing was written, and another try may do.
    Passing,
    /// Nothing was written: with what was recorded lately the document would be too large.
    Crowded,
    /// It may have been written.
    Doubtful(String),
    /// Nothing was written, and nothing will be.
    Error(StoreError),
}

/// How many bytes of documents one command takes: a command is a document too.
const MAX_COMMAND: usize = 12 << 20;
/// How many statements one command takes.
const MAX_STATEMENTS: usize = 10_000;

impl Inner {
    /// Carries decisions out, each by itself; the fates are in their order. Those that somebody
    /// wants to be told of go together with their events.
    pub async fn write(self: &Arc<Self>, tenant: &TenantId, decisions: &[Decision]) -> Vec<Fate> {
        let mut fates = vec![Fate::Failed(Failure::Passing); decisions.len()];
        let several = |place: &usize| decisions[*place].takes_transaction();
        let (several, plain): (Vec<usize>, Vec<usize>) = (0..decisions.len()).partition(several);
        for some in portions(decisions, &plain) {
            let chosen: Vec<&Decision> = some.iter().map(|place| &decisions[*place]).collect();
            let written = match self.gate.enter().await {
                Err(error) => vec![Fate::Failed(Failure::Error(error)); chosen.len()],
                Ok(_permit) => match chosen[..] {
                    [one] => vec![self.write_one(tenant, one).await],
                    _ => self.write_many(tenant, &chosen).await,
                },
            };
            some.into_iter().zip(written).for_each(|(place, fate)| fates[place] = fate);
        }
        for some in portions(decisions, &several) {
            let chosen: Vec<&Decision> = some.iter().map(|place| &decisions[*place]).collect();
            let fate = self.write_together(tenant, &chosen).await;
            some.into_iter().for_each(|place| fates[place] = fate.clone());
        }
        let mut crowded = Vec::new();
        for (decision, fate) in decisions.iter().zip(&fates) {
            match fate {
                Fate::Done => self.history.noted(tenant, &decision.id, &decision.notes),
                Fate::Failed(Failure::Crowded) => crowded.push(decision.id.clone()),
                _ => {}
            }
        }
        if !crowded.is_empty() {
            // What was recorded lately is in the way: it moves, and the write is tried again.
            let then = match self.make_room(tenant, crowded).await {
                Ok(()) => Fate::Conflict,
                Err(error) => Fate::Failed(Failure::Error(error)),
            };
            let crowded = |fate: &&mut Fate| **fate == Fate::Failed(Failure::Crowded);
            fates.iter_mut().filter(crowded).for_each(|fate| *fate = then.clone());
        }
        fates
    }

    /// What was written is what is there, until somebody else writes.
    pub fn remember(&self, tenant: &TenantId, decision: &Decision) {
        match &decision.end {
            End::Put(held, _) => self.cache.remember(tenant, held.clone()),
            End::Gone => self.cache.forget(tenant, &decision.id),
            End::Same => {}
        }
    }

    /// One round trip. A creation is repeated safely by the driver if the connection is lost; of
    /// a change it is looked up whether it was done.
    async fn write_one(&self, tenant: &TenantId, decision: &Decision) -> Fate {
        let End::Put(_, document) = &decision.end else { return Fate::Done };
        if decision.before.is_some() {
            let fates = self.write_many(tenant, &[decision]).await;
            return fates.into_iter().next().unwrap_or(Fate::Conflict);
        }
        let new = document::with_notes(document, &decision.notes, decision.stamp);
        let insert = self.entities.insert_one(&*new);
        match self.in_time(async { insert.await.map(drop) }).await {
            Ok(()) => Fate::Done,
            Err(failure) => failure.into_fate(),
        }
    }

    /// All puts in one command.
    async fn write_many(&self, tenant: &TenantId, decisions: &[&Decision]) -> Vec<Fate> {
        let written: Vec<_> = decisions.iter().map(|decision| (tenant, *decision)).collect();
        let mut command = command(&written, false);
        command.append(cstr!("writeConcern"), self.concern());
        let run = self.database.run_raw_command(command);
        match self.in_time(async { run.await }).await {
            Ok(reply) => self.read_reply(tenant, decisions, &reply).await,
            Err(failure) => vec![failure.into_fate(); decisions.len()],
        }
    }

    /// When a write counts as done: the driver says so with its own operations only.
    fn concern(&self) -> RawDocumentBuf {
        let mut concern = RawDocumentBuf::new();
        if self.settings.majority {
            concern.append(cstr!("w"), "majority");
            concern.append(cstr!("j"), true);
        } else {
            concern.append(cstr!("w"), 1);
        }
        concern
    }

    /// What a command's reply says of each statement. Where it says only how many met what they
    /// looked for, it is looked up which.
    async fn read_reply(
        &self,
        tenant: &TenantId,
        decisions: &[&Decision],
        reply: &Document,
    ) -> Vec<Fate> {
        let reply = Reply::read(reply);
        let mut fates = vec![Fate::Done; decisions.len()];
        for (place, code, why) in &reply.errors {
            if let Some(fate) = fates.get_mut(*place) {
                *fate = of_code(*code, why);
            }
        }
        if let Some(why) = reply.concern {
            // It is written, but a majority was slow to say that it has it.
            fates.iter_mut().filter(|fate| **fate == Fate::Done).for_each(|fate| {
                *fate = Fate::Failed(Failure::Doubtful(why.clone()));
            });
            return fates;
        }
        if reply.met + reply.errors.len() as i64 >= decisions.len() as i64 {
            return fates;
        }
        if decisions.len() == 1 {
            return vec![Fate::Conflict];
        }
        let ids: Vec<_> = decisions.iter().map(|decision| decision.id.clone()).collect();
        let there = match self.fetch_many(tenant, &ids, false).await {
            Ok(there) => there,
            Err(_) => {
                let doubt = Failure::Doubtful("the outcome could not be read".to_owned());
                return vec![Fate::Failed(doubt); decisions.len()];
            }
        };
        for (fate, decision) in fates.iter_mut().zip(decisions) {
            if *fate == Fate::Done {
                *fate = match was_done(decision, there.get(&decision.id).map(|held| &**held)) {
                    Some(true) => Fate::Done,
                    Some(false) => Fate::Conflict,
                    None => Fate::Failed(Failure::Doubtful("others wrote since".to_owned())),
                };
            }
        }
        fates
    }

    /// All of it or nothing, with the events, and with what history keeps of what goes.
    async fn write_together(&self, tenant: &TenantId, decisions: &[&Decision]) -> Fate {
        if decisions.iter().any(|decision| !decision.told.is_empty()) {
            let fate = match self.teller.hand_in(tenant, decisions) {
                Ok(fate) => fate,
                Err(error) => return Fate::Failed(Failure::Error(error)),
            };
            return match self.in_time(async { Ok(fate.await) }).await {
                Ok(Ok(fate)) => fate,
                Ok(Err(_)) => Fate::Failed(Failure::Doubtful("the store was closed".to_owned())),
                Err(failure) => failure.into_fate(),
            };
        }
        let _permit = match self.gate.enter().await {
            Ok(permit) => permit,
            Err(error) => return Fate::Failed(Failure::Error(error)),
        };
        let decisions: Vec<_> = decisions.iter().map(|decision| (tenant, *decision)).collect();
        match self.in_time(self.transact(&decisions)).await {
            Ok(Ok(_)) => Fate::Done,
            Ok(Err(fate)) => fate,
            Err(failure) => failure.into_fate(),
        }
    }

    /// The same with decisions that are to be told of, all in one transaction. Those that number
    /// events cannot run side by side, so they wait for each other rather than try in vain.
    pub async fn write_told(&self, decisions: &[(&TenantId, &Decision)]) -> Fate {
        let _turn = self.events_turn.lock().await;
        // Only whose turn it is goes through the gate: those who wait keep nobody else out.
        let _permit = match self.gate.enter().await {
            Ok(permit) => permit,
            Err(error) => return Fate::Failed(Failure::Error(error)),
        };
        match self.in_time(self.transact(decisions)).await {
            Ok(Err(fate)) => fate,
            Ok(Ok(events)) => {
                if let Some(watch) = self.watch.get().filter(|_| !events.is_empty()) {
                    watch.committed(events);
                }
                Fate::Done
            }
            Err(failure) => failure.into_fate(),
        }
    }

    /// The events that were laid down, or why nothing was written.
    async fn transact(
        &self,
        decisions: &[(&TenantId, &Decision)],
    ) -> Result<Result<Vec<Event>, Fate>, Error> {
        let mut session = Session::begin(self).await?;
        let prepared = self.prepare(&mut session, decisions).await;
        let events = match prepared {
            Ok(Ok(events)) => events,
            Ok(Err(fate)) => {
                session.abort().await;
                return Ok(Err(fate));
            }
            Err(failure) => {
                session.abort().await;
                let duplicate = error::code(&failure).is_some_and(error::is_duplicate);
                if duplicate || failure.contains_label(TRANSIENT_TRANSACTION_ERROR) {
                    return Ok(Err(Fate::Conflict));
                }
                return Err(failure);
            }
        };
        match session.commit().await {
            Ok(()) => Ok(Ok(events)),
            Err(failure) if failure.contains_label(TRANSIENT_TRANSACTION_ERROR) => {
                Ok(Err(Fate::Conflict))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Everything up to the commit, or what is in the way: an entity may not be what it was decided
    /// upon, or a document would be too large.
    async fn prepare(
        &self,
        session: &mut ClientSession,
        decisions: &[(&TenantId, &Decision)],
    ) -> Result<Result<Vec<Event>, Fate>, Error> {
        let each = |(tenant, decision): &(&TenantId, &Decision)| {
            let tenant = TenantId::clone(tenant);
            let told = decision.told.iter().cloned();
            told.map(move |change| (tenant.clone(), Topic::Entity, change)).collect::<Vec<_>>()
        };
        let told: Vec<_> = decisions.iter().flat_map(each).collect();
        // First, so that whoever meets another broker here has done nothing in vain.
        let first = match told.len() {
            0 => 0,
            count => self.number_events(session, count).await?,
        };
        let (puts, others): (Vec<_>, Vec<_>) =
            decisions.iter().partition(|(_, one)| matches!(one.end, End::Put(..)));
        if let Err(fate) = self.keep_notes(session, &others).await? {
            return Ok(Err(fate));
        }
        let gone = others.into_iter().filter(|(_, one)| matches!(one.end, End::Gone)).collect();
        for chosen in [puts, gone] {
            if chosen.is_empty() {
                continue;
            }
            let command = command(&chosen, true);
            let reply = self.database.run_raw_command(command).session(&mut *session).await?;
            let reply = Reply::read(&reply);
            if let Some(fate) = reply.refusal() {
                return Ok(Err(fate));
            }
            if reply.met != chosen.len() as i64 {
                return Ok(Err(Fate::Conflict));
            }
        }
        match told.is_empty() {
            true => Ok(Ok(Vec::new())),
            false => self.lay_down_events(session, first, told).await.map(Ok),
        }
    }

    /// Within a transaction: what history has of entities that go, in their documents and in
    /// what was decided, moves to where it stays.
    async fn keep_notes(
        &self,
        session: &mut ClientSession,
        decisions: &[(&TenantId, &Decision)],
    ) -> Result<Result<(), Fate>, Error> {
        if decisions.is_empty() {
            return Ok(Ok(()));
        }
        let mut noted = of_keys(decisions.iter().map(|(tenant, one)| (*tenant, &one.id)));
        noted.insert("o", doc! { "$exists": true });
        let find = self.entities.find(noted).hint(ids_index());
        let find = find.projection(doc! { "o": 1, "hn": 1 });
        let mut cursor = find.session(&mut *session).await?;
        let mut noted: FxHashMap<(TenantId, EntityId), RawDocumentBuf> = FxHashMap::default();
        while cursor.advance(&mut *session).await? {
            let document = cursor.current();
            if let (Ok(tenant), Ok(id)) = (document::tenant(document), id_of(document)) {
                noted.insert((tenant, id), document.to_owned());
            }
        }
        let mut statements = RawArrayBuf::new();
        let mut any = false;
        for (tenant, decision) in decisions {
            let own = (TenantId::clone(tenant), decision.id.clone());
            let before = noted.get(&own).map(|document| &**document);
            if before.is_some() || !decision.notes.is_empty() {
                any = true;
                let mut statement = RawDocumentBuf::new();
                let mut filter = RawDocumentBuf::new();
                filter.append(cstr!("_id"), document::key(tenant, &decision.id));
                statement.append(cstr!("q"), filter);
                let push = document::push_notes(before, &decision.notes, decision.stamp);
                statement.append(cstr!("u"), push);
                statement.append(cstr!("upsert"), true);
                statements.push(statement);
            }
        }
        if any {
            let mut command = RawDocumentBuf::new();
            command.append(cstr!("update"), CHAPTERS);
            command.append(cstr!("updates"), statements);
            let reply = self.database.run_raw_command(command).session(session).await?;
            if let Some(fate) = Reply::read(&reply).refusal() {
                return Ok(Err(fate));
            }
        }
        Ok(Ok(()))
    }

    /// Waits for a write as long as anyone waits.
    async fn in_time<T>(&self, write: impl Future<Output = Result<T, Error>>) -> Result<T, Failed> {
        match tokio::time::timeout(self.settings.patience, write).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(failure)) => Err(Failed::Driver(failure)),
            Err(_) => Err(Failed::Late),
        }
    }
}

/// What becomes of a statement that the server refused.
fn of_code(code: i32, why: &str) -> Fate {
    if error::is_duplicate(code) {
        Fate::Conflict
    } else if error::is_too_large(code) {
        Fate::Failed(Failure::Crowded)
    } else if error::is_passing_code(code) {
        Fate::Failed(Failure::Doubtful(why.to_owned()))
    } else {
        Fate::Failed(Failure::Error(error::from_code(code, why)))
    }
}

/// A write that did not come back well.
enum Failed {
    Driver(Error),
    Late,
}

impl Failed {
    fn into_fate(self) -> Fate {
        let error = match self {
            Self::Late => {
                let late = "MongoDB did not answer in time".to_owned();
                return Fate::Failed(Failure::Doubtful(late));
            }
            Self::Driver(error) => error,
        };
        let code = error::code(&error);
        if code.is_some_and(error::is_duplicate) {
            Fate::Conflict
        } else if code.is_some_and(error::is_too_large) {
            Fate::Failed(Failure::Crowded)
        } else if error::is_unsent(&error) {
            Fate::Failed(Failure::Passing)
        } else if error::is_passing(&error) {
            Fate::Failed(Failure::Doubtful(error.kind.to_string()))
        } else {
            Fate::Failed(Failure::Error(error::from_write(&error)))
        }
    }
}

/// What a reply to `update` or `delete` says.
pub(super) struct Reply {
    /// How many statements met a document, or brought one into being.
    pub met: i64,
    /// Statements that failed, with code and message.
    pub errors: Vec<(usize, i32, String)>,
    /// Why it is not sure that a majority has it.
    concern: Option<String>,
}

impl Reply {
    pub fn read(reply: &Document) -> Self {
        let number = |value: Option<&Bson>| match value {
            Some(Bson::Int32(number)) => i64::from(*number),
            Some(Bson::Int64(number)) => *number,
            Some(Bson::Double(number)) => *number as i64,
            _ => 0,
        };
        let text = |error: &Document| error.get_str("errmsg").unwrap_or_default().to_owned();
        let errors = reply.get_array("writeErrors").into_iter().flatten();
        let errors = errors.filter_map(Bson::as_document).map(|error| {
            let place = usize::try_from(number(error.get("index"))).unwrap_or(usize::MAX);
            (place, number(error.get("code")) as i32, text(error))
        });
        Self {
            met: number(reply.get("n")),
            errors: errors.collect(),
            concern: reply.get_document("writeConcernError").ok().map(text),
        }
    }

    /// Why a statement was refused in a transaction, of which nothing is kept then.
    fn refusal(&self) -> Option<Fate> {
        let (_, code, why) = self.errors.first()?;
        Some(match of_code(*code, why) {
            Fate::Failed(Failure::Doubtful(_)) => Fate::Conflict,
            fate => fate,
        })
    }
}

/// The places of decisions, in portions that one command takes.
fn portions(decisions: &[Decision], places: &[usize]) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = Vec::new();
    let mut bytes = MAX_COMMAND;
    for place in places {
        let size = decisions[*place].bytes();
        bytes += size;
        match all.last_mut() {
            Some(last) if bytes <= MAX_COMMAND && last.len() < MAX_STATEMENTS => last.push(*place),
            _ => {
                bytes = size;
                all.push(vec![*place]);
            }
        }
    }
    all
}

/// An `update` or `delete` command for decisions that are all puts, or all deletions.
pub(super) fn command(
    decisions: &[(&TenantId, &Decision)],
    in_transaction: bool,
) -> RawDocumentBuf {
    let puts = matches!(decisions.first(), Some((_, Decision { end: End::Put(..), .. })));
    let mut statements = RawArrayBuf::new();
    for (tenant, decision) in decisions {
        let mut filter = RawDocumentBuf::new();
        filter.append(cstr!("_id"), document::key(tenant, &decision.id));
        // No document has this version: what is there already is a duplicate then.
        let version = decision.before.as_ref().map_or(-1, |held| held.stamps.version);
        filter.append(cstr!("v"), version);
        let mut statement = RawDocumentBuf::new();
        statement.append(cstr!("q"), filter);
        match &decision.end {
            End::Put(_, document) => {
                let (notes, stamp) = (&decision.notes, decision.stamp);
                if decision.before.is_none() {
                    let new = document::with_notes(document, notes, stamp);
                    statement.append(cstr!("u"), &**new);
                    statement.append(cstr!("upsert"), true);
                } else {
                    statement.append(cstr!("u"), document::changes(document, notes, stamp));
                }
            }
            _ => statement.append(cstr!("limit"), 1),
        }
        statements.push(statement);
    }
    let mut command = RawDocumentBuf::new();
    if puts {
        command.append(cstr!("update"), super::ENTITIES);
        command.append(cstr!("updates"), statements);
    } else {
        command.append(cstr!("delete"), super::ENTITIES);
        command.append(cstr!("deletes"), statements);
    }
    command.append(cstr!("ordered"), in_transaction);
    command
}
