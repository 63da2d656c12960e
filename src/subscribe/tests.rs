//! Delivery against a real store, with a courier that is told how receivers behave.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use super::*;
use crate::egress::{Message, SendError};
use crate::jsonld::{Context, Document, ParseLimits};
use crate::model::{
    Action, Attribute, Attributes, Datum, Entity, EntityId, Instance, Name, OneOrMany, Write,
};
use crate::query;
use crate::represent::subscription::{Draft, ReadLimits, Setting, Timing};
use crate::store::embedded::{self, Embedded};

const HERE: TenantId = TenantId::DEFAULT;

/// How a receiver behaves, by the last segment of its path.
#[derive(Clone, Copy)]
enum Manner {
    Takes,
    Answers(u16),
    /// Answers so for a while, then takes.
    Recovers(u16, usize),
    Slow(Duration),
    Hangs(Duration),
    Resets,
}

/// Remembers what it carried.
#[derive(Default)]
struct Spy {
    manners: Mutex<HashMap<String, Manner>>,
    /// By receiver: what it was sent, and whether it took it.
    sent: Mutex<Vec<(String, Json, bool)>>,
}

impl Spy {
    fn behave(&self, receiver: &str, manner: Manner) {
        self.manners.lock().insert(receiver.to_owned(), manner);
    }

    /// The notifications that a receiver took.
    fn taken(&self, receiver: &str) -> Vec<Json> {
        let all = self.sent.lock();
        let own = all.iter().filter(|(to, _, taken)| to == receiver && *taken);
        own.map(|(_, body, _)| body.clone()).collect()
    }

    /// The notifications that a receiver was sent.
    fn tried(&self, receiver: &str) -> Vec<Json> {
        let all = self.sent.lock();
        all.iter().filter(|(to, ..)| to == receiver).map(|(_, body, _)| body.clone()).collect()
    }

    /// The values of the entities that a receiver was told, in order.
    fn values(&self, receiver: &str) -> Vec<i64> {
        let data = self
            .taken(receiver)
            .into_iter()
            .flat_map(|body| body["data"].as_array().cloned().unwrap_or_default());
        data.filter_map(|entity| entity["a0"]["value"].as_i64()).collect()
    }
}

#[async_trait]
impl Courier for Spy {
    async fn send(&self, to: &crate::egress::Target, message: &Message) -> Result<(), SendError> {
        let receiver = to.uri().rsplit('/').next().unwrap_or_default().to_owned();
        let manner = {
            let mut manners = self.manners.lock();
            let manner = manners.entry(receiver.clone()).or_insert(Manner::Takes);
            let now = *manner;
            if let Manner::Recovers(status, times) = now {
                *manner = match times {
                    1 => Manner::Takes,
                    _ => Manner::Recovers(status, times - 1),
                };
            }
            now
        };
        let answered =
            |status| SendError::Answered { status, retry_after: None, said: String::new() };
        let result = match manner {
            Manner::Takes => Ok(()),
            Manner::Answers(status) | Manner::Recovers(status, _) => Err(answered(status)),
            Manner::Slow(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Manner::Hangs(time) => {
                tokio::time::sleep(time).await;
                Err(SendError::TimedOut(time))
            }
            Manner::Resets => Err(SendError::Unreachable("it broke off".into())),
        };
        let body = serde_json::from_slice(&message.body).expect("a notification is JSON");
        self.sent.lock().push((receiver, body, result.is_ok()));
        result
    }
}

/// A subscription of these members, to a receiver of its own.
pub(super) fn subscription(number: usize, members: Json) -> Arc<Subscription> {
    subscribed(&format!("urn:s:{number}"), &format!("http://host{number}/r{number}"), members)
}

fn subscribed(id: &str, uri: &str, members: Json) -> Arc<Subscription> {
    let mut all = json!({
        "id": id,
        "type": "Subscription",
        "notification": {"endpoint": {"uri": uri}},
    });
    for (name, value) in members.as_object().expect("members") {
        all[name] = value.clone();
    }
    if all.get("entities").is_none() && all.get("watchedAttributes").is_none() {
        all["entities"] = json!([{"type": "https://example.org/T0"}]);
    }
    let query = query::Limits::default();
    let limits = ReadLimits { query, join_level: 10, join_entities: 100, join_bytes: 1 << 20 };
    let (text, terms) = (all.to_string(), json!({"a0": "https://example.org/a0"}));
    let document = Document::parse(text.as_bytes(), &ParseLimits::default()).unwrap();
    let context = Context::local(&Document::from_json(&terms)).expect("a context");
    let draft = Draft::accept(&document, &context, &limits.query).expect("a subscription");
    let setting = Setting {
        id: SubscriptionId::from_trusted(id),
        context,
        context_address: "https://example.org/context.jsonld".into(),
        created_at: Timestamp::from_micros(0),
        modified_at: Timestamp::from_micros(0),
    };
    Arc::new(draft.read(setting, &limits).expect("a subscription"))
}

fn settings() -> Settings {
    Settings {
        threads: 2,
        retry_first: Duration::from_millis(20),
        retry_last: Duration::from_millis(100),
        keep: 0,
        ..Settings::default()
    }
}

/// A store, a courier, and a notifier between them.
struct World {
    store: Arc<Embedded>,
    spy: Arc<Spy>,
    notifier: Notifier,
}

impl World {
    async fn open(folder: &Path, settings: Settings, all: &[Arc<Subscription>]) -> Self {
        Self::with(folder, settings, all, Arc::default()).await
    }

    async fn with(
        folder: &Path,
        settings: Settings,
        all: &[Arc<Subscription>],
        spy: Arc<Spy>,
    ) -> Self {
        let store = Arc::new(open_soon(folder).await);
        let notifier = Notifier::new(store.clone(), spy.clone(), Arc::new(NoListeners), settings);
        for one in all {
            notifier.put(&HERE, one.clone()).unwrap();
        }
        notifier.start().await.unwrap();
        Self { store, spy, notifier }
    }

    /// Ends as an orderly end does.
    async fn close(self) -> Arc<Spy> {
        self.notifier.close().await.unwrap();
        drop(self.notifier);
        self.store.close().await.unwrap();
        let_go(self.store).await;
        self.spy
    }

    /// Ends as a kill does: nothing more is kept, though what was written is there.
    async fn kill(self) -> Arc<Spy> {
        drop(self.notifier);
        let_go(self.store).await;
        self.spy
    }

    async fn write(&self, writes: Vec<Write>) {
        let results = self.store.commit(&HERE, writes, Timestamp::now()).await.unwrap();
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }

    /// Sets the value of an entity.
    async fn set(&self, id: usize, value: i64) {
        self.write(vec![set(id, value)]).await;
    }

    async fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..2_000 {
            if done(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never happened: {what}: {:#?}", self.notifier.overview(&HERE, None, 3));
    }
}

/// Opens a store whose threads may just be ending.
async fn open_soon(folder: &Path) -> Embedded {
    for _ in 0..1_000 {
        if let Ok(store) = Embedded::open(embedded::Settings::new(folder)) {
            return store;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Embedded::open(embedded::Settings::new(folder)).unwrap()
}

/// Waits until nobody holds the store any more, so that its folder can be opened again.
async fn let_go(mut store: Arc<Embedded>) {
    let mut patience = 5_000;
    while let Err(held) = Arc::try_unwrap(store).map(drop) {
        store = held;
        patience -= 1;
        assert!(patience > 0, "the store is still in use");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn entity(id: usize, value: i64) -> Entity {
    let mut attributes = Attributes::new();
    let name = Name::intern("https://example.org/a0").unwrap();
    attributes.insert(name, Attribute::one(Instance::new(Datum::Property(value.into()))));
    Entity {
        id: EntityId::parse(&format!("urn:x:{id}")).unwrap(),
        types: OneOrMany::One(Name::intern("https://example.org/T0").unwrap()),
        scopes: Vec::new(),
        attributes,
        created_at: Timestamp::from_micros(0),
        modified_at: Timestamp::from_micros(0),
        expires_at: None,
    }
}

fn set(id: usize, value: i64) -> Write {
    let entity = entity(id, value);
    Write::new(entity.id.clone(), Action::Upsert(entity))
}

fn delete(id: usize) -> Write {
    Write::new(EntityId::parse(&format!("urn:x:{id}")).unwrap(), Action::Delete)
}

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
    let report = world.notifier.report(&HERE, &all[0].id).await.unwrap();
    assert_eq!((report.times_sent, report.times_failed), (100, 0));
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
    let report = world.notifier.report(&HERE, &all[0].id).await.unwrap();
    assert_eq!((report.times_sent, report.times_failed), (8, 3));
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
            0 => Manner::Hangs(Duration::from_secs(30)),
            1 => Manner::Resets,
            2 => Manner::Answers(500),
            _ => Manner::Slow(Duration::from_secs(5)),
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
    assert!(slow <= 5, "and did not wait for those who are slow: {slow}");
    world.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_within_the_throttling_are_told_together_when_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let all = [subscription(0, json!({"throttling": 0.4}))];
    let world = World::open(folder.path(), settings(), &all).await;
    for value in 0..10 {
        world.set(0, value).await;
        world.set(1, value + 100).await;
    }
    world.until("both are told", |world| world.spy.taken("r0").len() >= 2).await;
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
    let small = Settings { queue: crate::config::ByteSize::kibi(64), ..settings() };
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
    let small =
        Settings { log: crate::config::ByteSize::kibi(64), dead_letters: 1_000, ..settings() };
    let world = World::with(folder.path(), small, &all, spy).await;
    for batch in 0..30 {
        world.write((0..100).map(|n| set(n, (batch * 100 + n) as i64)).collect()).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    world.until("one is told", |world| world.spy.values("r1").len() == 3_000).await;
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
    brief.expires_at = Some(Timestamp::now().plus_micros(50_000));
    world.write(vec![Write::new(brief.id.clone(), Action::Create(brief))]).await;
    world.write(vec![delete(0), delete(1)]).await;
    world.until("it is told", |world| world.spy.taken("r0").len() == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.store.sweep(Timestamp::now()).await.unwrap();
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
