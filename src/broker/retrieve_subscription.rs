//! Retrieve Subscription (5.8.3), Retrieve Context Source Registration Subscription (5.11.4).

use super::{About, Broker, Call, Error, Subscribed};
use crate::model::SubscriptionId;

impl Broker {
    /// Retrieves a subscription and what came of its notifications. 5.8.3, 5.11.4.
    pub async fn retrieve_subscription(
        &self,
        call: &Call,
        about: About,
        id: &SubscriptionId,
    ) -> Result<Subscribed, Error> {
        let all = self.subscriptions();
        let subscription = all.shown(about, &all.record(&call.tenant, about, id).await?)?;
        let report = all.notifier.report(&call.tenant, id).await?;
        Ok(Subscribed { subscription, report })
    }
}
