//! Random entities for property tests: few names, so that they meet.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::geo::{Geometry, Position};
use crate::model::{
    Attribute, Attributes, DatasetId, Datum, Entity, EntityId, Instance, LanguageMap, More, Name,
    Number, OneOrMany, Scope, Sealed, Timestamp, Value,
};

/// One of a few attribute names.
pub fn attribute_name(number: usize) -> Name {
    Name::intern(&format!("https://example.org/attribute{number}")).unwrap()
}

/// One of a few types.
pub fn type_name(number: usize) -> Name {
    Name::intern(&format!("https://example.org/Type{number}")).unwrap()
}

/// One of a few entities.
pub fn entity_id(number: usize) -> EntityId {
    EntityId::parse(&format!("urn:ngsi-ld:สิ่งของ:{number}")).unwrap()
}

/// A time that is easy to write.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
}

/// An entity of one type without attributes.
pub fn bare_entity(id: usize, type_number: usize) -> Entity {
    Entity {
        id: entity_id(id),
        types: OneOrMany::One(type_name(type_number)),
        scopes: Vec::new(),
        attributes: Attributes::new(),
        created_at: at(0),
        modified_at: at(0),
        expires_at: None,
    }
}

/// A Property.
pub fn property(value: impl Into<Value>) -> Attribute {
    Attribute::one(Instance::new(Datum::Property(value.into())))
}

/// A Property that expires.
pub fn expiring(value: impl Into<Value>, end: Timestamp) -> Attribute {
    let mut instance = Instance::new(Datum::Property(value.into()));
    instance.more_mut().expires_at = Some(end);
    Attribute::one(instance)
}

/// A GeoProperty at a point.
pub fn place(lon: f64, lat: f64) -> Attribute {
    let point = Geometry::Point(Position { lon, lat, alt: None });
    Attribute::one(Instance::new(Datum::GeoProperty(Box::new(point))))
}

pub fn number() -> impl Strategy<Value = Number> + Clone {
    prop_oneof![
        (-5i64..5).prop_map(Number::Int),
        any::<i64>().prop_map(Number::Int),
        (i64::MAX as u64 + 1..).prop_map(Number::UInt),
        (-5i32..5).prop_map(|half| Number::Float(f64::from(half) / 2.0)),
        prop::num::f64::NORMAL.prop_map(Number::Float),
    ]
}

fn text() -> impl Strategy<Value = Box<str>> + Clone {
    prop_oneof![
        Just("แม่เมาะ".into()),
        Just("2026-01-31T12:00:00Z".into()),
        Just("".into()),
        "[a-c]{1,3}".prop_map(|text| text.into()),
    ]
}

fn name() -> impl Strategy<Value = Name> + Clone {
    (0usize..6).prop_map(attribute_name)
}

pub fn value() -> impl Strategy<Value = Value> + Clone {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| Value::Array(items.into())),
            prop::collection::btree_map(name(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn json() -> impl Strategy<Value = serde_json::Value> + Clone {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        prop::num::f64::NORMAL.prop_map(serde_json::Value::from),
        text().prop_map(|text| serde_json::Value::from(&*text)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-z]{0,3}", inner, 0..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn position() -> impl Strategy<Value = Position> + Clone {
    // A little town, so that geo queries meet something, and sometimes the whole world.
    let near = (-10i32..10, -10i32..10)
        .prop_map(|(x, y)| (99.7 + f64::from(x) / 100.0, 18.3 + f64::from(y) / 100.0));
    let far = (-180.0..180.0, -90.0..90.0);
    (prop_oneof![3 => near, 1 => far], option::weighted(0.2, -10.0..4_000.0))
        .prop_map(|((lon, lat), alt)| Position { lon, lat, alt })
}

fn ring() -> impl Strategy<Value = Vec<Position>> + Clone {
    (position(), 0.001..0.1f64).prop_map(|(corner, size)| {
        let at = |x: f64, y: f64| Position {
            lon: (corner.lon + x * size).clamp(-180.0, 180.0),
            lat: (corner.lat + y * size).clamp(-90.0, 90.0),
            alt: None,
        };
        vec![at(0.0, 0.0), at(1.0, 0.0), at(1.0, 1.0), at(0.0, 1.0), at(0.0, 0.0)]
    })
}

pub fn geometry() -> impl Strategy<Value = Geometry> + Clone {
    prop_oneof![
        4 => position().prop_map(Geometry::Point),
        1 => vec(position(), 1..4).prop_map(Geometry::MultiPoint),
        1 => vec(position(), 2..4).prop_map(Geometry::LineString),
        1 => vec(vec(position(), 2..4), 1..3).prop_map(Geometry::MultiLineString),
        1 => ring().prop_map(|ring| Geometry::Polygon(vec![ring])),
        1 => vec(ring(), 1..3)
            .prop_map(|rings| Geometry::MultiPolygon(rings.into_iter().map(|r| vec![r]).collect())),
    ]
}

fn one_or_many<T: std::fmt::Debug + Clone>(
    one: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = OneOrMany<T>> + Clone {
    prop_oneof![one.clone().prop_map(OneOrMany::One), vec(one, 0..3).prop_map(OneOrMany::many),]
}

pub fn datum() -> impl Strategy<Value = Datum> + Clone {
    let target = (0usize..8).prop_map(entity_id);
    let language = ("[a-z]{2}", one_or_many(text()));
    prop_oneof![
        4 => value().prop_map(Datum::Property),
        2 => geometry().prop_map(|shape| Datum::GeoProperty(Box::new(shape))),
        2 => one_or_many(target.clone()).prop_map(Datum::Relationship),
        1 => vec(language, 0..3).prop_map(|map| Datum::LanguageProperty(LanguageMap(
            map.into_iter().map(|(tag, strings)| (tag.into(), strings)).collect()
        ))),
        1 => one_or_many(name()).prop_map(Datum::VocabProperty),
        1 => vec(value(), 0..3).prop_map(|items| Datum::ListProperty(items.into())),
        1 => vec(target, 0..3).prop_map(|ids| Datum::ListRelationship(ids.into())),
        1 => json().prop_map(|json| Datum::JsonProperty(Box::new(json))),
    ]
}

fn time() -> impl Strategy<Value = Timestamp> + Clone {
    (-100i64..100).prop_map(at)
}

fn more(depth: u32) -> BoxedStrategy<More> {
    let inner =
        if depth == 0 { Just(Attributes::new()).boxed() } else { attributes(depth - 1, 2).boxed() };
    let sealed = (option::of((0usize..8).prop_map(entity_id)), vec(name(), 0..2))
        .prop_map(|(id, types)| Box::new(Sealed { id, types }));
    (
        option::of((0usize..3).prop_map(|number| {
            DatasetId::parse(&format!("urn:ngsi-ld:Dataset:{number}")).unwrap()
        })),
        option::weighted(0.2, time()),
        option::weighted(0.2, name()),
        vec(name(), 0..2),
        inner,
        option::weighted(0.1, sealed),
    )
        .prop_map(|(dataset, expires_at, value_type, object_types, attributes, sealed)| More {
            dataset,
            expires_at,
            value_type,
            object_types,
            attributes,
            sealed,
        })
        .boxed()
}

pub fn instance(depth: u32) -> impl Strategy<Value = Instance> + Clone {
    (
        datum(),
        option::of(time()),
        option::weighted(0.3, name()),
        time(),
        time(),
        option::weighted(0.4, more(depth)),
    )
        .prop_map(|(datum, observed_at, unit, created_at, modified_at, more)| {
            let more = more.map(Box::new);
            let mut instance = Instance { datum, observed_at, unit, created_at, modified_at, more };
            instance.tidy();
            instance
        })
}

pub fn attribute(depth: u32) -> impl Strategy<Value = Attribute> + Clone {
    prop_oneof![
        4 => instance(depth).prop_map(Attribute::one),
        1 => vec(instance(depth), 1..4).prop_map(|all| Attribute::many(all).unwrap()),
    ]
}

pub fn attributes(depth: u32, most: usize) -> impl Strategy<Value = Attributes> + Clone {
    vec((name(), attribute(depth)), 0..most).prop_map(|all| all.into_iter().collect())
}

fn scope() -> impl Strategy<Value = Scope> + Clone {
    prop_oneof!["/[A-C]", "/[A-C]/[A-C]", "[A-C]/[A-C]/[A-C]"]
        .prop_map(|text| Scope::parse(&text).unwrap())
}

/// An entity out of a few.
pub fn entity() -> impl Strategy<Value = Entity> + Clone {
    (
        (0usize..8).prop_map(entity_id),
        prop::collection::btree_set((0usize..3).prop_map(type_name), 1..3),
        vec(scope(), 0..3),
        attributes(2, 6),
        time(),
        time(),
        option::weighted(0.2, time()),
    )
        .prop_map(|(id, types, scopes, attributes, created_at, modified_at, expires_at)| {
            Entity {
                id,
                types: OneOrMany::from_vec(types.into_iter().collect()).unwrap(),
                scopes,
                attributes,
                created_at,
                modified_at,
                expires_at,
            }
        })
}
