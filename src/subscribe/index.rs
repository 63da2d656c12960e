//! Which subscriptions a change may concern, found by id, type and attribute: however many there
//! are that it does not concern, they cost nothing.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use crate::model::{AttrName, Change, EntityId, TypeName, TypeSelection};
use crate::query::Selector;
use crate::represent::subscription::{Subscription, Timing};

/// Where a subscription stands among those of its tenant.
pub(super) type Place = u32;

/// Under which attribute a subscription is filed: absent where changes of all of them count.
type Watched = Option<AttrName>;

/// The subscriptions of a tenant that wait for changes.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_id: FxHashMap<EntityId, Vec<Place>>,
    by_type: FxHashMap<(TypeName, Watched), Vec<Place>>,
    /// Those that name neither id nor type.
    open: FxHashMap<Watched, Vec<Place>>,
}

/// Where a subscription is filed.
enum Key {
    Id(EntityId),
    Type(TypeName, Watched),
    Open(Watched),
}

impl Index {
    /// Files a subscription.
    pub fn insert(&mut self, place: Place, subscription: &Subscription) {
        for key in keys(subscription) {
            match key {
                Key::Id(id) => add(&mut self.by_id, id, place),
                Key::Type(name, watched) => add(&mut self.by_type, (name, watched), place),
                Key::Open(watched) => add(&mut self.open, watched, place),
            }
        }
    }

    /// Takes a subscription out; it must be as it was when it was filed.
    pub fn remove(&mut self, place: Place, subscription: &Subscription) {
        for key in keys(subscription) {
            match key {
                Key::Id(id) => take(&mut self.by_id, &id, place),
                Key::Type(name, watched) => take(&mut self.by_type, &(name, watched), place),
                Key::Open(watched) => take(&mut self.open, &watched, place),
            }
        }
    }

    /// All subscriptions that may be concerned by a change, each once, in no particular order.
    pub fn candidates(&self, change: &Change, found: &mut Vec<Place>) {
        found.clear();
        let changed = || {
            let names = change.outcome.updated.iter().map(|name| Some(*name));
            names.chain([None])
        };
        if let Some(places) = self.by_id.get(&change.id) {
            found.extend_from_slice(places);
        }
        if !self.by_type.is_empty() {
            let before = change.before.iter().flat_map(|entity| entity.types.as_slice());
            let after = change.after.iter().flat_map(|entity| entity.types.as_slice());
            let mut seen: Vec<TypeName> = Vec::new();
            for name in before.chain(after) {
                if seen.contains(name) {
                    continue;
                }
                seen.push(*name);
                for watched in changed() {
                    found.extend(self.by_type.get(&(*name, watched)).into_iter().flatten());
                }
            }
        }
        if !self.open.is_empty() {
            for watched in changed() {
                found.extend(self.open.get(&watched).into_iter().flatten());
            }
        }
        if found.len() > 1 {
            found.sort_unstable();
            found.dedup();
        }
    }
}

fn add<K: Eq + Hash>(map: &mut FxHashMap<K, Vec<Place>>, key: K, place: Place) {
    let places = map.entry(key).or_default();
    // The keys of one subscription may repeat, one after the other.
    if places.last() != Some(&place) {
        places.push(place);
    }
}

fn take<K: Eq + Hash>(map: &mut FxHashMap<K, Vec<Place>>, key: &K, place: Place) {
    let Some(places) = map.get_mut(key) else { return };
    if let Some(at) = places.iter().position(|other| *other == place) {
        places.swap_remove(at);
    }
    if places.is_empty() {
        map.remove(key);
    }
}

fn keys(subscription: &Subscription) -> Vec<Key> {
    let Timing::OnChange { watched, .. } = &subscription.timing else {
        return Vec::new();
    };
    let select = &subscription.plan.select;
    let watched = watched_keys(watched);
    if select.is_empty() {
        return watched.into_iter().map(Key::Open).collect();
    }
    select.iter().flat_map(|one| selector_keys(one, &watched)).collect()
}

/// Whole entities come and go with all their attributes, so these names will do.
fn watched_keys(watched: &[AttrName]) -> Vec<Watched> {
    if watched.is_empty() {
        return vec![None];
    }
    let mut names: Vec<Watched> = watched.iter().map(|name| Some(*name)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn selector_keys(selector: &Selector, watched: &[Watched]) -> Vec<Key> {
    if !selector.ids.is_empty() {
        let mut ids = selector.ids.clone();
        ids.sort_unstable();
        ids.dedup();
        return ids.into_iter().map(Key::Id).collect();
    }
    let open = || watched.iter().map(|name| Key::Open(*name)).collect();
    let Some(TypeSelection::Of(alternatives)) = &selector.types else { return open() };
    let mut names = Vec::new();
    for combination in alternatives {
        // An entity of a combination has each of its types, so one will do. A type that nothing
        // has been called yet could not be found under its name later.
        match combination.iter().find_map(|term| term.name()) {
            Some(name) => names.push(name),
            None => return open(),
        }
    }
    names.sort_unstable();
    names.dedup();
    let under = |name: TypeName| watched.iter().map(move |watched| Key::Type(name, *watched));
    names.into_iter().flat_map(under).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::{btree_set, vec};
    use proptest::option;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::{
        Action, Attributes, Datum, Entity, Instance, Name, OneOrMany, Timestamp, Write,
    };
    use crate::model::{Attribute, Stored};
    use crate::subscribe::matching;
    use crate::subscribe::tests::subscription;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(2_000_000_000_000_000 + seconds * 1_000_000)
    }

    fn entity(id: u8, types: &BTreeSet<u8>, values: &[Option<u8>]) -> Entity {
        let mut attributes = Attributes::new();
        for (number, value) in values.iter().enumerate() {
            let name = Name::intern(&format!("https://example.org/a{number}")).unwrap();
            if let Some(value) = value {
                let datum = Datum::Property(i64::from(*value).into());
                attributes.insert(name, Attribute::one(Instance::new(datum)));
            }
        }
        let name = |number: &u8| Name::intern(&format!("https://example.org/T{number}")).unwrap();
        Entity {
            id: EntityId::parse(&format!("urn:x:{id}")).unwrap(),
            types: OneOrMany::from_vec(types.iter().map(name).collect()).unwrap(),
            scopes: Vec::new(),
            attributes,
            created_at: at(0),
            modified_at: at(0),
            expires_at: None,
        }
    }

    /// What a write makes of an entity, as a store reports it.
    fn change(before: Option<Entity>, write: Write) -> Option<Change> {
        let id = write.id.clone();
        let applied = write.apply(before.as_ref(), at(1)).ok()?;
        Some(Change {
            id,
            at: at(1),
            before: before.map(Stored::new),
            after: applied.after.map(Stored::new),
            outcome: applied.outcome,
        })
    }

    prop_compose! {
        fn any_entity()(
            id in 0u8..3,
            types in btree_set(0u8..3, 1..3),
            values in vec(option::of(0u8..2), 3),
        ) -> Entity {
            entity(id, &types, &values)
        }
    }

    fn any_subscription() -> impl Strategy<Value = serde_json::Value> {
        let selector = (
            prop_oneof![
                Just("https://example.org/T0".to_owned()),
                Just("https://example.org/T1,https://example.org/T2".to_owned()),
                Just("(https://example.org/T0;https://example.org/T1)".to_owned()),
                Just("*".to_owned()),
                Just("https://example.org/Unheard".to_owned()),
            ],
            option::of(btree_set(0u8..3, 1..3)),
            option::of(Just("urn:x:[01]")),
        )
            .prop_map(|(types, ids, pattern)| {
                let mut selector = json!({"type": types});
                if let Some(ids) = ids {
                    let ids: Vec<_> = ids.iter().map(|id| format!("urn:x:{id}")).collect();
                    selector["id"] = json!(ids);
                }
                if let Some(pattern) = pattern {
                    selector["idPattern"] = pattern.into();
                }
                selector
            });
        let watched = option::of(btree_set(0u8..3, 1..3));
        let triggers = option::of(btree_set(0usize..6, 1..3));
        (option::of(vec(selector, 1..3)), watched, triggers).prop_map(
            |(entities, watched, triggers)| {
                let mut all = json!({});
                let names = |some: BTreeSet<u8>| -> Vec<String> {
                    some.iter().map(|n| format!("https://example.org/a{n}")).collect()
                };
                match (entities, watched) {
                    (None, None) => all["watchedAttributes"] = json!(["https://example.org/a0"]),
                    (entities, watched) => {
                        if let Some(entities) = entities {
                            all["entities"] = json!(entities);
                        }
                        if let Some(watched) = watched {
                            all["watchedAttributes"] = json!(names(watched));
                        }
                    }
                }
                if let Some(triggers) = triggers {
                    let all_triggers = crate::represent::subscription::Trigger::ALL;
                    let words: Vec<_> = triggers.iter().map(|n| all_triggers[*n].word()).collect();
                    all["notificationTrigger"] = json!(words);
                }
                all
            },
        )
    }

    proptest! {
        #[test]
        fn whoever_a_change_concerns_is_among_the_candidates(
            all in vec(any_subscription(), 1..12),
            before in option::of(any_entity()),
            after in any_entity(),
            action in 0..3,
            gone in 0usize..12,
        ) {
            let mut index = Index::default();
            let all: Vec<_> =
                all.into_iter().enumerate().map(|(n, json)| subscription(n, json)).collect();
            for (place, subscription) in all.iter().enumerate() {
                index.insert(place as Place, subscription);
            }
            if let Some(one) = all.get(gone) {
                index.remove(gone as Place, one);
            }
            let id = before.as_ref().unwrap_or(&after).id.clone();
            let action = match action {
                0 => Action::Upsert(Entity { id: id.clone(), ..after }),
                1 => Action::Delete,
                _ => Action::Drop(vec![Name::intern("https://example.org/a1").unwrap()]),
            };
            let Some(change) = change(before, Write::new(id, action)) else { return Ok(()) };
            let difference = matching::difference(&change);
            let mut found = Vec::new();
            index.candidates(&change, &mut found);
            for (place, subscription) in all.iter().enumerate() {
                if place != gone && matching::concerns(subscription, &change, &difference) {
                    prop_assert!(found.contains(&(place as Place)), "{subscription:?}");
                }
            }
            prop_assert!(!found.contains(&(gone as Place)));
            for (place, one) in all.iter().enumerate().filter(|(place, _)| *place != gone) {
                index.remove(place as Place, one);
            }
            prop_assert!(index.by_id.is_empty() && index.by_type.is_empty() && index.open.is_empty());
        }
    }

    #[test]
    fn subscriptions_of_other_ids_types_and_attributes_are_not_looked_at() {
        let mut index = Index::default();
        for number in 0..300 {
            let json = match number % 3 {
                0 => json!({"entities": [{"type": format!("https://example.org/Far{number}")}]}),
                1 => json!({"entities": [
                    {"type": "https://example.org/T0", "id": format!("urn:far:{number}")},
                ]}),
                _ => json!({
                    "entities": [{"type": "https://example.org/T0"}],
                    "watchedAttributes": [format!("https://example.org/far{number}")],
                }),
            };
            index.insert(number, &subscription(number as usize, json));
        }
        let one = json!({"entities": [{"type": "https://example.org/T0"}]});
        index.insert(300, &subscription(300, one));
        let before = entity(0, &[0].into(), &[Some(1)]);
        let after = entity(0, &[0].into(), &[Some(2)]);
        let write = Write::new(before.id.clone(), Action::Upsert(after));
        let mut found = Vec::new();
        index.candidates(&change(Some(before), write).unwrap(), &mut found);
        assert_eq!(found, [300]);
    }
}
