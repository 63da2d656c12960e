//! What entities were over time, here and at sources, as one answer (5.7.3, 5.7.4): the instances of
//! all are gathered, and what was asked for is made of them here, so that aggregates and the last
//! instances are those of the whole.

mod book;
mod sources;

use futures_util::FutureExt;
use rustc_hash::FxHashMap;

use self::book::Book;
use super::super::entity_maps::{Candidates, only, too_many};
use super::super::turned::Shown;
use super::super::{Broker, Call, Error};
use super::ask::{all, left_out, looping};
use super::order::order_of;
use super::reads::{Finds, has_one_part, held_here, keep_held};
use super::{Origin, too_far};
use crate::federate::{About, Matched, Want, Warning};
use crate::model::{AttrName, EntityId, Held, Holder, Name, Timestamp};
use crate::query::{EntityPlan, Filter, HistoryPlan, Item, Ledger, Line, Page, TellError, Told};
use crate::represent::Evolved;
use crate::represent::registration::{Mode, Operation};
use crate::store::StoreError;

/// A question about the past.
#[derive(Clone, Copy)]
pub(in crate::broker) struct PastQuery<'a> {
    pub plan: &'a HistoryPlan,
    /// Filters are applied to what is known from everywhere.
    pub split: bool,
    /// `csf`.
    pub sources: Option<&'a Filter>,
    /// Who holds the entities that are selected; whoever matches if absent.
    pub held: Option<&'a [Held]>,
    /// An entity map is made of it, which ends then: sources make maps, too.
    pub until: Option<Timestamp>,
    /// The maps that sources made: registrations, and the ids of the maps.
    pub linked: &'a [(String, String)],
    /// What the pages before showed; counted if that is not known.
    pub before: Option<&'a Shown>,
}

impl<'a> PastQuery<'a> {
    /// A question to whoever may know.
    pub fn new(plan: &'a HistoryPlan, split: bool) -> Self {
        let (sources, held, until, linked, before) = (None, None, None, &[] as &[_], None);
        Self { plan, split, sources, held, until, linked, before }
    }
}

/// What was found of a page of histories everywhere.
#[derive(Debug, Default)]
pub(in crate::broker) struct PastEverywhere {
    pub told: Told,
    pub count: Option<u64>,
    pub more: bool,
    /// Who has something of the entity, if one was asked for by its id.
    pub by: Vec<Holder>,
    pub warnings: Vec<Warning>,
    /// What the pages up to this one showed.
    pub shown: Option<Shown>,
}

/// What one place has of the histories that are asked for.
#[derive(Default)]
struct Zone {
    order: Vec<EntityId>,
    entities: FxHashMap<EntityId, Evolved>,
    /// There are no more entities.
    complete: bool,
    /// Up to when (with lastN: from when on) instances are known, if that is not all.
    cut: Option<Timestamp>,
    warnings: Vec<Warning>,
}

/// A temporal query as sources are asked it.
struct Asked<'a> {
    plan: &'a HistoryPlan,
    split: bool,
    attributes: Option<Vec<AttrName>>,
    held: Option<&'a [Held]>,
    /// It matters only which entities there are.
    bare: bool,
    until: Option<Timestamp>,
    linked: &'a [(String, String)],
}

const RETRIEVES: &[Operation] = &[Operation::RetrieveTemporal, Operation::QueryTemporal];
const QUERIES: &[Operation] = &[Operation::QueryTemporal];

/// How many parts of a history that is aggregated are fetched one after the other.
const PARTS: usize = 100;

impl Broker {
    /// What entities were, here and at sources; None if no source is concerned.
    pub(in crate::broker) async fn evolve_everywhere(
        &self,
        call: &Call,
        origin: &Origin,
        query: PastQuery<'_>,
    ) -> Result<Option<PastEverywhere>, Error> {
        let asked = Asked::new(query, query.plan);
        let Some(matched) = self.past_legs(call, origin, &asked, query) else { return Ok(None) };
        self.gather(call, origin, &asked, &matched, query.before).await.map(Some)
    }

    /// The sources that are concerned.
    fn past_legs(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        query: PastQuery<'_>,
    ) -> Option<Matched> {
        let plan = asked.plan;
        let filters = !asked.split;
        let about = (plan.window.from.is_some() || plan.window.to.is_some()).then_some(plan.window);
        let want = Want {
            select: &plan.entities.select,
            attributes: asked.attributes.as_deref(),
            datasets: plan.datasets.as_deref().unwrap_or_default(),
            about: About::History(about),
            sources: query.sources,
            geo: plan.entities.geo.as_ref().filter(|_| filters),
            scope: plan.entities.scope.as_ref().filter(|_| filters),
            operations: if plan.whatever_the_window { RETRIEVES } else { QUERIES },
        };
        let register = &self.federation.register;
        let mut matched = register.matching(&call.tenant, &want, origin.way(), call.now);
        matched.limit(self.federation.settings.sources);
        if let Some(held) = query.held {
            keep_held(&mut matched, held);
        }
        (!matched.is_empty()).then_some(matched)
    }

    /// All entities whose history a query may find, and who has something of it; None if no source
    /// is concerned.
    pub(in crate::broker) async fn past_candidates_everywhere(
        &self,
        call: &Call,
        origin: &Origin,
        query: PastQuery<'_>,
        most: usize,
    ) -> Result<Option<Candidates>, Error> {
        // The last instance tells as well as all that there is something.
        let plan = HistoryPlan { aggregate: None, last_n: Some(1), ..query.plan.clone() };
        let asked = Asked { bare: true, ..Asked::new(query, &plan) };
        let Some(matched) = self.past_legs(call, origin, &asked, query) else { return Ok(None) };
        let (plan, need) = (asked.plan_here(), most.saturating_add(1));
        let jobs = matched.legs.iter().map(|leg| {
            let alone = has_one_part(&matched, leg);
            self.past_ids_there(call, origin, &asked, leg, need, alone).boxed()
        });
        let jobs = jobs.collect();
        let here = self.past_candidates_here(call, &plan, most);
        let (here, there) = futures_util::join!(here, all(jobs));
        let here = match here {
            Err(Error::Store(StoreError::UnknownTenant(_))) => Vec::new(),
            here => here?,
        };
        let (mut finds, mut linked) = (Finds::default(), Vec::new());
        let mut warnings = beyond(&matched);
        here.into_iter().for_each(|held| finds.add(held.id, Holder::Here));
        for (leg, ids) in matched.legs.iter().zip(there) {
            if !ids.complete {
                return Err(too_many(most));
            }
            let holder = Holder::Source(leg.source.id().into());
            ids.order.into_iter().for_each(|id| finds.add(id, holder.clone()));
            linked.extend(ids.map.map(|map| (leg.source.id().to_owned(), map)));
            warnings.extend(ids.warnings);
        }
        Ok(Some(Candidates { held: finds.into_held(), linked, warnings }))
    }

    async fn gather(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        matched: &Matched,
        before: Option<&Shown>,
    ) -> Result<PastEverywhere, Error> {
        let Page { offset, limit, count, .. } = asked.plan.entities.page;
        let (before, skip) = match before {
            Some(before) => (before.clone(), 0),
            None => (self.turned.nothing(), offset),
        };
        let most = self.federation.settings.entities;
        let wanted = match count || asked.split {
            true => usize::MAX,
            false => before.len().saturating_add(skip).saturating_add(limit).saturating_add(1),
        };
        let need = wanted.min(most);
        let legs = matched.legs.iter();
        let jobs =
            legs.map(|leg| self.past_there(call, origin, asked, leg, need).boxed()).collect();
        let (here, there) = futures_util::join!(self.past_here(call, asked, need), all(jobs));
        let mut zones = vec![here?];
        zones.extend(there);
        let mut warnings = beyond(matched);
        warnings.extend(zones.iter_mut().flat_map(|zone| std::mem::take(&mut zone.warnings)));
        let order = order_of(zones.iter().map(|zone| (&*zone.order, zone.complete)));
        let partial = zones.iter().any(|zone| !zone.complete);
        if partial && wanted > most {
            return Err(too_far(most));
        }
        let by = match asked.plan.whatever_the_window {
            true => holders(matched, &zones),
            false => Vec::new(),
        };
        let bound = bound(asked.plan, &zones);
        let mut ledgers: Vec<Ledger> = Vec::new();
        for id in &order {
            let mut book = Book::default();
            for (place, zone) in zones.iter_mut().enumerate() {
                let auxiliary = place
                    .checked_sub(1)
                    .is_some_and(|leg| matched.legs[leg].source.mode() == Mode::Auxiliary);
                if let Some(evolved) = zone.entities.remove(id) {
                    book.add(evolved, asked.plan.window.property, auxiliary);
                }
            }
            ledgers.extend(book.ledger());
        }
        let mut plan = asked.plan.clone();
        if let Some(at) = bound {
            match plan.last_n {
                Some(_) => plan.window.from = plan.window.from.max(Some(at)),
                None => plan.window.to = Some(at.plus_micros(1)),
            }
        }
        if asked.split {
            ledgers.retain(|ledger| plan.selects(ledger).unwrap_or(false));
        }
        let (total, seen) = (ledgers.len(), before.seen());
        let mut left = ledgers.into_iter().filter(|ledger| !seen.has(&ledger.chapter.id));
        let skipped: Vec<EntityId> =
            left.by_ref().take(skip).map(|ledger| ledger.chapter.id).collect();
        let page: Vec<Ledger> = left.by_ref().take(limit).collect();
        let more = page.len() == limit && (partial || left.next().is_some());
        let on_page = page.iter().map(|ledger| &ledger.chapter.id);
        let shown = before.clone().with(skipped.iter().chain(on_page));
        let mut told = plan.tell(&page).map_err(|error| match error {
            TellError::Query(error) => Error::Query(error),
            TellError::Store(never) => match never {},
        })?;
        if plan.aggregate.is_none() {
            told.cut = told.cut.or(bound);
        }
        Ok(PastEverywhere {
            told,
            count: count.then_some(total as u64),
            more,
            by,
            warnings,
            shown: Some(shown),
        })
    }

    /// What is here.
    async fn past_here(&self, call: &Call, asked: &Asked<'_>, need: usize) -> Result<Zone, Error> {
        let mut plan = asked.plan_here();
        plan.aggregate = None;
        plan.entities.page = Page { offset: 0, limit: need, count: false, after: None };
        let whole = asked.plan.aggregate.is_some();
        let mut zone = Zone { complete: true, ..Zone::default() };
        if let Some(held) = asked.held {
            let Some(select) = only(&plan.entities.select, &held_here(held)) else {
                return Ok(zone);
            };
            plan.entities.select = select;
        }
        for _ in 0..PARTS {
            let found = match self.store.evolve(&call.tenant, &plan, call.now).await {
                Err(StoreError::UnknownTenant(_)) => return Ok(zone),
                found => found?,
            };
            zone.complete &= !found.more;
            for evolution in found.told.evolutions {
                let attributes = evolution.attributes.into_iter().map(|(name, line)| match line {
                    Line::Instances(instances) => (name, instances),
                    Line::Aggregates(_) | Line::Cut(_) => (name, Vec::new()),
                });
                zone.add(Evolved { chapter: evolution.chapter, attributes: attributes.collect() });
            }
            match found.told.cut {
                Some(cut) if whole => plan.window.from = Some(cut.plus_micros(1)),
                cut => {
                    zone.cut = cut;
                    return Ok(zone);
                }
            }
        }
        Err(too_much())
    }
}

impl<'a> Asked<'a> {
    fn new(query: PastQuery<'a>, plan: &'a HistoryPlan) -> Self {
        let PastQuery { split, held, until, linked, .. } = query;
        // A source's own map serves the question that it was made by, whatever is shown.
        let attributes = match until.is_some() || !linked.is_empty() {
            true => selecting(plan),
            false => shown(plan),
        };
        Self { plan, split, attributes, held, bare: false, until, linked }
    }

    /// What is asked of this broker's own store; what is known from everywhere is filtered later.
    fn plan_here(&self) -> HistoryPlan {
        let mut plan = self.plan.clone();
        plan.entities.order = None;
        if self.split {
            plan.entities = EntityPlan { select: plan.entities.select, ..EntityPlan::default() };
            plan.shown = Default::default();
        }
        plan
    }
}

/// What there is to say of sources that were not asked.
fn beyond(matched: &Matched) -> Vec<Warning> {
    let mut warnings = looping(&matched.looping);
    warnings.extend(left_out(&matched.left_out));
    warnings
}

/// Who has anything: the first zone is what is here.
fn holders(matched: &Matched, zones: &[Zone]) -> Vec<Holder> {
    let mut by = Vec::new();
    for (place, _) in zones.iter().enumerate().filter(|(_, zone)| !zone.order.is_empty()) {
        let holder = match place.checked_sub(1) {
            None => Holder::Here,
            Some(leg) => Holder::Source(matched.legs[leg].source.id().into()),
        };
        if !by.contains(&holder) {
            by.push(holder);
        }
    }
    by
}

fn too_much() -> Error {
    Error::TooManyResults(
        "there are too many instances to aggregate over several sources: ask for less time or \
         fewer entities"
            .to_owned(),
    )
}

impl Zone {
    fn add(&mut self, evolved: Evolved) {
        let id = evolved.chapter.id.clone();
        match self.entities.get_mut(&id) {
            // A later part of the same.
            Some(known) => {
                for (name, instances) in evolved.attributes {
                    match known.attributes.iter_mut().find(|(own, _)| *own == name) {
                        Some((_, all)) => all.extend(instances),
                        None => known.attributes.push((name, instances)),
                    }
                }
            }
            None => {
                self.order.push(id.clone());
                self.entities.insert(id, evolved);
            }
        }
    }
}

/// The cut that leaves less.
fn farther(plan: &HistoryPlan, known: Option<Timestamp>, cut: Timestamp) -> Option<Timestamp> {
    Some(match (known, plan.last_n) {
        (None, _) => cut,
        (Some(known), Some(_)) => known.max(cut),
        (Some(known), None) => known.min(cut),
    })
}

/// Up to when (with lastN: from when on) everybody's instances are known.
fn bound(plan: &HistoryPlan, zones: &[Zone]) -> Option<Timestamp> {
    zones.iter().filter_map(|zone| zone.cut).fold(None, |known, cut| farther(plan, known, cut))
}

fn names(terms: &[crate::query::Term]) -> Option<Vec<AttrName>> {
    terms.iter().map(|term| Name::intern(term.iri()).ok()).collect()
}

/// The attributes of which an entity has to have one; any if absent.
fn selecting(plan: &HistoryPlan) -> Option<Vec<AttrName>> {
    let entities = &plan.entities;
    let any = entities.filter.is_some() || entities.geo.is_some() || entities.attrs.is_empty();
    (!any).then(|| names(&entities.attrs)).flatten()
}

/// The attributes that are shown or filtered by; all if absent.
fn shown(plan: &HistoryPlan) -> Option<Vec<AttrName>> {
    if plan.entities.filter.is_some() || plan.entities.geo.is_some() {
        return None;
    }
    if let Some(attrs) = &plan.shown.attrs {
        return names(attrs);
    }
    if let Some(pick) = &plan.shown.pick {
        let mut picked = Vec::new();
        for branch in pick.members() {
            match &branch.item {
                Item::Attribute(term) => picked.push(Name::intern(term.iri()).ok()?),
                Item::Id | Item::Type | Item::Scope => return None,
            }
        }
        return Some(picked);
    }
    (!plan.entities.attrs.is_empty()).then(|| names(&plan.entities.attrs)).flatten()
}
