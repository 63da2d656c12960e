//! The simplified form of an entity (4.5.4) as a tree, by the terms of a model.

use serde_json::{Map, Value as Json, json};

use super::Model;
use crate::jsonld::DEFAULT_VOCABULARY;
use crate::model::{Datum, Entity, Instance, LanguageMap, Name, Number, OneOrMany, Value};

/// An entity, with the first instance of each attribute.
pub(super) fn entity(model: &Model, entity: &Entity) -> Json {
    let mut members = Map::new();
    members.insert("id".to_owned(), entity.id.as_str().into());
    // The model was found by the type, under whatever name.
    members.insert("type".to_owned(), (*model.name).into());
    for (name, attribute) in entity.attributes.iter() {
        let term = model.property(name).map_or_else(|| short(name), |known| &known.term);
        if let Some(first) = attribute.instances().first() {
            members.insert(term.to_owned(), instance(model, first));
        }
    }
    Json::Object(members)
}

/// The value of an instance alone.
pub(super) fn instance(model: &Model, instance: &Instance) -> Json {
    match &instance.datum {
        Datum::Property(value) => json_of(model, value),
        Datum::GeoProperty(geometry) => geometry.to_json(),
        Datum::Relationship(targets) => one_or_many(targets, |id| id.as_str().into()),
        Datum::LanguageProperty(map) => json!({ "languageMap": language_map(map) }),
        Datum::VocabProperty(words) => {
            json!({ "vocab": one_or_many(words, |word| term(model, *word).into()) })
        }
        Datum::ListProperty(items) => {
            let items: Vec<Json> = items.iter().map(|item| json_of(model, item)).collect();
            json!({ "valueList": items })
        }
        Datum::ListRelationship(ids) => {
            let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
            json!({ "objectList": ids })
        }
        Datum::JsonProperty(raw) => (**raw).clone(),
        // Only patches hold one.
        Datum::Bare(bare) => json_of(model, &bare.value),
    }
}

fn language_map(map: &LanguageMap) -> Json {
    let languages = map
        .0
        .iter()
        .map(|(tag, text)| (tag.to_string(), one_or_many(text, |text| Json::from(&**text))));
    Json::Object(languages.collect())
}

fn one_or_many<T>(values: &OneOrMany<T>, json: impl Fn(&T) -> Json) -> Json {
    match values {
        OneOrMany::One(value) => json(value),
        OneOrMany::Many(values) => values.iter().map(json).collect(),
    }
}

fn json_of(model: &Model, value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(Number::Int(number)) => (*number).into(),
        Value::Number(Number::UInt(number)) => (*number).into(),
        Value::Number(Number::Float(number)) => (*number).into(),
        Value::String(text) => Json::from(&**text),
        Value::Array(items) => items.iter().map(|item| json_of(model, item)).collect(),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (term(model, *name).to_owned(), json_of(model, value)));
            Json::Object(members.collect())
        }
    }
}

fn term(model: &Model, name: Name) -> &str {
    model.property(name).map_or_else(|| short(name), |property| &property.term)
}

/// What a name was called before it was expanded, as far as that can be told without a context:
/// all of it where nobody gave it a meaning, the last part of the IRI otherwise.
pub(super) fn short(name: Name) -> &'static str {
    let text = name.as_str();
    if let Some(term) = text.strip_prefix(DEFAULT_VOCABULARY) {
        return term;
    }
    text.rsplit(['/', '#']).next().unwrap_or(text)
}
