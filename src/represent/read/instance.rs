//! Reading attributes: their instances, and the members of an instance.

use super::shape::{Members, Shape, Stated, is_geometry_name, looks_like_geometry};
use super::{NGSI_LD_NULL, ReadError, Reader, Reading, is_null, read_time, refuse_twins, wrong};
use crate::jsonld::Document;
use crate::model::{
    AttrName, AttributePatch, DatasetId, Datum, Edit, InstanceEdit, InstancePatch, Kind, Name,
    Otherwise, Value,
};
use crate::represent::terms::{Term, check_attribute_term};

/// Whether an attribute object may leave its datum out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    Part,
}

impl Reader<'_> {
    /// Reads what stands for an attribute in an entity or another attribute: one instance, or an
    /// array of them.
    pub(super) fn attribute(
        &self,
        document: &Document<'_>,
        name: AttrName,
    ) -> Result<AttributePatch, ReadError> {
        match document {
            Document::Array(items) if self.holds_instances(items) => self.instances(items, name),
            single => Ok(AttributePatch(vec![self.instance(single, name)?])),
        }
    }

    /// Reads the body of an operation on one attribute, a single instance.
    pub fn attribute_fragment(
        &self,
        document: &Document<'_>,
        name: AttrName,
    ) -> Result<AttributePatch, ReadError> {
        let Document::Object(members) = document else {
            return Err(wrong(document, "an attribute, a JSON object"));
        };
        if document.get("@context").is_some() {
            let mut without = document.clone();
            without.remove("@context");
            return self.attribute_fragment(&without, name);
        }
        if members.is_empty() {
            return Err(ReadError::new("the attribute fragment says nothing"));
        }
        let edit = match (self.reading, self.stated_type(members)?) {
            (Reading::Whole, _) | (_, Stated::Geometry) => self.instance(document, name)?,
            (_, Stated::Kind(kind)) => self.object(members, name, Some(kind), Extent::Part)?,
            (_, Stated::Nothing) => self.object(members, name, None, Extent::Part)?,
        };
        Ok(AttributePatch(vec![edit]))
    }

    fn instances(
        &self,
        items: &[Document<'_>],
        name: AttrName,
    ) -> Result<AttributePatch, ReadError> {
        if items.len() > self.instances {
            return Err(ReadError::new(format!(
                "an attribute has at most {} instances (limits.instances), not {}",
                self.instances,
                items.len()
            )));
        }
        let mut edits: Vec<InstanceEdit> = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let edit = self.instance(item, name).map_err(|error| error.within_item(index))?;
            if edits.iter().any(|other| other.dataset() == edit.dataset()) {
                let why = match edit.dataset() {
                    Some(dataset) => format!("another instance has the datasetId {dataset} too"),
                    None => "another instance has no datasetId either: only one may be the default"
                        .into(),
                };
                return Err(ReadError::new(why).within_item(index));
            }
            edits.push(edit);
        }
        Ok(AttributePatch(edits))
    }

    pub(super) fn instance(
        &self,
        document: &Document<'_>,
        name: AttrName,
    ) -> Result<InstanceEdit, ReadError> {
        let extent = if self.reading.merges() { Extent::Part } else { Extent::Whole };
        match self.shape(document, name)? {
            Shape::Null => {
                self.allow_null()?;
                Ok(InstanceEdit::Remove(None))
            }
            Shape::Attribute(members, kind) => self.object(members, name, kind, extent),
            Shape::Bare(document, kind) => {
                let otherwise = self.otherwise(document, name, kind).map(Box::new);
                let patch =
                    InstancePatch { kind: Some(kind), otherwise, ..InstancePatch::default() };
                self.with_datum(patch, name, kind, document)
            }
        }
    }

    /// What else than a value an object without a type may be where it is merged.
    fn otherwise(&self, document: &Document<'_>, name: AttrName, kind: Kind) -> Option<Otherwise> {
        let Document::Object(members) = document else { return None };
        if !self.reading.merges() || kind != Kind::Property {
            return None;
        }
        let likely = members.is_empty()
            || members.iter().any(|(_, member)| is_null(member) || self.is_reified(member));
        let read = self
            .readings
            .checked_sub(1)
            .map(|readings| Self { readings, ..*self }.object(members, name, None, Extent::Part));
        let attributes = match read {
            Some(Ok(InstanceEdit::Put(patch))) => Some(patch.attributes),
            _ => None,
        };
        Some(Otherwise { attributes, likely })
    }

    /// Reads an attribute object.
    fn object(
        &self,
        members: &Members<'_>,
        name: AttrName,
        stated: Option<Kind>,
        extent: Extent,
    ) -> Result<InstanceEdit, ReadError> {
        let mut patch = InstancePatch::default();
        let mut datum = None;
        for (key, document) in members {
            let found = self
                .member_of(&mut patch, name, key, document)
                .map_err(|error| error.within(key))?;
            if let Some(kind) = found
                && let Some((other, ..)) = datum.replace((key.as_ref(), kind, document))
            {
                return Err(ReadError::new(format!(
                    "an attribute has one value: {other:?} and {key:?} exclude each other"
                )));
            }
        }
        refuse_twins(&patch.attributes)?;
        patch.kind = settle_kind(name, stated, datum)?;
        check_members(&patch)?;
        match (datum, patch.kind) {
            (Some((key, _, document)), Some(kind)) => {
                self.with_datum(patch, name, kind, document).map_err(|error| error.within(key))
            }
            _ if extent == Extent::Part => Ok(InstanceEdit::Put(patch)),
            (_, kind) => {
                let member = kind.map_or("value", Kind::value_member);
                Err(ReadError::new(format!("the attribute has no {member:?}")))
            }
        }
    }

    /// Takes one member of an attribute object in, and tells if it is the one with the datum.
    fn member_of(
        &self,
        patch: &mut InstancePatch,
        name: AttrName,
        key: &str,
        document: &Document<'_>,
    ) -> Result<Option<Kind>, ReadError> {
        let term = match Term::of(key) {
            Some(term) => term,
            None => {
                check_attribute_term(key)?;
                let inner = self.context.expand(key)?;
                match Term::named(inner) {
                    Some(term) => term,
                    None => {
                        patch.attributes.push((inner, self.attribute(document, inner)?));
                        return Ok(None);
                    }
                }
            }
        };
        match term {
            Term::Type | Term::Output => {}
            Term::Datum(kind) => return Ok(Some(kind)),
            Term::ObservedAt => patch.observed_at = self.edit(document, read_time)?,
            Term::ExpiresAt => patch.expires_at = self.edit(document, read_time)?,
            Term::UnitCode => patch.unit = self.edit(document, read_unit)?,
            Term::DatasetId => patch.dataset = read_dataset(document)?,
            Term::ValueType => {
                patch.value_type = self.edit(document, |document| self.word(document))?;
            }
            Term::ObjectType => {
                patch.object_types = self.edit(document, |document| self.words(document))?;
            }
            Term::IdSealed | Term::TypeSealed if name != Name::PROOF => {
                return Err(ReadError::new("only an ngsildproof says what it seals"));
            }
            Term::IdSealed => {
                patch.sealed.get_or_insert_default().id = Some(self.entity_id(document)?);
            }
            Term::TypeSealed => {
                patch.sealed.get_or_insert_default().types = self.words(document)?;
            }
            Term::Previous => {
                return Err(ReadError::new("previous values stand in notifications only"));
            }
            Term::Context => {
                return Err(ReadError::new(
                    "an @context stands beside the members of the body only",
                ));
            }
            Term::Id | Term::Scope => {
                return Err(ReadError::new("this is a member of an entity, not of an attribute"));
            }
        }
        Ok(None)
    }

    fn with_datum(
        &self,
        mut patch: InstancePatch,
        name: AttrName,
        kind: Kind,
        document: &Document<'_>,
    ) -> Result<InstanceEdit, ReadError> {
        let Some(datum) = self.datum(kind, document)? else {
            self.allow_null()?;
            return Ok(InstanceEdit::Remove(patch.dataset));
        };
        check_proof(name, &datum)?;
        patch.datum = Some(datum);
        Ok(InstanceEdit::Put(patch))
    }
}

/// Checks that what an `ngsildproof` holds may be a proof.
pub(super) fn check_proof(name: AttrName, datum: &Datum) -> Result<(), ReadError> {
    let value = match datum {
        Datum::Property(value) => Some(value),
        Datum::Bare(bare) => Some(&bare.value),
        _ => None,
    };
    if name == Name::PROOF && !matches!(value, Some(Value::Object(_))) {
        return Err(ReadError::new(
            "an ngsildproof is a Property with a data integrity proof, an object, as its value",
        ));
    }
    Ok(())
}

/// The kind that is stated, or else follows from the member that holds the datum.
pub(super) fn settle_kind(
    name: AttrName,
    stated: Option<Kind>,
    datum: Option<(&str, Kind, &Document<'_>)>,
) -> Result<Option<Kind>, ReadError> {
    let kind = match (stated, datum) {
        (Some(stated), Some((key, by_member, _))) => {
            let geometry = stated == Kind::GeoProperty && by_member == Kind::Property;
            if stated != by_member && !geometry {
                return Err(ReadError::new(format!(
                    "the value of a {} stands in {:?}, not in {key:?}",
                    stated.term(),
                    stated.value_member()
                )));
            }
            Some(stated)
        }
        (None, Some((_, Kind::Property, document)))
            if is_geometry_name(name) || looks_like_geometry(document) =>
        {
            Some(Kind::GeoProperty)
        }
        (stated, datum) => stated.or(datum.map(|(_, kind, _)| kind)),
    };
    match kind {
        Some(kind) if kind != Kind::GeoProperty && is_geometry_name(name) => {
            Err(ReadError::new(format!("{name} is a GeoProperty, not a {}", kind.term())))
        }
        Some(kind) if kind != Kind::Property && name == Name::PROOF => {
            Err(ReadError::new(format!("an ngsildproof is a Property, not a {}", kind.term())))
        }
        kind => Ok(kind),
    }
}

/// Members that only some kinds have. Where the kind is not known, the stored attribute decides.
fn check_members(patch: &InstancePatch) -> Result<(), ReadError> {
    let Some(kind) = patch.kind else { return Ok(()) };
    let refuse = |member: &str, why: &str| {
        Err(ReadError::new(format!("a {} has no {member}: {why}", kind.term())).within(member))
    };
    if patch.unit.is_change() && !matches!(kind, Kind::Property | Kind::ListProperty) {
        return refuse("unitCode", "only a Property and a ListProperty have units");
    }
    let points = matches!(kind, Kind::Relationship | Kind::ListRelationship);
    if patch.object_types.is_change() && !points {
        return refuse("objectType", "only a Relationship and a ListRelationship point at objects");
    }
    if patch.value_type.is_change() && points {
        return refuse("valueType", "what it points at has an objectType");
    }
    if kind == Kind::LanguageProperty
        && matches!(patch.value_type, Edit::Put(word) if word != Name::LANG_STRING)
    {
        return Err(
            ReadError::new("the valueType of a LanguageProperty is langString").within("valueType")
        );
    }
    Ok(())
}

fn read_unit(document: &Document<'_>) -> Result<Name, ReadError> {
    match document {
        Document::String(text) if (1..=64).contains(&text.len()) => Name::intern(text)
            .map_err(|error| ReadError::from(crate::jsonld::ContextError::from(error))),
        other => Err(wrong(other, "a UN/CEFACT code like CEL, a string of at most 64 bytes")),
    }
}

/// `@none` names the default instance (4.5.5).
fn read_dataset(document: &Document<'_>) -> Result<Option<DatasetId>, ReadError> {
    match document {
        Document::String(text) if text == "@none" => Ok(None),
        other if is_null(other) => {
            Err(ReadError::new(format!("a datasetId cannot be deleted by {NGSI_LD_NULL:?}")))
        }
        Document::String(text) => DatasetId::parse(text)
            .map(Some)
            .map_err(|error| ReadError::new(format!("{error}; or write \"@none\""))),
        other => Err(wrong(other, "a URI, or \"@none\"")),
    }
}
