//! A sink that is the broker of this process: batch upsert (5.6.8) without a network.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;

use super::{ContextChoice, Item, ItemContext, Mode, Sink, SinkError, Verdict};
use crate::broker::{Broker, Call, Element, Error, Existing};
use crate::jsonld::{Context, ContextSource, Document};
use crate::model::{EntityId, TenantId, Timestamp};

/// The broker of this process.
pub struct LocalSink {
    broker: Arc<Broker>,
    tenant: TenantId,
    mode: Mode,
    chosen: Chosen,
}

/// The context of items that bring none.
enum Chosen {
    Default,
    Url(String),
    Inline(Document<'static>),
}

impl LocalSink {
    /// Gets ready to import into a broker.
    pub fn new(
        broker: Arc<Broker>,
        tenant: TenantId,
        context: ContextChoice,
        mode: Mode,
    ) -> Result<Self, SinkError> {
        let chosen = match context {
            ContextChoice::Default => Chosen::Default,
            ContextChoice::Url(url) => Chosen::Url(url),
            ContextChoice::Inline(text) => Chosen::Inline(document(&text)?),
        };
        Ok(Self { broker, tenant, mode, chosen })
    }

    /// The context of an item that brings none.
    async fn context(
        &self,
        wanted: ItemContext,
        now: Timestamp,
    ) -> Result<Arc<Context>, SinkError> {
        let contexts = self.broker.contexts();
        let text;
        let shipped;
        let source = match (&self.chosen, wanted) {
            (Chosen::Url(url), _) => ContextSource::Url(url),
            (Chosen::Inline(document), _) => ContextSource::Inline(document),
            (Chosen::Default, ItemContext::Shipped(id)) => {
                text = contexts.serve(&self.tenant, id, now).map_err(|why| denied(&why))?;
                shipped = document(&text)?;
                ContextSource::Inline(&shipped)
            }
            (Chosen::Default, _) => ContextSource::Default,
        };
        contexts.resolve(&self.tenant, source, now).await.map_err(|why| denied(&why))
    }

    async fn element<'a>(
        &self,
        item: &'a Item,
        given: &Arc<Context>,
        now: Timestamp,
    ) -> Result<Element<'a>, Error> {
        let mut document = Document::parse(&item.json, &self.broker.parse_limits())?;
        let context = match document.remove("@context") {
            Some(own) => {
                let source = ContextSource::Inline(&own);
                self.broker.contexts().resolve(&self.tenant, source, now).await?
            }
            None => given.clone(),
        };
        Ok(Element { document, context: Ok(context) })
    }

    /// Upserts items that have their context from the same place.
    async fn send(&self, items: &[Item], now: Timestamp) -> Result<Vec<Verdict>, SinkError> {
        let wanted = items.first().map_or(ItemContext::Chosen, |item| item.context);
        let context = self.context(wanted, now).await?;
        let mut elements = Vec::with_capacity(items.len());
        let mut verdicts = Vec::with_capacity(items.len());
        for item in items {
            match self.element(item, &context, now).await {
                Ok(element) => {
                    elements.push(element);
                    verdicts.push(Verdict::Updated);
                }
                Err(why) => verdicts.push(Verdict::Refused(why.to_string())),
            }
        }
        let call = Call { tenant: self.tenant.clone(), now, context };
        let existing = match self.mode {
            Mode::Replace => Existing::Replace,
            Mode::Update => Existing::Update,
        };
        let outcome = self.broker.batch_upsert(&call, existing, elements).await;
        let mut outcome = outcome.map_err(|why| SinkError::Broken(why.to_string()))?;
        // An id that occurs twice is created once; its failures are told in order.
        let mut created: HashSet<&str> = outcome.created.iter().map(EntityId::as_str).collect();
        outcome.failed.reverse();
        for (item, verdict) in items.iter().zip(&mut verdicts) {
            if matches!(verdict, Verdict::Refused(_)) {
                continue;
            }
            let is_this = |(id, _): &(Option<String>, Error)| id.as_deref() == Some(&*item.id);
            if let Some(at) = outcome.failed.iter().rposition(is_this) {
                *verdict = Verdict::Refused(outcome.failed.remove(at).1.to_string());
            } else if created.remove(&*item.id) {
                *verdict = Verdict::Created;
            }
        }
        Ok(verdicts)
    }
}

#[async_trait]
impl Sink for LocalSink {
    async fn upsert(&self, batch: &[Item]) -> Result<Vec<Verdict>, SinkError> {
        let now = Timestamp::now();
        let mut verdicts = Vec::with_capacity(batch.len());
        for items in batch.chunk_by(|a, b| a.context == b.context) {
            verdicts.extend(self.send(items, now).await?);
        }
        Ok(verdicts)
    }
}

fn document(text: &str) -> Result<Document<'static>, SinkError> {
    let document = Document::parse_tolerant(text.as_bytes(), &Default::default());
    document.map(Document::into_owned).map_err(|why| denied(&why))
}

fn denied(why: &dyn std::error::Error) -> SinkError {
    SinkError::Denied(format!("the @context cannot be used: {why}"))
}
