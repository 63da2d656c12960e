//! Query Subscriptions (5.8.4), Query Context Source Registration Subscriptions (5.11.5).

use super::{About, Broker, Call, Error, PageTexts, Subscribed};

/// A page of subscriptions.
#[derive(Debug, Default)]
pub struct SubscriptionPage {
    pub subscriptions: Vec<Subscribed>,
    /// How many there are in all, if it was asked.
    pub count: Option<u64>,
    /// Whether there are more after these.
    pub more: bool,
}

impl Broker {
    /// The subscriptions of a tenant, ordered by id, a page at a time. 5.8.4, 5.11.5.
    pub async fn query_subscriptions(
        &self,
        call: &Call,
        about: About,
        texts: &PageTexts,
    ) -> Result<SubscriptionPage, Error> {
        let page = self.page(texts)?;
        let all = self.subscriptions();
        let (records, count) =
            all.records(&call.tenant, about).page(page.offset, page.limit).await?;
        let mut subscriptions = Vec::with_capacity(records.len());
        for (_, record) in &records {
            let subscription = all.shown(about, record)?;
            let report = all.notifier.report(&call.tenant, &subscription.id).await?;
            subscriptions.push(Subscribed { subscription, report });
        }
        let more = page.offset.saturating_add(subscriptions.len()) < count && page.limit > 0;
        Ok(SubscriptionPage { subscriptions, count: page.count.then_some(count as u64), more })
    }
}
