//! Dead letters: notifications that could not be delivered, kept until somebody looks at them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::backlog::Item;
use super::entry::{Entry, What};
use super::sources::Parcel;
use super::turn::{Went, met};
use super::{Inner, Met, Notifier};
use crate::egress::Message;
use crate::model::{SubscriptionId, TenantId, Timestamp};
use crate::store::{Records, Shelf, StoreError};

/// A notification that could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// What it is called by; letters are ordered by it, older changes first.
    pub id: String,
    pub subscription: String,
    pub notification_id: String,
    /// The first event that it tells of.
    pub sequence: u64,
    /// Where it was to go, without a password.
    pub uri: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_tried: Option<String>,
    /// When it was given up, or last tried.
    pub last_tried: String,
    pub attempts: u32,
    pub reason: String,
    /// What the receiver answered, if it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    pub headers: BTreeMap<String, String>,
    /// The notification; absent if it was too long to be kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<String>,
}

/// Which dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    One(String),
    Of(SubscriptionId),
    All,
}

/// Which dead letters each tenant has, by their ids with their subscriptions.
#[derive(Default)]
pub(super) struct Kept(Mutex<HashMap<TenantId, BTreeMap<String, String>>>);

fn shelf(tenant: &TenantId) -> Shelf {
    Shelf::of(tenant, "dead-letters")
}

/// The headers that a message may have; names come back as they are known here.
const HEADERS: [&str; 5] =
    ["Content-Type", "Link", "NGSILD-Tenant", "NGSILD-Snapshot", "NGSILD-EntityMap"];

impl Notifier {
    /// The dead letters of a tenant, or of one subscription, after one of them, oldest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn dead_letters(
        &self,
        tenant: &TenantId,
        subscription: Option<&SubscriptionId>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let keys = self.inner.dead_keys(tenant).await?;
        let wanted = keys.into_iter().filter(|(key, own)| {
            after.is_none_or(|after| key.as_str() > after)
                && subscription.is_none_or(|wanted| wanted.as_str() == own)
        });
        let mut letters = Vec::new();
        for (key, _) in wanted.take(limit) {
            letters.extend(self.dead_letter(tenant, &key).await?);
        }
        Ok(letters)
    }

    /// How many dead letters a tenant has, by subscription.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn dead_counts(
        &self,
        tenant: &TenantId,
    ) -> Result<BTreeMap<String, usize>, StoreError> {
        let mut counts = BTreeMap::new();
        for subscription in self.inner.dead_keys(tenant).await?.into_values() {
            *counts.entry(subscription).or_default() += 1;
        }
        Ok(counts)
    }

    /// One dead letter.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn dead_letter(
        &self,
        tenant: &TenantId,
        id: &str,
    ) -> Result<Option<DeadLetter>, StoreError> {
        match Records::on(&*self.inner.store, shelf(tenant)).get(id).await {
            Err(StoreError::UnknownTenant(_)) => Ok(None),
            found => found,
        }
    }

    /// Lets dead letters be tried once more, soon; how many. Those that arrive are forgotten, the
    /// others stay.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn replay_dead(&self, tenant: &TenantId, pick: &Pick) -> Result<usize, StoreError> {
        let mut count = 0;
        for (key, subscription) in self.inner.picked(tenant, pick).await? {
            let id = SubscriptionId::from_trusted(&subscription);
            let Some(entry) = self.inner.register.get(tenant, &id) else { continue };
            let mut state = entry.state.lock();
            if !state.replays.contains(&key) {
                state.replays.push_back(key);
            }
            count += 1;
            state.not_before = None;
            self.inner.nudge(&entry, &mut state);
        }
        Ok(count)
    }

    /// Forgets dead letters; how many.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn drop_dead(&self, tenant: &TenantId, pick: &Pick) -> Result<usize, StoreError> {
        let mut count = 0;
        for (key, _) in self.inner.picked(tenant, pick).await? {
            count += usize::from(self.inner.drop_letter(tenant, &key).await?);
        }
        Ok(count)
    }
}

impl Inner {
    /// The dead letters of a tenant: id and subscription. Read once from the store, or each time
    /// if others write there too.
    async fn dead_keys(&self, tenant: &TenantId) -> Result<BTreeMap<String, String>, StoreError> {
        if !self.store.is_shared()
            && let Some(known) = self.dead.0.lock().get(tenant)
        {
            return Ok(known.clone());
        }
        let records = match self.store.records(&shelf(tenant)).await {
            Err(StoreError::UnknownTenant(_)) => return Ok(BTreeMap::new()),
            records => records?,
        };
        let subscription =
            |record: &serde_json::Value| Some(record.get("subscription")?.as_str()?.to_owned());
        let keys: BTreeMap<String, String> = records
            .into_iter()
            .map(|(key, record)| {
                let of = subscription(&record).unwrap_or_default();
                (key, of)
            })
            .collect();
        self.dead.0.lock().insert(tenant.clone(), keys.clone());
        Ok(keys)
    }

    async fn picked(
        &self,
        tenant: &TenantId,
        pick: &Pick,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let keys = self.dead_keys(tenant).await?.into_iter();
        Ok(match pick {
            Pick::All => keys.collect(),
            Pick::One(id) => keys.filter(|(key, _)| key == id).collect(),
            Pick::Of(wanted) => keys.filter(|(_, own)| own == wanted.as_str()).collect(),
        })
    }

    async fn drop_letter(&self, tenant: &TenantId, key: &str) -> Result<bool, StoreError> {
        let taken = self.store.take_record(&shelf(tenant), key).await?;
        if let Some(keys) = self.dead.0.lock().get_mut(tenant) {
            keys.remove(key);
        }
        Ok(taken)
    }

    /// Makes a dead letter of the first items.
    pub(super) async fn bury(
        &self,
        entry: &Arc<Entry>,
        what: &What,
        items: Vec<Item>,
        why: &str,
    ) -> Result<Went, StoreError> {
        let parcels = self.parcels(entry, what, &items).await?;
        self.bury_parcels(entry, what, parcels, why).await?;
        let mut state = entry.state.lock();
        state.done(items.len(), &self.budget);
        self.soil(entry, &mut state);
        Ok(Went::On(Met::Nobody))
    }

    /// Makes dead letters of notifications.
    pub(super) async fn bury_parcels(
        &self,
        entry: &Entry,
        what: &What,
        parcels: Vec<Parcel>,
        why: &str,
    ) -> Result<(), StoreError> {
        for Parcel { first, page, id, message, .. } in parcels {
            let trouble = entry.state.lock().trouble.clone();
            let whose = id.rsplit(':').nth(1).unwrap_or_default();
            let letter = DeadLetter {
                // Its place in time, then whose it is.
                id: match page {
                    0 => format!("{first:016x}-{whose}"),
                    page => format!("{first:016x}-{whose}-{page}"),
                },
                subscription: entry.id.as_str().to_owned(),
                notification_id: id,
                sequence: first,
                uri: what.target.uri().to_owned(),
                first_tried: trouble.as_ref().map(|trouble| trouble.since.to_string()),
                last_tried: Timestamp::now().to_string(),
                attempts: trouble.as_ref().map_or(0, |trouble| trouble.attempts),
                reason: why.to_owned(),
                status: trouble.and_then(|trouble| trouble.status),
                headers: message
                    .headers
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect(),
                body: (message.body.len() <= self.settings.dead_letter_body.bytes())
                    .then(|| String::from_utf8_lossy(&message.body).into_owned()),
            };
            self.keep_letter(&entry.tenant, &letter).await?;
            self.tallies.of(&entry.tenant).dead.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                subscription = %entry.id, uri = what.target.uri(), reason = why,
                "a notification became a dead letter"
            );
        }
        Ok(())
    }

    async fn keep_letter(&self, tenant: &TenantId, letter: &DeadLetter) -> Result<(), StoreError> {
        let most = self.settings.dead_letters.max(1);
        if !self.dead.0.lock().contains_key(tenant) {
            self.dead_keys(tenant).await?;
        }
        let surplus: Vec<String> = {
            let all = self.dead.0.lock();
            let keys = all.get(tenant).into_iter().flat_map(BTreeMap::keys);
            let others = keys.filter(|key| **key != letter.id);
            let count = all.get(tenant).map_or(0, BTreeMap::len);
            others.take((count + 1).saturating_sub(most)).cloned().collect()
        };
        for key in surplus {
            tracing::warn!(%tenant, letter = key, "the oldest dead letter is dropped: too many");
            self.drop_letter(tenant, &key).await?;
        }
        Records::on(&*self.store, shelf(tenant)).put(&letter.id, letter).await?;
        if let Some(keys) = self.dead.0.lock().get_mut(tenant) {
            keys.insert(letter.id.clone(), letter.subscription.clone());
        }
        Ok(())
    }

    /// Tries a dead letter once more.
    pub(super) async fn replay(
        &self,
        entry: &Arc<Entry>,
        what: &What,
        key: &str,
    ) -> Result<Went, StoreError> {
        let records: Records<'_, DeadLetter> = Records::on(&*self.store, shelf(&entry.tenant));
        let Some(mut letter) = records.get(key).await? else { return Ok(Went::On(Met::Nobody)) };
        let Some(body) = letter.body.clone() else { return Ok(Went::On(Met::Nobody)) };
        let header = |(name, value): (&String, &String)| {
            let known = HEADERS.iter().find(|known| known.eq_ignore_ascii_case(name));
            known.map(|known| (*known, value.clone()))
        };
        let headers = letter.headers.iter().filter_map(header).collect();
        let message = Message { body: body.into(), headers };
        let begun = std::time::Instant::now();
        // Listeners heard it from the log, if it has one to tell of.
        let sent = match what.target.is_stream() {
            true => self.send(entry, what, None, &message).await,
            false => self.deliver(what, &message).await,
        };
        match sent {
            Ok(()) => {
                self.drop_letter(&entry.tenant, key).await?;
                Ok(Went::On(self.succeeded(entry, begun)))
            }
            Err(error) => {
                letter.attempts += 1;
                letter.last_tried = Timestamp::now().to_string();
                letter.reason = error.to_string();
                letter.uri = what.target.uri().to_owned();
                records.put(key, &letter).await?;
                entry.state.lock().report.failed(Timestamp::now());
                Ok(Went::On(met(&error)))
            }
        }
    }
}
