//! Compiled contexts, by address or by content, as many as there is room for.

use std::{
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use hashbrown::HashMap;
use parking_lot::RwLock;

use super::{
    super::{Context, ContextError, Document},
    entry::{Content, Entry},
    source,
};
use crate::model::{TenantId, Timestamp};

/// A context that was compiled from documents as they were.
pub(super) struct Compiled {
    pub context: Arc<Context>,
    sources: Box<[Source]>,
    /// What it was compiled from, if that has no address.
    document: Option<Document<'static>>,
    last_usage: AtomicI64,
}

/// A document that a context was compiled from.
pub(super) struct Source {
    pub entry: Arc<Entry>,
    pub content: Arc<Content>,
}

/// Whether a compiled context may still be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Fresh,
    /// Usable while its documents are asked for anew.
    Expired,
    /// A document was deleted or has other content now.
    Changed,
}

impl Compiled {
    pub(super) fn new(
        context: Arc<Context>,
        sources: Vec<Source>,
        document: Option<Document<'static>>,
    ) -> Self {
        Self { context, sources: sources.into(), document, last_usage: AtomicI64::new(i64::MIN) }
    }

    pub(super) fn state(&self, now: Timestamp) -> State {
        if !self.sources.iter().all(|source| source.entry.still_has(&source.content)) {
            State::Changed
        } else if !self.sources.iter().all(|source| source.entry.is_fresh(now)) {
            State::Expired
        } else {
            State::Fresh
        }
    }

    /// Counts one use, if the tenant may see every document it is made of.
    pub(super) fn serve(
        &self,
        tenant: &TenantId,
        now: Timestamp,
    ) -> Result<Arc<Context>, ContextError> {
        let context = self.show(tenant, now)?;
        for Source { entry, .. } in &self.sources {
            entry.count(now);
        }
        Ok(context)
    }

    /// Counts no use, and keeps the compiled context from being forgotten.
    pub(super) fn show(
        &self,
        tenant: &TenantId,
        now: Timestamp,
    ) -> Result<Arc<Context>, ContextError> {
        for Source { entry, .. } in &self.sources {
            if !entry.is_visible_to(tenant) {
                return Err(super::not_hosted(&entry.url));
            }
        }
        self.last_usage.store(now.micros(), Ordering::Relaxed);
        Ok(self.context.clone())
    }

    /// Whether it was compiled from this document.
    pub(super) fn is_of(&self, document: &Document<'_>) -> bool {
        self.document.as_ref() == Some(document)
    }
}

/// By what a compiled context is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Url(Arc<str>),
    /// The hash of a document without an address.
    Inline(u64),
}

/// The compiled contexts.
pub(super) struct Shelf {
    /// Its hashes cannot be foretold by who sends documents.
    hasher: hashbrown::DefaultHashBuilder,
    held: RwLock<Held>,
    max_contexts: usize,
    max_terms: usize,
}

#[derive(Default)]
struct Held {
    urls: HashMap<Arc<str>, Arc<Compiled>>,
    inline: HashMap<u64, Arc<Compiled>>,
    /// Of all contexts together.
    terms: usize,
}

impl Shelf {
    pub(super) fn new(max_contexts: usize, max_terms: usize) -> Self {
        Self { hasher: Default::default(), held: RwLock::default(), max_contexts, max_terms }
    }

    pub(super) fn hash(&self, document: &Document<'_>) -> u64 {
        let mut state = self.hasher.build_hasher();
        source::hash(document, &mut state);
        std::hash::Hasher::finish(&state)
    }

    pub(super) fn at(&self, url: &str) -> Option<Arc<Compiled>> {
        self.held.read().urls.get(url).cloned()
    }

    pub(super) fn of(&self, hash: u64, document: &Document<'_>) -> Option<Arc<Compiled>> {
        let held = self.held.read();
        held.inline.get(&hash).filter(|compiled| compiled.is_of(document)).cloned()
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Compiled>> {
        let held = self.held.read();
        match key {
            Key::Url(url) => held.urls.get(url).cloned(),
            Key::Inline(hash) => held.inline.get(hash).cloned(),
        }
    }

    /// Puts a context in the place of what its key had; the least used ones make room.
    pub(super) fn put(&self, key: Key, compiled: Arc<Compiled>) {
        let mut held = self.held.write();
        held.terms += compiled.context.terms();
        let before = match key.clone() {
            Key::Url(url) => held.urls.insert(url, compiled),
            Key::Inline(hash) => held.inline.insert(hash, compiled),
        };
        held.terms -= before.map_or(0, |before| before.context.terms());
        while held.urls.len() + held.inline.len() > self.max_contexts.max(1)
            || held.terms > self.max_terms
        {
            let Some(oldest) = held.oldest(&key) else { break };
            held.remove(&oldest);
        }
    }

    /// How many contexts are held.
    pub(super) fn count(&self) -> usize {
        let held = self.held.read();
        held.urls.len() + held.inline.len()
    }
}

impl Held {
    /// The key of the context that was unused for longest, but not this one.
    fn oldest(&self, except: &Key) -> Option<Key> {
        let urls = self.urls.iter().map(|(url, compiled)| (Key::Url(url.clone()), compiled));
        let inline = self.inline.iter().map(|(hash, compiled)| (Key::Inline(*hash), compiled));
        urls.chain(inline)
            .filter(|(key, _)| key != except)
            .min_by_key(|(_, compiled)| compiled.last_usage.load(Ordering::Relaxed))
            .map(|(key, _)| key)
    }

    fn remove(&mut self, key: &Key) {
        let removed = match key {
            Key::Url(url) => self.urls.remove(url),
            Key::Inline(hash) => self.inline.remove(hash),
        };
        self.terms -= removed.map_or(0, |removed| removed.context.terms());
    }
}
