//! How MongoDB finds what a plan selects.

use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value as Json, json};

use super::compile::Compiled;
use super::document::tenant_name;
use super::{ENTITIES, Inner};
use crate::model::{TenantId, Timestamp};
use crate::query::EntityPlan;
use crate::store::{Explanation, StoreError};

/// Lets the database try the first page of a plan, and say what it did.
pub(super) async fn explain(
    inner: &Inner,
    tenant: &TenantId,
    plan: &EntityPlan,
    now: Timestamp,
) -> Result<Explanation, StoreError> {
    let compiled = Compiled::new(tenant, plan, now);
    let filter = compiled.candidates();
    let wanted = plan.page.offset.saturating_add(plan.page.limit).saturating_add(1);
    let wanted = i64::try_from(wanted).unwrap_or(0);
    let lead = compiled.lead_of(plan);
    let lead = lead.map(|lead| lead.pipeline(tenant_name(tenant), filter.clone(), wanted));
    let mut tried = match &lead {
        Some(pipeline) => doc! {
            "aggregate": ENTITIES,
            "pipeline": pipeline.clone(),
            "cursor": {},
        },
        None => doc! { "find": ENTITIES, "filter": filter.clone() },
    };
    if let Some(sort) = &compiled.sort {
        tried.insert("sort", sort.clone());
        tried.insert("limit", wanted);
    }
    let limit = inner.settings.time_limit.as_millis();
    tried.insert("maxTimeMS", i64::try_from(limit).unwrap_or(i64::MAX));
    let command = doc! { "explain": tried, "verbosity": "executionStats" };
    let answer = inner.reading(async { inner.database.run_command(command).await }).await?;
    let mut steps = Vec::new();
    let (told, after) = of_stages(&answer);
    steps.extend(after);
    let planner = told.get_document("queryPlanner").ok();
    if let Some(plan) = planner.and_then(|planner| planner.get_document("winningPlan").ok()) {
        gather(plan, &mut steps);
    }
    let stats = told.get_document("executionStats").ok();
    let number = |name: &str| -> Option<u64> {
        match stats?.get(name)? {
            Bson::Int32(number) => u64::try_from(*number).ok(),
            Bson::Int64(number) => u64::try_from(*number).ok(),
            Bson::Double(number) => Some(*number as u64),
            _ => None,
        }
    };
    Ok(Explanation {
        filter: json(&filter.into()),
        exact: compiled.is_exact,
        ordered: compiled.sort.is_some(),
        lead: lead.map(|pipeline| pipeline.into_iter().map(|stage| json(&stage.into())).collect()),
        steps,
        keys: number("totalKeysExamined"),
        candidates: number("totalDocsExamined").unwrap_or(0),
    })
}

/// What is told of a plan: of a pipeline that was not planned as a whole, of its first stage. And
/// the names of the stages that follow it, the last first.
fn of_stages(answer: &Document) -> (&Document, Vec<String>) {
    let Ok(stages) = answer.get_array("stages") else { return (answer, Vec::new()) };
    let mut stages = stages.iter().filter_map(Bson::as_document);
    let first = stages.next().and_then(|first| first.values().next()?.as_document());
    let name = |stage: &Document| stage.keys().next().cloned();
    let mut after: Vec<String> = stages.filter_map(name).collect();
    after.reverse();
    (first.unwrap_or(answer), after)
}

/// A filter as people write it, and as they can give it to the shell of the database.
fn json(bson: &Bson) -> Json {
    match bson {
        Bson::Document(members) => {
            members.iter().map(|(name, member)| (name.clone(), json(member))).collect()
        }
        Bson::Array(items) => items.iter().map(json).collect(),
        Bson::String(text) => text.as_str().into(),
        Bson::Boolean(truth) => (*truth).into(),
        Bson::Int32(number) => (*number).into(),
        Bson::Int64(number) => (*number).into(),
        Bson::Double(number) => (*number).into(),
        Bson::Null => Json::Null,
        Bson::Binary(binary) => {
            let bytes = binary.bytes.iter().map(|byte| format!("{byte:02x}"));
            json!({ "$hex": bytes.collect::<String>() })
        }
        Bson::RegularExpression(regex) => {
            json!({ "$regex": regex.pattern.as_str(), "$options": regex.options.as_str() })
        }
        // Filters hold nothing else.
        other => other.to_string().into(),
    }
}

/// The stages of a plan and of those that feed it; how deep they nest is the server's own affair,
/// and limited.
fn gather(stage: &Document, steps: &mut Vec<String>) {
    // Where stages are compiled for another engine, the plan is told beside.
    if let Ok(plan) = stage.get_document("queryPlan") {
        return gather(plan, steps);
    }
    if let Ok(name) = stage.get_str("stage") {
        let index = stage.get_str("indexName").map(|index| format!(" {index}"));
        steps.push(format!("{name}{}", index.unwrap_or_default()));
    }
    for name in ["inputStage", "winningPlan"] {
        if let Ok(input) = stage.get_document(name) {
            gather(input, steps);
        }
    }
    for name in ["inputStages", "shards"] {
        let inputs = stage.get_array(name).into_iter().flatten();
        inputs.filter_map(Bson::as_document).for_each(|input| gather(input, steps));
    }
}
