//! Writes whose parts are for sources (5.6): each source is told its part, and what is left is done
//! here.

use std::sync::Arc;

use crate::egress::Method;
use futures_util::FutureExt;

use super::super::{BatchOutcome, Broker, Call, Error};
use super::Origin;
use super::ask::{Heard, all};
use super::failure::{SourceFailure, Why};
use crate::federate::{About, Draft, Naming, Rest, Sending, Share, Source, Split, Want};
use crate::jsonld::{Context, Document};
use crate::model::{
    Action, AttrName, Change, Chronology, EntityId, Fragment, HistoryAction, HistoryChange,
    HistoryWrite, Outcome, TypeName, TypeSelection, TypeTerm, Write,
};
use crate::query::Selector;
use crate::represent::registration::Operation;
use crate::represent::{attributes_of, part_of_entity, respell_attribute, respell_entity};
use crate::store::StoreError;

/// A write as sources are told of it.
pub(in crate::broker) struct Telling<'a> {
    pub id: &'a EntityId,
    /// The types that the entity is said to have.
    pub types: &'a [TypeName],
    pub only: Option<&'a TypeSelection>,
    /// The attributes that it is about; the entity as a whole if absent.
    pub attributes: Option<Vec<AttrName>>,
    pub operation: Operation,
    pub method: Method,
    /// Below the root of the API.
    pub path: Place<'a>,
    pub params: Vec<(&'static str, String)>,
    pub body: Body<'a>,
}

/// Where a write goes.
pub(in crate::broker) enum Place<'a> {
    Plain(String),
    /// An attribute of the entity, by its name.
    Attribute(&'a EntityId, AttrName),
    /// The same in history, and what is below it.
    Past(&'a EntityId, AttrName, String),
}

/// What a write says.
pub(in crate::broker) enum Body<'a> {
    Nothing,
    /// An entity, or a fragment of one: a source is sent its part.
    Entity(&'a Document<'a>),
    /// An attribute, or a fragment of one.
    Attribute(&'a Document<'a>),
}

/// What became of an operation on an entity that others have parts of.
#[derive(Debug)]
pub enum Settled {
    /// Everyone did all of it.
    Done,
    /// Some did their part, and some did not.
    Partly(BatchOutcome),
}

/// What became of an operation on attributes that others have some of.
#[derive(Debug, Default)]
pub struct Updated {
    pub outcome: Outcome,
    /// What was not done: the attributes, and why.
    pub failed: Vec<(Vec<AttrName>, Error)>,
}

/// What became of a write here and there.
pub(in crate::broker) struct Parts<C = Change> {
    /// Absent if nothing was left for here.
    pub here: Option<Result<C, Error>>,
    pub there: Vec<Part>,
}

/// What became of the part of one source.
pub(in crate::broker) struct Part {
    pub share: Share,
    pub result: Result<(), Failed>,
}

/// How the part of a source failed.
pub(in crate::broker) enum Failed {
    Whole(SourceFailure),
    /// Of these attributes only.
    Attributes(Vec<(AttrName, SourceFailure)>),
}

impl Broker {
    /// Does a write here and at the sources that have parts of it; None if no source is concerned.
    /// `action` is what is done here with what is left; None leaves nothing to do here.
    pub(in crate::broker) async fn write_everywhere(
        &self,
        call: &Call,
        telling: &Telling<'_>,
        action: Action,
    ) -> Result<Result<Parts, Action>, Error> {
        match call.origin() {
            // Boxed, so that who has no registrations does not carry the room for it.
            Some(origin) => Box::pin(self.write_parts(call, origin, telling, action)).await,
            None => Ok(Err(action)),
        }
    }

    async fn write_parts(
        &self,
        call: &Call,
        origin: &Origin,
        telling: &Telling<'_>,
        action: Action,
    ) -> Result<Result<Parts, Action>, Error> {
        let Some(split) = self.split(call, origin, telling, About::Latest).await? else {
            return Ok(Err(action));
        };
        let local = match (&action, &split.rest) {
            // Whatever is here of an entity that is deleted goes as well.
            (Action::Delete, _) => Some(action),
            (_, rest) => trim(action, rest),
        };
        let here = async {
            let action = local?;
            let write = Write { id: telling.id.clone(), only: telling.only.cloned(), action };
            Some(match self.commit_one(call, write).await {
                Err(Error::Store(StoreError::UnknownTenant(_))) => {
                    Err(super::super::not_found(telling.id))
                }
                result => result,
            })
        };
        let shares = split.shares.into_iter();
        let jobs =
            shares.map(|share| self.tell_share(call, origin, telling, share).boxed()).collect();
        let (here, there) = futures_util::join!(here, all(jobs));
        Ok(Ok(Parts { here, there }))
    }

    /// Changes history here and at the sources that have parts of it; gives the action back if no
    /// source is concerned.
    pub(in crate::broker) async fn history_everywhere(
        &self,
        call: &Call,
        telling: &Telling<'_>,
        action: HistoryAction,
    ) -> Result<Result<Parts<HistoryChange>, HistoryAction>, Error> {
        match call.origin() {
            Some(origin) => Box::pin(self.history_parts(call, origin, telling, action)).await,
            None => Ok(Err(action)),
        }
    }

    async fn history_parts(
        &self,
        call: &Call,
        origin: &Origin,
        telling: &Telling<'_>,
        action: HistoryAction,
    ) -> Result<Result<Parts<HistoryChange>, HistoryAction>, Error> {
        let about = About::History(None);
        let Some(split) = self.split(call, origin, telling, about).await? else {
            return Ok(Err(action));
        };
        let local = match (action, &split.rest) {
            (HistoryAction::Delete, _) => Some(HistoryAction::Delete),
            (_, Rest::Nothing) => None,
            (HistoryAction::Upsert(told), rest) => Some(HistoryAction::Upsert(left(told, rest))),
            (HistoryAction::Append(told), rest) => Some(HistoryAction::Append(left(told, rest))),
            (other, _) => Some(other),
        };
        let here = async {
            let write = HistoryWrite { id: telling.id.clone(), action: local? };
            Some(match self.commit_past(call, write).await {
                Err(Error::Store(StoreError::UnknownTenant(_))) => {
                    Err(super::super::not_found(telling.id))
                }
                result => result,
            })
        };
        let shares = split.shares.into_iter();
        let jobs =
            shares.map(|share| self.tell_share(call, origin, telling, share).boxed()).collect();
        let (here, there) = futures_util::join!(here, all(jobs));
        Ok(Ok(Parts { here, there }))
    }

    /// Which parts of a write are for sources; None if none is.
    async fn split(
        &self,
        call: &Call,
        origin: &Origin,
        telling: &Telling<'_>,
        about: About,
    ) -> Result<Option<Split>, Error> {
        let mut types = telling.types.to_vec();
        if types.is_empty() && telling.only.is_none() {
            // What the entity is here tells which registrations mean it.
            let local = match self.store.get(&call.tenant, telling.id, call.now).await {
                Err(StoreError::UnknownTenant(_)) => None,
                found => found?,
            };
            types.extend(local.iter().flat_map(|entity| entity.types.as_slice()));
        }
        let types = match types.as_slice() {
            [] => telling.only.cloned(),
            some => {
                let each = some.iter().map(|name| vec![TypeTerm::Known(*name)]);
                Some(TypeSelection::Of(each.collect()))
            }
        };
        let select = [Selector { ids: vec![telling.id.clone()], types, ..Selector::default() }];
        // A fragment without attributes is about the entity.
        let attributes = telling.attributes.as_deref().filter(|names| !names.is_empty());
        let want = Want { select: &select, attributes, about, ..Want::default() };
        let register = &self.federation.register;
        let mut matched = register.matching(&call.tenant, &want, origin.way(), call.now);
        if about != About::Latest {
            // Who has what is latest for itself need not have history.
            let concerns = |source: &Arc<Source>| {
                source.supports(telling.operation) || source.registration.is_temporal()
            };
            matched.legs.retain(|leg| concerns(&leg.source));
            matched.looping.retain(concerns);
        }
        let split = matched.split(attributes, &[telling.operation]);
        Ok((!split.shares.is_empty()).then_some(split))
    }

    async fn tell_share(
        &self,
        call: &Call,
        origin: &Origin,
        telling: &Telling<'_>,
        share: Share,
    ) -> Part {
        let failed = |why| Err(Failed::Whole(failure(&share.source, why)));
        let result = match share.sending {
            Sending::Looping => failed(Why::Loop),
            Sending::Unsupported => failed(Why::Unsupported(telling.operation.word())),
            Sending::By(_) => {
                let has_body = !matches!(telling.body, Body::Nothing);
                let naming = self.naming(call, &share.source, has_body).await;
                let draft = draft(call, telling, &share, &naming);
                let heard = self.tell(origin, &share.source, &draft, &naming).await;
                self.judge(&share, &naming, heard)
            }
        };
        Part { share, result }
    }

    fn judge(&self, share: &Share, naming: &Naming, heard: Heard) -> Result<(), Failed> {
        let whole = |why| Err(Failed::Whole(failure(&share.source, why)));
        let reply = match heard {
            Heard::Reply(reply) | Heard::Kept(reply) => reply,
            Heard::Silence(why) => return whole(Why::Silent(why)),
            Heard::TooLarge(_) => return Ok(()),
        };
        match reply.status {
            200 | 201 | 202 | 204 => Ok(()),
            207 => Err(partial(&share.source, naming, &reply.body)),
            _ => whole(Why::answered(&reply)),
        }
    }
}

impl Broker {
    /// Changes one attribute here and where else it is.
    #[expect(clippy::too_many_arguments, reason = "each says another thing about one attribute")]
    pub(in crate::broker) async fn change_attribute(
        &self,
        call: &Call,
        id: EntityId,
        name: AttrName,
        only: Option<TypeSelection>,
        body: Body<'_>,
        (operation, method, params): (Operation, Method, Vec<(&'static str, String)>),
        action: Action,
    ) -> Result<Updated, Error> {
        let telling = Telling {
            id: &id,
            types: &[],
            only: only.as_ref(),
            attributes: Some(vec![name]),
            operation,
            method,
            path: Place::Attribute(&id, name),
            params,
            body,
        };
        match self.write_everywhere(call, &telling, action).await? {
            Ok(parts) => parts.settle_attributes(&[name]),
            Err(action) => {
                let change = self.commit_one(call, Write { id, only, action }).await?;
                Ok(Updated { outcome: change.outcome, failed: Vec::new() })
            }
        }
    }
}

/// The path of an entity, and what is below it.
pub(in crate::broker) fn entity_path(id: &EntityId, below: &str) -> String {
    format!("/entities/{}{below}", crate::federate::path_part(id.as_str()))
}

/// The path of an entity in history, and what is below it.
pub(in crate::broker) fn past_path(id: &EntityId, below: &str) -> String {
    format!("/temporal{}", entity_path(id, below))
}

/// The request that tells a source its part.
fn draft(call: &Call, telling: &Telling<'_>, share: &Share, naming: &Naming) -> Draft {
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
pub(super) fn entity_json(
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

pub(super) fn failure(source: &Arc<Source>, why: Why) -> SourceFailure {
    SourceFailure { registration: source.registration.id.clone(), why }
}

/// What a source that did a part of its part says of the rest (5.2.16, 5.2.18).
fn partial(source: &Arc<Source>, naming: &Naming, body: &[u8]) -> Failed {
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

fn left(mut told: Chronology, rest: &Rest) -> Chronology {
    told.attributes.retain(|(name, _)| rest.has(*name));
    told
}

/// What is left of an action for here; None if nothing is.
pub(super) fn trim(action: Action, rest: &Rest) -> Option<Action> {
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

/// When it is no failure that somebody has no such thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Missing {
    Fails,
    /// Not here, where a source alone has it.
    Here,
    /// Nowhere, if anybody has it.
    Anywhere,
}

impl<C> Parts<C> {
    /// What became of an operation on the entity as a whole.
    pub(in crate::broker) fn settle(
        mut self,
        id: &EntityId,
        missing: Missing,
    ) -> Result<Settled, Error> {
        let proxied = self.there.iter().any(|part| part.share.is_proxied());
        let anybody =
            matches!(self.here, Some(Ok(_))) || self.there.iter().any(|part| part.result.is_ok());
        let forgives = match missing {
            Missing::Fails => false,
            Missing::Here => proxied,
            Missing::Anywhere => anybody,
        };
        if missing == Missing::Anywhere && anybody {
            let is_missing = |part: &Part| matches!(&part.result, Err(Failed::Whole(failure)) if failure.is_not_found());
            self.there.retain(|part| !is_missing(part));
        }
        let here = match self.here {
            Some(Err(error)) if forgives && is_not_found(&error) => None,
            here => here,
        };
        let participants = self.there.len() + usize::from(here.is_some());
        let mut succeeded = matches!(here, Some(Ok(_)));
        let mut failed: Vec<Error> = Vec::new();
        let mut sources: Vec<SourceFailure> = Vec::new();
        for part in self.there {
            match part.result {
                Ok(()) => succeeded = true,
                Err(Failed::Whole(failure)) => sources.push(failure),
                Err(Failed::Attributes(all)) => {
                    succeeded = true;
                    sources.extend(all.into_iter().map(|(_, failure)| failure));
                }
            }
        }
        if let Some(Err(error)) = here {
            failed.push(error);
        }
        if failed.is_empty() && sources.is_empty() {
            return Ok(Settled::Done);
        }
        if !succeeded {
            let alike = collapse(&failed, &sources, participants);
            if alike {
                let first = sources.pop().map(|failure| Error::from(failure.alone()));
                return Err(failed
                    .pop()
                    .or(first)
                    .unwrap_or_else(|| Error::Internal(String::new())));
            }
        }
        let text = Some(id.as_str().to_owned());
        let failed = failed.into_iter().chain(sources.into_iter().map(Error::from));
        Ok(Settled::Partly(BatchOutcome {
            changed: if succeeded { vec![id.clone()] } else { Vec::new() },
            failed: failed.map(|error| (text.clone(), error)).collect(),
            ..BatchOutcome::default()
        }))
    }
}

impl Parts {
    /// What became of an operation on attributes.
    pub(in crate::broker) fn settle_attributes(self, about: &[AttrName]) -> Result<Updated, Error> {
        let participants = self.there.len() + usize::from(self.here.is_some());
        let mut updated = Updated::default();
        let mut succeeded = false;
        let mut failed: Vec<Error> = Vec::new();
        let mut sources: Vec<(Vec<AttrName>, SourceFailure)> = Vec::new();
        let mut claimed: Vec<AttrName> = Vec::new();
        for Part { share, result } in self.there {
            let own = share.attributes.clone().unwrap_or_else(|| about.to_vec());
            if share.is_proxied() {
                claimed.extend_from_slice(&own);
            }
            match result {
                Ok(()) => {
                    succeeded = true;
                    add(&mut updated.outcome.updated, &own);
                }
                Err(Failed::Whole(failure)) => sources.push((own, failure)),
                Err(Failed::Attributes(all)) => {
                    succeeded = true;
                    let gone = |name: &AttrName| all.iter().any(|(other, _)| other == name);
                    let done: Vec<_> = own.into_iter().filter(|name| !gone(name)).collect();
                    add(&mut updated.outcome.updated, &done);
                    sources.extend(all.into_iter().map(|(name, failure)| (vec![name], failure)));
                }
            }
        }
        match self.here {
            Some(Ok(change)) => {
                succeeded = true;
                add(&mut updated.outcome.updated, &change.outcome.updated);
                updated.outcome.untouched = change.outcome.untouched;
            }
            Some(Err(error)) => failed.push(error),
            None => {}
        }
        let only = sources.iter().map(|(_, failure)| failure.clone()).collect::<Vec<_>>();
        if !succeeded && collapse(&failed, &only, participants) {
            let first = sources.pop().map(|(_, failure)| Error::from(failure.alone()));
            return Err(failed.pop().or(first).unwrap_or_else(|| Error::Internal(String::new())));
        }
        let rest: Vec<_> = about.iter().copied().filter(|name| !claimed.contains(name)).collect();
        updated.failed.extend(sources.into_iter().map(|(names, why)| (names, why.into())));
        updated.failed.extend(failed.into_iter().map(|error| (rest.clone(), error)));
        // What failed somewhere is not called done, though it was elsewhere.
        let failed: Vec<AttrName> =
            updated.failed.iter().flat_map(|(names, _)| names).copied().collect();
        updated.outcome.updated.retain(|name| !failed.contains(name));
        Ok(updated)
    }
}

/// Whether nobody did anything for one reason, which can be told plainly: there was one to do it,
/// or it is found nowhere, or nobody offers the operation.
fn collapse(here: &[Error], sources: &[SourceFailure], participants: usize) -> bool {
    participants <= 1
        || (here.iter().all(is_not_found) && sources.iter().all(SourceFailure::is_not_found))
        || (here.is_empty() && sources.iter().all(SourceFailure::is_unsupported))
}

fn is_not_found(error: &Error) -> bool {
    use crate::model::Refusal;
    matches!(
        error,
        Error::Refused(
            Refusal::NoSuchEntity(_)
                | Refusal::NoSuchAttribute { .. }
                | Refusal::NoSuchInstance { .. }
                | Refusal::NoScope
        ) | Error::NotFound(_)
            | Error::Store(StoreError::UnknownTenant(_))
    )
}

fn add(names: &mut Vec<AttrName>, more: &[AttrName]) {
    for name in more {
        if !names.contains(name) {
            names.push(*name);
        }
    }
}

/// The attributes that a document is about.
pub(in crate::broker) fn about(call: &Call, document: &Document<'_>) -> Vec<AttrName> {
    attributes_of(document, &call.context)
}
