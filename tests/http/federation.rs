//! Several brokers that answer as one (4.3.6), tried with real ones; and sources that hang, lie,
//! lead in circles or say too much.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as RunnerConfig, TestRunner};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Answer, TestBroker};

pub async fn broker() -> TestBroker {
    TestBroker::with(|config| config.egress.allow_private = true).await
}

/// A registration of a source with these members besides the necessary ones.
fn registration(number: usize, endpoint: &str, members: Value) -> Value {
    let mut all = json!({
        "id": format!("urn:ngsi-ld:ContextSourceRegistration:{number}"),
        "type": "ContextSourceRegistration",
        "information": [{"entities": [{"type": "Vehicle"}]}],
        "endpoint": endpoint,
    });
    for (name, value) in members.as_object().expect("members") {
        all[name] = value.clone();
    }
    all
}

pub async fn register(at: &TestBroker, number: usize, endpoint: &str, members: Value) {
    let body = registration(number, endpoint, members);
    let answer = at.body("POST", "/csourceRegistrations", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

pub fn vehicle(id: &str, attributes: Value) -> Value {
    let mut entity = json!({"id": format!("urn:v:{id}"), "type": "Vehicle"});
    for (name, value) in attributes.as_object().expect("attributes") {
        entity[name] = value.clone();
    }
    entity
}

pub fn ids(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let all = json.as_array().unwrap_or_else(|| panic!("no list: {}", answer.text)).iter();
    all.map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

/// A source that answers everything alike, after a while.
async fn source(status: &'static str, body: Vec<u8>, after: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let body = body.clone();
            tokio::spawn(async move {
                let mut head = [0; 8_192];
                let _ = socket.read(&mut head).await;
                tokio::time::sleep(after).await;
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = socket.write_all(head.as_bytes()).await;
                let _ = socket.write_all(&body).await;
            });
        }
    });
    format!("http://{address}")
}

/// An address where nobody listens.
pub async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

#[actix_web::test]
async fn one_question_is_answered_by_all_and_each_entity_comes_once() {
    let (city, plant, campus) = (broker().await, broker().await, broker().await);
    city.has(vehicle("1", json!({"speed": {"type": "Property", "value": 1}, "own": 1}))).await;
    let newer = json!({"type": "Property", "value": 2, "observedAt": "2026-01-02T00:00:00Z"});
    plant.has(vehicle("1", json!({"speed": newer, "brand": "P"}))).await;
    plant.has(vehicle("2", json!({"speed": 9}))).await;
    campus.has(vehicle("3", json!({"speed": 5}))).await;
    register(&city, 1, &plant.url(""), json!({})).await;
    register(&city, 2, &campus.url(""), json!({})).await;
    let answer = city.get("/entities?type=Vehicle&format=simplified&count=true").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(ids(&answer), ["urn:v:1", "urn:v:2", "urn:v:3"]);
    assert_eq!(answer.header("ngsild-results-count"), "3");
    assert_eq!(answer.header("ngsild-warning"), "");
    let first = &answer.json()[0];
    assert_eq!(
        (&first["speed"], &first["own"], &first["brand"]),
        (&json!(2), &json!(1), &json!("P"))
    );
    let answer = city.get("/entities?type=Vehicle&q=speed>4").await;
    assert_eq!(ids(&answer), ["urn:v:2", "urn:v:3"]);
    assert_eq!(ids(&city.get("/entities?type=Vehicle&local=true").await), ["urn:v:1"]);
    assert_eq!(city.values("urn:v:3").await["speed"], 5);
    assert_eq!(city.get("/entities/urn:v:3?local=true").await.status, 404);
    let posted = json!({"type": "Query", "entities": [{"type": "Vehicle"}], "q": "speed==5"});
    let answer = city.body("POST", "/entityOperations/query", posted).await;
    assert_eq!(ids(&answer), ["urn:v:3"]);
    let answer = city.get("/entities?type=Vehicle&orderBy=speed").await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    let report = city.get("/csourceRegistrations/urn:ngsi-ld:ContextSourceRegistration:1").await;
    assert_eq!(report.json()["status"], "ok", "{}", report.text);
    assert!(report.json()["timesSent"].as_u64() > Some(0), "{}", report.text);
}

#[actix_web::test]
async fn pages_hold_each_entity_once_and_whole() {
    let (city, plant) = (broker().await, broker().await);
    for number in 0..7 {
        let own = vehicle(&format!("{number:02}"), json!({"own": number}));
        if number % 2 == 0 {
            city.has(own).await;
        }
        plant.has(vehicle(&format!("{number:02}"), json!({"theirs": number}))).await;
    }
    register(&city, 1, &plant.url(""), json!({})).await;
    let mut seen = BTreeSet::new();
    for page in 0..4 {
        let path = format!("/entities?type=Vehicle&limit=2&offset={}", 2 * page);
        let answer = city.get(&path).await;
        for entity in answer.json().as_array().expect("a list") {
            assert!(entity["theirs"].is_object(), "{entity}");
            assert!(seen.insert(entity["id"].to_string()), "{entity}");
        }
        let links = answer.headers.get_all("link").iter();
        let next =
            links.filter_map(|link| link.to_str().ok()).any(|link| link.contains("rel=\"next\""));
        assert_eq!(next, page < 3);
    }
    assert_eq!(seen.len(), 7);
}

#[actix_web::test]
async fn sources_that_fail_cost_their_share_and_nothing_else() {
    let city = broker().await;
    city.has(vehicle("1", json!({"own": 1}))).await;
    let right = vehicle("9", json!({"speed": {"type": "Property", "value": 1}}));
    let wrong = json!([
        right,
        {"id": "urn:p:1", "type": "Person", "name": "who was not asked for"},
        {"id": "no URI", "type": "Vehicle"},
    ]);
    let deep = "[".repeat(5_000);
    let (soon, never) = (Duration::ZERO, Duration::MAX);
    for (number, (endpoint, code, found)) in [
        (source("200 OK", b"not JSON".to_vec(), soon).await, "111", 1),
        (source("200 OK", deep.into_bytes(), soon).await, "111", 1),
        (source("200 OK", wrong.to_string().into_bytes(), soon).await, "111", 2),
        (source("200 OK", vec![b' '; 17 << 20], soon).await, "111", 1),
        (source("403 Forbidden", b"{}".to_vec(), soon).await, "299", 1),
        (source("200 OK", b"[]".to_vec(), never).await, "199", 1),
        (nobody().await, "199", 1),
    ]
    .into_iter()
    .enumerate()
    {
        let number = number + 1;
        // Whoever answers has all the time that it needs; of who does not nobody waits to the end.
        let hangs = code == "199";
        let members = if hangs { json!({"management": {"timeout": 400}}) } else { json!({}) };
        register(&city, number, &endpoint, members).await;
        let answer = city.get("/entities?type=Vehicle").await;
        assert_eq!(answer.status, 200, "{number}: {}", answer.text);
        assert_eq!(ids(&answer).len(), found, "{number}: {}", answer.text);
        assert!(!answer.text.contains("Person"), "{}", answer.text);
        let warning = answer.header("ngsild-warning");
        assert!(warning.starts_with(code), "{number}: {warning}");
        let path = format!("/csourceRegistrations/urn:ngsi-ld:ContextSourceRegistration:{number}");
        assert_eq!(city.delete(&path).await.status, 204);
    }
    let gone = city.get("/entities/urn:p:1?local=true").await;
    assert_eq!(gone.status, 404, "nothing of others is kept");
}

#[actix_web::test]
async fn brokers_that_register_each_other_answer_and_say_so() {
    let (one, other) = (broker().await, broker().await);
    one.has(vehicle("1", json!({"speed": 1}))).await;
    other.has(vehicle("2", json!({"speed": 2}))).await;
    register(&one, 1, &other.url(""), json!({})).await;
    register(&other, 2, &one.url(""), json!({})).await;
    let answer = one.get("/entities?type=Vehicle").await;
    assert_eq!(ids(&answer), ["urn:v:1", "urn:v:2"]);
    assert!(answer.header("ngsild-warning").starts_with("199"), "{:?}", answer.headers);
    let all = json!({"mode": "redirect", "operations": ["redirectionOps"],
        "information": [{"entities": [{"type": "Bus"}]}]});
    register(&one, 3, &one.url(""), all).await;
    let bus = json!({"id": "urn:b:1", "type": "Bus", "speed": 1});
    let answer = one.body("POST", "/entities", bus).await;
    assert_eq!(answer.status, 508, "{}", answer.text);
}

#[actix_web::test]
async fn writes_go_to_whoever_has_the_part() {
    let (city, plant) = (broker().await, broker().await);
    let exclusive = json!({
        "information": [{"entities": [{"id": "urn:v:1", "type": "Vehicle"}], "propertyNames": ["speed"]}],
        "mode": "exclusive", "operations": ["redirectionOps"],
    });
    register(&city, 1, &plant.url(""), exclusive).await;
    let both = vehicle("1", json!({"speed": 1, "own": 1}));
    assert_eq!(city.body("POST", "/entities", both).await.status, 201);
    assert_eq!(plant.values("urn:v:1").await["speed"], 1);
    assert_eq!(plant.values("urn:v:1").await["own"], Value::Null);
    let local = city.get("/entities/urn:v:1?local=true&format=simplified").await.json();
    assert_eq!((&local["own"], &local["speed"]), (&json!(1), &Value::Null));
    let fragment =
        json!({"speed": {"type": "Property", "value": 7}, "own": {"type": "Property", "value": 8}});
    let answer = city.body("PATCH", "/entities/urn:v:1/attrs", fragment).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    let whole = city.values("urn:v:1").await;
    assert_eq!((&whole["speed"], &whole["own"]), (&json!(7), &json!(8)));
    let answer = city.body("PATCH", "/entities/urn:v:1/attrs/speed", json!({"value": 9})).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    assert_eq!(plant.values("urn:v:1").await["speed"], 9);
    assert_eq!(city.delete("/entities/urn:v:1/attrs/speed").await.status, 204);
    assert_eq!(plant.values("urn:v:1").await["speed"], Value::Null);
    assert_eq!(city.delete("/entities/urn:v:1/attrs/speed").await.status, 404);
    assert_eq!(city.delete("/entities/urn:v:1").await.status, 204);
    assert_eq!(plant.get("/entities/urn:v:1").await.status, 404);
    assert_eq!(city.get("/entities/urn:v:1?local=true").await.status, 404);
}

#[actix_web::test]
async fn the_status_says_who_failed() {
    let city = broker().await;
    let speed =
        json!([{"entities": [{"id": "urn:v:1", "type": "Vehicle"}], "propertyNames": ["speed"]}]);
    let redirect = |operations: Value| json!({"information": speed, "mode": "redirect", "operations": operations});
    let patch = json!({"speed": {"type": "Property", "value": 1}});
    for (number, (endpoint, operations, status)) in [
        (source("404 Not Found", b"{}".to_vec(), Duration::ZERO).await, "redirectionOps", 404),
        (source("500 Oh", b"{}".to_vec(), Duration::ZERO).await, "redirectionOps", 502),
        (source("508 Loop", b"{}".to_vec(), Duration::ZERO).await, "redirectionOps", 508),
        (nobody().await, "redirectionOps", 504),
        (nobody().await, "retrieveOps", 409),
    ]
    .into_iter()
    .enumerate()
    {
        let number = number + 1;
        register(&city, number, &endpoint, redirect(json!([operations]))).await;
        let answer = city.body("PATCH", "/entities/urn:v:1/attrs", patch.clone()).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        let path = format!("/csourceRegistrations/urn:ngsi-ld:ContextSourceRegistration:{number}");
        assert_eq!(city.delete(&path).await.status, 204);
    }
    register(&city, 9, &nobody().await, redirect(json!(["redirectionOps"]))).await;
    let local =
        city.request("POST", "/entities?local=true").header("content-type", "application/json");
    city.send(local.body(vehicle("1", json!({"own": 1})).to_string())).await;
    let both =
        json!({"speed": {"type": "Property", "value": 1}, "own": {"type": "Property", "value": 2}});
    let answer = city.body("PATCH", "/entities/urn:v:1/attrs", both).await;
    assert_eq!(answer.status, 207, "{}", answer.text);
    let result = answer.json();
    assert!(result["updated"][0].as_str().expect("a name").ends_with("own"), "{result}");
    let failed = &result["notUpdated"][0];
    assert!(failed["attributeName"].as_str().expect("a name").ends_with("speed"), "{result}");
    assert_eq!(failed["registrationId"], "urn:ngsi-ld:ContextSourceRegistration:9");
}

#[actix_web::test]
async fn batches_are_taken_apart_and_put_together_again() {
    let (city, plant) = (broker().await, broker().await);
    let redirect = |operations: Value| {
        json!({"mode": "redirect", "operations": operations,
            "information": [{"entities": [{"type": "Vehicle", "idPattern": "^urn:v:p"}]}]})
    };
    for (number, operations) in [
        json!(["redirectionOps"]),
        json!(["redirectionOps", "createBatch", "upsertBatch", "deleteBatch"]),
    ]
    .into_iter()
    .enumerate()
    {
        register(&city, number + 1, &plant.url(""), redirect(operations)).await;
        let batch = json!([vehicle("c1", json!({"a": 1})), vehicle("p1", json!({"a": 1}))]);
        let answer = city.body("POST", "/entityOperations/create", batch.clone()).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_eq!(answer.json().as_array().map(Vec::len), Some(2), "{}", answer.text);
        assert_eq!(plant.get("/entities/urn:v:p1").await.status, 200);
        assert_eq!(city.get("/entities/urn:v:p1?local=true").await.status, 404);
        let answer = city.body("POST", "/entityOperations/create", batch).await;
        assert_eq!(answer.status, 207, "{}", answer.text);
        assert_eq!(answer.json()["errors"].as_array().map(Vec::len), Some(2), "{}", answer.text);
        let batch = json!([vehicle("p1", json!({"a": 2})), vehicle("p2", json!({"a": 2}))]);
        let answer = city.body("POST", "/entityOperations/upsert", batch).await;
        assert_eq!((answer.status, answer.json()), (201, json!(["urn:v:p2"])));
        assert_eq!(plant.values("urn:v:p1").await["a"], 2);
        let gone = json!(["urn:v:p1", "urn:v:p2", "urn:v:c1"]);
        let answer = city.body("POST", "/entityOperations/delete", gone).await;
        assert_eq!(answer.status, 204, "{}", answer.text);
        assert_eq!(plant.get("/entities?type=Vehicle").await.json(), json!([]));
        let path =
            format!("/csourceRegistrations/urn:ngsi-ld:ContextSourceRegistration:{}", number + 1);
        assert_eq!(city.delete(&path).await.status, 204);
    }
}

#[actix_web::test]
async fn types_attributes_and_purges_reach_the_sources() {
    let (city, plant) = (broker().await, broker().await);
    city.has(json!({"id": "urn:b:1", "type": "Bus", "speed": 1})).await;
    plant.has(vehicle("1", json!({"height": 1}))).await;
    register(&city, 1, &plant.url(""), json!({"operations": ["federationOps", "purgeEntity"]}))
        .await;
    let types = city.get("/types").await.json();
    assert_eq!(types["typeList"], json!(["Bus", "Vehicle"]), "{types}");
    let attributes = city.get("/attributes").await.json();
    assert_eq!(attributes["attributeList"], json!(["height", "speed"]), "{attributes}");
    let one = city.get("/types/Vehicle").await.json();
    assert_eq!(
        (&one["entityCount"], &one["attributeDetails"][0]["attributeName"]),
        (&json!(1), &json!("height"))
    );
    assert_eq!(city.get("/types/Vehicle?local=true").await.status, 404);
    assert_eq!(city.delete("/entities?type=Vehicle").await.status, 204);
    assert_eq!(plant.get("/entities?type=Vehicle").await.json(), json!([]));
}

#[actix_web::test]
async fn history_is_gathered_before_it_is_told() {
    let (city, plant) = (broker().await, broker().await);
    let instance = |value: i64, day: u8| json!({"type": "Property", "value": value, "observedAt": format!("2026-05-{day:02}T00:00:00Z")});
    let own = vehicle("1", json!({"speed": [instance(100, 1), instance(7, 5)]}));
    let theirs = vehicle("1", json!({"speed": [instance(300, 2), instance(8, 5)]}));
    assert_eq!(city.body("POST", "/temporal/entities", own).await.status, 201);
    assert_eq!(plant.body("POST", "/temporal/entities", theirs).await.status, 201);
    register(
        &city,
        1,
        &plant.url(""),
        json!({"operations": ["retrieveTemporal", "queryTemporal", "upsertTemporal"]}),
    )
    .await;
    let window = "timerel=between&timeAt=2026-04-30T00:00:00Z&endTimeAt=2026-05-04T00:00:00Z";
    let path =
        format!("/temporal/entities?type=Vehicle&{window}&format=aggregatedValues&aggrMethods=avg");
    let answer = city.get(&path).await;
    assert_eq!(answer.json()[0]["speed"]["avg"][0][0], 200.0, "{}", answer.text);
    let path = "/temporal/entities/urn:v:1?timerel=after&timeAt=2020-01-01T00:00:00Z&lastN=2&options=temporalValues";
    let answer = city.get(path).await;
    let values = &answer.json()["speed"]["values"];
    assert_eq!(values.as_array().map(Vec::len), Some(2), "{}", answer.text);
    assert_eq!(values[0][0], 300, "{}", answer.text);
    let more = vehicle("2", json!({"speed": [instance(1, 1)]}));
    let answer = city.body("POST", "/temporal/entities", more).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(plant.get("/temporal/entities/urn:v:2").await.status, 200);
    let answer = city.get("/temporal/entities/urn:v:1?local=true").await;
    assert!(!answer.text.contains("300"), "{}", answer.text);
}

#[actix_web::test]
async fn tenants_stay_apart_at_sources_too() {
    let (city, plant) = (broker().await, broker().await);
    let theirs = plant.request("POST", "/entities").header("ngsild-tenant", "north");
    let theirs = theirs.header("content-type", "application/json");
    plant.send(theirs.body(vehicle("north", json!({"a": 1})).to_string())).await;
    plant.has(vehicle("default", json!({"a": 1}))).await;
    register(&city, 1, &plant.url(""), json!({"tenant": "north"})).await;
    assert_eq!(ids(&city.get("/entities?type=Vehicle").await), ["urn:v:north"]);
    let other = city.request("GET", "/entities?type=Vehicle").header("ngsild-tenant", "south");
    assert_eq!(city.send(other).await.status, 404, "the registration is of another tenant");
}

/// What lies where, and who registered whom.
#[derive(Debug, Clone)]
struct Topology {
    /// Attributes of entities by broker: (broker, entity, attribute) to value and time.
    parts: BTreeMap<(usize, u8, u8), (i64, i64)>,
    /// Who asks whom, and for which attributes; all if there are none.
    links: BTreeMap<(usize, usize), BTreeSet<u8>>,
}

fn any_topology() -> impl Strategy<Value = Topology> {
    let parts =
        proptest::collection::btree_map((0usize..5, 0u8..4, 0u8..3), (0i64..100, 1i64..28), 1..16);
    let names = prop_oneof![
        2 => Just(BTreeSet::new()),
        1 => proptest::collection::btree_set(0u8..3, 1..3)
    ];
    let links = proptest::collection::btree_map((0usize..5, 0usize..5), names, 0..9);
    (parts, links).prop_map(|(mut parts, links)| {
        // Two that were observed at once could both count.
        let mut seen = BTreeSet::new();
        parts.retain(|(_, entity, attribute), (_, day)| seen.insert((*entity, *attribute, *day)));
        Topology { parts, links }
    })
}

impl Topology {
    /// The brokers whose part of an attribute the first one can come by.
    fn reached(&self, attribute: u8) -> BTreeSet<usize> {
        let mut reached = BTreeSet::from([0]);
        let leads = |names: &BTreeSet<u8>| names.is_empty() || names.contains(&attribute);
        loop {
            let from = self.links.iter().filter(|(_, names)| leads(names));
            let next = from.filter(|((from, _), _)| reached.contains(from));
            let next: BTreeSet<usize> = next.map(|((_, to), _)| *to).collect();
            let before = reached.len();
            reached.extend(next);
            if reached.len() == before {
                return reached;
            }
        }
    }

    /// What the first one can come by, in the order in which it was observed: day, entity, attribute
    /// and value.
    fn told(&self) -> Vec<(i64, u8, u8, i64)> {
        let parts = self.parts.iter();
        let told = parts.filter(|((broker, _, name), _)| self.reached(*name).contains(broker));
        let told = told.map(|((_, entity, name), (value, day))| (*day, *entity, *name, *value));
        let mut told: Vec<_> = told.collect();
        told.sort_unstable();
        told
    }
}

fn observed(value: i64, day: i64) -> Value {
    json!({"type": "Property", "value": value, "observedAt": format!("2026-01-{day:02}T00:00:00Z")})
}

/// Entities by their ids; each once.
fn by_id(answer: &Answer, into: &mut BTreeMap<String, Value>) {
    for entity in answer.json().as_array().expect("a list") {
        let id = entity["id"].as_str().expect("an id").to_owned();
        assert!(into.insert(id, entity.clone()).is_none(), "{} comes twice", entity["id"]);
    }
}

/// One tenant of several brokers.
struct Case {
    tenant: String,
}

impl Case {
    async fn post(&self, at: &TestBroker, path: &str, body: Value) {
        let request = at.request("POST", path).header("ngsild-tenant", &self.tenant);
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = at.send(request).await;
        assert!(matches!(answer.status, 201 | 204), "{} {}", answer.status, answer.text);
    }

    async fn get(&self, at: &TestBroker, path: &str, map: Option<&str>) -> Answer {
        let mut request = at.request("GET", path).header("ngsild-tenant", &self.tenant);
        if let Some(map) = map {
            request = request.header("ngsild-entitymap", map);
        }
        at.send(request).await
    }

    /// All entities that a query finds, page by page.
    async fn all(&self, at: &TestBroker, query: &str, map: bool) -> BTreeMap<String, Value> {
        let (mut found, mut offset, mut reference) = (BTreeMap::new(), 0, None);
        loop {
            let wish = if map && offset == 0 { "&entityMap=true" } else { "" };
            let path = format!("{query}&limit=2&offset={offset}{wish}");
            let answer = self.get(at, &path, reference.as_deref()).await;
            assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text);
            by_id(&answer, &mut found);
            reference = map.then(|| answer.header("ngsild-entitymap").to_owned());
            let links = answer.headers.get_all("link").iter();
            let mut links = links.filter_map(|link| link.to_str().ok());
            if !links.any(|link| link.contains("rel=\"next\"")) {
                return found;
            }
            offset += 2;
        }
    }
}

#[actix_web::test]
async fn a_query_over_any_topology_equals_one_over_a_broker_that_holds_everything() {
    let mut brokers = Vec::new();
    for _ in 0..6 {
        brokers.push(broker().await);
    }
    let whole = brokers.pop().expect("the one that holds everything");
    let mut runner = TestRunner::new(RunnerConfig::default());
    for case in 0..24 {
        let topology = any_topology().new_tree(&mut runner).expect("a topology").current();
        println!("{topology:?}");
        let case = Case { tenant: format!("case{case}") };
        let mut entities: BTreeMap<(usize, u8), Value> = BTreeMap::new();
        for ((broker, entity, attribute), (value, day)) in &topology.parts {
            let own = entities.entry((*broker, *entity));
            let own = own.or_insert_with(|| vehicle(&entity.to_string(), json!({})));
            own[format!("a{attribute}")] = observed(*value, *day);
        }
        for ((broker, _), entity) in entities {
            case.post(&brokers[broker], "/entities", entity).await;
        }
        for (number, ((from, to), names)) in topology.links.iter().enumerate() {
            let mut information = json!({"entities": [{"type": "Vehicle"}]});
            if !names.is_empty() {
                information["propertyNames"] =
                    names.iter().map(|name| format!("a{name}")).collect();
            }
            let members = json!({"tenant": case.tenant, "information": [information],
                "operations": ["federationOps", "retrieveTemporal", "queryTemporal"]});
            let body = registration(number, &brokers[*to].url(""), members);
            case.post(&brokers[*from], "/csourceRegistrations", body).await;
        }
        let told = topology.told();
        for (day, entity, attribute, value) in &told {
            let mut part = vehicle(&entity.to_string(), json!({}));
            part[format!("a{attribute}")] = observed(*value, *day);
            let path = "/entityOperations/upsert?options=update";
            case.post(&whole, path, json!([part])).await;
        }
        if told.is_empty() {
            let answer = case.get(&brokers[0], "/entities?type=Vehicle", None).await;
            // A broker that holds nothing of a tenant does not know it.
            assert!(answer.status == 404 || answer.json() == json!([]), "{}", answer.text);
            continue;
        }
        equal(&case, &brokers[0], &whole).await;
    }
}

/// Whatever is asked, the one answers as the other.
async fn equal(case: &Case, one: &TestBroker, whole: &TestBroker) {
    const SIMPLE: &str = "/entities?type=Vehicle&format=simplified";
    for more in [
        "",
        "&splitEntities=true&q=a0>=50",
        "&splitEntities=true&q=(a0>=20;a1<80)|a2",
        "&splitEntities=true&attrs=a1",
        "&splitEntities=true&q=a1.observedAt>2026-01-14T00:00:00Z&attrs=a0,a1",
        "&id=urn:v:1,urn:v:2",
        "&idPattern=[12]$&pick=id,a0,a2",
    ] {
        let path = format!("{SIMPLE}{more}");
        let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
        let query = format!("{path}&limit=100&count=true");
        let (answer, other) =
            (case.get(one, &query, None).await, case.get(whole, &query, None).await);
        by_id(&answer, &mut ours);
        by_id(&other, &mut theirs);
        assert_eq!(ours, theirs, "{path}");
        let count = |answer: &Answer| answer.header("ngsild-results-count").to_owned();
        assert_eq!(count(&answer), count(&other), "{path}");
        for map in [false, true] {
            assert_eq!(
                case.all(one, &path, map).await,
                theirs,
                "{path}, by pages, by a map: {map}"
            );
        }
    }
    const PAST: &str =
        "/temporal/entities?type=Vehicle&timerel=after&timeAt=2020-01-01T00:00:00Z&limit=100";
    for more in [
        "&options=temporalValues",
        "&options=temporalValues&lastN=2",
        "&format=aggregatedValues&aggrMethods=sum,max,totalCount",
        "&options=temporalValues&splitEntities=true&q=a0>=50",
    ] {
        let path = format!("{PAST}{more}");
        let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
        by_id(&case.get(one, &path, None).await, &mut ours);
        by_id(&case.get(whole, &path, None).await, &mut theirs);
        assert_eq!(ours, theirs, "{path}");
    }
    for entity in 0..4 {
        let path = format!("/entities/urn:v:{entity}?format=simplified");
        let (ours, theirs) = (case.get(one, &path, None).await, case.get(whole, &path, None).await);
        assert_eq!(ours.status, theirs.status, "{path}: {}", ours.text);
        if ours.status == 200 {
            assert_eq!(ours.json(), theirs.json(), "{path}");
        }
    }
}
