//! What every action does, in tables: an entity before, a write, and what is left.

use super::*;
use crate::model::{
    Attribute, Attributes, Bare, Datum, Edit, InstanceEdit, LanguageMap, Name, Number, OneOrMany,
    Otherwise, Value,
};

/// The instant of the writes; entities were made at 1.
const NOW: i64 = 5;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn name(text: &str) -> Name {
    Name::intern(&format!("x:{text}")).unwrap()
}

fn id() -> EntityId {
    EntityId::parse("urn:x:1").unwrap()
}

fn dataset(text: &str) -> DatasetId {
    DatasetId::parse(&format!("urn:x:{text}")).unwrap()
}

fn text(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{}:{}", &name.as_str()[2..], text(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        other => format!("{other:?}"),
    }
}

/// `1`, `"a"`, `-` for Null, or `{a:1,b:{c:-}}`.
fn value(text: &str) -> Value {
    if let Some(members) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        let mut depth = 0;
        let split = members.split(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        });
        let member = |member: &str| {
            let (key, inner) = member.split_once(':').unwrap();
            (name(key), value(inner))
        };
        return Value::Object(split.filter(|text| !text.is_empty()).map(member).collect());
    }
    match text {
        "-" => Value::Null,
        text if text.starts_with('"') => Value::from(text.trim_matches('"')),
        number => Value::Number(Number::Int(number.parse().unwrap())),
    }
}

fn datum(written: &str) -> Datum {
    let language = |tag: &str, text: &str| (tag.into(), OneOrMany::One(text.into()));
    match written.split_once(' ') {
        Some(("rel", target)) => {
            Datum::Relationship(OneOrMany::One(EntityId::parse(target).unwrap()))
        }
        Some(("vocab", word)) => Datum::VocabProperty(OneOrMany::One(name(word))),
        Some(("json", json)) => Datum::JsonProperty(Box::new(serde_json::from_str(json).unwrap())),
        Some(("lang", map)) => Datum::LanguageProperty(LanguageMap(
            map.split(' ')
                .map(|entry| match entry.split_once(':').unwrap() {
                    (tag, "-") => (tag.into(), OneOrMany::many(Vec::new())),
                    (tag, text) => language(tag, text),
                })
                .collect(),
        )),
        _ => Datum::Property(value(written)),
    }
}

fn shown(datum: &Datum) -> String {
    match datum {
        Datum::Property(value) => text(value),
        Datum::Relationship(target) => format!("rel {}", target.as_slice()[0]),
        Datum::VocabProperty(word) => format!("vocab {}", &word.as_slice()[0].as_str()[2..]),
        Datum::JsonProperty(json) => format!("json {json}"),
        Datum::LanguageProperty(map) => {
            let entry = |(tag, text): &(Box<str>, OneOrMany<Box<str>>)| {
                format!("{tag}:{}", text.as_slice().join("+"))
            };
            format!("lang {}", map.0.iter().map(entry).collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}"),
    }
}

/// An instance with its members, which follow after semicolons: `5;unit=CEL;observed=3;@d;sub=7`.
fn instance(written: &str) -> Instance {
    let mut parts = written.split(';');
    let mut instance = Instance::new(datum(parts.next().unwrap()));
    (instance.created_at, instance.modified_at) = (at(1), at(1));
    for part in parts {
        match part.split_once('=') {
            Some(("unit", unit)) => instance.unit = Some(name(unit)),
            Some(("observed", time)) => instance.observed_at = Some(at(time.parse().unwrap())),
            Some(("expires", time)) => {
                instance.more_mut().expires_at = Some(at(time.parse().unwrap()));
            }
            Some((sub, inner)) => {
                let inner = Attribute::one(self::instance(inner));
                instance.more_mut().attributes.insert(name(sub), inner);
            }
            None => instance.more_mut().dataset = Some(dataset(part.strip_prefix('@').unwrap())),
        }
    }
    instance
}

fn show_instance(instance: &Instance) -> String {
    let mut out = shown(&instance.datum);
    let seconds = |time: Timestamp| time.micros() / 1_000_000;
    if let Some(unit) = instance.unit {
        out += &format!(";unit={}", &unit.as_str()[2..]);
    }
    if let Some(time) = instance.observed_at {
        out += &format!(";observed={}", seconds(time));
    }
    if let Some(time) = instance.expires_at() {
        out += &format!(";expires={}", seconds(time));
    }
    if let Some(dataset) = instance.dataset() {
        out += &format!(";@{}", &dataset.as_str()[6..]);
    }
    for (name, attribute) in instance.attributes().iter() {
        out += &format!(";{}={}", &name.as_str()[2..], shown(&attribute.instances()[0].datum));
    }
    // Times are shown where they are not those of the beginning.
    if instance.created_at != at(1) {
        out += &format!(" c{}", seconds(instance.created_at));
    }
    if instance.modified_at != at(1) {
        out += &format!(" m{}", seconds(instance.modified_at));
    }
    out
}

/// `T1+T2 /A | speed 5;unit=KMH | speed 6;@d`: types, scopes, then instances.
fn entity(written: &str) -> Entity {
    let mut parts = written.split(" | ");
    let mut head = parts.next().unwrap().split(' ');
    let types = head.next().unwrap().split('+').map(name).collect();
    let mut entity = Entity {
        id: id(),
        types: OneOrMany::from_vec(types).unwrap(),
        scopes: Vec::new(),
        attributes: Attributes::new(),
        created_at: at(1),
        modified_at: at(1),
        expires_at: None,
    };
    for word in head {
        match word.strip_prefix("expires=") {
            Some(time) => entity.expires_at = Some(at(time.parse().unwrap())),
            None => entity.scopes.push(Scope::parse(word).unwrap()),
        }
    }
    for part in parts {
        let (own, rest) = part.split_once(' ').unwrap();
        let instance = instance(rest);
        match entity.attributes.get_mut(name(own)) {
            Some(attribute) => drop(attribute.put(instance)),
            None => drop(entity.attributes.insert(name(own), Attribute::one(instance))),
        }
    }
    entity
}

fn show(entity: &Entity) -> String {
    let types: Vec<&str> = entity.types.as_slice().iter().map(|name| &name.as_str()[2..]).collect();
    let mut out = types.join("+");
    for scope in &entity.scopes {
        out += &format!(" {scope}");
    }
    if let Some(time) = entity.expires_at {
        out += &format!(" expires={}", time.micros() / 1_000_000);
    }
    if entity.created_at != at(1) {
        out += &format!(" c{}", entity.created_at.micros() / 1_000_000);
    }
    if entity.modified_at != at(1) {
        out += &format!(" m{}", entity.modified_at.micros() / 1_000_000);
    }
    for (name, attribute) in entity.attributes.iter() {
        for instance in attribute.instances() {
            out += &format!(" | {} {}", &name.as_str()[2..], show_instance(instance));
        }
    }
    out
}

/// A fragment written like an entity, where a head of `-` has no types and `attr -` and
/// `attr -;@d` delete instances, and members are deleted by `unit=-`.
fn fragment(written: &str) -> Fragment {
    let mut parts = written.split(" | ");
    let mut fragment = Fragment::default();
    for word in parts.next().unwrap().split(' ') {
        match word {
            "-" => {}
            "scope=-" => fragment.scopes = Edit::Remove,
            "expires=-" => fragment.expires_at = Edit::Remove,
            word if word.starts_with('/') => {
                let mut scopes = match std::mem::take(&mut fragment.scopes) {
                    Edit::Put(scopes) => scopes,
                    _ => Vec::new(),
                };
                scopes.push(Scope::parse(word).unwrap());
                fragment.scopes = Edit::Put(scopes);
            }
            word => match word.strip_prefix("expires=") {
                Some(time) => fragment.expires_at = Edit::Put(at(time.parse().unwrap())),
                None => fragment.types = word.split('+').map(name).collect(),
            },
        }
    }
    for part in parts {
        let (own, rest) = part.split_once(' ').unwrap();
        let edit = edit(rest);
        match fragment.attributes.iter_mut().find(|(other, _)| *other == name(own)) {
            Some((_, patch)) => patch.0.push(edit),
            None => fragment.attributes.push((name(own), AttributePatch(vec![edit]))),
        }
    }
    fragment
}

fn edit(written: &str) -> InstanceEdit {
    match written.split_once(';') {
        None if written == "-" => InstanceEdit::Remove(None),
        Some(("-", rest)) => InstanceEdit::Remove(Some(dataset(rest.strip_prefix('@').unwrap()))),
        _ => InstanceEdit::Put(patch(written)),
    }
}

/// `?` stands for a value that was not sent.
fn patch(written: &str) -> InstancePatch {
    let mut parts = written.split(';');
    let datum = Some(parts.next().unwrap()).filter(|text| *text != "?").map(datum);
    let mut patch = InstancePatch {
        kind: datum.as_ref().and_then(Datum::kind),
        datum,
        ..InstancePatch::default()
    };
    for part in parts {
        let time = |text: &str| at(text.parse().unwrap());
        match part.split_once('=') {
            Some(("unit", "-")) => patch.unit = Edit::Remove,
            Some(("unit", unit)) => patch.unit = Edit::Put(name(unit)),
            Some(("observed", "-")) => patch.observed_at = Edit::Remove,
            Some(("observed", text)) => patch.observed_at = Edit::Put(time(text)),
            Some(("expires", "-")) => patch.expires_at = Edit::Remove,
            Some(("expires", text)) => patch.expires_at = Edit::Put(time(text)),
            Some((sub, inner)) => {
                patch.attributes.push((name(sub), AttributePatch(vec![edit(inner)])));
            }
            None => patch.dataset = Some(dataset(part.strip_prefix('@').unwrap())),
        }
    }
    patch
}

/// What is left of an entity, with what the outcome reports, or why it was refused.
fn apply(before: &str, action: Action) -> String {
    let before = Some(before).filter(|text| !text.is_empty()).map(entity);
    match Write::new(id(), action).apply(before.as_ref(), at(NOW)) {
        Err(refusal) => format!("refused: {refusal}").replace("x:", ""),
        Ok(Applied { after, outcome }) => {
            let mut out = after.as_ref().map_or("gone".to_owned(), show);
            let names = |names: &[Name]| {
                let own = |name: &Name| name.as_str().rsplit([':', '/']).next().unwrap().to_owned();
                names.iter().map(own).collect::<Vec<_>>().join(" ")
            };
            if outcome.created {
                out += "; created";
            }
            if !outcome.updated.is_empty() {
                out += &format!("; updated {}", names(&outcome.updated));
            }
            if !outcome.untouched.is_empty() {
                out += &format!("; untouched {}", names(&outcome.untouched));
            }
            out
        }
    }
}

#[track_caller]
fn table(cases: &[(&str, Action, &str)]) {
    for (before, action, expected) in cases {
        assert_eq!(apply(before, action.clone()), *expected, "{before} + {action:?}");
    }
}

#[test]
fn create_5_6_1() {
    table(&[
        ("", Action::Create(entity("T /A | a 1")), "T /A c5 m5 | a 1 c5 m5; created; updated a"),
        ("T", Action::Create(entity("T")), "refused: there is an entity urn:1 already"),
        // What has expired is not there, and its creation time is forgotten.
        ("T expires=5", Action::Create(entity("U")), "U c5 m5; created"),
        ("", Action::Create(entity("T expires=2")), "T expires=2 c5 m5; created"),
    ]);
}

#[test]
fn replace_5_6_18() {
    table(&[
        ("", Action::Replace(entity("T")), "refused: there is no entity urn:1"),
        (
            "T /A expires=9 | a 1;unit=C | b 2 | c 3;@d",
            Action::Replace(entity("U | b 3 | c 4 | c 5;@d")),
            // An instance that was there keeps its creation time.
            "U m5 | b 3 m5 | c 4 c5 m5 | c 5;@d m5; updated a b c",
        ),
    ]);
}

#[test]
fn upsert_5_6_8() {
    table(&[
        ("", Action::Upsert(entity("T | a 1")), "T c5 m5 | a 1 c5 m5; created; updated a"),
        ("T+U | a 1 | b 2", Action::Upsert(entity("T | a 3")), "T m5 | a 3 m5; updated a b"),
        (
            "",
            Action::UpsertUpdate(fragment("T /A | a 1")),
            "T /A c5 m5 | a 1 c5 m5; created; updated a",
        ),
        ("", Action::UpsertUpdate(fragment("- | a 1")), "refused: the entity has no type"),
        (
            "T | a 1;unit=C | b 2",
            Action::UpsertUpdate(fragment("U /B | a 3")),
            "T+U /B m5 | a 3 m5 | b 2; updated a",
        ),
    ]);
}

#[test]
fn update_attributes_5_6_2() {
    let update = |written: &str| Action::Update(fragment(written));
    table(&[
        ("", update("- | a 1"), "refused: there is no entity urn:1"),
        // A whole attribute replaces, so that members which are not mentioned go.
        ("T | a 1;unit=C;q=2", update("- | a 3"), "T m5 | a 3 m5; updated a"),
        ("T | a 1", update("- | b 2"), "T m5 | a 1 | b 2 c5 m5; updated b"),
        ("T | a 1", update("- | a rel urn:x:2"), "T m5 | a rel urn:x:2 m5; updated a"),
        ("T | a 1 | a 2;@d", update("- | a 3;@d"), "T m5 | a 1 | a 3;@d m5; updated a"),
        ("T | a 1 | a 2;@d", update("- | a 3;@e"), "T m5 | a 1 | a 2;@d | a 3;@e c5 m5; updated a"),
        ("T | a 1 | a 2;@d", update("- | a -"), "T m5 | a 2;@d; updated a"),
        ("T | a 1 | a 2;@d | b 1", update("- | a - | a -;@d"), "T m5 | b 1; updated a"),
        // Null where nothing is deletes nothing.
        ("T | a 1", update("- | b - | a -;@d"), "T | a 1"),
        ("T | a 1", update("T"), "T | a 1"),
        ("T | a 1", update("U"), "T+U m5 | a 1"),
        ("T /A /B", update("- /C"), "T /C m5"),
        ("T", update("- /C"), "T; untouched scope"),
        ("T /A", update("scope=-"), "T m5"),
        ("T expires=9", update("expires=-"), "T m5"),
        ("T", update("expires=9"), "T expires=9 m5"),
        // An instance that has expired is not there.
        ("T | a 1;expires=5", update("- | a 2"), "T m5 | a 2 c5 m5; updated a"),
        ("T | a 1;expires=6", update("- | a 2"), "T m5 | a 2 m5; updated a"),
        ("T expires=4 | a 1", update("- | a 2"), "refused: there is no entity urn:1"),
        ("T | a 1", update("- | a ?;unit=C"), "refused: the attribute a has no value"),
    ]);
}

#[test]
fn append_attributes_5_6_3() {
    let append =
        |written: &str, overwrite| Action::Append { fragment: fragment(written), overwrite };
    table(&[
        ("", append("- | a 1", true), "refused: there is no entity urn:1"),
        ("T | a 1;unit=C", append("- | a 2 | b 3", true), "T m5 | a 2 m5 | b 3 c5 m5; updated a b"),
        (
            "T | a 1",
            append("- | a 2 | b 3", false),
            "T m5 | a 1 | b 3 c5 m5; updated b; untouched a",
        ),
        ("T | a 1", append("- | a 2", false), "T | a 1; untouched a"),
        // One instance may be added while another stays.
        (
            "T | a 1",
            append("- | a 2 | a 3;@d", false),
            "T m5 | a 1 | a 3;@d c5 m5; updated a; untouched a",
        ),
        ("T", append("U", false), "T+U m5"),
        ("T /A", append("- /B", true), "T /B m5"),
        ("T /A", append("- /A /B", false), "T /A /B m5"),
        ("T /A", append("- /A", false), "T /A"),
        ("T", append("- /A", false), "T /A m5"),
        ("T expires=9", append("expires=7", false), "T expires=9"),
        ("T expires=9", append("expires=7", true), "T expires=7 m5"),
        (
            "T | a 1",
            append("- | a -", true),
            "refused: a is an NGSI-LD Null, which this operation cannot take",
        ),
    ]);
}

#[test]
fn partial_update_5_6_4() {
    let partial = |own: &str, edits: &[&str]| Action::PartialUpdate {
        attribute: name(own),
        patch: AttributePatch(edits.iter().map(|text| edit(text)).collect()),
    };
    table(&[
        ("", partial("a", &["1"]), "refused: there is no entity urn:1"),
        ("T", partial("a", &["1"]), "refused: the entity has no attribute a"),
        (
            "T | a 1",
            partial("a", &["2;@d"]),
            "refused: the entity has no attribute a with the datasetId urn:d",
        ),
        // Members that are not mentioned stay.
        (
            "T | a 1;unit=C;observed=2",
            partial("a", &["3"]),
            "T m5 | a 3;unit=C;observed=2 m5; updated a",
        ),
        ("T | a 1;unit=C", partial("a", &["?;unit=F"]), "T m5 | a 1;unit=F m5; updated a"),
        ("T | a 1;unit=C", partial("a", &["?;unit=-"]), "T m5 | a 1 m5; updated a"),
        ("T | a 1;expires=9", partial("a", &["?;expires=-"]), "T m5 | a 1 m5; updated a"),
        ("T | a 1;q=2;r=3", partial("a", &["?;q=-"]), "T m5 | a 1;r=3 m5; updated a"),
        ("T | a 1;q=2", partial("a", &["?;q=-;r=-"]), "T m5 | a 1 m5; updated a"),
        ("T | a 1;q=2", partial("a", &["?;r=4"]), "T m5 | a 1;q=2;r=4 m5; updated a"),
        // A compound value is a member and is replaced whole.
        ("T | a {p:1,q:2}", partial("a", &["{p:3}"]), "T m5 | a {p:3} m5; updated a"),
        ("T | a 1 | a 2;@d", partial("a", &["3;@d"]), "T m5 | a 1 | a 3;@d m5; updated a"),
        ("T | a 1 | a 2;@d", partial("a", &["-;@d"]), "T m5 | a 1; updated a"),
        (
            "T | a 1",
            partial("a", &["rel urn:x:2"]),
            "refused: the attribute a is a Property and cannot become a Relationship",
        ),
        // All or nothing.
        (
            "T | a 1",
            partial("a", &["2", "3;@d"]),
            "refused: the entity has no attribute a with the datasetId urn:d",
        ),
        ("T | a 1;expires=5", partial("a", &["2"]), "refused: the entity has no attribute a"),
    ]);
}

#[test]
fn replace_attribute_5_6_19() {
    let replace = |own: &str, written: &str| Action::ReplaceAttribute {
        attribute: name(own),
        patch: patch(written),
    };
    table(&[
        ("T", replace("a", "1"), "refused: the entity has no attribute a"),
        ("T | a 1;unit=C;q=2", replace("a", "3"), "T m5 | a 3 m5; updated a"),
        (
            "T | a 1 | a 2;@d",
            replace("a", "3;unit=C;@d"),
            "T m5 | a 1 | a 3;unit=C;@d m5; updated a",
        ),
        (
            "T | a 1",
            replace("a", "3;@d"),
            "refused: the entity has no attribute a with the datasetId urn:d",
        ),
        ("T | a 1", replace("a", "?;unit=C"), "refused: the attribute a has no value"),
    ]);
}

#[test]
fn delete_attribute_5_6_5() {
    let delete = |own: &str, instances| Action::DeleteAttribute { attribute: name(own), instances };
    let of_d = || Instances::Dataset(dataset("d"));
    table(&[
        ("T | a 1 | a 2;@d | b 1", delete("a", Instances::All), "T m5 | b 1; updated a"),
        ("T | a 1 | a 2;@d", delete("a", Instances::Default), "T m5 | a 2;@d; updated a"),
        ("T | a 1 | a 2;@d", delete("a", of_d()), "T m5 | a 1; updated a"),
        ("T | a 2;@d", delete("a", of_d()), "T m5; updated a"),
        ("T | a 2;@d", delete("a", Instances::Default), "refused: the entity has no attribute a"),
        (
            "T | a 1",
            delete("a", of_d()),
            "refused: the entity has no attribute a with the datasetId urn:d",
        ),
        ("T", delete("a", Instances::All), "refused: the entity has no attribute a"),
        ("T /A", Action::DeleteScope, "T m5"),
        ("T", Action::DeleteScope, "refused: the entity has no scope"),
    ]);
}

#[test]
fn delete_5_6_6_and_purge_5_6_21() {
    table(&[
        ("T | a 1", Action::Delete, "gone; updated a"),
        ("", Action::Delete, "refused: there is no entity urn:1"),
        ("T expires=5", Action::Delete, "refused: there is no entity urn:1"),
        ("T | a 1 | b 2 | c 3", Action::KeepOnly(vec![name("b")]), "T m5 | b 2; updated a c"),
        ("T | a 1 | b 2", Action::Drop(vec![name("b"), name("z")]), "T m5 | a 1; updated b"),
        ("T | a 1", Action::Drop(vec![name("z")]), "T | a 1"),
    ]);
}

fn merge(written: &str) -> Action {
    Action::Merge { fragment: fragment(written), lang: None, observed_at: None }
}

#[test]
fn merge_5_6_17() {
    table(&[
        ("", merge("- | a 1"), "refused: there is no entity urn:1"),
        ("T | a 1;unit=C;q=2", merge("- | a 3"), "T m5 | a 3;unit=C;q=2 m5; updated a"),
        (
            "T | a 1;unit=C",
            merge("- | a ?;unit=-;observed=4"),
            "T m5 | a 1;observed=4 m5; updated a",
        ),
        ("T | a 1;q=2", merge("- | a ?;q=-"), "T m5 | a 1 m5; updated a"),
        ("T | a 1", merge("- | a ?;q=?"), "refused: the attribute q has no value"),
        (
            "T | a {p:1,q:{r:2,s:3}}",
            merge("- | a {q:{r:-,t:4}}"),
            "T m5 | a {p:1,q:{s:3,t:4}} m5; updated a",
        ),
        ("T | a {p:1}", merge("- | a {q:{r:-}}"), "T m5 | a {p:1,q:{}} m5; updated a"),
        ("T | a {p:1}", merge("- | a 2"), "T m5 | a 2 m5; updated a"),
        ("T | a 2", merge("- | a {p:1,q:-}"), "T m5 | a {p:1} m5; updated a"),
        ("T", merge("- | a {p:1,q:-};unit=-"), "T m5 | a {p:1} c5 m5; updated a"),
        ("T | a 1 | a 2;@d", merge("- | a -"), "T m5 | a 2;@d; updated a"),
        ("T | a 1", merge("- | b -"), "T | a 1"),
        ("T | a 1;unit=C", merge("- | a 2;@d"), "T m5 | a 1;unit=C | a 2;@d c5 m5; updated a"),
        ("T /A", merge("U /B /C"), "T+U /B /C m5"),
        ("T /A", merge("scope=-"), "T m5"),
        ("T", merge("- /A"), "T /A m5"),
        (
            "T | a 1",
            merge("- | a rel urn:x:2"),
            "refused: the attribute a is a Property and cannot become a Relationship",
        ),
        (
            "T | a rel urn:x:2;q=1",
            merge("- | a rel urn:x:3"),
            "T m5 | a rel urn:x:3;q=1 m5; updated a",
        ),
        (
            "T | a lang en:hi th:ดี",
            merge("- | a lang th:- fr:ça"),
            "T m5 | a lang en:hi fr:ça m5; updated a",
        ),
        (
            r#"T | a json {"p":1,"q":{"r":2}}"#,
            merge(
                r#"- | a json {"q":{"r":"urn:ngsi-ld:null","s":{"t":"urn:ngsi-ld:null"}},"u":null}"#,
            ),
            r#"T m5 | a json {"p":1,"q":{"s":{}},"u":null} m5; updated a"#,
        ),
        ("T", merge(r#"- | a json {"p":"urn:ngsi-ld:null"}"#), "T m5 | a json {} c5 m5; updated a"),
        ("T", merge("- | a lang en:hi th:-"), "T m5 | a lang en:hi c5 m5; updated a"),
    ]);
}

/// A merge of an object without a type: as a value, and what it is otherwise.
fn untyped(own: &str, value: &str, otherwise: Option<&str>, likely: bool) -> Action {
    let mut untyped = patch(value);
    let attributes = otherwise.map(|written| patch(written).attributes);
    untyped.otherwise = Some(Box::new(Otherwise { attributes, likely }));
    let attributes = vec![(name(own), AttributePatch(vec![InstanceEdit::Put(untyped)]))];
    Action::Merge {
        fragment: Fragment { attributes, ..Fragment::default() },
        lang: None,
        observed_at: None,
    }
}

#[test]
fn an_object_without_a_type_is_what_the_stored_attribute_says() {
    let null = |otherwise| untyped("a", "{q:-}", otherwise, true);
    let plain = || untyped("a", "{q:3}", Some("?;q=3"), false);
    table(&[
        // A Null deletes a sub-attribute where there is no compound value, and never the value.
        ("T | a 9;q=1", null(Some("?;q=-")), "T m5 | a 9 m5; updated a"),
        ("T | a 9", null(Some("?;q=-")), "T m5 | a 9 m5; updated a"),
        ("T | a rel urn:x:2;q=1", null(Some("?;q=-")), "T m5 | a rel urn:x:2 m5; updated a"),
        ("T | a {q:1,r:2}", null(Some("?;q=-")), "T m5 | a {r:2} m5; updated a"),
        ("T | a {r:2};q=1", null(Some("?;q=-")), "T m5 | a {r:2} m5; updated a"),
        ("T | a {q:1,r:2};q=1", null(Some("?;q=-")), "T m5 | a {r:2};q=1 m5; updated a"),
        ("T", null(Some("?;q=-")), "T"),
        (
            "T | a 9",
            null(None),
            "refused: a holds no object, so this may be its new value or what happens to its sub-attributes: write it within \"value\", or state the type of the attribute",
        ),
        // What has no sign of an attribute is a new value, unless it names sub-attributes.
        ("T | a 9", plain(), "T m5 | a {q:3} m5; updated a"),
        ("T | a 9;q=1", plain(), "T m5 | a 9;q=3 m5; updated a"),
        ("T | a {r:1}", plain(), "T m5 | a {r:1,q:3} m5; updated a"),
        (
            "T | a rel urn:x:2",
            plain(),
            "refused: the attribute a is a Relationship and cannot become a Property",
        ),
        ("T", plain(), "T m5 | a {q:3} c5 m5; updated a"),
        // No Null is ever stored, however deep.
        ("T", merge("- | a 1;q={p:1,q:-}"), "T m5 | a 1;q={p:1} c5 m5; updated a"),
    ]);
}

#[test]
fn a_language_property_goes_with_its_last_language() {
    table(&[
        ("T | a lang en:hi", merge("- | a lang en:-"), "T m5; updated a"),
        ("T | a lang en:hi | a 1;@d", merge("- | a lang en:-"), "T m5 | a 1;@d; updated a"),
        ("T", merge("- | a lang en:-"), "T"),
    ]);
}

fn simplified(own: &str, raw: serde_json::Value, lang: Option<&str>) -> Action {
    let text = raw.as_str().map(str::to_owned);
    let plain = match &raw {
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Number(number) => Value::from(number.as_i64().unwrap()),
        _ => Value::Array(Box::new([])),
    };
    let bare = Bare {
        value: plain,
        vocab: text.map(|text| OneOrMany::One(name(&text))),
        geometry: None,
        raw,
    };
    let patch =
        InstancePatch { datum: Some(Datum::Bare(Box::new(bare))), ..InstancePatch::default() };
    let attributes = vec![(name(own), AttributePatch(vec![InstanceEdit::Put(patch)]))];
    Action::Merge {
        fragment: Fragment { attributes, ..Fragment::default() },
        lang: lang.map(Into::into),
        observed_at: None,
    }
}

#[test]
fn a_simplified_merge_keeps_the_kind_that_is_there() {
    let text = |text: &str| serde_json::Value::from(text);
    table(&[
        ("T | a 1;unit=C", simplified("a", 2.into(), None), "T m5 | a 2;unit=C m5; updated a"),
        ("T", simplified("a", 2.into(), None), "T m5 | a 2 c5 m5; updated a"),
        (
            "T | a rel urn:x:2",
            simplified("a", text("urn:x:3"), None),
            "T m5 | a rel urn:x:3 m5; updated a",
        ),
        (
            "T | a rel urn:x:2",
            simplified("a", 7.into(), None),
            "refused: the value of a does not fit a Relationship",
        ),
        ("T | a vocab w", simplified("a", text("v"), None), "T m5 | a vocab v m5; updated a"),
        ("T | a json 1", simplified("a", 2.into(), None), "T m5 | a json 2 m5; updated a"),
        (
            "T | a lang en:hi th:ดี",
            simplified("a", text("ho"), Some("en")),
            "T m5 | a lang en:ho th:ดี m5; updated a",
        ),
        (
            "T | a lang en:hi",
            simplified("a", text("ho"), None),
            "T m5 | a lang en:hi @none:ho m5; updated a",
        ),
    ]);
}

#[test]
fn a_merge_gives_its_time_to_what_had_one() {
    let merge = |written: &str| Action::Merge {
        fragment: fragment(written),
        lang: None,
        observed_at: Some(at(7)),
    };
    table(&[
        ("T | a 1;observed=2", merge("- | a 3"), "T m5 | a 3;observed=7 m5; updated a"),
        ("T | a 1;observed=2", merge("- | a 3;observed=4"), "T m5 | a 3;observed=4 m5; updated a"),
        ("T | a 1", merge("- | a 3"), "T m5 | a 3 m5; updated a"),
        ("T", merge("- | a 3"), "T m5 | a 3 c5 m5; updated a"),
    ]);
}

#[test]
fn the_type_parameter_hides_entities_of_other_types() {
    let of = |types: &str| Write {
        id: id(),
        only: Some(TypeSelection::of(name(types))),
        action: Action::Delete,
    };
    let entity = entity("T+U | a 1");
    assert!(of("U").apply(Some(&entity), at(NOW)).is_ok());
    assert_eq!(of("V").apply(Some(&entity), at(NOW)), Err(Refusal::NoSuchEntity(id())));
}

#[test]
fn what_has_expired_within_is_dropped_by_any_change() {
    let action = Action::Update(fragment("- | c 1"));
    assert_eq!(
        apply("T | a 1;expires=4 | a 2;@d | b 3;expires=6", action),
        "T m5 | a 2;@d | b 3;expires=6 | c 1 c5 m5; updated c"
    );
    let mut nested = entity("T | a 1");
    let inner = Attribute::one(instance("2;expires=4"));
    nested.attributes.get_mut(name("a")).unwrap().instances_mut()[0]
        .more_mut()
        .attributes
        .insert(name("q"), inner);
    assert_eq!(show(&nested.without_expired(at(3))), "T | a 1;q=2");
    let left = nested.without_expired(at(4));
    assert_eq!(show(&left), "T | a 1");
    assert!(left.attributes.get(name("a")).unwrap().instances()[0].more.is_none());
}

#[test]
fn only_what_creates_may_bring_a_tenant_into_being() {
    let may = |action| Write::new(id(), action).may_create();
    assert!(may(Action::Create(entity("T"))) && may(Action::Upsert(entity("T"))));
    assert!(may(Action::UpsertUpdate(fragment("T"))));
    assert!(!may(Action::Replace(entity("T"))) && !may(merge("T")) && !may(Action::Delete));
}
