//! What subscriptions that tell by the clock are about (5.8.6): here and at sources.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::super::{Broker, Call, Error, QueryTexts};
use crate::model::{Stored, TenantId, Timestamp};
use crate::query::{EntityPlan, Page};
use crate::represent::Rendering;
use crate::represent::subscription::Subscription;
use crate::subscribe::Elsewhere;

impl Elsewhere for Broker {
    fn entities<'a>(
        &'a self,
        tenant: &'a TenantId,
        subscription: &'a Subscription,
    ) -> BoxFuture<'a, Option<Vec<Arc<Stored>>>> {
        async move {
            if subscription.local_only || !self.federates(tenant) {
                return None;
            }
            match self.subscribed(tenant, subscription).await {
                Ok(found) => found,
                Err(error) => {
                    let id = &subscription.id;
                    tracing::warn!(%tenant, subscription = %id, %error, "told of what is here alone");
                    None
                }
            }
        }
        .boxed()
    }
}

impl Broker {
    /// All entities that a subscription is about; None if no source is concerned. A source that
    /// does not answer costs its share.
    async fn subscribed(
        &self,
        tenant: &TenantId,
        subscription: &Subscription,
    ) -> Result<Option<Vec<Arc<Stored>>>, Error> {
        let origin = Arc::new(self.origin_of(tenant, &subscription.id).await?);
        let call = Call {
            tenant: tenant.clone(),
            now: Timestamp::now(),
            context: subscription.context.clone(),
            origin: Some(origin.clone()),
        };
        let most = self.federation.settings.entities;
        let page = Page { limit: most.saturating_sub(1).max(1), ..Page::default() };
        let plan = EntityPlan { order: None, page, ..subscription.plan.clone() };
        let texts =
            QueryTexts { split_entities: subscription.split_entities, ..QueryTexts::default() };
        let rendering = Rendering::default();
        let mut asked = self.asked(&call, &plan, &texts, &rendering)?;
        asked.sources.clone_from(&subscription.sources);
        let Some(matched) = self.query_legs(&call, &origin, &asked, &rendering) else {
            return Ok(None);
        };
        let before = Some(self.turned.nothing());
        let found = self.query_everywhere(&call, &origin, &asked, &matched, before).await?;
        for warning in &found.warnings {
            tracing::warn!(%tenant, subscription = %subscription.id, %warning, "a source did not tell");
        }
        Ok(Some(found.entities))
    }
}
