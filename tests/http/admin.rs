//! `/admin`: how deliveries stand, and dead letters.

use serde_json::{Value, json};

use crate::support::TestBroker;

/// A broker with a receiver that the rules forbid, and so many notifications that it did not get.
async fn with_dead_letters(count: usize) -> TestBroker {
    let broker = TestBroker::start().await;
    let subscription = json!({
        "id": "urn:s:refused",
        "type": "Subscription",
        "entities": [{"type": "Vehicle"}],
        "notification": {"endpoint": {"uri": "http://localhost:9999/secret"}},
    });
    let answer = broker.body("POST", "/subscriptions", subscription).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    for number in 0..count {
        let id = format!("urn:v:{number}");
        broker.has(json!({"id": id, "type": "Vehicle", "speed": number})).await;
    }
    // A letter is counted once it is kept.
    while letters(&broker, "").await.len() < count || !says_dead(&broker, count).await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    broker
}

/// Whether the metrics say that so many notifications became dead letters.
async fn says_dead(broker: &TestBroker, count: usize) -> bool {
    let metrics = broker.beside("GET", "/metrics", None).await.text;
    let line = format!("lanna_notifications_total{{tenant=\"\",outcome=\"dead\"}} {count}");
    metrics.lines().any(|found| found == line)
}

async fn letters(broker: &TestBroker, query: &str) -> Vec<Value> {
    let answer = broker.beside("GET", &format!("/admin/dead-letters{query}"), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json().as_array().expect("a list").clone()
}

#[actix_web::test]
async fn what_fails_is_listed_with_its_reason() {
    let broker = with_dead_letters(1).await;
    let failing = broker.beside("GET", "/admin/subscriptions?failing=true", None).await.json();
    let all = broker.beside("GET", "/admin/subscriptions", None).await.json();
    assert_eq!(all[0]["id"], "urn:s:refused");
    assert_eq!(all[0]["uri"], "http://localhost:9999/secret");
    assert!(failing.as_array().expect("a list").len() <= 1);
    let one = broker.beside("GET", "/admin/subscriptions/urn:s:refused", None).await;
    assert_eq!((one.status, &one.json()["status"]), (200, &json!("active")));
    let none = broker.beside("GET", "/admin/subscriptions/urn:s:other", None).await;
    assert_eq!((none.status, none.problem().as_str()), (404, "ResourceNotFound"));
    let letter = &letters(&broker, "").await[0];
    let reason = letter["reason"].as_str().expect("a reason");
    assert!(reason.contains("of this machine"), "{reason}");
    assert!(letter["body"].as_str().is_some_and(|body| body.contains("urn:v:0")), "{letter}");
    assert!(says_dead(&broker, 1).await);
}

#[actix_web::test]
async fn dead_letters_are_paged_replayed_and_dropped() {
    let broker = with_dead_letters(5).await;
    let first = broker.beside("GET", "/admin/dead-letters?limit=2", None).await;
    let link = first.header("link").to_owned();
    let next = link.trim_start_matches('<').split('>').next().expect("a link");
    let second = broker.beside("GET", next, None).await.json();
    let first = first.json();
    let ids: Vec<&str> = [&first[0], &first[1], &second[0], &second[1]]
        .map(|letter| letter["id"].as_str().unwrap())
        .to_vec();
    assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
    assert_eq!(letters(&broker, "?subscription=urn:s:refused").await.len(), 5);
    assert_eq!(letters(&broker, "?subscription=urn:s:other").await.len(), 0);

    let letter = format!("/admin/dead-letters/{}", ids[0]);
    let asked = broker.beside("POST", &format!("{letter}/replay"), None).await;
    assert_eq!((asked.status, asked.json()), (200, json!({"replayed": 1})));
    // The rules still forbid it: it stays, and says that it was tried again.
    while broker.beside("GET", &letter, None).await.json()["attempts"] == 1 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let dropped = broker.beside("DELETE", &letter, None).await;
    assert_eq!((dropped.status, dropped.json()), (200, json!({"dropped": 1})));
    for (method, path) in [("GET", ""), ("DELETE", ""), ("POST", "/replay")] {
        let gone = broker.beside(method, &format!("{letter}{path}"), None).await;
        assert_eq!(gone.status, 404, "{method} {path}: {}", gone.text);
    }
    for (method, path) in [("DELETE", ""), ("POST", "/replay")] {
        let vague = broker.beside(method, &format!("/admin/dead-letters{path}"), None).await;
        assert_eq!(vague.status, 400, "nothing is not everything: {}", vague.text);
    }
    let all = broker.beside("DELETE", "/admin/dead-letters?all=true", None).await;
    assert_eq!(all.json(), json!({"dropped": 4}));
    assert_eq!(letters(&broker, "").await.len(), 0);
}

#[actix_web::test]
async fn pages_and_proxies_are_kept_out_and_tenants_apart() {
    let broker = with_dead_letters(1).await;
    let other = broker.beside("GET", "/admin/dead-letters?tenant=other", None).await;
    assert_eq!((other.status, other.problem().as_str()), (404, "NonexistentTenant"));
    let base = broker.beside("GET", "/admin/dead-letters?tenant=b%20ad", None).await;
    assert_eq!(base.status, 400);
    for (name, value) in [("origin", "http://localhost:8000"), ("x-forwarded-for", "10.0.0.1")] {
        let request = broker.request("GET", "/../../admin/dead-letters").header(name, value);
        let answer = broker.send(request).await;
        assert_eq!(answer.status, 403, "{name}: {}", answer.text);
    }
    assert_eq!(broker.beside("GET", "/admin/other", None).await.status, 404);
    assert_eq!(broker.beside("PUT", "/admin/dead-letters", None).await.status, 405);
}
