//! What a document says of its entity beside the record, for filters and indexes.
//!
//! The record is opaque to the database. The members `k`, `y` and `g` tell of every instance of
//! every attribute what queries ask: its values as keys, when it expires, and the few members that
//! `q` can name. They are made anew at every write; nothing is ever read back from them.

use mongodb::bson::raw::{CStr, cstr};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{RawArrayBuf, RawBinaryRef, RawDocumentBuf};

use super::place::covering;
use crate::model::{
    Attribute, Attributes, Datum, Entity, Instance, Name, Number, Timestamp, Value,
};
use crate::query::{Moment, ROOT_KEY, root_key};
use crate::store::record::short::shorten;

/// The longest text that is a key as a whole, in bytes; longer ones are cut.
pub(super) const MAX_TEXT: usize = 128;

/// How many keys an instance has at most; with more, its attribute is odd.
const MAX_KEYS: usize = 256;

/// How many keys an entity has at most, and how many places.
const MAX_ALL_KEYS: usize = 4_096;
const MAX_ALL_PLACES: usize = 64;

/// How many names deep sub-attributes are told of.
pub(super) const MAX_DEPTH: usize = 3;

/// Stands between the names of a path, and never within one.
pub(super) const SEPARATOR: char = '\u{1f}';

/// What follows the name of an attribute some of whose texts were cut, in `odd`.
pub(super) const CUT: &str = "\u{1f}~";

/// What follows the name of an attribute that has more than one value, in `odd`.
pub(super) const SEVERAL: &str = "\u{1f}+";

/// What of an instance that is one text tells where it stands among texts. The number is raised when
/// keys of earlier brokers do not compare with ours: what they wrote has none then.
pub(super) const SORT_KEY: &CStr = cstr!("z1");

/// The members of a document that queries use.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// One element to each instance of each attribute.
    pub instances: RawArrayBuf,
    /// One element to each instance of each sub-attribute.
    pub below: RawArrayBuf,
    /// One element to each instance of a GeoProperty.
    pub places: RawArrayBuf,
    /// Attributes of which the other members do not tell everything.
    pub odd: Vec<String>,
    keys: usize,
    place_count: usize,
}

impl Keys {
    /// What queries may ask of an entity.
    pub fn of(entity: &Entity) -> Self {
        let mut keys = Self::default();
        keys.add_attributes(&entity.attributes, &Above { path: "", odd: "", end: None, depth: 1 });
        keys.odd.sort_unstable();
        keys.odd.dedup();
        keys
    }

    fn add_attributes(&mut self, attributes: &Attributes, above: &Above<'_>) {
        for (name, attribute) in attributes.iter() {
            let short = shorten(name.as_str());
            let path = match above.path {
                "" => short.to_string(),
                path => format!("{path}{SEPARATOR}{short}"),
            };
            let odd = if above.depth == 1 { path.as_str() } else { above.odd };
            self.add_attribute(attribute, &Above { path: &path, odd, ..*above });
        }
    }

    fn add_attribute(&mut self, attribute: &Attribute, at: &Above<'_>) {
        let is_several = |instance: &Instance| !is_single(&instance.datum);
        let instances = attribute.instances();
        if at.depth == 1 && (instances.len() > 1 || instances.iter().any(is_several)) {
            self.odd.push(format!("{}{SEVERAL}", at.odd));
        }
        for instance in attribute.instances() {
            let end = [at.end, instance.expires_at()].into_iter().flatten().min();
            let told = describe(instance, at.path, end, MAX_ALL_KEYS - self.keys);
            self.keys += told.keys;
            if told.is_odd {
                self.odd.push(at.odd.to_owned());
            }
            if told.is_cut {
                self.odd.push(format!("{}{CUT}", at.odd));
            }
            if at.depth == 1 {
                self.instances.push(told.document);
                if let Datum::GeoProperty(geometry) = &instance.datum {
                    match covering(geometry) {
                        Some(shape) if self.place_count < MAX_ALL_PLACES => {
                            self.place_count += 1;
                            self.places.push(place(at.path, end, shape));
                        }
                        _ => self.odd.push(at.odd.to_owned()),
                    }
                }
            } else {
                self.below.push(told.document);
            }
            if at.depth < MAX_DEPTH {
                let above = Above { end, depth: at.depth + 1, ..*at };
                self.add_attributes(instance.attributes(), &above);
            }
        }
    }
}

/// Whether a datum is one value.
fn is_single(datum: &Datum) -> bool {
    match datum {
        Datum::Property(Value::Array(_)) | Datum::ListProperty(_) => false,
        Datum::VocabProperty(words) => words.as_slice().len() == 1,
        Datum::LanguageProperty(map) => {
            map.0.iter().map(|(_, texts)| texts.as_slice().len()).sum::<usize>() == 1
        }
        Datum::JsonProperty(json) => !json.is_array(),
        // No bound is asked of links.
        _ => true,
    }
}

/// Where attributes stand.
#[derive(Clone, Copy)]
struct Above<'a> {
    /// The short names that lead there.
    path: &'a str,
    /// The first of them.
    odd: &'a str,
    /// When the first instance above them expires.
    end: Option<Timestamp>,
    /// How many names there will be with the next one.
    depth: usize,
}

/// An element of `g`.
fn place(path: &str, end: Option<Timestamp>, shape: RawDocumentBuf) -> RawDocumentBuf {
    let mut place = RawDocumentBuf::new();
    place.append(cstr!("a"), path);
    place.append(cstr!("p"), shape);
    if let Some(end) = end {
        place.append(cstr!("e"), end.micros());
    }
    place
}

/// An element of `k` or `y`.
struct Told {
    document: RawDocumentBuf,
    keys: usize,
    is_odd: bool,
    is_cut: bool,
}

/// Tells of an instance. `q` says what its values are to each other: `a`, items of an array; `l`,
/// texts of languages; absent, one value alone. `r` says that they are links.
fn describe(instance: &Instance, path: &str, end: Option<Timestamp>, room: usize) -> Told {
    let is_link = matches!(instance.datum, Datum::Relationship(_) | Datum::ListRelationship(_));
    // Nothing is ordered by sub-attributes here, nor by links.
    let is_ordered = !is_link && !path.contains(SEPARATOR);
    let mut list = List { room: room.min(MAX_KEYS), is_ordered, ..List::default() };
    let count = list.add_datum(&instance.datum);
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("a"), path);
    if !list.keys.is_empty() {
        document.append(cstr!("v"), list.keys);
    }
    if let Some(bytes) = list.sort_key.filter(|_| count == 1) {
        document.append(SORT_KEY, RawBinaryRef { subtype: BinarySubtype::Generic, bytes: &bytes });
    }
    if count != 1 {
        let is_map = matches!(instance.datum, Datum::LanguageProperty(_));
        document.append(cstr!("q"), if is_map { "l" } else { "a" });
    }
    if is_link {
        document.append(cstr!("r"), true);
    }
    if let Some(end) = end {
        document.append(cstr!("e"), end.micros());
    }
    if let Some(at) = instance.observed_at {
        document.append(cstr!("o"), at.micros());
    }
    if let Some(unit) = instance.unit {
        document.append(cstr!("u"), unit.as_str());
    }
    if let Some(dataset) = instance.dataset() {
        document.append(cstr!("d"), dataset.as_str());
    }
    if let Some(name) = instance.value_type() {
        document.append(cstr!("w"), name.as_str());
    }
    Told { document, keys: list.count, is_odd: list.is_full, is_cut: list.is_cut }
}

/// Keys being gathered.
#[derive(Default)]
struct List {
    keys: RawArrayBuf,
    /// How many there are, and how many there may be.
    count: usize,
    room: usize,
    is_full: bool,
    is_cut: bool,
    /// Whether it is asked where the first text stands among others.
    is_ordered: bool,
    sort_key: Option<[u8; ROOT_KEY]>,
}

impl List {
    /// Adds the keys of a datum, and says how many values it has.
    fn add_datum(&mut self, datum: &Datum) -> usize {
        match datum {
            Datum::Property(Value::Array(items)) => self.add_all(items, Self::add_value),
            Datum::Property(value) => {
                self.add_value(value);
                1
            }
            Datum::ListProperty(items) => self.add_all(items, Self::add_value),
            Datum::VocabProperty(words) => {
                self.add_all(words.as_slice(), |list, word| list.add_text(word.as_str()))
            }
            Datum::LanguageProperty(map) => {
                let texts: Vec<_> = map.0.iter().flat_map(|(_, texts)| texts.as_slice()).collect();
                self.add_all(&texts, |list, text| list.add_text(text))
            }
            Datum::JsonProperty(json) => match &**json {
                serde_json::Value::Array(items) => self.add_all(items, Self::add_json),
                json => {
                    self.add_json(json);
                    1
                }
            },
            Datum::Relationship(_) | Datum::ListRelationship(_) => {
                self.add_all(datum.targets(), |list, id| list.add_text(id.as_str()))
            }
            Datum::GeoProperty(_) | Datum::Bare(_) => 1,
        }
    }

    fn add_all<T>(&mut self, items: &[T], mut add: impl FnMut(&mut Self, &T)) -> usize {
        items.iter().for_each(|item| add(self, item));
        items.len()
    }

    /// Whether there is room for one more key.
    fn has_room(&mut self) -> bool {
        self.is_full |= self.count == self.room;
        self.count += usize::from(!self.is_full);
        !self.is_full
    }

    fn add_value(&mut self, value: &Value) {
        match value {
            Value::Bool(value) => self.add_bool(*value),
            Value::Number(number) => self.add_number(*number),
            Value::String(text) => self.add_text(text),
            Value::Object(_) => match value.member(Name::AT_VALUE) {
                Some(Value::Object(_)) | None => {}
                Some(inner) => self.add_value(inner),
            },
            Value::Null | Value::Array(_) => {}
        }
    }

    fn add_json(&mut self, json: &serde_json::Value) {
        use serde_json::Value as Json;
        match json {
            Json::Bool(value) => self.add_bool(*value),
            Json::String(text) => self.add_text(text),
            Json::Number(number) => {
                let integer = number.as_i64().map(Number::Int);
                let number = integer.or_else(|| number.as_f64().map(Number::Float));
                number.into_iter().for_each(|number| self.add_number(number));
            }
            _ => {}
        }
    }

    fn add_bool(&mut self, value: bool) {
        if self.has_room() {
            self.keys.push(value);
        }
    }

    fn add_number(&mut self, number: Number) {
        if !self.has_room() {
            return;
        }
        match number {
            Number::Int(number) => self.keys.push(number),
            // Never a negative zero.
            number => self.keys.push(number.as_f64() + 0.0),
        }
    }

    /// A text is its own key. One that says a date or time is two: that instant, and, apart from
    /// other texts, what it says.
    fn add_text(&mut self, text: &str) {
        if !self.has_room() {
            return;
        }
        match Moment::parse(text) {
            None => {
                if self.is_ordered && self.count == 1 {
                    self.sort_key = root_key(text);
                }
                self.is_cut |= text.len() > MAX_TEXT;
                self.keys.push(cut(text));
            }
            Some(moment) => {
                let mut instant = RawDocumentBuf::new();
                let mut words = RawDocumentBuf::new();
                match moment {
                    Moment::DateTime(at) => instant.append(cstr!("t"), at.micros()),
                    Moment::Date(at) => instant.append(cstr!("d"), at.micros()),
                    Moment::Time(at) => instant.append(cstr!("h"), at.micros()),
                }
                let is_time = matches!(moment, Moment::Time(_));
                words.append(if is_time { cstr!("sh") } else { cstr!("sd") }, text);
                self.keys.push(instant);
                self.keys.push(words);
            }
        }
    }
}

/// The text, or as much of it as belongs into a key.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}
