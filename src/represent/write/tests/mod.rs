mod joins;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::jsonld::{Document, ParseLimits};
use crate::model::{DatasetId, Datum, Kind, Name, Value};
use crate::query::{LanguageFilter, Limits, Projection};
use crate::represent::read_entity;
use crate::represent::samples::{contexts, entities, moment, name, read, user_context, written};

fn with_system_times(format: Format) -> Rendering {
    Rendering { format, sys_attrs: true, ..Rendering::default() }
}

fn in_format(format: Format) -> Rendering {
    Rendering { format, ..Rendering::default() }
}

fn read_back(entity: &Entity, rendering: &Rendering, context: &Context) -> Entity {
    let mut out = Vec::new();
    write_entity(&mut out, entity, rendering, context, moment(0), &Linked::default());
    let text = String::from_utf8(out).expect("UTF-8");
    let document = Document::parse(text.as_bytes(), &ParseLimits::default());
    let document = document.unwrap_or_else(|error| panic!("{error} in {text}"));
    read_entity(&document, context).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn without_expiry(mut entity: Entity) -> Entity {
    fn forget(attributes: &mut Attributes) {
        for (_, attribute) in attributes.iter_mut() {
            for instance in attribute.instances_mut() {
                if let Some(more) = &mut instance.more {
                    more.expires_at = None;
                    forget(&mut more.attributes);
                }
                instance.tidy();
            }
        }
    }
    forget(&mut entity.attributes);
    entity.expires_at = None;
    entity
}

/// The value that a simplified value stands for, read as an instance of the same kind.
fn read_simplified(value: &Json, kind: Kind, context: &Context) -> Datum {
    let wrapped = match kind {
        Kind::LanguageProperty | Kind::VocabProperty | Kind::JsonProperty => value.clone(),
        kind => json!({"type": kind.term(), kind.value_member(): value}),
    };
    let entity = read(json!({"id": "urn:a:1", "type": "T", "a": wrapped}), context);
    let entity = entity.unwrap_or_else(|error| panic!("{error} in {wrapped}"));
    let (_, attribute) = entity.attributes.iter().next().expect("an attribute");
    attribute.instances()[0].datum.clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn normalized_entities_read_back(entity in entities(), context in contexts()) {
        prop_assert_eq!(
            read_back(&entity, &with_system_times(Format::Normalized), &context), entity
        );
    }

    #[test]
    fn concise_entities_read_back(entity in entities(), context in contexts()) {
        prop_assert_eq!(
            &read_back(&entity, &with_system_times(Format::Concise), &context), &entity
        );
        let entity = without_expiry(entity);
        prop_assert_eq!(read_back(&entity, &in_format(Format::Concise), &context), entity);
    }

    #[test]
    fn simplified_values_are_the_values(entity in entities(), context in contexts()) {
        let entity = without_expiry(entity);
        let json = written(&entity, &in_format(Format::Simplified), &context);
        prop_assert_eq!(&json["id"], entity.id.as_str());
        for (name, attribute) in entity.attributes.iter() {
            let shown = &json[context.compact(name).as_ref()];
            for instance in attribute.instances() {
                let value = match attribute.instances() {
                    [_] => shown,
                    _ => &shown["dataset"][instance.dataset().map_or("@none", |id| id.as_str())],
                };
                // What serde_json cannot hold exactly is not compared through it.
                if !format!("{:?}", instance.datum).contains("e") {
                    prop_assert_eq!(&read_simplified(value, instance.kind(), &context), &instance.datum);
                }
            }
        }
    }

    #[test]
    fn features_hold_the_same_attributes(entity in entities(), context in contexts()) {
        for format in [Format::Normalized, Format::Concise, Format::Simplified] {
            let mut plain = written(&entity, &in_format(format), &context);
            let rendering = Rendering { geojson: Some(GeoJson::default()), ..in_format(format) };
            let feature = written(&entity, &rendering, &context);
            let id = plain.as_object_mut().and_then(|members| members.shift_remove("id"));
            prop_assert_eq!(Some(&feature["id"]), id.as_ref());
            prop_assert_eq!(&feature["properties"], &plain);
            prop_assert_eq!(&feature["type"], "Feature");
            let location = entity.attributes.get(Name::LOCATION);
            prop_assert_eq!(feature["geometry"].is_null(), location.is_none());
        }
    }
}

/// One attribute of each kind, in the context of [`user_context`].
fn sample() -> Entity {
    read(
        json!({
            "id": "urn:a:1", "type": ["Vehicle", "Car"], "scope": ["/A", "/B"],
            "expiresAt": "2100-01-01T00:00:00Z",
            "speed": {"value": 50.5, "unitCode": "KMH", "observedAt": "2026-01-01T00:00:00Z", "source": {"value": "GPS"}},
            "almostFull": [{"value": true}, {"value": false, "datasetId": "urn:d:1"}],
            "address": {"value": {"type": "Address", "city": "ลำปาง"}},
            "madeOn": {"value": {"@type": "DateTime", "@value": "2026-01-31T12:00:00Z"}},
            "place": {"type": "Point", "coordinates": [99.5, 18]},
            "isParked": {"object": "urn:b:1", "objectType": "Vehicle"},
            "brand": {"languageMap": {"th": "ก", "en": ["a", "b"]}},
            "category": {"vocab": ["brand", "https://third.example/x"], "valueType": "Vehicle"},
            "list": {"valueList": [1, "x"]},
            "route": {"objectList": ["urn:b:1", "urn:b:2"]},
            "raw": {"json": {"brand": null}, "expiresAt": "2100-01-01T00:00:00Z"}
        }),
        &user_context(),
    )
    .expect("an entity")
}

fn check(rendering: &Rendering, expected: Expect) {
    let mut out = Vec::new();
    let context = user_context();
    write_entity(&mut out, &sample(), rendering, &context, moment(0), &Linked::default());
    let json: Json = serde_json::from_slice(&out).expect("JSON");
    let members = json.as_object().expect("an object").iter();
    let lines: Vec<String> = members.map(|(key, value)| format!("{key} {value}\n")).collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn every_kind_has_its_normalized_form() {
    check(
        &in_format(Format::Normalized),
        expect![[r#"
        id "urn:a:1"
        type ["Vehicle","Car"]
        scope ["/A","/B"]
        speed {"type":"Property","value":50.5,"unitCode":"KMH","observedAt":"2026-01-01T00:00:00Z","source":{"type":"Property","value":"GPS"}}
        almostFull [{"type":"Property","value":true},{"type":"Property","value":false,"datasetId":"urn:d:1"}]
        address {"type":"Property","value":{"type":"Address","city":"ลำปาง"}}
        madeOn {"type":"Property","value":{"type":"DateTime","@value":"2026-01-31T12:00:00Z"}}
        place {"type":"GeoProperty","value":{"type":"Point","coordinates":[99.5,18]}}
        isParked {"type":"Relationship","object":"urn:b:1","objectType":"Vehicle"}
        brand {"type":"LanguageProperty","languageMap":{"th":"ก","en":["a","b"]}}
        category {"type":"VocabProperty","vocab":["brand","https://third.example/x"],"valueType":"Vehicle"}
        list {"type":"ListProperty","valueList":[1,"x"]}
        route {"type":"ListRelationship","objectList":[{"object":"urn:b:1"},{"object":"urn:b:2"}]}
        raw {"type":"JsonProperty","json":{"brand":null}}
    "#]],
    );
}

#[test]
fn every_kind_has_its_concise_form() {
    check(
        &in_format(Format::Concise),
        expect![[r#"
        id "urn:a:1"
        type ["Vehicle","Car"]
        scope ["/A","/B"]
        speed {"value":50.5,"unitCode":"KMH","observedAt":"2026-01-01T00:00:00Z","source":"GPS"}
        almostFull [{"value":true},{"value":false,"datasetId":"urn:d:1"}]
        address {"value":{"type":"Address","city":"ลำปาง"}}
        madeOn {"value":{"type":"DateTime","@value":"2026-01-31T12:00:00Z"}}
        place {"type":"Point","coordinates":[99.5,18]}
        isParked {"object":"urn:b:1","objectType":"Vehicle"}
        brand {"languageMap":{"th":"ก","en":["a","b"]}}
        category {"vocab":["brand","https://third.example/x"],"valueType":"Vehicle"}
        list {"valueList":[1,"x"]}
        route {"objectList":["urn:b:1","urn:b:2"]}
        raw {"json":{"brand":null}}
    "#]],
    );
}

#[test]
fn every_kind_has_its_simplified_form() {
    check(
        &in_format(Format::Simplified),
        expect![[r#"
        id "urn:a:1"
        type ["Vehicle","Car"]
        scope ["/A","/B"]
        speed 50.5
        almostFull {"dataset":{"@none":true,"urn:d:1":false}}
        address {"type":"Address","city":"ลำปาง"}
        madeOn {"type":"DateTime","@value":"2026-01-31T12:00:00Z"}
        place {"type":"Point","coordinates":[99.5,18]}
        isParked "urn:b:1"
        brand {"languageMap":{"th":"ก","en":["a","b"]}}
        category {"vocab":["brand","https://third.example/x"]}
        list [1,"x"]
        route ["urn:b:1","urn:b:2"]
        raw {"json":{"brand":null}}
    "#]],
    );
}

#[test]
fn system_times_are_shown_where_they_are_asked_for() {
    let mut entity = read(
        json!({
            "id": "urn:a:1", "type": "T", "expiresAt": "2100-01-01T00:00:00Z",
            "speed": {"value": 1, "expiresAt": "2100-01-01T00:00:00Z", "source": {"value": 2}}
        }),
        &Context::core(),
    )
    .expect("an entity");
    (entity.created_at, entity.modified_at) = (moment(1), moment(2));
    let json = written(&entity, &with_system_times(Format::Normalized), &Context::core());
    // Nobody set those of the attribute.
    assert_eq!(json["speed"]["source"], json!({"type": "Property", "value": 2}));
    assert_eq!(json["createdAt"], json!(moment(1).to_string()));
    assert_eq!(json["speed"]["expiresAt"], "2100-01-01T00:00:00Z");
    assert_eq!(json["expiresAt"], "2100-01-01T00:00:00Z");
    let json = written(&entity, &with_system_times(Format::Simplified), &Context::core());
    assert_eq!(json["speed"], 1);
    assert_eq!(json["modifiedAt"], json!(moment(2).to_string()));
    let json = written(&entity, &Rendering::default(), &Context::core());
    assert!(!json.to_string().contains("expiresAt"));
}

#[test]
fn what_has_expired_is_not_there() {
    let entity = read(
        json!({
            "id": "urn:a:1", "type": "T",
            "gone": {"value": 1, "expiresAt": "2025-01-01T00:00:00Z"},
            "left": [{"value": 1, "expiresAt": "2025-01-01T00:00:00Z"}, {"value": 2, "datasetId": "urn:d:1"}],
            "whole": {"value": 1, "sub": {"value": 2, "expiresAt": "2025-01-01T00:00:00Z"}}
        }),
        &Context::core(),
    )
    .expect("an entity");
    assert_eq!(
        written(&entity, &in_format(Format::Concise), &Context::core()),
        json!({
            "id": "urn:a:1", "type": "T",
            "left": {"value": 2, "datasetId": "urn:d:1"}, "whole": {"value": 1}
        })
    );
}

#[test]
fn datasets_are_chosen() {
    let ids = |json: &Json| {
        json.as_object().expect("an object").keys().cloned().collect::<Vec<_>>().join(" ")
    };
    let dataset = |id: &str| Some(DatasetId::parse(id).expect("a URI"));
    let choose = |datasets| {
        let rendering = Rendering { datasets, ..in_format(Format::Concise) };
        written(&sample(), &rendering, &user_context())
    };
    let json = choose(vec![dataset("urn:d:1")]);
    assert_eq!(ids(&json), "id type scope almostFull");
    assert_eq!(json["almostFull"], json!({"value": false, "datasetId": "urn:d:1"}));
    let json = choose(vec![None]);
    assert_eq!(json["almostFull"], true);
    assert_eq!(json["speed"]["source"], "GPS");
    assert!(choose(vec![None, dataset("urn:d:1")])["almostFull"].is_array());
}

#[test]
fn languages_are_chosen() {
    let rendering = |format, lang: &str| Rendering {
        lang: Some(LanguageFilter::parse(lang, &Limits::default()).expect("languages")),
        ..in_format(format)
    };
    let brand =
        |rendering: &Rendering| written(&sample(), rendering, &user_context())["brand"].clone();
    assert_eq!(
        brand(&rendering(Format::Normalized, "th")),
        json!({"type": "Property", "value": "ก", "lang": "th"})
    );
    assert_eq!(
        brand(&rendering(Format::Concise, "en-GB")),
        json!({"value": ["a", "b"], "lang": "en"})
    );
    assert_eq!(brand(&rendering(Format::Simplified, "th")), "ก");
}

fn project(pick: Option<&str>, omit: Option<&str>, context: &Context) -> Projection {
    Projection::parse(pick, omit, None, context, &Limits::default()).expect("a projection")
}

#[test]
fn members_are_picked_and_omitted() {
    let context = user_context();
    let keys = |pick, omit, sys_attrs| {
        let projection = project(pick, omit, &context);
        let rendering = Rendering { projection, sys_attrs, ..Rendering::default() };
        let mut out = Vec::new();
        let written =
            write_entity(&mut out, &sample(), &rendering, &context, moment(0), &Linked::default());
        let json: Json = serde_json::from_slice(&out).expect("JSON");
        let keys: Vec<_> = json.as_object().expect("an object").keys().cloned().collect();
        (keys.join(" "), written.empty)
    };
    assert_eq!(keys(Some("id,brand"), None, false), ("id brand".into(), false));
    assert_eq!(keys(Some("scope,type"), None, false), ("type scope".into(), false));
    assert_eq!(keys(Some("unknown"), None, false), (String::new(), true));
    assert_eq!(keys(Some("unknown"), None, true), ("expiresAt".into(), true));
    let omitted =
        "id,type,scope,speed,almostFull,address,madeOn,place,isParked,brand,category,list,route";
    assert_eq!(keys(None, Some(omitted), false), ("raw".into(), false));
}

#[test]
fn a_feature_takes_its_geometry_from_a_geoproperty() {
    let context = user_context();
    let place = |json: Json, rendering: Rendering| {
        let entity =
            read(json!({"id": "urn:a:1", "type": "T", "location": json, "speed": 5}), &context);
        written(&entity.expect("an entity"), &rendering, &context)
    };
    let geojson = |property| Rendering {
        geojson: Some(GeoJson { geometry_property: property }),
        ..in_format(Format::Concise)
    };
    let point = |x: i32| json!({"type": "Point", "coordinates": [x, 2]});
    let at = |x: i32, id: &str| json!({"value": point(x), "datasetId": id});
    assert_eq!(
        place(point(1), geojson(Some(Name::LOCATION))),
        json!({
            "id": "urn:a:1", "type": "Feature", "geometry": point(1),
            "properties": {"type": "T", "location": point(1), "speed": 5}
        })
    );
    let several = json!([at(1, "urn:d:1"), at(2, "@none"), at(3, "urn:d:3")]);
    assert_eq!(place(several.clone(), geojson(Some(Name::LOCATION)))["geometry"], point(2));
    let chosen = Rendering {
        datasets: vec![Some(DatasetId::parse("urn:d:3").expect("a URI"))],
        ..geojson(Some(Name::LOCATION))
    };
    assert_eq!(place(several, chosen)["geometry"], point(3));
    let speed = context.expand("speed").expect("a name");
    assert_eq!(place(point(1), geojson(Some(speed)))["geometry"], Json::Null);
    assert_eq!(place(point(1), geojson(None))["geometry"], Json::Null);
    let undecided = json!([at(1, "urn:d:1"), at(3, "urn:d:3")]);
    assert_eq!(place(undecided, geojson(Some(Name::LOCATION)))["geometry"], Json::Null);
}

#[test]
fn older_versions_get_what_they_know() {
    let context = user_context();
    let write = |version: &str, format, sys_attrs| {
        let version = Some(version.parse().expect("a version"));
        let rendering = Rendering { version, sys_attrs, ..in_format(format) };
        let mut out = Vec::new();
        let written =
            write_entity(&mut out, &sample(), &rendering, &context, moment(0), &Linked::default());
        (serde_json::from_slice::<Json>(&out).expect("JSON"), written.altered)
    };
    let plain = written(&sample(), &Rendering::default(), &context);
    for version in ["1.9", "1.9.1", "2.0", "1.10"] {
        assert_eq!(write(version, Format::Normalized, false), (plain.clone(), false), "{version}");
    }
    let (json, altered) = write("1.8", Format::Normalized, true);
    assert!(altered && !json.to_string().contains("expiresAt"));
    assert_eq!(json["category"].get("valueType"), None);
    assert_eq!(json["category"]["type"], "VocabProperty");

    let (json, altered) = write("1.5", Format::Normalized, false);
    assert!(altered);
    assert_eq!(
        json["category"],
        json!({"type": "Property", "value": ["brand", "https://third.example/x"]})
    );
    assert_eq!(json["raw"], json!({"type": "Property", "value": {"brand": null}}));
    assert_eq!(json["list"], json!({"type": "Property", "value": [1, "x"]}));
    assert_eq!(json["route"], json!({"type": "Relationship", "object": ["urn:b:1", "urn:b:2"]}));
    assert_eq!(json["isParked"], json!({"type": "Relationship", "object": "urn:b:1"}));
    assert_eq!(json["brand"]["type"], "LanguageProperty");
    assert!(json["scope"].is_array());

    let (json, _) = write("1.3", Format::Concise, false);
    assert_eq!(json["brand"], json!({"type": "Property", "value": {"th": "ก", "en": ["a", "b"]}}));
    assert_eq!(json.get("scope"), None);
    assert_eq!(json["speed"]["unitCode"], "KMH");

    let (json, _) = write("1.2", Format::Normalized, false);
    assert_eq!(json["type"], "Vehicle");
    assert_eq!(json["almostFull"], json!({"type": "Property", "value": true}));
    assert_eq!(json["speed"]["source"], json!({"type": "Property", "value": "GPS"}));
    assert_eq!((json["speed"].get("unitCode"), json["speed"].get("observedAt")), (None, None));

    let (json, _) = write("1.3", Format::Simplified, false);
    assert_eq!(json["category"], json!(["brand", "https://third.example/x"]));
    assert_eq!(json["raw"], json!({"brand": null}));
    assert_eq!(json["brand"], json!({"th": "ก", "en": ["a", "b"]}));
    for bad in ["", "1", "1.x", "1.9.1.2", "-1.9", "1.9.x"] {
        assert!(bad.parse::<SpecVersion>().is_err(), "{bad}");
    }
}

fn joined(form: JoinForm, level: u32, format: Format, pick: Option<&str>) -> Rendering {
    Rendering {
        join: Some(Join { level, ..Join::new(form) }),
        projection: project(pick, None, &Context::core()),
        ..in_format(format)
    }
}

#[test]
fn fragments_are_kept_for_those_who_ask_alike() {
    let (core, user) = (Context::core(), user_context());
    let stored = Stored::new(without_expiry(sample()));
    let body = |rendering: &Rendering, context: &Context| {
        let mut out = Vec::new();
        Renderer::new(rendering, context, moment(0)).stored(&mut out, &stored);
        out
    };
    let concise = in_format(Format::Concise);
    let first = body(&concise, &core);
    assert!(concise.look(core.id()).and_then(|look| stored.rendered.get(look)).is_some());
    assert_eq!(body(&concise, &core), first);
    assert_ne!(body(&concise, &user), first);
    assert_ne!(body(&in_format(Format::Normalized), &core), body(&concise, &core));
    let variants = [
        concise.clone(),
        Rendering { sys_attrs: true, ..concise.clone() },
        Rendering { datasets: vec![None], ..concise.clone() },
        Rendering { geojson: Some(GeoJson::default()), ..concise.clone() },
        Rendering { projection: project(Some("brand"), None, &core), ..concise.clone() },
        Rendering { projection: project(None, Some("brand"), &core), ..concise.clone() },
        Rendering { lang: LanguageFilter::parse("th", &Limits::default()).ok(), ..concise.clone() },
    ];
    let mut looks: Vec<_> = variants.iter().map(|rendering| rendering.look(1)).collect();
    looks.push(concise.look(2));
    let distinct: std::collections::HashSet<_> = looks.iter().collect();
    assert_eq!(distinct.len(), looks.len());
    let joined = joined(JoinForm::Inline, 1, Format::Concise, None);
    assert_eq!(joined.look(1), None);

    let transient = Stored::new(sample());
    Renderer::new(&concise, &core, moment(0)).stored(&mut Vec::new(), &transient);
    assert_eq!(transient.rendered.size(), 0);
}

#[test]
fn what_was_kept_under_one_context_serves_readers_under_another() {
    let (core, user) = (Context::core(), user_context());
    let body = |rendering: &Rendering, context: &Context, stored: &Stored| {
        let mut out = b"[".to_vec();
        Renderer::new(rendering, context, moment(0)).stored(&mut out, stored);
        String::from_utf8(out).expect("JSON is UTF-8")
    };
    for format in [Format::Normalized, Format::Concise, Format::Simplified] {
        for rendering in [
            in_format(format),
            Rendering { sys_attrs: true, ..in_format(format) },
            Rendering { geojson: Some(GeoJson::default()), ..in_format(format) },
            Rendering { projection: project(None, Some("brand"), &core), ..in_format(format) },
        ] {
            let stored = Stored::new(without_expiry(sample()));
            for context in [&core, &user, &user, &core, &user, &core, &core] {
                let anew = Stored::new(without_expiry(sample()));
                let expected = body(&rendering, context, &anew);
                assert_eq!(body(&rendering, context, &stored), expected, "{rendering:?}");
            }
            // Whether the address says its type depends on what the context calls that type.
            let respelled =
                stored.rendered.kept().as_ref().is_some_and(|kept| kept.names.is_some());
            assert_eq!(respelled, format != Format::Concise, "{rendering:?}");
        }
    }
}

#[test]
fn what_else_depends_on_the_context_is_written_anew() {
    // Only under a context that calls its type so is the value taken for a geometry.
    let point = Context::local(
        &Document::parse(br#"{"Point": "https://example.org/ns#Dot"}"#, &ParseLimits::default())
            .expect("JSON"),
    )
    .expect("a context");
    let core = Context::core();
    let entity = read(
        json!({"id": "urn:a:1", "type": "A", "a": {
            "type": "Property",
            "value": {"type": "https://example.org/ns#Dot", "x": 1}
        }}),
        &core,
    )
    .expect("an entity");
    let concise = in_format(Format::Concise);
    for contexts in [[&core, &point], [&point, &core]] {
        let stored = Stored::new(entity.clone());
        for context in contexts {
            let (mut out, mut anew) = (Vec::new(), Vec::new());
            let renderer = Renderer::new(&concise, context, moment(0));
            renderer.stored(&mut out, &stored);
            renderer.entity(&mut anew, &entity);
            assert_eq!(out, anew, "{}", String::from_utf8_lossy(&anew));
        }
    }
}

#[test]
fn names_are_written_as_the_context_writes_them() {
    let entity = read(
        json!({
            "id": "urn:a:1", "type": "https://example.org/ns#Vehicle",
            "https://example.org/ns#brand": {"value": {"https://other.example/x/y": 1, "almostFull": 2}},
            "almostFull": true
        }),
        &Context::core(),
    )
    .expect("an entity");
    assert_eq!(
        written(&entity, &in_format(Format::Concise), &user_context()),
        json!({
            "id": "urn:a:1", "type": "Vehicle", "brand": {"ex:y": 1, "ngsi-ld:default-context/almostFull": 2},
            "ngsi-ld:default-context/almostFull": true
        })
    );
    let value = Value::from(name("urn:x:never").as_str());
    assert_eq!(value, Value::from("urn:x:never"));
}
