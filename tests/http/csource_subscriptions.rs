//! `/csourceSubscriptions` (5.11.2 to 5.11.7, 6.12, 6.13).

use std::sync::Arc;
use std::time::Duration;

use lanna::broker::{About, Broker, Call};
use lanna::config::Config;
use lanna::jsonld::{Context, Document};
use lanna::model::{TenantId, Timestamp};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::csource_registrations::ends_soon;
use crate::support::TestBroker;

/// Hears notifications, and answers each with 200.
struct Receiver {
    uri: String,
    heard: tokio::sync::mpsc::UnboundedReceiver<Value>,
    listening: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Receiver {
    async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a port"))
    }

    fn on(listener: TcpListener) -> Self {
        let uri = format!("http://{}/n", listener.local_addr().expect("an address"));
        let (tell, heard) = tokio::sync::mpsc::unbounded_channel();
        let listening = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    let mut some = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut some).await {
                        bytes.extend_from_slice(&some[..count]);
                        let Some(body) = whole_body(&bytes) else { continue };
                        let _ = tell.send(serde_json::from_slice(body).expect("JSON"));
                        bytes.clear();
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { uri, heard, listening }
    }

    async fn next(&mut self) -> Value {
        self.heard.recv().await.expect("a notification")
    }

    /// Why the next notification came, and the ids of the registrations in it.
    async fn reason(&mut self) -> (String, Vec<String>) {
        let told = self.next().await;
        assert_eq!(told["type"], "ContextSourceNotification", "{told}");
        let ids = told["data"].as_array().expect("registrations").iter();
        let mut ids: Vec<String> =
            ids.map(|one| one["id"].as_str().expect("an id").to_owned()).collect();
        ids.sort();
        (told["triggerReason"].as_str().expect("a reason").to_owned(), ids)
    }
}

/// The body of a request, once all of it is there.
fn whole_body(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.split("content-length:").nth(1)?.lines().next()?.trim().parse::<usize>();
    let length = length.expect("a number");
    bytes.get(end..end + length)
}

async fn broker() -> TestBroker {
    TestBroker::with(|config| {
        config.egress.allow_private = true;
        config.notify.retry_first = Duration::from_millis(20);
        config.notify.retry_last = Duration::from_millis(100);
    })
    .await
}

fn subscription(id: &str, uri: &str, members: Value) -> Value {
    let mut all = json!({
        "id": id,
        "type": "Subscription",
        "entities": [{"type": "Vehicle"}],
        "notification": {"endpoint": {"uri": uri, "accept": "application/json"}},
    });
    for (name, value) in members.as_object().expect("members") {
        all[name] = value.clone();
    }
    all
}

async fn subscribed(broker: &TestBroker, id: &str, uri: &str, members: Value) {
    let sent = subscription(id, uri, members);
    let answer = broker.body("POST", "/csourceSubscriptions", sent).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

fn registration(id: &str, members: Value) -> Value {
    let mut all = json!({
        "id": id,
        "type": "ContextSourceRegistration",
        "information": [{"entities": [{"type": "Vehicle"}]}],
        "endpoint": "http://source.example:1026",
    });
    for (name, value) in members.as_object().expect("members") {
        all[name] = value.clone();
    }
    all
}

async fn registered(broker: &TestBroker, id: &str, members: Value) {
    let answer = broker.body("POST", "/csourceRegistrations", registration(id, members)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

fn told(reason: &str, ids: &[&str]) -> (String, Vec<String>) {
    (reason.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect())
}

#[actix_web::test]
async fn a_subscription_is_created_shown_changed_and_deleted() {
    let broker = broker().await;
    let sent = subscription("urn:s:1", "http://receiver.invalid/n", json!({"isActive": false}));
    let created = broker.body("POST", "/csourceSubscriptions/", sent.clone()).await;
    assert_eq!((created.status, created.text.as_str()), (201, ""));
    assert_eq!(created.header("location"), "/ngsi-ld/v1/csourceSubscriptions/urn:s:1");
    let mut shown = broker.get("/csourceSubscriptions/urn:s:1").await.json();
    shown.as_object_mut().expect("an object").remove("jsonldContext");
    let mut expected = sent.clone();
    expected["status"] = "paused".into();
    assert_eq!(shown, expected);
    assert_eq!(broker.get("/subscriptions").await.json(), json!([]), "it is not about entities");
    assert_eq!(broker.get("/csourceSubscriptions").await.json()[0]["id"], "urn:s:1");
    let again = broker.body("POST", "/csourceSubscriptions", sent.clone()).await;
    assert_eq!((again.status, again.problem().as_str()), (409, "AlreadyExists"));
    let other = broker.body("POST", "/subscriptions", sent).await;
    assert_eq!((other.status, other.problem().as_str()), (409, "AlreadyExists"));
    let fragment = json!({"scopeQ": "/A"});
    let changed = broker.body("PATCH", "/csourceSubscriptions/urn:s:1", fragment).await;
    assert_eq!(changed.status, 204, "{}", changed.text);
    assert_eq!(broker.get("/csourceSubscriptions/urn:s:1").await.json()["scopeQ"], "/A");
    assert_eq!(broker.delete("/csourceSubscriptions/urn:s:1").await.status, 204);
    assert_eq!(broker.delete("/csourceSubscriptions/urn:s:1").await.status, 404);
}

#[actix_web::test]
async fn what_is_wrong_is_refused() {
    let broker = broker().await;
    for members in [
        json!({"type": "Other"}),
        json!({"q": "speed>"}),
        json!({"watchedAttributes": []}),
        json!({"expiresAt": "2000-01-01T00:00:00Z"}),
        json!({"temporalQ": {"timerel": "before"}}),
        json!({"temporalQ": "always"}),
        json!({"notification": {"endpoint": {"uri": "http://a.example", "accept": "application/geo+json"}}}),
    ] {
        let sent = subscription("urn:s:1", "http://receiver.invalid/n", members.clone());
        let answer = broker.body("POST", "/csourceSubscriptions", sent).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (400, "BadRequestData"),
            "{members}"
        );
    }
    for (method, path, status) in [
        ("GET", "/csourceSubscriptions/InvalidUri", 400),
        ("GET", "/csourceSubscriptions/urn:s:unknown", 404),
        ("PATCH", "/csourceSubscriptions/urn:s:unknown", 404),
        ("GET", "/csourceSubscriptions?limit=-5&offset=2", 400),
        ("DELETE", "/csourceSubscriptions/", 405),
    ] {
        let answer = match method {
            "PATCH" => broker.body(method, path, json!({"isActive": true})).await,
            _ => broker.send(broker.request(method, path)).await,
        };
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    }
}

#[actix_web::test]
async fn one_is_told_of_sources_that_are_there_that_come_that_change_and_that_go() {
    let broker = broker().await;
    let mut receiver = Receiver::start().await;
    registered(&broker, "urn:r:1", json!({})).await;
    registered(&broker, "urn:r:9", json!({"information": [{"entities": [{"type": "Boat"}]}]}))
        .await;
    subscribed(&broker, "urn:s:1", &receiver.uri, json!({})).await;
    assert_eq!(receiver.reason().await, told("newlyMatching", &["urn:r:1"]));
    registered(&broker, "urn:r:2", json!({})).await;
    assert_eq!(receiver.reason().await, told("newlyMatching", &["urn:r:2"]));
    let change = json!({"endpoint": "http://moved.example"});
    broker.body("PATCH", "/csourceRegistrations/urn:r:2", change).await;
    assert_eq!(receiver.reason().await, told("updated", &["urn:r:2"]));
    let other = json!({"information": [{"entities": [{"type": "Boat"}]}]});
    broker.body("PATCH", "/csourceRegistrations/urn:r:2", other).await;
    assert_eq!(receiver.reason().await, told("noLongerMatching", &["urn:r:2"]));
    broker.delete("/csourceRegistrations/urn:r:2").await;
    broker.delete("/csourceRegistrations/urn:r:1").await;
    assert_eq!(receiver.reason().await, told("noLongerMatching", &["urn:r:1"]));
    registered(&broker, "urn:r:3", json!({"expiresAt": "2999-01-01T00:00:00Z"})).await;
    assert_eq!(receiver.reason().await, told("newlyMatching", &["urn:r:3"]));
    ends_soon(&broker, "urn:r:3").await;
    assert_eq!(receiver.reason().await, told("updated", &["urn:r:3"]));
    assert_eq!(receiver.reason().await, told("noLongerMatching", &["urn:r:3"]));
    let shown = loop {
        let shown = broker.get("/csourceSubscriptions/urn:s:1").await.json();
        if shown["notification"]["timesSent"] == 8 {
            break shown;
        }
    };
    assert_eq!(shown["notification"]["status"], "ok");
}

#[actix_web::test]
async fn only_what_is_relevant_is_told() {
    let broker = broker().await;
    let mut receiver = Receiver::start().await;
    let members = json!({"watchedAttributes": ["speed"]});
    subscribed(&broker, "urn:s:1", &receiver.uri, members).await;
    let information = json!([
        {"entities": [{"type": "Vehicle"}, {"type": "Boat"}], "propertyNames": ["speed"]},
        {"entities": [{"type": "Boat"}]},
        {"entities": [{"type": "Vehicle"}], "propertyNames": ["load"]},
    ]);
    registered(&broker, "urn:r:1", json!({"information": information, "owner": "EGAT"})).await;
    let heard = receiver.next().await;
    assert_eq!(heard["subscriptionId"], "urn:s:1");
    assert!(heard["id"].as_str().is_some_and(|id| id.starts_with("urn:")));
    assert!(heard["notifiedAt"].is_string());
    let expected = json!([{"entities": [{"type": ["Vehicle"]}], "propertyNames": ["speed"]}]);
    assert_eq!(heard["data"][0]["information"], expected);
    assert_eq!(heard["data"][0]["owner"], "EGAT");
}

#[actix_web::test]
async fn filters_of_sources_hold() {
    let broker = broker().await;
    let mut receiver = Receiver::start().await;
    let near = json!({"georel": "near;maxDistance==2000", "geometry": "Point", "coordinates": [99.72, 18.29]});
    let past = json!({"timerel": "before", "timeAt": "2021-01-01T00:00:00Z"});
    for (number, members) in [
        json!({"geoQ": near}),
        json!({"scopeQ": "/Lampang/#"}),
        json!({"csf": "owner==\"EGAT\""}),
        json!({"temporalQ": past}),
    ]
    .into_iter()
    .enumerate()
    {
        subscribed(&broker, &format!("urn:s:{number}"), &receiver.uri, members).await;
    }
    let here = json!({"type": "Point", "coordinates": [99.72, 18.29]});
    let since = json!({"startAt": "2020-01-01T00:00:00Z"});
    for (number, members) in [
        json!({"location": here}),
        json!({"scope": "/Lampang/MaeMoh"}),
        json!({"owner": "EGAT"}),
        json!({"observationInterval": since}),
    ]
    .into_iter()
    .enumerate()
    {
        registered(&broker, &format!("urn:r:{number}"), members).await;
        let heard = receiver.next().await;
        assert_eq!(heard["subscriptionId"], format!("urn:s:{number}"), "{heard}");
        assert_eq!(heard["data"][0]["id"], format!("urn:r:{number}"));
    }
}

#[actix_web::test]
async fn a_change_of_the_subscription_tells_all_that_match_anew() {
    let broker = broker().await;
    let mut receiver = Receiver::start().await;
    let boats = json!({"information": [{"entities": [{"type": "Boat"}]}]});
    registered(&broker, "urn:r:1", json!({})).await;
    registered(&broker, "urn:r:2", boats).await;
    subscribed(&broker, "urn:s:1", &receiver.uri, json!({"isActive": false})).await;
    let both = json!({"isActive": true, "entities": [{"type": "Vehicle"}, {"type": "Boat"}]});
    broker.body("PATCH", "/csourceSubscriptions/urn:s:1", both).await;
    assert_eq!(receiver.reason().await, told("newlyMatching", &["urn:r:1", "urn:r:2"]));
    broker.body("PATCH", "/csourceSubscriptions/urn:s:1", json!({"isActive": false})).await;
    broker.delete("/csourceRegistrations/urn:r:1").await;
    broker.body("PATCH", "/csourceSubscriptions/urn:s:1", json!({"isActive": true})).await;
    assert_eq!(receiver.reason().await, told("newlyMatching", &["urn:r:2"]));
}

#[actix_web::test]
async fn a_time_interval_tells_of_all_again_and_again() {
    let broker = broker().await;
    let mut receiver = Receiver::start().await;
    registered(&broker, "urn:r:1", json!({})).await;
    subscribed(&broker, "urn:s:1", &receiver.uri, json!({"timeInterval": 1})).await;
    assert_eq!(receiver.reason().await, told("newlyMatching", &["urn:r:1"]));
    assert_eq!(receiver.reason().await, told("updated", &["urn:r:1"]));
    registered(&broker, "urn:r:2", json!({})).await;
    // It may be told once more of the one that was there before.
    let mut reason = receiver.reason().await;
    while reason == told("updated", &["urn:r:1"]) {
        reason = receiver.reason().await;
    }
    assert_eq!(reason, told("updated", &["urn:r:1", "urn:r:2"]));
}

#[actix_web::test]
async fn entities_and_sources_are_told_to_their_own_subscribers_only() {
    let broker = broker().await;
    let (mut of_entities, mut of_sources) = (Receiver::start().await, Receiver::start().await);
    let sent = subscription("urn:s:1", &of_entities.uri, json!({}));
    assert_eq!(broker.body("POST", "/subscriptions", sent).await.status, 201);
    subscribed(&broker, "urn:s:2", &of_sources.uri, json!({})).await;
    registered(&broker, "urn:r:1", json!({})).await;
    broker.has(json!({"id": "urn:v:1", "type": "Vehicle", "speed": 1})).await;
    assert_eq!(of_entities.next().await["data"][0]["id"], "urn:v:1");
    assert_eq!(of_sources.next().await["data"][0]["id"], "urn:r:1");
    registered(&broker, "urn:r:2", json!({})).await;
    assert_eq!(of_sources.next().await["data"][0]["id"], "urn:r:2");
}

/// A broker on a folder, which forgets nothing though it is ended without a farewell.
async fn open(folder: &std::path::Path) -> Arc<Broker> {
    let mut config = Config::default();
    config.store.data = folder.to_owned();
    config.egress.allow_private = true;
    config.notify.retry_first = Duration::from_millis(20);
    config.notify.retry_last = Duration::from_millis(50);
    loop {
        // Who ended a moment ago may still hold the folder.
        if let Ok(broker) = Broker::open(&config).await {
            return Arc::new(broker);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[actix_web::test]
async fn what_was_not_told_is_told_after_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let uri = format!("http://{address}/n");
    let call = || Call {
        tenant: TenantId::DEFAULT,
        now: Timestamp::now(),
        context: Context::core(),
        origin: None,
    };
    let broker = open(folder.path()).await;
    let early = registration("urn:r:1", json!({}));
    broker.register_source(&call(), &Document::from_json(&early)).await.expect("registered");
    let sent = subscription("urn:s:1", &uri, json!({}));
    let sent = Document::from_json(&sent);
    broker.create_subscription(&call(), About::Sources, &sent).await.expect("subscribed");
    drop(broker);
    // Nobody was there to be told of the beginning; now somebody is.
    let broker = open(folder.path()).await;
    let mut receiver = Receiver::start_again(address).await;
    assert_eq!(receiver.reason().await, told("newlyMatching", &["urn:r:1"]));
    drop(receiver);
    drop(broker);
    let broker = open(folder.path()).await;
    let id = lanna::model::RegistrationId::parse("urn:r:1").expect("a URI");
    broker.delete_registration(&call(), &id).await.expect("deleted");
    drop(broker);
    let _broker = open(folder.path()).await;
    let mut receiver = Receiver::start_again(address).await;
    loop {
        // What was told just before the end may be told again.
        let (reason, ids) = receiver.reason().await;
        assert_eq!(ids, ["urn:r:1"]);
        if reason == "noLongerMatching" {
            break;
        }
    }
}

impl Receiver {
    /// On a port that was in use a moment ago.
    async fn start_again(address: std::net::SocketAddr) -> Self {
        loop {
            if let Ok(listener) = TcpListener::bind(address).await {
                return Self::on(listener);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
