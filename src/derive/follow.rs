//! Following the log of changes: what came since the last time is read page by page, what is to be
//! derived anew is derived and written, and only then is the page done with. So nothing that was
//! acknowledged is missed, whatever ends when; what is done twice comes out the same.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::Inner;
use super::job::{Touched, Wanted};
use super::past::{current, derived_by, recorded_by};
use super::reading::placed;
use crate::model::{AttrName, Change, Entity, EntityId, TenantId, Timestamp, TypeSelection};
use crate::query::{EntityPlan, Page, Selector};
use crate::store::{Event, READERS, Records, StoreError, Topic, Watch};

/// How many events are read from the log at once.
const PAGE: usize = 256;

/// How many entities are looked at once when all of them are.
const MANY: usize = 200;

/// How often the log is looked at unasked: another broker may have written to it.
const LOOK_SHARED: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_secs(5);

/// Who derives has this lease; others wait.
pub(super) const LEASE: &str = "derive";
const TTL: Duration = Duration::from_secs(9);
const RENEW: Duration = Duration::from_secs(3);

/// What is remembered of how far deriving has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Whatever is up to this event is done with.
    pub position: u64,
    /// Of the profiles with which everything was looked at last; None if it was not yet.
    pub fingerprint: Option<u64>,
}

/// The key of the record.
pub(super) const KEY: &str = "derive";

/// What is to be done for entities: by tenant and entity, what happened to which rule.
type Jobs = HashMap<(TenantId, EntityId), FxHashMap<usize, Touched>>;

/// An entity, and what happened to which rule.
type Job = (EntityId, FxHashMap<usize, Touched>);

/// What a store asks; it does not keep the rest alive.
pub(super) struct Watcher(pub std::sync::Weak<Inner>);

impl Watch for Watcher {
    fn wants(&self, _: &TenantId, change: &Change) -> bool {
        let Some(inner) = self.0.upgrade() else { return false };
        change.after.as_ref().is_some_and(|after| inner.concerns(&after.entity, change))
    }

    fn wants_past(&self, _: &TenantId, change: &Change) -> bool {
        let (Some(inner), Some(after)) = (self.0.upgrade(), &change.after) else { return false };
        let reads = |place: &usize| {
            change.outcome.updated.iter().any(|name| inner.rules[*place].reads(*name))
        };
        inner.rules_of(&after.entity).any(|place| reads(&place))
    }

    fn committed(&self, events: Vec<Event>) {
        if let (Some(inner), Some(last)) = (self.0.upgrade(), events.last()) {
            inner.seen.fetch_max(last.sequence, Ordering::Relaxed);
            inner.come.notify_one();
        }
    }
}

impl Inner {
    /// The rules for entities of these types, by their places.
    pub(super) fn rules_of<'a>(&'a self, entity: &'a Entity) -> impl Iterator<Item = usize> + 'a {
        let types = entity.types.as_slice().iter();
        types.filter_map(|name| self.by_type.get(name)).flatten().copied()
    }

    /// Whether a change is one of an input, or takes away what was derived.
    fn concerns(&self, after: &Entity, change: &Change) -> bool {
        self.rules_of(after).any(|place| {
            let rule = &self.rules[place];
            let lost =
                |name: AttrName| name == rule.main_output() && current(after, name).is_none();
            change.outcome.updated.iter().any(|name| rule.reads(*name) || lost(*name))
        })
    }

    /// Follows the log until the end.
    pub(super) async fn follow(self: Arc<Self>) {
        let shared = self.store.is_shared();
        let look = if shared { LOOK_SHARED } else { LOOK };
        let (mut progress, mut renewed) = (None, None::<Instant>);
        while !self.closing.load(Ordering::Acquire) {
            if shared && renewed.is_none_or(|at| at.elapsed() > RENEW) {
                match self.store.claim(LEASE, &self.holder, TTL).await {
                    Ok(true) => renewed = Some(Instant::now()),
                    other => {
                        // Somebody else derives, or nobody can.
                        if let Err(error) = other {
                            tracing::warn!(%error, "whose turn it is to derive is not known");
                        }
                        (progress, renewed) = (None, None);
                        self.leads.store(false, Ordering::Relaxed);
                        self.rest(RENEW).await;
                        continue;
                    }
                }
            }
            self.leads.store(true, Ordering::Relaxed);
            match self.advance(&mut progress).await {
                Ok(true) => {}
                Ok(false) => self.rest(look).await,
                Err(error) => {
                    tracing::warn!(%error, "deriving has to wait for the store");
                    progress = None;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn rest(&self, most: Duration) {
        let _ = tokio::time::timeout(most, self.come.notified()).await;
    }

    /// Goes on by one page; false if there is nothing to do.
    async fn advance(&self, progress: &mut Option<Progress>) -> Result<bool, StoreError> {
        let records = Records::<Progress>::on(&*self.store, READERS);
        let own = match progress {
            Some(own) => own,
            None => {
                let known = records.get(KEY).await?;
                // To be on record before all is looked at keeps the log from being trimmed.
                let first = known.unwrap_or(Progress { position: 0, fingerprint: None });
                if known.is_none() {
                    records.put(KEY, &first).await?;
                }
                progress.insert(first)
            }
        };
        let behind = self.seen.load(Ordering::Relaxed).saturating_sub(own.position);
        if behind > self.settings.behind as u64 {
            // So much has come that looking at each entity once is less work.
            tracing::warn!(behind, "deriving is far behind: everything is looked at anew");
            own.position = self.seen.load(Ordering::Relaxed);
            own.fingerprint = None;
        }
        if own.fingerprint != Some(self.fingerprint) {
            self.look_at_all().await?;
            own.fingerprint = Some(self.fingerprint);
            records.put(KEY, own).await?;
        }
        let events = self.store.events(own.position, PAGE).await?;
        let Some(last) = events.last().map(|event| event.sequence) else {
            self.done_up_to.store(own.position, Ordering::Relaxed);
            return Ok(false);
        };
        self.carry_out(self.jobs(&events).await?).await?;
        own.position = last;
        self.done_up_to.store(last, Ordering::Relaxed);
        records.put(KEY, own).await?;
        Ok(true)
    }

    /// What some events ask for, each entity once.
    async fn jobs(&self, events: &[Event]) -> Result<Jobs, StoreError> {
        let mut jobs = Jobs::new();
        // What a snapshot holds stays as it was.
        let events = events.iter().filter(|event| event.tenant.snapshot_of().is_none());
        for event in events.filter(|event| event.topic == Topic::Entity) {
            let Some(after) = &event.change.after else { continue };
            for place in self.rules_of(&after.entity) {
                let Some(touched) = self.touched(place, event).await? else { continue };
                let key = (event.tenant.clone(), event.change.id.clone());
                let own = jobs.entry(key).or_default().entry(place).or_default();
                own.whole |= touched.whole;
                if let Some(span) = touched.span {
                    own.add_span(span);
                }
            }
        }
        Ok(jobs)
    }

    /// What an event means for a rule; None if nothing.
    async fn touched(&self, place: usize, event: &Event) -> Result<Option<Touched>, StoreError> {
        let (rule, change) = (&self.rules[place], &event.change);
        let Some(after) = &change.after else { return Ok(None) };
        let mut touched = Touched::default();
        let updated = &change.outcome.updated;
        let past = change.before.as_ref().is_some_and(|before| before.entity == after.entity);
        if past {
            let names: Vec<AttrName> =
                updated.iter().copied().filter(|name| rule.reads(*name)).collect();
            if names.is_empty() {
                return Ok(None);
            }
            let what = (&names[..], &change.id);
            let now = Timestamp::now();
            match recorded_by(&*self.store, &event.tenant, what, change.at, now).await? {
                Some(span) => touched.add_span(span),
                None => touched.whole = true,
            }
            return Ok(Some(touched));
        }
        for name in updated.iter().filter(|name| rule.reads(**name)) {
            if let Some(instance) = current(&after.entity, *name) {
                touched.add(placed(instance).micros());
            }
        }
        let lost = updated.contains(&rule.main_output())
            && current(&after.entity, rule.main_output()).is_none()
            && change.before.as_ref().is_some_and(|before| {
                current(&before.entity, rule.main_output())
                    .is_some_and(|instance| derived_by(rule, instance).is_some())
            });
        Ok((touched.span.is_some() || lost).then_some(touched))
    }

    /// Derives what jobs ask for and writes it, a tenant at a time.
    async fn carry_out(&self, jobs: Jobs) -> Result<(), StoreError> {
        let mut by_tenant: HashMap<TenantId, Vec<Job>> = HashMap::new();
        for ((tenant, id), rules) in jobs {
            by_tenant.entry(tenant).or_default().push((id, rules));
        }
        for (tenant, all) in by_tenant {
            let now = Timestamp::now();
            let mut each = Vec::with_capacity(all.len());
            for (id, rules) in &all {
                each.push(self.one(&tenant, id, rules, now));
            }
            let mut made = stream::iter(each).buffer_unordered(self.settings.at_once.max(1));
            let mut wanted = Vec::new();
            while let Some(one) = made.next().await {
                wanted.extend(one?);
            }
            drop(made);
            self.write(&tenant, wanted, now).await?;
        }
        Ok(())
    }

    /// What is to be written for one entity, by each rule. A mistake in one must not end the rest.
    async fn one(
        &self,
        tenant: &TenantId,
        id: &EntityId,
        rules: &FxHashMap<usize, Touched>,
        now: Timestamp,
    ) -> Result<Vec<(EntityId, usize, Wanted)>, StoreError> {
        let entity = match self.store.get(tenant, id, now).await {
            Ok(Some(entity)) => entity,
            Ok(None) | Err(StoreError::UnknownTenant(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut wanted = Vec::new();
        for (place, touched) in rules {
            let tally = &self.tallies[*place];
            let made =
                self.derive(tenant, &entity.entity, (&self.rules[*place], tally), *touched, now);
            match AssertUnwindSafe(made).catch_unwind().await {
                Ok(made) => wanted.push((id.clone(), *place, made?)),
                Err(_) => {
                    tracing::error!(entity = %id, rule = %self.rules[*place].name, "deriving panicked");
                }
            }
        }
        Ok(wanted)
    }

    /// Looks at every entity that a rule is about: what is not derived yet, or by other numbers,
    /// is derived as far back as the settings say.
    async fn look_at_all(&self) -> Result<(), StoreError> {
        let types: Vec<_> = self.by_type.keys().copied().collect();
        let back = i64::try_from(self.settings.backfill.as_micros()).unwrap_or(i64::MAX / 4);
        let tenants = self.store.tenants().await?.into_iter();
        for tenant in tenants.filter(|tenant| tenant.snapshot_of().is_none()) {
            for name in &types {
                let mut page = Page { limit: MANY, ..Page::default() };
                loop {
                    let types = Some(TypeSelection::of(*name));
                    let plan = EntityPlan {
                        select: vec![Selector { types, ..Selector::default() }],
                        page: page.clone(),
                        ..EntityPlan::default()
                    };
                    let found = self.store.find(&tenant, &plan, Timestamp::now()).await?;
                    let mut jobs = Jobs::new();
                    for entity in &found.entities {
                        for place in self.by_type.get(name).into_iter().flatten() {
                            let mut touched = Touched::default();
                            let newest = super::past::newest(&self.rules[*place], entity);
                            let Some(newest) = newest else { continue };
                            touched.add(newest.saturating_sub(back));
                            touched.add(newest);
                            let key = (tenant.clone(), entity.id.clone());
                            jobs.entry(key).or_default().insert(*place, touched);
                        }
                    }
                    self.carry_out(jobs).await?;
                    match found.next.filter(|_| found.more) {
                        Some(next) if !self.closing.load(Ordering::Acquire) => {
                            page.after = Some(next);
                        }
                        _ => break,
                    }
                }
            }
        }
        Ok(())
    }
}
