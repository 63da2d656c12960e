//! Subscriptions at sources (5.8.1.4, 5.8.6): whoever subscribes here is told of what happens there.
//! A copy of the subscription, reduced to what a source registered, is planted at it; what the
//! source then tells is told on under the own subscription.

mod copy;
mod told;
mod ways;

use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::subscriptions::About as Kind;
use super::super::{Broker, Error};
use super::ask::Heard;
use crate::egress::Method;
use crate::federate::{Draft, Health, Naming, Source, path_part};
use crate::model::{SubscriptionId, TenantId, Timestamp};
use crate::represent::registration::{
    Operation, ReadLimits as RegistrationLimits, RegistrationRecord,
};
use crate::represent::subscription::Timing;
use crate::store::{Records, Shelf, StoreError};

/// Copies of subscriptions at sources.
pub(in crate::broker) struct Planted {
    /// By their ids there, as far as this broker heard of them.
    known: Mutex<HashMap<String, (TenantId, Plant)>>,
    /// Held while copies are brought in line.
    leveling: tokio::sync::Mutex<()>,
    /// The tenants whose copies somebody is about to bring in line.
    due: Mutex<HashSet<TenantId>>,
    /// Who this broker is among those that share the store.
    holder: String,
}

impl Default for Planted {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            leveling: tokio::sync::Mutex::default(),
            due: Mutex::default(),
            holder: uuid::Uuid::now_v7().to_string(),
        }
    }
}

/// A copy of a subscription at a source.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Plant {
    subscription: String,
    /// The registration as it was, to find the copy when it is gone.
    registration: RegistrationRecord,
    /// What the copy says.
    body: String,
    /// Since when it is to go, while its source does not answer (as [`Timestamp::bits`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaving: Option<i64>,
}

/// Where the copies of a tenant's subscriptions are noted.
pub(in crate::broker) const PLANTED: &str = "planted";

impl Plant {
    /// Whether the source is still where the copy was planted.
    fn lies_at(&self, source: &Source) -> bool {
        let before = self.registration.registration(&RegistrationLimits::of_kept());
        let now = &source.registration;
        before.is_ok_and(|before| before.endpoint == now.endpoint && before.tenant == now.tenant)
    }

    fn is_in_line(&self, source: &Source, body: &str) -> bool {
        self.body == body && self.leaving.is_none() && self.lies_at(source)
    }
}

/// What the ids of copies begin with.
const PREFIX: &str = "urn:ngsi-ld:Subscription:distsub:";

/// The path that sources tell.
pub const INBOX: &str = "/ngsi-ld/ex/remote-notify";

/// How long one request to a source may take here, where nobody waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// For how long it is tried to remove a copy from a source that does not answer.
const FAREWELL_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// Among brokers that share a store one at a time brings copies in line, and for how long the right
/// to do so lasts if its holder is gone.
const LEASE: &str = "planted";
const TTL: Duration = Duration::from_secs(60);

/// How many copies are planted, changed and removed at once.
const AT_ONCE: usize = 16;

impl Broker {
    fn copies(&self, tenant: &TenantId) -> Records<'_, Plant> {
        Records::on(&*self.store, Shelf::of(tenant, PLANTED))
    }

    /// Reads which copies there are, when the broker starts.
    pub async fn recall_planted(&self) -> Result<(), Error> {
        for tenant in self.store.tenants().await? {
            let all = match self.copies(&tenant).all().await {
                Err(StoreError::UnknownTenant(_)) => continue,
                all => all?,
            };
            let all = all.into_iter().map(|(id, copy)| (id, (tenant.clone(), copy)));
            self.federation.planted.known.lock().extend(all);
        }
        Ok(())
    }

    /// Brings the copies of all tenants in line: what was not done at once, and what changed by
    /// itself.
    pub async fn level_all(&self) -> Result<(), Error> {
        let mut tenants = self.federation.register.tenants();
        {
            let known = self.federation.planted.known.lock();
            tenants.extend(known.values().map(|(tenant, _)| tenant.clone()));
        }
        for tenant in tenants {
            self.level(&tenant).await?;
        }
        Ok(())
    }

    /// How often the copies of all tenants should be brought in line.
    pub fn level_interval(&self) -> Duration {
        self.federation.settings.level.max(Duration::from_secs(1))
    }

    /// Brings the copies of a tenant's subscriptions in line with its subscriptions and
    /// registrations: plants, changes and removes them.
    ///
    /// Whether all of that was done; what was not is to be tried again. Somebody who waits for the
    /// same does it for all who come meanwhile.
    pub async fn level(&self, tenant: &TenantId) -> Result<bool, Error> {
        let planted = &self.federation.planted;
        if !planted.due.lock().insert(tenant.clone()) {
            return Ok(true);
        }
        let _leveling = planted.leveling.lock().await;
        planted.due.lock().remove(tenant);
        if !self.store.is_shared() {
            return self.level_now(tenant).await;
        }
        if !self.store.claim(LEASE, &planted.holder, TTL).await? {
            return Ok(false);
        }
        let done = self.level_now(tenant).await;
        self.store.release(LEASE, &planted.holder).await?;
        done
    }

    async fn level_now(&self, tenant: &TenantId) -> Result<bool, Error> {
        let now = Timestamp::now();
        // Another broker may have planted some.
        let mut known = match self.copies(tenant).all().await {
            Err(StoreError::UnknownTenant(_)) => Vec::new(),
            known => known?,
        };
        // One that is to go is of use only if there is no other.
        known.sort_by_key(|(_, copy)| copy.leaving.is_some());
        if known.is_empty() && !self.federation.register.has(tenant) {
            return Ok(true);
        }
        let mut jobs = Vec::new();
        let mut wanted = self.wanted(tenant, now).await?;
        for (id, copy) in known {
            let key = (copy.subscription.clone(), copy.registration.id.clone());
            match wanted.remove(&key) {
                Some((source, body)) if copy.is_in_line(&source, &body) => {}
                Some((source, body)) => {
                    jobs.push(self.change_copy(tenant, id, copy, source, body).boxed());
                }
                None => jobs.push(self.remove_copy(tenant, id, copy, now).boxed()),
            }
        }
        for ((subscription, _), (source, body)) in wanted {
            jobs.push(self.plant(tenant, subscription, source, body).boxed());
        }
        // A source that does not answer keeps nobody else waiting.
        let done = stream::iter(jobs).buffer_unordered(AT_ONCE);
        done.try_fold(true, |all, one| ready(Ok(all & one))).await
    }

    /// What should be planted: by subscription and registration, the source and the copy.
    async fn wanted(
        &self,
        tenant: &TenantId,
        now: Timestamp,
    ) -> Result<HashMap<(String, String), (Arc<Source>, String)>, Error> {
        let mut wanted = HashMap::new();
        let all = self.subscriptions();
        let records = match all.records(tenant, Kind::Entities).all().await {
            Err(StoreError::UnknownTenant(_)) => return Ok(wanted),
            records => records?,
        };
        self.forget_ways(tenant, &records).await?;
        for (_, record) in records {
            let Ok(subscription) = all.told(tenant, Kind::Entities, &record, now).await else {
                continue;
            };
            let timed = matches!(subscription.timing, Timing::Every(_));
            let over = subscription.expires_at.is_some_and(|end| end <= now);
            if subscription.local_only || timed || over {
                continue;
            }
            for (source, body) in self.copies_of(tenant, &subscription, now).await? {
                let key = (subscription.id.as_str().to_owned(), source.id().to_owned());
                wanted.insert(key, (source, body));
            }
        }
        Ok(wanted)
    }

    async fn plant(
        &self,
        tenant: &TenantId,
        subscription: String,
        source: Arc<Source>,
        body: String,
    ) -> Result<bool, Error> {
        let id = format!("{PREFIX}{}", uuid::Uuid::now_v7());
        let registration = source.registration.record();
        let copy = Plant { subscription, registration, body: body.clone(), leaving: None };
        // Noted before it is planted, so that the first notification is not lost.
        self.note_copy(tenant, &id, copy.clone()).await?;
        let with_id = body.replacen('{', &format!("{{\"id\":{},", json!(id)), 1);
        let draft = Draft::new(Method::POST, "/subscriptions").with_object(with_id);
        let planted = is_done(&self.about_copy(tenant, &copy, &source, &draft).await?);
        if !planted {
            // It may have been planted though nobody said so.
            self.remove_copy(tenant, id, copy, Timestamp::now()).await?;
        }
        Ok(planted)
    }

    async fn change_copy(
        &self,
        tenant: &TenantId,
        id: String,
        copy: Plant,
        source: Arc<Source>,
        body: String,
    ) -> Result<bool, Error> {
        if !copy.lies_at(&source) || !source.supports(Operation::UpdateSubscription) {
            let subscription = copy.subscription.clone();
            self.remove_copy(tenant, id, copy, Timestamp::now()).await?;
            return self.plant(tenant, subscription, source, body).await;
        }
        let path = format!("/subscriptions/{}", path_part(&id));
        let draft = Draft::new(Method::PATCH, path).with_object(body.clone());
        let heard = self.about_copy(tenant, &copy, &source, &draft).await?;
        if matches!(&heard, Heard::Reply(reply) if reply.status == 404) {
            // It was lost there.
            self.forget_copy(tenant, &id).await?;
            return self.plant(tenant, copy.subscription, source, body).await;
        }
        if is_done(&heard) {
            let registration = source.registration.record();
            let copy = Plant { body, registration, leaving: None, ..copy };
            self.note_copy(tenant, &id, copy).await?;
        }
        Ok(is_done(&heard))
    }

    /// Removes a copy; false if its source does not answer, and it is to be tried again. Who is not
    /// registered any more is told once: it may never be back.
    async fn remove_copy(
        &self,
        tenant: &TenantId,
        id: String,
        copy: Plant,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let limits = RegistrationLimits::of_kept();
        if let Ok(registration) = copy.registration.registration(&limits) {
            let source = Arc::new(Source::new(Arc::new(registration), Health::default()));
            if source.supports(Operation::DeleteSubscription) {
                let path = format!("/subscriptions/{}", path_part(&id));
                let draft = Draft::new(Method::DELETE, path);
                let heard = self.about_copy(tenant, &copy, &source, &draft).await?;
                let since = copy.leaving.map_or(now, Timestamp::from_bits);
                let tried = now.micros().saturating_sub(since.micros());
                let registration = &source.registration.id;
                let is_there = self.federation.register.get(tenant, registration).is_some();
                if matches!(heard, Heard::Silence(_)) && is_there && tried < FAREWELL_MICROS {
                    let leaving = Some(since.bits());
                    self.note_copy(tenant, &id, Plant { leaving, ..copy }).await?;
                    return Ok(false);
                }
            }
        }
        self.forget_copy(tenant, &id).await?;
        Ok(true)
    }

    async fn note_copy(&self, tenant: &TenantId, id: &str, copy: Plant) -> Result<(), Error> {
        self.copies(tenant).put(id, &copy).await?;
        let mut known = self.federation.planted.known.lock();
        known.insert(id.to_owned(), (tenant.clone(), copy));
        Ok(())
    }

    async fn forget_copy(&self, tenant: &TenantId, id: &str) -> Result<(), Error> {
        self.federation.planted.known.lock().remove(id);
        match self.copies(tenant).take(id).await {
            Ok(_) | Err(StoreError::UnknownTenant(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a request about a copy.
    async fn about_copy(
        &self,
        tenant: &TenantId,
        copy: &Plant,
        source: &Arc<Source>,
        draft: &Draft,
    ) -> Result<Heard, Error> {
        let id = SubscriptionId::from_trusted(&copy.subscription);
        let origin = self.origin_of(tenant, &id).await?;
        let all = self.subscriptions();
        let record = all.records(tenant, Kind::Entities).get(&copy.subscription).await;
        let naming = match record.ok().flatten() {
            Some(record) => {
                let told = all.told(tenant, Kind::Entities, &record, Timestamp::now()).await;
                told.map_or_else(
                    |_| Naming::plain(),
                    |own| Naming::of_client(&own.context, true, source),
                )
            }
            None => Naming::plain(),
        };
        Ok(self.tell(&origin, source, draft, &naming).await)
    }
}

fn is_done(heard: &Heard) -> bool {
    matches!(heard, Heard::Reply(reply) if (200..300).contains(&reply.status))
}
