//! Documents for other brokers: parts of what a client sent, and the same with names as another
//! `@context` writes them (4.3.6.6).

use std::borrow::Cow;

use super::terms::Term;
use crate::jsonld::{Context, Document};
use crate::model::{AttrName, Kind};
use crate::query::compacted;

/// The part of an entity, or of a fragment of one, with only those attributes that `keep` admits;
/// members that are no attributes stay. Also tells whether any attribute is left, and whether any
/// was left out.
pub fn part_of_entity<'a>(
    document: &Document<'a>,
    context: &Context,
    keep: impl Fn(AttrName) -> bool,
) -> Part<'a> {
    let mut part =
        Part { document: Document::Object(Vec::new()), attributes: Vec::new(), whole: true };
    let Document::Object(members) = document else { return part };
    let mut kept = Vec::with_capacity(members.len());
    for (key, value) in members {
        match attribute_name(key, value, context) {
            Some(name) if keep(name) => part.attributes.push(name),
            Some(_) => {
                part.whole = false;
                continue;
            }
            None => {}
        }
        kept.push((key.clone(), value.clone()));
    }
    part.document = Document::Object(kept);
    part
}

/// A part of an entity.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    pub document: Document<'a>,
    /// The attributes in it.
    pub attributes: Vec<AttrName>,
    /// Nothing was left out.
    pub whole: bool,
}

/// The names of the attributes that a document mentions, as an entity or a fragment of one.
pub fn attributes_of(document: &Document<'_>, context: &Context) -> Vec<AttrName> {
    let members = document.as_object().unwrap_or_default();
    members.iter().filter_map(|(key, value)| attribute_name(key, value, context)).collect()
}

/// The attribute that a member of an entity names, if it is one.
fn attribute_name(key: &str, value: &Document<'_>, context: &Context) -> Option<AttrName> {
    match Term::of(key) {
        None => {
            let name = context.expand(key).ok()?;
            Term::named(name).is_none().then_some(name)
        }
        Some(core) if core.may_name_an_attribute() && states_a_kind(value) => {
            context.expand(key).ok()
        }
        Some(_) => None,
    }
}

fn states_a_kind(value: &Document<'_>) -> bool {
    let stated = value.get("type").or_else(|| value.get("@type")).and_then(Document::as_str);
    stated.is_some_and(|text| Kind::from_term(text).is_some())
}

/// An entity, or a fragment of one, whose names stand as another `@context` writes them.
pub fn respell_entity<'a>(document: &Document<'a>, from: &Context, to: &Context) -> Document<'a> {
    let spell = Speller { from, to };
    spell.members(document, |key, value| match Term::of(key) {
        Some(Term::Type) => spell.words(value),
        Some(Term::Id | Term::Scope | Term::ExpiresAt | Term::Output | Term::Context) => {
            value.clone()
        }
        _ => spell.attribute(value),
    })
}

/// An attribute, or a fragment of one, whose names stand as another `@context` writes them.
pub fn respell_attribute<'a>(
    document: &Document<'a>,
    from: &Context,
    to: &Context,
) -> Document<'a> {
    Speller { from, to }.attribute(document)
}

struct Speller<'c> {
    from: &'c Context,
    to: &'c Context,
}

impl Speller<'_> {
    fn name<'a>(&self, text: &Cow<'a, str>) -> Cow<'a, str> {
        if text.starts_with('@') || Term::of(text).is_some() {
            return text.clone();
        }
        Cow::Owned(compacted(&self.from.expand_text(text), self.to))
    }

    fn members<'a>(
        &self,
        document: &Document<'a>,
        value: impl Fn(&str, &Document<'a>) -> Document<'a>,
    ) -> Document<'a> {
        let Document::Object(members) = document else { return document.clone() };
        let spelled = members.iter().map(|(key, own)| (self.name(key), value(key, own)));
        Document::Object(spelled.collect())
    }

    /// One attribute, or several instances of one; or a value alone.
    fn attribute<'a>(&self, document: &Document<'a>) -> Document<'a> {
        match document {
            Document::Array(items) => {
                Document::Array(items.iter().map(|one| self.attribute(one)).collect())
            }
            Document::Object(_) => self.members(document, |key, value| match Term::of(key) {
                Some(Term::Datum(Kind::Property | Kind::ListProperty)) => self.value(value),
                Some(Term::Datum(Kind::VocabProperty)) => self.words(value),
                Some(Term::ValueType | Term::ObjectType | Term::TypeSealed) => self.words(value),
                Some(_) => value.clone(),
                None => self.attribute(value),
            }),
            other => other.clone(),
        }
    }

    /// A value: the keys of its objects are names.
    fn value<'a>(&self, document: &Document<'a>) -> Document<'a> {
        match document {
            Document::Array(items) => {
                Document::Array(items.iter().map(|one| self.value(one)).collect())
            }
            Document::Object(_) => self.members(document, |_, value| self.value(value)),
            other => other.clone(),
        }
    }

    /// Names in the place of values.
    fn words<'a>(&self, document: &Document<'a>) -> Document<'a> {
        match document {
            Document::String(text) if !is_a_kind(text) => Document::String(self.name(text)),
            Document::Array(items) => {
                Document::Array(items.iter().map(|one| self.words(one)).collect())
            }
            other => other.clone(),
        }
    }
}

/// Words that every `@context` means the same by.
fn is_a_kind(text: &str) -> bool {
    Kind::from_term(text).is_some() || text == "urn:ngsi-ld:null"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonld::ParseLimits;

    fn read(text: &str) -> Document<'_> {
        Document::parse(text.as_bytes(), &ParseLimits::default()).expect("a document")
    }

    fn context(text: &str) -> std::sync::Arc<Context> {
        Context::local(&read(text)).expect("a context")
    }

    #[test]
    fn only_the_attributes_that_are_kept_are_left() {
        let own = context(r#"{"speed": "https://example.org/speed"}"#);
        let document = read(
            r#"{"id": "urn:x:1", "type": "T", "scope": "/A", "speed": 3, "b": {"type": "Property", "value": 1}}"#,
        );
        let speed = own.expand("speed").expect("a name");
        let part = part_of_entity(&document, &own, |name| name == speed);
        let text = part.document.to_string();
        assert_eq!(text, r#"{"id":"urn:x:1","type":"T","scope":"/A","speed":3}"#);
        assert_eq!((part.attributes, part.whole), (vec![speed], false));
        assert_eq!(attributes_of(&document, &own).len(), 2);
    }

    #[test]
    fn names_stand_as_the_other_context_writes_them() {
        let from = context(
            r#"{"speed": "https://example.org/speed", "Car": "https://example.org/Car", "by": "https://example.org/by", "red": "https://example.org/red"}"#,
        );
        let to = context(
            r#"{"tempo": "https://example.org/speed", "Auto": "https://example.org/Car", "von": "https://example.org/by", "rot": "https://example.org/red"}"#,
        );
        let document = read(
            r#"{"id":"urn:x:1","type":["Car"],"speed":[{"type":"Property","value":{"by":1},"observedAt":"2026-01-01T00:00:00Z","by":{"type":"VocabProperty","vocab":"red"}}],"other":"by"}"#,
        );
        assert_eq!(
            respell_entity(&document, &from, &to).to_string(),
            r#"{"id":"urn:x:1","type":["Auto"],"tempo":[{"type":"Property","value":{"von":1},"observedAt":"2026-01-01T00:00:00Z","von":{"type":"VocabProperty","vocab":"rot"}}],"other":"by"}"#
        );
    }
}
