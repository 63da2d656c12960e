//! `/entityOperations/…`: batches (5.6.7 to 5.6.10, 5.6.20) and queries by body (5.7.2).

use serde_json::{Value, json};

use crate::support::TestBroker;

fn vehicle(number: u32, speed: u32) -> Value {
    json!({"id": format!("urn:ngsi-ld:Vehicle:{number}"), "type": "Vehicle", "speed": speed})
}

#[actix_web::test]
async fn a_batch_creates_what_it_can_and_says_what_not() {
    let broker = TestBroker::start().await;
    let path = "/entityOperations/create";
    let answer = broker.body("POST", path, json!([vehicle(1, 1), vehicle(2, 2)])).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json(), json!(["urn:ngsi-ld:Vehicle:1", "urn:ngsi-ld:Vehicle:2"]));
    let mixed = json!([vehicle(3, 3), vehicle(3, 4), vehicle(1, 1), {"id": "urn:a:1"}, 5]);
    let answer = broker.body("POST", path, mixed).await;
    assert_eq!(answer.status, 207);
    let result = answer.json();
    assert_eq!(result["success"], json!(["urn:ngsi-ld:Vehicle:3"]));
    assert_eq!(result["errors"].as_array().map(Vec::len), Some(4));
    assert_eq!(broker.values("urn:ngsi-ld:Vehicle:3").await["speed"], json!(3));
}

#[actix_web::test]
async fn an_upsert_lists_only_what_is_new() {
    let broker = TestBroker::start().await;
    broker.has(vehicle(1, 1)).await;
    let path = "/entityOperations/upsert?options=update";
    let both = json!([vehicle(1, 10), vehicle(2, 20)]);
    let answer = broker.body("POST", path, both.clone()).await;
    assert_eq!((answer.status, answer.json()), (201, json!(["urn:ngsi-ld:Vehicle:2"])));
    let again = broker.body("POST", path, both).await;
    assert_eq!((again.status, again.text.as_str()), (204, ""));
}

#[actix_web::test]
async fn batches_update_merge_and_delete() {
    let broker = TestBroker::start().await;
    broker.has(vehicle(1, 1)).await;
    let update = json!([vehicle(1, 2), vehicle(9, 9)]);
    let answer = broker.body("POST", "/entityOperations/update", update).await;
    assert_eq!(
        (answer.status, answer.json()["success"].clone()),
        (207, json!(["urn:ngsi-ld:Vehicle:1"]))
    );
    let merge = json!([{"id": "urn:ngsi-ld:Vehicle:1", "speed": {"value": 3}}]);
    assert_eq!(broker.body("POST", "/entityOperations/merge", merge).await.status, 204);
    assert_eq!(broker.values("urn:ngsi-ld:Vehicle:1").await["speed"], json!(3));
    let ids = json!(["urn:ngsi-ld:Vehicle:1", "urn:ngsi-ld:Vehicle:1"]);
    let answer = broker.body("POST", "/entityOperations/delete", ids).await;
    assert_eq!(answer.status, 207);
    assert_eq!(answer.json()["errors"][0]["entityId"], json!("urn:ngsi-ld:Vehicle:1"));
}

#[actix_web::test]
async fn whole_batches_are_refused_when_they_are_no_batches() {
    let broker = TestBroker::start().await;
    for (body, problem) in [
        ("[", "InvalidRequest"),
        ("[]", "BadRequestData"),
        ("{}", "BadRequestData"),
        ("[null]", "BadRequestData"),
    ] {
        let answer = broker.text("POST", "/entityOperations/create", body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, problem), "{body}");
    }
}

#[actix_web::test]
async fn a_query_by_body_finds_what_one_by_url_finds() {
    let broker = TestBroker::start().await;
    for number in 1..=3 {
        broker.has(vehicle(number, number * 10)).await;
    }
    let query = json!({
        "type": "Query",
        "entities": [{"type": "Vehicle"}],
        "q": "speed>10",
        "ordering": {"orderBy": ["speed;desc"]},
    });
    let answer = broker
        .body("POST", "/entityOperations/query?format=simplified&limit=1&count=true", query)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json(), json!([vehicle(3, 30)]));
    assert_eq!(answer.header("ngsild-results-count"), "2");
    let bad = json!({"type": "Query", "entities": []});
    assert_eq!(broker.body("POST", "/entityOperations/query", bad).await.status, 400);
}
