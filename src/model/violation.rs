//! What a model of data finds wrong with an entity.

use std::fmt;

use serde::Serialize;

/// One thing that is not as a model says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The short name of the attribute; empty if it is the entity as a whole.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub attribute: Box<str>,
    /// The datasetId of the instance, absent for the default one.
    #[serde(rename = "datasetId", skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Box<str>>,
    /// Where within the value, as a JSON Pointer; empty for the value itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What should be there, in words.
    pub expected: String,
    /// What is there.
    pub received: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attribute, dataset, path, expected, received } = self;
        match attribute.is_empty() {
            true => f.write_str("the entity")?,
            false => write!(f, "{attribute}{path}")?,
        }
        if let Some(dataset) = dataset {
            write!(f, " ({dataset})")?;
        }
        write!(f, ": expected {expected}, received {received}")
    }
}
