//! XML as JSON: an element is an object of its attributes (`@name`) and children, a list where they
//! occur again; one that holds only text is that text.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Value};

use super::NotReadable;

/// How deep elements may nest.
const DEPTH: usize = 64;

/// An element that is being read.
#[derive(Default)]
struct Open {
    name: String,
    members: Map<String, Value>,
    text: String,
}

/// Reads a document: an object whose only member is the outermost element.
pub fn read(bytes: &[u8]) -> Result<Value, NotReadable> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| NotReadable("it is no XML in UTF-8".to_owned()))?;
    let mut reader = Reader::from_str(text);
    let mut open = vec![Open::default()];
    let fail = |why: String| NotReadable(format!("it is no XML: {why}"));
    loop {
        let event = reader.read_event().map_err(|why| fail(why.to_string()))?;
        let Some(here) = open.last_mut() else { return Err(fail("it ends twice".into())) };
        match event {
            Event::Start(start) => {
                if open.len() > DEPTH {
                    return Err(fail(format!("it nests deeper than {DEPTH} elements")));
                }
                open.push(begin(&start).map_err(fail)?);
            }
            Event::Empty(start) => {
                let (name, value) = begin(&start).map_err(fail)?.end();
                put(&mut here.members, name, value);
            }
            Event::End(_) => {
                let (name, value) = open.pop().map(Open::end).unwrap_or_default();
                match open.last_mut() {
                    Some(outer) => put(&mut outer.members, name, value),
                    None => return Err(fail("it ends before it begins".into())),
                }
            }
            Event::Text(text) => here.text.push_str(&text),
            Event::CData(text) => here.text.push_str(&text),
            Event::GeneralRef(reference) => {
                let whole = format!("&{};", &*reference);
                match quick_xml::escape::unescape(&whole) {
                    Ok(text) => here.text.push_str(&text),
                    Err(why) => return Err(fail(why.to_string())),
                }
            }
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(whole), true) if !whole.members.is_empty() => Ok(Value::Object(whole.members)),
        (_, true) => Err(fail("it has no element".into())),
        _ => Err(fail("it ends in the middle".into())),
    }
}

fn begin(start: &BytesStart<'_>) -> Result<Open, String> {
    let mut open = Open { name: local(start.local_name().as_ref()), ..Open::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|why| why.to_string())?;
        let value =
            attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|why| why.to_string())?;
        let name = format!("@{}", local(attribute.key.local_name().as_ref()));
        open.members.insert(name, value.trim().into());
    }
    Ok(open)
}

fn local(name: &str) -> String {
    name.to_owned()
}

impl Open {
    fn end(mut self) -> (String, Value) {
        let text = self.text.trim();
        if self.members.is_empty() {
            return (self.name, text.into());
        }
        if !text.is_empty() {
            self.members.insert("#text".to_owned(), text.into());
        }
        (self.name, Value::Object(self.members))
    }
}

/// Adds a child: the second of a name makes a list of both.
fn put(members: &mut Map<String, Value>, name: String, value: Value) {
    match members.get_mut(&name) {
        None => drop(members.insert(name, value)),
        Some(Value::Array(items)) => items.push(value),
        Some(first) => {
            let before = std::mem::take(first);
            *first = Value::Array(vec![before, value]);
        }
    }
}
