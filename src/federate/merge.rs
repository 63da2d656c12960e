//! Copies of entities become one (4.5.5).
//!
//! Of instances with one datasetId the one that was observed last counts, then the one that was
//! modified last; types and scopes are united. What auxiliary sources say counts only where nobody
//! else says anything of an attribute.

use std::sync::Arc;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::model::{
    Attribute, Attributes, Entity, EntityId, Instance, OneOrMany, Scope, Stored, Timestamp,
    TypeName,
};

/// What somebody says counts only where nobody else says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    Equal,
    Auxiliary,
}

/// Entities from several sources, each once, in the order they first came.
#[derive(Debug)]
pub struct Union {
    now: Timestamp,
    order: Vec<Parts>,
    places: HashMap<EntityId, usize, FxBuildHasher>,
}

/// What is known of one entity.
#[derive(Debug, Default)]
struct Parts {
    /// As one told it, while nobody else says anything of it: as it stands, its rendering included.
    alone: Option<(Arc<Stored>, Weight)>,
    equal: Option<Merged>,
    auxiliary: Option<Merged>,
}

/// Copies that became one.
#[derive(Debug)]
struct Merged {
    entity: Entity,
    /// All copies so far will expire.
    transient: bool,
    /// Whether each attribute says by itself when its copy expires.
    told: bool,
}

impl Union {
    /// Nothing yet. What has expired by now is left out.
    pub fn new(now: Timestamp) -> Self {
        Self { now, order: Vec::new(), places: HashMap::default() }
    }

    /// How many entities there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Whether there is an entity of this id.
    pub fn has(&self, id: &EntityId) -> bool {
        self.places.contains_key(id)
    }

    /// Adds a copy.
    pub fn add(&mut self, entity: Entity, weight: Weight) {
        if !entity.is_alive(self.now) {
            return;
        }
        let now = self.now;
        let copy = Merged::new(entity, now);
        let parts = self.parts(&copy.entity.id);
        parts.take_up_alone(now);
        parts.add(copy, weight);
    }

    /// Adds a copy that others may hold, too. If nobody else says anything of it, it comes out as it
    /// went in.
    pub fn add_told(&mut self, told: Arc<Stored>, weight: Weight) {
        if told.is_transient() {
            return self.add(Stored::into_entity(told), weight);
        }
        let now = self.now;
        let parts = self.parts(&told.id);
        if parts.is_empty() {
            parts.alone = Some((told, weight));
            return;
        }
        parts.take_up_alone(now);
        parts.add(Merged::new(Stored::into_entity(told), now), weight);
    }

    /// Adds what is here, as the store told it now. If nobody else says anything of it, it comes
    /// out as it went in.
    pub fn add_here(&mut self, stored: &Arc<Stored>) {
        let parts = self.parts(&stored.id);
        match parts.is_empty() {
            true => parts.alone = Some((stored.clone(), Weight::Equal)),
            false => self.add(stored.entity.clone(), Weight::Equal),
        }
    }

    fn parts(&mut self, id: &EntityId) -> &mut Parts {
        let place = match self.places.get(id) {
            Some(place) => *place,
            None => {
                self.places.insert(id.clone(), self.order.len());
                self.order.push(Parts::default());
                self.order.len() - 1
            }
        };
        &mut self.order[place]
    }

    /// The entities.
    pub fn into_entities(self) -> Vec<Entity> {
        let now = self.now;
        self.order.into_iter().filter_map(|parts| parts.whole(now)).collect()
    }

    /// The entities, as they are answered.
    pub fn into_stored(self) -> Vec<Arc<Stored>> {
        let now = self.now;
        let each = self.order.into_iter().filter_map(|mut parts| match parts.alone.take() {
            Some((alone, _)) => Some(alone),
            None => parts.whole(now).map(Stored::passing),
        });
        each.collect()
    }
}

impl Parts {
    fn is_empty(&self) -> bool {
        matches!(self, Parts { alone: None, equal: None, auxiliary: None })
    }

    /// What one told is a copy among others from now on.
    fn take_up_alone(&mut self, now: Timestamp) {
        if let Some((alone, weight)) = self.alone.take().filter(|(alone, _)| alone.is_alive(now)) {
            self.add(Merged::new(Stored::into_entity(alone), now), weight);
        }
    }

    fn add(&mut self, copy: Merged, weight: Weight) {
        let kept = match weight {
            Weight::Equal => &mut self.equal,
            Weight::Auxiliary => &mut self.auxiliary,
        };
        match kept {
            Some(kept) => kept.unite(copy),
            None => *kept = Some(copy),
        }
    }

    fn whole(self, now: Timestamp) -> Option<Entity> {
        let (Some(mut whole), auxiliary) = (match self {
            Parts { alone: Some((alone, _)), .. } => {
                let mut entity = Stored::into_entity(alone);
                if entity.is_transient() {
                    entity.attributes.expire(now);
                }
                return Some(entity);
            }
            Parts { equal: Some(equal), auxiliary, .. } => (Some(equal), auxiliary),
            Parts { equal: None, auxiliary, .. } => (auxiliary, None),
        }) else {
            return None;
        };
        if let Some(Merged { entity, .. }) = auxiliary {
            whole.entity.add_types(entity.types.as_slice());
            unite_scopes(&mut whole.entity.scopes, entity.scopes);
            for (name, attribute) in entity.attributes {
                if whole.entity.attributes.get(name).is_none() {
                    whole.entity.attributes.insert(name, attribute);
                }
            }
        }
        Some(whole.entity)
    }
}

impl Merged {
    fn new(mut entity: Entity, now: Timestamp) -> Self {
        entity.attributes.expire(now);
        Self { transient: entity.expires_at.is_some(), entity, told: false }
    }

    /// When a copy expires as a whole, each of its attributes does by then: beside other copies
    /// that stay, only they will tell.
    fn tell(&mut self) {
        let end = self.entity.expires_at.filter(|_| !std::mem::replace(&mut self.told, true));
        let Some(end) = end else { return };
        for (_, attribute) in self.entity.attributes.iter_mut() {
            for instance in attribute.instances_mut() {
                let end = instance.expires_at().map_or(end, |own| own.min(end));
                instance.more_mut().expires_at = Some(end);
            }
        }
    }

    fn unite(&mut self, mut other: Merged) {
        self.tell();
        other.tell();
        let Merged { entity, transient, .. } = other;
        let own = &mut self.entity;
        self.transient &= transient;
        own.expires_at = match self.transient {
            true => own.expires_at.max(entity.expires_at),
            false => None,
        };
        own.created_at = earliest(own.created_at, entity.created_at);
        own.modified_at = own.modified_at.max(entity.modified_at);
        unite_types(&mut own.types, entity.types.as_slice());
        unite_scopes(&mut own.scopes, entity.scopes);
        unite_attributes(&mut own.attributes, entity.attributes);
    }
}

/// The earlier of two times; what is not known is none.
fn earliest(a: Timestamp, b: Timestamp) -> Timestamp {
    match (a.micros(), b.micros()) {
        (0, _) => b,
        (_, 0) => a,
        _ => a.min(b),
    }
}

fn unite_types(types: &mut OneOrMany<TypeName>, others: &[TypeName]) {
    for name in others {
        if !types.as_slice().contains(name) {
            types.push(*name);
        }
    }
}

fn unite_scopes(scopes: &mut Vec<Scope>, others: Vec<Scope>) {
    for scope in others {
        if !scopes.iter().any(|own| own.same(&scope)) {
            scopes.push(scope);
        }
    }
}

fn unite_attributes(own: &mut Attributes, others: Attributes) {
    for (name, attribute) in others {
        match own.get_mut(name) {
            Some(kept) => unite_instances(kept, attribute),
            None => drop(own.insert(name, attribute)),
        }
    }
}

fn unite_instances(own: &mut Attribute, other: Attribute) {
    for instance in other.instances() {
        match own.instance(instance.dataset()) {
            Some(kept) if !is_newer(instance, kept) => {}
            _ => drop(own.put(instance.clone())),
        }
    }
}

/// Whether an instance counts instead of another one (4.5.5.3).
pub(super) fn is_newer(one: &Instance, other: &Instance) -> bool {
    (one.observed_at, one.modified_at) > (other.observed_at, other.modified_at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Datum, Name};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn name(text: &str) -> Name {
        Name::intern(&format!("https://example.org/{text}")).expect("a name")
    }

    /// An entity with attributes: name, value, observed, modified.
    fn copy(types: &[&str], attributes: &[(&str, i64, Option<i64>, i64)]) -> Entity {
        let attributes = attributes.iter().map(|(own, value, observed, modified)| {
            let mut instance = Instance::new(Datum::Property((*value).into()));
            instance.observed_at = observed.map(at);
            instance.modified_at = at(*modified);
            (name(own), Attribute::one(instance))
        });
        Entity {
            id: EntityId::parse("urn:x:1").expect("an id"),
            types: OneOrMany::from_vec(types.iter().map(|one| name(one)).collect()).expect("some"),
            scopes: Vec::new(),
            attributes: attributes.collect(),
            created_at: at(0),
            modified_at: at(1),
            expires_at: None,
        }
    }

    fn value(entity: &Entity, own: &str) -> Option<i64> {
        let attribute = entity.attributes.get(name(own))?;
        match &attribute.instances()[0].datum {
            Datum::Property(crate::model::Value::Number(crate::model::Number::Int(number))) => {
                Some(*number)
            }
            _ => None,
        }
    }

    fn union(copies: &[(Entity, Weight)]) -> Entity {
        let mut union = Union::new(at(100));
        copies.iter().for_each(|(copy, weight)| union.add(copy.clone(), *weight));
        let mut entities = union.into_entities();
        assert_eq!(entities.len(), 1);
        entities.pop().expect("one")
    }

    #[test]
    fn what_was_observed_last_counts_then_what_was_modified_last() {
        let (first, second) = (Weight::Equal, Weight::Equal);
        for (one, other, kept) in [
            (("a", 1, Some(5), 9), ("a", 2, Some(6), 1), 2),
            (("a", 1, Some(5), 1), ("a", 2, Some(5), 2), 2),
            (("a", 1, None, 3), ("a", 2, None, 2), 1),
            (("a", 1, None, 9), ("a", 2, Some(1), 1), 2),
            (("a", 1, None, 2), ("a", 2, None, 2), 1),
        ] {
            let whole = union(&[(copy(&["T"], &[one]), first), (copy(&["T"], &[other]), second)]);
            assert_eq!(value(&whole, "a"), Some(kept), "{one:?} {other:?}");
        }
    }

    #[test]
    fn auxiliary_data_fill_gaps_and_never_win() {
        let own = copy(&["T"], &[("a", 1, None, 1)]);
        let more = copy(&["U"], &[("a", 2, Some(50), 50), ("b", 3, None, 1)]);
        for copies in [
            [(own.clone(), Weight::Equal), (more.clone(), Weight::Auxiliary)],
            [(more.clone(), Weight::Auxiliary), (own, Weight::Equal)],
        ] {
            let whole = union(&copies);
            assert_eq!((value(&whole, "a"), value(&whole, "b")), (Some(1), Some(3)));
            assert_eq!(whole.types.as_slice().len(), 2);
        }
        assert_eq!(value(&union(&[(more, Weight::Auxiliary)]), "a"), Some(2));
    }

    #[test]
    fn an_entity_expires_only_if_all_its_copies_do() {
        let stays = copy(&["T"], &[("a", 1, None, 1)]);
        let mut goes = copy(&["T"], &[("b", 2, None, 1)]);
        goes.expires_at = Some(at(200));
        let mut gone = copy(&["T"], &[("c", 3, None, 1)]);
        gone.expires_at = Some(at(50));
        let whole =
            union(&[(stays, Weight::Equal), (goes.clone(), Weight::Equal), (gone, Weight::Equal)]);
        assert_eq!((whole.expires_at, value(&whole, "c")), (None, None));
        let b = whole.attributes.get(name("b")).expect("b");
        assert_eq!(b.instances()[0].expires_at(), Some(at(200)));
        let mut later = goes.clone();
        later.expires_at = Some(at(300));
        let whole = union(&[(goes, Weight::Equal), (later, Weight::Equal)]);
        assert_eq!(whole.expires_at, Some(at(300)));
    }

    #[test]
    fn what_one_source_alone_tells_stays_as_it_is_and_keeps_its_weight_among_others() {
        let told = Stored::new(copy(&["T"], &[("a", 1, None, 9)]));
        let other = copy(&["U"], &[("a", 2, None, 1), ("b", 3, None, 1)]);
        for (weight, kept) in [(Weight::Equal, 1), (Weight::Auxiliary, 2)] {
            let mut union = Union::new(at(100));
            union.add_told(told.clone(), weight);
            assert!(Arc::ptr_eq(&union.into_stored()[0], &told));
            for told_first in [true, false] {
                let mut union = Union::new(at(100));
                if told_first {
                    union.add_told(told.clone(), weight);
                }
                union.add_told(Stored::passing(other.clone()), Weight::Equal);
                if !told_first {
                    union.add_told(told.clone(), weight);
                }
                let whole = union.into_stored();
                assert_eq!((whole.len(), value(&whole[0], "a")), (1, Some(kept)));
                assert_eq!(value(&whole[0], "b"), Some(3));
            }
        }
        let mut gone = copy(&["T"], &[("a", 1, None, 1)]);
        gone.expires_at = Some(at(50));
        let mut union = Union::new(at(100));
        union.add_told(Stored::new(gone), Weight::Equal);
        assert!(union.into_stored().is_empty());
        assert_eq!(value(&told, "a"), Some(1));
    }

    #[test]
    fn what_is_here_alone_stays_as_it_is_and_is_one_of_the_copies_otherwise() {
        let here = Stored::new(copy(&["T"], &[("a", 1, None, 1)]));
        let mut union = Union::new(at(100));
        union.add_here(&here);
        let alone = union.into_stored();
        assert!(Arc::ptr_eq(&alone[0], &here));
        for (value_there, kept) in [((2, 2), 2), ((2, 0), 1)] {
            let there = copy(&["U"], &[("a", value_there.0, None, value_there.1)]);
            for here_first in [true, false] {
                let mut union = Union::new(at(100));
                if here_first {
                    union.add_here(&here);
                }
                union.add(there.clone(), Weight::Equal);
                if !here_first {
                    union.add_here(&here);
                }
                let whole = union.into_stored();
                assert_eq!((whole.len(), value(&whole[0], "a")), (1, Some(kept)));
                assert_eq!(whole[0].types.as_slice().len(), 2);
            }
        }
    }

    proptest! {
        #[test]
        fn the_order_of_copies_means_nothing_where_their_times_differ(
            order in Just((0..4usize).collect::<Vec<_>>()).prop_shuffle(),
            present in proptest::collection::vec(any::<[bool; 3]>(), 4),
        ) {
            let copies: Vec<Entity> = present.iter().enumerate().map(|(place, has)| {
                let place = place as i64;
                let all = [("a", place, Some(place), 1), ("b", place, None, place), ("c", place, None, 9 - place)];
                let some: Vec<_> = all.into_iter().zip(has).filter(|(_, has)| **has).map(|(one, _)| one).collect();
                copy(&["T"], &some)
            }).collect();
            let plain: Vec<_> = copies.iter().map(|one| (one.clone(), Weight::Equal)).collect();
            let mixed: Vec<_> = order.iter().map(|place| plain[*place].clone()).collect();
            prop_assert_eq!(union(&plain).attributes, union(&mixed).attributes);
        }
    }
}
