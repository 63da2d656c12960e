//! Create Subscription (5.8.1), Create Context Source Registration Subscription (5.11.2).

use std::sync::Arc;

use super::making::Making;
use super::subscriptions::{Edit, check_expiry};
use super::{About, Broker, Call, Error};
use crate::jsonld::Document;
use crate::model::SubscriptionId;
use crate::represent::subscription::{Draft, Setting};
use crate::store::StoreError;

impl Broker {
    /// Creates a subscription and returns its id; one that is there already is refused. When this
    /// returns, changes are told; of registrations, all that match are told first. 5.8.1, 5.11.2.
    pub async fn create_subscription(
        &self,
        call: &Call,
        about: About,
        body: &Document<'_>,
    ) -> Result<SubscriptionId, Error> {
        self.create_subscription_of(call, about, body, None).await
    }

    /// The same for a request that passed other brokers: `via` says which. Copies of the
    /// subscription are not planted at those.
    pub async fn create_subscription_of(
        &self,
        call: &Call,
        about: About,
        body: &Document<'_>,
        via: Option<String>,
    ) -> Result<SubscriptionId, Error> {
        let draft = Draft::accept(body, &call.context, &self.query_limits)?;
        check_expiry(draft.expires_at()?, call.now)?;
        let setting = Setting {
            id: draft.id.clone().unwrap_or_else(new_id),
            context: call.context.clone(),
            context_address: Arc::from(""),
            created_at: call.now,
            modified_at: call.now,
        };
        // Nothing is fetched or hosted for what will be refused.
        let all = self.subscriptions();
        let mut subscription = about.read(&draft, setting, &all.limits)?;
        all.notifier.check(&call.tenant, &subscription)?;
        all.notifier.admit(&subscription)?;
        let wanted = draft.jsonld_context();
        (subscription.context, subscription.context_address) =
            all.context_of_notifications(&call.tenant, wanted, &call.context, call.now).await?;
        subscription.snapshot = all.snapshot(&call.tenant).await?;
        subscription.since = all.since().await?;
        let id = subscription.id.clone();
        if let Some(via) = via.filter(|_| about == About::Entities) {
            let known = match all.records(&call.tenant, about).get(id.as_str()).await {
                // Which it is about to bring into being.
                Err(StoreError::UnknownTenant(_)) => None,
                known => known?,
            };
            // On record before anybody can plant a copy.
            if known.is_none() {
                self.note_way(&call.tenant, &id, via).await?;
            }
        }
        let making = Making::of(all, &call.tenant, &id);
        if !all.edit(&call.tenant, about, &id, Edit::Add(&subscription), call.now).await? {
            making.done();
            return Err(Error::AlreadyExists(format!("there is a subscription {id} already")));
        }
        if let Err(error) = all.notifier.put(&call.tenant, Arc::new(subscription)) {
            all.edit(&call.tenant, about, &id, Edit::Take, call.now).await?;
            return Err(error.into());
        }
        making.done();
        all.notifier.settle().await;
        Ok(id)
    }
}

fn new_id() -> SubscriptionId {
    let id = format!("urn:ngsi-ld:Subscription:{}", uuid::Uuid::now_v7());
    SubscriptionId::from_trusted(&id)
}
