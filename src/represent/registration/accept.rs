//! Taking in the members of a Registration: names become IRIs by the `@context` they came with.
//! Values are not looked at here; whether a member is what it should be is for `read.rs` to say.

use serde_json::{Map, Value};

use super::{ReadLimits, RegistrationError};
use crate::jsonld::{Context, Document};
use crate::model::{Attributes, Entity, EntityId, Name, OneOrMany, RegistrationId, Timestamp};
use crate::represent::terms::{check_attribute_term, check_name};
use crate::represent::write::Rendering;
use crate::represent::{Linked, ReadError, Reader, Reading, write_entity};

/// The members of a Registration, or of a fragment of one, with IRIs for names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// The id that was sent along.
    pub id: Option<RegistrationId>,
    /// In the order they came; the source's own properties under their IRIs. A Null in a fragment
    /// deletes a member.
    pub(super) members: Map<String, Value>,
}

/// The members that a client may send (5.2.9), but for the id.
pub(super) const MEMBERS: [&str; 20] = [
    "type",
    "registrationName",
    "description",
    "information",
    "tenant",
    "observationInterval",
    "managementInterval",
    "location",
    "observationSpace",
    "operationSpace",
    "expiresAt",
    "endpoint",
    "contextSourceInfo",
    "contextSourceAlias",
    "scope",
    "mode",
    "operations",
    "refreshRate",
    "management",
    "datasetId",
];

/// What only the broker writes: ignored.
const OUTPUT: [&str; 10] = [
    "@context",
    "status",
    "timesSent",
    "timesFailed",
    "lastSuccess",
    "lastFailure",
    "createdAt",
    "modifiedAt",
    "deletedAt",
    "lastNotification",
];

impl Draft {
    /// Takes the members of a whole Registration; a null is as good as nothing, as in JSON-LD.
    pub fn accept(
        document: &Document<'_>,
        context: &Context,
        limits: &ReadLimits,
    ) -> Result<Self, RegistrationError> {
        let mut draft = Self::fragment(document, context, limits)?;
        draft.members.retain(|_, value| !value.is_null());
        Ok(draft)
    }

    /// Takes the members of a fragment, where null and the NGSI-LD Null delete (5.5.8).
    pub fn fragment(
        document: &Document<'_>,
        context: &Context,
        limits: &ReadLimits,
    ) -> Result<Self, RegistrationError> {
        let Some(members) = document.as_object() else {
            return Err(ReadError::new("a CSourceRegistration is a JSON object").into());
        };
        let mut accepting =
            Accepting { context, limits, left: limits.entries, draft: Self::default() };
        for (name, value) in members {
            accepting.member(name, value).map_err(|error| error.within(name))?;
        }
        Ok(accepting.draft)
    }

    /// Puts the members of a fragment in place of those of the same name; a Null takes one away
    /// (5.5.8).
    pub fn amend(&mut self, fragment: Draft) {
        for (name, value) in fragment.members {
            match value {
                Value::Null => drop(self.members.shift_remove(&name)),
                value => drop(self.members.insert(name, value)),
            }
        }
    }
}

struct Accepting<'a> {
    context: &'a Context,
    limits: &'a ReadLimits,
    /// How many more entries there may be.
    left: usize,
    draft: Draft,
}

impl Accepting<'_> {
    fn member(&mut self, name: &str, value: &Document<'_>) -> Result<(), RegistrationError> {
        let name = match name {
            "id" | "@id" => return self.id(value),
            "@type" => "type",
            name if OUTPUT.contains(&name) => return Ok(()),
            name => name,
        };
        let is_null = matches!(value, Document::Null) || value.as_str() == Some(NULL);
        if !MEMBERS.contains(&name) {
            return self.property(name, value, is_null);
        }
        self.count(value)?;
        let kept = match (name, value) {
            _ if is_null => Value::Null,
            ("information", Document::Array(items)) => self.information(items)?,
            (_, value) => plain(value),
        };
        self.keep(name, kept)
    }

    fn keep(&mut self, name: &str, kept: Value) -> Result<(), RegistrationError> {
        match self.draft.members.insert(name.to_owned(), kept) {
            Some(_) => Err(ReadError::new("it is given twice").into()),
            None => Ok(()),
        }
    }

    /// Items of lists count, however deep they stand; geometries have a limit of their own.
    fn count(&mut self, value: &Document<'_>) -> Result<(), RegistrationError> {
        match value {
            Document::Array(items) if items.iter().all(|one| one.as_array().is_none()) => {
                let Some(left) = self.left.checked_sub(items.len()) else {
                    let most = self.limits.entries;
                    let why = format!(
                        "a registration may have {most} entries in all \
                         (limits.registration_entries)"
                    );
                    return Err(ReadError::new(why).into());
                };
                self.left = left;
                items.iter().try_for_each(|one| self.count(one))
            }
            Document::Object(members) => {
                let counts = |name: &str| name != "coordinates";
                let members = members.iter().filter(|(name, _)| counts(name));
                members.map(|(_, value)| value).try_for_each(|one| self.count(one))
            }
            _ => Ok(()),
        }
    }

    fn id(&mut self, value: &Document<'_>) -> Result<(), RegistrationError> {
        let text = value.as_str().ok_or_else(|| ReadError::new("it has to be a URI"))?;
        let id = RegistrationId::parse(text).map_err(|why| ReadError::new(why.to_string()))?;
        self.draft.id = Some(id);
        Ok(())
    }

    fn information(&self, items: &[Document<'_>]) -> Result<Value, RegistrationError> {
        let each = items.iter().enumerate().map(|(place, item)| {
            let mut kept = plain(item);
            let Value::Object(members) = &mut kept else { return Ok(kept) };
            let mut accept = || -> Result<(), RegistrationError> {
                if let Some(Value::Array(entities)) = members.get_mut("entities") {
                    self.entities(entities).map_err(|error| error.within("entities"))?;
                }
                for name in ["propertyNames", "relationshipNames"] {
                    if let Some(Value::Array(names)) = members.get_mut(name) {
                        self.names(names, check_attribute_term)
                            .map_err(|error| error.within(name))?;
                    }
                }
                Ok(())
            };
            accept().map(|()| kept).map_err(|error| error.within_item(place))
        });
        each.collect()
    }

    fn entities(&self, entities: &mut [Value]) -> Result<(), RegistrationError> {
        for (place, entity) in entities.iter_mut().enumerate() {
            let Value::Object(members) = entity else { continue };
            for (long, short) in [("@type", "type"), ("@id", "id")] {
                if let Some(value) = members.shift_remove(long) {
                    members.insert(short.to_owned(), value);
                }
            }
            let accept = match members.get_mut("type") {
                Some(Value::Array(names)) => self.names(names, check_name),
                Some(single) => self.names(std::slice::from_mut(single), check_name),
                None => Ok(()),
            };
            accept.map_err(|error| error.within("type").within_item(place))?;
        }
        Ok(())
    }

    fn names(
        &self,
        names: &mut [Value],
        check: impl Fn(&str) -> Result<(), ReadError>,
    ) -> Result<(), RegistrationError> {
        for (place, name) in names.iter_mut().enumerate() {
            let Value::String(term) = name else { continue };
            let expand = |term: &str| {
                check(term)?;
                Ok(self.context.expand(term)?.as_str().to_owned())
            };
            *term = expand(term).map_err(|error: ReadError| error.within_item(place))?;
        }
        Ok(())
    }

    /// A property of the source's own: as an attribute, so that `csf` can ask for it. A value that
    /// stands alone is kept as it came, an attribute with all its names expanded.
    fn property(
        &mut self,
        name: &str,
        value: &Document<'_>,
        is_null: bool,
    ) -> Result<(), RegistrationError> {
        check_attribute_term(name)?;
        let iri = self.context.expand(name).map_err(ReadError::from)?;
        let kept = match value {
            _ if is_null => Value::Null,
            Document::Object(_) | Document::Array(_) => self.attribute(iri, value)?,
            value => plain(value),
        };
        self.keep(iri.as_str(), kept)
    }

    fn attribute(&self, iri: Name, value: &Document<'_>) -> Result<Value, RegistrationError> {
        let reader = Reader::new(self.context, Reading::Whole)
            .with_geometry_limits(self.limits.query.geometry);
        let alone = Document::Object(vec![(iri.as_str().into(), value.clone())]);
        let fragment = reader.fragment(&alone)?;
        let mut entity = bare(PLACEHOLDER, Timestamp::from_micros(0))?;
        for (name, patch) in fragment.attributes {
            let attribute = patch.into_attribute(name);
            let attribute = attribute.map_err(|refusal| ReadError::new(refusal.to_string()))?;
            entity.attributes.insert(name, attribute);
        }
        let shown = attributes_of(&entity, &Context::core())?;
        let written = shown.into_iter().next().map(|(_, value)| value);
        Ok(written.unwrap_or(Value::Null))
    }
}

/// The attributes of an entity as they are shown.
pub(super) fn attributes_of(
    entity: &Entity,
    context: &Context,
) -> Result<Map<String, Value>, ReadError> {
    let mut out = Vec::new();
    let rendering = Rendering::default();
    let (now, linked) = (Timestamp::from_micros(0), Linked::default());
    write_entity(&mut out, entity, &rendering, context, now, &linked);
    let written = serde_json::from_slice(&out);
    let mut members: Map<String, Value> =
        written.map_err(|error| ReadError::new(error.to_string()))?;
    for name in ["id", "type", "scope"] {
        members.shift_remove(name);
    }
    Ok(members)
}

/// An entity that says nothing yet but that it is a source.
pub(super) fn bare(id: &str, at: Timestamp) -> Result<Entity, ReadError> {
    let kind = Context::core().expand("ContextSourceRegistration")?;
    Ok(Entity {
        id: EntityId::from_trusted(id),
        types: OneOrMany::One(kind),
        scopes: Vec::new(),
        attributes: Attributes::default(),
        created_at: at,
        modified_at: at,
        expires_at: None,
    })
}

/// The id of an entity that is only written to be read again.
const PLACEHOLDER: &str = "urn:ngsi-ld:ContextSourceRegistration";

/// The NGSI-LD Null.
const NULL: &str = "urn:ngsi-ld:null";

fn plain(value: &Document<'_>) -> Value {
    value.clone().into_json()
}
