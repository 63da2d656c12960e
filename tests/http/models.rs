//! `/models`: what the entities of a city look like, and what happens when one does not.

use lanna::config::Preload;
use lanna::import::normalize;
use lanna::schema::shipped;
use serde_json::{Value, json};

use crate::snapshots;
use crate::support::TestBroker;

const AIR: &str = "https://smartdatamodels.org/dataModel.Environment/";

fn air(id: u32, humidity: f64) -> Value {
    json!({
        "id": format!("urn:ngsi-ld:AirQualityObserved:{id}"),
        "type": format!("{AIR}AirQualityObserved"),
        "https://smartdatamodels.org/dateObserved": { "value": "2026-03-12T08:00:00Z" },
        format!("{AIR}relativeHumidity"): { "value": humidity },
        "location": { "value": { "type": "Point", "coordinates": [99.66, 18.28] } },
    })
}

async fn decide(broker: &TestBroker, path: &str, validation: Value) {
    let answer = broker.beside("PATCH", path, Some(json!({ "validation": validation }))).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
}

async fn findings(broker: &TestBroker) -> Value {
    broker.beside("GET", "/models/findings", None).await.json()
}

#[actix_web::test]
async fn a_warning_takes_the_entity_and_remembers_what_is_wrong() {
    let broker = TestBroker::start().await;
    broker.has(air(1, 71.0)).await;
    let found = findings(&broker).await;
    assert_eq!(found[0]["id"], "urn:ngsi-ld:AirQualityObserved:1");
    assert_eq!(found[0]["outcome"], "warned");
    let violation = json!({
        "attribute": "relativeHumidity",
        "expected": "a number from 0 to 1",
        "received": "71.0",
    });
    assert_eq!(found[0]["violations"], json!([violation]));
    let metrics = broker.beside("GET", "/metrics", None).await.text;
    let counted = "lanna_models_checked_total{model=\"AirQualityObserved\",outcome=\"warned\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[actix_web::test]
async fn a_warning_comes_with_the_answer_of_every_write() {
    let broker = TestBroker::start().await;
    let expected = "199 lanna \"urn:ngsi-ld:AirQualityObserved:1 is not as AirQualityObserved says: \
                    relativeHumidity: expected a number from 0 to 1, received 71.0\"";
    let created = broker.body("POST", "/entities", air(1, 71.0)).await;
    assert_eq!((created.status, created.header("ngsild-warning")), (201, expected));
    let path = "/entities/urn:ngsi-ld:AirQualityObserved:1";
    let wrong = json!({ format!("{AIR}relativeHumidity"): { "value": 71.0 } });
    for (method, path) in [("PATCH", path.to_owned()), ("PATCH", format!("{path}/attrs"))] {
        let answer = broker.body(method, &path, wrong.clone()).await;
        assert_eq!((answer.status, answer.header("ngsild-warning")), (204, expected));
    }
    let batch = json!([air(1, 71.0), air(2, 0.5), air(3, 7.0)]);
    let answer = broker.body("POST", "/entityOperations/upsert", batch).await;
    assert_eq!(answer.headers.get_all("ngsild-warning").iter().count(), 2);
    // What is told is told once, and of what is good there is nothing to tell.
    let good = json!({ format!("{AIR}relativeHumidity"): { "value": 0.5 } });
    assert_eq!(broker.body("PATCH", path, good).await.header("ngsild-warning"), "");
    assert_eq!(broker.get(path).await.header("ngsild-warning"), "");
    // Writes to history are told too where the entity follows them.
    let late = json!({ format!("{AIR}relativeHumidity"): [
        { "type": "Property", "value": 71.0, "observedAt": "2099-01-01T00:00:00Z" },
    ] });
    let told = broker.body("POST", &format!("/temporal{path}/attrs"), late).await;
    assert_eq!((told.status, told.header("ngsild-warning")), (204, expected), "{}", told.text);
}

/// Brokers that share a MongoDB; where the tests run without one there is nothing to share.
#[actix_web::test]
async fn what_a_tenant_decides_at_one_broker_holds_at_the_others() {
    if !TestBroker::is_on_mongodb() {
        return;
    }
    let database = format!("lanna-test-{}", uuid::Uuid::new_v4().simple());
    let share = |config: &mut lanna::config::Config| config.mongodb.database.clone_from(&database);
    let (one, other) = (TestBroker::with(share).await, TestBroker::with(share).await);
    one.has(json!({ "id": "urn:x:1", "type": "T" })).await;
    decide(&one, "/models/AirQualityObserved", "enforce".into()).await;
    let mut number = 0;
    // It is heard of a little later.
    loop {
        number += 1;
        let answer = other.body("POST", "/entities", air(number, 71.0)).await;
        if answer.status == 400 {
            assert_eq!(answer.json()["violations"][0]["attribute"], "relativeHumidity");
            break;
        }
        assert_eq!(answer.status, 201, "{}", answer.text);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let schema = json!({ "title": "Gate", "type": "object", "required": ["open"] });
    let put = other.beside("PUT", "/models/Gate", Some(schema)).await;
    assert_eq!(put.status, 201, "{}", put.text);
    while one.beside("GET", "/models/Gate", None).await.status != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    decide(&one, "/models/AirQualityObserved", Value::Null).await;
    loop {
        number += 1;
        if other.body("POST", "/entities", air(number, 71.0)).await.status == 201 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[actix_web::test]
async fn names_with_hyphens_are_attributes_like_others() {
    let broker = TestBroker::start().await;
    decide(&broker, "/models", "enforce".into()).await;
    let water = "https://smartdatamodels.org/dataModel.WaterQuality/";
    let entity = |chloride: Value| {
        json!({
            "id": "urn:ngsi-ld:WaterQualityObserved:1",
            "type": format!("{water}WaterQualityObserved"),
            "https://smartdatamodels.org/dateObserved": { "value": "2026-03-12T08:00:00Z" },
            "location": { "value": { "type": "Point", "coordinates": [99.66, 18.28] } },
            format!("{water}Cl-"): { "value": chloride, "unitCode": "M1" },
            format!("{water}N-TOT"): { "value": 2.5, "unitCode": "M1" },
        })
    };
    let refused = broker.body("POST", "/entities", entity("much".into())).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert_eq!(refused.json()["violations"][0]["attribute"], "Cl-");
    broker.has(entity(3.5.into())).await;
    let link = format!(
        "<{}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"",
        broker.url("/ngsi-ld/v1/jsonldContexts/water-quality")
    );
    let linked = |method: &str, path: &str| broker.request(method, path).header("Link", &link);
    let path = "/entities/urn:ngsi-ld:WaterQualityObserved:1";
    let shown = broker.send(linked("GET", &format!("{path}?format=simplified"))).await.json();
    assert_eq!((&shown["Cl-"], &shown["N-TOT"]), (&json!(3.5), &json!(2.5)));
    let picked = broker.send(linked("GET", &format!("{path}?pick=Cl-&format=simplified"))).await;
    assert_eq!(picked.json(), json!({ "Cl-": 3.5 }), "{}", picked.text);
    let patch = linked("PATCH", &format!("{path}/attrs/Cl-"))
        .header("content-type", "application/json")
        .body(json!({ "value": 4.5 }).to_string());
    let answer = broker.send(patch).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    for (q, found) in [("Cl->4", 1), ("Cl-<4", 0), ("N-TOT==2.5;Cl-==4.5", 1), ("!Cl-", 0)] {
        let q = urlencode(q);
        let path = format!("/entities?type=WaterQualityObserved&q={q}");
        let answer = broker.send(linked("GET", &path)).await;
        assert_eq!(answer.status, 200, "{q}: {}", answer.text);
        assert_eq!(answer.json().as_array().map(Vec::len), Some(found), "{q}");
    }
    let answer = broker.send(linked("DELETE", &format!("{path}/attrs/N-TOT"))).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
}

/// Where a broker has no network, a shipped context can stand for the official one.
#[actix_web::test]
async fn a_shipped_context_may_stand_for_the_official_one() {
    let official = "https://raw.githubusercontent.com/smart-data-models/dataModel.Weather/master/context.jsonld";
    let broker = TestBroker::with(|config| {
        let (url, file) = (official.to_owned(), "weather".into());
        config.contexts.preload.push(Preload { url, file });
    })
    .await;
    let entity = |humidity: f64| {
        json!({
            "id": "urn:ngsi-ld:WeatherObserved:1",
            "type": "WeatherObserved",
            "dateObserved": "2026-03-12T08:00:00Z",
            "location": { "type": "Point", "coordinates": [99.66, 18.28] },
            "relativeHumidity": humidity,
            "@context": official,
        })
    };
    decide(&broker, "/models/WeatherObserved", "enforce".into()).await;
    for (humidity, status) in [(48.0, 400), (0.48, 201)] {
        let request = broker
            .request("POST", "/entities")
            .header("content-type", "application/ld+json")
            .body(entity(humidity).to_string());
        let answer = broker.send(request).await;
        assert_eq!(answer.status, status, "{humidity}: {}", answer.text);
    }
    let kept = broker.get("/entities/urn:ngsi-ld:WeatherObserved:1").await.json();
    let name = "https://smartdatamodels.org/dataModel.Weather/relativeHumidity";
    assert_eq!(kept[name]["value"], 0.48, "{kept}");
}

#[actix_web::test]
async fn an_enforced_model_refuses_whatever_would_break_it() {
    let broker = TestBroker::start().await;
    decide(&broker, "/models/AirQualityObserved", "enforce".into()).await;
    let refused = broker.body("POST", "/entities", air(1, 71.0)).await;
    assert_eq!((refused.status, refused.problem().as_str()), (400, "BadRequestData"));
    assert_eq!(refused.json()["violations"][0]["attribute"], "relativeHumidity");
    assert_eq!(broker.get("/entities/urn:ngsi-ld:AirQualityObserved:1").await.status, 404);

    broker.has(air(1, 0.71)).await;
    let path = "/entities/urn:ngsi-ld:AirQualityObserved:1";
    let wrong = json!({ format!("{AIR}relativeHumidity"): { "value": 1.2 } });
    let attribute = format!("{path}/attrs/{}", urlencode(&format!("{AIR}relativeHumidity")));
    for (method, path, body) in [
        ("PATCH", path.to_owned(), wrong.clone()),
        ("PATCH", format!("{path}/attrs"), wrong.clone()),
        ("POST", format!("{path}/attrs"), wrong.clone()),
        ("PATCH", attribute.clone(), json!({ "value": 1.2 })),
        ("PUT", attribute.clone(), json!({ "type": "Property", "value": 1.2 })),
        ("PUT", path.to_owned(), air(1, 1.2)),
    ] {
        let answer = broker.body(method, &path, body).await;
        assert_eq!(answer.status, 400, "{method} {path}: {}", answer.text);
        assert_eq!(answer.json()["violations"][0]["received"], "1.2", "{method} {path}");
    }
    let gone = broker.delete(&format!("{path}/attrs/location")).await;
    assert_eq!(gone.status, 400, "{}", gone.text);
    assert_eq!(gone.json()["violations"][0]["received"], "nothing");
    let good = json!({ format!("{AIR}relativeHumidity"): { "value": 0.5 } });
    assert_eq!(broker.body("PATCH", path, good).await.status, 204);
    assert_eq!(broker.delete(path).await.status, 204);
}

/// What is told of the past is judged where it changes nothing of now, too: averages are made of it.
#[actix_web::test]
async fn the_past_is_judged_like_the_present() {
    let broker = TestBroker::start().await;
    broker.has(air(1, 0.5)).await;
    let path = "/temporal/entities/urn:ngsi-ld:AirQualityObserved:1";
    let pm25 = format!("{AIR}pm25");
    let at = |value: f64, hour: u32| {
        json!({ "type": "Property", "value": value, "unitCode": "GQ",
                "observedAt": format!("2026-03-12T{hour:02}:00:00Z") })
    };
    let told = |all: Value| json!({ pm25.as_str(): all });
    let add = async |all: Value| broker.body("POST", &format!("{path}/attrs"), told(all)).await;
    // It is taken with a warning, or refused.
    assert_eq!(add(json!([at(20.0, 9), at(21.0, 8)])).await.header("ngsild-warning"), "");
    let warned = add(json!([at(-999.0, 7)])).await;
    assert_eq!(warned.status, 204, "{}", warned.text);
    let text = warned.header("ngsild-warning");
    assert!(text.contains("pm25: expected a number of at least 0, received -999"), "{text}");
    decide(&broker, "/models/AirQualityObserved", "enforce".into()).await;
    for wrong in [json!([at(-1.0, 6)]), json!([at(5.0, 5), at(-1.0, 6), at(5.0, 10)])] {
        let refused = add(wrong).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
        assert_eq!(refused.json()["violations"][0]["received"], "-1.0");
    }
    assert_eq!(add(json!([at(5.0, 5)])).await.status, 204);
    let shown = broker.get(&format!("{path}?timeproperty=observedAt")).await.json();
    let instances = shown[&pm25].as_array().expect("instances").clone();
    assert_eq!(instances.len(), 4, "{shown}");
    let good = instances.iter().find(|one| one["value"] == 5.0).expect("it is there");
    let instance = good["instanceId"].as_str().expect("an id");
    let change = format!("{path}/attrs/{}/{instance}", urlencode(&pm25));
    for (value, status) in [(-5.0, 400), (6.0, 204)] {
        let patch = told(json!([at(value, 5)]));
        let answer = broker.body("PATCH", &change, patch).await;
        assert_eq!(answer.status, status, "{value}: {}", answer.text);
    }
}

/// A snapshot holds what was found, as it was found; what is written there keeps to what its tenant
/// decided.
#[actix_web::test]
async fn in_a_snapshot_holds_what_its_tenant_decided() {
    let broker = TestBroker::start().await;
    broker.has(air(1, 71.0)).await;
    broker.has(air(2, 0.5)).await;
    decide(&broker, "/models/AirQualityObserved", "enforce".into()).await;
    let kind = format!("{AIR}AirQualityObserved");
    let query = json!({ "type": "Query", "entities": [{ "type": kind }] });
    let made = json!({ "type": "Snapshot", "id": "urn:x:air", "snapshotQueries": [query] });
    let path = snapshots::create(&broker, made).await;
    let snapshot = snapshots::ready(&broker, &path).await;
    assert_eq!(snapshot["snapshotStatus"], "success", "{snapshot}");
    let there = async |method: &str, path: &str, body: Option<Value>| {
        let mut request = broker.request(method, path).header("NGSILD-Snapshot", "urn:x:air");
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        broker.send(request).await
    };
    let humidity = format!("{AIR}relativeHumidity");
    for (id, value) in [(1, 71.0), (2, 0.5)] {
        let path = format!("/entities/urn:ngsi-ld:AirQualityObserved:{id}");
        let found = there("GET", &path, None).await.json();
        assert_eq!(found[&humidity]["value"], value, "{id}");
    }
    let path = "/entities/urn:ngsi-ld:AirQualityObserved:2";
    for (value, status) in [(48.0, 400), (0.48, 204)] {
        let patch = json!({ humidity.as_str(): { "value": value } });
        let answer = there("PATCH", path, Some(patch)).await;
        assert_eq!(answer.status, status, "{value}: {}", answer.text);
    }
}

#[actix_web::test]
async fn a_batch_tells_of_each_entity_what_is_wrong_with_it() {
    let broker = TestBroker::start().await;
    decide(&broker, "/models", "enforce".into()).await;
    let batch = json!([air(1, 0.4), air(2, 40.0), { "id": "urn:x:3", "type": "Other" }]);
    let answer = broker.body("POST", "/entityOperations/upsert", batch).await;
    assert_eq!(answer.status, 207, "{}", answer.text);
    let result = answer.json();
    assert_eq!(result["success"].as_array().map(Vec::len), Some(2));
    assert_eq!(result["errors"][0]["entityId"], "urn:ngsi-ld:AirQualityObserved:2");
    assert_eq!(result["errors"][0]["error"]["violations"][0]["attribute"], "relativeHumidity");
}

#[actix_web::test]
async fn a_tenant_brings_a_model_of_its_own_and_nobody_else_has_it() {
    let broker = TestBroker::start().await;
    let schema = json!({
        "title": "Gate",
        "type": "object",
        "properties": { "open": { "type": "boolean", "x-labels": { "en": "Open", "th": "เปิด" } } },
        "required": ["open"],
    });
    let faulty = json!({ "title": "Gate", "properties": { "open": { "type": "truth" } } });
    let answer = broker.beside("PUT", "/models/Gate", Some(faulty)).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    let other = broker.beside("PUT", "/models/Door", Some(schema.clone())).await;
    assert_eq!(other.status, 400, "{}", other.text);
    let answer = broker.beside("PUT", "/models/Gate", Some(schema.clone())).await;
    assert_eq!((answer.status, answer.header("location")), (201, "/models/Gate"));
    assert_eq!(broker.beside("PUT", "/models/Gate", Some(schema)).await.status, 204);
    decide(&broker, "/models/Gate", "enforce".into()).await;

    let gate = json!({ "id": "urn:x:1", "type": "Gate", "open": { "value": "yes" } });
    let refused = broker.body("POST", "/entities", gate.clone()).await;
    assert_eq!(refused.json()["violations"][0]["expected"], "true or false");
    let elsewhere = broker
        .request("POST", "/entities")
        .header("NGSILD-Tenant", "other")
        .header("content-type", "application/json")
        .body(gate.to_string());
    assert_eq!(broker.send(elsewhere).await.status, 201);

    let shown = broker.beside("GET", "/models/Gate", None).await.json();
    assert_eq!((&shown["origin"], &shown["validation"]), (&"tenant".into(), &"enforce".into()));
    assert_eq!(shown["attributes"][0]["labels"]["th"], "เปิด");
    assert_eq!(broker.beside("DELETE", "/models/Gate", None).await.status, 204);
    assert_eq!(broker.beside("GET", "/models/Gate", None).await.status, 404);
    assert_eq!(broker.beside("DELETE", "/models/AirQualityObserved", None).await.status, 404);
    broker.has(gate).await;
}

#[actix_web::test]
async fn entities_can_be_checked_without_being_kept() {
    let broker = TestBroker::start().await;
    let path = "/models/check?format=simplified";
    let body = json!([
        { "id": "urn:ngsi-ld:Device:1", "type": "Device", "controlledProperty": ["airPollution"] },
        { "id": "urn:ngsi-ld:Device:2", "type": "Device", "batteryLevel": "low" },
        { "id": "urn:x:3", "type": "Unheard" },
        { "id": "no uri", "type": "Device" },
    ]);
    let answer = broker.beside("POST", path, Some(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let told = answer.json();
    assert_eq!(told[0]["models"], json!([{ "model": "Device", "valid": true, "violations": [] }]));
    assert_eq!(told[1]["models"][0]["violations"].as_array().map(Vec::len), Some(2));
    assert_eq!(told[2]["models"], json!([]));
    assert_eq!(told[3]["error"]["status"], 400);
    assert_eq!(broker.get("/entities?type=Device").await.json(), json!([]));
}

#[actix_web::test]
async fn models_are_shown_to_programs_and_to_people() {
    let broker = TestBroker::start().await;
    let list = broker.beside("GET", "/models", None).await.json();
    assert!(list.as_array().is_some_and(|list| list.len() >= 69));
    for path in ["", "/schema", "/example"] {
        let answer = broker.beside("GET", &format!("/models/EnergyMeter{path}"), None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json();
    }
    assert_eq!(broker.beside("GET", "/models/Nothing", None).await.status, 404);
    assert_eq!(broker.beside("POST", "/models/Device", None).await.status, 405);
}

fn urlencode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// Every shipped type comes back from every representation as it went in, and one that is as its
/// model says stays so.
#[actix_web::test]
async fn every_shipped_type_goes_through_every_representation_without_loss() {
    let broker = TestBroker::start().await;
    decide(&broker, "/models", "enforce".into()).await;
    let link = format!(
        "<{}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"",
        broker.url("/ngsi-ld/v1/jsonldContexts/mae-moh"),
    );
    let send = async |method: &str, path: &str, body: Option<Value>| {
        let mut request = broker.request(method, path).header("link", &link);
        if let Some(body) = body {
            let json = "application/json";
            request = request.header("content-type", json).body(body.to_string());
        }
        broker.send(request).await
    };
    for shipped in shipped() {
        let example = shipped.example();
        let members = example.as_object().cloned().expect("an object");
        let mut form = Value::Object(normalize(members));
        let path = format!("/entities/{}", example["id"].as_str().expect("an id"));
        for representation in ["normalized", "concise", "normalized"] {
            let created = send("POST", "/entities", Some(form.clone())).await;
            assert_eq!(created.status, 201, "{} {representation}: {}", shipped.name, created.text);
            let simplified = send("GET", &format!("{path}?format=simplified"), None).await;
            assert_eq!(simplified.json(), example, "{} {representation}", shipped.name);
            let again = send("PATCH", &path, Some(json!({ "type": shipped.name }))).await;
            assert_eq!(again.status, 204, "{}: {}", shipped.name, again.text);
            form = send("GET", &format!("{path}?format={representation}"), None).await.json();
            let feature = broker
                .request("GET", &path)
                .header("link", &link)
                .header("accept", "application/geo+json");
            let feature = broker.send(feature).await.json();
            assert_eq!(feature["properties"]["type"], example["type"], "{}", shipped.name);
            assert_eq!(send("DELETE", &path, None).await.status, 204, "{}", shipped.name);
        }
    }
}
