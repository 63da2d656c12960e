//! No reading that was acknowledged goes without the value that is derived from it, and none has two,
//! when the process is killed between the two.
//!
//! A writer (this same program, told so by its environment) upserts readings of rivers while their
//! situation is derived, until it is killed without warning. In the end everything is derived, by a
//! broker that lives: each reading that is recorded has one level, of the band it lies in.

#![expect(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

#[path = "support/killed.rs"]
mod killed;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lanna::broker::Broker;
use lanna::config::Config;
use lanna::derive::Deriver;
use lanna::jsonld::{Document, ParseLimits, shipped_context};
use lanna::model::{
    Action, Datum, Entity, EntityId, Name, TenantId, TimeProperty, Timestamp, Value, Write,
};
use lanna::query::{EntityPlan, HistoryPlan, Line, Projection, Selector, Term, Window};
use lanna::represent::{Reader, Reading};
use lanna::store::Store;
use lanna::store::embedded::{Embedded, Settings};
use serde_json::json;

const ROUNDS: u64 = 20;
const RIVERS: u64 = 3;
const FOLDER: &str = "LANNA_DERIVE_FOLDER";
const ROUND: &str = "LANNA_DERIVE_ROUND";

/// Readings of a round begin so many seconds after those of the one before.
const APART: u64 = 10_000;

fn id(river: u64) -> EntityId {
    EntityId::parse(&format!("urn:ngsi-ld:WaterObserved:{river}")).unwrap()
}

fn name(term: &str) -> Name {
    shipped_context("mae-moh").unwrap().expand(term).unwrap()
}

fn at(step: u64) -> Timestamp {
    let begin: Timestamp = "2026-03-12T00:00:00Z".parse().unwrap();
    begin.plus_micros(step as i64 * 1_000_000)
}

/// How full the river is, in per cent, and the level that the table has for it.
fn reading(step: u64) -> (i64, i64) {
    [(5, 1), (25, 2), (60, 3), (95, 4), (120, 5)][step as usize % 5]
}

fn river(river: u64, step: u64) -> Entity {
    let observed =
        json!({ "value": reading(step).0, "unitCode": "P1", "observedAt": at(step).to_string() });
    let text = json!({
        "id": id(river).as_str(), "type": "WaterObserved", "storagePercent": observed,
    })
    .to_string();
    let document = Document::parse(text.as_bytes(), &ParseLimits::default()).unwrap();
    let context = shipped_context("mae-moh").unwrap();
    Reader::new(&context, Reading::Whole).entity(&document).unwrap()
}

async fn broker(folder: &Path) -> (Arc<Broker>, Deriver) {
    let mut config = Config::default();
    config.store.data = folder.to_owned();
    config.derive.profiles = vec!["th".to_owned()];
    let broker = Arc::new(Broker::open(&config).await.unwrap());
    let deriver = Deriver::start(&broker, &config.derive).await.unwrap().unwrap();
    (broker, deriver)
}

#[test]
#[ignore = "is killed; the other test starts it"]
fn writer() {
    let (Ok(folder), Ok(round)) = (std::env::var(FOLDER), std::env::var(ROUND)) else { return };
    let first = round.parse::<u64>().unwrap() * APART;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (broker, _deriver) = broker(Path::new(&folder)).await;
        for step in first.. {
            for task in 0..RIVERS {
                let write = Write::new(id(task), Action::Upsert(river(task, step)));
                let store = broker.store();
                let outcomes =
                    store.commit(&TenantId::DEFAULT, vec![write], Timestamp::now()).await;
                outcomes.unwrap().remove(0).unwrap();
                killed::say_done(task, step);
            }
        }
    });
}

/// What is recorded of an attribute: by time the values, more than one if there are doubles.
async fn recorded(store: &dyn Store, river: u64, term: &str) -> BTreeMap<i64, Vec<Value>> {
    let select = vec![Selector { ids: vec![id(river)], ..Selector::default() }];
    let shown = Projection { attrs: Some(vec![Term::known(name(term))]), ..Projection::default() };
    let plan = HistoryPlan {
        entities: EntityPlan { select, ..EntityPlan::default() },
        window: Window { property: TimeProperty::Placed, ..Window::default() },
        shown,
        whatever_the_window: true,
        ..HistoryPlan::default()
    };
    let found = store.evolve(&TenantId::DEFAULT, &plan, Timestamp::now()).await.unwrap();
    let mut recorded: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
    let lines = found.told.evolutions.into_iter().flat_map(|one| one.attributes);
    for (_, line) in lines {
        let Line::Instances(all) = line else { panic!("all of them were asked for") };
        for one in all.into_iter().filter(|one| one.deleted_at.is_none()) {
            let Datum::Property(value) = &one.instance.datum else { panic!("a Property") };
            let time = one.time(TimeProperty::Placed).unwrap().micros();
            recorded.entry(time).or_default().push(value.clone());
        }
    }
    recorded
}

/// How many recorded readings have no level yet.
async fn behind(store: &dyn Store) -> usize {
    let mut behind = 0;
    for river in 0..RIVERS {
        let readings = recorded(store, river, "storagePercent").await;
        let levels = recorded(store, river, "situationLevel").await;
        behind += readings.keys().filter(|time| !levels.contains_key(time)).count();
    }
    behind
}

#[test]
fn every_acknowledged_reading_has_its_derived_value_once_whatever_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (mut done, mut between) = (Vec::new(), 0);
    for round in 1..=ROUNDS {
        let child = killed::writer(&[(FOLDER, place), (ROUND, &round.to_string())]).spawn();
        done.extend(killed::killed_after(child.unwrap(), Duration::from_millis(round * 37 % 150)));
        between += runtime.block_on(async {
            let store = Embedded::open(Settings::new(folder.path())).unwrap();
            let behind = behind(&store).await;
            store.close().await.unwrap();
            usize::from(behind > 0)
        });
    }
    assert!(between > 0, "no kill ever fell between a reading and its level");
    runtime.block_on(async {
        let (broker, deriver) = broker(folder.path()).await;
        let store = &**broker.store();
        let begun = Instant::now();
        while behind(store).await > 0 {
            assert!(
                begun.elapsed() < Duration::from_secs(120),
                "{} lack theirs",
                behind(store).await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for task in 0..RIVERS {
            let readings = recorded(store, task, "storagePercent").await;
            for (_, step) in done.iter().filter(|(own, _)| *own == task) {
                assert!(readings.contains_key(&at(*step).micros()), "river {task}, step {step}");
            }
            let levels = recorded(store, task, "situationLevel").await;
            assert_eq!(levels.len(), readings.len(), "river {task}");
            for (time, level) in &levels {
                let step = (*time - at(0).micros()) / 1_000_000;
                let expected = vec![Value::from(reading(step as u64).1)];
                assert_eq!(*level, expected, "river {task}, step {step}");
            }
        }
        deriver.close().await;
        broker.close().await.unwrap();
    });
}
