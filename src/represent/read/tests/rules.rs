//! What is refused, and what the refusal says.

use super::*;

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
            r#"$.type: "9T" cannot be a name: begin with a letter and use letters, digits, _ and -, perhaps after a prefix and a colon, or write a full IRI"#
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
            r#"$["my attr"]: "my attr" cannot be a name: begin with a letter and use letters, digits, _ and -, perhaps after a prefix and a colon, or write a full IRI"#
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
            r#"$["@graph"]: "@graph" cannot be a name: begin with a letter and use letters, digits, _ and -, perhaps after a prefix and a colon, or write a full IRI"#
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

#[test]
fn an_entity_has_a_bounded_number_of_types() {
    let context = Context::core();
    let with = |count: usize, limit: usize| {
        let types: Vec<String> = (0..count).map(|number| format!("T{}", number % 90)).collect();
        let json = serde_json::json!({"id": "urn:x:1", "type": types}).to_string();
        let document = Document::parse(json.as_bytes(), &Default::default()).expect("JSON");
        let reader = Reader::new(&context, Reading::Whole).with_type_limit(limit);
        reader.entity(&document).map(|entity| entity.types.as_slice().len())
    };
    assert_eq!(with(64, 64), Ok(64));
    assert_eq!(with(500, 90), Ok(90), "each counts once");
    let error = with(65, 64).expect_err("one too many");
    assert!(error.to_string().contains("limits.types"), "{error}");
}

#[test]
fn an_attribute_has_a_bounded_number_of_instances() {
    let context = Context::core();
    let with = |count: usize| {
        let instance =
            |number| serde_json::json!({"value": 1, "datasetId": format!("urn:d:{number}")});
        let instances: Vec<_> = (0..count).map(instance).collect();
        let json = serde_json::json!({"id": "urn:x:1", "type": "T", "a": instances}).to_string();
        let document = Document::parse(json.as_bytes(), &Default::default()).expect("JSON");
        let reader = Reader::new(&context, Reading::Whole).with_instance_limit(3);
        reader.entity(&document).map(drop)
    };
    assert_eq!(with(3), Ok(()));
    let error = with(4).expect_err("one too many");
    assert!(error.to_string().contains("limits.instances"), "{error}");
}
