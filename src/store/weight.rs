//! How much memory an entity takes, estimated: what allocations of its parts need, and what an
//! allocator adds to each.

use std::mem::size_of;

use crate::geo::{Geometry, Position};
use crate::model::{Attribute, Attributes, Datum, Entity, Instance, More, Name, OneOrMany};
use crate::model::{Scope, Stored, Value};

/// What an allocation costs beyond what was asked for, on average.
const OVERHEAD: usize = 8;

fn block(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes + OVERHEAD }
}

/// The bytes an entity in memory needs.
pub(super) fn weigh(entity: &Entity) -> u32 {
    let weight = block(size_of::<Stored>() + 16)
        + block(entity.id.as_str().len() + 16)
        + list(&entity.types, |_| 0)
        + block(entity.scopes.len() * size_of::<Scope>())
        + entity.scopes.iter().map(|scope| block(scope.as_str().len())).sum::<usize>()
        + attributes(&entity.attributes);
    weight.try_into().unwrap_or(u32::MAX)
}

fn attributes(all: &Attributes) -> usize {
    let own = block(all.len() * size_of::<(Name, Attribute)>());
    own + all.iter().map(|(_, attribute)| instances(attribute)).sum::<usize>()
}

fn instances(attribute: &Attribute) -> usize {
    let all = attribute.instances();
    let own = if all.len() == 1 { 0 } else { block(size_of_val(all)) };
    own + all.iter().map(instance).sum::<usize>()
}

fn instance(instance: &Instance) -> usize {
    datum(&instance.datum) + instance.more.as_deref().map_or(0, more)
}

fn more(more: &More) -> usize {
    let sealed = more.sealed.as_deref().map_or(0, |sealed| {
        block(size_of_val(sealed))
            + sealed.id.as_ref().map_or(0, |id| block(id.as_str().len() + 16))
            + block(size_of_val(sealed.types.as_slice()))
    });
    block(size_of::<More>())
        + more.dataset.as_ref().map_or(0, |id| block(id.as_str().len() + 16))
        + block(size_of_val(more.object_types.as_slice()))
        + attributes(&more.attributes)
        + sealed
}

fn datum(datum: &Datum) -> usize {
    match datum {
        Datum::Property(own) => value(own),
        Datum::GeoProperty(shape) => block(size_of::<Geometry>()) + geometry(shape),
        Datum::Relationship(objects) => list(objects, |id| block(id.as_str().len() + 16)),
        Datum::LanguageProperty(map) => {
            let text = |(tag, strings): &(Box<str>, OneOrMany<Box<str>>)| {
                block(tag.len()) + list(strings, |text| block(text.len()))
            };
            block(size_of_val(&*map.0)) + map.0.iter().map(text).sum::<usize>()
        }
        Datum::VocabProperty(words) => list(words, |_| 0),
        Datum::ListProperty(items) => values(items),
        Datum::ListRelationship(objects) => {
            let text = |id: &crate::model::EntityId| block(id.as_str().len() + 16);
            block(size_of_val(&**objects)) + objects.iter().map(text).sum::<usize>()
        }
        Datum::JsonProperty(own) => block(size_of::<serde_json::Value>()) + json(own),
        Datum::Bare(_) => 0,
    }
}

fn list<T>(things: &OneOrMany<T>, inner: impl Fn(&T) -> usize) -> usize {
    let own = match things {
        OneOrMany::One(_) => 0,
        OneOrMany::Many(things) => {
            block(size_of_val(&**things)) + block(size_of_val(things.as_slice()))
        }
    };
    own + things.as_slice().iter().map(inner).sum::<usize>()
}

fn value(own: &Value) -> usize {
    match own {
        Value::String(text) => block(text.len()),
        Value::Array(items) => values(items),
        Value::Object(members) => {
            let inner = members.iter().map(|(_, member)| value(member));
            block(size_of_val(&**members)) + inner.sum::<usize>()
        }
        _ => 0,
    }
}

fn values(items: &[Value]) -> usize {
    block(size_of_val(items)) + items.iter().map(value).sum::<usize>()
}

fn json(own: &serde_json::Value) -> usize {
    match own {
        serde_json::Value::String(text) => block(text.len()),
        serde_json::Value::Array(items) => {
            block(size_of_val(items.as_slice())) + items.iter().map(json).sum::<usize>()
        }
        serde_json::Value::Object(members) => {
            // An ordered map keeps a hash, a key and a value per member, and a table of places.
            let entry = size_of::<(u64, String, serde_json::Value)>() + size_of::<usize>() * 2;
            let inner = members.iter().map(|(name, member)| block(name.len()) + json(member));
            block(members.len() * entry) + inner.sum::<usize>()
        }
        _ => 0,
    }
}

fn geometry(shape: &Geometry) -> usize {
    let line = |positions: &Vec<Position>| block(size_of_val(positions.as_slice()));
    let lines = |lines: &Vec<Vec<Position>>| {
        block(size_of_val(lines.as_slice())) + lines.iter().map(line).sum::<usize>()
    };
    match shape {
        Geometry::Point(_) => 0,
        Geometry::MultiPoint(positions) | Geometry::LineString(positions) => line(positions),
        Geometry::MultiLineString(rings) | Geometry::Polygon(rings) => lines(rings),
        Geometry::MultiPolygon(polygons) => {
            block(size_of_val(polygons.as_slice())) + polygons.iter().map(lines).sum::<usize>()
        }
    }
}
