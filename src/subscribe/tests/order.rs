//! What is told: each change once, in order, also after a kill.

use std::collections::BTreeSet;

use super::*;
use crate::represent::subscription::Timing;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_told_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let all = [
        subscription(0, json!({})),
        subscription(1, json!({"q": "a0>50"})),
        subscription(2, json!({"entities": [{"type": "https://example.org/Other"}]})),
    ];
    let world = World::open(folder.path(), settings(), &all).await;
    for value in 0..100 {
        world.set(1, value).await;
        // Writing the same again is no change.
        world.set(1, value).await;
    }
    world.until("all are told", |world| world.spy.values("r0").len() >= 100).await;
    assert_eq!(world.spy.values("r0"), (0..100).collect::<Vec<_>>());
    world.until("those above fifty", |world| world.spy.values("r1").len() >= 49).await;
    assert_eq!(world.spy.values("r1"), (51..100).collect::<Vec<_>>());
    assert!(world.spy.tried("r2").is_empty());
    let ids: BTreeSet<_> =
        world.spy.taken("r0").iter().map(|body| body["id"].to_string()).collect();
    assert_eq!(ids.len(), 100, "each has its own id");
    world.until_reported(&all[0].id, 100, 0).await;
    let spy = world.close().await;
    let world = World::with(folder.path(), settings(), &all, spy).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.spy.values("r0").len(), 100, "after an orderly end nothing is told again");
    let report = world.notifier.report(&HERE, &all[0].id).await.unwrap();
    assert_eq!(report.times_sent, 100, "counters stay");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_wants_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let all = [subscription(0, json!({"watchedAttributes": ["https://example.org/other"]}))];
    let world = World::open(folder.path(), settings(), &all).await;
    world.set(0, 1).await;
    world.set(0, 2).await;
    assert!(world.store.events(0, 10).await.unwrap().is_empty());
    let paused = subscription(0, json!({"isActive": false}));
    world.notifier.put(&HERE, paused).unwrap();
    world.set(0, 3).await;
    assert!(world.store.events(0, 10).await.unwrap().is_empty());
    world.notifier.put(&HERE, subscription(0, json!({}))).unwrap();
    world.set(0, 4).await;
    world.until("it is told", |world| world.spy.values("r0") == [4]).await;
    world.notifier.remove(&HERE, &all[0].id).await.unwrap();
    world.set(0, 5).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_nothing_is_missing_and_repeats_have_the_same_id() {
    let folder = tempfile::tempdir().unwrap();
    let all = [subscription(0, json!({})), subscription(1, json!({}))];
    let mut spy: Arc<Spy> = Arc::default();
    spy.behave("r1", Manner::Answers(503));
    for round in 0..5 {
        let world = World::with(folder.path(), settings(), &all, spy).await;
        for value in round * 20..round * 20 + 20 {
            world.set(value as usize, value).await;
        }
        if round == 4 {
            world.spy.behave("r1", Manner::Takes);
            let count = |world: &World, receiver| {
                world.spy.values(receiver).into_iter().collect::<BTreeSet<_>>().len()
            };
            world.until("all are told", |world| count(world, "r0") == 100).await;
            world.until("to both", |world| count(world, "r1") == 100).await;
        }
        spy = world.kill().await;
    }
    let mut ids: HashMap<i64, BTreeSet<String>> = HashMap::new();
    for body in spy.taken("r0") {
        if let [one] = body["data"].as_array().unwrap().as_slice() {
            let value = one["a0"]["value"].as_i64().unwrap();
            ids.entry(value).or_default().insert(body["id"].to_string());
        }
    }
    assert!(ids.values().all(|ids| ids.len() == 1), "{ids:?}");
    let values = spy.values("r1");
    let mut first = Vec::new();
    for value in values {
        if !first.contains(&value) {
            first.push(value);
        }
    }
    assert_eq!(first, (0..100).collect::<Vec<_>>(), "in the order of the changes");
}

/// Under which ids a receiver was sent each value, whether it took it or not.
fn ids_by_value(spy: &Spy, receiver: &str) -> HashMap<i64, BTreeSet<String>> {
    let mut ids: HashMap<i64, BTreeSet<String>> = HashMap::new();
    for body in spy.tried(receiver) {
        for entity in body["data"].as_array().unwrap() {
            let value = entity["a0"]["value"].as_i64().unwrap();
            ids.entry(value).or_default().insert(body["id"].to_string());
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_together_is_told_together_again_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let throttled = subscription(2, json!({"throttling": 0.05}));
    let all = [subscription(0, json!({})), subscription(1, json!({})), throttled];
    let mut spy: Arc<Spy> = Arc::default();
    spy.behave("r0", Manner::Slow(Duration::from_millis(7)));
    spy.behave("r2", Manner::Slow(Duration::from_millis(3)));
    let rounds = 12;
    for round in 0..rounds {
        // One of them is away every third time, and comes back.
        let manner = if round % 3 == 1 { Manner::Answers(503) } else { Manner::Takes };
        spy.behave("r1", manner);
        let world = World::with(folder.path(), settings(), &all, spy).await;
        for step in 0..4 {
            for burst in 0..3 {
                let first = round * 60 + step * 15 + burst * 5;
                world
                    .write(
                        (first..first + 5).map(|value| set(value as usize % 13, value)).collect(),
                    )
                    .await;
            }
            tokio::time::sleep(Duration::from_millis(11 * (round as u64 % 5))).await;
        }
        if round + 1 == rounds {
            world.spy.behave("r1", Manner::Takes);
            for receiver in ["r0", "r1"] {
                let count = |world: &World| {
                    world.spy.values(receiver).into_iter().collect::<BTreeSet<_>>().len()
                };
                world.until("all are told", |world| count(world) == 60 * rounds as usize).await;
            }
            world
                .until("the last", |world| world.spy.values("r2").contains(&(60 * rounds - 1)))
                .await;
        }
        spy = world.kill().await;
    }
    for receiver in ["r0", "r1", "r2"] {
        let ids = ids_by_value(&spy, receiver);
        let torn: Vec<_> = ids.iter().filter(|(_, ids)| ids.len() > 1).collect();
        assert!(torn.is_empty(), "{receiver}: {torn:?}");
    }
    let together =
        spy.tried("r0").iter().filter(|body| body["data"].as_array().unwrap().len() > 1).count();
    assert!(together > 0, "several were told together");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_entity_is_told_by_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let deletions = json!({
        "notificationTrigger": ["entityDeleted"],
        "q": "a0==7",
    });
    let all = [subscription(0, deletions)];
    let world = World::open(folder.path(), settings(), &all).await;
    world.set(0, 6).await;
    world.set(1, 7).await;
    let mut brief = entity(2, 7);
    brief.expires_at = Some(Timestamp::now().plus_micros(3_600_000_000));
    world.write(vec![Write::new(brief.id.clone(), Action::Create(brief))]).await;
    world.write(vec![delete(0), delete(1)]).await;
    world.until("it is told", |world| world.spy.taken("r0").len() == 1).await;
    world.store.sweep(Timestamp::now().plus_micros(7_200_000_000)).await.unwrap();
    world.until("so is what expired", |world| world.spy.taken("r0").len() == 2).await;
    let told: Vec<_> =
        world.spy.taken("r0").iter().map(|body| body["data"][0]["id"].clone()).collect();
    assert_eq!(told, ["urn:x:1", "urn:x:2"]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_thousand_subscriptions_only_those_that_may_match_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path(), settings(), &[]).await;
    let one = subscription(0, json!({}));
    for number in 0..100_000 {
        let mut other = (*one).clone();
        other.id = SubscriptionId::from_trusted(&format!("urn:s:{number}"));
        // By type, by id, and by attributes that are watched of the type that changes.
        match number % 3 {
            0 => {
                let name = format!("https://example.org/n{}", number % 2_000);
                let name = Name::intern(&name).unwrap();
                other.plan.select[0].types = Some(crate::model::TypeSelection::of(name));
            }
            1 => {
                let id = EntityId::parse(&format!("urn:far:{number}")).unwrap();
                other.plan.select[0].ids = vec![id];
            }
            _ => {
                let name = format!("https://example.org/far{}", number % 500);
                let watched = vec![Name::intern(&name).unwrap()];
                let triggers = crate::represent::subscription::Triggers::default();
                other.timing = Timing::OnChange { watched, triggers, throttling: None };
            }
        }
        world.notifier.put(&HERE, Arc::new(other)).unwrap();
    }
    world.notifier.put(&HERE, subscription(7, json!({}))).unwrap();
    let results = world.store.commit(&HERE, vec![set(0, 1)], Timestamp::now()).await.unwrap();
    let change = results[0].as_ref().unwrap();
    let mut found = Vec::new();
    world.notifier.inner.register.candidates(&HERE, change, &mut found);
    let found: Vec<_> = found.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(found, ["urn:s:7"], "nobody else is looked at");
    world.until("it is told", |world| world.spy.values("r7") == [1]).await;
    let told = world.spy.sent.lock().len();
    assert_eq!(told, 1, "and nobody else is told");
    assert_eq!(world.notifier.overview(&HERE, Some("urn:s:1"), 3).len(), 3);
    world.close().await;
}
