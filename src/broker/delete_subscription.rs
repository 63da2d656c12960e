//! Delete Subscription (5.8.5), Delete Context Source Registration Subscription (5.11.6).

use super::subscriptions::no_subscription;
use super::{About, Broker, Call, Error};
use crate::model::SubscriptionId;

impl Broker {
    /// Deletes a subscription; nothing is told from now on, not even what is due. 5.8.5,
    /// 5.11.6.
    pub async fn delete_subscription(
        &self,
        call: &Call,
        about: About,
        id: &SubscriptionId,
    ) -> Result<(), Error> {
        let all = self.subscriptions();
        let _updating = all.updating.lock().await;
        if !all.records(&call.tenant, about).take(id.as_str()).await? {
            return Err(no_subscription(id));
        }
        let context = all.notifier.context_of(&call.tenant, id);
        all.notifier.remove(&call.tenant, id).await?;
        self.hub.end(&call.tenant, id);
        if let Some(context) = context {
            all.forget_context(&call.tenant, &context).await;
        }
        Ok(())
    }
}
