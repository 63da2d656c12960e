use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    operations::{Method, OPERATIONS},
    *,
};
use crate::http::places::Place;

#[test]
fn what_is_described_is_what_is_routed() {
    let described: Vec<_> = OPERATIONS
        .iter()
        .map(|operation| {
            let method = match operation.method {
                Method::Get => "GET",
                Method::Post => "POST",
                Method::Put => "PUT",
                Method::Patch => "PATCH",
                Method::Delete => "DELETE",
            };
            (operation.place.template(), method)
        })
        .collect();
    let routed: BTreeSet<_> = Place::ALL
        .iter()
        .flat_map(|place| place.methods().iter().map(|method| (place.template(), method.as_str())))
        .collect();
    assert_eq!(described.iter().copied().collect::<BTreeSet<_>>(), routed);
    assert_eq!(described.len(), routed.len(), "each is described once");
}

#[test]
fn every_operation_has_a_name_of_its_own_and_an_answer() {
    let ids: BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.id).collect();
    assert_eq!(ids.len(), OPERATIONS.len());
    for operation in OPERATIONS {
        assert!(!operation.answers.is_empty(), "{}", operation.id);
        assert!(TAGS.iter().any(|(name, _)| *name == operation.tag), "{}", operation.id);
    }
}

#[test]
fn shapes_lose_nothing_on_the_way() {
    let written = serde_json::to_value(schemas::components()).unwrap();
    assert_eq!(written["schemas"], schemas::source());
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    found.insert(target.trim_start_matches("#/components/schemas/").to_owned());
                }
                members.values().for_each(|member| walk(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let document = serde_json::to_value(describe()).unwrap();
    let mut found = BTreeSet::new();
    walk(&document, &mut found);
    let shapes = document["components"]["schemas"].as_object().unwrap();
    for name in &found {
        assert!(shapes.contains_key(name), "{name}");
    }
    for name in shapes.keys() {
        assert!(found.contains(name), "nobody uses {name}");
    }
}

#[test]
fn the_copy_for_readers_is_fresh() {
    let text = String::from_utf8(TEXT.to_vec()).unwrap();
    expect_test::expect_file!["../../../openapi/ngsi-ld.json"].assert_eq(&text);
}

#[test]
fn the_page_needs_no_network() {
    let page = include_str!("docs.html");
    for line in page.lines().filter(|line| line.contains("http://") || line.contains("https://")) {
        assert!(line.contains("xmlns="), "{line}");
    }
}
