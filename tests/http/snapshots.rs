//! `/snapshots`, and operations on what snapshots hold.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Answer, TestBroker};

const VEHICLES: &str = "urn:x:snapshot:1";

async fn with_vehicles() -> TestBroker {
    let broker = TestBroker::start().await;
    for (id, speed) in [("urn:x:slow", 30), ("urn:x:fast", 80)] {
        broker.has(json!({"id": id, "type": "Vehicle", "speed": speed})).await;
    }
    broker
}

fn of_vehicles(q: Option<&str>) -> Value {
    let mut query = json!({"type": "Query", "entities": [{"type": "Vehicle"}]});
    if let Some(q) = q {
        query["q"] = q.into();
    }
    query
}

pub async fn create(broker: &TestBroker, snapshot: Value) -> String {
    let answer = broker.body("POST", "/snapshots", snapshot).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.header("location").strip_prefix("/ngsi-ld/v1").expect("a place").to_owned()
}

/// A snapshot once it is filled.
pub async fn ready(broker: &TestBroker, path: &str) -> Value {
    loop {
        let answer = broker.get(path).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let snapshot = answer.json();
        if snapshot["snapshotStatus"] != "preparing" {
            return snapshot;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn within(
    broker: &TestBroker,
    id: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let mut request = broker.request(method, path).header("NGSILD-Snapshot", id);
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    broker.send(request).await
}

#[actix_web::test]
async fn a_snapshot_keeps_what_was_though_it_changes() {
    let broker = with_vehicles().await;
    let made = json!({"type": "Snapshot", "id": VEHICLES, "snapshotQueries": [of_vehicles(Some("speed>50"))]});
    let path = create(&broker, made.clone()).await;
    let snapshot = ready(&broker, &path).await;
    assert_eq!(snapshot["snapshotStatus"], "success");
    assert_eq!(snapshot["snapshotPriority"], 5);
    assert_eq!(snapshot["snapshotQueriesDetails"], json!([{"resultStatus": "success"}]));
    assert!(snapshot["expiresAt"].as_str() > snapshot["createdAt"].as_str());
    assert_eq!(broker.body("POST", "/snapshots", made).await.problem(), "AlreadyExists");

    let change = json!({"speed": {"type": "Property", "value": 10}});
    assert_eq!(broker.body("PATCH", "/entities/urn:x:fast/attrs", change).await.status, 204);
    let all = within(&broker, VEHICLES, "GET", "/entities?local=false", None).await;
    assert_eq!(all.header("ngsild-snapshot"), VEHICLES);
    let all = all.json();
    assert_eq!(all.as_array().map(Vec::len), Some(1));
    assert_eq!((&all[0]["id"], &all[0]["speed"]["value"]), (&json!("urn:x:fast"), &json!(80)));
    // It has the times it had.
    let then =
        within(&broker, VEHICLES, "GET", "/entities/urn:x:fast?options=sysAttrs", None).await;
    let now = broker.get("/entities/urn:x:fast?options=sysAttrs").await.json();
    assert_eq!(then.json()["createdAt"], now["createdAt"]);
    assert_ne!(then.json()["modifiedAt"], now["modifiedAt"]);
    assert_eq!(within(&broker, VEHICLES, "GET", "/entities/urn:x:slow", None).await.status, 404);
    let types = within(&broker, VEHICLES, "GET", "/types", None).await.json();
    assert_eq!(types["typeList"].as_array().map(Vec::len), Some(1));

    let unknown = within(&broker, "urn:x:none", "GET", "/entities?type=Vehicle", None).await;
    assert_eq!((unknown.status, unknown.problem().as_str()), (404, "ResourceNotFound"));
    assert_eq!(broker.delete(&path).await.status, 204);
    assert_eq!(broker.get(&path).await.problem(), "ResourceNotFound");
    let gone = within(&broker, VEHICLES, "GET", "/entities?type=Vehicle", None).await;
    assert_eq!(gone.status, 404);
    assert_eq!(broker.get("/entities?type=Vehicle").await.json().as_array().map(Vec::len), Some(2));
}

#[actix_web::test]
async fn what_is_written_to_a_snapshot_stays_in_it() {
    let broker = with_vehicles().await;
    let path = create(
        &broker,
        json!({"type": "Snapshot", "id": VEHICLES, "snapshotQueries": [of_vehicles(None)]}),
    )
    .await;
    ready(&broker, &path).await;
    let new = json!({"id": "urn:x:new", "type": "Vehicle", "speed": 1});
    assert_eq!(within(&broker, VEHICLES, "POST", "/entities", Some(new)).await.status, 201);
    assert_eq!(within(&broker, VEHICLES, "DELETE", "/entities/urn:x:slow", None).await.status, 204);
    let attrs = json!({"speed": {"type": "Property", "value": 99}});
    let patched =
        within(&broker, VEHICLES, "PATCH", "/entities/urn:x:fast/attrs", Some(attrs)).await;
    assert_eq!(patched.status, 204);
    let map = within(&broker, VEHICLES, "GET", "/entityMaps?type=Vehicle", None).await;
    assert_eq!(map.json()["entityMap"].as_object().map(|map| map.len()), Some(2));
    let place = map.header("ngsild-entitymap").strip_prefix("/ngsi-ld/v1").expect("a place");
    assert_eq!(broker.get(place).await.status, 404);

    assert_eq!(broker.get("/entities/urn:x:new").await.status, 404);
    assert_eq!(broker.values("urn:x:slow").await["speed"], 30);
    assert_eq!(broker.values("urn:x:fast").await["speed"], 80);
    let elsewhere = broker.request("GET", "/entities?type=Vehicle");
    let elsewhere = elsewhere.header("NGSILD-Snapshot", VEHICLES).header("NGSILD-Tenant", "other");
    assert_eq!(broker.send(elsewhere).await.status, 404);
}

#[actix_web::test]
async fn a_clone_outlives_its_original() {
    let broker = with_vehicles().await;
    let path =
        create(&broker, json!({"type": "Snapshot", "snapshotQueries": [of_vehicles(None)]})).await;
    ready(&broker, &path).await;
    let queries = json!({"type": "Snapshot", "snapshotQueries": [of_vehicles(None)]});
    let refused = broker.body("POST", &format!("{path}/clone"), queries).await;
    assert_eq!(refused.problem(), "BadRequestData");
    let cloned = broker
        .body("POST", &format!("{path}/clone"), json!({"type": "Snapshot", "snapshotPriority": 9}))
        .await;
    assert_eq!(cloned.status, 201, "{}", cloned.text);
    let clone = cloned.header("location").strip_prefix("/ngsi-ld/v1").expect("a place");
    // At once, before it is filled.
    assert_eq!(broker.delete(&path).await.status, 204);
    let clone = ready(&broker, clone).await;
    assert_eq!(clone["snapshotStatus"], "success", "{clone}");
    assert_eq!(clone["snapshotQueries"], json!([of_vehicles(None)]));
    let id = clone["id"].as_str().expect("an id");
    let all = within(&broker, id, "GET", "/entities?type=Vehicle", None).await.json();
    assert_eq!(all.as_array().map(Vec::len), Some(2));
    let none =
        broker.body("POST", "/snapshots/urn:x:none/clone", json!({"type": "Snapshot"})).await;
    assert_eq!(none.status, 404);
}

#[actix_web::test]
async fn settings_of_a_snapshot_can_be_changed_and_nothing_else() {
    let broker = with_vehicles().await;
    let path = create(
        &broker,
        json!({"type": "Snapshot", "snapshotLifetime": "PT1H",
        "snapshotQueries": [of_vehicles(None)]}),
    )
    .await;
    let before = ready(&broker, &path).await;
    let change = json!({"snapshotPriority": 2, "snapshotLifetime": "P1D"});
    let after = broker.body("PATCH", &path, change).await;
    assert_eq!(after.status, 200, "{}", after.text);
    let after = after.json();
    assert_eq!(
        (&after["snapshotPriority"], &after["snapshotLifetime"]),
        (&json!(2), &json!("P1D"))
    );
    assert!(after["expiresAt"].as_str() > before["expiresAt"].as_str());
    for wrong in [
        json!({"snapshotQueries": []}),
        json!({"snapshotStatus": "success"}),
        json!({"snapshotPriority": 11}),
        json!({"snapshotLifetime": "long"}),
        json!({"endpoint": "no URL"}),
    ] {
        let answer = broker.body("PATCH", &path, wrong.clone()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "BadRequestData"), "{wrong}");
    }
    assert_eq!(broker.body("PATCH", "/snapshots/urn:x:none", json!({})).await.status, 404);
}

#[actix_web::test]
async fn what_a_snapshot_cannot_be_made_of_is_refused() {
    let broker = with_vehicles().await;
    let window = json!({"timerel": "after", "timeAt": "2020-01-01T00:00:00Z"});
    let mut temporal = of_vehicles(None);
    temporal["temporalQ"] = window;
    for (wrong, why) in [
        (json!({"type": "Snapshot"}), "snapshotQueries"),
        (
            json!({"type": "Snapshot", "snapshotQueries": [temporal]}),
            "$.snapshotQueries[0].temporalQ",
        ),
        (
            json!({"type": "Snapshot", "snapshotQueries": [of_vehicles(Some("speed>"))]}),
            "$.snapshotQueries[0]",
        ),
        (json!({"type": "Snapshot", "snapshotQueries": [{"type": "Query"}]}), "too wide"),
        (
            json!({"type": "Snapshot", "snapshotTemporalQueries": [of_vehicles(None)]}),
            "$.snapshotTemporalQueries[0]",
        ),
        (
            json!({"type": "Snapshot", "snapshotLifetime": "PT0S", "snapshotQueries": [of_vehicles(None)]}),
            "longer than nothing",
        ),
    ] {
        let answer = broker.body("POST", "/snapshots", wrong.clone()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "BadRequestData"), "{wrong}");
        assert!(answer.text.contains(why), "{why}: {}", answer.text);
    }
    let request = broker.request("POST", "/snapshots").header("NGSILD-Tenant", "nobody");
    let body = json!({"type": "Snapshot", "snapshotQueries": [of_vehicles(None)]}).to_string();
    let unknown = broker.send(request.header("content-type", "application/json").body(body)).await;
    assert_eq!((unknown.status, unknown.problem().as_str()), (404, "NonexistentTenant"));
}

#[actix_web::test]
async fn the_status_tells_what_came_of_the_queries() {
    let broker = with_vehicles().await;
    let none = json!({"type": "Query", "entities": [{"type": "Ship"}]});
    let some = of_vehicles(None);
    for (queries, status) in
        [(json!([some, none]), "partial"), (json!([none]), "empty"), (json!([some]), "success")]
    {
        let path = create(&broker, json!({"type": "Snapshot", "snapshotQueries": queries})).await;
        let snapshot = ready(&broker, &path).await;
        assert_eq!(snapshot["snapshotStatus"], status, "{snapshot}");
        // An empty one is there all the same.
        let id = snapshot["id"].as_str().expect("an id");
        assert_eq!(within(&broker, id, "GET", "/entities?type=Vehicle", None).await.status, 200);
    }
}

#[actix_web::test]
async fn snapshots_are_purged_by_what_they_are() {
    let broker = with_vehicles().await;
    let with = |priority: u8| json!({"type": "Snapshot", "snapshotPriority": priority, "snapshotQueries": [of_vehicles(None)]});
    let (low, high) = (create(&broker, with(2)).await, create(&broker, with(9)).await);
    for wrong in ["q=speed%3E50", "q=snapshotPriority%3E", ""] {
        let answer = broker.delete(&format!("/snapshots?{wrong}")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "BadRequestData"), "{wrong}");
    }
    assert_eq!(broker.delete("/snapshots?q=snapshotPriority==7").await.status, 404);
    assert_eq!(broker.delete("/snapshots?q=snapshotPriority%3C5").await.status, 204);
    assert_eq!(broker.get(&low).await.status, 404);
    assert_eq!(broker.get(&high).await.status, 200);
    let id = high.rsplit('/').next().expect("an id");
    let purge = format!("/snapshots?q=id=={id};createdAt%3E2020-01-01T00:00:00Z");
    assert_eq!(broker.delete(&purge).await.status, 204);
    assert_eq!(broker.get(&high).await.status, 404);
}

#[actix_web::test]
async fn snapshots_of_low_priority_make_room() {
    let broker = TestBroker::with(|config| config.snapshots.per_tenant = 2).await;
    broker.has(json!({"id": "urn:x:1", "type": "Vehicle", "speed": 1})).await;
    let with = |priority: u8| json!({"type": "Snapshot", "snapshotPriority": priority, "snapshotQueries": [of_vehicles(None)]});
    let (low, high) = (create(&broker, with(2)).await, create(&broker, with(5)).await);
    ready(&broker, &low).await;
    ready(&broker, &high).await;
    let full = broker.body("POST", "/snapshots", with(2)).await;
    assert_eq!((full.status, full.problem().as_str()), (403, "TooManyResults"));
    let third = create(&broker, with(3)).await;
    assert_eq!(ready(&broker, &third).await["snapshotStatus"], "success");
    assert_eq!(broker.get(&low).await.status, 404);
    assert_eq!(broker.get(&high).await.status, 200);
}

#[actix_web::test]
async fn a_snapshot_holds_history() {
    let broker = TestBroker::with(|config| config.limits.temporal_instances = 6).await;
    let speeds: Vec<Value> = (0..20)
        .map(|hour| json!({"type": "Property", "value": hour, "observedAt": format!("2026-01-01T{hour:02}:00:00Z")}))
        .collect();
    let told = json!({"id": "urn:x:1", "type": "Vehicle", "speed": speeds});
    assert_eq!(broker.body("POST", "/temporal/entities", told).await.status, 201);
    let query = json!({"type": "Query", "entities": [{"type": "Vehicle"}],
        "temporalQ": {"timerel": "after", "timeAt": "2026-01-01T10:00:00Z"}});
    let path =
        create(&broker, json!({"type": "Snapshot", "snapshotTemporalQueries": [query]})).await;
    let snapshot = ready(&broker, &path).await;
    assert_eq!(snapshot["snapshotStatus"], "success", "{snapshot}");
    let id = snapshot["id"].as_str().expect("an id");
    assert_eq!(broker.delete("/temporal/entities/urn:x:1").await.status, 204);
    let count = |hours: &str| {
        format!(
            "/temporal/entities?type=Vehicle&timerel=after&timeAt=2026-01-01T00:00:00Z&format=aggregatedValues&aggrMethods={hours}"
        )
    };
    let within = within(&broker, id, "GET", &count("totalCount,min,max"), None).await;
    assert_eq!(within.status, 200, "{}", within.text);
    let speed = &within.json()[0]["speed"];
    assert_eq!(speed["totalCount"][0][0], 10, "{speed}");
    assert_eq!((&speed["min"][0][0], &speed["max"][0][0]), (&json!(10), &json!(19)));
}

/// Takes what is sent and answers 200: heads and bodies.
pub async fn receiver() -> (String, tokio::sync::mpsc::UnboundedReceiver<(String, Value)>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/told", listener.local_addr().expect("an address"));
    let (sender, heard) = tokio::sync::mpsc::unbounded_channel();
    actix_web::rt::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            actix_web::rt::spawn(async move {
                let mut text = String::new();
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    text.push_str(&String::from_utf8_lossy(&bytes[..count]));
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let Ok(json) = serde_json::from_str(body) else { continue };
                    let _ = sender.send((head.to_lowercase(), json));
                    text.clear();
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, heard)
}

#[actix_web::test]
async fn who_wants_to_know_is_told_how_a_snapshot_is_and_what_changes_in_it() {
    let broker = TestBroker::with(|config| config.egress.allow_private = true).await;
    broker.has(json!({"id": "urn:x:1", "type": "Vehicle", "speed": 1})).await;
    let (url, mut heard) = receiver().await;
    let path = create(&broker, json!({"type": "Snapshot", "id": VEHICLES, "endpoint": url,
        "receiverInfo": [{"key": "X-Token", "value": "t"}], "snapshotQueries": [of_vehicles(None)]})).await;
    let (head, filled) = heard.recv().await.expect("a notification");
    assert!(head.contains("x-token: t"), "{head}");
    assert_eq!(
        (&filled["type"], &filled["snapshotStatus"]),
        (&json!("SnapshotNotification"), &json!("success"))
    );
    assert_eq!(filled["snapshotId"], VEHICLES);
    assert_eq!(filled["snapshotQueriesDetails"], json!([{"resultStatus": "success"}]));
    assert!(filled["expiresAt"].as_str() > filled["notifiedAt"].as_str());

    assert_eq!(broker.body("PATCH", &path, json!({"snapshotPriority": 2})).await.status, 200);
    assert_eq!(heard.recv().await.expect("a notification").1["snapshotPriority"], 2);

    let subscription = json!({"type": "Subscription", "entities": [{"type": "Vehicle"}],
        "notification": {"endpoint": {"uri": url}}});
    let made = within(&broker, VEHICLES, "POST", "/subscriptions", Some(subscription)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let all = broker.get("/subscriptions").await.json();
    assert_eq!(all, json!([]), "it is the snapshot's");
    let speed = json!({"speed": {"type": "Property", "value": 5}});
    for id in [None, Some(VEHICLES)] {
        let answer = match id {
            None => broker.body("PATCH", "/entities/urn:x:1/attrs", speed.clone()).await,
            Some(id) => {
                within(&broker, id, "PATCH", "/entities/urn:x:1/attrs", Some(speed.clone())).await
            }
        };
        assert_eq!(answer.status, 204, "{}", answer.text);
    }
    let (head, told) = heard.recv().await.expect("a notification");
    assert!(head.contains(&format!("ngsild-snapshot: {VEHICLES}")), "{head}");
    assert!(!head.contains("ngsild-tenant"), "{head}");
    assert_eq!(told["data"][0]["speed"]["value"], 5);

    assert_eq!(broker.delete(&path).await.status, 204);
    let gone = heard.recv().await.expect("a notification").1;
    assert!(gone["expiresAt"].as_str() < gone["notifiedAt"].as_str(), "{gone}");
}
