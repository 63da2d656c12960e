//! What only MongoDB promises of history; the rest is in the suite.

use std::time::Instant;

use mongodb::bson::{Document, doc};
use serde_json::json;

use super::super::tests::{All, Own, settings};
use super::super::write::command;
use super::*;
use crate::model::{
    Action, AttributePatch, Chronology, Datum, Fragment, HistoryAction, HistoryWrite, Instance,
    InstanceEdit, InstancePatch, TimeProperty, Timestamp, Value, Write,
};
use crate::query::{EntityPlan, HistoryPlan, Line, Selector, Window};
use crate::store::samples::{at, attribute_name, bare_entity, entity_id, type_name};
use crate::store::{EVERY_TYPE, Store};

const HERE: TenantId = TenantId::DEFAULT;

/// Sets an attribute of an entity, as a PATCH does.
fn set(id: usize, value: Value) -> Write {
    let datum = Some(Datum::Property(value));
    let patch = InstancePatch { datum, ..InstancePatch::default() };
    let edits = AttributePatch(vec![InstanceEdit::Put(patch)]);
    let attributes = vec![(attribute_name(0), edits)];
    let fragment = Fragment { attributes, ..Fragment::default() };
    Write::new(entity_id(id), Action::Append { fragment, overwrite: true })
}

async fn write(own: &Own, write: Write, now: Timestamp) {
    own.store().commit(&HERE, vec![write], now).await.unwrap().remove(0).unwrap();
}

fn create(id: usize) -> Write {
    Write::new(entity_id(id), Action::Create(bare_entity(id, 0)))
}

/// How many instances of the attribute are told.
async fn told(own: &Own, id: usize) -> usize {
    let ids = vec![entity_id(id)];
    let plan = HistoryPlan {
        entities: EntityPlan {
            select: vec![Selector { ids, ..Selector::default() }],
            ..EntityPlan::default()
        },
        window: Window { property: TimeProperty::Placed, ..Window::default() },
        ..HistoryPlan::default()
    };
    let found = own.store().evolve(&HERE, &plan, at(0)).await.unwrap();
    let lines = found.told.evolutions.into_iter().flat_map(|one| one.attributes);
    lines
        .map(|(_, line)| match line {
            Line::Instances(all) => all.len(),
            other => panic!("{other:?}"),
        })
        .sum()
}

async fn document(own: &Own, id: usize) -> Document {
    let entities = own.inner().entities.clone_with_type::<Document>();
    let by_id = doc! { "_id": super::super::read::key(&HERE, &entity_id(id)) };
    entities.find_one(by_id).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_are_folded_when_they_are_many() {
    let own = Own::start().await;
    write(&own, create(0), at(0)).await;
    for step in 0..FOLD as i64 * 2 {
        write(&own, set(0, step.into()), at(step)).await;
    }
    // Folding goes on beside the writes.
    while document(&own, 0).await.get_array("o").map_or(0, |notes| notes.len()) >= FOLD as usize {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(told(&own, 0).await, FOLD as usize * 2);
    own.store().pack_all().await.unwrap();
    let document = document(&own, 0).await;
    for name in ["o", "hn", "f"] {
        assert!(!document.contains_key(name), "{name}");
    }
    assert_eq!(told(&own, 0).await, FOLD as usize * 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_large_is_recorded_and_folded_before_it_is_in_the_way() {
    let own = Own::start().await;
    write(&own, create(0), at(0)).await;
    let large = "x".repeat(3 << 20);
    for step in 0..8 {
        write(&own, set(0, Value::from(format!("{step}{large}").as_str())), at(step)).await;
    }
    assert_eq!(told(&own, 0).await, 8);
    // What is gone is remembered, too.
    write(&own, Write::new(entity_id(0), Action::Delete), at(9)).await;
    assert_eq!(told(&own, 0).await, 9);
    own.store().pack_all().await.unwrap();
    assert_eq!(told(&own, 0).await, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_large_makes_room_by_itself_where_changes_are_told_of_too() {
    // Nobody folds beside the writes: who finds no room has to make it.
    let own = Own::with(super::super::Settings { folds: false, ..settings() }).await;
    own.store().watch(Arc::new(All));
    write(&own, create(0), at(0)).await;
    write(&own, create(1), at(0)).await;
    let large = "x".repeat(3 << 20);
    for step in 0..8 {
        let change = set(0, Value::from(format!("{step}{large}").as_str()));
        let writes = vec![change, set(1, step.into())];
        let done = own.store().commit(&HERE, writes, at(step)).await.unwrap();
        assert!(done.iter().all(Result::is_ok), "{step}");
    }
    assert_eq!((told(&own, 0).await, told(&own, 1).await), (8, 8));
    for id in 0..2 {
        write(&own, Write::new(entity_id(id), Action::Delete), at(9)).await;
        assert_eq!(told(&own, id).await, 9);
    }
    assert_eq!(own.store().latest_event().await.unwrap(), 20, "each is told once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_readings_are_thinned_to_hours() {
    let own = Own::start().await;
    let store = own.store();
    let rule = json!({"keep": [{"rawDays": 10, "hourlyDays": 100}]});
    store.put_record(&Shelf::of(&HERE, HISTORY_RULES), EVERY_TYPE, rule).await.unwrap();
    let day = 24 * 3_600;
    let instances = (0..20 * 24 * 4).map(|quarter| {
        let mut instance = Instance::new(Datum::Property((quarter as f64).into()));
        instance.observed_at = Some(at(-20 * day + quarter * 900));
        instance
    });
    let attributes = vec![(attribute_name(0), instances.collect())];
    let types = vec![type_name(0)];
    let action = HistoryAction::Upsert(Chronology { types, attributes, ..Chronology::default() });
    let write = HistoryWrite { id: entity_id(0), action };
    store.commit_history(&HERE, vec![write], at(-5)).await.unwrap().remove(0).unwrap();
    assert_eq!(told(&own, 0).await, 20 * 24 * 4);
    store.thin(at(0)).await.unwrap();
    let thinned = told(&own, 0).await;
    // The last ten days and what of a day lies before them as it came, the rest by hours.
    assert!((10 * 96 + 9 * 24..=11 * 96 + 11 * 24).contains(&thinned), "{thinned}");
    store.thin(at(0)).await.unwrap();
    assert_eq!(told(&own, 0).await, thinned);
}

/// Takes a while: `cargo test --lib what_recording_costs -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn what_recording_costs() {
    const ROUNDS: usize = 5;
    const STEPS: usize = 200;
    let own = Own::with(super::super::Settings { ..settings() }).await;
    let store = own.store();
    for number in [0, 1] {
        write(&own, create(number), at(0)).await;
    }
    let none = json!({"record": "none"});
    let shelf = Shelf::of(&HERE, HISTORY_RULES);
    let log = own.inner().database.collection::<Document>("log");
    own.inner().database.create_collection("log").await.unwrap();
    let mut times = [Duration::ZERO; 3];
    for round in 0..ROUNDS {
        for (way, time) in times.iter_mut().enumerate() {
            match way {
                0 => store.put_record(&shelf, EVERY_TYPE, none.clone()).await.unwrap(),
                _ => drop(store.take_record(&shelf, EVERY_TYPE).await.unwrap()),
            }
            let begun = Instant::now();
            for step in 0..STEPS {
                let value = (round * STEPS + step) as i64;
                if way < 2 {
                    write(&own, set(way, value.into()), at(value)).await;
                    continue;
                }
                // The same update with a document for the write, in a transaction.
                let mut session = own.inner().client.start_session().await.unwrap();
                session.start_transaction().await.unwrap();
                let held = own.inner().read_one(&HERE, &entity_id(0)).await.unwrap();
                let circumstances = own.inner().circumstances(&HERE, at(value), None);
                let writes = vec![(0, set(0, (value + 1_000_000).into()))];
                let decided = circumstances.decide(&entity_id(0), &writes, held).unwrap();
                let command = command(&[(&HERE, &decided)], true);
                let run = own.inner().database.run_raw_command(command).session(&mut session);
                run.await.unwrap();
                let one = doc! { "i": "urn:x:1", "r": "x".repeat(100) };
                log.insert_one(one).session(&mut session).await.unwrap();
                session.commit_transaction().await.unwrap();
            }
            *time += begun.elapsed();
        }
    }
    for (name, time) in
        ["not recorded", "recorded in the document", "in a transaction"].into_iter().zip(times)
    {
        let micros = time.as_micros() / (ROUNDS * STEPS) as u128;
        eprintln!("{name}: {micros} µs a write");
    }
}
