//! Fragments: what they may hold, what Nulls do, and what a stored entity becomes by them.

use super::*;

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
