//! One model: its names, and the check of an entity.

use std::collections::BTreeMap;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};

use super::describe::{describe, received};
use super::document::{Document, PropertyDocument};
use super::quick::Quick;
use super::{ModelError, reach, simplify};
use crate::jsonld::{Context, DEFAULT_VOCABULARY};
use crate::model::{AttrName, Entity, Instance, Kind, Name, TypeName, Violation};

/// Where the global context of former years had the names of all models.
const FORMER_VOCABULARY: &str = "https://uri.fiware.org/ns/data-models#";

/// Where the names of all subjects are.
const SMART_DATA_MODELS: &str = "https://smartdatamodels.org/";

/// How many violations of one entity are told.
const MAX_VIOLATIONS: usize = 100;

/// How much memory a pattern of a schema may compile to.
const PATTERN_BYTES: usize = 256 * 1024;

/// What entities of one type are like.
pub struct Model {
    /// The short name of the type.
    pub name: Box<str>,
    /// The type, expanded.
    pub type_name: TypeName,
    /// What people call it, by language tag.
    pub labels: BTreeMap<String, String>,
    /// What it belongs to, like `air`.
    pub domain: Option<Box<str>>,
    /// The terms that every entity has, `id` and `type` aside.
    pub required: Vec<Box<str>>,
    properties: Vec<Property>,
    by_name: FxHashMap<AttrName, usize>,
    by_term: FxHashMap<Box<str>, usize>,
    other_names: Vec<TypeName>,
    schema: Value,
    validator: Validator,
    quick: Option<Quick>,
}

/// What one attribute is like.
#[derive(Debug, Clone)]
pub struct Property {
    /// The short name.
    pub term: Box<str>,
    /// The attribute, expanded.
    pub name: AttrName,
    /// Absent where any kind will do.
    pub kind: Option<Kind>,
    /// What people call it, by language tag.
    pub labels: BTreeMap<String, String>,
    /// The unit codes a reading may have; any, if there are none.
    pub units: Vec<Box<str>>,
    /// What a value looks like, in words.
    pub expected: String,
}

impl Model {
    /// Reads a model. Names without an IRI of their own are expanded by the context.
    ///
    /// # Errors
    /// Says what is wrong if it is no JSON Schema, refers to something outside itself, or does not
    /// say what it is about.
    pub fn read(schema: Value, context: &Context) -> Result<Self, ModelError> {
        let document = Document::read(&schema)?;
        let validator = compile(&schema)?;
        reach::check(&schema)?;
        let type_name = expand(document.iri.as_deref(), &document.title, context)?;
        let mut model = Self {
            name: document.title.into(),
            type_name,
            labels: document.labels,
            domain: document.domain.map(Into::into),
            required: document.required.iter().map(|term| term.as_str().into()).collect(),
            properties: Vec::new(),
            by_name: FxHashMap::default(),
            by_term: FxHashMap::default(),
            other_names: Vec::new(),
            schema: Value::Null,
            validator,
            quick: None,
        };
        model.required.retain(|term| !is_entity_member(term));
        for (term, property) in &document.properties {
            if !is_entity_member(term) {
                model.add(Property::read(term, property, &schema, context)?)?;
            }
        }
        for other in other_names(&model.name)? {
            if other != type_name {
                model.other_names.push(other);
            }
        }
        model.quick = Quick::of(&schema, &model.name, &model.properties);
        model.schema = schema;
        Ok(model)
    }

    fn add(&mut self, property: Property) -> Result<(), ModelError> {
        let place = self.properties.len();
        self.by_term.insert(property.term.clone(), place);
        if self.by_name.insert(property.name, place).is_some() {
            let why = format!("two properties are {}", property.name.as_str());
            return Err(ModelError::unfit(format!("properties/{}", property.term), why));
        }
        // Names that say the same where the official IRI was not known to the sender.
        for other in other_names(&property.term)? {
            self.by_name.entry(other).or_insert(place);
        }
        self.properties.push(property);
        Ok(())
    }

    /// The other names of the type under which entities of it are sent.
    pub fn other_names(&self) -> &[TypeName] {
        &self.other_names
    }

    /// The attributes, in the order of the schema.
    pub fn properties(&self) -> &[Property] {
        &self.properties
    }

    /// The property that an attribute is, by any of its names. A context for many subjects gives a
    /// term the IRI of one of them, so the same term of another subject is meant too.
    pub fn property(&self, name: AttrName) -> Option<&Property> {
        self.place(name).map(|place| &self.properties[place])
    }

    /// The place of the property that an attribute is.
    pub(super) fn place(&self, name: AttrName) -> Option<usize> {
        let place = self.by_name.get(&name).or_else(|| {
            let path = name.as_str().strip_prefix(SMART_DATA_MODELS)?;
            self.by_term.get(path.rsplit('/').next()?)
        });
        place.copied()
    }

    /// The place of the property of a short name.
    pub(super) fn place_of_term(&self, term: &str) -> Option<usize> {
        self.by_term.get(term).copied()
    }

    /// The JSON Schema.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// What is wrong with an entity; nothing if it is as the model says.
    pub fn check(&self, entity: &Entity) -> Vec<Violation> {
        if self.quick.as_ref().is_some_and(|quick| quick.takes(self, entity)) {
            return Vec::new();
        }
        self.check_thoroughly(entity)
    }

    /// Whether an entity is found to be as the model says without asking the validator.
    #[cfg(test)]
    pub(super) fn takes_quickly(&self, entity: &Entity) -> bool {
        self.quick.as_ref().is_some_and(|quick| quick.takes(self, entity))
    }

    /// The same as [`Model::check`], by the validator alone.
    pub(super) fn check_thoroughly(&self, entity: &Entity) -> Vec<Violation> {
        let mut violations = Vec::new();
        self.check_kinds_and_units(entity, &mut violations);
        let document = simplify::entity(self, entity);
        if !self.validator.is_valid(&document) {
            self.explain(&document, None, &mut violations);
        }
        self.check_other_instances(entity, document, &mut violations);
        violations.truncate(MAX_VIOLATIONS);
        violations
    }

    /// What is wrong with a document in the simplified form.
    pub fn check_document(&self, document: &Value) -> Vec<Violation> {
        let mut violations = Vec::new();
        self.explain(document, None, &mut violations);
        violations
    }

    /// Instances beside the default one are checked in its place, one after the other.
    fn check_other_instances(
        &self,
        entity: &Entity,
        mut document: Value,
        violations: &mut Vec<Violation>,
    ) {
        for (name, attribute) in entity.attributes.iter() {
            let Some(property) = self.property(name) else { continue };
            for instance in attribute.instances().iter().skip(1) {
                let Some(place) = document.get_mut(&*property.term) else { continue };
                let value = simplify::instance(self, instance);
                let first = std::mem::replace(place, value);
                if !self.validator.is_valid(&document) {
                    let dataset = instance.dataset().map(|id| id.as_str());
                    let mut found = Vec::new();
                    self.explain(&document, dataset, &mut found);
                    found.retain(|violation| *violation.attribute == *property.term);
                    violations.append(&mut found);
                }
                document[&*property.term] = first;
            }
        }
    }

    /// What is wrong with instances of attributes, each by itself: what an entity has to have beside
    /// them is not asked for.
    pub fn check_instances(&self, instances: &[(AttrName, &Instance)]) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (name, instance) in instances {
            let Some(place) = self.place(*name) else { continue };
            let property = &self.properties[place];
            let quick = self.quick.as_ref();
            if quick.is_some_and(|quick| quick.takes_instance(place, property, instance)) {
                continue;
            }
            property.check(instance, &mut violations);
            let mut document = json!({ "id": "urn:x:past", "type": self.name });
            document[&*property.term] = simplify::instance(self, instance);
            let mut found = Vec::new();
            self.explain(&document, instance.dataset().map(|id| id.as_str()), &mut found);
            found.retain(|violation| *violation.attribute == *property.term);
            violations.append(&mut found);
            if violations.len() >= MAX_VIOLATIONS {
                break;
            }
        }
        violations.truncate(MAX_VIOLATIONS);
        violations
    }

    fn check_kinds_and_units(&self, entity: &Entity, violations: &mut Vec<Violation>) {
        for (name, attribute) in entity.attributes.iter() {
            let Some(property) = self.property(name) else { continue };
            for instance in attribute.instances() {
                property.check(instance, violations);
            }
        }
    }

    fn explain(&self, document: &Value, dataset: Option<&str>, violations: &mut Vec<Violation>) {
        for error in self.validator.iter_errors(document).take(MAX_VIOLATIONS) {
            self.explain_one(&error, dataset, violations);
        }
    }

    fn explain_one(
        &self,
        error: &ValidationError<'_>,
        dataset: Option<&str>,
        violations: &mut Vec<Violation>,
    ) {
        let path = error.instance_path().as_str();
        let mut parts = path.splitn(3, '/').skip(1);
        let at = parts.next().map(unescape);
        let within = parts.next().map_or(String::new(), |rest| format!("/{rest}"));
        let expected_of = |term: &str| {
            let property = self.properties.iter().find(|property| *property.term == *term);
            property.map(|property| property.expected.clone())
        };
        let mut tell = |attribute: &str, path: &str, expected: String, received: String| {
            violations.push(Violation {
                attribute: attribute.into(),
                dataset: dataset.map(Into::into),
                path: path.to_owned(),
                expected,
                received,
            });
        };
        match (error.kind(), &at) {
            (ValidationErrorKind::Required { property }, None) => {
                let term = property.as_str().unwrap_or_default();
                let expected = expected_of(term).unwrap_or_else(|| "it".to_owned());
                tell(term, "", expected, "nothing".to_owned());
            }
            (ValidationErrorKind::AdditionalProperties { unexpected }, None)
            | (ValidationErrorKind::UnevaluatedProperties { unexpected }, None) => {
                // That it has an id and a type is said by what it is.
                for term in unexpected.iter().filter(|term| !is_entity_member(term)) {
                    let got = received(&error.instance()[term]);
                    tell(term, "", "no such attribute".to_owned(), got);
                }
            }
            (_, Some(term)) => {
                let expected = (within.is_empty().then(|| expected_of(term)).flatten())
                    .unwrap_or_else(|| error.to_string());
                tell(term, &within, expected, received(error.instance()));
            }
            (_, None) => tell("", "", error.to_string(), "the entity".to_owned()),
        }
    }
}

impl Property {
    fn read(
        term: &str,
        property: &Value,
        schema: &Value,
        context: &Context,
    ) -> Result<Self, ModelError> {
        let document = PropertyDocument::read(term, property)?;
        let kind = match document.kind.as_deref() {
            None => None,
            Some(text) => Some(Kind::from_term(text).ok_or_else(|| {
                let why = format!("{text} is no kind of attribute");
                ModelError::unfit(format!("properties/{term}/x-kind"), why)
            })?),
        };
        Ok(Self {
            term: term.into(),
            name: expand(document.iri.as_deref(), term, context)?,
            kind,
            labels: document.labels,
            units: document.units.into_iter().map(Into::into).collect(),
            expected: describe(property, schema),
        })
    }

    /// What is wrong with the kind and the unit of an instance.
    fn check(&self, instance: &Instance, violations: &mut Vec<Violation>) {
        let told = |expected: String, received: String| Violation {
            attribute: self.term.clone(),
            dataset: instance.dataset().map(|id| id.as_str().into()),
            path: String::new(),
            expected,
            received,
        };
        if !self.takes(instance.kind()) {
            let expected = self.kind.map_or("", Kind::term).to_owned();
            violations.push(told(expected, instance.kind().term().to_owned()));
        }
        if let Some(unit) = self.wrong_unit(instance) {
            let expected = format!("the unit code {}", self.units.join(" or "));
            violations.push(told(expected, unit.to_owned()));
        }
    }

    /// Whether an attribute of this kind can be what the model means. A value has several kinds to
    /// be told in, a link among them where it is a URI; places and links have their own.
    pub(super) fn takes(&self, kind: Kind) -> bool {
        let is_link = matches!(kind, Kind::Relationship | Kind::ListRelationship);
        match self.kind {
            None => true,
            Some(Kind::Relationship | Kind::ListRelationship) => is_link,
            Some(Kind::GeoProperty) => kind == Kind::GeoProperty,
            Some(_) => kind != Kind::GeoProperty,
        }
    }

    pub(super) fn wrong_unit(&self, instance: &Instance) -> Option<&'static str> {
        let unit = instance.unit?.as_str();
        let known = self.units.is_empty() || self.units.iter().any(|known| **known == *unit);
        (!known).then_some(unit)
    }
}

/// Compiles a schema that may refer to nothing but itself.
fn compile(schema: &Value) -> Result<Validator, ModelError> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
        .offline()
        .build(schema)
        .map_err(|error| {
            let at = error.instance_path().as_str();
            let at = if at.is_empty() { "the schema" } else { at };
            ModelError::NotASchema(format!("{at}: {error}"))
        })
}

/// Whether a member of the simplified form is no attribute.
fn is_entity_member(term: &str) -> bool {
    matches!(term, "id" | "type" | "@context" | "scope")
}

fn expand(iri: Option<&str>, term: &str, context: &Context) -> Result<Name, ModelError> {
    let expanded = context.expand(iri.unwrap_or(term));
    expanded.map_err(|error| ModelError::unfit(term, error.to_string()))
}

/// What a name expands to where nobody said what it means, now and formerly.
fn other_names(term: &str) -> Result<[Name; 2], ModelError> {
    let name = |vocabulary: &str| {
        Name::intern(&[vocabulary, term].concat())
            .map_err(|error| ModelError::unfit(term, error.to_string()))
    };
    Ok([name(DEFAULT_VOCABULARY)?, name(FORMER_VOCABULARY)?])
}

/// A token of a JSON Pointer as it was.
fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}
