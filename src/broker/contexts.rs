//! Storing, listing, serving, deleting and reloading `@context`s (5.13).

use std::sync::Arc;

use async_trait::async_trait;

use super::{Broker, Error};
use crate::jsonld::{
    ContextDetails, ContextKind, ContextShelf, Document, ShelfError, StoredContext,
};
use crate::model::{TenantId, Timestamp};
use crate::store::{Records, Shelf, Store, StoreError};

impl Broker {
    /// Hosts a context and returns its local id. 5.13.2.
    pub async fn add_context(
        &self,
        tenant: &TenantId,
        body: &Document<'_>,
        now: Timestamp,
    ) -> Result<String, Error> {
        let context = body
            .get("@context")
            .ok_or_else(|| Error::request("the body has no member @context"))?;
        let id = uuid::Uuid::now_v7().to_string();
        self.contexts.host(tenant, context, &id, now).await?;
        Ok(id)
    }

    /// The contexts that a tenant sees. 5.13.3.
    pub fn list_contexts(
        &self,
        tenant: &TenantId,
        kind: Option<&str>,
    ) -> Result<Vec<ContextDetails>, Error> {
        let kind = match kind {
            None => None,
            Some(text) => Some(ContextKind::parse(text).ok_or_else(|| {
                Error::bad(format!("kind is Cached, Hosted or ImplicitlyCreated, not {text:?}"))
            })?),
        };
        Ok(self.contexts.list(tenant, kind))
    }

    /// What is known of a context besides its content. 5.13.4.
    pub fn context_details(
        &self,
        tenant: &TenantId,
        id: &str,
        now: Timestamp,
    ) -> Result<ContextDetails, Error> {
        let details = self.contexts.details(tenant, id, now);
        details.ok_or_else(|| Error::NotFound(format!("there is no context {id}")))
    }

    /// The value of a hosted `@context`, as JSON text. 5.13.4.
    pub fn serve_context(
        &self,
        tenant: &TenantId,
        id: &str,
        now: Timestamp,
    ) -> Result<Arc<str>, Error> {
        Ok(self.contexts.serve(tenant, id, now)?)
    }

    /// Deletes a context, or fetches a cached one anew. 5.13.5.
    pub async fn delete_context(
        &self,
        tenant: &TenantId,
        id: &str,
        reload: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        match reload {
            true => self.contexts.reload(tenant, id, now).await?,
            false => self.contexts.delete(tenant, id, now).await?,
        }
        Ok(())
    }
}

/// Keeps hosted contexts in the store.
pub struct StoredContexts(pub Arc<dyn Store>);

/// What the shelf is called.
pub(super) const CONTEXTS: &str = "contexts";
const SHELF: Shelf = Shelf::shared(CONTEXTS);

impl StoredContexts {
    fn records(&self) -> Records<'_, StoredContext> {
        Records::on(&*self.0, SHELF)
    }
}

fn lost(error: StoreError) -> ShelfError {
    ShelfError(error.to_string())
}

#[async_trait]
impl ContextShelf for StoredContexts {
    async fn put(&self, context: StoredContext) -> Result<(), ShelfError> {
        self.records().put(&context.local_id, &context).await.map_err(lost)
    }

    async fn remove(&self, local_id: &str) -> Result<(), ShelfError> {
        self.records().take(local_id).await.map(drop).map_err(lost)
    }

    async fn load(&self, local_id: &str) -> Result<Option<StoredContext>, ShelfError> {
        self.records().get(local_id).await.map_err(lost)
    }

    async fn load_all(&self) -> Result<Vec<StoredContext>, ShelfError> {
        let all = self.records().all().await.map_err(lost)?;
        Ok(all.into_iter().map(|(_, context)| context).collect())
    }
}
