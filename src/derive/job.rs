//! What is to be derived anew for one entity, and doing it.

use std::sync::atomic::Ordering;

use super::evaluate::says_the_same;
use super::past::{Past, Span, current, derived_by, newest, oldest};
use super::rule::Rule;
use super::{Inner, Tally};
use crate::model::{
    Action, Chronology, Entity, EntityId, Fragment, HistoryAction, HistoryWrite, Instance,
    Instances, Refusal, TenantId, Timestamp, Write,
};
use crate::model::{AttrName, AttributePatch, Edit, InstanceEdit, InstancePatch};
use crate::store::StoreError;

/// How many values are made from one reading of history: bounds the memory that it takes.
const AT_ONCE: usize = 24 * 14;

/// An hour in microseconds: what readings that say when are taken to be apart.
const HOUR: i64 = 3_600_000_000;

/// What happened to the inputs of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Touched {
    /// Readings of this time came, or changed.
    pub span: Option<Span>,
    /// Something of the past is gone, and nobody knows when it was.
    pub whole: bool,
}

impl Touched {
    /// A reading came or changed.
    pub fn add(&mut self, at: i64) {
        let span = self.span.get_or_insert(Span { first: at, last: at });
        *span = Span { first: span.first.min(at), last: span.last.max(at) };
    }

    /// Readings of a stretch of time did.
    pub fn add_span(&mut self, other: Span) {
        self.add(other.first);
        self.add(other.last);
    }
}

/// What a rule wants written for an entity.
#[derive(Default)]
pub(super) struct Wanted {
    /// Instances to add to history, or to take the place of what stands there at their times.
    pub put: Vec<(AttrName, Vec<Instance>)>,
    /// What cannot be derived any more.
    pub take: Vec<HistoryWrite>,
    /// What the entity should not say any more.
    pub drop: Vec<Write>,
    /// Whether the store keeps history.
    pub kept: bool,
    pub derived: u64,
}

impl Wanted {
    fn put(&mut self, name: AttrName, instance: Instance) {
        match self.put.iter_mut().find(|(own, _)| *own == name) {
            Some((_, all)) => all.push(instance),
            None => self.put.push((name, vec![instance])),
        }
    }
}

impl Inner {
    /// What is to be written for an entity, by one rule.
    pub(super) async fn derive(
        &self,
        tenant: &TenantId,
        entity: &Entity,
        (rule, tally): (&Rule, &Tally),
        touched: Touched,
        now: Timestamp,
    ) -> Result<Wanted, StoreError> {
        let mut wanted = Wanted { kept: true, ..Wanted::default() };
        if is_given(rule, entity) {
            tally.given.fetch_add(1, Ordering::Relaxed);
            return Ok(wanted);
        }
        let Some(newest) = newest(rule, entity) else { return Ok(wanted) };
        let mut span = self.stretch(tenant, entity, rule, (touched, newest), now).await?;
        while let Some(own) = span {
            let step = rule.every().or(rule.one_in()).unwrap_or(HOUR);
            let most = step.saturating_mul(AT_ONCE as i64);
            let last = own.last.min(own.first.saturating_add(most));
            let part = Span { first: own.first, last };
            let past = Past::read(&*self.store, tenant, (rule, entity), part, now).await?;
            wanted.kept = past.kept;
            let moments = match (past.kept, rule.every()) {
                // Without history there is only what is known now.
                (false, _) => vec![newest],
                (true, Some(every)) => grid(part, every),
                (true, None) => past.moments(rule, part),
            };
            for at in moments {
                self.weigh(rule, tally, entity, &past, at, &mut wanted);
            }
            let rest = Span { first: last.saturating_add(1), last: own.last };
            span = (past.kept && rest.first <= rest.last).then_some(rest);
        }
        Ok(wanted)
    }

    /// The times for which values may have changed.
    async fn stretch(
        &self,
        tenant: &TenantId,
        entity: &Entity,
        rule: &Rule,
        (touched, newest): (Touched, i64),
        now: Timestamp,
    ) -> Result<Option<Span>, StoreError> {
        let first_ever = match touched.whole {
            true => oldest(&*self.store, tenant, (rule, &entity.id), now).await?,
            false => None,
        };
        let derived = current(entity, rule.main_output()).and_then(|one| one.observed_at);
        let derived = derived.map(Timestamp::micros);
        let Some(every) = rule.every() else {
            let end = newest.max(derived.unwrap_or(newest));
            let (mut first, mut last) = match touched.span {
                Some(span) => {
                    (span.first, span.last.saturating_add(rule.reach()).min(end.max(span.last)))
                }
                None => (i64::MAX, i64::MIN),
            };
            if let Some(ever) = first_ever {
                (first, last) = (first.min(ever), last.max(end));
            }
            // What was never derived is derived for the newest reading at least.
            if derived != Some(newest) {
                (first, last) = (first.min(newest), last.max(newest));
            }
            return Ok((first <= last).then_some(Span { first, last }));
        };
        let latest = newest.div_euclid(every) * every;
        let mut first = i64::MAX;
        let mut last = i64::MIN;
        if let Some(span) = touched.span {
            first = ceiling(span.first, every);
            last = span.last.saturating_add(rule.reach()).min(latest);
        }
        if let Some(ever) = first_ever {
            let end = latest.max(derived.unwrap_or(latest));
            (first, last) = (first.min(ceiling(ever, every)), end);
        }
        if derived.is_none_or(|derived| derived < latest) {
            let missing = derived.map_or(latest, |derived| {
                derived.saturating_add(every).max(latest.saturating_sub(rule.reach()))
            });
            (first, last) = (first.min(missing), last.max(latest));
        }
        Ok((first <= last).then_some(Span { first, last }))
    }

    /// Judges one moment, and notes what is to be written if anything changes.
    fn weigh(
        &self,
        rule: &Rule,
        tally: &Tally,
        entity: &Entity,
        past: &Past,
        at: i64,
        wanted: &mut Wanted,
    ) {
        let known = |name: AttrName| match past.derived.get(&(name, at)) {
            Some((instance, _)) => Some(instance),
            None => current(entity, name)
                .filter(|instance| instance.observed_at.map(Timestamp::micros) == Some(at)),
        };
        let main = rule.main_output();
        if known(main).is_some_and(|instance| derived_by(rule, instance).is_none()) {
            tally.given.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let verdict = past.judge(rule, &entity.id, at);
        let attributes = match verdict.outcome {
            Ok(attributes) => attributes,
            Err(_) => {
                tally.lacking.fetch_add(1, Ordering::Relaxed);
                return take(rule, entity, past, at, wanted);
            }
        };
        let mut changed = false;
        for (name, instance) in attributes {
            // What history knows, an entity that was replaced may have lost.
            let recorded = past.derived.get(&(name, at)).map(|(recorded, _)| recorded);
            let recorded =
                !past.kept || recorded.is_some_and(|recorded| says_the_same(recorded, &instance));
            let said = current(entity, name).is_some_and(|said| {
                said.observed_at > instance.observed_at || says_the_same(said, &instance)
            });
            if recorded && said {
                continue;
            }
            changed = true;
            wanted.put(name, instance);
        }
        match changed {
            true => wanted.derived += 1,
            false => drop(tally.unchanged.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Writes what is wanted for entities of a tenant, in one commit.
    pub(super) async fn write(
        &self,
        tenant: &TenantId,
        all: Vec<(EntityId, usize, Wanted)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (mut past, mut present) = (Vec::new(), Vec::new());
        for (id, rule, wanted) in all {
            self.tallies[rule].derived.fetch_add(wanted.derived, Ordering::Relaxed);
            past.extend(wanted.take.into_iter().map(|write| (rule, write)));
            present.extend(wanted.drop.into_iter().map(|write| (rule, write)));
            if wanted.put.is_empty() {
                continue;
            }
            if wanted.kept {
                let told = Chronology { attributes: wanted.put, ..Chronology::default() };
                past.push((rule, HistoryWrite { id, action: HistoryAction::Append(told) }));
            } else {
                let fragment = fragment(wanted.put);
                let action = Action::Append { fragment, overwrite: true };
                present.push((rule, Write::new(id, action)));
            }
        }
        let (rules, writes): (Vec<usize>, Vec<HistoryWrite>) = past.into_iter().unzip();
        if !writes.is_empty() {
            let outcomes = self.store.commit_history(tenant, writes, now).await?;
            let refused = outcomes.into_iter().map(Result::err);
            self.note(rules.into_iter().zip(refused));
        }
        let (rules, writes): (Vec<usize>, Vec<Write>) = present.into_iter().unzip();
        if !writes.is_empty() {
            let outcomes = self.store.commit(tenant, writes, now).await?;
            let refused = outcomes.into_iter().map(Result::err);
            self.note(rules.into_iter().zip(refused));
        }
        Ok(())
    }

    fn note(&self, outcomes: impl Iterator<Item = (usize, Option<Refusal>)>) {
        for (rule, refusal) in outcomes {
            match refusal {
                // Who was deleted meanwhile needs nothing any more.
                None | Some(Refusal::NoSuchEntity(_) | Refusal::NoSuchAttribute { .. }) => {}
                Some(refusal) => {
                    self.tallies[rule].refused.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%refusal, "a derived value was refused");
                }
            }
        }
    }
}

/// Whether somebody else says what the rule would derive: whoever measured knows better.
pub(super) fn is_given(rule: &Rule, entity: &Entity) -> bool {
    current(entity, rule.main_output()).is_some_and(|instance| derived_by(rule, instance).is_none())
}

/// What was derived for a moment is taken back.
fn take(rule: &Rule, entity: &Entity, past: &Past, at: i64, wanted: &mut Wanted) {
    for name in &rule.outputs {
        let ours = |instance: &Instance| derived_by(rule, instance).is_some();
        if let Some((_, instance)) =
            past.derived.get(&(*name, at)).filter(|(instance, _)| ours(instance))
        {
            let (attribute, instance) = (*name, *instance);
            let action = HistoryAction::DeleteInstance { attribute, instance };
            wanted.take.push(HistoryWrite { id: entity.id.clone(), action });
        }
        let said = current(entity, *name).filter(|instance| ours(instance));
        if said.is_some_and(|said| said.observed_at.map(Timestamp::micros) == Some(at)) {
            let action =
                Action::DeleteAttribute { attribute: *name, instances: Instances::Default };
            wanted.drop.push(Write::new(entity.id.clone(), action));
        }
    }
}

/// The moments of a grid within a stretch.
fn grid(span: Span, every: i64) -> Vec<i64> {
    let first = ceiling(span.first, every);
    let count = (span.last.saturating_sub(first)).div_euclid(every) + 1;
    (0..count.clamp(0, AT_ONCE as i64 + 1)).map(|step| first + step * every).collect()
}

fn ceiling(at: i64, every: i64) -> i64 {
    let rest = at.rem_euclid(every);
    if rest == 0 { at } else { at.saturating_add(every - rest) }
}

/// Instances as a fragment that puts them; of several of one attribute the last.
fn fragment(put: Vec<(AttrName, Vec<Instance>)>) -> Fragment {
    let attributes = put.into_iter().filter_map(|(name, mut all)| {
        let patch = InstanceEdit::Put(patch(all.pop()?));
        Some((name, AttributePatch(vec![patch])))
    });
    Fragment { attributes: attributes.collect(), ..Fragment::default() }
}

fn patch(instance: Instance) -> InstancePatch {
    let kind = instance.kind();
    let attributes = instance.more.map(|more| more.attributes).unwrap_or_default();
    let inner = attributes.into_iter().map(|(name, attribute)| {
        let instances = attribute.instances().iter().cloned();
        (name, AttributePatch(instances.map(|one| InstanceEdit::Put(patch(one))).collect()))
    });
    InstancePatch {
        kind: Some(kind),
        observed_at: instance.observed_at.map_or(Edit::Keep, Edit::Put),
        unit: instance.unit.map_or(Edit::Keep, Edit::Put),
        attributes: inner.collect(),
        datum: Some(instance.datum),
        ..InstancePatch::default()
    }
}
