//! The shapes of bodies. They are data, in `schemas.json`; the list of error types comes from the
//! table that answers use.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::{Components, ComponentsBuilder, Ref, RefOr, schema::Schema};

use crate::http::problem::ErrorKind;

const SCHEMAS: &str = include_str!("schemas.json");

/// All shapes, as JSON.
pub(super) fn source() -> Value {
    let mut source: Value =
        serde_json::from_str(SCHEMAS).expect("the shapes are part of the program, and JSON");
    let kinds = ErrorKind::ALL.map(|kind| kind.uri().into());
    source["ProblemDetails"]["properties"]["type"]["enum"] = Value::Array(kinds.into());
    source
}

/// All shapes.
pub(super) fn components() -> Components {
    let shapes: BTreeMap<String, RefOr<Schema>> =
        serde_json::from_value(source()).expect("a test reads each shape");
    shapes
        .into_iter()
        .fold(ComponentsBuilder::new(), |all, (name, shape)| all.schema(name, shape))
        .build()
}

/// A reference to a shape.
pub(super) fn reference(name: &str) -> Ref {
    Ref::from_schema_name(name)
}
