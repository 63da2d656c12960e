//! Plans as filters of MongoDB.
//!
//! A compiled filter lets through every entity that the plan matches, and says whether it lets
//! through others: if it does not, the database may page and count. [`EntityPlan::matches`] is the
//! arbiter. What is asked of the members of a document that `keys.rs` makes is exact, so that few
//! filters are too wide: those that follow links, look into compound values, or compare what keys
//! cannot hold.
//!
//! Entities of which the keys do not tell everything are named in `odd`: a filter lets through
//! those too, and whoever reads one evaluates the plan again.

mod condition;
mod geo;
pub(super) mod lead;
mod part;
mod regex;
mod test;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use mongodb::bson::{Bson, Document, doc};

use self::lead::Lead;
use self::part::Part;
use super::document::tenant_name;
use crate::model::{TenantId, Timestamp, TypeSelection, TypeTerm};
use crate::query::{Direction, EntityPlan, Filter, Member, Order, Selector};
use crate::store::record::short::shorten;

/// A plan as the database takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// What holds of every entity that the plan matches, but for odd ones.
    filter: Document,
    /// Whether nothing else passes it.
    pub is_exact: bool,
    /// Whether no entity can match.
    pub is_never: bool,
    /// Entities that are odd in one of these attributes may match though the keys deny it.
    odd: Vec<Bson>,
    /// What holds of odd ones as well.
    base: Document,
    /// How the database puts what it finds in the order of the plan; none if it cannot.
    pub sort: Option<Document>,
    /// How the database leads in an order that it does not know in full.
    pub lead: Option<Lead>,
}

impl Compiled {
    /// Compiles a plan for a tenant, as of an instant.
    pub fn new(tenant: &TenantId, plan: &EntityPlan, now: Timestamp) -> Self {
        let mut compiler = Compiler { now, odd: BTreeSet::new() };
        let select = compiler.select(&plan.select, tenant);
        let scope = plan.scope.as_ref().map_or_else(Part::always, part::scope);
        let alive = Part::exact(doc! { "e": { "$not": { "$lte": now.micros() } } });
        let base = Part::all(vec![select, scope, alive]);
        let attrs = compiler.attrs(plan);
        let geo = plan.geo.as_ref().map(|geo| compiler.geo(geo));
        let filter = plan.filter.as_ref().map(|filter| compiler.filter(filter, tenant));
        let keyed = Part::all([Some(attrs), geo, filter].into_iter().flatten().collect());
        if keyed.is_always() {
            compiler.odd.clear();
        }
        let is_exact = base.is_exact && keyed.is_exact;
        let is_never = base.is_never() || (keyed.is_never() && compiler.odd.is_empty());
        let within = |part: Part| {
            let mut document = doc! { "_id.t": tenant_name(tenant) };
            document.extend(part.into_document());
            document
        };
        let sort = sort(plan.order.as_ref());
        let lead = match (&sort, &plan.order) {
            (None, Some(order)) => Lead::new(order, plan.geo.is_some(), now),
            _ => None,
        };
        Self {
            filter: part::favour(within(Part::all(vec![base.clone(), keyed]))),
            is_exact,
            is_never,
            odd: compiler.odd.into_iter().map(Bson::String).collect(),
            base: within(base),
            sort,
            lead,
        }
    }

    /// Lets through every entity that matches, odd ones among them.
    pub fn candidates(&self) -> Document {
        if self.odd.is_empty() {
            return self.filter.clone();
        }
        doc! { "$or": [self.filter.clone(), self.odd_ones()] }
    }

    /// Lets through what need not be evaluated again if the filter is exact.
    pub fn plain_ones(&self) -> Document {
        if self.odd.is_empty() {
            return self.filter.clone();
        }
        doc! { "$and": [self.filter.clone(), { "odd": { "$nin": self.odd.clone() } }] }
    }

    /// Lets through what must be evaluated again though the filter is exact.
    pub fn odd_ones(&self) -> Document {
        let mut odd = self.base.clone();
        let values = doc! { "odd": { "$in": self.odd.clone() } };
        match odd.get_array_mut("$and") {
            Ok(all) => all.push(values.into()),
            Err(_) => odd.extend(values),
        }
        odd
    }

    /// How the database leads in the order of the plan, if it is of use: links are followed here,
    /// and what a filter lets through in excess can only be counted by reading everything.
    pub fn lead_of(&self, plan: &EntityPlan) -> Option<&Lead> {
        let leads = plan.link_depth() == 0 && (self.is_exact || !plan.page.count);
        self.lead.as_ref().filter(|_| leads)
    }

    /// Whether there may be such.
    pub fn has_odd_ones(&self) -> bool {
        !self.odd.is_empty()
    }
}

/// The stamps of an entity order in the database as they do here. In all other orders it can but
/// lead: the evaluator knows collations.
fn sort(order: Option<&Order>) -> Option<Document> {
    let mut sort = Document::new();
    for element in order.map_or(&[][..], Order::elements) {
        let path = &element.path;
        let member = match (&path.member, path.names.is_empty(), path.within.is_empty()) {
            (Some((member, _)), true, true) => *member,
            _ => return None,
        };
        let field = match member {
            Member::CreatedAt => "c",
            Member::ModifiedAt => "m",
            _ => return None,
        };
        if !sort.contains_key(field) {
            sort.insert(field, if element.direction == Direction::Descending { -1 } else { 1 });
        }
    }
    sort.insert("s", 1);
    Some(sort)
}

/// What compiling takes along.
pub(super) struct Compiler {
    now: Timestamp,
    /// Attributes whose keys are asked for.
    odd: BTreeSet<String>,
}

impl Compiler {
    fn select(&self, select: &[Selector], tenant: &TenantId) -> Part {
        if select.is_empty() {
            return Part::always();
        }
        Part::any(select.iter().map(|one| self.selector(one, tenant)).collect())
    }

    fn selector(&self, selector: &Selector, tenant: &TenantId) -> Part {
        let ids = if !selector.ids.is_empty() {
            part::ids(tenant, selector.ids.iter().map(|id| id.as_str()))
        } else if let Some(pattern) = &selector.id_pattern {
            match regex::translated(pattern.as_str()) {
                Some(regex) => Part::exact(doc! { "_id.i": regex }),
                None => Part::wide(),
            }
        } else {
            Part::always()
        };
        let types = selector.types.as_ref().map_or_else(Part::always, types);
        Part::all(vec![ids, types])
    }

    /// One of the attributes must be there.
    fn attrs(&self, plan: &EntityPlan) -> Part {
        if plan.attrs.is_empty() {
            return Part::always();
        }
        let names: Vec<Bson> =
            plan.attrs.iter().map(|term| shorten(term.iri()).into_owned().into()).collect();
        Part::exact(self.element("k", part::one_of(names), Document::new()))
    }

    fn filter(&mut self, filter: &Filter, tenant: &TenantId) -> Part {
        match filter {
            Filter::All(parts) => self.every(parts, tenant),
            Filter::Any(parts) => {
                Part::any(parts.iter().map(|part| self.filter(part, tenant)).collect())
            }
            Filter::Test(test) => self.test(test, tenant),
        }
    }

    /// All parts hold. Of an attribute that has but one value, a lower and an upper bound are one
    /// range; those that have more are odd.
    fn every(&mut self, parts: &[Filter], tenant: &TenantId) -> Part {
        let mut found = Vec::with_capacity(parts.len());
        let mut left: Vec<&Filter> = parts.iter().collect();
        while let Some(first) = left.pop() {
            let partner = left.iter().position(|other| test::bounds(first, other));
            found.push(match partner.map(|place| left.swap_remove(place)) {
                Some(second) => self.range(first, second),
                None => self.filter(first, tenant),
            });
        }
        Part::all(found)
    }

    /// A living element of `k`, `y` or `g` of which something holds.
    fn element(&self, field: &str, attribute: Bson, condition: Document) -> Document {
        let mut element = doc! { "a": attribute };
        element.extend(condition);
        element.insert("e", doc! { "$not": { "$lte": self.now.micros() } });
        doc! { field: { "$elemMatch": element } }
    }
}

fn types(selection: &TypeSelection) -> Part {
    let TypeSelection::Of(alternatives) = selection else { return Part::always() };
    let short = |term: &TypeTerm| -> Bson { shorten(&term.to_string()).into_owned().into() };
    let (single, several): (Vec<_>, Vec<_>) = alternatives.iter().partition(|all| all.len() == 1);
    let mut parts = Vec::new();
    if !single.is_empty() {
        let names = single.into_iter().flatten().map(short).collect();
        parts.push(Part::exact(doc! { "ty": part::one_of(names) }));
    }
    for combination in several {
        let names: Vec<Bson> = combination.iter().map(short).collect();
        parts.push(Part::exact(doc! { "ty": { "$all": names } }));
    }
    Part::any(parts)
}
