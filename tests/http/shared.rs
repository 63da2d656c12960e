//! Several brokers on one database, each with what it keeps in memory: what is changed through one
//! holds for the others soon. Only a MongoDB can be shared.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::TestBroker;

/// Brokers that share a database; none where the tests run on data folders.
async fn brokers<const COUNT: usize>() -> Option<[TestBroker; COUNT]> {
    if !TestBroker::is_on_mongodb() {
        return None;
    }
    let database = format!("lanna-test-{}", uuid::Uuid::new_v4().simple());
    let mut brokers = Vec::new();
    for _ in 0..COUNT {
        let broker = TestBroker::with(|config| {
            config.egress.allow_private = true;
            config.mongodb.database.clone_from(&database);
        });
        brokers.push(broker.await);
    }
    brokers.try_into().ok()
}

/// Asks again and again until the answer is what it has to become.
async fn soon(what: &str, mut asked: impl AsyncFnMut() -> bool) {
    for _ in 0..15_000 {
        if asked().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: the other broker never heard of it");
}

fn vehicle(id: &str, speed: u32) -> Value {
    json!({"id": format!("urn:v:{id}"), "type": "Vehicle", "speed": speed})
}

#[actix_web::test]
async fn what_one_broker_writes_the_others_read_at_once() {
    let Some([one, two, three]) = brokers().await else { return };
    for speed in 0..20 {
        one.body("POST", "/entityOperations/upsert", json!([vehicle("1", speed)])).await;
        assert_eq!(two.values("urn:v:1").await["speed"], speed);
        let found = three.get(&format!("/entities?type=Vehicle&q=speed=={speed}")).await;
        assert_eq!(found.json().as_array().map(Vec::len), Some(1), "{}", found.text);
    }
    assert_eq!(three.delete("/entities/urn:v:1").await.status, 204);
    assert_eq!(one.get("/entities/urn:v:1").await.status, 404);
}

#[actix_web::test]
async fn registrations_made_at_one_broker_are_asked_by_the_others() {
    let Some([one, two]) = brokers().await else { return };
    let elsewhere = TestBroker::with(|config| config.egress.allow_private = true).await;
    elsewhere.has(vehicle("far", 7)).await;
    let registration = |kind: &str| {
        json!({
            "id": "urn:ngsi-ld:ContextSourceRegistration:1", "type": "ContextSourceRegistration",
            "information": [{"entities": [{"type": kind}]}], "endpoint": elsewhere.url(""),
        })
    };
    let path = "/csourceRegistrations/urn:ngsi-ld:ContextSourceRegistration:1";
    let answer = one.body("POST", "/csourceRegistrations", registration("Vehicle")).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(two.get(path).await.status, 200, "what is stored is read at once");
    let sees = async || two.get("/entities?type=Vehicle").await.text.contains("urn:v:far");
    soon("a registration", sees).await;
    let other = registration("Boat")["information"].clone();
    let answer = one.body("PATCH", path, json!({"information": other})).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    soon("a registration that was changed", async || !sees().await).await;
    assert_eq!(
        one.body("PATCH", path, json!({"information": registration("Vehicle")["information"]}))
            .await
            .status,
        204
    );
    soon("a registration that was changed back", sees).await;
    assert_eq!(one.delete(path).await.status, 204);
    soon("a registration that is gone", async || !sees().await).await;
}

#[actix_web::test]
async fn contexts_and_models_changed_at_one_broker_hold_at_the_others() {
    let Some([one, two]) = brokers().await else { return };
    let context = json!({"@context": {"Vehicle": "https://example.org/Vehicle", "speed": "https://example.org/speed"}});
    let made = one.body("POST", "/jsonldContexts", context).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let place = made.header("location").to_owned();
    let path = place.strip_prefix("/ngsi-ld/v1").unwrap_or(&place).to_owned();
    soon("a context", async || two.get(&path).await.status == 200).await;
    assert_eq!(one.delete(&path).await.status, 204);
    soon("a context that is gone", async || two.get(&path).await.status == 404).await;
    // A model that is enforced at one broker refuses at the other.
    let humidity = "https://smartdatamodels.org/dataModel.Environment/relativeHumidity";
    let wrong = json!({
        "id": "urn:ngsi-ld:AirQualityObserved:1",
        "type": "https://smartdatamodels.org/dataModel.Environment/AirQualityObserved",
        humidity: {"value": 71.0},
    });
    let validation = json!({"validation": "enforce"});
    let set = one.beside("PATCH", "/models/AirQualityObserved", Some(validation)).await;
    assert_eq!(set.status, 204, "{}", set.text);
    soon("a model that is enforced", async || {
        two.body("POST", "/entityOperations/upsert", json!([wrong])).await.status >= 207
    })
    .await;
}

#[actix_web::test]
async fn subscriptions_made_at_one_broker_hold_at_the_others_and_each_change_is_told_once() {
    let Some([one, two]) = brokers().await else { return };
    let receiver = crate::receivers::Receiver::taking();
    let subscription = json!({
        "id": "urn:s:1", "type": "Subscription", "entities": [{"type": "Vehicle"}],
        "notification": {"endpoint": {"uri": format!("http://{}/", receiver.address)}},
    });
    assert_eq!(one.body("POST", "/subscriptions", subscription).await.status, 201);
    assert_eq!(two.get("/subscriptions/urn:s:1").await.status, 200);
    // Whoever was answered need not wait until the others have heard of it.
    for speed in 1..=20 {
        let by = if speed % 2 == 0 { &one } else { &two };
        by.body("POST", "/entityOperations/upsert", json!([vehicle("1", speed)])).await;
    }
    soon("the last change", async || receiver.heard().contains(&20)).await;
    let heard = receiver.heard();
    let expected: Vec<u64> = (1..=20).collect();
    assert_eq!(heard, expected, "each once, in order, whoever was asked");
    assert_eq!(two.delete("/subscriptions/urn:s:1").await.status, 204);
    assert_eq!(one.get("/subscriptions/urn:s:1").await.status, 404);
}

#[actix_web::test]
async fn what_brokers_read_again_for_themselves_is_no_use_of_a_context() {
    let Some([one, two]) = brokers().await else { return };
    let context = json!({"@context": {"speed": "https://example.org/speed"}});
    let made = one.body("POST", "/jsonldContexts", context).await;
    let place = made.header("location").to_owned();
    let path = place.strip_prefix("/ngsi-ld/v1").unwrap_or(&place).to_owned();
    let address = match place.starts_with("http") {
        true => place.clone(),
        false => one.url(&place),
    };
    let subscription = json!({
        "id": "urn:s:1", "type": "Subscription", "entities": [{"type": "Vehicle"}],
        "jsonldContext": address,
        "notification": {"endpoint": {"uri": "https://example.org/told"}},
    });
    let answer = one.body("POST", "/subscriptions", subscription).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let hits = async || {
        let details = one.get(&format!("{path}?details=true")).await;
        details.json()["numberOfHits"].as_u64().expect("a count")
    };
    let before = hits().await;
    // Both read the subscription anew.
    for step in 0..3 {
        let renamed = json!({"description": format!("step {step}")});
        assert_eq!(two.body("PATCH", "/subscriptions/urn:s:1", renamed).await.status, 204);
    }
    assert_eq!(hits().await, before + 1, "but for the look at the details");
}

#[actix_web::test]
async fn what_is_subscribed_at_one_broker_is_known_to_all_when_it_is_answered() {
    let Some([one, two, three]) = brokers().await else { return };
    let receiver = crate::receivers::Receiver::taking();
    let brokers = [&one, &two, &three];
    let path = "/subscriptions/urn:s:1";
    for round in 0..30 {
        let at = |shift: usize| brokers[(round + shift) % brokers.len()];
        let speed = 10 * round as u32;
        let write = async |by: &TestBroker, speed: u32| {
            let body = json!([vehicle("1", speed)]);
            assert!(by.body("POST", "/entityOperations/upsert", body).await.status < 300);
        };
        write(at(2), speed).await;
        let subscription = json!({
            "id": "urn:s:1", "type": "Subscription", "entities": [{"type": "Vehicle"}],
            "q": format!("speed>{}", speed + 2),
            "notification": {"endpoint": {"uri": format!("http://{}/", receiver.address)}},
        });
        assert_eq!(at(0).body("POST", "/subscriptions", subscription).await.status, 201);
        write(at(1), speed + 2).await;
        write(at(1), speed + 3).await;
        let first = u64::from(speed + 3);
        soon("the first change", async || receiver.heard().contains(&first)).await;
        let narrower = json!({"q": format!("speed>{}", speed + 3)});
        assert_eq!(at(2).body("PATCH", path, narrower).await.status, 204);
        write(at(1), speed + 2).await;
        write(at(1), speed + 3).await;
        write(at(0), speed + 4).await;
        let last = u64::from(speed + 4);
        soon("the last change", async || receiver.heard().contains(&last)).await;
        assert_eq!(at(1).delete(path).await.status, 204);
        write(at(2), speed + 5).await;
    }
    let expected: Vec<u64> = (0..30).flat_map(|round| [10 * round + 3, 10 * round + 4]).collect();
    assert_eq!(receiver.heard(), expected, "what was subscribed when it was written, and no more");
}
