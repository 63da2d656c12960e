//! How far a schema reaches: its parts, counted as often as references lead to them. Entities are held
//! against models on the thread that everyone waits for, and a few lines of references to references
//! can stand for millions of parts.

use rustc_hash::FxHashMap;
use serde_json::Value;

use super::ModelError;

/// The most parts that an entity may be held against. The largest shipped model has some hundreds.
const MAX_PARTS: usize = 10_000;

/// Refuses a schema that stands for too much.
pub(super) fn check(schema: &Value) -> Result<(), ModelError> {
    let mut counter =
        Counter { root: schema, named: FxHashMap::default(), way: Vec::new(), parts: 0 };
    counter.name(schema);
    counter.count(schema)
}

struct Counter<'s> {
    root: &'s Value,
    /// Parts that have a name of their own, as references write it.
    named: FxHashMap<String, &'s Value>,
    /// The references that led here: one that leads into itself has been counted.
    way: Vec<&'s str>,
    parts: usize,
}

impl<'s> Counter<'s> {
    fn name(&mut self, part: &'s Value) {
        match part {
            Value::Object(members) => {
                for (keyword, value) in members {
                    let name = match (keyword.as_str(), value.as_str()) {
                        ("$anchor" | "$dynamicAnchor", Some(name)) => Some(format!("#{name}")),
                        ("$id", Some(id)) => Some(id.trim_end_matches('#').to_owned()),
                        _ => None,
                    };
                    self.named.extend(name.map(|name| (name, part)));
                    self.name(value);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.name(item)),
            _ => {}
        }
    }

    fn count(&mut self, part: &'s Value) -> Result<(), ModelError> {
        match part {
            Value::Array(items) => items.iter().try_for_each(|item| self.count(item)),
            Value::Object(members) => {
                self.parts += 1;
                if self.parts > MAX_PARTS {
                    let why = format!("with its references it has more than {MAX_PARTS} parts");
                    return Err(ModelError::unfit("the schema", why));
                }
                members.iter().try_for_each(|(keyword, value)| match keyword.as_str() {
                    // What stands here counts where a reference leads to it.
                    "$defs" | "definitions" => Ok(()),
                    "enum" | "const" | "examples" | "default" => Ok(()),
                    // Here names stand and no keywords.
                    "properties" | "patternProperties" | "dependentSchemas" => {
                        let each = value.as_object().into_iter().flat_map(|all| all.values());
                        each.into_iter().try_for_each(|one| self.count(one))
                    }
                    "$ref" | "$dynamicRef" => self.follow(value.as_str().unwrap_or_default()),
                    _ => self.count(value),
                })
            }
            _ => Ok(()),
        }
    }

    fn follow(&mut self, reference: &'s str) -> Result<(), ModelError> {
        if self.way.contains(&reference) {
            return Ok(());
        }
        let target = self.target(reference).ok_or_else(|| {
            ModelError::unfit(reference, "it leads to no part: write it like #/$defs/name")
        })?;
        self.way.push(reference);
        let counted = self.count(target);
        self.way.pop();
        counted
    }

    fn target(&self, reference: &str) -> Option<&'s Value> {
        if let Some(part) = self.named.get(reference) {
            return Some(part);
        }
        let (base, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let base = if base.is_empty() { self.root } else { self.named.get(base)? };
        base.pointer(fragment)
    }
}
