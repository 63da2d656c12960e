//! `lanna models`: what the entities of a city look like, for people, and whether a file holds such.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use lanna::broker::{FolderError, ModelRef, Models as Known};
use lanna::config::Config;
use lanna::import::normalize;
use lanna::jsonld::{Context, Document, shipped_context};
use lanna::model::{Kind, TenantId, Violation};
use lanna::represent::{Reader, Reading};
use lanna::schema::{ModelError, unit};
use serde_json::Value;

/// What is asked about models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Models {
    List,
    Show(String),
    /// A file with entities; standard input when absent.
    Check(Option<PathBuf>),
}

/// Why there is no answer, or not a good one.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{} cannot be read: {why}", .file.display())]
    File { file: PathBuf, why: io::Error },
    #[error("there is no model {0}; `lanna models list` names them")]
    NoSuchModel(String),
    #[error("this is no JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("{bad} of {all} entities are not as their models say")]
    Unfit { bad: usize, all: usize },
}

/// Answers on standard output, of the models that are shipped and those of the configured folder.
pub fn run(config: &Config, asked: Models) -> Result<(), Failure> {
    let known = Known::new(&config.models)?;
    let mut out = io::stdout().lock();
    match asked {
        Models::List => list(&mut out, &known),
        Models::Show(name) => show(&mut out, &known, &name),
        Models::Check(file) => check(&mut out, &known, &entities(file.as_deref())?),
    }
}

fn list(out: &mut impl Write, known: &Known) -> Result<(), Failure> {
    for model in known.list(&TenantId::DEFAULT).into_iter().map(|entry| entry.model) {
        let label = |language| model.labels.get(language).map_or("", String::as_str);
        let domain = model.domain.as_deref().unwrap_or("");
        writeln!(out, "{:<28} {domain:<12} {} · {}", model.name, label("en"), label("th"))?;
    }
    Ok(())
}

fn show(out: &mut impl Write, known: &Known, name: &str) -> Result<(), Failure> {
    let mut all = known.list(&TenantId::DEFAULT).into_iter();
    let found = all.find(|entry| *entry.model.name == *name);
    let entry = found.ok_or_else(|| Failure::NoSuchModel(name.to_owned()))?;
    let model = &entry.model;
    writeln!(out, "{}\n{}", model.name, model.type_name.as_str())?;
    for property in model.properties() {
        let must = if model.required.contains(&property.term) { "*" } else { " " };
        let label = |language| property.labels.get(language).map_or("", String::as_str);
        let units: Vec<String> = property.units.iter().map(|code| unit_in_words(code)).collect();
        writeln!(out, "{must} {:<30} {}", property.term, property.expected)?;
        write!(out, "  {:<30} {} · {}", "", label("en"), label("th"))?;
        match units.is_empty() {
            true => writeln!(out)?,
            false => writeln!(out, " · {}", units.join(" or "))?,
        }
    }
    writeln!(out, "* has to be there")?;
    if let Some(example) = entry.example() {
        writeln!(out, "\n{}", serde_json::to_string_pretty(&example)?)?;
    }
    Ok(())
}

fn unit_in_words(code: &str) -> String {
    unit(code).map_or_else(|| code.to_owned(), |unit| format!("{} ({code})", unit.symbol))
}

fn check(out: &mut impl Write, known: &Known, entities: &[Value]) -> Result<(), Failure> {
    let context = shipped_context("mae-moh").unwrap_or_else(Context::core);
    let mut bad = 0;
    for entity in entities {
        let id = entity["id"].as_str().unwrap_or("(no id)");
        let told = match violations(known, entity, &context) {
            Err(why) => vec![why],
            Ok(None) => {
                writeln!(out, "{id}: no model of its type is known")?;
                continue;
            }
            Ok(Some(violations)) => violations.iter().map(ToString::to_string).collect(),
        };
        match told.is_empty() {
            true => writeln!(out, "{id}: good")?,
            false => bad += 1,
        }
        for what in told {
            writeln!(out, "{id}: {what}")?;
        }
    }
    match bad {
        0 => Ok(()),
        bad => Err(Failure::Unfit { bad, all: entities.len() }),
    }
}

/// What the models of an entity's types find; nothing if there are none.
fn violations(
    known: &Known,
    entity: &Value,
    context: &Context,
) -> Result<Option<Vec<Violation>>, String> {
    let mut members = entity.as_object().cloned().ok_or("an entity is a JSON object")?;
    members.remove("@context");
    let written_out = match members.values().any(is_written_out) {
        true => members,
        false => normalize(members),
    };
    let written_out = Value::Object(written_out);
    let document = Document::from_json(&written_out);
    let entity = Reader::new(context, Reading::Whole).entity(&document);
    let entity = entity.map_err(|why| why.to_string())?;
    let names = entity.types.as_slice().iter();
    let models: Vec<ModelRef> =
        names.filter_map(|name| known.of_type(&TenantId::DEFAULT, *name)).collect();
    if models.is_empty() {
        return Ok(None);
    }
    Ok(Some(models.iter().flat_map(|model| model.check(&entity)).collect()))
}

/// Whether a member is an attribute as the normalized representation has it.
fn is_written_out(member: &Value) -> bool {
    let first = member.get(0).unwrap_or(member);
    first["type"].as_str().is_some_and(|word| Kind::from_term(word).is_some())
}

/// The entities of a file: one, an array, or one to a line.
fn entities(file: Option<&Path>) -> Result<Vec<Value>, Failure> {
    let text = match file {
        None => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            text
        }
        Some(file) => std::fs::read_to_string(file)
            .map_err(|why| Failure::File { file: file.to_owned(), why })?,
    };
    let mut entities = Vec::new();
    for value in serde_json::Deserializer::from_str(&text).into_iter() {
        match value? {
            Value::Array(items) => entities.extend(items),
            other => entities.push(other),
        }
    }
    Ok(entities)
}
