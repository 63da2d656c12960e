//! Subscriptions to registrations (5.11.7): told of all that match when they begin, then of those
//! that come, change or go, or of all by the clock.

use std::sync::Arc;
use std::time::Instant;

use super::backlog::{Held, Item};
use super::entry::{Entry, State, What, notification_id};
use super::tell::Gathered;
use super::turn::{Went, ends, met};
use super::{Inner, Met};
use crate::egress::Message;
use crate::model::{Stored, TenantId, Timestamp};
use crate::represent::registration::{
    ReadLimits, Registration, RegistrationRecord, SourceNotice, TriggerReason,
};
use crate::represent::subscription::{Status, Subscription};
use crate::store::{Records, Shelf, StoreError};

/// The shelf where the registrations of a tenant lie, by their ids.
pub const REGISTRATIONS: &str = "registrations";

/// How many registrations go into one notification; more follow in further ones.
const PAGE: usize = 500;

/// A registration before and after a change.
pub(super) struct Sources {
    before: Option<Arc<Registration>>,
    after: Option<Arc<Registration>>,
}

impl Sources {
    /// What the entities of an event hold.
    pub fn of(before: &Option<Arc<Stored>>, after: &Option<Arc<Stored>>) -> Self {
        let read = |stored: &Option<Arc<Stored>>| {
            let record = RegistrationRecord::of_entity(&stored.as_ref()?.entity)?;
            registration(&record)
        };
        Self { before: read(before), after: read(after) }
    }

    /// Why a subscription is told of it; None if it is not.
    pub fn reason(&self, subscription: &Subscription, at: Timestamp) -> Option<TriggerReason> {
        subscription.reason(self.before.as_deref(), self.after.as_deref(), at)
    }

    /// What is told: what it is, or what it was if it is gone.
    fn latest(self) -> Option<Arc<Registration>> {
        self.after.or(self.before)
    }
}

/// The registration of a record; what was accepted once is not measured again.
fn registration(record: &RegistrationRecord) -> Option<Arc<Registration>> {
    match record.registration(&ReadLimits::of_kept()) {
        Ok(registration) => Some(Arc::new(registration)),
        Err(error) => {
            tracing::error!(id = record.id, %error, "a registration that is kept cannot be read");
            None
        }
    }
}

/// A notification and what it tells of.
pub(super) struct Parcel {
    /// The first event that it tells of.
    pub first: u64,
    /// Which part of what is told of that event.
    pub page: usize,
    pub id: String,
    pub message: Message,
    /// Nobody can say whether it is to be told.
    pub unclear: bool,
}

/// How sending several notifications went.
enum Sent {
    All(Met),
    Failed {
        met: Met,
        /// When to try again, unless that is in vain.
        at: Option<Instant>,
        why: String,
        /// What was not sent.
        rest: Vec<Parcel>,
    },
}

impl Inner {
    /// The notifications of some items: one for entities, if there is anything to show of them, and
    /// of each by itself where that is unclear; for registrations one for each reason in turn.
    pub(super) async fn parcels(
        &self,
        entry: &Entry,
        what: &What,
        items: &[Item],
    ) -> Result<Vec<Parcel>, StoreError> {
        let about_sources = what.subscription.about_sources.is_some();
        let (mut parcels, mut rest) = (Vec::new(), items);
        while !rest.is_empty() {
            let (count, parcel) = match about_sources {
                true => self.first_of_sources(entry, what, rest).await?,
                false => self.first_of_entities(entry, what, rest).await?,
            };
            parcels.extend(parcel);
            rest = &rest[count..];
        }
        Ok(parcels)
    }

    /// The first items that are told together, and their notification.
    async fn first_of_entities(
        &self,
        entry: &Entry,
        what: &What,
        items: &[Item],
    ) -> Result<(usize, Option<Parcel>), StoreError> {
        let Gathered { told, count, unclear } = self.told(entry, what, items).await?;
        let (first, last) = ends(&items[..count]);
        let id = notification_id(entry, first, last);
        let message = self.render(entry, what, &told, &id, Timestamp::now()).await?;
        let unclear = unclear.is_some();
        Ok((count, message.map(|message| Parcel { first, page: 0, id, message, unclear })))
    }

    /// The first items that are told for the same reason, and their notification.
    async fn first_of_sources(
        &self,
        entry: &Entry,
        what: &What,
        items: &[Item],
    ) -> Result<(usize, Option<Parcel>), StoreError> {
        let events = self.events_of(items).await?;
        let (mut count, mut common, mut told) = (0, None, Vec::new());
        for item in items {
            let held = item
                .held
                .clone()
                .or_else(|| Some(Held::new(events.get(&item.first)?, events.get(&item.last)?)));
            let sources = held.map(|held| Sources::of(&held.before, &held.after));
            let reason =
                sources.as_ref().and_then(|sources| sources.reason(&what.subscription, item.at));
            match (reason, common) {
                (None, _) => {}
                (Some(_), None) => common = reason,
                (Some(own), Some(common)) if own == common => {}
                _ => break,
            }
            count += 1;
            told.extend(sources.filter(|_| reason.is_some()).and_then(Sources::latest));
        }
        let Some(reason) = common else { return Ok((count, None)) };
        let (first, last) = ends(&items[..count]);
        let id = notification_id(entry, first, last);
        let message = self.notice(entry, what, &told, &id, reason);
        Ok((count, Some(Parcel { first, page: 0, id, message, unclear: false })))
    }

    fn notice(
        &self,
        entry: &Entry,
        what: &What,
        told: &[Arc<Registration>],
        id: &str,
        reason: TriggerReason,
    ) -> Message {
        let notice = SourceNotice {
            subscription: &what.subscription,
            tenant: &entry.tenant,
            id,
            notified_at: Timestamp::now(),
            reason,
        };
        let written = notice.write(told);
        Message { body: written.body, headers: written.headers }
    }

    /// Tells a subscription of some registrations that came, changed or went.
    pub(super) async fn tell_of_sources(
        &self,
        entry: &Arc<Entry>,
        what: &What,
        items: Vec<Item>,
    ) -> Result<Went, StoreError> {
        let (count, parcel) = self.first_of_sources(entry, what, &items).await?;
        let Some(parcel) = parcel else {
            self.done(entry, count);
            return Ok(Went::On(Met::Nobody));
        };
        let (_, last) = ends(&items[..count]);
        let begun = Instant::now();
        match self.send(entry, what, Some(last), &parcel.message).await {
            Ok(()) => {
                self.done(entry, count);
                Ok(Went::On(self.succeeded(entry, begun)))
            }
            Err(error) if error.is_permanent() => {
                self.failed(entry, what, &error);
                let first = items.into_iter().take(count).collect();
                self.bury(entry, what, first, &error.to_string()).await?;
                Ok(Went::On(met(&error)))
            }
            Err(error) => {
                let at = self.failed(entry, what, &error);
                Ok(Went::Wait(met(&error), at))
            }
        }
    }

    /// Lets a subscription to registrations be told of all that there are, unless this version of
    /// it was told already.
    pub(super) fn set_beginning(&self, entry: &Arc<Entry>, state: &mut State) {
        let subscription = &entry.what.load().subscription;
        let version = subscription.modified_at;
        let due = subscription.about_sources.is_some()
            && subscription.status(Timestamp::now()) == Status::Active
            && self.slots.is_held(entry.slot)
            && state.begun != Some(version);
        state.beginning = due.then_some(version);
        state.beginning_since = Some(Timestamp::now());
    }

    /// Tells of all registrations that match. What waits tells of itself.
    pub(super) async fn tell_beginning(
        &self,
        entry: &Arc<Entry>,
        what: &What,
        version: Timestamp,
    ) -> Result<Went, StoreError> {
        let mut all = self.matching_sources(&entry.tenant, &what.subscription).await?;
        {
            let state = entry.state.lock();
            // What changed since then was kept as an event, whether it waits yet or not.
            let since = state.beginning_since;
            all.retain(|one| {
                since.is_none_or(|since| one.modified_at <= since)
                    && !state.backlog.waits_for(one.id.as_str())
            });
        }
        let number = version.micros() as u64;
        let went = self.tell_pages(entry, what, &all, number, TriggerReason::NewlyMatching).await;
        let went = match went {
            Sent::All(met) => Went::On(met),
            Sent::Failed { met, at, .. } if !self.is_hopeless(entry) && at.is_some() => {
                return Ok(Went::Wait(met, at.unwrap_or_else(Instant::now)));
            }
            Sent::Failed { met, why, rest, .. } => {
                self.bury_parcels(entry, what, rest, &why).await?;
                Went::On(met)
            }
        };
        let mut state = entry.state.lock();
        state.begun = Some(version);
        // It may have been changed once more already.
        if state.beginning == Some(version) {
            state.beginning = None;
        }
        self.soil(entry, &mut state);
        Ok(went)
    }

    /// Whether its receiver has failed for longer than it is tried.
    fn is_hopeless(&self, entry: &Entry) -> bool {
        let patience = self.settings.retry_for.as_micros().min(i64::MAX as u128) as i64;
        let since = entry.state.lock().trouble.as_ref().map(|trouble| trouble.since);
        since.is_some_and(|since| since.plus_micros(patience) <= Timestamp::now())
    }

    /// Tells of all registrations that match, since a time interval has passed.
    pub(super) async fn tell_all_sources(
        &self,
        entry: &Arc<Entry>,
        what: &What,
        tick: Timestamp,
    ) -> Result<Went, StoreError> {
        let all = self.matching_sources(&entry.tenant, &what.subscription).await?;
        let number = tick.micros() as u64;
        let went = self.tell_pages(entry, what, &all, number, TriggerReason::Updated).await;
        match went {
            Sent::Failed { met, at: Some(at), .. } => Ok(Went::Wait(met, at)),
            // The next time it is due tells all of it anew.
            Sent::All(met) | Sent::Failed { met, .. } => {
                self.ticked(entry, tick);
                Ok(Went::On(met))
            }
        }
    }

    /// Sends as many notifications as it takes. After a failure that may pass all are sent again.
    async fn tell_pages(
        &self,
        entry: &Arc<Entry>,
        what: &What,
        all: &[Arc<Registration>],
        number: u64,
        reason: TriggerReason,
    ) -> Sent {
        let mut last = Met::Nobody;
        let parcel = |page: usize, some: &[Arc<Registration>]| {
            let id = notification_id(entry, number, page as u64);
            let message = self.notice(entry, what, some, &id, reason);
            Parcel { first: number, page, id, message, unclear: false }
        };
        let mut pages = all.chunks(PAGE).enumerate();
        while let Some((page, some)) = pages.next() {
            let own = parcel(page, some);
            let begun = Instant::now();
            match self.send(entry, what, self.place(what), &own.message).await {
                Ok(()) => last = self.succeeded(entry, begun),
                Err(error) => {
                    let at = self.failed(entry, what, &error);
                    let later = pages.map(|(page, some)| parcel(page, some));
                    return Sent::Failed {
                        met: met(&error),
                        at: (!error.is_permanent()).then_some(at),
                        why: error.to_string(),
                        rest: std::iter::once(own).chain(later).collect(),
                    };
                }
            }
        }
        Sent::All(last)
    }

    /// The registrations that a subscription is about now, as they are kept.
    async fn matching_sources(
        &self,
        tenant: &TenantId,
        subscription: &Subscription,
    ) -> Result<Vec<Arc<Registration>>, StoreError> {
        let shelf: Records<'_, RegistrationRecord> =
            Records::on(&*self.store, Shelf::of(tenant, REGISTRATIONS));
        let records = match shelf.all().await {
            Err(StoreError::UnknownTenant(_)) => return Ok(Vec::new()),
            records => records?,
        };
        let now = Timestamp::now();
        let all = records.iter().filter_map(|(_, record)| registration(record));
        Ok(all.filter(|one| subscription.is_about(one, now)).collect())
    }
}
