//! How often the database is asked, counted by the driver.

use std::collections::BTreeMap;
use std::sync::Arc;

use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use parking_lot::Mutex;

use super::tests::{Own, settings};
use crate::model::{Action, Entity, TenantId, TypeSelection, Write};
use crate::query::{EntityPlan, Order, Page, Selector};
use crate::query::{Limits, OrderParams};
use crate::store::Store;
use crate::store::samples::{
    at, attribute_name, bare_entity, entity_id, place, property, type_name,
};
use crate::store::suite::queries::{context, filter, near};

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
    assert!(uses("everything", " pages_1") && uses("type", " types_1"), "{used:?}");
    assert!(uses("value", " values_1") && uses("two", " values_1"), "{used:?}");
    assert!(uses("place", " places_1"), "{used:?}");
}
