//! What entities were over time, here and at sources, as one answer (5.7.3, 5.7.4): the instances of
//! all are gathered, and what was asked for is made of them here, so that aggregates and the last
//! instances are those of the whole.

use std::sync::Arc;

use crate::egress::Method;
use futures_util::FutureExt;
use rustc_hash::{FxHashMap, FxHashSet};

use super::super::{Broker, Call, Error};
use super::Origin;
use super::ask::{all, looping};
use super::receive::{Names, Said, heard};
use crate::egress::Reply;
use crate::federate::{
    About, Draft, Leg, Matched, Naming, Source, Want, Warning, WarningCode, path_part,
};
use crate::jsonld::Document;
use crate::model::{
    AttrName, Chapter, DatasetId, EntityId, Name, Recorded, TimeProperty, Timestamp,
};
use crate::query::{
    EntityPlan, Filter, HistoryPlan, Item, Ledger, Line, Page, Series, TellError, Told,
};
use crate::represent::registration::{Mode, Operation};
use crate::represent::{Evolved, Reading};
use crate::store::StoreError;

/// What was found of a page of histories everywhere.
#[derive(Debug, Default)]
pub(in crate::broker) struct PastEverywhere {
    pub told: Told,
    pub count: Option<u64>,
    pub more: bool,
    pub warnings: Vec<Warning>,
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
}

const RETRIEVES: &[Operation] = &[Operation::RetrieveTemporal, Operation::QueryTemporal];
const QUERIES: &[Operation] = &[Operation::QueryTemporal];

/// How many parts of a history that is aggregated are fetched one after the other.
const PARTS: usize = 100;

impl Broker {
    /// What entities were, here and at sources; None if no source is concerned. `split` is whether
    /// filters are applied to what is known from everywhere.
    pub(in crate::broker) async fn evolve_everywhere(
        &self,
        call: &Call,
        origin: &Origin,
        plan: &HistoryPlan,
        split: bool,
        sources: Option<&Filter>,
    ) -> Result<Option<PastEverywhere>, Error> {
        let single = plan.whatever_the_window;
        let asked = Asked { plan, split, attributes: shown(plan) };
        let filters = !split;
        let about = (plan.window.from.is_some() || plan.window.to.is_some()).then_some(plan.window);
        let want = Want {
            select: &plan.entities.select,
            attributes: asked.attributes.as_deref(),
            datasets: plan.datasets.as_deref().unwrap_or_default(),
            about: About::History(about),
            sources,
            geo: plan.entities.geo.as_ref().filter(|_| filters),
            scope: plan.entities.scope.as_ref().filter(|_| filters),
        };
        let operations = if single { RETRIEVES } else { QUERIES };
        let register = &self.federation.register;
        let mut matched = register.matching(&call.tenant, &want, origin.way(), call.now);
        matched.legs.retain(|leg| leg.source.first_of(operations).is_some());
        matched.looping.retain(|source| source.first_of(operations).is_some());
        matched.legs.truncate(self.federation.settings.sources);
        if matched.is_empty() {
            return Ok(None);
        }
        self.gather(call, origin, &asked, &matched).await.map(Some)
    }

    async fn gather(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        matched: &Matched,
    ) -> Result<PastEverywhere, Error> {
        let Page { offset, limit, count, .. } = asked.plan.entities.page;
        let most = self.federation.settings.entities;
        let need = offset.saturating_add(limit).saturating_add(1);
        let need = if count || asked.split { most } else { need.min(most) };
        let legs = matched.legs.iter();
        let jobs =
            legs.map(|leg| self.past_there(call, origin, asked, leg, need).boxed()).collect();
        let (here, there) = futures_util::join!(self.past_here(call, asked, need), all(jobs));
        let mut zones = vec![here?];
        zones.extend(there);
        let mut warnings = looping(&matched.looping);
        warnings.extend(zones.iter_mut().flat_map(|zone| std::mem::take(&mut zone.warnings)));
        let order = order_of(&zones);
        let partial = zones.iter().any(|zone| !zone.complete);
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
        let total = ledgers.len();
        let page: Vec<Ledger> = ledgers.into_iter().skip(offset).take(limit).collect();
        let full = page.len() == limit;
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
            more: total > offset.saturating_add(limit) || (partial && full),
            warnings,
        })
    }

    /// What is here.
    async fn past_here(&self, call: &Call, asked: &Asked<'_>, need: usize) -> Result<Zone, Error> {
        let mut plan = asked.plan.clone();
        plan.aggregate = None;
        plan.entities.order = None;
        plan.entities.page = Page { offset: 0, limit: need, count: false, after: None };
        if asked.split {
            plan.entities = EntityPlan {
                select: plan.entities.select,
                page: plan.entities.page,
                ..EntityPlan::default()
            };
            plan.shown = Default::default();
        }
        let whole = asked.plan.aggregate.is_some();
        let mut zone = Zone { complete: true, ..Zone::default() };
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

    /// What a source has.
    async fn past_there(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        leg: &Leg,
        need: usize,
    ) -> Zone {
        let mut zone = Zone::default();
        let page = self.federation.settings.page.clamp(1, 1_000);
        let whole = asked.plan.aggregate.is_some();
        let mut offset = 0;
        while offset < need {
            let limit = page.min(need.saturating_sub(offset).max(1));
            let mut from = None;
            let mut count = 0;
            for _ in 0..PARTS {
                let (part, cut) =
                    self.past_leg(call, origin, asked, leg, (offset, limit), from).await;
                count = count.max(part.0.len());
                zone.warnings.extend(part.1);
                part.0.into_iter().flatten().for_each(|evolved| zone.add(evolved));
                match cut {
                    Some(cut) if whole => from = Some(cut.plus_micros(1)),
                    Some(cut) => {
                        zone.cut = farther(asked.plan, zone.cut, cut);
                        break;
                    }
                    None => break,
                }
            }
            offset = offset.saturating_add(limit);
            if count < limit || asked.plan.whatever_the_window {
                zone.complete = true;
                break;
            }
        }
        zone
    }

    /// One part of what a source has: its entities, those not taken as None, and where it cut them.
    async fn past_leg(
        &self,
        call: &Call,
        origin: &Origin,
        asked: &Asked<'_>,
        leg: &Leg,
        page: (usize, usize),
        from: Option<Timestamp>,
    ) -> ((Vec<Option<Evolved>>, Vec<Warning>), Option<Timestamp>) {
        let naming = self.naming(call, &leg.source, false).await;
        let draft = past_draft(asked, leg, page, from, &naming);
        let what = self.ask(origin, &leg.source, &draft, &naming).await;
        let (said, mut warnings) = heard(&leg.source, what);
        let Said::Body(reply) = said else { return ((Vec::new(), warnings), None) };
        let cut = (reply.status == 206).then(|| cut_of(&reply)).flatten();
        match self.evolved(call, leg, &naming, &reply).await {
            Ok((entities, wrong)) => {
                warnings.extend(wrong.map(|why| invalid(&leg.source, &why)));
                ((entities, warnings), cut)
            }
            Err(why) => {
                warnings.push(invalid(&leg.source, &why));
                ((Vec::new(), warnings), None)
            }
        }
    }

    async fn evolved(
        &self,
        call: &Call,
        leg: &Leg,
        naming: &Naming,
        reply: &Reply,
    ) -> Result<(Vec<Option<Evolved>>, Option<String>), String> {
        let document = Document::parse_tolerant(&reply.body, &self.parse_limits())
            .map_err(|error| error.to_string())?;
        let items = match document {
            Document::Array(items) => items,
            single => vec![single],
        };
        let mut names = Names::new(self.names_of(call, reply, naming).await);
        let (mut all, mut wrong) = (Vec::with_capacity(items.len()), None);
        for mut item in items {
            let read = match names.of(self, call, &mut item).await {
                Ok(context) => {
                    let reader = self.reader_by(&context, Reading::Whole);
                    reader.evolved(&item).map_err(|error| error.to_string())
                }
                Err(why) => Err(why),
            };
            all.push(match read {
                Ok(evolved) => takes(leg, evolved),
                Err(why) => {
                    wrong.get_or_insert(why);
                    None
                }
            });
        }
        Ok((all, wrong))
    }
}

fn invalid(source: &Arc<Source>, why: &str) -> Warning {
    Warning::new(WarningCode::Invalid, source.id(), why)
}

fn too_much() -> Error {
    Error::TooManyResults(
        "there are too many instances to aggregate over several sources: ask for less time or \
         fewer entities"
            .to_owned(),
    )
}

/// What of an answer is taken: entities and attributes that were asked for and are registered.
fn takes(leg: &Leg, mut evolved: Evolved) -> Option<Evolved> {
    let chapter = &evolved.chapter;
    let types = chapter.types.as_slice();
    let select = &leg.select;
    let selected = select.has_id(&chapter.id)
        && select.types.as_ref().is_none_or(|wanted| wanted.selects(types));
    if !selected {
        return None;
    }
    let registration = &leg.source.registration;
    let infos: Vec<_> = registration
        .information
        .iter()
        .filter(|info| info.has_entity(&chapter.id, Some(types)))
        .collect();
    if infos.is_empty() {
        return None;
    }
    evolved.attributes.retain(|(name, _)| {
        leg.attributes.as_ref().is_none_or(|names| names.contains(name))
            && infos.iter().any(|info| info.has_attribute(*name))
    });
    Some(evolved)
}

/// The request for a part of what a source has.
fn past_draft(
    asked: &Asked<'_>,
    leg: &Leg,
    (offset, limit): (usize, usize),
    from: Option<Timestamp>,
    naming: &Naming,
) -> Draft {
    let plan = asked.plan;
    let single = plan.whatever_the_window
        && leg.source.supports(Operation::RetrieveTemporal)
        && leg.select.ids.len() == 1;
    let mut draft = match (single, leg.select.ids.first()) {
        (true, Some(id)) => {
            Draft::new(Method::GET, format!("/temporal/entities/{}", path_part(id.as_str())))
        }
        _ => Draft::new(Method::GET, "/temporal/entities").selecting(leg, naming),
    };
    draft = draft.with_some("attrs", leg.attributes.as_ref().map(|all| naming.names(all)));
    let window = plan.window;
    let from = from.or(window.from);
    let bounds = match (from, window.to) {
        (Some(from), Some(to)) => vec![
            ("timerel", "between".to_owned()),
            ("timeAt", from.to_string()),
            ("endTimeAt", to.to_string()),
        ],
        (Some(from), None) => {
            vec![("timerel", "after".to_owned()), ("timeAt", from.to_string())]
        }
        (None, Some(to)) => vec![("timerel", "before".to_owned()), ("timeAt", to.to_string())],
        // A query has to say which time it is about.
        (None, None) if !single => {
            vec![("timerel", "after".to_owned()), ("timeAt", "1970-01-01T00:00:00Z".to_owned())]
        }
        (None, None) => Vec::new(),
    };
    draft.params.extend(bounds);
    if window.property != TimeProperty::Placed {
        draft = draft.with("timeproperty", window.property.term());
    }
    if !asked.split && !single {
        let entities = &plan.entities;
        draft = draft.with_some("q", entities.filter.as_ref().map(|filter| naming.spell(filter)));
        draft = draft.with_some("scopeQ", entities.scope.as_ref().map(ToString::to_string));
        if let Some(geo) = &entities.geo {
            draft = draft
                .with("georel", geo.georel())
                .with("geometry", geo.reference().type_name())
                .with("coordinates", geo.coordinates())
                .with("geoproperty", naming.name(geo.property().iri()));
        }
    }
    let last = plan.last_n.filter(|_| plan.aggregate.is_none() && !asked.split);
    draft = draft.with_some("lastN", last.map(|most| most.to_string()));
    draft = draft.with("options", "sysAttrs");
    if single {
        return draft;
    }
    draft
        .with("limit", limit.to_string())
        .with_some("offset", (offset > 0).then(|| offset.to_string()))
}

/// Where a source cut its answer: the end of `date-time start-end/size` (6.3.10).
fn cut_of(reply: &Reply) -> Option<Timestamp> {
    let range = reply.header("content-range")?;
    let (_, range) = range.split_once(' ')?;
    let (range, _) = range.rsplit_once('/')?;
    let (_, end) = range.split_once("Z-")?;
    end.trim().parse().ok()
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

fn order_of(zones: &[Zone]) -> Vec<EntityId> {
    let mut seen = FxHashSet::default();
    let mut order = Vec::new();
    for zone in zones {
        order.extend(zone.order.iter().filter(|id| seen.insert((*id).clone())).cloned());
        if !zone.complete {
            break;
        }
    }
    order
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

/// The attributes that are shown or filtered by; all if absent.
fn shown(plan: &HistoryPlan) -> Option<Vec<AttrName>> {
    let names = |terms: &[crate::query::Term]| -> Option<Vec<AttrName>> {
        terms.iter().map(|term| Name::intern(term.iri()).ok()).collect()
    };
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

/// What several places know of one entity.
#[derive(Default)]
struct Book {
    chapter: Option<Chapter>,
    series: Vec<(Series, Course)>,
    auxiliary: Vec<(Series, Course)>,
}

/// The instances of a series, one of each time.
#[derive(Default)]
struct Course {
    instances: Vec<Recorded>,
    places: FxHashMap<(Option<Timestamp>, Option<Timestamp>), usize>,
}

impl Book {
    fn add(&mut self, evolved: Evolved, property: TimeProperty, auxiliary: bool) {
        let Evolved { chapter, attributes } = evolved;
        match &mut self.chapter {
            None => self.chapter = Some(chapter),
            Some(own) => unite(own, chapter),
        }
        let place = if auxiliary { &mut self.auxiliary } else { &mut self.series };
        for (attribute, instances) in attributes {
            for recorded in instances {
                let dataset: Option<DatasetId> = recorded.instance.dataset().cloned();
                let series = Series { attribute, dataset };
                let known = place.iter().position(|(own, _)| *own == series);
                let known = known.unwrap_or_else(|| {
                    place.push((series, Course::default()));
                    place.len() - 1
                });
                place[known].1.keep(recorded, property);
            }
        }
    }

    fn ledger(mut self) -> Option<Ledger> {
        let chapter = self.chapter?;
        for (series, more) in self.auxiliary {
            match self.series.iter_mut().find(|(own, _)| *own == series) {
                // Auxiliary data fill gaps: times that nobody else tells of.
                Some((_, course)) => {
                    let fresh = more.places.into_iter();
                    let fresh = fresh.filter(|(time, _)| !course.places.contains_key(time));
                    let places: FxHashSet<usize> = fresh.map(|(_, place)| place).collect();
                    let all = more.instances.into_iter().enumerate();
                    let own = all.filter(|(place, _)| places.contains(place));
                    course.instances.extend(own.map(|(_, recorded)| recorded));
                }
                None => self.series.push((series, more)),
            }
        }
        let each = self.series.into_iter().map(|(series, course)| (series, course.instances));
        let (series, instances) = each.unzip();
        Some(Ledger { chapter, series, instances })
    }
}

impl Course {
    /// Adds an instance; of those of one time the one that was modified last counts.
    fn keep(&mut self, recorded: Recorded, property: TimeProperty) {
        let at = recorded.time(property).or_else(|| recorded.time(TimeProperty::Placed));
        match self.places.get(&(at, recorded.deleted_at)) {
            Some(place) => {
                let known = &mut self.instances[*place];
                if recorded.instance.modified_at > known.instance.modified_at {
                    *known = recorded;
                }
            }
            None => {
                self.places.insert((at, recorded.deleted_at), self.instances.len());
                self.instances.push(recorded);
            }
        }
    }
}

fn unite(own: &mut Chapter, other: Chapter) {
    for name in other.types.as_slice() {
        if !own.types.as_slice().contains(name) {
            own.types.push(*name);
        }
    }
    let known = |at: Timestamp| at.micros() != 0;
    if known(other.created_at) && (other.created_at < own.created_at || !known(own.created_at)) {
        own.created_at = other.created_at;
    }
    own.modified_at = own.modified_at.max(other.modified_at);
    // An entity that is somewhere is not gone.
    own.deleted_at = own.deleted_at.and_then(|at| other.deleted_at.map(|other| at.max(other)));
    for change in other.scopes {
        if !own.scopes.contains(&change) {
            own.scopes.push(change);
        }
    }
    own.scopes.sort_by_key(|change| change.time(TimeProperty::Placed));
}
