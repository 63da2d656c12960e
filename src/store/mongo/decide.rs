//! What becomes of one entity, decided purely upon what it is taken to be.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use mongodb::bson::RawDocumentBuf;

use super::cache::Held;
use super::clock::Clock;
use super::document::{self, Stamps};
use super::history::Notes;
use crate::model::{Applied, Change, Entity, EntityId, Outcome, Refusal, Stored, TenantId};
use crate::model::{Timestamp, Write};
use crate::store::record::{encode_whole_event, is_storable};
use crate::store::rewrites::{Rewrites, changes_a_part};
use crate::store::weight::weigh;
use crate::store::{Guard, HistoryRules, StoreError, Topic, Watch};

/// The largest document, in bytes: MongoDB takes 16 MiB, and the command needs some.
pub(super) const MAX_DOCUMENT: usize = 15 << 20;

/// The largest entity, as bytes in memory.
pub(super) const MAX_ENTITY: u32 = 64 << 20;

/// Writes to one entity, in order, with their places in the commit.
pub(super) type Writes = Vec<(usize, Write)>;

/// What is to become of an entity.
#[derive(Debug, Clone)]
pub(super) struct Decision {
    pub id: EntityId,
    /// What it was decided upon.
    pub before: Option<Arc<Held>>,
    pub end: End,
    /// The stamp of the write.
    pub stamp: i64,
    /// By the places in the commit.
    pub results: Vec<(usize, Result<Change, Refusal>)>,
    /// The changes that somebody wants to be told of, in order.
    pub told: Vec<Change>,
    /// What history records of it.
    pub notes: Notes,
}

#[derive(Debug, Clone)]
pub(super) enum End {
    /// Nothing is to be written.
    Same,
    Put(Arc<Held>, RawDocumentBuf),
    Gone,
}

/// What a decision needs to know.
pub(super) struct Circumstances<'a> {
    pub tenant: &'a TenantId,
    pub now: Timestamp,
    pub clock: &'a Clock,
    pub watch: Option<&'a dyn Watch>,
    pub guard: Option<&'a dyn Guard>,
    /// What is recorded; everything if there are no rules.
    pub rules: Option<Arc<HistoryRules>>,
    pub rewrites: Rewrites,
}

impl Circumstances<'_> {
    /// Decides the writes to one entity.
    ///
    /// # Errors
    /// [`StoreError::Broken`] if deciding failed by a mistake of ours.
    pub fn decide(
        &self,
        id: &EntityId,
        writes: &Writes,
        before: Option<Arc<Held>>,
    ) -> Result<Decision, StoreError> {
        if let Some(before) = &before {
            self.clock.saw(before.stamps.version);
        }
        let mut state = State {
            entity: before.as_ref().map(|held| held.entity.clone()),
            created: before.as_ref().map(|held| held.stamps.created),
            told: Vec::new(),
            notes: Notes::default(),
        };
        let mut results: Vec<(usize, Result<Change, Refusal>)> = Vec::with_capacity(writes.len());
        let mut last: Option<usize> = None;
        for (place, write) in writes {
            let result = self.decide_one(&mut state, write)?;
            if result.is_ok() {
                // What was only on the way is no longer needed.
                if let Some(last) = last
                    && let Some((_, Ok(earlier))) = results.get_mut(last)
                {
                    (earlier.before, earlier.after) = (None, None);
                }
                last = Some(results.len());
            }
            results.push((*place, result));
        }
        let mut decision = Decision {
            id: id.clone(),
            before,
            end: End::Same,
            stamp: self.clock.stamp(),
            results,
            told: state.told,
            notes: state.notes,
        };
        if decision.told.iter().all(|change| self.is_tellable(change)) {
            self.finish(&mut decision, state.entity, state.created);
        } else {
            decision.refuse_as_too_large();
        }
        Ok(decision)
    }

    /// Whether a document can hold the event that tells of a change: the entity as it was and as it
    /// is. Only large ones are tried out.
    fn is_tellable(&self, change: &Change) -> bool {
        let both = change.before.iter().chain(&change.after);
        let weight: u32 = both.map(|entity| weigh(entity)).fold(0, u32::saturating_add);
        weight < MAX_ENTITY / 64
            || encode_whole_event(self.tenant, &Topic::Entity, change).len() <= MAX_DOCUMENT
    }

    fn decide_one(
        &self,
        state: &mut State,
        write: &Write,
    ) -> Result<Result<Change, Refusal>, StoreError> {
        if let Err(refusal) = self.rewrites.check(write) {
            return Ok(Err(refusal));
        }
        let (id, is_part) = (write.id.clone(), changes_a_part(&write.action));
        // What is copied is kept as it is, and brings its own history along.
        let is_copy = write.action.is_copy();
        let before = state.entity.clone();
        let intention = write.clone();
        let decide =
            AssertUnwindSafe(|| intention.apply(before.as_deref().map(|b| &b.entity), self.now));
        let applied = match catch_unwind(decide) {
            Ok(Ok(applied)) => applied,
            Ok(Err(refusal)) => return Ok(Err(refusal)),
            Err(_) => {
                tracing::error!(entity = %id, "deciding a write panicked; it had no effect");
                return Err(StoreError::Broken(format!("deciding a write to {id} failed")));
            }
        };
        let Applied { after, outcome } = applied;
        if let Some(after) = after.as_ref().filter(|_| is_part) {
            self.rewrites.count(weigh(after));
        }
        // An entity that has expired and was not swept away yet is not there.
        let (before, ended) = match before {
            Some(before) if !before.is_alive(self.now) => (None, Some(before)),
            before => (before, None),
        };
        let after = match (&before, after) {
            (Some(before), Some(after)) if outcome.updated.is_empty() && before.entity == after => {
                Some(before.clone())
            }
            (_, Some(after)) if !is_storable(&after) || weigh(&after) > MAX_ENTITY => {
                return Ok(Err(Refusal::TooLarge(id)));
            }
            (_, Some(after)) => {
                let guard = self.guard.filter(|_| !is_copy);
                if let Some(Err(refusal)) = guard.map(|guard| guard.check(self.tenant, &after)) {
                    return Ok(Err(refusal));
                }
                Some(Stored::new(after))
            }
            (_, None) => None,
        };
        if let Some(ended) = ended.filter(|_| after.is_some()) {
            let change = expiry(&ended, None, self.now);
            self.tell(&mut state.told, &change);
            self.note(&mut state.notes, &change);
        }
        if before.is_none() && after.is_some() {
            state.created = Some(self.clock.stamp());
        }
        state.entity = after.clone();
        let change = Change { id, at: self.now, before, after, outcome };
        self.tell(&mut state.told, &change);
        if !is_copy {
            self.note(&mut state.notes, &change);
        }
        Ok(Ok(change))
    }

    /// Keeps a change, if it is one and somebody wants it.
    fn tell(&self, told: &mut Vec<Change>, change: &Change) {
        let Some(watch) = self.watch else { return };
        let same = match (&change.before, &change.after) {
            (Some(before), Some(after)) => Arc::ptr_eq(before, after),
            (before, after) => before.is_none() && after.is_none(),
        };
        if !same && watch.wants(self.tenant, change) {
            told.push(change.clone());
        }
    }

    /// Notes what history records of a change.
    fn note(&self, notes: &mut Notes, change: &Change) {
        notes.change(self.clock, self.rules.as_deref(), change);
    }

    /// What is to be written in the end.
    fn finish(&self, decision: &mut Decision, after: Option<Arc<Stored>>, created: Option<i64>) {
        let before = decision.before.as_ref();
        decision.end = match (before, after) {
            (None, None) => End::Same,
            (Some(_), None) => End::Gone,
            (Some(before), Some(after)) if Arc::ptr_eq(&before.entity, &after) => End::Same,
            (before, Some(after)) => {
                let mut stamps = match before {
                    Some(before) => before.stamps.next(decision.stamp),
                    None => Stamps::new(decision.stamp),
                };
                stamps.created = created.unwrap_or(decision.stamp);
                let document = document::write(self.tenant, &after, &stamps);
                if document.as_bytes().len() + decision.notes.bytes() > MAX_DOCUMENT {
                    return decision.refuse_as_too_large();
                }
                End::Put(Arc::new(Held { stamps, entity: after }), document)
            }
        };
    }

    /// Keeps a change that somebody wants to be told of, and that cannot be refused any more.
    pub fn tell_of(&self, told: &mut Vec<Change>, change: &Change) {
        let mut own = Vec::new();
        self.tell(&mut own, change);
        told.extend(own.into_iter().filter(|change| self.is_told_of(change)));
    }

    /// Whether it can be told; if not, that is said.
    pub fn is_told_of(&self, change: &Change) -> bool {
        let is_tellable = self.is_tellable(change);
        if !is_tellable {
            tracing::error!(entity = %change.id, "nobody is told of a change: it is too large");
        }
        is_tellable
    }

    /// Decides that an entity is to be this from now on.
    pub fn leave(
        &self,
        id: &EntityId,
        before: Option<Arc<Held>>,
        after: Option<Arc<Stored>>,
        told: Vec<Change>,
    ) -> Decision {
        if let Some(before) = &before {
            self.clock.saw(before.stamps.version);
        }
        let anew = before.as_ref().is_some_and(|held| !held.entity.is_alive(self.now));
        let created = before.as_ref().filter(|_| !anew).map(|held| held.stamps.created);
        let mut decision = Decision {
            id: id.clone(),
            before,
            end: End::Same,
            stamp: self.clock.stamp(),
            results: Vec::new(),
            told,
            notes: Notes::default(),
        };
        self.finish(&mut decision, after, created);
        decision
    }

    /// Decides what expiry leaves of an entity; None if nothing has expired.
    pub fn expire(&self, before: Arc<Held>) -> Option<Decision> {
        let entity = &before.entity;
        let left = entity.is_alive(self.now).then(|| entity.without_expired(self.now));
        if left.as_ref().is_some_and(|left| *left == entity.entity) {
            return None;
        }
        let left: Option<Arc<Stored>> = left.map(|left: Entity| Stored::new(left));
        let (mut told, mut notes) = (Vec::new(), Notes::default());
        let change = expiry(entity, left.clone(), self.now);
        self.tell_of(&mut told, &change);
        self.note(&mut notes, &change);
        self.clock.saw(before.stamps.version);
        let mut decision = Decision {
            id: entity.id.clone(),
            end: End::Same,
            stamp: self.clock.stamp(),
            results: Vec::new(),
            told,
            notes,
            before: None,
        };
        let created = before.stamps.created;
        decision.before = Some(before);
        self.finish(&mut decision, left, Some(created));
        Some(decision)
    }
}

/// An entity while writes are decided one after the other.
struct State {
    entity: Option<Arc<Stored>>,
    /// The stamp of its creation.
    created: Option<i64>,
    told: Vec<Change>,
    notes: Notes,
}

impl Decision {
    /// Whether it stands only if it was decided upon what really is there: nothing that is written
    /// would show otherwise.
    pub fn rests_on_reading(&self) -> bool {
        matches!(self.end, End::Same) || self.results.iter().any(|(_, result)| result.is_err())
    }

    /// Whether something is to be written, be it only that something was there for a moment.
    pub fn is_to_be_written(&self) -> bool {
        !matches!(self.end, End::Same) || !self.told.is_empty() || !self.notes.is_empty()
    }

    /// Whether it takes a transaction: more than one document changes.
    pub fn takes_transaction(&self) -> bool {
        !self.told.is_empty() || !matches!(self.end, End::Put(..))
    }

    /// About how many bytes it writes.
    pub fn bytes(&self) -> usize {
        let notes = self.notes.bytes() + 4_096;
        match &self.end {
            End::Put(_, document) => document.as_bytes().len() + notes,
            _ => notes,
        }
    }

    /// What is to be written, without what is answered.
    pub fn without_results(&self) -> Self {
        Self {
            id: self.id.clone(),
            before: self.before.clone(),
            end: self.end.clone(),
            stamp: self.stamp,
            results: Vec::new(),
            told: self.told.clone(),
            notes: self.notes.clone(),
        }
    }

    /// MongoDB could not hold what these writes leave.
    fn refuse_as_too_large(&mut self) {
        self.end = End::Same;
        self.told.clear();
        self.notes = Notes::default();
        for (_, result) in &mut self.results {
            if result.is_ok() {
                *result = Err(Refusal::TooLarge(self.id.clone()));
            }
        }
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
