//! Delete Subscription (5.8.5), Delete Context Source Registration Subscription (5.11.6).

use super::making::Making;
use super::subscriptions::{Edit, no_subscription};
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
        let updating = all.updating.lock().await;
        let context = all.notifier.context_of(&call.tenant, id);
        let making = Making::of(all, &call.tenant, id);
        if !all.edit(&call.tenant, about, id, Edit::Take, call.now).await? {
            return Err(no_subscription(id));
        }
        all.notifier.remove(&call.tenant, id).await?;
        making.done();
        self.hub.end(&call.tenant, id);
        if let Some(context) = context {
            all.forget_context(&call.tenant, &context).await;
        }
        drop(updating);
        all.notifier.settle().await;
        Ok(())
    }
}
