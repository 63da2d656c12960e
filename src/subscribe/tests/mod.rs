//! Delivery against a real store, with a courier that is told how receivers behave.

mod clock;
mod failures;
mod order;
mod told;

use std::collections::HashMap;
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
use crate::represent::subscription::{Draft, ReadLimits, Setting};
use crate::store::embedded::{self, Embedded};

const HERE: TenantId = TenantId::DEFAULT;

/// How many linked entities `q` may look at.
const LOOKUPS: usize = 5;

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
    let limits = ReadLimits {
        query,
        lookups: query::Lookups(LOOKUPS),
        join_level: 10,
        join_entities: 100,
        join_bytes: 1 << 20,
    };
    let (text, terms) =
        (all.to_string(), json!({"a0": "https://example.org/a0", "r": "https://example.org/r"}));
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
        combine: 16,
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

    /// Waits until so much was said of a subscription: sent, and failed. A receiver has what it is
    /// sent before that is counted.
    async fn until_reported(&self, id: &SubscriptionId, sent: u64, failed: u64) {
        for _ in 0..12_000 {
            let report = self.notifier.report(&HERE, id).await.unwrap();
            if (report.times_sent, report.times_failed) == (sent, failed) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it is told otherwise: {:#?}", self.notifier.report(&HERE, id).await);
    }

    async fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..12_000 {
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
    for _ in 0..6_000 {
        if let Ok(store) = Embedded::open(embedded::Settings::new(folder)) {
            return store;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Embedded::open(embedded::Settings::new(folder)).unwrap()
}

/// Waits until nobody holds the store any more, so that its folder can be opened again.
async fn let_go(mut store: Arc<Embedded>) {
    let mut patience = 60_000;
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
