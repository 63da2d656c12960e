//! Query Context Source Registrations (5.10.2).

use std::sync::Arc;

use super::super::{GeoTexts, HistoryTexts, PageTexts, SelectorTexts};
use crate::broker::{Broker, Call, Error};
use crate::model::TenantId;
use crate::query::{
    Filter, FilterOptions, GeoFilter, Item, LanguageFilter, Projection, ScopeFilter, Selector,
    Term, Tree, Window, parse_attrs,
};
use crate::represent::registration::{Registration, Sought, SourceFilter};
use crate::store::StoreError;

/// What selects registrations, as a URL says it. Lists are comma-separated.
#[derive(Debug, Clone, Default)]
pub struct RegistrationTexts {
    pub selector: SelectorTexts,
    /// Sources that have one of these attributes; `pick` says the same in other words.
    pub attrs: Option<String>,
    pub pick: Option<String>,
    pub omit: Option<String>,
    /// Of the properties of sources, as `csf`.
    pub q: Option<String>,
    pub csf: Option<String>,
    pub scope_q: Option<String>,
    pub geo: GeoTexts,
    /// `timerel`, `timeAt`, `endTimeAt` and `timeproperty`.
    pub time: HistoryTexts,
    pub lang: Option<String>,
    pub page: PageTexts,
}

/// A page of registrations.
#[derive(Debug, Default)]
pub struct RegistrationPage {
    pub registrations: Vec<Arc<Registration>>,
    /// How many there are in all, if it was asked.
    pub count: Option<u64>,
    /// Whether there are more after these.
    pub more: bool,
}

/// A query, understood.
struct Plan {
    select: Vec<Selector>,
    attrs: Vec<Term>,
    filter: SourceFilter,
}

impl Broker {
    /// The registrations of a tenant that match, ordered by id, a page at a time. 5.10.2.
    pub async fn query_registrations(
        &self,
        call: &Call,
        texts: &RegistrationTexts,
    ) -> Result<RegistrationPage, Error> {
        let plan = self.registration_plan(call, texts)?;
        let page = self.page(&texts.page)?;
        self.check_tenant_of_registry(&call.tenant).await?;
        let sought = Sought { select: &plan.select, attrs: &plan.attrs };
        let mut answer = RegistrationPage::default();
        let mut count: usize = 0;
        for registration in self.registry().all(&call.tenant, call.now) {
            if !(registration.has(sought) && plan.filter.admits(&registration, call.now)) {
                continue;
            }
            count += 1;
            if count <= page.offset {
                continue;
            }
            if answer.registrations.len() < page.limit {
                answer.registrations.push(registration);
            } else {
                answer.more = page.limit > 0;
                if !page.count {
                    break;
                }
            }
        }
        answer.count = page.count.then_some(count as u64);
        Ok(answer)
    }

    /// A tenant that never was has no registrations, and says so (5.5.10).
    async fn check_tenant_of_registry(&self, tenant: &TenantId) -> Result<(), Error> {
        if tenant.name().is_none() || self.registry().count(tenant) > 0 {
            return Ok(());
        }
        match self.store.tenants().await?.contains(tenant) {
            true => Ok(()),
            false => Err(StoreError::UnknownTenant(tenant.clone()).into()),
        }
    }

    fn registration_plan(&self, call: &Call, texts: &RegistrationTexts) -> Result<Plan, Error> {
        let limits = self.query_limits;
        let context = &call.context;
        let (pick, omit) = (texts.pick.as_deref(), texts.omit.as_deref());
        let attrs = texts.attrs.as_deref();
        Projection::parse(pick, omit, attrs, context, &limits)?;
        let attrs = match (attrs, pick) {
            (Some(text), _) => parse_attrs(text, context, &limits)?,
            (None, Some(text)) => picked(&Tree::parse("pick", text, context, &limits)?),
            (None, None) => Vec::new(),
        };
        if let Some(lang) = &texts.lang {
            LanguageFilter::parse(lang, &limits)?;
        }
        let mut conditions = Vec::new();
        for (parameter, text) in [("q", &texts.q), ("csf", &texts.csf)] {
            if let Some(text) = text {
                let options = FilterOptions::default();
                conditions.push(Filter::parse_as(parameter, text, context, &options, &limits)?);
            }
        }
        if conditions.iter().any(|filter| filter.link_depth() > 0) {
            return Err(Error::bad("a source is no entity: its properties lead to no others"));
        }
        let scope = texts.scope_q.as_deref();
        let plan = Plan {
            select: self.selectors(call, std::slice::from_ref(&texts.selector))?,
            attrs,
            filter: SourceFilter {
                conditions,
                geo: GeoFilter::parse(&texts.geo.params(), context, &limits)?,
                scope: scope.map(|text| ScopeFilter::parse(text, &limits)).transpose()?,
                window: texts.time.window()?,
            },
        };
        let says_whom = plan.select.iter().any(|one| one.types.is_some() || !one.ids.is_empty());
        if !(says_whom || !plan.attrs.is_empty() || texts.q.is_some() || plan.filter.geo.is_some())
        {
            return Err(Error::bad(
                "the query is too wide: give a type, an id, attrs, q or a geoquery (5.10.2)",
            ));
        }
        Ok(plan)
    }
}

/// The attributes that a projection names.
fn picked(tree: &Tree) -> Vec<Term> {
    let attribute = |item: &Item| match item {
        Item::Attribute(term) => Some(term.clone()),
        _ => None,
    };
    tree.members().iter().filter_map(|branch| attribute(&branch.item)).collect()
}

impl HistoryTexts {
    /// The window that is asked for; a time property alone asks for none.
    fn window(&self) -> Result<Option<Window>, Error> {
        let window = Window::parse(&crate::query::WindowParams {
            timerel: self.timerel.as_deref(),
            time_at: self.time_at.as_deref(),
            end_time_at: self.end_time_at.as_deref(),
            time_property: self.time_property.as_deref(),
        })?;
        Ok(window)
    }
}
