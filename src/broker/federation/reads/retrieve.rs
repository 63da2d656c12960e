//! One entity, or some by their ids, from everywhere (5.7.1).

use std::sync::Arc;

use futures_util::FutureExt;

use super::super::super::entity_maps::{Known, add_warnings};
use super::super::ask::all;
use super::super::receive::Received;
use super::super::{Broker, Call, Error, Origin};
use super::drafts::{Simple, query_draft};
use super::{IDS, QUERIES, READS, map_of, shown_attributes, weight};
use crate::egress::Method;
use crate::federate::{Draft, Leg, Matched, Union, Want, Warning, path_part, types_text};
use crate::model::{Entity, EntityId, Holder, Stored, TypeSelection, TypeTerm};
use crate::query::Selector;
use crate::represent::Rendering;
use crate::represent::registration::Operation;
use crate::store::StoreError;

/// What was found of one entity everywhere.
#[derive(Debug, Default)]
pub(in crate::broker) struct Retrieved {
    /// None if nobody has anything of it.
    pub entity: Option<Arc<Stored>>,
    /// Who has something of it.
    pub by: Vec<Holder>,
    pub warnings: Vec<Warning>,
}

impl Broker {
    /// Whether any source may have any of what is selected, as far as ids and types tell.
    pub(in crate::broker) fn may_lie_elsewhere(&self, call: &Call, select: &[Selector]) -> bool {
        self.federation.register.may_concern(&call.tenant, select)
    }

    /// Whether any source may know an entity, as far as its id and what is said of its types tell.
    pub(in crate::broker) fn may_be_elsewhere(
        &self,
        call: &Call,
        id: &EntityId,
        only: Option<&TypeSelection>,
    ) -> bool {
        self.federation.register.may_concern_one(&call.tenant, id, only)
    }

    /// The whole of an entity; only of those who hold it, if that is known.
    pub(in crate::broker) async fn retrieve_everywhere(
        &self,
        call: &Call,
        origin: &Origin,
        id: &EntityId,
        only: Option<&TypeSelection>,
        rendering: &Rendering,
        known: Option<&Known>,
    ) -> Result<Retrieved, Error> {
        let here = known.is_none_or(|known| known.held.is_here());
        let select = by_id(id, only.cloned());
        let attributes = shown_attributes(rendering);
        let want = Want {
            select: &select,
            attributes: attributes.as_deref(),
            datasets: &rendering.datasets,
            operations: READS,
            ..Want::default()
        };
        let unsaid = here && only.is_none() && known.is_none();
        let own_types = unsaid && self.federation.settings.own_types;
        let mut local = None;
        if own_types {
            local = Some(self.local_entity(call, id).await?);
        }
        let mut matched = match local.iter().flatten().next() {
            Some(own) => self.of_own_types(call, origin, &want, own),
            None => self.all_matched(call, origin, &want),
        };
        let most = self.federation.settings.sources;
        if here && local.is_none() && matched.legs.len() > most {
            local = Some(self.local_entity(call, id).await?);
        }
        let types = local.iter().flatten().next().map(|own| own.types.as_slice().to_vec());
        matched.limit_to(most, |leg| match (&types, &leg.select.types) {
            // If not all can be asked, then those who know such things.
            (Some(own), Some(registered)) => registered.selects(own),
            _ => leg.source.names_entities(),
        });
        if let Some(known) = known {
            matched.legs.retain(|leg| known.held.is_at(leg.source.id()));
        }
        let linked = known.map_or(&[] as &[_], |known| &known.linked);
        let jobs = matched.legs.iter().map(|leg| {
            let map = map_of(linked, &leg.source);
            self.retrieve_leg(call, origin, leg, id, only, map).boxed()
        });
        let jobs = jobs.collect();
        let (local, parts) = match (local, here) {
            (Some(local), _) => (local, all(jobs).await),
            (None, false) => (None, all(jobs).await),
            (None, true) => {
                let (local, parts) = futures_util::join!(self.local_entity(call, id), all(jobs));
                (local?, parts)
            }
        };
        Ok(self.retrieved(call, id, &matched, local, parts))
    }

    /// What is here of an entity and what sources answered, as one.
    fn retrieved(
        &self,
        call: &Call,
        id: &EntityId,
        matched: &Matched,
        local: Option<Arc<Stored>>,
        parts: Vec<Received>,
    ) -> Retrieved {
        let mut found = Retrieved { warnings: self.beyond(matched), ..Retrieved::default() };
        let mut union = Union::new(call.now);
        if let Some(stored) = &local {
            found.by.push(Holder::Here);
            union.add_here(stored);
        }
        for (leg, part) in matched.legs.iter().zip(parts) {
            found.warnings.extend(part.warnings);
            for entity in part.entities.into_iter().filter(|entity| entity.id == *id) {
                let holder = Holder::Source(leg.source.id().into());
                if !found.by.contains(&holder) {
                    found.by.push(holder);
                }
                union.add_told(entity, weight(leg));
            }
        }
        found.entity = union.into_stored().pop();
        found
    }

    /// The sources that registered one of the types that an entity has here, or none, where that is
    /// wished for (`federation.own_types`).
    fn of_own_types(
        &self,
        call: &Call,
        origin: &Origin,
        want: &Want<'_>,
        here: &Entity,
    ) -> Matched {
        let select = by_id(&here.id, Some(types_of(here)));
        let mut matched = self.all_matched(call, origin, &Want { select: &select, ..*want });
        matched.legs.dedup_by(|a, b| Arc::ptr_eq(&a.source, &b.source));
        // They may know it by further types.
        matched.legs = matched.legs.iter().flat_map(|leg| want.parts(&leg.source)).collect();
        matched
    }

    /// What is here of an entity.
    pub(in crate::broker) async fn local_entity(
        &self,
        call: &Call,
        id: &EntityId,
    ) -> Result<Option<Arc<Stored>>, Error> {
        match self.store.get(&call.tenant, id, call.now).await {
            Err(StoreError::UnknownTenant(_)) => Ok(None),
            other => Ok(other?),
        }
    }

    async fn retrieve_leg(
        &self,
        call: &Call,
        origin: &Origin,
        leg: &Leg,
        id: &EntityId,
        only: Option<&TypeSelection>,
        map: Option<&str>,
    ) -> Received {
        let operation = leg.source.first_of(READS).unwrap_or(Operation::RetrieveEntity);
        let batch = operation == Operation::QueryBatch;
        let naming = self.naming(call, &leg.source, batch).await;
        let draft = match operation {
            Operation::RetrieveEntity => {
                let path = format!("/entities/{}", path_part(id.as_str()));
                Draft::new(Method::GET, path)
                    .with_some("attrs", leg.attributes.as_ref().map(|all| naming.names(all)))
                    .with_some("type", only.map(|only| types_text(only, &naming)))
                    .with("options", "sysAttrs")
            }
            operation => {
                let asked = Simple { attributes: leg.attributes.as_deref(), page: None };
                query_draft(leg, operation, &asked, &naming)
            }
        };
        let heard = self.ask(origin, &leg.source, &draft.by_map(map), &naming).await;
        let mut received = self.receive(call, leg, &naming, heard).await;
        origin.held.take(received.room.take());
        received
    }

    /// Entities by their ids, from everywhere: those that others are joined with, or that a query
    /// leads to; and what there is to say of sources.
    pub(in crate::broker) async fn get_everywhere(
        &self,
        call: &Call,
        origin: &Origin,
        ids: &[EntityId],
    ) -> Result<(Vec<Arc<Stored>>, Vec<Warning>), Error> {
        let select = [Selector { ids: ids.to_vec(), ..Selector::default() }];
        let want = Want { select: &select, operations: READS, ..Want::default() };
        let matched = self.matched(call, origin, &want);
        let local = async {
            match self.store.get_many(&call.tenant, ids, call.now).await {
                Err(StoreError::UnknownTenant(_)) => Ok(Vec::new()),
                found => found,
            }
        };
        let mut jobs = Vec::new();
        for leg in &matched.legs {
            let wanted: Vec<EntityId> =
                ids.iter().filter(|id| leg.select.has_id(id)).cloned().collect();
            // A query without a type is too wide for many; so is one entity for a query.
            let together = leg.select.types.is_some() && leg.source.first_of(QUERIES).is_some();
            let at_once = if together && wanted.len() > 1 { IDS } else { 1 };
            for some in wanted.chunks(at_once) {
                let some = some.to_vec();
                let job = async move { (leg, self.get_some(call, origin, leg, some).await) };
                jobs.push(job.boxed());
            }
        }
        let (local, parts) = futures_util::join!(local, all(jobs));
        let (mut union, mut warnings) = (Union::new(call.now), self.beyond(&matched));
        local?.iter().for_each(|stored| union.add_here(stored));
        for (leg, part) in parts {
            add_warnings(&mut warnings, part.warnings);
            part.entities.into_iter().for_each(|entity| union.add_told(entity, weight(leg)));
        }
        Ok((union.into_stored(), warnings))
    }

    /// What a source has of some entities.
    async fn get_some(
        &self,
        call: &Call,
        origin: &Origin,
        leg: &Leg,
        some: Vec<EntityId>,
    ) -> Received {
        if let [id] = some.as_slice() {
            return self.retrieve_leg(call, origin, leg, id, None, None).await;
        }
        let operation = leg.source.first_of(QUERIES).unwrap_or(Operation::QueryEntity);
        let batch = operation == Operation::QueryBatch;
        let naming = self.naming(call, &leg.source, batch).await;
        let mut part = leg.clone();
        let page = Some((0, some.len()));
        (part.select.ids, part.select.id_pattern) = (some, None);
        let asked = Simple { attributes: part.attributes.as_deref(), page };
        let draft = query_draft(&part, operation, &asked, &naming);
        let heard = self.ask(origin, &leg.source, &draft, &naming).await;
        let mut received = self.receive(call, &part, &naming, heard).await;
        origin.held.take(received.room.take());
        received
    }
}

/// One entity, of any type if none is said.
fn by_id(id: &EntityId, types: Option<TypeSelection>) -> [Selector; 1] {
    [Selector { ids: vec![id.clone()], types, ..Selector::default() }]
}

/// Any of the types of an entity.
fn types_of(entity: &Entity) -> TypeSelection {
    TypeSelection::Of(
        entity.types.as_slice().iter().map(|name| vec![TypeTerm::Known(*name)]).collect(),
    )
}
