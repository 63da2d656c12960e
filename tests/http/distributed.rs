//! Pages, maps and filters over several brokers (4.3.6.7, 5.5.9, 5.5.14), and what sources say of
//! types: nothing is shown twice, left out or believed that should not be.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::everywhere::{answering, by, content, source_id};
use crate::federation::{broker, ids, register, vehicle};
use crate::support::{Answer, TestBroker};

fn number(value: i64) -> Value {
    json!({"n": {"type": "Property", "value": value}})
}

async fn remove(at: &TestBroker, id: &str) {
    let gone = at.delete(&format!("/entities/urn:v:{id}?local=true")).await;
    assert_eq!(gone.status, 204, "{id}: {}", gone.text);
}

fn has_next(answer: &Answer) -> bool {
    let links = answer.headers.get_all("link").iter().filter_map(|link| link.to_str().ok());
    links.into_iter().any(|link| link.contains("rel=\"next\""))
}

/// Turns all pages of a query while data come and go before and behind the reader: what was there all
/// the time is shown once, and nothing twice.
async fn turn(query: &str, temporal: bool) {
    let (city, plant, campus) = (broker().await, broker().await, broker().await);
    let everywhere = [(&city, "c"), (&plant, "p"), (&campus, "u")];
    let operations = json!({"operations": ["federationOps", "queryTemporal", "retrieveTemporal"]});
    for (at, name) in everywhere {
        for place in 0..12 {
            at.has(vehicle(&format!("{name}{place:02}"), number(place))).await;
            // Some are at several places.
            if place % 4 == 0 {
                at.has(vehicle(&format!("x{place:02}"), number(place))).await;
            }
        }
    }
    register(&city, 1, &plant.url(""), operations.clone()).await;
    register(&city, 2, &campus.url(""), operations).await;
    let mut stay: BTreeSet<String> = ["x00", "x04", "x08"].map(str::to_owned).into();
    for (_, name) in everywhere {
        stay.extend(
            (0..12).filter(|place| place % 3 != 0).map(|place| format!("{name}{place:02}")),
        );
    }
    let (mut seen, mut page) = (BTreeSet::new(), 0);
    loop {
        let answer = city.get(&format!("{query}&limit=3&offset={}", 3 * page)).await;
        assert!(matches!(answer.status, 200 | 206), "{}", answer.text);
        for id in ids(&answer) {
            assert!(seen.insert(id.clone()), "{id} comes twice, on page {page}: {seen:?}");
        }
        if !has_next(&answer) {
            break;
        }
        for (at, name) in everywhere {
            if !temporal && page < 4 {
                remove(at, &format!("{name}{:02}", 3 * page)).await;
            }
            if page < 8 {
                at.has(vehicle(&format!("{name}-new{page}"), number(page))).await;
            }
        }
        page += 1;
        assert!(page < 60, "the pages do not end: {seen:?}");
    }
    let missed: Vec<_> = stay.iter().filter(|id| !seen.contains(&format!("urn:v:{id}"))).collect();
    assert!(missed.is_empty(), "left out: {missed:?} of {seen:?}");
}

#[actix_web::test]
async fn pages_leave_nothing_out_and_show_nothing_twice_while_data_come_and_go() {
    turn("/entities?type=Vehicle", false).await;
    turn("/entities?type=Vehicle&count=true", false).await;
    turn("/entities?type=Vehicle&splitEntities=true&q=n>=0", false).await;
}

#[actix_web::test]
async fn pages_of_the_past_leave_nothing_out_and_show_nothing_twice() {
    let window = "timerel=after&timeAt=2020-01-01T00:00:00Z&timeproperty=createdAt";
    turn(&format!("/temporal/entities?type=Vehicle&{window}"), true).await;
}

#[actix_web::test]
async fn who_jumps_into_the_middle_goes_on_from_there() {
    let (city, plant) = (broker().await, broker().await);
    for place in 0..4 {
        city.has(vehicle(&format!("c{place}"), number(place))).await;
        plant.has(vehicle(&format!("p{place}"), number(place))).await;
    }
    register(&city, 1, &plant.url(""), json!({})).await;
    let at = async |offset: usize| {
        ids(&city.get(&format!("/entities?type=Vehicle&limit=2&offset={offset}")).await)
    };
    assert_eq!(at(3).await, ["urn:v:c3", "urn:v:p0"]);
    remove(&city, "c0").await;
    assert_eq!(at(5).await, ["urn:v:p1", "urn:v:p2"]);
    assert_eq!(at(7).await, ["urn:v:p3"]);
    assert_eq!(at(0).await, ["urn:v:c1", "urn:v:c2"]);
}

#[actix_web::test]
async fn a_query_that_follows_links_finds_what_lies_elsewhere() {
    let (city, plant, campus) = (broker().await, broker().await, broker().await);
    let owned = |id: &str, by: &str| {
        vehicle(id, json!({"owner": {"type": "Relationship", "object": format!("urn:p:{by}")}}))
    };
    let person = |id: &str, name: &str, home: &str| {
        json!({"id": format!("urn:p:{id}"), "type": "Person", "name": {"type": "Property", "value": name},
               "home": {"type": "Relationship", "object": home}})
    };
    city.has(owned("1", "ann")).await;
    plant.has(owned("2", "bob")).await;
    plant.has(owned("3", "ann")).await;
    campus.has(person("ann", "Ann", "urn:h:1")).await;
    city.has(person("bob", "Bob", "urn:h:1")).await;
    plant
        .has(
            json!({"id": "urn:h:1", "type": "House", "city": {"type": "Property", "value": "Pai"}}),
        )
        .await;
    let of = |types: &[&str]| {
        let each = types.iter().map(|kind| json!({"entities": [{"type": kind}]}));
        json!({"information": each.collect::<Vec<_>>()})
    };
    register(&city, 1, &plant.url(""), of(&["Vehicle", "House"])).await;
    register(&city, 2, &campus.url(""), of(&["Person"])).await;
    for split in ["", "&splitEntities=true", "&splitEntities=false"] {
        let find = async |q: &str, level: usize| {
            let path = format!("/entities?type=Vehicle&q={q}&join=flat&joinLevel={level}{split}");
            let answer = city.get(&path).await;
            assert_eq!(answer.header("ngsild-warning"), "", "{q}");
            let mut found = ids(&answer);
            found.retain(|id| id.starts_with("urn:v:"));
            found
        };
        assert_eq!(find("owner{name}==\"Ann\"", 1).await, ["urn:v:1", "urn:v:3"]);
        assert_eq!(find("owner{name}==\"Bob\"", 1).await, ["urn:v:2"]);
        assert_eq!(find("owner{home{city}}==\"Pai\"", 2).await.len(), 3);
        assert_eq!(find("owner{name}==\"Eve\"", 1).await, [""; 0]);
    }
    // What nobody registered may lead to what somebody did.
    city.has(json!({"id": "urn:b:1", "type": "Boat", "owner": {"type": "Relationship", "object": "urn:p:ann"}})).await;
    let path = "/entities?type=Boat&q=owner{name}==\"Ann\"&join=inline";
    for map in ["", "&entityMap=true"] {
        assert_eq!(ids(&city.get(&format!("{path}{map}")).await), ["urn:b:1"], "{map}");
    }
    let path = "/entities?type=Vehicle&q=owner{name}==\"Ann\"&join=flat&entityMap=true";
    let made = city.get(path).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(ids(&made).contains(&"urn:v:3".to_owned()), "{}", made.text);
}

#[actix_web::test]
async fn asking_a_map_for_some_entities_keeps_the_others_in_it() {
    let broker = broker().await;
    for place in 0..5 {
        broker.has(vehicle(&place.to_string(), number(place))).await;
    }
    let made = broker.get("/entities?type=Vehicle&limit=2&entityMap=true").await;
    let map = made.header("ngsild-entitymap").to_owned();
    let some = by(&map, &broker, "/entities?type=Vehicle&id=urn:v:4,urn:v:1").await;
    assert_eq!(ids(&some), ["urn:v:1", "urn:v:4"], "{}", some.text);
    let second =
        by(&map, &broker, "/entities?type=Vehicle&id=urn:v:4,urn:v:1&limit=1&offset=1").await;
    assert_eq!(ids(&second), ["urn:v:4"], "{}", second.text);
    let like = by(&map, &broker, "/entities?type=Vehicle&idPattern=[03]$").await;
    assert_eq!(ids(&like), ["urn:v:0", "urn:v:3"], "{}", like.text);
    assert_eq!(content(&map, &broker).await.as_object().map(|map| map.len()), Some(5));
    let window = "timerel=after&timeAt=2020-01-01T00:00:00Z&timeproperty=createdAt";
    let query = format!("/temporal/entities?type=Vehicle&{window}");
    let made = broker.get(&format!("{query}&entityMap=true")).await;
    let map = made.header("ngsild-entitymap").to_owned();
    let some = by(&map, &broker, &format!("{query}&id=urn:v:4,urn:v:1")).await;
    assert_eq!(ids(&some), ["urn:v:1", "urn:v:4"], "{}", some.text);
    assert_eq!(content(&map, &broker).await.as_object().map(|map| map.len()), Some(5));
}

#[actix_web::test]
async fn sources_make_maps_of_their_own_that_live_and_go_with_the_one_here() {
    let (city, plant) = (broker().await, broker().await);
    for place in 0..6 {
        plant.has(vehicle(&place.to_string(), json!({"n": place, "m": place}))).await;
    }
    city.has(vehicle("0", json!({"own": 1}))).await;
    register(&city, 1, &plant.url(""), json!({})).await;
    let temporal = ["queryTemporal", "createEntityMapQueryTemporal", "deleteEntityMap"];
    register(&city, 2, &plant.url(""), json!({"operations": temporal})).await;
    let window = "timerel=after&timeAt=2020-01-01T00:00:00Z&timeproperty=createdAt";
    for (query, source) in [
        ("/entities?type=Vehicle&q=n<5&pick=id,type,m".to_owned(), 1),
        (format!("/temporal/entities?type=Vehicle&q=n<5&{window}"), 2),
    ] {
        let made =
            city.get(&format!("{query}&limit=2&entityMap=true&entityMapLifetime=PT2H")).await;
        assert_eq!(made.status, 201, "{}", made.text);
        assert_eq!(made.header("ngsild-warning"), "");
        let map = made.header("ngsild-entitymap").to_owned();
        let (_, id) = map.rsplit_once('/').expect("a path");
        let whole = city.get(&format!("/entityMaps/{id}")).await.json();
        let linked = whole["linkedMaps"][source_id(source)].as_str().expect("a map").to_owned();
        let theirs = plant.get(&format!("/entityMaps/{linked}")).await;
        assert_eq!(theirs.status, 200, "{}", theirs.text);
        // What was deleted has a past.
        let expected = if source == 1 { 5 } else { 6 };
        assert_eq!(theirs.json()["entityMap"].as_object().map(|map| map.len()), Some(expected));
        // What comes to the source later is not shown, what does not fit any more goes from its map.
        plant.has(vehicle("2b", json!({"n": 2}))).await;
        let moved = plant.body(
            "PATCH",
            "/entities/urn:v:3/attrs",
            json!({"n": {"type": "Property", "value": 9}}),
        );
        assert_eq!(moved.await.status, 204);
        let mut seen = ids(&made);
        for offset in [2, 4] {
            let page = by(&map, &city, &format!("{query}&limit=2&offset={offset}")).await;
            assert_eq!(
                (page.status, page.header("ngsild-entitymap")),
                (200, &*map),
                "{}",
                page.text
            );
            assert_eq!(page.header("ngsild-warning"), "");
            seen.extend(ids(&page));
        }
        if source == 1 {
            assert_eq!(seen, ["urn:v:0", "urn:v:1", "urn:v:2", "urn:v:4"]);
            let left = plant.get(&format!("/entityMaps/{linked}")).await.json();
            assert_eq!(left["entityMap"].get("urn:v:3"), None, "{left}");
            assert_eq!(left["entityMap"].as_object().map(|map| map.len()), Some(4), "{left}");
        }
        assert_eq!(city.delete(&format!("/entityMaps/{id}")).await.status, 204);
        assert_eq!(plant.get(&format!("/entityMaps/{linked}")).await.status, 404);
        let back = plant.body(
            "PATCH",
            "/entities/urn:v:3/attrs",
            json!({"n": {"type": "Property", "value": 3}}),
        );
        assert_eq!(back.await.status, 204);
        remove(&plant, "2b").await;
    }
}

#[actix_web::test]
async fn a_source_whose_map_is_lost_or_that_makes_none_is_asked_all_the_same() {
    let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let source = answering(move |line| {
        let _ = sender.send(line.to_owned());
        match line.contains("/entityMaps") {
            true => (404, json!({})),
            false => (200, json!([vehicle("1", number(1)), vehicle("2", number(2))])),
        }
    })
    .await;
    let city = broker().await;
    register(&city, 1, &source, json!({})).await;
    let made = city.get("/entities?type=Vehicle&entityMap=true").await;
    assert_eq!((made.status, ids(&made).len()), (201, 2), "{}", made.text);
    assert_eq!(made.header("ngsild-warning"), "");
    assert!(asked.try_recv().expect("a request").contains("/entityMaps?"));
    let plant = broker().await;
    plant.has(vehicle("1", number(1))).await;
    register(&city, 2, &plant.url(""), json!({"information": [{"entities": [{"type": "Boat"}]}]}))
        .await;
    plant.has(json!({"id": "urn:b:1", "type": "Boat", "n": 1})).await;
    let made = city.get("/entities?type=Boat&entityMap=true").await;
    let map = made.header("ngsild-entitymap").to_owned();
    let (_, id) = map.rsplit_once('/').expect("a path");
    let whole = city.get(&format!("/entityMaps/{id}")).await.json();
    let linked = whole["linkedMaps"][source_id(2)].as_str().expect("a map").to_owned();
    assert_eq!(plant.delete(&format!("/entityMaps/{linked}")).await.status, 204);
    let page = by(&map, &city, "/entities?type=Boat").await;
    assert_eq!((page.status, ids(&page)), (200, vec!["urn:b:1".to_owned()]), "{}", page.text);
}

#[actix_web::test]
async fn of_types_and_attributes_a_source_is_believed_what_it_registered() {
    let source = answering(|line| match line.split([' ', '?']).nth(1).unwrap_or_default() {
        "/ngsi-ld/v1/types" => {
            (200, json!({"type": "EntityTypeList", "typeList": ["Vehicle", "Evil"]}))
        }
        "/ngsi-ld/v1/attributes" => {
            (200, json!({"type": "AttributeList", "attributeList": ["speed", "evil"]}))
        }
        "/ngsi-ld/v1/types/Vehicle" => (
            200,
            json!({"typeName": "Vehicle", "entityCount": 3,
            "attributeDetails": [{"attributeName": "speed", "attributeTypes": ["Property"]},
                                 {"attributeName": "evil", "attributeTypes": ["Property"]}]}),
        ),
        _ => (404, json!({})),
    })
    .await;
    let city = broker().await;
    let information = json!([{"entities": [{"type": "Vehicle"}], "propertyNames": ["speed"]}]);
    register(&city, 1, &source, json!({"information": information})).await;
    assert_eq!(city.get("/types").await.json()["typeList"], json!(["Vehicle"]));
    assert_eq!(city.get("/attributes").await.json()["attributeList"], json!(["speed"]));
    let one = city.get("/types/Vehicle").await.json();
    assert_eq!(one["attributeDetails"].as_array().map(Vec::len), Some(1), "{one}");
}

/// All that a source has is told again and again; what is answered is what it has now, under every
/// look, and what others have of it comes and goes.
#[actix_web::test]
async fn what_a_source_tells_again_is_answered_as_it_is_there_now() {
    let (city, plant) = (broker().await, broker().await);
    register(&city, 1, &plant.url(""), json!({})).await;
    for place in 0..3 {
        plant.has(vehicle(&format!("p{place}"), number(place))).await;
    }
    let short = json!({"n": {"type": "Property", "value": 0, "expiresAt": "2999-01-01T00:00:00Z"}});
    plant.has(vehicle("short", short)).await;
    let queries = [
        "/entities?type=Vehicle",
        "/entities?type=Vehicle&options=sysAttrs",
        "/entities?type=Vehicle&attrs=n&format=simplified",
        "/entities?type=Vehicle&q=n>0",
        "/entities/urn:v:p1",
        "/entities/urn:v:p1?pick=n",
    ];
    for round in 1..4 {
        for _ in 0..4 {
            for query in queries {
                let (there, here) = (plant.get(query).await, city.get(query).await);
                assert_eq!(here.json(), there.json(), "{query}, round {round}");
            }
        }
        // Somebody else has something of one of them for a while.
        city.has(vehicle("p2", json!({"m": {"type": "Property", "value": round}}))).await;
        for _ in 0..3 {
            let both = city.get("/entities/urn:v:p2?format=simplified").await.json();
            assert_eq!((&both["n"], &both["m"]), (&json!(2), &json!(round)));
        }
        remove(&city, "p2").await;
        let change = json!({"n": {"type": "Property", "value": 10 * round}});
        let path = "/entities/urn:v:p1/attrs";
        assert_eq!(plant.body("PATCH", path, change).await.status, 204);
    }
}
