//! Commits: read what is not remembered, decide, write with the versions it was decided upon, and
//! begin again with those that somebody else changed meanwhile.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHasher};
use tokio::sync::{Mutex, MutexGuard};

use super::Inner;
use super::cache::Held;
use super::decide::{Circumstances, Decision, End, Writes};
use super::write::{Failure, Fate};
use crate::model::{Action, Change, EntityId, Refusal, TenantId, Timestamp, Write};
use crate::store::rewrites::Rewrites;
use crate::store::{HistoryRules, StoreError};

/// How often a write is decided again because others were faster, before it is given up.
const MAX_ATTEMPTS: u32 = 300;

/// How many doubtful writes of an entity are looked after in a commit.
const MAX_DOUBTS: usize = 4;

/// Who writes to an entity in this process: brokers meet in the database, but the writers of one
/// broker should wait for each other rather than try in vain.
pub(super) struct Locks(Box<[Mutex<()>]>);

impl Locks {
    pub fn new() -> Self {
        Self((0..1 << 14).map(|_| Mutex::new(())).collect())
    }

    /// Locks some entities, always in the same order.
    pub async fn lock<'i>(
        &self,
        tenant: &TenantId,
        ids: impl Iterator<Item = &'i EntityId>,
    ) -> Vec<MutexGuard<'_, ()>> {
        let place = |id: &EntityId| {
            let mut hasher = FxHasher::default();
            (tenant, id).hash(&mut hasher);
            (hasher.finish() >> 40) as usize % self.0.len()
        };
        let mut places: Vec<usize> = ids.map(place).collect();
        places.sort_unstable();
        places.dedup();
        let mut guards = Vec::with_capacity(places.len());
        for place in places {
            guards.push(self.0[place].lock().await);
        }
        guards
    }
}

/// An entity that writes of a commit are about.
struct Target {
    id: EntityId,
    writes: Writes,
    /// What nobody can say whether it was written, the last one last: what was not there when it was
    /// looked for may have come later.
    doubtful: Vec<Decision>,
}

type Results = Vec<Option<Result<Change, Refusal>>>;

impl Inner {
    /// What decisions need to know.
    pub fn circumstances<'a>(
        &'a self,
        tenant: &'a TenantId,
        now: Timestamp,
        rules: Option<Arc<HistoryRules>>,
    ) -> Circumstances<'a> {
        let watch = self.watch.get().map(|watch| &**watch);
        let guard = self.guard.get().map(|guard| &**guard);
        let rewrites = Rewrites::new(self.settings.max_rewrite_bytes);
        Circumstances { tenant, now, clock: &self.clock, watch, guard, rules, rewrites }
    }

    /// See [`Store::commit`](crate::store::Store::commit).
    pub async fn commit(
        self: &Arc<Self>,
        tenant: &TenantId,
        writes: Vec<Write>,
        now: Timestamp,
    ) -> Result<Vec<Result<Change, Refusal>>, StoreError> {
        if !writes.iter().any(Write::may_create) {
            self.check_tenant(tenant).await?;
        }
        let mut results: Results = writes.iter().map(|_| None).collect();
        let mut targets = by_entity(writes);
        let rules = self.history_rules(tenant).await?;
        let _locks = self.locks.lock(tenant, targets.iter().map(|target| &target.id)).await;
        let begun = Instant::now();
        let mut work = Work { inner: self, tenant, now, rules, begun, sure: true };
        for attempt in 0..MAX_ATTEMPTS {
            let decisions = match work.decide(&mut targets, attempt > 0, &mut results).await {
                Ok(decisions) => decisions,
                Err(error) => work.bear(error, attempt).await.map(|()| Vec::new())?,
            };
            work.carry_out(&mut targets, decisions, &mut results).await?;
            if targets.is_empty() {
                return collect(results);
            }
            work.pause(attempt).await?;
        }
        Err(work.fail(StoreError::Busy))
    }
}

/// A commit under way.
struct Work<'a> {
    inner: &'a Arc<Inner>,
    tenant: &'a TenantId,
    now: Timestamp,
    rules: Option<Arc<HistoryRules>>,
    begun: Instant,
    /// Whether nothing was written yet, for all we know.
    sure: bool,
}

impl Work<'_> {
    /// Decides what becomes of the targets. Those about which there was doubt and is none any more
    /// are done.
    async fn decide(
        &mut self,
        targets: &mut Vec<Target>,
        read_all: bool,
        results: &mut Results,
    ) -> Result<Vec<Decision>, StoreError> {
        let mut known: FxHashMap<EntityId, Option<Arc<Held>>> = FxHashMap::default();
        let mut missing = Vec::new();
        for target in &*targets {
            let remembered = self.inner.cache.get(self.tenant, &target.id).filter(|_| !read_all);
            let created = matches!(target.writes[0].1.action, Action::Create(_)) && !read_all;
            if remembered.is_some() || created {
                known.insert(target.id.clone(), remembered);
            } else {
                missing.push(target.id.clone());
            }
        }
        // What a doubt is ended by must not be taken back.
        let doubts = targets.iter().any(|target| !target.doubtful.is_empty());
        self.read(&missing, doubts, &mut known).await?;
        self.end_doubts(targets, &known, results)?;
        let mut decisions = self.decide_upon(targets, &known)?;
        // What was remembered may be out of date; where no write would show it, it is read.
        let unsure =
            |decision: &Decision| decision.rests_on_reading() && !missing.contains(&decision.id);
        let again: Vec<EntityId> =
            decisions.iter().filter(|one| unsure(one)).map(|one| one.id.clone()).collect();
        if !again.is_empty() {
            self.read(&again, false, &mut known).await?;
            decisions = self.decide_upon(targets, &known)?;
        }
        Ok(decisions)
    }

    async fn read(
        &self,
        ids: &[EntityId],
        certain: bool,
        known: &mut FxHashMap<EntityId, Option<Arc<Held>>>,
    ) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut found = self.inner.read_many(self.tenant, ids, certain).await?;
        for id in ids {
            known.insert(id.clone(), found.remove(id));
        }
        Ok(())
    }

    /// Looks whether what was doubtful was written after all.
    fn end_doubts(
        &self,
        targets: &mut Vec<Target>,
        known: &FxHashMap<EntityId, Option<Arc<Held>>>,
        results: &mut Results,
    ) -> Result<(), StoreError> {
        let mut lost = false;
        targets.retain_mut(|target| {
            let there = known.get(&target.id).and_then(Option::as_deref);
            let was_done = |decision: &Decision| was_done(decision, there);
            if let Some(place) = target.doubtful.iter().position(|one| was_done(one) == Some(true))
            {
                settle(target.doubtful.swap_remove(place), results);
                return false;
            }
            lost |= target.doubtful.iter().any(|one| was_done(one).is_none());
            true
        });
        if lost {
            return Err(StoreError::Uncertain("others have changed the entity since".to_owned()));
        }
        Ok(())
    }

    fn decide_upon(
        &self,
        targets: &[Target],
        known: &FxHashMap<EntityId, Option<Arc<Held>>>,
    ) -> Result<Vec<Decision>, StoreError> {
        let circumstances = self.inner.circumstances(self.tenant, self.now, self.rules.clone());
        let decide = |target: &Target| {
            let before = known.get(&target.id).cloned().flatten();
            circumstances.decide(&target.id, &target.writes, before)
        };
        targets.iter().map(decide).collect()
    }

    /// Writes what was decided. Targets that are done go; those that others changed stay.
    async fn carry_out(
        &mut self,
        targets: &mut Vec<Target>,
        decisions: Vec<Decision>,
        results: &mut Results,
    ) -> Result<(), StoreError> {
        let mut finished: Vec<EntityId> = Vec::new();
        let (to_write, same): (Vec<_>, Vec<_>) =
            decisions.into_iter().partition(Decision::is_to_be_written);
        for decision in same {
            finished.push(decision.id.clone());
            settle(decision, results);
        }
        if !to_write.is_empty() {
            if to_write.iter().any(|one| matches!(one.end, End::Put(..))) {
                let made = self.inner.make_tenant(self.tenant).await;
                made.map_err(|error| self.fail(error))?;
            }
            let fates = self.inner.write(self.tenant, &to_write).await;
            for (decision, fate) in to_write.into_iter().zip(fates) {
                match fate {
                    Fate::Done => {
                        self.sure = false;
                        finished.push(decision.id.clone());
                        self.inner.remember(self.tenant, &decision);
                        settle(decision, results);
                    }
                    Fate::Conflict => self.inner.cache.forget(self.tenant, &decision.id),
                    Fate::Failed(Failure::Doubtful(why)) => {
                        self.sure = false;
                        tracing::debug!(entity = %decision.id, %why, "a write is looked after");
                        self.inner.cache.forget(self.tenant, &decision.id);
                        let target = targets.iter_mut().find(|target| target.id == decision.id);
                        if let Some(target) = target {
                            target.doubtful.truncate(MAX_DOUBTS - 1);
                            target.doubtful.push(decision);
                        }
                    }
                    Fate::Failed(Failure::Passing | Failure::Crowded) => {}
                    Fate::Failed(Failure::Error(error)) => return Err(self.fail(error)),
                }
            }
        }
        targets.retain(|target| !finished.contains(&target.id));
        Ok(())
    }

    /// Reading failed before anything could be decided: that may pass.
    async fn bear(&self, error: StoreError, attempt: u32) -> Result<(), StoreError> {
        match error {
            StoreError::Broken(_) if self.begun.elapsed() < self.inner.settings.patience => {
                // A mistake of ours, or a damaged document, does not pass; an outage is waited for.
                if self.inner.gate.check().is_ok() && attempt >= 3 {
                    return Err(self.fail(error));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok(())
            }
            error => Err(self.fail(error)),
        }
    }

    /// Lets others go ahead, or gives up.
    async fn pause(&self, attempt: u32) -> Result<(), StoreError> {
        if self.begun.elapsed() >= self.inner.settings.patience {
            let why = "it did not answer in time".to_owned();
            return Err(self.fail(StoreError::Broken(why)));
        }
        // Brokers that met once should not meet again: the stamp is as good as a die.
        let most = 1_u64 << attempt.min(6);
        let micros = self.inner.clock.stamp() as u64 / 1_024 % 1_000;
        tokio::time::sleep(Duration::from_micros(most * micros)).await;
        Ok(())
    }

    /// What a failure means for the whole commit.
    fn fail(&self, error: StoreError) -> StoreError {
        if self.sure { error } else { StoreError::Uncertain(error.to_string()) }
    }
}

/// Whether a decision was written, by what is there now; None if nobody can tell.
pub(super) fn was_done(decision: &Decision, there: Option<&Held>) -> Option<bool> {
    match (&decision.end, there) {
        (End::Same, _) => Some(true),
        (End::Put(..), Some(there)) => there.stamps.tells(decision.stamp),
        // Either it was never written or somebody deleted it since; it ends the same way.
        (End::Put(..), None) => Some(false),
        (End::Gone, None) => Some(true),
        (End::Gone, Some(there)) => {
            let before = decision.before.as_ref();
            Some(before.is_some_and(|before| before.stamps.created != there.stamps.created))
        }
    }
}

fn settle(decision: Decision, results: &mut Results) {
    for (place, result) in decision.results {
        results[place] = Some(result);
    }
}

fn collect(results: Results) -> Result<Vec<Result<Change, Refusal>>, StoreError> {
    let all: Option<Vec<_>> = results.into_iter().collect();
    all.ok_or_else(|| StoreError::Broken("a write was left without a result".to_owned()))
}

/// The writes to each entity, in order.
fn by_entity(writes: Vec<Write>) -> Vec<Target> {
    let mut places: FxHashMap<EntityId, usize> = FxHashMap::default();
    let mut targets: Vec<Target> = Vec::new();
    for (place, write) in writes.into_iter().enumerate() {
        let target = *places.entry(write.id.clone()).or_insert_with(|| {
            targets.push(Target { id: write.id.clone(), writes: Vec::new(), doubtful: Vec::new() });
            targets.len() - 1
        });
        targets[target].writes.push((place, write));
    }
    targets
}
