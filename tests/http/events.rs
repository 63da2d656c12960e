//! `/subscriptions/{subscriptionId}/events`: notifications as server-sent events.

use serde_json::{Value, json};

use crate::support::TestBroker;

const ID: &str = "urn:ngsi-ld:Subscription:listened";

async fn subscribed(broker: &TestBroker) {
    subscribed_for(broker, "lanna:events").await;
}

async fn subscribed_for(broker: &TestBroker, uri: &str) {
    let subscription = json!({
        "id": ID,
        "type": "Subscription",
        "entities": [{"type": "Vehicle"}],
        "watchedAttributes": ["speed"],
        "notification": {"endpoint": {"uri": uri}},
    });
    let answer = broker.body("POST", "/subscriptions", subscription).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    broker.has(json!({"id": "urn:v:1", "type": "Vehicle", "speed": 0})).await;
}

async fn drives(broker: &TestBroker, speed: u32) {
    let fragment = json!({"type": "Property", "value": speed});
    let answer = broker.body("PATCH", "/entities/urn:v:1/attrs/speed", fragment).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
}

/// A stream that is read event by event.
struct Events {
    answer: reqwest::Response,
    heard: String,
}

impl Events {
    async fn of(broker: &TestBroker, query: &str, last: Option<&str>) -> Self {
        let mut request = broker.request("GET", &format!("/subscriptions/{ID}/events{query}"));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let mut answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let first = answer.chunk().await.expect("bytes").expect("bytes");
        let heard = String::from_utf8(first.to_vec()).expect("text");
        let rest = heard.strip_prefix("retry: 2000\n\n").expect("when to come back").to_owned();
        Self { answer, heard: rest }
    }

    /// The id, name and data of the next event; nothing at the end.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            if let Some((event, rest)) = self.heard.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.heard = rest;
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().trim_start().to_owned()
                };
                if event.starts_with(':') {
                    continue;
                }
                let data = serde_json::from_str(&field("data:")).expect("JSON");
                return Some((field("id:"), field("event:"), data));
            }
            let chunk = self.answer.chunk().await.ok()??;
            self.heard.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    /// The speeds that the next events tell of, and the id of the last.
    async fn speeds(&mut self, count: usize) -> (Vec<u64>, String) {
        let (mut speeds, mut last) = (Vec::new(), String::new());
        for _ in 0..count {
            let (id, name, data) = self.next().await.expect("an event");
            assert_eq!((name.as_str(), data["type"].as_str()), ("", Some("Notification")));
            assert_eq!(data["subscriptionId"], ID);
            speeds.push(data["data"][0]["speed"]["value"].as_u64().expect("a number"));
            last = id;
        }
        (speeds, last)
    }
}

#[actix_web::test]
async fn listeners_hear_what_changes_from_now_on() {
    let broker = TestBroker::start().await;
    subscribed(&broker).await;
    let mut one = Events::of(&broker, "", None).await;
    let mut two = Events::of(&broker, "?tenant=", None).await;
    for speed in 1..=3 {
        drives(&broker, speed).await;
    }
    let told = one.speeds(3).await.0;
    // The creation may still have been on its way when we came.
    assert!(told == [1, 2, 3] || told == [0, 1, 2], "{told:?}");
    assert!(!two.speeds(3).await.0.is_empty());
}

#[actix_web::test]
async fn who_comes_back_is_told_what_it_missed() {
    let broker = TestBroker::start().await;
    subscribed(&broker).await;
    let mut first = Events::of(&broker, "?lastEventId=0", None).await;
    drives(&broker, 1).await;
    let (told, last) = first.speeds(2).await;
    assert_eq!(told, [0, 1], "from the beginning of the log");
    drop(first);
    drives(&broker, 2).await;
    drives(&broker, 3).await;
    let mut back = Events::of(&broker, "", Some(&last)).await;
    drives(&broker, 4).await;
    assert_eq!(back.speeds(3).await.0, [2, 3, 4]);
}

#[actix_web::test]
async fn what_is_forgotten_is_said_to_be_missing_and_the_rest_is_told() {
    let broker = TestBroker::with(|config| config.notify.keep = 0).await;
    subscribed(&broker).await;
    let changes = 1_200;
    for speed in 1..=changes {
        drives(&broker, speed).await;
    }
    // The log is trimmed now and then, a few hundred events at a time.
    for _ in 0..600 {
        let mut events = Events::of(&broker, "", Some("1")).await;
        let (_, name, data) = events.next().await.expect("an event");
        if name == "gap" {
            assert_eq!(data["after"], 1);
            drives(&broker, 0).await;
            while events.next().await.expect("an event").2["data"][0]["speed"]["value"] != 0 {}
            return;
        }
        actix_web::rt::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the log was never trimmed");
}

#[actix_web::test]
async fn who_was_away_while_the_clock_told_hears_that_something_is_missing() {
    let broker = TestBroker::start().await;
    let subscription = json!({
        "id": ID,
        "type": "Subscription",
        "entities": [{"type": "Vehicle"}],
        "timeInterval": 3600,
        "notification": {"endpoint": {"uri": "lanna:events"}},
    });
    assert_eq!(broker.body("POST", "/subscriptions", subscription).await.status, 201);
    let mut back = Events::of(&broker, "", Some("0")).await;
    assert_eq!(back.next().await.expect("an event").1, "gap");
}

#[actix_web::test]
async fn a_receiver_that_fails_does_not_keep_listeners_waiting() {
    let broker = TestBroker::start().await;
    subscribed_for(&broker, "http://receiver.invalid/").await;
    let mut events = Events::of(&broker, "?lastEventId=0", None).await;
    for speed in 1..=3 {
        drives(&broker, speed).await;
    }
    assert_eq!(events.speeds(4).await.0, [0, 1, 2, 3], "each once, however often it is tried");
    drives(&broker, 4).await;
    assert_eq!(events.speeds(1).await.0, [4]);
    let url = format!("/subscriptions/{ID}");
    let report = broker.get(&url).await.json();
    assert_eq!(report["notification"]["lastSuccess"], Value::Null, "{report}");
}

#[actix_web::test]
async fn a_stream_ends_with_its_subscription() {
    let broker = TestBroker::start().await;
    subscribed(&broker).await;
    let mut events = Events::of(&broker, "?lastEventId=0", None).await;
    events.speeds(1).await;
    assert_eq!(broker.delete(&format!("/subscriptions/{ID}")).await.status, 204);
    assert!(events.next().await.is_none());
    assert_eq!(broker.get(&format!("/subscriptions/{ID}/events")).await.status, 404);
}

#[actix_web::test]
async fn tenants_are_named_by_header_or_parameter() {
    let broker = TestBroker::start().await;
    subscribed(&broker).await;
    let path = format!("/subscriptions/{ID}/events");
    let of = |query: &str, header: &'static str| {
        broker
            .send(broker.request("GET", &format!("{path}{query}")).header("NGSILD-Tenant", header))
    };
    assert_eq!(of("?tenant=b", "a").await.status, 400, "which of them?");
    assert_eq!(of("?tenant=a", "a").await.status, 404, "it is the default tenant's");
    assert_eq!(of("", "a").await.status, 404);
    assert_eq!(broker.get(&format!("{path}?tenant=a")).await.status, 404);
    assert_eq!(broker.get(&format!("{path}?lastEventId=x")).await.status, 400);
    assert_eq!(broker.get(&format!("{path}?since=1")).await.status, 400);
    let head = broker.send(broker.request("HEAD", &path)).await;
    assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream"));
}

#[actix_web::test]
async fn pages_from_this_machine_may_listen() {
    let broker = TestBroker::start().await;
    subscribed(&broker).await;
    let path = format!("/subscriptions/{ID}/events");
    for (origin, allowed) in
        [("http://localhost:8000", Some("http://localhost:8000")), ("https://evil.example", None)]
    {
        let request = broker.request("GET", &path).header("origin", origin);
        let answer = request.send().await.expect("an answer");
        let found = answer.headers().get("access-control-allow-origin");
        assert_eq!(found.map(|value| value.to_str().expect("text")), allowed);
    }
}

/// Where several brokers share a store: on MongoDB only.
#[actix_web::test]
async fn listeners_at_any_broker_are_told_whoever_sends() {
    if std::env::var("TEST_HTTP_STORE").is_err() {
        return;
    }
    let database = format!("lanna-test-{}", uuid::Uuid::new_v4().simple());
    let one = TestBroker::with(|config| config.mongodb.database.clone_from(&database)).await;
    let two = TestBroker::with(|config| config.mongodb.database.clone_from(&database)).await;
    subscribed(&one).await;
    let path = format!("/subscriptions/{ID}/events");
    while two.request("GET", &path).send().await.expect("an answer").status() != 200 {
        actix_web::rt::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let mut here = Events::of(&one, "?lastEventId=0", None).await;
    let mut there = Events::of(&two, "?lastEventId=0", None).await;
    drives(&two, 1).await;
    drives(&one, 2).await;
    assert_eq!(here.speeds(3).await.0, [0, 1, 2]);
    assert_eq!(there.speeds(3).await.0, [0, 1, 2]);
}
