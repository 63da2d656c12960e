//! A JSON Schema read as a model: what it says beyond validation, in members of its own.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::ModelError;

/// The largest model, in properties.
const MAX_PROPERTIES: usize = 2_000;

/// The members of a model's document that are not JSON Schema's, and those that are needed to use
/// the rest.
#[derive(Debug, Deserialize)]
pub(super) struct Document {
    pub title: String,
    #[serde(rename = "x-iri")]
    pub iri: Option<String>,
    #[serde(rename = "x-labels", default)]
    pub labels: BTreeMap<String, String>,
    #[serde(rename = "x-domain")]
    pub domain: Option<String>,
    /// A word or several.
    #[serde(rename = "type", default)]
    pub kind: Value,
    #[serde(default)]
    pub required: Vec<String>,
    #[serde(default)]
    pub properties: serde_json::Map<String, Value>,
}

/// The members of a property that are not JSON Schema's.
#[derive(Debug, Default, Deserialize)]
pub(super) struct PropertyDocument {
    #[serde(rename = "x-iri")]
    pub iri: Option<String>,
    #[serde(rename = "x-kind")]
    pub kind: Option<String>,
    #[serde(rename = "x-labels", default)]
    pub labels: BTreeMap<String, String>,
    #[serde(rename = "x-units", default)]
    pub units: Vec<String>,
}

impl Document {
    pub(super) fn read(schema: &Value) -> Result<Self, ModelError> {
        let document = Self::deserialize(schema)
            .map_err(|error| ModelError::unfit("the schema", error.to_string()))?;
        if document.title.is_empty() || document.title.contains(char::is_whitespace) {
            return Err(ModelError::unfit("title", "it has to be the name of the type"));
        }
        let names_object = |kind: &Value| kind == "object";
        let takes_objects = match &document.kind {
            // What is said wrongly is told by whoever compiles it.
            Value::String(_) => names_object(&document.kind),
            Value::Array(kinds) => kinds.iter().any(names_object),
            _ => true,
        };
        if !takes_objects {
            return Err(ModelError::unfit(
                "type",
                format!("an entity is an object, not {}", document.kind),
            ));
        }
        if document.properties.len() > MAX_PROPERTIES {
            let why = format!("there are more than {MAX_PROPERTIES}");
            return Err(ModelError::unfit("properties", why));
        }
        Ok(document)
    }
}

impl PropertyDocument {
    pub(super) fn read(term: &str, schema: &Value) -> Result<Self, ModelError> {
        // `true` and `false` are schemas too.
        if !schema.is_object() {
            return Ok(Self::default());
        }
        Self::deserialize(schema)
            .map_err(|error| ModelError::unfit(format!("properties/{term}"), error.to_string()))
    }
}
