//! Attributes and their members, in every form they may be sent in.

use super::*;

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
