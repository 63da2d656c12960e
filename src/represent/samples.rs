//! Random entities and contexts for property tests, and short ways to read and write in tests.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{ReadError, Rendering, read_entity, write_entity};
use crate::geo::{Geometry, Position};
use crate::jsonld::{Context, Document};
use crate::model::{
    Attribute, Attributes, DatasetId, Datum, Entity, EntityId, Instance, Kind, LanguageMap, Name,
    Number, OneOrMany, Scope, Sealed, Timestamp, Value,
};

/// A document from JSON.
pub fn document(json: &serde_json::Value) -> Document<'static> {
    Document::from_json(json).into_owned()
}

/// Reads a whole entity.
pub fn read(json: serde_json::Value, context: &Context) -> Result<Entity, ReadError> {
    read_entity(&document(&json), context)
}

/// Writes an entity as JSON.
pub fn written(entity: &Entity, rendering: &Rendering, context: &Context) -> serde_json::Value {
    let mut out = Vec::new();
    write_entity(&mut out, entity, rendering, context, moment(0), &Default::default());
    serde_json::from_slice(&out)
        .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&out)))
}

/// So many seconds after 2026 began.
pub fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_767_225_600 + seconds) * 1_000_000)
}

/// The expanded name of an IRI.
pub fn name(iri: &str) -> Name {
    Name::intern(iri).expect("few names")
}

/// A context that a user might send: terms, a prefix, and terms that shadow others.
pub fn user_context() -> Arc<Context> {
    let context = serde_json::json!({
        "brand": "https://example.org/ns#brand",
        "almostFull": "https://example.org/ns#almostFull",
        "Vehicle": "https://example.org/ns#Vehicle",
        "ex": "https://other.example/x/",
        "location": "https://example.org/ns#location",
        "madeOn": {"@id": "https://example.org/ns#madeOn", "@type": "https://uri.etsi.org/ngsi-ld/DateTime"}
    });
    Context::local(&document(&context)).expect("a plain context")
}

/// The contexts that representations are tried with.
pub fn contexts() -> impl Strategy<Value = Arc<Context>> {
    select(vec![Context::core(), user_context()])
}

const NAMES: [&str; 10] = [
    "https://uri.etsi.org/ngsi-ld/default-context/speed",
    "https://uri.etsi.org/ngsi-ld/default-context/ฝุ่น",
    "https://uri.etsi.org/ngsi-ld/default-context/brand",
    "https://uri.etsi.org/ngsi-ld/default-context/almostFull",
    "https://example.org/ns#brand",
    "https://example.org/ns#almostFull",
    "https://example.org/ns#madeOn",
    "https://other.example/x/y",
    "https://third.example/a/b#c",
    "http://purl.org/dc/terms/description",
];

const WORDS: [&str; 5] = [
    "https://uri.etsi.org/ngsi-ld/default-context/non-commercial",
    "https://uri.etsi.org/ngsi-ld/default-context/pm2.5",
    "https://uri.etsi.org/ngsi-ld/default-context/coordinates2",
    "https://purl.org/geojson/vocab#coordinates",
    "https://example.org/ns#Vehicle",
];

fn names() -> impl Strategy<Value = Name> {
    select(NAMES.to_vec()).prop_map(name)
}

fn words() -> impl Strategy<Value = Name> {
    select(NAMES.iter().chain(&WORDS).copied().collect::<Vec<_>>()).prop_map(name)
}

/// Members of values that a careless concise writer would have misread.
fn keys() -> impl Strategy<Value = Name> {
    prop_oneof![
        6 => words(),
        1 => select(vec![
            "https://uri.etsi.org/ngsi-ld/hasValue",
            "https://uri.etsi.org/ngsi-ld/hasObject",
            "https://uri.etsi.org/ngsi-ld/observedAt",
            "https://uri.etsi.org/ngsi-ld/datasetId",
            "https://uri.etsi.org/ngsi-ld/createdAt",
            "https://uri.etsi.org/ngsi-ld/scope",
        ]).prop_map(name),
    ]
}

fn texts() -> impl Strategy<Value = Box<str>> {
    prop_oneof![
        "[a-z\"\\\\\n]{0,6}",
        "\\PC{0,9}",
        Just("ค่าฝุ่น".to_owned()),
        Just("Point".to_owned())
    ]
    .prop_map(Into::into)
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::Number(Number::Int(number))),
        (1..u64::MAX / 2).prop_map(|more| Value::Number(Number::UInt(i64::MAX as u64 + more))),
        (-1e9..1e9).prop_map(|number| Value::Number(Number::Float(number))),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(|number| Value::Number(Number::Float(number))),
        texts().prop_map(Value::String),
    ]
}

fn typed_values() -> impl Strategy<Value = Value> {
    let typed = (words(), texts()).prop_map(|(word, text)| {
        Value::Object(Box::new([
            (Name::AT_TYPE, Value::String(word.as_str().into())),
            (Name::AT_VALUE, Value::String(text)),
        ]))
    });
    let geometry = Value::Object(Box::new([
        (Name::AT_TYPE, Value::String("https://purl.org/geojson/vocab#Point".into())),
        (
            name("https://purl.org/geojson/vocab#coordinates"),
            Value::Array(Box::new([1.into(), 2.into()])),
        ),
    ]));
    let null = Value::Object(Box::new([(Name::AT_TYPE, Value::String("@json".into()))]));
    prop_oneof![typed, Just(geometry), Just(null)]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![6 => scalars(), 1 => typed_values()];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let types = prop_oneof![3 => Just(None), 1 => words().prop_map(Some)];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| Value::Array(items.into())),
            (types, vec((keys(), inner), 0..4)).prop_map(|(kind, members)| {
                let mut unique: Vec<(Name, Value)> = Vec::new();
                if let Some(kind) = kind {
                    unique.push((Name::AT_TYPE, Value::String(kind.as_str().into())));
                }
                for (name, value) in members {
                    if unique.iter().all(|(other, _)| *other != name) {
                        unique.push((name, value));
                    }
                }
                Value::Object(unique.into())
            }),
        ]
    })
}

fn ids() -> impl Strategy<Value = EntityId> {
    select(vec!["urn:ngsi-ld:A:1", "https://example.org/b?c=d", "urn:ngsi-ld:สถานี:แม่เมาะ"])
        .prop_map(|text| EntityId::parse(text).expect("a URI"))
}

fn positions() -> impl Strategy<Value = Position> {
    (-180.0..180.0, -90.0..90.0, prop_oneof![Just(None), (0.0..9e3).prop_map(Some)])
        .prop_map(|(lon, lat, alt)| Position { lon, lat, alt })
}

fn geometries() -> impl Strategy<Value = Geometry> {
    let rings = vec(positions(), 3..5).prop_map(|mut ring| {
        ring.push(ring[0]);
        ring
    });
    prop_oneof![
        3 => positions().prop_map(Geometry::Point),
        1 => vec(positions(), 2..4).prop_map(Geometry::LineString),
        1 => vec(rings, 1..3).prop_map(Geometry::Polygon),
    ]
}

fn languages() -> impl Strategy<Value = LanguageMap> {
    let tags = proptest::sample::subsequence(vec!["th", "en-GB", "nod", "@none"], 1..4);
    (tags, vec(texts(), 8)).prop_map(|(tags, texts)| {
        let entry = |(index, tag): (usize, &str)| {
            let text = texts[index * 2].clone();
            let strings = match index % 2 {
                0 => OneOrMany::One(text),
                _ => OneOrMany::many(vec![text, texts[index * 2 + 1].clone()]),
            };
            (tag.into(), strings)
        };
        LanguageMap(tags.into_iter().enumerate().map(entry).collect())
    })
}

fn data() -> impl Strategy<Value = Datum> {
    fn some<T: std::fmt::Debug + Clone>(
        things: impl Strategy<Value = T> + Clone,
    ) -> impl Strategy<Value = OneOrMany<T>> {
        prop_oneof![
            things.clone().prop_map(OneOrMany::One),
            vec(things, 1..3).prop_map(OneOrMany::many)
        ]
    }
    let raw = Just(serde_json::json!({"type": "raw", "speed": null, "a": [1, {"@context": 5.5}]}));
    prop_oneof![
        4 => values().prop_map(Datum::Property),
        1 => geometries().prop_map(|geometry| Datum::GeoProperty(Box::new(geometry))),
        1 => some(ids().boxed()).prop_map(Datum::Relationship),
        1 => languages().prop_map(Datum::LanguageProperty),
        1 => some(words().boxed()).prop_map(Datum::VocabProperty),
        1 => vec(values(), 0..3).prop_map(|items| Datum::ListProperty(items.into())),
        1 => vec(ids(), 0..3).prop_map(|items| Datum::ListRelationship(items.into())),
        1 => raw.prop_map(|raw| Datum::JsonProperty(Box::new(raw))),
    ]
}

fn instances(inner: impl Strategy<Value = Attributes>) -> impl Strategy<Value = Instance> {
    let times =
        || prop_oneof![2 => Just(None), 1 => (0_i64..1_000_000).prop_map(|s| Some(moment(s)))];
    let units = prop_oneof![Just(None), Just(Some(name("CEL")))];
    let word = prop_oneof![3 => Just(None), 1 => words().prop_map(Some)];
    (data(), times(), times(), units, word, vec(words(), 0..3), inner).prop_map(
        |(datum, observed_at, expires_at, unit, value_type, object_types, attributes)| {
            let mut instance = Instance::new(datum);
            instance.observed_at = observed_at;
            let kind = instance.kind();
            let points = matches!(kind, Kind::Relationship | Kind::ListRelationship);
            if matches!(kind, Kind::Property | Kind::ListProperty) {
                instance.unit = unit;
            }
            let more = instance.more_mut();
            more.expires_at = expires_at.map(|time| time.plus_micros(1));
            more.value_type = match kind {
                _ if points => None,
                Kind::LanguageProperty => value_type.map(|_| Name::LANG_STRING),
                _ => value_type,
            };
            if points {
                more.object_types = object_types;
            }
            more.attributes = attributes;
            instance.tidy();
            instance
        },
    )
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let none = Just(Attributes::new());
    none.prop_recursive(2, 12, 4, |inner| {
        let attribute = vec(instances(inner), 1..3).prop_map(|instances| {
            let told_apart = instances.into_iter().enumerate().map(|(index, mut instance)| {
                if index > 0 {
                    let id = format!("urn:ngsi-ld:Dataset:{index}");
                    instance.more_mut().dataset = Some(DatasetId::parse(&id).expect("a URI"));
                }
                instance
            });
            Attribute::many(told_apart).expect("one at least")
        });
        vec((names(), attribute), 0..4).prop_map(|all| all.into_iter().collect())
    })
}

/// Entities of every kind of attribute, nested, with several instances and types.
pub fn entities() -> impl Strategy<Value = Entity> {
    let types = vec(names(), 1..3).prop_map(|mut types| {
        types.dedup();
        OneOrMany::from_vec(types).expect("one at least")
    });
    let scopes = proptest::sample::subsequence(vec!["/MaeMoh/Air", "ลำปาง"], 0..3);
    let extras = (any::<bool>(), any::<bool>(), geometries());
    (ids(), types, scopes, attributes(), extras).prop_map(
        |(id, types, scopes, mut attributes, (expires, proven, location))| {
            if proven {
                attributes.insert(Name::PROOF, Attribute::one(proof(&id)));
                let location = Datum::GeoProperty(Box::new(location));
                attributes.insert(Name::LOCATION, Attribute::one(Instance::new(location)));
            }
            Entity {
                id,
                types,
                scopes: scopes
                    .into_iter()
                    .map(|text| Scope::parse(text).expect("a scope"))
                    .collect(),
                attributes,
                created_at: Timestamp::from_micros(0),
                modified_at: Timestamp::from_micros(0),
                expires_at: expires.then(|| moment(60)),
            }
        },
    )
}

fn proof(id: &EntityId) -> Instance {
    let value = Value::Object(Box::new([(Name::AT_TYPE, Value::String(WORDS[0].into()))]));
    let mut proof = Instance::new(Datum::Property(value));
    let sealed = Sealed { id: Some(id.clone()), types: vec![name(NAMES[4])] };
    proof.more_mut().sealed = Some(Box::new(sealed));
    proof
}
