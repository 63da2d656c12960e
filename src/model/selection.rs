//! Which entity types are meant: an alternative of combinations (4.17).

use std::fmt;

use super::{Name, TypeName};

/// `A|B|(C;D)`: an entity is selected if it has all types of any combination. `*` selects all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeSelection {
    /// `*`: every entity.
    Any,
    /// Alternatives, each a combination. A type that no entity ever had is a combination that
    /// never holds, kept as its IRI so that it can be printed.
    Of(Vec<Vec<TypeTerm>>),
}

/// A type as a selection names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeTerm {
    Known(TypeName),
    /// An IRI that was never used as a name in this process when the selection was read.
    Unknown(Box<str>),
}

impl TypeTerm {
    /// The name, looked up again if it was unknown before.
    pub fn name(&self) -> Option<TypeName> {
        match self {
            TypeTerm::Known(name) => Some(*name),
            TypeTerm::Unknown(text) => Name::known(text),
        }
    }
}

impl TypeSelection {
    /// A selection of one type.
    pub fn of(name: TypeName) -> Self {
        TypeSelection::Of(vec![vec![TypeTerm::Known(name)]])
    }

    /// Whether an entity of these types is selected.
    pub fn selects(&self, types: &[TypeName]) -> bool {
        match self {
            TypeSelection::Any => true,
            TypeSelection::Of(alternatives) => alternatives.iter().any(|combination| {
                combination.iter().all(|term| term.name().is_some_and(|name| types.contains(&name)))
            }),
        }
    }
}

impl fmt::Display for TypeTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TypeTerm::Known(name) => write!(f, "{name}"),
            TypeTerm::Unknown(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for TypeSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TypeSelection::Of(alternatives) = self else { return f.write_str("*") };
        for (place, combination) in alternatives.iter().enumerate() {
            if place > 0 {
                f.write_str("|")?;
            }
            match combination.as_slice() {
                [single] => write!(f, "{single}")?,
                several => {
                    f.write_str("(")?;
                    for (place, term) in several.iter().enumerate() {
                        write!(f, "{}{term}", if place > 0 { ";" } else { "" })?;
                    }
                    f.write_str(")")?;
                }
            }
        }
        Ok(())
    }
}
