//! `/feeds`: how feeds fare, what they refused, and sending to them.

use serde_json::{Value, json};

use crate::support::{Answer, TestBroker};

const GATE: &str = r#"
about = "Gates that tell how many people went through"
[source]
kind = "push"
most = "4KiB"
[read]
format = "json"
missing = [-1]
[time]
from = "at"
zone = "Asia/Bangkok"
[entity]
id = "urn:ngsi-ld:Gate:{gate}"
type = "Gate"
[attributes]
count = { from = "count", as = "integer", unit = "none", range = [0, 1000] }
waiting = { from = "waiting", as = "integer", unit = "none", usual = [0, 10] }
[provenance]
source = "https://gates.example.org"
provider = "Example"
class = "citizen"
"#;

async fn gates() -> (TestBroker, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("gates.toml"), GATE).expect("a file");
    let path = folder.path().to_owned();
    let broker = TestBroker::with(move |config| {
        config.feeds.folder = Some(path);
        config.feeds.run = vec!["gates".to_owned(), "air4thai".to_owned()];
        // Nobody is asked by a test.
        config.egress.ports = Vec::new();
    })
    .await;
    (broker, folder)
}

async fn push(broker: &TestBroker, records: Value) -> Answer {
    broker.beside("POST", "/feeds/gates", Some(records)).await
}

/// What is told of a feed as soon as it is so; brokers that share a store tell each other a little
/// later.
async fn once(broker: &TestBroker, path: &str, so: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..500 {
        let told = broker.beside("GET", path, None).await.json();
        if so(&told) {
            return told;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    broker.beside("GET", path, None).await.json()
}

#[actix_web::test]
async fn what_is_sent_is_stored_and_what_is_refused_can_be_looked_up() {
    let (broker, _folder) = gates().await;
    let answer = push(
        &broker,
        json!([
            {"gate": "north", "at": "2569-03-14T09:00:00", "count": "12", "waiting": 99},
            {"gate": "south", "at": "never", "count": 3},
            {"gate": "east", "at": "2026-03-14T09:00:00", "count": 5000, "secret": "nobody's business"},
            {"gate": "west", "at": "2026-03-14T09:00:00", "count": -1, "waiting": "many"},
        ]),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let taken = answer.json();
    assert_eq!(
        (&taken["records"], &taken["stored"], &taken["rejected"]),
        (&json!(4), &json!(3), &json!(1))
    );

    let north = broker.get("/entities/urn:ngsi-ld:Gate:north").await.json();
    assert_eq!(north["count"]["value"], 12);
    assert_eq!(north["count"]["observedAt"], "2026-03-14T02:00:00Z");
    assert_eq!(north["waiting"]["quality"]["value"], "suspect");
    assert_eq!(north["sourceClass"]["value"], "citizen");
    let east = broker.get("/entities/urn:ngsi-ld:Gate:east").await.json();
    assert_eq!(east.get("count"), None, "an impossible value is no value");
    assert!(east["qualityFlags"]["value"].to_string().contains("5000 is impossible"), "{east}");
    let west = broker.get("/entities/urn:ngsi-ld:Gate:west").await.json();
    assert_eq!((west.get("count"), west.get("waiting")), (None, None));

    let rejected = once(&broker, "/feeds/gates/rejected", |all| all.get(3).is_some()).await;
    let told: Vec<(&str, &str)> = rejected
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["outcome"].as_str().unwrap_or(""), one["id"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(
        told,
        [
            ("left out", "urn:ngsi-ld:Gate:west"),
            ("flagged", "urn:ngsi-ld:Gate:east"),
            ("refused", "urn:ngsi-ld:Gate:south"),
            ("marked", "urn:ngsi-ld:Gate:north"),
        ]
    );
    assert_eq!(rejected[1]["record"]["count"], "5000");
    assert!(!rejected.to_string().contains("nobody's business"), "only what is read is shown");
    assert!(rejected[2]["why"].as_str().expect("a reason").contains("never"));
    for (which, count) in [
        ("limit=1", 1),
        ("entity=urn:ngsi-ld:Gate:south", 1),
        ("entity=urn:ngsi-ld:Gate:nowhere", 0),
        ("what=reading", 3),
        ("what=record", 1),
        ("what=reading&entity=urn:ngsi-ld:Gate:west", 1),
        ("from=a-file.csv", 0),
    ] {
        let path = format!("/feeds/gates/rejected?{which}");
        let some = broker.beside("GET", &path, None).await.json();
        assert_eq!(some.as_array().map(Vec::len), Some(count), "{which}: {some}");
    }
    assert_eq!(broker.beside("GET", "/feeds/gates/rejected?why=x", None).await.status, 400);
}

#[actix_web::test]
async fn what_tells_nothing_new_changes_nothing_and_what_is_late_goes_into_the_past() {
    let (broker, _folder) = gates().await;
    let at = |minute: u32, count: u32| json!({"gate": "north", "at": format!("2026-03-14T09:{minute:02}:00"), "count": count});
    push(&broker, at(30, 7)).await;
    let same = push(&broker, at(30, 7)).await.json();
    assert_eq!((&same["stored"], &same["unchanged"]), (&json!(0), &json!(1)));
    let late = push(&broker, at(15, 5)).await;
    assert_eq!(late.json()["late"], 1, "{}", late.text);
    let now = broker.get("/entities/urn:ngsi-ld:Gate:north").await.json();
    assert_eq!(now["count"]["value"], 7);
    let past = broker
        .get("/temporal/entities/urn:ngsi-ld:Gate:north?attrs=count&format=temporalValues")
        .await
        .json();
    let values: Vec<&Value> =
        past["count"]["values"].as_array().expect("values").iter().map(|pair| &pair[0]).collect();
    assert_eq!(values.len(), 2, "{past}");
    assert!(values.contains(&&json!(5)) && values.contains(&&json!(7)));
}

#[actix_web::test]
async fn a_reading_that_is_gone_does_not_stay_as_if_it_were_of_now() {
    let (broker, _folder) = gates().await;
    push(&broker, json!({"gate": "a", "at": "2026-03-14T09:00:00", "count": 1, "waiting": 2}))
        .await;
    let other = json!({"owner": {"type": "Property", "value": "somebody else's attribute"}});
    let answer = broker.body("POST", "/entities/urn:ngsi-ld:Gate:a/attrs", other).await;
    assert_eq!(answer.status, 204);
    push(&broker, json!({"gate": "a", "at": "2026-03-14T09:15:00", "count": -1, "waiting": 3}))
        .await;
    let gate = broker.get("/entities/urn:ngsi-ld:Gate:a").await.json();
    assert_eq!(gate.get("count"), None);
    assert_eq!(gate["waiting"]["value"], 3);
    assert!(gate.get("owner").is_some(), "{gate}");
}

#[actix_web::test]
async fn feeds_say_how_they_fare() {
    let (broker, _folder) = gates().await;
    push(&broker, json!({"gate": "a", "at": "2026-03-14T09:00:00", "count": 1})).await;
    let all = broker.beside("GET", "/feeds", None).await.json();
    assert_eq!((&all[0]["name"], &all[1]["name"]), (&json!("air4thai"), &json!("gates")));
    let gates = broker.beside("GET", "/feeds/gates", None).await.json();
    for (member, value) in [
        ("state", json!("ok")),
        ("source", json!("push")),
        ("sourceClass", json!("citizen")),
        ("type", json!(["Gate"])),
        ("stored", json!(1)),
        ("runs", json!(1)),
        ("entities", json!(1)),
        ("expectedWithin", json!(3600)),
        ("newestObservation", json!("2026-03-14T02:00:00Z")),
    ] {
        assert_eq!(gates[member], value, "{member} of {gates}");
    }
    assert!(gates["lastNew"].is_string());
    // Of brokers that share a store only the one that runs a feed counts it.
    let mut metrics = broker.beside("GET", "/metrics", None).await.text;
    for _ in 0..100 {
        if metrics.contains("lanna_feed_quiet{feed=\"gates\"}") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        metrics = broker.beside("GET", "/metrics", None).await.text;
    }
    for line in [
        "lanna_feed_records_total{feed=\"gates\",outcome=\"stored\"} 1",
        "lanna_feed_quiet{feed=\"gates\"} 0",
        "lanna_feed_expected_within_seconds{feed=\"air4thai\"} 10800",
    ] {
        assert!(metrics.lines().any(|own| own == line), "{line}\nin\n{metrics}");
    }
    assert_eq!(broker.beside("GET", "/feeds/dustboy", None).await.status, 404);
}

#[actix_web::test]
async fn what_cannot_be_taken_is_refused_as_a_whole() {
    let (broker, _folder) = gates().await;
    let long = json!({"gate": "x".repeat(5_000)});
    assert_eq!(push(&broker, long).await.status, 413);
    let request = |body: &'static str| {
        let client = reqwest::Client::new();
        client.post(broker.url("/feeds/gates")).body(body)
    };
    let answer = broker.send(request("no JSON")).await;
    assert_eq!((answer.status, answer.problem().as_str()), (400, "BadRequestData"));
    let fetched = broker.beside("POST", "/feeds/air4thai", Some(json!({}))).await;
    assert_eq!((fetched.status, fetched.problem().as_str()), (422, "OperationNotSupported"));
    let gates = once(&broker, "/feeds/gates", |gates| gates["state"] == "failing").await;
    assert_eq!((&gates["state"], &gates["failures"]), (&json!("failing"), &json!(1)));
    let rejected = broker.beside("GET", "/feeds/gates/rejected", None).await.json();
    assert_eq!(rejected[0]["what"], "document");
}

#[actix_web::test]
async fn a_feed_that_has_gone_quiet_is_noticed_with_the_entities_that_have() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = GATE.replace("kind = \"push\"", "kind = \"push\"\nexpect = \"1s\"");
    std::fs::write(folder.path().join("gates.toml"), text).expect("a file");
    let path = folder.path().to_owned();
    let broker = TestBroker::with(move |config| {
        config.feeds.folder = Some(path);
        config.feeds.run = vec!["gates".to_owned()];
    })
    .await;
    push(&broker, json!({"gate": "a", "at": "2026-03-14T09:00:00", "count": 1})).await;
    let told = |gates: &Value| gates["state"] == "quiet" && gates["quietEntities"].is_array();
    let quiet = once(&broker, "/feeds/gates", told).await;
    assert_eq!(quiet["state"], "quiet", "{quiet}");
    assert_eq!(quiet["quietEntities"], json!(["urn:ngsi-ld:Gate:a"]));
    let line = "lanna_feed_quiet{feed=\"gates\"} 1";
    let mut metrics = String::new();
    for _ in 0..100 {
        metrics = broker.beside("GET", "/metrics", None).await.text;
        if metrics.contains(line) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(metrics.contains(line), "{metrics}");
    push(&broker, json!({"gate": "a", "at": "2026-03-14T09:01:00", "count": 2})).await;
    let awake = once(&broker, "/feeds/gates", |gates| gates["state"] == "ok").await;
    assert_eq!(awake["quietEntities"], Value::Null);
}
