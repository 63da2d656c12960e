//! What an attribute is meant to be, before it is read: concise input leaves out what can be
//! inferred (4.5.2.3, 4.5.3.3).

use std::borrow::Cow;

use super::{NGSI_LD_NULL, ReadError, Reader};
use crate::geo::Geometry;
use crate::jsonld::Document;
use crate::model::{AttrName, Kind, Name};
use crate::represent::terms::Term;

pub(super) type Members<'d> = [(Cow<'d, str>, Document<'d>)];

/// What stands for an attribute instance.
pub(super) enum Shape<'a, 'd> {
    /// The NGSI-LD Null.
    Null,
    /// An attribute object, with the kind it states.
    Attribute(&'a Members<'d>, Option<Kind>),
    /// A bare value: a Property, or a GeoProperty.
    Bare(&'a Document<'d>, Kind),
}

impl Reader<'_> {
    /// Tells attribute objects from bare values.
    pub(super) fn shape<'a, 'd>(
        &self,
        document: &'a Document<'d>,
        name: AttrName,
    ) -> Result<Shape<'a, 'd>, ReadError> {
        let bare_kind = if is_geometry_name(name) { Kind::GeoProperty } else { Kind::Property };
        let members = match document {
            Document::Null => {
                return Err(ReadError::new(format!(
                    "null is no value in NGSI-LD; leave the attribute out, or write {NGSI_LD_NULL:?} to delete it"
                )));
            }
            Document::String(text) if text == NGSI_LD_NULL => return Ok(Shape::Null),
            Document::Object(members) => members,
            _ => return Ok(Shape::Bare(document, bare_kind)),
        };
        match self.stated_type(members)? {
            Stated::Kind(kind) => Ok(Shape::Attribute(members, Some(kind))),
            Stated::Geometry => Ok(Shape::Bare(document, Kind::GeoProperty)),
            Stated::Nothing if self.has_attribute_member(members) => {
                Ok(Shape::Attribute(members, None))
            }
            Stated::Nothing if members.is_empty() && !self.reading.merges() => {
                Err(ReadError::new("the attribute says nothing: give it a type and a value"))
            }
            Stated::Nothing => Ok(Shape::Bare(document, bare_kind)),
        }
    }

    /// What the `type` of an object states, which alone decides where there is one.
    pub(super) fn stated_type(&self, members: &Members<'_>) -> Result<Stated, ReadError> {
        let Some((key, document)) =
            members.iter().find(|(key, _)| matches!(key.as_ref(), "type" | "@type"))
        else {
            return Ok(Stated::Nothing);
        };
        let known = document.as_str().and_then(|text| self.kind(text));
        if let Some(kind) = known {
            return Ok(Stated::Kind(kind));
        }
        let text = document.as_str().unwrap_or_default();
        if Geometry::TYPE_NAMES.contains(&text)
            && members.iter().any(|(key, _)| key == "coordinates")
        {
            return Ok(Stated::Geometry);
        }
        let kinds = Kind::ALL.map(Kind::term).join(", ");
        Err(ReadError::new(format!(
            "the type of an attribute is one of {kinds}; a value that has a type of its own is written {{\"value\": {{…}}}}"
        ))
        .within(key))
    }

    /// The kind a term states; full and compact IRIs are understood.
    fn kind(&self, text: &str) -> Option<Kind> {
        Kind::from_term(text).or_else(|| {
            let iri = text.contains(':').then(|| self.context.expand_text(text))?;
            Kind::from_term(iri.strip_prefix("https://uri.etsi.org/ngsi-ld/")?)
        })
    }

    /// Whether an object without a type is an attribute: it has the member of some kind's datum,
    /// or one that says something about a datum. In a merge it may also be an attribute of
    /// which only sub-attributes are merged.
    fn has_attribute_member(&self, members: &Members<'_>) -> bool {
        members.iter().any(|(key, document)| match self.term(key) {
            Some(
                Term::Datum(_)
                | Term::ObservedAt
                | Term::UnitCode
                | Term::DatasetId
                | Term::ExpiresAt
                | Term::ValueType
                | Term::ObjectType
                | Term::IdSealed
                | Term::TypeSealed,
            ) => true,
            _ => self.reading.merges() && self.states_a_kind(document),
        })
    }

    /// Whether this is an attribute object that says its kind.
    pub(super) fn states_a_kind(&self, document: &Document<'_>) -> bool {
        document
            .as_object()
            .is_some_and(|members| matches!(self.stated_type(members), Ok(Stated::Kind(_))))
    }

    /// Whether this is an attribute object that says its kind, or several of them.
    pub(super) fn states_kinds(&self, document: &Document<'_>) -> bool {
        match document {
            Document::Array(items) => {
                !items.is_empty() && items.iter().all(|item| self.states_a_kind(item))
            }
            single => self.states_a_kind(single),
        }
    }

    /// The meaning of a member's key, however it is spelled.
    pub(super) fn term(&self, key: &str) -> Option<Term> {
        Term::of(key).or_else(|| {
            // Only an alias or an IRI can spell a core member otherwise, and a new name cannot
            // be one.
            Term::named(self.context.lookup(key)?)
        })
    }

    /// Whether an array holds the instances of an attribute, rather than being its value: one of
    /// its items states a kind or a datasetId, or holds the datum of a kind.
    pub(super) fn holds_instances(&self, items: &[Document<'_>]) -> bool {
        items.iter().any(|item| self.is_instance(item))
    }

    /// Whether this looks like an attribute with a datum, or like an array of its instances.
    pub(super) fn is_reified(&self, document: &Document<'_>) -> bool {
        match document {
            Document::Array(items) => self.holds_instances(items),
            single => self.is_instance(single),
        }
    }

    fn is_instance(&self, document: &Document<'_>) -> bool {
        document.as_object().is_some_and(|members| {
            matches!(self.stated_type(members), Ok(Stated::Kind(_)))
                || members.iter().any(|(key, _)| {
                    matches!(self.term(key), Some(Term::Datum(_) | Term::DatasetId))
                })
        })
    }
}

/// What the `type` of an object states.
pub(super) enum Stated {
    Kind(Kind),
    Geometry,
    Nothing,
}

/// Whether an object is meant to be a GeoJSON geometry, be it valid or not.
pub(super) fn looks_like_geometry(document: &Document<'_>) -> bool {
    let Document::Object(members) = document else { return false };
    let type_of = |(key, document): &(Cow<'_, str>, Document<'_>)| {
        matches!(key.as_ref(), "type" | "@type")
            && document.as_str().is_some_and(|text| {
                Geometry::TYPE_NAMES.contains(&text) || text == "GeometryCollection"
            })
    };
    members.iter().any(type_of)
        && members.iter().any(|(key, _)| matches!(key.as_ref(), "coordinates" | "geometries"))
}

/// Whether the core @context knows this attribute as a GeoProperty (4.7).
pub(super) fn is_geometry_name(name: AttrName) -> bool {
    matches!(name, Name::LOCATION | Name::OBSERVATION_SPACE | Name::OPERATION_SPACE)
}
