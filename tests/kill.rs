//! No acknowledged write is lost when the process is killed, and the store is whole afterwards.
//!
//! A writer (this same program, told so by its environment) says on its standard output what was
//! acknowledged, until it is killed without warning; then the store is opened and asked.

#![expect(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

#[path = "support/killed.rs"]
mod killed;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lanna::model::{
    Action, Attribute, Attributes, Chronology, Datum, Entity, EntityId, HistoryAction,
    HistoryWrite, Instance, Name, Number, OneOrMany, TenantId, TimeProperty, Timestamp, Value,
    Write,
};
use lanna::query::{EntityPlan, HistoryPlan, Line, Page, Selector, Window};
use lanna::store::Store;
use lanna::store::embedded::{Embedded, Settings};

const KILLS: u64 = 50;
const TASKS: u64 = 8;
const BATCH: u64 = 5;
const FOLDER: &str = "LANNA_KILL_FOLDER";
const ROUND: &str = "LANNA_KILL_ROUND";

fn value_name() -> Name {
    Name::intern("https://example.org/value").unwrap()
}

fn id(task: u64, member: u64) -> EntityId {
    EntityId::parse(&format!("urn:ngsi-ld:Thing:{task}:{member}")).unwrap()
}

/// What the step of a task leaves of its entities: nothing, or their value.
fn left_by(step: u64) -> Option<i64> {
    (step % 7 != 6).then_some(step as i64)
}

/// How many readings a step adds to the past of its task's station.
const READINGS: u64 = 100;

fn station(task: u64) -> EntityId {
    EntityId::parse(&format!("urn:ngsi-ld:Station:{task}")).unwrap()
}

/// When a reading of a step was taken.
fn taken(step: u64, reading: u64) -> Timestamp {
    Timestamp::from_micros(((step * READINGS + reading) * 1_000_000) as i64)
}

/// The readings of a step.
fn readings(task: u64, step: u64) -> HistoryWrite {
    let instances = (0..READINGS).map(|reading| {
        let mut instance = Instance::new(Datum::Property(Value::from(reading as f64)));
        instance.observed_at = Some(taken(step, reading));
        instance
    });
    let told = Chronology {
        types: vec![Name::intern("https://example.org/Station").unwrap()],
        scopes: Vec::new(),
        attributes: vec![(value_name(), instances.collect())],
    };
    HistoryWrite { id: station(task), action: HistoryAction::Upsert(told) }
}

/// How many readings a station has from a step on.
async fn readings_from(store: &Embedded, task: u64, step: u64) -> u64 {
    let select = vec![Selector { ids: vec![station(task)], ..Selector::default() }];
    let window =
        Window { property: TimeProperty::ObservedAt, from: Some(taken(step, 0)), to: None };
    let entities = EntityPlan { select, ..EntityPlan::default() };
    let plan = HistoryPlan { entities, window, ..HistoryPlan::default() };
    let found = store.evolve(&TenantId::DEFAULT, &plan, Timestamp::now()).await.unwrap();
    let lines = found.told.evolutions.iter().flat_map(|one| &one.attributes);
    lines
        .map(|(_, line)| match line {
            Line::Instances(all) => all.len() as u64,
            Line::Cut(_) | Line::Aggregates(_) => 0,
        })
        .sum()
}

fn write(task: u64, member: u64, step: u64) -> Write {
    let Some(value) = left_by(step) else { return Write::new(id(task, member), Action::Delete) };
    let value = Value::Number(Number::Int(value));
    let mut attributes = Attributes::new();
    let instance = Instance::new(Datum::Property(value));
    attributes.insert(value_name(), Attribute::one(instance));
    // Something to make the journal grow, so that it is rotated now and then.
    let filler = Value::from("เติม".repeat(100).as_str());
    let filler = Attribute::one(Instance::new(Datum::Property(filler)));
    attributes.insert(Name::intern("https://example.org/filler").unwrap(), filler);
    let entity = Entity {
        id: id(task, member),
        types: OneOrMany::One(Name::intern("https://example.org/Thing").unwrap()),
        scopes: Vec::new(),
        attributes,
        created_at: Timestamp::now(),
        modified_at: Timestamp::now(),
        expires_at: None,
    };
    Write::new(entity.id.clone(), Action::Upsert(entity))
}

/// Tasks write step after step, each a batch, and say so when it is acknowledged.
#[test]
#[ignore = "is killed; the other test starts it"]
fn writer() {
    let (Ok(folder), Ok(round)) = (std::env::var(FOLDER), std::env::var(ROUND)) else { return };
    let first: u64 = round.parse::<u64>().unwrap() * 1_000_000;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Arc::new(Embedded::open(Settings::new(folder)).unwrap());
        let tasks = (0..TASKS).map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for step in first.. {
                    let writes = (0..BATCH).map(|member| write(task, member, step)).collect();
                    store.commit(&TenantId::DEFAULT, writes, Timestamp::now()).await.unwrap();
                    let past = vec![readings(task, step)];
                    let told = store.commit_history(&TenantId::DEFAULT, past, Timestamp::now());
                    told.await.unwrap().remove(0).unwrap();
                    killed::say_done(task, step);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
}

/// Lets a writer write for a while, kills it, and returns the last step acknowledged to each task.
fn write_and_kill(folder: &Path, round: u64) -> HashMap<u64, u64> {
    let number = round.to_string();
    let mut writer = killed::writer(&[(FOLDER, folder.to_str().unwrap()), (ROUND, &number)]);
    // Somewhere within the first few batches, or well after.
    let patience = Duration::from_millis((round * 37) % 120);
    let done = killed::killed_after(writer.spawn().unwrap(), patience);
    assert!(!done.is_empty(), "the writer wrote nothing in round {round}");
    done.into_iter().collect()
}

#[test]
fn no_acknowledged_write_is_lost_by_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut expected: HashMap<u64, u64> = HashMap::new();
    for round in 1..=KILLS {
        expected.extend(write_and_kill(folder.path(), round));
        let opened = Instant::now();
        let store = Embedded::open(Settings::new(folder.path())).unwrap();
        assert!(opened.elapsed() < Duration::from_secs(20));
        runtime.block_on(check(&store, &expected, round * 1_000_000));
    }
}

async fn check(store: &Embedded, expected: &HashMap<u64, u64>, first: u64) {
    let (here, now) = (TenantId::DEFAULT, Timestamp::now());
    let mut there = 0;
    for (task, step) in expected {
        let mut values = Vec::new();
        for member in 0..BATCH {
            let entity = store.get(&here, &id(*task, member), now).await.unwrap();
            there += u64::from(entity.is_some());
            values.push(entity.map(|entity| {
                match &entity.attributes.get(value_name()).unwrap().instances()[0].datum {
                    Datum::Property(Value::Number(Number::Int(value))) => *value,
                    other => panic!("{other:?} was never written"),
                }
            }));
        }
        // The step after may have reached the disk before its acknowledgement reached us.
        let whole = |step: u64| values.iter().all(|value| *value == left_by(step));
        let after = if *step < first { first } else { step + 1 };
        assert!(whole(*step) || whole(after), "task {task}, step {step}: {values:?}");
        if *step >= first {
            let past = readings_from(store, *task, first).await;
            let done = (step - first + 1) * READINGS;
            assert!(past == done || past == done + READINGS, "task {task}: {past} of {done}");
        }
    }
    let page = Page { count: true, ..Page::default() };
    let found =
        store.find(&here, &EntityPlan { page, ..EntityPlan::default() }, now).await.unwrap();
    let stations = found.entities.iter().filter(|one| one.id.as_str().contains(":Station:"));
    let there = there + stations.count() as u64;
    assert_eq!((found.entities.len() as u64, found.count), (there, Some(there)));
}
