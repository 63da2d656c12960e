//! What is different between an entity before and after a write, as subscribers see it (5.8.6).

use super::{AttrName, Attribute, Attributes, DatasetId, Entity, Instance, More};

/// What happened to an entity. Times of the system are no difference.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// The entity was not there before.
    pub created: bool,
    /// The entity is not there any more.
    pub deleted: bool,
    /// The instances of attributes that came, went or changed, by name in the order of the entity.
    pub turns: Vec<Turned>,
}

/// An instance of an attribute, and what happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    pub name: AttrName,
    pub dataset: Option<DatasetId>,
    pub turn: Turn,
}

/// What happened to an instance of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Turn {
    Created,
    Updated,
    Deleted,
}

impl Difference {
    /// Compares an entity with what it was. What had expired before it was written again counts
    /// as deleted now: this is when it is noticed.
    pub fn between(before: Option<&Entity>, after: Option<&Entity>) -> Self {
        static NONE: Attributes = Attributes::new();
        // An entity that expired may be created again before it was swept away.
        let again = |after: &Entity| before.is_some_and(|old| old.created_at != after.created_at);
        let mut difference = Self {
            created: after.is_some_and(|after| before.is_none() || again(after)),
            deleted: before.is_some() && after.is_none(),
            turns: Vec::new(),
        };
        let old = before.filter(|_| !difference.created);
        difference.compare(
            old.map_or(&NONE, |entity| &entity.attributes),
            after.map_or(&NONE, |entity| &entity.attributes),
        );
        difference
    }

    fn compare(&mut self, before: &Attributes, after: &Attributes) {
        for (name, attribute) in after.iter() {
            let old = before.get(name);
            for instance in attribute.instances() {
                match old.and_then(|old| old.instance(instance.dataset())) {
                    None => self.turned(name, instance, Turn::Created),
                    Some(old) if !same(old, instance) => self.turned(name, instance, Turn::Updated),
                    Some(_) => {}
                }
            }
        }
        for (name, attribute) in before.iter() {
            let new = after.get(name);
            for instance in attribute.instances() {
                if new.is_none_or(|new| new.instance(instance.dataset()).is_none()) {
                    self.turned(name, instance, Turn::Deleted);
                }
            }
        }
    }

    fn turned(&mut self, name: AttrName, instance: &Instance, turn: Turn) {
        self.turns.push(Turned { name, dataset: instance.dataset().cloned(), turn });
    }

    /// Whether nothing that subscribers see is different.
    pub fn is_empty(&self) -> bool {
        !self.created && !self.deleted && self.turns.is_empty()
    }
}

/// Whether two instances say the same.
fn same(a: &Instance, b: &Instance) -> bool {
    a.datum == b.datum
        && a.observed_at == b.observed_at
        && a.unit == b.unit
        && match (&a.more, &b.more) {
            (None, None) => true,
            (Some(a), Some(b)) => same_more(a, b),
            _ => false,
        }
}

fn same_more(a: &More, b: &More) -> bool {
    a.dataset == b.dataset
        && a.expires_at == b.expires_at
        && a.value_type == b.value_type
        && a.object_types == b.object_types
        && a.sealed == b.sealed
        && a.attributes.len() == b.attributes.len()
        && a.attributes.iter().all(|(name, attribute)| {
            b.attributes.get(name).is_some_and(|other| same_attribute(attribute, other))
        })
}

fn same_attribute(a: &Attribute, b: &Attribute) -> bool {
    a.instances().len() == b.instances().len()
        && a.instances()
            .iter()
            .all(|one| b.instance(one.dataset()).is_some_and(|other| same(one, other)))
}

#[cfg(test)]
mod tests {
    use super::super::{
        Datum, EntityId, Name, Number, OneOrMany, Timestamp, Value, Write, write::Action,
    };
    use super::*;

    fn name(term: &str) -> Name {
        Name::intern(&format!("https://example.org/{term}")).expect("a name")
    }

    fn instance(value: i64, dataset: Option<&str>) -> Instance {
        let mut instance = Instance::new(Datum::Property(Value::Number(Number::Int(value))));
        if let Some(dataset) = dataset {
            instance.more_mut().dataset = Some(DatasetId::from_trusted(dataset));
        }
        instance
    }

    fn entity(attributes: &[(&str, Instance)]) -> Entity {
        let unset = Timestamp::from_micros(0);
        let mut all = Attributes::new();
        for (term, instance) in attributes {
            match all.get_mut(name(term)) {
                Some(attribute) => drop(attribute.put(instance.clone())),
                None => drop(all.insert(name(term), Attribute::one(instance.clone()))),
            }
        }
        Entity {
            id: EntityId::from_trusted("urn:a:1"),
            types: OneOrMany::One(name("T")),
            scopes: Vec::new(),
            attributes: all,
            created_at: unset,
            modified_at: unset,
            expires_at: None,
        }
    }

    fn shown(difference: &Difference) -> String {
        let mut all: Vec<String> = difference
            .turns
            .iter()
            .map(|turned| {
                let name = turned.name.as_str().trim_start_matches("https://example.org/");
                let dataset = turned.dataset.as_ref().map_or("", |dataset| dataset.as_str());
                format!("{name}{dataset} {:?}", turned.turn)
            })
            .collect();
        all.extend(difference.created.then(|| "created".to_owned()));
        all.extend(difference.deleted.then(|| "deleted".to_owned()));
        all.join(", ")
    }

    #[test]
    fn instances_come_go_and_change() {
        let one = |value| ("a", instance(value, None));
        let french = |value| ("a", instance(value, Some("urn:d:fr")));
        let mut observed = instance(1, None);
        observed.observed_at = Some(Timestamp::from_micros(1));
        for (before, after, expected) in [
            (None, Some(entity(&[one(1)])), "a Created, created"),
            (Some(entity(&[one(1)])), None, "a Deleted, deleted"),
            (Some(entity(&[one(1)])), Some(entity(&[one(1)])), ""),
            (Some(entity(&[one(1)])), Some(entity(&[one(2)])), "a Updated"),
            (Some(entity(&[one(1)])), Some(entity(&[("a", observed)])), "a Updated"),
            (Some(entity(&[one(1)])), Some(entity(&[one(1), french(2)])), "aurn:d:fr Created"),
            (Some(entity(&[one(1), french(2)])), Some(entity(&[one(1)])), "aurn:d:fr Deleted"),
            (
                Some(entity(&[one(1)])),
                Some(entity(&[("b", instance(1, None))])),
                "b Created, a Deleted",
            ),
        ] {
            let difference = Difference::between(before.as_ref(), after.as_ref());
            assert_eq!(shown(&difference), expected);
            assert_eq!(difference.is_empty(), expected.is_empty());
        }
    }

    #[test]
    fn what_is_written_again_as_it_was_is_no_difference() {
        let at = Timestamp::from_micros;
        let new = entity(&[("a", instance(1, None))]);
        let write = Write::new(new.id.clone(), Action::Upsert(new.clone()));
        let first = write.clone().apply(None, at(1)).expect("created").after;
        let again = write.apply(first.as_ref(), at(2)).expect("replaced").after;
        let difference = Difference::between(first.as_ref(), again.as_ref());
        assert!(difference.is_empty(), "{difference:?}");
    }

    #[test]
    fn an_entity_that_came_back_is_a_new_one() {
        let mut old = entity(&[("a", instance(1, None))]);
        old.expires_at = Some(Timestamp::from_micros(5));
        let mut new = entity(&[("a", instance(1, None))]);
        new.created_at = Timestamp::from_micros(9);
        let difference = Difference::between(Some(&old), Some(&new));
        assert_eq!(shown(&difference), "a Created, created");
    }
}
