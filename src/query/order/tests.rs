use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::testing::{context, entity, now};
use super::super::{EntityPlan, ErrorKind};
use super::*;

fn parse(order_by: &str, collation: Option<&str>, from: Option<&str>) -> Result<Order, QueryError> {
    let params =
        OrderParams { order_by: Some(order_by), collation, order_from: from, order_geometry: None };
    Ok(Order::parse(&params, context(), &Limits::default())?.expect("an order"))
}

/// Sorts entities and says the numbers they had before.
fn sorted(order: &Order, entities: &[Entity]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..entities.len()).collect();
    places.sort_by(|a, b| order.compare(&entities[*a], &entities[*b], now()));
    let mut keyed: Vec<(usize, OrderKey<'_>)> =
        entities.iter().map(|entity| order.key(entity, now())).enumerate().collect();
    keyed.sort_by(|(_, a), (_, b)| order.compare_keys(a, b));
    let keyed: Vec<usize> = keyed.into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, keyed, "keys compare as entities do: {order}");
    places
}

fn check(order_by: &str, entities: &[Json], expected: &[usize]) {
    let order = parse(order_by, None, Some("[8,40]")).expect(order_by);
    let entities: Vec<Entity> = entities.iter().cloned().map(entity).collect();
    assert_eq!(sorted(&order, &entities), expected, "{order_by}");
}

fn point(lon: f64, lat: f64) -> Json {
    json!({"value": {"type": "Point", "coordinates": [lon, lat]}})
}

#[test]
fn values_of_all_kinds_have_an_order() {
    let ascending = [
        json!({"a": {"value": -5}}),
        json!({"a": {"value": 2.5}}),
        json!({"a": {"value": 10}}),
        json!({"a": {"value": "Air"}}),
        json!({"a": {"value": "bus"}}),
        json!({"a": {"value": {"x": 1}}}),
        json!({"a": {"value": {"x": 2}}}),
        json!({"a": {"value": {"x": 2, "y": 0}}}),
        json!({"a": {"value": [1, 2]}}),
        json!({"a": {"value": [1, 2, 3]}}),
        json!({"a": {"value": ["x"]}}),
        json!({"a": {"value": false}}),
        json!({"a": {"value": true}}),
        json!({"a": {"value": "08:00:00Z"}}),
        json!({"a": {"value": "21:00:00.5Z"}}),
        json!({"a": {"value": "2025-12-31"}}),
        json!({"a": {"value": {"@type": "Date", "@value": "2026-01-01"}}}),
        json!({"a": {"value": {"@type": "DateTime", "@value": "2024-01-01T00:00:00Z"}}}),
        json!({"a": {"value": "2024-01-01T00:00:00.5Z"}}),
        json!({"a": {"json": null}}),
        json!({}),
    ];
    let shuffled: Vec<Json> = (0..ascending.len()).map(|i| ascending[i * 8 % 21].clone()).collect();
    let place = |value: usize| (0..21).find(|i| i * 8 % 21 == value).expect("eight is a generator");
    let expected: Vec<usize> = (0..21).map(place).collect();
    check("a", &shuffled, &expected);
    check("a;asc", &shuffled, &expected);
    // The other way round, but what is not there stays last.
    let descending: Vec<usize> = (0..19).rev().chain([19, 20]).map(place).collect();
    check("a;desc", &shuffled, &descending);
}

#[test]
fn paths_lead_to_members_and_into_values() {
    for (order_by, first, second) in [
        ("id", json!({"id": "urn:x:1"}), json!({"id": "urn:x:2"})),
        ("type", json!({"type": "Building"}), json!({"type": "Vehicle"})),
        ("type", json!({"type": "Vehicle"}), json!({"type": ["Building", "Vehicle"]})),
        ("scope", json!({"scope": "/A"}), json!({"scope": "/B"})),
        ("scope;desc", json!({"scope": "/A"}), json!({})),
        ("expiresAt", json!({"expiresAt": "2027-01-01T00:00:00Z"}), json!({})),
        ("a", json!({"a": {"object": "urn:x:1"}}), json!({"a": {"object": "urn:x:2"}})),
        (
            "a",
            json!({"a": {"object": "urn:x:9"}}),
            json!({"a": {"object": ["urn:x:1", "urn:x:2"]}}),
        ),
        ("a", json!({"a": {"vocab": "a"}}), json!({"a": {"vocab": "b"}})),
        ("a", json!({"a": {"valueList": [1]}}), json!({"a": {"valueList": [1, 1]}})),
        ("a[city]", json!({"a": {"value": {"city": "A"}}}), json!({"a": {"value": {"city": "B"}}})),
        ("a[city]", json!({"a": {"value": {"city": "A"}}}), json!({"a": {"value": "A"}})),
        (
            "a[x.y]",
            json!({"a": {"json": {"x": {"y": 1}}}}),
            json!({"a": {"json": {"x": {"y": 2}}}}),
        ),
        ("a[x]", json!({"a": {"json": {"x": 1}}}), json!({"a": {"json": {"x": null}}})),
        ("a[x];desc", json!({"a": {"json": {"x": null}}}), json!({"a": {"json": {}}})),
        (
            "a.b",
            json!({"a": {"value": 9, "b": {"value": 1}}}),
            json!({"a": {"value": 1, "b": {"value": 2}}}),
        ),
        ("a.b", json!({"a": {"value": 9, "b": {"value": 1}}}), json!({"a": {"value": 1}})),
        (
            "a.observedAt",
            json!({"a": {"value": 9, "observedAt": "2026-01-01T00:00:00Z"}}),
            json!({"a": {"value": 1, "observedAt": "2026-01-01T00:00:00.1Z"}}),
        ),
        ("a.unitCode", json!({"a": {"value": 9, "unitCode": "CEL"}}), json!({"a": {"value": 1}})),
        (
            "a[en]",
            json!({"a": {"languageMap": {"en": "a", "th": "ข"}}}),
            json!({"a": {"languageMap": {"en": "b", "th": "ก"}}}),
        ),
        (
            "a",
            json!({"a": {"languageMap": {"en": "b", "@none": "a"}}}),
            json!({"a": {"languageMap": {"en": "a", "@none": "b"}}}),
        ),
        // The default instance counts, or the first.
        (
            "a",
            json!({"a": [{"value": 5, "datasetId": "urn:d:1"}, {"value": 1}]}),
            json!({"a": [{"value": 0, "datasetId": "urn:d:1"}, {"value": 2}]}),
        ),
        (
            "a",
            json!({"a": {"value": 5}}),
            json!({"a": {"value": 1, "expiresAt": "2026-01-01T00:00:00Z"}}),
        ),
        // Later elements decide where earlier ones do not.
        ("a,b", json!({"a": 1, "b": {"value": 1}}), json!({"a": 1, "b": {"value": 2}})),
        ("a,b;desc", json!({"a": 1, "b": {"value": 2}}), json!({"a": 1, "b": {"value": 1}})),
        ("x, a ; desc , b", json!({"a": 2, "b": 2}), json!({"a": 1, "b": 1})),
        // Unequal even where the numbers are near.
        (
            "a",
            json!({"a": {"value": 9_007_199_254_740_992u64}}),
            json!({"a": {"value": 9_007_199_254_740_993u64}}),
        ),
    ] {
        check(order_by, &[first.clone(), second.clone()], &[0, 1]);
        check(order_by, &[second, first], &[1, 0]);
    }
    // What is equal stays in place.
    for order_by in ["createdAt", "modifiedAt;desc", "nowhere", "a", "a[x]", "id[x]", "spot"] {
        let same = json!({"a": {"value": 1}, "spot": point(8.0, 40.0)});
        check(order_by, &[same.clone(), same], &[0, 1]);
    }
}

#[test]
fn distances_come_first_and_then_values() {
    let near = json!({"spot": point(8.01, 40.01)});
    let far = json!({"spot": point(10.0, 45.0)});
    let middle = json!({"spot": point(9.0, 41.0)});
    let number = json!({"spot": {"value": 3}});
    let text = json!({"spot": {"value": "x"}});
    let all = [text, far, number, json!({}), near, middle];
    check("spot;dist-asc", &all, &[4, 5, 1, 2, 0, 3]);
    check("spot;dist-desc", &all, &[1, 5, 4, 2, 0, 3]);
    let params = OrderParams {
        order_by: Some("spot;dist-asc"),
        order_from: Some("[[9,41],[10,45]]"),
        order_geometry: Some("LineString"),
        ..OrderParams::default()
    };
    let order = Order::parse(&params, context(), &Limits::default()).expect("right").expect("one");
    let entities: Vec<Entity> = all.into_iter().map(entity).collect();
    assert_eq!(sorted(&order, &entities), [1, 5, 4, 2, 0, 3]);
}

#[test]
fn texts_compare_by_the_collation() {
    let named = |name: &str| entity(json!({"a": {"value": name}}));
    let entities = ["b", "Ä", "a", "z"].map(named);
    for (collation, expected) in
        [(None, [2, 1, 0, 3]), (Some("und"), [2, 1, 0, 3]), (Some("sv"), [2, 0, 3, 1])]
    {
        let order = parse("a", collation, None).expect("an order");
        assert_eq!(sorted(&order, &entities), expected, "{collation:?}");
    }
    let thai = |th: &str, en: &str| entity(json!({"a": {"languageMap": {"en": en, "th": th}}}));
    let entities = [thai("เกาะคา", "Ko Kha"), thai("งาว", "Ngao"), thai("แจ้ห่ม", "Chae Hom")];
    for (collation, expected) in [("th", [0, 1, 2]), ("en", [2, 0, 1])] {
        let order = parse("a", Some(collation), None).expect("an order");
        assert_eq!(sorted(&order, &entities), expected, "{collation}");
    }
    // Equal to a reader, so that the next element decides.
    let entities = [
        entity(json!({"a": {"value": "A"}, "b": 2})),
        entity(json!({"a": {"value": "a"}, "b": 1})),
    ];
    let order = parse("a,b", Some("und-u-ks-level1"), None).expect("an order");
    assert_eq!(sorted(&order, &entities), [1, 0]);
}

#[test]
fn what_is_no_order_is_refused_with_its_parameter() {
    let good = OrderParams { order_by: Some("a"), ..OrderParams::default() };
    for (params, kind, parameter) in [
        (OrderParams { order_by: Some(""), ..good }, ErrorKind::Syntax, "orderBy"),
        (OrderParams { order_by: Some("a,"), ..good }, ErrorKind::Syntax, "orderBy"),
        (OrderParams { order_by: Some(",a"), ..good }, ErrorKind::Syntax, "orderBy"),
        (OrderParams { order_by: Some("a b"), ..good }, ErrorKind::Syntax, "orderBy"),
        (OrderParams { order_by: Some("a;up"), ..good }, ErrorKind::Syntax, "orderBy"),
        (OrderParams { order_by: Some("a;"), ..good }, ErrorKind::Syntax, "orderBy"),
        (OrderParams { order_by: Some("a;asc;desc"), ..good }, ErrorKind::Syntax, "orderBy"),
        (OrderParams { order_by: Some("a[x"), ..good }, ErrorKind::Syntax, "orderBy"),
        (OrderParams { order_by: Some("a{b}"), ..good }, ErrorKind::Syntax, "orderBy"),
        (
            OrderParams { order_by: Some("a;dist-asc"), ..good },
            ErrorKind::Incompatible,
            "orderFrom",
        ),
        (OrderParams { order_from: Some("8,40"), ..good }, ErrorKind::Syntax, "orderFrom"),
        (OrderParams { order_from: Some("[[8,40]]"), ..good }, ErrorKind::Syntax, "orderFrom"),
        (OrderParams { order_geometry: Some("5"), ..good }, ErrorKind::Syntax, "orderGeometry"),
        (OrderParams { collation: Some("!!nope"), ..good }, ErrorKind::Syntax, "collation"),
        (
            OrderParams { collation: Some("!!nope"), order_by: None, ..good },
            ErrorKind::Syntax,
            "collation",
        ),
    ] {
        let error = Order::parse(&params, context(), &Limits::default()).expect_err("wrong");
        assert_eq!((error.kind, error.parameter), (kind, parameter), "{params:?} {error}");
    }
    let none = OrderParams { collation: Some("th"), ..OrderParams::default() };
    assert_eq!(Order::parse(&none, context(), &Limits::default()), Ok(None));
    let many = vec!["a"; 1_000].join(",");
    assert_eq!(parse(&many, None, None).expect_err("many").kind, ErrorKind::TooComplex);
}

#[test]
fn what_is_printed_parses_to_the_same() {
    for (order_by, collation, from) in [
        ("name", None, None),
        ("name,age;desc", Some("de-u-co-phonebk"), None),
        ("a[city.\"odd key\"],a.observedAt;desc,id", None, None),
        ("p:spot;dist-asc,<https://example.org/a.b>;dist-desc", None, Some("[8,40.5]")),
        ("https://example.org/x#y.unitCode;asc", Some("th"), Some("[1,2,3]")),
    ] {
        let order = parse(order_by, collation, from).expect(order_by);
        let text = order.to_string();
        let value = |key: &str| {
            let parts = text.split('&').filter_map(|part| part.split_once('='));
            parts.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        let params = OrderParams {
            order_by: value("orderBy"),
            collation: value("collation"),
            order_from: value("orderFrom"),
            order_geometry: value("orderGeometry"),
        };
        let again = Order::parse(&params, context(), &Limits::default()).expect(&text);
        assert_eq!(again.expect("an order"), order, "{text}");
    }
}

#[test]
fn a_plan_without_an_order_leaves_entities_as_they_are() {
    let (a, b) = (entity(json!({"a": 2})), entity(json!({"a": 1})));
    let mut plan = EntityPlan::default();
    assert_eq!(plan.compare(&a, &b, now()), Ordering::Equal);
    plan.order = Some(parse("a", None, None).expect("an order"));
    assert_eq!(plan.compare(&a, &b, now()), Ordering::Greater);
}

fn any_value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Json::from),
        (-3..3i64).prop_map(Json::from),
        (-2.0..2.0f64).prop_map(Json::from),
        "[aAäก1]{0,2}".prop_map(Json::from),
        Just(json!("2026-01-01")),
        Just(json!("2026-01-01T00:00:00Z")),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map("[xy]", inner, 0..3)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn any_entity() -> impl Strategy<Value = Entity> {
    prop_oneof![
        any_value().prop_map(|value| json!({"a": {"value": value}})),
        any_value().prop_map(|json| json!({"a": {"json": json}})),
        (-9.0..9.0f64, -9.0..9.0f64).prop_map(|(lon, lat)| json!({"a": point(lon, lat)})),
        Just(json!({})),
        Just(json!({"a": {"json": null}})),
    ]
    .prop_map(entity)
}

proptest! {
    #[test]
    fn every_order_is_one(
        entities in prop::collection::vec(any_entity(), 3),
        direction in prop::sample::select(Direction::ALL.to_vec()),
    ) {
        let text = format!("a;{}", direction.word());
        let order = parse(&text, None, Some("[1,1]")).expect("an order");
        let compare = |i: usize, j: usize| order.compare(&entities[i], &entities[j], now());
        for (i, j, k) in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)] {
            prop_assert_eq!(compare(i, j), compare(j, i).reverse());
            if compare(i, j).is_le() && compare(j, k).is_le() {
                prop_assert!(compare(i, k).is_le());
            }
        }
        prop_assert_eq!(compare(0, 0), Ordering::Equal);
        sorted(&order, &entities);
    }
}

#[test]
fn a_place_is_kept_as_it_was() {
    let entities: Vec<Entity> = [
        json!({"id": "urn:x:1", "a": 1}),
        json!({"id": "urn:x:2", "a": 0.1, "b": 1e300}),
        json!({"id": "urn:x:3", "a": u64::MAX}),
        json!({"id": "urn:x:4", "a": i64::MIN, "b": "ก"}),
        json!({"id": "urn:x:5", "a": "à\"\\\u{0}", "b": "x"}),
        json!({"id": "urn:x:6", "a": {"z": [1, {"y": true}], "k": "v"}}),
        json!({"id": "urn:x:7", "a": [1, "2", [3]]}),
        json!({"id": "urn:x:8", "a": true, "b": false}),
        json!({"id": "urn:x:9", "a": "12:00:00Z"}),
        json!({"id": "urn:x:10", "a": "2026-01-31", "b": "2026-01-31T12:00:00.123456Z"}),
        json!({"id": "urn:x:11", "a": {"type": "GeoProperty", "value":
            {"type": "Point", "coordinates": [8.1, 40.3]}}}),
        json!({"id": "urn:x:12", "a": {"type": "JsonProperty", "json": [null, 1]}}),
        json!({"id": "urn:x:13"}),
        json!({"id": "urn:x:14"}),
    ]
    .into_iter()
    .map(entity)
    .collect();
    for by in ["a", "a;desc", "a;dist-asc", "a;dist-desc,b", "b;desc,a", "id;desc", "createdAt,a"] {
        let order = parse(by, None, Some("[8,40]")).expect(by);
        for (number, one) in (0..).zip(&entities) {
            let anchor = order.place_behind(one, now(), number).expect("a place");
            let place = order.place(&anchor).expect("a place of this order");
            for (other, another) in (0..).zip(&entities) {
                let expected = order.compare(another, one, now()).then(other.cmp(&number)).is_gt();
                let behind = order.is_behind(&place, another, now(), other);
                assert_eq!(behind, expected, "{by}: {other} behind {number}");
            }
        }
    }
}

#[test]
fn what_is_too_long_or_deep_is_no_place() {
    let order = parse("a", None, None).expect("an order");
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep, 2]);
    }
    for value in [json!("ก".repeat(2_000)), deep] {
        let one = entity(json!({"a": {"type": "JsonProperty", "json": value}}));
        assert_eq!(order.place_behind(&one, now(), 1), None);
    }
}
