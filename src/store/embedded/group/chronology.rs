//! Changes of history itself (5.6.11 to 5.6.16), decided within a group.

use std::sync::atomic::Ordering;

use super::{Group, Version};
use crate::model::{
    AttrName, Change, Chronology, Entity, EntityId, HistoryAction, HistoryChange, HistoryWrite,
    Instance, InstanceId, InstancePatch, Instances, Outcome, Recorded, Refusal, Remembered,
    ScopeChange, Stored, TenantId, TimeProperty, Timestamp,
};
use crate::store::embedded::engine::Past;
use crate::store::embedded::history::{Packed, Target, There, Whose, sheaves_with, tail_at};
use crate::store::embedded::tenants::Tenant;
use crate::store::history::{Head, Kept, Line, Row, Rows, SeriesKey, find_row, locate, patched};
use crate::store::history::{stamped, to_recorded, touched};
use crate::store::record::{
    Rewrite, Spelling, encode_deletion, encode_past, encode_scopes, instance_fits, is_storable,
};
use crate::store::weight::weigh;
use crate::store::{Archive, StoreError, Told};

/// What each write to history came to.
pub(in crate::store::embedded) type Results = Vec<Result<HistoryChange, Refusal>>;

/// What was in the drafts before, to be put back if a job fails.
type Done = Vec<(usize, Version)>;

impl Group<'_> {
    pub(super) fn add_history(
        &mut self,
        id: &TenantId,
        writes: Vec<HistoryWrite>,
        now: Timestamp,
    ) -> Result<Results, StoreError> {
        let tenant = match self.tenant(id, writes.iter().any(HistoryWrite::may_create)) {
            Some(tenant) => tenant,
            None => return Err(StoreError::UnknownTenant(id.clone())),
        };
        let mut results = Vec::with_capacity(writes.len());
        let mut done = Vec::new();
        let (told, noted) = (self.told.count(), self.notes.begin());
        for write in writes {
            match self.add_history_write(&tenant, write, now, &mut done) {
                Ok(result) => results.push(result),
                Err(error) => {
                    self.told.undo(told);
                    self.notes.undo(noted);
                    for (place, version) in done.into_iter().rev() {
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

    fn add_history_write(
        &mut self,
        tenant: &std::sync::Arc<Tenant>,
        write: HistoryWrite,
        now: Timestamp,
        done: &mut Done,
    ) -> Result<Result<HistoryChange, Refusal>, StoreError> {
        let HistoryWrite { id, action } = write;
        let touched = touched(&action);
        let whose =
            Whose { tenant: tenant.number, id: &id, now, created_at: now, types: &[], told: true };
        let head = self.notes.head_mut(self.inner, whose)?.clone();
        let added = match (action, head) {
            (HistoryAction::Restore(told), _) => self.restore(whose, *told)?,
            (HistoryAction::Upsert(told) | HistoryAction::Append(told), Some(head)) => {
                self.add_chronology(tenant, whose, told, Some(head), done)?
            }
            (HistoryAction::Upsert(told), None) => {
                self.add_chronology(tenant, whose, told, None, done)?
            }
            (HistoryAction::Append(told), None) if self.is_alive(tenant, &id, now)? => {
                self.add_chronology(tenant, whose, told, None, done)?
            }
            (_, None) => Err(Refusal::NoSuchEntity(id.clone())),
            (HistoryAction::DeleteAttribute { attribute, instances }, Some(head)) => {
                self.erase_attribute(whose, attribute, &instances, &head)?
            }
            (HistoryAction::DeleteInstance { attribute, instance }, Some(head)) => {
                self.change_instance(tenant, whose, (attribute, instance), None, &head)?
            }
            (HistoryAction::ModifyInstance { attribute, instance, patch }, Some(head)) => {
                self.change_instance(tenant, whose, (attribute, instance), Some(patch), &head)?
            }
            (HistoryAction::Delete, Some(head)) => self.erase_entity(tenant, whose, &head, done)?,
        };
        if added.is_ok() {
            self.tell_past(tenant, &id, touched, now)?;
        }
        Ok(added.map(|created| HistoryChange { id, created }))
    }

    /// Tells that the past of an entity that is there was changed.
    fn tell_past(
        &mut self,
        tenant: &std::sync::Arc<Tenant>,
        id: &EntityId,
        updated: Vec<AttrName>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (_, current) = self.current(tenant, id, now)?;
        if updated.is_empty() || current.is_none() {
            return Ok(());
        }
        let outcome = Outcome { updated, ..Outcome::default() };
        let change =
            Change { id: id.clone(), at: now, before: current.clone(), after: current, outcome };
        self.told.add_past(self.inner, &tenant.id, change);
        Ok(())
    }

    /// The entity as the group left it, unless it has expired.
    fn current(
        &mut self,
        tenant: &std::sync::Arc<Tenant>,
        id: &EntityId,
        now: Timestamp,
    ) -> Result<(usize, Option<std::sync::Arc<Stored>>), StoreError> {
        let place = self.draft(tenant, id)?;
        let entity = self.drafts[place].version.entity.clone();
        Ok((place, entity.filter(|entity| entity.is_alive(now))))
    }

    fn is_alive(
        &mut self,
        tenant: &std::sync::Arc<Tenant>,
        id: &EntityId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.current(tenant, id, now)?.1.is_some())
    }

    /// 5.6.11, 5.6.12: adds to history, and lets the entity follow. Whether history began with it.
    fn add_chronology(
        &mut self,
        tenant: &std::sync::Arc<Tenant>,
        whose: Whose<'_>,
        told: Chronology,
        head: Option<Head>,
        done: &mut Done,
    ) -> Result<Result<bool, Refusal>, StoreError> {
        let Whose { id, now, .. } = whose;
        let (_, current) = self.current(tenant, id, now)?;
        let known = current.as_deref().map(|entity| entity.types.as_slice());
        let types = known.or(head.as_ref().map(|head| &head.types[..])).unwrap_or_default();
        if types.is_empty() && told.types.is_empty() {
            return Ok(Err(Refusal::Incomplete("the entity has no type".into())));
        }
        let instances = told.attributes.iter().flat_map(|(_, instances)| instances);
        if !instances.clone().all(instance_fits) {
            return Ok(Err(Refusal::TooLarge(id.clone())));
        }
        let gone = head.as_ref().is_some_and(|head| head.deleted_at.is_some());
        let entity = current.as_deref().map(|current| &current.entity);
        let projected = if gone { None } else { told.project(id, entity, now) };
        let follows = projected.map(|entity| (weigh(&entity), entity));
        let too_large = |(weight, entity): &(u32, Entity)| {
            *weight > self.inner.settings.max_entity_bytes || !is_storable(entity)
        };
        if follows.as_ref().is_some_and(too_large) {
            return Ok(Err(Refusal::TooLarge(id.clone())));
        }
        let mut types = types.to_vec();
        types.extend(&told.types);
        if let Some(guard) = self.inner.guard.get() {
            let entity = follows.as_ref().map(|(_, entity)| entity);
            let past = Told { id, types: &types, attributes: &told.attributes, entity, now };
            let checked = entity.map_or(Ok(()), |entity| guard.check(&tenant.id, entity));
            if let Err(refusal) = checked.and_then(|()| guard.check_past(&tenant.id, past)) {
                return Ok(Err(refusal));
            }
        }
        let began = head.is_none();
        let created_at = entity.map_or(now, |entity| entity.created_at);
        let is_new = current.is_none();
        let head = self.notes.head_mut(self.inner, whose)?;
        let head = head.get_or_insert_with(|| Head::new(created_at));
        head.told |= began && is_new;
        head.modified_at = now;
        head.add_types(&types);
        self.add_instances(whose, &told)?;
        if let Some((weight, entity)) = follows {
            self.follow(tenant, whose, Some(entity), weight, done)?;
        }
        Ok(Ok(began))
    }

    fn add_instances(&mut self, whose: Whose<'_>, told: &Chronology) -> Result<(), StoreError> {
        let now = whose.now.micros();
        for (scopes, observed_at) in &told.scopes {
            let target = Target::new(self.writer, whose, &Line::Scopes);
            let (time, ordinal) = self.notes.place(self.writer, &target, *observed_at);
            let mut word = Vec::new();
            encode_scopes(scopes, *observed_at, &mut word);
            let word = Some(&word[..]);
            let row = Row { time, ordinal, created: now, modified: now, number: 0.0, word };
            self.notes.row(self.inner, self.writer, target, row)?;
        }
        let mut word = Vec::new();
        for (name, instances) in &told.attributes {
            // One line after the other, each with all its instances at once.
            let mut left: Vec<&Instance> = instances.iter().collect();
            while let Some(first) = left.first().copied() {
                let dataset = first.dataset();
                let line = Line::of(*name, dataset);
                let target = Target::new(self.writer, whose, &line);
                let mut rows = Rows::default();
                let mut others = Vec::new();
                for instance in left {
                    if instance.dataset() != dataset {
                        others.push(instance);
                        continue;
                    }
                    let place = self.notes.place(self.writer, &target, instance.observed_at);
                    let stamped = stamped(instance, whose.now);
                    let instance = stamped.as_ref().unwrap_or(instance);
                    let number =
                        encode_past(instance, whose.now, &mut word, &mut self.writer.dictionary);
                    let (time, ordinal) = place;
                    let word = Some(&word[..]);
                    rows.push(Row { time, ordinal, created: now, modified: now, number, word });
                }
                self.notes.rows(self.inner, self.writer, target, rows)?;
                left = others;
            }
        }
        Ok(())
    }

    /// Adds what was recorded elsewhere, with all its times. Whether history began with it.
    fn restore(
        &mut self,
        whose: Whose<'_>,
        told: Remembered,
    ) -> Result<Result<bool, Refusal>, StoreError> {
        let Remembered { chapter, attributes } = told;
        let mut recorded = attributes.iter().flat_map(|(_, all)| all);
        if !recorded.all(|one| instance_fits(&one.instance)) {
            return Ok(Err(Refusal::TooLarge(whose.id.clone())));
        }
        let head = self.notes.head_mut(self.inner, whose)?;
        let began = head.is_none();
        let head = head.get_or_insert_with(|| Head::new(chapter.created_at));
        head.created_at = head.created_at.min(chapter.created_at);
        head.modified_at = head.modified_at.max(chapter.modified_at);
        head.deleted_at = chapter.deleted_at;
        head.add_types(chapter.types.as_slice());
        for change in &chapter.scopes {
            self.restore_scopes(whose, change)?;
        }
        for (name, all) in &attributes {
            let mut left: Vec<&Recorded> = all.iter().collect();
            while let Some(first) = left.first().copied() {
                let dataset = first.instance.dataset();
                let (own, others) =
                    left.into_iter().partition(|one| one.instance.dataset() == dataset);
                self.restore_line(whose, &Line::of(*name, dataset), own)?;
                left = others;
            }
        }
        Ok(Ok(began))
    }

    fn restore_scopes(&mut self, whose: Whose<'_>, change: &ScopeChange) -> Result<(), StoreError> {
        let target = Target::new(self.writer, whose, &Line::Scopes);
        let placed = change.time(TimeProperty::Placed).unwrap_or(change.modified_at);
        let observed = change.observed_at.filter(|_| change.deleted_at.is_none());
        let (time, ordinal) = self.notes.place_again(self.writer, observed, placed);
        let mut word = Vec::new();
        encode_scopes(&change.scopes, observed, &mut word);
        let (created, modified) = (change.created_at.micros(), change.modified_at.micros());
        let row = Row { time, ordinal, created, modified, number: 0.0, word: Some(&word) };
        self.notes.row(self.inner, self.writer, target, row)
    }

    fn restore_line(
        &mut self,
        whose: Whose<'_>,
        line: &Line,
        all: Vec<&Recorded>,
    ) -> Result<(), StoreError> {
        let target = Target::new(self.writer, whose, line);
        let (mut rows, mut word) = (Rows::default(), Vec::new());
        for one in all {
            let instance = &one.instance;
            let placed = one.time(TimeProperty::Placed).unwrap_or(instance.created_at);
            let observed = instance.observed_at.filter(|_| one.deleted_at.is_none());
            let (time, ordinal) = self.notes.place_again(self.writer, observed, placed);
            let number = if one.deleted_at.is_some() {
                encode_deletion(instance.kind(), &mut word);
                0.0
            } else {
                let dictionary = &mut self.writer.dictionary;
                encode_past(instance, instance.modified_at, &mut word, dictionary)
            };
            let created = instance.created_at.micros();
            let modified = instance.modified_at.micros();
            rows.push(Row { time, ordinal, created, modified, number, word: Some(&word) });
        }
        self.notes.rows(self.inner, self.writer, target, rows)
    }

    /// Lets the current entity be what history makes of it, or go.
    fn follow(
        &mut self,
        tenant: &std::sync::Arc<Tenant>,
        whose: Whose<'_>,
        after: Option<Entity>,
        weight: u32,
        done: &mut Done,
    ) -> Result<(), StoreError> {
        let Whose { id, now, .. } = whose;
        let (place, before) = self.current(tenant, id, now)?;
        let changed = |entity: &Entity| entity.attributes.iter().map(|(name, _)| name).collect();
        let outcome = Outcome {
            created: before.is_none(),
            updated: match (&before, &after) {
                (Some(before), Some(after)) => after
                    .attributes
                    .iter()
                    .filter(|(name, own)| before.attributes.get(*name) != Some(own))
                    .map(|(name, _)| name)
                    .collect(),
                (None, Some(one)) => changed(one),
                (Some(one), None) => changed(&one.entity),
                (None, None) => Vec::new(),
            },
            untouched: Vec::new(),
        };
        let created = before.is_none() && after.is_some();
        let sequence = created.then(|| self.writer.take_sequence());
        let after = after.map(Stored::new);
        let version = &mut self.drafts[place].version;
        let sequence = sequence.or(version.sequence);
        let new = Version { entity: after.clone(), sequence, weight };
        done.push((place, std::mem::replace(version, new)));
        let change = Change { id: id.clone(), at: now, before, after, outcome };
        self.told.add(self.inner, &tenant.id, &change);
        Ok(())
    }

    /// 5.6.13.
    fn erase_attribute(
        &mut self,
        whose: Whose<'_>,
        attribute: AttrName,
        instances: &Instances,
        head: &Head,
    ) -> Result<Result<bool, Refusal>, StoreError> {
        let lines = head.lines_of(attribute, instances);
        if lines.is_empty() {
            let dataset = match instances {
                Instances::Dataset(id) => Some(id.clone()),
                _ => None,
            };
            return Ok(Err(Refusal::NoSuchAttribute { attribute, dataset }));
        }
        for line in &lines {
            self.erase(whose, line)?;
        }
        if let Some(head) = self.notes.head_mut(self.inner, whose)? {
            head.forget_lines(&lines);
            head.modified_at = whose.now;
        }
        Ok(Ok(false))
    }

    /// 5.6.16.
    fn erase_entity(
        &mut self,
        tenant: &std::sync::Arc<Tenant>,
        whose: Whose<'_>,
        head: &Head,
        done: &mut Done,
    ) -> Result<Result<bool, Refusal>, StoreError> {
        for line in &head.lines {
            self.erase(whose, line)?;
        }
        *self.notes.head_mut(self.inner, whose)? = None;
        // What came into being only by being told of goes with what was told.
        if head.told && self.is_alive(tenant, whose.id, whose.now)? {
            self.follow(tenant, whose, None, 0, done)?;
        }
        Ok(Ok(false))
    }

    fn erase(&mut self, whose: Whose<'_>, line: &Line) -> Result<(), StoreError> {
        let series = SeriesKey::new(whose.tenant, whose.id, line, &mut self.writer.dictionary);
        self.inner.history.ripe.erasures.fetch_add(1, Ordering::AcqRel);
        self.writer.recorder.forget();
        let mut there = There::default();
        self.inner.engine.look(|look| {
            for (past, keys) in [(Past::Tails, &mut there.tails), (Past::Blocks, &mut there.blocks)]
            {
                look.past(past, (series.bytes(), &series.end()), false, |key, _| {
                    keys.push(key.to_vec());
                    Ok(std::ops::ControlFlow::Continue(()))
                })?;
            }
            there.sheaves = sheaves_with(look, &series, None)?;
            Ok(())
        })?;
        self.notes.erase(series, there);
        Ok(())
    }

    /// Whether an instance may be kept as it would become.
    fn judge(
        &self,
        tenant: &Tenant,
        whose: Whose<'_>,
        head: &Head,
        (attribute, instance): (AttrName, &Instance),
    ) -> Result<(), Refusal> {
        let Some(guard) = self.inner.guard.get() else { return Ok(()) };
        let attributes = [(attribute, vec![instance.clone()])];
        let (id, now) = (whose.id, whose.now);
        let past = Told { id, types: &head.types, attributes: &attributes, entity: None, now };
        guard.check_past(&tenant.id, past)
    }

    /// 5.6.14 with a patch, 5.6.15 without.
    fn change_instance(
        &mut self,
        tenant: &Tenant,
        whose: Whose<'_>,
        (attribute, instance): (AttrName, InstanceId),
        patch: Option<InstancePatch>,
        head: &Head,
    ) -> Result<Result<bool, Refusal>, StoreError> {
        let lines = head.lines_of(attribute, &Instances::All);
        if lines.is_empty() {
            return Ok(Err(Refusal::NoSuchAttribute { attribute, dataset: None }));
        }
        let unknown = Refusal::NoSuchInstance { attribute, instance };
        let dictionary = &mut self.writer.dictionary;
        let key = |line: &Line| SeriesKey::new(whose.tenant, whose.id, line, dictionary);
        let Some((line, series, place)) = locate(&lines, instance, key) else {
            return Ok(Err(unknown));
        };
        let (noted, erased) = self.notes.recorded(&series)?;
        let noted = || noted.iter().map(|bytes| &bytes[..]);
        let found = if erased {
            find_row(None, place, noted())?
        } else {
            let recent = self.inner.history.recent.view();
            self.inner.engine.look(|look| {
                let tail = tail_at(look, &recent, &series, place.0)?;
                let kept = Kept::with_tail(series.clone(), tail);
                find_row(Some((look, &kept)), place, noted())
            })?
        };
        let Some(found) = found else { return Ok(Err(unknown)) };
        let old = found.get(0);
        let gone = Row { word: None, ..old };
        let target = Target::new(self.writer, whose, line);
        if let Some(patch) = patch {
            let dataset = line.series().and_then(|series| series.dataset.as_ref());
            let recorded = {
                let spelling = Spelling::Dictionary(&self.inner.names);
                to_recorded(old, &series, dataset, spelling)?
            };
            let Some(recorded) = recorded.filter(|recorded| recorded.deleted_at.is_none()) else {
                return Ok(Err(unknown));
            };
            let new = match patched(whose.id, whose.now, attribute, recorded.instance, patch) {
                Ok(new) if instance_fits(&new) => new,
                Ok(_) => return Ok(Err(Refusal::TooLarge(whose.id.clone()))),
                Err(refusal) => return Ok(Err(refusal)),
            };
            if let Err(refusal) = self.judge(tenant, whose, head, (attribute, &new)) {
                return Ok(Err(refusal));
            }
            let mut word = Vec::new();
            let number = encode_past(&new, whose.now, &mut word, &mut self.writer.dictionary);
            let (time, ordinal) = match new.observed_at {
                Some(time) => (time.micros(), 0),
                None if old.ordinal == 0 => self.notes.place(self.writer, &target, None),
                None => place,
            };
            let modified = whose.now.micros();
            let word = Some(&word[..]);
            let row = Row { time, ordinal, created: old.created, modified, number, word };
            if (time, ordinal) != place {
                let target = Target::new(self.writer, whose, line);
                self.notes.row(self.inner, self.writer, target, gone)?;
            }
            self.notes.row(self.inner, self.writer, target, row)?;
        } else {
            self.notes.row(self.inner, self.writer, target, gone)?;
        }
        if let Some(head) = self.notes.head_mut(self.inner, whose)? {
            head.modified_at = whose.now;
        }
        Ok(Ok(false))
    }

    /// Puts what another store kept in place of what is kept here.
    pub(super) fn add_archives(
        &mut self,
        id: &TenantId,
        archives: Vec<Archive>,
    ) -> Result<(), StoreError> {
        let Some(tenant) = self.tenant(id, true) else {
            return Err(StoreError::UnknownTenant(id.clone()));
        };
        let noted = self.notes.begin();
        for archive in archives {
            if let Err(error) = self.add_archive(&tenant, archive) {
                self.notes.undo(noted);
                return Err(error);
            }
        }
        self.bring_into_being(&tenant);
        Ok(())
    }

    fn add_archive(&mut self, tenant: &Tenant, archive: Archive) -> Result<(), StoreError> {
        let Archive { id, head, begins, series } = archive;
        let (created_at, types) = (head.created_at, &head.types[..]);
        let (tenant, now, told) = (tenant.number, head.modified_at, head.told);
        let whose = Whose { tenant, id: &id, now, created_at, types, told };
        if begins {
            let old = self.notes.head_mut(self.inner, whose)?.clone();
            for line in old.iter().flat_map(|old| &old.lines) {
                self.erase(whose, line)?;
            }
            *self.notes.head_mut(self.inner, whose)? = Some(head.clone());
        }
        for (line, rows) in &series {
            let mut own = Rows::default();
            for row in 0..rows.len() {
                let row = rows.get(row);
                let mut rewrite = Rewrite::Dictionary(&mut self.writer.dictionary);
                let word = rewrite.rewrite(*line == Line::Scopes, &row, Spelling::Own)?;
                own.push(Row { word: Some(&word), ..row });
            }
            let target = Target::new(self.writer, whose, line);
            self.notes.rows(self.inner, self.writer, target, own)?;
        }
        Ok(())
    }

    /// Puts down what was packed, unless something was erased meanwhile.
    pub(super) fn add_packed(&mut self, packed: Packed) -> Result<(), StoreError> {
        if packed.erasures != self.inner.history.ripe.erasures.load(Ordering::Acquire) {
            // It may be made of what is gone, and is to be made again.
            return Err(StoreError::Busy);
        }
        let Packed { log, tails, blocks, .. } = packed;
        self.batch.past_mut(Past::Log).extend(log);
        self.batch.past_mut(Past::Tails).extend(tails);
        self.batch.past_mut(Past::Blocks).extend(blocks);
        Ok(())
    }

    /// The group was written.
    pub(super) fn finish_history(&mut self) {
        let history = &self.inner.history;
        let notes = std::mem::take(&mut self.notes);
        let (erased, due) = notes.written(&self.batch, &mut self.writer.recorder, &history.recent);
        if erased {
            // What was read since they were decided may still know them.
            history.ripe.erasures.fetch_add(1, Ordering::AcqRel);
        }
        if due {
            history.ripe.wake();
        }
        for tenant in self.ruled.drain(..) {
            if let Err(error) = history.load_rules(&self.inner.engine, tenant) {
                tracing::error!(%error, "the rules of history cannot be read");
            }
        }
    }
}
