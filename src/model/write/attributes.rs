//! Appending, updating, replacing and deleting attributes (5.6.2 to 5.6.5, 5.6.19).

use super::{
    AttrName, AttributePatch, Draft, Fragment, Instance, InstancePatch, Instances, Kind, Refusal,
    stamp,
};
use crate::model::{Attribute, Attributes, DatasetId, Edit, InstanceEdit};

impl Draft {
    /// 5.6.3: adds instances; those that are there are replaced, or left if `overwrite` is false.
    pub(super) fn append(&mut self, fragment: Fragment, overwrite: bool) -> Result<(), Refusal> {
        self.add_types(&fragment);
        if let Edit::Put(scopes) = fragment.scopes {
            if overwrite {
                self.set_scopes(scopes);
            } else {
                self.add_scopes(scopes);
            }
        }
        if overwrite || self.entity.expires_at.is_none() {
            self.touched |= fragment.expires_at.is_change();
            fragment.expires_at.apply(&mut self.entity.expires_at);
        }
        for (name, patch) in fragment.attributes {
            let attribute = patch.into_attribute(name)?;
            for instance in attribute.instances() {
                let there = self.instance(name, instance.dataset()).is_some();
                if there && !overwrite {
                    if !self.outcome.untouched.contains(&name) {
                        self.outcome.untouched.push(name);
                    }
                } else {
                    self.put(name, instance.clone());
                }
            }
        }
        Ok(())
    }

    fn add_scopes(&mut self, scopes: Vec<super::Scope>) {
        for scope in scopes {
            if !self.entity.scopes.iter().any(|own| own.same(&scope)) {
                self.entity.scopes.push(scope);
                self.touched = true;
            }
        }
    }

    /// 5.6.2: instances are replaced, added, or deleted by a Null. A scope is replaced only where
    /// there is one; where there is none it is reported as left alone.
    pub(super) fn update(&mut self, fragment: Fragment) -> Result<(), Refusal> {
        self.add_types(&fragment);
        match fragment.scopes {
            Edit::Keep => {}
            _ if self.entity.scopes.is_empty() => self.outcome.untouched.push(AttrName::SCOPE),
            Edit::Put(scopes) => self.set_scopes(scopes),
            Edit::Remove => self.set_scopes(Vec::new()),
        }
        self.touched |= fragment.expires_at.is_change();
        fragment.expires_at.apply(&mut self.entity.expires_at);
        for (name, patch) in fragment.attributes {
            self.update_attribute(name, patch)?;
        }
        Ok(())
    }

    /// 5.6.8 in update mode for an entity that is there.
    pub(super) fn upsert_update(&mut self, mut fragment: Fragment) -> Result<(), Refusal> {
        if let Edit::Put(scopes) = std::mem::take(&mut fragment.scopes) {
            self.set_scopes(scopes);
        }
        self.update(fragment)
    }

    fn update_attribute(&mut self, name: AttrName, patch: AttributePatch) -> Result<(), Refusal> {
        for edit in patch.0 {
            match edit {
                InstanceEdit::Remove(dataset) => {
                    self.remove_instance(name, dataset.as_ref());
                }
                InstanceEdit::Put(patch) => self.put(name, patch.into_merged_instance(name)?),
            }
        }
        Ok(())
    }

    /// 5.6.4: members of one instance that is there are replaced, added, or deleted by a Null.
    pub(super) fn partial_update(
        &mut self,
        name: AttrName,
        patch: AttributePatch,
    ) -> Result<(), Refusal> {
        for edit in patch.0 {
            let dataset = edit.dataset().cloned();
            if self.instance(name, dataset.as_ref()).is_none() {
                return Err(Refusal::NoSuchAttribute { attribute: name, dataset });
            }
            match edit {
                InstanceEdit::Remove(_) => {
                    self.remove_instance(name, dataset.as_ref());
                }
                InstanceEdit::Put(patch) => {
                    let now = self.now;
                    let instances = self.entity.attributes.get_mut(name);
                    let place = instances.and_then(|all| all.instance_mut(dataset.as_ref()));
                    if let Some(instance) = place {
                        replace_members(name, instance, patch, now)?;
                        self.report(name);
                    }
                }
            }
        }
        Ok(())
    }

    /// 5.6.19: one instance that is there is replaced whole.
    pub(super) fn replace_attribute(
        &mut self,
        name: AttrName,
        patch: InstancePatch,
    ) -> Result<(), Refusal> {
        let instance = patch.into_instance(name)?;
        if self.instance(name, instance.dataset()).is_none() {
            let dataset = instance.dataset().cloned();
            return Err(Refusal::NoSuchAttribute { attribute: name, dataset });
        }
        self.put(name, instance);
        Ok(())
    }

    /// 5.6.5.
    pub(super) fn delete_attribute(
        &mut self,
        name: AttrName,
        instances: &Instances,
    ) -> Result<(), Refusal> {
        let (there, dataset) = match instances {
            Instances::All => {
                let there = self.entity.attributes.remove(name).is_some();
                if there {
                    self.report(name);
                }
                (there, None)
            }
            Instances::Default => (self.remove_instance(name, None), None),
            Instances::Dataset(id) => (self.remove_instance(name, Some(id)), Some(id.clone())),
        };
        if there { Ok(()) } else { Err(Refusal::NoSuchAttribute { attribute: name, dataset }) }
    }

    pub(super) fn instance(
        &self,
        name: AttrName,
        dataset: Option<&DatasetId>,
    ) -> Option<&Instance> {
        self.entity.attributes.get(name)?.instance(dataset)
    }

    pub(super) fn put(&mut self, name: AttrName, mut instance: Instance) {
        let old = self.entity.attributes.get(name);
        let old = old.and_then(|old| old.instance(instance.dataset())).cloned();
        stamp(&mut instance, old.as_ref(), self.now);
        put_instance(&mut self.entity.attributes, name, instance);
        self.report(name);
    }

    pub(super) fn remove_instance(&mut self, name: AttrName, dataset: Option<&DatasetId>) -> bool {
        let there = remove_instance(&mut self.entity.attributes, name, dataset);
        if there {
            self.report(name);
        }
        there
    }
}

pub(super) fn put_instance(attributes: &mut Attributes, name: AttrName, instance: Instance) {
    match attributes.get_mut(name) {
        Some(attribute) => drop(attribute.put(instance)),
        None => drop(attributes.insert(name, Attribute::one(instance))),
    }
}

pub(super) fn remove_instance(
    attributes: &mut Attributes,
    name: AttrName,
    dataset: Option<&DatasetId>,
) -> bool {
    let there = attributes.get(name).is_some_and(|own| own.instance(dataset).is_some());
    if there {
        let all_others =
            |attribute: Attribute| attribute.retain(|instance| instance.dataset() != dataset);
        // The attribute keeps its place among the others while it has instances.
        let left = attributes.get(name).cloned().and_then(all_others);
        match (left, attributes.get_mut(name)) {
            (Some(left), Some(place)) => *place = left,
            _ => drop(attributes.remove(name)),
        }
    }
    there
}

/// 5.5.8 at the level of an attribute: the members that are mentioned are replaced as a whole.
fn replace_members(
    name: AttrName,
    instance: &mut Instance,
    patch: InstancePatch,
    now: super::Timestamp,
) -> Result<(), Refusal> {
    check_kind(name, instance, &patch)?;
    if let Some(datum) = patch.datum {
        instance.datum = datum;
    }
    patch.observed_at.apply(&mut instance.observed_at);
    patch.unit.apply(&mut instance.unit);
    let more = instance.more_mut();
    patch.expires_at.apply(&mut more.expires_at);
    patch.value_type.apply(&mut more.value_type);
    set_list(patch.object_types, &mut more.object_types);
    if let Some(sealed) = patch.sealed {
        more.sealed = Some(Box::new(sealed));
    }
    for (inner, attribute) in patch.attributes {
        for edit in attribute.0 {
            match edit {
                InstanceEdit::Remove(dataset) => {
                    remove_instance(&mut more.attributes, inner, dataset.as_ref());
                }
                InstanceEdit::Put(patch) => {
                    let mut new = patch.into_merged_instance(inner)?;
                    let old = more.attributes.get(inner);
                    let old = old.and_then(|old| old.instance(new.dataset()));
                    stamp(&mut new, old, now);
                    put_instance(&mut more.attributes, inner, new);
                }
            }
        }
    }
    instance.tidy();
    instance.modified_at = now;
    Ok(())
}

pub(super) fn set_list<T>(edit: Edit<Vec<T>>, place: &mut Vec<T>) {
    match edit {
        Edit::Keep => {}
        Edit::Remove => place.clear(),
        Edit::Put(list) => *place = list,
    }
}

pub(super) fn check_kind(
    name: AttrName,
    instance: &Instance,
    patch: &InstancePatch,
) -> Result<(), Refusal> {
    let from = instance.kind();
    match patch.kind {
        Some(kind) if kind != from => {
            return Err(Refusal::KindChange { attribute: name, from, to: kind });
        }
        Some(_) => return Ok(()),
        None => {}
    }
    // A patch that states no kind was not checked against one when it was read.
    let points = matches!(from, Kind::Relationship | Kind::ListRelationship);
    let unfit = [
        (
            patch.unit.is_change() && !matches!(from, Kind::Property | Kind::ListProperty),
            "unitCode",
        ),
        (patch.value_type.is_change() && points, "valueType"),
        (patch.object_types.is_change() && !points, "objectType"),
    ];
    match unfit.into_iter().find(|(unfit, _)| *unfit) {
        Some((_, member)) => {
            Err(Refusal::incomplete(format!("{name} is a {} and has no {member}", from.term())))
        }
        None => Ok(()),
    }
}
