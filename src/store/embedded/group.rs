//! A group of jobs that becomes one batch: decided purely over what is in memory and what the
//! group changed before, written once, then made visible.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use hashbrown::HashMap;

use super::Inner;
use super::engine::{Batch, Rest};
use super::events::Told;
use super::history::{Notes, Recorder};
use super::names::Dictionary;
use super::queue::{Job, RecordChange, RecordJob, Results};
use super::seats::SeatNumber;
use super::tenants::{State, Tenant};
use crate::model::{
    Applied, Change, EntityId, Outcome, Refusal, Stored, TenantId, Timestamp, Write,
};
use crate::store::record::{Damaged, is_storable};
use crate::store::rewrites::{Rewrites, changes_a_part};
use crate::store::weight::weigh;
use crate::store::{Event, HISTORY_RULES, Note, StoreError};

mod chronology;
mod draft;
mod finish;
mod keys;

pub(super) use self::chronology::Results as HistoryResults;
use self::draft::{Draft, Version};
use self::keys::index_key;
pub(super) use self::keys::{read_index_key, record_key, record_prefix};

/// What only the writer has.
pub(super) struct Writer {
    pub dictionary: Dictionary,
    /// The sequence of the next new entity; of all tenants together.
    pub next_sequence: u64,
    /// The sequence that the engine says no entity has reached.
    pub ceiling: u64,
    /// The number of the next new tenant.
    pub next_tenant: u32,
    /// The sequence of the next event.
    pub next_event: u64,
    pub recorder: Recorder,
}

impl Writer {
    /// A sequence that nothing else has.
    pub fn take_sequence(&mut self) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        sequence
    }
}

/// The writes of one commit, while they are decided.
struct Portion {
    /// What they found, to be put back if the commit fails.
    done: HashMap<usize, Version>,
    rewrites: Rewrites,
}

/// A tenant that is not there yet.
struct NewTenant {
    tenant: Arc<Tenant>,
    /// Something was created in it, so that it comes into being with the group.
    comes: bool,
}

/// The answers of a group, given when it is known how the batch went.
type Answers = Vec<Box<dyn FnOnce(Result<(), StoreError>) + Send>>;

/// A group in the making.
pub(super) struct Group<'a> {
    inner: &'a Inner,
    writer: &'a mut Writer,
    drafts: Vec<Draft>,
    by_entity: HashMap<(u32, EntityId), usize>,
    new_tenants: HashMap<TenantId, NewTenant>,
    first_new_tenant: u32,
    batch: Batch,
    told: Told,
    notes: Notes,
    /// History may have been changed by itself, not only with entities.
    past_alone: bool,
    /// Tenants whose rules of history changed.
    ruled: Vec<u32>,
    events: Vec<Event>,
    answers: Answers,
}

impl<'a> Group<'a> {
    pub fn new(inner: &'a Inner, writer: &'a mut Writer) -> Self {
        let first_new_tenant = writer.next_tenant;
        Self {
            inner,
            writer,
            first_new_tenant,
            drafts: Vec::new(),
            by_entity: HashMap::new(),
            new_tenants: HashMap::new(),
            batch: Batch::default(),
            told: Told::default(),
            notes: Notes::default(),
            past_alone: false,
            ruled: Vec::new(),
            events: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Decides a job. What it came to is answered by [`Group::finish`].
    pub fn add(&mut self, job: Job) {
        match job {
            Job::Writes { tenant, writes, now, answer } => {
                let result = self.add_writes(&tenant, writes, now);
                self.answers.push(Box::new(move |done| {
                    let _ = answer.send(done.and(result));
                }));
            }
            Job::Sweep { tenant, seats, now, answer } => {
                let result = self.add_sweep(&tenant, &seats, now);
                self.answers.push(Box::new(move |done| {
                    let _ = answer.send(done.and(result));
                }));
            }
            Job::Record(RecordJob { tenant, shelf, key, change, notes, answer, .. }) => {
                let result = self.add_record(tenant.as_ref(), shelf, &key, change, notes);
                self.answers.push(Box::new(move |done| {
                    let _ = answer.send(done.and(result));
                }));
            }
            Job::History { tenant, writes, now, answer } => {
                self.past_alone = true;
                let result = self.add_history(&tenant, writes, now);
                self.answers.push(Box::new(move |done| {
                    let _ = answer.send(done.and(result));
                }));
            }
            Job::Archives { tenant, archives, answer } => {
                self.past_alone = true;
                let result = self.add_archives(&tenant, archives);
                self.answers.push(Box::new(move |done| {
                    let _ = answer.send(done.and(result));
                }));
            }
            Job::Pack { packed, answer } => {
                let result = self.add_packed(*packed);
                self.answers.push(Box::new(move |done| {
                    let _ = answer.send(done.and(result));
                }));
            }
            Job::Forget { sheets, forgotten, answer } => {
                for first in sheets {
                    self.batch.remove_sheet(first);
                }
                self.batch.put(Rest::Forgotten, b"", forgotten.write());
                self.answers.push(Box::new(move |done| {
                    let _ = answer.send(done);
                }));
            }
            Job::Remember { tenant, wish, answer } => {
                let key = index_key(tenant, wish, &mut self.writer.dictionary);
                self.batch.put(Rest::Index, &key, Vec::new());
                self.answers.push(Box::new(move |done| {
                    let _ = answer.send(done);
                }));
            }
        }
    }

    fn add_writes(
        &mut self,
        id: &TenantId,
        writes: Vec<Write>,
        now: Timestamp,
    ) -> Result<Results, StoreError> {
        // A tenant that is not there comes into being only if something is created in it.
        let tenant = match self.tenant(id, writes.iter().any(Write::may_create)) {
            Some(tenant) => tenant,
            None => return Err(StoreError::UnknownTenant(id.clone())),
        };
        let several = writes.len() > 1;
        let mut results: Results = Vec::with_capacity(writes.len());
        let count = if several { writes.len() } else { 0 };
        let mut last: HashMap<EntityId, usize> = HashMap::with_capacity(count);
        self.by_entity.reserve(count);
        self.drafts.reserve(count);
        let mut portion = Portion {
            done: HashMap::with_capacity(count),
            rewrites: Rewrites::new(self.inner.settings.max_rewrite_bytes),
        };
        let (told, noted) = (self.told.count(), self.notes.begin());
        for write in writes {
            // What is copied brings its own history along.
            let is_copy = write.action.is_copy();
            let result = self.add_write(&tenant, write, now, &mut portion).and_then(|result| {
                match &result {
                    Ok(change) if is_copy => self.told.add(self.inner, &tenant.id, change),
                    Ok(change) => self.tell(&tenant, change)?,
                    Err(_) => {}
                }
                Ok(result)
            });
            match result {
                Ok(result) => {
                    if let Some(change) = result.as_ref().ok().filter(|_| several)
                        && let Some(earlier) = last.insert(change.id.clone(), results.len())
                        && let Ok(earlier) = &mut results[earlier]
                    {
                        // What was only on the way is no longer needed.
                        (earlier.before, earlier.after) = (None, None);
                    }
                    results.push(result);
                }
                Err(error) => {
                    // The job is answered with the error, so nothing of it may stay.
                    self.told.undo(told);
                    self.notes.undo(noted);
                    for (place, version) in portion.done {
                        self.drafts[place].version = version;
                    }
                    return Err(error);
                }
            }
        }
        if results.iter().any(Result::is_ok) {
            self.bring_into_being(&tenant);
        }
        Ok(results)
    }

    /// Tells subscriptions and history of a change.
    fn tell(&mut self, tenant: &Tenant, change: &Change) -> Result<(), StoreError> {
        self.told.add(self.inner, &tenant.id, change);
        self.notes.change(self.inner, self.writer, tenant.number, change)
    }

    /// The tenant: as it is, as the group makes it, or else a new one if that is wanted.
    fn tenant(&mut self, id: &TenantId, may_create: bool) -> Option<Arc<Tenant>> {
        if let Some(tenant) = self.inner.tenants.find(id) {
            return Some(tenant);
        }
        if let Some(new) = self.new_tenants.get(id) {
            return (new.comes || may_create).then(|| new.tenant.clone());
        }
        if !may_create {
            return None;
        }
        let tenant = Tenant::new(id.clone(), self.writer.next_tenant, State::default());
        self.writer.next_tenant += 1;
        let new = NewTenant { tenant: tenant.clone(), comes: false };
        self.new_tenants.insert(id.clone(), new);
        Some(tenant)
    }

    fn bring_into_being(&mut self, tenant: &Tenant) {
        let Some(new) = self.new_tenants.get_mut(&tenant.id).filter(|new| !new.comes) else {
            return;
        };
        new.comes = true;
        let name = tenant.id.name().unwrap_or_default();
        self.batch.put(Rest::Tenant, &tenant.number.to_be_bytes(), name);
    }

    fn add_write(
        &mut self,
        tenant: &Arc<Tenant>,
        write: Write,
        now: Timestamp,
        portion: &mut Portion,
    ) -> Result<Result<Change, Refusal>, StoreError> {
        if let Err(refusal) = portion.rewrites.check(&write) {
            return Ok(Err(refusal));
        }
        let (id, is_part) = (write.id.clone(), changes_a_part(&write.action));
        let is_copy = write.action.is_copy();
        let place = self.draft(tenant, &id)?;
        let before = self.drafts[place].version.entity.clone();
        let decision = AssertUnwindSafe(|| write.apply(before.as_deref().map(|b| &b.entity), now));
        // A mistake in one decision must not end the thread that everyone waits for.
        let applied = match catch_unwind(decision) {
            Ok(Ok(applied)) => applied,
            Ok(Err(refusal)) => return Ok(Err(refusal)),
            Err(_) => {
                tracing::error!(entity = %id, "deciding a write panicked; it had no effect");
                return Err(StoreError::Broken(format!("deciding a write to {id} failed")));
            }
        };
        let Applied { after, outcome } = applied;
        // An entity that has expired and was not swept away yet is not there.
        let (before, ended) = match before {
            Some(before) if !before.is_alive(now) => (None, Some(before)),
            before => (before, None),
        };
        let mut weight = 0;
        let after = match (&before, after) {
            (Some(before), Some(after)) if outcome.updated.is_empty() && before.entity == after => {
                if is_part {
                    portion.rewrites.count(weigh(&before.entity));
                }
                Some(before.clone())
            }
            (_, Some(after)) => {
                weight = weigh(&after);
                if is_part {
                    portion.rewrites.count(weight);
                }
                if !is_storable(&after) || weight > self.inner.settings.max_entity_bytes {
                    return Ok(Err(Refusal::TooLarge(id)));
                }
                let guard = self.inner.guard.get().filter(|_| !is_copy);
                if let Some(Err(refusal)) = guard.map(|guard| guard.check(&tenant.id, &after)) {
                    return Ok(Err(refusal));
                }
                Some(Stored::new(after))
            }
            (_, None) => None,
        };
        if let Some(ended) = ended.filter(|_| after.is_some()) {
            self.tell(tenant, &expiry(&ended, None, now))?;
        }
        let sequence = (before.is_none() && after.is_some()).then(|| self.writer.take_sequence());
        let version = &mut self.drafts[place].version;
        let sequence = sequence.or(version.sequence);
        let new = Version { entity: after.clone(), sequence, weight };
        let old = std::mem::replace(version, new);
        portion.done.entry(place).or_insert(old);
        Ok(Ok(Change { id, at: now, before, after, outcome }))
    }

    /// Removes what has expired by now from these seats; how many entities ended.
    fn add_sweep(
        &mut self,
        tenant: &Arc<Tenant>,
        seats: &[SeatNumber],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut ended = 0;
        for seat in seats {
            let id = tenant.state.read().seats.get(*seat).and_then(|seat| seat.id().cloned());
            let Some(id) = id else { continue };
            let place = self.draft(tenant, &id)?;
            let version = &mut self.drafts[place].version;
            let Some(entity) = &version.entity else { continue };
            let left = entity.is_alive(now).then(|| entity.without_expired(now));
            if left.as_ref().is_some_and(|left| *left == entity.entity) {
                continue;
            }
            let left = left.map(|left| {
                version.weight = weigh(&left);
                Stored::new(left)
            });
            ended += u64::from(left.is_none());
            let change = expiry(entity, left.clone(), now);
            version.entity = left;
            self.tell(tenant, &change)?;
        }
        Ok(ended)
    }

    fn add_record(
        &mut self,
        tenant: Option<&TenantId>,
        shelf: &'static str,
        key: &str,
        change: RecordChange,
        notes: Vec<Note>,
    ) -> Result<bool, StoreError> {
        let owner = tenant.cloned().unwrap_or_default();
        let tenant = match tenant {
            None => None,
            Some(id) => match self
                .tenant(id, matches!(change, RecordChange::Put(_) | RecordChange::Add(_)))
            {
                Some(tenant) => Some(tenant),
                None => return Err(StoreError::UnknownTenant(id.clone())),
            },
        };
        if let Some(tenant) = &tenant {
            self.bring_into_being(tenant);
        }
        let number = tenant.map(|tenant| tenant.number);
        let key = record_key(shelf, number, key);
        let there = match self.batch.get(Rest::Record, &key) {
            Some(value) => value.is_some(),
            None => self.inner.engine.get(Rest::Record, &key)?.is_some(),
        };
        match change {
            RecordChange::Add(_) if there => return Ok(false),
            RecordChange::Take | RecordChange::Replace(_) | RecordChange::Leave if !there => {
                return Ok(false);
            }
            RecordChange::Put(json) | RecordChange::Add(json) | RecordChange::Replace(json) => {
                self.batch.put(Rest::Record, &key, json);
            }
            RecordChange::Take => self.batch.remove(Rest::Record, &key),
            RecordChange::Leave => {}
        }
        if shelf == HISTORY_RULES {
            self.ruled.extend(number);
        }
        for note in notes {
            self.told.note(&owner, note);
        }
        Ok(true)
    }

    /// The draft of an entity: as the group left it, or else as it is.
    fn draft(&mut self, tenant: &Arc<Tenant>, id: &EntityId) -> Result<usize, StoreError> {
        // The borrowed form of a pair cannot be looked up, and an id is cheap to share.
        let key = (tenant.number, id.clone());
        if let Some(place) = self.by_entity.get(&key) {
            return Ok(*place);
        }
        let located = tenant.state.read().locate(id);
        let (seat, before) = match located {
            None => (None, None),
            Some(located) => {
                let entity = self.inner.obtain(tenant, located.whereabouts)?;
                let missing = || StoreError::Broken(format!("the record of {id} is missing"));
                let entity = entity.ok_or_else(missing)?;
                (Some((located.seat, located.sequence)), Some(entity))
            }
        };
        let version = Version { entity: before.clone(), sequence: None, weight: 0 };
        let place = self.drafts.len();
        self.drafts.push(Draft { tenant: tenant.clone(), seat, before, version });
        self.by_entity.insert(key, place);
        Ok(place)
    }
}

/// What expiry does to an entity: all of it ends, or what is left of it stays.
fn expiry(before: &Arc<Stored>, after: Option<Arc<Stored>>, now: Timestamp) -> Change {
    let left = |name| after.as_deref().and_then(|after| after.attributes.get(name));
    let changed = before.attributes.iter().filter(|(name, was)| left(*name) != Some(was));
    let updated = changed.map(|(name, _)| name).collect();
    let outcome = Outcome { updated, ..Outcome::default() };
    Change { id: before.id.clone(), at: now, before: Some(before.clone()), after, outcome }
}

impl From<Damaged> for StoreError {
    fn from(damage: Damaged) -> Self {
        StoreError::Broken(damage.to_string())
    }
}
