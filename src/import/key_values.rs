//! Simplified entities (4.5.4) become normalized ones. What the simplified form has lost is
//! guessed by rules that the specification's own simplification suggests, and said here.

use serde_json::{Map, Value, json};

use crate::model::check_uri;

/// Members of an entity that are no attributes.
const MEMBERS: [&str; 10] = [
    "id",
    "@id",
    "type",
    "@type",
    "scope",
    "@context",
    "expiresAt",
    "createdAt",
    "modifiedAt",
    "deletedAt",
];

/// Writes the attributes of a simplified entity out.
///
/// - a GeoJSON geometry becomes a GeoProperty;
/// - an object of one member `languageMap`, `vocab` or `json` becomes the kind that the member
///   belongs to, an object of one member `dataset` several instances;
/// - a text that begins with `urn:ngsi-ld:`, or is a URI where the name begins with `ref` as the
///   Smart Data Models have it, becomes a Relationship, and so does an array of nothing else;
/// - null stands for an attribute that is not there;
/// - everything else becomes a Property.
pub fn normalize(entity: Map<String, Value>) -> Map<String, Value> {
    entity
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| match MEMBERS.contains(&name.as_str()) {
            true => (name, value),
            false => {
                let attribute = attribute(&name, value);
                (name, attribute)
            }
        })
        .collect()
}

fn attribute(name: &str, value: Value) -> Value {
    match value {
        Value::Object(object) if is_geometry(&object) => {
            json!({"type": "GeoProperty", "value": object})
        }
        Value::Object(mut object) if object.len() == 1 => {
            let wraps = [
                ("languageMap", "LanguageProperty"),
                ("vocab", "VocabProperty"),
                ("json", "JsonProperty"),
            ];
            if let Some(Value::Object(instances)) = object.get_mut("dataset") {
                let instances = std::mem::take(instances);
                return instances
                    .into_iter()
                    .map(|(id, value)| instance(name, id, value))
                    .collect();
            }
            match wraps.iter().find(|(member, _)| object.contains_key(*member)) {
                Some((_, kind)) => {
                    object.insert("type".into(), json!(kind));
                    Value::Object(object)
                }
                None => property(Value::Object(object)),
            }
        }
        Value::String(text) if is_link(name, &text) => {
            json!({"type": "Relationship", "object": text})
        }
        Value::Array(items) if is_links(name, &items) => {
            json!({"type": "Relationship", "object": items})
        }
        other => property(other),
    }
}

fn property(value: Value) -> Value {
    json!({"type": "Property", "value": without_nulls(value)})
}

fn instance(name: &str, dataset: String, value: Value) -> Value {
    let mut instance = attribute(name, value);
    if let Some(members) = instance.as_object_mut() {
        members.insert("datasetId".into(), json!(dataset));
    }
    instance
}

fn is_geometry(object: &Map<String, Value>) -> bool {
    const KINDS: [&str; 6] =
        ["Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"];
    let kind = object.get("type").and_then(Value::as_str);
    kind.is_some_and(|kind| KINDS.contains(&kind))
        && object.get("coordinates").is_some_and(Value::is_array)
}

fn is_link(name: &str, text: &str) -> bool {
    let named_so = name
        .strip_prefix("ref")
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_uppercase()));
    (text.starts_with("urn:ngsi-ld:") || named_so) && check_uri(text).is_ok()
}

fn is_links(name: &str, items: &[Value]) -> bool {
    !items.is_empty()
        && items.iter().all(|item| item.as_str().is_some_and(|text| is_link(name, text)))
}

/// JSON-LD knows no null: a member that is null is a member that is not there.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(object) => object
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_simplified_form_gets_its_kind_back() {
        let cases = [
            (json!({"a": 5}), json!({"a": {"type": "Property", "value": 5}})),
            (json!({"a": null}), json!({})),
            (
                json!({"a": {"b": null, "c": [{"d": null}]}}),
                json!({"a": {"type": "Property", "value": {"c": [{}]}}}),
            ),
            (
                json!({"at": {"type": "Point", "coordinates": [1, 2]}}),
                json!({"at": {"type": "GeoProperty",
                    "value": {"type": "Point", "coordinates": [1, 2]}}}),
            ),
            (
                json!({"next": "urn:ngsi-ld:Car:2", "refDevice": ["https://a.example/1"]}),
                json!({"next": {"type": "Relationship", "object": "urn:ngsi-ld:Car:2"},
                    "refDevice": {"type": "Relationship", "object": ["https://a.example/1"]}}),
            ),
            (
                json!({"reference": "https://a.example/1", "refNote": "not a link"}),
                json!({"reference": {"type": "Property", "value": "https://a.example/1"},
                    "refNote": {"type": "Property", "value": "not a link"}}),
            ),
            (
                json!({"name": {"languageMap": {"th": "ฝุ่น"}}, "v": {"vocab": "x"}}),
                json!({"name": {"languageMap": {"th": "ฝุ่น"}, "type": "LanguageProperty"},
                    "v": {"vocab": "x", "type": "VocabProperty"}}),
            ),
            (
                json!({"n": {"dataset": {"@none": 1, "urn:d:1": 2}}}),
                json!({"n": [{"type": "Property", "value": 1, "datasetId": "@none"},
                    {"type": "Property", "value": 2, "datasetId": "urn:d:1"}]}),
            ),
            (
                json!({"id": "urn:a:1", "type": ["T"], "scope": "/A", "@context": []}),
                json!({"id": "urn:a:1", "type": ["T"], "scope": "/A", "@context": []}),
            ),
        ];
        for (simplified, normalized) in cases {
            let Value::Object(simplified) = simplified else { panic!("cases are objects") };
            assert_eq!(Value::Object(normalize(simplified)), normalized);
        }
    }
}
