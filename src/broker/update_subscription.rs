//! Update Subscription (5.8.2), Update Context Source Registration Subscription (5.11.3).

use std::sync::Arc;

use super::making::Making;
use super::subscriptions::{Edit, check_expiry, no_subscription};
use super::{About, Broker, Call, Error};
use crate::jsonld::Document;
use crate::model::SubscriptionId;
use crate::represent::subscription::{Draft, Setting};

impl Broker {
    /// Replaces members of a subscription, or takes them away (5.5.8). Its status follows from
    /// `isActive` and `expiresAt` as they are then. Of registrations, all that match are told
    /// anew. 5.8.2, 5.11.3.
    pub async fn update_subscription(
        &self,
        call: &Call,
        about: About,
        id: &SubscriptionId,
        body: &Document<'_>,
    ) -> Result<(), Error> {
        let fragment = Draft::fragment(body, &call.context, &self.query_limits)?;
        if let Some(own) = fragment.id.as_ref().filter(|own| *own != id) {
            return Err(Error::bad(format!("the body is about {own}, but the request about {id}")));
        }
        check_expiry(fragment.expires_at()?, call.now)?;
        // One update at a time, so that none is lost between reading and writing.
        let all = self.subscriptions();
        let updating = all.updating.lock().await;
        let record = all.record(&call.tenant, about, id).await?;
        let before = all.told(&call.tenant, about, &record, call.now).await?;
        // What it asked for before it may go on asking for, whatever the limits are now.
        let limits = match fragment.asks_for_more() {
            true => all.limits,
            false => all.limits.of_kept(),
        };
        let wanted = fragment.jsonld_context().map(str::to_owned);
        let forgets = fragment.forgets_jsonld_context();
        let mut draft = before.draft().clone();
        draft.amend(fragment);
        let setting = Setting {
            id: id.clone(),
            context: before.context.clone(),
            context_address: before.context_address.clone(),
            created_at: before.created_at,
            modified_at: call.now,
        };
        let mut after = about.read(&draft, setting, &limits)?;
        after.since = before.since;
        after.snapshot.clone_from(&before.snapshot);
        all.notifier.check(&call.tenant, &after)?;
        if after.notification.endpoint.uri != before.notification.endpoint.uri {
            all.notifier.admit(&after)?;
        }
        if wanted.is_some() || forgets {
            (after.context, after.context_address) = all
                .context_of_notifications(&call.tenant, wanted.as_deref(), &call.context, call.now)
                .await?;
        }
        let making = Making::of(all, &call.tenant, id);
        if !all.edit(&call.tenant, about, id, Edit::Replace(&after), call.now).await? {
            return Err(no_subscription(id));
        }
        all.notifier.put(&call.tenant, Arc::new(after))?;
        making.done();
        all.forget_context(&call.tenant, &before.context_address).await;
        drop(updating);
        all.notifier.settle().await;
        Ok(())
    }
}
