//! What a schema expects, in words that whoever sends data can act on.

use serde_json::Value;

/// How many choices are listed.
const MAX_CHOICES: usize = 24;

/// How much of a value is repeated, in characters.
const MAX_RECEIVED: usize = 120;

/// How deep references are followed.
const MAX_DEPTH: usize = 8;

/// What a property looks like. `root` holds the definitions it refers to.
pub(super) fn describe(schema: &Value, root: &Value) -> String {
    words(schema, root, MAX_DEPTH).unwrap_or_else(|| "what the model says".to_owned())
}

fn words(schema: &Value, root: &Value, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    if let Some(text) = schema.get("description").and_then(Value::as_str) {
        return Some(sentence(text));
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(reference.strip_prefix('#')?)?;
        let name = reference.rsplit('/').next().unwrap_or_default();
        return Some(known(name).map_or_else(
            || words(target, root, depth).unwrap_or_else(|| name.to_owned()),
            str::to_owned,
        ));
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        return Some(one_of(choices));
    }
    if let Some(only) = schema.get("const") {
        return Some(received(only));
    }
    if let Some(ways) = schema.get("anyOf").or(schema.get("oneOf")).and_then(Value::as_array) {
        // The first way is the usual one; the others are further spellings of the same.
        return words(ways.first()?, root, depth);
    }
    let mut text = match schema.get("type")? {
        Value::String(kind) => with_article(kind).to_owned(),
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str).map(with_article);
            kinds.collect::<Vec<_>>().join(" or ")
        }
        _ => return None,
    };
    text.push_str(&bounds(schema));
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        text.push_str(&format!(" like {pattern}"));
    }
    if let Some(format) = schema.get("format").and_then(Value::as_str) {
        text.push_str(&format!(" ({format})"));
    }
    Some(text)
}

/// The definitions that the shipped models share.
fn known(definition: &str) -> Option<&'static str> {
    Some(match definition {
        "text" => "a text, or one per language",
        "texts" => "a text or several",
        "dateTime" => "a moment by ISO 8601 with its offset, like 2026-03-12T15:00:00+07:00",
        "uri" => "a URI",
        "uris" => "the id of an entity (a URI), or several",
        "geometry" => "a GeoJSON geometry, longitude first",
        _ => return None,
    })
}

fn one_of(choices: &[Value]) -> String {
    let listed: Vec<_> = choices.iter().take(MAX_CHOICES).map(choice).collect();
    let more = if choices.len() > MAX_CHOICES { ", …" } else { "" };
    format!("one of {}{more}", listed.join(", "))
}

fn choice(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn bounds(schema: &Value) -> String {
    let bound = |name: &str| schema.get(name).filter(|bound| bound.is_number());
    match (bound("minimum"), bound("maximum")) {
        (Some(low), Some(high)) => format!(" from {low} to {high}"),
        (Some(low), None) => format!(" of at least {low}"),
        (None, Some(high)) => format!(" of at most {high}"),
        (None, None) => String::new(),
    }
}

fn with_article(kind: &str) -> &str {
    match kind {
        "number" => "a number",
        "integer" => "a whole number",
        "string" => "a text",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object",
        other => other,
    }
}

fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut letters = text.chars();
    letters
        .next()
        .map_or(String::new(), |first| first.to_lowercase().chain(letters).collect::<String>())
}

/// A value as it came, cut when it is long.
pub(super) fn received(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= MAX_RECEIVED {
        return text;
    }
    text.chars().take(MAX_RECEIVED).chain(['…']).collect()
}
