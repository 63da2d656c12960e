//! `/derived`: what is derived from readings, by which official numbers, and why an entity has the
//! values it has. No part of NGSI-LD.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::{Value, json};

use super::answer::json as answer;
use super::params::decode_percent;
use super::problem::Problem;
use super::request::Incoming;
use crate::broker::Error;
use crate::derive::{Deriver, Explained, Profile, Rule};
use crate::model::Timestamp;
use crate::store::StoreError;

/// The profiles with their rules, and what came of them since the start.
pub async fn list(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    incoming.params()?.finish()?;
    let told = match incoming.http.app_data::<actix_web::web::Data<Deriver>>() {
        None => json!({ "profiles": [] }),
        Some(deriver) => {
            let profiles = deriver.profiles().iter().map(|one| profile(deriver, one));
            json!({ "profiles": profiles.collect::<Value>(), "standing": deriver.standing() })
        }
    };
    Ok(answer(StatusCode::OK, told.to_string().into_bytes()))
}

/// What each rule makes of an entity.
pub async fn explain(incoming: Incoming<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let mut params = incoming.params()?;
    let at = params.take("at").map(|text| text.into_owned());
    params.finish()?;
    let at: Option<Timestamp> = at
        .map(|text| text.parse())
        .transpose()
        .map_err(|why| Problem::bad_request(format!("at: {why}")))?;
    let deriver = incoming.http.app_data::<actix_web::web::Data<Deriver>>();
    let deriver = deriver.ok_or_else(|| {
        Problem::not_found("nothing is derived here: see derive.profiles in the configuration")
    })?;
    let (id, tenant) = (incoming.entity_id(id)?, incoming.tenant()?);
    let explained = match deriver.explain(&tenant, &id, at, Timestamp::now()).await {
        Ok(explained) => explained,
        Err(StoreError::UnknownTenant(_)) => None,
        Err(error) => return Err(Error::from(error).into()),
    };
    let explained = explained.ok_or_else(|| Problem::not_found("there is no such entity"))?;
    let rules: Value = explained.iter().map(one).collect();
    let told = json!({ "id": id.as_str(), "rules": rules });
    Ok(answer(StatusCode::OK, told.to_string().into_bytes()))
}

/// The id of an entity in a path.
pub fn id(path: &str) -> Result<Cow<'_, str>, Error> {
    decode_percent(path.split('/').nth(2).unwrap_or_default())
}

fn profile(deriver: &Deriver, profile: &Profile) -> Value {
    let mut rules: Vec<Value> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for one in &profile.rules {
        // A rule stands there once for each way to name the type.
        if !names.contains(&&*one.name) {
            names.push(&one.name);
            rules.push(rule(deriver, one));
        }
    }
    json!({ "name": profile.name, "title": profile.title, "rules": rules })
}

fn rule(deriver: &Deriver, rule: &Rule) -> Value {
    let inputs = rule.inputs.iter().map(|input| {
        let mut told = json!({ "attribute": input.term });
        if let Some((_, period)) = &input.period {
            told["averagedOver"] = (**period).into();
        }
        if let Some(unit) = input.unit {
            told["unitCode"] = unit.as_str().into();
        }
        told
    });
    let schemes = rule.schemes().into_iter().map(|scheme| {
        json!({
            "name": scheme.name,
            "source": scheme.source,
            "from": scheme.from.map(|at| at.to_string()),
            "until": scheme.until.map(|at| at.to_string()),
        })
    });
    json!({
        "name": rule.name,
        "title": rule.title,
        "kind": rule.kind(),
        "type": rule.type_name.as_str(),
        "inputs": inputs.collect::<Value>(),
        "outputs": rule.outputs.iter().map(|name| name.as_str()).collect::<Value>(),
        "schemes": schemes.collect::<Value>(),
        "counts": deriver.counts(&rule.name),
    })
}

fn one(explained: &Explained) -> Value {
    json!({
        "rule": explained.rule,
        "state": explained.state,
        "at": explained.at.map(|at| at.to_string()),
        "scheme": explained.scheme,
        "value": explained.value,
        "why": explained.why,
        "inputs": explained.inputs,
        "history": explained.history,
    })
}
