//! `/entityMaps`, `/temporal/entityMaps`, and pages by entity maps.

use serde_json::{Value, json};

use super::support::{Answer, TestBroker};

const NAME: &str = "ngsild-entitymap";

async fn with_vehicles(count: usize) -> TestBroker {
    let broker = TestBroker::start().await;
    for number in 0..count {
        let id = format!("urn:x:{number}");
        broker.has(json!({"id": id, "type": "Vehicle", "speed": number})).await;
    }
    broker
}

/// The ids of an answer's entities, shortened.
fn ids(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let all = json.as_array().unwrap_or_else(|| panic!("no list: {json}"));
    all.iter().map(|one| one["id"].as_str().expect("an id").replace("urn:x:", "")).collect()
}

fn links(answer: &Answer) -> Vec<&str> {
    let links = answer.headers.get_all("link").iter();
    links.map(|link| link.to_str().expect("plain")).collect()
}

async fn get(broker: &TestBroker, path: &str, map: &str) -> Answer {
    broker.send(broker.request("GET", path).header("NGSILD-EntityMap", map)).await
}

async fn named(broker: &TestBroker, map: &str) -> Vec<String> {
    let path = map.strip_prefix("/ngsi-ld/v1").expect("a place");
    let map = broker.get(path).await.json();
    map["entityMap"].as_object().expect("a map").keys().cloned().collect()
}

#[actix_web::test]
async fn a_query_makes_a_map_and_its_pages_go_by_it() {
    let broker = with_vehicles(5).await;
    let first = broker.get("/entities?type=Vehicle&entityMap=true&limit=2&count=true").await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(ids(&first), ["0", "1"]);
    assert_eq!(first.header("ngsild-results-count"), "5");
    assert!(links(&first).iter().any(|link| link.contains("offset=2")), "{:?}", links(&first));
    let map = first.header(NAME).to_owned();
    assert!(map.starts_with("/ngsi-ld/v1/entityMaps/urn:ngsi-ld:EntityMap:"), "{map}");

    // What comes later is not considered, what is gone is passed over.
    broker.has(json!({"id": "urn:x:9", "type": "Vehicle", "speed": 9})).await;
    broker.delete("/entities/urn:x:2").await;
    let second = get(&broker, "/entities?type=Vehicle&limit=2&offset=2", &map).await;
    assert_eq!((second.status, second.header(NAME)), (200, map.as_str()));
    assert_eq!(ids(&second), ["3", "4"]);
    assert!(!links(&second).iter().any(|link| link.contains("rel=\"next\"")));
    let counted = get(&broker, "/entities?type=Vehicle&limit=0&count=true", &map).await;
    assert_eq!(counted.header("ngsild-results-count"), "4");
    assert_eq!(named(&broker, &map).await, ["urn:x:0", "urn:x:1", "urn:x:3", "urn:x:4"]);

    // Another query cannot be answered by it.
    let other = get(&broker, "/entities?type=Vehicle&q=speed>1", &map).await;
    assert_eq!((other.status, other.problem().as_str()), (400, "BadRequestData"));
    // Ids narrow a page down.
    let one = get(&broker, "/entities?type=Vehicle&id=urn:x:3,urn:x:9", &map).await;
    assert_eq!(ids(&one), ["3"]);
}

#[actix_web::test]
async fn a_reader_who_goes_on_misses_nothing_that_stays() {
    let broker = with_vehicles(9).await;
    let made = broker.get("/entities?type=Vehicle&entityMap=true&limit=3").await;
    let map = made.header(NAME).to_owned();
    assert_eq!(ids(&made), ["0", "1", "2"]);
    broker.delete("/entities/urn:x:1").await;
    // Somebody else reads the first page again, which is filled up.
    let again = get(&broker, "/entities?type=Vehicle&limit=3", &map).await;
    assert_eq!(ids(&again), ["0", "2", "3"]);
    let next = get(&broker, "/entities?type=Vehicle&limit=3&offset=3", &map).await;
    assert_eq!(ids(&next), ["4", "5", "6"]);
    let last = get(&broker, "/entities?type=Vehicle&limit=3&offset=6", &map).await;
    assert_eq!(ids(&last), ["7", "8"]);
}

#[actix_web::test]
async fn the_order_of_the_query_is_the_order_of_the_map() {
    let broker = with_vehicles(5).await;
    let query = "type=Vehicle&local=true&orderBy=speed;desc";
    let made = broker.get(&format!("/entities?{query}&limit=2&entityMap=true")).await;
    assert_eq!(ids(&made), ["4", "3"]);
    let map = made.header(NAME).to_owned();
    let faster = json!({"speed": {"type": "Property", "value": 99}});
    assert_eq!(broker.body("PATCH", "/entities/urn:x:0/attrs", faster).await.status, 204);
    let next = get(&broker, &format!("/entities?{query}&limit=2&offset=2"), &map).await;
    assert_eq!(ids(&next), ["2", "1"]);
    let last = get(&broker, &format!("/entities?{query}&limit=2&offset=4"), &map).await;
    assert_eq!(ids(&last), ["0"]);
}

#[actix_web::test]
async fn a_map_that_is_not_there_is_made_anew() {
    let broker = with_vehicles(2).await;
    for reference in ["urn:x:dead", "no URI", "/ngsi-ld/v1/entityMaps/urn:x:dead"] {
        let answer = get(&broker, "/entities?type=Vehicle", reference).await;
        assert_eq!(answer.status, 201, "{reference}: {}", answer.text);
        assert!(!answer.header(NAME).contains("dead"), "{reference}");
        let one = get(&broker, "/entities/urn:x:1", reference).await;
        assert_eq!(one.status, 200);
        assert_eq!(named(&broker, one.header(NAME)).await, ["urn:x:1"]);
    }
    let made = broker.get("/entities/urn:x:1?entityMap=true").await;
    let map = made.header(NAME).to_owned();
    let used = get(&broker, "/entities/urn:x:1", &map).await;
    assert_eq!((used.status, used.header(NAME)), (200, map.as_str()));
    assert_eq!(get(&broker, "/entities/urn:x:0", &map).await.status, 404);
}

#[actix_web::test]
async fn maps_are_made_retrieved_changed_and_deleted() {
    let broker = with_vehicles(3).await;
    let query = json!({"type": "Query", "entities": [{"type": "Vehicle"}], "q": "speed>0",
                       "entityMapLifetime": "PT1H"});
    let by_body = broker.body("POST", "/entityMaps", query).await;
    let by_url =
        broker.get("/entityMaps?type=Vehicle&q=speed%3E0&limit=1&entityMapLifetime=P9Y").await;
    for made in [&by_body, &by_url] {
        assert_eq!(made.status, 201, "{}", made.text);
        let map = made.json();
        assert_eq!(map["type"], "EntityMap");
        assert_eq!(map["entityMap"], json!({"urn:x:1": ["@none"], "urn:x:2": ["@none"]}));
        assert!(made.header(NAME).ends_with(map["id"].as_str().expect("an id")));
    }
    let (hour, day) = (by_body.json(), by_url.json());
    assert!(hour["expiresAt"].as_str() < day["expiresAt"].as_str());
    let path = format!("/entityMaps/{}", hour["id"].as_str().expect("an id"));
    assert_eq!(broker.get(&path).await.json(), hour);

    let forged = json!({"expiresAt": "2099-01-01T00:00:00Z", "entityMap": {"urn:x:9": ["@none"]}});
    assert_eq!(broker.body("PATCH", &path, forged).await.status, 204);
    let changed = broker.get(&path).await.json();
    assert_eq!(changed["entityMap"], hour["entityMap"]);
    assert!(changed["expiresAt"].as_str() > hour["expiresAt"].as_str());
    assert!(changed["expiresAt"].as_str() < Some("2099-01-01T00:00:00Z"));
    let soon = broker.body("PATCH", &path, json!({"expiresAt": "soon"})).await;
    assert_eq!((soon.status, soon.problem().as_str()), (400, "BadRequestData"));

    let ended = broker.body("PATCH", &path, json!({"expiresAt": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(ended.status, 204);
    assert_eq!(broker.get(&path).await.problem(), "ResourceNotFound");
    assert_eq!(broker.delete(&path).await.status, 404);
    let path = format!("/entityMaps/{}", day["id"].as_str().expect("an id"));
    let elsewhere = broker.request("DELETE", &path).header("NGSILD-Tenant", "other");
    assert_eq!(broker.send(elsewhere).await.status, 404);
    assert_eq!(broker.delete(&path).await.status, 204);
    assert_eq!(broker.delete(&path).await.status, 404);
    assert_eq!(broker.get("/entityMaps/nothing").await.problem(), "BadRequestData");
}

#[actix_web::test]
async fn what_a_map_cannot_be_is_refused() {
    let broker = with_vehicles(1).await;
    for path in [
        "/entityMaps?id=urn:x:1",
        "/entityMaps?type=Vehicle&entityMapLifetime=1hour",
        "/entityMaps?type=Vehicle&entityMapLifetime=PT0S",
        "/entities?type=Vehicle&entityMapLifetime=PT1H",
        "/entities?type=Vehicle&entityMap=true&entityMapLifetime=soon",
        "/temporal/entityMaps?type=Vehicle",
    ] {
        let answer = broker.get(path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "BadRequestData"), "{path}");
    }
    assert_eq!(broker.get("/entityMaps?type=Vehicle&colour=red").await.problem(), "InvalidRequest");
}

#[actix_web::test]
async fn maps_have_their_limits() {
    let broker = TestBroker::with(|config| {
        config.maps.per_tenant = 2;
        config.maps.entities = 2;
    })
    .await;
    for number in 0..3 {
        broker.has(json!({"id": format!("urn:x:{number}"), "type": "Vehicle", "n": number})).await;
    }
    let large = broker.get("/entityMaps?type=Vehicle").await;
    assert_eq!((large.status, large.problem().as_str()), (403, "TooManyResults"));
    let small = "/entityMaps?type=Vehicle&q=n%3E0";
    let first = broker.get(small).await;
    assert_eq!((first.status, broker.get(small).await.status), (201, 201));
    let third = broker.get(small).await;
    assert_eq!((third.status, third.problem().as_str()), (403, "TooManyResults"));
    // One that has ended makes room.
    let path = first.header(NAME).strip_prefix("/ngsi-ld/v1").expect("a place");
    let end = json!({"expiresAt": "2020-01-01T00:00:00Z"});
    assert_eq!(broker.body("PATCH", path, end).await.status, 204);
    assert_eq!(broker.get(small).await.status, 201);
}

#[actix_web::test]
async fn a_purge_by_a_map_spares_what_it_does_not_name() {
    let broker = with_vehicles(2).await;
    let made = broker.get("/entityMaps?type=Vehicle").await;
    broker.has(json!({"id": "urn:x:2", "type": "Vehicle", "speed": 2})).await;
    let purge = broker.request("DELETE", "/entities?type=Vehicle");
    let purged = broker.send(purge.header("NGSILD-EntityMap", made.header(NAME))).await;
    assert_eq!(purged.status, 204);
    assert_eq!(ids(&broker.get("/entities?type=Vehicle").await), ["2"]);
}

const WINDOW: &str = "timerel=after&timeAt=2000-01-01T00:00:00Z&timeproperty=createdAt";

#[actix_web::test]
async fn temporal_queries_go_by_maps_too() {
    let broker = with_vehicles(5).await;
    let made = broker
        .get(&format!("/temporal/entities?type=Vehicle&{WINDOW}&entityMap=true&limit=2"))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(ids(&made), ["0", "1"]);
    let map = made.header(NAME).to_owned();
    broker.has(json!({"id": "urn:x:9", "type": "Vehicle", "speed": 9})).await;
    assert_eq!(broker.delete("/temporal/entities/urn:x:2").await.status, 204);
    let query = format!("/temporal/entities?type=Vehicle&{WINDOW}&limit=2&count=true&offset=2");
    let next = get(&broker, &query, &map).await;
    assert_eq!((next.status, next.header(NAME)), (200, map.as_str()));
    assert_eq!(ids(&next), ["3", "4"]);
    assert_eq!(next.header("ngsild-results-count"), "4");
    assert_eq!(named(&broker, &map).await.len(), 4);

    let current = get(&broker, "/entities?type=Vehicle", &map).await;
    assert_eq!(current.problem(), "BadRequestData");
    let one = broker.get(&format!("/temporal/entities/urn:x:3?{WINDOW}&entityMap=true")).await;
    assert_eq!(one.status, 200);
    assert_eq!(named(&broker, one.header(NAME)).await, ["urn:x:3"]);

    let made = broker.get(&format!("/temporal/entityMaps?type=Vehicle&{WINDOW}")).await;
    assert_eq!(made.json()["entityMap"].as_object().map(|map| map.len()), Some(5));
    let body = json!({"type": "Query", "entities": [{"type": "Vehicle"}], "temporalQ": {
        "timerel": "before", "timeAt": "2000-01-01T00:00:00Z", "timeproperty": "createdAt"}});
    let none = broker.body("POST", "/temporal/entityMaps", body).await;
    assert_eq!((none.status, &none.json()["entityMap"]), (201, &Value::Object(<_>::default())));
}
