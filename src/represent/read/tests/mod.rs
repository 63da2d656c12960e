use expect_test::{Expect, expect};
use serde_json::{Value as Json, json};

use super::*;
use crate::model::{Action, Applied, Datum, InstanceEdit, Kind, Number, Value, Write};
use crate::represent::samples::{document, moment, name, read, user_context, written};
use crate::represent::{Format, Rendering};

mod fragments;
mod members;
mod rules;

/// An entity with one attribute, `a`.
fn with(attribute: Json) -> Json {
    json!({"id": "urn:a:1", "type": "T", "a": attribute})
}

/// The instance that the attribute `a` of a new entity gets.
fn instance(attribute: Json) -> crate::model::Instance {
    let entity = read(with(attribute.clone()), &Context::core());
    let entity = entity.unwrap_or_else(|error| panic!("{error} in {attribute}"));
    let (_, attribute) = entity.attributes.iter().next().expect("an attribute");
    attribute.instances()[0].clone()
}

/// What is wrong with a whole entity.
fn refuse(entity: Json, expected: Expect) {
    match read(entity.clone(), &Context::core()) {
        Ok(_) => panic!("{entity} was taken"),
        Err(error) => expected.assert_eq(&error.to_string()),
    }
}
