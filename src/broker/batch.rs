//! Batch create, upsert, update, merge and delete (5.6.7 to 5.6.10, 5.6.20).
//!
//! The elements of a batch share one commit; each has its own outcome, in the order they came.

use std::sync::Arc;

use super::federation::{Intent, Kind};
use super::{Broker, Call, Error};
use crate::jsonld::{Context, Document};
use crate::model::{Action, EntityId, Write};
use crate::represent::{Reader, Reading};

/// One element of a batch with the `@context` that it is read by.
pub struct Element<'a> {
    pub document: Document<'a>,
    pub context: Result<Arc<Context>, Error>,
}

/// What became of the elements of a batch.
#[derive(Debug, Default)]
pub struct BatchOutcome {
    /// Entities that were not there before; each once.
    pub created: Vec<EntityId>,
    /// Entities that were there and were changed or deleted; each once.
    pub changed: Vec<EntityId>,
    /// Elements that failed, with their ids where they had one.
    pub failed: Vec<(Option<String>, Error)>,
}

/// What a batch does with what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Upsert: the whole entity is replaced.
    Replace,
    /// Upsert: attributes are updated. Update: attributes are overwritten.
    Update,
    /// Update: attributes that are there are left.
    Leave,
}

impl Broker {
    /// Creates entities. 5.6.7.
    pub async fn batch_create(
        &self,
        call: &Call,
        elements: Vec<Element<'_>>,
    ) -> Result<BatchOutcome, Error> {
        self.batch(call, Kind::Create, elements, Reading::Whole, |document, reader| {
            let entity = reader.entity(document)?;
            Ok(Write::new(entity.id.clone(), Action::Create(entity)))
        })
        .await
    }

    /// Creates entities, or replaces or updates those that are there. 5.6.8.
    pub async fn batch_upsert(
        &self,
        call: &Call,
        existing: Existing,
        elements: Vec<Element<'_>>,
    ) -> Result<BatchOutcome, Error> {
        let replace = existing == Existing::Replace;
        let reading = if replace { Reading::Whole } else { Reading::Update };
        self.batch(call, Kind::Upsert(existing), elements, reading, |document, reader| {
            if replace {
                let entity = reader.entity(document)?;
                return Ok(Write::new(entity.id.clone(), Action::Upsert(entity)));
            }
            let fragment = reader.fragment(document)?;
            Ok(Write::new(target(fragment.id.as_ref())?, Action::UpsertUpdate(fragment)))
        })
        .await
    }

    /// Appends attributes to entities. 5.6.9.
    pub async fn batch_update(
        &self,
        call: &Call,
        existing: Existing,
        elements: Vec<Element<'_>>,
    ) -> Result<BatchOutcome, Error> {
        let overwrite = existing != Existing::Leave;
        self.batch(call, Kind::Update(existing), elements, Reading::Whole, |document, reader| {
            let fragment = reader.fragment(document)?;
            let id = target(fragment.id.as_ref())?;
            Ok(Write::new(id, Action::Append { fragment, overwrite }))
        })
        .await
    }

    /// Merges fragments into entities. 5.6.20.
    pub async fn batch_merge(
        &self,
        call: &Call,
        elements: Vec<Element<'_>>,
    ) -> Result<BatchOutcome, Error> {
        self.batch(call, Kind::Merge, elements, Reading::Merge, |document, reader| {
            let fragment = reader.fragment(document)?;
            let id = target(fragment.id.as_ref())?;
            Ok(Write::new(id, Action::Merge { fragment, lang: None, observed_at: None }))
        })
        .await
    }

    /// Deletes entities. 5.6.10.
    pub async fn batch_delete(
        &self,
        call: &Call,
        ids: &[Document<'_>],
    ) -> Result<BatchOutcome, Error> {
        let intents = ids
            .iter()
            .map(|id| {
                let text = id.as_str().map(str::to_owned);
                let intent = match id.as_str() {
                    Some(text) => EntityId::parse(text)
                        .map(|id| Intent {
                            write: Write::new(id, Action::Delete),
                            document: None,
                            context: call.context.clone(),
                        })
                        .map_err(|why| Error::bad(why.to_string())),
                    None => Err(Error::bad("an id is a string that holds a URI")),
                };
                (text, intent)
            })
            .collect();
        self.commit_batch(call, Kind::Delete, intents).await
    }

    async fn batch(
        &self,
        call: &Call,
        kind: Kind,
        elements: Vec<Element<'_>>,
        reading: Reading,
        intend: impl Fn(&Document<'_>, Reader<'_>) -> Result<Write, Error>,
    ) -> Result<BatchOutcome, Error> {
        let intents = elements
            .into_iter()
            .map(|Element { document, context }| {
                let id = document.get("id").or_else(|| document.get("@id"));
                let id = id.and_then(Document::as_str).map(str::to_owned);
                let intent = context.and_then(|context| {
                    let write = intend(&document, self.reader_by(&context, reading))?;
                    let document = call.origin().map(|_| document);
                    Ok(Intent { write, document, context })
                });
                (id, intent)
            })
            .collect();
        self.commit_batch(call, kind, intents).await
    }

    async fn commit_batch(
        &self,
        call: &Call,
        kind: Kind,
        intents: Vec<(Option<String>, Result<Intent<'_>, Error>)>,
    ) -> Result<BatchOutcome, Error> {
        let mut batch = BatchOutcome::default();
        let mut right = Vec::with_capacity(intents.len());
        for (id, intent) in intents {
            match intent {
                Ok(intent) => right.push(intent),
                Err(error) => batch.failed.push((id, error)),
            }
        }
        if right.is_empty() {
            return Ok(batch);
        }
        if let Some(origin) = call.origin() {
            match Box::pin(self.batch_everywhere(call, origin, kind, right)).await? {
                Ok(mut done) => {
                    batch.failed.append(&mut done.failed);
                    return Ok(BatchOutcome { failed: batch.failed, ..done });
                }
                Err(back) => right = back,
            }
        }
        let ids: Vec<EntityId> = right.iter().map(|intent| intent.write.id.clone()).collect();
        let writes = right.into_iter().map(|intent| intent.write).collect();
        let outcomes = self.store.commit(&call.tenant, writes, call.now).await?;
        let mut seen = rustc_hash::FxHashSet::default();
        for (id, outcome) in ids.into_iter().zip(outcomes) {
            match outcome {
                Err(refusal) => batch.failed.push((Some(id.as_str().to_owned()), refusal.into())),
                Ok(change) if !change.outcome.untouched.is_empty() => {
                    let error = Error::Untouched(change.outcome.untouched);
                    batch.failed.push((Some(id.as_str().to_owned()), error));
                }
                Ok(_) if !seen.insert(id.clone()) => {}
                Ok(change) if change.outcome.created => batch.created.push(id),
                Ok(_) => batch.changed.push(id),
            }
        }
        Ok(batch)
    }
}

fn target(id: Option<&EntityId>) -> Result<EntityId, Error> {
    id.cloned().ok_or_else(|| Error::bad("the element has no id"))
}
