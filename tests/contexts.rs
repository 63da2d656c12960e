//! The tables that names are looked up in must agree with the JSON-LD processor, for every context
//! that is shipped and for entities as cities send them.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::FutureExt;
use json_ld::{
    Compact, Context as Processed, Expand, IriBuf, NoLoader, Process,
    rdf_types::{
        BlankIdBuf,
        vocabulary::{no_vocabulary, no_vocabulary_mut},
    },
    syntax::{Context as Syntax, IntoJsonWithContext, TryFromJson},
};
use json_syntax::{Parse, Print};
use lanna::{
    jsonld::{Context, Document, ParseLimits},
    model::Name,
};
use serde_json::{Value, json};

/// Version and text of the core contexts, with the number of entries that was published.
const CORE: [(&str, &str, usize); 7] = [
    ("1.3", include_str!("../contexts/ngsi-ld-core-context-v1.3.jsonld"), 109),
    ("1.4", include_str!("../contexts/ngsi-ld-core-context-v1.4.jsonld"), 117),
    ("1.5", include_str!("../contexts/ngsi-ld-core-context-v1.5.jsonld"), 124),
    ("1.6", include_str!("../contexts/ngsi-ld-core-context-v1.6.jsonld"), 147),
    ("1.7", include_str!("../contexts/ngsi-ld-core-context-v1.7.jsonld"), 152),
    ("1.8", include_str!("../contexts/ngsi-ld-core-context-v1.8.jsonld"), 184),
    ("1.9", include_str!("../contexts/ngsi-ld-core-context-v1.9.jsonld"), 212),
];

const MAE_MOH: &str = include_str!("../contexts/mae-moh.jsonld");

type Active = Processed<IriBuf, BlankIdBuf>;

fn context_of(document: &str) -> Value {
    let mut document: Value = serde_json::from_str(document).expect("JSON");
    document["@context"].take()
}

/// A core context without the one thing in it that would have to be fetched.
fn core(text: &str) -> Value {
    let mut context = context_of(text);
    if let Some(proof) = context.get_mut("ngsildproof").and_then(Value::as_object_mut) {
        proof.remove("@context");
    }
    context
}

fn newest_core() -> Value {
    core(CORE[CORE.len() - 1].1)
}

/// The processor's own reading of a user's context followed by the core.
fn processed(user: &Value) -> Active {
    [(user, false), (&newest_core(), true)].into_iter().fold(
        Active::default(),
        |active, (context, override_protected)| {
            let options =
                json_ld::context_processing::Options { override_protected, ..Default::default() };
            syntax(context)
                .process_full(no_vocabulary_mut(), &active, &NoLoader, None, options, ())
                .now_or_never()
                .expect("nothing to wait for")
                .expect("a valid context")
                .into_processed()
        },
    )
}

fn syntax(context: &Value) -> Syntax {
    Syntax::try_from_json(json_ld_value(context)).expect("a context")
}

fn json_ld_value(value: &Value) -> json_syntax::Value {
    json_syntax::Value::parse_str(&value.to_string()).expect("JSON").0
}

fn serde_json_value(value: &json_syntax::Value) -> Value {
    serde_json::from_str(&value.compact_print().to_string()).expect("JSON")
}

fn table(user: &Value) -> Arc<Context> {
    Context::local(&Document::from_json(user)).expect("a valid context")
}

/// What the processor makes of a document, as JSON.
fn expanded(document: &Value, active: &Active) -> Value {
    let expanded = json_ld_value(document)
        .expand_full(no_vocabulary_mut(), active.clone(), None, &NoLoader, Default::default(), ())
        .now_or_never()
        .expect("nothing to wait for")
        .expect("a valid document");
    let objects = expanded.into_objects().into_iter();
    objects.map(|object| serde_json_value(&object.into_json_with(no_vocabulary()))).collect()
}

/// All names in an expanded document: members, types, and what a vocabulary was used for.
fn names_of_expanded(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| names_of_expanded(item, names)),
        Value::Object(members) => {
            for (key, value) in members {
                match key.as_str() {
                    "@value" | "@index" | "@language" => {}
                    "@type" => each_text(value, &mut |text| _ = names.insert(text.into())),
                    "@id" => _ = names.insert(value.as_str().expect("an IRI").into()),
                    "@list" => names_of_expanded(value, names),
                    iri => {
                        names.insert(iri.into());
                        names_of_expanded(value, names);
                    }
                }
            }
        }
        _ => {}
    }
}

fn each_text(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => found(text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, found)),
        _ => {}
    }
}

/// The same by look-ups, for what NGSI-LD entities contain.
fn names_by_table(value: &Value, context: &Context, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| names_by_table(item, context, names)),
        Value::Object(members) => {
            for (key, value) in members {
                let mut expand = |text: &str| {
                    let name = context.expand(text).expect("a name");
                    assert_eq!(context.lookup(text), Some(name));
                    assert_eq!(context.expand_text(text), name.as_str());
                    names.insert(name.as_str().into());
                };
                match key.as_str() {
                    "@context" => {}
                    "id" => expand(value.as_str().expect("a URI")),
                    "type" => each_text(value, &mut expand),
                    "vocab" => {
                        expand("vocab");
                        each_text(value, &mut expand);
                    }
                    "object" => {
                        expand("object");
                        each_text(value, &mut |uri| _ = names.insert(uri.into()));
                    }
                    "observedAt" | "createdAt" => {
                        expand(key);
                        expand("DateTime");
                    }
                    "json" => {
                        expand("json");
                        names.insert("@json".into());
                    }
                    "languageMap" => expand("languageMap"),
                    _ => {
                        expand(key);
                        names_by_table(value, context, names);
                    }
                }
            }
        }
        _ => {}
    }
}

#[track_caller]
fn check_entity(entity: &Value, user: &Value) {
    let mut theirs = BTreeSet::new();
    names_of_expanded(&expanded(entity, &processed(user)), &mut theirs);
    let mut ours = BTreeSet::new();
    names_by_table(entity, &table(user), &mut ours);
    assert_eq!(ours, theirs, "{entity}");
}

/// A value that the definition of a term lets stand below it.
fn value_for(definition: &Value) -> Value {
    match definition["@container"].as_str() {
        Some("@language") => json!({ "en": "x" }),
        Some("@index") => json!({ "urn:x:y": "x" }),
        _ => json!("urn:x:y"),
    }
}

/// Every term of a context, by the processor and by the table.
fn check_terms(user: &Value, definitions: &[Value]) {
    let active = processed(user);
    let context = table(user);
    for definition in definitions.iter().flat_map(|context| context.as_object().expect("terms")) {
        let (term, definition) = definition;
        if term.starts_with('@') || term == "id" || term == "type" {
            continue;
        }
        let mut names = BTreeSet::new();
        let document = json!({ "@id": "urn:x:z", term: value_for(definition) });
        let Value::Array(nodes) = expanded(&document, &active) else { panic!("not expanded") };
        names.extend(nodes[0].as_object().expect("a node").keys().cloned());
        names.remove("@id");
        let name = context.expand(term).expect("a name");
        assert_eq!(names, BTreeSet::from([name.as_str().to_owned()]), "{term}");

        let document = json!({ "@id": "urn:x:z", "@type": term });
        let Value::Array(nodes) = expanded(&document, &active) else { panic!("not expanded") };
        assert_eq!(nodes[0]["@type"], json!([name.as_str()]), "{term} as a type");

        let again = context.expand(&context.compact(name)).expect("a name");
        assert_eq!(again, name, "{term} there and back");
    }
}

#[test]
fn shipped_core_contexts_have_as_many_entries_as_published() {
    for (version, text, entries) in CORE {
        assert_eq!(context_of(text).as_object().expect("terms").len(), entries, "v{version}");
        Document::parse(text.as_bytes(), &ParseLimits::default()).expect("no duplicates");
    }
}

#[test]
fn every_term_of_every_shipped_context_expands_as_the_processor_says() {
    check_terms(&json!({}), &[newest_core()]);
    for (_, text, _) in CORE {
        let mut older = core(text);
        older.as_object_mut().expect("terms").remove("@protected");
        check_terms(&older, &[older.clone(), newest_core()]);
    }
    for text in domain_contexts() {
        let domain = context_of(&text);
        check_terms(&domain, &[domain.clone(), newest_core()]);
    }
}

/// The text of every context in `contexts/` that is no core context.
fn domain_contexts() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/contexts");
    let files = std::fs::read_dir(folder).expect("the contexts").map(|file| file.expect("a file"));
    let domains = files.filter(|file| !file.file_name().to_string_lossy().contains("core-context"));
    domains.map(|file| std::fs::read_to_string(file.path()).expect("a context")).collect()
}

#[test]
fn core_terms_compact_to_themselves() {
    let core = Context::core();
    let terms = newest_core();
    for term in terms.as_object().expect("terms").keys().filter(|term| !term.starts_with('@')) {
        assert_eq!(core.compact(core.expand(term).expect("a name")), *term);
    }
}

fn test_context() -> Value {
    json!({
        "ex": "https://example.org/ns#",
        "Vehicle": "ex:Vehicle",
        "Building": "https://example.org/types/Building",
        "speed": "ex:speed",
        "brandName": { "@id": "ex:brandName" },
        "isParked": { "@id": "ex:isParked", "@type": "@id" },
        "category": { "@id": "ex:category", "@type": "@vocab" },
        "location": "https://schema.org/location",
        "commercial": "ex:categories/commercial",
    })
}

fn entities() -> Vec<Value> {
    vec![
        json!({
            "id": "urn:ngsi-ld:Vehicle:A4567",
            "type": ["Vehicle", "ex:Electric", "https://example.org/Full", "Unmapped"],
            "brandName": { "type": "Property", "value": "Mercedes" },
            "speed": {
                "type": "Property",
                "value": 80,
                "unitCode": "KMH",
                "observedAt": "2026-01-31T12:00:00Z",
                "reliability": { "type": "Property", "value": 0.9 },
                "ex:source": { "type": "Relationship", "object": "urn:ngsi-ld:Sensor:1" },
            },
            "unmapped": { "type": "Property", "value": true },
            "ฝุ่น": { "type": "Property", "value": 12 },
            "location": {
                "type": "GeoProperty",
                "value": { "type": "Point", "coordinates": [99.7, 18.3] },
            },
        }),
        json!({
            "id": "urn:ngsi-ld:Building:1",
            "type": "Building",
            "name": { "type": "LanguageProperty", "languageMap": { "en": "Hall", "th": "ศาลา" } },
            "use": { "type": "VocabProperty", "vocab": ["commercial", "ex:retail", "other"] },
            "raw": { "type": "JsonProperty", "json": { "any": { "thing": [1, null] } } },
            "address": {
                "type": "Property",
                "value": {
                    "streetAddress": "Straße 1",
                    "ex:postalCode": "52220",
                    "nested": { "deeper": [{ "speed": 5 }, { "https://example.org/x": true }] },
                },
            },
        }),
    ]
}

#[test]
fn entities_expand_as_the_processor_says() {
    for entity in entities() {
        for context in [json!({}), json!([]), json!([{}, test_context()])] {
            check_entity(&entity, &context);
        }
    }
    let station = json!({
        "id": "urn:ngsi-ld:AirQualityObserved:37t",
        "type": "AirQualityObserved",
        "pm25": { "type": "Property", "value": 41.5, "observedAt": "2026-01-31T12:00:00Z" },
        "airQualityIndex": { "type": "Property", "value": 88 },
        "refDevice": { "type": "Relationship", "object": "urn:ngsi-ld:Device:37t" },
        "sdm-weather:temperature": { "type": "Property", "value": 33 },
        "stationCode": { "type": "Property", "value": "37t" },
    });
    check_entity(&station, &context_of(MAE_MOH));
}

#[test]
fn plain_names_compact_as_the_processor_says() {
    let user = test_context();
    let iris = [
        "https://example.org/ns#speed",
        "https://example.org/ns#brandName",
        "https://example.org/ns#other",
        "https://example.org/other",
        "https://uri.etsi.org/ngsi-ld/default-context/unmapped",
        "https://uri.etsi.org/ngsi-ld/default-context/speed",
        "https://uri.etsi.org/ngsi-ld/other",
        "https://schema.org/location",
        "http://purl.org/dc/terms/description",
        "urn:example:name",
    ];
    let members = iris.iter().enumerate().map(|(number, iri)| {
        (String::from(*iri), json!([{ "@value": format!("value {number}") }]))
    });
    let document = Value::Array(vec![members.collect()]);
    let both = json!([user, newest_core()]);
    let both_syntax = syntax(&both);
    let active = processed(&user);
    let expanded_document = json_ld_value(&document)
        .expand_full(
            no_vocabulary_mut(),
            Active::default(),
            None,
            &NoLoader,
            Default::default(),
            (),
        )
        .now_or_never()
        .expect("nothing to wait for")
        .expect("a valid document");
    let context = json_ld::context_processing::ProcessedRef::new(&both_syntax, &active);
    let compacted = expanded_document
        .compact(context, &NoLoader)
        .now_or_never()
        .expect("nothing to wait for")
        .expect("compacts");
    let compacted = serde_json_value(&compacted);
    let ours = table(&user);
    for (number, iri) in iris.iter().enumerate() {
        let short = ours.compact(Name::intern(iri).expect("a name"));
        assert_eq!(
            compacted[&*short],
            format!("value {number}"),
            "{iri} as {short} in {compacted}"
        );
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn definition() -> impl Strategy<Value = Value> {
        prop_oneof![
            "https://example\\.(org|com)/[a-c]{0,2}[/#]?".prop_map(Value::from),
            "[p-r]:[a-c]{0,3}".prop_map(Value::from),
            "https://uri\\.etsi\\.org/ngsi-ld/(default-context/)?[a-e]{1,2}".prop_map(Value::from),
            "https://example\\.org/[a-c]{1,2}"
                .prop_map(|iri| json!({ "@id": iri, "@type": "@id" })),
            Just(Value::Null),
        ]
    }

    fn contexts() -> impl Strategy<Value = Value> {
        let terms = prop::collection::btree_map("[a-e]{1,2}|location", definition(), 0..8);
        let prefixes = prop::collection::btree_map(
            "[p-r]",
            "https://example\\.org/([a-c]/)?".prop_map(Value::from),
            0..3,
        );
        (terms, prefixes).prop_map(|(terms, prefixes)| terms.into_iter().chain(prefixes).collect())
    }

    fn iris() -> impl Strategy<Value = String> {
        prop_oneof![
            "https://example\\.(org|com)/[a-c]{0,2}[/#]?[a-c ]{0,2}",
            "https://uri\\.etsi\\.org/ngsi-ld/(default-context/)?[a-e:@ ]{0,3}",
            "urn:x:[a-c]{1,2}",
        ]
    }

    proptest! {
        #[test]
        fn a_compacted_name_expands_to_itself(context in contexts(), iris in prop::collection::vec(iris(), 1..20)) {
            let context = table(&context);
            // What no JSON could have named cannot be written either.
            for iri in iris.iter().filter(|iri| !iri.contains(' ') || iri.contains("default-context")) {
                let name = Name::intern(iri).expect("a name");
                let short = context.compact(name).into_owned();
                prop_assert_eq!(context.compact(name), short.clone());
                prop_assert_eq!(context.expand(&short).ok(), Some(name), "{} as {}", iri, short);
            }
        }

        #[test]
        fn a_member_comes_back_as_itself_or_as_an_equal(context in contexts(), keys in prop::collection::vec("[a-e]{1,2}|[p-r]:[a-c]{1,2}|[a-e0-9: .-]{0,6}|\\PC{0,4}", 1..20)) {
            let context = table(&context);
            for key in &keys {
                let Ok(name) = context.expand(key) else { continue };
                prop_assert_eq!(context.expand(key).ok(), Some(name));
                prop_assert_eq!(context.lookup(key), Some(name));
                prop_assert_eq!(context.expand_text(key), name.as_str());
                let back = context.compact(name);
                prop_assert_eq!(context.expand(&back).ok(), Some(name), "{} as {}", key, back);
            }
        }

        #[test]
        fn unmapped_members_come_back_letter_by_letter(key in "[^@:]\\PC{0,10}") {
            let core = Context::core();
            let name = core.expand(&key).expect("a name");
            if name.as_str().starts_with("https://uri.etsi.org/ngsi-ld/default-context/") {
                prop_assert_eq!(core.compact(name), key);
            }
        }
    }
}
