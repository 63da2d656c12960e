//! Reading temporal entities and fragments of them (4.5.6 to 4.5.8, 5.2.20): each attribute is an
//! array of instances, of which one datasetId may have many.

use super::{
    ReadError, Reader, Reading, Term, check_name, is_entity_output, is_null, read_time, wrong,
};
use crate::jsonld::Document;
use crate::model::{AttrName, Chronology, EntityId, Instance, InstanceEdit, Scope, Timestamp};
use crate::represent::terms::check_attribute_term;

/// Scopes and the time from which they are said to hold.
type ScopesSince = (Vec<Scope>, Option<Timestamp>);

impl Reader<'_> {
    /// Reads a temporal entity, or a fragment of one: its id if it has one, and what it tells.
    ///
    /// A single instance may stand without an array around it. System times and instanceIds are
    /// given by the broker, so those in the document mean nothing.
    pub fn chronology(
        &self,
        document: &Document<'_>,
    ) -> Result<(Option<EntityId>, Chronology), ReadError> {
        let reader = Self { reading: Reading::Whole, ..*self };
        let Document::Object(members) = document else {
            return Err(ReadError::new(format!(
                "a temporal entity is a JSON object, not {}",
                document.kind()
            )));
        };
        let (mut id, mut told) = (None, Chronology::default());
        for (key, document) in members {
            reader
                .temporal_member(&mut id, &mut told, key, document)
                .map_err(|error| error.within(key))?;
        }
        super::refuse_twins(&told.attributes)?;
        Ok((id, told))
    }

    fn temporal_member(
        &self,
        id: &mut Option<EntityId>,
        told: &mut Chronology,
        key: &str,
        document: &Document<'_>,
    ) -> Result<(), ReadError> {
        let (term, name) = match Term::of(key) {
            Some(term) => (Some(term), None),
            None => {
                check_name(key)?;
                let name = self.context.expand(key)?;
                (Term::named(name), Some(name))
            }
        };
        match (term, name) {
            (None, Some(name)) => told.attributes.push((name, self.course(document, name)?)),
            (Some(Term::Id), _) => {
                if id.replace(self.entity_id(document)?).is_some() {
                    return Err(ReadError::new("the entity has two ids"));
                }
            }
            (Some(Term::Type), _) => {
                if !told.types.is_empty() {
                    return Err(ReadError::new("the entity has two type members"));
                }
                told.types = self.types(document)?;
            }
            (Some(Term::Scope), _) => told.scopes = self.course_of_scopes(document)?,
            (Some(Term::ExpiresAt), _) => {
                return Err(ReadError::new("the history of an entity does not expire (5.2.20)"));
            }
            (Some(core), name)
                if core.may_name_an_attribute()
                    && (self.states_a_kind(document)
                        || document.as_array().is_some_and(|items| {
                            items.iter().any(|one| self.states_a_kind(one))
                        })) =>
            {
                let name = name.map_or_else(|| self.context.expand(key), Ok)?;
                told.attributes.push((name, self.course(document, name)?));
            }
            (Some(Term::Context | Term::Output), _) if is_entity_output(key) => {}
            _ => check_attribute_term(key).and(Err(ReadError::new(
                "the core @context uses this name for a member that is no attribute",
            )))?,
        }
        Ok(())
    }

    /// The instances of an attribute, in the order they come.
    fn course(&self, document: &Document<'_>, name: AttrName) -> Result<Vec<Instance>, ReadError> {
        let one = |document: &Document<'_>| self.told(document, name);
        match document {
            Document::Array(items) if items.is_empty() => {
                Err(ReadError::new("the attribute has no instance"))
            }
            Document::Array(items) if self.holds_instances(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| one(item).map_err(|error| error.within_item(index)))
                .collect(),
            single => Ok(vec![one(single)?]),
        }
    }

    /// One instance. Where its datum is an NGSI-LD Null, it tells that there was nothing (5.5.4).
    fn told(&self, document: &Document<'_>, name: AttrName) -> Result<Instance, ReadError> {
        let whole = |document: &Document<'_>| match self.instance(document, name)? {
            InstanceEdit::Put(patch) => {
                patch.into_instance(name).map_err(|refusal| ReadError::new(refusal.to_string()))
            }
            InstanceEdit::Remove(_) => Err(ReadError::new("an instance has a value")),
        };
        let Document::Object(members) = document else { return whole(document) };
        let null = |document: &Document<'_>| {
            is_null(document) || document.get("@none").is_some_and(is_null)
        };
        let datum = members.iter().find_map(|(key, document)| match Term::of(key) {
            Some(Term::Datum(kind)) if null(document) => Some((key.clone(), kind)),
            _ => None,
        });
        let Some((key, kind)) = datum else { return whole(document) };
        let Some(nothing) = Instance::null_of(kind) else { return whole(document) };
        // Read with a datum in its place, so that all else is checked.
        let mut filled = document.clone();
        if let Document::Object(members) = &mut filled {
            for (own, document) in members.iter_mut().filter(|(own, _)| *own == key) {
                *document = match own.as_ref() {
                    "languageMap" => {
                        Document::Object(vec![("@none".into(), Document::String("-".into()))])
                    }
                    "object" => Document::String("urn:x:nothing".into()),
                    _ => Document::String("nothing".into()),
                };
            }
        }
        let mut instance = whole(&filled)?;
        instance.datum = nothing;
        Ok(instance)
    }

    /// Reads the fragment that changes one instance (5.6.14): the attribute with an array of
    /// exactly one instance, or that instance alone.
    pub fn instance_fragment(
        &self,
        document: &Document<'_>,
        name: AttrName,
    ) -> Result<crate::model::InstancePatch, ReadError> {
        let Document::Object(members) = document else {
            return Err(wrong(document, "an object with the attribute"));
        };
        if self.states_a_kind(document) {
            return self.only(document, name);
        }
        let named = members
            .iter()
            .find(|(key, _)| Term::of(key).is_none() && self.context.lookup(key) == Some(name));
        let Some((key, attribute)) = named else {
            return self.only(document, name);
        };
        let other = members.iter().find(|(other, _)| {
            other != key && !matches!(Term::of(other), Some(Term::Id | Term::Type | Term::Context))
        });
        if let Some((other, _)) = other {
            return Err(ReadError::new("only the attribute in the URL is changed").within(other));
        }
        let single = match attribute {
            Document::Array(items) => match items.as_slice() {
                [single] => single,
                several => {
                    return Err(ReadError::new(format!(
                        "one instance is changed, and here are {}",
                        several.len()
                    ))
                    .within(key));
                }
            },
            single => single,
        };
        self.only(single, name).map_err(|error| error.within(key))
    }

    fn only(
        &self,
        document: &Document<'_>,
        name: AttrName,
    ) -> Result<crate::model::InstancePatch, ReadError> {
        let reader = Self { reading: Reading::Update, ..*self };
        match reader.attribute_fragment(document, name)?.0.pop() {
            Some(InstanceEdit::Put(patch)) => Ok(patch),
            _ => Err(ReadError::new("an instance is deleted by DELETE (5.6.15), not by a Null")),
        }
    }

    /// `"/A"`, `["/A", "/B"]`, or Property-like instances of such values.
    fn course_of_scopes(&self, document: &Document<'_>) -> Result<Vec<ScopesSince>, ReadError> {
        match document {
            Document::Object(_) => Ok(vec![self.scope_instance(document)?]),
            Document::Array(items) if items.iter().any(|item| item.as_object().is_some()) => items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    self.scope_instance(item).map_err(|error| error.within_item(index))
                })
                .collect(),
            plain => Ok(vec![(self.scopes(plain)?, None)]),
        }
    }

    fn scope_instance(&self, document: &Document<'_>) -> Result<ScopesSince, ReadError> {
        let Document::Object(members) = document else {
            return Err(wrong(document, "a scope with its times, an object"));
        };
        let (mut scopes, mut since) = (None, None);
        for (key, document) in members {
            let read = match &**key {
                "value" => self.scopes(document).map(|all| scopes = Some(all)),
                "observedAt" => read_time(document).map(|at| since = Some(at)),
                "type" | "@type" if document.as_str() == Some("Property") => Ok(()),
                "createdAt" | "modifiedAt" | "deletedAt" | "instanceId" => Ok(()),
                _ => Err(ReadError::new("a scope has a type, a value and an observedAt")),
            };
            read.map_err(|error| error.within(key))?;
        }
        match scopes {
            Some(scopes) => Ok((scopes, since)),
            None => Err(ReadError::new("the scope has no value")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonld::{Context, ParseLimits};

    fn read(text: &str) -> Result<(Option<EntityId>, Chronology), ReadError> {
        let document = Document::parse(text.as_bytes(), &ParseLimits::default()).expect("JSON");
        Reader::new(&Context::core(), Reading::Whole).chronology(&document)
    }

    #[test]
    fn an_attribute_is_an_array_of_instances() {
        let (id, told) = read(
            r#"{"id": "urn:x:1", "type": "Vehicle", "scope": ["/A", "/B"],
                "speed": [
                    {"type": "Property", "value": 1, "observedAt": "2026-01-01T00:00:00Z"},
                    {"type": "Property", "value": 2, "observedAt": "2026-01-02T00:00:00Z",
                     "instanceId": "urn:x:i", "createdAt": "2026-01-02T00:00:00Z"},
                    {"type": "Property", "value": 3, "datasetId": "urn:x:d"}],
                "fuel": {"type": "Property", "value": 5, "unitCode": "LTR"}}"#,
        )
        .expect("a temporal entity");
        assert_eq!(id, Some(EntityId::from_trusted("urn:x:1")));
        assert_eq!(told.attributes.iter().map(|(_, all)| all.len()).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(told.scopes.len(), 1);
        assert_eq!(told.scopes[0].0.len(), 2);
    }

    #[test]
    fn scopes_may_say_since_when_they_hold() {
        let (_, told) = read(
            r#"{"scope": [{"type": "Property", "value": "/A", "observedAt": "2026-01-01T00:00:00Z"},
                          {"type": "Property", "value": ["/A", "/B"]}]}"#,
        )
        .expect("a fragment");
        assert!(told.scopes[0].1.is_some() && told.scopes[1].1.is_none());
    }

    #[test]
    fn a_null_tells_that_there_was_nothing() {
        for datum in [
            r#""type": "Property", "value": "urn:ngsi-ld:null""#,
            r#""type": "Relationship", "object": "urn:ngsi-ld:null""#,
            r#""type": "LanguageProperty", "languageMap": {"@none": "urn:ngsi-ld:null"}"#,
        ] {
            let text = format!(r#"{{"a": [{{{datum}, "observedAt": "2026-01-01T00:00:00Z"}}]}}"#);
            let (_, told) = read(&text).expect("a fragment");
            let instance = &told.attributes[0].1[0];
            assert!(instance.is_null() && instance.observed_at.is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        for (text, path) in [
            (r#"{"speed": []}"#, "$.speed"),
            (r#"{"speed": [{"type": "Property"}]}"#, "$.speed[0]"),
            (
                r#"{"speed": [{"type": "Property", "value": 1}, {"type": "Property", "value": 1, "observedAt": "2026-01-01T00:00:00+07:00"}]}"#,
                "$.speed[1].observedAt",
            ),
            (
                r#"{"speed": [{"type": "GeoProperty", "value": "urn:ngsi-ld:null"}]}"#,
                "$.speed[0].value",
            ),
            (r#"{"scope": [{"type": "Property"}]}"#, "$.scope[0]"),
            (r#"{"id": "x"}"#, "$.id"),
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(error.path().to_string(), path, "{text}: {error}");
        }
    }
}
