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
        let call = Call { tenant: self.tenant.clone(), now, context, origin: None };
        let outcome = match self.mode {
            Mode::Replace => self.broker.batch_upsert(&call, Existing::Replace, elements).await,
            Mode::Update => self.broker.batch_upsert(&call, Existing::Update, elements).await,
            Mode::History => self.broker.batch_evolve(&call, elements).await,
        };
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

#[cfg(test)]
mod tests {
    use super::super::Place;
    use super::*;
    use crate::config::Config;

    async fn broker(folder: &std::path::Path) -> Arc<Broker> {
        let mut config = Config::default();
        config.store.data = folder.join("data");
        Arc::new(Broker::open(&config).await.expect("the folder is empty"))
    }

    fn item(json: &str, context: ItemContext) -> Item {
        let id = json.split('"').nth(3).unwrap_or_default().into();
        Item { place: Place::default(), id, json: json.into(), context }
    }

    async fn attributes(broker: &Broker, tenant: &TenantId, id: &str) -> Vec<String> {
        let id = EntityId::parse(id).expect("is a URI");
        let stored = broker.store().get(tenant, &id, Timestamp::now()).await;
        let stored = stored.expect("the tenant is there").expect("the entity is there");
        stored.attributes.iter().map(|(name, _)| name.as_str().to_owned()).collect()
    }

    #[tokio::test]
    async fn each_item_has_its_verdict() {
        let folder = tempfile::tempdir().expect("a folder");
        let broker = broker(folder.path()).await;
        let tenant = TenantId::named("Lampang").expect("is a name");
        let chosen = r#"{"speed": "https://example.org/speed"}"#.to_owned();
        let context = ContextChoice::Inline(chosen);
        let sink = LocalSink::new(broker.clone(), tenant.clone(), context, Mode::Update)
            .expect("the context is one");
        let batch = [
            item(r#"{"id": "urn:a:1", "type": "T", "speed": 1}"#, ItemContext::Chosen),
            item(
                r#"{"id": "urn:a:2", "type": "T", "speed": {"type": "Property"}}"#,
                ItemContext::Chosen,
            ),
            item(r#"{"id": "urn:a:1", "type": "T", "other": 1}"#, ItemContext::Chosen),
            item(
                r#"{"id": "urn:a:3", "type": "T", "x": 1, "@context": {"x": "https://example.org/x"}}"#,
                ItemContext::Own,
            ),
            item(r#"{"id": "no uri", "type": "T"}"#, ItemContext::Chosen),
            item(r#"{"id": "urn:a:4""#, ItemContext::Chosen),
        ];
        let verdicts = sink.upsert(&batch).await.expect("the store is well");
        let words: Vec<&str> = verdicts
            .iter()
            .map(|verdict| match verdict {
                Verdict::Created => "created",
                Verdict::Updated => "updated",
                Verdict::Taken => "taken",
                Verdict::Refused(_) => "refused",
            })
            .collect();
        assert_eq!(words, ["created", "refused", "updated", "created", "refused", "refused"]);
        let names = attributes(&broker, &tenant, "urn:a:1").await;
        let other = "https://uri.etsi.org/ngsi-ld/default-context/other";
        assert_eq!(names, ["https://example.org/speed", other]);
        assert_eq!(attributes(&broker, &tenant, "urn:a:3").await, ["https://example.org/x"]);
    }

    #[tokio::test]
    async fn a_context_that_is_none_ends_the_import() {
        let folder = tempfile::tempdir().expect("a folder");
        let context = ContextChoice::Inline("7".into());
        let broker = broker(folder.path()).await;
        let sink = LocalSink::new(broker, TenantId::DEFAULT, context, Mode::Replace);
        let batch = [item(r#"{"id": "urn:a:1", "type": "T"}"#, ItemContext::Chosen)];
        let error = sink.expect("it is JSON").upsert(&batch).await.expect_err("it is none");
        assert!(matches!(error, SinkError::Denied(_)), "{error}");
    }
}
