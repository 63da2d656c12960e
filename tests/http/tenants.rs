//! Tenants (4.14, 6.3.14).

use serde_json::json;

use crate::support::TestBroker;

#[actix_web::test]
async fn tenants_come_into_being_and_see_nothing_of_each_other() {
    let broker = TestBroker::start().await;
    let entity = json!({"id": "urn:a:1", "type": "Vehicle"}).to_string();
    let get = |tenant: &'static str| {
        broker.request("GET", "/entities?type=Vehicle").header("NGSILD-Tenant", tenant)
    };
    let unknown = broker.send(get("Lampang")).await;
    assert_eq!((unknown.status, unknown.problem().as_str()), (404, "NonexistentTenant"));
    assert_eq!(unknown.header("ngsild-tenant"), "Lampang");
    let create = broker
        .request("POST", "/entities")
        .header("NGSILD-Tenant", "Lampang")
        .header("content-type", "application/json")
        .body(entity);
    assert_eq!(broker.send(create).await.status, 201);
    assert_eq!(broker.send(get("Lampang")).await.json().as_array().map(Vec::len), Some(1));
    assert_eq!(broker.send(get("lampang")).await.status, 404);
    assert_eq!(broker.get("/entities?type=Vehicle").await.json(), json!([]));
}
