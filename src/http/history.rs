//! `/admin/history`: what is recorded and for how long, and what is held. For those who operate
//! the broker, not of the specification; `docs/history.md` tells more.

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::json;

use super::admin::{Page, admitted};
use super::answer::no_content;
use super::params::Params;
use super::problem::Problem;
use super::request::Incoming;
use crate::broker::{Call, Error, HeldTexts};
use crate::model::TenantId;
use crate::store::{HeldHistory, HistoryRule, Stretch};

/// What is held of the history of entities, a page of them.
pub async fn held(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let (tenant, mut params) = admitted(&incoming)?;
    let page = Page::take(&mut params, incoming.broker)?;
    let texts = HeldTexts {
        id: params.take("id").map(|id| id.into_owned()),
        of_type: params.take("type").map(|name| name.into_owned()),
        after: page.after.clone(),
        limit: page.limit + 1,
    };
    params.finish()?;
    let call = call_of(&incoming, tenant).await?;
    let found = incoming.broker.held_history(&call, &texts).await?;
    let shown = found.iter().map(|one| Held::of(one, &call)).collect();
    Ok(page.answer(&incoming, shown, |held| &held.id))
}

/// The rules of the tenant.
pub async fn rules(incoming: Incoming<'_>) -> Result<HttpResponse, Problem> {
    let (call, params) = called(&incoming).await?;
    params.finish()?;
    let rules = incoming.broker.history_rules(&call).await?;
    let rules: Vec<_> = rules.into_iter().map(|(of, rule)| Rule { of, rule }).collect();
    Ok(HttpResponse::Ok().json(rules))
}

/// The rule of a type.
pub async fn rule(incoming: Incoming<'_>, of: &str) -> Result<HttpResponse, Problem> {
    let (call, params) = called(&incoming).await?;
    params.finish()?;
    let (of, rule) = incoming.broker.history_rule(&call, of).await?;
    Ok(HttpResponse::Ok().json(Rule { of, rule }))
}

/// Lays down the rule of a type.
pub async fn put_rule(mut incoming: Incoming<'_>, of: &str) -> Result<HttpResponse, Problem> {
    let (call, params) = called(&incoming).await?;
    params.finish()?;
    let body = incoming.body().await?;
    let rule: HistoryRule = serde_json::from_slice(&body)
        .map_err(|why| Error::bad(format!("the body is no rule: {why}")))?;
    let created = incoming.broker.put_history_rule(&call, of, rule).await?;
    Ok(if created { HttpResponse::Created().finish() } else { no_content() })
}

/// Takes the rule of a type back.
pub async fn delete_rule(incoming: Incoming<'_>, of: &str) -> Result<HttpResponse, Problem> {
    let (call, params) = called(&incoming).await?;
    params.finish()?;
    incoming.broker.delete_history_rule(&call, of).await?;
    Ok(no_content())
}

/// The call and the parameters of a request that may be here.
async fn called<'r>(incoming: &Incoming<'r>) -> Result<(Call, Params<'r>), Problem> {
    let (tenant, params) = admitted(incoming)?;
    Ok((call_of(incoming, tenant).await?, params))
}

async fn call_of(incoming: &Incoming<'_>, tenant: TenantId) -> Result<Call, Problem> {
    Ok(Call { tenant, ..incoming.call().await? })
}

#[derive(Serialize)]
struct Rule {
    /// The type, or `*`.
    #[serde(rename = "type")]
    of: String,
    #[serde(flatten)]
    rule: HistoryRule,
}

#[derive(Serialize)]
struct Held {
    id: String,
    #[serde(rename = "type")]
    types: Vec<String>,
    attributes: Vec<serde_json::Value>,
}

impl Held {
    fn of(held: &HeldHistory, call: &Call) -> Self {
        let stretch = |stretch: Stretch| {
            let Stretch { from, to, count } = stretch;
            json!({"from": from.to_string(), "to": to.to_string(), "count": count})
        };
        let attributes = held.series.iter().map(|series| {
            let mut shown = json!({"attribute": call.context.compact(series.attribute)});
            if let Some(dataset) = &series.dataset {
                shown["datasetId"] = dataset.as_str().into();
            }
            for (name, part) in
                [("raw", series.raw), ("hourly", series.hourly), ("daily", series.daily)]
            {
                if let Some(part) = part {
                    shown[name] = stretch(part);
                }
            }
            shown
        });
        Self {
            id: held.id.to_string(),
            types: held.types.iter().map(|name| call.context.compact(*name).into_owned()).collect(),
            attributes: attributes.collect(),
        }
    }
}
