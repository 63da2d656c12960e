//! `/models`: what the entities of a city look like, what follows when one does not, and which
//! did not. No part of NGSI-LD.

mod page;

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::{Value, json};

use super::answer::{json as answer, no_content};
use super::params::decode_percent;
use super::problem::Problem;
use super::request::Incoming;
use super::root;
use crate::broker::{Checked, Error, Finding, ModelEntry, ModelRef};
use crate::config::Validation;
use crate::import::normalize;
use crate::jsonld::Document;
use crate::schema::{Property, unit};

/// How many findings are listed when the request does not say, and at most.
const FINDINGS: (u64, u64) = (20, 1_000);

/// The models that the tenant sees.
pub async fn list(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let entries = incoming.broker.list_models(&incoming.tenant()?);
    if wants_page(&incoming) {
        return Ok(root::page(page::list(&entries).into()));
    }
    let list: Value = entries.iter().map(summary).collect();
    Ok(answer(StatusCode::OK, list.to_string().into_bytes()))
}

/// Decides what follows from models of which nothing else was decided.
pub async fn decide_all(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let validation = decision(&mut incoming).await?;
    let tenant = incoming.tenant()?;
    incoming.broker.decide_validation(&tenant, None, validation).await?;
    Ok(no_content())
}

/// One model.
pub async fn show(incoming: Incoming<'_>, name: &str) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let entry = incoming.broker.show_model(&incoming.tenant()?, name)?;
    if wants_page(&incoming) {
        return Ok(root::page(page::show(&entry).into()));
    }
    Ok(answer(StatusCode::OK, description(&entry).to_string().into_bytes()))
}

/// The JSON Schema of a model.
pub async fn schema(incoming: Incoming<'_>, name: &str) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let entry = incoming.broker.show_model(&incoming.tenant()?, name)?;
    let body = serde_json::to_vec_pretty(entry.model.schema()).map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().content_type("application/schema+json").body(body))
}

/// An entity that is as a model says, in the simplified form.
pub async fn example(incoming: Incoming<'_>, name: &str) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let entry = incoming.broker.show_model(&incoming.tenant()?, name)?;
    let example = entry.example();
    let example = example.ok_or_else(|| Problem::not_found("the model came without an example"))?;
    Ok(answer(StatusCode::OK, example.to_string().into_bytes()))
}

/// Takes a model of the tenant's own.
pub async fn put(mut incoming: Incoming<'_>, name: &str) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let body = incoming.body().await?;
    let (call, document) = incoming.read(&body).await?;
    let is_new = incoming.broker.put_model(&call, name, document.into_json()).await?;
    Ok(match is_new {
        false => no_content(),
        true => {
            let location = format!("/models/{name}");
            HttpResponse::Created().insert_header(("Location", location)).finish()
        }
    })
}

/// Decides what follows from a model.
pub async fn decide(mut incoming: Incoming<'_>, name: &str) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let validation = decision(&mut incoming).await?;
    let tenant = incoming.tenant()?;
    incoming.broker.decide_validation(&tenant, Some(name), validation).await?;
    Ok(no_content())
}

/// Removes a model of the tenant's own.
pub async fn delete(incoming: Incoming<'_>, name: &str) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    incoming.broker.delete_model(&incoming.tenant()?, name).await?;
    Ok(no_content())
}

/// Says what models find in entities, which are not kept.
pub async fn check(mut incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let simplified = params.take_simplified()?;
    params.finish()?;
    let body = incoming.batch_body().await?;
    let (call, elements) = incoming.read_elements(&body).await?;
    let mut told = Vec::with_capacity(elements.len());
    for element in elements {
        let read = match element.context {
            Err(error) => Err(error),
            Ok(context) if simplified => {
                let written_out = written_out(element.document);
                let document = Document::from_json(&written_out);
                incoming.broker.check_document(&call.tenant, &document, &context)
            }
            Ok(context) => {
                incoming.broker.check_document(&call.tenant, &element.document, &context)
            }
        };
        told.push(match read {
            Ok(checked) => verdict(&checked),
            Err(error) => json!({ "error": Problem::from(error).body() }),
        });
    }
    Ok(answer(StatusCode::OK, Value::from(told).to_string().into_bytes()))
}

/// The last entities that were not as their models say.
pub async fn findings(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let mut text = |name: &str| params.take(name).map(Cow::into_owned);
    let (model, entity) = (text("model"), text("entity"));
    let limit = params.take_number("limit")?.unwrap_or(FINDINGS.0).min(FINDINGS.1);
    params.finish()?;
    let tenant = incoming.tenant()?;
    let (model, entity) = (model.as_deref(), entity.as_deref());
    let found = incoming.broker.findings(&tenant, model, entity, limit as usize);
    let list: Value = found.iter().map(finding).collect();
    Ok(answer(StatusCode::OK, list.to_string().into_bytes()))
}

/// The name of a model in a path.
pub fn name(path: &str) -> Result<Cow<'_, str>, Error> {
    decode_percent(path.split('/').nth(2).unwrap_or_default())
}

/// A browser asks for a page before all else.
fn wants_page(incoming: &Incoming<'_>) -> bool {
    let accept = incoming.headers().get("accept").and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.trim_start().starts_with("text/html"))
}

async fn decision(incoming: &mut Incoming<'_>) -> Result<Option<Validation>, Problem> {
    let body = incoming.body().await?;
    let document = incoming.parse_object(&body)?;
    let wrong = || Problem::bad_request("validation has to be off, warn, enforce or null");
    match document.get("validation") {
        Some(Document::Null) => Ok(None),
        Some(word) => {
            let word = word.as_str().and_then(Validation::from_word);
            Ok(Some(word.ok_or_else(wrong)?))
        }
        None => Err(wrong()),
    }
}

fn summary(entry: &ModelEntry) -> Value {
    let model = &entry.model;
    json!({
        "name": model.name,
        "type": model.type_name.as_str(),
        "domain": model.domain,
        "labels": model.labels,
        "origin": origin(entry),
        "validation": entry.validation.word(),
    })
}

fn origin(entry: &ModelEntry) -> &'static str {
    match &entry.model {
        ModelRef::Shipped(shipped) if shipped.is_local() => "local",
        ModelRef::Shipped(_) => "smart-data-models",
        ModelRef::Added(_) if entry.own => "tenant",
        ModelRef::Added(_) => "folder",
    }
}

fn description(entry: &ModelEntry) -> Value {
    let mut described = summary(entry);
    let model = &entry.model;
    described["required"] = json!(model.required);
    let attributes = model.properties().iter().map(|property| attribute(entry, property));
    described["attributes"] = attributes.collect();
    described["schema"] = format!("/models/{}/schema", model.name).into();
    if entry.example().is_some() {
        described["example"] = format!("/models/{}/example", model.name).into();
    }
    described
}

fn attribute(entry: &ModelEntry, property: &Property) -> Value {
    let units: Value = property
        .units
        .iter()
        .map(|code| match unit(code) {
            Some(unit) => json!({
                "code": code, "symbol": unit.symbol, "labels": { "en": unit.en, "th": unit.th },
            }),
            None => json!({ "code": code }),
        })
        .collect();
    json!({
        "name": property.term,
        "iri": property.name.as_str(),
        "kind": property.kind.map(|kind| kind.term()),
        "labels": property.labels,
        "expected": property.expected,
        "required": entry.model.required.contains(&property.term),
        "units": units,
    })
}

fn verdict(checked: &Checked) -> Value {
    let models = checked.models.iter().map(|(model, violations)| {
        json!({ "model": model, "valid": violations.is_empty(), "violations": violations })
    });
    json!({ "id": checked.id.as_str(), "models": models.collect::<Value>() })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "at": finding.at.to_string(),
        "id": finding.id.as_str(),
        "model": finding.model,
        "outcome": if finding.refused { "refused" } else { "warned" },
        "violations": finding.violations,
    })
}

/// A simplified entity with its attributes written out.
fn written_out(document: Document<'_>) -> Value {
    match document.into_json() {
        Value::Object(members) => Value::Object(normalize(members)),
        other => other,
    }
}
