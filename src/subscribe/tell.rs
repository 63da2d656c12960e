//! Making a notification of changes: what they were, what they link to, and how it is written.

use rustc_hash::FxHashMap;

use super::Inner;
use super::backlog::{Held, Item};
use super::entry::{Entry, What};
use super::matching;
use crate::egress::Message;
use crate::model::{TenantId, Timestamp};
use crate::represent::notification::{Notice, Told};
use crate::represent::{Linked, Links};
use crate::store::{Event, StoreError};

/// Events that are no farther apart are read together, so many at once.
const NEAR: u64 = 16;
const PAGE: u64 = 64;

impl Inner {
    /// What is to be told of some items: what is only in the log is read from there, and what
    /// only linked entities can decide is decided.
    pub(super) async fn told(
        &self,
        entry: &Entry,
        what: &What,
        items: &[Item],
    ) -> Result<Vec<Told>, StoreError> {
        let mut all = Vec::with_capacity(items.len());
        let events = self.events_of(items).await?;
        for item in items {
            let held = item
                .held
                .clone()
                .or_else(|| Some(Held::new(events.get(&item.first)?, events.get(&item.last)?)));
            let Some(held) = held else {
                let (id, event) = (&entry.id, item.first);
                tracing::error!(subscription = %id, event, "an event is no longer there");
                continue;
            };
            let told = Told { before: held.before, after: held.after, at: item.at };
            // Created and deleted while it was waiting.
            if told.before.is_none() && told.after.is_none() {
                continue;
            }
            if !item.ask || self.holds(entry, what, &told).await? {
                all.push(told);
            }
        }
        Ok(all)
    }

    /// The events of items that are only in the log.
    pub(super) async fn events_of(
        &self,
        items: &[Item],
    ) -> Result<FxHashMap<u64, Event>, StoreError> {
        let away = items.iter().filter(|item| item.held.is_none());
        let mut wanted: Vec<u64> = away.flat_map(|item| [item.first, item.last]).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut found = FxHashMap::default();
        let mut wanted = wanted.into_iter().peekable();
        while let Some(first) = wanted.next() {
            let mut last = first;
            // Neighbours come with one look.
            while let Some(next) = wanted.next_if(|next| next - last <= NEAR) {
                last = next;
            }
            let mut after = first - 1;
            while after < last {
                let page = self.store.events(after, (last - after).min(PAGE) as usize).await?;
                let Some(end) = page.last() else { break };
                after = end.sequence;
                found.extend(page.into_iter().map(|event| (event.sequence, event)));
            }
        }
        Ok(found)
    }

    /// Whether a query that follows links holds.
    async fn holds(&self, entry: &Entry, what: &What, told: &Told) -> Result<bool, StoreError> {
        let notice = Notice {
            subscription: &what.subscription,
            tenant: &entry.tenant,
            id: "",
            notified_at: Timestamp::now(),
        };
        let linked = match notice.lookups(told) {
            Some(links) => self.follow_links(&entry.tenant, links).await?,
            None => Linked::default(),
        };
        let before = told.before.as_deref().map(|stored| &stored.entity);
        let after = told.after.as_deref().map(|stored| &stored.entity);
        Ok(matching::holds(&what.subscription, before, after, told.at, &linked))
    }

    async fn follow_links(
        &self,
        tenant: &TenantId,
        mut links: Links<'_>,
    ) -> Result<Linked, StoreError> {
        loop {
            let wanted = links.wanted();
            if wanted.is_empty() {
                return Ok(links.finish());
            }
            links.found(self.store.get_many(tenant, &wanted, Timestamp::now()).await?);
        }
    }

    /// The notification of what is to be told; None if nothing of it is to be shown.
    pub(super) async fn render(
        &self,
        entry: &Entry,
        what: &What,
        told: &[Told],
        id: &str,
        notified_at: Timestamp,
    ) -> Result<Option<Message>, StoreError> {
        if told.is_empty() {
            return Ok(None);
        }
        let notice =
            Notice { subscription: &what.subscription, tenant: &entry.tenant, id, notified_at };
        let linked = self.follow_links(&entry.tenant, notice.links(told)).await?;
        let written = notice.write(told, &linked);
        Ok(written.map(|written| Message { body: written.body, headers: written.headers }))
    }
}
