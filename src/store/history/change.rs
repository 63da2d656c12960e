//! What of a change is recorded, and what is done to recorded instances: decided alike by all
//! stores.

use super::HistoryRules;
use super::series::Line;
use crate::model::{
    Action, AttrName, Attribute, AttributePatch, Attributes, Change, Entity, EntityId,
    HistoryAction, Instance, InstanceEdit, InstancePatch, OneOrMany, Refusal, Scope, Stored,
    Timestamp, TypeName, Write,
};

/// What is recorded of a change.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) struct Deed<'c> {
    pub types: &'c [TypeName],
    /// Of the entity.
    pub created_at: Timestamp,
    /// The entity came, went, or has other types than before.
    pub news: bool,
    /// It is not there any more.
    pub gone: bool,
    pub items: Vec<Item<'c>>,
}

/// One row that is recorded.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) enum Item<'c> {
    /// The scopes are these now.
    Scopes(&'c [Scope]),
    /// An instance is this now.
    Instance(AttrName, &'c Instance),
    /// An instance, as it was, was deleted.
    Deletion(AttrName, &'c Instance),
}

impl Item<'_> {
    /// The series that it is recorded in.
    pub fn line(&self) -> Line {
        match self {
            Item::Scopes(_) => Line::Scopes,
            Item::Instance(name, instance) | Item::Deletion(name, instance) => {
                Line::of(*name, instance.dataset())
            }
        }
    }
}

/// What is recorded of what a write through the core API, or expiry, did to an entity; None if
/// nothing is.
pub(in crate::store) fn recorded_by<'c>(
    change: &'c Change,
    rules: Option<&HistoryRules>,
) -> Option<Deed<'c>> {
    let (before, after) = (change.before.as_deref(), change.after.as_deref());
    let some = after.or(before)?;
    if before.zip(after).is_some_and(|(before, after)| std::ptr::eq(before, after)) {
        return None;
    }
    let types = some.types.as_slice();
    if rules.is_some_and(|rules| !rules.records_any(types)) {
        return None;
    }
    let news = match (before, after) {
        (Some(before), Some(after)) => before.types.as_slice() != after.types.as_slice(),
        _ => true,
    };
    let mut items = Vec::new();
    let scopes = |entity: Option<&'c Stored>| entity.map_or(&[][..], |entity| &entity.scopes[..]);
    if scopes(before) != scopes(after) {
        items.push(Item::Scopes(scopes(after)));
    }
    for name in &change.outcome.updated {
        if rules.is_some_and(|rules| !rules.records(types, *name)) {
            continue;
        }
        let had = before.and_then(|entity| entity.attributes.get(*name));
        let has = after.and_then(|entity| entity.attributes.get(*name));
        for instance in has.into_iter().flat_map(Attribute::instances) {
            if instance.modified_at != change.at {
                continue;
            }
            let old = had.and_then(|had| had.instance(instance.dataset()));
            // Most are told apart by their times, before anything larger is compared.
            let same = |old: &Instance| old.modified_at == instance.modified_at && old == instance;
            if !old.is_some_and(same) {
                items.push(Item::Instance(*name, instance));
            }
        }
        for instance in had.into_iter().flat_map(Attribute::instances) {
            if has.and_then(|has| has.instance(instance.dataset())).is_none() {
                items.push(Item::Deletion(*name, instance));
            }
        }
    }
    let (created_at, gone) = (some.created_at, after.is_none());
    Some(Deed { types, created_at, news, gone, items })
}

/// The attributes whose recorded instances an action changes; none if all are forgotten.
pub(in crate::store) fn touched(action: &HistoryAction) -> Vec<AttrName> {
    match action {
        HistoryAction::Upsert(told) | HistoryAction::Append(told) => {
            told.attributes.iter().map(|(name, _)| *name).collect()
        }
        HistoryAction::DeleteAttribute { attribute, .. }
        | HistoryAction::ModifyInstance { attribute, .. }
        | HistoryAction::DeleteInstance { attribute, .. } => vec![*attribute],
        HistoryAction::Delete | HistoryAction::Restore(_) => Vec::new(),
    }
}

/// An instance whose sub-attributes are as old as itself; None if it has none.
pub(in crate::store) fn stamped(instance: &Instance, now: Timestamp) -> Option<Instance> {
    fn stamp(instance: &mut Instance, now: Timestamp) {
        (instance.created_at, instance.modified_at) = (now, now);
        if let Some(more) = &mut instance.more {
            for (_, attribute) in more.attributes.iter_mut() {
                attribute.instances_mut().iter_mut().for_each(|inner| stamp(inner, now));
            }
        }
    }
    (!instance.attributes().is_empty()).then(|| {
        let mut instance = instance.clone();
        stamp(&mut instance, now);
        instance
    })
}

/// The instance after a patch (5.6.14), as 5.6.4 would change it.
pub(in crate::store) fn patched(
    id: &EntityId,
    now: Timestamp,
    attribute: AttrName,
    old: Instance,
    mut patch: InstancePatch,
) -> Result<Instance, Refusal> {
    patch.dataset = old.dataset().cloned();
    let entity = Entity {
        id: id.clone(),
        types: OneOrMany::One(attribute),
        scopes: Vec::new(),
        attributes: Attributes::from_distinct(vec![(attribute, Attribute::one(old))]),
        created_at: now,
        modified_at: now,
        expires_at: None,
    };
    let patch = AttributePatch(vec![InstanceEdit::Put(patch)]);
    let write = Write::new(id.clone(), Action::PartialUpdate { attribute, patch });
    let after = write.apply(Some(&entity), now)?.after;
    let changed = after.and_then(|mut entity| entity.attributes.remove(attribute));
    changed
        .and_then(|attribute| attribute.instances().first().cloned())
        .ok_or_else(|| Refusal::Incomplete("nothing would be left of the instance".into()))
}
