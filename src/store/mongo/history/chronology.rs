//! Changes of history itself (5.6.11 to 5.6.16).

use std::sync::Arc;

use super::super::Inner;
use super::super::document::{self, Stamps};
use super::book::series_key;
use super::edit::{Edit, Item, Scope, edit};
use super::notes::place;
use crate::model::{
    AttrName, Change, Chronology, Entity, EntityId, HistoryAction, HistoryChange, HistoryWrite,
    Instance, InstanceId, InstancePatch, Instances, Outcome, Refusal, Remembered, Stored, TenantId,
    TimeProperty, Timestamp,
};
use crate::store::history::{Head, Kept, Line, Row, Rows, find_row, locate, patched};
use crate::store::history::{OBSERVED, stamped, to_recorded, touched};
use crate::store::mongo::clock::Clock;
use crate::store::record::{Spelling, encode_deletion, encode_scopes, instance_fits, is_storable};
use crate::store::record::{own_past, own_word};
use crate::store::weight::weigh;
use crate::store::{StoreError, Told};

/// How many writes are carried out in one transaction.
const AT_ONCE: usize = 100;

/// What one write came to.
type Done = Result<HistoryChange, Refusal>;

/// See [`Store::commit_history`](crate::store::Store::commit_history).
pub(in crate::store::mongo) async fn commit_history(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    writes: Vec<HistoryWrite>,
    now: Timestamp,
) -> Result<Vec<Done>, StoreError> {
    if writes.iter().any(HistoryWrite::may_create) {
        inner.make_tenant(tenant).await?;
    } else {
        inner.check_tenant(tenant).await?;
    }
    let mut results = Vec::with_capacity(writes.len());
    let mut left = writes.into_iter().peekable();
    while left.peek().is_some() {
        let some: Vec<HistoryWrite> = left.by_ref().take(AT_ONCE).collect();
        let mut ids: Vec<EntityId> = some.iter().map(|write| write.id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        let tenant = tenant.clone();
        let scope = Scope { tenant, ids, now, entities: true, locked: false };
        let done = edit(inner, scope, move |edit| {
            some.iter().map(|write| change(edit, write)).collect::<Result<Vec<Done>, _>>()
        });
        match done.await {
            Ok(done) => results.extend(done),
            Err(error) if results.is_empty() => return Err(error),
            Err(error) => return Err(StoreError::Uncertain(error.to_string())),
        }
    }
    Ok(results)
}

fn change(edit: &mut Edit<'_>, write: &HistoryWrite) -> Result<Done, StoreError> {
    let HistoryWrite { id, action } = write;
    let now = edit.now;
    let item = edit.item(id)?;
    let head = item.book.head.clone();
    let done = match (action, head) {
        (HistoryAction::Restore(told), _) => restore(edit, id, told)?,
        (HistoryAction::Upsert(told) | HistoryAction::Append(told), head @ Some(_)) => {
            add(edit, id, told, head)?
        }
        (HistoryAction::Upsert(told), None) => add(edit, id, told, None)?,
        (HistoryAction::Append(told), None) if current(item, now).is_some() => {
            add(edit, id, told, None)?
        }
        (_, None) => Err(Refusal::NoSuchEntity(id.clone())),
        (HistoryAction::DeleteAttribute { attribute, instances }, Some(head)) => {
            erase_attribute(edit, id, *attribute, instances, &head)?
        }
        (HistoryAction::DeleteInstance { attribute, instance }, Some(head)) => {
            change_instance(edit, id, (*attribute, *instance), None, &head)?
        }
        (HistoryAction::ModifyInstance { attribute, instance, patch }, Some(head)) => {
            change_instance(edit, id, (*attribute, *instance), Some(patch), &head)?
        }
        (HistoryAction::Delete, Some(head)) => erase_entity(edit, id, &head)?,
    };
    if done.is_ok() {
        tell_past(edit, id, touched(action))?;
    }
    Ok(done.map(|created| HistoryChange { id: id.clone(), created }))
}

/// Tells that the past of an entity that is there was changed.
fn tell_past(edit: &mut Edit<'_>, id: &EntityId, updated: Vec<AttrName>) -> Result<(), StoreError> {
    let (now, desk, tenant) = (edit.now, edit.desk, edit.tenant);
    let Some(watch) = desk.inner.watch.get() else { return Ok(()) };
    let item = edit.item(id)?;
    let current = current(item, now);
    if updated.is_empty() || current.is_none() {
        return Ok(());
    }
    let outcome = Outcome { updated, ..Outcome::default() };
    let (before, after) = (current.clone(), current);
    let change = Change { id: id.clone(), at: now, before, after, outcome };
    let told = watch.wants_past(tenant, &change);
    if told && desk.inner.circumstances(tenant, now, None).is_told_of(&change) {
        item.told.push(change);
    }
    Ok(())
}

/// The entity as the edit left it, unless it has expired.
fn current(item: &Item, now: Timestamp) -> Option<Arc<Stored>> {
    item.entity.clone().filter(|entity| entity.is_alive(now))
}

/// 5.6.11, 5.6.12: adds to history, and lets the entity follow. Whether history began with it.
fn add(
    edit: &mut Edit<'_>,
    id: &EntityId,
    told: &Chronology,
    head: Option<Head>,
) -> Result<Result<bool, Refusal>, StoreError> {
    let (now, inner, tenant) = (edit.now, edit.desk.inner.clone(), edit.tenant);
    let item = edit.item(id)?;
    let current = current(item, now);
    let known = current.as_deref().map(|entity| entity.types.as_slice());
    let types = known.or(head.as_ref().map(|head| &head.types[..])).unwrap_or_default();
    if types.is_empty() && told.types.is_empty() {
        return Ok(Err(Refusal::Incomplete("the entity has no type".into())));
    }
    let mut instances = told.attributes.iter().flat_map(|(_, instances)| instances);
    if !instances.all(instance_fits) {
        return Ok(Err(Refusal::TooLarge(id.clone())));
    }
    let gone = head.as_ref().is_some_and(|head| head.deleted_at.is_some());
    let entity = current.as_deref().map(|current| &current.entity);
    let projected = if gone { None } else { told.project(id, entity, now) };
    if projected.as_ref().is_some_and(|entity| !is_holdable(tenant, entity)) {
        return Ok(Err(Refusal::TooLarge(id.clone())));
    }
    let mut types = types.to_vec();
    types.extend(&told.types);
    if let Some(guard) = inner.guard.get() {
        let entity = projected.as_ref();
        let past = Told { id, types: &types, attributes: &told.attributes, entity, now };
        let checked = entity.map_or(Ok(()), |entity| guard.check(tenant, entity));
        if let Err(refusal) = checked.and_then(|()| guard.check_past(tenant, past)) {
            return Ok(Err(refusal));
        }
    }
    let began = head.is_none();
    let created_at = entity.map_or(now, |entity| entity.created_at);
    let head = item.book.head.get_or_insert_with(|| Head::new(created_at));
    head.told |= began && current.is_none();
    head.modified_at = now;
    head.add_types(&types);
    item.changed = true;
    add_instances(item, &inner.clock, now, told);
    if let Some(entity) = projected {
        follow(&inner, (tenant, now), item, Some(entity));
    }
    Ok(Ok(began))
}

/// Whether a document can hold an entity.
fn is_holdable(tenant: &TenantId, entity: &Entity) -> bool {
    use super::super::decide::{MAX_DOCUMENT, MAX_ENTITY};
    let weight = weigh(entity);
    // A document is not much larger than the entity, and only large ones are tried out.
    let fits = || {
        let document = document::write(tenant, entity, &Stamps::new(0));
        document.as_bytes().len() <= MAX_DOCUMENT
    };
    is_storable(entity) && weight <= MAX_ENTITY && (weight < MAX_ENTITY / 64 || fits())
}

fn add_instances(item: &mut Item, clock: &Clock, now: Timestamp, told: &Chronology) {
    let at = now.micros();
    let mut word = Vec::new();
    for (scopes, observed_at) in &told.scopes {
        let (time, ordinal) = place(clock, now, *observed_at);
        encode_scopes(scopes, *observed_at, &mut word);
        own_word(&mut word);
        let word = Some(&word[..]);
        let row = Row { time, ordinal, created: at, modified: at, number: 0.0, word };
        item.book.tail_mut(&Line::Scopes).push(row);
    }
    for (name, instances) in &told.attributes {
        for instance in instances {
            let (time, ordinal) = place(clock, now, instance.observed_at);
            let stamped = stamped(instance, now);
            let number = own_past(stamped.as_ref().unwrap_or(instance), now, &mut word);
            let word = Some(&word[..]);
            let row = Row { time, ordinal, created: at, modified: at, number, word };
            item.book.tail_mut(&Line::of(*name, instance.dataset())).push(row);
        }
    }
}

/// Adds what was recorded elsewhere, with all its times. Whether history began with it.
fn restore(
    edit: &mut Edit<'_>,
    id: &EntityId,
    told: &Remembered,
) -> Result<Result<bool, Refusal>, StoreError> {
    let Remembered { chapter, attributes } = told;
    let mut recorded = attributes.iter().flat_map(|(_, all)| all);
    if !recorded.all(|one| instance_fits(&one.instance)) {
        return Ok(Err(Refusal::TooLarge(id.clone())));
    }
    let inner = edit.desk.inner.clone();
    let item = edit.item(id)?;
    let began = item.book.head.is_none();
    let head = item.book.head.get_or_insert_with(|| Head::new(chapter.created_at));
    head.created_at = head.created_at.min(chapter.created_at);
    head.modified_at = head.modified_at.max(chapter.modified_at);
    head.deleted_at = chapter.deleted_at;
    head.add_types(chapter.types.as_slice());
    item.changed = true;
    let mut word = Vec::new();
    for change in &chapter.scopes {
        let placed = change.time(TimeProperty::Placed).unwrap_or(change.modified_at);
        let observed = change.observed_at.filter(|_| change.deleted_at.is_none());
        let (time, ordinal) = place(&inner.clock, placed, observed);
        encode_scopes(&change.scopes, observed, &mut word);
        own_word(&mut word);
        let (created, modified) = (change.created_at.micros(), change.modified_at.micros());
        let row = Row { time, ordinal, created, modified, number: 0.0, word: Some(&word) };
        item.book.tail_mut(&Line::Scopes).push(row);
    }
    for (name, all) in attributes {
        for one in all {
            let instance = &one.instance;
            let placed = one.time(TimeProperty::Placed).unwrap_or(instance.created_at);
            let observed = instance.observed_at.filter(|_| one.deleted_at.is_none());
            let (time, ordinal) = place(&inner.clock, placed, observed);
            let number = if one.deleted_at.is_some() {
                encode_deletion(instance.kind(), &mut word);
                own_word(&mut word);
                0.0
            } else {
                own_past(instance, instance.modified_at, &mut word)
            };
            let created = instance.created_at.micros();
            let modified = instance.modified_at.micros();
            let row = Row { time, ordinal, created, modified, number, word: Some(&word) };
            item.book.tail_mut(&Line::of(*name, instance.dataset())).push(row);
        }
    }
    Ok(Ok(began))
}

/// Lets the current entity be what history makes of it, or go.
fn follow(
    inner: &Inner,
    (tenant, now): (&TenantId, Timestamp),
    item: &mut Item,
    after: Option<Entity>,
) {
    let before = current(item, now);
    let all = |entity: &Entity| entity.attributes.iter().map(|(name, _)| name).collect();
    let updated = match (&before, &after) {
        (Some(before), Some(after)) => after
            .attributes
            .iter()
            .filter(|(name, own)| before.attributes.get(*name) != Some(own))
            .map(|(name, _)| name)
            .collect(),
        (None, Some(one)) => all(one),
        (Some(one), None) => all(&one.entity),
        (None, None) => Vec::new(),
    };
    let outcome = Outcome { created: before.is_none(), updated, untouched: Vec::new() };
    let after = after.map(Stored::new);
    item.entity.clone_from(&after);
    let change = Change { id: item.id.clone(), at: now, before, after, outcome };
    inner.circumstances(tenant, now, None).tell_of(&mut item.told, &change);
}

/// 5.6.13.
fn erase_attribute(
    edit: &mut Edit<'_>,
    id: &EntityId,
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
    edit.erase(id, &lines)?;
    let now = edit.now;
    if let Some(head) = &mut edit.item(id)?.book.head {
        head.modified_at = now;
    }
    Ok(Ok(false))
}

/// 5.6.16.
fn erase_entity(
    edit: &mut Edit<'_>,
    id: &EntityId,
    head: &Head,
) -> Result<Result<bool, Refusal>, StoreError> {
    edit.erase(id, &head.lines)?;
    let (now, inner, tenant) = (edit.now, edit.desk.inner.clone(), edit.tenant);
    let item = edit.item(id)?;
    item.book.clear();
    // What came into being only by being told of goes with what was told.
    if head.told && current(item, now).is_some() {
        follow(&inner, (tenant, now), item, None);
    }
    Ok(Ok(false))
}

/// 5.6.14 with a patch, 5.6.15 without.
fn change_instance(
    edit: &mut Edit<'_>,
    id: &EntityId,
    (attribute, instance): (AttrName, InstanceId),
    patch: Option<&InstancePatch>,
    head: &Head,
) -> Result<Result<bool, Refusal>, StoreError> {
    let lines = head.lines_of(attribute, &Instances::All);
    if lines.is_empty() {
        return Ok(Err(Refusal::NoSuchAttribute { attribute, dataset: None }));
    }
    let unknown = Refusal::NoSuchInstance { attribute, instance };
    let (desk, tenant, now) = (edit.desk, edit.tenant, edit.now);
    let key = |line: &Line| series_key(tenant, id, line);
    let Some((line, series, at)) = locate(&lines, instance, key) else {
        return Ok(Err(unknown));
    };
    let item = edit.item(id)?;
    let tail = item.book.tail_mut(line);
    tail.settle(true);
    let kept = Kept::with_tail(series.clone(), tail.clone());
    let Some(found) = find_row(Some((desk, &kept)), at, std::iter::empty())? else {
        return Ok(Err(unknown));
    };
    let old = found.get(0);
    let gone = Row { word: None, ..old };
    if let Some(patch) = patch {
        let dataset = line.series().and_then(|series| series.dataset.as_ref());
        let recorded = to_recorded(old, &series, dataset, Spelling::Own)?;
        let Some(recorded) = recorded.filter(|recorded| recorded.deleted_at.is_none()) else {
            return Ok(Err(unknown));
        };
        let new = match patched(id, now, attribute, recorded.instance, patch.clone()) {
            Ok(new) if instance_fits(&new) => new,
            Ok(_) => return Ok(Err(Refusal::TooLarge(id.clone()))),
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(guard) = desk.inner.guard.get() {
            let attributes = [(attribute, vec![new.clone()])];
            let past = Told { id, types: &head.types, attributes: &attributes, entity: None, now };
            if let Err(refusal) = guard.check_past(tenant, past) {
                return Ok(Err(refusal));
            }
        }
        put(tail, &desk.inner.clock, now, (old, at), &new);
    } else {
        tail.push(gone);
    }
    item.changed = true;
    if let Some(head) = &mut item.book.head {
        head.modified_at = now;
    }
    Ok(Ok(false))
}

/// Puts an instance where an old row lies, or where it belongs now.
fn put(
    tail: &mut Rows,
    clock: &Clock,
    now: Timestamp,
    (old, at): (Row<'_>, (i64, u32)),
    new: &Instance,
) {
    let mut word = Vec::new();
    let number = own_past(new, now, &mut word);
    let (time, ordinal) = match new.observed_at {
        Some(time) => (time.micros(), OBSERVED),
        None if old.ordinal == OBSERVED => place(clock, now, None),
        None => at,
    };
    if (time, ordinal) != at {
        tail.push(Row { word: None, ..old });
    }
    let (modified, word) = (now.micros(), Some(&word[..]));
    tail.push(Row { time, ordinal, created: old.created, modified, number, word });
}
