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
use serde_json::{Map, Value, json};

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
    let told = match asked {
        Models::List => list(&mut out, &known),
        Models::Show(name) => show(&mut out, &known, &name),
        Models::Check(file) => check(&mut out, &known, &entities(file.as_deref())?),
    };
    match told {
        // Whoever reads has read enough.
        Err(Failure::Io(why)) if why.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        told => told,
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
        false => with_nulls(members),
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

/// A simplified entity with its attributes written out. A null, which an import passes over, is told
/// to be no value.
fn with_nulls(members: Map<String, Value>) -> Map<String, Value> {
    let nulls = members.iter().filter(|(_, value)| value.is_null());
    let nulls: Vec<String> = nulls.map(|(name, _)| name.clone()).collect();
    let mut written_out = normalize(members);
    let null = json!({ "type": "Property", "value": null });
    written_out.extend(nulls.into_iter().map(|name| (name, null.clone())));
    written_out
}

/// Whether a member is an attribute as the normalized or the concise representation has it, and no
/// value of the simplified one: it names its kind, or its value stands in a member of its own. The
/// members that the simplified form has too stand alone there.
fn is_written_out(member: &Value) -> bool {
    let first = member.get(0).unwrap_or(member);
    let Some(members) = first.as_object() else { return false };
    let named = members.get("type").and_then(Value::as_str);
    let of_both = ["languageMap", "vocab", "json", "valueList", "objectList"];
    named.is_some_and(|word| Kind::from_term(word).is_some())
        || members.contains_key("value")
        || members.contains_key("object")
        || (members.len() > 1 && of_both.iter().any(|member| members.contains_key(*member)))
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

#[cfg(test)]
mod tests {
    use lanna::schema::shipped;

    use super::*;

    fn told(entities: &[Value]) -> (String, Option<String>) {
        let known = Known::new(&Config::default().models).expect("the shipped models");
        let mut out = Vec::new();
        let done = check(&mut out, &known, entities);
        (String::from_utf8(out).expect("text"), done.err().map(|why| why.to_string()))
    }

    fn station(more: Value) -> Value {
        let mut station =
            json!({ "id": "urn:ngsi-ld:AirQualityObserved:1", "type": "AirQualityObserved" });
        station.as_object_mut().expect("one").extend(more.as_object().cloned().expect("one"));
        station
    }

    #[test]
    fn every_example_is_good_and_every_counterexample_is_not() {
        for shipped in shipped() {
            let (text, failure) = told(&[shipped.example()]);
            assert_eq!(failure, None, "{text}");
            assert!(text.ends_with(": good\n"), "{text}");
            let refused = shipped.refused();
            let (text, failure) = told(&[refused.entity]);
            assert_eq!(failure.as_deref(), Some("1 of 1 entities are not as their models say"));
            assert!(
                text.contains(&refused.attribute),
                "{text} does not name {}",
                refused.attribute
            );
        }
    }

    #[test]
    fn an_entity_may_be_normalized_concise_or_simplified() {
        let place = json!({ "type": "Point", "coordinates": [99.66, 18.28] });
        let at = "2026-03-12T08:00:00Z";
        for (humidity, good) in [(0.71, true), (71.0, false)] {
            let entities = [
                station(json!({
                    "dateObserved": { "type": "Property", "value": at },
                    "location": { "type": "GeoProperty", "value": place },
                    "relativeHumidity": { "type": "Property", "value": humidity, "unitCode": "C62" },
                    "refDevice": { "type": "Relationship", "object": "urn:ngsi-ld:Device:1" },
                })),
                station(json!({
                    "dateObserved": at,
                    "location": place,
                    "name": { "languageMap": { "en": "Mae Moh" }, "observedAt": at },
                    "relativeHumidity": { "value": humidity, "unitCode": "C62" },
                    "refDevice": { "object": "urn:ngsi-ld:Device:1" },
                })),
                station(json!({
                    "dateObserved": at,
                    "location": place,
                    "name": { "languageMap": { "en": "Mae Moh" } },
                    "relativeHumidity": humidity,
                    "refDevice": "urn:ngsi-ld:Device:1",
                })),
            ];
            for entity in &entities {
                let (text, failure) = told(std::slice::from_ref(entity));
                let expected = match good {
                    true => "urn:ngsi-ld:AirQualityObserved:1: good\n".to_owned(),
                    false => {
                        "urn:ngsi-ld:AirQualityObserved:1: relativeHumidity: expected a number \
                              from 0 to 1, received 71.0\n"
                            .to_owned()
                    }
                };
                assert_eq!((text, failure.is_none()), (expected, good), "{entity}");
            }
        }
    }

    #[test]
    fn a_unit_that_the_model_does_not_know_is_told_in_the_concise_form_too() {
        let (text, _) = told(&[station(json!({
            "dateObserved": "2026-03-12T08:00:00Z",
            "location": { "type": "Point", "coordinates": [99.66, 18.28] },
            "pm25": { "value": 22.4, "unitCode": "CEL" },
        }))]);
        assert!(text.contains("pm25: expected the unit code GQ or GP, received CEL"), "{text}");
    }
}
