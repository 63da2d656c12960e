//! `/derived`: what is derived from readings, and why.

use serde_json::{Value, json};

use crate::support::TestBroker;

async fn deriving() -> TestBroker {
    TestBroker::with(|config| config.derive.profiles = vec!["th".to_owned()]).await
}

/// A station whose readings are averages already, as Air4Thai gives them, without a context.
fn station(pm25: f64) -> Value {
    let reading = |value: f64, unit: &str, period: &str| {
        json!({
            "value": value, "unitCode": unit, "observedAt": "2026-03-12T08:00:00Z",
            "averagingPeriod": { "value": period },
        })
    };
    json!({
        "id": "urn:ngsi-ld:AirQualityObserved:1",
        "type": "AirQualityObserved",
        "dateObserved": { "value": "2026-03-12T08:00:00Z" },
        "location": { "value": { "type": "Point", "coordinates": [99.66, 18.28] } },
        "pm25": reading(pm25, "GQ", "PT24H"),
        "o3": reading(36.0, "61", "PT8H"),
    })
}

async fn derived(broker: &TestBroker, expected: impl Fn(&Value) -> bool) -> Value {
    loop {
        let entity = broker.get("/entities/urn:ngsi-ld:AirQualityObserved:1").await.json();
        if expected(&entity["airQualityIndex"]["value"]) {
            return entity;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[actix_web::test]
async fn an_index_appears_with_its_scheme_and_inputs_and_follows_the_readings() {
    let broker = deriving().await;
    broker.has(station(37.5)).await;
    let entity = derived(&broker, |value| *value == 100).await;
    let index = &entity["airQualityIndex"];
    assert_eq!(index["observedAt"], "2026-03-12T08:00:00Z");
    assert_eq!(index["scheme"]["value"], "TH-PCD-2023");
    assert_eq!(index["derivedBy"]["value"], "th/air-quality-index");
    assert_eq!(index["derivedFrom"]["object"], "urn:ngsi-ld:AirQualityObserved:1");
    assert_eq!(index["dominantPollutant"]["value"], "pm25");
    assert_eq!((&index["pm25"]["value"], &index["o3"]["value"]), (&json!(100), &json!(26)));
    assert_eq!(index["inputs"]["json"][1]["given"], true);
    assert_eq!(entity["airQualityLevel"]["value"], "moderate");
    assert_eq!(entity["airQualityLevel"]["label"]["languageMap"]["th"], "ปานกลาง");
    let q = "/entities?type=AirQualityObserved&q=airQualityIndex.pm25%3E99";
    assert_eq!(broker.get(q).await.json().as_array().map(Vec::len), Some(1));

    let metrics = broker.beside("GET", "/metrics", None).await.text;
    let counted = "lanna_derived_total{rule=\"th/air-quality-index\",outcome=\"derived\"} 1";
    assert!(metrics.contains(counted), "{metrics}");

    let patch = json!({ "pm25": {
        "value": 112.4, "unitCode": "GQ", "observedAt": "2026-03-12T09:00:00Z",
        "averagingPeriod": { "value": "PT24H" },
    } });
    let answer =
        broker.body("PATCH", "/entities/urn:ngsi-ld:AirQualityObserved:1/attrs", patch).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    let entity = derived(&broker, |value| *value == 299).await;
    assert_eq!(entity["airQualityIndex"]["aboveScale"]["value"], true);
}

#[actix_web::test]
async fn people_can_see_what_is_derived_and_why_something_is_not() {
    let broker = deriving().await;
    let told = broker.beside("GET", "/derived", None).await.json();
    let rules = told["profiles"][0]["rules"].as_array().expect("rules");
    let names: Vec<_> = rules.iter().map(|rule| rule["name"].as_str().unwrap_or("")).collect();
    assert_eq!(names, ["th/air-quality-index", "th/river-situation", "th/surface-water-class"]);
    assert_eq!(rules[0]["schemes"][0]["name"], "TH-PCD-2023");
    assert_eq!(rules[0]["schemes"][1]["until"], "2023-05-31T17:00:00Z");

    let mut raw = station(20.0);
    for term in ["pm25", "o3"] {
        raw[term].as_object_mut().expect("an object").remove("averagingPeriod");
    }
    broker.has(raw).await;
    let path = "/derived/urn:ngsi-ld:AirQualityObserved:1";
    let told = broker.beside("GET", path, None).await.json();
    assert_eq!(told["rules"][0]["state"], "lacking", "{told}");
    let inputs = told["rules"][0]["inputs"].as_array().expect("inputs");
    let pm25 = inputs.iter().find(|input| input["attribute"] == "pm25").expect("pm25");
    assert_eq!(pm25["lacks"], "1 of 24 hours or parts have a reading, and 18 are needed");
    let none = broker.beside("GET", "/derived/urn:x:none", None).await;
    assert_eq!(none.status, 404, "{}", none.text);
    let wrong = broker.beside("GET", &format!("{path}?at=now"), None).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);
}

#[actix_web::test]
async fn without_a_profile_nothing_is_derived_and_that_is_said() {
    let broker = TestBroker::start().await;
    assert_eq!(broker.beside("GET", "/derived", None).await.json(), json!({ "profiles": [] }));
    let answer = broker.beside("GET", "/derived/urn:x:1", None).await;
    assert_eq!(answer.status, 404);
    assert!(answer.text.contains("derive.profiles"), "{}", answer.text);
}
