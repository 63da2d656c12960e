//! `/csourceRegistrations` (5.9.2 to 5.9.4, 5.10.1, 5.10.2, 6.8, 6.9).

use serde_json::{Value, json};

use crate::support::TestBroker;

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

/// The ids of the registrations that a query finds.
async fn ids(broker: &TestBroker, query: &str) -> Vec<String> {
    let answer = broker.get(&format!("/csourceRegistrations?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    let all = answer.json();
    let id = |one: &Value| one["id"].as_str().expect("an id").to_owned();
    all.as_array().expect("a list").iter().map(id).collect()
}

#[actix_web::test]
async fn a_registration_is_created_shown_changed_and_deleted() {
    let broker = TestBroker::start().await;
    let sent = registration("urn:r:1", json!({"owner": "EGAT", "scope": "/MaeMoh"}));
    let created = broker.body("POST", "/csourceRegistrations/", sent.clone()).await;
    assert_eq!((created.status, created.text.as_str()), (201, ""));
    assert_eq!(created.header("location"), "/ngsi-ld/v1/csourceRegistrations/urn:r:1");
    let shown = broker.get("/csourceRegistrations/urn:r:1").await;
    assert_eq!((shown.status, shown.header("content-type")), (200, "application/json"));
    assert_eq!(shown.json(), sent);
    let again = broker.body("POST", "/csourceRegistrations", sent).await;
    assert_eq!((again.status, again.problem().as_str()), (409, "AlreadyExists"));
    let fragment = json!({"endpoint": "http://new.example:1026", "owner": null});
    let changed = broker.body("PATCH", "/csourceRegistrations/urn:r:1", fragment).await;
    assert_eq!((changed.status, changed.text.as_str()), (204, ""));
    let shown = broker.get("/csourceRegistrations/urn:r:1?options=sysAttrs").await.json();
    assert_eq!(shown["endpoint"], "http://new.example:1026");
    assert!(shown.get("owner").is_none());
    assert!(shown["createdAt"].as_str() < shown["modifiedAt"].as_str(), "{shown}");
    assert_eq!(broker.delete("/csourceRegistrations/urn:r:1").await.status, 204);
    for method in ["GET", "DELETE"] {
        let gone = broker.send(broker.request(method, "/csourceRegistrations/urn:r:1")).await;
        assert_eq!((gone.status, gone.problem().as_str()), (404, "ResourceNotFound"));
    }
}

#[actix_web::test]
async fn one_without_an_id_is_given_one() {
    let broker = TestBroker::start().await;
    let mut sent = registration("", json!({}));
    sent.as_object_mut().expect("an object").remove("id");
    let created = broker.body("POST", "/csourceRegistrations", sent).await;
    let id = created.header("location").rsplit('/').next().expect("an id").to_owned();
    assert!(id.starts_with("urn:ngsi-ld:ContextSourceRegistration:"), "{id}");
    assert_eq!(broker.get(&format!("/csourceRegistrations/{id}")).await.json()["id"], *id);
}

#[actix_web::test]
async fn names_follow_the_context_of_whoever_reads() {
    let broker = TestBroker::start().await;
    let mut sent = registration("urn:r:1", json!({"owner": "EGAT"}));
    sent["@context"] =
        json!([{"Vehicle": "https://example.org/Vehicle", "owner": "https://example.org/owner"}]);
    let request = broker.request("POST", "/csourceRegistrations");
    let request = request.header("content-type", "application/ld+json").body(sent.to_string());
    assert_eq!(broker.send(request).await.status, 201);
    let shown = broker.get("/csourceRegistrations/urn:r:1").await.json();
    assert_eq!(shown["information"][0]["entities"][0]["type"], "https://example.org/Vehicle");
    assert_eq!(shown["https://example.org/owner"], "EGAT");
    let linked = broker.request("GET", "/csourceRegistrations/urn:r:1");
    let linked = broker.send(linked.header("accept", "application/ld+json")).await;
    assert_eq!(linked.header("content-type"), "application/ld+json");
    assert!(linked.json()["@context"].is_string());
}

#[actix_web::test]
async fn what_is_wrong_is_said_by_member() {
    let broker = TestBroker::start().await;
    for (members, said) in [
        (json!({"type": "Building"}), "$.type"),
        (json!({"information": null}), "$.information"),
        (json!({"endpoint": "ftp://source.example"}), "$.endpoint"),
        (json!({"endpoint": "http://169.254.169.254/latest"}), "$.endpoint"),
        (json!({"endpoint": "http://10.1.2.3:9090"}), "$.endpoint"),
        (json!({"endpoint": "http://source.example/?a=1"}), "$.endpoint"),
        (json!({"expiresAt": "2000-01-01T00:00:00Z"}), "$.expiresAt"),
        (json!({"operations": ["allOps"]}), "$.operations[0]"),
        (json!({"mode": "exclusive"}), "$.information[0].entities"),
        (json!({"management": {"cooldown": 0}}), "$.management.cooldown"),
        (json!({"contextSourceInfo": [{"key": "X", "value": 1}]}), "$.contextSourceInfo[0].value"),
        (json!({"id": "9"}), "$.id"),
    ] {
        let sent = registration("urn:r:1", members);
        let answer = broker.body("POST", "/csourceRegistrations", sent).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "BadRequestData"), "{said}");
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains(said), "{detail}");
    }
    let broken = broker.text("POST", "/csourceRegistrations", "{\"id\":,}").await;
    assert_eq!((broken.status, broken.problem().as_str()), (400, "InvalidRequest"));
    registered(&broker, "urn:r:1", json!({})).await;
    for fragment in [
        json!({"information": null}),
        json!({"type": "Building"}),
        json!({"id": "urn:r:2"}),
        json!({"expiresAt": "2000-01-01T00:00:00Z"}),
    ] {
        let answer = broker.body("PATCH", "/csourceRegistrations/urn:r:1", fragment.clone()).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (400, "BadRequestData"),
            "{fragment}"
        );
    }
}

#[actix_web::test]
async fn paths_and_parameters_that_are_wrong_are_refused() {
    let broker = TestBroker::start().await;
    for (method, path, status) in [
        ("PATCH", "/csourceRegistrations/", 405),
        ("DELETE", "/csourceRegistrations/", 405),
        ("PATCH", "/csourceRegistrations/InvalidUri", 400),
        ("DELETE", "/csourceRegistrations/InvalidUri", 400),
        ("GET", "/csourceRegistrations/InvalidUri", 400),
        ("GET", "/csourceRegistrations/urn:r:unknown", 404),
        ("PATCH", "/csourceRegistrations/urn:r:unknown", 404),
        ("GET", "/csourceRegistrations", 400),
        ("GET", "/csourceRegistrations?csf=a==1", 400),
        ("GET", "/csourceRegistrations?type=Vehicle&colour=red", 400),
        ("GET", "/csourceRegistrations?id=invalidUri", 400),
        ("GET", "/csourceRegistrations?q=(a", 400),
        ("GET", "/csourceRegistrations?georel=within", 400),
        ("GET", "/csourceRegistrations?timerel=before", 400),
        ("GET", "/csourceRegistrations?type=Vehicle&limit=-1", 400),
        ("GET", "/csourceRegistrations?type=Vehicle&limit=5000", 403),
    ] {
        let answer = match method {
            "PATCH" => broker.body(method, path, json!({"endpoint": "http://a.example"})).await,
            _ => broker.send(broker.request(method, path)).await,
        };
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    }
}

#[actix_web::test]
async fn a_query_finds_the_sources_that_have_what_is_sought() {
    let broker = TestBroker::start().await;
    let vehicles =
        json!([{"entities": [{"type": "Vehicle", "id": "urn:v:1"}], "propertyNames": ["speed"]}]);
    let stations = json!([{"entities": [{"type": "Station", "idPattern": "^urn:s:"}]}]);
    registered(&broker, "urn:r:1", json!({"information": vehicles, "owner": "EGAT"})).await;
    let here = json!({"type": "Point", "coordinates": [99.72, 18.29]});
    let place = json!({"information": stations, "location": here, "scope": "/Lampang/MaeMoh"});
    registered(&broker, "urn:r:2", place).await;
    registered(&broker, "urn:r:3", json!({"information": [{"propertyNames": ["speed"]}]})).await;
    let past = json!({"startAt": "2020-01-01T00:00:00Z", "endAt": "2021-01-01T00:00:00Z"});
    registered(&broker, "urn:r:4", json!({"observationInterval": past})).await;
    for (query, expected) in [
        ("type=Vehicle", &["urn:r:1", "urn:r:3"][..]),
        ("type=Vehicle,Station", &["urn:r:1", "urn:r:2", "urn:r:3"]),
        ("type=Vehicle&id=urn:v:2", &["urn:r:3"]),
        ("id=urn:s:7", &["urn:r:2", "urn:r:3"]),
        ("type=Station&idPattern=^urn:x", &["urn:r:2", "urn:r:3"]),
        ("type=Vehicle&idPattern=^urn:x", &["urn:r:3"]),
        ("attrs=speed", &["urn:r:1", "urn:r:2", "urn:r:3"]),
        ("type=Vehicle&attrs=load", &[]),
        ("type=Vehicle&pick=id,load", &[]),
        ("q=owner==\"EGAT\"", &["urn:r:1"]),
        ("type=Vehicle&csf=owner", &["urn:r:1"]),
        ("type=Vehicle&csf=endpoint==\"http://source.example:1026\"", &["urn:r:1", "urn:r:3"]),
        ("type=Station&scopeQ=/Lampang/%23", &["urn:r:2"]),
        ("georel=near;maxDistance==2000&geometry=Point&coordinates=[99.72,18.29]", &["urn:r:2"]),
        ("type=Vehicle&timerel=before&timeAt=2020-06-01T00:00:00Z", &["urn:r:4"]),
        ("type=Vehicle&timerel=after&timeAt=2022-01-01T00:00:00Z", &[]),
        ("type=Vehicle&timerel=before&timeAt=2020-06-01T00:00:00Z&timeproperty=modifiedAt", &[]),
    ] {
        assert_eq!(ids(&broker, query).await, expected, "{query}");
    }
}

#[actix_web::test]
async fn a_long_list_comes_in_pages() {
    let broker = TestBroker::start().await;
    for number in 1..=3 {
        registered(&broker, &format!("urn:r:{number}"), json!({})).await;
    }
    let page = broker.get("/csourceRegistrations?type=Vehicle&limit=1&offset=1&count=true").await;
    assert_eq!(page.header("ngsild-results-count"), "3");
    let links: Vec<&str> =
        page.headers.get_all("link").iter().filter_map(|l| l.to_str().ok()).collect();
    assert!(links.iter().any(|link| link.contains("rel=\"prev\"")), "{links:?}");
    assert!(links.iter().any(|link| link.contains("rel=\"next\"")), "{links:?}");
    assert_eq!(page.json()[0]["id"], "urn:r:2");
    assert!(ids(&broker, "type=Vehicle&limit=2&offset=5").await.is_empty());
    let none = broker.get("/csourceRegistrations?type=Vehicle&limit=0&count=true").await;
    assert_eq!((none.text.as_str(), none.header("ngsild-results-count")), ("[]", "3"));
}

#[actix_web::test]
async fn nobody_claims_what_another_source_or_this_broker_has() {
    let broker = TestBroker::start().await;
    let speed =
        json!([{"entities": [{"type": "Vehicle", "id": "urn:v:1"}], "propertyNames": ["speed"]}]);
    let exclusive = |information: &Value| json!({"mode": "exclusive", "information": information});
    registered(&broker, "urn:r:1", exclusive(&speed)).await;
    for mode in ["exclusive", "redirect"] {
        let sent = registration("urn:r:2", json!({"mode": mode, "information": speed}));
        let answer = broker.body("POST", "/csourceRegistrations", sent).await;
        assert_eq!((answer.status, answer.problem().as_str()), (409, "Conflict"), "{mode}");
    }
    for (id, mode) in [("urn:r:3", "inclusive"), ("urn:r:4", "auxiliary")] {
        registered(&broker, id, json!({"mode": mode, "information": speed})).await;
    }
    let fragment = json!({"mode": "redirect"});
    let answer = broker.body("PATCH", "/csourceRegistrations/urn:r:3", fragment).await;
    assert_eq!((answer.status, answer.problem().as_str()), (409, "Conflict"));
    let fragment = json!({"endpoint": "http://moved.example"});
    let answer = broker.body("PATCH", "/csourceRegistrations/urn:r:1", fragment).await;
    assert_eq!(answer.status, 204, "nothing conflicts with itself");

    broker.has(json!({"id": "urn:v:2", "type": "Vehicle", "load": 5})).await;
    let of = |name: &str| json!([{"entities": [{"type": "Vehicle", "id": "urn:v:2"}], "propertyNames": [name]}]);
    let sent = registration("urn:r:5", exclusive(&of("load")));
    let answer = broker.body("POST", "/csourceRegistrations", sent).await;
    assert_eq!((answer.status, answer.problem().as_str()), (409, "Conflict"));
    registered(&broker, "urn:r:5", exclusive(&of("speed"))).await;
    let sent = registration("urn:r:6", json!({"mode": "redirect"}));
    let answer = broker.body("POST", "/csourceRegistrations", sent).await;
    assert_eq!((answer.status, answer.problem().as_str()), (409, "Conflict"));
}

/// Has a registration end a moment from now; a little later if that takes longer than a moment.
pub async fn ends_soon(broker: &TestBroker, id: &str) {
    let path = format!("/csourceRegistrations/{id}");
    let mut moment = 500_000;
    loop {
        let end = lanna::model::Timestamp::now().plus_micros(moment).to_string();
        let answer = broker.body("PATCH", &path, json!({"expiresAt": end})).await;
        match answer.status {
            204 => return,
            // What ends in the past is refused.
            status => assert_eq!(status, 400, "{}", answer.text),
        }
        moment *= 2;
    }
}

#[actix_web::test]
async fn a_registration_ends_by_itself() {
    let broker = TestBroker::start().await;
    registered(&broker, "urn:r:1", json!({"expiresAt": "2999-01-01T00:00:00Z"})).await;
    assert_eq!(broker.get("/csourceRegistrations/urn:r:1").await.status, 200);
    ends_soon(&broker, "urn:r:1").await;
    while broker.get("/csourceRegistrations/urn:r:1").await.status != 404 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // Once it is deleted its id is free.
    while broker
        .body("POST", "/csourceRegistrations", registration("urn:r:1", json!({})))
        .await
        .status
        != 201
    {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[actix_web::test]
async fn tenants_have_their_own_sources() {
    let broker = TestBroker::start().await;
    let sent = registration("urn:r:1", json!({})).to_string();
    let request =
        broker.request("POST", "/csourceRegistrations").header("NGSILD-Tenant", "lampang");
    let request = request.header("content-type", "application/json").body(sent);
    let created = broker.send(request).await;
    assert_eq!((created.status, created.header("ngsild-tenant")), (201, "lampang"));
    assert_eq!(broker.get("/csourceRegistrations/urn:r:1").await.status, 404);
    let ask = |tenant: &str| {
        let request = broker.request("GET", "/csourceRegistrations?type=Vehicle");
        broker.send(request.header("NGSILD-Tenant", tenant))
    };
    assert_eq!(ask("lampang").await.json().as_array().map(Vec::len), Some(1));
    let unknown = ask("elsewhere").await;
    assert_eq!((unknown.status, unknown.problem().as_str()), (404, "NonexistentTenant"));
}

#[actix_web::test]
async fn a_tenant_has_room_for_so_many_sources_only() {
    let broker = TestBroker::with(|config| config.limits.registrations = 1).await;
    registered(&broker, "urn:r:1", json!({})).await;
    let answer =
        broker.body("POST", "/csourceRegistrations", registration("urn:r:2", json!({}))).await;
    assert_eq!((answer.status, answer.problem().as_str()), (403, "TooManyResults"));
}

/// Where brokers share a store, each knows what the others registered.
#[actix_web::test]
async fn brokers_of_one_store_share_their_sources() {
    if std::env::var("TEST_HTTP_STORE").is_ok_and(|store| store == "mongodb") {
        let name = format!("lanna-test-{}", uuid::Uuid::new_v4().simple());
        let one = TestBroker::with(|config| config.mongodb.database.clone_from(&name)).await;
        let other = TestBroker::with(|config| config.mongodb.database.clone_from(&name)).await;
        let speed = json!([{"entities": [{"type": "Vehicle", "id": "urn:v:1"}], "propertyNames": ["speed"]}]);
        let exclusive = json!({"mode": "exclusive", "information": speed});
        registered(&one, "urn:r:1", exclusive.clone()).await;
        let sent = registration("urn:r:2", exclusive);
        let answer = other.body("POST", "/csourceRegistrations", sent).await;
        assert_eq!((answer.status, answer.problem().as_str()), (409, "Conflict"));
        assert_eq!(other.get("/csourceRegistrations/urn:r:1").await.status, 200);
        while ids(&other, "type=Vehicle").await.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(other.delete("/csourceRegistrations/urn:r:1").await.status, 204);
        assert_eq!(one.get("/csourceRegistrations/urn:r:1").await.status, 404);
        while !ids(&one, "type=Vehicle").await.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}
