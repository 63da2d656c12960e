//! `/entities/{entityId}`: Retrieve (5.7.1), Replace (5.6.18), Merge (5.6.17), Delete (5.6.6).

use serde_json::json;

use crate::support::TestBroker;

const ID: &str = "urn:ngsi-ld:Meter:1";

async fn with_meter() -> TestBroker {
    let broker = TestBroker::start().await;
    broker
        .has(json!({
            "id": ID,
            "type": "Meter",
            "power": {
                "type": "Property",
                "value": 3.5,
                "unitCode": "KWT",
                "observedAt": "2026-01-31T12:00:00.000Z",
            },
            "address": {"type": "Property", "value": {"street": "A", "number": 1}},
            "name": {"type": "LanguageProperty", "languageMap": {"th": "มิเตอร์", "en": "meter"}},
        }))
        .await;
    broker
}

#[actix_web::test]
async fn what_was_sent_comes_back() {
    let broker = with_meter().await;
    let answer = broker.get(&format!("/entities/{ID}")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.header("link").contains("ngsi-ld-core-context-v1.9.jsonld"));
    assert_eq!(
        answer.json()["power"],
        json!({
            "type": "Property",
            "value": 3.5,
            "unitCode": "KWT",
            "observedAt": "2026-01-31T12:00:00.000Z",
        })
    );
    // The same again, now from what was rendered.
    assert_eq!(broker.get(&format!("/entities/{ID}")).await.text, answer.text);
}

#[actix_web::test]
async fn representations_are_negotiated() {
    let broker = with_meter().await;
    let simplified = broker.values(ID).await;
    assert_eq!(simplified["power"], json!(3.5));
    let thai = broker.get(&format!("/entities/{ID}?lang=th&format=simplified")).await;
    assert_eq!(thai.json()["name"], json!("มิเตอร์"));
    let linked = broker.request("GET", &format!("/entities/{ID}"));
    let linked = broker.send(linked.header("accept", "application/ld+json")).await;
    assert!(linked.json()["@context"].is_string());
    let geo = broker.request("GET", &format!("/entities/{ID}"));
    let geo = broker.send(geo.header("accept", "application/geo+json")).await.json();
    assert_eq!((&geo["type"], &geo["geometry"]), (&json!("Feature"), &json!(null)));
    let html = broker.request("GET", &format!("/entities/{ID}")).header("accept", "text/html");
    assert_eq!(broker.send(html).await.status, 406);
    let old = broker.request("GET", &format!("/entities/{ID}")).header("prefer", "ngsi-ld=1.3");
    let old = broker.send(old).await;
    assert_eq!((old.status, old.header("preference-applied")), (203, "ngsi-ld=1.3"));
}

#[actix_web::test]
async fn a_merge_goes_deep_and_a_null_deletes() {
    let broker = with_meter().await;
    let patch = json!({
        "power": {"value": 4},
        "address": {"value": {"number": "urn:ngsi-ld:null", "city": "Lampang"}},
        "name": "urn:ngsi-ld:null",
    });
    let answer = broker.body("PATCH", &format!("/entities/{ID}"), patch).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    let meter = broker.get(&format!("/entities/{ID}")).await.json();
    assert_eq!(meter["power"]["value"], json!(4));
    assert_eq!(meter["power"]["unitCode"], json!("KWT"));
    assert_eq!(meter["address"]["value"], json!({"street": "A", "city": "Lampang"}));
    assert_eq!(meter.get("name"), None);
}

#[actix_web::test]
async fn a_simplified_merge_keeps_kinds_and_languages() {
    let broker = with_meter().await;
    let patch = json!({"power": 5, "name": "compteur"});
    let path = format!("/entities/{ID}?format=simplified&lang=fr");
    assert_eq!(broker.body("PATCH", &path, patch).await.status, 204);
    let meter = broker.get(&format!("/entities/{ID}")).await.json();
    assert_eq!(meter["power"]["value"], json!(5));
    assert_eq!(
        meter["name"]["languageMap"],
        json!({"th": "มิเตอร์", "en": "meter", "fr": "compteur"})
    );
}

#[actix_web::test]
async fn an_object_without_a_type_destroys_no_value() {
    let broker = with_meter().await;
    let before = broker.get(&format!("/entities/{ID}")).await.json();
    for patch in [
        json!({"power": {"zzz": "urn:ngsi-ld:null"}}),
        json!({"power": {"zzz": {"y": "urn:ngsi-ld:null"}, "x": "urn:ngsi-ld:null"}}),
        json!({"power": {}}),
        json!({"name": {"zzz": "urn:ngsi-ld:null"}}),
        json!({"nobody": {"zzz": "urn:ngsi-ld:null"}}),
    ] {
        let answer = broker.body("PATCH", &format!("/entities/{ID}"), patch.clone()).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{patch}");
        let after = broker.get(&format!("/entities/{ID}")).await.json();
        assert_eq!(after, before, "{patch}");
    }
    let nested = json!({"power": {"value": 4, "acc": {"value": 3, "of": 2}}});
    broker.body("PATCH", &format!("/entities/{ID}"), nested).await;
    let patch = json!({"power": {"acc": {"of": "urn:ngsi-ld:null", "unit": {"value": "C"}}}});
    assert_eq!(broker.body("PATCH", &format!("/entities/{ID}"), patch).await.status, 204);
    let meter = broker.get(&format!("/entities/{ID}?format=concise")).await.json();
    assert_eq!(meter["power"]["value"], json!(4));
    assert_eq!(meter["power"]["acc"], json!({"value": 3, "unit": "C"}));
    let odd = json!({"power": {"not a name": "urn:ngsi-ld:null"}});
    let answer = broker.body("PATCH", &format!("/entities/{ID}"), odd).await;
    assert_eq!((answer.status, answer.problem().as_str()), (400, "BadRequestData"));
}

#[actix_web::test]
async fn what_a_merge_leaves_can_be_put_back() {
    let broker = with_meter().await;
    let path = format!("/entities/{ID}");
    for lang in ["!!!", "en,th", "*", "@none"] {
        let answer =
            broker.body("PATCH", &format!("{path}?lang={lang}"), json!({"name": "x"})).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "BadRequestData"), "{lang}");
    }
    let simplified = format!("{path}?format=simplified");
    for proof in [json!(true), json!({"json": {"a": 1}}), json!({"languageMap": {"en": "x"}})] {
        let answer = broker.body("PATCH", &simplified, json!({"ngsildproof": proof})).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "BadRequestData"), "{proof}");
    }
    let patch = json!({
        "name": {"languageMap": {"th": "urn:ngsi-ld:null", "en": "urn:ngsi-ld:null"}},
        "more": {"languageMap": {"en": "urn:ngsi-ld:null"}},
        "value": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [99.6, 18.2]}},
        "object": {"type": "Property", "value": 5},
    });
    assert_eq!(broker.body("PATCH", &path, patch).await.status, 204);
    let second = json!({"object": {"type": "Property", "value": 6, "datasetId": "urn:d:1"}});
    assert_eq!(broker.body("PATCH", &path, second).await.status, 204);
    let whole = broker.get(&path).await.json();
    assert_eq!((whole.get("name"), whole.get("more")), (None, None));
    for format in ["concise", "normalized"] {
        let read = broker.get(&format!("{path}?format={format}")).await.json();
        let answer = broker.body("PUT", &path, read.clone()).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{read}");
        assert_eq!(broker.get(&path).await.json(), whole, "{format}");
    }
}

#[actix_web::test]
async fn what_is_joined_flat_is_a_list_whatever_is_found() {
    let broker = with_meter().await;
    broker.has(json!({"id": "urn:a:1", "type": "T", "r": {"object": "urn:a:gone"}})).await;
    for id in [ID, "urn:a:1"] {
        let flat = broker.get(&format!("/entities/{id}?join=flat")).await;
        assert_eq!((flat.status, flat.json().as_array().map(Vec::len)), (200, Some(1)));
        let geo = broker.request("GET", &format!("/entities/{id}?join=flat"));
        let geo = broker.send(geo.header("accept", "application/geo+json")).await.json();
        assert_eq!(geo["type"], json!("FeatureCollection"));
    }
    assert_eq!(broker.get(&format!("/entities/{ID}?join=flat&pick=nobody")).await.status, 404);
    assert_eq!(broker.get("/entities/urn:a:none?join=flat").await.status, 404);
}

#[actix_web::test]
async fn a_replaced_entity_keeps_its_creation_time_alone() {
    let broker = with_meter().await;
    let path = format!("/entities/{ID}?options=sysAttrs");
    let before = broker.get(&path).await.json();
    let new = json!({"id": ID, "type": "Meter", "power": 1});
    assert_eq!(broker.body("PUT", &format!("/entities/{ID}"), new).await.status, 204);
    let after = broker.get(&path).await.json();
    assert_eq!(after["createdAt"], before["createdAt"]);
    assert_ne!(after["modifiedAt"], before["modifiedAt"]);
    assert_eq!(after.get("address"), None);
}

#[actix_web::test]
async fn what_is_not_there_is_not_found() {
    let broker = with_meter().await;
    for (method, path) in [("GET", "urn:a:9"), ("DELETE", "urn:a:9"), ("PATCH", "urn:a:9")] {
        let answer = broker.body(method, &format!("/entities/{path}"), json!({})).await;
        assert_eq!(answer.status, 404, "{method}");
    }
    assert_eq!(broker.get("/entities/nonsense").await.status, 400);
    assert_eq!(broker.get(&format!("/entities/{ID}?type=Vehicle")).await.status, 404);
    assert_eq!(broker.get(&format!("/entities/{ID}?attrs=speed")).await.status, 404);
    assert_eq!(broker.delete(&format!("/entities/{ID}")).await.status, 204);
    assert_eq!(broker.get(&format!("/entities/{ID}")).await.status, 404);
}

#[actix_web::test]
async fn bodies_of_other_kinds_and_sizes_are_refused() {
    let broker = TestBroker::start().await;
    let text = broker.request("POST", "/entities").header("content-type", "text/plain").body("{}");
    let text = broker.send(text).await;
    assert_eq!((text.status, text.text.as_str()), (415, ""));
    let large = format!(r#"{{"id": "urn:a:1", "type": "T", "a": "{}"}}"#, "x".repeat(9 << 20));
    assert_eq!(broker.text("POST", "/entities", &large).await.status, 413);
    let deep =
        format!(r#"{{"id": "urn:a:1", "type": "T", "a": {}1{}}}"#, "[".repeat(90), "]".repeat(90));
    assert_eq!(broker.text("POST", "/entities", &deep).await.status, 400);
}
