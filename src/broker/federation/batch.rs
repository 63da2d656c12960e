//! Batches whose elements have parts for sources (5.6.7 to 5.6.10, 5.6.20): each source is told of
//! its parts at once, or one by one where it takes no batches.

use std::sync::Arc;

use crate::egress::Method;
use futures_util::{FutureExt, StreamExt, stream};
use rustc_hash::{FxHashMap, FxHashSet};

use super::super::{BatchOutcome, Broker, Call, Error, Existing};
use super::Origin;
use super::ask::{Heard, all};
use super::failure::{SourceFailure, Why};
use super::writes::{entity_json, entity_path, failure, trim};
use crate::egress::Reply;
use crate::federate::{Draft, Naming, Rest, Sending, Share, Source, Want};
use crate::jsonld::{Context, Document};
use crate::model::{Action, AttrName, EntityId, Refusal, TypeName, TypeSelection, TypeTerm, Write};
use crate::query::Selector;
use crate::represent::attributes_of;
use crate::represent::registration::Operation;
use crate::store::StoreError;

/// What a batch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Kind {
    Create,
    Upsert(Existing),
    Update(Existing),
    Merge,
    Delete,
}

/// An element of a batch on its way.
pub(in crate::broker) struct Intent<'a> {
    pub write: Write,
    /// What was sent; absent where only an id was.
    pub document: Option<Document<'a>>,
    pub context: Arc<Context>,
}

/// What a source is told of an element.
struct Item {
    /// Which element.
    place: usize,
    attributes: Option<Vec<AttrName>>,
}

/// What became of an element at a source.
enum Fate {
    Created,
    Changed,
    Failed(SourceFailure),
}

/// How many elements one source is told of one by one at once.
const AT_ONCE: usize = 16;

impl Kind {
    /// What a source may be told it by, the best first.
    fn operations(self) -> &'static [Operation] {
        use Operation::*;
        match self {
            Kind::Create => &[CreateBatch, CreateEntity],
            Kind::Upsert(Existing::Replace) => &[UpsertBatch, CreateEntity, ReplaceEntity],
            Kind::Upsert(_) => &[UpsertBatch, CreateEntity, UpdateEntity],
            Kind::Update(Existing::Leave) => &[UpdateBatch, AppendAttrs],
            Kind::Update(_) => &[UpdateBatch, UpdateEntity, AppendAttrs],
            Kind::Merge => &[MergeBatch, MergeEntity],
            Kind::Delete => &[DeleteBatch, DeleteEntity],
        }
    }

    fn is_batch(self, operation: Operation) -> bool {
        self.operations().first() == Some(&operation)
    }

    /// The batch as a request.
    fn draft(self) -> Draft {
        let post = |name: &str| Draft::new(Method::POST, format!("/entityOperations/{name}"));
        match self {
            Kind::Create => post("create"),
            Kind::Upsert(Existing::Replace) => post("upsert"),
            Kind::Upsert(_) => post("upsert").with("options", "update"),
            Kind::Update(Existing::Leave) => post("update").with("options", "noOverwrite"),
            Kind::Update(_) => post("update"),
            Kind::Merge => post("merge"),
            Kind::Delete => post("delete"),
        }
    }

    /// One element as a request.
    fn single(self, operation: Operation, id: &EntityId) -> Draft {
        use Operation::*;
        let path = |below: &str| entity_path(id, below);
        match operation {
            ReplaceEntity => Draft::new(Method::PUT, path("")),
            UpdateEntity => Draft::new(Method::PATCH, path("/attrs")),
            AppendAttrs if self == Kind::Update(Existing::Leave) => {
                Draft::new(Method::POST, path("/attrs")).with("options", "noOverwrite")
            }
            AppendAttrs => Draft::new(Method::POST, path("/attrs")),
            MergeEntity => Draft::new(Method::PATCH, path("")),
            DeleteEntity => Draft::new(Method::DELETE, path("")),
            _ => Draft::new(Method::POST, "/entities"),
        }
    }
}

impl Broker {
    /// Does a batch here and at the sources that have parts of it; gives the elements back if no
    /// source is concerned.
    pub(in crate::broker) async fn batch_everywhere<'a>(
        &self,
        call: &Call,
        origin: &Origin,
        kind: Kind,
        intents: Vec<Intent<'a>>,
    ) -> Result<Result<BatchOutcome, Vec<Intent<'a>>>, Error> {
        let known = self.types_here(call, &intents).await?;
        let mut told: FxHashMap<String, (Arc<Source>, Vec<Item>)> = FxHashMap::default();
        let mut fates: Vec<(usize, Fate)> = Vec::new();
        let mut rests: Vec<Rest> = Vec::with_capacity(intents.len());
        let mut alone = FxHashSet::default();
        for (place, intent) in intents.iter().enumerate() {
            let (shares, rest) = self.shares(call, origin, kind, intent, &known);
            rests.push(rest);
            for Share { source, attributes, sending } in shares {
                if source.mode().is_proxied() {
                    alone.insert(place);
                }
                match sending {
                    Sending::Looping => {
                        fates.push((place, Fate::Failed(failure(&source, Why::Loop))));
                    }
                    Sending::Unsupported => {
                        let word = kind.operations()[0].word();
                        let why = Why::Unsupported(word);
                        fates.push((place, Fate::Failed(failure(&source, why))));
                    }
                    Sending::By(_) => {
                        let entry = told.entry(source.id().to_owned());
                        let (_, items) = entry.or_insert_with(|| (source, Vec::new()));
                        items.push(Item { place, attributes });
                    }
                }
            }
        }
        if told.is_empty() && fates.is_empty() {
            return Ok(Err(intents));
        }
        let mut sources: Vec<_> = told.into_values().collect();
        sources.sort_unstable_by(|(a, _), (b, _)| a.id().cmp(b.id()));
        let mut jobs = Vec::with_capacity(sources.len());
        for (source, items) in &sources {
            jobs.push(self.tell_items(call, origin, kind, source, items, &intents).boxed());
        }
        let here = self.rest_here(call, &intents, &rests);
        let (here, there) = futures_util::join!(here, all(jobs));
        fates.extend(there.into_iter().flatten());
        Ok(Ok(settle(kind, &intents, here?, fates, &alone)))
    }

    /// The types of entities as they are here, where elements do not say them.
    async fn types_here(
        &self,
        call: &Call,
        intents: &[Intent<'_>],
    ) -> Result<FxHashMap<EntityId, Vec<TypeName>>, Error> {
        let silent = intents.iter().filter(|intent| types_of(&intent.write).is_empty());
        let ids: Vec<EntityId> = silent.map(|intent| intent.write.id.clone()).collect();
        if ids.is_empty() {
            return Ok(FxHashMap::default());
        }
        let found = match self.store.get_many(&call.tenant, &ids, call.now).await {
            Err(StoreError::UnknownTenant(_)) => Vec::new(),
            found => found?,
        };
        let each = found.iter().map(|one| (one.id.clone(), one.types.as_slice().to_vec()));
        Ok(each.collect())
    }

    fn shares(
        &self,
        call: &Call,
        origin: &Origin,
        kind: Kind,
        intent: &Intent<'_>,
        known: &FxHashMap<EntityId, Vec<TypeName>>,
    ) -> (Vec<Share>, Rest) {
        let id = &intent.write.id;
        let mut types = types_of(&intent.write);
        if types.is_empty() {
            types = known.get(id).cloned().unwrap_or_default();
        }
        let types = (!types.is_empty()).then(|| {
            TypeSelection::Of(types.iter().map(|name| vec![TypeTerm::Known(*name)]).collect())
        });
        let select = [Selector { ids: vec![id.clone()], types, ..Selector::default() }];
        let names = intent.document.as_ref().map(|own| attributes_of(own, &intent.context));
        let attributes = names.as_deref().filter(|names| !names.is_empty());
        let want = Want { select: &select, attributes, ..Want::default() };
        let register = &self.federation.register;
        let matched = register.matching(&call.tenant, &want, origin.way(), call.now);
        let split = matched.split(attributes, kind.operations());
        let rest = match (kind, split.rest) {
            // Whatever is here goes as well.
            (Kind::Delete, _) => Rest::Whole,
            (_, rest) => rest,
        };
        (split.shares, rest)
    }

    /// What is left for here, done in one commit.
    async fn rest_here(
        &self,
        call: &Call,
        intents: &[Intent<'_>],
        rests: &[Rest],
    ) -> Result<Vec<(usize, Result<crate::model::Change, Refusal>)>, Error> {
        let mut places = Vec::new();
        let mut writes = Vec::new();
        for (place, (intent, rest)) in intents.iter().zip(rests).enumerate() {
            let write = &intent.write;
            if let Some(action) = trim(write.action.clone(), rest) {
                places.push(place);
                writes.push(Write { id: write.id.clone(), only: write.only.clone(), action });
            }
        }
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<EntityId> = writes.iter().map(|write| write.id.clone()).collect();
        let outcomes = match self.store.commit(&call.tenant, writes, call.now).await {
            Err(StoreError::UnknownTenant(_)) => {
                ids.into_iter().map(|id| Err(Refusal::NoSuchEntity(id))).collect()
            }
            outcomes => outcomes?,
        };
        Ok(places.into_iter().zip(outcomes).collect())
    }

    async fn tell_items(
        &self,
        call: &Call,
        origin: &Origin,
        kind: Kind,
        source: &Arc<Source>,
        items: &[Item],
        intents: &[Intent<'_>],
    ) -> Vec<(usize, Fate)> {
        let operation = source.first_of(kind.operations()).unwrap_or(Operation::CreateEntity);
        let first = items.first().map(|item| &intents[item.place].context);
        let context = first.unwrap_or(&call.context);
        let has_body = kind != Kind::Delete;
        let naming = self.naming_by(call, context, source, has_body).await;
        if kind.is_batch(operation) {
            return self.tell_batch(origin, kind, source, items, intents, &naming).await;
        }
        let mut jobs = Vec::with_capacity(items.len());
        for item in items {
            jobs.push(self.tell_single(origin, kind, source, item, intents, &naming).boxed());
        }
        stream::iter(jobs).buffer_unordered(AT_ONCE).collect().await
    }

    async fn tell_batch(
        &self,
        origin: &Origin,
        kind: Kind,
        source: &Arc<Source>,
        items: &[Item],
        intents: &[Intent<'_>],
        naming: &Naming,
    ) -> Vec<(usize, Fate)> {
        let mut draft = kind.draft();
        if kind == Kind::Delete {
            let ids: Vec<&str> =
                items.iter().map(|item| intents[item.place].write.id.as_str()).collect();
            draft.body = crate::federate::Payload::Plain(serde_json::json!(ids).to_string());
        } else {
            let parts = items.iter().map(|item| part(item, intents, naming));
            draft = draft.with_array(parts.collect());
        }
        let heard = self.tell(origin, source, &draft, naming).await;
        let reply = match heard {
            Heard::Reply(reply) | Heard::Kept(reply) => reply,
            Heard::Silence(why) | Heard::TooLarge(why) | Heard::NoRoom(why) => {
                let failed = |item: &Item| {
                    (item.place, Fate::Failed(failure(source, Why::Silent(why.clone()))))
                };
                return items.iter().map(failed).collect();
            }
        };
        fates_of(kind, source, items, intents, &reply)
    }

    async fn tell_single(
        &self,
        origin: &Origin,
        kind: Kind,
        source: &Arc<Source>,
        item: &Item,
        intents: &[Intent<'_>],
        naming: &Naming,
    ) -> (usize, Fate) {
        let id = &intents[item.place].write.id;
        let mut last = Why::Unsupported(kind.operations()[0].word());
        let able = kind.operations().iter().copied().filter(|one| source.supports(*one));
        for operation in able {
            let mut draft = kind.single(operation, id);
            if kind != Kind::Delete {
                draft = draft.with_object(part(item, intents, naming));
            }
            let reply = match self.tell(origin, source, &draft, naming).await {
                Heard::Reply(reply) | Heard::Kept(reply) => reply,
                Heard::Silence(why) | Heard::TooLarge(why) | Heard::NoRoom(why) => {
                    last = Why::Silent(why);
                    break;
                }
            };
            match reply.status {
                201 if operation == Operation::CreateEntity => return (item.place, Fate::Created),
                200..=204 => return (item.place, Fate::Changed),
                // It is there: it is replaced or updated instead.
                409 if operation == Operation::CreateEntity && kind != Kind::Create => {
                    last = Why::answered(&reply);
                }
                _ => {
                    last = Why::answered(&reply);
                    break;
                }
            }
        }
        (item.place, Fate::Failed(failure(source, last)))
    }
}

fn part(item: &Item, intents: &[Intent<'_>], naming: &Naming) -> String {
    let intent = &intents[item.place];
    match &intent.document {
        Some(document) => {
            entity_json(&intent.context, document, item.attributes.as_deref(), naming)
        }
        None => "{}".to_owned(),
    }
}

/// The types that an element says.
fn types_of(write: &Write) -> Vec<TypeName> {
    match &write.action {
        Action::Create(entity) | Action::Upsert(entity) | Action::Replace(entity) => {
            entity.types.as_slice().to_vec()
        }
        Action::UpsertUpdate(fragment)
        | Action::Update(fragment)
        | Action::Append { fragment, .. }
        | Action::Merge { fragment, .. } => fragment.types.clone(),
        _ => Vec::new(),
    }
}

/// What a source says became of the elements it was told of.
fn fates_of(
    kind: Kind,
    source: &Arc<Source>,
    items: &[Item],
    intents: &[Intent<'_>],
    reply: &Reply,
) -> Vec<(usize, Fate)> {
    let json: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let id_of = |item: &Item| intents[item.place].write.id.as_str();
    let done = |item: &Item, created: bool| {
        (item.place, if created { Fate::Created } else { Fate::Changed })
    };
    match reply.status {
        201 => {
            // The list of those that were created; of an upsert the others were changed.
            let listed = json
                .as_array()
                .map(|ids| ids.iter().filter_map(|id| id.as_str()).collect::<FxHashSet<&str>>());
            let created = |item: &Item| {
                kind == Kind::Create || listed.as_ref().is_none_or(|ids| ids.contains(id_of(item)))
            };
            items.iter().map(|item| done(item, created(item))).collect()
        }
        200 | 202 | 204 => items.iter().map(|item| done(item, kind == Kind::Create)).collect(),
        207 => {
            let errors = json["errors"].as_array().cloned().unwrap_or_default();
            let error_of = |id: &str| errors.iter().find(|one| one["entityId"] == *id);
            let fate = |item: &Item| match error_of(id_of(item)) {
                Some(one) => {
                    let error = &one["error"];
                    let status = error["status"].as_u64().and_then(|one| u16::try_from(one).ok());
                    let text = |name: &str| error[name].as_str().unwrap_or_default();
                    let said = [text("detail"), text("title")];
                    let said = said.into_iter().find(|said| !said.is_empty()).unwrap_or_default();
                    let why = Why::of_part(status.unwrap_or(207), text("type"), said);
                    (item.place, Fate::Failed(failure(source, why)))
                }
                None => done(item, kind == Kind::Create),
            };
            items.iter().map(fate).collect()
        }
        _ => {
            let why = Why::answered(reply);
            let failed = |item: &Item| (item.place, Fate::Failed(failure(source, why.clone())));
            items.iter().map(failed).collect()
        }
    }
}

/// The batch as a whole: what succeeded anywhere, and what failed anywhere.
fn settle(
    kind: Kind,
    intents: &[Intent<'_>],
    here: Vec<(usize, Result<crate::model::Change, Refusal>)>,
    there: Vec<(usize, Fate)>,
    alone: &FxHashSet<usize>,
) -> BatchOutcome {
    let mut batch = BatchOutcome::default();
    let (mut created, mut changed) = (FxHashSet::default(), FxHashSet::default());
    let mut order: Vec<&EntityId> = Vec::new();
    for (place, outcome) in here {
        let id = &intents[place].write.id;
        match outcome {
            Ok(change) if !change.outcome.untouched.is_empty() => {
                let error = Error::Untouched(change.outcome.untouched);
                batch.failed.push((Some(id.as_str().to_owned()), error));
            }
            Ok(change) => {
                order.push(id);
                match change.outcome.created {
                    true => created.insert(id),
                    false => changed.insert(id),
                };
            }
            Err(Refusal::NoSuchEntity(_)) if kind == Kind::Delete && alone.contains(&place) => {}
            Err(refusal) => batch.failed.push((Some(id.as_str().to_owned()), refusal.into())),
        }
    }
    for (place, fate) in there {
        let id = &intents[place].write.id;
        match fate {
            Fate::Created => drop((order.push(id), created.insert(id))),
            Fate::Changed => drop((order.push(id), changed.insert(id))),
            Fate::Failed(failure) => {
                batch.failed.push((Some(id.as_str().to_owned()), failure.into()));
            }
        }
    }
    let mut seen = FxHashSet::default();
    for id in order.into_iter().filter(|id| seen.insert(*id)) {
        // What was there somewhere was not created.
        let list = match created.contains(id) && (kind == Kind::Create || !changed.contains(id)) {
            true => &mut batch.created,
            false => &mut batch.changed,
        };
        list.push(id.clone());
    }
    batch
}
