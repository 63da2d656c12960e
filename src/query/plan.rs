//! What a query of entities asks for, ready for a store.

use std::{cmp::Ordering, sync::Arc};

use super::{Filter, GeoFilter, Hint, Order, Pattern, QueryError, ScopeFilter, Term};
use crate::model::{Entity, EntityId, Stored, Timestamp, TypeSelection};

/// A query of entities (5.7.2), all names expanded. The empty plan asks for every entity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntityPlan {
    /// Alternatives; every entity if there are none.
    pub select: Vec<Selector>,
    /// An entity must have at least one of these attributes, if there are any.
    pub attrs: Vec<Term>,
    pub filter: Option<Filter>,
    pub geo: Option<GeoFilter>,
    pub scope: Option<ScopeFilter>,
    /// How to order the result; as the entities were created if there is none.
    pub order: Option<Order>,
    pub page: Page,
    pub lookups: Lookups,
}

/// How many linked entities the filter may look at to decide on one entity. Where that is not
/// enough, the query is refused instead of answered wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookups(pub usize);

impl Default for Lookups {
    fn default() -> Self {
        Self(10_000)
    }
}

/// Which entities by what they are (5.2.33): all of what is given must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selector {
    /// One of these, if there are any. They take precedence over the pattern.
    pub ids: Vec<EntityId>,
    /// Whether the ids are in order, so that one is found among many without looking at all.
    pub ordered: bool,
    pub id_pattern: Option<Pattern>,
    pub types: Option<TypeSelection>,
}

/// Which part of the result (5.5.9).
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// How many entities to leave out first.
    pub offset: usize,
    /// How many to return at most.
    pub limit: usize,
    /// Whether to say how many there are in all.
    pub count: bool,
    /// Begin after this place, and leave `offset` out from there.
    pub after: Option<Anchor>,
}

impl Default for Page {
    /// Everything.
    fn default() -> Self {
        Self { offset: 0, limit: usize::MAX, count: false, after: None }
    }
}

/// A place in a result that a store can find again though data changed; what it says is the
/// store's own affair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor(Box<str>);

impl Anchor {
    /// An anchor as a store writes it, or as a client sends it back.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// What the store wrote.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where linked entities are found while a query is evaluated.
pub trait Lookup {
    /// The entity of this id, if it is there.
    fn entity(&self, id: &EntityId) -> Option<Arc<Stored>>;

    /// How many entities may be looked up for one evaluation.
    fn most(&self) -> Lookups {
        Lookups::default()
    }

    /// An evaluation would have looked up more than that: what it says is no answer.
    fn was_too_much(&self) {}
}

/// Finds nothing: for queries that follow no links.
#[derive(Debug, Clone, Copy)]
pub struct NoLookup;

impl Lookup for NoLookup {
    fn entity(&self, _: &EntityId) -> Option<Arc<Stored>> {
        None
    }
}

impl EntityPlan {
    /// Whether an entity is asked for: the reference that every store's answers are held to.
    /// Expired entities and attributes are not there.
    pub fn matches(&self, entity: &Entity, now: Timestamp, lookup: &dyn Lookup) -> bool {
        entity.is_alive(now)
            && (self.select.is_empty() || self.select.iter().any(|one| one.matches(entity)))
            && (self.attrs.is_empty() || self.attrs.iter().any(|term| has(entity, term, now)))
            && self.scope.as_ref().is_none_or(|scope| scope.matches(&entity.scopes))
            && self.geo.as_ref().is_none_or(|geo| geo.matches(entity, now))
            && self.filter.as_ref().is_none_or(|filter| filter.matches(entity, now, lookup))
    }

    /// Which of two entities comes first. They are equal if the plan has no order, or if it does not
    /// tell them apart; then the one that was created first comes first.
    pub fn compare(&self, a: &Entity, b: &Entity, now: Timestamp) -> Ordering {
        self.order.as_ref().map_or(Ordering::Equal, |order| order.compare(a, b, now))
    }

    /// Conditions that hold of every entity the plan matches, for a store to find candidates by.
    pub fn hints(&self) -> Vec<Hint> {
        let mut hints = Vec::new();
        if !self.select.is_empty() {
            hints.extend(self.selected());
        }
        if !self.attrs.is_empty() {
            let names: Vec<_> = self.attrs.iter().filter_map(Term::name).collect();
            hints.push(if names.is_empty() { Hint::Nothing } else { Hint::AnyAttribute(names) });
        }
        hints.extend(self.scope.clone().map(Hint::Scope));
        hints.extend(self.geo.as_ref().map(GeoFilter::hint));
        hints.extend(self.filter.iter().flat_map(Filter::hints));
        hints
    }

    /// What all alternatives of the selection have in common.
    fn selected(&self) -> Vec<Hint> {
        let mut hints = Vec::new();
        if self.select.iter().all(|one| !one.ids.is_empty()) {
            let ids = self.select.iter().flat_map(|one| one.ids.iter().cloned());
            hints.push(Hint::Ids(ids.collect()));
        }
        let types: Option<Vec<_>> = self
            .select
            .iter()
            .map(|one| match &one.types {
                Some(TypeSelection::Of(combinations)) => Some(combinations.clone()),
                _ => None,
            })
            .collect();
        hints.extend(types.map(|types| Hint::Types(TypeSelection::Of(types.concat()))));
        hints
    }

    /// Whether regular expressions are to be matched; they may take far more memory than their text.
    pub fn has_patterns(&self) -> bool {
        let of_filter = |filter: &Filter| filter.tests().iter().any(|test| test.check.is_pattern());
        self.select.iter().any(|one| one.id_pattern.is_some())
            || self.filter.as_ref().is_some_and(of_filter)
    }

    /// Whether the query says too little to be answered beyond local scope (5.7.2.4): it names no
    /// type, no attribute but those of the system, and no geometry.
    pub fn is_too_wide(&self) -> bool {
        let typed = !self.select.is_empty()
            && self.select.iter().all(|one| matches!(one.types, Some(TypeSelection::Of(_))));
        let system = |term: &Term| super::filter::Member::of_entity(term.iri()).is_some();
        let has_attributes = self.attrs.iter().any(|term| !system(term));
        let filtered = self.filter.as_ref().is_some_and(Filter::names_an_attribute);
        !(typed || has_attributes || filtered || self.geo.is_some())
    }

    /// The refusal of a query whose evaluation looked up more entities than it may.
    pub fn too_many_lookups(&self) -> QueryError {
        let Lookups(most) = self.lookups;
        QueryError::too_complex(
            "q",
            format!(
                "it leads from one entity to more than {most} linked ones (limits.query_links)"
            ),
        )
    }

    /// How many links the filter follows at most (5.7.2.4).
    pub fn link_depth(&self) -> usize {
        self.filter.as_ref().map_or(0, Filter::link_depth)
    }
}

fn has(entity: &Entity, term: &Term, now: Timestamp) -> bool {
    let attribute = term.name().and_then(|name| entity.attributes.get(name));
    attribute.is_some_and(|attribute| attribute.instances().iter().any(|one| one.is_alive(now)))
}

impl Selector {
    /// Whether the entity is meant.
    pub fn matches(&self, entity: &Entity) -> bool {
        // Types are compared sooner than a pattern is tried.
        self.types.as_ref().is_none_or(|types| types.selects(entity.types.as_slice()))
            && self.has_id(&entity.id)
    }

    /// Whether an entity of this id may be meant.
    pub fn has_id(&self, id: &EntityId) -> bool {
        if self.ids.is_empty() {
            self.id_pattern.as_ref().is_none_or(|pattern| pattern.is_match(id.as_str()))
        } else if self.ordered {
            self.ids.binary_search(id).is_ok()
        } else {
            self.ids.contains(id)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{context, entity, name, now, parse};
    use super::super::{Limits, parse_attrs, parse_types};
    use super::*;

    fn selector(ids: &[&str], pattern: Option<&str>, types: Option<&str>) -> Selector {
        let limits = Limits::default();
        Selector {
            ids: ids.iter().map(|id| EntityId::parse(id).expect("a URI")).collect(),
            id_pattern: pattern
                .map(|text| Pattern::parse("idPattern", text, &limits).expect("a pattern")),
            types: types.map(|text| parse_types(text, context(), &limits).expect("types")),
            ..Selector::default()
        }
    }

    fn attrs(text: &str) -> Vec<Term> {
        parse_attrs(text, context(), &Limits::default()).expect("names")
    }

    #[test]
    fn selectors_are_alternatives_of_conditions() {
        let one = entity(json!({"id": "urn:x:1", "type": "Building", "a": 1}));
        for (select, expected) in [
            (vec![], true),
            (vec![selector(&["urn:x:1"], None, None)], true),
            (vec![selector(&["urn:x:2"], None, None)], false),
            (vec![selector(&["urn:x:1"], Some("^no"), None)], true),
            (vec![selector(&[], Some(":1$"), None)], true),
            (vec![selector(&[], Some("^no"), None)], false),
            (vec![selector(&[], None, Some("Building"))], true),
            (vec![selector(&["urn:x:1"], None, Some("Vehicle"))], false),
            (vec![selector(&[], None, Some("Vehicle")), selector(&[], None, Some("*"))], true),
        ] {
            let plan = EntityPlan { select, ..EntityPlan::default() };
            assert_eq!(plan.matches(&one, now(), &NoLookup), expected, "{plan:?}");
        }
    }

    #[test]
    fn all_parts_of_a_plan_must_hold() {
        let one = entity(json!({"a": 1, "b": {"value": 1, "expiresAt": "2026-01-01T00:00:00Z"}}));
        let plan = |text: &str, q: &str| EntityPlan {
            attrs: attrs(text),
            filter: Some(parse(q).expect("a query")),
            ..EntityPlan::default()
        };
        for (names, q, expected) in [
            ("a", "a==1", true),
            ("x,a", "a==1", true),
            ("x", "a==1", false),
            ("a", "a==2", false),
            ("b", "a==1", false),
        ] {
            assert_eq!(plan(names, q).matches(&one, now(), &NoLookup), expected, "{names} {q}");
        }
        let gone = entity(json!({"a": 1, "expiresAt": "2026-03-01T12:00:00Z"}));
        assert!(!EntityPlan::default().matches(&gone, now(), &NoLookup));
    }

    #[test]
    fn a_query_that_says_too_little_is_too_wide() {
        let base = EntityPlan::default();
        let filtered = |q: &str| EntityPlan {
            filter: Some(parse(q).expect("a query")),
            ..EntityPlan::default()
        };
        let selected = |select| EntityPlan { select, ..EntityPlan::default() };
        for (plan, too_wide) in [
            (base.clone(), true),
            (selected(vec![selector(&["urn:x:1"], Some("x"), None)]), true),
            (selected(vec![selector(&[], None, Some("*"))]), true),
            (selected(vec![selector(&[], None, Some("A|B"))]), false),
            (EntityPlan { attrs: attrs("createdAt"), ..base.clone() }, true),
            (EntityPlan { attrs: attrs("createdAt,a"), ..base }, false),
            (filtered("modifiedAt>\"2020-01-01T00:00:00Z\""), true),
            (filtered("modifiedAt>\"2020-01-01T00:00:00Z\";a"), false),
        ] {
            assert_eq!(plan.is_too_wide(), too_wide, "{plan:?}");
        }
    }

    #[test]
    fn hints_say_what_all_matches_have_in_common() {
        let a = name("a");
        let limits = Limits::default();
        let plan = EntityPlan {
            select: vec![
                selector(&["urn:x:1"], None, Some("Building")),
                selector(&["urn:x:2"], None, Some("Vehicle|Car")),
            ],
            attrs: attrs("a,neverHeardOf"),
            filter: Some(parse("a>1;(a==5|a==7);b~=\"x\"|a==2").expect("a query")),
            scope: Some(ScopeFilter::parse("/A/#", &limits).expect("scopes")),
            ..EntityPlan::default()
        };
        let text = format!("{:?}", plan.hints());
        for expected in [
            "Ids([<urn:x:1>, <urn:x:2>])".to_owned(),
            format!("AnyAttribute([{a:?}])"),
            "Scope(".to_owned(),
            format!("Value {{ attribute: {a:?}, ranges: "),
        ] {
            assert!(text.contains(&expected), "{expected} in {text}");
        }
        let of = |text: &str| parse(text).expect(text).hints();
        assert_eq!(of("unheardOf1>1"), [Hint::Nothing]);
        assert_eq!(of("unheardOf1>1|unheardOf2"), [Hint::Nothing]);
        assert_eq!(of("unheardOf1>1|a"), [Hint::AnyAttribute(vec![a])]);
        assert_eq!(of("modifiedAt>2020-01-01T00:00:00Z"), []);
        assert_eq!(of("a|modifiedAt>2020-01-01T00:00:00Z"), []);
        assert_eq!(of("!a"), []);
        assert_eq!(of("a==5..1"), [Hint::Nothing]);
        assert_eq!(of("id==urn:x:1"), [Hint::Ids(vec![EntityId::from_trusted("urn:x:1")])]);
        assert!(
            matches!(of("a==1|a>3").as_slice(), [Hint::Value { ranges, .. }] if ranges.len() == 2)
        );
        assert!(matches!(of("a==1|id==urn:x:1").as_slice(), [Hint::OneOf(two)] if two.len() == 2));
    }
}
