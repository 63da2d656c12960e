//! What sources tell of a subscription (5.8.6): it stands in the log like what changes here.

use super::*;
use crate::model::{Change, Outcome};
use crate::store::{Note, RecordEdit, Shelf, Topic};

const COPIES: Shelf = Shelf::shared("copies");

impl World {
    /// A source told a subscription of entities: of a value that one has, or that it is gone.
    async fn hear(&self, subscription: usize, told: &[(usize, Option<i64>)]) {
        let id = SubscriptionId::from_trusted(&format!("urn:s:{subscription}"));
        let notes = told.iter().map(|(number, value)| {
            let stored = Stored::new(entity(*number, value.unwrap_or(-1)));
            let id_of_entity = stored.entity.id.clone();
            let (before, after) = match value {
                Some(_) => (None, Some(stored)),
                None => (Some(stored), None),
            };
            let (at, outcome) = (Timestamp::now(), Outcome::default());
            let change = Change { id: id_of_entity, at, before, after, outcome };
            Note { topic: Topic::Told(id.clone()), change }
        });
        let _ = self.store.add_record(&COPIES.clone(), "copy", json!({})).await.unwrap();
        let (copies, notes) = (COPIES, notes.collect());
        let kept = self.store.note_record(&copies, "copy", RecordEdit::Leave, notes);
        assert!(kept.await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_source_told_outlives_a_kill_and_is_for_one_subscription_alone() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<_> = (0..2).map(|number| subscription(number, json!({}))).collect();
    let spy: Arc<Spy> = Arc::default();
    spy.behave("r0", Manner::Resets);
    let world = World::with(folder.path(), settings(), &all, spy).await;
    world.hear(0, &[(1, Some(1)), (2, Some(2))]).await;
    world.hear(0, &[(1, None)]).await;
    world.until("it is tried", |world| !world.spy.tried("r0").is_empty()).await;
    let spy = world.kill().await;
    spy.behave("r0", Manner::Takes);
    let world = World::with(folder.path(), settings(), &all, spy).await;
    world.set(3, 3).await;
    world.until("all is told", |world| world.spy.values("r0").contains(&3)).await;
    world
        .until("the other hears of what changed here", |world| world.spy.values("r1") == [3])
        .await;
    let told = world.spy.taken("r0");
    let data: Vec<_> =
        told.iter().flat_map(|one| one["data"].as_array().cloned().unwrap_or_default()).collect();
    let ids: Vec<_> = data.iter().map(|one| one["id"].as_str().unwrap_or_default()).collect();
    assert_eq!(ids, ["urn:x:1", "urn:x:2", "urn:x:1", "urn:x:3"]);
    let gone: Vec<_> = data.iter().map(|one| one.get("deletedAt").is_some()).collect();
    assert_eq!(gone, [false, false, true, false]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_source_tells_as_gone_is_told_though_it_looked_new_in_the_same_group() {
    let folder = tempfile::tempdir().unwrap();
    let all = [subscription(0, json!({"throttling": 1}))];
    let world = World::open(folder.path(), settings(), &all).await;
    // The first is told at once; what comes within a second after it is told together.
    world.hear(0, &[(1, Some(1))]).await;
    world.until("the first is told", |world| world.spy.values("r0") == [1]).await;
    world.hear(0, &[(2, Some(2))]).await;
    world.hear(0, &[(2, Some(3)), (3, Some(3))]).await;
    world.hear(0, &[(3, None)]).await;
    world
        .until("both are told", |world| {
            let told = world.spy.taken("r0");
            let gone = |one: &Json| one["id"] == "urn:x:3" && one.get("deletedAt").is_some();
            let data = |body: &Json| body["data"].as_array().cloned().unwrap_or_default();
            told.iter().flat_map(data).any(|one| gone(&one))
                && world.spy.values("r0").last() == Some(&3)
        })
        .await;
    world.close().await;
}
