//! `/entities/{entityId}/attrs` and below (5.6.2 to 5.6.5, 5.6.19).

use serde_json::json;

use crate::support::TestBroker;

const ID: &str = "urn:ngsi-ld:Vehicle:1";

async fn with_vehicle() -> TestBroker {
    let broker = TestBroker::start().await;
    broker
        .has(json!({
            "id": ID,
            "type": "Vehicle",
            "speed": [
                {"type": "Property", "value": 50, "unitCode": "KMH"},
                {"type": "Property", "value": 54, "datasetId": "urn:gps:1"},
            ],
        }))
        .await;
    broker
}

#[actix_web::test]
async fn attributes_are_appended_and_those_there_left_on_request() {
    let broker = with_vehicle().await;
    let path = format!("/entities/{ID}/attrs?options=noOverwrite");
    let answer = broker.body("POST", &path, json!({"speed": 1, "colour": "red"})).await;
    assert_eq!(answer.status, 207);
    let result = answer.json();
    assert_eq!(result["updated"], json!(["https://uri.etsi.org/ngsi-ld/default-context/colour"]));
    assert_eq!(
        result["notUpdated"][0]["attributeName"],
        json!("https://uri.etsi.org/ngsi-ld/default-context/speed")
    );
    let path = format!("/entities/{ID}/attrs");
    assert_eq!(broker.body("POST", &path, json!({"colour": "blue"})).await.status, 204);
    assert_eq!(broker.values(ID).await["colour"], json!("blue"));
}

#[actix_web::test]
async fn one_instance_is_changed_and_the_others_stay() {
    let broker = with_vehicle().await;
    let path = format!("/entities/{ID}/attrs/speed");
    let patch = json!({"value": 60, "datasetId": "urn:gps:1"});
    assert_eq!(broker.body("PATCH", &path, patch).await.status, 204);
    let speed = broker.get(&format!("/entities/{ID}?format=simplified")).await.json();
    assert_eq!(speed["speed"], json!({"dataset": {"@none": 50, "urn:gps:1": 60}}));
    let kind = json!({"type": "Relationship", "object": "urn:a:1"});
    assert_eq!(broker.body("PATCH", &path, kind).await.status, 400);
    let missing = json!({"value": 1, "datasetId": "urn:gps:9"});
    assert_eq!(broker.body("PATCH", &path, missing).await.status, 404);
    let replace = json!({"type": "Property", "value": 70});
    assert_eq!(broker.body("PUT", &path, replace).await.status, 204);
    let whole = broker.get(&format!("/entities/{ID}?datasetId=@none")).await.json();
    assert_eq!(whole["speed"], json!({"type": "Property", "value": 70}));
}

#[actix_web::test]
async fn instances_are_deleted_one_by_one_or_all() {
    let broker = with_vehicle().await;
    let path = format!("/entities/{ID}/attrs/speed");
    assert_eq!(broker.delete(&format!("{path}?datasetId=urn:gps:1")).await.status, 204);
    assert_eq!(broker.delete(&format!("{path}?datasetId=urn:gps:1")).await.status, 404);
    assert_eq!(broker.delete(&format!("{path}?deleteAll=true")).await.status, 204);
    assert_eq!(broker.delete(&path).await.status, 404);
    assert_eq!(broker.values(ID).await, json!({"id": ID, "type": "Vehicle"}));
}

#[actix_web::test]
async fn places_without_a_name_are_refused() {
    let broker = with_vehicle().await;
    assert_eq!(broker.body("POST", "/entities//attrs/", json!({})).await.status, 400);
    assert_eq!(broker.body("PATCH", "/entities//attrs/speed", json!({})).await.status, 400);
    assert_eq!(broker.body("PATCH", "/entities/", json!({})).await.status, 400);
    assert_eq!(broker.delete(&format!("/entities/{ID}/attrs/")).await.status, 405);
}
