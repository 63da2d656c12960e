//! Reading entities and fragments of them: normalized and concise alike, mixed as they come
//! (4.5.1 to 4.5.5, 4.5.18 to 4.5.24, 5.4).

mod chronology;
mod datum;
mod evolved;
mod geometry;
mod instance;
mod received;
mod shape;
mod simplified;
mod value;

pub use datum::is_language_tag;
pub use evolved::Evolved;

use super::ReadError;
use super::terms::{Term, check_attribute_term, check_name};
use crate::geo;
use crate::jsonld::{Context, Document};
use crate::model::{
    AttrName, AttributePatch, Edit, Entity, EntityId, Fragment, Name, Refusal, Scope, Timestamp,
    TypeName,
};

/// The text that stands for "delete this" (4.5.0).
pub(super) const NGSI_LD_NULL: &str = "urn:ngsi-ld:null";

/// What a document may hold, which depends on what will be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// To create, replace or append: whole attributes, no NGSI-LD Null.
    Whole,
    /// To update attributes, or one attribute in parts: an NGSI-LD Null deletes an instance, a
    /// sub-attribute or another member, and stands nowhere inside a value.
    Update,
    /// To merge: an NGSI-LD Null deletes at any depth, and no member is required.
    Merge,
    /// To merge values in the simplified representation.
    MergeSimplified,
}

impl Reading {
    fn merges(self) -> bool {
        matches!(self, Reading::Merge | Reading::MergeSimplified)
    }
}

/// Reads an Entity Fragment (5.4). An `@context` beside its members was dealt with before.
pub fn read_fragment(
    document: &Document<'_>,
    context: &Context,
    reading: Reading,
) -> Result<Fragment, ReadError> {
    Reader::new(context, reading).fragment(document)
}

/// Reads a whole Entity (5.2.4): it has an id and a type, and no NGSI-LD Null.
pub fn read_entity(document: &Document<'_>, context: &Context) -> Result<Entity, ReadError> {
    Reader::new(context, Reading::Whole).entity(document)
}

/// Reads an Attribute Fragment (5.4), the body of an operation on one attribute. `name` is the
/// attribute it is for.
pub fn read_attribute(
    document: &Document<'_>,
    name: AttrName,
    context: &Context,
    reading: Reading,
) -> Result<AttributePatch, ReadError> {
    Reader::new(context, reading).attribute_fragment(document, name)
}

/// Reads documents under one `@context` for one purpose.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'c> {
    context: &'c Context,
    reading: Reading,
    geometry: geo::Limits,
    /// How many objects inside each other may be read in two ways.
    readings: u8,
    /// How many types an entity may have.
    types: usize,
    /// How many instances an attribute may have in a document.
    instances: usize,
}

/// An object without a type is read as a value and as an attribute where it is merged, and so are
/// those in it: every level holds all below it once more.
const READINGS: u8 = 3;

/// How many types an entity may have unless a reader is told otherwise. Real ones have one, or a
/// few where models refine each other.
pub const USUAL_TYPES: usize = 64;

/// How many instances an attribute may have in a document unless a reader is told otherwise: they
/// are compared with each other.
pub const USUAL_INSTANCES: usize = 1_000;

impl<'c> Reader<'c> {
    /// A reader with the usual limits.
    pub fn new(context: &'c Context, reading: Reading) -> Self {
        let geometry = geo::Limits::default();
        Self {
            context,
            reading,
            geometry,
            readings: READINGS,
            types: USUAL_TYPES,
            instances: USUAL_INSTANCES,
        }
    }

    /// The same reader with other limits to geometries.
    pub fn with_geometry_limits(mut self, limits: geo::Limits) -> Self {
        self.geometry = limits;
        self
    }

    /// The same reader with another limit to the types of an entity.
    pub fn with_type_limit(mut self, types: usize) -> Self {
        self.types = types;
        self
    }

    /// The same reader with another limit to the instances of an attribute in one document.
    pub fn with_instance_limit(mut self, instances: usize) -> Self {
        self.instances = instances;
        self
    }

    /// Reads a whole Entity.
    pub fn entity(&self, document: &Document<'_>) -> Result<Entity, ReadError> {
        let fragment = Self { reading: Reading::Whole, ..*self }.fragment(document)?;
        if fragment.id.is_none() {
            return Err(ReadError::new("the entity has no id: give it a URI").within("id"));
        }
        if fragment.types.is_empty() {
            return Err(
                ReadError::new("the entity has no type: give it one or more").within("type")
            );
        }
        fragment.into_entity().map_err(|refusal: Refusal| ReadError::new(refusal.to_string()))
    }

    /// Reads an Entity Fragment.
    pub fn fragment(&self, document: &Document<'_>) -> Result<Fragment, ReadError> {
        let Document::Object(members) = document else {
            return Err(ReadError::new(format!(
                "an entity is a JSON object, not {}",
                document.kind()
            )));
        };
        let mut fragment =
            Fragment { attributes: Vec::with_capacity(members.len()), ..Fragment::default() };
        for (key, document) in members {
            self.member(&mut fragment, key, document).map_err(|error| error.within(key))?;
        }
        refuse_twins(&fragment.attributes)?;
        Ok(fragment)
    }

    fn member(
        &self,
        fragment: &mut Fragment,
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
            (None, Some(name)) => {
                let patch = match self.reading {
                    Reading::MergeSimplified => self.simplified_attribute(document, name)?,
                    _ => self.attribute(document, name)?,
                };
                fragment.attributes.push((name, patch));
            }
            (Some(Term::Id), _) => {
                let id = self.entity_id(document)?;
                if fragment.id.replace(id).is_some() {
                    return Err(ReadError::new("the entity has two ids"));
                }
            }
            (Some(Term::Type), _) => {
                if !fragment.types.is_empty() {
                    return Err(ReadError::new("the entity has two type members"));
                }
                fragment.types = self.types(document)?;
            }
            (Some(Term::Scope), _) => {
                fragment.scopes = self.edit(document, |document| self.scopes(document))?;
            }
            (Some(Term::ExpiresAt), _) => {
                fragment.expires_at = self.edit(document, read_time)?;
            }
            // Unless it says so, it is rather the body of an operation on one attribute.
            (Some(core), name) if core.may_name_an_attribute() && self.states_kinds(document) => {
                let name = name.map_or_else(|| self.context.expand(key), Ok)?;
                fragment.attributes.push((name, self.attribute(document, name)?));
            }
            // A body's own @context, and what brokers write into entities.
            (Some(Term::Context | Term::Output), _) if is_entity_output(key) => {}
            _ => check_attribute_term(key).and(Err(ReadError::new(
                "the core @context uses this name for a member that is no attribute",
            )))?,
        }
        Ok(())
    }

    fn entity_id(&self, document: &Document<'_>) -> Result<EntityId, ReadError> {
        match document {
            Document::String(text) if text == NGSI_LD_NULL => {
                Err(ReadError::new("an entity cannot have the NGSI-LD Null as its id"))
            }
            Document::String(text) => {
                EntityId::parse(text).map_err(|error| ReadError::new(error.to_string()))
            }
            other => Err(wrong(other, "a string that is a URI")),
        }
    }

    /// One type or several, each once.
    fn types(&self, document: &Document<'_>) -> Result<Vec<TypeName>, ReadError> {
        const EXPECTED: &str = "the name of a type, or an array of names";
        let mut types = Vec::new();
        match document {
            Document::String(text) => types.push(self.type_name(text)?),
            Document::Array(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    let name = match item {
                        Document::String(text) => self.type_name(text),
                        other => Err(wrong(other, "the name of a type")),
                    }
                    .map_err(|error| error.within_item(index))?;
                    if types.contains(&name) {
                        continue;
                    }
                    // Before more names are remembered, and compared with those that are there.
                    if types.len() >= self.types {
                        let most = self.types;
                        return Err(ReadError::new(format!(
                            "an entity may have at most {most} types here (limits.types)"
                        )));
                    }
                    types.push(name);
                }
            }
            other => return Err(wrong(other, EXPECTED)),
        }
        Ok(types)
    }

    fn type_name(&self, text: &str) -> Result<TypeName, ReadError> {
        if text == NGSI_LD_NULL {
            return Err(ReadError::new("types cannot be deleted"));
        }
        check_name(text)?;
        let name = self.context.expand(text)?;
        if Term::named(name).is_some() {
            return Err(ReadError::new(format!(
                "{text} is a member of the core @context and cannot be a type"
            )));
        }
        Ok(name)
    }

    fn scopes(&self, document: &Document<'_>) -> Result<Vec<Scope>, ReadError> {
        let scope = |document: &Document<'_>| match document {
            Document::String(text) => {
                Scope::parse(text).map_err(|error| ReadError::new(error.to_string()))
            }
            other => Err(wrong(other, "a scope like /MaeMoh/Air")),
        };
        match document {
            Document::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| scope(item).map_err(|error| error.within_item(index)))
                .collect(),
            single => Ok(vec![scope(single)?]),
        }
    }

    /// A member that an NGSI-LD Null may delete where the reading allows it.
    fn edit<T>(
        &self,
        document: &Document<'_>,
        read: impl FnOnce(&Document<'_>) -> Result<T, ReadError>,
    ) -> Result<Edit<T>, ReadError> {
        if is_null(document) {
            self.allow_null()?;
            return Ok(Edit::Remove);
        }
        read(document).map(Edit::Put)
    }

    fn allow_null(&self) -> Result<(), ReadError> {
        match self.reading {
            Reading::Whole => {
                Err(ReadError::new("an NGSI-LD Null deletes, and this operation deletes nothing"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether the NGSI-LD Null stands here as a string.
fn is_null(document: &Document<'_>) -> bool {
    matches!(document, Document::String(text) if text == NGSI_LD_NULL)
}

/// A body's `@context`, and members of an entity that brokers write and ignore (4.8).
fn is_entity_output(key: &str) -> bool {
    matches!(key, "@context" | "createdAt" | "modifiedAt" | "deletedAt")
}

pub(super) fn wrong(found: &Document<'_>, expected: &str) -> ReadError {
    if matches!(found, Document::Null) {
        return ReadError::new(format!(
            "null is no value in NGSI-LD; expected {expected}, or the string {NGSI_LD_NULL:?} where something is to be deleted"
        ));
    }
    let found = match found {
        Document::String(text) if text.is_empty() => "an empty string",
        Document::Array(items) if items.is_empty() => "an empty array",
        Document::String(_) => "this string",
        other => other.kind(),
    };
    ReadError::new(format!("expected {expected}, not {found}"))
}

fn read_time(document: &Document<'_>) -> Result<Timestamp, ReadError> {
    match document {
        Document::String(text) => text
            .parse()
            .map_err(|error: crate::model::NotADateTime| ReadError::new(error.to_string())),
        other => Err(wrong(other, "a DateTime like 2026-01-31T12:00:00Z")),
    }
}

/// Two members of one object may be spelled differently and yet mean the same name.
pub(super) fn refuse_twins<T>(members: &[(Name, T)]) -> Result<(), ReadError> {
    const FEW: usize = 24;
    let twin = if members.len() <= FEW {
        members.iter().enumerate().find_map(|(index, (name, _))| {
            members[..index].iter().any(|(other, _)| other == name).then_some(*name)
        })
    } else {
        let mut seen = rustc_hash::FxHashSet::default();
        members.iter().map(|(name, _)| *name).find(|name| !seen.insert(*name))
    };
    match twin {
        Some(name) => Err(ReadError::new(format!("two members both mean {name}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
