//! The history of entities (4.5.6 to 4.5.8): what was recorded of them, and what the temporal API
//! does to it.

use std::{fmt, str::FromStr};

use super::{
    AttrName, Attribute, Datum, Entity, EntityId, Instance, InstancePatch, Instances, Kind,
    LanguageMap, Name, OneOrMany, Scope, Timestamp, TypeName, Value,
};

/// Names one recorded instance within a tenant; a store gives it when it records. As a URI it is
/// `urn:ngsi-ld:Instance:` and 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub u128);

/// The text is no instanceId that this broker gave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an instanceId of this broker")]
pub struct NotAnInstanceId(pub String);

const INSTANCE_PREFIX: &str = "urn:ngsi-ld:Instance:";

impl InstanceId {
    /// Appends the URI.
    pub fn write_to(self, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        out.extend_from_slice(INSTANCE_PREFIX.as_bytes());
        let mut text = [0; 32];
        for (two, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(self.0.to_be_bytes()) {
            *two = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        }
        out.extend_from_slice(&text);
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{INSTANCE_PREFIX}{:032x}", self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for InstanceId {
    type Err = NotAnInstanceId;

    fn from_str(text: &str) -> Result<Self, NotAnInstanceId> {
        let digits = text.strip_prefix(INSTANCE_PREFIX).filter(|digits| {
            digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        digits
            .and_then(|digits| u128::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| NotAnInstanceId(text.chars().take(100).collect()))
    }
}

impl InstanceId {
    /// A number for what another broker calls an instance in its own way, by which it can be told
    /// from others.
    pub fn of_foreign(text: &str) -> Self {
        let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        for byte in text.bytes() {
            hash ^= u128::from(byte);
            hash = hash.wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
        Self(hash)
    }
}

/// One recorded instance of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    pub id: InstanceId,
    /// What another broker calls it, if that is no id in the way of this one.
    pub foreign: Option<Box<str>>,
    /// What was said. Of a deletion only the kind of the datum and the datasetId mean anything.
    pub instance: Instance,
    /// When the attribute, or the instance of this datasetId, was deleted: this records the
    /// deletion, and says Null.
    pub deleted_at: Option<Timestamp>,
}

/// The times of an instance by which history is asked for (4.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimeProperty {
    #[default]
    ObservedAt,
    CreatedAt,
    ModifiedAt,
    DeletedAt,
    /// When it happened as far as is known: observedAt, else deletedAt, else createdAt. Every
    /// recorded instance has it. What a retrieval without a temporal query goes by, and the order
    /// in which instances are best kept.
    Placed,
}

impl TimeProperty {
    /// The term; a placed instance calls its time observedAt.
    pub fn term(self) -> &'static str {
        match self {
            Self::ObservedAt | Self::Placed => "observedAt",
            Self::CreatedAt => "createdAt",
            Self::ModifiedAt => "modifiedAt",
            Self::DeletedAt => "deletedAt",
        }
    }
}

impl Recorded {
    /// Its instanceId, as whoever recorded it gave it.
    pub fn instance_id(&self) -> String {
        self.foreign.as_deref().map_or_else(|| self.id.to_string(), str::to_owned)
    }

    /// The instance's time of this property, if it has one. A deletion was neither observed,
    /// created nor modified.
    pub fn time(&self, property: TimeProperty) -> Option<Timestamp> {
        let instance = &self.instance;
        match (property, self.deleted_at) {
            (TimeProperty::DeletedAt | TimeProperty::Placed, Some(at)) => Some(at),
            (TimeProperty::DeletedAt, None) | (_, Some(_)) => None,
            (TimeProperty::ObservedAt, None) => instance.observed_at,
            (TimeProperty::CreatedAt, None) => Some(instance.created_at),
            (TimeProperty::ModifiedAt, None) => Some(instance.modified_at),
            (TimeProperty::Placed, None) => {
                Some(instance.observed_at.unwrap_or(instance.created_at))
            }
        }
    }
}

/// The scopes an entity had from a time on (4.18), or that it had none any more.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeChange {
    /// None once they were removed.
    pub scopes: Vec<Scope>,
    /// When they began to hold, if somebody said so.
    pub observed_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
    /// When they were removed: this records the removal.
    pub deleted_at: Option<Timestamp>,
}

impl ScopeChange {
    /// The change's time of this property, if it has one. One made through the core API was
    /// observed when it was made (4.18).
    pub fn time(&self, property: TimeProperty) -> Option<Timestamp> {
        match (property, self.deleted_at) {
            (TimeProperty::DeletedAt | TimeProperty::Placed, Some(at)) => Some(at),
            (TimeProperty::DeletedAt, None) | (_, Some(_)) => None,
            (TimeProperty::CreatedAt, None) => Some(self.created_at),
            (TimeProperty::ModifiedAt, None) => Some(self.modified_at),
            (TimeProperty::ObservedAt | TimeProperty::Placed, None) => {
                Some(self.observed_at.unwrap_or(self.modified_at))
            }
        }
    }
}

/// What is known of an entity over all time, apart from its attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Chapter {
    pub id: EntityId,
    /// Every type it had.
    pub types: OneOrMany<TypeName>,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
    /// When the entity was deleted, unless it came again.
    pub deleted_at: Option<Timestamp>,
    /// In the order of their [`TimeProperty::Placed`] time.
    pub scopes: Vec<ScopeChange>,
}

/// A temporal entity as the API takes it (5.2.20): names expanded, instances in the order they
/// came, their system times unset.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chronology {
    /// In a fragment there may be none; they are added to those the entity has.
    pub types: Vec<TypeName>,
    /// Scopes with the time they are said to hold from.
    pub scopes: Vec<(Vec<Scope>, Option<Timestamp>)>,
    /// Attributes with at least one instance each, several of one datasetId among them.
    pub attributes: Vec<(AttrName, Vec<Instance>)>,
}

/// An intention towards the history of one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryWrite {
    pub id: EntityId,
    pub action: HistoryAction,
}

/// What is to be done.
///
/// Instances added are placed by observedAt, late ones too. One with the datasetId and observedAt
/// of a recorded one replaces it and keeps its instanceId and createdAt. One without observedAt is
/// added as created now.
#[derive(Debug, Clone, PartialEq)]
pub enum HistoryAction {
    /// 5.6.11: begins the history of an entity (it has at least one type then), or adds to it.
    Upsert(Chronology),
    /// 5.6.12: adds to a history that is there.
    Append(Chronology),
    /// 5.6.13: takes the attribute's instances out of history as if they had never been.
    DeleteAttribute { attribute: AttrName, instances: Instances },
    /// 5.6.14: members of the instance are replaced, added, or deleted by a Null; createdAt stays.
    ModifyInstance { attribute: AttrName, instance: InstanceId, patch: InstancePatch },
    /// 5.6.15.
    DeleteInstance { attribute: AttrName, instance: InstanceId },
    /// 5.6.16: forgets the history of the entity.
    Delete,
    /// Not of the specification: adds what was recorded elsewhere, with all its times, as when it
    /// is copied. How the entity is now does not follow. Instances get instanceIds of their own.
    Restore(Box<Remembered>),
}

/// The history of an entity as it was recorded elsewhere, or a part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    pub chapter: Chapter,
    pub attributes: Vec<(AttrName, Vec<Recorded>)>,
}

/// A committed change of history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryChange {
    pub id: EntityId,
    /// There was no history of this entity before.
    pub created: bool,
}

impl HistoryWrite {
    /// Whether a tenant that does not exist comes into being by this write.
    pub fn may_create(&self) -> bool {
        matches!(self.action, HistoryAction::Upsert(_) | HistoryAction::Restore(_))
    }
}

impl Chronology {
    /// What the newest instances say of how the entity is now: one per attribute and datasetId.
    /// Of several with the same time the last counts; one without observedAt is as of now.
    pub fn newest(&self) -> Vec<(AttrName, &Instance)> {
        let mut newest = Vec::with_capacity(self.attributes.len());
        for (name, instances) in &self.attributes {
            let begin = newest.len();
            for instance in instances {
                let rivals: &mut [(AttrName, &Instance)] = &mut newest[begin..];
                match rivals.iter_mut().find(|(_, rival)| rival.dataset() == instance.dataset()) {
                    Some((_, rival)) if age(rival) <= age(instance) => *rival = instance,
                    Some(_) => {}
                    None => newest.push((*name, instance)),
                }
            }
        }
        newest
    }

    /// The entity as it is after this was added to its history (an entity that is known to the
    /// temporal API is known to the core API): newer instances replace those that `current` has.
    /// None if nothing changes, or if there is no entity and the chronology has no type.
    pub fn project(
        &self,
        id: &EntityId,
        current: Option<&Entity>,
        now: Timestamp,
    ) -> Option<Entity> {
        let mut changed = current.is_none();
        let mut entity = match current {
            Some(entity) => entity.clone(),
            None => Entity {
                id: id.clone(),
                types: OneOrMany::from_vec(self.types.clone())?,
                scopes: Vec::new(),
                attributes: super::Attributes::new(),
                created_at: now,
                modified_at: now,
                expires_at: None,
            },
        };
        changed |= entity.add_types(&self.types);
        if let Some((scopes, _)) = self.scopes.iter().max_by_key(|(_, at)| at.unwrap_or(now))
            && entity.scopes != *scopes
        {
            entity.scopes = scopes.clone();
            changed = true;
        }
        for (name, instance) in self.newest() {
            let old = entity.attributes.get(name).and_then(|all| all.instance(instance.dataset()));
            if old.is_some_and(|old| old.observed_at.is_some() && age(old) > age(instance)) {
                continue;
            }
            if instance.is_null() {
                let dataset = instance.dataset();
                let kept = entity.attributes.remove(name).and_then(|attribute| {
                    attribute.retain(|instance| instance.dataset() != dataset)
                });
                changed = true;
                if let Some(kept) = kept {
                    entity.attributes.insert(name, kept);
                }
                continue;
            }
            let mut fresh = instance.clone();
            super::write::stamp(&mut fresh, old, now);
            match entity.attributes.get_mut(name) {
                Some(attribute) => drop(attribute.put(fresh)),
                None => drop(entity.attributes.insert(name, Attribute::one(fresh))),
            }
            changed = true;
        }
        if !changed {
            return None;
        }
        entity.modified_at = now;
        Some(entity)
    }
}

/// The text that stands for "there is none" (4.5.0).
const NULL: &str = "urn:ngsi-ld:null";

impl Instance {
    /// An instance that says that there is nothing, as clients tell of deletions in the past
    /// (5.5.4); None for kinds whose datum cannot say it.
    pub fn null_of(kind: Kind) -> Option<Datum> {
        Some(match kind {
            Kind::Property => Datum::Property(Value::String(NULL.into())),
            Kind::Relationship => Datum::Relationship(OneOrMany::One(EntityId::from_trusted(NULL))),
            Kind::LanguageProperty => Datum::LanguageProperty(LanguageMap(Box::new([(
                "@none".into(),
                OneOrMany::One(NULL.into()),
            )]))),
            Kind::VocabProperty => Datum::VocabProperty(OneOrMany::One(Name::intern(NULL).ok()?)),
            Kind::JsonProperty => Datum::JsonProperty(Box::new(NULL.into())),
            Kind::GeoProperty | Kind::ListProperty | Kind::ListRelationship => return None,
        })
    }

    /// Whether it says that there is nothing.
    pub fn is_null(&self) -> bool {
        match &self.datum {
            Datum::Property(Value::String(text)) => &**text == NULL,
            Datum::Relationship(OneOrMany::One(id)) => id.as_str() == NULL,
            Datum::LanguageProperty(map) => {
                matches!(&*map.0, [(_, OneOrMany::One(text))] if &**text == NULL)
            }
            Datum::VocabProperty(OneOrMany::One(word)) => word.as_str() == NULL,
            Datum::JsonProperty(json) => json.as_str() == Some(NULL),
            _ => false,
        }
    }
}

/// How new an instance is: those without observedAt are newer than any other.
fn age(instance: &Instance) -> (bool, Option<Timestamp>) {
    (instance.observed_at.is_none(), instance.observed_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Datum, Name};

    fn name(text: &str) -> Name {
        Name::intern(&format!("https://example.org/{text}")).expect("a name")
    }

    fn instance(value: i64, observed: Option<&str>) -> Instance {
        let mut instance = Instance::new(Datum::Property(value.into()));
        instance.observed_at = observed.map(|text| text.parse().expect("a DateTime"));
        instance
    }

    #[test]
    fn an_instance_id_reads_as_it_prints() {
        for number in [0, 1, u128::MAX, 0x2026 << 64] {
            let id = InstanceId(number);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in [
            "",
            "urn:x:y",
            "urn:ngsi-ld:Instance:1",
            "urn:ngsi-ld:Instance:+000000000000000000000000000000f",
        ] {
            assert!(text.parse::<InstanceId>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_newest_reading_is_how_the_entity_is() {
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let id = EntityId::from_trusted("urn:x:1");
        let speed = name("speed");
        let told = Chronology {
            types: vec![name("Vehicle")],
            scopes: Vec::new(),
            attributes: vec![(
                speed,
                vec![
                    instance(1, Some("2026-01-01T00:00:00Z")),
                    instance(3, Some("2026-01-03T00:00:00Z")),
                    instance(2, Some("2026-01-02T00:00:00Z")),
                ],
            )],
        };
        let entity = told.project(&id, None, now).expect("a new entity");
        let of = |entity: &Entity| {
            entity.attributes.get(speed).expect("speed").instances()[0].datum.clone()
        };
        assert_eq!(of(&entity), Datum::Property(3.into()));
        let late = Chronology {
            attributes: vec![(speed, vec![instance(0, Some("2025-01-01T00:00:00Z"))])],
            ..Chronology::default()
        };
        assert_eq!(late.project(&id, Some(&entity), now), None, "a late reading changes nothing");
        assert_eq!(late.project(&id, None, now), None, "an entity needs a type");
        let next = Chronology {
            attributes: vec![(speed, vec![instance(4, None)])],
            ..Chronology::default()
        };
        let entity = next.project(&id, Some(&entity), now).expect("a change");
        assert_eq!(of(&entity), Datum::Property(4.into()));
    }
}
