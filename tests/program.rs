//! The program as it is called: a store is moved to MongoDB and back, and queries are explained.

#![expect(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

use std::path::Path;
use std::process::Command;

use lanna::model::{
    Action, Attribute, AttributePatch, Attributes, Datum, Entity, EntityId, Fragment, Instance,
    InstanceEdit, InstancePatch, Name, OneOrMany, TenantId, TimeProperty, Timestamp, Write,
};
use lanna::query::{EntityPlan, HistoryPlan, Line, Selector, Window};
use lanna::store::Store;
use lanna::store::embedded::{Embedded, Settings};

const HERE: TenantId = TenantId::DEFAULT;

fn name(text: &str) -> Name {
    Name::intern(&format!("https://uri.etsi.org/ngsi-ld/default-context/{text}")).unwrap()
}

fn id(number: usize) -> EntityId {
    EntityId::parse(&format!("urn:ngsi-ld:Station:{number}")).unwrap()
}

fn station(number: usize) -> Write {
    let mut attributes = Attributes::new();
    let level = Instance::new(Datum::Property((number as f64 / 10.0).into()));
    attributes.insert(name("level"), Attribute::one(level));
    let entity = Entity {
        id: id(number),
        types: OneOrMany::One(name("Station")),
        scopes: Vec::new(),
        attributes,
        created_at: Timestamp::now(),
        modified_at: Timestamp::now(),
        expires_at: None,
    };
    Write::new(entity.id.clone(), Action::Create(entity))
}

fn level(number: usize, value: f64) -> Write {
    let datum = Some(Datum::Property(value.into()));
    let patch = InstancePatch { datum, ..InstancePatch::default() };
    let edits = AttributePatch(vec![InstanceEdit::Put(patch)]);
    let fragment = Fragment { attributes: vec![(name("level"), edits)], ..Fragment::default() };
    Write::new(id(number), Action::Append { fragment, overwrite: true })
}

/// Runs the program, which has to succeed; what it says.
fn lanna(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_lanna")).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program, which has to fail; what it says.
fn refused(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_lanna")).args(arguments).output().unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

async fn fill(folder: &Path) {
    let store = Embedded::open(Settings::new(folder)).unwrap();
    let results = store.commit(&HERE, (0..700).map(station).collect(), Timestamp::now()).await;
    assert!(results.unwrap().iter().all(Result::is_ok));
    for step in 0..100 {
        let write = vec![level(3, f64::from(step))];
        store.commit(&HERE, write, Timestamp::now()).await.unwrap().remove(0).unwrap();
    }
    store.close().await.unwrap();
}

/// What is told of one station's level.
async fn levels(store: &dyn Store) -> Vec<Instance> {
    let ids = vec![id(3)];
    let plan = HistoryPlan {
        entities: EntityPlan {
            select: vec![Selector { ids, ..Selector::default() }],
            ..EntityPlan::default()
        },
        window: Window { property: TimeProperty::Placed, ..Window::default() },
        ..HistoryPlan::default()
    };
    let found = store.evolve(&HERE, &plan, Timestamp::now()).await.unwrap();
    match found.told.evolutions.into_iter().flat_map(|one| one.attributes).next() {
        Some((_, Line::Instances(all))) => all.into_iter().map(|one| one.instance).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_moves_to_mongodb_and_back_and_queries_are_explained() {
    let server = std::env::var("TEST_MONGODB").unwrap();
    let database = format!("lanna-test-{}", uuid::Uuid::new_v4().simple());
    let url = server.replace("/?", &format!("/{database}?"));
    let folders = tempfile::tempdir().unwrap();
    let (first, last) = (folders.path().join("first"), folders.path().join("last"));
    fill(&first).await;
    let (first, last) = (first.to_str().unwrap(), last.to_str().unwrap());

    let said = lanna(&["migrate", "--from", first, "--to", &url]);
    assert!(said.contains("700 entities, 800 recorded instances and"), "{said}");
    let nowhere = folders.path().join("nowhere");
    let refused = refused(&["migrate", "--from", nowhere.to_str().unwrap(), "--to", &url]);
    assert!(refused.contains("nothing at"), "{refused}");
    assert!(!nowhere.exists());
    let ordered = lanna(&["store", "explain", "type=Station&orderBy=level;desc", "--store", &url]);
    assert!(ordered.contains("$sort") && ordered.contains("to whom the store"), "{ordered}");
    let explained = lanna(&["store", "explain", "type=Station&q=level>69", "--store", &url]);
    assert!(explained.contains("values_1") || explained.contains("types_1"), "{explained}");
    let explained = lanna(&["store", "explain", "type=Station&q=level>69", "--data", first]);
    assert!(!explained.is_empty());
    let back = lanna(&["migrate", "--from", &url, "--to", last]);
    assert_eq!(said.rsplit(' ').next(), back.rsplit(' ').next(), "the same checksum");

    let [one, other] =
        [first, last].map(|folder| Embedded::open(Settings::new(Path::new(folder))).unwrap());
    let all = levels(&one).await;
    assert_eq!(all.len(), 101);
    assert_eq!(all, levels(&other).await);
    let entity = |store: Embedded| async move {
        store.get(&HERE, &id(3), Timestamp::now()).await.unwrap().unwrap().entity.clone()
    };
    assert_eq!(entity(one).await, entity(other).await);
    let client = mongodb::Client::with_uri_str(&server).await.unwrap();
    client.database(&database).drop().await.unwrap();
}
