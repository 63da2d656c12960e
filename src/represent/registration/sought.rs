//! Whether a source has what is sought (5.10.2.4, 5.12).

use super::{EntityInfo, Registration, RegistrationInfo};
use crate::model::{TimeProperty, Timestamp, TypeSelection};
use crate::query::{Filter, GeoFilter, NoLookup, ScopeFilter, Selector, Term, Window};

/// Entities and attributes that are sought, as registrations are matched with them (5.12).
#[derive(Debug, Clone, Copy, Default)]
pub struct Sought<'a> {
    /// Alternatives; any entity if there are none.
    pub select: &'a [Selector],
    /// Any of these attributes; any at all if there are none.
    pub attrs: &'a [Term],
}

impl Sought<'_> {
    /// Whether a RegistrationInfo tells of what is sought.
    pub fn is_in(&self, info: &RegistrationInfo) -> bool {
        self.has_entities(info) && self.has_attributes(info)
    }

    fn has_entities(&self, info: &RegistrationInfo) -> bool {
        self.select.is_empty()
            || info.entities.is_empty()
            || self.select.iter().any(|one| info.entities.iter().any(|own| own.may_be(one)))
    }

    fn has_attributes(&self, info: &RegistrationInfo) -> bool {
        self.attrs.is_empty()
            || info.has_all_attributes()
            || self.attrs.iter().filter_map(Term::name).any(|name| info.has_attribute(name))
    }
}

impl EntityInfo {
    /// Whether an entity of the source may be selected.
    pub fn may_be(&self, selector: &Selector) -> bool {
        self.may_have_type(selector.types.as_ref()) && self.may_have_id(selector)
    }

    fn may_have_type(&self, types: Option<&TypeSelection>) -> bool {
        self.types.is_empty() || types.is_none_or(|types| types.selects(&self.types))
    }

    /// Two patterns are taken to have something in common, since that cannot be told.
    fn may_have_id(&self, selector: &Selector) -> bool {
        match (selector.ids.as_slice(), &selector.id_pattern) {
            ([], None) => true,
            ([], Some(pattern)) => self.id.as_ref().is_none_or(|id| pattern.is_match(id.as_str())),
            (ids, _) => ids.iter().any(|id| self.has_id(id)),
        }
    }
}

/// What else must hold of a source (5.10.2.4); nothing, if nothing is given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceFilter {
    /// `csf`, `q`: of the source's own properties.
    pub conditions: Vec<Filter>,
    pub geo: Option<GeoFilter>,
    pub scope: Option<ScopeFilter>,
    /// A temporal query asks sources of history, and without one those of what is latest are asked.
    pub window: Option<Window>,
}

impl SourceFilter {
    /// Whether it holds. Registrations that have expired are not there.
    pub fn admits(&self, registration: &Registration, now: Timestamp) -> bool {
        let described = &registration.described;
        registration.is_alive(now)
            && registration.suits(self.window.as_ref())
            && self.scope.as_ref().is_none_or(|scope| scope.matches(&described.scopes))
            && self.geo.as_ref().is_none_or(|geo| geo.matches(described, now))
            && self.conditions.iter().all(|one| one.matches(described, now, &NoLookup))
    }
}

impl Registration {
    /// The RegistrationInfos that tell of what is sought.
    pub fn relevant<'r>(
        &'r self,
        sought: Sought<'r>,
    ) -> impl Iterator<Item = &'r RegistrationInfo> + 'r {
        self.information.iter().filter(move |info| sought.is_in(info))
    }

    /// Whether the source has what is sought.
    pub fn has(&self, sought: Sought<'_>) -> bool {
        self.information.iter().any(|info| sought.is_in(info))
    }

    /// Whether it has history of a time, or what is latest if no time is asked for.
    fn suits(&self, window: Option<&Window>) -> bool {
        let Some(window) = window else { return !self.is_temporal() };
        let interval = match window.property {
            TimeProperty::ObservedAt => &self.observation,
            _ => &self.management_interval,
        };
        interval.is_some_and(|interval| interval.meets(window))
    }
}
