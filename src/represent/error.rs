//! Why a document was refused, and where in it the reason stands.

use std::fmt;

use crate::jsonld::ContextError;

/// A document that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A member breaks a rule of the information model, or the representation of it.
    #[error("{path}: {why}")]
    Invalid { path: JsonPath, why: String },
    /// A name could not be expanded.
    #[error("{path}: {source}")]
    Name { path: JsonPath, source: ContextError },
}

/// The place of a member in a document, printed like `$.speed[1].value`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JsonPath(
    /// Innermost first, since a path is known from the inside out.
    Vec<Step>,
);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(Box<str>),
    Item(usize),
}

impl ReadError {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self::Invalid { path: JsonPath::default(), why: why.into() }
    }

    /// The same reason, seen from the object that holds the member.
    pub fn within(mut self, member: &str) -> Self {
        self.path_mut().0.push(Step::Member(member.into()));
        self
    }

    /// The same reason, seen from the array that holds the item.
    pub fn within_item(mut self, index: usize) -> Self {
        self.path_mut().0.push(Step::Item(index));
        self
    }

    /// Where in the document the reason stands.
    pub fn path(&self) -> &JsonPath {
        match self {
            Self::Invalid { path, .. } | Self::Name { path, .. } => path,
        }
    }

    fn path_mut(&mut self) -> &mut JsonPath {
        match self {
            Self::Invalid { path, .. } | Self::Name { path, .. } => path,
        }
    }
}

impl From<ContextError> for ReadError {
    fn from(source: ContextError) -> Self {
        Self::Name { path: JsonPath::default(), source }
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for step in self.0.iter().rev() {
            match step {
                Step::Item(index) => write!(f, "[{index}]")?,
                Step::Member(name) if is_plain(name) => write!(f, ".{name}")?,
                Step::Member(name) => {
                    let shown: String = name.chars().take(100).collect();
                    write!(f, "[{shown:?}]")?;
                }
            }
        }
        Ok(())
    }
}

fn is_plain(name: &str) -> bool {
    name.len() <= 100 && !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_from_the_outside_in() {
        let error = ReadError::new("no").within("value").within_item(1).within("speed");
        assert_eq!(error.to_string(), "$.speed[1].value: no");
        let error = ReadError::new("no").within("https://example.org/x");
        assert_eq!(error.to_string(), "$[\"https://example.org/x\"]: no");
        assert_eq!(ReadError::new("no").to_string(), "$: no");
    }
}
