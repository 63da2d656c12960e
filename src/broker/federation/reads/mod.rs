//! Entities that are here and at sources, as one answer (4.3.6, 5.7.1, 5.7.2).

mod chosen;
mod drafts;
mod held;
mod mapped;
mod query;
mod retrieve;
mod zone;

use std::sync::Arc;

pub(super) use self::drafts::conditions;
pub(in crate::broker) use self::held::{Finds, held_here, keep_held};
pub(super) use self::mapped::{Ids, has_one_part, map_draft};
pub(in crate::broker) use self::retrieve::Retrieved;
use super::super::turned::Shown;
use super::super::{Broker, Call, Error, QueryTexts};
use super::Origin;
use super::ask::{left_out, looping};
use crate::federate::{About, Leg, Matched, Source, Want, Warning, Weight};
use crate::jsonld::Context;
use crate::model::{AttrName, Entity, Name, Stored, Timestamp};
use crate::query::{EntityPlan, Filter, Item, Term};
use crate::represent::Rendering;
use crate::represent::registration::{Mode, Operation};

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
    /// It matters only which entities there are.
    pub bare: bool,
    /// An entity map is made of it, which ends then: sources make maps, too.
    pub until: Option<Timestamp>,
    /// The maps that sources made: registrations, and the ids of the maps.
    pub linked: &'a [(String, String)],
}

/// What was found everywhere.
#[derive(Debug, Default)]
pub(in crate::broker) struct Everywhere {
    pub entities: Vec<Arc<Stored>>,
    pub count: Option<u64>,
    pub more: bool,
    pub warnings: Vec<Warning>,
    /// What the pages up to this one showed.
    pub shown: Option<Shown>,
}

/// How many ids go into one URL.
const IDS: usize = 100;

/// What a source may be asked for one entity by, the best first.
const READS: &[Operation] =
    &[Operation::RetrieveEntity, Operation::QueryEntity, Operation::QueryBatch];

/// What a source may be asked for several by.
const QUERIES: &[Operation] = &[Operation::QueryEntity, Operation::QueryBatch];

impl Broker {
    fn matched(&self, call: &Call, origin: &Origin, want: &Want<'_>) -> Matched {
        let mut matched = self.all_matched(call, origin, want);
        matched.limit(self.federation.settings.sources);
        matched
    }

    /// All sources that match, however many.
    fn all_matched(&self, call: &Call, origin: &Origin, want: &Want<'_>) -> Matched {
        let register = &self.federation.register;
        let mut matched = register.matching(&call.tenant, want, origin.way(), call.now);
        if let Some(teller) = &origin.told_by {
            matched.legs.retain(|leg| leg.source.id() != teller.as_str());
        }
        matched
    }

    /// What there is to say of sources that were not asked.
    fn beyond(&self, matched: &Matched) -> Vec<Warning> {
        let mut warnings = looping(&matched.looping);
        warnings.extend(left_out(&matched.left_out));
        warnings
    }

    /// A query as sources are asked it.
    pub(in crate::broker) fn asked<'a>(
        &self,
        call: &Call,
        plan: &'a EntityPlan,
        texts: &'a QueryTexts,
        rendering: &Rendering,
    ) -> Result<Asked<'a>, Error> {
        // What a filter leads to may lie elsewhere than where it begins.
        let split = self.splits(texts) || plan.link_depth() > 0;
        let filtered = plan.filter.is_some() || plan.geo.is_some();
        // Whole entities are filtered by attributes that need not be shown.
        let attributes = match split && filtered {
            true => None,
            false => shown_attributes(rendering).or_else(|| names_of(&plan.attrs)),
        };
        let sources = self.source_filter_of(call, texts)?;
        let context = call.context.clone();
        let (bare, until, linked) = (false, None, &[] as &[_]);
        Ok(Asked { plan, texts, context, split, attributes, sources, bare, until, linked })
    }

    /// The sources that are concerned, each with its part; None if there is none.
    pub(in crate::broker) fn query_legs(
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
            operations: QUERIES,
        };
        let matched = self.matched(call, origin, &want);
        (!matched.is_empty()).then_some(matched)
    }
}

/// The map that a source made, if it is among these.
pub(super) fn map_of<'l>(linked: &'l [(String, String)], source: &Source) -> Option<&'l str> {
    linked.iter().find(|(own, _)| own == source.id()).map(|(_, map)| &**map)
}

impl Asked<'_> {
    /// Whether an entity that a source told of may be in the answer.
    fn may_be(&self, entity: &Entity) -> bool {
        let named =
            |term: &Term| term.name().is_some_and(|name| entity.attributes.get(name).is_some());
        self.split || self.plan.attrs.is_empty() || self.plan.attrs.iter().any(named)
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
