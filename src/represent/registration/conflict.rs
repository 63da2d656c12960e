//! Whether two registrations lay claim to the same (4.3.6.3, 5.9.2.4).

use super::{EntityInfo, Mode, Registration, RegistrationInfo};
use crate::model::{TypeSelection, TypeTerm};
use crate::query::{EntityPlan, Page, Selector, Term};

impl Registration {
    /// Whether the two cannot stand beside each other: one of them is exclusive, the other one is
    /// exclusive or redirects, and both speak of the same attribute of the same entity. One of
    /// history and one of what is latest never meet.
    pub fn conflicts_with(&self, other: &Registration) -> bool {
        let modes = (self.mode, other.mode);
        matches!(
            modes,
            (Mode::Exclusive, Mode::Exclusive | Mode::Redirect) | (Mode::Redirect, Mode::Exclusive)
        ) && self.is_temporal() == other.is_temporal()
            && self
                .information
                .iter()
                .any(|own| other.information.iter().any(|its| own.overlaps(its)))
    }

    /// Which entities that are kept here it lays claim to, one plan for each RegistrationInfo: an
    /// exclusive registration to those that have one of its attributes, one that redirects to
    /// those that match. None for other modes, and where history is registered.
    pub fn claims(&self) -> Vec<EntityPlan> {
        if !self.mode.is_proxied() || self.is_temporal() {
            return Vec::new();
        }
        let claim = |info: &RegistrationInfo| EntityPlan {
            select: info.entities.iter().map(EntityInfo::selector).collect(),
            attrs: info.attributes().map(Term::known).collect(),
            page: Page { limit: 1, ..Page::default() },
            ..EntityPlan::default()
        };
        self.information.iter().map(claim).collect()
    }
}

impl RegistrationInfo {
    /// Whether both may speak of the same attribute of the same entity.
    fn overlaps(&self, other: &RegistrationInfo) -> bool {
        let entities = self.entities.is_empty()
            || other.entities.is_empty()
            || self.entities.iter().any(|own| other.entities.iter().any(|its| own.overlaps(its)));
        let attributes = self.has_all_attributes()
            || other.has_all_attributes()
            || self.attributes().any(|name| other.has_attribute(name));
        entities && attributes
    }
}

impl EntityInfo {
    /// Whether both may mean the same entity. Of one entity both may know other types.
    fn overlaps(&self, other: &EntityInfo) -> bool {
        match (&self.id, &other.id) {
            (Some(own), Some(its)) => own == its,
            (Some(own), None) => other.has_id(own) && self.shares_type(other),
            (None, Some(its)) => self.has_id(its) && self.shares_type(other),
            (None, None) => self.shares_type(other),
        }
    }

    fn shares_type(&self, other: &EntityInfo) -> bool {
        self.types.is_empty()
            || other.types.is_empty()
            || self.types.iter().any(|name| other.types.contains(name))
    }

    /// Selects the entities that are meant.
    pub fn selector(&self) -> Selector {
        let alternatives = || self.types.iter().map(|name| vec![TypeTerm::Known(*name)]).collect();
        Selector {
            ids: self.id.iter().cloned().collect(),
            id_pattern: self.id_pattern.clone(),
            types: (!self.types.is_empty()).then(|| TypeSelection::Of(alternatives())),
            ..Selector::default()
        }
    }
}
