//! Promises about writes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::model::{
    AttributePatch, Datum, Fragment, InstanceEdit, InstancePatch, Instances, Kind, Value,
};
use crate::store::samples::{self, attribute_name};

/// An entity of every kind of attribute reads back as it was, with its times set.
pub async fn what_is_created_is_there<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let mut runner = TestRunner::deterministic();
    for _ in 0..100 {
        let mut entity = samples::entity().new_tree(&mut runner).unwrap().current();
        entity.expires_at = None;
        let _ = write(&*store, Write::new(entity.id.clone(), Action::Delete), at(1)).await;
        let intention = create(entity.clone());
        let expected = intention.clone().apply(None, at(1)).unwrap().after.unwrap();
        let change = write(&*store, intention, at(1)).await.unwrap();
        assert_eq!(change.after.unwrap().entity, expected);
        let there = store.get(&HERE, &entity.id, at(1)).await.unwrap().unwrap();
        assert_eq!(there.entity, expected);
    }
}

fn fragment() -> impl Strategy<Value = Fragment> {
    samples::entity().prop_map(|entity| {
        let attributes = entity.attributes.into_iter().map(|(name, attribute)| {
            let edits = attribute.instances().iter().map(edit).collect();
            (name, AttributePatch(edits))
        });
        Fragment {
            id: Some(entity.id),
            types: entity.types.into_vec(),
            attributes: attributes.collect(),
            ..Fragment::default()
        }
    })
}

fn edit(instance: &crate::model::Instance) -> InstanceEdit {
    InstanceEdit::Put(InstancePatch {
        kind: Some(instance.kind()),
        dataset: instance.dataset().cloned(),
        datum: Some(instance.datum.clone()),
        ..InstancePatch::default()
    })
}

fn any_write() -> impl Strategy<Value = Write> {
    let name = (0usize..6).prop_map(attribute_name);
    let action = prop_oneof![
        3 => samples::entity().prop_map(Action::Create),
        1 => samples::entity().prop_map(Action::Replace),
        1 => samples::entity().prop_map(Action::Upsert),
        1 => fragment().prop_map(Action::UpsertUpdate),
        1 => fragment().prop_map(|fragment| Action::Merge { fragment, lang: None, observed_at: None }),
        1 => (fragment(), any::<bool>())
            .prop_map(|(fragment, overwrite)| Action::Append { fragment, overwrite }),
        1 => fragment().prop_map(Action::Update),
        1 => (name.clone(), samples::instance(1)).prop_map(|(attribute, instance)| {
            Action::PartialUpdate { attribute, patch: AttributePatch(vec![edit(&instance)]) }
        }),
        1 => name.clone().prop_map(|attribute| Action::DeleteAttribute {
            attribute,
            instances: Instances::All
        }),
        1 => Just(Action::DeleteScope),
        1 => Just(Action::Delete),
        1 => prop::collection::vec(name.clone(), 0..3).prop_map(Action::KeepOnly),
        1 => prop::collection::vec(name, 0..3).prop_map(Action::Drop),
    ];
    ((0usize..8).prop_map(entity_id), action).prop_map(|(id, action)| {
        let id = match &action {
            Action::Create(entity) | Action::Replace(entity) | Action::Upsert(entity) => {
                entity.id.clone()
            }
            Action::UpsertUpdate(fragment) => fragment.id.clone().unwrap_or(id),
            _ => id,
        };
        Write::new(id, action)
    })
}

/// Whatever is written, in whatever portions, ends as [`Write::apply`] alone would leave it.
pub async fn every_kind_of_write_does_what_the_model_says<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(any_write(), 1..40);
    for case in 0..40 {
        let tenant = TenantId::named(&format!("case{case}")).unwrap();
        let mut model: BTreeMap<EntityId, Entity> = BTreeMap::new();
        let mut now = at(case);
        let seed = create(bare_entity(7, 2));
        model.insert(entity_id(7), seed.clone().apply(None, now).unwrap().after.unwrap());
        store.commit(&tenant, vec![seed], now).await.unwrap();
        let writes = strategy.new_tree(&mut runner).unwrap().current();
        for some in writes.chunks(1 + case as usize % 7) {
            now = now.plus_micros(1_000_000);
            let results = store.commit(&tenant, some.to_vec(), now).await.unwrap();
            let mut last = BTreeMap::new();
            for (place, (write, result)) in some.iter().zip(&results).enumerate() {
                if result.is_ok() {
                    last.insert(write.id.clone(), place);
                }
            }
            for (place, (write, result)) in some.iter().zip(results).enumerate() {
                let id = write.id.clone();
                match (write.clone().apply(model.get(&id), now), result) {
                    (Ok(applied), Ok(change)) => {
                        assert_eq!(change.outcome, applied.outcome, "{write:?}");
                        let is_last = last.get(&id) == Some(&place);
                        let after = change.after.as_ref().map(|e| &e.entity);
                        assert_eq!(after, applied.after.as_ref().filter(|_| is_last));
                        match applied.after {
                            Some(entity) => drop(model.insert(id, entity)),
                            None => drop(model.remove(&id)),
                        }
                    }
                    (Err(expected), Err(refusal)) => assert_eq!(refusal, expected),
                    (expected, result) => panic!("{expected:?} became {result:?}"),
                }
            }
        }
        for (id, entity) in &model {
            let there = store.get(&tenant, id, now).await.unwrap();
            assert_eq!(there.as_ref().map(|e| &e.entity), Some(entity).filter(|e| e.is_alive(now)));
        }
        let found = store.find(&tenant, &everything(), now).await.unwrap();
        let alive = model.values().filter(|entity| entity.is_alive(now)).count();
        assert_eq!(found.entities.len(), alive);
    }
}

/// Each write of a commit is refused or done by itself.
pub async fn a_refused_write_has_no_effect_and_hinders_no_other<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    create_some(&*store, 0..1, at(0)).await;
    let before = get(&*store, 0, at(1)).await.unwrap();
    let remove =
        Action::DeleteAttribute { attribute: attribute_name(1), instances: Instances::All };
    let writes = vec![
        create(bare_entity(0, 1)),
        Write::new(entity_id(0), remove),
        create(bare_entity(1, 1)),
        Write::new(entity_id(2), Action::Delete),
        Write {
            id: entity_id(0),
            only: Some(TypeSelection::of(type_name(2))),
            action: Action::Delete,
        },
    ];
    let results = store.commit(&HERE, writes, at(1)).await.unwrap();
    assert_eq!(results[0].as_ref().unwrap_err(), &Refusal::AlreadyExists(entity_id(0)));
    assert!(matches!(results[1], Err(Refusal::NoSuchAttribute { .. })));
    assert!(results[2].is_ok());
    assert_eq!(results[3].as_ref().unwrap_err(), &Refusal::NoSuchEntity(entity_id(2)));
    assert_eq!(results[4].as_ref().unwrap_err(), &Refusal::NoSuchEntity(entity_id(0)));
    assert_eq!(get(&*store, 0, at(2)).await.unwrap().entity, before.entity);
    assert!(get(&*store, 1, at(2)).await.is_some());
}

/// Later writes of a commit work on what earlier ones left.
pub async fn writes_of_one_commit_see_each_other<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let append = |number: usize| {
        Write::new(
            entity_id(0),
            Action::Append { fragment: one_property(number, number as i64), overwrite: true },
        )
    };
    let writes = vec![
        append(0),
        create(bare_entity(0, 0)),
        append(1),
        append(2),
        create(bare_entity(0, 0)),
        create(bare_entity(1, 0)),
        Write::new(entity_id(1), Action::Delete),
        Write::new(entity_id(1), Action::Delete),
    ];
    let results = store.commit(&HERE, writes, at(1)).await.unwrap();
    let went: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(went, [false, true, true, true, false, true, true, false]);
    assert_eq!(get(&*store, 0, at(1)).await.unwrap().attributes.len(), 2);
    assert!(get(&*store, 1, at(1)).await.is_none());
    assert_eq!(ids(&*store, &everything(), at(1)).await, [entity_id(0)]);
}

pub(super) fn one_property(number: usize, value: i64) -> Fragment {
    let patch = InstancePatch {
        kind: Some(Kind::Property),
        datum: Some(Datum::Property(Value::from(value))),
        ..InstancePatch::default()
    };
    Fragment {
        attributes: vec![(attribute_name(number), AttributePatch(vec![InstanceEdit::Put(patch)]))],
        ..Fragment::default()
    }
}

/// It has none of the old one's attributes, another creation time, and comes last.
pub async fn an_entity_deleted_and_created_again_is_new<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    create_some(&*store, 0..3, at(0)).await;
    let mut again = bare_entity(0, 1);
    again.attributes.insert(attribute_name(3), property(1));
    let writes = vec![Write::new(entity_id(0), Action::Delete), create(again)];
    assert!(store.commit(&HERE, writes, at(5)).await.unwrap().iter().all(Result::is_ok));
    let there = get(&*store, 0, at(5)).await.unwrap();
    assert_eq!((there.created_at, there.has_type(type_name(0))), (at(5), false));
    let all = ids(&*store, &everything(), at(5)).await;
    assert_eq!(all, [entity_id(1), entity_id(2), entity_id(0)]);
    assert_eq!(ids(&*store, &of_type(1, Page::default()), at(5)).await, [entity_id(0)]);
}

/// Every change is there in the end, whoever made it.
pub async fn concurrent_changes_to_one_entity_lose_nothing<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    create_some(&*store, 0..1, at(0)).await;
    let mut tasks = Vec::new();
    for task in 0..16 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for step in 0..20 {
                let fragment = one_property(1_000 + task * 20 + step, 1);
                let action = Action::Append { fragment, overwrite: false };
                write(&*store, Write::new(entity_id(0), action), at(1)).await.unwrap();
                assert!(
                    get(&*store, 0, at(1))
                        .await
                        .unwrap()
                        .attributes
                        .get(attribute_name(1_000 + task * 20 + step))
                        .is_some(),
                    "who wrote reads what it wrote"
                );
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(get(&*store, 0, at(1)).await.unwrap().attributes.len(), 320);
}

/// Nothing is stored that could not be read back.
pub async fn what_is_too_deep_is_refused<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let mut value = Value::from(1);
    for _ in 0..1_000 {
        value = Value::Array(Box::new([value]));
    }
    let mut entity = bare_entity(0, 0);
    entity.attributes.insert(attribute_name(0), property(value));
    let refusal = write(&*store, create(entity), at(0)).await.unwrap_err();
    assert_eq!(refusal, Refusal::TooLarge(entity_id(0)));
    assert!(get(&*store, 0, at(0)).await.is_none());
}

/// What subscriptions and history are made from.
pub async fn a_change_tells_what_was_and_what_is<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let created = write(&*store, create(bare_entity(0, 0)), at(1)).await.unwrap();
    assert!(created.before.is_none() && created.outcome.created);
    assert_eq!((created.id, created.at), (entity_id(0), at(1)));
    let action = Action::Append { fragment: one_property(1, 5), overwrite: true };
    let changed = write(&*store, Write::new(entity_id(0), action), at(2)).await.unwrap();
    let (before, after) = (changed.before.unwrap(), changed.after.unwrap());
    assert_eq!((before.attributes.len(), after.attributes.len()), (0, 1));
    assert_eq!(changed.outcome.updated, [attribute_name(1)]);
    assert_eq!((after.created_at, after.modified_at), (at(1), at(2)));
    let deleted = write(&*store, Write::new(entity_id(0), Action::Delete), at(3)).await.unwrap();
    assert_eq!(deleted.before.unwrap().entity, after.entity);
    assert!(deleted.after.is_none());
}

const _: fn(&StoreError) -> &dyn std::error::Error = |error| error;
const _: Option<Name> = None;

/// A short batch of small changes of a large entity holds one version of it, and ends in time.
pub async fn a_commit_makes_only_so_much_anew<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let mut entity = bare_entity(0, 0);
    let text = Value::String("x".repeat(2 << 20).into());
    entity.attributes.insert(attribute_name(0), property(text));
    write(&*store, create(entity), at(0)).await.unwrap();
    let change = |number: i64| {
        let action = Action::Append { fragment: one_property(1, number), overwrite: true };
        Write::new(entity_id(0), action)
    };
    let results = store.commit(&HERE, (0..200).map(change).collect(), at(1)).await.unwrap();
    let taken = results.iter().take_while(|result| result.is_ok()).count();
    assert!((64..=128).contains(&taken), "{taken} of 256 MiB");
    let versions = results.iter().flatten().filter(|change| change.after.is_some()).count();
    assert_eq!(versions, 1, "only the last is handed out");
    for result in &results[taken..] {
        let refusal = result.as_ref().unwrap_err().to_string();
        assert!(refusal.contains("limits.batch_rewrites"), "{refusal}");
    }
    let there = get(&*store, 0, at(1)).await.unwrap();
    let value = there.attributes.get(attribute_name(1)).unwrap().instances()[0].datum.clone();
    assert_eq!(value, Datum::Property((taken as i64 - 1).into()));
    // What brings whole entities, and the next commit, are taken.
    write(&*store, change(7), at(2)).await.unwrap();
}
