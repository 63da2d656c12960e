//! Receivers that do not take what they are sent, and queries that nobody can answer.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_tried_again_in_order_and_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let all = [subscription(0, json!({}))];
    let spy: Arc<Spy> = Arc::default();
    spy.behave("r0", Manner::Recovers(500, 3));
    let world = World::with(folder.path(), settings(), &all, spy).await;
    for value in 0..5 {
        world.set(0, value).await;
    }
    world.until("all are told", |world| world.spy.values("r0").len() == 5).await;
    assert_eq!(world.spy.values("r0"), [0, 1, 2, 3, 4]);
    let tried = world.spy.tried("r0");
    assert_eq!(tried.len(), 8);
    assert!(tried[..4].iter().all(|body| body["id"] == tried[0]["id"]));
    world.until_reported(&all[0].id, 8, 3).await;
    let counts = world.notifier.counts()[&Some(HERE)];
    assert_eq!((counts.delivered, counts.retried, counts.dead), (5, 3, 0));
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_hang_reset_or_refuse_keep_nobody_else_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<_> = (0..60).map(|number| subscription(number, json!({}))).collect();
    let spy: Arc<Spy> = Arc::default();
    for number in 0..50 {
        let manner = match number % 4 {
            0 => Manner::Hangs(Duration::from_secs(3_600)),
            1 => Manner::Resets,
            2 => Manner::Answers(500),
            _ => Manner::Slow(Duration::from_secs(3_600)),
        };
        spy.behave(&format!("r{number}"), manner);
    }
    let world = World::with(folder.path(), settings(), &all, spy).await;
    for value in 0..200 {
        world.set(value as usize % 7, value).await;
    }
    let good =
        |world: &World| (50..60).all(|number| world.spy.values(&format!("r{number}")).len() == 200);
    world.until("the others are told", good).await;
    let slow = world.spy.taken("r3").len();
    assert_eq!(slow, 0, "and did not wait for those who are slow");
    world.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_never_be_delivered_is_kept_as_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let all = [subscription(0, json!({})), subscription(1, json!({}))];
    let spy: Arc<Spy> = Arc::default();
    spy.behave("r0", Manner::Answers(410));
    spy.behave("r1", Manner::Resets);
    let impatient = Settings { retry_for: Duration::from_millis(300), ..settings() };
    let world = World::with(folder.path(), impatient.clone(), &all, spy).await;
    for value in 0..3 {
        world.set(0, value).await;
    }
    let dead = async |world: &World, subscription: Option<&SubscriptionId>| {
        world.notifier.dead_letters(&HERE, subscription, None, 100).await.unwrap()
    };
    while dead(&world, None).await.len() < 6 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let gone = dead(&world, Some(&all[0].id)).await;
    assert_eq!(gone.len(), 3);
    assert_eq!((gone[0].status, gone[0].attempts), (Some(410), 1));
    assert!(gone[0].body.as_ref().unwrap().contains("urn:x:0"));
    let spy = world.close().await;
    spy.behave("r0", Manner::Takes);
    let world = World::with(folder.path(), impatient, &all, spy).await;
    assert_eq!(dead(&world, None).await.len(), 6, "they are there after a restart");
    let one = Pick::One(gone[1].id.clone());
    assert_eq!(world.notifier.replay_dead(&HERE, &one).await.unwrap(), 1);
    world.until("it is told", |world| world.spy.values("r0") == [1]).await;
    assert_eq!(world.spy.taken("r0")[0]["id"], gone[1].notification_id);
    world.notifier.replay_dead(&HERE, &Pick::Of(all[0].id.clone())).await.unwrap();
    world.until("so are the others", |world| world.spy.values("r0").len() == 3).await;
    while dead(&world, None).await.len() > 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.notifier.drop_dead(&HERE, &Pick::All).await.unwrap(), 3);
    assert!(dead(&world, None).await.is_empty());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_lags_far_behind_gets_everything_and_fills_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let all = [subscription(0, json!({})), subscription(1, json!({}))];
    let spy: Arc<Spy> = Arc::default();
    spy.behave("r0", Manner::Answers(500));
    let queue = crate::config::ByteSize::kibi(64);
    let small = Settings { queue, combine: 64, ..settings() };
    let world = World::with(folder.path(), small, &all, spy).await;
    for batch in 0..30 {
        let writes = (0..100).map(|n| set(n, (batch * 100 + n) as i64)).collect();
        world.write(writes).await;
        assert!(world.notifier.queued_bytes() <= (64 << 10));
    }
    world.until("one is told", |world| world.spy.values("r1").len() == 3_000).await;
    world.spy.behave("r0", Manner::Takes);
    world.until("so is the other", |world| world.spy.values("r0").len() >= 3_000).await;
    assert_eq!(world.spy.values("r0"), (0..3_000).collect::<Vec<_>>());
    world.until("memory is given back", |world| world.notifier.queued_bytes() == 0).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_log_makes_dead_letters_of_the_oldest() {
    let folder = tempfile::tempdir().unwrap();
    let all = [subscription(0, json!({})), subscription(1, json!({}))];
    let spy: Arc<Spy> = Arc::default();
    spy.behave("r0", Manner::Answers(500));
    let log = crate::config::ByteSize::kibi(64);
    let small = Settings { log, dead_letters: 1_000, combine: 64, ..settings() };
    let world = World::with(folder.path(), small, &all, spy).await;
    for batch in 0..30 {
        world.write((0..100).map(|n| set(n, (batch * 100 + n) as i64)).collect()).await;
        let all = (batch + 1) * 100;
        world.until("one is told", |world| world.spy.values("r1").len() == all).await;
    }
    while world.store.events(0, 10_000).await.unwrap().len() > 900 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let dead = world.notifier.dead_letters(&HERE, None, None, 10_000).await.unwrap();
    assert!(!dead.is_empty() && dead.len() <= 1_000);
    assert!(dead.iter().all(|letter| letter.subscription == "urn:s:0"));
    world.spy.behave("r0", Manner::Takes);
    world.set(0, 3_000).await;
    world.until("the newest is told", |world| world.spy.values("r0").contains(&3_000)).await;
    world.close().await;
}

/// An entity that is linked to others.
fn linked(id: usize, value: i64, to: std::ops::Range<usize>) -> Write {
    let mut entity = entity(id, value);
    let target = |id| EntityId::parse(&format!("urn:x:{id}")).unwrap();
    let targets = OneOrMany::from_vec(to.map(target).collect()).unwrap();
    let instance = Instance::new(Datum::Relationship(targets));
    entity
        .attributes
        .insert(Name::intern("https://example.org/r").unwrap(), Attribute::one(instance));
    Write::new(entity.id.clone(), Action::Upsert(entity))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_leads_too_far_is_said_to_and_its_changes_are_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let watched = json!(["https://example.org/r", "https://example.org/a0"]);
    let all = [
        subscription(0, json!({"q": "r{a0}==7", "watchedAttributes": watched})),
        subscription(
            1,
            json!({
                "entities": [{"type": "https://example.org/T0", "id": "urn:x:100"}],
                "timeInterval": 0.05, "q": "r{a0}==99",
            }),
        ),
    ];
    let world = World::open(folder.path(), settings(), &all[..1]).await;
    world
        .write((1..=LOOKUPS + 2).map(|id| set(id, if id == LOOKUPS { 7 } else { 1 })).collect())
        .await;
    // Within the limit it is followed to its end.
    world.write(vec![linked(100, 1, 1..LOOKUPS + 1)]).await;
    world.write(vec![linked(101, 2, 1..LOOKUPS)]).await;
    world.until("what holds is told", |world| world.spy.values("r0") == [1]).await;
    world.write(vec![linked(102, 3, 1..LOOKUPS + 2)]).await;
    world.write(vec![linked(100, 4, 1..LOOKUPS + 1)]).await;
    world.until("and so is what follows", |world| world.spy.values("r0") == [1, 4]).await;
    let letters = world.notifier.dead_letters(&HERE, None, None, 10).await.unwrap();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert!(letter.reason.contains("limits.query_links"), "{}", letter.reason);
    let body: Json = serde_json::from_str(letter.body.as_deref().unwrap()).unwrap();
    assert_eq!(body["data"][0]["id"], "urn:x:102");
    world.until_reported(&all[0].id, 3, 1).await;
    // By the clock there is nothing to keep, but the failure is seen.
    world.write(vec![linked(100, 5, 1..LOOKUPS + 2)]).await;
    world.notifier.put(&HERE, all[1].clone()).unwrap();
    let failing = |world: &World| {
        let overview = world.notifier.overview_of(&HERE, &all[1].id).unwrap();
        overview.last_error.is_some_and(|why| why.contains("limits.query_links"))
    };
    world.until("its status says so", failing).await;
    world.close().await;
}
