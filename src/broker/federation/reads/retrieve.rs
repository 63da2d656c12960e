//! One entity, or some by their ids, from everywhere (5.7.1).

use std::sync::Arc;

use futures_util::FutureExt;

use super::super::ask::all;
use super::super::receive::Received;
use super::super::{Broker, Call, Error, Origin};
use super::drafts::{Simple, query_draft};
use super::{READS, shown_attributes, weight};
use crate::egress::Method;
use crate::federate::{Draft, Leg, Union, Want, Warning, Weight, path_part, types_text};
use crate::model::{EntityId, Held, Holder, Stored, TypeSelection};
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
    /// The whole of an entity; only of those who hold it, if that is known.
    pub(in crate::broker) async fn retrieve_everywhere(
        &self,
        call: &Call,
        origin: &Origin,
        id: &EntityId,
        only: Option<&TypeSelection>,
        rendering: &Rendering,
        held: Option<&Held>,
    ) -> Result<Retrieved, Error> {
        let select =
            [Selector { ids: vec![id.clone()], types: only.cloned(), ..Selector::default() }];
        let attributes = shown_attributes(rendering);
        let want = Want {
            select: &select,
            attributes: attributes.as_deref(),
            datasets: &rendering.datasets,
            ..Want::default()
        };
        let mut matched = self.matched(call, origin, &want, READS);
        if let Some(held) = held {
            matched.legs.retain(|leg| held.is_at(leg.source.id()));
        }
        let here = held.is_none_or(Held::is_here);
        let jobs = matched.legs.iter();
        let jobs = jobs.map(|leg| self.retrieve_leg(call, origin, leg, id, only).boxed()).collect();
        let local = async { if here { self.local_entity(call, id).await } else { Ok(None) } };
        let (local, parts) = futures_util::join!(local, all(jobs));
        let local = local?;
        let mut found = Retrieved { warnings: self.beyond(&matched), ..Retrieved::default() };
        found.by.extend(local.is_some().then_some(Holder::Here));
        if parts.iter().all(|part| part.entities.is_empty()) {
            found.warnings.extend(parts.into_iter().flat_map(|part| part.warnings));
            found.entity = local;
            return Ok(found);
        }
        let mut union = Union::new(call.now);
        if let Some(stored) = &local {
            union.add(stored.entity.clone(), Weight::Equal);
        }
        for (leg, part) in matched.legs.iter().zip(parts) {
            found.warnings.extend(part.warnings);
            for entity in part.entities.into_iter().filter(|entity| entity.id == *id) {
                let holder = Holder::Source(leg.source.id().into());
                if !found.by.contains(&holder) {
                    found.by.push(holder);
                }
                union.add(entity, weight(leg));
            }
        }
        found.entity = union.into_entities().pop().map(Stored::new);
        Ok(found)
    }

    async fn local_entity(&self, call: &Call, id: &EntityId) -> Result<Option<Arc<Stored>>, Error> {
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
                let asked = Simple { attributes: leg.attributes.as_deref() };
                query_draft(leg, operation, &asked, &naming)
            }
        };
        let heard = self.ask(origin, &leg.source, &draft, &naming).await;
        self.receive(call, leg, &naming, heard).await
    }

    /// Entities by their ids, from everywhere: those that others are joined with.
    pub(in crate::broker) async fn get_everywhere(
        &self,
        call: &Call,
        origin: &Origin,
        ids: &[EntityId],
    ) -> Result<Vec<Arc<Stored>>, Error> {
        let select = [Selector { ids: ids.to_vec(), ..Selector::default() }];
        let want = Want { select: &select, ..Want::default() };
        let matched = self.matched(call, origin, &want, READS);
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
            for id in wanted {
                let job =
                    async move { (leg, self.retrieve_leg(call, origin, leg, &id, None).await) };
                jobs.push(job.boxed());
            }
        }
        let (local, parts) = futures_util::join!(local, all(jobs));
        let mut union = Union::new(call.now);
        local?.iter().for_each(|stored| union.add(stored.entity.clone(), Weight::Equal));
        for (leg, part) in parts {
            part.entities.into_iter().for_each(|entity| union.add(entity, weight(leg)));
        }
        Ok(union.into_entities().into_iter().map(Stored::new).collect())
    }
}
