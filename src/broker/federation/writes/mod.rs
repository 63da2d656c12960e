//! Writes whose parts are for sources (5.6): each source is told its part, and what is left is done
//! here.

mod drafts;
mod settle;

use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;

use self::drafts::{draft, left, partial};
pub(super) use self::drafts::{entity_json, failure, trim};
pub(in crate::broker) use self::drafts::{entity_path, past_path};
pub(in crate::broker) use self::settle::Missing;
use super::super::{BatchOutcome, Broker, Call, Error};
use super::Origin;
use super::ask::{Heard, all};
use super::failure::{SourceFailure, Why};
use crate::egress::Method;
use crate::federate::{About, Naming, Rest, Sending, Share, Source, Split, Want};
use crate::jsonld::Document;
use crate::model::{
    Action, AttrName, Change, EntityId, HistoryAction, HistoryChange, HistoryWrite, Outcome,
    TypeName, TypeSelection, TypeTerm, Write,
};
use crate::query::Selector;
use crate::represent::attributes_of;
use crate::represent::registration::Operation;
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
            let write =
                Write { id: telling.id.clone(), only: telling.only.cloned(), action: local? };
            Some(self.commit_one(call, write).await)
        };
        Ok(Ok(self.done_together(call, origin, telling, split.shares, here).await))
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
            Some(self.commit_past(call, write).await)
        };
        Ok(Ok(self.done_together(call, origin, telling, split.shares, here).await))
    }

    /// Tells each source its share while what is left is done here.
    async fn done_together<C>(
        &self,
        call: &Call,
        origin: &Origin,
        telling: &Telling<'_>,
        shares: Vec<Share>,
        here: impl Future<Output = Option<Result<C, Error>>>,
    ) -> Parts<C> {
        let shares = shares.into_iter();
        let jobs =
            shares.map(|share| self.tell_share(call, origin, telling, share).boxed()).collect();
        let (here, there) = futures_util::join!(here, all(jobs));
        let here = here.map(|done| match done {
            // Sources may have what nobody ever kept here.
            Err(Error::Store(StoreError::UnknownTenant(_))) => {
                Err(super::super::not_found(telling.id))
            }
            done => done,
        });
        Parts { here, there }
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
            Heard::Silence(why) | Heard::NoRoom(why) => return whole(Why::Silent(why)),
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

/// The attributes that a document is about.
pub(in crate::broker) fn about(call: &Call, document: &Document<'_>) -> Vec<AttrName> {
    attributes_of(document, &call.context)
}
