//! Filling a snapshot: its queries are carried out, all pages of them, and what they find is copied
//! to its place (5.16.1.4). Or it is copied from another snapshot (5.16.2).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::keep::Kept;
use crate::broker::entity_maps::{MapQuery, add_warnings};
use crate::broker::federation::Everywhere;
use crate::broker::{Broker, Call, Error, QueryTexts, elsewhere};
use crate::federate::{Via, Warning};
use crate::jsonld::ContextSource;
use crate::model::{Action, Entity, EntityId, SnapshotId, Stored, TenantId, Timestamp, Write};
use crate::query::{EntityPlan, Page};
use crate::represent::Rendering;
use crate::represent::snapshot::{Execution, Snapshot};

/// How many entities are copied at once.
pub(super) const PORTION: usize = 500;

/// How long nobody else works on a snapshot after somebody was last seen to.
const LEASE: Duration = Duration::from_secs(60);

/// A snapshot that is worked on.
pub(super) struct Filling<'a> {
    pub broker: &'a Broker,
    pub tenant: &'a TenantId,
    pub id: &'a SnapshotId,
    /// Where its data lie.
    pub place: TenantId,
    lease: String,
    entities: usize,
    pub instances: usize,
}

/// What came of collecting what a query finds.
#[derive(Default)]
pub(super) struct Collected {
    /// Something was found.
    pub any: bool,
    /// What there is to say of sources.
    pub warnings: Vec<Warning>,
}

impl Broker {
    /// Does what is to be done about a snapshot: fills it, or takes it away when it has ended.
    pub(in crate::broker) async fn work_on_snapshot(
        &self,
        tenant: &TenantId,
        id: &SnapshotId,
    ) -> Result<(), Error> {
        let Some(kept) = self.snapshots.any(tenant, id).await? else { return Ok(()) };
        if !kept.wants_work(Timestamp::now()) {
            return Ok(());
        }
        let lease = format!("snapshot:{}:{}", tenant.name().unwrap_or_default(), kept.place);
        let holder = &self.snapshots.holder;
        if !self.store.claim(&lease, holder, LEASE).await? {
            // Another broker is at it.
            return Ok(());
        }
        let mut filling = Filling {
            broker: self,
            tenant,
            id,
            place: tenant.place_for_snapshot(kept.place),
            lease: lease.clone(),
            entities: 0,
            instances: 0,
        };
        let worked = match kept.is_there(Timestamp::now()) {
            true => filling.fill(&kept).await,
            false => self.take_snapshot_away(tenant, id, &kept).await,
        };
        self.store.release(&lease, holder).await?;
        worked
    }
}

impl Filling<'_> {
    async fn fill(&mut self, kept: &Kept) -> Result<(), Error> {
        // Perhaps somebody began who could not end.
        self.broker.clear(&self.place).await?;
        let (details, temporal_details) = match &kept.origin {
            Some(origin) => match self.copy(&SnapshotId::from_trusted(origin)).await? {
                Some(details) => details,
                // The original is not filled itself yet.
                None => return Ok(()),
            },
            None => self.carry_out(kept).await?,
        };
        let now = Timestamp::now();
        let status = Snapshot::status_of(details.iter().chain(&temporal_details));
        let changed = self.broker.snapshots.change(self.tenant, self.id, |kept| {
            kept.origin = None;
            let snapshot = &mut kept.snapshot;
            (snapshot.details, snapshot.temporal_details) = (details, temporal_details);
            (snapshot.status, snapshot.modified_at) = (status, now);
        });
        if let Some(kept) = changed.await?.filter(|kept| kept.is_there(now)) {
            self.broker.tell_of_snapshot(self.tenant, &kept.snapshot, now);
        }
        Ok(())
    }

    /// Carries out the queries.
    async fn carry_out(&mut self, kept: &Kept) -> Result<(Vec<Execution>, Vec<Execution>), Error> {
        let now = Timestamp::now();
        let source = ContextSource::Url(&kept.context);
        let context = self.broker.contexts.resolve(self.tenant, source, now).await;
        let Snapshot { queries, temporal_queries, .. } = &kept.snapshot;
        let context = match context {
            Ok(context) => context,
            Err(error) => {
                let why = self.broker.described(error.into());
                let failed = |queries: &[Value]| {
                    queries.iter().map(|_| Execution::Failure(why.clone())).collect()
                };
                return Ok((failed(queries), failed(temporal_queries)));
            }
        };
        let mut details = Vec::with_capacity(queries.len());
        for query in queries {
            let call = self.broker.unhurried(self.tenant, &context, Via::default()).await?;
            let found = self.collect(&call, query).await;
            details.push(self.execution(found)?);
        }
        let mut temporal_details = Vec::with_capacity(temporal_queries.len());
        for query in temporal_queries {
            let call = self.broker.unhurried(self.tenant, &context, Via::default()).await?;
            let found = self.collect_past(&call, query).await;
            temporal_details.push(self.execution(found)?);
        }
        Ok((details, temporal_details))
    }

    /// What came of a query. If the snapshot itself is in question, all ends.
    fn execution(&self, found: Result<Collected, Error>) -> Result<Execution, Error> {
        Ok(match found {
            Ok(Collected { any, warnings }) if !warnings.is_empty() => {
                let why = said_of(&warnings);
                if any { Execution::Lacking(why) } else { Execution::Failure(why) }
            }
            Ok(Collected { any: true, .. }) => Execution::Success,
            Ok(Collected { any: false, .. }) => Execution::Empty,
            Err(Error::Conflict(why)) => return Err(Error::Conflict(why)),
            Err(error) => Execution::Failure(self.broker.described(error)),
        })
    }

    /// Copies what a query finds, here and at sources.
    async fn collect(&mut self, call: &Call, query: &Value) -> Result<Collected, Error> {
        let (texts, view) = self.broker.snapshot_query(call, query)?;
        let rendering = self.broker.rendering(call, &view)?;
        let page = Page { limit: PORTION, ..Page::default() };
        let mut plan = EntityPlan { order: None, page, ..self.broker.plan(call, &texts)? };
        let mut collected = Collected::default();
        if let Some(found) = self.collect_at_once(call, &texts, &plan, &rendering).await? {
            let Everywhere { entities, warnings, .. } = found;
            let any = !entities.is_empty();
            self.keep(entities.iter().map(|one| shown(one, &rendering, call.now)).collect())
                .await?;
            return Ok(Collected { any, warnings });
        }
        if elsewhere(call, &plan).is_some() {
            let most = self.broker.snapshots.limits.entities;
            let found = self.broker.candidates(call, &texts, &plan, most, None).await?;
            collected.warnings = found.warnings;
            for some in found.held.chunks(PORTION) {
                let call =
                    self.broker.unhurried(self.tenant, &call.context, Via::default()).await?;
                let (texts, plan, rendering) = (&texts, &plan, &rendering);
                let query = MapQuery { texts, plan, rendering, linked: &[] };
                let (found, said) = self.broker.query_of(&call, query, some).await?;
                add_warnings(&mut collected.warnings, said);
                collected.any |= !found.is_empty();
                self.keep(found.iter().map(|one| shown(one, rendering, call.now)).collect())
                    .await?;
            }
            return Ok(collected);
        }
        loop {
            let found = self.broker.store.find(&call.tenant, &plan, call.now).await?;
            collected.any |= !found.entities.is_empty();
            let entities = found.entities.iter().map(|one| shown(one, &rendering, call.now));
            self.keep(entities.collect()).await?;
            match found.next {
                Some(next) => plan.page.after = Some(next),
                None => return Ok(collected),
            }
        }
    }

    /// All that a query finds here and at sources, if sources are concerned and it is no more than a
    /// portion: then nobody need be asked twice.
    async fn collect_at_once(
        &self,
        call: &Call,
        texts: &QueryTexts,
        plan: &EntityPlan,
        rendering: &Rendering,
    ) -> Result<Option<Everywhere>, Error> {
        let Some(origin) = elsewhere(call, plan) else { return Ok(None) };
        let asked = self.broker.asked(call, plan, texts, rendering)?;
        let Some(matched) = self.broker.query_legs(call, origin, &asked, rendering) else {
            return Ok(None);
        };
        let before = Some(self.broker.turned.nothing());
        let found = self.broker.query_everywhere(call, origin, &asked, &matched, before);
        match Box::pin(found).await {
            Ok(found) if !found.more => Ok(Some(found)),
            Ok(_) | Err(Error::TooManyResults(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps entities in the snapshot, beside what an earlier query found of them.
    pub(super) async fn keep(&mut self, entities: Vec<Entity>) -> Result<(), Error> {
        self.go_on().await?;
        let (store, now) = (&self.broker.store, Timestamp::now());
        let ids: Vec<EntityId> = entities.iter().map(|entity| entity.id.clone()).collect();
        let there = store.get_many(&self.place, &ids, now).await?;
        let there: HashMap<&EntityId, &Arc<Stored>> =
            there.iter().map(|stored| (&stored.id, stored)).collect();
        self.entities += entities.iter().filter(|one| !there.contains_key(&one.id)).count();
        let most = self.broker.snapshots.limits.entities;
        if self.entities > most {
            return Err(Error::TooManyResults(format!(
                "the snapshot would hold more than {most} entities"
            )));
        }
        let restore = entities.into_iter().map(|mut entity| {
            if let Some(stored) = there.get(&entity.id) {
                complete(&mut entity, &stored.entity);
            }
            Write::new(entity.id.clone(), Action::Restore(entity))
        });
        let outcomes = store.commit(&self.place, restore.collect(), now).await?;
        for outcome in outcomes {
            outcome?;
        }
        Ok(())
    }

    /// Goes on, if the snapshot is still there and nobody else works on it.
    pub(super) async fn go_on(&self) -> Result<(), Error> {
        let kept = self.broker.snapshots.any(self.tenant, self.id).await?;
        let there = kept.is_some_and(|kept| kept.is_there(Timestamp::now()));
        let holder = &self.broker.snapshots.holder;
        if there && self.broker.store.claim(&self.lease, holder, LEASE).await? {
            return Ok(());
        }
        Err(Error::Conflict(format!("the snapshot {} is not ours to fill any more", self.id)))
    }
}

/// What there is to say of sources that did not answer, as ProblemDetails.
fn said_of(warnings: &[Warning]) -> Value {
    let each: Vec<String> =
        warnings.iter().map(|warning| format!("{}: {}", warning.agent, warning.text)).collect();
    serde_json::json!({
        "type": "https://uri.etsi.org/ngsi-ld/errors/InternalError",
        "title": "Not all sources answered",
        "detail": each.join("; "),
    })
}

/// What a query shows of an entity: attributes that it picks, of the datasetIds that it names.
fn shown(stored: &Stored, rendering: &Rendering, now: Timestamp) -> Entity {
    let view = rendering.projection.view();
    let mut entity = stored.entity.without_expired(now);
    entity.attributes.retain(|name, _| view.keeps_attribute(name));
    if !rendering.datasets.is_empty() {
        let names: Vec<_> = entity.attributes.iter().map(|(name, _)| name).collect();
        for name in names {
            let kept = entity.attributes.remove(name).and_then(|attribute| {
                attribute.retain(|one| rendering.datasets.contains(&one.dataset().cloned()))
            });
            if let Some(kept) = kept {
                entity.attributes.insert(name, kept);
            }
        }
    }
    if !view.keeps_scope() {
        entity.scopes.clear();
    }
    entity
}

/// Adds what another query found of an entity to what one found.
fn complete(entity: &mut Entity, other: &Entity) {
    entity.add_types(other.types.as_slice());
    if entity.scopes.is_empty() {
        entity.scopes.clone_from(&other.scopes);
    }
    for (name, attribute) in other.attributes.iter() {
        match entity.attributes.get_mut(name) {
            None => drop(entity.attributes.insert(name, attribute.clone())),
            Some(own) => {
                for instance in attribute.instances() {
                    if own.instance(instance.dataset()).is_none() {
                        own.put(instance.clone());
                    }
                }
            }
        }
    }
}
