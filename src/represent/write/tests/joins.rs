//! Linked entities, and collections of entities.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::*;
use crate::represent::Links;

/// A chain A → B → A, C, with C → nothing, and a link of A to what is not there.
fn chain() -> Vec<Arc<Stored>> {
    let entity = |id: &str, links: Json| {
        let json = json!({"id": id, "type": "T", "name": id, "links": links});
        Stored::new(read(json, &Context::core()).expect("an entity"))
    };
    vec![
        entity("urn:x:A", json!({"object": ["urn:x:B", "urn:x:gone"]})),
        entity("urn:x:B", json!({"objectList": ["urn:x:A", "urn:x:C"]})),
        entity("urn:x:C", json!({"valueList": []})),
    ]
}

/// Joins the first entities of the chain with the others, and tells what was fetched.
fn join(rendering: &Rendering, first: usize) -> (Json, String) {
    let all = chain();
    let answer = &all[..first];
    let mut links = Links::new(rendering, answer, moment(0));
    let mut fetched = Vec::new();
    loop {
        let wanted = links.wanted();
        if wanted.is_empty() {
            break;
        }
        fetched.push(wanted.iter().map(|id| &id.as_str()[6..]).collect::<Vec<_>>().join(" "));
        links.found(all.iter().filter(|entity| wanted.contains(&entity.id)).cloned());
    }
    let linked = links.finish();
    let core = Context::core();
    let mut out = Vec::new();
    Renderer::new(rendering, &core, moment(0)).with_linked(&linked).all(&mut out, answer);
    (serde_json::from_slice(&out).expect("JSON"), fetched.join(", "))
}

#[test]
fn linked_entities_stand_inside_their_relationships() {
    let inline = |level| joined(JoinForm::Inline, level, Format::Concise, Some("id,links"));
    let (json, fetched) = join(&inline(1), 1);
    assert_eq!(fetched, "B gone");
    assert_eq!(
        json,
        json!([{"id": "urn:x:A", "links": {
            "object": ["urn:x:B", "urn:x:gone"],
            "entity": [{"id": "urn:x:B", "type": "T", "name": "urn:x:B", "links": {"objectList": ["urn:x:A", "urn:x:C"]}}]
        }}])
    );
    let (json, fetched) = join(&inline(9), 1);
    assert_eq!(fetched, "B gone, C");
    let list = &json[0]["links"]["entity"][0]["links"]["entityList"];
    assert_eq!(
        list,
        &json!([{"id": "urn:x:C", "type": "T", "name": "urn:x:C", "links": {"valueList": []}}])
    );

    let picked = joined(JoinForm::Inline, 9, Format::Simplified, Some("id,links{id,links{name}}"));
    let (json, _) = join(&picked, 1);
    assert_eq!(
        json,
        json!([{"id": "urn:x:A", "links": [
            {"id": "urn:x:B", "links": ["urn:x:A", {"name": "urn:x:C"}]}, "urn:x:gone"
        ]}])
    );
}

#[test]
fn linked_entities_follow_the_answer_once_each() {
    let flat = |level, pick| joined(JoinForm::Flat, level, Format::Simplified, pick);
    let ids = |json: &Json| {
        let all = json.as_array().expect("an array").iter();
        all.map(|entity| entity["name"].as_str().unwrap_or("?")[6..].to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let (json, fetched) = join(&flat(1, None), 1);
    assert_eq!((ids(&json).as_str(), fetched.as_str()), ("A B", "B gone"));
    let (json, fetched) = join(&flat(9, None), 1);
    assert_eq!((ids(&json).as_str(), fetched.as_str()), ("A B C", "B gone, C"));
    let (json, fetched) = join(&flat(9, None), 2);
    assert_eq!((ids(&json).as_str(), fetched.as_str()), ("A B C", "gone C"));
    let (json, fetched) = join(&flat(9, Some("links{links{name}}")), 1);
    assert_eq!(fetched, "B gone, C");
    assert_eq!(
        json,
        json!([
            {"links": ["urn:x:B", "urn:x:gone"]}, {"links": ["urn:x:A", "urn:x:C"]},
            {"name": "urn:x:C"}
        ])
    );
    let (json, fetched) = join(&flat(9, Some("name")), 1);
    assert_eq!((ids(&json).as_str(), fetched.as_str()), ("A", ""));
}

#[test]
fn what_contains_the_answer_is_not_joined() {
    let mut rendering = joined(JoinForm::Inline, 9, Format::Simplified, Some("links"));
    if let Some(join) = &mut rendering.join {
        join.contained_by = vec![EntityId::parse("urn:x:B").expect("a URI")];
    }
    let (json, fetched) = join(&rendering, 1);
    assert_eq!(fetched, "gone");
    assert_eq!(json, json!([{"links": ["urn:x:B", "urn:x:gone"]}]));
}

#[test]
fn joins_are_bounded() {
    let many: Vec<String> = (0..50).map(|number| format!("urn:x:{number}")).collect();
    let hub = |id: &str| {
        let json = json!({"id": id, "type": "T", "links": {"object": many}});
        Stored::new(read(json, &Context::core()).expect("an entity"))
    };
    let all: Vec<_> = many.iter().map(|id| hub(id)).collect();
    for form in [JoinForm::Inline, JoinForm::Flat] {
        let limited = Join { level: 9, limit: 20, ..Join::new(form) };
        let rendering = Rendering { join: Some(limited), ..Rendering::default() };
        let mut links = Links::new(&rendering, &all[..1], moment(0));
        let mut fetched = 0;
        loop {
            let wanted = links.wanted();
            if wanted.is_empty() {
                break;
            }
            fetched += wanted.len();
            links.found(all.iter().filter(|entity| wanted.contains(&entity.id)).cloned());
        }
        assert_eq!(fetched, 20);
        let linked = links.finish();
        let core = Context::core();
        let mut out = Vec::new();
        Renderer::new(&rendering, &core, moment(0)).with_linked(&linked).all(&mut out, &all[..1]);
        let written = String::from_utf8(out).expect("UTF-8").matches("\"id\":").count();
        assert_eq!(written, 21);
    }
}

#[test]
fn the_context_goes_into_each_entity_or_once_into_a_collection() {
    let core = Context::core();
    let all = chain();
    let bodies = |rendering: &Rendering| {
        let renderer = Renderer::new(rendering, &core, moment(0)).with_context_in_body();
        let (mut one, mut several) = (Vec::new(), Vec::new());
        renderer.stored(&mut one, &all[2]);
        renderer.all(&mut several, &all[1..]);
        let json = |bytes: Vec<u8>| serde_json::from_slice::<Json>(&bytes).expect("JSON");
        (json(one), json(several))
    };
    let link: Json = serde_json::from_str(&core.link().body).expect("JSON");
    let (one, several) = bodies(&in_format(Format::Simplified));
    assert_eq!(one["@context"], link);
    assert_eq!((&several[0]["@context"], &several[1]["@context"]), (&link, &link));
    let picked =
        Rendering { projection: project(Some("nothing"), None, &core), ..Rendering::default() };
    let (one, several) = bodies(&picked);
    // Each was counted.
    let bare = json!({"@context": link});
    assert_eq!((one, several), (bare.clone(), json!([bare, bare])));
    let geojson = Rendering { geojson: Some(GeoJson::default()), ..Rendering::default() };
    let (one, several) = bodies(&geojson);
    assert_eq!(one["@context"], link);
    assert_eq!(several["@context"], link);
    assert_eq!(several["type"], "FeatureCollection");
    assert_eq!(several["features"][0].get("@context"), None);
    let mut nothing = Vec::new();
    Renderer::new(&geojson, &core, moment(0)).all(&mut nothing, &[]);
    assert_eq!(nothing, b"{\"type\":\"FeatureCollection\",\"features\":[]}");
}

/// All of these entities link to all of them; how many entities an answer with all of them, joined
/// one level deep, holds, and how long it is.
fn clique(form: JoinForm, size: usize, limit: usize, bytes: usize) -> (usize, usize) {
    let many: Vec<String> = (0..size).map(|number| format!("urn:x:{number}")).collect();
    let each = |id: &String| {
        let json =
            json!({"id": id, "type": "T", "text": "x".repeat(500), "links": {"object": many}});
        Stored::new(read(json, &Context::core()).expect("an entity"))
    };
    let all: Vec<_> = many.iter().map(each).collect();
    let answer = if form == JoinForm::Flat { &all[..1] } else { &all[..] };
    let join = Join { level: 1, limit, bytes, ..Join::new(form) };
    let rendering = Rendering { join: Some(join), ..Rendering::default() };
    let mut links = Links::new(&rendering, answer, moment(0));
    loop {
        let wanted = links.wanted();
        if wanted.is_empty() {
            break;
        }
        links.found(all.iter().filter(|entity| wanted.contains(&entity.id)).cloned());
    }
    let (linked, core, mut out) = (links.finish(), Context::core(), Vec::new());
    Renderer::new(&rendering, &core, moment(0)).with_linked(&linked).all(&mut out, answer);
    let text = String::from_utf8(out).expect("UTF-8");
    serde_json::from_str::<Json>(&text).expect("JSON");
    (text.matches("\"id\":").count(), text.len())
}

#[test]
fn joins_are_bounded_over_all_entities_of_an_answer() {
    let (written, _) = clique(JoinForm::Inline, 10, 1_000, 1 << 20);
    assert_eq!(written, 10 + 10 * 9);
    let (written, _) = clique(JoinForm::Inline, 10, 25, 1 << 20);
    assert_eq!(written, 10 + 25);
}

#[test]
fn joins_are_bounded_by_the_size_of_the_answer() {
    let (_, alone) = clique(JoinForm::Inline, 10, 0, 1 << 20);
    let (written, length) = clique(JoinForm::Inline, 10, 1_000, 10_000);
    assert!((11..40).contains(&written), "{written}");
    assert!(length < 10_000 + alone, "{length}");
    let (written, length) = clique(JoinForm::Flat, 30, 1_000, 10_000);
    assert!((2..20).contains(&written), "{written}");
    assert!(length < 12_000, "{length}");
}
