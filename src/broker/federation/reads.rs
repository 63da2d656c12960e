//! Entities that are here and at sources, as one answer (4.3.6, 5.7.1, 5.7.2).

use std::sync::Arc;

use crate::egress::Method;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustc_hash::FxHashMap;

use super::super::{Broker, Call, Error, QueryTexts};
use super::Origin;
use super::ask::{all, looping};
use super::receive::Received;
use crate::federate::{
    About, Draft, Leg, Matched, Naming, Union, Want, Warning, Weight, path_part, types_text,
};
use crate::jsonld::Context;
use crate::model::{AttrName, Entity, EntityId, Name, RegistrationId, Stored, TypeSelection};
use crate::query::{EntityPlan, Filter, Item, NoLookup, Page, Selector, Term};
use crate::represent::Rendering;
use crate::represent::registration::{Mode, Operation};
use crate::store::StoreError;

/// A query as sources are asked it.
pub(in crate::broker) struct Asked<'a> {
    pub plan: &'a EntityPlan,
    pub texts: &'a QueryTexts,
    /// What the texts mean.
    pub context: Arc<Context>,
    /// Filters are applied to whole entities, not by the sources.
    pub split: bool,
    /// The attributes that matter; all if absent.
    pub attributes: Option<Vec<AttrName>>,
    /// `csf`.
    pub sources: Option<Filter>,
}

/// What was found everywhere.
#[derive(Debug, Default)]
pub(in crate::broker) struct Everywhere {
    pub entities: Vec<Arc<Stored>>,
    pub count: Option<u64>,
    pub more: bool,
    pub warnings: Vec<Warning>,
}

/// Who has a part of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// This broker.
    Here,
    /// The source of this registration.
    Source(RegistrationId),
}

/// An entity that a query may find, and who has parts of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub id: EntityId,
    pub holders: Vec<Holder>,
}

/// All entities that a query may find.
#[derive(Debug, Default)]
pub struct Candidates {
    /// Each once, in the order in which pages tell of them.
    pub entities: Vec<Candidate>,
    pub warnings: Vec<Warning>,
}

/// What one leg, or this broker itself, has.
#[derive(Default)]
struct Zone {
    order: Vec<EntityId>,
    entities: FxHashMap<EntityId, Entity>,
    /// There is nothing more.
    complete: bool,
}

/// How many ids go into one URL.
const IDS: usize = 100;

/// The longest query that is sent in a URL if it can be sent in a body.
const URL: usize = 4_096;

impl Broker {
    fn matched(&self, call: &Call, origin: &Origin, want: &Want<'_>, any: &[Operation]) -> Matched {
        let register = &self.federation.register;
        let mut matched = register.matching(&call.tenant, want, origin.way(), call.now);
        matched.legs.retain(|leg| leg.source.first_of(any).is_some());
        matched.looping.retain(|source| source.first_of(any).is_some());
        matched
    }

    /// The whole of an entity, and what to say of sources; none if nobody has anything of it.
    pub(in crate::broker) async fn retrieve_everywhere(
        &self,
        call: &Call,
        origin: &Origin,
        id: &EntityId,
        only: Option<&TypeSelection>,
        rendering: &Rendering,
    ) -> Result<(Option<Arc<Stored>>, Vec<Warning>), Error> {
        let select =
            [Selector { ids: vec![id.clone()], types: only.cloned(), ..Selector::default() }];
        let attributes = shown_attributes(rendering);
        let want = Want {
            select: &select,
            attributes: attributes.as_deref(),
            datasets: &rendering.datasets,
            ..Want::default()
        };
        let matched = self.matched(call, origin, &want, READS);
        let mut jobs = Vec::with_capacity(matched.legs.len());
        for leg in &matched.legs {
            jobs.push(self.retrieve_leg(call, origin, leg, id, only).boxed());
        }
        let (local, parts) = futures_util::join!(self.local_entity(call, id), all(jobs));
        let mut union = Union::new(call.now);
        let mut warnings = self.beyond(&matched);
        let local = local?;
        if parts.iter().all(|part| part.entities.is_empty()) {
            warnings.extend(parts.into_iter().flat_map(|part| part.warnings));
            return Ok((local, warnings));
        }
        if let Some(stored) = &local {
            union.add(stored.entity.clone(), Weight::Equal);
        }
        for (leg, part) in matched.legs.iter().zip(parts) {
            warnings.extend(part.warnings);
            let own = part.entities.into_iter().filter(|entity| entity.id == *id);
            own.for_each(|entity| union.add(entity, weight(leg)));
        }
        Ok((union.into_entities().pop().map(Stored::new), warnings))
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

    /// What there is to say of sources that were not asked.
    fn beyond(&self, matched: &Matched) -> Vec<Warning> {
        looping(&matched.looping)
    }

    /// A page of the entities that are here and at sources; None if no source is concerned.
    pub(in crate::broker) async fn query_everywhere(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        rendering: &Rendering,
    ) -> Result<Option<Everywhere>, Error> {
        let Some(matched) = self.query_legs(call, origin, asked, rendering) else {
            return Ok(None);
        };
        if asked.plan.order.is_some() {
            return Err(Error::bad(
                "an order can be asked for with local=true only: sources are asked, too (4.23)",
            ));
        }
        let Page { offset, limit, count, .. } = asked.plan.page;
        let most = self.federation.settings.entities;
        let need = offset.saturating_add(limit).saturating_add(1);
        let need = if count || asked.split { most } else { need.min(most) };
        let (here, there) = futures_util::join!(
            self.zone_here(call, asked, need),
            all(self.zones_there(call, origin, asked, &matched, need))
        );
        let mut zones = vec![here?];
        let mut warnings = self.beyond(&matched);
        for (zone, said) in there {
            zones.push(zone);
            warnings.extend(said);
        }
        let everywhere = match asked.split {
            true => whole(call, asked, &matched.legs, zones),
            false => {
                let order = order_of(&zones);
                let page: Vec<EntityId> = order.iter().skip(offset).take(limit).cloned().collect();
                let said = self.fill(call, origin, asked, &matched.legs, &mut zones, &page).await?;
                warnings.extend(said);
                let partial = zones.iter().any(|zone| !zone.complete);
                Everywhere {
                    more: order.len() > offset.saturating_add(page.len()) && page.len() == limit
                        || partial && page.len() == limit,
                    count: count.then_some(order.len() as u64),
                    entities: joined(call, &matched.legs, &mut zones, &page),
                    warnings: Vec::new(),
                }
            }
        };
        Ok(Some(Everywhere { warnings, ..everywhere }))
    }

    /// All entities that a query may find, and who has parts of them: what an entity map is made
    /// of. None if no source is concerned.
    pub async fn candidates_everywhere(
        &self,
        call: &Call,
        texts: &QueryTexts,
        rendering: &Rendering,
    ) -> Result<Option<Candidates>, Error> {
        let Some(origin) = call.origin() else { return Ok(None) };
        let plan = self.plan(call, texts)?;
        let asked = self.asked(call, &plan, texts, rendering)?;
        let Some(matched) = self.query_legs(call, origin, &asked, rendering) else {
            return Ok(None);
        };
        let most = self.federation.settings.entities;
        let (here, there) = futures_util::join!(
            self.zone_here(call, &asked, most),
            all(self.zones_there(call, origin, &asked, &matched, most))
        );
        let mut candidates = Candidates { entities: Vec::new(), warnings: self.beyond(&matched) };
        let mut places: FxHashMap<EntityId, usize> = FxHashMap::default();
        let mut add = |id: EntityId, holder: Holder| {
            let place = *places.entry(id.clone()).or_insert_with(|| {
                candidates.entities.push(Candidate { id, holders: Vec::new() });
                candidates.entities.len() - 1
            });
            let holders = &mut candidates.entities[place].holders;
            if !holders.contains(&holder) {
                holders.push(holder);
            }
        };
        here?.order.into_iter().for_each(|id| add(id, Holder::Here));
        let mut said = Vec::new();
        for (leg, (zone, warnings)) in matched.legs.iter().zip(there) {
            let holder = Holder::Source(leg.source.registration.id.clone());
            zone.order.into_iter().for_each(|id| add(id, holder.clone()));
            said.extend(warnings);
        }
        candidates.warnings.extend(said);
        Ok(Some(candidates))
    }

    /// A query as sources are asked it.
    pub(in crate::broker) fn asked<'a>(
        &self,
        call: &Call,
        plan: &'a EntityPlan,
        texts: &'a QueryTexts,
        rendering: &Rendering,
    ) -> Result<Asked<'a>, Error> {
        let split = texts.split_entities.unwrap_or(self.federation.splits_entities());
        let filtered = plan.filter.is_some() || plan.geo.is_some();
        // Whole entities are filtered by attributes that need not be shown.
        let attributes = match split && filtered {
            true => None,
            false => shown_attributes(rendering).or_else(|| names_of(&plan.attrs)),
        };
        let sources = texts.csf.as_deref().map(|csf| self.source_filter(call, csf)).transpose()?;
        let context = call.context.clone();
        Ok(Asked { plan, texts, context, split, attributes, sources })
    }

    fn query_legs(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        rendering: &Rendering,
    ) -> Option<Matched> {
        let filters = !asked.split;
        let want = Want {
            select: &asked.plan.select,
            attributes: asked.attributes.as_deref(),
            datasets: &rendering.datasets,
            about: About::Latest,
            sources: asked.sources.as_ref(),
            geo: asked.plan.geo.as_ref().filter(|_| filters),
            scope: asked.plan.scope.as_ref().filter(|_| filters),
        };
        let mut matched = self.matched(call, origin, &want, QUERIES);
        let most = self.federation.settings.sources;
        matched.legs.truncate(most);
        (!matched.is_empty()).then_some(matched)
    }

    /// What is here.
    async fn zone_here(&self, call: &Call, asked: &Asked<'_>, need: usize) -> Result<Zone, Error> {
        let mut plan = match asked.split {
            true => EntityPlan { select: asked.plan.select.clone(), ..EntityPlan::default() },
            false => asked.plan.clone(),
        };
        plan.order = None;
        plan.page = Page { offset: 0, limit: need, count: false, after: None };
        let found = match self.store.find(&call.tenant, &plan, call.now).await {
            Err(StoreError::UnknownTenant(_)) => {
                return Ok(Zone { complete: true, ..Zone::default() });
            }
            found => found?,
        };
        let mut zone = Zone { complete: !found.more, ..Zone::default() };
        found.entities.iter().for_each(|stored| zone.add(stored.entity.clone()));
        Ok(zone)
    }

    /// What each source has, to be asked.
    fn zones_there<'j>(
        &'j self,
        call: &'j Call,
        origin: &'j Origin,
        asked: &'j Asked<'_>,
        matched: &'j Matched,
        need: usize,
    ) -> Vec<BoxFuture<'j, (Zone, Vec<Warning>)>> {
        let legs = matched.legs.iter();
        legs.map(|leg| self.zone_there(call, origin, asked, leg, need).boxed()).collect()
    }

    /// What a source has.
    async fn zone_there(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        leg: &Leg,
        need: usize,
    ) -> (Zone, Vec<Warning>) {
        let (mut zone, mut warnings) = (Zone::default(), Vec::new());
        let page = self.federation.settings.page.max(1);
        let mut offset = 0;
        while zone.order.len() < need {
            let limit = page.min(need.saturating_sub(offset).max(1));
            let received = self.query_leg(call, origin, asked, leg, Some((offset, limit))).await;
            warnings.extend(received.warnings);
            let entities = received.entities.into_iter().filter(|entity| asked.may_be(entity));
            entities.for_each(|entity| zone.add(entity));
            offset = offset.saturating_add(limit);
            if received.count < limit {
                zone.complete = true;
                break;
            }
            if offset >= need {
                break;
            }
        }
        (zone, warnings)
    }

    async fn query_leg(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        leg: &Leg,
        page: Option<(usize, usize)>,
    ) -> Received {
        let operation = leg.source.first_of(QUERIES).unwrap_or(Operation::QueryEntity);
        let batch = operation == Operation::QueryBatch;
        let naming = self.naming(call, &leg.source, batch).await;
        let about = Filtered { asked, leg, page };
        let draft = query_draft(leg, operation, &about, &naming);
        let heard = self.ask(origin, &leg.source, &draft, &naming).await;
        self.receive(call, leg, &naming, heard).await
    }

    /// Fetches what is missing of the entities of a page, where a source, or this broker, has more
    /// than was fetched.
    async fn fill(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        legs: &[Leg],
        zones: &mut [Zone],
        page: &[EntityId],
    ) -> Result<Vec<Warning>, Error> {
        let mut warnings = Vec::new();
        let mut jobs = Vec::new();
        for (place, zone) in zones.iter().enumerate().skip(1) {
            let leg = &legs[place - 1];
            let ids: Vec<EntityId> =
                missing(zone, page).into_iter().filter(|id| leg.select.has_id(id)).collect();
            for some in ids.chunks(IDS) {
                let mut part = leg.clone();
                part.select.ids = some.to_vec();
                part.select.id_pattern = None;
                let job =
                    async move { (place, self.query_leg(call, origin, asked, &part, None).await) };
                jobs.push(job.boxed());
            }
        }
        for (place, received) in all(jobs).await {
            warnings.extend(received.warnings);
            received.entities.into_iter().for_each(|entity| zones[place].add(entity));
        }
        let ids = missing(&zones[0], page);
        if !ids.is_empty() {
            let mut plan = asked.plan.clone();
            plan.order = None;
            plan.page = Page { limit: ids.len(), ..Page::default() };
            for select in &mut plan.select {
                select.ids = ids.iter().filter(|id| select.has_id(id)).cloned().collect();
            }
            plan.select.retain(|select| !select.ids.is_empty());
            if asked.plan.select.is_empty() {
                plan.select = vec![Selector { ids, ..Selector::default() }];
            }
            if !plan.select.is_empty() {
                let found = self.store.find(&call.tenant, &plan, call.now).await?;
                found.entities.iter().for_each(|stored| zones[0].add(stored.entity.clone()));
            }
        }
        Ok(warnings)
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

/// What a source may be asked for one entity by, the best first.
const READS: &[Operation] =
    &[Operation::RetrieveEntity, Operation::QueryEntity, Operation::QueryBatch];

/// What a source may be asked for several by.
const QUERIES: &[Operation] = &[Operation::QueryEntity, Operation::QueryBatch];

impl Asked<'_> {
    /// Whether an entity that a source told of may be in the answer.
    fn may_be(&self, entity: &Entity) -> bool {
        let named =
            |term: &Term| term.name().is_some_and(|name| entity.attributes.get(name).is_some());
        self.split || self.plan.attrs.is_empty() || self.plan.attrs.iter().any(named)
    }
}

impl Zone {
    fn add(&mut self, entity: Entity) {
        // A source that tells of an entity twice is believed once.
        if !self.entities.contains_key(&entity.id) {
            self.order.push(entity.id.clone());
            self.entities.insert(entity.id.clone(), entity);
        }
    }
}

/// The entities of a page that a zone may have beyond what is known of it.
fn missing(zone: &Zone, page: &[EntityId]) -> Vec<EntityId> {
    if zone.complete {
        return Vec::new();
    }
    page.iter().filter(|id| !zone.entities.contains_key(*id)).cloned().collect()
}

/// The ids of all zones in their order, each once, as far as it is known which come next.
fn order_of(zones: &[Zone]) -> Vec<EntityId> {
    let mut seen = rustc_hash::FxHashSet::default();
    let mut order = Vec::new();
    for zone in zones {
        order.extend(zone.order.iter().filter(|id| seen.insert((*id).clone())).cloned());
        if !zone.complete {
            break;
        }
    }
    order
}

/// The entities of a page, put together from all zones.
fn joined(call: &Call, legs: &[Leg], zones: &mut [Zone], page: &[EntityId]) -> Vec<Arc<Stored>> {
    let mut union = Union::new(call.now);
    for id in page {
        for (place, zone) in zones.iter_mut().enumerate() {
            if let Some(entity) = zone.entities.remove(id) {
                let weight = place.checked_sub(1).map_or(Weight::Equal, |leg| weight(&legs[leg]));
                union.add(entity, weight);
            }
        }
    }
    union.into_entities().into_iter().map(Stored::new).collect()
}

/// Whole entities, filtered when they were put together.
fn whole(call: &Call, asked: &Asked<'_>, legs: &[Leg], zones: Vec<Zone>) -> Everywhere {
    let mut union = Union::new(call.now);
    for (place, zone) in zones.into_iter().enumerate() {
        let weight = place.checked_sub(1).map_or(Weight::Equal, |leg| weight(&legs[leg]));
        let Zone { order, mut entities, .. } = zone;
        let own = order.iter().filter_map(|id| entities.remove(id));
        own.for_each(|entity| union.add(entity, weight));
    }
    let mut found = union.into_entities();
    found.retain(|entity| asked.plan.matches(entity, call.now, &NoLookup));
    let Page { offset, limit, count, .. } = asked.plan.page;
    let total = found.len();
    let page = found.into_iter().skip(offset).take(limit);
    Everywhere {
        entities: page.map(Stored::new).collect(),
        count: count.then_some(total as u64),
        more: total > offset.saturating_add(limit),
        warnings: Vec::new(),
    }
}

fn weight(leg: &Leg) -> Weight {
    match leg.source.mode() {
        Mode::Auxiliary => Weight::Auxiliary,
        _ => Weight::Equal,
    }
}

/// The attributes that an answer shows; all, or more than can be listed, if absent.
fn shown_attributes(rendering: &Rendering) -> Option<Vec<AttrName>> {
    let projection = &rendering.projection;
    let mut names = match (&projection.attrs, &projection.pick) {
        (Some(attrs), _) => names_of(attrs)?,
        (None, Some(pick)) => {
            let mut names = Vec::new();
            for branch in pick.members() {
                match &branch.item {
                    Item::Attribute(term) => names.push(Name::intern(term.iri()).ok()?),
                    // Even an entity without attributes is shown then.
                    Item::Id | Item::Type | Item::Scope => return None,
                }
            }
            names
        }
        (None, None) => return None,
    };
    if let Some(geojson) = &rendering.geojson {
        names.extend(geojson.geometry_property.filter(|own| !names.contains(own)));
    }
    Some(names)
}

fn names_of(terms: &[Term]) -> Option<Vec<AttrName>> {
    if terms.is_empty() {
        return None;
    }
    terms.iter().map(|term| Name::intern(term.iri()).ok()).collect()
}

/// What a query says beside which entities it is about.
trait Saying {
    fn attributes(&self) -> Option<&[AttrName]>;
    fn filters(&self, _: &Naming) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    fn page(&self) -> Option<(usize, usize)> {
        None
    }
}

/// Nothing.
struct Simple<'a> {
    attributes: Option<&'a [AttrName]>,
}

impl Saying for Simple<'_> {
    fn attributes(&self) -> Option<&[AttrName]> {
        self.attributes
    }
}

/// Filters, unless they are applied to whole entities.
struct Filtered<'a> {
    asked: &'a Asked<'a>,
    leg: &'a Leg,
    page: Option<(usize, usize)>,
}

impl Saying for Filtered<'_> {
    fn attributes(&self) -> Option<&[AttrName]> {
        self.leg.attributes.as_deref()
    }

    fn filters(&self, naming: &Naming) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        if self.asked.split {
            return all;
        }
        let plan = self.asked.plan;
        all.extend(plan.filter.as_ref().map(|filter| ("q", naming.spell(filter))));
        all.extend(plan.scope.as_ref().map(|scope| ("scopeQ", scope.to_string())));
        if let Some(geo) = &plan.geo {
            all.push(("georel", geo.georel()));
            all.push(("geometry", geo.reference().type_name().to_owned()));
            all.push(("coordinates", geo.coordinates()));
            all.push(("geoproperty", naming.name(geo.property().iri())));
        }
        let texts = self.asked.texts;
        let context = &self.asked.context;
        let list = |text: &String| {
            let names = text.split(',').map(|one| naming.name(&context.expand_text(one.trim())));
            names.collect::<Vec<_>>().join(",")
        };
        all.extend(texts.expand_values.as_ref().map(|text| ("expandValues", list(text))));
        all.extend(texts.json_keys.as_ref().map(|text| ("jsonKeys", list(text))));
        all
    }

    fn page(&self) -> Option<(usize, usize)> {
        self.page
    }
}

/// A query of a source: in the URL, or in a body where the source wants that, or it grows long.
fn query_draft(leg: &Leg, operation: Operation, about: &dyn Saying, naming: &Naming) -> Draft {
    let attributes = about.attributes();
    let filters = about.filters(naming);
    let draft = match operation {
        Operation::QueryBatch => Draft::new(Method::POST, "/entityOperations/query")
            .with_object(query_body(leg, attributes, &filters, naming)),
        _ => {
            let mut draft = Draft::new(Method::GET, "/entities").selecting(leg, naming);
            draft = draft.with_some("attrs", attributes.map(|all| naming.names(all)));
            draft.params.extend(filters.iter().cloned());
            let long: usize = draft.params.iter().map(|(_, value)| value.len()).sum();
            if long > URL && leg.source.supports(Operation::QueryBatch) {
                draft = Draft::new(Method::POST, "/entityOperations/query")
                    .with_object(query_body(leg, attributes, &filters, naming));
            }
            draft
        }
    };
    let draft = draft.with("options", "sysAttrs");
    match about.page() {
        Some((offset, limit)) => {
            let draft = draft.with("limit", limit.to_string());
            draft.with_some("offset", (offset > 0).then(|| offset.to_string()))
        }
        None => draft,
    }
}

/// A Query (5.2.23).
fn query_body(
    leg: &Leg,
    attributes: Option<&[AttrName]>,
    filters: &[(&'static str, String)],
    naming: &Naming,
) -> String {
    use serde_json::{Map, Value, json};
    let mut body = Map::new();
    body.insert("type".into(), "Query".into());
    let select = &leg.select;
    let types = select.types.as_ref().map_or("*".to_owned(), |types| types_text(types, naming));
    let mut entity = Map::new();
    entity.insert("type".into(), types.into());
    match select.ids.as_slice() {
        [] => {
            if let Some(pattern) = &select.id_pattern {
                entity.insert("idPattern".into(), pattern.as_str().into());
            }
        }
        [id] => drop(entity.insert("id".into(), id.as_str().into())),
        ids => {
            let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
            entity.insert("id".into(), json!(ids));
        }
    }
    body.insert("entities".into(), json!([entity]));
    if let Some(attributes) = attributes {
        let names: Vec<String> = attributes.iter().map(|name| naming.name(name.as_str())).collect();
        body.insert("attrs".into(), json!(names));
    }
    let mut geo = Map::new();
    for (name, value) in filters {
        match *name {
            "georel" | "geometry" | "geoproperty" => {
                geo.insert((*name).into(), value.clone().into());
            }
            "coordinates" => {
                let value = serde_json::from_str(value).unwrap_or_else(|_| value.clone().into());
                geo.insert("coordinates".into(), value);
            }
            name => drop(body.insert(name.into(), value.clone().into())),
        }
    }
    if !geo.is_empty() {
        body.insert("geoQ".into(), geo.into());
    }
    Value::from(body).to_string()
}
