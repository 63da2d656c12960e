//! What a request wants changed: fragments of entities and of attributes (5.4).

use super::{
    AttrName, Attribute, Attributes, DatasetId, Datum, Entity, EntityId, Instance, Kind,
    LanguageMap, Name, OneOrMany, Refusal, Scope, Sealed, Timestamp, TypeName, Value,
    write::json_without_nulls,
};

/// What is to happen to one member.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Edit<T> {
    /// The member was not mentioned.
    #[default]
    Keep,
    /// NGSI-LD Null stood there.
    Remove,
    /// A new value stood there.
    Put(T),
}

impl<T> Edit<T> {
    /// Changes an optional member in place.
    pub fn apply(self, place: &mut Option<T>) {
        match self {
            Edit::Keep => {}
            Edit::Remove => *place = None,
            Edit::Put(value) => *place = Some(value),
        }
    }

    /// Whether the member was mentioned.
    pub fn is_change(&self) -> bool {
        !matches!(self, Edit::Keep)
    }
}

/// An Entity Fragment (5.4): members that were not mentioned stay as they are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fragment {
    pub id: Option<EntityId>,
    /// Types to add; all of them when the fragment becomes an entity.
    pub types: Vec<TypeName>,
    pub scopes: Edit<Vec<Scope>>,
    pub expires_at: Edit<Timestamp>,
    /// In the order they came, each name once.
    pub attributes: Vec<(AttrName, AttributePatch)>,
}

/// What is to happen to the instances of an attribute; never empty, each datasetId once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AttributePatch(pub Vec<InstanceEdit>);

/// What is to happen to one instance.
#[derive(Debug, Clone, PartialEq)]
pub enum InstanceEdit {
    /// NGSI-LD Null stood for the instance or its value member.
    Remove(Option<DatasetId>),
    Put(InstancePatch),
}

impl InstanceEdit {
    /// Which instance is meant; absent for the default one.
    pub fn dataset(&self) -> Option<&DatasetId> {
        match self {
            InstanceEdit::Remove(dataset) => dataset.as_ref(),
            InstanceEdit::Put(patch) => patch.dataset.as_ref(),
        }
    }
}

/// An Attribute Fragment: a whole instance where an operation replaces, parts of one where it
/// merges.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InstancePatch {
    /// The kind that was stated or follows from the value member; absent if neither was there.
    pub kind: Option<Kind>,
    pub dataset: Option<DatasetId>,
    /// Compound values may hold Nulls where the operation is a Merge.
    pub datum: Option<Datum>,
    pub observed_at: Edit<Timestamp>,
    pub unit: Edit<Name>,
    pub expires_at: Edit<Timestamp>,
    pub value_type: Edit<Name>,
    pub object_types: Edit<Vec<TypeName>>,
    /// Sub-attributes.
    pub attributes: Vec<(AttrName, AttributePatch)>,
    /// Only in an `ngsildproof`.
    pub sealed: Option<Sealed>,
    /// Only in a Merge of an object that says neither its kind nor that it holds a value: what it
    /// is if it is no value.
    pub otherwise: Option<Box<Otherwise>>,
}

/// The other way to read an object without a type that is to be merged: not as the value of a
/// Property but as an attribute of which only sub-attributes are named. The stored attribute
/// decides (5.5.12).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Otherwise {
    /// Its sub-attributes; absent if it cannot be read so.
    pub attributes: Option<Vec<(AttrName, AttributePatch)>>,
    /// Whether it says nothing, or a member is an NGSI-LD Null or looks like an attribute: no value
    /// gives way to such an object.
    pub likely: bool,
}

impl Fragment {
    /// The whole entity that this fragment describes; Nulls and missing members are refused.
    pub fn into_entity(self) -> Result<Entity, Refusal> {
        let id = self.id.ok_or_else(|| Refusal::incomplete("the entity has no id"))?;
        let types = OneOrMany::from_vec(self.types)
            .ok_or_else(|| Refusal::incomplete("the entity has no type"))?;
        let unset = Timestamp::from_micros(0);
        Ok(Entity {
            id,
            types,
            scopes: whole(self.scopes, "scope")?.unwrap_or_default(),
            attributes: whole_attributes(self.attributes)?,
            created_at: unset,
            modified_at: unset,
            expires_at: whole(self.expires_at, "expiresAt")?,
        })
    }
}

impl AttributePatch {
    /// The whole attribute that this patch describes; Nulls and missing members are refused.
    pub fn into_attribute(mut self, name: AttrName) -> Result<Attribute, Refusal> {
        if matches!(self.0.as_slice(), [InstanceEdit::Put(_)])
            && let Some(InstanceEdit::Put(patch)) = self.0.pop()
        {
            return patch.into_instance(name).map(Attribute::one);
        }
        let instances: Vec<Instance> = self
            .0
            .into_iter()
            .map(|edit| match edit {
                InstanceEdit::Put(patch) => patch.into_instance(name),
                InstanceEdit::Remove(_) => Err(Refusal::incomplete(format!(
                    "{name} is an NGSI-LD Null, which this operation cannot take"
                ))),
            })
            .collect::<Result<_, _>>()?;
        Attribute::many(instances)
            .ok_or_else(|| Refusal::incomplete(format!("{name} has no instance")))
    }
}

impl InstancePatch {
    /// The whole instance that this patch describes; Nulls and a missing value are refused.
    pub fn into_instance(self, name: AttrName) -> Result<Instance, Refusal> {
        let datum = self
            .datum
            .ok_or_else(|| Refusal::incomplete(format!("the attribute {name} has no value")))?;
        let mut instance = Instance::new(datum);
        instance.observed_at = whole(self.observed_at, "observedAt")?;
        instance.unit = whole(self.unit, "unitCode")?;
        let more = super::More {
            dataset: self.dataset,
            expires_at: whole(self.expires_at, "expiresAt")?,
            value_type: whole(self.value_type, "valueType")?,
            object_types: whole(self.object_types, "objectType")?.unwrap_or_default(),
            attributes: whole_attributes(self.attributes)?,
            sealed: self.sealed.map(Box::new),
        };
        if !more.is_empty() {
            instance.more = Some(Box::new(more));
        }
        Ok(instance)
    }

    /// The instance that stays where Nulls have nothing to delete: they fall away.
    pub(super) fn into_merged_instance(mut self, name: AttrName) -> Result<Instance, Refusal> {
        forget_removals(&mut self);
        self.into_instance(name)
    }

    /// Whether there is nothing to do for an instance that is not there: languages are deleted
    /// only, or whatever an object without a type names.
    pub(super) fn adds_nothing(&self) -> bool {
        match &self.datum {
            Some(Datum::LanguageProperty(map)) => map.0.iter().all(|(_, text)| text.is_empty()),
            Some(Datum::Property(Value::Object(members))) => {
                self.otherwise.is_some()
                    && members.iter().all(|(_, value)| matches!(value, Value::Null))
            }
            _ => false,
        }
    }
}

fn without_nulls(datum: Datum) -> Option<Datum> {
    Some(match datum {
        Datum::Property(value) => Datum::Property(value.without_nulls()),
        Datum::LanguageProperty(map) => {
            let mut left = LanguageMap::default();
            left.merge(map);
            return (!left.0.is_empty()).then_some(Datum::LanguageProperty(left));
        }
        Datum::JsonProperty(json) => Datum::JsonProperty(Box::new(json_without_nulls(*json))),
        other => other,
    })
}

fn forget_removals(patch: &mut InstancePatch) {
    fn forget<T>(edit: &mut Edit<T>) {
        if matches!(edit, Edit::Remove) {
            *edit = Edit::Keep;
        }
    }
    patch.datum = patch.datum.take().and_then(without_nulls);
    forget(&mut patch.observed_at);
    forget(&mut patch.unit);
    forget(&mut patch.expires_at);
    forget(&mut patch.value_type);
    forget(&mut patch.object_types);
    for (_, attribute) in &mut patch.attributes {
        attribute
            .0
            .retain(|edit| matches!(edit, InstanceEdit::Put(inner) if !inner.adds_nothing()));
        for edit in &mut attribute.0 {
            if let InstanceEdit::Put(inner) = edit {
                forget_removals(inner);
            }
        }
    }
    patch.attributes.retain(|(_, attribute)| !attribute.0.is_empty());
}

fn whole<T>(edit: Edit<T>, member: &str) -> Result<Option<T>, Refusal> {
    match edit {
        Edit::Keep => Ok(None),
        Edit::Put(value) => Ok(Some(value)),
        Edit::Remove => Err(Refusal::incomplete(format!(
            "{member} is an NGSI-LD Null, which this operation cannot take"
        ))),
    }
}

fn whole_attributes(patches: Vec<(AttrName, AttributePatch)>) -> Result<Attributes, Refusal> {
    let mut attributes = Vec::with_capacity(patches.len());
    for (name, patch) in patches {
        attributes.push((name, patch.into_attribute(name)?));
    }
    Ok(Attributes::from_distinct(attributes))
}
