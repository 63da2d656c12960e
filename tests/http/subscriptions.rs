//! `/subscriptions` (5.8.1 to 5.8.5, 6.10, 6.11).

use serde_json::{Value, json};

use crate::support::TestBroker;

fn subscription(id: &str, members: Value) -> Value {
    let mut all = json!({
        "id": id,
        "type": "Subscription",
        "entities": [{"type": "Vehicle"}],
        "notification": {"endpoint": {"uri": "http://receiver.invalid:9090/notify"}},
    });
    for (name, value) in members.as_object().expect("members") {
        all[name] = value.clone();
    }
    all
}

#[actix_web::test]
async fn a_subscription_is_created_shown_and_deleted() {
    let broker = TestBroker::start().await;
    let sent = subscription("urn:s:1", json!({"q": "speed>5", "isActive": true}));
    let created = broker.body("POST", "/subscriptions/", sent.clone()).await;
    assert_eq!((created.status, created.text.as_str()), (201, ""));
    assert_eq!(created.header("location"), "/ngsi-ld/v1/subscriptions/urn:s:1");
    let shown = broker.get("/subscriptions/urn:s:1").await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.header("content-type"), "application/json");
    assert!(shown.header("link").contains("ngsi-ld-core-context"));
    let mut expected = sent.clone();
    expected["status"] = "active".into();
    expected["notificationTrigger"] = json!(["attributeCreated", "attributeUpdated"]);
    let mut shown = shown.json();
    let context = shown.as_object_mut().expect("an object").remove("jsonldContext");
    assert!(context.is_some_and(|url| url.as_str().is_some_and(|url| url.contains("core"))));
    assert_eq!(shown, expected);
    let again = broker.body("POST", "/subscriptions", sent).await;
    assert_eq!((again.status, again.problem().as_str()), (409, "AlreadyExists"));
    assert_eq!(broker.delete("/subscriptions/urn:s:1").await.status, 204);
    for method in ["GET", "DELETE"] {
        let gone = broker.send(broker.request(method, "/subscriptions/urn:s:1")).await;
        assert_eq!((gone.status, gone.problem().as_str()), (404, "ResourceNotFound"));
    }
}

#[actix_web::test]
async fn one_without_an_id_is_given_one() {
    let broker = TestBroker::start().await;
    let mut sent = subscription("", json!({}));
    sent.as_object_mut().expect("an object").remove("id");
    let created = broker.body("POST", "/subscriptions", sent).await;
    let place = created.header("location");
    let id = place.rsplit('/').next().expect("an id");
    assert!(id.starts_with("urn:"), "{place}");
    assert_eq!(broker.get(&format!("/subscriptions/{id}")).await.json()["id"], id);
}

#[actix_web::test]
async fn what_is_wrong_is_said_by_member() {
    let broker = TestBroker::start().await;
    for (members, said) in [
        (json!({"throttling": -30}), "$.throttling"),
        (json!({"expiresAt": "2000-01-01T00:00:00Z"}), "$.expiresAt"),
        (json!({"id": ""}), "$.id"),
        (json!({"notification": {"endpoint": {"uri": "ftp://127.0.0.1/x"}}}), "ftp"),
        (json!({"q": "speed>"}), "$.q"),
        (json!({"jsonldContext": "unknownContext"}), "$.jsonldContext"),
    ] {
        let answer = broker.body("POST", "/subscriptions", subscription("urn:s:1", members)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "BadRequestData"), "{said}");
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains(said), "{detail}");
    }
    let broken = broker.text("POST", "/subscriptions", "{\"id\":,}").await;
    assert_eq!((broken.status, broken.problem().as_str()), (400, "InvalidRequest"));
    let empty = broker.body("POST", "/subscriptions", json!({})).await;
    assert_eq!((empty.status, empty.problem().as_str()), (400, "BadRequestData"));
    let away = subscription("urn:s:1", json!({"jsonldContext": "http://127.0.0.1:9/c.jsonld"}));
    let away = broker.body("POST", "/subscriptions", away).await;
    assert_eq!((away.status, away.problem().as_str()), (504, "LdContextNotAvailable"));
    assert_eq!(broker.get("/subscriptions").await.json(), json!([]));
}

#[actix_web::test]
async fn an_endpoint_that_the_rules_forbid_is_refused_and_the_rule_is_named() {
    let broker = TestBroker::start().await;
    let endpoint = |uri: &str| json!({"notification": {"endpoint": {"uri": uri}}});
    let forbidden = [
        ("http://127.0.0.1:9090/notify", "--allow-private-egress"),
        ("http://10.0.0.7/notify", "egress.allow"),
        ("http://[::1]:9090/notify", "egress.allow"),
        ("http://169.254.169.254/latest/meta-data", "cloud metadata"),
        ("https://receiver.invalid:25/notify", "egress.ports"),
        ("mqtt://127.0.0.1:1883/topic", "--allow-private-egress"),
        ("mqtts://receiver.invalid:22/topic", "egress.ports"),
    ];
    for (uri, rule) in forbidden {
        let answer =
            broker.body("POST", "/subscriptions", subscription("urn:s:1", endpoint(uri))).await;
        assert_eq!(answer.status, 403, "{uri}: {}", answer.text);
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(
            detail.contains("$.notification.endpoint.uri") && detail.contains(rule),
            "{detail}"
        );
    }
    assert_eq!(broker.get("/subscriptions").await.json(), json!([]));
    let sent = subscription("urn:s:1", json!({}));
    assert_eq!(broker.body("POST", "/subscriptions", sent.clone()).await.status, 201);
    for (uri, _) in forbidden {
        let answer = broker.body("PATCH", "/subscriptions/urn:s:1", endpoint(uri)).await;
        assert_eq!(answer.status, 403, "{uri}: {}", answer.text);
    }
    let kept = broker.get("/subscriptions/urn:s:1").await.json();
    assert_eq!(kept["notification"]["endpoint"], sent["notification"]["endpoint"]);
}

#[actix_web::test]
async fn paths_without_a_good_id_are_refused() {
    let broker = TestBroker::start().await;
    for (method, path, status) in [
        ("PATCH", "/subscriptions/", 405),
        ("DELETE", "/subscriptions/", 405),
        ("PATCH", "/subscriptions/InvalidUri", 400),
        ("DELETE", "/subscriptions/InvalidUri", 400),
        ("GET", "/subscriptions/InvalidUri", 400),
        ("GET", "/subscriptions?colour=red", 400),
        ("GET", "/subscriptions/urn:s:1?limit=1", 400),
        ("PATCH", "/subscriptions/urn:s:unknown", 404),
    ] {
        let answer = match method {
            "PATCH" => broker.body(method, path, json!({"isActive": true})).await,
            _ => broker.send(broker.request(method, path)).await,
        };
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    }
}

#[actix_web::test]
async fn a_fragment_changes_members_and_the_status_follows() {
    let broker = TestBroker::start().await;
    let sent = subscription("urn:s:1", json!({"isActive": false, "throttling": 5}));
    assert_eq!(broker.body("POST", "/subscriptions", sent).await.status, 201);
    let status = async || broker.get("/subscriptions/urn:s:1").await.json()["status"].clone();
    let patch = async |fragment: Value| {
        broker.body("PATCH", "/subscriptions/urn:s:1", fragment).await.status
    };
    assert_eq!(status().await, "paused");
    for (fragment, answered, expected) in [
        (json!({"isActive": true}), 204, "active"),
        (json!({"type": "Subscription", "isActive": false}), 204, "paused"),
        (json!({"isActive": true, "expiresAt": "2099-01-01T00:00:00Z"}), 204, "active"),
        (json!({"expiresAt": "2020-01-01T00:00:00Z"}), 400, "active"),
        (json!({"id": "urn:s:2"}), 400, "active"),
        (json!({"notification": {"format": "keyValues"}}), 400, "active"),
        (json!({"notification": {"format": "keyValues", "endpoint": null}}), 400, "active"),
        (json!({"status": "expired", "throttling": null}), 204, "active"),
    ] {
        assert_eq!(patch(fragment.clone()).await, answered, "{fragment}");
        assert_eq!(status().await, expected, "{fragment}");
    }
    let shown = broker.get("/subscriptions/urn:s:1?options=sysAttrs").await.json();
    assert!(shown.get("throttling").is_none());
    assert!(shown["modifiedAt"].as_str() > shown["createdAt"].as_str(), "{shown}");
}

#[actix_web::test]
async fn names_are_those_of_the_reader() {
    let broker = TestBroker::start().await;
    let mut sent = subscription("urn:s:1", json!({"watchedAttributes": ["speed"]}));
    sent["@context"] = json!({"speed": "https://example.org/speed"});
    let create = broker
        .request("POST", "/subscriptions")
        .header("content-type", "application/ld+json")
        .body(sent.to_string());
    assert_eq!(broker.send(create).await.status, 201);
    let shown = broker.get("/subscriptions/urn:s:1").await.json();
    assert_eq!(shown["watchedAttributes"], json!(["https://example.org/speed"]));
    // The context came in the body, so it is hosted for those who are notified.
    let address = shown["jsonldContext"].as_str().expect("an address").to_owned();
    let (_, id) = address.rsplit_once('/').expect("a path");
    let details = broker.get(&format!("/jsonldContexts/{id}?details=true")).await.json();
    assert_eq!(details["kind"], "ImplicitlyCreated");
    let link = format!("<{address}>; rel=\"http://www.w3.org/ns/json-ld#context\"");
    let request = broker.request("GET", "/subscriptions/urn:s:1").header("link", link);
    assert_eq!(broker.send(request).await.json()["watchedAttributes"], json!(["speed"]));
}

#[actix_web::test]
async fn a_hosted_context_is_there_for_receivers_as_long_as_a_notification_names_it() {
    let broker = TestBroker::start().await;
    let mut places = Vec::new();
    for id in ["urn:s:1", "urn:s:2"] {
        let mut sent = subscription(id, json!({"watchedAttributes": ["speed"]}));
        sent["@context"] = json!({"speed": "https://example.org/speed"});
        let create = broker
            .request("POST", "/subscriptions")
            .header("NGSILD-Tenant", "Lampang")
            .header("content-type", "application/ld+json")
            .body(sent.to_string());
        assert_eq!(broker.send(create).await.status, 201);
        let path = format!("/subscriptions/{id}");
        let shown = broker.request("GET", &path).header("NGSILD-Tenant", "Lampang");
        let address = broker.send(shown).await.json()["jsonldContext"].clone();
        let (_, context) = address.as_str().expect("an address").rsplit_once('/').expect("a path");
        places.push(format!("/jsonldContexts/{context}"));
    }
    assert_eq!(places[0], places[1], "the same for both");
    // Who processes JSON-LD follows a link and names no tenant.
    let fetched = broker.get(&places[0]).await;
    assert_eq!(fetched.json(), json!({"@context": {"speed": "https://example.org/speed"}}));
    for (id, left) in [("urn:s:1", 200), ("urn:s:2", 404)] {
        let path = format!("/subscriptions/{id}");
        let delete = broker.request("DELETE", &path).header("NGSILD-Tenant", "Lampang");
        assert_eq!(broker.send(delete).await.status, 204);
        assert_eq!(broker.get(&places[0]).await.status, left, "{id}");
    }
}

#[actix_web::test]
async fn subscriptions_are_listed_in_pages() {
    let broker = TestBroker::start().await;
    for id in ["urn:s:1", "urn:s:2", "urn:s:3"] {
        let created = broker.body("POST", "/subscriptions", subscription(id, json!({}))).await;
        assert_eq!(created.status, 201);
    }
    let page = broker.get("/subscriptions?limit=1&offset=1&count=true").await;
    let list = page.json();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert_eq!(list[0]["id"], "urn:s:2");
    assert_eq!(page.header("ngsild-results-count"), "3");
    let links: Vec<_> = page.headers.get_all("link").iter().collect();
    let links = format!("{links:?}");
    for (offset, rel) in [(0, "prev"), (2, "next")] {
        let link = format!("</ngsi-ld/v1/subscriptions?count=true&limit=1&offset={offset}>; rel=");
        assert!(links.contains(&link) && links.contains(rel), "{links}");
    }
    let none = broker.get("/subscriptions?limit=0&count=true").await;
    assert_eq!((none.json(), none.header("ngsild-results-count")), (json!([]), "3"));
    assert_eq!(broker.get("/subscriptions?limit=0").await.status, 400);
    assert_eq!(broker.get("/subscriptions?limit=1001").await.problem(), "TooManyResults");
}

#[actix_web::test]
async fn tenants_have_their_own_subscriptions() {
    let broker = TestBroker::start().await;
    let at = |method: &str, path: &str, tenant: &'static str| {
        broker.request(method, path).header("NGSILD-Tenant", tenant)
    };
    let unknown = broker.send(at("GET", "/subscriptions", "Lampang")).await;
    assert_eq!((unknown.status, unknown.problem().as_str()), (404, "NonexistentTenant"));
    let create = at("POST", "/subscriptions", "Lampang")
        .header("content-type", "application/json")
        .body(subscription("urn:s:1", json!({})).to_string());
    assert_eq!(broker.send(create).await.status, 201);
    assert_eq!(broker.send(at("GET", "/subscriptions/urn:s:1", "Lampang")).await.status, 200);
    assert_eq!(broker.get("/subscriptions/urn:s:1").await.status, 404);
}

#[actix_web::test]
async fn a_version_that_is_preferred_changes_nothing_and_is_said() {
    let broker = TestBroker::start().await;
    broker.body("POST", "/subscriptions", subscription("urn:s:1", json!({}))).await;
    let request = broker.request("GET", "/subscriptions/urn:s:1").header("prefer", "NGSI-LD=1.0");
    let answer = broker.send(request).await;
    assert_eq!((answer.status, answer.header("preference-applied")), (200, "ngsi-ld=1.0"));
    assert!(answer.json()["entities"].is_array());
}
