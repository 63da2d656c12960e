//! Runs the JSON-LD processor over a context and keeps what names need (JSON-LD 1.1 API, 4.1).
//!
//! The processor sees only documents that were gathered before, so it never waits, and only
//! contexts that were checked before, so its recursion is bounded.

use std::sync::LazyLock;

use futures_util::FutureExt;
use json_ld::{
    Container, Context as Processed, Iri, IriBuf, LoadError, Process, RemoteDocument, Term,
    context::NormalTermDefinition,
    context_processing::{Error as ProcessError, Options},
    rdf_types::{BlankIdBuf, vocabulary::no_vocabulary_mut},
    syntax::{Context as Syntax, Keyword, TryFromJson},
};
use json_syntax::Parse;
use rustc_hash::FxHashMap;

use super::{
    Context, ContextError, ContextLink, DEFAULT_VOCABULARY, Document, check, shipped,
    table::{Definition, Meaning, Table},
};

type Active = Processed<IriBuf, BlankIdBuf>;

/// The documents a context refers to, by address: each the value of its `@context`, as JSON text.
pub(super) type Gathered = FxHashMap<String, std::sync::Arc<str>>;

static CORE_SYNTAX: LazyLock<Syntax> =
    LazyLock::new(|| syntax(&shipped::CORE).expect("a test compiles the core context"));

/// The core context's own table.
pub(super) fn core() -> Result<Table, ContextError> {
    let active = with_core(&Active::default())?;
    Ok(Table::new(definitions(&active), None))
}

/// A user's context followed by the core context. An earlier context of the same meaning lends its
/// table.
pub(super) fn context(
    context: &Document<'_>,
    gathered: &Gathered,
    link: ContextLink,
    earlier: Option<&Context>,
) -> Result<Context, ContextError> {
    check::check(context)?;
    let user = process(&syntax(context)?, &Active::default(), gathered, false)?;
    let active = with_core(&user)?;
    let table = Table::new(definitions(&active), Some(Context::core_table()));
    Ok(Context::of(table, link, earlier))
}

/// Whether this can be a context: processed if it is complete in itself, else only read.
pub(super) fn validate(context: &Document<'_>, complete: bool) -> Result<(), ContextError> {
    check::check(context)?;
    let syntax = syntax(context)?;
    if complete {
        process(&syntax, &Active::default(), &Gathered::default(), false)?;
    }
    Ok(())
}

/// The core context comes last and redefines whatever was said of its terms, protected or not.
fn with_core(active: &Active) -> Result<Active, ContextError> {
    process(&CORE_SYNTAX, active, &Gathered::default(), true)
}

fn syntax(context: &Document<'_>) -> Result<Syntax, ContextError> {
    let text = context.to_string();
    let (value, _) = json_syntax::Value::parse_str(&text).map_err(invalid)?;
    Syntax::try_from_json(value).map_err(invalid)
}

fn process(
    context: &Syntax,
    active: &Active,
    gathered: &Gathered,
    override_protected: bool,
) -> Result<Active, ContextError> {
    let options = Options { override_protected, ..Options::default() };
    context
        .process_full(no_vocabulary_mut(), active, &Shelf(gathered), None, options, ())
        .now_or_never()
        .expect("gathered documents are at hand")
        .map(|processed| processed.into_processed())
        .map_err(explain)
}

fn explain(error: ProcessError) -> ContextError {
    match error {
        ProcessError::ContextLoadingFailed(error) => {
            let why = "it was not gathered before processing";
            ContextError::NotAvailable(error.target.as_str().into(), why.into())
        }
        ProcessError::LoadingDocumentFailed => {
            ContextError::Invalid("a relative address has nothing to be relative to".into())
        }
        other => invalid(other),
    }
}

fn invalid(reason: impl std::fmt::Display) -> ContextError {
    ContextError::Invalid(reason.to_string().into())
}

/// Serves the processor what was gathered.
struct Shelf<'g>(&'g Gathered);

impl json_ld::Loader for Shelf<'_> {
    async fn load(&self, url: &Iri) -> Result<RemoteDocument<IriBuf>, LoadError> {
        let text = self
            .0
            .get(url.as_str())
            .map(|text| &**text)
            .ok_or_else(|| LoadError::new(url.to_owned(), Unreadable("not gathered".into())))?;
        let wrapped = ["{\"@context\":", text, "}"].concat();
        let (document, _) = json_syntax::Value::parse_str(&wrapped)
            .map_err(|error| LoadError::new(url.to_owned(), Unreadable(error.to_string())))?;
        Ok(RemoteDocument::new(Some(url.to_owned()), None, document))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unreadable(String);

fn definitions(active: &Active) -> Vec<Definition> {
    debug_assert_eq!(
        active.vocabulary().and_then(Term::as_iri).map(|iri| iri.as_str()),
        Some(DEFAULT_VOCABULARY)
    );
    let (terms, _) = active.definitions().clone().into_parts();
    terms
        .into_iter()
        .map(|(term, definition)| Definition {
            term: term.as_str().into(),
            prefix: definition.prefix,
            coerced: is_coerced(&definition),
            meaning: meaning(&definition),
        })
        .collect()
}

fn is_coerced(definition: &NormalTermDefinition<IriBuf, BlankIdBuf>) -> bool {
    definition.typ.is_some()
        || definition.language.is_some()
        || definition.direction.is_some()
        || definition.container != Container::None
}

fn meaning(definition: &NormalTermDefinition<IriBuf, BlankIdBuf>) -> Meaning {
    if definition.reverse_property {
        return Meaning::Nothing("its @context makes it a reverse property");
    }
    match &definition.value {
        Some(Term::Id(id)) => Meaning::Iri(id.as_str().into()),
        Some(Term::Keyword(Keyword::Type)) => Meaning::Keyword("@type"),
        Some(Term::Keyword(Keyword::Id)) => Meaning::Keyword("@id"),
        Some(Term::Keyword(Keyword::Value)) => Meaning::Keyword("@value"),
        Some(Term::Keyword(Keyword::Language)) => Meaning::Keyword("@language"),
        Some(Term::Keyword(_)) => Meaning::Nothing("its @context makes it an alias of a keyword"),
        Some(Term::Null) | None => Meaning::Nothing("its @context maps it to null"),
    }
}
