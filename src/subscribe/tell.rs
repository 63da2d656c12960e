//! Making a notification of changes: what they were, what they link to, and how it is written.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Inner;
use super::backlog::{Held, Item};
use super::entry::{Entry, What};
use super::matching;
use crate::egress::Message;
use crate::model::{EntityId, Stored, TenantId, Timestamp};
use crate::query::{Lookup, Lookups};
use crate::represent::notification::{Notice, Told};
use crate::represent::{Linked, Links};
use crate::store::{Event, StoreError};

/// Events that are no farther apart are read together, so many at once.
const NEAR: u64 = 16;
const PAGE: u64 = 64;

/// What is to be told of the first items.
pub(super) struct Gathered {
    pub told: Vec<Told>,
    /// Of how many items that is; of the others it is to be seen next.
    pub count: usize,
    /// Why nobody can say whether it is to be told; then it is one item's.
    pub unclear: Option<String>,
}

/// Whether a query that follows links holds.
enum Holds {
    Yes,
    No,
    Unclear(String),
}

/// Linked entities, as far as they were asked for; None stands for one that is not there.
struct Followed {
    known: FxHashMap<EntityId, Option<Arc<Stored>>>,
    most: Lookups,
    missing: RefCell<FxHashSet<EntityId>>,
    too_much: Cell<bool>,
}

impl Lookup for Followed {
    fn entity(&self, id: &EntityId) -> Option<Arc<Stored>> {
        match self.known.get(id) {
            Some(entity) => entity.clone(),
            None => {
                self.missing.borrow_mut().insert(id.clone());
                None
            }
        }
    }

    fn most(&self) -> Lookups {
        self.most
    }

    fn was_too_much(&self) {
        self.too_much.set(true);
    }
}

impl Inner {
    /// What is to be told of some items: what is only in the log is read from there, and what
    /// only linked entities can decide is decided.
    pub(super) async fn told(
        &self,
        entry: &Entry,
        what: &What,
        items: &[Item],
    ) -> Result<Gathered, StoreError> {
        let mut all = Vec::with_capacity(items.len());
        let events = self.events_of(items).await?;
        for (count, item) in items.iter().enumerate() {
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
            let holds = match item.ask {
                true => self.holds(entry, what, &told).await?,
                false => Holds::Yes,
            };
            match holds {
                Holds::Yes => all.push(told),
                Holds::No => {}
                Holds::Unclear(_) if count > 0 => {
                    return Ok(Gathered { told: all, count, unclear: None });
                }
                Holds::Unclear(why) => {
                    return Ok(Gathered { told: vec![told], count: 1, unclear: Some(why) });
                }
            }
        }
        Ok(Gathered { told: all, count: items.len(), unclear: None })
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

    /// Whether a query that follows links holds: the entities that it asks for are fetched until it
    /// asks for no more.
    async fn holds(&self, entry: &Entry, what: &What, told: &Told) -> Result<Holds, StoreError> {
        let plan = &what.subscription.plan;
        let too_much = || Holds::Unclear(plan.too_many_lookups().to_string());
        let mut followed = Followed {
            known: FxHashMap::default(),
            most: plan.lookups,
            missing: RefCell::default(),
            too_much: Cell::new(false),
        };
        let before = told.before.as_deref().map(|stored| &stored.entity);
        let after = told.after.as_deref().map(|stored| &stored.entity);
        loop {
            let holds = matching::holds(&what.subscription, before, after, told.at, &followed);
            let wanted: Vec<EntityId> = followed.missing.take().into_iter().collect();
            if followed.too_much.get() || followed.known.len() + wanted.len() > plan.lookups.0 {
                return Ok(too_much());
            }
            if wanted.is_empty() {
                return Ok(if holds { Holds::Yes } else { Holds::No });
            }
            let now = Timestamp::now();
            let found = self.store.get_many(&entry.tenant, &wanted, now).await?;
            followed.known.extend(wanted.into_iter().map(|id| (id, None)));
            followed.known.extend(found.into_iter().map(|one| (one.id.clone(), Some(one))));
        }
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
