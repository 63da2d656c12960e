//! Where contexts outlast the process.

use async_trait::async_trait;

use super::ContextKind;

/// A context as it is kept.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StoredContext {
    pub local_id: String,
    pub url: String,
    pub kind: ContextKind,
    /// The name of the tenant that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Whether a tenant owns it at all, be it the default one.
    pub owned: bool,
    /// Microseconds since 1970.
    pub created_at: i64,
    /// Microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The value of `@context`, as JSON text.
    pub text: String,
}

/// The shelf could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("contexts cannot be kept: {0}")]
pub struct ShelfError(pub String);

/// Keeps contexts, each under its local id.
#[async_trait]
pub trait ContextShelf: Send + Sync {
    /// Keeps a context, in place of what had its local id; durable when it returns.
    async fn put(&self, context: StoredContext) -> Result<(), ShelfError>;
    async fn remove(&self, local_id: &str) -> Result<(), ShelfError>;
    /// What is kept under a local id.
    async fn load(&self, local_id: &str) -> Result<Option<StoredContext>, ShelfError>;
    async fn load_all(&self) -> Result<Vec<StoredContext>, ShelfError>;
}

/// Keeps nothing.
pub struct NoShelf;

#[async_trait]
impl ContextShelf for NoShelf {
    async fn put(&self, _: StoredContext) -> Result<(), ShelfError> {
        Ok(())
    }

    async fn remove(&self, _: &str) -> Result<(), ShelfError> {
        Ok(())
    }

    async fn load(&self, _: &str) -> Result<Option<StoredContext>, ShelfError> {
        Ok(None)
    }

    async fn load_all(&self) -> Result<Vec<StoredContext>, ShelfError> {
        Ok(Vec::new())
    }
}
