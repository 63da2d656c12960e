//! `/entities`: Create (5.6.1), Query (5.7.2), Purge (5.6.21).

use serde_json::json;

use crate::support::TestBroker;

fn station(number: u32, pm25: f64) -> serde_json::Value {
    json!({
        "id": format!("urn:ngsi-ld:AirQualityObserved:{number}"),
        "type": "AirQualityObserved",
        "pm25": {"type": "Property", "value": pm25, "unitCode": "GQ"},
        "location": {"type": "GeoProperty", "value": {
            "type": "Point", "coordinates": [99.6 + f64::from(number) / 100.0, 18.28],
        }},
        "areaServed": {"type": "LanguageProperty", "languageMap": {"th": "แม่เมาะ", "en": "Mae Moh"}},
    })
}

#[actix_web::test]
async fn an_entity_is_created_once() {
    let broker = TestBroker::start().await;
    let answer = broker.body("POST", "/entities", station(1, 22.5)).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), "/ngsi-ld/v1/entities/urn:ngsi-ld:AirQualityObserved:1");
    assert_eq!(answer.text, "");
    let again = broker.body("POST", "/entities/", station(1, 22.5)).await;
    assert_eq!((again.status, again.problem().as_str()), (409, "AlreadyExists"));
}

#[actix_web::test]
async fn bad_entities_are_refused_by_name() {
    let broker = TestBroker::start().await;
    for (body, status, problem) in [
        ("{", 400, "InvalidRequest"),
        ("[]", 400, "InvalidRequest"),
        (r#"{"id": "urn:a:1"}"#, 400, "BadRequestData"),
        (r#"{"id": "x", "type": "T"}"#, 400, "BadRequestData"),
        (r#"{"id": "urn:a:1", "type": "T", "@context": []}"#, 400, "BadRequestData"),
        (r#"{"id": "urn:a:1", "type": "T", "a": 1, "a": 2}"#, 400, "BadRequestData"),
        (r#"{"id": "urn:a:1", "type": "T", "a": 1e999}"#, 400, "BadRequestData"),
        (r#"{"id": "urn:a:1", "type": "T", "a": "urn:ngsi-ld:null"}"#, 400, "BadRequestData"),
        (
            r#"{"id": "urn:a:1", "type": "T", "a": {"type": "Property", "value": 1, "observedAt": "today"}}"#,
            400,
            "BadRequestData",
        ),
    ] {
        let answer = broker.text("POST", "/entities", body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{body}");
    }
    assert_eq!(broker.get("/entities?local=true").await.json(), json!([]));
}

#[actix_web::test]
async fn entities_are_found_by_what_they_say() {
    let broker = TestBroker::start().await;
    for (number, pm25) in [(1, 12.0), (2, 38.5), (3, 91.0)] {
        broker.has(station(number, pm25)).await;
    }
    for (query, expected) in [
        ("type=AirQualityObserved", vec![1, 2, 3]),
        ("type=Vehicle", vec![]),
        ("q=pm25%3E37.5", vec![2, 3]),
        ("q=pm25==12..40", vec![1, 2]),
        (
            "q=areaServed%5Bth%5D==%22%E0%B9%81%E0%B8%A1%E0%B9%88%E0%B9%80%E0%B8%A1%E0%B8%B2%E0%B8%B0%22",
            vec![1, 2, 3],
        ),
        ("type=AirQualityObserved&id=urn:ngsi-ld:AirQualityObserved:2", vec![2]),
        ("type=AirQualityObserved&idPattern=3$", vec![3]),
        (
            "type=AirQualityObserved&georel=near;maxDistance==1500&geometry=Point&coordinates=[99.61,18.28]",
            vec![1, 2],
        ),
        ("type=AirQualityObserved&orderBy=pm25;desc", vec![3, 2, 1]),
    ] {
        let answer = broker.get(&format!("/entities?{query}&pick=id")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        let expected: Vec<_> = expected
            .iter()
            .map(|number| json!({"id": format!("urn:ngsi-ld:AirQualityObserved:{number}")}))
            .collect();
        assert_eq!(answer.json(), json!(expected), "{query}");
    }
}

#[actix_web::test]
async fn pages_link_to_each_other_and_lose_nobody_when_others_are_deleted() {
    let broker = TestBroker::start().await;
    for number in 0..5 {
        broker.has(station(number, 1.0)).await;
    }
    let first = broker.get("/entities?type=AirQualityObserved&limit=2&count=true&pick=id").await;
    assert_eq!(first.header("ngsild-results-count"), "5");
    assert!(
        first
            .headers
            .get_all("link")
            .iter()
            .any(|link| { link.to_str().expect("text").contains("rel=\"next\"") })
    );
    broker.delete("/entities/urn:ngsi-ld:AirQualityObserved:0").await;
    let second =
        broker.get("/entities?type=AirQualityObserved&limit=2&offset=2&count=true&pick=id").await;
    assert_eq!(
        second.json(),
        json!([
            {"id": "urn:ngsi-ld:AirQualityObserved:2"},
            {"id": "urn:ngsi-ld:AirQualityObserved:3"},
        ])
    );
}

#[actix_web::test]
async fn pages_of_what_is_picked_are_full_and_counted() {
    let broker = TestBroker::start().await;
    for number in 0..6 {
        let own = if number % 2 == 0 { "even" } else { "odd" };
        let id = format!("urn:a:{number}");
        broker.has(json!({"id": id, "type": "N", own: number})).await;
    }
    let get = async |path: &str| {
        let answer = broker.get(path).await;
        (answer.header("ngsild-results-count").to_owned(), answer.json())
    };
    let even = "/entities?type=N&pick=even&format=simplified&limit=2&count=true";
    assert_eq!(get(even).await, ("3".into(), json!([{"even": 0}, {"even": 2}])));
    let odd = "/entities?type=N&pick=odd&format=simplified&limit=2&count=true";
    assert_eq!(get(odd).await, ("3".into(), json!([{"odd": 1}, {"odd": 3}])));
    broker.delete("/entities/urn:a:0").await;
    // Each goes on where its own page ended.
    assert_eq!(get(&format!("{even}&offset=2")).await, ("2".into(), json!([{"even": 4}])));
    assert_eq!(get(&format!("{odd}&offset=2")).await, ("3".into(), json!([{"odd": 5}])));
    let both = "/entities?type=N&pick=id,odd&format=simplified&limit=2&count=true";
    assert_eq!(get(both).await.0, "5");
    let wide = broker.get("/entities?pick=odd").await;
    assert_eq!((wide.status, wide.problem().as_str()), (400, "BadRequestData"));
    let query = json!({"type": "Query", "entities": [{"type": "N"}], "pick": ["odd"]});
    let answer = broker.body("POST", "/entityOperations/query?count=true&limit=9", query).await;
    assert_eq!(answer.header("ngsild-results-count"), "3");
    assert_eq!(answer.json().as_array().map(Vec::len), Some(3));
}

#[actix_web::test]
async fn queries_that_say_too_little_or_nonsense_are_refused() {
    let broker = TestBroker::start().await;
    for (query, problem) in [
        ("", "BadRequestData"),
        ("idPattern=.*", "BadRequestData"),
        ("type=A&q=pm25%3E%3E1", "BadRequestData"),
        ("type=A&limit=-1", "BadRequestData"),
        ("type=A&limit=0", "BadRequestData"),
        ("type=A&georel=within", "BadRequestData"),
        ("type=A&geometryProperty=location", "BadRequestData"),
        ("type=A&pick=a&omit=a", "BadRequestData"),
        ("type=A&joinLevel=2", "BadRequestData"),
        ("type=A&containedBy=urn:a:1", "BadRequestData"),
        ("type=A&join=inline&containedBy=urn:a:1", "BadRequestData"),
        ("type=A&format=csv", "InvalidRequest"),
        ("type=A&limits=5", "InvalidRequest"),
    ] {
        let answer = broker.get(&format!("/entities?{query}")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, problem), "{query}");
    }
    let many = broker.get("/entities?type=A&limit=100000").await;
    assert_eq!((many.status, many.problem().as_str()), (403, "TooManyResults"));
}

#[actix_web::test]
async fn a_purge_deletes_what_a_query_finds() {
    let broker = TestBroker::start().await;
    for (number, pm25) in [(1, 12.0), (2, 38.5)] {
        broker.has(station(number, pm25)).await;
    }
    assert_eq!(broker.delete("/entities").await.status, 400);
    assert_eq!(broker.delete("/entities?q=pm25%3E20&drop=pm25").await.status, 204);
    let left = broker.get("/entities?q=pm25&pick=id").await;
    assert_eq!(left.json(), json!([{"id": "urn:ngsi-ld:AirQualityObserved:1"}]));
    assert_eq!(broker.delete("/entities?type=AirQualityObserved").await.status, 204);
    assert_eq!(broker.get("/entities?type=AirQualityObserved").await.json(), json!([]));
}

#[actix_web::test]
async fn a_purge_takes_only_what_it_knows() {
    let broker = TestBroker::start().await;
    broker.has(station(1, 12.0)).await;
    for parameter in [
        "orderBy=pm25",
        "collation=th",
        "orderFrom=%5B0,0%5D",
        "orderGeometry=Point",
        "splitEntities=true",
        "limit=1",
    ] {
        let answer = broker.delete(&format!("/entities?type=AirQualityObserved&{parameter}")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "InvalidRequest"));
        let name = parameter.split('=').next().expect("a name");
        assert!(answer.text.contains(name), "{}", answer.text);
    }
    for (parameter, name) in [
        ("keep=id", "id"),
        ("drop=id", "id"),
        ("drop=pm25,type", "type"),
        ("keep=scope", "scope"),
        ("drop=createdAt", "createdAt"),
    ] {
        let answer = broker.delete(&format!("/entities?type=AirQualityObserved&{parameter}")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "BadRequestData"));
        assert!(answer.text.contains(&format!("{name} is none")), "{}", answer.text);
    }
    let kept = broker.get("/entities?type=AirQualityObserved&pick=pm25").await;
    assert_eq!(kept.json().as_array().map(Vec::len), Some(1));
}

#[actix_web::test]
async fn pages_of_an_order_go_on_behind_what_was_seen() {
    let broker = TestBroker::start().await;
    for number in 0..6 {
        broker.has(station(number, f64::from(number))).await;
    }
    for (by, seen, left) in [("pm25", [0, 1], [2, 3, 4, 5]), ("pm25;desc", [5, 4], [3, 2, 1, 0])] {
        let url = format!("/entities?type=AirQualityObserved&pick=id&orderBy={by}&limit=2");
        let listed = |numbers: &[u32]| {
            let id = |number| json!({"id": format!("urn:ngsi-ld:AirQualityObserved:{number}")});
            numbers.iter().map(id).collect::<serde_json::Value>()
        };
        assert_eq!(broker.get(&url).await.json(), listed(&seen));
        let gone = format!("/entities/urn:ngsi-ld:AirQualityObserved:{}", seen[0]);
        assert_eq!(broker.delete(&gone).await.status, 204);
        assert_eq!(broker.get(&format!("{url}&offset=2")).await.json(), listed(&left[..2]));
        assert_eq!(broker.get(&format!("{url}&offset=4")).await.json(), listed(&left[2..]));
        broker.has(station(seen[0], f64::from(seen[0]))).await;
    }
}

#[actix_web::test]
async fn a_query_that_leads_too_far_is_refused() {
    let broker = TestBroker::start().await;
    let many: Vec<String> = (0..10_001).map(|number| format!("urn:x:{number}")).collect();
    broker.has(json!({"id": "urn:hub", "type": "Hub", "r": {"object": many}})).await;
    broker.has(json!({"id": "urn:x:9999", "type": "Leaf", "a": 9})).await;
    let query = |q: &str| format!("/entities?type=Hub&join=inline&pick=id&q={q}");
    let found = broker.get(&query("r%7Ba%7D==9")).await;
    assert_eq!(found.json(), json!([{"id": "urn:hub"}]));
    let refused = broker.get(&query("r%7Ba%7D==10")).await;
    assert_eq!((refused.status, refused.problem().as_str()), (403, "TooComplexQuery"));
    assert!(refused.text.contains("limits.query_links"), "{}", refused.text);
}
