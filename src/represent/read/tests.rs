use expect_test::{Expect, expect};
use serde_json::{Value as Json, json};

use super::*;
use crate::model::{Action, Applied, Datum, InstanceEdit, Kind, Number, Value, Write};
use crate::represent::samples::{document, moment, name, read, user_context, written};
use crate::represent::{Format, Rendering};

/// An entity with one attribute, `a`.
fn with(attribute: Json) -> Json {
    json!({"id": "urn:a:1", "type": "T", "a": attribute})
}

/// The instance that the attribute `a` of a new entity gets.
fn instance(attribute: Json) -> crate::model::Instance {
    let entity = read(with(attribute.clone()), &Context::core());
    let entity = entity.unwrap_or_else(|error| panic!("{error} in {attribute}"));
    let (_, attribute) = entity.attributes.iter().next().expect("an attribute");
    attribute.instances()[0].clone()
}

/// What is wrong with a whole entity.
fn refuse(entity: Json, expected: Expect) {
    match read(entity.clone(), &Context::core()) {
        Ok(_) => panic!("{entity} was taken"),
        Err(error) => expected.assert_eq(&error.to_string()),
    }
}

#[test]
fn concise_input_is_what_it_looks_like() {
    let point = json!({"type": "Point", "coordinates": [99.7, 18.3]});
    for (attribute, kind) in [
        (json!(5), Kind::Property),
        (json!("x"), Kind::Property),
        (json!([1, 2]), Kind::Property),
        (json!([]), Kind::Property),
        (json!({"city": "ลำปาง"}), Kind::Property),
        (json!([{"city": "a"}, {"city": "b"}]), Kind::Property),
        (json!({"value": {"type": "Address", "city": "x"}}), Kind::Property),
        (json!({"value": 1, "observedAt": "2026-01-31T12:00:00Z"}), Kind::Property),
        (json!({"value": {"@type": "DateTime", "@value": "2026-01-31T12:00:00Z"}}), Kind::Property),
        (json!({"type": "Property", "value": point}), Kind::Property),
        (point.clone(), Kind::GeoProperty),
        (json!({"value": point}), Kind::GeoProperty),
        (json!({"object": "urn:b:1"}), Kind::Relationship),
        (json!({"object": ["urn:b:1", "urn:b:2"]}), Kind::Relationship),
        (json!({"languageMap": {"th": "ก", "@none": ["a", "b"]}}), Kind::LanguageProperty),
        (json!({"vocab": "good"}), Kind::VocabProperty),
        (json!({"vocab": ["good", "https://example.org/bad"]}), Kind::VocabProperty),
        (json!({"valueList": [1, "x", {"a": 1}]}), Kind::ListProperty),
        (json!({"objectList": ["urn:b:1", {"object": "urn:b:2"}]}), Kind::ListRelationship),
        (json!({"json": {"type": "raw", "none": null, "@context": 1}}), Kind::JsonProperty),
        (
            json!({"type": "https://uri.etsi.org/ngsi-ld/VocabProperty", "vocab": "a"}),
            Kind::VocabProperty,
        ),
        (json!({"@type": "ngsi-ld:Relationship", "object": "urn:b:1"}), Kind::Relationship),
        (json!({"https://uri.etsi.org/ngsi-ld/hasObject": "urn:b:1"}), Kind::Relationship),
        (json!({"ngsi-ld:hasJSON": []}), Kind::JsonProperty),
    ] {
        assert_eq!(instance(attribute.clone()).kind(), kind, "{attribute}");
    }
}

#[test]
fn core_geometries_are_geoproperties_however_they_are_sent() {
    for location in [
        json!({"type": "Point", "coordinates": [1, 2]}),
        json!("{\"type\": \"Point\", \"coordinates\": [1, 2]}"),
        json!({"value": "{\"type\":\"Point\",\"coordinates\":[1,2]}"}),
        json!({"type": "GeoProperty", "value": {"@type": "Point", "coordinates": [1, 2], "bbox": [1, 2, 1, 2]}}),
    ] {
        let entity =
            read(json!({"id": "urn:a:1", "type": "T", "location": location}), &Context::core())
                .expect("a location");
        let location = entity.attributes.get(Name::LOCATION).expect("it is there");
        assert_eq!(location.instances()[0].kind(), Kind::GeoProperty);
    }
}

#[test]
fn a_value_member_names_an_attribute_only_where_it_says_that_it_is_one() {
    let named = |key: &str, attribute: Json| {
        let context = Context::core();
        let entity = read(json!({"id": "urn:a:1", "type": "T", key: attribute}), &context).ok()?;
        let (name, _) = entity.attributes.iter().next()?;
        Some(name.as_str())
    };
    let stated = json!({"type": "Property", "value": 1});
    assert_eq!(named("vocab", stated.clone()), Some("https://uri.etsi.org/ngsi-ld/hasVocab"));
    assert_eq!(
        named("ngsi-ld:hasValue", stated.clone()),
        Some("https://uri.etsi.org/ngsi-ld/hasValue")
    );
    assert_eq!(named("value", json!(5)), None);
    assert_eq!(named("object", json!({"object": "urn:b:1"})), None);
    assert_eq!(named("json", stated), None);
}

#[test]
fn members_of_an_attribute_are_read() {
    let context = user_context();
    let entity = read(
        with(json!({
            "value": 21.50, "unitCode": "CEL", "observedAt": "2026-01-31T12:00:00.5Z",
            "expiresAt": "2027-01-01T00:00:00Z", "datasetId": "urn:d:1", "valueType": "brand",
            "brand": {"vocab": "Vehicle", "almostFull": true},
            "createdAt": "then", "modifiedAt": 5, "instanceId": null, "lang": "th"
        })),
        &context,
    )
    .expect("an attribute with every member");
    let a = name("https://uri.etsi.org/ngsi-ld/default-context/a");
    let instance = &entity.attributes.get(a).expect("a").instances()[0];
    assert_eq!(instance.datum, Datum::Property(Value::Number(Number::Float(21.5))));
    assert_eq!(instance.unit, Some(name("CEL")));
    assert_eq!(instance.observed_at, Some("2026-01-31T12:00:00.500Z".parse().expect("a time")));
    assert_eq!(instance.expires_at(), Some("2027-01-01T00:00:00Z".parse().expect("a time")));
    assert_eq!(instance.dataset().map(|id| id.as_str()), Some("urn:d:1"));
    assert_eq!(instance.value_type(), Some(name("https://example.org/ns#brand")));
    let brand = instance.attributes().get(name("https://example.org/ns#brand")).expect("brand");
    assert_eq!(
        brand.instances()[0].datum,
        Datum::VocabProperty(OneOrManyName::One(name("https://example.org/ns#Vehicle")))
    );
    assert_eq!(brand.instances()[0].attributes().len(), 1);
    let related = instance_of_relationship();
    assert_eq!(related.object_types().len(), 2);
}

type OneOrManyName = crate::model::OneOrMany<Name>;

fn instance_of_relationship() -> crate::model::Instance {
    instance(json!({"object": "urn:b:1", "objectType": ["B", "C"], "entity": {"id": 5}}))
}

#[test]
fn instances_are_told_apart_by_their_datasets() {
    let entity = read(
        with(
            json!([{"value": 1, "datasetId": "@none"}, {"value": 2, "datasetId": "urn:d:1"}, 3])
                .as_array()
                .map(|all| json!(all[..2]))
                .expect("an array"),
        ),
        &Context::core(),
    )
    .expect("two instances");
    let (_, attribute) = entity.attributes.iter().next().expect("an attribute");
    assert_eq!(attribute.instances().len(), 2);
    assert_eq!(attribute.instances()[0].dataset(), None);
    refuse(
        with(json!([{"value": 1}, {"value": 2, "datasetId": "@none"}])),
        expect!["$.a[1]: another instance has no datasetId either: only one may be the default"],
    );
    refuse(
        with(json!([{"value": 1, "datasetId": "urn:d:1"}, {"value": 2, "datasetId": "urn:d:1"}])),
        expect!["$.a[1]: another instance has the datasetId urn:d:1 too"],
    );
    refuse(
        with(json!([{"value": 1, "datasetId": "d"}])),
        expect![[
            r#"$.a[0].datasetId: "d" is not a URI: it has no scheme, like urn: or https:; or write "@none""#
        ]],
    );
    refuse(
        with(json!({"value": 1, "datasetId": "urn:ngsi-ld:null"})),
        expect![[r#"$.a.datasetId: a datasetId cannot be deleted by "urn:ngsi-ld:null""#]],
    );
}

#[test]
fn entities_say_who_and_what_they_are() {
    let context = user_context();
    let entity = read(
        json!({
            "@id": "urn:a:1", "@type": ["Vehicle", "https://example.org/ns#Vehicle", "Car"],
            "scope": ["/A/B", "C"], "expiresAt": "2030-01-01T00:00:00Z",
            "createdAt": "ignored", "modifiedAt": 1, "deletedAt": null,
            "@context": "dealt with before"
        }),
        &context,
    )
    .expect("an entity");
    let car = name("https://uri.etsi.org/ngsi-ld/default-context/Car");
    assert_eq!(entity.types.as_slice(), [name("https://example.org/ns#Vehicle"), car]);
    assert_eq!(entity.scopes.len(), 2);
    assert!(entity.expires_at.is_some());

    refuse(json!([]), expect!["$: an entity is a JSON object, not an array"]);
    refuse(json!({"type": "T"}), expect!["$.id: the entity has no id: give it a URI"]);
    refuse(
        json!({"id": "urn:a:1"}),
        expect!["$.type: the entity has no type: give it one or more"],
    );
    refuse(
        json!({"id": "a", "type": "T"}),
        expect![[r#"$.id: "a" is not a URI: it has no scheme, like urn: or https:"#]],
    );
    refuse(
        json!({"id": 5, "type": "T"}),
        expect!["$.id: expected a string that is a URI, not a number"],
    );
    refuse(
        json!({"id": "urn:ngsi-ld:null", "type": "T"}),
        expect!["$.id: an entity cannot have the NGSI-LD Null as its id"],
    );
    refuse(
        json!({"id": "urn:a:1", "@id": "urn:a:1", "type": "T"}),
        expect![[r#"$["@id"]: the entity has two ids"#]],
    );
    refuse(
        json!({"id": "urn:a:1", "type": "9T"}),
        expect![[
            r#"$.type: "9T" cannot be a name: begin with a letter and use letters, digits and _, perhaps after a prefix and a colon, or write a full IRI"#
        ]],
    );
    refuse(
        json!({"id": "urn:a:1", "type": "type"}),
        expect!["$.type: type is a member of the core @context and cannot be a type"],
    );
    refuse(
        json!({"id": "urn:a:1", "type": []}),
        expect!["$.type: expected the name of a type, or an array of names, not an empty array"],
    );
    refuse(
        json!({"id": "urn:a:1", "type": ["T", null]}),
        expect![[
            r#"$.type[1]: null is no value in NGSI-LD; expected the name of a type, or the string "urn:ngsi-ld:null" where something is to be deleted"#
        ]],
    );
    refuse(
        json!({"id": "urn:a:1", "type": "T", "scope": "urn:ngsi-ld:null"}),
        expect!["$.scope: an NGSI-LD Null deletes, and this operation deletes nothing"],
    );
    refuse(
        json!({"id": "urn:a:1", "type": "T", "scope": ["/A", "9b"]}),
        expect![[
            r#"$.scope[1]: "9b" is not a scope: write levels of letters, digits and _ after slashes, each beginning with a letter, like /MaeMoh/Air"#
        ]],
    );
    refuse(
        json!({"id": "urn:a:1", "type": "T", "scope": {"value": "/A"}}),
        expect!["$.scope: expected a scope like /MaeMoh/Air, not an object"],
    );
    refuse(
        json!({"id": "urn:a:1", "type": "T", "expiresAt": "soon"}),
        expect![[
            r#"$.expiresAt: "soon" is not a DateTime: write it like 2026-01-31T12:00:00Z, in UTC, with at most six decimals"#
        ]],
    );
}

#[test]
fn names_of_attributes_have_rules() {
    let named = |key: &str| json!({"id": "urn:a:1", "type": "T", key: {"value": 1}});
    refuse(
        named("my attr"),
        expect![[
            r#"$["my attr"]: "my attr" cannot be a name: begin with a letter and use letters, digits and _, perhaps after a prefix and a colon, or write a full IRI"#
        ]],
    );
    refuse(
        named("datasetId"),
        expect![
            "$.datasetId: datasetId is a member of the core @context and cannot be the name of an attribute"
        ],
    );
    refuse(
        named("observedAt"),
        expect![
            "$.observedAt: observedAt is a member of the core @context and cannot be the name of an attribute"
        ],
    );
    refuse(
        named("https://uri.etsi.org/ngsi-ld/unitCode"),
        expect![[
            r#"$["https://uri.etsi.org/ngsi-ld/unitCode"]: the core @context uses this name for a member that is no attribute"#
        ]],
    );
    refuse(
        named("previousValue"),
        expect![
            "$.previousValue: previousValue is a member of the core @context and cannot be the name of an attribute"
        ],
    );
    refuse(
        named("instanceId"),
        expect![
            "$.instanceId: instanceId is a member of the core @context and cannot be the name of an attribute"
        ],
    );
    refuse(
        named("@graph"),
        expect![[
            r#"$["@graph"]: "@graph" cannot be a name: begin with a letter and use letters, digits and _, perhaps after a prefix and a colon, or write a full IRI"#
        ]],
    );
    refuse(
        json!({
            "id": "urn:a:1", "type": "T", "a": 1,
            "https://uri.etsi.org/ngsi-ld/default-context/a": 2
        }),
        expect!["$: two members both mean https://uri.etsi.org/ngsi-ld/default-context/a"],
    );
    for good in ["ฝุ่น", "a_1", "ngsi-ld:a", "https://example.org/a", "status", "name", "data"]
    {
        assert!(read(named(good), &Context::core()).is_ok(), "{good}");
    }
}

#[test]
fn an_attribute_has_one_value_of_its_kind() {
    refuse(with(json!({"type": "Property"})), expect![[r#"$.a: the attribute has no "value""#]]);
    refuse(
        with(json!({"type": "Relationship", "value": 1})),
        expect![[r#"$.a: the value of a Relationship stands in "object", not in "value""#]],
    );
    refuse(
        with(json!({"type": "Property", "value": 1, "object": "urn:b:1"})),
        expect![[r#"$.a: an attribute has one value: "value" and "object" exclude each other"#]],
    );
    refuse(
        with(json!({"valueList": [1], "value": 3})),
        expect![[r#"$.a: an attribute has one value: "valueList" and "value" exclude each other"#]],
    );
    refuse(
        with(json!({"type": "Properly", "value": 1})),
        expect![[
            r#"$.a.type: the type of an attribute is one of Property, GeoProperty, Relationship, LanguageProperty, VocabProperty, ListProperty, ListRelationship, JsonProperty; a value that has a type of its own is written {"value": {…}}"#
        ]],
    );
    refuse(
        with(json!({"type": "Address", "city": "x"})),
        expect![[
            r#"$.a.type: the type of an attribute is one of Property, GeoProperty, Relationship, LanguageProperty, VocabProperty, ListProperty, ListRelationship, JsonProperty; a value that has a type of its own is written {"value": {…}}"#
        ]],
    );
    refuse(
        with(json!({"type": ["Property"], "value": 1})),
        expect![[
            r#"$.a.type: the type of an attribute is one of Property, GeoProperty, Relationship, LanguageProperty, VocabProperty, ListProperty, ListRelationship, JsonProperty; a value that has a type of its own is written {"value": {…}}"#
        ]],
    );
    refuse(
        with(json!({"observedAt": "2026-01-31T12:00:00Z"})),
        expect![[r#"$.a: the attribute has no "value""#]],
    );
    refuse(with(json!({})), expect!["$.a: the attribute says nothing: give it a type and a value"]);
    refuse(
        with(json!(null)),
        expect![[
            r#"$.a: null is no value in NGSI-LD; leave the attribute out, or write "urn:ngsi-ld:null" to delete it"#
        ]],
    );
    refuse(
        with(json!({"value": null})),
        expect![[
            r#"$.a.value: null is no value in NGSI-LD; leave the member out, or say {"@type": "@json", "@value": null}"#
        ]],
    );
    refuse(
        with(json!({"value": {"a": [1, null]}})),
        expect![[
            r#"$.a.value.a[1]: null is no value in NGSI-LD; leave the member out, or say {"@type": "@json", "@value": null}"#
        ]],
    );
    refuse(
        with(json!({"value": 1, "sub": {"value": null}})),
        expect![[
            r#"$.a.sub.value: null is no value in NGSI-LD; leave the member out, or say {"@type": "@json", "@value": null}"#
        ]],
    );
    refuse(
        with(json!({"value": 1, "@context": {}})),
        expect![[r#"$.a["@context"]: an @context stands beside the members of the body only"#]],
    );
    refuse(
        with(json!({"value": {"a": {"@context": {}}}})),
        expect![[
            r#"$.a.value.a["@context"]: an @context stands beside the members of the body only (raw JSON goes into a JsonProperty)"#
        ]],
    );
    refuse(
        with(json!({"value": 1, "previousValue": 0})),
        expect!["$.a.previousValue: previous values stand in notifications only"],
    );
    refuse(
        with(json!({"value": 1, "id": "urn:b:1"})),
        expect!["$.a.id: this is a member of an entity, not of an attribute"],
    );
    refuse(
        with(json!({"value": 1, "scope": "/A"})),
        expect!["$.a.scope: this is a member of an entity, not of an attribute"],
    );
    refuse(
        json!({"id": "urn:a:1", "type": "T", "location": {"type": "Property", "value": 7}}),
        expect![
            "$.location: https://uri.etsi.org/ngsi-ld/location is a GeoProperty, not a Property"
        ],
    );
    refuse(
        json!({"id": "urn:a:1", "type": "T", "location": 7}),
        expect!["$.location: expected a GeoJSON geometry, not a number"],
    );
}

#[test]
fn members_have_their_types_and_their_kinds() {
    refuse(
        with(json!({"value": 1, "observedAt": "yesterday"})),
        expect![[
            r#"$.a.observedAt: "yesterday" is not a DateTime: write it like 2026-01-31T12:00:00Z, in UTC, with at most six decimals"#
        ]],
    );
    refuse(
        with(json!({"value": 1, "observedAt": "2026-08-10T12:00:00+02:00"})),
        expect![[
            r#"$.a.observedAt: "2026-08-10T12:00:00+02:00" is not a DateTime: write it like 2026-01-31T12:00:00Z, in UTC, with at most six decimals"#
        ]],
    );
    refuse(
        with(json!({"value": 1, "observedAt": {"value": "2026-08-10T12:00:00Z"}})),
        expect!["$.a.observedAt: expected a DateTime like 2026-01-31T12:00:00Z, not an object"],
    );
    refuse(
        with(json!({"value": 1, "unitCode": 5})),
        expect![
            "$.a.unitCode: expected a UN/CEFACT code like CEL, a string of at most 64 bytes, not a number"
        ],
    );
    refuse(
        with(json!({"value": 1, "unitCode": ""})),
        expect![
            "$.a.unitCode: expected a UN/CEFACT code like CEL, a string of at most 64 bytes, not an empty string"
        ],
    );
    refuse(
        with(json!({"object": "urn:b:1", "unitCode": "MTR"})),
        expect![
            "$.a.unitCode: a Relationship has no unitCode: only a Property and a ListProperty have units"
        ],
    );
    refuse(
        with(json!({"json": {}, "unitCode": "MTR"})),
        expect![
            "$.a.unitCode: a JsonProperty has no unitCode: only a Property and a ListProperty have units"
        ],
    );
    refuse(
        with(json!({"value": 1, "objectType": "B"})),
        expect![
            "$.a.objectType: a Property has no objectType: only a Relationship and a ListRelationship point at objects"
        ],
    );
    refuse(
        with(json!({"object": "urn:b:1", "valueType": "B"})),
        expect![
            "$.a.valueType: a Relationship has no valueType: what it points at has an objectType"
        ],
    );
    refuse(
        with(json!({"languageMap": {"en": "x"}, "valueType": "xsd:string"})),
        expect!["$.a.valueType: the valueType of a LanguageProperty is langString"],
    );
    refuse(
        with(json!({"value": 1, "valueType": ["A"], "unitCode": "x"})),
        expect!["$.a.valueType: expected a word or IRI, a string that is not empty, not an array"],
    );
    refuse(
        with(json!({"value": 1, "valueType": 5})),
        expect!["$.a.valueType: expected a word or IRI, a string that is not empty, not a number"],
    );
    assert!(
        read(
            with(json!({"languageMap": {"en": "x"}, "valueType": "langString"})),
            &Context::core()
        )
        .is_ok()
    );
    assert!(read(with(json!({"value": 1.5, "valueType": "xsd:double"})), &Context::core()).is_ok());
}

#[test]
fn values_are_what_their_kind_wants() {
    refuse(
        with(json!({"object": "b"})),
        expect![[r#"$.a.object: "b" is not a URI: it has no scheme, like urn: or https:"#]],
    );
    refuse(
        with(json!({"object": []})),
        expect!["$.a.object: expected a URI, or an array of URIs, not an empty array"],
    );
    refuse(
        with(json!({"object": ["urn:b:1", 5]})),
        expect!["$.a.object[1]: expected a string that is a URI, not a number"],
    );
    refuse(
        with(json!({"objectList": ["not a uri"]})),
        expect![[
            r#"$.a.objectList[0]: "not a uri" is not a URI: it has no scheme, like urn: or https:"#
        ]],
    );
    refuse(
        with(json!({"objectList": [{"object": "urn:b:1", "x": 1}]})),
        expect![[
            r#"$.a.objectList[0]: expected a URI, or an object like {"object": URI}, not an object"#
        ]],
    );
    refuse(
        with(json!({"objectList": "urn:b:1"})),
        expect!["$.a.objectList: expected an array, not this string"],
    );
    refuse(
        with(json!({"valueList": 5})),
        expect!["$.a.valueList: expected an array, not a number"],
    );
    refuse(
        with(json!({"valueList": [null]})),
        expect![[
            r#"$.a.valueList[0]: null is no value in NGSI-LD; leave the member out, or say {"@type": "@json", "@value": null}"#
        ]],
    );
    refuse(
        with(json!({"json": 5})),
        expect!["$.a.json: expected a JSON object or array, not a number"],
    );
    refuse(
        with(json!({"vocab": 5})),
        expect!["$.a.vocab: expected a string, or an array of strings, not a number"],
    );
    refuse(
        with(json!({"vocab": ["a", ""]})),
        expect![
            "$.a.vocab[1]: expected a word or IRI, a string that is not empty, not an empty string"
        ],
    );
    refuse(
        with(json!({"languageMap": "x"})),
        expect!["$.a.languageMap: expected an object of strings by language tag, not this string"],
    );
    refuse(
        with(json!({"languageMap": {}})),
        expect!["$.a.languageMap: a languageMap has one language or more"],
    );
    refuse(
        with(json!({"languageMap": {"": "x"}})),
        expect![[
            r#"$.a.languageMap[""]: this is not a language tag: write one like th, en-GB or zh-Hant (RFC 5646), or @none"#
        ]],
    );
    refuse(
        with(json!({"languageMap": {"en": 5}})),
        expect!["$.a.languageMap.en: expected a string, or an array of strings, not a number"],
    );
    refuse(
        with(json!({"languageMap": {"en": ["a", 5]}})),
        expect!["$.a.languageMap.en[1]: expected a string, not a number"],
    );
    refuse(
        with(json!({"languageMap": {"en": "a", "EN": "b"}})),
        expect!["$.a.languageMap.EN: this language stands in the map twice"],
    );
    refuse(
        with(json!({"value": {"a b": 1, "": 2}})),
        expect![[r#"$.a.value[""]: the name of a member is empty"#]],
    );
    refuse(
        with(json!({"value": {"@graph": []}})),
        expect![[
            r#"$.a.value["@graph"]: of the names that begin with @, a value may have @type, @value, @id and @language"#
        ]],
    );
    refuse(
        with(json!({"value": {"@value": null}})),
        expect![[r#"$.a.value["@value"]: only a value of @type @json may be null"#]],
    );
    refuse(
        with(json!({"value": {"@type": "A", "@value": [1]}})),
        expect![[
            r#"$.a.value["@value"]: the @value of a typed value is a string, a number or a boolean; other JSON goes into a JsonProperty"#
        ]],
    );
    refuse(
        with(json!({"value": {"@type": "A", "@value": 1, "b": 2}})),
        expect![[
            r#"$.a.value["@value"]: a typed value has no members but @type, @value and @language"#
        ]],
    );
    refuse(
        with(json!({"value": {"b": 1, "https://uri.etsi.org/ngsi-ld/default-context/b": 2}})),
        expect!["$.a.value: two members both mean https://uri.etsi.org/ngsi-ld/default-context/b"],
    );
}

#[test]
fn geometries_are_checked() {
    let geo = |value: Json| with(json!({"type": "GeoProperty", "value": value}));
    refuse(
        geo(json!("not a geometry")),
        expect!["$.a.value: this text is not the JSON of a GeoJSON geometry"],
    );
    refuse(geo(json!(5)), expect!["$.a.value: expected a GeoJSON geometry, not a number"]);
    refuse(
        geo(json!({"type": "Point"})),
        expect![[
            r#"$.a.value: a geometry is an object like {"type": "Point", "coordinates": [99.72, 18.29]}"#
        ]],
    );
    refuse(
        geo(json!({"type": "Point", "coordinates": [200, 0]})),
        expect!["$.a.value: the longitude 200 at coordinates is not between -180 and 180"],
    );
    refuse(
        geo(json!({"type": "Point", "coordinates": [[1, 2]]})),
        expect!["$.a.value: coordinates is not a position, two or three numbers"],
    );
    refuse(
        geo(json!({"type": "Circle", "coordinates": [1, 2]})),
        expect![[
            r#"$.a.value: "Circle" is not a geometry type: use Point, MultiPoint, LineString, MultiLineString, Polygon or MultiPolygon"#
        ]],
    );
    refuse(
        geo(json!({"type": "Point", "coordinates": [1, 2], "crs": {}})),
        expect!["$.a.value.crs: a geometry has no members but type and coordinates"],
    );
    refuse(
        geo(json!({"type": "GeometryCollection", "geometries": []})),
        expect!["$.a.value: NGSI-LD has no GeometryCollection (4.7)"],
    );
    refuse(
        with(
            json!({"value": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}}),
        ),
        expect![
            "$.a.value: the ring at coordinates[0] is not closed: its first and last positions differ"
        ],
    );
}

#[test]
fn a_proof_says_what_it_seals_and_nothing_else_does() {
    let proof = |members: Json| json!({"id": "urn:a:1", "type": "T", "ngsildproof": members});
    let entity = read(
        proof(json!({
            "type": "Property", "entityIdSealed": "urn:a:1", "entityTypeSealed": "T",
            "value": {"type": "DataIntegrityProof", "proofValue": "z"}
        })),
        &Context::core(),
    )
    .expect("a proof");
    let shown = written(&entity, &Rendering::default(), &Context::core());
    assert_eq!(shown["ngsildproof"]["entityTypeSealed"], "T");
    assert_eq!(shown["ngsildproof"]["value"]["type"], "DataIntegrityProof");
    refuse(
        proof(json!({"type": "Property", "value": "no object"})),
        expect![
            "$.ngsildproof.value: an ngsildproof is a Property with a data integrity proof, an object, as its value"
        ],
    );
    refuse(
        proof(json!({"object": "urn:b:1"})),
        expect!["$.ngsildproof: an ngsildproof is a Property, not a Relationship"],
    );
    refuse(
        proof(json!({"value": {"a": 1}, "entityTypeSealed": 42})),
        expect![
            "$.ngsildproof.entityTypeSealed: expected a string, or an array of strings, not a number"
        ],
    );
    refuse(
        proof(json!({"value": {"a": 1}, "entityIdSealed": "x"})),
        expect![[
            r#"$.ngsildproof.entityIdSealed: "x" is not a URI: it has no scheme, like urn: or https:"#
        ]],
    );
    refuse(
        with(json!({"value": 1, "entityIdSealed": true})),
        expect!["$.a.entityIdSealed: only an ngsildproof says what it seals"],
    );
}

/// The encodings of the NGSI-LD Null for an instance.
fn nulls() -> Vec<Json> {
    let gone = "urn:ngsi-ld:null";
    vec![
        json!(gone),
        json!({"type": "Property", "value": gone}),
        json!({"value": gone}),
        json!({"type": "GeoProperty", "value": gone}),
        json!({"object": gone}),
        json!({"languageMap": {"@none": gone}}),
        json!({"languageMap": gone}),
        json!({"vocab": gone}),
        json!({"json": gone}),
        json!({"valueList": [gone]}),
        json!({"objectList": [gone]}),
        json!({"objectList": [{"object": gone}]}),
    ]
}

#[test]
fn nulls_delete_instances_where_the_operation_allows_it() {
    for gone in nulls() {
        assert!(read(with(gone.clone()), &Context::core()).is_err(), "{gone}");
        for reading in [Reading::Update, Reading::Merge] {
            let fragment = read_fragment(&document(&json!({"a": gone})), &Context::core(), reading);
            let fragment = fragment.unwrap_or_else(|error| panic!("{error} in {gone}"));
            assert_eq!(fragment.attributes[0].1.0, [InstanceEdit::Remove(None)], "{gone}");
        }
    }
    let fragment = json!({"a": {"value": "urn:ngsi-ld:null", "datasetId": "urn:d:1"}});
    let fragment = read_fragment(&document(&fragment), &Context::core(), Reading::Update);
    let edits = fragment.expect("a fragment").attributes.remove(0).1.0;
    assert!(matches!(edits.as_slice(), [InstanceEdit::Remove(Some(_))]));
}

#[test]
fn nulls_inside_values_are_for_merging_only() {
    for inside in [
        json!({"value": {"b": "urn:ngsi-ld:null"}}),
        json!({"value": {"b": {"c": "urn:ngsi-ld:null"}}}),
        json!({"languageMap": {"th": "urn:ngsi-ld:null"}}),
    ] {
        let fragment = document(&json!({"a": inside}));
        for reading in [Reading::Whole, Reading::Update] {
            assert!(read_fragment(&fragment, &Context::core(), reading).is_err(), "{inside}");
        }
        assert!(read_fragment(&fragment, &Context::core(), Reading::Merge).is_ok(), "{inside}");
    }
    for nowhere in [
        json!({"value": [1, "urn:ngsi-ld:null"]}),
        json!({"object": ["urn:b:1", "urn:ngsi-ld:null"]}),
        json!({"value": {"@type": "urn:ngsi-ld:null", "@value": 1}}),
        json!({"type": "urn:ngsi-ld:null", "value": 1}),
    ] {
        let fragment = document(&json!({"a": nowhere}));
        assert!(read_fragment(&fragment, &Context::core(), Reading::Merge).is_err(), "{nowhere}");
    }
}

#[test]
fn fragments_of_attributes_hold_what_they_mention() {
    let read = |fragment: Json, reading| {
        read_attribute(
            &document(&fragment),
            name("https://example.org/a"),
            &Context::core(),
            reading,
        )
        .map(|mut patch| patch.0.remove(0))
    };
    let put = |fragment: Json| match read(fragment.clone(), Reading::Update) {
        Ok(InstanceEdit::Put(patch)) => patch,
        other => panic!("{other:?} from {fragment}"),
    };
    assert_eq!(put(json!({"value": 56, "datasetId": "urn:d:1"})).kind, Some(Kind::Property));
    assert_eq!(put(json!({"type": "Relationship"})).kind, Some(Kind::Relationship));
    let only_sub = put(json!({"providedBy": {"type": "Relationship", "object": "urn:b:1"}}));
    assert_eq!((only_sub.kind, only_sub.attributes.len()), (None, 1));
    assert_eq!(put(json!({"unitCode": "urn:ngsi-ld:null"})).unit, Edit::Remove);
    assert_eq!(put(json!({"reliability": 0.9})).attributes.len(), 1);
    assert_eq!(put(json!({"value": 1, "@context": "x"})).attributes.len(), 0);
    assert!(read(json!({}), Reading::Update).is_err());
    assert!(read(json!(5), Reading::Update).is_err());
    assert!(read(json!({"observedAt": "2026-01-31T12:00:00Z"}), Reading::Whole).is_err());
    assert!(read(json!({"city": "x"}), Reading::Whole).is_ok());
    assert!(read(json!({"value": 1, "sub": {"unitCode": "x"}}), Reading::Update).is_err());
    assert!(matches!(
        read(json!({"value": "urn:ngsi-ld:null"}), Reading::Update),
        Ok(InstanceEdit::Remove(None))
    ));
}

/// An entity with an attribute of each kind, in the context of [`user_context`].
fn stored() -> crate::model::Entity {
    read(
        json!({
            "id": "urn:a:1", "type": "Vehicle",
            "speed": {"value": 50, "unitCode": "KMH", "observedAt": "2026-01-01T00:00:00Z", "source": {"value": "GPS"}},
            "address": {"value": {"street": "S", "city": {"name": "L", "code": 52}}},
            "place": {"type": "Point", "coordinates": [1, 2]},
            "isParked": {"object": "urn:b:1", "objectType": "B"},
            "brand": {"languageMap": {"th": "ก", "en": "a"}},
            "category": {"vocab": "good"},
            "list": {"valueList": [1, 2]},
            "route": {"objectList": ["urn:b:1"]},
            "raw": {"json": {"a": {"b": 1, "c": 2}}}
        }),
        &user_context(),
    )
    .expect("an entity")
}

fn after(fragment: Json, reading: Reading, action: fn(Fragment) -> Action) -> Json {
    let fragment = read_fragment(&document(&fragment), &user_context(), reading)
        .unwrap_or_else(|error| panic!("{error} in {fragment}"));
    let entity = stored();
    let write = Write::new(entity.id.clone(), action(fragment));
    let Applied { after, .. } = write.apply(Some(&entity), moment(9)).expect("it applies");
    let rendering = Rendering { format: Format::Concise, ..Rendering::default() };
    written(&after.expect("it is still there"), &rendering, &user_context())
}

fn merged(fragment: Json, reading: Reading) -> Json {
    after(fragment, reading, |fragment| Action::Merge { fragment, lang: None, observed_at: None })
}

#[test]
fn a_merge_reaches_every_depth() {
    let gone = "urn:ngsi-ld:null";
    let after = merged(
        json!({
            "speed": {"value": 60, "unitCode": gone, "source": {"reliability": {"type": "Property", "value": 1}}},
            "address": {"value": {"street": gone, "city": {"code": gone, "zip": "1"}}},
            "isParked": {"objectType": gone},
            "brand": {"languageMap": {"th": gone, "nod": "ᨠ"}},
            "raw": {"json": {"a": {"b": gone, "d": {"e": gone, "f": 1}}}},
            "place": gone,
            "fresh": {"languageMap": {"th": gone, "en": "new"}},
            "absent": gone
        }),
        Reading::Merge,
    );
    assert_eq!(
        after,
        json!({
            "id": "urn:a:1", "type": "Vehicle",
            "speed": {"value": 60, "observedAt": "2026-01-01T00:00:00Z", "source": {"value": "GPS", "reliability": 1}},
            "address": {"city": {"name": "L", "zip": "1"}},
            "isParked": {"object": "urn:b:1"},
            "brand": {"languageMap": {"en": "a", "nod": "ᨠ"}},
            "category": {"vocab": "good"},
            "list": {"valueList": [1, 2]},
            "route": {"objectList": ["urn:b:1"]},
            "raw": {"json": {"a": {"c": 2, "d": {"f": 1}}}},
            "fresh": {"languageMap": {"en": "new"}}
        })
    );
}

#[test]
fn a_merge_of_metadata_needs_no_value() {
    let after = merged(
        json!({
            "speed": {"observedAt": "2026-02-02T00:00:00Z"},
            "category": {"providedBy": {"type": "Relationship", "object": "urn:p:1"}}
        }),
        Reading::Merge,
    );
    assert_eq!(after["speed"]["observedAt"], "2026-02-02T00:00:00Z");
    assert_eq!(after["speed"]["value"], 50);
    assert_eq!(after["category"], json!({"vocab": "good", "providedBy": {"object": "urn:p:1"}}));
}

#[test]
fn simplified_values_take_the_kind_that_is_stored() {
    let after = merged(
        json!({
            "speed": 60,
            "address": {"street": "urn:ngsi-ld:null", "city": {"code": 53}},
            "place": {"type": "Point", "coordinates": [3, 4]},
            "isParked": ["urn:b:2", "urn:b:3"],
            "brand": {"languageMap": {"th": "ข"}},
            "category": "Vehicle",
            "list": [3],
            "route": ["urn:b:4"],
            "raw": {"json": {"x": null}},
            "fresh": {"dataset": {"@none": 1, "urn:d:1": {"vocab": "b"}}}
        }),
        Reading::MergeSimplified,
    );
    assert_eq!(after["speed"]["value"], 60);
    assert_eq!(after["speed"]["unitCode"], "KMH");
    assert_eq!(after["address"], json!({"city": {"name": "L", "code": 53}}));
    assert_eq!(after["place"], json!({"type": "Point", "coordinates": [3, 4]}));
    assert_eq!(after["isParked"]["object"], json!(["urn:b:2", "urn:b:3"]));
    assert_eq!(after["brand"], json!({"languageMap": {"th": "ข", "en": "a"}}));
    assert_eq!(after["category"], json!({"vocab": "Vehicle"}));
    assert_eq!(after["list"], json!({"valueList": [3]}));
    assert_eq!(after["route"], json!({"objectList": ["urn:b:4"]}));
    assert_eq!(after["raw"]["json"]["x"], json!(null));
    assert_eq!(after["fresh"], json!([{"value": 1}, {"vocab": "b", "datasetId": "urn:d:1"}]));
    for gone in ["speed", "place", "raw"] {
        let after = merged(json!({gone: "urn:ngsi-ld:null"}), Reading::MergeSimplified);
        assert_eq!(after.get(gone), None);
    }
}

#[test]
fn an_update_replaces_whole_attributes() {
    let after = after(
        json!({
            "speed": {"value": 60, "source": "urn:ngsi-ld:null"},
            "place": {"value": "urn:ngsi-ld:null"}
        }),
        Reading::Update,
        Action::Update,
    );
    assert_eq!(after["speed"], 60);
    assert_eq!(after.get("place"), None);
}

#[test]
fn a_typed_value_merges_as_one_thing() {
    let merge = |into: Json, patch: Json| {
        let value = |json: Json| match instance(json!({ "value": json })).datum {
            Datum::Property(value) => value,
            other => panic!("{other:?}"),
        };
        let mut whole = value(into);
        whole.merge(value(patch));
        whole
    };
    let date = json!({"@type": "Date", "@value": "2026-01-31"});
    let none = json!({"@type": "@json", "@value": null});
    let plain = json!({"a": 1});
    for (into, patch) in [(&plain, &date), (&date, &plain), (&date, &none), (&none, &plain)] {
        let merged = merge(into.clone(), patch.clone());
        assert_eq!(Datum::Property(merged), instance(json!({ "value": patch })).datum, "{patch}");
    }
}
