//! `lanna store explain`: how the store finds what a query selects.

use std::path::PathBuf;
use std::{fmt::Write as _, io};

use lanna::broker::{Broker, Call, Error, OpenError};
use lanna::config::Config;
use lanna::http::read_query;
use lanna::jsonld::{Context, ContextError, ContextSource, Document};
use lanna::model::{TenantId, Timestamp};
use lanna::store::{Explanation, StoreError};

/// What to explain.
#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    /// The part of a URL after the question mark.
    pub query: String,
    pub tenant: TenantId,
    /// The address or the file of the context that the names are of.
    pub context: Option<String>,
}

/// Why nothing was explained.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{} cannot be read: {why}", .file.display())]
    File { file: PathBuf, why: io::Error },
    #[error("the context cannot be used: {0}")]
    Context(#[from] ContextError),
    #[error("{0}")]
    Query(#[from] Error),
    #[error("the store was not closed in order: {0}")]
    Close(#[from] StoreError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Explains a query to standard output.
pub fn run(config: &Config, explain: &Explain) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let broker = Broker::open(config).await?;
        let explained = asked(&broker, explain).await;
        broker.store().close().await?;
        super::print(&shown(&explained?)).map_err(Failure::Io)
    })
}

async fn asked(broker: &Broker, explain: &Explain) -> Result<Explanation, Failure> {
    let texts = read_query(&explain.query)?;
    let now = Timestamp::now();
    let context = context(broker, explain, now).await?;
    let call = Call { tenant: explain.tenant.clone(), now, context, origin: None };
    Ok(broker.explain_query(&call, &texts).await?)
}

async fn context(
    broker: &Broker,
    explain: &Explain,
    now: Timestamp,
) -> Result<std::sync::Arc<Context>, Failure> {
    let contexts = broker.contexts();
    let Some(named) = explain.context.as_deref() else {
        return Ok(contexts.resolve(&explain.tenant, ContextSource::Default, now).await?);
    };
    if named.starts_with("http://") || named.starts_with("https://") {
        return Ok(contexts.resolve(&explain.tenant, ContextSource::Url(named), now).await?);
    }
    let unreadable = |why| Failure::File { file: named.into(), why };
    let text = std::fs::read_to_string(named).map_err(unreadable)?;
    let mut document = Document::parse(text.as_bytes(), &broker.parse_limits())
        .map_err(|why| unreadable(io::Error::other(why.to_string())))?;
    let inner = document.remove("@context").unwrap_or(document);
    Ok(contexts.resolve(&explain.tenant, ContextSource::Inline(&inner), now).await?)
}

/// An explanation for people.
fn shown(explanation: &Explanation) -> String {
    let Explanation { filter, exact, ordered, lead, steps, keys, candidates } = explanation;
    let mut text = format!("filter:     {filter:#}\n");
    let exact = match exact {
        true => "yes: what passes the filter matches",
        false => "no: what passes the filter is evaluated again",
    };
    let ordered = match (ordered, lead) {
        (true, _) => "by the store",
        (false, Some(_)) => "by the broker, to whom the store brings first what may come first",
        (false, None) => "by the broker, after everything that matches was read",
    };
    // Writing to a text never fails.
    let _ = writeln!(text, "exact:      {exact}\nordered:    {ordered}");
    if let Some(lead) = lead {
        let _ = writeln!(text, "lead:       {lead:#}");
    }
    for (place, step) in steps.iter().enumerate() {
        let _ = writeln!(text, "{} {step}", if place == 0 { "steps:     " } else { "           " });
    }
    if let Some(keys) = keys {
        let _ = writeln!(text, "keys:       {keys} looked at");
    }
    let _ = writeln!(text, "candidates: {candidates} looked at");
    if steps.iter().any(|step| step.starts_with("COLLSCAN")) {
        text.push_str("No index helps: everything in the database is looked at.\n");
    }
    text
}
