//! Pauses and intervals.

use std::collections::BTreeSet;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_within_the_throttling_are_told_together_when_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let all = [subscription(0, json!({"throttling": 0.4}))];
    let world = World::open(folder.path(), settings(), &all).await;
    world.set(0, 0).await;
    world.until("the first is told", |world| world.spy.values("r0") == [0]).await;
    let pairs = (1..10).flat_map(|value| [set(0, value), set(1, value + 100)]);
    world.write(pairs.collect()).await;
    let both = |world: &World| [9, 109].iter().all(|last| world.spy.values("r0").contains(last));
    world.until("both are told", both).await;
    let taken = world.spy.taken("r0");
    let told = world.spy.values("r0");
    assert_eq!(taken[0]["data"].as_array().unwrap().len(), 1, "the first at once");
    assert_eq!(told[0], 0);
    let last: BTreeSet<_> = told[told.len() - 2..].iter().copied().collect();
    assert_eq!(last, [9, 109].into(), "then what became of the others: {told:?}");
    assert!(told.len() <= 5, "{told:?}");
    let time = |body: &Json| body["notifiedAt"].as_str().unwrap().parse::<Timestamp>().unwrap();
    for pair in taken.windows(2) {
        assert!(time(&pair[1]).micros() - time(&pair[0]).micros() >= 390_000);
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn intervals_tell_all_that_matches() {
    let folder = tempfile::tempdir().unwrap();
    let every = json!({
        "entities": [{"type": "https://example.org/T0"}],
        "timeInterval": 0.1,
        "q": "a0>=1",
    });
    let all = [subscription(0, every)];
    let world = World::open(folder.path(), settings(), &all).await;
    world.write((0..700).map(|id| set(id, id as i64)).collect()).await;
    world
        .until("three times", |world| {
            world.spy.values("r0").iter().filter(|value| **value == 699).count() >= 3
        })
        .await;
    assert!(!world.spy.values("r0").contains(&0));
    assert!(world.spy.taken("r0").iter().all(|b| b["data"].as_array().unwrap().len() <= 500));
    world.notifier.remove(&HERE, &all[0].id).await.unwrap();
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_and_intervals_keep_to_their_clock_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let all =
        [subscription(0, json!({"throttling": 1.5})), subscription(1, json!({"timeInterval": 1}))];
    let mut spy: Arc<Spy> = Arc::default();
    let begun = Timestamp::now();
    for round in 0..6 {
        let world = World::with(folder.path(), settings(), &all, spy).await;
        world.set(0, round).await;
        if round == 0 {
            world.until("the first is told", |world| !world.spy.taken("r0").is_empty()).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        spy = world.close().await;
    }
    let world = World::with(folder.path(), settings(), &all, spy).await;
    world.until("the last is told", |world| world.spy.values("r0").contains(&5)).await;
    world.until("so it is by the clock", |world| world.spy.values("r1").contains(&5)).await;
    let time = |body: &Json| body["notifiedAt"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let throttled: Vec<_> = world.spy.taken("r0").iter().map(time).collect();
    for pair in throttled.windows(2) {
        assert!(pair[1].micros() - pair[0].micros() >= 1_490_000, "{throttled:?}");
    }
    // No time that passes is told twice, however often the clock begins anew.
    // One more is due at the start, since the clock began long ago.
    let passed = (Timestamp::now().micros() - begun.micros()) / 1_000_000;
    let count = world.spy.taken("r1").len() as i64;
    assert!((2..=passed + 2).contains(&count), "{count} in {passed} s");
    world.close().await;
}
