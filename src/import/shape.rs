//! A glance at a JSON value: enough to tell what it is, without building it.

use std::{borrow::Cow, fmt};

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::Kind;

/// What a glance at the members of an object shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// `id` or `@id`, if it is a text.
    pub id: Option<String>,
    /// Whether there is an `@context`.
    pub has_context: bool,
    /// Whether any member is an attribute written out, normalized or concise, in a way that a
    /// simplified entity never has.
    pub is_reified: bool,
}

impl Shape {
    /// Looks at an object; other values and broken ones are errors.
    pub fn of(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an entity, which is a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
                let mut shape = Shape::default();
                while let Some(Text(name)) = map.next_key()? {
                    match name.as_ref() {
                        "id" | "@id" => shape.id = map.next_value::<MaybeText>()?.0,
                        "@context" => {
                            map.next_value::<IgnoredAny>()?;
                            shape.has_context = true;
                        }
                        _ => {
                            let glance: Glance = map.next_value()?;
                            shape.is_reified |= glance.is_reified;
                        }
                    }
                }
                Ok(shape)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A text, borrowed where it holds no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;
        impl<'de> Visitor<'de> for AnyText {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.into())))
            }
        }
        deserializer.deserialize_str(AnyText)
    }
}

/// A text, if it is one.
struct MaybeText(Option<String>);

impl<'de> Deserialize<'de> for MaybeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(MaybeText(match value {
            serde_json::Value::String(text) => Some(text),
            _ => None,
        }))
    }
}

/// What a glance at the value of a member shows.
#[derive(Default)]
struct Glance {
    is_reified: bool,
    /// The value is a text that names a kind of attribute.
    is_kind: bool,
}

impl<'de> Deserialize<'de> for Glance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;
        impl<'de> Visitor<'de> for AnyValue {
            type Value = Glance;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Glance, E> {
                Ok(Glance::default())
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Glance, E> {
                Ok(Glance::default())
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Glance, E> {
                Ok(Glance::default())
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Glance, E> {
                Ok(Glance::default())
            }

            fn visit_unit<E: de::Error>(self) -> Result<Glance, E> {
                Ok(Glance::default())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Glance, E> {
                Ok(Glance { is_kind: Kind::from_term(text).is_some(), ..Glance::default() })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Glance, A::Error> {
                let mut is_reified = false;
                while let Some(inner) = seq.next_element::<Glance>()? {
                    is_reified |= inner.is_reified;
                }
                Ok(Glance { is_reified, is_kind: false })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Glance, A::Error> {
                let mut is_reified = false;
                while let Some(Text(name)) = map.next_key()? {
                    is_reified |= match name.as_ref() {
                        "type" | "@type" => map.next_value::<Glance>()?.is_kind,
                        name => {
                            map.next_value::<IgnoredAny>()?;
                            matches!(name, "value" | "object" | "valueList" | "objectList")
                        }
                    };
                }
                Ok(Glance { is_reified, ..Glance::default() })
            }
        }
        deserializer.deserialize_any(AnyValue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_out_attributes_are_told_from_simplified_ones() {
        let cases = [
            (r#"{"id":"urn:a:1","type":"T","speed":{"type":"Property","value":1}}"#, true),
            (r#"{"id":"urn:a:1","type":"T","speed":{"value":1}}"#, true),
            (r#"{"id":"urn:a:1","type":"T","speed":[{"type":"Property","value":1}]}"#, true),
            (r#"{"id":"urn:a:1","type":"T","next":{"object":"urn:a:2"}}"#, true),
            (r#"{"id":"urn:a:1","type":"T","speed":1}"#, false),
            (r#"{"id":"urn:a:1","place":{"type":"Point","coordinates":[1,2]}}"#, false),
            (r#"{"id":"urn:a:1","name":{"languageMap":{"th":"ฝุ่น"}}}"#, false),
            (r#"{"id":"urn:a:1","address":{"street":"x"}}"#, false),
        ];
        for (json, is_reified) in cases {
            let shape = Shape::of(json.as_bytes()).expect("is an object");
            assert_eq!(
                (shape.is_reified, shape.id.as_deref()),
                (is_reified, Some("urn:a:1")),
                "{json}"
            );
            assert!(!shape.has_context, "{json}");
        }
    }

    #[test]
    fn contexts_are_seen() {
        let shape = |json: &str| Shape::of(json.as_bytes());
        assert!(shape(r#"{"\u0040context":[],"@id":"a"}"#).is_ok_and(|s| s.has_context));
        assert!(shape(r#"{"id":7}"#).is_ok_and(|s| s.id.is_none()));
        assert!(shape("[]").is_err());
        assert!(shape(r#"{"id":"a""#).is_err());
    }
}
