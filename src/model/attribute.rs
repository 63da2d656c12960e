//! Attributes: one kind of datum per instance, at most one default instance, one per datasetId.

use super::{AttrName, DatasetId, EntityId, Name, OneOrMany, Timestamp, TypeName, Value};
use crate::geo::Geometry;

/// The kinds of attribute (4.5.2, 4.5.3, 4.5.18, 4.5.20 to 4.5.24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Property,
    GeoProperty,
    Relationship,
    LanguageProperty,
    VocabProperty,
    ListProperty,
    ListRelationship,
    JsonProperty,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 8] = [
        Kind::Property,
        Kind::GeoProperty,
        Kind::Relationship,
        Kind::LanguageProperty,
        Kind::VocabProperty,
        Kind::ListProperty,
        Kind::ListRelationship,
        Kind::JsonProperty,
    ];

    /// The term that names the kind.
    pub fn term(self) -> &'static str {
        match self {
            Kind::Property => "Property",
            Kind::GeoProperty => "GeoProperty",
            Kind::Relationship => "Relationship",
            Kind::LanguageProperty => "LanguageProperty",
            Kind::VocabProperty => "VocabProperty",
            Kind::ListProperty => "ListProperty",
            Kind::ListRelationship => "ListRelationship",
            Kind::JsonProperty => "JsonProperty",
        }
    }

    /// The kind of this term.
    pub fn from_term(term: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.term() == term)
    }

    /// The member that holds the datum.
    pub fn value_member(self) -> &'static str {
        match self {
            Kind::Property | Kind::GeoProperty => "value",
            Kind::Relationship => "object",
            Kind::LanguageProperty => "languageMap",
            Kind::VocabProperty => "vocab",
            Kind::ListProperty => "valueList",
            Kind::ListRelationship => "objectList",
            Kind::JsonProperty => "json",
        }
    }
}

/// What an instance says: the value member of its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    Property(Value),
    GeoProperty(Box<Geometry>),
    Relationship(OneOrMany<EntityId>),
    LanguageProperty(LanguageMap),
    VocabProperty(OneOrMany<Name>),
    ListProperty(Box<[Value]>),
    ListRelationship(Box<[EntityId]>),
    /// Raw JSON, never expanded (4.5.24).
    JsonProperty(Box<serde_json::Value>),
    /// Only in a simplified Merge: a value whose kind the stored attribute decides (5.6.17).
    Bare(Box<Bare>),
}

/// A simplified value on its way into an attribute of a kind not yet known.
#[derive(Debug, Clone, PartialEq)]
pub struct Bare {
    /// The value as a Property would hold it.
    pub value: Value,
    /// The value as a JsonProperty would hold it.
    pub raw: serde_json::Value,
    /// The value as a VocabProperty would hold it, if it is a string or an array of strings.
    pub vocab: Option<OneOrMany<Name>>,
    /// The value as a GeoProperty would hold it, if it is a valid geometry.
    pub geometry: Option<Geometry>,
}

impl Datum {
    /// The kind, absent for a bare value.
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Datum::Property(_) => Kind::Property,
            Datum::GeoProperty(_) => Kind::GeoProperty,
            Datum::Relationship(_) => Kind::Relationship,
            Datum::LanguageProperty(_) => Kind::LanguageProperty,
            Datum::VocabProperty(_) => Kind::VocabProperty,
            Datum::ListProperty(_) => Kind::ListProperty,
            Datum::ListRelationship(_) => Kind::ListRelationship,
            Datum::JsonProperty(_) => Kind::JsonProperty,
            Datum::Bare(_) => return None,
        })
    }

    /// The entities a Relationship or ListRelationship points to; none for other kinds.
    pub fn targets(&self) -> &[EntityId] {
        match self {
            Datum::Relationship(objects) => objects.as_slice(),
            Datum::ListRelationship(objects) => objects,
            _ => &[],
        }
    }
}

/// Strings by language tag, or `@none`, in the order they came (4.5.18).
///
/// In a patch an entry without strings deletes its language.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LanguageMap(pub Box<[LanguageEntry]>);

/// A language tag, or `@none`, with the strings of that language.
pub type LanguageEntry = (Box<str>, OneOrMany<Box<str>>);

impl LanguageMap {
    /// The strings of one language, tags compared without letter case.
    pub fn get(&self, tag: &str) -> Option<&OneOrMany<Box<str>>> {
        self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(tag)).map(|(_, text)| text)
    }

    /// Adds or replaces languages; entries without strings delete theirs.
    pub fn merge(&mut self, patch: LanguageMap) {
        let mut merged = std::mem::take(&mut self.0).into_vec();
        for (tag, text) in patch.0 {
            let place = merged.iter().position(|(own, _)| own.eq_ignore_ascii_case(&tag));
            match (place, text.is_empty()) {
                (Some(place), true) => drop(merged.remove(place)),
                (Some(place), false) => merged[place].1 = text,
                (None, true) => {}
                (None, false) => merged.push((tag, text)),
            }
        }
        self.0 = merged.into();
    }
}

/// One instance of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    pub datum: Datum,
    pub observed_at: Option<Timestamp>,
    /// The UN/CEFACT code, interned though it is no IRI: a city uses few.
    pub unit: Option<Name>,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
    /// What few instances have.
    pub more: Option<Box<More>>,
}

/// Members that few instances have.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct More {
    pub dataset: Option<DatasetId>,
    pub expires_at: Option<Timestamp>,
    /// `valueType`, expanded.
    pub value_type: Option<Name>,
    /// `objectType`, expanded.
    pub object_types: Vec<TypeName>,
    /// Properties and Relationships of this one, `ngsildproof` included.
    pub attributes: Attributes,
    /// Only in an `ngsildproof`: what the proof seals.
    pub sealed: Option<Box<Sealed>>,
}

impl More {
    /// Whether all members are absent.
    pub fn is_empty(&self) -> bool {
        self.dataset.is_none()
            && self.expires_at.is_none()
            && self.value_type.is_none()
            && self.object_types.is_empty()
            && self.attributes.is_empty()
            && self.sealed.is_none()
    }
}

/// The non-reified members of an `ngsildproof` (4.5.2): the entity that was signed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sealed {
    /// `entityIdSealed`.
    pub id: Option<EntityId>,
    /// `entityTypeSealed`, expanded.
    pub types: Vec<TypeName>,
}

impl Instance {
    /// An instance that says only its datum; stamps are set when it is written.
    pub fn new(datum: Datum) -> Self {
        let unset = Timestamp::from_micros(0);
        Self {
            datum,
            observed_at: None,
            unit: None,
            created_at: unset,
            modified_at: unset,
            more: None,
        }
    }

    /// The datasetId, absent for the default instance.
    pub fn dataset(&self) -> Option<&DatasetId> {
        self.more.as_ref()?.dataset.as_ref()
    }

    /// When the instance ceases to be valid (4.22).
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.more.as_ref()?.expires_at
    }

    /// The declared type of the value.
    pub fn value_type(&self) -> Option<Name> {
        self.more.as_ref()?.value_type
    }

    /// The declared types of the target.
    pub fn object_types(&self) -> &[TypeName] {
        self.more.as_ref().map_or(&[], |more| &more.object_types)
    }

    /// Sub-attributes.
    pub fn attributes(&self) -> &Attributes {
        static NONE: Attributes = Attributes(Vec::new());
        self.more.as_ref().map_or(&NONE, |more| &more.attributes)
    }

    /// The rare members, to be changed. Call [`Instance::tidy`] afterwards.
    pub fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// Gives back the memory of rare members that are all absent.
    pub fn tidy(&mut self) {
        if self.more.as_deref().is_some_and(More::is_empty) {
            self.more = None;
        }
    }

    /// The kind of the datum; a stored instance always has one.
    pub fn kind(&self) -> Kind {
        self.datum.kind().unwrap_or(Kind::Property)
    }

    /// Whether the instance is still valid.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.expires_at().is_none_or(|end| end > now)
    }

    /// Whether this or a sub-attribute will expire.
    pub fn is_transient(&self) -> bool {
        self.more.as_ref().is_some_and(|more| {
            more.expires_at.is_some()
                || more.attributes.iter().any(|(_, attribute)| attribute.is_transient())
        })
    }
}

/// All instances of one attribute: never none, and no two with the same datasetId (4.5.5).
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute(OneOrMany<Instance>);

impl Attribute {
    /// An attribute with a single instance.
    pub fn one(instance: Instance) -> Self {
        Self(OneOrMany::One(instance))
    }

    /// An attribute of several instances; of those with the same datasetId the last stays. None
    /// if there are none.
    pub fn many(instances: impl IntoIterator<Item = Instance>) -> Option<Self> {
        let mut kept: Vec<Instance> = Vec::new();
        for instance in instances {
            match kept.iter_mut().find(|other| other.dataset() == instance.dataset()) {
                Some(other) => *other = instance,
                None => kept.push(instance),
            }
        }
        OneOrMany::from_vec(kept).map(Self)
    }

    /// The instances.
    pub fn instances(&self) -> &[Instance] {
        self.0.as_slice()
    }

    /// The instances, to be changed in place; their datasetIds must stay as they are.
    pub fn instances_mut(&mut self) -> &mut [Instance] {
        self.0.as_mut_slice()
    }

    /// The instance with this datasetId, or the default one.
    pub fn instance(&self, dataset: Option<&DatasetId>) -> Option<&Instance> {
        self.instances().iter().find(|instance| instance.dataset() == dataset)
    }

    /// The instance with this datasetId, or the default one, to be changed in place.
    pub fn instance_mut(&mut self, dataset: Option<&DatasetId>) -> Option<&mut Instance> {
        self.instances_mut().iter_mut().find(|instance| instance.dataset() == dataset)
    }

    /// Adds an instance, or replaces the one with the same datasetId and returns it.
    pub fn put(&mut self, instance: Instance) -> Option<Instance> {
        match self.instance_mut(instance.dataset()) {
            Some(place) => Some(std::mem::replace(place, instance)),
            None => {
                self.0.push(instance);
                None
            }
        }
    }

    /// Keeps the instances that pass; None if none does.
    pub fn retain(self, keep: impl FnMut(&Instance) -> bool) -> Option<Self> {
        let mut instances = self.0.into_vec();
        instances.retain(keep);
        OneOrMany::from_vec(instances).map(Self)
    }

    /// Whether any instance will expire.
    pub fn is_transient(&self) -> bool {
        self.instances().iter().any(Instance::is_transient)
    }
}

/// Attributes by name, in the order they came.
#[derive(Debug, Clone, Default)]
pub struct Attributes(Vec<(AttrName, Attribute)>);

impl PartialEq for Attributes {
    /// Order means nothing.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().all(|(name, attribute)| other.get(name) == Some(attribute))
    }
}

impl Attributes {
    /// No attributes.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Attributes whose names are known to be distinct, as a store wrote them.
    pub fn from_distinct(attributes: Vec<(AttrName, Attribute)>) -> Self {
        Self(attributes)
    }

    /// How many attributes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The attribute of this name.
    pub fn get(&self, name: AttrName) -> Option<&Attribute> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, attribute)| attribute)
    }

    /// The attribute of this name, to be changed.
    pub fn get_mut(&mut self, name: AttrName) -> Option<&mut Attribute> {
        self.0.iter_mut().find(|(own, _)| *own == name).map(|(_, attribute)| attribute)
    }

    /// Adds an attribute or replaces the one of the same name.
    pub fn insert(&mut self, name: AttrName, attribute: Attribute) -> Option<Attribute> {
        match self.get_mut(name) {
            Some(place) => Some(std::mem::replace(place, attribute)),
            None => {
                self.0.push((name, attribute));
                None
            }
        }
    }

    /// Takes an attribute out.
    pub fn remove(&mut self, name: AttrName) -> Option<Attribute> {
        let place = self.0.iter().position(|(own, _)| *own == name)?;
        Some(self.0.remove(place).1)
    }

    /// Every attribute with its name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (AttrName, &Attribute)> + Clone {
        self.0.iter().map(|(name, attribute)| (*name, attribute))
    }

    /// Every attribute with its name, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (AttrName, &mut Attribute)> {
        self.0.iter_mut().map(|(name, attribute)| (*name, attribute))
    }

    /// Keeps the attributes that pass.
    pub fn retain(&mut self, mut keep: impl FnMut(AttrName, &Attribute) -> bool) {
        self.0.retain(|(name, attribute)| keep(*name, attribute));
    }

    /// Drops the instances, and the sub-attributes in others, that have expired.
    pub fn expire(&mut self, now: Timestamp) {
        if !self.iter().any(|(_, attribute)| attribute.is_transient()) {
            return;
        }
        let alive = std::mem::take(&mut self.0).into_iter().filter_map(|(name, attribute)| {
            let mut attribute = attribute.retain(|instance| instance.is_alive(now))?;
            for instance in attribute.instances_mut() {
                if let Some(more) = &mut instance.more {
                    more.attributes.expire(now);
                }
                instance.tidy();
            }
            Some((name, attribute))
        });
        self.0 = alive.collect();
    }

    /// Gives back memory that will not be used.
    pub fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}

impl IntoIterator for Attributes {
    type Item = (AttrName, Attribute);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(AttrName, Attribute)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (AttrName, Attribute)>>(attributes: I) -> Self {
        let mut all = Self::new();
        for (name, attribute) in attributes {
            all.insert(name, attribute);
        }
        all
    }
}
