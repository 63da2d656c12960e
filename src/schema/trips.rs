//! Every shipped type through every representation and back; and the quick check beside the
//! thorough one.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::tests::entity_of;
use super::{Model, shipped};
use crate::jsonld::{Context, Document, ParseLimits, shipped_context};
use crate::model::Value as Said;
use crate::model::{
    Attribute, Chapter, DatasetId, Datum, Entity, EntityId, Instance, InstanceId, Name, Number,
    OneOrMany, Recorded, TimeProperty, Timestamp,
};
use crate::query::{Evolution, Line};
use crate::represent::{
    Format, GeoJson, Linked, Reader, Reading, Rendering, TemporalForm, TemporalRendering,
    read_entity, write_entity, write_evolution,
};

/// The contexts that an entity of a model may be read and written with: none, the subject's own,
/// and the city's, which has other terms for some of the names.
fn contexts(subject: &str) -> Vec<Arc<Context>> {
    let own = [shipped_context(subject), shipped_context("mae-moh")];
    own.into_iter().flatten().chain([Context::core()]).collect()
}

fn written(entity: &Entity, rendering: &Rendering, context: &Context) -> Value {
    let mut out = Vec::new();
    let now = Timestamp::from_micros(0);
    write_entity(&mut out, entity, rendering, context, now, &Linked::default());
    serde_json::from_slice(&out).expect("JSON")
}

fn read(json: &Value, context: &Context) -> Entity {
    let text = json.to_string();
    let document = Document::parse(text.as_bytes(), &ParseLimits::default()).expect("JSON");
    read_entity(&document, context).unwrap_or_else(|why| panic!("{why} in {text}"))
}

/// The examples as entities, each also with a second instance and units on what is a number.
fn samples(model: &Model, example: &Value) -> Vec<Entity> {
    let plain = entity_of(model, example);
    let mut rich = plain.clone();
    for (name, attribute) in rich.attributes.iter_mut() {
        let first = attribute.instances()[0].clone();
        let Datum::Property(_) = &first.datum else { continue };
        let mut second = first.clone();
        second.more_mut().dataset = DatasetId::parse("urn:x:other").ok();
        attribute.put(second);
        let first = &mut attribute.instances_mut()[0];
        first.observed_at = Some(Timestamp::from_micros(1_767_225_600_500_000));
        let unit = model.property(name).and_then(|property| property.units.first());
        first.unit = unit.map(|code| Name::intern(code).expect("a name"));
        let note = Attribute::one(Instance::new(Datum::Property("calibrated".into())));
        let note_name = Name::intern("https://example.org/ns#note").expect("a name");
        first.more_mut().attributes.insert(note_name, note);
    }
    vec![plain, rich]
}

#[test]
fn every_shipped_type_survives_every_representation_that_loses_nothing() {
    for shipped in shipped() {
        let model = shipped.model();
        for entity in samples(model, &shipped.example()) {
            for context in contexts(shipped.subject) {
                for format in [Format::Normalized, Format::Concise] {
                    let rendering = Rendering { format, ..Rendering::default() };
                    let text = written(&entity, &rendering, &context);
                    assert_eq!(read(&text, &context), entity, "{} {format:?}", shipped.name);
                    let geojson = Some(GeoJson::default());
                    let rendering = Rendering { format, geojson, ..Rendering::default() };
                    let feature = written(&entity, &rendering, &context);
                    let mut inner = feature["properties"].clone();
                    inner["id"] = feature["id"].clone();
                    assert_eq!(read(&inner, &context), entity, "{} as a Feature", shipped.name);
                    let place = entity.attributes.get(Name::LOCATION).map(|place| {
                        match &place.instances()[0].datum {
                            Datum::GeoProperty(geometry) => geometry.to_json(),
                            _ => Value::Null,
                        }
                    });
                    assert_eq!(feature["geometry"], place.unwrap_or_default(), "{}", shipped.name);
                }
            }
        }
    }
}

/// What history tells of an entity that was always as it is.
fn evolution(entity: &Entity) -> Evolution {
    let recorded = |instance: &Instance| Recorded {
        id: InstanceId::of_foreign("1"),
        foreign: None,
        instance: instance.clone(),
        deleted_at: None,
    };
    let lines = entity.attributes.iter().map(|(name, attribute)| {
        (name, Line::Instances(attribute.instances().iter().map(recorded).collect()))
    });
    Evolution {
        chapter: Chapter {
            id: entity.id.clone(),
            types: entity.types.clone(),
            created_at: entity.created_at,
            modified_at: entity.modified_at,
            deleted_at: None,
            scopes: Vec::new(),
        },
        attributes: lines.collect(),
    }
}

#[test]
fn every_shipped_type_survives_the_representations_of_its_past() {
    let past = |entity: &Entity, form: TemporalForm, context: &Context| -> Value {
        // Not everything says when it was observed.
        let property = TimeProperty::ModifiedAt;
        let looks = TemporalRendering { form, property, ..TemporalRendering::default() };
        let mut out = Vec::new();
        write_evolution(&mut out, &evolution(entity), &looks, context, false);
        serde_json::from_slice(&out).expect("JSON")
    };
    for shipped in shipped() {
        let model = shipped.model();
        for (number, entity) in samples(model, &shipped.example()).iter().enumerate() {
            for context in contexts(shipped.subject) {
                let text = past(entity, TemporalForm::Normalized, &context).to_string();
                let document = Document::parse(text.as_bytes(), &ParseLimits::default());
                let reader = Reader::new(&context, Reading::Whole);
                let (id, told) = reader.chronology(&document.expect("JSON")).expect("a history");
                assert_eq!(id.as_ref(), Some(&entity.id), "{}", shipped.name);
                assert_eq!(told.types, entity.types.as_slice(), "{}", shipped.name);
                assert_eq!(told.attributes.len(), entity.attributes.len(), "{}", shipped.name);
                for (name, instances) in &told.attributes {
                    let own = entity.attributes.get(*name).map(Attribute::instances);
                    assert_eq!(Some(&instances[..]), own, "{} {name}", shipped.name);
                }
                if number > 0 {
                    continue;
                }
                let simplified = Rendering { format: Format::Simplified, ..Rendering::default() };
                let simplified = written(entity, &simplified, &context);
                let values = past(entity, TemporalForm::TemporalValues, &context);
                for (term, value) in simplified.as_object().expect("an object") {
                    if matches!(term.as_str(), "id" | "type") {
                        continue;
                    }
                    let told = values[term].as_object().expect("an attribute");
                    let pairs = told.iter().find_map(|(_, member)| member.as_array());
                    let first = &pairs.expect("values with their times")[0][0];
                    assert_eq!(first, value, "{} {term}", shipped.name);
                }
            }
        }
    }
}

/// Numbers compared by value: 1 and 1.0 are the same.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|two| same(one, two)))
        }
        (one, other) => one == other,
    }
}

#[test]
fn the_simplified_form_of_an_example_is_the_example() {
    for shipped in shipped() {
        let model = shipped.model();
        let example = shipped.example();
        let entity = entity_of(model, &example);
        // The members of values were read without a context, too.
        let context = Context::core();
        let rendering = Rendering { format: Format::Simplified, ..Rendering::default() };
        let text = written(&entity, &rendering, &context);
        let by_term: serde_json::Map<String, Value> = text
            .as_object()
            .expect("an object")
            .iter()
            .map(|(term, value)| {
                let name = context.expand(term).ok().and_then(|name| model.property(name));
                let term = name.map_or(term.clone(), |property| property.term.to_string());
                (term, value.clone())
            })
            .collect();
        let mut expected = example.clone();
        expected["type"] = by_term["type"].clone();
        let found = Value::Object(by_term);
        assert!(same(&found, &expected), "{}:\n{found}\nis not\n{expected}", shipped.name);
        let feature = Rendering {
            format: Format::Simplified,
            geojson: Some(GeoJson::default()),
            ..Rendering::default()
        };
        let feature = written(&entity, &feature, &context);
        assert_eq!(feature["properties"]["type"], text["type"], "{}", shipped.name);
    }
}

#[test]
fn a_usual_entity_is_found_to_be_good_without_the_validator() {
    let mut thorough = Vec::new();
    for shipped in shipped() {
        let model = shipped.model();
        let entity = entity_of(model, &shipped.example());
        if !model.takes_quickly(&entity) {
            thorough.push(shipped.name);
        }
    }
    // Arrays and the like are left to the validator.
    assert!(thorough.len() * 4 <= shipped().len(), "{thorough:?}");
    for usual in ["AirQualityObserved", "WeatherObserved", "WaterObserved"] {
        assert!(!thorough.contains(&usual), "{usual}");
    }
}

/// Values of every sort, good and bad.
fn values() -> impl Strategy<Value = Datum> {
    let text = |text: &str| Datum::Property(Said::from(text));
    let id = |text: &str| EntityId::from_trusted(text);
    prop_oneof![
        (-5.0_f64..400.0).prop_map(|number| Datum::Property(Said::from(number))),
        (-2_i64..400).prop_map(|number| Datum::Property(Said::from(number))),
        Just(Datum::Property(Said::Number(Number::UInt(u64::MAX)))),
        any::<bool>().prop_map(|yes| Datum::Property(Said::Bool(yes))),
        select(vec![
            "",
            "outdoor",
            "2026-03-12T08:00:00Z",
            "2026-02-30T08:00:00Z",
            "2026-03-12T08:00:00+07:00",
            "2026-03-12T24:00:00Z",
            "2026-03-12",
            "urn:x:1",
            "https://a.b/c",
            "https://a.b:x/c",
            "not a uri",
            "http://[",
            "ok",
            "veryPoor",
            "2026-03-12T08:00:00.123456Z",
            "a:",
            "urn:ก",
        ])
        .prop_map(text),
        select(vec!["urn:x:1", "https://a.b/c", "urn:ก", "x:%zz", "a:b c", "http://a b/"])
            .prop_map(move |text| Datum::Relationship(OneOrMany::One(id(text)))),
        Just(Datum::Relationship(OneOrMany::Many(Box::new(vec![
            EntityId::from_trusted("urn:x:1"),
            EntityId::from_trusted("urn:ก:2"),
        ])))),
        Just(Datum::JsonProperty(Box::new(json!({ "a": [1] })))),
        Just(Datum::JsonProperty(Box::new(json!([1])))),
        Just(Datum::Property(Said::Array(Box::new([Said::from(1_i64)])))),
        Just(Datum::Property(Said::Array(Box::new([Said::from("a"), Said::from("urn:x:1")])))),
        Just(Datum::Property(Said::Array(Box::new([Said::from("a"), Said::from(1_i64)])))),
        Just(Datum::Property(Said::Object(Box::new([])))),
        Just(Datum::GeoProperty(Box::new(crate::geo::Geometry::Point(crate::geo::Position {
            lon: 99.0,
            lat: 18.0,
            alt: None,
        })))),
        Just(Datum::VocabProperty(OneOrMany::One(Name::intern("https://a.b/x").expect("a name")))),
        Just(Datum::LanguageProperty(crate::model::LanguageMap(Box::new([(
            "th".into(),
            OneOrMany::One("ฝุ่น".into()),
        )])))),
        Just(Datum::ListProperty(Box::new([Said::from(1_i64)]))),
    ]
}

/// What is done to an example: which attribute, a value, and whether it stands beside the other.
fn changes() -> impl Strategy<Value = Vec<(usize, Option<Datum>, bool)>> {
    proptest::collection::vec((0_usize..64, proptest::option::of(values()), any::<bool>()), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_good_quickly_is_good(
        place in 0..shipped().len(), changes in changes(), id in select(vec!["urn:x:1", "urn:ก", "a:%"]),
    ) {
        let shipped = &shipped()[place];
        let model = shipped.model();
        let mut entity = entity_of(model, &shipped.example());
        entity.id = EntityId::from_trusted(id);
        for (number, value, beside) in changes {
            let property = &model.properties()[number % model.properties().len()];
            match value {
                None => drop(entity.attributes.remove(property.name)),
                Some(value) => {
                    let mut instance = Instance::new(value);
                    match entity.attributes.get_mut(property.name) {
                        Some(attribute) if beside => {
                            instance.more_mut().dataset = DatasetId::parse("urn:x:other").ok();
                            attribute.put(instance);
                        }
                        _ => drop(entity.attributes.insert(property.name, Attribute::one(instance))),
                    }
                }
            }
        }
        let thorough = model.check_thoroughly(&entity);
        if model.takes_quickly(&entity) {
            prop_assert!(thorough.is_empty(), "{}: {:?}", shipped.name, thorough);
        }
        prop_assert_eq!(model.check(&entity).is_empty(), thorough.is_empty());
    }
}
