//! Which sources are asked for an entity, and how much of their answers is held at once.

use lanna::config::ByteSize;
use serde_json::json;

use crate::federation::{broker, ids, register, vehicle};
use crate::support::TestBroker;

const ONE: &str = "/entities/urn:v:1";

/// Two brokers: the city's, and one that knows a vehicle of the city's by another type.
async fn known_otherwise(own_types: bool) -> (TestBroker, TestBroker) {
    let city = TestBroker::with(|config| {
        config.egress.allow_private = true;
        config.federation.own_types = own_types;
    })
    .await;
    let garage = broker().await;
    city.has(vehicle("1", json!({"speed": 1}))).await;
    garage.has(json!({"id": "urn:v:1", "type": "Thing", "owner": "Somchai"})).await;
    let things = json!({"information": [{"entities": [{"type": "Thing"}]}]});
    register(&city, 1, &garage.url(""), things).await;
    (city, garage)
}

#[actix_web::test]
async fn whoever_registered_a_type_and_no_ids_is_asked_for_an_entity_of_another_type_here() {
    let (city, _garage) = known_otherwise(false).await;
    let whole = city.get(ONE).await;
    assert_eq!(whole.status, 200, "{}", whole.text);
    assert_eq!(whole.json()["owner"]["value"], "Somchai", "{}", whole.text);
    assert_eq!(whole.json()["type"], json!(["Vehicle", "Thing"]), "{}", whole.text);
    // A request that says a type says who is meant.
    let own = city.get(&format!("{ONE}?type=Vehicle")).await;
    assert_eq!(own.json()["type"], "Vehicle", "{}", own.text);
    assert!(own.json().get("owner").is_none(), "{}", own.text);
    let local = city.get(&format!("{ONE}?local=true")).await;
    assert!(local.json().get("owner").is_none(), "{}", local.text);
}

#[actix_web::test]
async fn with_own_types_the_types_of_an_entity_that_is_here_say_who_is_asked() {
    let (city, garage) = known_otherwise(true).await;
    let own = city.get(ONE).await;
    assert_eq!(own.json()["type"], "Vehicle", "{}", own.text);
    assert!(own.json().get("owner").is_none(), "{}", own.text);
    // Of what is not here nothing is known.
    garage.has(json!({"id": "urn:v:2", "type": "Thing", "owner": "Malee"})).await;
    let there = city.get("/entities/urn:v:2").await;
    assert_eq!(there.json()["owner"]["value"], "Malee", "{}", there.text);
    // Who registered one of the types is asked for all it knows, by further types as well.
    garage.has(json!({"id": "urn:v:3", "type": ["Vehicle", "Bus"], "owner": "Malee"})).await;
    city.has(vehicle("3", json!({"speed": 3}))).await;
    let vehicles = json!({"information": [{"entities": [{"type": "Vehicle"}]}]});
    register(&city, 2, &garage.url(""), vehicles).await;
    let both = city.get("/entities/urn:v:3").await;
    assert_eq!(both.json()["owner"]["value"], "Malee", "{}", both.text);
    assert_eq!(both.json()["type"], json!(["Vehicle", "Bus"]), "{}", both.text);
}

#[actix_web::test]
async fn answers_of_sources_fill_no_more_memory_together_than_they_may() {
    const MOST: u64 = 200;
    let city = TestBroker::with(|config| {
        config.egress.allow_private = true;
        config.federation.answers = ByteSize::kibi(MOST);
    })
    .await;
    let mut sources = Vec::new();
    for number in 1..=3 {
        let source = broker().await;
        let long = "x".repeat(90 * 1024);
        source.has(vehicle(&number.to_string(), json!({"text": long}))).await;
        register(&city, number, &source.url(""), json!({})).await;
        sources.push(source);
    }
    // What was taken is given back each time.
    for _ in 0..4 {
        let answer = city.get("/entities?type=Vehicle").await;
        assert_eq!((answer.status, ids(&answer).len()), (200, 2), "{:.500}", answer.text);
        let said = answer.header("ngsild-warning");
        assert!(said.starts_with("111 ") && said.contains("no memory"), "{said}");
    }
    for number in 1..=3 {
        let id = format!("/entities/urn:v:{number}?type=Vehicle");
        assert_eq!(city.get(&id).await.status, 200);
    }
    // No source is to blame.
    for number in 1..=3 {
        let path = format!("/csourceRegistrations/urn:ngsi-ld:ContextSourceRegistration:{number}");
        let report = city.get(&path).await.json();
        assert_eq!(report["status"], "ok", "{report}");
        assert_eq!(report.get("timesFailed"), None, "{report}");
    }
}
