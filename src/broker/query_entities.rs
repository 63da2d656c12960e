//! Query Entities (5.7.2): texts become a plan, the plan finds entities.

use std::borrow::Cow;

use super::entity_maps::MapQuery;
use super::federation::Everywhere;
use super::pages::Selection;
use super::{Answer, Broker, Call, Error, MapTexts, MapUse, Origin, ViewTexts};
use crate::federate::Matched;
use crate::model::{EntityId, TypeSelection};
use crate::query::{
    Alternatives, EntityPlan, Filter, FilterOptions, GeoFilter, GeoParams, Lookups, Order,
    OrderParams, Page, ScopeFilter, Selector, parse_attrs, parse_types,
};
use crate::represent::Rendering;
use crate::store::Found;

/// What selects entities, as a URL or a Query body (5.2.23) said it. Lists are comma-separated.
#[derive(Debug, Clone, Default)]
pub struct QueryTexts {
    /// Alternatives; a URL has one.
    pub selectors: Vec<SelectorTexts>,
    /// An entity has to have one of these attributes, if there are any.
    pub attrs: Option<String>,
    pub q: Option<String>,
    pub csf: Option<String>,
    pub scope_q: Option<String>,
    pub geo: GeoTexts,
    pub expand_values: Option<String>,
    pub json_keys: Option<String>,
    pub order_by: Option<String>,
    pub collation: Option<String>,
    pub order_from: Option<String>,
    pub order_geometry: Option<String>,
    pub local: Option<bool>,
    /// Whether the parts of an entity may lie at several sources; as configured if absent.
    pub split_entities: Option<bool>,
    pub page: PageTexts,
    pub map: MapTexts,
}

/// Which entities are meant, by identity and type.
#[derive(Debug, Clone, Default)]
pub struct SelectorTexts {
    pub ids: Vec<EntityId>,
    pub id_pattern: Option<String>,
    pub types: Option<String>,
}

/// A geoquery (4.10).
#[derive(Debug, Clone, Default)]
pub struct GeoTexts {
    pub georel: Option<String>,
    pub geometry: Option<String>,
    /// JSON text.
    pub coordinates: Option<String>,
    pub geoproperty: Option<String>,
}

/// Which part of the result is wanted (5.5.9).
#[derive(Debug, Clone, Default)]
pub struct PageTexts {
    /// How many entities; the configured number if absent.
    pub limit: Option<u64>,
    pub offset: u64,
    /// Whether to say how many there are in all.
    pub count: bool,
}

/// A query that was read: what it finds, and how that is to look. Under the same `@context` and
/// for the same sort of tenant it can be asked again and again.
#[derive(Debug)]
pub struct Query {
    texts: QueryTexts,
    rendering: Rendering,
    plan: EntityPlan,
    selection: Selection,
}

impl Query {
    /// Which page of the result is wanted.
    pub fn page(&self) -> &PageTexts {
        &self.texts.page
    }

    /// How what is found is to look.
    pub fn rendering(&self) -> &Rendering {
        &self.rendering
    }

    /// Whether its text will always be read so, and as something about as small: patterns may take
    /// much memory, and the member that a Feature takes for its geometry may not be known yet.
    pub fn lasts(&self) -> bool {
        !self.plan.has_patterns() && self.rendering.geojson.is_none()
    }
}

/// How far into an ordered result one can jump: all that comes before has to be held in memory.
const ORDERED_OFFSET: usize = 100_000;

impl GeoTexts {
    pub(super) fn params(&self) -> GeoParams<'_> {
        GeoParams {
            georel: self.georel.as_deref(),
            geometry: self.geometry.as_deref(),
            coordinates: self.coordinates.as_deref(),
            geoproperty: self.geoproperty.as_deref(),
        }
    }
}

impl QueryTexts {
    fn order_params(&self) -> OrderParams<'_> {
        OrderParams {
            order_by: self.order_by.as_deref(),
            collation: self.collation.as_deref(),
            order_from: self.order_from.as_deref(),
            order_geometry: self.order_geometry.as_deref(),
        }
    }
}

impl Broker {
    /// Reads a query and how its answer is to look.
    pub fn prepare_query(
        &self,
        call: &Call,
        texts: QueryTexts,
        view: &ViewTexts,
    ) -> Result<Query, Error> {
        let rendering = self.rendering(call, view)?;
        let mut plan = self.plan(call, &texts)?;
        check_links(&plan, &rendering)?;
        plan.page = self.page(&texts.page)?;
        texts.map.check()?;
        if let (true, Some(needed)) = (plan.attrs.is_empty(), rendering.projection.needs())
            && !texts.map.any()
        {
            // Of what has none of them nothing would be shown: it is neither counted nor paged.
            plan.attrs = needed;
        }
        let selection = self.pages.selection(call.context.id(), &texts, &plan.attrs);
        Ok(Query { texts, rendering, plan, selection })
    }

    /// Queries entities, a page at a time. 5.7.2.
    pub async fn query_entities(&self, call: &Call, query: &Query) -> Result<Answer, Error> {
        let Query { texts, rendering, plan, selection } = query;
        if texts.map.any() {
            let query = MapQuery { texts, plan, rendering, linked: &[] };
            let (found, map) = Box::pin(self.query_by_map(call, query)).await?;
            return self.answer_of(call, found, rendering, Some(map)).await;
        }
        let offset = texts.page.offset;
        let key = self.pages.key(&call.tenant, *selection);
        // Who is not concerned should not notice that there are sources.
        let concerned =
            |_: &&Origin| plan.link_depth() > 0 || self.may_lie_elsewhere(call, &plan.select);
        if let Some(origin) = elsewhere(call, plan).filter(concerned) {
            let asked = self.asked(call, plan, texts, rendering)?;
            // What a filter leads to may concern others than the query does.
            let leads_away = || (plan.link_depth() > 0).then(Matched::default);
            let matched = self.query_legs(call, origin, &asked, rendering).or_else(leads_away);
            if let Some(matched) = matched {
                let before = self.turned.before(key, offset, call.now);
                let found = self.query_everywhere(call, origin, &asked, &matched, before);
                let mut found = Box::pin(found).await?;
                if let Some(shown) = found.shown.take().filter(|_| found.more) {
                    let next = offset.saturating_add(plan.page.limit as u64);
                    self.turned.remember(key, next, shown, call.now);
                }
                return self.answer_of(call, found, rendering, None).await;
            }
        }
        let mut plan = Cow::Borrowed(plan);
        if let Some(end) = self.pages.end_before(key, offset, call.now) {
            let page = &mut plan.to_mut().page;
            (page.offset, page.after) = (0, Some(end));
        }
        if plan.order.is_some() && plan.page.offset > ORDERED_OFFSET {
            return Err(Error::TooManyResults(format!(
                "an ordered result can be entered up to offset {ORDERED_OFFSET}: filter it, or turn \
                 its pages from the beginning"
            )));
        }
        let found = self.store.find(&call.tenant, &plan, call.now).await?;
        if let (true, Some(end)) = (found.more, found.next) {
            let next = offset.saturating_add(found.entities.len() as u64);
            self.pages.remember(key, next, end, call.now);
        }
        let mut warnings = Vec::new();
        let linked = self.linked(call, &found.entities, rendering, &mut warnings).await?;
        let Found { entities, count, more, .. } = found;
        Ok(Answer { entities, linked, count, more, warnings, map: None })
    }

    async fn answer_of(
        &self,
        call: &Call,
        found: Everywhere,
        rendering: &Rendering,
        map: Option<MapUse>,
    ) -> Result<Answer, Error> {
        let Everywhere { entities, count, more, mut warnings, .. } = found;
        let linked = self.linked(call, &entities, rendering, &mut warnings).await?;
        Ok(Answer { entities, linked, count, more, warnings, map })
    }

    /// The plan of a query, its page left open; what says too little or contradicts itself is
    /// refused (5.7.2.4).
    pub(super) fn plan(&self, call: &Call, texts: &QueryTexts) -> Result<EntityPlan, Error> {
        let limits = self.query_limits;
        let context = &call.context;
        let options = FilterOptions::parse(
            texts.expand_values.as_deref(),
            texts.json_keys.as_deref(),
            context,
            &limits,
        )?;
        let filter = |text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| Filter::parse(text, context, &options, &limits)).transpose()
        };
        if let Some(csf) = &texts.csf {
            // Whether or not there are sources that it could leave out, it has to be right.
            self.source_filter(call, csf)?;
        }
        let attrs = texts.attrs.as_deref();
        let scope = texts.scope_q.as_deref();
        let plan = EntityPlan {
            select: self.selectors(call, &texts.selectors)?,
            attrs: attrs.map_or(Ok(Vec::new()), |text| parse_attrs(text, context, &limits))?,
            filter: filter(&texts.q)?,
            geo: GeoFilter::parse(&texts.geo.params(), context, &limits)?,

            scope: scope.map(|text| ScopeFilter::parse(text, &limits)).transpose()?,

            order: Order::parse(&texts.order_params(), context, &limits)?,
            page: Page::default(),
            lookups: Lookups(self.limits.query_links),
        };
        // What a snapshot holds is all there is to find there (5.5.15).
        if call.tenant.snapshot_of().is_none() {
            check_width(&plan, texts)?;
        }
        Ok(plan)
    }

    /// What must hold of a source (`csf`).
    pub(super) fn source_filter(&self, call: &Call, csf: &str) -> Result<Filter, Error> {
        let (context, limits) = (&call.context, &self.query_limits);
        Ok(Filter::parse_as("csf", csf, context, &FilterOptions::default(), limits)?)
    }

    /// What must hold of the sources of a query, if it says that.
    pub(super) fn source_filter_of(
        &self,
        call: &Call,
        texts: &QueryTexts,
    ) -> Result<Option<Filter>, Error> {
        texts.csf.as_deref().map(|csf| self.source_filter(call, csf)).transpose()
    }

    /// Whether the parts of an entity may lie at several sources.
    pub(super) fn splits(&self, texts: &QueryTexts) -> bool {
        texts.split_entities.unwrap_or(self.federation.splits_entities())
    }

    pub(super) fn selectors(
        &self,
        call: &Call,
        texts: &[SelectorTexts],
    ) -> Result<Vec<Selector>, Error> {
        let limits = self.query_limits;
        let mut alternatives = Alternatives::new("entities", &limits);
        for text in texts {
            let types = text.types.as_deref();
            let types = types.map(|text| parse_types(text, &call.context, &limits)).transpose()?;
            alternatives.add(text.ids.clone(), text.id_pattern.as_deref(), types)?;
        }
        let mut selectors = alternatives.finish();
        // A lone selector that says nothing selects everything.
        if selectors.iter().all(|selector| *selector == Selector::default()) {
            selectors.clear();
        }
        Ok(selectors)
    }

    pub(super) fn page(&self, texts: &PageTexts) -> Result<Page, Error> {
        let most = self.limits.page_max as u64;
        let limit = texts.limit.unwrap_or(self.limits.page_default as u64);
        if limit > most {
            return Err(Error::TooManyResults(format!(
                "limit is at most {most} here, not {limit}: turn pages"
            )));
        }
        if limit == 0 && !texts.count {
            return Err(Error::bad("limit=0 needs count=true"));
        }
        Ok(Page {
            offset: usize::try_from(texts.offset).unwrap_or(usize::MAX),
            limit: limit as usize,
            count: texts.count,
            after: None,
        })
    }
}

/// How a query came, if sources are asked for it: `type=*` is about what is here (5.7.2.4).
pub(super) fn elsewhere<'c>(call: &'c Call, plan: &EntityPlan) -> Option<&'c Origin> {
    let here = plan.select.iter().any(|one| one.types == Some(TypeSelection::Any));
    call.origin().filter(|_| !here)
}

/// Links are followed only where the answer is joined, and no farther (5.7.2.4).
fn check_links(plan: &EntityPlan, rendering: &Rendering) -> Result<(), Error> {
    let level = rendering.join.as_ref().map_or(0, |join| join.level as usize);
    if plan.link_depth() <= level {
        return Ok(());
    }
    Err(Error::bad(match level {
        0 => "q follows a relationship, which needs the parameter join".to_owned(),
        level => format!("q follows relationships beyond the joinLevel {level}"),
    }))
}

/// A query has to say something about what it looks for, unless it is local (5.7.2.4).
fn check_width(plan: &EntityPlan, texts: &QueryTexts) -> Result<(), Error> {
    let any = plan.select.iter().any(|one| one.types == Some(TypeSelection::Any));
    if any && texts.local == Some(false) {
        return Err(Error::bad("type=* asks for local entities, and local=false contradicts it"));
    }
    if any || texts.local == Some(true) || !plan.is_too_wide() {
        return Ok(());
    }
    Err(Error::bad(
        "the query is too wide: give a type, attrs, q, a geoquery, or local=true (5.7.2)",
    ))
}
