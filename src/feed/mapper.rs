//! Records become entities. Pure: bytes and the time go in, documents and reasons come out.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::made::{self, Made};
use super::mapping::field::{Condition, Field, Make, Origin};
use super::mapping::{Clock, Mapping, Scope, is_time, look_up, position, text_of};
use super::value::number::shortened;
use super::walk::{NotReadable, walk};
use crate::model::Timestamp;

/// A document with what is known of where it came from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Input<'i> {
    pub bytes: &'i [u8],
    /// The topic of a message.
    pub topic: Option<&'i str>,
    /// The name of a file.
    pub file: Option<&'i str>,
}

/// What a record became.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped {
    /// Which record of the document it was, from 1.
    pub number: u64,
    pub id: String,
    /// When its readings were observed.
    pub at: Option<Timestamp>,
    /// The entity, normalized, with short names.
    pub entity: Map<String, Value>,
    /// What was left out of it.
    pub issues: Vec<Issue>,
    /// The members of the record that are read: what is told when something is refused.
    pub excerpt: Value,
}

/// A record that nothing could be made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    pub number: u64,
    /// The line of a table.
    pub line: Option<u64>,
    pub id: Option<String>,
    pub why: String,
    pub excerpt: Value,
}

/// A reading that was left out, or is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    pub attribute: String,
    pub why: String,
    pub kind: IssueKind,
}

/// What became of a reading that something is wrong with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueKind {
    /// It cannot be read.
    LeftOut,
    /// It is impossible: it is not stored as a value, and the entity says so.
    Impossible,
    /// It is unusual: it is stored, and marked.
    Suspect,
}

/// The attribute that tells which readings of the entity were impossible.
pub const FLAGS: &str = "qualityFlags";

/// How many members of a record are told when it is refused.
const EXCERPT: usize = 24;

impl Mapping {
    /// Makes entities of the records of a document, one by one.
    ///
    /// # Errors
    /// If the document cannot be read; what was handed over until then counts.
    pub fn map(
        &self,
        input: Input<'_>,
        now: Timestamp,
        mut take: impl FnMut(Result<Mapped, Refused>),
    ) -> Result<(), NotReadable> {
        let mut number = 0;
        let known = self.known(&input);
        walk(&self.walk, input.bytes, &mut |levels, line| {
            let mut named = Vec::with_capacity(known.len() + self.lookups.len() + 1);
            named.extend(known.iter().map(|(name, value)| (*name, Cow::Borrowed(value))));
            look_up(&self.lookups, levels, &mut named, None, false);
            let scope = Scope { levels, named: &named };
            if !all_hold(&self.walk.when, &scope) {
                return;
            }
            number += 1;
            let taken = self.record(levels, named, number, now);
            take(taken.map_err(|refused| Refused { line, ..refused }));
        })
    }

    /// What is known of every record of a document.
    fn known(&self, input: &Input<'_>) -> Vec<(&'static str, Value)> {
        let mut known = vec![("feed", Value::from(self.name.as_str()))];
        known.extend(input.topic.map(|topic| ("topic", topic.split('/').collect())));
        known.extend(input.file.map(|file| ("file", Value::from(file))));
        known
    }

    #[expect(clippy::result_large_err, reason = "whoever takes a record takes both alike")]
    fn record<'r>(
        &'r self,
        levels: &'r [&'r Value],
        mut named: Vec<(&'r str, Cow<'r, Value>)>,
        number: u64,
        now: Timestamp,
    ) -> Result<Mapped, Refused> {
        let id = self.id.fill(&Scope { levels, named: &named }, escaped);
        let refuse = |id: Option<String>, why: String, named: &[(&'r str, Cow<'r, Value>)]| {
            let excerpt = self.excerpt(&Scope { levels, named });
            Refused { number, line: None, id, why, excerpt }
        };
        let id = match id {
            Ok(id) => id,
            Err(path) => return Err(refuse(None, format!("it has no {path}"), &named)),
        };
        let at = match &self.time {
            None => None,
            Some(clock) => match clock.read(&Scope { levels, named: &named }, now) {
                Ok(at) => Some(at),
                Err(why) => return Err(refuse(Some(id), why, &named)),
            },
        };
        if let Some(at) = at {
            named.push(("observedAt", Cow::Owned(Value::from(at.to_string()))));
            look_up(&self.lookups, levels, &mut named, Some(at), true);
        }
        let scope = Scope { levels, named: &named };
        let mut maker = Maker { mapping: self, scope, at, issues: Vec::new() };
        match maker.entity(&id) {
            Ok(entity) => {
                let issues = maker.issues;
                let excerpt = match issues.is_empty() {
                    true => Value::Null,
                    false => self.excerpt(&scope),
                };
                Ok(Mapped { number, id, at, entity, issues, excerpt })
            }
            Err(why) => Err(refuse(Some(id), why, &named)),
        }
    }

    /// What a person needs to see of a record: members that are read, and no others, since others
    /// may be personal.
    pub fn excerpt(&self, scope: &Scope<'_>) -> Value {
        let mut shown = Map::new();
        for path in self.paths() {
            if path.named().is_some() || shown.len() >= EXCERPT {
                continue;
            }
            if let Some(text) = path.find(scope).and_then(text_of) {
                shown.insert(path.to_string(), shortened(&text).into());
            }
        }
        Value::Object(shown)
    }
}

impl Clock {
    fn read(&self, scope: &Scope<'_>, now: Timestamp) -> Result<Timestamp, String> {
        let text = match &self.origin {
            Origin::Paths(paths) => {
                paths.iter().find_map(|path| Some(text_of(path.find(scope)?)?.into_owned()))
            }
            Origin::Texts(texts) => {
                texts.iter().find_map(|text| text.fill(scope, str::to_owned).ok())
            }
        };
        let text = text.ok_or("it does not say when it was observed")?;
        let at = self.form.read(&text);
        let at = at.ok_or_else(|| {
            format!("{:?} is no time of an observation that can be read", shortened(&text))
        })?;
        let ahead = i64::try_from(self.ahead.as_micros()).unwrap_or(i64::MAX);
        match at > now.plus_micros(ahead) {
            true => Err(format!("{at} lies in the future: is the time zone the right one?")),
            false => Ok(at),
        }
    }
}

/// Whether all conditions hold.
fn all_hold(conditions: &[Condition], scope: &Scope<'_>) -> bool {
    conditions.iter().all(|condition| {
        let found = condition.path.find(scope);
        if condition.texts.is_empty() {
            return found.is_some() == condition.is;
        }
        let is = found.and_then(text_of).is_some_and(|found| {
            condition.texts.iter().any(|text| match condition.part {
                true => found.contains(text.as_str()),
                false => found == text.as_str(),
            })
        });
        is == condition.is
    })
}

/// Makes the entity of one record.
pub(super) struct Maker<'r> {
    mapping: &'r Mapping,
    pub scope: Scope<'r>,
    at: Option<Timestamp>,
    pub issues: Vec<Issue>,
}

impl Maker<'_> {
    fn entity(&mut self, id: &str) -> Result<Map<String, Value>, String> {
        let mapping = self.mapping;
        let mut entity = Map::new();
        entity.insert("id".into(), id.into());
        let types = match &mapping.types[..] {
            [one] => Value::from(one.as_str()),
            many => json!(many),
        };
        entity.insert("type".into(), types);
        if let Some(scope) = mapping.scope.as_ref().and_then(|s| s.fill(&self.scope, plain).ok()) {
            entity.insert("scope".into(), scope.into());
        }
        for (name, field) in &mapping.fields {
            match self.attribute(name, field)? {
                Some(attribute) => drop(entity.insert(name.clone(), attribute)),
                None if field.required => return Err(self.without(name)),
                None => {}
            }
        }
        let origin = &mapping.provenance;
        let own = [
            ("dataProvider", Value::from(origin.provider.as_str())),
            ("source", Value::from(origin.source.as_str())),
            ("sourceClass", Value::from(origin.class)),
            ("reliability", json!(origin.reliability)),
        ];
        for (name, value) in own {
            if !value.is_null() && !entity.contains_key(name) {
                entity.insert(name.into(), property(value));
            }
        }
        let flagged = self.issues.iter().filter(|issue| issue.kind == IssueKind::Impossible);
        let flagged: Vec<String> =
            flagged.map(|issue| format!("{}: {}", issue.attribute, issue.why)).collect();
        if !flagged.is_empty() {
            let mut flags = property(json!(flagged));
            if let (Some(at), Some(members)) = (self.at, flags.as_object_mut()) {
                members.insert("observedAt".into(), at.to_string().into());
            }
            entity.insert(FLAGS.into(), flags);
        }
        Ok(entity)
    }

    /// Why a record without an attribute is refused.
    fn without(&self, name: &str) -> String {
        let issue = self.issues.iter().rev().find(|issue| issue.attribute == name);
        issue.map_or_else(|| format!("it has no {name}"), |issue| format!("{name}: {}", issue.why))
    }

    /// An attribute, if the record has it.
    fn attribute(&mut self, name: &str, field: &Field) -> Result<Option<Value>, String> {
        if !all_hold(&field.when, &self.scope) {
            return Ok(None);
        }
        let mut attribute = match &field.make {
            Make::Point { latitude, longitude } => {
                match position(latitude, longitude, &self.scope) {
                    Ok(at) => json!({
                        "type": "GeoProperty", "value": {"type": "Point", "coordinates": at},
                    }),
                    Err(why) if field.required => return Err(why),
                    Err(why) => {
                        self.note(name, IssueKind::LeftOut, why);
                        return Ok(None);
                    }
                }
            }
            Make::Link(template) => match template.fill(&self.scope, escaped) {
                Ok(id) => json!({"type": "Relationship", "object": id}),
                Err(_) => return Ok(None),
            },
            Make::Languages(parts) => {
                let texts = self.parts(name, parts).0;
                match texts.is_empty() {
                    true => return Ok(None),
                    false => json!({"type": "LanguageProperty", "languageMap": texts}),
                }
            }
            _ => match self.plain(name, field) {
                Some(made) => self.property(field, made),
                None => return Ok(None),
            },
        };
        for (part, with) in &field.with {
            if let Some(value) = self.attribute(&format!("{name}.{part}"), with)? {
                attribute[part] = value;
            }
        }
        if field.reading {
            // A place or a text per language that was observed says when, like a number.
            if let (Some(at), None) = (self.at, attribute.get("observedAt")) {
                attribute["observedAt"] = at.to_string().into();
            }
            attribute["source"] = property(self.mapping.provenance.source.as_str().into());
        }
        Ok(Some(attribute))
    }

    fn property(&self, field: &Field, made: Made) -> Value {
        let mut members = property(made.value);
        if is_time(field) {
            members["valueType"] = "DateTime".into();
        }
        if let Some(unit) = made.unit {
            members["unitCode"] = unit.into();
        }
        if let (true, Some(at)) = (field.reading, self.at) {
            members["observedAt"] = at.to_string().into();
        }
        if made.suspect {
            members["quality"] = property("suspect".into());
        }
        members
    }

    /// A value without what surrounds it.
    fn plain(&mut self, name: &str, field: &Field) -> Option<Made> {
        if !all_hold(&field.when, &self.scope) {
            return None;
        }
        match &field.make {
            Make::Fixed(value) => Some(Made::of(value.clone())),
            Make::Object(parts) => {
                let (members, unit, suspect) = self.parts(name, parts);
                let value = Value::Object(members);
                let is_empty = value.as_object().is_some_and(Map::is_empty);
                (!is_empty).then_some(Made { value, unit, suspect })
            }
            Make::Scalar(scalar) => made::scalar(self, name, scalar),
            Make::Point { .. } | Make::Languages(_) | Make::Link(_) => {
                let value = self.attribute(name, field).ok().flatten()?;
                Some(Made::of(value))
            }
        }
    }

    /// The parts of an object, and the unit that its numbers have.
    fn parts(
        &mut self,
        name: &str,
        parts: &[(String, Field)],
    ) -> (Map<String, Value>, Option<String>, bool) {
        let (mut members, mut unit, mut suspect) = (Map::new(), None, false);
        for (part, field) in parts {
            if let Some(made) = self.plain(&format!("{name}.{part}"), field) {
                unit = unit.or(made.unit);
                suspect |= made.suspect;
                members.insert(part.clone(), made.value);
            }
        }
        (members, unit, suspect)
    }

    pub fn note(&mut self, attribute: &str, kind: IssueKind, why: String) {
        self.issues.push(Issue { attribute: attribute.to_owned(), why, kind });
    }
}

fn property(value: Value) -> Value {
    json!({"type": "Property", "value": value})
}

fn plain(text: &str) -> String {
    text.to_owned()
}

/// A text as a part of a URN.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
