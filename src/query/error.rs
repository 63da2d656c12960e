//! What is wrong with a query, told to the one who wrote it.

use std::fmt;

/// A query that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    pub kind: ErrorKind,
    /// The parameter, by the name it has in a URL, like `q`.
    pub parameter: &'static str,
    /// What is wrong, as one sentence without its final stop.
    pub message: String,
    /// Where in the parameter's text, in bytes, if it has a place.
    pub span: Option<(usize, usize)>,
}

/// Why a query was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// It does not follow its grammar, or a value is not what it must be.
    Syntax,
    /// It asks for more work than is allowed (TooComplexQuery, 6.3.2).
    TooComplex,
    /// It contradicts another parameter.
    Incompatible,
    /// What it asks for cannot be done with the data there are (InvalidRequest, 5.7.4.4).
    Inapplicable,
}

impl QueryError {
    /// A text that does not follow its grammar.
    pub fn syntax(
        parameter: &'static str,
        message: impl Into<String>,
        span: Option<(usize, usize)>,
    ) -> Self {
        Self { kind: ErrorKind::Syntax, parameter, message: message.into(), span }
    }

    /// A query that asks for more work than is allowed.
    pub fn too_complex(parameter: &'static str, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::TooComplex, parameter, message: message.into(), span: None }
    }

    /// A question that does not suit the data.
    pub fn inapplicable(parameter: &'static str, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Inapplicable, parameter, message: message.into(), span: None }
    }

    /// A parameter that contradicts another.
    pub fn incompatible(parameter: &'static str, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Incompatible, parameter, message: message.into(), span: None }
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.parameter, self.message)
    }
}

impl std::error::Error for QueryError {}
