//! Retrieve Subscription (5.8.3).

use super::{Broker, Call, Error, Subscribed};
use crate::model::SubscriptionId;

impl Broker {
    /// Retrieves a subscription and what came of its notifications. 5.8.3.
    pub async fn retrieve_subscription(
        &self,
        call: &Call,
        id: &SubscriptionId,
    ) -> Result<Subscribed, Error> {
        let all = self.subscriptions();
        let subscription = all.shown(&all.record(&call.tenant, id).await?)?;
        let report = all.notifier.report(&call.tenant, id).await?;
        Ok(Subscribed { subscription, report })
    }
}
