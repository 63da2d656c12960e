//! How documents of other hosts come in.

use std::time::Duration;

use async_trait::async_trait;

/// A document that was fetched.
#[derive(Debug, Clone)]
pub struct RemoteDocument {
    pub bytes: bytes::Bytes,
    /// How long it may be kept, as its host says (Cache-Control, Expires: 6.3.16).
    pub max_age: Option<Duration>,
}

/// Why a document could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Its host is away, refuses, or may not be asked.
    #[error("{0}")]
    Unreachable(String),
    /// What its host answered can be no context: too large, not JSON.
    #[error("{0}")]
    Invalid(String),
}

/// Fetches documents by their address, within limits of its own on time, size, redirects and where
/// it may go.
#[async_trait]
pub trait DocumentLoader: Send + Sync {
    async fn load(&self, url: &str) -> Result<RemoteDocument, LoadError>;
}
