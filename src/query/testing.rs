//! Entities for tests, read from a likeness of the normalized representation.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value as Json, json};

use super::{Filter, FilterOptions, Limits, QueryError};
use crate::geo::{self, Geometry};
use crate::jsonld::{Context, Document};
use crate::model::{
    Attribute, Attributes, DatasetId, Datum, Entity, EntityId, Instance, LanguageMap, Name, Number,
    OneOrMany, Scope, Timestamp, Value,
};

/// A context with a few terms and the prefix `p`.
pub fn context() -> &'static Context {
    static CONTEXT: OnceLock<Arc<Context>> = OnceLock::new();
    CONTEXT.get_or_init(|| {
        let terms = json!({
            "p": {"@id": "https://example.org/p#", "@prefix": true},
            "Building": "https://example.org/types/Building",
            "commercial": "https://example.org/words/commercial",
            "ฝุ่น": "https://example.org/dust",
            "dotted": "https://example.org/a.b.c",
        });
        Context::local(&Document::from_json(&terms)).expect("the context is well formed")
    })
}

/// The name of a term in [`context`].
pub fn name(term: &str) -> Name {
    context().expand(term).expect("a term")
}

/// An instant in seconds.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// The instant when everything is asked: expiry is written as `expiresAt`.
pub fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("a DateTime")
}

pub fn parse(text: &str) -> Result<Filter, QueryError> {
    Filter::parse(text, context(), &FilterOptions::default(), &Limits::default())
}

pub fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::String(text) => Value::String(text.as_str().into()),
        Json::Number(number) => Value::Number(match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Number::Int(number),
            (_, Some(number)) => Number::UInt(number),
            _ => Number::Float(number.as_f64().expect("a number")),
        }),
        Json::Array(items) => Value::Array(items.iter().map(value).collect()),
        Json::Object(members) => {
            Value::Object(members.iter().map(|(key, json)| (name(key), value(json))).collect())
        }
    }
}

fn text(json: &Json) -> &str {
    json.as_str().expect("a string")
}

fn one_or_many<T>(json: &Json, of: impl Fn(&Json) -> T) -> OneOrMany<T> {
    match json {
        Json::Array(items) => OneOrMany::many(items.iter().map(of).collect()),
        one => OneOrMany::One(of(one)),
    }
}

fn id(json: &Json) -> EntityId {
    EntityId::parse(text(json)).expect("a URI")
}

fn datum(json: &Json) -> Datum {
    let member = |key: &str| json.get(key);
    if let Some(json) = member("object") {
        return Datum::Relationship(one_or_many(json, id));
    }
    if let Some(json) = member("objectList") {
        return Datum::ListRelationship(one_or_many(json, id).into_vec().into());
    }
    if let Some(Json::Object(languages)) = member("languageMap") {
        let texts = |json: &Json| one_or_many(json, |json| text(json).into());
        return Datum::LanguageProperty(LanguageMap(
            languages.iter().map(|(tag, json)| (tag.as_str().into(), texts(json))).collect(),
        ));
    }
    if let Some(json) = member("vocab") {
        return Datum::VocabProperty(one_or_many(json, |json| name(text(json))));
    }
    if let Some(json) = member("valueList") {
        return Datum::ListProperty(one_or_many(json, value).into_vec().into());
    }
    if let Some(json) = member("json") {
        return Datum::JsonProperty(Box::new(json.clone()));
    }
    if let Some((Json::String(kind), coordinates)) =
        member("value").and_then(|json| json.get("type").zip(json.get("coordinates")))
    {
        let geometry = Geometry::parse(kind, coordinates, &geo::Limits::default());
        return Datum::GeoProperty(Box::new(geometry.expect("a geometry")));
    }
    Datum::Property(value(member("value").unwrap_or(json)))
}

fn instance(json: &Json) -> Instance {
    let mut instance = Instance::new(datum(json));
    instance.created_at = at(1_000);
    instance.modified_at = at(2_000);
    let Json::Object(members) = json else { return instance };
    let stamp = |json: &Json| text(json).parse::<Timestamp>().expect("a DateTime");
    for (key, json) in members {
        match key.as_str() {
            "value" | "object" | "objectList" | "languageMap" | "vocab" | "valueList" | "json" => {}
            "observedAt" => instance.observed_at = Some(stamp(json)),
            "unitCode" => instance.unit = Some(Name::intern(text(json)).expect("a name")),
            "expiresAt" => instance.more_mut().expires_at = Some(stamp(json)),
            "valueType" => instance.more_mut().value_type = Some(name(text(json))),
            "objectType" => {
                instance.more_mut().object_types =
                    one_or_many(json, |json| name(text(json))).into_vec();
            }
            "datasetId" => {
                instance.more_mut().dataset = Some(DatasetId::parse(text(json)).expect("a URI"));
            }
            key => drop(instance.more_mut().attributes.insert(name(key), attribute(json))),
        }
    }
    instance
}

/// An object with a value member of some kind, several of them, or the value of a Property.
pub fn attribute(json: &Json) -> Attribute {
    match json {
        Json::Array(instances) if instances.first().is_some_and(Json::is_object) => {
            Attribute::many(instances.iter().map(instance)).expect("instances")
        }
        one => Attribute::one(instance(one)),
    }
}

/// An entity; without `id` and `type` it is a Building of some id.
pub fn entity(json: Json) -> Entity {
    let Json::Object(mut members) = json else { panic!("an entity is an object") };
    let take = |members: &mut Map<String, Json>, key: &str| members.remove(key);
    let types = take(&mut members, "type").unwrap_or("Building".into());
    let mut entity = Entity {
        id: id(&take(&mut members, "id").unwrap_or("urn:x:1".into())),
        types: one_or_many(&types, |json| name(text(json))),
        scopes: Vec::new(),
        attributes: Attributes::new(),
        created_at: at(1_000),
        modified_at: at(2_000),
        expires_at: None,
    };
    if let Some(scopes) = take(&mut members, "scope") {
        let scope = |json: &Json| Scope::parse(text(json)).expect("a scope");
        entity.scopes = one_or_many(&scopes, scope).into_vec();
    }
    if let Some(expiry) = take(&mut members, "expiresAt") {
        entity.expires_at = Some(text(&expiry).parse().expect("a DateTime"));
    }
    for (key, json) in &members {
        entity.attributes.insert(name(key), attribute(json));
    }
    entity
}
