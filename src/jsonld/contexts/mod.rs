//! The contexts a broker knows: found by address or by content, fetched when needed, kept as long
//! as their hosts allow, and hosted for clients (5.13, 6.3.16).

mod compiled;
mod documents;
mod entry;
mod flights;
mod hosting;
mod shelf;
mod source;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use self::{
    compiled::{Compiled, Key, Shelf, State},
    documents::{Documents, Gathered},
    flights::Flights,
    source::Wanted,
};
use super::{Context, ContextError, ContextLink, Document, DocumentLoader, compile, is_core};
use crate::model::{TenantId, Timestamp};

pub use entry::{ContextDetails, ContextKind};
pub use hosting::{HostError, RemoveError, ServeError};
pub use shelf::{ContextShelf, NoShelf, ShelfError, StoredContext};
pub use source::ContextSource;

/// Where hosted contexts stand, below the broker's own address.
pub const HOSTED_PATH: &str = "/ngsi-ld/v1/jsonldContexts/";

/// How contexts are found and kept.
#[derive(Debug, Clone)]
pub struct ContextSettings {
    /// The broker's own address, for the addresses of hosted contexts: scheme and authority,
    /// without a slash at the end.
    pub base: String,
    /// The context of requests that name none, before the core context (5.5.7).
    pub default_url: Option<String>,
    /// The largest document, in bytes.
    pub max_bytes: usize,
    /// How many documents one context may draw in.
    pub max_documents: usize,
    /// How deep documents may refer to each other.
    pub max_depth: usize,
    /// How many compiled contexts are kept.
    pub max_compiled: usize,
    /// How many terms the compiled contexts may have together: about 250 bytes each.
    pub max_terms: usize,
    /// How many documents of other hosts are kept.
    pub max_cached: usize,
    /// How many contexts clients may have hosted.
    pub max_hosted: usize,
    /// How long a document is kept whose host does not say. Contexts change rarely, and an hour
    /// is what a correction may take to arrive.
    pub default_age: Duration,
    /// How long a document is kept at least, whatever its host says: else every request would
    /// fetch it.
    pub min_age: Duration,
    /// How long a document is kept at most.
    pub max_age: Duration,
    /// How long a document whose host is away is used before that host is asked again.
    pub retry_after: Duration,
}

impl Default for ContextSettings {
    fn default() -> Self {
        Self {
            base: "http://localhost:9090".into(),
            default_url: None,
            max_bytes: 1 << 20,
            max_documents: 32,
            max_depth: 8,
            max_compiled: 1_000,
            max_terms: 500_000,
            max_cached: 1_000,
            max_hosted: 10_000,
            default_age: Duration::from_secs(3_600),
            min_age: Duration::from_secs(60),
            max_age: Duration::from_secs(30 * 86_400),
            retry_after: Duration::from_secs(60),
        }
    }
}

/// The contexts a broker knows.
pub struct Contexts {
    settings: ContextSettings,
    documents: Documents,
    compiled: Shelf,
    compiling: Flights<Key, Arc<Compiled>>,
}

impl Contexts {
    /// Knows the contexts that come with the broker; all others come through the loader, or from
    /// the shelf after [`Contexts::restore`].
    pub fn new(
        loader: Arc<dyn DocumentLoader>,
        shelf: Arc<dyn ContextShelf>,
        settings: ContextSettings,
        now: Timestamp,
    ) -> Self {
        Self {
            compiled: Shelf::new(settings.max_compiled, settings.max_terms),
            compiling: Flights::default(),
            documents: Documents::new(loader, shelf, settings.clone(), now),
            settings,
        }
    }

    /// Makes a document answer for an address, as if the host at that address sent it.
    pub fn preload(&mut self, url: &str, document: &[u8]) -> Result<(), ContextError> {
        self.documents.preload(url, document)
    }

    /// The context that a request is to be read and answered with (5.5.7), compiled once and then
    /// found by one look-up. Counts the use of every document it is made of.
    ///
    /// `NotAvailable` if a document cannot be fetched and no old copy is there, `Invalid` if one
    /// is there but is no context.
    pub async fn resolve(
        &self,
        tenant: &TenantId,
        source: ContextSource<'_>,
        now: Timestamp,
    ) -> Result<Arc<Context>, ContextError> {
        match self.compiled(source, now).await? {
            Some(compiled) => compiled.serve(tenant, now),
            None => Ok(Context::core()),
        }
    }

    /// The same on behalf of nobody but the broker: what it reads again is no use of a context.
    pub async fn look_up(
        &self,
        tenant: &TenantId,
        source: ContextSource<'_>,
        now: Timestamp,
    ) -> Result<Arc<Context>, ContextError> {
        match self.compiled(source, now).await? {
            Some(compiled) => compiled.show(tenant, now),
            None => Ok(Context::core()),
        }
    }

    /// The compiled context; none for the core context.
    async fn compiled(
        &self,
        source: ContextSource<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Compiled>>, ContextError> {
        let wanted = match source {
            ContextSource::Default => {
                self.settings.default_url.as_deref().map_or(Wanted::Core, Wanted::Url)
            }
            ContextSource::Url(url) => Wanted::Url(url),
            ContextSource::Inline(context) => Wanted::of_inline(context)?,
        };
        let (known, hash) = match wanted {
            Wanted::Core => return Ok(None),
            Wanted::Url(url) => (self.compiled.at(url), 0),
            Wanted::Inline(context) => {
                let hash = self.compiled.hash(context);
                (self.compiled.of(hash, context), hash)
            }
        };
        if let Some(known) = &known
            && known.state(now) == State::Fresh
        {
            return Ok(Some(known.clone()));
        }
        let key = match wanted {
            Wanted::Url(url) => Key::Url(url.into()),
            _ => Key::Inline(hash),
        };
        if let Some(known) = &known
            && known.state(now) == State::Expired
            && self.compiling.is_under_way(&key)
        {
            return Ok(Some(known.clone()));
        }
        let mut compiled = self.compiling.join(&key, self.compile(&key, &wanted, now)).await?;
        if let Wanted::Inline(context) = wanted
            && !compiled.is_of(context)
        {
            // Another document with the same hash was under way.
            compiled = self.compile(&key, &wanted, now).await?;
        }
        Ok(Some(compiled))
    }

    /// Fetches anew the copies that were used lately and are about to expire. To be called every
    /// few seconds; then no request waits for a host that it asked before.
    pub async fn renew_due(&self, now: Timestamp) {
        self.documents.renew_due(now).await;
    }

    /// How many compiled contexts are held.
    pub fn compiled_count(&self) -> usize {
        self.compiled.count()
    }

    async fn compile(
        &self,
        key: &Key,
        wanted: &Wanted<'_>,
        now: Timestamp,
    ) -> Result<Arc<Compiled>, ContextError> {
        let (root, document, link) = match wanted {
            Wanted::Core => (Document::Null, None, Context::core().link().clone()),
            Wanted::Url(url) => {
                (Document::String((*url).to_owned().into()), None, ContextLink::to_url(url))
            }
            Wanted::Inline(context) => {
                let own = (*context).clone().into_owned();
                (own.clone(), Some(own), source::link_of(context))
            }
        };
        let Gathered { texts, sources } = self.documents.gather(&root, now).await?;
        let before = self.compiled.get(key);
        if let Some(before) = &before
            && before.state(now) == State::Fresh
            && document.as_ref().is_none_or(|document| before.is_of(document))
        {
            return Ok(before.clone());
        }
        let context = match wanted {
            Wanted::Url(url) if is_core(url) => Context::core().linked(link),
            _ => {
                let before = before.map(|before| before.context.clone());
                tokio::task::spawn_blocking(move || {
                    compile::context(&root, &texts, link, before.as_deref())
                })
                .await
                .map_err(|error| ContextError::Invalid(error.to_string().into()))??
            }
        };
        let compiled = Arc::new(Compiled::new(Arc::new(context), sources, document));
        self.compiled.put(key.clone(), compiled.clone());
        Ok(compiled)
    }
}

fn not_hosted(url: &str) -> ContextError {
    ContextError::NotAvailable(url.into(), "this broker hosts no such context".into())
}
