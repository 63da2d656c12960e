//! Entity maps, snapshots, subscriptions by the clock and instances of history, where some of it lies
//! at sources.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::federation::{broker, ids, nobody, register, vehicle};
use crate::snapshots::{create, ready, receiver};
use crate::support::{Answer, TestBroker};

const NAME: &str = "ngsild-entitymap";
const WINDOW: &str = "timerel=after&timeAt=2020-01-01T00:00:00Z";

pub fn source_id(number: usize) -> String {
    format!("urn:ngsi-ld:ContextSourceRegistration:{number}")
}

fn temporal() -> Value {
    json!({"operations": ["retrieveTemporal", "queryTemporal", "updateAttrInstanceTemporal",
                          "deleteAttrInstanceTemporal"]})
}

pub async fn by(map: &str, at: &TestBroker, path: &str) -> Answer {
    at.send(at.request("GET", path).header(NAME, map)).await
}

pub async fn content(map: &str, at: &TestBroker) -> Value {
    let (_, id) = map.rsplit_once('/').expect("a path");
    at.get(&format!("/entityMaps/{id}")).await.json()["entityMap"].clone()
}

fn speed(value: i64) -> Value {
    json!({"speed": {"type": "Property", "value": value}})
}

/// A city with even vehicles, a plant with all of them, each with a part.
async fn two() -> (TestBroker, TestBroker) {
    let (city, plant) = (broker().await, broker().await);
    for number in 0..7 {
        let id = format!("{number:02}");
        if number % 2 == 0 {
            city.has(vehicle(&id, json!({"own": number}))).await;
        }
        plant.has(vehicle(&id, speed(number))).await;
    }
    (city, plant)
}

#[actix_web::test]
async fn a_map_says_who_holds_what_and_its_pages_hold_each_entity_once_and_whole() {
    let (city, plant) = two().await;
    register(&city, 1, &plant.url(""), json!({})).await;
    city.has(vehicle("zz", json!({"own": 9}))).await;
    let made = city.get("/entities?type=Vehicle&limit=3&entityMap=true&count=true").await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.header("ngsild-results-count"), "8");
    let map = made.header(NAME).to_owned();
    let named = content(&map, &city).await;
    assert_eq!(named["urn:v:00"], json!(["@none", source_id(1)]));
    assert_eq!(
        (&named["urn:v:01"], &named["urn:v:zz"]),
        (&json!([source_id(1)]), &json!(["@none"]))
    );
    // What goes is left out, what comes does not come in.
    let mut seen: BTreeSet<String> = ids(&made).into_iter().collect();
    assert_eq!(seen.len(), 3, "{}", made.text);
    plant.has(vehicle("03b", speed(3))).await;
    let gone = "urn:v:05";
    assert_eq!(plant.delete(&format!("/entities/{gone}")).await.status, 204);
    for offset in [3, 6] {
        let path = format!("/entities?type=Vehicle&limit=3&offset={offset}");
        let page = by(&map, &city, &path).await;
        assert_eq!((page.status, page.header(NAME)), (200, map.as_str()), "{}", page.text);
        for entity in page.json().as_array().expect("a list") {
            let id = entity["id"].as_str().expect("an id");
            assert!(seen.insert(id.to_owned()), "{id} comes twice");
            assert_eq!(entity["speed"].is_object(), id != "urn:v:zz", "{entity}");
        }
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
    assert!(!seen.contains(gone) && !seen.contains("urn:v:03b"));
    assert!(content(&map, &city).await.get(gone).is_none());
    // One entity is retrieved of those who hold it.
    let one = by(&map, &city, "/entities/urn:v:01").await;
    assert_eq!((one.status, one.json()["speed"]["value"].as_i64()), (200, Some(1)));
    assert_eq!(by(&map, &city, "/entities/urn:v:03b").await.status, 404);
    let single = city.get("/entities/urn:v:02?entityMap=true").await;
    assert_eq!(
        content(single.header(NAME), &city).await,
        json!({"urn:v:02": ["@none", source_id(1)]})
    );
}

#[actix_web::test]
async fn split_entities_are_filtered_when_their_page_is_made() {
    let (city, plant) = two().await;
    register(&city, 1, &plant.url(""), json!({})).await;
    let query = "/entities?type=Vehicle&splitEntities=true&q=own>0;speed<6&limit=1";
    let made = city.get(&format!("{query}&entityMap=true&count=true")).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(
        (ids(&made), made.header("ngsild-results-count")),
        (vec!["urn:v:02".to_owned()], "2")
    );
    let map = made.header(NAME).to_owned();
    let next = by(&map, &city, &format!("{query}&offset=1")).await;
    assert_eq!(ids(&next), ["urn:v:04"], "{}", next.text);
    assert_eq!(ids(&by(&map, &city, &format!("{query}&offset=2")).await), [""; 0]);
}

#[actix_web::test]
async fn what_sources_that_fell_silent_hold_keeps_its_place() {
    let (city, plant) = two().await;
    register(&city, 1, &plant.url(""), json!({})).await;
    let made = city.get("/entities?type=Vehicle&limit=2&entityMap=true").await;
    let map = made.header(NAME).to_owned();
    let to_nobody = json!({"endpoint": nobody().await});
    let path = format!("/csourceRegistrations/{}", source_id(1));
    assert_eq!(city.body("PATCH", &path, to_nobody).await.status, 204);
    let page = by(&map, &city, "/entities?type=Vehicle&limit=100").await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.header("ngsild-warning").starts_with("199 "), "{:?}", page.headers);
    assert_eq!(ids(&page).len(), 4, "{}", page.text);
    let back = json!({"endpoint": plant.url("")});
    assert_eq!(city.body("PATCH", &path, back).await.status, 204);
    let page = by(&map, &city, "/entities?type=Vehicle&limit=100").await;
    assert_eq!(ids(&page).len(), 7, "{}", page.text);
}

#[actix_web::test]
async fn histories_of_sources_are_named_by_maps_too() {
    let (city, plant) = (broker().await, broker().await);
    let instance = |value: i64| json!({"type": "Property", "value": value, "observedAt": format!("2026-05-0{value}T00:00:00Z")});
    for number in 1..5 {
        let told = vehicle(
            &number.to_string(),
            json!({"speed": [instance(number), instance(number + 1)]}),
        );
        assert_eq!(plant.body("POST", "/temporal/entities", told).await.status, 201);
    }
    let own = vehicle("1", json!({"speed": [instance(8)]}));
    assert_eq!(city.body("POST", "/temporal/entities", own).await.status, 201);
    register(&city, 1, &plant.url(""), temporal()).await;
    let path = format!("/temporal/entities?type=Vehicle&{WINDOW}&limit=2");
    let made = city.get(&format!("{path}&entityMap=true&count=true")).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!((ids(&made).len(), made.header("ngsild-results-count")), (2, "4"));
    assert_eq!(made.json()[0]["speed"].as_array().map(Vec::len), Some(3), "{}", made.text);
    let map = made.header(NAME).to_owned();
    assert_eq!(content(&map, &city).await["urn:v:1"], json!(["@none", source_id(1)]));
    assert_eq!(plant.delete("/temporal/entities/urn:v:3").await.status, 204);
    let next = by(&map, &city, &format!("{path}&offset=2")).await;
    assert_eq!((next.status, ids(&next)), (200, vec!["urn:v:4".to_owned()]), "{}", next.text);
    let one = city.get(&format!("/temporal/entities/urn:v:2?{WINDOW}&entityMap=true")).await;
    assert_eq!(content(one.header(NAME), &city).await, json!({"urn:v:2": [source_id(1)]}));
}

#[actix_web::test]
async fn snapshots_hold_what_sources_have_and_say_who_did_not_answer() {
    let (city, plant) = two().await;
    register(&city, 1, &plant.url(""), json!({})).await;
    let mut body = temporal();
    body["information"] = json!([{"entities": [{"type": "Vehicle"}]}]);
    register(&city, 2, &plant.url(""), body).await;
    let query = |kind: &str| json!({"type": "Query", "entities": [{"type": kind}]});
    let mut past = query("Vehicle");
    past["temporalQ"] =
        json!({"timerel": "after", "timeAt": "2020-01-01T00:00:00Z", "timeproperty": "createdAt"});
    let path = create(&city, json!({"type": "Snapshot", "snapshotQueries": [query("Vehicle")], "snapshotTemporalQueries": [past]})).await;
    let snapshot = ready(&city, &path).await;
    assert_eq!(snapshot["snapshotStatus"], "success", "{snapshot}");
    assert_eq!(plant.delete("/entities/urn:v:01").await.status, 204);
    let inside = |path: &str| {
        let id = snapshot["id"].as_str().expect("an id").to_owned();
        city.send(city.request("GET", path).header("NGSILD-Snapshot", id))
    };
    let all = inside("/entities?type=Vehicle&limit=100").await;
    assert_eq!(ids(&all).len(), 7, "{}", all.text);
    let one = inside("/entities/urn:v:00").await.json();
    assert!(one["own"].is_object() && one["speed"].is_object(), "{one}");
    let told = inside("/temporal/entities/urn:v:01").await;
    assert_eq!((told.status, told.json()["speed"].is_null()), (200, false), "{}", told.text);
    let silent = json!({"information": [{"entities": [{"type": "Vehicle"}]}]});
    register(&city, 3, &nobody().await, silent).await;
    let path =
        create(&city, json!({"type": "Snapshot", "snapshotQueries": [query("Vehicle")]})).await;
    let snapshot = ready(&city, &path).await;
    assert_eq!(snapshot["snapshotStatus"], "partial", "{snapshot}");
    let detail = snapshot["snapshotQueriesDetails"][0]["problemDetails"]["detail"].to_string();
    assert!(detail.contains(&source_id(3)), "{snapshot}");
}

#[actix_web::test]
async fn who_is_told_by_the_clock_is_told_of_sources_entities_too() {
    let (city, plant) = (broker().await, broker().await);
    plant.has(vehicle("far", speed(1))).await;
    city.has(vehicle("near", speed(2))).await;
    register(&city, 1, &plant.url(""), json!({})).await;
    let (url, mut heard) = receiver().await;
    let subscription = json!({"type": "Subscription", "entities": [{"type": "Vehicle"}], "timeInterval": 1, "notification": {"endpoint": {"uri": url}}});
    let answer = city.body("POST", "/subscriptions", subscription).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let (_, told) = heard.recv().await.expect("a notification");
    let data = told["data"].as_array().expect("a list");
    let named: BTreeSet<&str> = data.iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(named, BTreeSet::from(["urn:v:far", "urn:v:near"]), "{told}");
}

/// A source that answers what a function says: to the first line of a request, a status and a body.
pub async fn answering(answer: impl Fn(&str) -> (u16, Value) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut head = [0; 8_192];
                let read = socket.read(&mut head).await.unwrap_or_default();
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                let (status, body) = answer(head.lines().next().unwrap_or_default());
                let body = body.to_string();
                let text = format!(
                    "HTTP/1.1 {status} It\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = socket.write_all(text.as_bytes()).await;
            });
        }
    });
    format!("http://{address}")
}

#[actix_web::test]
async fn instances_are_called_as_their_sources_call_them_and_changed_there() {
    let foreign = "urn:other:instance:7";
    let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let source = answering(move |line| {
        let _ = sender.send(line.to_owned());
        match line.starts_with("GET") {
            true => (200, vehicle("1", json!({"speed": [{"type": "Property", "value": 5, "instanceId": foreign, "observedAt": "2026-05-01T00:00:00Z"}]}))),
            false => (204, Value::Null),
        }
    })
    .await;
    let city = broker().await;
    register(&city, 1, &source, temporal()).await;
    let told = city.get("/temporal/entities/urn:v:1?options=sysAttrs").await;
    assert_eq!(told.json()["speed"][0]["instanceId"], foreign, "{}", told.text);
    let path = format!("/temporal/entities/urn:v:1/attrs/speed/{foreign}");
    let changed = city.delete(&path).await;
    assert!(matches!(changed.status, 204 | 207), "{} {}", changed.status, changed.text);
    let mut lines = Vec::new();
    while let Ok(line) = asked.try_recv() {
        lines.push(line);
    }
    assert!(
        lines.iter().any(|line| line.starts_with("DELETE") && line.contains(foreign)),
        "{lines:?}"
    );
    let alone = broker().await;
    assert_eq!(alone.delete(&path).await.status, 404);
}

#[actix_web::test]
async fn sources_are_asked_for_less_where_they_refuse_more_and_nothing_is_left_out_unsaid() {
    let source = answering(|line| {
        let param = |name: &str| {
            let value = line.split(['?', '&', ' ']).find_map(|part| part.strip_prefix(name));
            value.and_then(|value| value.parse::<usize>().ok())
        };
        let (limit, offset) = (param("limit=").unwrap_or(20), param("offset=").unwrap_or(0));
        if limit > 100 {
            return (403, json!({"type": "https://uri.etsi.org/ngsi-ld/errors/TooManyResults", "title": "less"}));
        }
        let some = (0..250).skip(offset).take(limit);
        (200, some.map(|number| vehicle(&format!("{number:03}"), speed(number))).collect())
    })
    .await;
    let city = broker().await;
    register(&city, 1, &source, json!({})).await;
    let all = city.get("/entities?type=Vehicle&count=true&limit=1000").await;
    assert_eq!((all.status, ids(&all).len()), (200, 250), "{}", all.text);
    assert_eq!((all.header("ngsild-results-count"), all.header("ngsild-warning")), ("250", ""));
    let small = TestBroker::with(|config| {
        config.egress.allow_private = true;
        config.federation.entities = 200;
        config.maps.entities = 200;
    })
    .await;
    register(&small, 1, &source, json!({})).await;
    assert_eq!(ids(&small.get("/entities?type=Vehicle&limit=150").await).len(), 150);
    for path in [
        "/entities?type=Vehicle&count=true",
        "/entities?type=Vehicle&entityMap=true",
        "/entities?type=Vehicle&limit=100&offset=150",
    ] {
        let refused = small.get(path).await;
        assert_eq!((refused.status, refused.problem().as_str()), (403, "TooManyResults"), "{path}");
    }
}

/// Waits until the subscriptions of a broker are as they should be.
async fn until(at: &TestBroker, what: &str, holds: impl Fn(&[Value]) -> bool) {
    let mut last = Value::Null;
    for _ in 0..3_000 {
        last = at.get("/subscriptions?limit=100").await.json();
        if last.as_array().is_some_and(|all| holds(all)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: {last}");
}

/// A broker that knows where it is, since it tells its sources: its port is chosen before it starts,
/// on an address of its own, where nobody else takes it meanwhile.
async fn located() -> TestBroker {
    let [.., b, c, d] = *uuid::Uuid::new_v4().as_bytes();
    let own = std::net::Ipv4Addr::new(127, b, c, d.clamp(1, 254));
    let free = std::net::TcpListener::bind((own, 0)).and_then(|one| one.local_addr());
    let address = free.expect("a free port");
    TestBroker::with(|config| {
        config.server.listen = vec![address];
        config.egress.allow_private = true;
    })
    .await
}

#[actix_web::test]
async fn a_subscription_is_planted_narrowed_paused_moved_and_removed_with_its_parent() {
    let (city, plant, campus) = (located().await, broker().await, broker().await);
    let (url, mut heard) = receiver().await;
    register(&city, 1, &plant.url(""), json!({})).await;
    let speed = json!({"entities": [{"type": "Vehicle"}], "propertyNames": ["brand"]});
    register(&city, 2, &campus.url(""), json!({"information": [speed]})).await;
    let subscription = json!({"id": "urn:s:1", "type": "Subscription",
        "entities": [{"type": "Vehicle"}, {"type": "Bus"}], "watchedAttributes": ["speed"],
        "notification": {"endpoint": {"uri": url}}});
    let made = city.body("POST", "/subscriptions", subscription).await;
    assert_eq!(made.status, 201, "{}", made.text);
    until(&plant, "planted and narrowed", |all| {
        matches!(all, [one] if one["entities"] == json!([{"type": "Vehicle"}])
            && one["watchedAttributes"] == json!(["speed"])
            && !one["notification"]["endpoint"]["uri"].to_string().contains(&url))
    })
    .await;
    // All that is registered is told, though one attribute is watched.
    plant.has(vehicle("1", json!({"speed": 1, "brand": "x"}))).await;
    let (_, told) = heard.recv().await.expect("a notification");
    assert_eq!(told["subscriptionId"], "urn:s:1", "{told}");
    assert_eq!(told["data"][0]["brand"]["value"], "x", "{told}");
    let paused = city.body("PATCH", "/subscriptions/urn:s:1", json!({"isActive": false})).await;
    assert_eq!(paused.status, 204, "{}", paused.text);
    until(&plant, "paused", |all| matches!(all, [one] if one["isActive"] == json!(false))).await;
    // Who changes nothing that is watched was never asked.
    assert_eq!(campus.get("/subscriptions").await.json(), json!([]));
    let moved = json!({"endpoint": campus.url("")});
    let path = format!("/csourceRegistrations/{}", source_id(1));
    assert_eq!(city.body("PATCH", &path, moved).await.status, 204);
    until(&plant, "gone from where it was", |all| all.is_empty()).await;
    until(&campus, "where the source is now", |all| all.len() == 1).await;
    assert_eq!(city.delete("/subscriptions/urn:s:1").await.status, 204);
    until(&campus, "removed", |all| all.is_empty()).await;
}

#[actix_web::test]
async fn a_subscription_brings_its_tenant_into_being_at_the_source() {
    let (city, plant) = (located().await, broker().await);
    let (url, mut heard) = receiver().await;
    let post = async |at: &TestBroker, path: &str, body: Value| {
        let request = at.request("POST", path).header("NGSILD-Tenant", "lampang");
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = at.send(request).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    };
    let source = json!({"id": "urn:r:1", "type": "ContextSourceRegistration", "tenant": "lampang",
        "information": [{"entities": [{"type": "Vehicle"}]}], "endpoint": plant.url("")});
    post(&city, "/csourceRegistrations", source).await;
    let subscription = json!({"id": "urn:s:1", "type": "Subscription",
        "entities": [{"type": "Vehicle"}], "notification": {"endpoint": {"uri": url}}});
    post(&city, "/subscriptions", subscription).await;
    for attempt in 0.. {
        let request = plant.request("GET", "/subscriptions").header("NGSILD-Tenant", "lampang");
        let answer = plant.send(request).await;
        if answer.status == 200 && answer.json().as_array().is_some_and(|all| all.len() == 1) {
            break;
        }
        assert!(attempt < 3_000, "it is not planted: {}", answer.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    post(&plant, "/entities", vehicle("1", json!({"speed": 1}))).await;
    let (head, told) = heard.recv().await.expect("a notification");
    assert!(head.contains("ngsild-tenant: lampang"), "{head}");
    assert_eq!(
        (&told["subscriptionId"], &told["data"][0]["id"]),
        (&"urn:s:1".into(), &"urn:v:1".into())
    );
}

#[actix_web::test]
async fn what_a_source_tells_is_joined_with_what_others_have_and_looked_at_again() {
    let (city, plant) = (located().await, broker().await);
    let (url, mut heard) = receiver().await;
    plant.has(vehicle("1", json!({"secret": 1}))).await;
    city.has(vehicle("1", json!({"brand": "Tesla"}))).await;
    register(&city, 1, &plant.url(""), json!({})).await;
    let subscription = json!({"id": "urn:s:1", "type": "Subscription", "splitEntities": true,
        "entities": [{"type": "Vehicle"}], "q": "speed>50;brand==\"Tesla\"",
        "notification": {"endpoint": {"uri": url}}});
    let made = city.body("POST", "/subscriptions", subscription).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let whole = |all: &[Value]| matches!(all, [one] if one.get("q").is_none());
    until(&plant, "planted without the query", whole).await;
    let planted = plant.get("/subscriptions").await.json()[0]["id"].clone();
    for speed in [10, 99] {
        let part = vehicle("1", json!({"speed": {"type": "Property", "value": speed}}));
        let told = json!({"type": "Notification", "subscriptionId": planted, "data": [part]});
        let taken = city.beside("POST", "/ngsi-ld/ex/remote-notify", Some(told)).await;
        assert_eq!(taken.status, 200, "{}", taken.text);
    }
    // What is too slow is not told on; who told is not asked what else it has (5.8.6).
    let (_, told) = heard.recv().await.expect("a notification");
    let one = &told["data"][0];
    assert_eq!(
        (&told["subscriptionId"], &one["brand"]["value"]),
        (&"urn:s:1".into(), &"Tesla".into())
    );
    assert_eq!((&one["speed"]["value"], one.get("secret")), (&99.into(), None), "{told}");
}
