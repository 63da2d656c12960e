//! How single members are read, here and in registrations.

use std::time::Duration;

use serde_json::{Map, Value};

use super::KeyValuePair;
use crate::model::{AttrName, DatasetId, EntityId, Name};
use crate::represent::ReadError;

/// A member of an object, perhaps absent.
pub(in crate::represent) struct Member<'v>(pub &'static str, pub Option<&'v Value>);

impl<'v> Member<'v> {
    /// That of some members; null is as good as nothing.
    pub fn of(members: &'v Map<String, Value>, name: &'static str) -> Self {
        Self(name, members.get(name).filter(|value| !value.is_null()))
    }

    pub fn read<T>(
        &self,
        read: impl FnOnce(&'v Value) -> Result<T, ReadError>,
    ) -> Result<Option<T>, ReadError> {
        self.1.map(read).transpose().map_err(|error| error.within(self.0))
    }

    pub fn required(&self, why: &str) -> Result<&'v Value, ReadError> {
        self.1.ok_or_else(|| ReadError::new(why).within(self.0))
    }
}

pub(in crate::represent) fn pairs(value: &Value) -> Result<Vec<KeyValuePair>, ReadError> {
    let Value::Array(pairs) = value else { return Err(expected("an array", value)) };
    let pair = |value: &Value| {
        let members = object(value, "a KeyValuePair is a JSON object")?;
        let text = |name: &'static str| {
            let text = Member(name, members.get(name)).required("a KeyValuePair needs it")?;
            match text {
                Value::String(text) => Ok(text.as_str().into()),
                other => Err(expected("a string", other).within(name)),
            }
        };
        Ok(KeyValuePair { key: text("key")?, value: text("value")? })
    };
    let each = pairs.iter().enumerate();
    each.map(|(place, one)| pair(one).map_err(|error: ReadError| error.within_item(place)))
        .collect()
}

/// Names of attributes, which are IRIs here.
pub(in crate::represent) fn attributes(value: &Value) -> Result<Vec<AttrName>, ReadError> {
    let texts = texts(value)?;
    texts
        .iter()
        .map(|iri| Name::intern(iri).map_err(|error| ReadError::new(error.to_string())))
        .collect()
}

pub(in crate::represent) fn datasets(value: &Value) -> Result<Vec<Option<DatasetId>>, ReadError> {
    let texts = texts(value)?;
    let each = texts.iter().enumerate().map(|(place, text)| match *text {
        "@none" => Ok(None),
        text => DatasetId::parse(text)
            .map(Some)
            .map_err(|why| ReadError::new(why.to_string()).within_item(place)),
    });
    each.collect()
}

/// One id, or an array of ids.
pub(super) fn ids(value: &Value) -> Result<Vec<EntityId>, ReadError> {
    let id = |text: &str| EntityId::parse(text).map_err(|why| ReadError::new(why.to_string()));
    match value {
        Value::Array(_) => {
            let texts = texts(value)?;
            let each = texts.iter().enumerate();
            each.map(|(place, text)| id(text).map_err(|error| error.within_item(place))).collect()
        }
        single => Ok(vec![id(string(single)?)?]),
    }
}

pub(super) fn seconds(value: &Value) -> Result<Duration, ReadError> {
    positive(value, 1.0, "seconds")
}

pub(in crate::represent) fn milliseconds(value: &Value) -> Result<Duration, ReadError> {
    positive(value, 1e-3, "milliseconds")
}

/// The longest time that a Subscription may speak of, in seconds: a hundred years.
const LONGEST: f64 = 100.0 * 365.0 * 86_400.0;

fn positive(value: &Value, unit: f64, what: &str) -> Result<Duration, ReadError> {
    let number = value.as_f64().map(|number| number * unit);
    match number {
        Some(number) if number > 0.0 && number <= LONGEST => Ok(Duration::from_secs_f64(number)),
        _ => Err(expected(&format!("a number of {what} above zero, and below a century"), value)),
    }
}

pub(in crate::represent) fn boolean(value: &Value) -> Result<bool, ReadError> {
    value.as_bool().ok_or_else(|| expected("true or false", value))
}

pub(in crate::represent) fn string(value: &Value) -> Result<&str, ReadError> {
    match value.as_str() {
        Some("") => Err(ReadError::new("it is empty")),
        Some(text) => Ok(text),
        None => Err(expected("a string", value)),
    }
}

pub(in crate::represent) fn object<'v>(
    value: &'v Value,
    why: &str,
) -> Result<&'v Map<String, Value>, ReadError> {
    value.as_object().ok_or_else(|| ReadError::new(why))
}

pub(in crate::represent) fn items(value: &Value) -> Result<&[Value], ReadError> {
    match value {
        Value::Array(items) if items.is_empty() => Err(ReadError::new("the array is empty")),
        Value::Array(items) => Ok(items),
        other => Err(expected("an array", other)),
    }
}

pub(in crate::represent) fn texts(value: &Value) -> Result<Vec<&str>, ReadError> {
    let each = items(value)?.iter().enumerate();
    each.map(|(place, item)| string(item).map_err(|error| error.within_item(place))).collect()
}

pub(in crate::represent) fn expected(what: &str, value: &Value) -> ReadError {
    let kind = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    ReadError::new(format!("it has to be {what}, not {kind}"))
}
