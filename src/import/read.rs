//! One value of the input becomes the entity documents it stands for.

use serde_json::{Map, Value};

use super::{Format, Item, ItemContext, Place, Refused, key_values, shape::Shape};

/// What came of one value.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub items: Vec<Item>,
    pub refused: Vec<Refused>,
    pub notes: Vec<String>,
}

/// Reads a value as the format says, or as its members tell.
pub(super) fn read(place: Place, bytes: Vec<u8>, format: Format) -> Reading {
    let refuse = |id, why: String| Reading {
        refused: vec![Refused { place, id, why }],
        ..Reading::default()
    };
    let shape = match Shape::of(&bytes) {
        Ok(shape) => shape,
        Err(error) => return refuse(None, error.to_string()),
    };
    let format = match format {
        Format::Auto if shape.is_reified => Format::NgsiLd,
        Format::Auto => Format::KeyValues,
        known => known,
    };
    let Some(id) = shape.id else {
        return refuse(None, "it has no id".into());
    };
    let json = match format {
        Format::KeyValues => match serde_json::from_slice::<Map<String, Value>>(&bytes) {
            Ok(entity) => to_bytes(&Value::Object(key_values::normalize(entity))),
            Err(error) => return refuse(Some(id), error.to_string()),
        },
        _ => bytes,
    };
    let context = if shape.has_context { ItemContext::Own } else { ItemContext::Chosen };
    let item = Item { place, id, json, context };
    Reading { items: vec![item], ..Reading::default() }
}

fn to_bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(json: &str, format: Format) -> Result<String, String> {
        let reading = read(Place::default(), json.into(), format);
        match (reading.items.into_iter().next(), reading.refused.into_iter().next()) {
            (Some(item), None) => Ok(String::from_utf8(item.json).expect("is text")),
            (None, Some(refused)) => Err(refused.why),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_members_tell_the_format() {
        let normalized = r#"{"id":"urn:a:1","type":"T","a":{"type":"Property","value":1}}"#;
        assert_eq!(read_text(normalized, Format::Auto), Ok(normalized.into()));
        assert_eq!(
            read_text(r#"{"id":"urn:a:1","type":"T","a":1}"#, Format::Auto),
            Ok(normalized.into())
        );
        let concise = r#"{"id":"urn:a:1","type":"T","a":1}"#;
        assert_eq!(read_text(concise, Format::NgsiLd), Ok(concise.into()));
    }

    #[test]
    fn what_is_no_entity_is_refused() {
        for (json, why) in [
            ("7", "an entity, which is a JSON object"),
            (r#"{"type":"T"}"#, "it has no id"),
            (r#"{"id":1}"#, "it has no id"),
            (r#"{"id":"urn:a:1""#, "EOF while parsing"),
        ] {
            let said = read_text(json, Format::Auto).expect_err("is refused");
            assert!(said.contains(why), "{json}: {said}");
        }
    }
}
