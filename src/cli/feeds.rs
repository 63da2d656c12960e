//! `lanna feeds`: which feeds there are, whether their mapping files are right, and what they
//! would make of a document.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lanna::broker::{FolderError, Models};
use lanna::config::{Config, Validation};
use lanna::feed::{
    FeedsError, IssueKind, Mapped, Mapping, Refused, ShippedFeed, mapping::Faults, read_mapping,
    read_mappings, shipped_feeds,
};
use lanna::feed::{Input, NotReadable};
use lanna::jsonld::{Context, Document, shipped_context};
use lanna::model::{Timestamp, Violation};
use lanna::represent::{Reader, Reading};
use serde_json::{Map, Value};

/// What is asked about feeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feeds {
    List,
    /// Names or files; all if there are none.
    Check(Vec<String>),
    Try(Sample),
}

/// A document to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// A feed, or a mapping file.
    pub name: String,
    /// The document; the sample of the feed when absent.
    pub file: Option<PathBuf>,
    pub topic: Option<String>,
}

/// Why there is no answer, or not a good one.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{} cannot be read: {why}", .file.display())]
    File { file: PathBuf, why: io::Error },
    #[error("{0}")]
    Faults(#[from] Faults),
    #[error("{0}")]
    Feeds(#[from] FeedsError),
    #[error(transparent)]
    Models(#[from] FolderError),
    #[error("there is no feed {0}, and no file of that name; `lanna feeds list` names them")]
    NoSuchFeed(String),
    #[error("{0} comes with no sample: name one with --sample")]
    NoSample(String),
    #[error("the document cannot be read: {0}")]
    NotReadable(#[from] NotReadable),
    #[error("{0} records would be refused")]
    Refused(usize),
}

/// Answers on standard output.
pub fn run(config: &Config, asked: Feeds) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let told = match asked {
        Feeds::List => list(&mut out, config),
        Feeds::Check(names) => check(&mut out, config, &names),
        Feeds::Try(sample) => attempt(&mut out, config, &sample),
    };
    match told {
        // Whoever reads has read enough.
        Err(Failure::Io(why)) if why.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        told => told,
    }
}

fn list(out: &mut impl Write, config: &Config) -> Result<(), Failure> {
    let mappings = read_mappings(config.feeds.folder.as_deref())?;
    for (name, mapping) in &mappings {
        let runs = if config.feeds.run.contains(name) { "runs" } else { "-" };
        let source = mapping.source.word();
        let types = mapping.types.join(" ");
        let class = mapping.provenance.class;
        writeln!(out, "{name:<20} {runs:<5} {source:<7} {class:<10} {types}")?;
        writeln!(out, "{:<20} {}", "", mapping.about)?;
    }
    writeln!(out, "\nA feed runs when it is named: --feeds air4thai,dustboy")?;
    Ok(())
}

fn check(out: &mut impl Write, config: &Config, names: &[String]) -> Result<(), Failure> {
    let mappings: BTreeMap<String, Mapping> = match names.is_empty() {
        true => read_mappings(config.feeds.folder.as_deref())?,
        false => {
            let named = names.iter().map(|name| Ok((name.clone(), named(config, name)?)));
            named.collect::<Result<_, Failure>>()?
        }
    };
    for (name, mapping) in &mappings {
        let count = mapping.fields.len();
        writeln!(out, "{name}: good ({count} attributes of {})", mapping.types.join(" "))?;
    }
    Ok(())
}

/// A mapping by its name or its file.
pub(super) fn named(config: &Config, name: &str) -> Result<Mapping, Failure> {
    if name.ends_with(".toml") || name.contains('/') {
        return Ok(read_mapping(Path::new(name))?);
    }
    let mut all = read_mappings(config.feeds.folder.as_deref())?;
    all.remove(name).ok_or_else(|| Failure::NoSuchFeed(name.to_owned()))
}

fn attempt(out: &mut impl Write, config: &Config, sample: &Sample) -> Result<(), Failure> {
    let mapping = named(config, &sample.name)?;
    let shipped = shipped_feeds().iter().find(|feed| feed.name == mapping.name);
    let bytes = match (&sample.file, shipped) {
        (Some(file), _) => {
            std::fs::read(file).map_err(|why| Failure::File { file: file.clone(), why })?
        }
        (None, Some(ShippedFeed { sample, .. })) => sample.to_vec(),
        (None, None) => return Err(Failure::NoSample(sample.name.clone())),
    };
    let topic = sample.topic.as_deref().or(shipped.and_then(|feed| feed.topic));
    let file = sample.file.as_deref().and_then(|file| file.file_name()?.to_str());
    let mut records: Vec<Result<Mapped, Refused>> = Vec::new();
    let input = Input { bytes: &bytes, topic, file };
    mapping.map(input, Timestamp::now(), |record| records.push(record))?;
    let context = shipped_context(&mapping.context).unwrap_or_else(Context::core);
    let models = Models::new(&config.models)?;
    let (mut stored, mut refused) = (0, 0);
    for record in records {
        match record {
            Ok(mapped) => {
                let fits = tell(out, &models, &mapping, &mapped, &context)?;
                match fits || config.models.validation != Validation::Enforce {
                    true => stored += 1,
                    false => refused += 1,
                }
            }
            Err(record) => {
                refused += 1;
                let id = record.id.map_or(String::new(), |id| format!(" ({id})"));
                let line = record.line.map_or(String::new(), |line| format!(", line {line}"));
                writeln!(out, "refused: record {}{line}{id}: {}", record.number, record.why)?;
                writeln!(out, "  {}", record.excerpt)?;
            }
        }
    }
    writeln!(out, "{stored} would be stored, {refused} would be refused")?;
    if refused > 0 { Err(Failure::Refused(refused)) } else { Ok(()) }
}

/// Prints an entity, what was left out of it, and what its models say; whether it is as they say.
fn tell(
    out: &mut impl Write,
    models: &Models,
    mapping: &Mapping,
    mapped: &Mapped,
    context: &Context,
) -> Result<bool, Failure> {
    let text = serde_json::to_string_pretty(&mapped.entity).unwrap_or_default();
    writeln!(out, "{text}")?;
    for issue in &mapped.issues {
        let what = match issue.kind {
            IssueKind::LeftOut => "left out",
            IssueKind::Impossible => "flagged",
            IssueKind::Suspect => "marked",
        };
        writeln!(out, "  {what}: {}: {}", issue.attribute, issue.why)?;
    }
    let found = match violations(models, mapping, &mapped.entity, context) {
        Ok(found) => found,
        Err(why) => {
            writeln!(out, "  no entity: {why}")?;
            return Ok(false);
        }
    };
    for violation in &found {
        writeln!(out, "  not as its model says: {violation}")?;
    }
    Ok(found.is_empty())
}

fn violations(
    models: &Models,
    mapping: &Mapping,
    entity: &Map<String, Value>,
    context: &Context,
) -> Result<Vec<Violation>, String> {
    let entity = Value::Object(entity.clone());
    let document = Document::from_json(&entity);
    let read = Reader::new(context, Reading::Whole).entity(&document);
    let read = read.map_err(|why| why.to_string())?;
    let names = read.types.as_slice().iter();
    let models = names.filter_map(|name| models.of_type(&mapping.tenant, *name));
    Ok(models.flat_map(|model| model.check(&read)).collect())
}
