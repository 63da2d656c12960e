//! What the operations on subscriptions share: how they are kept, read and made known.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::making::InTheMaking;
use super::snapshots::snapshot_in;
use super::{Broker, Error};
use crate::config::Limits;
use crate::jsonld::{Context, ContextSource, Contexts};
use crate::model::{Change, EntityId, Outcome, SubscriptionId, TenantId, Timestamp};
use crate::query::{self, Lookups};
use crate::represent::subscription::{
    DeliveryReport, Draft, ReadLimits, Setting, Subscription, SubscriptionError, SubscriptionRecord,
};
use crate::store::{Note, RecordEdit, Records, Shelf, Store, StoreError, Topic};
use crate::subscribe::{Keeper, Notifier};

/// A subscription and what came of its notifications.
#[derive(Debug, Clone)]
pub struct Subscribed {
    pub subscription: Subscription,
    pub report: DeliveryReport,
}

/// What subscriptions are about; each id is that of one subscription only, whatever it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum About {
    /// Entities (5.8).
    Entities,
    /// Registrations (5.11).
    Sources,
}

impl About {
    /// Both.
    pub(super) const ALL: [About; 2] = [About::Entities, About::Sources];

    /// Where the subscriptions of a tenant lie.
    const fn shelf(self) -> &'static str {
        match self {
            About::Entities => "subscriptions",
            About::Sources => "registration-subscriptions",
        }
    }

    /// What lies on a shelf.
    pub(super) fn of_shelf(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|about| about.shelf() == name)
    }

    /// The subscription that some members make.
    pub(super) fn read(
        self,
        draft: &Draft,
        setting: Setting,
        limits: &ReadLimits,
    ) -> Result<Subscription, SubscriptionError> {
        match self {
            About::Entities => draft.read(setting, limits),
            About::Sources => draft.read_about_sources(setting, limits),
        }
    }

    fn read_record(
        self,
        record: &SubscriptionRecord,
        context: Arc<Context>,
        limits: &ReadLimits,
    ) -> Result<Subscription, SubscriptionError> {
        match self {
            About::Entities => record.subscription(context, limits),
            About::Sources => record.subscription_about_sources(context, limits),
        }
    }
}

/// What is to become of what is kept of a subscription.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edit<'s> {
    Add(&'s Subscription),
    Replace(&'s Subscription),
    Take,
}

/// How long whoever hears of another broker's subscription waits for its context.
const CONTEXT_PATIENCE: Duration = Duration::from_secs(1);

/// The subscriptions that are kept, and who tells them.
pub struct Subscriptions {
    me: Weak<Self>,
    pub(super) store: Arc<dyn Store>,
    pub(super) contexts: Arc<Contexts>,
    pub(super) notifier: Notifier,
    pub(super) limits: ReadLimits,
    pub(super) making: InTheMaking,
    /// Held while a subscription is changed.
    pub(super) updating: tokio::sync::Mutex<()>,
}

impl Subscriptions {
    /// The subscriptions in a store.
    pub(super) fn new(
        store: Arc<dyn Store>,
        contexts: Arc<Contexts>,
        notifier: Notifier,
        limits: &Limits,
        query: query::Limits,
    ) -> Arc<Self> {
        let Limits { join_level, join_entities, join_bytes, query_links, .. } = *limits;
        let (join_bytes, lookups) = (join_bytes.bytes(), Lookups(query_links));
        let limits = ReadLimits { query, lookups, join_level, join_entities, join_bytes };
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            store,
            contexts,
            notifier,
            limits,
            making: InTheMaking::default(),
            updating: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn records(
        &self,
        tenant: &TenantId,
        about: About,
    ) -> Records<'_, SubscriptionRecord> {
        Records::on(&*self.store, Shelf::of(tenant, about.shelf()))
    }

    /// The record of a subscription.
    pub(super) async fn record(
        &self,
        tenant: &TenantId,
        about: About,
        id: &SubscriptionId,
    ) -> Result<SubscriptionRecord, Error> {
        let record = self.records(tenant, about).get(id.as_str()).await?;
        record.ok_or_else(|| no_subscription(id))
    }

    /// The subscription of a record as it is shown: without the context of its notifications.
    pub(super) fn shown(
        &self,
        about: About,
        record: &SubscriptionRecord,
    ) -> Result<Subscription, Error> {
        Ok(about.read_record(record, Context::core(), &self.limits)?)
    }

    /// The subscription of a record as it is told.
    pub(super) async fn told(
        &self,
        tenant: &TenantId,
        about: About,
        record: &SubscriptionRecord,
        now: Timestamp,
    ) -> Result<Subscription, Error> {
        let context = self.notifying_context(tenant, &record.context, now).await;
        let mut subscription = about.read_record(record, context, &self.limits)?;
        subscription.snapshot = self.snapshot(tenant).await?;
        Ok(subscription)
    }

    /// The snapshot that a tenant holds, if it is a place for one.
    pub(super) async fn snapshot(&self, tenant: &TenantId) -> Result<Option<Arc<str>>, StoreError> {
        Ok(snapshot_in(&*self.store, tenant).await?.map(Arc::from))
    }

    /// The context at an address. Without it names are written in full, which is right under any
    /// context: a subscription outlives the host of its context.
    async fn notifying_context(
        &self,
        tenant: &TenantId,
        address: &str,
        now: Timestamp,
    ) -> Arc<Context> {
        match self.contexts.look_up(&tenant.home(), ContextSource::Url(address), now).await {
            Ok(context) => context,
            Err(error) => {
                tracing::warn!(address, %error, "notifications go without short names");
                Context::core()
            }
        }
    }

    /// The context of notifications and its address: that of `jsonldContext`, or else that of the
    /// request, which is hosted here if it came inside a body (5.2.12).
    pub(super) async fn context_of_notifications(
        &self,
        tenant: &TenantId,
        wanted: Option<&str>,
        request: &Arc<Context>,
        now: Timestamp,
    ) -> Result<(Arc<Context>, Arc<str>), Error> {
        // Receivers know the tenant, and not the snapshot that it may be about.
        let tenant = &tenant.home();
        if let Some(url) = wanted {
            let context = self.contexts.resolve(tenant, ContextSource::Url(url), now).await?;
            return Ok((context, url.into()));
        }
        let id = uuid::Uuid::now_v7().to_string();
        let address = self.contexts.address_of(tenant, request, &id, now).await?;
        Ok((request.clone(), address))
    }

    /// Forgets a context that was hosted for notifications, unless others still name it.
    pub(super) async fn forget_context(&self, tenant: &TenantId, address: &str) {
        if self.notifier.names_context(address) {
            return;
        }
        if let Err(error) = self.contexts.forget_implicit(&tenant.home(), address).await {
            tracing::warn!(address, %error, "a context that nothing names any more is left");
        }
    }

    /// Tells the notifier of every subscription that is kept, and returns how many there are. One
    /// that cannot be read, or sent to, is left out and said so.
    pub(super) async fn load(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut loaded = 0;
        for tenant in self.store.tenants().await? {
            let mut records = Vec::new();
            for about in About::ALL {
                match self.records(&tenant, about).all().await {
                    Err(StoreError::UnknownTenant(_)) => continue,
                    some => records.extend(some?.into_iter().map(|(id, one)| (about, id, one))),
                }
            }
            let mut contexts: HashMap<String, Arc<Context>> = HashMap::new();
            let snapshot = self.snapshot(&tenant).await?;
            for (about, id, record) in records {
                let context = match contexts.get(&record.context) {
                    Some(context) => context.clone(),
                    None => self.notifying_context(&tenant, &record.context, now).await,
                };
                contexts.insert(record.context.clone(), context.clone());
                match self.load_one(&tenant, about, &record, context, snapshot.clone()) {
                    Ok(()) => loaded += 1,
                    Err(error) => {
                        tracing::error!(%tenant, id, %error, "a subscription is not served");
                    }
                }
            }
        }
        Ok(loaded)
    }

    fn load_one(
        &self,
        tenant: &TenantId,
        about: About,
        record: &SubscriptionRecord,
        context: Arc<Context>,
        snapshot: Option<Arc<str>>,
    ) -> Result<(), Error> {
        let mut subscription = about.read_record(record, context, &self.limits)?;
        subscription.snapshot = snapshot;
        Ok(self.notifier.put(tenant, Arc::new(subscription))?)
    }

    /// Where the log of events stands, if several brokers may share the store: what comes later comes
    /// after a subscription that is made now.
    pub(super) async fn since(&self) -> Result<Option<u64>, StoreError> {
        Ok(match self.notifier.is_shared() {
            true => Some(self.store.latest_event().await?),
            false => None,
        })
    }

    /// Changes what is kept of a subscription; false if it is not as the edit wants it. Where several
    /// brokers share the store the log tells the others of it, in its place among all changes.
    pub(super) async fn edit(
        &self,
        tenant: &TenantId,
        about: About,
        id: &SubscriptionId,
        edit: Edit<'_>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if !self.notifier.is_shared() {
            let records = self.records(tenant, about);
            return Ok(match edit {
                Edit::Add(one) => records.add(id.as_str(), &one.record()).await?,
                Edit::Replace(one) => {
                    records.put(id.as_str(), &one.record()).await?;
                    true
                }
                Edit::Take => records.take(id.as_str()).await?,
            });
        }
        let json = |one: &Subscription| {
            let json = serde_json::to_value(one.record());
            json.map_err(|error| Error::Internal(error.to_string()))
        };
        let edit = match edit {
            Edit::Add(one) => RecordEdit::Add(json(one)?),
            Edit::Replace(one) => RecordEdit::Replace(json(one)?),
            Edit::Take => RecordEdit::Take,
        };
        let change = Change {
            id: EntityId::from_trusted(id.as_str()),
            at: now,
            before: None,
            after: None,
            outcome: Outcome::default(),
        };
        let note = Note { topic: Topic::Subscription, change };
        let shelf = Shelf::of(tenant, about.shelf());
        Ok(self.store.note_record(&shelf, id.as_str(), edit, vec![note]).await?)
    }

    /// Brings the notifier up to what is kept of a subscription, after it was changed somewhere.
    pub(super) async fn refresh(
        &self,
        tenant: &TenantId,
        id: &SubscriptionId,
    ) -> Result<(), Error> {
        // Whoever changes it here is quicker.
        self.making.over(tenant, id).await;
        let known = self.notifier.version(tenant, id).map(Timestamp::bits);
        for about in About::ALL {
            match self.records(tenant, about).get(id.as_str()).await {
                Ok(None) | Err(StoreError::UnknownTenant(_)) => {}
                // It was this broker that changed it.
                Ok(Some(record)) if known == Some(record.modified_at) => return Ok(()),
                Ok(Some(record)) => return self.take_over(tenant, about, &record).await,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.notifier.remove(tenant, id).await?)
    }

    /// Takes a subscription as others made it. Nobody waits long for its context: until it is there,
    /// names are written in full.
    async fn take_over(
        &self,
        tenant: &TenantId,
        about: About,
        record: &SubscriptionRecord,
    ) -> Result<(), Error> {
        let now = Timestamp::now();
        let context = self.notifying_context(tenant, &record.context, now);
        let found = tokio::time::timeout(CONTEXT_PATIENCE, context).await;
        let is_late = found.is_err();
        let context = found.unwrap_or_else(|_| Context::core());
        let snapshot = self.snapshot(tenant).await?;
        self.load_one(tenant, about, record, context, snapshot.clone())?;
        if let Some(all) = self.me.upgrade().filter(|_| is_late) {
            let (tenant, record) = (tenant.clone(), record.clone());
            tokio::spawn(async move {
                let context = all.notifying_context(&tenant, &record.context, now).await;
                let id = SubscriptionId::from_trusted(&record.id);
                let known = all.notifier.version(&tenant, &id).map(Timestamp::bits);
                if known == Some(record.modified_at) {
                    // It was taken just now, so it is taken.
                    let _ = all.load_one(&tenant, about, &record, context, snapshot);
                }
            });
        }
        Ok(())
    }
}

impl Keeper for Subscriptions {
    fn renew<'a>(
        &'a self,
        tenant: &'a TenantId,
        id: &'a SubscriptionId,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            match self.refresh(tenant, id).await {
                Err(Error::Store(error)) if !matches!(error, StoreError::BadRecord { .. }) => {
                    Err(error)
                }
                Err(error) => {
                    // To wait for it would be in vain.
                    tracing::error!(%tenant, %id, %error, "a subscription is not served");
                    Ok(())
                }
                Ok(()) => Ok(()),
            }
        })
    }

    fn renew_all(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            for (tenant, id) in self.notifier.known() {
                self.renew(&tenant, &id).await?;
            }
            self.load(Timestamp::now()).await.map(drop)
        })
    }
}

impl Broker {
    /// The subscriptions.
    pub(super) fn subscriptions(&self) -> &Arc<Subscriptions> {
        &self.subscriptions
    }
}

pub(super) fn no_subscription(id: &SubscriptionId) -> Error {
    Error::NotFound(format!("there is no subscription {id}"))
}

/// What has expired before it begins is refused (5.8.1.4, 5.8.2.4).
pub(super) fn check_expiry(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
    match expires_at {
        Some(end) if end <= now => {
            Err(Error::bad(format!("$.expiresAt: {end} has passed; a subscription ends later")))
        }
        _ => Ok(()),
    }
}

impl From<SubscriptionError> for Error {
    fn from(error: SubscriptionError) -> Self {
        match error {
            SubscriptionError::Read(error) => Error::Read(error),
            SubscriptionError::TooComplex(error) => Error::Query(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use serde_json::{Value, json};

    use super::*;
    use crate::broker::Call;
    use crate::config::{Config, Durability};
    use crate::jsonld::{Document, ParseLimits};

    const MANY: usize = 100_000;

    fn call() -> Call {
        Call {
            tenant: TenantId::DEFAULT,
            now: Timestamp::now(),
            context: Context::core(),
            origin: None,
        }
    }

    async fn create(broker: &Broker, body: Value) {
        let text = body.to_string();
        let document = Document::parse(text.as_bytes(), &ParseLimits::default()).unwrap();
        match body["type"].as_str() {
            Some("Subscription") => {
                drop(
                    broker.create_subscription(&call(), About::Entities, &document).await.unwrap(),
                );
            }
            _ => drop(broker.create_entity(&call(), &document).await.unwrap()),
        }
    }

    /// Lays down as many subscriptions as one, each to another thing.
    async fn multiply(broker: &Broker) {
        let shelf = Shelf::of(&TenantId::DEFAULT, About::Entities.shelf());
        let first = broker.store.record(&shelf, "urn:s:0").await.unwrap().unwrap().to_string();
        let numbers: Vec<usize> = (1..MANY).collect();
        for some in numbers.chunks(1_000) {
            let puts = some.iter().map(|number| {
                let record = first.replace("urn:s:0", &format!("urn:s:{number}"));
                let record = record.replace("urn:x:0", &format!("urn:x:{number}"));
                let record = serde_json::from_str(&record).unwrap();
                let (broker, shelf) = (&broker, &shelf);
                async move {
                    let key = format!("urn:s:{number}");
                    broker.store.put_record(shelf, &key, record).await.unwrap();
                }
            });
            join_all(puts).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_hundred_thousand_subscriptions_are_there_after_a_restart_and_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.data = folder.path().to_owned();
        config.store.durability = Durability::Every(Duration::from_millis(100));
        let broker = Broker::open(&config).await.unwrap();
        let subscription = json!({
            "id": "urn:s:0", "type": "Subscription",
            "entities": [{"id": "urn:x:0", "type": "Thing"}],
            "notification": {"endpoint": {"uri": "lanna:events"}},
        });
        create(&broker, subscription).await;
        multiply(&broker).await;
        broker.close().await.unwrap();
        drop(broker);
        let broker = Broker::open(&config).await.unwrap();
        let tenant = TenantId::DEFAULT;
        let overview = || broker.notifier().overview(&tenant, None, MANY + 1);
        assert_eq!(overview().len(), MANY);
        create(&broker, json!({"id": "urn:x:77777", "type": "Thing", "speed": 1})).await;
        let one = SubscriptionId::from_trusted("urn:s:77777");
        for _ in 0..6_000 {
            if broker.notifier().report(&tenant, &one).await.unwrap().times_sent > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let sent: Vec<_> = overview().into_iter().filter(|one| one.times_sent > 0).collect();
        let ids: Vec<&str> = sent.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["urn:s:77777"]);
        broker.close().await.unwrap();
    }
}
