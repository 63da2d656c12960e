//! `/types` and `/attributes` (5.7.5 to 5.7.10).

use serde_json::json;

use crate::support::TestBroker;

#[actix_web::test]
async fn types_and_attributes_are_listed_and_described() {
    let broker = TestBroker::start().await;
    broker.has(json!({"id": "urn:a:1", "type": "Vehicle", "speed": 1})).await;
    broker.has(json!({"id": "urn:a:2", "type": ["Vehicle", "Bus"], "speed": 2, "seats": 40})).await;
    let types = broker.get("/types").await.json();
    assert_eq!(types["type"], json!("EntityTypeList"));
    assert_eq!(types["typeList"].as_array().map(Vec::len), Some(2));
    let vehicle = broker.get("/types/Vehicle").await.json();
    assert_eq!(vehicle["entityCount"], json!(2));
    assert_eq!(vehicle["attributeDetails"].as_array().map(Vec::len), Some(2));
    let seats = broker.get("/attributes/seats").await.json();
    assert_eq!(seats["attributeCount"], json!(1));
    assert_eq!(seats["attributeTypes"], json!(["Property"]));
    for unknown in ["/types/Ship", "/attributes/wings", "/attributes/id"] {
        assert_eq!(broker.get(unknown).await.status, 404, "{unknown}");
    }
    // An error goes with no @context, so its names are whole.
    for (path, name) in [("/types/Ship", "Ship"), ("/attributes/wings", "wings")] {
        let detail = broker.get(path).await.json()["detail"].to_string();
        let whole = format!("https://uri.etsi.org/ngsi-ld/default-context/{name}");
        assert!(detail.contains(&whole), "{detail}");
    }
    assert_eq!(broker.get("/types?limit=1").await.problem(), "InvalidRequest");
}
