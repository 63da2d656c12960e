//! A context in use: its table, and how to name it in an answer.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use super::{CORE_CONTEXT, Document, compile, table::Table};
use crate::model::{Name, TooManyNames};

/// Why a context, or a name under it, cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// LdContextNotAvailable (504).
    #[error("the @context {0} is not available: {1}")]
    NotAvailable(Box<str>, Box<str>),
    /// BadRequestData (400).
    #[error("the @context is invalid: {0}")]
    Invalid(Box<str>),
    /// BadRequestData (400): the context gives this term no meaning that a name can have.
    #[error("{0:?} cannot be used as a name: {1}")]
    NotAName(Box<str>, &'static str),
    #[error(transparent)]
    TooManyNames(#[from] TooManyNames),
}

/// How an answer names the context it was written with: only what the user gave, never the core
/// context that comes with every other; the core context if none was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextLink {
    /// For the `Link` header; none if the context was given inside a body.
    pub url: Option<Arc<str>>,
    /// The value of `@context` in a body, as JSON text.
    pub body: Arc<str>,
}

impl ContextLink {
    /// The link to a context that has an address.
    pub fn to_url(url: &str) -> Self {
        let body = serde_json::Value::from(url).to_string();
        Self { url: Some(url.into()), body: body.into() }
    }
}

/// A compiled `@context`: the user's terms, then the core's, which win (5.5.7).
pub struct Context {
    table: Arc<Table>,
    link: ContextLink,
}

static CORE: LazyLock<Arc<Context>> = LazyLock::new(|| {
    let table = compile::core().expect("a test compiles the core context");
    Arc::new(Context { table: Arc::new(table), link: ContextLink::to_url(CORE_CONTEXT) })
});

impl Context {
    /// The core context alone, in the version this broker speaks.
    pub fn core() -> Arc<Context> {
        CORE.clone()
    }

    /// Compiles the value of an `@context` that refers to no documents.
    pub fn local(context: &Document<'_>) -> Result<Arc<Context>, ContextError> {
        let link = ContextLink { url: None, body: context.to_string().into() };
        compile::context(context, &compile::Gathered::default(), link, None).map(Arc::new)
    }

    /// A table that says what the core's or an earlier one says is not kept.
    pub(super) fn of(table: Table, link: ContextLink, earlier: Option<&Context>) -> Self {
        let known = [Some(&**CORE), earlier];
        let known = known.into_iter().flatten().map(|known| &known.table);
        let same = known.into_iter().find(|known| known.means_the_same(&table)).cloned();
        Self { table: same.unwrap_or_else(|| Arc::new(table)), link }
    }

    /// The table of the core context.
    pub(super) fn core_table() -> &'static Table {
        &CORE.table
    }

    /// The same terms under another link.
    pub(super) fn linked(&self, link: ContextLink) -> Self {
        Self { table: self.table.clone(), link }
    }

    /// How many terms it adds to the core's.
    pub(super) fn terms(&self) -> usize {
        match Arc::ptr_eq(&self.table, &CORE.table) {
            true => 0,
            false => self.table.terms(),
        }
    }

    /// Equal for contexts that write every name alike, so that what was rendered for one serves
    /// the other; never reused while the process runs.
    pub fn id(&self) -> u64 {
        self.table.id()
    }

    /// The name that a term, compact IRI or IRI stands for where JSON-LD expands relative to the
    /// vocabulary: attributes, types, members of values (5.5.7). Unmapped terms stand in the
    /// default vocabulary.
    pub fn expand(&self, term: &str) -> Result<Name, ContextError> {
        self.table.expand(term)
    }

    /// Like [`Context::expand`], but learns no new name: for queries, where a name that nobody
    /// used matches nothing.
    pub fn lookup(&self, term: &str) -> Option<Name> {
        self.table.lookup(term)
    }

    /// The IRI that [`Context::expand`] would name; a term that no name can have stays as it is.
    pub fn expand_text<'t>(&'t self, term: &'t str) -> Cow<'t, str> {
        self.table.expand_text(term).unwrap_or(Cow::Borrowed(term))
    }

    /// The shortest way to write a name: a term (the core's first), the bare end of an IRI in the
    /// default vocabulary unless the context means something else by it, a compact IRI, or the
    /// IRI itself. [`Name::AT_TYPE`] and [`Name::AT_ID`] become `type` and `id`.
    pub fn compact(&self, name: Name) -> Cow<'_, str> {
        self.table.compact(name)
    }

    /// How an answer names this context.
    pub fn link(&self) -> &ContextLink {
        &self.link
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Context").field(&self.id()).field(&self.link.body).finish()
    }
}

#[cfg(test)]
mod tests;
