//! One `@context` that the broker holds, and what it tells about it (5.13.3.5).

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use json_ld::iref::{Iri, IriRef};

use super::super::{ContextError, Document, ParseLimits, check};
use crate::model::{TenantId, Timestamp};

/// How a context came to be here (5.13.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ContextKind {
    /// Added by a client, for the broker to serve.
    Hosted,
    /// A copy of a document of another host.
    Cached,
    /// Made by the broker, where it has to name a context that came without an address.
    ImplicitlyCreated,
}

impl ContextKind {
    /// As the parameter `kind` and the member `kind` write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hosted => "Hosted",
            Self::Cached => "Cached",
            Self::ImplicitlyCreated => "ImplicitlyCreated",
        }
    }

    /// The kind that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Hosted, Self::Cached, Self::ImplicitlyCreated]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// What is known of a context besides its content (5.13.3.5).
#[derive(Debug, Clone, PartialEq)]
pub struct ContextDetails {
    pub url: Arc<str>,
    pub local_id: Box<str>,
    pub kind: ContextKind,
    pub created_at: Timestamp,
    /// When a cached one has to be fetched anew.
    pub expires_at: Option<Timestamp>,
    pub last_usage: Option<Timestamp>,
    pub hits: u64,
}

impl ContextDetails {
    /// As the API shows it.
    pub fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::json!({
            "URL": &*self.url,
            "localId": &*self.local_id,
            "kind": self.kind.as_str(),
            "createdAt": self.created_at.to_string(),
        });
        if let Some(expires_at) = self.expires_at {
            json["expiresAt"] = expires_at.to_string().into();
        }
        if let Some(last_usage) = self.last_usage {
            json["lastUsage"] = last_usage.to_string().into();
        }
        json["numberOfHits"] = self.hits.into();
        json
    }
}

/// The content of a context at one time.
#[derive(Debug)]
pub(super) struct Content {
    /// The value of `@context`, as JSON text.
    pub text: Arc<str>,
    /// The addresses it refers to, absolute.
    pub references: Box<[Box<str>]>,
}

/// Contexts of large vocabularies have thousands of terms.
const LIMITS: ParseLimits = ParseLimits { max_depth: 16, max_members: 20_000, max_items: 200_000 };

impl Content {
    /// Reads a whole document of another host, which wraps its context in an object.
    pub(super) fn read(bytes: &[u8], url: &str) -> Result<Self, ContextError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let invalid = |why: String| ContextError::Invalid(format!("{url}: {why}").into());
        let document =
            Document::parse_tolerant(bytes, &LIMITS).map_err(|error| invalid(error.to_string()))?;
        let context =
            document.get("@context").ok_or_else(|| invalid("it has no member @context".into()))?;
        Self::of(context, Some(url)).map_err(|error| match error {
            ContextError::Invalid(why) => invalid(why.into()),
            other => other,
        })
    }

    /// Takes the value of an `@context` that stands at the address, if it has one.
    pub(super) fn of(context: &Document<'_>, base: Option<&str>) -> Result<Self, ContextError> {
        check::check(context)?;
        let references = references(context)
            .into_iter()
            .map(|reference| absolute(reference, base))
            .collect::<Result<_, _>>()?;
        Ok(Self { text: context.to_string().into(), references })
    }

    /// Takes a text that was read before, when it was stored.
    pub(super) fn restored(text: &str, base: &str) -> Result<Self, ContextError> {
        let context = Document::parse_tolerant(text.as_bytes(), &LIMITS)
            .map_err(|error| ContextError::Invalid(error.to_string().into()))?;
        Self::of(&context, Some(base))
    }
}

/// The addresses that a context refers to, in order of appearance.
fn references<'d>(context: &'d Document<'_>) -> Vec<&'d str> {
    let entries = match context {
        Document::Array(entries) => entries.as_slice(),
        entry => std::slice::from_ref(entry),
    };
    entries
        .iter()
        .filter_map(|entry| match entry {
            Document::String(url) => Some(&**url),
            entry => entry.get("@import")?.as_str(),
        })
        .collect()
}

/// The way the processor resolves addresses.
fn absolute(reference: &str, base: Option<&str>) -> Result<Box<str>, ContextError> {
    let invalid = |why: &str| ContextError::Invalid(format!("{reference:?} {why}").into());
    let parsed = IriRef::new(reference).map_err(|_| invalid("is not an address"))?;
    match base.and_then(|base| Iri::new(base).ok()) {
        Some(base) => Ok(parsed.resolved(base).as_str().into()),
        None => match parsed.as_iri() {
            Some(iri) => Ok(iri.as_str().into()),
            None => Err(invalid("is a relative address, and nothing says to what")),
        },
    }
}

/// A context that the broker holds, with its use counted.
pub(super) struct Entry {
    pub url: Arc<str>,
    pub local_id: Box<str>,
    pub kind: ContextKind,
    /// Whose it is; none for those that everyone may see.
    pub tenant: Option<TenantId>,
    pub created_at: Timestamp,
    content: ArcSwap<Content>,
    /// Microseconds; `i64::MAX` for those that never expire.
    expires_at: AtomicI64,
    gone: AtomicBool,
    hits: AtomicU64,
    last_usage: AtomicI64,
}

impl Entry {
    pub(super) fn new(
        url: Arc<str>,
        local_id: Box<str>,
        kind: ContextKind,
        tenant: Option<TenantId>,
        created_at: Timestamp,
        content: Content,
    ) -> Self {
        Self {
            url,
            local_id,
            kind,
            tenant,
            created_at,
            content: ArcSwap::from_pointee(content),
            expires_at: AtomicI64::new(i64::MAX),
            gone: AtomicBool::new(false),
            hits: AtomicU64::new(0),
            last_usage: AtomicI64::new(i64::MIN),
        }
    }

    pub(super) fn content(&self) -> Arc<Content> {
        self.content.load_full()
    }

    /// Whether compiling this content anew would give what it gave before.
    pub(super) fn still_has(&self, content: &Arc<Content>) -> bool {
        !self.gone.load(Ordering::Relaxed) && Arc::ptr_eq(&self.content.load(), content)
    }

    /// Takes a newer copy; an equal one leaves the old one, and all that was made of it, alone.
    pub(super) fn renew(&self, content: Content) {
        if self.content.load().text != content.text {
            self.content.store(Arc::new(content));
        }
    }

    pub(super) fn expire_at(&self, at: Option<Timestamp>) {
        self.expires_at.store(at.map_or(i64::MAX, Timestamp::micros), Ordering::Relaxed);
    }

    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        now.micros() < self.expires_at.load(Ordering::Relaxed)
    }

    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        match self.expires_at.load(Ordering::Relaxed) {
            i64::MAX => None,
            micros => Some(Timestamp::from_micros(micros)),
        }
    }

    /// Marks it as deleted for those who still hold it.
    pub(super) fn leave(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_visible_to(&self, tenant: &TenantId) -> bool {
        self.tenant.as_ref().is_none_or(|owner| owner == tenant)
    }

    pub(super) fn count(&self, now: Timestamp) {
        self.hits.fetch_add(1, Ordering::Relaxed);
        self.last_usage.store(now.micros(), Ordering::Relaxed);
    }

    /// Microseconds, for finding what was not used for long.
    pub(super) fn last_usage(&self) -> i64 {
        self.last_usage.load(Ordering::Relaxed).max(self.created_at.micros())
    }

    pub(super) fn details(&self) -> ContextDetails {
        let hits = self.hits.load(Ordering::Relaxed);
        let last_usage = self.last_usage.load(Ordering::Relaxed);
        ContextDetails {
            url: self.url.clone(),
            local_id: self.local_id.clone(),
            kind: self.kind,
            created_at: self.created_at,
            expires_at: self.expires_at(),
            last_usage: (last_usage != i64::MIN).then(|| Timestamp::from_micros(last_usage)),
            hits,
        }
    }
}
