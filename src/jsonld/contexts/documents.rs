//! The documents that contexts are made of: held here, or fetched once for all who want them.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use hashbrown::{HashMap, HashSet};
use parking_lot::RwLock;

use super::{
    super::{
        CORE_CONTEXT, ContextError, Document, DocumentLoader, LoadError, compile, is_core, shipped,
    },
    ContextKind, ContextSettings, ContextShelf, HOSTED_PATH, ShelfError, StoredContext,
    compiled::Source,
    entry::{Content, Entry},
    flights::Flights,
    not_hosted,
};
use crate::model::{TenantId, Timestamp};

/// A copy that was used within this time is fetched anew before it expires.
const USED_LATELY: Duration = Duration::from_secs(3_600);

/// How long before.
const RENEW_BEFORE: Duration = Duration::from_secs(15);

/// How many hosts are asked at once.
const RENEW_AT_ONCE: usize = 8;

pub(super) struct Documents {
    pub loader: Arc<dyn DocumentLoader>,
    pub shelf: Arc<dyn ContextShelf>,
    pub settings: ContextSettings,
    entries: RwLock<Entries>,
    preloaded: HashMap<Box<str>, Vec<u8>>,
    fetching: Flights<Box<str>, Arc<Entry>>,
}

#[derive(Default)]
struct Entries {
    by_url: HashMap<Arc<str>, Arc<Entry>>,
    by_id: HashMap<Box<str>, Arc<Entry>>,
}

/// Everything that a context draws in.
pub(super) struct Gathered {
    pub texts: compile::Gathered,
    pub sources: Vec<Source>,
}

impl Documents {
    pub(super) fn new(
        loader: Arc<dyn DocumentLoader>,
        shelf: Arc<dyn ContextShelf>,
        settings: ContextSettings,
        now: Timestamp,
    ) -> Self {
        let documents = Self {
            loader,
            shelf,
            settings,
            entries: RwLock::default(),
            preloaded: HashMap::new(),
            fetching: Flights::default(),
        };
        documents.core_entry(CORE_CONTEXT, now);
        for (id, text) in shipped::DOMAIN_CONTEXTS {
            let url = documents.hosted_url(id);
            let content =
                Content::read(text.as_bytes(), &url).expect("a test reads every shipped context");
            let (url, id) = (url.into(), (*id).into());
            documents.insert(Entry::new(url, id, ContextKind::Hosted, None, now, content));
        }
        documents
    }

    pub(super) fn preload(&mut self, url: &str, document: &[u8]) -> Result<(), ContextError> {
        Content::read(document, url)?;
        self.preloaded.insert(url.into(), document.to_owned());
        Ok(())
    }

    /// The address of what is hosted here under this id.
    pub(super) fn hosted_url(&self, id: &str) -> String {
        [self.settings.base.trim_end_matches('/'), HOSTED_PATH, id].concat()
    }

    /// All documents that the context draws in, each fetched at most once.
    pub(super) async fn gather(
        &self,
        context: &Document<'_>,
        now: Timestamp,
    ) -> Result<Gathered, ContextError> {
        let root = Content::of(context, None)?;
        let mut gathered = Gathered { texts: Default::default(), sources: Vec::new() };
        let mut seen: HashSet<Box<str>> = HashSet::new();
        let mut level: Vec<Box<str>> = root.references.into_vec();
        let mut drawn = Vec::new();
        for depth in 0.. {
            level.retain(|url| seen.insert(url.clone()));
            if level.is_empty() {
                break;
            }
            if depth >= self.settings.max_depth {
                let limit = self.settings.max_depth;
                let reason = format!("its documents refer to each other more than {limit} deep");
                return Err(ContextError::Invalid(reason.into()));
            }
            if seen.len() > self.settings.max_documents {
                let limit = self.settings.max_documents;
                let reason = format!("it draws in more than {limit} documents");
                return Err(ContextError::Invalid(reason.into()));
            }
            let mut next = Vec::new();
            for (url, entry) in level.iter().zip(self.fetch_all(&level, now).await) {
                let entry = entry?;
                let content = entry.content();
                next.extend(content.references.iter().cloned());
                drawn.push((url.clone(), content.clone()));
                gathered.texts.insert(String::from(&**url), content.text.clone());
                gathered.sources.push(Source { entry, content });
            }
            level = next;
        }
        match circle(drawn) {
            None => Ok(gathered),
            Some(url) => {
                let reason = format!("{url} draws itself in, or leads to what does");
                Err(ContextError::Invalid(reason.into()))
            }
        }
    }

    async fn fetch_all(
        &self,
        urls: &[Box<str>],
        now: Timestamp,
    ) -> Vec<Result<Arc<Entry>, ContextError>> {
        join_all(urls.iter().map(|url| self.fetch(url, now))).await
    }

    async fn fetch(&self, url: &str, now: Timestamp) -> Result<Arc<Entry>, ContextError> {
        match self.at(url) {
            Some(entry) if entry.is_fresh(now) => Ok(entry),
            _ => self.fetching.join(&url.into(), self.refresh(url, now)).await,
        }
    }

    /// Fetches a document; an old copy serves on while its host is away or talks nonsense.
    async fn refresh(&self, url: &str, now: Timestamp) -> Result<Arc<Entry>, ContextError> {
        let known = self.at(url);
        if let Some(entry) = &known
            && entry.is_fresh(now)
        {
            return Ok(entry.clone());
        }
        self.renew(url, known, now).await
    }

    /// Fetches anew what was used lately and is about to expire, so that no request need wait for
    /// it. What nobody uses any more is left to expire.
    pub(super) async fn renew_due(&self, now: Timestamp) {
        let due: Vec<Arc<Entry>> = {
            let entries = self.entries.read();
            let cached = entries.by_id.values().filter(|e| e.kind == ContextKind::Cached);
            let used = i64::try_from(USED_LATELY.as_micros()).unwrap_or(i64::MAX);
            let since = now.micros().saturating_sub(used);
            let due = |entry: &&Arc<Entry>| {
                !entry.is_fresh(after(now, RENEW_BEFORE)) && entry.last_usage() >= since
            };
            cached.filter(due).cloned().collect()
        };
        for some in due.chunks(RENEW_AT_ONCE) {
            let renewals = some.iter().map(|entry| async move {
                let url: Box<str> = (*entry.url).into();
                let renewal = self.renew(&entry.url, Some(entry.clone()), now);
                // Why it failed was said, and the old copy serves on.
                let _ = self.fetching.join(&url, renewal).await;
            });
            join_all(renewals).await;
        }
    }

    async fn renew(
        &self,
        url: &str,
        known: Option<Arc<Entry>>,
        now: Timestamp,
    ) -> Result<Arc<Entry>, ContextError> {
        match (self.download(url, now).await, known) {
            (Ok((content, expires_at)), known) => {
                let entry = match known {
                    Some(entry) => {
                        entry.renew(content);
                        entry
                    }
                    None => self.insert(Entry::new(
                        url.into(),
                        cached_id(url),
                        ContextKind::Cached,
                        None,
                        now,
                        content,
                    )),
                };
                entry.expire_at(expires_at);
                self.keep_copy(&entry).await;
                self.make_room().await;
                Ok(entry)
            }
            (Err(error), Some(entry)) => {
                tracing::warn!(url, %error, "using an old copy of a context");
                entry.expire_at(Some(after(now, self.settings.retry_after)));
                Ok(entry)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Fetches a document anew, whatever its age; on failure nothing changes.
    pub(super) async fn reload(&self, entry: &Entry, now: Timestamp) -> Result<(), ContextError> {
        let (content, expires_at) = self.download(&entry.url, now).await?;
        entry.renew(content);
        entry.expire_at(expires_at);
        self.keep_copy(entry).await;
        Ok(())
    }

    /// The document as its host has it now, and until when it may be kept.
    async fn download(
        &self,
        url: &str,
        now: Timestamp,
    ) -> Result<(Content, Option<Timestamp>), ContextError> {
        if let Some(text) = shipped::core_text(url) {
            return Ok((Content::of(&shipped::core_document(text), Some(url))?, None));
        }
        if let Some(document) = self.preloaded.get(url) {
            return Ok((Content::read(document, url)?, None));
        }
        if url.strip_prefix(&*self.settings.base).is_some_and(|path| path.starts_with(HOSTED_PATH))
        {
            return Err(not_hosted(url));
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let reason = format!("{url:?} is no address of a document");
            return Err(ContextError::Invalid(reason.into()));
        }
        let address = url.split_once('#').map_or(url, |(address, _)| address);
        let document = self.loader.load(address).await.map_err(|error| match error {
            LoadError::Unreachable(why) => ContextError::NotAvailable(url.into(), why.into()),
            LoadError::Invalid(why) => ContextError::Invalid(format!("{url}: {why}").into()),
        })?;
        if document.bytes.len() > self.settings.max_bytes {
            let limit = self.settings.max_bytes;
            let reason = format!("{url}: it is larger than {limit} bytes");
            return Err(ContextError::Invalid(reason.into()));
        }
        let age = document.max_age.unwrap_or(self.settings.default_age);
        let age = age.min(self.settings.max_age).max(self.settings.min_age);
        Ok((Content::read(&document.bytes, url)?, Some(after(now, age))))
    }

    /// What stands at an address. Hosted contexts are known by the end of theirs, since a broker
    /// is reached under many names.
    pub(super) fn at(&self, url: &str) -> Option<Arc<Entry>> {
        let entries = self.entries.read();
        entries.by_url.get(url).cloned().or_else(|| {
            let (_, id) = url.split_once(HOSTED_PATH)?;
            entries.by_id.get(id).filter(|entry| entry.kind != ContextKind::Cached).cloned()
        })
    }

    /// What a client means by an id: a local id, or the address of a cached document.
    pub(super) fn find(&self, tenant: &TenantId, id: &str, now: Timestamp) -> Option<Arc<Entry>> {
        let entry = self.entries.read().by_id.get(id).cloned();
        entry
            .or_else(|| self.at(id))
            .or_else(|| is_core(id).then(|| self.core_entry(id, now)))
            .filter(|entry| entry.is_visible_to(tenant))
    }

    /// What is hosted under a local id, whoever had it hosted.
    pub(super) fn hosted(&self, id: &str) -> Option<Arc<Entry>> {
        let id = id.strip_prefix(HOSTED_PATH).unwrap_or(id);
        let entry = self.entries.read().by_id.get(id).cloned();
        entry.filter(|entry| entry.kind != ContextKind::Cached)
    }

    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.read().by_id.values().cloned().collect()
    }

    /// How many are held that clients had hosted.
    pub(super) fn hosted_count(&self) -> usize {
        let entries = self.entries.read();
        entries.by_id.values().filter(|entry| entry.kind != ContextKind::Cached).count()
    }

    fn core_entry(&self, url: &str, now: Timestamp) -> Arc<Entry> {
        let text = shipped::core_text(url).expect("only for addresses of core contexts");
        let content = Content::of(&shipped::core_document(text), Some(url))
            .expect("a test reads every shipped context");
        let kind = ContextKind::Cached;
        self.insert(Entry::new(url.into(), cached_id(url), kind, None, now, content))
    }

    /// Puts an entry in its places, unless one is there already.
    pub(super) fn insert(&self, entry: Entry) -> Arc<Entry> {
        let mut entries = self.entries.write();
        if let Some(known) = entries.by_url.get(&entry.url) {
            return known.clone();
        }
        let entry = Arc::new(entry);
        entries.by_url.insert(entry.url.clone(), entry.clone());
        entries.by_id.insert(entry.local_id.clone(), entry.clone());
        entry
    }

    pub(super) async fn remove(&self, entry: &Entry) -> Result<(), ShelfError> {
        self.shelf.remove(&entry.local_id).await?;
        self.take_out(entry);
        entry.leave();
        Ok(())
    }

    fn take_out(&self, entry: &Entry) {
        let mut entries = self.entries.write();
        entries.by_url.remove(&entry.url);
        entries.by_id.remove(&entry.local_id);
    }

    /// Forgets cached documents that were unused for longest, beyond the limit.
    async fn make_room(&self) {
        while let Some(oldest) = self.one_too_many() {
            // What was compiled from it may be used until it expires.
            self.take_out(&oldest);
            if let Err(error) = self.shelf.remove(&oldest.local_id).await {
                tracing::warn!(url = &*oldest.url, %error, "a stale copy of a context stays kept");
            }
        }
    }

    fn one_too_many(&self) -> Option<Arc<Entry>> {
        let entries = self.entries.read();
        let cached = || entries.by_id.values().filter(|entry| entry.kind == ContextKind::Cached);
        if cached().count() <= self.settings.max_cached.max(1) {
            return None;
        }
        cached()
            .filter(|entry| !is_core(&entry.url))
            .min_by_key(|entry| entry.last_usage())
            .cloned()
    }

    /// A cached copy outlasts the process if the shelf allows; it is no loss if not.
    async fn keep_copy(&self, entry: &Entry) {
        if is_core(&entry.url) || self.preloaded.contains_key(&*entry.url) {
            return;
        }
        if let Err(error) = self.shelf.put(stored(entry)).await {
            tracing::warn!(url = &*entry.url, %error, "a copy of a context is not kept");
        }
    }

    /// Takes back what the shelf kept.
    pub(super) async fn restore(&self) -> Result<usize, ShelfError> {
        let stored = self.shelf.load_all().await?;
        let mut restored = 0;
        for context in stored {
            match self.restore_one(&context) {
                Ok(()) => restored += 1,
                Err(reason) => {
                    tracing::warn!(url = context.url, %reason, "a kept context is left out");
                }
            }
        }
        Ok(restored)
    }

    /// Takes over what the shelf has under a local id now.
    pub(super) async fn reread(&self, local_id: &str) -> Result<(), ShelfError> {
        let known = self.entries.read().by_id.get(local_id).cloned();
        match (self.shelf.load(local_id).await?, known) {
            (Some(context), Some(entry)) => {
                match Content::restored(&context.text, &entry.url) {
                    Ok(content) => entry.renew(content),
                    Err(reason) => {
                        tracing::warn!(url = &*entry.url, %reason, "a kept context is left out");
                    }
                }
                entry.expire_at(context.expires_at.map(Timestamp::from_micros));
            }
            (Some(context), None) => {
                if let Err(reason) = self.restore_one(&context) {
                    tracing::warn!(url = context.url, %reason, "a kept context is left out");
                }
            }
            (None, Some(entry)) => {
                self.take_out(&entry);
                entry.leave();
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn restore_one(&self, context: &StoredContext) -> Result<(), String> {
        let tenant = match (&context.tenant, context.owned) {
            (Some(name), _) => Some(TenantId::named(name).map_err(|error| error.to_string())?),
            (None, true) => Some(TenantId::DEFAULT),
            (None, false) => None,
        };
        // The broker may be reached under another address than before.
        let url = match context.kind {
            ContextKind::Cached => context.url.clone(),
            _ => self.hosted_url(&context.local_id),
        };
        let content = Content::restored(&context.text, &url).map_err(|error| error.to_string())?;
        let created_at = Timestamp::from_micros(context.created_at);
        let id = context.local_id.as_str().into();
        let entry = Entry::new(url.into(), id, context.kind, tenant, created_at, content);
        entry.expire_at(context.expires_at.map(Timestamp::from_micros));
        self.insert(entry);
        Ok(())
    }
}

/// A document that draws itself in or leads to one that does, which JSON-LD ends with an overflow
/// (JSON-LD 1.1 API, 4.1.2). Documents are done with once all that they refer to are; there is none
/// such if nothing is left in the end.
fn circle(mut left: Vec<(Box<str>, Arc<Content>)>) -> Option<Box<str>> {
    loop {
        let open: HashSet<Box<str>> = left.iter().map(|(url, _)| url.clone()).collect();
        let before = left.len();
        left.retain(|(_, content)| content.references.iter().any(|url| open.contains(url)));
        if left.len() == before {
            return left.into_iter().next().map(|(url, _)| url);
        }
    }
}

pub(super) fn stored(entry: &Entry) -> StoredContext {
    StoredContext {
        local_id: entry.local_id.to_string(),
        url: entry.url.to_string(),
        kind: entry.kind,
        tenant: entry.tenant.as_ref().and_then(TenantId::name).map(str::to_owned),
        owned: entry.tenant.is_some(),
        created_at: entry.created_at.micros(),
        expires_at: entry.expires_at().map(Timestamp::micros),
        text: entry.content().text.to_string(),
    }
}

fn after(now: Timestamp, age: Duration) -> Timestamp {
    now.plus_micros(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}

/// The local id of a cached document: the same each time it is fetched (FNV-1a, 128 bits).
fn cached_id(url: &str) -> Box<str> {
    let hash = url.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    format!("{hash:032x}").into()
}
