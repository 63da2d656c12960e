//! Promises about history.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::model::{
    Attribute, AttributePatch, Attributes, Chapter, Chronology, DatasetId, Datum, Fragment,
    HistoryAction, HistoryChange, HistoryWrite, Instance, InstanceEdit, InstanceId, InstancePatch,
    Instances, Number, OneOrMany, Recorded, Remembered, ScopeChange, TimeProperty, Value,
};
use crate::query::history_reference::Ledger;
use crate::query::{
    Aggregate, Evolution, HistoryLimits, HistoryPlan, Line, Method, Period, Series, TellError,
    Told, Window,
};
use crate::store::samples::{attribute_name, datum};
use crate::store::{EVERY_TYPE, FoundHistory, HISTORY_RULES, Shelf};

mod happenings;
mod reckoning;
mod reference;
mod stamps;

pub use reckoning::*;
pub use stamps::*;

use self::happenings::{Happening, happening, observed, plan};
use self::reference::{Reference, agree, comparable, expected};

/// Whatever happens, a temporal query is told what a plain record of all would tell.
pub async fn history_is_what_was_recorded<B: Backend>() {
    let mut runner = TestRunner::deterministic();
    for round in 0..8 {
        let mut backend = B::start().await;
        let mut reference = Reference::default();
        let some = vec((happening(), 0_i64..3), 1..60).new_tree(&mut runner).unwrap().current();
        let plans = vec(plan(), 40).new_tree(&mut runner).unwrap().current();
        let half = some.len() / 2;
        let mut now = 0;
        for (place, (happening, pause)) in some.into_iter().enumerate() {
            if place == half && round % 4 == 0 {
                backend.settle().await;
                backend = backend.restart().await;
            }
            now += pause;
            let store = backend.store();
            match happening {
                Happening::Write(write) => {
                    reference.write(write.clone(), at(now));
                    let done = store.commit(&HERE, vec![write], at(now)).await;
                    assert!(matches!(done, Ok(_) | Err(StoreError::UnknownTenant(_))));
                }
                Happening::History(write) => {
                    reference.history(write.clone(), at(now));
                    let done = store.commit_history(&HERE, vec![write], at(now)).await;
                    assert!(matches!(done, Ok(_) | Err(StoreError::UnknownTenant(_))));
                }
            }
        }
        for settled in [false, true] {
            if settled {
                backend.settle().await;
            }
            let store = backend.store();
            for plan in &plans {
                let found = match store.evolve(&HERE, plan, at(now)).await {
                    Ok(found) => Some(comparable(found)),
                    Err(StoreError::Unanswerable(_)) => None,
                    Err(error) => panic!("the store works: {error}"),
                };
                let expected = expected(&reference, plan).map(comparable);
                let same = match (&found, &expected) {
                    (Some(found), Some(expected)) => agree(found, expected),
                    (found, expected) => found.is_none() && expected.is_none(),
                };
                assert!(
                    same,
                    "round {round}, settled {settled}\n{plan:#?}\nfound {found:#?}\n\
                     expected {expected:#?}"
                );
            }
            for id in 0..4 {
                let found = get(&*store, id, at(now)).await;
                let expected = reference.current(&entity_id(id));
                assert_eq!(found.as_deref().map(|found| &found.entity), expected);
            }
        }
    }
}

fn numbers(values: impl IntoIterator<Item = (i64, f64)>) -> Chronology {
    let instances = values.into_iter().map(|(seconds, value)| {
        let mut instance = Instance::new(Datum::Property(value.into()));
        instance.observed_at = Some(observed(seconds));
        instance
    });
    Chronology {
        types: vec![type_name(0)],
        scopes: Vec::new(),
        attributes: vec![(attribute_name(0), instances.collect())],
    }
}

async fn tell(
    store: &dyn Store,
    id: usize,
    action: HistoryAction,
    now: Timestamp,
) -> Result<HistoryChange, Refusal> {
    let write = HistoryWrite { id: entity_id(id), action };
    store.commit_history(&HERE, vec![write], now).await.expect("the store works").remove(0)
}

/// Everything that was recorded of an attribute.
async fn line(store: &dyn Store, id: usize, attribute: usize) -> Vec<Recorded> {
    let ids = vec![entity_id(id)];
    let plan = HistoryPlan {
        entities: EntityPlan {
            select: vec![Selector { ids, ..Selector::default() }],
            ..EntityPlan::default()
        },
        window: Window { property: TimeProperty::Placed, ..Window::default() },
        ..HistoryPlan::default()
    };
    let found = store.evolve(&HERE, &plan, at(0)).await.expect("the store works");
    let lines = found.told.evolutions.into_iter().flat_map(|one| one.attributes);
    let mut own = lines.filter(|(name, _)| *name == attribute_name(attribute));
    match own.next() {
        Some((_, Line::Instances(all))) => all,
        _ => Vec::new(),
    }
}

fn values(line: &[Recorded]) -> Vec<f64> {
    line.iter()
        .map(|one| match &one.instance.datum {
            Datum::Property(Value::Number(number)) => number.as_f64(),
            other => panic!("not a number: {other:?}"),
        })
        .collect()
}

/// Late readings find their place, repeated ones replace, and ids stay what they were.
pub async fn readings_are_placed_by_when_they_were_observed<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let count = 5_000;
    let even = numbers((0..count).map(|n| (n * 2, n as f64)));
    let told = tell(&*store, 0, HistoryAction::Upsert(even), at(0)).await.unwrap();
    assert!(told.created);
    backend.settle().await;
    let before = line(&*store, 0, 0).await;
    // In between, again, and before everything, in many small writes.
    let late: Vec<i64> = (0..count).rev().filter(|n| n % 7 == 0).collect();
    for some in late.chunks(50) {
        let odd = numbers(some.iter().map(|n| (n * 2 + 1, *n as f64 + 0.5)));
        let told = tell(&*store, 0, HistoryAction::Append(odd), at(1)).await.unwrap();
        assert!(!told.created);
    }
    let again = numbers([(0, -1.0), (4_000, -2.0), (-10, -3.0)]);
    tell(&*store, 0, HistoryAction::Append(again), at(2)).await.unwrap();
    for settled in [false, true] {
        if settled {
            backend.settle().await;
        }
        let after = line(&*store, 0, 0).await;
        assert_eq!(after.len() as i64, count + count.div_euclid(7) + 1 + 1);
        assert!(after.is_sorted_by_key(|one| one.instance.observed_at));
        let at_time = |seconds| {
            let found =
                after.iter().find(|one| one.instance.observed_at == Some(observed(seconds)));
            found.expect("it is there").clone()
        };
        let repeated = at_time(4_000);
        assert_eq!(repeated.instance.datum, Datum::Property((-2.0).into()));
        assert_eq!((repeated.instance.created_at, repeated.instance.modified_at), (at(0), at(2)));
        assert_eq!(repeated.id, before[2_000].id, "an id stays");
        assert_eq!(after[0].instance.datum, Datum::Property((-3.0).into()));
        let distinct: std::collections::HashSet<InstanceId> =
            after.iter().map(|one| one.id).collect();
        assert_eq!(distinct.len(), after.len());
    }
    let entity = get(&*store, 0, at(3)).await.expect("who is told of is there");
    let current = &entity.attributes.get(attribute_name(0)).unwrap().instances()[0];
    assert_eq!(current.observed_at, Some(observed(count * 2 - 2)));
}

/// What was recorded elsewhere comes with all its times, deletions and scopes included; how an
/// entity is now does not follow.
pub async fn history_is_restored_as_it_was<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let mut entity = bare_entity(0, 0);
    entity.scopes = vec![crate::model::Scope::parse("/a/b").unwrap()];
    entity
        .attributes
        .insert(attribute_name(0), Attribute::one(Instance::new(Datum::Property(1.into()))));
    let id = entity.id.clone();
    let write = |action| vec![Write::new(id.clone(), action)];
    store.commit(&HERE, write(Action::Create(entity)), at(0)).await.unwrap()[0].as_ref().unwrap();
    tell(&*store, 0, HistoryAction::Append(numbers([(1, 1.5), (2, 2.5)])), at(5)).await.unwrap();
    tell(&*store, 0, HistoryAction::Append(numbers([(1, 7.5)])), at(9)).await.unwrap();
    let attribute = attribute_name(0);
    let gone = Action::DeleteAttribute { attribute, instances: Instances::All };
    store.commit(&HERE, write(gone), at(12)).await.unwrap()[0].as_ref().unwrap();

    let there = crate::model::TenantId::named("there").unwrap();
    let plan = HistoryPlan {
        window: Window { property: TimeProperty::Placed, ..Window::default() },
        whatever_the_window: true,
        ..HistoryPlan::default()
    };
    let told = async |tenant| {
        let told = store.evolve(tenant, &plan, at(20)).await.expect("the store works").told;
        told.evolutions.into_iter().next().expect("one entity")
    };
    let before = told(&HERE).await;
    let attributes = before.attributes.iter().map(|(name, line)| match line {
        Line::Instances(all) => (*name, all.clone()),
        other => panic!("no instances: {other:?}"),
    });
    let remembered =
        Remembered { chapter: before.chapter.clone(), attributes: attributes.collect() };
    let action = HistoryAction::Restore(Box::new(remembered));
    let restore = vec![HistoryWrite { id: id.clone(), action }];
    store.commit_history(&there, restore, at(15)).await.unwrap()[0].as_ref().unwrap();
    for settled in [false, true] {
        if settled {
            backend.settle().await;
        }
        let mut after = told(&there).await;
        let mut expected = before.clone();
        // Ids are given anew.
        for evolution in [&mut after, &mut expected] {
            for (_, line) in &mut evolution.attributes {
                let Line::Instances(all) = line else { panic!("no instances: {line:?}") };
                all.iter_mut().for_each(|one| one.id = InstanceId(0));
            }
        }
        expected.chapter.modified_at = after.chapter.modified_at;
        assert_eq!(after, expected);
    }
    assert!(store.get(&there, &id, at(20)).await.unwrap().is_none());
}

/// Single instances are changed and deleted, packed or not.
pub async fn instances_are_modified_and_deleted<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let attribute = attribute_name(0);
    let all = numbers((0..300).map(|n| (n, n as f64)));
    tell(&*store, 0, HistoryAction::Upsert(all), at(0)).await.unwrap();
    for settled in [false, true] {
        if settled {
            backend.settle().await;
        }
        let before = line(&*store, 0, 0).await;
        let (first, second) = (before[100].id, before[101].id);
        let gone = HistoryAction::DeleteInstance { attribute, instance: first };
        assert!(tell(&*store, 0, gone.clone(), at(1)).await.is_ok());
        let unknown = Refusal::NoSuchInstance { attribute, instance: first };
        assert_eq!(tell(&*store, 0, gone, at(1)).await, Err(unknown));
        let datum = Some(Datum::Property((-7.0).into()));
        let patch = InstancePatch { datum, ..InstancePatch::default() };
        let modify = HistoryAction::ModifyInstance { attribute, instance: second, patch };
        assert!(tell(&*store, 0, modify, at(2)).await.is_ok());
        for settled in [false, true] {
            if settled {
                backend.settle().await;
            }
            let after = line(&*store, 0, 0).await;
            assert_eq!(after.len(), before.len() - 1);
            assert_eq!(values(&after[99..102])[1..], [-7.0, values(&before)[102]]);
            let changed = &after[100];
            assert_eq!(changed.id, second);
            assert_eq!(changed.instance.created_at, at(0));
            assert_eq!(changed.instance.modified_at, at(2));
        }
    }
    let missing =
        HistoryAction::DeleteInstance { attribute: attribute_name(5), instance: InstanceId(1) };
    let refused = tell(&*store, 0, missing, at(3)).await;
    assert!(matches!(refused, Err(Refusal::NoSuchAttribute { .. })));
    let delete = HistoryAction::Delete;
    assert!(tell(&*store, 0, delete.clone(), at(4)).await.is_ok());
    assert_eq!(tell(&*store, 0, delete, at(4)).await, Err(Refusal::NoSuchEntity(entity_id(0))));
    assert_eq!(line(&*store, 0, 0).await, []);
    assert!(get(&*store, 0, at(5)).await.is_none(), "what was only told of goes with its history");
}

/// Who rules what is recorded is obeyed at once.
pub async fn rules_say_what_is_recorded<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let patch = |number: usize, value: f64| {
        let datum = Some(Datum::Property(value.into()));
        let patch = InstancePatch { datum, ..InstancePatch::default() };
        let edits = AttributePatch(vec![InstanceEdit::Put(patch)]);
        let attributes = vec![(attribute_name(number), edits)];
        Fragment { attributes, ..Fragment::default() }
    };
    let append = |number, value| {
        let fragment = patch(number, value);
        Write::new(entity_id(1), Action::Append { fragment, overwrite: true })
    };
    write(&*store, create(bare_entity(1, 1)), at(0)).await.unwrap();
    let shelf = Shelf::of(&HERE, HISTORY_RULES);
    let only = serde_json::json!({"record": {"only": [attribute_name(1).as_str()]}});
    let mut now = 10;
    for (key, rule, recorded) in [
        (None, None, [1, 1]),
        (Some(EVERY_TYPE), Some(serde_json::json!({"record": "none"})), [1, 1]),
        (Some(type_name(1).as_str()), Some(only), [1, 2]),
        (Some(type_name(1).as_str()), None, [1, 2]),
        (Some(EVERY_TYPE), None, [2, 3]),
    ] {
        match (key, rule) {
            (Some(key), Some(rule)) => store.put_record(&shelf, key, rule).await.unwrap(),
            (Some(key), None) => drop(store.take_record(&shelf, key).await.unwrap()),
            _ => {}
        }
        for number in [0, 1] {
            now += 1;
            write(&*store, append(number, 1.0), at(now)).await.unwrap().after.unwrap();
        }
        for (number, count) in recorded.into_iter().enumerate() {
            assert_eq!(line(&*store, 1, number).await.len(), count, "{key:?} {number}");
        }
    }
}

/// Everything that was recorded is there after a restart.
pub async fn history_survives_a_restart<B: Backend>() {
    let backend = B::start().await;
    let all = numbers((0..3_000).map(|n| (n, n as f64)));
    tell(&*backend.store(), 0, HistoryAction::Upsert(all), at(0)).await.unwrap();
    backend.settle().await;
    let few = numbers((3_000..3_010).map(|n| (n, n as f64)));
    tell(&*backend.store(), 0, HistoryAction::Append(few), at(1)).await.unwrap();
    let backend = backend.restart().await;
    let store = backend.store();
    let expected: Vec<f64> = (0..3_010).map(f64::from).collect();
    assert_eq!(values(&line(&*store, 0, 0).await), expected);
    let more = numbers([(9_000, 1.0)]);
    assert!(!tell(&*store, 0, HistoryAction::Upsert(more), at(2)).await.unwrap().created);
    assert_eq!(line(&*store, 0, 0).await.len(), 3_011);
}

/// The instants of what was recorded are told as they came, packed or not, before and after a
/// restart.
pub async fn recorded_instants_keep_their_decimals<B: Backend>() {
    let backend = B::start().await;
    let instances = WRITTEN.iter().map(|text| {
        let mut instance = Instance::new(Datum::Property(1.5.into()));
        instance.observed_at = Some(text.parse().unwrap());
        instance
    });
    let scopes = vec![(Vec::new(), Some(WRITTEN[1].parse().unwrap()))];
    let told = Chronology {
        types: vec![type_name(0)],
        scopes,
        attributes: vec![(attribute_name(0), instances.collect())],
    };
    tell(&*backend.store(), 0, HistoryAction::Upsert(told), at(0)).await.unwrap();
    let times = |all: Vec<Recorded>| -> Vec<String> {
        all.iter().map(|one| one.instance.observed_at.unwrap().to_string()).collect()
    };
    assert_eq!(times(line(&*backend.store(), 0, 0).await), WRITTEN);
    backend.settle().await;
    assert_eq!(times(line(&*backend.store(), 0, 0).await), WRITTEN);
    let backend = backend.restart().await;
    assert_eq!(times(line(&*backend.store(), 0, 0).await), WRITTEN);
}
