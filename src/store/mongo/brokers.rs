//! Several brokers on one database are as one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mongodb::bson::doc;
use serde_json::json;
use tokio::sync::mpsc;

use super::tests::{All, settings};
use super::{Mongo, Settings};
use crate::model::{
    Action, Change, EntityId, Outcome, Refusal, Stored, TenantId, TimeProperty, Write,
};
use crate::query::{EntityPlan, HistoryPlan, Line, Page, Selector, Window};
use crate::store::samples::{at, attribute_name, bare_entity, entity_id, property};
use crate::store::{EVERY_TYPE, HISTORY_RULES, Note, RecordChange, RecordEdit, Shelf, Store};
use crate::store::{StoreError, Topic};

const HERE: TenantId = TenantId::DEFAULT;

/// Three brokers, and the database they share, removed in the end.
struct Three {
    brokers: Vec<Arc<Mongo>>,
}

impl Three {
    async fn start() -> Self {
        Self::with(settings()).await
    }

    /// All start at once, in a database that is not there yet.
    async fn with(settings: Settings) -> Self {
        let open = |_| tokio::spawn(Mongo::open(settings.clone()));
        let mut brokers = Vec::new();
        for opened in (0..3).map(open).collect::<Vec<_>>() {
            brokers.push(Arc::new(opened.await.unwrap().unwrap()));
        }
        Self { brokers }
    }

    async fn end(self) {
        self.brokers[0].inner.database.drop().await.unwrap();
    }
}

fn create(id: usize) -> Write {
    Write::new(entity_id(id), Action::Create(bare_entity(id, 0)))
}

fn set(id: usize, attribute: usize, value: i64) -> Write {
    let mut entity = bare_entity(id, 0);
    entity.attributes.insert(attribute_name(attribute), property(value));
    let fragment = crate::model::Fragment {
        attributes: entity
            .attributes
            .into_iter()
            .map(|(name, attribute)| {
                let edits = attribute.instances().iter().map(|instance| {
                    crate::model::InstanceEdit::Put(crate::model::InstancePatch {
                        kind: Some(instance.kind()),
                        datum: Some(instance.datum.clone()),
                        ..Default::default()
                    })
                });
                (name, crate::model::AttributePatch(edits.collect()))
            })
            .collect(),
        ..Default::default()
    };
    Write::new(entity_id(id), Action::Append { fragment, overwrite: true })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_three_brokers_to_one_entity_lose_nothing() {
    let three = Three::start().await;
    three.brokers[0].commit(&HERE, vec![create(0)], at(0)).await.unwrap()[0].as_ref().unwrap();
    let tasks = three.brokers.iter().enumerate().map(|(number, broker)| {
        let (broker, other) = (broker.clone(), three.brokers[(number + 1) % 3].clone());
        tokio::spawn(async move {
            for step in 0..25 {
                let attribute = 100 * (number + 1) + step;
                let write = vec![set(0, attribute, 1)];
                broker.commit(&HERE, write, at(1)).await.unwrap()[0].as_ref().unwrap();
                let seen = other.get(&HERE, &entity_id(0), at(1)).await.unwrap().unwrap();
                let own = attribute_name(attribute);
                assert!(seen.attributes.get(own).is_some(), "others see it at once");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let entity = three.brokers[2].get(&HERE, &entity_id(0), at(1)).await.unwrap().unwrap();
    assert_eq!(entity.attributes.len(), 75);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_three_brokers_create_is_met_once_by_pages() {
    let three = Three::start().await;
    let tenant = TenantId::named("shared").unwrap();
    let tasks = three.brokers.iter().enumerate().map(|(number, broker)| {
        let (broker, tenant) = (broker.clone(), tenant.clone());
        tokio::spawn(async move {
            for step in 0..20 {
                let ids = (0..5).map(|id| number * 100 + step * 5 + id);
                let writes = ids.map(create).collect();
                let results = broker.commit(&tenant, writes, at(0)).await.unwrap();
                assert!(results.iter().all(Result::is_ok));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let (mut met, mut after) = (BTreeSet::<EntityId>::new(), None);
    for turn in 0.. {
        let page = Page { offset: 0, limit: 7, count: true, after };
        let plan = EntityPlan { page, ..EntityPlan::default() };
        let found = three.brokers[turn % 3].find(&tenant, &plan, at(0)).await.unwrap();
        assert_eq!(found.count, Some(300));
        for entity in &found.entities {
            assert!(met.insert(entity.id.clone()), "met twice: {}", entity.id);
        }
        let Some(next) = found.next else { break };
        after = Some(next);
    }
    assert_eq!(met.len(), 300);
    // A create that another broker was faster with is refused.
    let late = three.brokers[1].commit(&tenant, vec![create(0)], at(1)).await.unwrap();
    assert!(late[0].is_err());
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_hears_what_others_do_to_records() {
    hears_what_others_do(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_change_streams_hears_it_too() {
    hears_what_others_do(false).await;
}

async fn hears_what_others_do(streams: bool) {
    let three = Three::with(Settings { streams, ..settings() }).await;
    let (told, mut heard) = mpsc::channel(10);
    three.brokers[2].on_records(told);
    let tenant = TenantId::named("ลำปาง").unwrap();
    let shelf = Shelf::of(&tenant, "things");
    three.brokers[0].put_record(&shelf, "k.$", json!({"a.b": {"$c": u64::MAX}})).await.unwrap();
    let expected = RecordChange { shelf: "things".into(), tenant: Some(tenant), key: "k.$".into() };
    let wait = Duration::from_secs(60);
    assert_eq!(tokio::time::timeout(wait, heard.recv()).await.unwrap(), Some(expected.clone()));
    let read = three.brokers[2].record(&shelf, "k.$").await.unwrap();
    assert_eq!(read, Some(json!({"a.b": {"$c": u64::MAX}})));
    assert!(three.brokers[1].take_record(&shelf, "k.$").await.unwrap());
    loop {
        // A change that was under way when listening began may be told twice.
        let change = tokio::time::timeout(wait, heard.recv()).await.unwrap();
        assert_eq!(change, Some(expected.clone()));
        if three.brokers[2].record(&shelf, "k.$").await.unwrap().is_none() {
            break;
        }
    }
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_held_by_one_and_taken_over_when_it_is_over() {
    let three = Three::start().await;
    let [one, two, _] = &three.brokers[..] else { unreachable!() };
    let long = Duration::from_secs(3_600);
    assert!(one.claim("slot", "one", long).await.unwrap());
    assert!(!two.claim("slot", "two", long).await.unwrap());
    assert!(one.claim("slot", "one", Duration::from_millis(1)).await.unwrap());
    while !two.claim("slot", "two", long).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!one.claim("slot", "one", long).await.unwrap());
    one.release("slot", "one").await.unwrap();
    assert!(!one.claim("slot", "one", long).await.unwrap(), "only the holder gives it back");
    two.release("slot", "two").await.unwrap();
    assert!(one.claim("slot", "one", long).await.unwrap());
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_start_at_once_make_each_index_once() {
    let three = Three::start().await;
    let others = (0..4).map(|_| tokio::spawn(Mongo::open(three.brokers[0].inner.settings.clone())));
    for other in others.collect::<Vec<_>>() {
        other.await.unwrap().unwrap();
    }
    let names = three.brokers[0].inner.entities.list_index_names().await.unwrap();
    let distinct: BTreeSet<&String> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    for name in ["pages_1", "values_1", "places_1", "noted_1", "recent_1", "fold_1"] {
        assert!(names.iter().any(|own| own == name), "{names:?}");
    }
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_in_the_midst_of_a_transaction_is_in_nobodys_way() {
    let three = Three::start().await;
    let shelf = Shelf::of(&HERE, "things");
    let note = |step: u64| {
        let change = Change {
            id: entity_id(0),
            at: at(step as i64),
            before: None,
            after: Some(Stored::new(bare_entity(0, 0))),
            outcome: Outcome::default(),
        };
        Note { topic: Topic::Registration, change }
    };
    for step in 0..60 {
        let key = format!("given up {step}");
        let edit = RecordEdit::Add(json!(step));
        let begun = three.brokers[0].note_record(&shelf, &key, edit, vec![note(step)]);
        let given_up = tokio::time::timeout(Duration::from_micros(100 * step), begun).await;
        assert!(given_up.is_err() || given_up.is_ok_and(|done| done.is_ok()));
        // What it has numbered must not stay numbered for a minute.
        let (key, edit) = (format!("next {step}"), RecordEdit::Add(json!(step)));
        let next = three.brokers[1].note_record(&shelf, &key, edit, vec![note(step)]).await;
        assert_eq!(next, Ok(true), "after {step}");
    }
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_run_have_different_numbers() {
    let three = Three::start().await;
    let first = &three.brokers[0].inner;
    let settings = first.settings.clone();
    // As many brokers have started since as there are numbers.
    let before = first.number.load(Ordering::Relaxed) + 1_023;
    let counted = doc! { "$set": { "n": before } };
    first.meta.update_one(doc! { "_id": "brokers" }, counted).await.unwrap();
    let another = Mongo::open(settings).await.unwrap();
    let mut bits: Vec<i64> =
        three.brokers.iter().map(|one| one.inner.clock.stamp() & 1_023).collect();
    bits.push(another.inner.clock.stamp() & 1_023);
    bits.sort_unstable();
    bits.dedup();
    assert_eq!(bits.len(), 4);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_newer_broker_has_raised_the_format_older_ones_serve_no_more() {
    let three = Three::start().await;
    three.brokers[0].commit(&HERE, vec![create(0)], at(0)).await.unwrap()[0].as_ref().unwrap();
    let raised = doc! { "$set": { "version": 99 } };
    let format = doc! { "_id": "format" };
    three.brokers[0].inner.meta.update_one(format, raised).await.unwrap();
    for broker in &three.brokers {
        while broker.check().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let refused = [
            broker.commit(&HERE, vec![create(1)], at(0)).await.map(drop),
            broker.get(&HERE, &entity_id(0), at(0)).await.map(drop),
            broker.put_record(&Shelf::shared("things"), "k", json!(1)).await,
        ];
        for refused in refused {
            let Err(StoreError::Unusable(why)) = refused else { panic!("{refused:?}") };
            assert!(why.contains("format 99"), "{why}");
        }
    }
    let Err(refused) = Mongo::open(three.brokers[0].inner.settings.clone()).await else {
        panic!("it opened")
    };
    assert!(refused.to_string().contains("format 99"), "{refused}");
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_url_says_the_primary_is_read() {
    let settings = settings();
    let url = format!("{}&readPreference=secondary&readConcernLevel=linearizable", settings.url);
    let three = Three::with(Settings { url, ..settings }).await;
    three.brokers[0].commit(&HERE, vec![create(0)], at(0)).await.unwrap()[0].as_ref().unwrap();
    assert!(three.brokers[1].get(&HERE, &entity_id(0), at(0)).await.unwrap().is_some());
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_no_event_can_hold_is_refused() {
    let three = Three::start().await;
    let broker = &three.brokers[0];
    broker.watch(Arc::new(All));
    let large = |numbers: std::ops::Range<usize>| {
        let text = "x".repeat(1 << 20);
        numbers.map(move |number| (attribute_name(number), property(text.as_str())))
    };
    let mut entity = bare_entity(0, 0);
    large(0..4).for_each(|(name, attribute)| drop(entity.attributes.insert(name, attribute)));
    let begun = Write::new(entity_id(0), Action::Create(entity.clone()));
    broker.commit(&HERE, vec![begun], at(0)).await.unwrap()[0].as_ref().unwrap();
    large(4..8).for_each(|(name, attribute)| drop(entity.attributes.insert(name, attribute)));
    let grown = Write::new(entity_id(0), Action::Replace(entity));
    broker.commit(&HERE, vec![grown], at(0)).await.unwrap()[0].as_ref().unwrap();
    // The event holds it as it was and as it is.
    let both = broker.commit(&HERE, vec![set(0, 10, 1), create(1)], at(1)).await.unwrap();
    assert!(matches!(both[0], Err(Refusal::TooLarge(_))) && both[1].is_ok());
    let there = broker.get(&HERE, &entity_id(0), at(1)).await.unwrap().unwrap();
    assert_eq!(there.attributes.len(), 8);
    let gone = Write::new(entity_id(0), Action::Delete);
    broker.commit(&HERE, vec![gone], at(2)).await.unwrap()[0].as_ref().unwrap();
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_one_whoever_writes_and_folds_it() {
    let three = Three::start().await;
    three.brokers[0].commit(&HERE, vec![create(0)], at(0)).await.unwrap()[0].as_ref().unwrap();
    let tasks = three.brokers.iter().enumerate().map(|(number, broker)| {
        let broker = broker.clone();
        tokio::spawn(async move {
            for step in 0..40 {
                let write = vec![set(0, 7, (number * 100 + step) as i64)];
                broker.commit(&HERE, write, at(1)).await.unwrap()[0].as_ref().unwrap();
                if step % 10 == number {
                    broker.pack_all().await.unwrap();
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let ids = vec![entity_id(0)];
    let plan = HistoryPlan {
        entities: EntityPlan {
            select: vec![Selector { ids, ..Selector::default() }],
            ..EntityPlan::default()
        },
        window: Window { property: TimeProperty::Placed, ..Window::default() },
        ..HistoryPlan::default()
    };
    for broker in &three.brokers {
        let found = broker.evolve(&HERE, &plan, at(2)).await.unwrap();
        let Line::Instances(all) = &found.told.evolutions[0].attributes[0].1 else {
            panic!("{found:?}")
        };
        assert_eq!(all.len(), 120, "each write is recorded, and once");
    }
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_of_history_are_heard_of_by_others() {
    let three = Three::start().await;
    let (told, mut heard) = mpsc::channel(10);
    three.brokers[2].on_records(told);
    three.brokers[2].commit(&HERE, vec![create(0)], at(0)).await.unwrap()[0].as_ref().unwrap();
    let shelf = Shelf::of(&HERE, HISTORY_RULES);
    let none = json!({"record": "none"});
    three.brokers[0].put_record(&shelf, EVERY_TYPE, none).await.unwrap();
    heard.recv().await.unwrap();
    let rules = three.brokers[2].inner.history_rules(&HERE).await.unwrap().unwrap();
    assert!(!rules.records_any(&[]));
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expiry_is_told_once_though_three_sweep() {
    let three = Three::start().await;
    three.brokers.iter().for_each(|broker| broker.watch(Arc::new(All)));
    let writes = (0..40).map(|id| {
        let mut entity = bare_entity(id, 0);
        entity.expires_at = Some(at(10));
        Write::new(entity_id(id), Action::Create(entity))
    });
    three.brokers[0].commit(&HERE, writes.collect(), at(0)).await.unwrap();
    let sweeps = three.brokers.iter().map(|broker| {
        let broker = broker.clone();
        tokio::spawn(async move { broker.sweep(at(20)).await.unwrap() })
    });
    for sweep in sweeps.collect::<Vec<_>>() {
        sweep.await.unwrap();
    }
    three.brokers[1].sweep(at(20)).await.unwrap();
    let events = three.brokers[2].events(0, 1_000).await.unwrap();
    assert!(events.is_sorted_by(|a, b| a.sequence < b.sequence));
    let ended = events.iter().filter(|event| event.change.after.is_none());
    let ids: Vec<_> = ended.map(|event| event.change.id.clone()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 40);
    assert_eq!(ids.len(), 40, "each ends once");
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_does_not_write_over_its_successor() {
    let three = Three::start().await;
    let shelf = Shelf::shared("delivery-slots");
    let put = async |broker: usize, value: i64, fence: u64| {
        let store = &three.brokers[broker];
        store.put_fenced(&shelf, "1", json!({"a": value}), fence).await.unwrap()
    };
    assert!(put(0, 1, 5).await && put(0, 2, 5).await, "it may change its own");
    assert!(put(1, 3, 7).await, "another takes over");
    assert!(!put(0, 4, 5).await && !put(0, 4, 6).await);
    let record = three.brokers[2].record(&shelf, "1").await.unwrap();
    assert_eq!(record, Some(json!({"a": 3})));
    // What was taken away leaves a mark, which fences off as well.
    assert!(three.brokers[2].take_record(&shelf, "1").await.unwrap());
    assert!(!put(0, 5, 5).await && put(1, 6, 7).await);
    // Whoever begins it at the same time is in nobody's way.
    for key in ["a", "b", "c", "d"] {
        let begin = three.brokers.iter().map(|broker| broker.put_fenced(&shelf, key, json!(1), 3));
        let begun = futures_util::future::join_all(begin).await;
        assert!(begun.into_iter().all(|begun| begun.unwrap()), "{key}");
    }
    three.end().await;
}
