//! A write as it is sent to a source, and what is left of it for here.

use std::sync::Arc;

use super::super::failure::{SourceFailure, Why};
use super::{Body, Failed, Place, Telling};
use crate::broker::Call;
use crate::federate::{Draft, Naming, Rest, Share, Source};
use crate::jsonld::{Context, Document};
use crate::model::{Action, AttrName, Chronology, EntityId, Fragment};
use crate::represent::{part_of_entity, respell_attribute, respell_entity};

/// The path of an entity, and what is below it.
pub(in crate::broker) fn entity_path(id: &EntityId, below: &str) -> String {
    format!("/entities/{}{below}", crate::federate::path_part(id.as_str()))
}

/// The path of an entity in history, and what is below it.
pub(in crate::broker) fn past_path(id: &EntityId, below: &str) -> String {
    format!("/temporal{}", entity_path(id, below))
}

/// The request that tells a source its part.
pub(super) fn draft(call: &Call, telling: &Telling<'_>, share: &Share, naming: &Naming) -> Draft {
    let path = match &telling.path {
        Place::Plain(path) => path.clone(),
        Place::Attribute(id, name) => {
            let part = crate::federate::path_part;
            let name = part(&naming.name(name.as_str()));
            format!("/entities/{}/attrs/{name}", part(id.as_str()))
        }
        Place::Past(id, name, below) => {
            let part = crate::federate::path_part;
            let name = part(&naming.name(name.as_str()));
            format!("/temporal/entities/{}/attrs/{name}{below}", part(id.as_str()))
        }
    };
    let mut draft = Draft::new(telling.method.clone(), path);
    draft.params.extend(telling.params.iter().cloned());
    let only = telling.only.map(|only| crate::federate::types_text(only, naming));
    draft = draft.with_some("type", only);
    let same = naming.context.id() == call.context.id();
    match &telling.body {
        Body::Nothing => draft,
        Body::Entity(document) => {
            let json = entity_json(&call.context, document, share.attributes.as_deref(), naming);
            draft.with_object(json)
        }
        Body::Attribute(document) if same => draft.with_object(without_context(document)),
        Body::Attribute(document) => {
            let own = respell_attribute(document, &call.context, &naming.context);
            draft.with_object(without_context(&own))
        }
    }
}

/// The part of an entity that a source is sent, as JSON.
pub(in crate::broker::federation) fn entity_json(
    context: &Context,
    document: &Document<'_>,
    attributes: Option<&[AttrName]>,
    naming: &Naming,
) -> String {
    let keep = |name: AttrName| attributes.is_none_or(|all| all.contains(&name));
    let part = part_of_entity(document, context, keep).document;
    match naming.context.id() == context.id() {
        true => without_context(&part),
        false => without_context(&respell_entity(&part, context, &naming.context)),
    }
}

fn without_context(document: &Document<'_>) -> String {
    match document.get("@context") {
        None => document.to_string(),
        Some(_) => {
            let mut own = document.clone();
            own.remove("@context");
            own.to_string()
        }
    }
}

pub(in crate::broker::federation) fn failure(source: &Arc<Source>, why: Why) -> SourceFailure {
    SourceFailure { registration: source.registration.id.clone(), why }
}

/// What a source that did a part of its part says of the rest (5.2.16, 5.2.18).
pub(super) fn partial(source: &Arc<Source>, naming: &Naming, body: &[u8]) -> Failed {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(details) = json["notUpdated"].as_array() {
        let each = details.iter().filter_map(|one| {
            let name = naming.context.expand(one["attributeName"].as_str()?).ok()?;
            let why = Why::of_part(409, "", &text(&one["reason"]));
            Some((name, failure(source, why)))
        });
        let failed: Vec<_> = each.collect();
        if !failed.is_empty() {
            return Failed::Attributes(failed);
        }
    }
    let why = match json["errors"].as_array().and_then(|errors| errors.first()) {
        Some(one) => {
            let error = &one["error"];
            let status = error["status"].as_u64().and_then(|status| u16::try_from(status).ok());
            let said = [&error["detail"], &error["title"]].map(text);
            let said = said.into_iter().find(|said| !said.is_empty()).unwrap_or_default();
            Why::of_part(status.unwrap_or(207), &text(&error["type"]), &said)
        }
        None => Why::of_part(207, "", "it did a part of it and does not say which"),
    };
    Failed::Whole(failure(source, why))
}

pub(super) fn left(mut told: Chronology, rest: &Rest) -> Chronology {
    told.attributes.retain(|(name, _)| rest.has(*name));
    told
}

/// What is left of an action for here; None if nothing is.
pub(in crate::broker::federation) fn trim(action: Action, rest: &Rest) -> Option<Action> {
    if *rest == Rest::Nothing {
        return None;
    }
    let trimmed = |mut fragment: Fragment| {
        fragment.attributes.retain(|(name, _)| rest.has(*name));
        fragment
    };
    Some(match action {
        Action::Create(mut entity) => {
            entity.attributes.retain(|name, _| rest.has(name));
            Action::Create(entity)
        }
        Action::Replace(mut entity) => {
            entity.attributes.retain(|name, _| rest.has(name));
            Action::Replace(entity)
        }
        Action::Upsert(mut entity) => {
            entity.attributes.retain(|name, _| rest.has(name));
            Action::Upsert(entity)
        }
        Action::UpsertUpdate(fragment) => Action::UpsertUpdate(trimmed(fragment)),
        Action::Update(fragment) => Action::Update(trimmed(fragment)),
        Action::Append { fragment, overwrite } => {
            Action::Append { fragment: trimmed(fragment), overwrite }
        }
        Action::Merge { fragment, lang, observed_at } => {
            Action::Merge { fragment: trimmed(fragment), lang, observed_at }
        }
        other => other,
    })
}
