use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Model, shipped, shipped_for, unit};
use crate::jsonld::{Context, Document, ParseLimits};
use crate::model::{Entity, Kind, Name, Violation};
use crate::represent::{Reader, Reading};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/smart-data-models"))
}

/// An entity in the simplified form as the entity it stands for, by the kinds of the model.
pub(super) fn entity_of(model: &Model, simplified: &Value) -> Entity {
    let mut normalized = serde_json::Map::new();
    for (term, value) in simplified.as_object().expect("an object") {
        if matches!(term.as_str(), "id") {
            normalized.insert(term.clone(), value.clone());
            continue;
        }
        if term == "type" {
            normalized.insert("type".to_owned(), model.type_name.as_str().into());
            continue;
        }
        let property = model.properties().iter().find(|property| *property.term == **term);
        let property = property.unwrap_or_else(|| panic!("{} has no {term}", model.name));
        let kind = property.kind.unwrap_or(Kind::Property);
        let attribute = match value.get("languageMap") {
            Some(map) => json!({ "type": "LanguageProperty", "languageMap": map }),
            None => json!({ "type": kind.term(), kind.value_member(): value }),
        };
        normalized.insert(property.name.as_str().to_owned(), attribute);
    }
    read(&Value::Object(normalized))
}

fn read(normalized: &Value) -> Entity {
    let text = normalized.to_string();
    let document = Document::parse(text.as_bytes(), &ParseLimits::default()).expect("JSON");
    let context = Context::core();
    Reader::new(&context, Reading::Whole).entity(&document).expect("an entity")
}

fn told(violations: &[Violation]) -> Vec<String> {
    violations.iter().map(ToString::to_string).collect()
}

#[test]
fn every_folder_is_a_model() {
    let mut folders = BTreeSet::new();
    for subject in fs::read_dir(root()).expect("the models").map(|entry| entry.expect("entry")) {
        if !subject.path().is_dir() {
            continue;
        }
        for model in fs::read_dir(subject.path()).expect("a subject") {
            let names = [subject.file_name(), model.expect("entry").file_name()];
            folders.insert(names.map(|name| name.into_string().expect("text")));
        }
    }
    let compiled: BTreeSet<_> =
        shipped().iter().map(|shipped| [shipped.subject.into(), shipped.name.into()]).collect();
    assert_eq!(folders, compiled);
}

#[test]
fn every_example_is_as_its_model_says() {
    for shipped in shipped() {
        let model = shipped.model();
        let example = shipped.example();
        assert_eq!(told(&model.check_document(&example)), [""; 0], "{}", shipped.name);
        assert_eq!(told(&model.check(&entity_of(model, &example))), [""; 0], "{}", shipped.name);
    }
}

#[test]
fn every_refused_entity_is_refused_for_the_attribute_it_names() {
    for shipped in shipped() {
        let refused = shipped.refused();
        let violations = shipped.model().check_document(&refused.entity);
        assert!(!violations.is_empty(), "{} takes it", shipped.name);
        for violation in violations {
            assert_eq!(*violation.attribute, *refused.attribute, "{}: {violation}", shipped.name);
            assert!(!violation.expected.contains("what the model says"), "{violation}");
        }
        assert!(refused.why.ends_with('.'), "{}: {}", shipped.name, refused.why);
    }
}

#[test]
fn every_model_has_labels_in_both_languages_and_known_units() {
    for shipped in shipped() {
        let model = shipped.model();
        assert_eq!(&*model.name, shipped.name);
        let labels =
            [&model.labels].into_iter().chain(model.properties().iter().map(|p| &p.labels));
        for labels in labels {
            assert!(labels.contains_key("en") && labels.contains_key("th"), "{}", shipped.name);
        }
        for property in model.properties() {
            for code in &property.units {
                assert!(unit(code).is_some(), "{} {}: {code}", shipped.name, property.term);
            }
        }
    }
}

#[test]
fn a_model_is_found_by_each_of_its_names() {
    for name in [
        "https://smartdatamodels.org/dataModel.Environment/AirQualityObserved",
        "https://uri.etsi.org/ngsi-ld/default-context/AirQualityObserved",
        "https://uri.fiware.org/ns/data-models#AirQualityObserved",
    ] {
        let name = Name::intern(name).expect("a name");
        assert_eq!(shipped_for(name).map(|shipped| shipped.name), Some("AirQualityObserved"));
    }
    assert!(shipped_for(Name::intern("https://example.org/Other").expect("a name")).is_none());
}

#[test]
fn every_violation_says_where_it_is_what_was_expected_and_what_came() {
    let base = "https://smartdatamodels.org/dataModel.Environment/";
    let air = shipped_for(Name::intern(&format!("{base}AirQualityObserved")).expect("a name"));
    let model = air.expect("a model").model();
    let entity = read(&json!({
        "id": "urn:ngsi-ld:AirQualityObserved:1",
        "type": format!("{base}AirQualityObserved"),
        "https://smartdatamodels.org/dateObserved": { "value": "12/03/2569" },
        format!("{base}relativeHumidity"): { "value": 71 },
        format!("{base}pm25"): [
            { "value": 3, "unitCode": "GQ" },
            { "value": -999, "datasetId": "urn:x:low-cost" },
            { "value": 3, "unitCode": "CEL", "datasetId": "urn:x:other" },
        ],
        format!("{base}refDevice"): { "value": "device 1" },
        "location": { "value": { "type": "Point", "coordinates": [99.6, 18.2] } },
        "myOwn": { "value": 1 },
    }));
    let mut found = told(&model.check(&entity));
    found.sort();
    assert_eq!(
        found,
        [
            "dateObserved: expected a moment by ISO 8601 with its offset, like \
         2026-03-12T15:00:00+07:00, received \"12/03/2569\"",
            "pm25 (urn:x:low-cost): expected a number of at least 0, received -999",
            "pm25 (urn:x:other): expected the unit code GQ or GP, received CEL",
            "refDevice: expected Relationship, received Property",
            "refDevice: expected the id of an entity (a URI), or several, received \"device 1\"",
            "relativeHumidity: expected a number from 0 to 1, received 71",
        ]
    );
}

#[test]
fn a_term_that_several_subjects_have_is_the_same_attribute() {
    let weather = Name::intern("https://smartdatamodels.org/dataModel.Weather/WeatherObserved");
    let model = shipped_for(weather.expect("a name")).expect("a model").model();
    let entity = read(&json!({
        "id": "urn:ngsi-ld:WeatherObserved:1",
        "type": model.type_name.as_str(),
        "https://smartdatamodels.org/dateObserved": { "value": "2026-03-12T08:00:00Z" },
        "https://smartdatamodels.org/dataModel.Environment/relativeHumidity": { "value": 48 },
        "location": { "value": { "type": "Point", "coordinates": [99.6, 18.2] } },
    }));
    assert_eq!(
        told(&model.check(&entity)),
        ["relativeHumidity: expected a number from 0 to 1, received 48"]
    );
}

#[test]
fn a_schema_that_cannot_be_used_is_refused_with_the_reason() {
    let read = |schema: Value| Model::read(schema, &Context::core()).map(|_| ()).unwrap_err();
    for (schema, reason) in [
        (json!({}), "title"),
        (json!({ "title": "T", "type": "nonsense" }), "nonsense"),
        (json!({ "title": "T", "properties": { "a": { "pattern": "(" } } }), "regex"),
        (
            json!({ "title": "T", "properties": { "a": { "$ref": "https://example.org/x" } } }),
            "example.org",
        ),
        (json!({ "title": "T", "properties": { "a": { "$ref": "file:///etc/passwd" } } }), "file"),
        (json!({ "title": "T", "properties": { "a": { "x-kind": "Thing" } } }), "Thing"),
        (json!({ "title": "two words" }), "title"),
        (json!({ "title": "T", "type": "array" }), "an entity is an object"),
        (json!({ "title": "T", "type": ["string", "null"] }), "an entity is an object"),
    ] {
        let error = read(schema).to_string();
        assert!(error.contains(reason), "{error} does not say {reason}");
    }
}

#[test]
fn a_model_may_forbid_further_attributes() {
    let schema = json!({
        "title": "Gate",
        "type": "object",
        "properties": { "id": {}, "type": {}, "open": { "type": "boolean" } },
        "required": ["open"],
        "additionalProperties": false,
    });
    let model = Model::read(schema, &Context::core()).expect("a model");
    let gate = |more: Value| {
        let mut entity = json!({ "id": "urn:x:1", "type": "Gate" });
        entity.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("one"));
        told(&model.check(&read(&entity)))
    };
    assert_eq!(gate(json!({ "open": { "value": true } })), [""; 0]);
    assert_eq!(gate(json!({})), ["open: expected true or false, received nothing"]);
    assert_eq!(
        gate(json!({ "open": { "value": true }, "colour": { "value": "red" } })),
        ["colour: expected no such attribute, received \"red\""]
    );
}

#[test]
fn whoever_forbids_further_attributes_need_not_name_id_and_type() {
    for keyword in ["additionalProperties", "unevaluatedProperties"] {
        let mut schema =
            json!({ "title": "Gate", "properties": { "open": { "type": "boolean" } } });
        schema[keyword] = false.into();
        let model = Model::read(schema, &Context::core()).expect("a model");
        let mut gate = json!({ "id": "urn:x:1", "type": "Gate", "open": { "value": true } });
        assert_eq!(told(&model.check(&read(&gate))), [""; 0], "{keyword}");
        gate["colour"] = json!({ "value": "red" });
        assert_eq!(
            told(&model.check(&read(&gate))),
            ["colour: expected no such attribute, received \"red\""]
        );
        let simplified = json!({ "id": "urn:x:1", "type": "Gate", "open": true });
        assert_eq!(told(&model.check_document(&simplified)), [""; 0], "{keyword}");
    }
}

/// References to references, each twice as many as before: a few lines stand for a million parts.
fn doubling(steps: usize, keyword: &str, reference: impl Fn(usize) -> Value) -> Value {
    let mut parts = serde_json::Map::new();
    for step in 0..steps {
        let next = reference(step + 1);
        let part = json!({ "$anchor": format!("part{step}"), keyword: [next.clone(), next] });
        parts.insert(format!("part{step}"), part);
    }
    parts.insert(format!("part{steps}"), json!({ "$anchor": format!("part{steps}") }));
    json!({ "title": "T", "properties": { "default": reference(0) }, "$defs": parts })
}

#[test]
fn a_schema_that_stands_for_too_much_is_refused() {
    let by_path = |step: usize| json!({ "$ref": format!("#/$defs/part{step}") });
    let by_name = |step: usize| json!({ "$ref": format!("#part{step}") });
    let read = |schema: Value| Model::read(schema, &Context::core()).map(|model| model.name);
    for keyword in ["allOf", "anyOf", "oneOf"] {
        assert!(read(doubling(5, keyword, by_path)).is_ok(), "{keyword}");
        for schema in [doubling(40, keyword, by_path), doubling(40, keyword, by_name)] {
            let why = read(schema).expect_err("too much").to_string();
            assert!(why.contains("parts"), "{keyword}: {why}");
        }
    }
}

#[test]
fn a_schema_may_lead_into_itself() {
    let tree = json!({
        "title": "Tree",
        "properties": { "root": { "$ref": "#/$defs/node" } },
        "$defs": { "node": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": { "type": "string" },
                "children": { "type": "array", "items": { "$ref": "#/$defs/node" } },
            },
        } },
    });
    let model = Model::read(tree, &Context::core()).expect("a model");
    let check =
        |root: Value| told(&model.check_document(&json!({ "id": "urn:x:1", "root": root })));
    assert_eq!(check(json!({ "name": "a", "children": [{ "name": "b" }] })), [""; 0]);
    assert_eq!(check(json!({ "name": "a", "children": [{}] })).len(), 1);
    for circle in [
        json!({ "title": "T", "$ref": "#" }),
        json!({ "title": "T", "allOf": [{ "$ref": "#/$defs/a" }],
            "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } }),
    ] {
        let model = Model::read(circle, &Context::core()).expect("it says nothing");
        let entity = json!({ "id": "urn:x:1", "type": "T", "a": { "value": 1 } });
        assert_eq!(told(&model.check(&read(&entity))), [""; 0]);
    }
}
