//! The operations on stored contexts: add, list, serve, delete and reload (5.13.2 to 5.13.5).

use std::sync::Arc;

use super::{
    super::{Context, ContextError, ContextLink, Document, compile, is_core, shipped},
    ContextDetails, ContextKind, Contexts, HOSTED_PATH, ShelfError,
    documents::stored,
    entry::{Content, Entry},
};
use crate::model::{TenantId, Timestamp};

/// Why a context is not hosted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error("this broker hosts no more than {0} contexts")]
    Full(usize),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
}

/// Why the content of a context is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// ResourceNotFound (404).
    #[error("there is no such context")]
    Unknown,
    /// OperationNotSupported (422).
    #[error("this context is a copy: its content is served by its own host")]
    OnlyCached,
}

/// Why a context is not deleted or reloaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoveError {
    /// ResourceNotFound (404).
    #[error("there is no such context")]
    Unknown,
    /// BadRequestData (400).
    #[error("only the copy of a context of another host can be reloaded")]
    NotCached,
    /// BadRequestData (400).
    #[error("this context comes with the broker and cannot be deleted")]
    Shipped,
    /// LdContextNotAvailable (504): the old copy stays.
    #[error("the @context {0} cannot be reloaded: {1}")]
    NotAvailable(Box<str>, Box<str>),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
}

impl Contexts {
    /// Takes back the contexts that the shelf kept, and tells how many.
    pub async fn restore(&self) -> Result<usize, ShelfError> {
        self.documents.restore().await
    }

    /// Takes over what another broker did to a context that both keep on one shelf.
    pub async fn refresh(&self, local_id: &str) -> Result<(), ShelfError> {
        self.documents.reread(local_id).await
    }

    /// Hosts the value of an `@context` under a new id (5.13.2): kind Hosted, for the tenant that
    /// sent it. Documents it refers to are fetched when it is first used.
    pub async fn host(
        &self,
        tenant: &TenantId,
        context: &Document<'_>,
        id: &str,
        now: Timestamp,
    ) -> Result<ContextDetails, HostError> {
        let entry = self.add(tenant, context, ContextKind::Hosted, id, now).await?;
        Ok(entry.details())
    }

    /// The address under which a context can be fetched, for answers and notifications that name
    /// it in a `Link` header: its own, or that of a context hosted here for the purpose, kind
    /// ImplicitlyCreated, under the new id.
    pub async fn address_of(
        &self,
        tenant: &TenantId,
        context: &Context,
        id: &str,
        now: Timestamp,
    ) -> Result<Arc<str>, HostError> {
        let ContextLink { url, body } = context.link();
        if let Some(url) = url {
            return Ok(url.clone());
        }
        let same = |entry: &&Arc<Entry>| {
            entry.kind == ContextKind::ImplicitlyCreated
                && entry.tenant.as_ref() == Some(tenant)
                && entry.content().text == *body
        };
        if let Some(entry) = self.documents.all().iter().find(same) {
            return Ok(entry.url.clone());
        }
        let document = Document::parse_tolerant(body.as_bytes(), &Default::default())
            .map_err(|error| ContextError::Invalid(error.to_string().into()))?;
        let kind = ContextKind::ImplicitlyCreated;
        let entry = self.add(tenant, &document, kind, id, now).await?;
        Ok(entry.url.clone())
    }

    async fn add(
        &self,
        tenant: &TenantId,
        context: &Document<'_>,
        kind: ContextKind,
        id: &str,
        now: Timestamp,
    ) -> Result<Arc<Entry>, HostError> {
        if self.documents.hosted_count() >= self.settings.max_hosted {
            return Err(HostError::Full(self.settings.max_hosted));
        }
        let url = self.documents.hosted_url(id);
        let content = Content::of(context, Some(&url))?;
        if content.text.len() > self.settings.max_bytes {
            let limit = self.settings.max_bytes;
            let reason = format!("it is larger than {limit} bytes");
            return Err(ContextError::Invalid(reason.into()).into());
        }
        compile::validate(context, content.references.is_empty())?;
        let owner = Some(tenant.clone());
        let entry = Entry::new(url.into(), id.into(), kind, owner, now, content);
        self.documents.shelf.put(stored(&entry)).await?;
        Ok(self.documents.insert(entry))
    }

    /// The contexts that a tenant sees, oldest first (5.13.3).
    pub fn list(&self, tenant: &TenantId, kind: Option<ContextKind>) -> Vec<ContextDetails> {
        let mut list: Vec<ContextDetails> = self
            .documents
            .all()
            .iter()
            .filter(|entry| {
                entry.is_visible_to(tenant) && kind.is_none_or(|kind| entry.kind == kind)
            })
            .map(|entry| entry.details())
            .collect();
        list.sort_by(|a, b| (a.created_at, &a.url).cmp(&(b.created_at, &b.url)));
        list
    }

    /// What is known of a context (5.13.4), found by its local id or, for cached ones, by its
    /// address. Asking counts as a use.
    pub fn details(&self, tenant: &TenantId, id: &str, now: Timestamp) -> Option<ContextDetails> {
        let entry = self.find(tenant, id, now)?;
        let details = entry.details();
        entry.count(now);
        Some(details)
    }

    /// Forgets a context that was made for a notification, if it is one of the tenant's: nothing
    /// names it any more.
    pub async fn forget_implicit(&self, tenant: &TenantId, url: &str) -> Result<(), ShelfError> {
        let made = |entry: &&Arc<Entry>| {
            *entry.url == *url
                && entry.kind == ContextKind::ImplicitlyCreated
                && entry.tenant.as_ref() == Some(tenant)
        };
        match self.documents.all().iter().find(made) {
            Some(entry) => self.documents.remove(entry).await,
            None => Ok(()),
        }
    }

    /// The value of a hosted `@context`, as JSON text (5.13.4). Counts as a use. Whoever
    /// knows its id may have it without naming a tenant, as JSON-LD processors follow a `Link`; who
    /// names one is served what that tenant hosts (5.5.10).
    pub fn serve(
        &self,
        tenant: &TenantId,
        id: &str,
        now: Timestamp,
    ) -> Result<Arc<str>, ServeError> {
        let anyone = || self.documents.hosted(id).filter(|_| tenant.name().is_none());
        let entry = self.find(tenant, id, now).or_else(anyone).ok_or(ServeError::Unknown)?;
        if entry.kind == ContextKind::Cached {
            return Err(ServeError::OnlyCached);
        }
        entry.count(now);
        Ok(entry.content().text.clone())
    }

    /// Deletes a context (5.13.5). A cached one comes back when it is used again.
    pub async fn delete(
        &self,
        tenant: &TenantId,
        id: &str,
        now: Timestamp,
    ) -> Result<(), RemoveError> {
        let entry = self.find(tenant, id, now).ok_or(RemoveError::Unknown)?;
        if is_core(&entry.url) || shipped::is_domain(&entry.local_id) {
            return Err(RemoveError::Shipped);
        }
        Ok(self.documents.remove(&entry).await?)
    }

    /// Fetches a cached context anew (5.13.5 with `reload`); on failure the old copy stays.
    pub async fn reload(
        &self,
        tenant: &TenantId,
        id: &str,
        now: Timestamp,
    ) -> Result<(), RemoveError> {
        let entry = self
            .find(tenant, id, now)
            .filter(|entry| entry.kind == ContextKind::Cached)
            .ok_or(RemoveError::NotCached)?;
        self.documents.reload(&entry, now).await.map_err(|error| {
            let why = match error {
                ContextError::NotAvailable(_, why) => why,
                other => other.to_string().into(),
            };
            RemoveError::NotAvailable(entry.url.as_ref().into(), why)
        })
    }

    fn find(&self, tenant: &TenantId, id: &str, now: Timestamp) -> Option<Arc<Entry>> {
        let id = id.strip_prefix(HOSTED_PATH).unwrap_or(id);
        self.documents.find(tenant, id, now)
    }
}
