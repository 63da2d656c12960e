//! Names as queries hold them.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::OnceLock,
};

use crate::model::Name;

/// A name of a query: how it was written, and what it means under the request's @context.
///
/// A name that nothing ever had is not remembered by the process, so it is looked up again each
/// time until something has it: a subscription may well name what comes later.
#[derive(Clone)]
pub struct Term {
    written: Box<str>,
    /// The IRI, kept only while it is not known as a [`Name`].
    unknown: Option<Box<str>>,
    name: OnceLock<Name>,
}

impl Term {
    /// A name that is known. It prints as its IRI between angle brackets, which every parser of
    /// this room takes for a name.
    pub fn known(name: Name) -> Self {
        Self { written: format!("<{name}>").into(), unknown: None, name: OnceLock::from(name) }
    }

    /// A name as it was written, known or by its IRI.
    pub(super) fn new(written: &str, iri: &str, name: Option<Name>) -> Self {
        match name {
            Some(name) => {
                Self { written: written.into(), unknown: None, name: OnceLock::from(name) }
            }
            None => {
                Self { written: written.into(), unknown: Some(iri.into()), name: OnceLock::new() }
            }
        }
    }

    /// The name, if anything ever had it.
    pub fn name(&self) -> Option<Name> {
        if let Some(name) = self.name.get() {
            return Some(*name);
        }
        let name = Name::known(self.unknown.as_deref()?)?;
        Some(*self.name.get_or_init(|| name))
    }

    /// The IRI.
    pub fn iri(&self) -> &str {
        match (&self.unknown, self.name.get()) {
            (Some(iri), _) => iri,
            (None, Some(name)) => name.as_str(),
            (None, None) => &self.written,
        }
    }

    /// Writes the name otherwise; it means the same.
    pub(super) fn rewrite(&mut self, written: &str) {
        self.written = written.into();
    }

    /// The name as it was written.
    pub fn written(&self) -> &str {
        &self.written
    }
}

impl PartialEq for Term {
    fn eq(&self, other: &Self) -> bool {
        self.iri() == other.iri()
    }
}

impl Eq for Term {}

impl Hash for Term {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.iri().hash(state);
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <{}>", self.written, self.iri())
    }
}
