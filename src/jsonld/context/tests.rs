use serde_json::{Value, json};

use super::*;

fn local(context: Value) -> Arc<Context> {
    Context::local(&Document::from_json(&context)).expect("a valid context")
}

#[track_caller]
fn invalid(context: Value) -> String {
    match Context::local(&Document::from_json(&context)) {
        Err(ContextError::Invalid(reason)) => reason.into(),
        other => panic!("{other:?}"),
    }
}

const DEFAULT: &str = "https://uri.etsi.org/ngsi-ld/default-context/";

#[test]
fn the_core_knows_its_terms_and_puts_the_rest_into_the_default_vocabulary() {
    let core = Context::core();
    for (term, iri) in [
        ("location", "https://uri.etsi.org/ngsi-ld/location"),
        ("value", "https://uri.etsi.org/ngsi-ld/hasValue"),
        ("description", "http://purl.org/dc/terms/description"),
        ("Point", "https://purl.org/geojson/vocab#Point"),
        ("type", "@type"),
        ("id", "@id"),
        ("@value", "@value"),
        ("ngsi-ld:foo", "https://uri.etsi.org/ngsi-ld/foo"),
        ("https://example.org/speed", "https://example.org/speed"),
        ("urn:example:speed", "urn:example:speed"),
        ("speed", "https://uri.etsi.org/ngsi-ld/default-context/speed"),
        ("ฝุ่น", "https://uri.etsi.org/ngsi-ld/default-context/ฝุ่น"),
        ("no iri:", "https://uri.etsi.org/ngsi-ld/default-context/no iri:"),
    ] {
        for _ in 0..2 {
            assert_eq!(core.expand(term).expect(term).as_str(), iri);
        }
        assert_eq!(core.expand_text(term), iri);
        assert_eq!(core.lookup(term).expect(term).as_str(), iri);
    }
    assert_eq!(core.lookup("nobody-ever-used-this"), None);
    assert!(matches!(core.expand("@graph"), Err(ContextError::NotAName(..))));
}

#[test]
fn the_core_context_wins_over_the_user_s() {
    let context = local(json!({
        "@protected": true,
        "location": "https://schema.org/location",
        "speed": "https://example.org/speed",
    }));
    assert_eq!(context.expand("location").expect("a name"), Name::LOCATION);
    let schema = Name::intern("https://schema.org/location").expect("a name");
    assert_eq!(context.compact(schema), "https://schema.org/location");
    let speed = context.expand("speed").expect("a name");
    assert_eq!(speed.as_str(), "https://example.org/speed");
    assert_eq!(context.compact(speed), "speed");
}

#[test]
fn a_default_name_that_the_context_uses_otherwise_becomes_a_compact_iri() {
    let context = local(json!({ "almostFull": "https://example.org/almostFull" }));
    let name = Name::intern(&format!("{DEFAULT}almostFull")).expect("a name");
    for _ in 0..2 {
        assert_eq!(context.compact(name), "ngsi-ld:default-context/almostFull");
        assert_eq!(Context::core().compact(name), "almostFull");
    }
    assert_eq!(context.expand(&context.compact(name)).expect("a name"), name);
}

#[test]
fn compacting_prefers_the_core_then_plain_then_short_terms() {
    let context = local(json!({
        "ex": "https://example.org/",
        "desc": "http://purl.org/dc/terms/description",
        "a": { "@id": "ex:speed", "@type": "@id" },
        "speed": "ex:speed",
        "velocity": "ex:speed",
        "only": { "@id": "ex:coerced", "@type": "@vocab" },
    }));
    for (iri, short) in [
        ("http://purl.org/dc/terms/description", "description"),
        ("https://example.org/speed", "speed"),
        ("https://example.org/coerced", "only"),
        ("https://example.org/other", "ex:other"),
        ("https://example.org/", "ex"),
        ("https://example.com/", "https://example.com/"),
        ("https://uri.etsi.org/ngsi-ld/default-context/a:b", "ngsi-ld:default-context/a:b"),
        ("https://uri.etsi.org/ngsi-ld/default-context/a b:c", "a b:c"),
        ("https://uri.etsi.org/ngsi-ld/default-context/@graph", "ngsi-ld:default-context/@graph"),
        ("https://uri.etsi.org/ngsi-ld/default-context/", ""),
        ("@type", "type"),
        ("@value", "@value"),
    ] {
        let name = Name::intern(iri).expect("a name");
        for _ in 0..2 {
            assert_eq!(context.compact(name), short);
        }
        assert_eq!(context.expand(short).expect(short), name);
    }
}

#[test]
fn a_vocabulary_of_the_user_reaches_only_the_user_s_definitions() {
    let context = local(json!({
        "@vocab": "https://example.org/",
        "speed": { "@type": "@id" },
    }));
    assert_eq!(context.expand_text("speed"), "https://example.org/speed");
    assert_eq!(context.expand_text("other"), format!("{DEFAULT}other"));
}

#[test]
fn terms_without_a_usable_meaning_are_refused() {
    let context = local(json!({
        "nothing": null,
        "parts": { "@reverse": "https://example.org/partOf" },
        "list": "@list",
    }));
    for term in ["nothing", "parts", "list"] {
        assert!(matches!(context.expand(term), Err(ContextError::NotAName(..))), "{term}");
        assert_eq!(context.lookup(term), None);
        assert_eq!(context.expand_text(term), term);
    }
}

#[test]
fn contexts_that_add_nothing_share_the_core_s_table() {
    assert_eq!(local(json!({})).id(), Context::core().id());
    assert_eq!(local(json!([])).id(), Context::core().id());
    assert_ne!(local(json!({ "a": "b:c" })).id(), Context::core().id());
}

#[test]
fn invalid_contexts_say_why() {
    assert!(invalid(json!(5)).contains("not a number"));
    assert!(invalid(json!([{}, true])).contains("not a boolean"));
    assert!(invalid(json!({ "a": { "@context": {} } })).contains("scoped"));
    assert!(invalid(json!({ "a": 5 })).contains("nexpected"));
    assert!(invalid(json!({ "a": "b:x", "b": "a:y" })).contains("yclic"));
    assert!(invalid(json!("relative.jsonld")).contains("relative"));
}

#[test]
fn long_chains_of_definitions_are_refused_before_they_are_followed() {
    let chain = |length: usize| -> Value {
        let link = |number: usize| (format!("t{number}"), json!(format!("t{}:x", number + 1)));
        (0..length)
            .map(link)
            .chain([(format!("t{length}"), json!("https://example.org/"))])
            .collect()
    };
    local(chain(20));
    assert!(invalid(chain(40)).contains("more than 32"));
    assert!(invalid(chain(5_000)).contains("more than 32"));
    let mut backwards: Vec<_> =
        chain(5_000).as_object().expect("terms").clone().into_iter().collect();
    backwards.reverse();
    assert!(invalid(backwards.into_iter().collect()).contains("more than 32"));
}
