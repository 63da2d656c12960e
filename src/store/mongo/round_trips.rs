//! How often the database is asked, counted by the driver.

use std::collections::BTreeMap;
use std::sync::Arc;

use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use parking_lot::Mutex;

use super::tests::{Own, settings};
use crate::model::{
    Action, Chronology, Datum, Entity, HistoryAction, HistoryWrite, Instance, TenantId,
    TimeProperty, TypeSelection, Write,
};
use crate::query::{EntityPlan, HistoryPlan, Line, Order, Page, Selector, Window};
use crate::query::{Limits, OrderParams};
use crate::store::samples::{
    at, attribute_name, bare_entity, entity_id, place, property, type_name,
};
use crate::store::suite::queries::{context, filter, near};
use crate::store::{Explanation, FoundHistory, Store};

const HERE: TenantId = TenantId::DEFAULT;

/// A store, and what it asked of the database.
struct Counted {
    own: Own,
    commands: Arc<Mutex<Vec<String>>>,
}

impl Counted {
    async fn start() -> Self {
        let commands: Arc<Mutex<Vec<String>>> = Arc::default();
        let list = commands.clone();
        let tell = move |event: CommandEvent| {
            if let CommandEvent::Started(event) = event
                && !["hello", "ping", "endSessions"].contains(&&*event.command_name)
                // Asked every second, whatever happens: which format the database has.
                && event.command.get_str("find").ok() != Some("meta")
                // Asked every minute: whether the broker has its number still.
                && event.command.get_str("findAndModify").ok() != Some("leases")
            {
                list.lock().push(event.command_name);
            }
        };
        let settings =
            super::Settings { commands: Some(EventHandler::callback(tell)), ..settings() };
        Self { own: Own::with(settings).await, commands }
    }

    fn store(&self) -> &dyn Store {
        self.own.store()
    }

    /// What was asked since the last time.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.commands.lock())
    }

    async fn upsert(&self, ids: std::ops::Range<usize>, value: f64) {
        let writes = ids.map(|id| Write::new(entity_id(id), Action::Upsert(vehicle(id, value))));
        let done = self.store().commit(&HERE, writes.collect(), at(0)).await.unwrap();
        assert!(done.iter().all(Result::is_ok));
    }
}

fn vehicle(id: usize, value: f64) -> Entity {
    let mut entity = bare_entity(id, 0);
    entity.attributes.insert(attribute_name(0), property(value));
    entity.attributes.insert(attribute_name(1), place(99.0 + id as f64 / 1_000.0, 18.0));
    entity
}

fn of_type(limit: usize) -> EntityPlan {
    let types = Some(TypeSelection::of(type_name(0)));
    EntityPlan {
        select: vec![Selector { types, ..Selector::default() }],
        page: Page { limit, ..Page::default() },
        ..EntityPlan::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_and_changing_ask_the_database_once() {
    let counted = Counted::start().await;
    counted.upsert(0..200, 1.0).await;
    counted.asked();
    let store = counted.store();
    store.get(&HERE, &entity_id(7), at(0)).await.unwrap().unwrap();
    assert_eq!(counted.asked(), ["find"]);
    let found = store.find(&HERE, &of_type(20), at(0)).await.unwrap();
    assert_eq!((found.entities.len(), found.more), (20, true));
    assert_eq!(counted.asked(), ["find"]);
    let all = store.find(&HERE, &of_type(1_000), at(0)).await.unwrap();
    assert_eq!(all.entities.len(), 200);
    assert_eq!(counted.asked(), ["find"]);
    let filtered = EntityPlan { filter: Some(filter("a0>0")), ..of_type(20) };
    assert_eq!(store.find(&HERE, &filtered, at(0)).await.unwrap().entities.len(), 20);
    assert_eq!(counted.asked(), ["find"]);
    let around = EntityPlan { page: of_type(20).page, ..near(99.05, 18.0, 5_000) };
    assert_eq!(store.find(&HERE, &around, at(0)).await.unwrap().entities.len(), 20);
    assert_eq!(counted.asked(), ["find"]);
    let patch = Write::new(entity_id(7), Action::Drop(vec![attribute_name(0)]));
    store.commit(&HERE, vec![patch], at(1)).await.unwrap().remove(0).unwrap();
    assert_eq!(counted.asked().len(), 1, "one change of one entity");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_takes_at_most_three_round_trips() {
    let counted = Counted::start().await;
    counted.asked();
    // New ones, those that are known, and those of which this broker forgot everything.
    for value in [1.0, 2.0] {
        counted.upsert(0..100, value).await;
        let asked = counted.asked();
        assert!(asked.len() <= 3, "{asked:?}");
    }
    (0..100).for_each(|id| counted.own.inner().cache.forget(&HERE, &entity_id(id)));
    counted.upsert(0..100, 3.0).await;
    let asked = counted.asked();
    assert!(asked.len() <= 3, "{asked:?}");
}

/// A temporal query of some entities, with so many of the last instances.
fn past_of(ids: std::ops::Range<usize>, last_n: Option<usize>) -> HistoryPlan {
    let ids = ids.map(entity_id).collect();
    let select = vec![Selector { ids, ..Selector::default() }];
    HistoryPlan {
        entities: EntityPlan { select, ..EntityPlan::default() },
        window: Window { property: TimeProperty::Placed, ..Window::default() },
        last_n,
        ..HistoryPlan::default()
    }
}

fn count_of(found: &FoundHistory) -> usize {
    let lines = found.told.evolutions.iter().flat_map(|one| &one.attributes);
    lines
        .map(|(_, line)| match line {
            Line::Instances(all) => all.len(),
            other => panic!("{other:?}"),
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_of_an_entity_takes_as_many_round_trips_whatever_it_has() {
    const ATTRIBUTES: usize = 12;
    let counted = Counted::start().await;
    let store = counted.store();
    let upsert = async |id: usize, step: i64| {
        let mut entity = bare_entity(id, 0);
        for number in 0..ATTRIBUTES {
            entity.attributes.insert(attribute_name(number), property(step));
        }
        let write = Write::new(entity_id(id), Action::Upsert(entity));
        store.commit(&HERE, vec![write], at(step)).await.unwrap().remove(0).unwrap();
    };
    for id in 0..3 {
        upsert(id, 0).await;
    }
    counted.asked();
    upsert(0, 1).await;
    assert_eq!(counted.asked(), ["update"], "what is recorded lies in the update");
    let told =
        async |plan: &HistoryPlan| count_of(&store.evolve(&HERE, plan, at(9_999)).await.unwrap());
    // What was recorded lately is in no block yet.
    assert_eq!(told(&past_of(0..1, None)).await, 2 * ATTRIBUTES);
    assert_eq!(counted.asked(), ["aggregate"]);
    // And now everything is.
    counted.own.store().pack_all().await.unwrap();
    for (plan, count) in [
        (past_of(0..1, None), 2 * ATTRIBUTES),
        (past_of(0..1, Some(1)), ATTRIBUTES),
        (past_of(0..3, None), 4 * ATTRIBUTES),
    ] {
        counted.asked();
        assert_eq!(told(&plan).await, count);
        assert_eq!(counted.asked(), ["aggregate"; 2]);
    }
    let mut later = past_of(0..3, None);
    later.window.from = Some(at(1));
    assert_eq!(told(&later).await, ATTRIBUTES, "a window begins in the midst of blocks");
    assert_eq!(counted.asked(), ["aggregate"; 2]);
    // Of whom it is not known who is meant, that is asked first.
    let types = Some(TypeSelection::of(type_name(0)));
    let mut all = past_of(0..0, None);
    all.entities.select = vec![Selector { types, ..Selector::default() }];
    assert_eq!(told(&all).await, 4 * ATTRIBUTES);
    assert_eq!(counted.asked(), ["aggregate"; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telling_of_the_past_takes_as_many_round_trips_whatever_is_told() {
    let counted = Counted::start().await;
    let tell = async |id: usize, attributes: usize, first: i64| {
        let instances = |number: usize| {
            let one = |step: i64| {
                let mut instance = Instance::new(Datum::Property((step + number as i64).into()));
                instance.observed_at = Some(at(first + step));
                instance
            };
            (attribute_name(number), (0..100).map(one).collect())
        };
        let attributes = (0..attributes).map(instances).collect();
        let told = Chronology { types: vec![type_name(0)], attributes, ..Chronology::default() };
        let write = HistoryWrite { id: entity_id(id), action: HistoryAction::Upsert(told) };
        let store = counted.store();
        store.commit_history(&HERE, vec![write], at(10_000)).await.unwrap().remove(0).unwrap();
        counted.asked()
    };
    tell(0, 1, 0).await;
    let one = tell(1, 1, 0).await;
    let many = tell(2, 12, 0).await;
    assert_eq!(one, many, "what is new has no blocks that would have to be read");
    for last in [None, Some(5)] {
        counted.asked();
        let found = counted.store().evolve(&HERE, &past_of(2..3, last), at(9_999)).await.unwrap();
        assert_eq!(count_of(&found), 12 * last.unwrap_or(100));
        assert_eq!(counted.asked(), ["aggregate"; 2]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_use_indexes() {
    let counted = Counted::start().await;
    for some in 0..20 {
        counted.upsert(some * 500..(some + 1) * 500, some as f64).await;
    }
    let filtered = |q: &str| EntityPlan { filter: Some(filter(q)), ..of_type(20) };
    let by_stamp = |order_by| {
        let params = OrderParams { order_by: Some(order_by), ..OrderParams::default() };
        Order::parse(&params, context(), &Limits::default()).unwrap()
    };
    let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, plan, exact, most) in [
        ("everything", EntityPlan { select: Vec::new(), ..of_type(20) }, true, 21),
        ("type", of_type(20), true, 21),
        ("value", filtered("a0==7"), true, 21),
        ("values", filtered("a0==7,9"), true, 42),
        ("none", filtered("a0>100"), true, 0),
        ("two", filtered("a0>=18.5;a0<30"), true, 1_000),
        ("place", EntityPlan { page: of_type(20).page, ..near(99.05, 18.0, 100) }, false, 8),
        (
            "order",
            EntityPlan { order: by_stamp("modifiedAt;desc"), ..filtered("a0==7") },
            true,
            500,
        ),
    ] {
        let explained = counted.store().explain(&HERE, &plan, at(0)).await.unwrap();
        let steps = explained.steps.clone();
        assert!(steps.iter().all(|step| !step.starts_with("COLLSCAN")), "{name}: {steps:?}");
        assert!(explained.candidates <= most, "{name}: {explained:?}");
        assert_eq!((explained.exact, explained.ordered), (exact, true), "{name}");
        used.insert(name.to_owned(), steps);
    }
    let uses = |name: &str, index: &str| used[name].iter().any(|step| step.ends_with(index));
    assert!(uses("everything", " pages_1"), "{used:?}");
    assert!(uses("value", " values_1") && uses("two", " values_1"), "{used:?}");
    assert!(uses("place", " places_1"), "{used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_leads_in_orders_by_value_and_by_distance() {
    let counted = Counted::start().await;
    // Values and places come in no order, and some more than once.
    let writes = (0..300).map(|id| {
        let mut entity = vehicle(id, (id * 7 % 90) as f64 / 2.0);
        entity
            .attributes
            .insert(attribute_name(1), place(99.0 + (id * 11 % 300) as f64 / 10.0, 18.0));
        let sound = ["กา", "เก", "แม่", "Ähre", "ahead"][id % 5];
        let name = format!("{sound} {}", id * 13 % 100);
        entity.attributes.insert(attribute_name(2), property(name.as_str()));
        Write::new(entity_id(id), Action::Upsert(entity))
    });
    counted.store().commit(&HERE, writes.collect(), at(0)).await.unwrap();
    let everything = counted.store().find(&HERE, &of_type(1_000), at(0)).await.unwrap().entities;
    counted.asked();
    for (by, most) in [
        ("a0;desc", 2),
        ("a0,id;desc", 2),
        ("a1;dist-asc", 4),
        ("a1;dist-desc", 2),
        ("a2", 2),
        ("a2;desc,a0", 2),
        ("a0.observedAt,id", 6),
    ] {
        let (order_by, order_from) = (Some(by), Some("[99.7,18.3]"));
        let params = OrderParams { order_by, order_from, ..OrderParams::default() };
        let order = Order::parse(&params, context(), &Limits::default()).unwrap();
        for offset in [0, 13, 40] {
            let page = Page { offset, limit: 10, count: true, after: None };
            let plan = EntityPlan { order: order.clone(), page, ..of_type(10) };
            let mut expected = everything.clone();
            expected.sort_by(|a, b| plan.compare(a, b, at(0)));
            let found = counted.store().find(&HERE, &plan, at(0)).await.unwrap();
            let ids = |all: &[std::sync::Arc<crate::model::Stored>]| {
                all.iter().map(|one| one.id.clone()).collect::<Vec<_>>()
            };
            assert_eq!(ids(&found.entities), ids(&expected[offset..offset + 10]), "{by} {offset}");
            assert_eq!((found.count, found.more), (Some(300), true));
            let asked = counted.asked();
            let led = asked.iter().filter(|name| *name == "aggregate").count();
            // Counting is an aggregation, too.
            assert!(
                led > 1 && led <= most + 1 && !asked.iter().any(|name| name == "find"),
                "{by}: {asked:?}"
            );
            let explained = counted.store().explain(&HERE, &plan, at(0)).await.unwrap();
            assert!(explained.lead.is_some() && !explained.steps.is_empty(), "{explained:?}");
            assert!(!explained.ordered && explained.candidates > 0, "{explained:?}");
            counted.asked();
        }
        // However deep a page begins, no more is read than it holds.
        let (mut after, mut ids) = (None, Vec::new());
        loop {
            let page = Page { limit: 40, after, ..Page::default() };
            let plan = EntityPlan { order: order.clone(), page, ..of_type(10) };
            let found = counted.store().find(&HERE, &plan, at(0)).await.unwrap();
            ids.extend(found.entities.iter().map(|one| one.id.clone()));
            let Some(next) = found.next else { break };
            after = Some(next);
        }
        let mut expected = everything.clone();
        let plan = EntityPlan { order, ..of_type(10) };
        expected.sort_by(|a, b| plan.compare(a, b, at(0)));
        assert_eq!(ids, expected.iter().map(|one| one.id.clone()).collect::<Vec<_>>(), "{by}");
        let asked = counted.asked();
        assert!(asked.len() <= 8 * most && !asked.iter().any(|name| name == "find"), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_an_older_broker_wrote_are_put_in_order_too() {
    let counted = Counted::start().await;
    let writes = (0..60).map(|id| {
        let mut entity = bare_entity(id, 0);
        let name = format!("{} {}", ["ขา", "เก", "b", "Á"][id % 4], id * 7 % 60);
        entity.attributes.insert(attribute_name(2), property(name.as_str()));
        Write::new(entity_id(id), Action::Upsert(entity))
    });
    counted.store().commit(&HERE, writes.collect(), at(0)).await.unwrap();
    // It knew of no keys of texts.
    let theirs = mongodb::bson::doc! { "_id.i": { "$regex": "[02468]$" } };
    let without = mongodb::bson::doc! { "$unset": { "k.$[].z1": "" } };
    let entities = &counted.own.inner().entities;
    let changed = entities.update_many(theirs, without).await.unwrap().modified_count;
    assert!(changed > 10 && changed < 60, "{changed}");
    let everything = counted.store().find(&HERE, &of_type(1_000), at(0)).await.unwrap().entities;
    for by in ["a2", "a2;desc"] {
        let params = OrderParams { order_by: Some(by), ..OrderParams::default() };
        let order = Order::parse(&params, context(), &Limits::default()).unwrap();
        let plan = EntityPlan { order, ..of_type(25) };
        let mut expected = everything.clone();
        expected.sort_by(|a, b| plan.compare(a, b, at(0)));
        let found = counted.store().find(&HERE, &plan, at(0)).await.unwrap().entities;
        assert!(found.iter().map(|one| &one.id).eq(expected[..25].iter().map(|one| &one.id)));
    }
}

/// Takes minutes: `cargo test --lib a_million -- --ignored`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it fills a database for minutes"]
async fn a_million_entities_are_searched_by_index() {
    let counted = Counted::start().await;
    let total = std::env::var("LANNA_MANY").ok().and_then(|many| many.parse().ok());
    let total: usize = total.unwrap_or(1_000_000);
    let began = std::time::Instant::now();
    for first in (0..total).step_by(2_000) {
        let document = |id: usize| {
            let mut entity = bare_entity(id, 0);
            for number in 2..10 {
                let attribute = property((id * number % 1_000) as i64);
                entity.attributes.insert(attribute_name(number), attribute);
            }
            // The last twenty are the worst.
            let value = if id + 20 >= total { 100 } else { id % 90 };
            entity.attributes.insert(attribute_name(0), property(value as i64));
            let (east, north) = (id % 1_000, id / 1_000);
            let place = place(90.0 + east as f64 / 100.0, 10.0 + north as f64 / 100.0);
            entity.attributes.insert(attribute_name(1), place);
            super::document::write(&HERE, &entity, &super::document::Stamps::new(id as i64))
        };
        let documents: Vec<_> = (first..(first + 2_000).min(total)).map(document).collect();
        counted.own.inner().entities.insert_many(documents).ordered(false).await.unwrap();
    }
    eprintln!("{total} entities in {:.0} s", began.elapsed().as_secs_f64());
    for (name, plan) in [
        ("q", EntityPlan { filter: Some(filter("a0>90")), ..of_type(20) }),
        ("two bounds", EntityPlan { filter: Some(filter("a0>90;a0<200")), ..of_type(20) }),
        (
            "near",
            EntityPlan { filter: None, select: of_type(20).select, ..near(95.0, 15.0, 2_000) },
        ),
        ("near and q", EntityPlan { filter: Some(filter("a0>50")), ..near(95.0, 15.0, 20_000) }),
    ] {
        let plan = EntityPlan { page: Page { limit: 20, count: true, ..Page::default() }, ..plan };
        let explained = counted.store().explain(&HERE, &plan, at(0)).await.unwrap();
        let began = std::time::Instant::now();
        let found = counted.store().find(&HERE, &plan, at(0)).await.unwrap();
        let millis = began.elapsed().as_millis();
        let Explanation { steps, keys, candidates, .. } = explained;
        eprintln!(
            "{name}: {:?} found in {millis} ms, {keys:?} keys, {candidates}, {steps:?}",
            found.count
        );
        assert!(steps.iter().all(|step| !step.starts_with("COLLSCAN")), "{name}: {steps:?}");
        assert!(candidates < 10_000, "{name}: {candidates}");
    }
}
