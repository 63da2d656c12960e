//! Which sources a request is for, and which part of it is for each of them (4.3.6, 5.12).

use std::sync::Arc;

use super::index::Clue;
use super::register::Register;
use super::source::Source;
use super::via::Via;
use crate::model::TimeProperty;
use crate::model::{
    AttrName, DatasetId, Entity, Stored, TenantId, Timestamp, TypeSelection, TypeTerm,
};
use crate::query::{Filter, GeoFilter, NoLookup, Pattern, ScopeFilter, Selector, Window};
use crate::represent::registration::{
    EntityInfo, Interval, Mode, Operation, Registration, RegistrationInfo,
};

/// What a request is about, as sources are matched with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Want<'a> {
    /// Alternatives; every entity if there are none.
    pub select: &'a [Selector],
    /// Any of these attributes; any at all if absent.
    pub attributes: Option<&'a [AttrName]>,
    /// Only instances of these datasetIds, if there are any.
    pub datasets: &'a [Option<DatasetId>],
    /// Of what kind the data are.
    pub about: About,
    /// `csf`: what must hold of the source.
    pub sources: Option<&'a Filter>,
    pub geo: Option<&'a GeoFilter>,
    pub scope: Option<&'a ScopeFilter>,
    /// Only sources that can be asked for one of these, if there are any.
    pub operations: &'a [Operation],
}

/// Whether a request is about what is latest or about what was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum About {
    #[default]
    Latest,
    /// In this window, if there is one.
    History(Option<Window>),
}

/// The part of a request that is for one source.
#[derive(Debug, Clone)]
pub struct Leg {
    pub source: Arc<Source>,
    /// The entities: those that were asked for, as far as the source registered them.
    pub select: Selector,
    /// The attributes, likewise; all if absent.
    pub attributes: Option<Vec<AttrName>>,
}

/// The sources that match a request.
#[derive(Debug, Clone, Default)]
pub struct Matched {
    /// Exclusive sources first, then those that redirect, inclusive and auxiliary ones; those of one
    /// mode by id.
    pub legs: Vec<Leg>,
    /// Sources that were passed on the way here, or that cannot be asked since the request went in
    /// circles.
    pub looping: Vec<Arc<Source>>,
    /// Sources that are one too many to be asked.
    pub left_out: Vec<Arc<Source>>,
}

impl Matched {
    /// Leaves as many parts as are asked for at once: of sources that have something for
    /// themselves, then of those that say which entities they have, then of others.
    pub fn limit(&mut self, most: usize) {
        self.limit_to(most, |leg| leg.source.names_entities());
    }

    /// Leaves as many parts as are asked for at once: of sources that have something for
    /// themselves, then those that are preferred, then others; in the order in which they stand.
    pub fn limit_to(&mut self, most: usize, prefers: impl Fn(&Leg) -> bool) {
        if self.legs.len() <= most {
            return;
        }
        let key = |leg: &Leg| (!leg.source.mode().is_proxied(), !prefers(leg));
        let mut order: Vec<usize> = (0..self.legs.len()).collect();
        order.sort_by_cached_key(|place| key(&self.legs[*place]));
        let mut stays = vec![false; self.legs.len()];
        order.into_iter().take(most).for_each(|place| stays[place] = true);
        let legs = std::mem::take(&mut self.legs).into_iter().zip(stays);
        for (leg, stays) in legs {
            match stays {
                true => self.legs.push(leg),
                false => self.left_out.push(leg.source),
            }
        }
    }

    /// Whether no source matches.
    pub fn is_empty(&self) -> bool {
        self.legs.is_empty() && self.looping.is_empty()
    }
}

/// How a request came: which way, and by which name this broker goes.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    pub via: &'a Via,
    pub alias: &'a str,
}

/// How many parts of one request are for one source at most; then it is asked for all it has.
const MOST_LEGS: usize = 8;

impl Register {
    /// The sources of a tenant that match, each with its parts of the request.
    pub fn matching(
        &self,
        tenant: &TenantId,
        want: &Want<'_>,
        way: Way<'_>,
        now: Timestamp,
    ) -> Matched {
        let mut matched = Matched::default();
        if !self.has(tenant) {
            return matched;
        }
        let circles = way.via.loops_at(way.alias);
        let clue = Clue { select: want.select, attributes: want.attributes };
        for source in self.candidates(tenant, &clue) {
            let able = want.operations.is_empty() || source.first_of(want.operations).is_some();
            if !able || !want.admits(&source.registration, now) {
                continue;
            }
            let legs = want.legs(&source);
            if legs.is_empty() {
                continue;
            }
            let passed = source.registration.alias.as_deref().is_some_and(|own| {
                // Whoever is called like this broker is this broker.
                way.via.names(own) || own == way.alias
            });
            match circles || passed {
                true => matched.looping.push(source),
                false => matched.legs.extend(legs),
            }
        }
        matched.legs.sort_by_key(|leg| rank(leg.source.mode()));
        matched
    }
}

/// In which order sources are asked.
fn rank(mode: Mode) -> u8 {
    match mode {
        Mode::Exclusive => 0,
        Mode::Redirect => 1,
        Mode::Inclusive => 2,
        Mode::Auxiliary => 3,
    }
}

impl Want<'_> {
    /// Whether all but entities and attributes matches.
    fn admits(&self, registration: &Registration, now: Timestamp) -> bool {
        let described = &registration.described;
        registration.is_alive(now)
            && self.about.suits(registration)
            && self.shares_datasets(registration)
            && self.sources.is_none_or(|filter| filter.matches(described, now, &NoLookup))
            && (described.scopes.is_empty()
                || self.scope.is_none_or(|scope| scope.matches(&described.scopes)))
            && self.geo.is_none_or(|geo| may_be_placed(described, geo))
    }

    fn shares_datasets(&self, registration: &Registration) -> bool {
        let own = &registration.datasets;
        own.is_empty()
            || self.datasets.is_empty()
            || self.datasets.iter().any(|dataset| own.contains(dataset))
    }

    /// The parts of the request that are for a source which is known to match.
    pub fn parts(&self, source: &Arc<Source>) -> Vec<Leg> {
        self.legs(source)
    }

    /// The parts of the request that are for a source.
    fn legs(&self, source: &Arc<Source>) -> Vec<Leg> {
        let mut legs: Vec<Leg> = Vec::new();
        for info in &source.registration.information {
            let Some(attributes) = self.attributes_of(info) else { continue };
            for select in self.selected(info) {
                merge(
                    &mut legs,
                    Leg { source: source.clone(), select, attributes: attributes.clone() },
                );
            }
        }
        if legs.len() > MOST_LEGS {
            return self.legs_of_all(source, &legs);
        }
        legs
    }

    /// A source that would have to be asked too often is asked as it was asked here; what it has
    /// not registered is left out of its answer.
    fn legs_of_all(&self, source: &Arc<Source>, parts: &[Leg]) -> Vec<Leg> {
        let attributes = parts.iter().map(|leg| leg.attributes.clone()).reduce(|a, b| {
            let (mut a, b) = (a?, b?);
            a.extend(b.into_iter().filter(|name| !a.contains(name)).collect::<Vec<_>>());
            Some(a)
        });
        let anything = [Selector::default()];
        let select = if self.select.is_empty() { &anything } else { self.select };
        let leg = |select: &Selector| Leg {
            source: source.clone(),
            select: select.clone(),
            attributes: attributes.clone().flatten(),
        };
        select.iter().take(MOST_LEGS).map(leg).collect()
    }

    /// The attributes that are wanted and registered: None if there are none, all if it is
    /// `Some(None)`.
    #[expect(clippy::option_option, reason = "no attribute is not all attributes")]
    fn attributes_of(&self, info: &RegistrationInfo) -> Option<Option<Vec<AttrName>>> {
        let registered = || info.attributes();
        match (info.has_all_attributes(), self.attributes) {
            (true, None) => Some(None),
            (true, Some(wanted)) => Some(Some(wanted.to_vec())),
            (false, None) => Some(Some(registered().collect())),
            (false, Some(wanted)) => {
                let both: Vec<AttrName> =
                    wanted.iter().copied().filter(|name| info.has_attribute(*name)).collect();
                (!both.is_empty()).then_some(Some(both))
            }
        }
    }

    /// The entities that are wanted and registered.
    fn selected(&self, info: &RegistrationInfo) -> Vec<Selector> {
        let anything = [Selector::default()];
        let wanted = if self.select.is_empty() { &anything } else { self.select };
        if info.entities.is_empty() {
            return wanted.to_vec();
        }
        let pairs = wanted.iter().flat_map(|one| info.entities.iter().map(move |own| (one, own)));
        pairs.filter_map(|(one, own)| narrowed(one, own)).collect()
    }
}

impl About {
    fn suits(self, registration: &Registration) -> bool {
        let window = match self {
            About::Latest => return !registration.is_temporal(),
            About::History(window) => window,
        };
        // A source that says nothing of its times may have any.
        let meets = |interval: &Option<Interval>| {
            interval.is_none_or(|one| window.as_ref().is_none_or(|window| one.meets(window)))
        };
        match window.map(|window| window.property) {
            None => true,
            Some(TimeProperty::ObservedAt | TimeProperty::Placed) => {
                meets(&registration.observation)
            }
            Some(_) => meets(&registration.management_interval),
        }
    }
}

/// Whether data of a source may lie where a geoquery asks, as far as the source says where its
/// data lie.
fn may_be_placed(described: &Entity, geo: &GeoFilter) -> bool {
    let Some(place) = geo.property().name().and_then(|name| described.attributes.get(name)) else {
        return true;
    };
    let Some(reach) = geo.reach() else { return true };
    place.instances().iter().any(|instance| match &instance.datum {
        crate::model::Datum::GeoProperty(geometry) => {
            let bounds = geometry.bounds();
            reach.iter().any(|rect| rect.intersects(&bounds))
        }
        _ => true,
    })
}

/// What a selector and an EntityInfo have in common, if anything (5.12).
fn narrowed(wanted: &Selector, own: &EntityInfo) -> Option<Selector> {
    let types = narrowed_types(wanted.types.as_ref(), own)?;
    let (ids, id_pattern) = match (&own.id, &own.id_pattern) {
        (Some(id), _) => {
            if !wanted.has_id(id) {
                return None;
            }
            (vec![id.clone()], None)
        }
        (None, pattern) => narrowed_ids(wanted, pattern.as_ref())?,
    };
    Some(Selector { ids, id_pattern, types, ordered: false })
}

fn narrowed_ids(
    wanted: &Selector,
    own: Option<&Pattern>,
) -> Option<(Vec<crate::model::EntityId>, Option<Pattern>)> {
    if wanted.ids.is_empty() {
        // Two patterns are taken to have something in common, since that cannot be told.
        return Some((Vec::new(), wanted.id_pattern.clone().or(own.cloned())));
    }
    let fits = |id: &&crate::model::EntityId| own.is_none_or(|own| own.is_match(id.as_str()));
    let ids: Vec<_> = wanted.ids.iter().filter(fits).cloned().collect();
    (!ids.is_empty()).then_some((ids, None))
}

/// None if no entity of the registered types can be selected.
#[expect(clippy::option_option, reason = "no type is not any type")]
fn narrowed_types(
    wanted: Option<&TypeSelection>,
    own: &EntityInfo,
) -> Option<Option<TypeSelection>> {
    let registered = || own.types.iter().map(|name| vec![TypeTerm::Known(*name)]).collect();
    match (wanted, own.types.is_empty()) {
        (None | Some(TypeSelection::Any), true) => Some(None),
        (None | Some(TypeSelection::Any), false) => Some(Some(TypeSelection::Of(registered()))),
        (Some(wanted), true) => Some(Some(wanted.clone())),
        (Some(TypeSelection::Of(alternatives)), false) => {
            // An entity of a registered type may have others besides.
            let possible = |combination: &&Vec<TypeTerm>| {
                let mut names = combination.iter().filter_map(TypeTerm::name);
                names.any(|name| own.types.contains(&name))
            };
            let kept: Vec<_> = alternatives.iter().filter(possible).cloned().collect();
            (!kept.is_empty()).then_some(Some(TypeSelection::Of(kept)))
        }
    }
}

/// Adds a part, together with one that differs from it in one respect only.
fn merge(legs: &mut Vec<Leg>, leg: Leg) {
    for other in legs.iter_mut().filter(|other| other.attributes == leg.attributes) {
        let (a, b) = (&mut other.select, &leg.select);
        let no_ids = a.ids.is_empty() && b.ids.is_empty();
        if a.ids == b.ids && a.id_pattern == b.id_pattern {
            return unite_types(&mut a.types, b.types.as_ref());
        }
        if !no_ids && a.types == b.types && a.id_pattern.is_none() && b.id_pattern.is_none() {
            // Those without ids mean all of them.
            match a.ids.is_empty() || b.ids.is_empty() {
                true => a.ids.clear(),
                false => a.ids.extend(
                    b.ids.iter().filter(|id| !a.ids.contains(id)).cloned().collect::<Vec<_>>(),
                ),
            }
            return;
        }
    }
    legs.push(leg);
}

fn unite_types(types: &mut Option<TypeSelection>, others: Option<&TypeSelection>) {
    match (types.as_mut(), others) {
        (Some(TypeSelection::Of(own)), Some(TypeSelection::Of(others))) => {
            own.extend(others.iter().filter(|one| !own.contains(one)).cloned().collect::<Vec<_>>());
        }
        (Some(TypeSelection::Any) | None, _) => {}
        (Some(_), _) => *types = None,
    }
}

impl Leg {
    /// What of an entity may be taken from the source: nothing if the entity was not asked for or
    /// is not registered, else what was asked for and is registered.
    pub fn takes(&self, told: Arc<Stored>) -> Option<Arc<Stored>> {
        let entity = &told.entity;
        if !self.select.matches(entity) {
            return None;
        }
        let registration = &self.source.registration;
        let types = entity.types.as_slice();
        let infos: Vec<&RegistrationInfo> = registration
            .information
            .iter()
            .filter(|info| info.has_entity(&entity.id, Some(types)))
            .collect();
        if infos.is_empty() {
            return None;
        }
        let datasets = &registration.datasets;
        let wanted = |name: AttrName| {
            self.attributes.as_ref().is_none_or(|names| names.contains(&name))
                && infos.iter().any(|info| info.has_attribute(name))
        };
        if datasets.is_empty() && entity.attributes.iter().all(|(name, _)| wanted(name)) {
            return Some(told);
        }
        let mut entity = Stored::into_entity(told);
        entity.attributes.retain(|name, _| wanted(name));
        if !datasets.is_empty() {
            let own = std::mem::take(&mut entity.attributes);
            let kept = own.into_iter().filter_map(|(name, attribute)| {
                let offered = attribute.retain(|one| datasets.contains(&one.dataset().cloned()))?;
                Some((name, offered))
            });
            entity.attributes = kept.collect();
        }
        Some(Stored::passing(entity))
    }
}
