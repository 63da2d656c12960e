//! What a mapping owes to the model of its type: the attributes that the type has to have, its
//! units, and what its bounds say is impossible.

use serde_json::Value;

use super::field::{Bounds, Field, Make};
use super::node::Table;
use crate::model::Kind;
use crate::schema::{Model, Property, shipped};

/// The attributes that every mapping gets from its provenance.
pub const OF_PROVENANCE: [&str; 4] = ["source", "dataProvider", "sourceClass", "reliability"];

/// Holds fields against the model of a type, if one is shipped, and gives them its bounds.
pub(super) fn check(kind: &str, fields: &mut [(String, Field)], table: &Table<'_>) {
    let Some(shipped) = shipped().iter().find(|shipped| shipped.name == kind) else { return };
    let model = shipped.model();
    for required in &model.required {
        match fields.iter_mut().find(|(name, _)| **name == **required) {
            Some((_, field)) => field.required = true,
            None if OF_PROVENANCE.contains(&&**required) => {}
            None => table.blame(format!("{required} is missing, which every {kind} has to have")),
        }
    }
    let nodes = table.all();
    for (name, field) in fields {
        let blame = |why: String| {
            if let Some((_, node)) = nodes.iter().find(|(own, _)| *own == name) {
                node.blame(why);
            }
        };
        if let Some(property) = model.properties().iter().find(|own| *own.term == **name) {
            if let Some(kind) = property.kind.filter(|kind| !takes(*kind, kind_of(field))) {
                blame(format!("{name} has to be a {}", kind.term()));
            }
            units(property, field, kind, &blame);
            bounds(model, property, field);
        }
    }
}

fn units(property: &Property, field: &Field, kind: &str, blame: &dyn Fn(String)) {
    let Some(form) = field.number() else { return };
    if property.units.is_empty() {
        return;
    }
    let known =
        form.unit.as_ref().is_some_and(|unit| property.units.iter().any(|own| **own == **unit));
    // A ratio may do without a code.
    let without = form.unit.is_none() && property.units.iter().any(|own| **own == *"C62");
    if !known && !without {
        let units = property.units.join(" or ");
        blame(format!("{} of a {kind} is in {units}: say so with unit", property.term));
    }
}

/// What the model calls impossible is so, unless the mapping is stricter.
fn bounds(model: &Model, property: &Property, field: &mut Field) {
    let schema = &model.schema()["properties"][&*property.term];
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    if let Some(form) = field.number_mut() {
        let stricter = |own: Option<f64>, of_model: Option<f64>, pick: fn(f64, f64) -> f64| match (
            own, of_model,
        ) {
            (Some(own), Some(other)) => Some(pick(own, other)),
            (own, other) => own.or(other),
        };
        form.range = Bounds {
            least: stricter(form.range.least, bound("minimum"), f64::max),
            most: stricter(form.range.most, bound("maximum"), f64::min),
        };
        form.whole |= schema.get("type").and_then(Value::as_str) == Some("integer");
    }
}

/// Texts may be given per language, and links where values are expected.
fn takes(expected: Kind, made: Kind) -> bool {
    match expected {
        Kind::GeoProperty | Kind::Relationship => made == expected,
        _ => made != Kind::GeoProperty,
    }
}

fn kind_of(field: &Field) -> Kind {
    match &field.make {
        Make::Point { .. } => Kind::GeoProperty,
        Make::Link(_) => Kind::Relationship,
        Make::Languages(_) => Kind::LanguageProperty,
        _ => Kind::Property,
    }
}
