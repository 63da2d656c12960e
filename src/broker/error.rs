//! What can go wrong in an operation, gathered from the rooms that it composes.

use super::federation::SourceFailure;
use crate::egress::NoRoom;
use crate::federate::Warning;
use crate::jsonld::{ContextError, HostError, ParseError, RemoveError, ServeError};
use crate::model::{AttrName, Refusal};
use crate::query::QueryError;
use crate::represent::ReadError;
use crate::store::StoreError;
use crate::subscribe::SubscribeError;

/// Why an operation failed. `http::problem` alone gives each a status.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is not JSON, or JSON that no request may hold.
    #[error(transparent)]
    Body(#[from] ParseError),
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    HostContext(#[from] HostError),
    #[error(transparent)]
    ServeContext(#[from] ServeError),
    #[error(transparent)]
    RemoveContext(#[from] RemoveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// AlreadyExists, for things that are not entities.
    #[error("{0}")]
    AlreadyExists(String),
    /// Conflict: it clashes with what is registered, or kept.
    #[error("{0}")]
    Conflict(String),
    /// There is no room for one more listener.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// BadRequestData: the input breaks a rule of the operation.
    #[error("{0}")]
    BadRequestData(String),
    /// InvalidRequest: the request itself is malformed, as an unknown parameter.
    #[error("{0}")]
    InvalidRequest(String),
    /// Attributes of an element of a batch were left as they were, as was asked (5.6.9).
    #[error("these attributes exist already and were not to be overwritten: {}", list(.0))]
    Untouched(Vec<AttrName>),
    /// ResourceNotFound, for things that are not entities.
    #[error("{0}")]
    NotFound(String),
    /// OperationNotSupported.
    #[error("{0}")]
    NotSupported(String),
    /// TooManyResults.
    #[error("{0}")]
    TooManyResults(String),
    /// A capability that this broker does not have (501).
    #[error("{0}")]
    NotImplemented(String),
    /// A context source did not do its part.
    #[error(transparent)]
    Source(SourceFailure),
    /// What went wrong, and what there is to say of sources besides.
    #[error("{0}")]
    Warned(Box<Error>, Vec<Warning>),
    /// Only the log is told what.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// A BadRequestData.
    pub fn bad(why: impl Into<String>) -> Self {
        Self::BadRequestData(why.into())
    }

    /// The same, with warnings about sources, if there are any.
    pub fn warned(self, warnings: Vec<Warning>) -> Self {
        match warnings.is_empty() {
            true => self,
            false => Self::Warned(Box::new(self), warnings),
        }
    }

    /// An InvalidRequest.
    pub fn request(why: impl Into<String>) -> Self {
        Self::InvalidRequest(why.into())
    }
}

fn list(names: &[AttrName]) -> String {
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    names.join(", ")
}
