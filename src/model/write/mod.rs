//! What an operation does to an entity, decided purely: the semantics of every store.

mod attributes;
mod merge;

pub(super) use self::merge::json_without_nulls;

use std::sync::Arc;

use super::{
    AttrName, AttributePatch, DatasetId, Entity, EntityId, Fragment, Instance, InstanceId,
    InstancePatch, Kind, Scope, Stored, Timestamp, TypeSelection, Violation,
};

/// An intention towards one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    pub id: EntityId,
    /// The `type` parameter: an entity of other types counts as unknown.
    pub only: Option<TypeSelection>,
    pub action: Action,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// 5.6.1.
    Create(Entity),
    /// Not of the specification: keep an entity as it is, with all its times, in place of the one
    /// that may be there, as when it comes from another store.
    Restore(Entity),
    /// 5.6.18.
    Replace(Entity),
    /// 5.6.8 in replace mode: create, or replace whole.
    Upsert(Entity),
    /// 5.6.8 in update mode: create, or update attributes.
    UpsertUpdate(Fragment),
    /// 5.6.17.
    Merge {
        fragment: Fragment,
        /// The language that plain strings are in.
        lang: Option<Box<str>>,
        /// For merged attributes that had an observedAt and get none.
        observed_at: Option<Timestamp>,
    },
    /// 5.6.3.
    Append { fragment: Fragment, overwrite: bool },
    /// 5.6.2.
    Update(Fragment),
    /// 5.6.4.
    PartialUpdate { attribute: AttrName, patch: AttributePatch },
    /// 5.6.19.
    ReplaceAttribute { attribute: AttrName, patch: InstancePatch },
    /// 5.6.5.
    DeleteAttribute { attribute: AttrName, instances: Instances },
    /// 5.6.5 for the scope member.
    DeleteScope,
    /// 5.6.6.
    Delete,
    /// 5.6.21 with `keep`.
    KeepOnly(Vec<AttrName>),
    /// 5.6.21 with `drop`.
    Drop(Vec<AttrName>),
}

impl Action {
    /// Whether an entity is kept as it is somewhere else, its times and its history included.
    pub fn is_copy(&self) -> bool {
        matches!(self, Self::Restore(_))
    }
}

/// Which instances of an attribute are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instances {
    Default,
    Dataset(DatasetId),
    All,
}

/// Why an entity was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is such an entity already.
    #[error("there is an entity {0} already")]
    AlreadyExists(EntityId),
    /// No such entity, or not of the types that were asked for.
    #[error("there is no entity {0}")]
    NoSuchEntity(EntityId),
    /// The entity has no such attribute, or no such instance of it.
    #[error("the entity has no attribute {attribute}{}", .dataset.as_ref().map(|id| format!(" with the datasetId {id}")).unwrap_or_default())]
    NoSuchAttribute { attribute: AttrName, dataset: Option<DatasetId> },
    /// The attribute's history has no such instance.
    #[error("the attribute {attribute} has no instance {instance}")]
    NoSuchInstance { attribute: AttrName, instance: InstanceId },
    /// The entity has no scope.
    #[error("the entity has no scope")]
    NoScope,
    /// The operation does not let an attribute become another kind.
    #[error("the attribute {attribute} is a {} and cannot become a {}", .from.term(), .to.term())]
    KindChange { attribute: AttrName, from: Kind, to: Kind },
    /// The fragment lacks something, or has something that the operation cannot take.
    #[error("{0}")]
    Incomplete(String),
    /// The entity would not be as the model of its type says, and the model is enforced.
    #[error("the entity {id} would not be as the model {model} says: {}", told(.violations))]
    Unfit { id: EntityId, model: Box<str>, violations: Vec<Violation> },
    /// The entity would become larger, or nest deeper, than the store takes.
    #[error("the entity {0} would be larger or deeper than this broker stores")]
    TooLarge(EntityId),
}

fn told(violations: &[Violation]) -> String {
    let told: Vec<String> = violations.iter().map(ToString::to_string).collect();
    told.join("; ")
}

impl Refusal {
    pub(super) fn incomplete(what: impl Into<String>) -> Self {
        Self::Incomplete(what.into())
    }
}

/// What became of an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// Absent if the entity was deleted.
    pub after: Option<Entity>,
    pub outcome: Outcome,
}

/// What an operation reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// There was no such entity before.
    pub created: bool,
    /// Attributes that were added, changed or deleted.
    pub updated: Vec<AttrName>,
    /// Attributes that were left as they were, because they may not be overwritten.
    pub untouched: Vec<AttrName>,
}

/// A committed write: what subscriptions, history and answers are made from.
#[derive(Debug, Clone)]
pub struct Change {
    pub id: EntityId,
    pub at: Timestamp,
    pub before: Option<Arc<Stored>>,
    pub after: Option<Arc<Stored>>,
    pub outcome: Outcome,
}

impl Write {
    /// Intends an action towards an entity of any type.
    pub fn new(id: EntityId, action: Action) -> Self {
        Self { id, only: None, action }
    }

    /// Whether a tenant that does not exist comes into being by this write.
    pub fn may_create(&self) -> bool {
        matches!(
            self.action,
            Action::Create(_) | Action::Restore(_) | Action::Upsert(_) | Action::UpsertUpdate(_)
        )
    }

    /// What becomes of the entity, given what it is now. What has expired by `now` counts as
    /// absent.
    pub fn apply(self, current: Option<&Entity>, now: Timestamp) -> Result<Applied, Refusal> {
        let current = current.filter(|entity| entity.is_alive(now));
        let id = self.id;
        match (self.action, current) {
            (Action::Restore(entity), current) => Ok(restore(entity, current)),
            (Action::Create(_), Some(_)) => Err(Refusal::AlreadyExists(id)),
            (Action::Create(entity) | Action::Upsert(entity), None) => Ok(create(entity, now)),
            (Action::UpsertUpdate(mut fragment), None) => {
                fragment.id = Some(id);
                Ok(create(fragment.into_entity()?, now))
            }
            (action, Some(entity)) => {
                let selected = self.only.is_none_or(|only| only.selects(entity.types.as_slice()));
                if !selected {
                    return Err(Refusal::NoSuchEntity(id));
                }
                match action {
                    // Nothing of what goes as a whole is copied first.
                    Action::Replace(new) | Action::Upsert(new) if !entity.is_transient() => {
                        Ok(replace(new, entity, now))
                    }
                    action => change(action, entity.without_expired(now), now),
                }
            }
            (_, None) => Err(Refusal::NoSuchEntity(id)),
        }
    }
}

fn restore(entity: Entity, current: Option<&Entity>) -> Applied {
    let changed = current != Some(&entity);
    let names = entity.attributes.iter().map(|(name, _)| name).filter(|_| changed);
    let outcome =
        Outcome { created: current.is_none(), updated: names.collect(), untouched: Vec::new() };
    Applied { after: Some(entity), outcome }
}

fn create(mut entity: Entity, now: Timestamp) -> Applied {
    entity.created_at = now;
    entity.modified_at = now;
    for (_, attribute) in entity.attributes.iter_mut() {
        for instance in attribute.instances_mut() {
            stamp(instance, None, now);
        }
    }
    let updated = entity.attributes.iter().map(|(name, _)| name).collect();
    Applied {
        outcome: Outcome { created: true, updated, untouched: Vec::new() },
        after: Some(entity),
    }
}

/// 5.6.18: all but the creation time is new.
fn replace(mut entity: Entity, before: &Entity, now: Timestamp) -> Applied {
    entity.created_at = before.created_at;
    entity.modified_at = now;
    for (name, attribute) in entity.attributes.iter_mut() {
        let old = before.attributes.get(name);
        for instance in attribute.instances_mut() {
            let old = old.and_then(|old| old.instance(instance.dataset()));
            stamp(instance, old, now);
        }
    }
    entity.attributes.shrink();
    let all = before.attributes.iter().chain(entity.attributes.iter());
    let mut updated: Vec<AttrName> = all.map(|(name, _)| name).collect();
    updated.sort_unstable();
    updated.dedup();
    let outcome = Outcome { updated, ..Outcome::default() };
    Applied { after: Some(entity), outcome }
}

fn change(action: Action, entity: Entity, now: Timestamp) -> Result<Applied, Refusal> {
    let mut draft = Draft { entity, now, touched: false, outcome: Outcome::default() };
    match action {
        Action::Create(_) | Action::Restore(_) | Action::Delete => {
            let updated = draft.entity.attributes.iter().map(|(name, _)| name).collect();
            let outcome = Outcome { updated, ..Outcome::default() };
            return Ok(Applied { after: None, outcome });
        }
        Action::Replace(entity) | Action::Upsert(entity) => {
            return Ok(replace(entity, &draft.entity, now));
        }
        Action::UpsertUpdate(fragment) => draft.upsert_update(fragment)?,
        Action::Merge { fragment, lang, observed_at } => {
            draft.merge(fragment, lang.as_deref(), observed_at)?;
        }
        Action::Append { fragment, overwrite } => draft.append(fragment, overwrite)?,
        Action::Update(fragment) => draft.update(fragment)?,
        Action::PartialUpdate { attribute, patch } => draft.partial_update(attribute, patch)?,
        Action::ReplaceAttribute { attribute, patch } => {
            draft.replace_attribute(attribute, patch)?;
        }
        Action::DeleteAttribute { attribute, instances } => {
            draft.delete_attribute(attribute, &instances)?;
        }
        Action::DeleteScope => draft.delete_scope()?,
        Action::KeepOnly(names) => draft.retain(|name| names.contains(&name)),
        Action::Drop(names) => draft.retain(|name| !names.contains(&name)),
    }
    Ok(draft.finish())
}

/// An entity being changed, and what there is to report.
struct Draft {
    entity: Entity,
    now: Timestamp,
    touched: bool,
    outcome: Outcome,
}

impl Draft {
    fn finish(mut self) -> Applied {
        if self.touched || !self.outcome.updated.is_empty() {
            self.entity.modified_at = self.now;
        }
        self.entity.attributes.shrink();
        Applied { after: Some(self.entity), outcome: self.outcome }
    }

    fn report(&mut self, name: AttrName) {
        if !self.outcome.updated.contains(&name) {
            self.outcome.updated.push(name);
        }
    }

    /// Types are added (4.16), never taken away.
    fn add_types(&mut self, fragment: &Fragment) {
        self.touched |= self.entity.add_types(&fragment.types);
    }

    fn set_scopes(&mut self, scopes: Vec<Scope>) {
        self.entity.scopes = scopes;
        self.touched = true;
    }

    fn delete_scope(&mut self) -> Result<(), Refusal> {
        if self.entity.scopes.is_empty() {
            return Err(Refusal::NoScope);
        }
        self.set_scopes(Vec::new());
        Ok(())
    }

    fn retain(&mut self, keep: impl Fn(AttrName) -> bool) {
        let gone: Vec<AttrName> = self
            .entity
            .attributes
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !keep(*name))
            .collect();
        self.entity.attributes.retain(|name, _| keep(name));
        self.outcome.updated = gone;
    }
}

/// Sets the system times of an instance and what is in it; what replaces something keeps its
/// creation time (4.8).
pub(super) fn stamp(instance: &mut Instance, old: Option<&Instance>, now: Timestamp) {
    instance.created_at = old.map_or(now, |old| old.created_at);
    instance.modified_at = now;
    if let Some(more) = &mut instance.more {
        for (name, attribute) in more.attributes.iter_mut() {
            let old = old.and_then(|old| old.attributes().get(name));
            for inner in attribute.instances_mut() {
                let old = old.and_then(|old| old.instance(inner.dataset()));
                stamp(inner, old, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
