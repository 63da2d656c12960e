//! A quick yes: what is surely as a model says is found out without turning the entity into a
//! document and asking the validator. Whatever is not sure is asked there, so this may say nothing
//! of much, but never yes to what the validator would refuse.

use serde_json::Value as Json;

use super::model::{Model, Property};
use super::simplify::short;
use crate::model::{Datum, Entity, Instance, Number, OneOrMany, Value};

/// How deep references and alternatives are followed.
const MAX_DEPTH: usize = 6;

/// How many attributes can be required for this to be of use.
const MAX_REQUIRED: usize = 64;

/// What a model surely takes, as a whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Quick {
    /// What an id must be like.
    id: Accepts,
    /// For each property, in its place.
    properties: Vec<Accepts>,
    /// For each property, its bit among those that are required.
    required: Vec<u64>,
    /// All bits.
    all: u64,
}

/// What a property surely takes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Accepts {
    anything: bool,
    boolean: bool,
    object: bool,
    number: Option<Bounds>,
    numbers: Vec<f64>,
    text: bool,
    texts: Vec<Box<str>>,
    date_time: bool,
    uri: bool,
    /// Arrays of such items.
    items: Option<Box<Accepts>>,
    language_map: bool,
    vocab: bool,
    geometry: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Bounds {
    low: f64,
    high: f64,
    whole: bool,
}

impl Quick {
    /// What can be told of a schema; None if it says things that only the validator knows.
    pub fn of(schema: &Json, name: &str, properties: &[Property]) -> Option<Self> {
        let members = schema.as_object()?;
        for (keyword, value) in members {
            let plain = match keyword.as_str() {
                "title" | "description" | "$id" | "$schema" | "$defs" | "$comment" => true,
                "properties" | "required" => true,
                "type" => *value == "object",
                "additionalProperties" => *value == true,
                own => own.starts_with("x-"),
            };
            plain.then_some(())?;
        }
        let of = |term: &str| match schema["properties"].get(term) {
            Some(property) => Accepts::of(property, schema, MAX_DEPTH),
            None => Accepts { anything: true, ..Accepts::default() },
        };
        of("type").takes_text(name).then_some(())?;
        let mut quick = Self { id: of("id"), ..Self::default() };
        quick.properties = properties.iter().map(|property| of(&property.term)).collect();
        quick.required = vec![0; properties.len()];
        let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
        let required = required.iter().filter_map(Json::as_str);
        for (bit, term) in required.filter(|term| !matches!(*term, "id" | "type")).enumerate() {
            let place = properties.iter().position(|property| *property.term == *term)?;
            (bit < MAX_REQUIRED).then_some(())?;
            quick.required[place] |= 1 << bit;
            quick.all |= 1 << bit;
        }
        Some(quick)
    }

    /// Whether an entity surely is as the model says, kinds and units included.
    pub fn takes(&self, model: &Model, entity: &Entity) -> bool {
        let mut missing = self.all;
        let each = entity.attributes.iter().all(|(name, attribute)| {
            let known = model.place(name);
            let place = known.or_else(|| model.place_of_term(short(name)));
            let Some(place) = place else {
                return !matches!(short(name), "id" | "type");
            };
            let (Some(accepts), Some(property)) =
                (self.properties.get(place), model.properties().get(place))
            else {
                return false;
            };
            missing &= !self.required.get(place).copied().unwrap_or(0);
            attribute.instances().iter().all(|instance| {
                let as_said = known.is_none()
                    || (property.takes(instance.kind()) && property.wrong_unit(instance).is_none());
                as_said && accepts.takes(&instance.datum)
            })
        });
        each && missing == 0 && self.id.takes_text(entity.id.as_str())
    }

    /// Whether an instance of the property in a place surely is as the model says.
    pub fn takes_instance(&self, place: usize, property: &Property, instance: &Instance) -> bool {
        property.takes(instance.kind())
            && property.wrong_unit(instance).is_none()
            && self.properties.get(place).is_some_and(|accepts| accepts.takes(&instance.datum))
    }
}

impl Accepts {
    /// What a schema of a property surely takes; nothing of what it says otherwise.
    fn of(schema: &Json, root: &Json, depth: usize) -> Self {
        let (Some(depth), Some(members)) = (depth.checked_sub(1), schema.as_object()) else {
            return Self { anything: *schema == true, ..Self::default() };
        };
        let said = || {
            let silent = |keyword: &str| {
                matches!(keyword, "title" | "description" | "$comment" | "examples" | "default")
                    || keyword.starts_with("x-")
            };
            members.iter().filter(move |(keyword, _)| !silent(keyword))
        };
        let mut keywords: Vec<&str> = said().map(|(keyword, _)| keyword.as_str()).collect();
        keywords.sort_unstable();
        match keywords[..] {
            [] => Self { anything: true, ..Self::default() },
            ["$ref"] => {
                let path = schema["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
                let target = path.and_then(|path| root.pointer(path));
                target.map_or_else(Self::default, |target| Self::of(target, root, depth))
            }
            ["anyOf"] => {
                let ways = schema["anyOf"].as_array().map_or(&[][..], Vec::as_slice);
                let each = ways.iter().map(|way| Self::of(way, root, depth));
                each.fold(Self::default(), Self::or)
            }
            ["enum"] => {
                let choices = schema["enum"].as_array().map_or(&[][..], Vec::as_slice);
                choices.iter().fold(Self::default(), |all, one| all.or(Self::only(one)))
            }
            ["const"] => Self::only(&schema["const"]),
            _ => Self::of_type(schema, &keywords, root, depth),
        }
    }

    fn only(value: &Json) -> Self {
        match value {
            Json::String(text) => Self { texts: vec![text.as_str().into()], ..Self::default() },
            Json::Number(number) => {
                Self { numbers: number.as_f64().into_iter().collect(), ..Self::default() }
            }
            _ => Self::default(),
        }
    }

    fn of_type(schema: &Json, keywords: &[&str], root: &Json, depth: usize) -> Self {
        let nothing = Self::default();
        let only = |all: &[&str]| keywords.iter().all(|keyword| all.contains(keyword));
        match schema["type"].as_str() {
            Some("boolean") if only(&["type"]) => Self { boolean: true, ..nothing },
            Some(kind @ ("number" | "integer")) if only(&["type", "minimum", "maximum"]) => {
                let bound = |name: &str, otherwise: f64| match schema.get(name) {
                    None => Some(otherwise),
                    Some(bound) => bound.as_f64(),
                };
                let (low, high) =
                    (bound("minimum", f64::NEG_INFINITY), bound("maximum", f64::INFINITY));
                let bounds =
                    low.zip(high).map(|(low, high)| Bounds { low, high, whole: kind == "integer" });
                Self { number: bounds, ..nothing }
            }
            Some("string") if only(&["type"]) => Self { text: true, ..nothing },
            Some("string") if only(&["type", "format"]) => match schema["format"].as_str() {
                Some("date-time") => Self { date_time: true, ..nothing },
                Some("uri") => Self { uri: true, ..nothing },
                _ => nothing,
            },
            Some("array") if only(&["type", "items"]) => {
                let items = Self::of(&schema["items"], root, depth);
                Self { items: Some(Box::new(items)), ..nothing }
            }
            Some("array") if only(&["type"]) => {
                let items = Self { anything: true, ..Self::default() };
                Self { items: Some(Box::new(items)), ..nothing }
            }
            Some("object") if only(&["type"]) => Self { object: true, ..nothing },
            Some("object") if only(&["type", "required", "properties"]) => Self::of_object(schema),
            _ => nothing,
        }
    }

    /// The objects by which the simplified form tells kinds apart, exactly as they are.
    fn of_object(schema: &Json) -> Self {
        let is = |text: &str| {
            let known: Result<Json, _> = serde_json::from_str(text);
            known.is_ok_and(|known| {
                known["required"] == schema["required"]
                    && known["properties"] == schema["properties"]
            })
        };
        Self {
            language_map: is(LANGUAGE_MAP),
            vocab: is(r#"{"required": ["vocab"]}"#),
            geometry: is(GEOMETRY),
            ..Self::default()
        }
    }

    fn or(mut self, other: Self) -> Self {
        let bounds = match (self.number, other.number) {
            // Of two ranges one is enough to be sure.
            (Some(own), Some(_)) => Some(own),
            (own, other) => own.or(other),
        };
        self.numbers.extend(other.numbers);
        self.texts.extend(other.texts);
        Self {
            anything: self.anything || other.anything,
            boolean: self.boolean || other.boolean,
            object: self.object || other.object,
            number: bounds,
            text: self.text || other.text,
            date_time: self.date_time || other.date_time,
            uri: self.uri || other.uri,
            // Of two sorts of arrays, as of two ranges, one will do.
            items: self.items.or(other.items),
            language_map: self.language_map || other.language_map,
            vocab: self.vocab || other.vocab,
            geometry: self.geometry || other.geometry,
            ..self
        }
    }

    fn takes(&self, datum: &Datum) -> bool {
        if self.anything {
            return true;
        }
        match datum {
            Datum::Property(value) => self.takes_value(value),
            // NGSI-LD has no other geometries than those the models know (4.7).
            Datum::GeoProperty(_) => self.object || self.geometry,
            Datum::Relationship(OneOrMany::One(id)) => self.takes_text(id.as_str()),
            Datum::Relationship(OneOrMany::Many(ids)) => {
                let each = |items: &Accepts| ids.iter().all(|id| items.takes_text(id.as_str()));
                self.items.as_deref().is_some_and(each)
            }
            Datum::LanguageProperty(_) => self.language_map || self.object,
            Datum::VocabProperty(_) => self.vocab || self.object,
            Datum::JsonProperty(json) => self.object && json.is_object(),
            _ => false,
        }
    }

    fn takes_value(&self, value: &Value) -> bool {
        match value {
            _ if self.anything => true,
            Value::Number(number) => self.takes_number(*number),
            Value::String(text) => self.takes_text(text),
            Value::Bool(_) => self.boolean,
            Value::Object(_) => self.object,
            Value::Array(all) => {
                let each = |items: &Accepts| all.iter().all(|value| items.takes_value(value));
                self.items.as_deref().is_some_and(each)
            }
            Value::Null => false,
        }
    }

    fn takes_number(&self, number: Number) -> bool {
        let value = number.as_f64();
        let exact = value.abs() < 9e15;
        let within = self.number.is_some_and(|Bounds { low, high, whole }| {
            exact
                && low <= value
                && value <= high
                && (!whole || matches!(number, Number::Int(_) | Number::UInt(_)))
        });
        within || (exact && self.numbers.contains(&value))
    }

    fn takes_text(&self, text: &str) -> bool {
        self.anything
            || self.text
            || (self.date_time && is_date_time(text))
            || (self.uri && is_uri(text))
            || self.texts.iter().any(|one| **one == *text)
    }
}

const LANGUAGE_MAP: &str = r#"{
    "required": ["languageMap"],
    "properties": { "languageMap": {
        "type": "object", "additionalProperties": { "type": ["string", "array"] }
    } }
}"#;

const GEOMETRY: &str = r#"{
    "required": ["type", "coordinates"],
    "properties": {
        "type": { "enum":
            ["Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"] },
        "coordinates": { "type": "array" }
    }
}"#;

/// Whether a text surely is a date and time of RFC 3339: the plain ones are.
fn is_date_time(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked(19) else { return false };
    let bytes = date.as_bytes();
    let form = bytes.iter().zip(b"0000-00-00T00:00:00").all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    });
    let two = |place: usize| (bytes[place] - b'0') * 10 + (bytes[place + 1] - b'0');
    form && (1..=12).contains(&two(5))
        && (1..=28).contains(&two(8))
        && two(11) < 24
        && two(14) < 60
        && two(17) < 60
        && match rest.strip_prefix('.') {
            None => is_offset(rest),
            Some(fraction) => {
                let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
                (1..=9).contains(&digits) && is_offset(&fraction[digits..])
            }
        }
}

fn is_offset(text: &str) -> bool {
    match text.as_bytes() {
        b"Z" => true,
        [b'+' | b'-', h0 @ b'0'..=b'1', h1, b':', m0 @ b'0'..=b'5', m1] => {
            let _ = (h0, m0);
            h1.is_ascii_digit() && m1.is_ascii_digit()
        }
        _ => false,
    }
}

/// Whether a text surely is an absolute URI of RFC 3986: the plain ones are.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut letters = scheme.bytes();
    let scheme = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(after) => {
            let end = after.find('/').unwrap_or(after.len());
            let host = after[..end].bytes();
            let named = end > 0
                && host
                    .into_iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
            if !named {
                return false;
            }
            &after[end..]
        }
    };
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'@' | b'+' | b',' | b';' | b'='
            )
    };
    scheme && !path.starts_with("//") && path.bytes().all(plain)
}
