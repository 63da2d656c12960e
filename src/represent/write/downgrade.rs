//! Writing for a broker of an older version of the specification (4.3.6.8): what it would not know
//! becomes what comes nearest, or is left out.

use serde_json::{Map, Value};

use super::SpecVersion;
use super::fallback::Fallback;

/// The members that hold the value of an attribute, and what stands for them in older versions.
const VALUES: [(&str, &str); 4] =
    [("json", "value"), ("vocab", "value"), ("valueList", "value"), ("objectList", "object")];

/// The kinds of attributes, and what stands for them.
const KINDS: [(&str, &str); 4] = [
    ("JsonProperty", "Property"),
    ("VocabProperty", "Property"),
    ("ListProperty", "Property"),
    ("ListRelationship", "Relationship"),
];

/// An entity, an attribute or a fragment of one, as JSON text that a version of the specification
/// knows; the text as it is if that is not older, or if it is none of these.
pub fn downgraded(text: &str, version: SpecVersion) -> String {
    if version >= SpecVersion::OURS {
        return text.to_owned();
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(mut whole)) => {
            let fallback = Fallback::for_version(Some(version));
            object(&mut whole, fallback, true);
            if fallback.no_scope {
                whole.shift_remove("scope");
            }
            Value::from(whole).to_string()
        }
        _ => text.to_owned(),
    }
}

fn object(members: &mut Map<String, Value>, fallback: Fallback, whole: bool) {
    if fallback.no_expiry {
        members.shift_remove("expiresAt");
        members.shift_remove("valueType");
    }
    let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
    let kinds = KINDS.iter().find(|(own, _)| *own == kind).filter(|_| fallback.old_kinds);
    let language = fallback.no_language && (kind == "LanguageProperty" || !whole);
    if let Some((_, plain)) = kinds {
        members.insert("type".into(), (*plain).into());
    } else if language && kind == "LanguageProperty" {
        members.insert("type".into(), "Property".into());
    }
    // An entity may have an attribute of such a name.
    if fallback.old_kinds && (kinds.is_some() || !whole) {
        members.shift_remove("objectType");
        for (own, plain) in VALUES {
            if let Some(value) = members.shift_remove(own) {
                members.insert(plain.into(), plain_list(value, own));
            }
        }
    }
    if language && let Some(value) = members.shift_remove("languageMap") {
        members.insert("value".into(), value);
    }
    for (name, member) in members {
        if !matches!(name.as_str(), "value" | "object" | "languageMap" | "@context") {
            each(member, fallback);
        }
    }
}

fn each(member: &mut Value, fallback: Fallback) {
    match member {
        Value::Object(members) => object(members, fallback, false),
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, fallback)),
        _ => {}
    }
}

/// The targets of a ListRelationship are objects each.
fn plain_list(value: Value, own: &str) -> Value {
    match value {
        Value::Array(items) if own == "objectList" => {
            let target = |item: Value| match item {
                Value::Object(mut members) => {
                    members.shift_remove("object").unwrap_or_else(|| members.into())
                }
                other => other,
            };
            items.into_iter().map(target).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(version: (u16, u16), text: Value, expected: Value) {
        let version = SpecVersion::new(version.0, version.1);
        let told: Value = serde_json::from_str(&downgraded(&text.to_string(), version)).unwrap();
        assert_eq!(told, expected, "{version:?}");
    }

    #[test]
    fn what_older_versions_do_not_know_becomes_what_comes_nearest() {
        let entity = json!({
            "id": "urn:x:1", "type": "T", "expiresAt": "2030-01-01T00:00:00Z", "scope": "/a",
            "a": {"type": "JsonProperty", "json": {"json": 1}, "b": {"vocab": "c"}},
            "l": {"type": "ListRelationship", "objectType": "U",
                  "objectList": [{"object": "urn:u:1"}, {"object": "urn:u:2"}]},
            "n": [{"type": "LanguageProperty", "languageMap": {"en": "x"}, "datasetId": "urn:d"}],
        });
        check((1, 9), entity.clone(), entity.clone());
        let mut of_8 = entity.clone();
        of_8.as_object_mut().unwrap().remove("expiresAt");
        check((1, 8), entity.clone(), of_8);
        let of_6 = json!({
            "id": "urn:x:1", "type": "T", "scope": "/a",
            "a": {"type": "Property", "value": {"json": 1}, "b": {"value": "c"}},
            "l": {"type": "Relationship", "object": ["urn:u:1", "urn:u:2"]},
            "n": [{"type": "LanguageProperty", "languageMap": {"en": "x"}, "datasetId": "urn:d"}],
        });
        check((1, 6), entity.clone(), of_6.clone());
        let mut of_3 = of_6;
        of_3.as_object_mut().unwrap().remove("scope");
        of_3["n"] = json!([{"type": "Property", "value": {"en": "x"}, "datasetId": "urn:d"}]);
        check((1, 3), entity, of_3);
    }

    #[test]
    fn a_fragment_of_an_attribute_is_one_by_its_type() {
        check(
            (1, 6),
            json!({"type": "VocabProperty", "vocab": "a"}),
            json!({"type": "Property", "value": "a"}),
        );
        // An attribute of an entity that is called so.
        let fragment = json!({"json": {"type": "Property", "value": 1}});
        check((1, 6), fragment.clone(), fragment);
    }
}
