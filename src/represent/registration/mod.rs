//! The Context Source Registration (5.2.9): which source has what, and how it wants to be asked.
//!
//! Like a Subscription it is held twice: as the members that were accepted, in which every name is
//! an IRI, for showing, changing and keeping; and as what they mean, for matching.

mod accept;
mod conflict;
mod notice;
mod operation;
mod read;
mod record;
mod sought;
mod source_info;
#[cfg(test)]
mod tests;
mod write;

use std::{sync::Arc, time::Duration};

pub use accept::Draft;
pub use notice::{SourceNotice, TriggerReason};
pub use operation::{Operation, Operations};
pub use read::Setting;
pub use record::RegistrationRecord;
pub use sought::{Sought, SourceFilter};
pub use source_info::{MediaType, SourceHeader, SourceInfo};
pub use write::Showing;

use super::ReadError;
use crate::geo::Geometry;
use crate::model::{
    AttrName, DatasetId, Entity, EntityId, RegistrationId, TenantId, Timestamp, TypeName,
};
use crate::query::{self, ErrorKind, Pattern, QueryError, Window};

/// A Context Source Registration (5.2.9), all names expanded. How often the source was asked is
/// kept apart, since that changes with every request.
#[derive(Debug, Clone)]
pub struct Registration {
    pub id: RegistrationId,
    /// The base address of the source, without a slash at its end.
    pub endpoint: Box<str>,
    /// What the source has; never empty. Any of these suffices.
    pub information: Vec<RegistrationInfo>,
    pub mode: Mode,
    /// What the source can be asked, groups resolved.
    pub operations: Operations,
    /// `contextSourceInfo`: how the source wants to be asked.
    pub source: SourceInfo,
    /// `contextSourceAlias`: the source's own name, by which loops are noticed.
    pub alias: Option<Box<str>>,
    /// The tenant to use at the source; its default one if absent.
    pub tenant: Option<TenantId>,
    /// Which instances the source has, None for the default one; any if empty.
    pub datasets: Vec<Option<DatasetId>>,
    /// Presence of either interval makes it a source of history, not of what is latest.
    pub observation: Option<Interval>,
    pub management_interval: Option<Interval>,
    /// When the registration ceases to be.
    pub expires_at: Option<Timestamp>,
    /// How often the source has something new, where it says.
    pub refresh_rate: Option<Duration>,
    pub management: Management,
    /// What filters of sources are about (`csf`, `q`, `geoQ`, `scopeQ`): the source's own
    /// properties, its places (`location`, `observationSpace`, `operationSpace`) as GeoProperties,
    /// its scopes, and the standard members that are texts, by the names of the core `@context`.
    pub described: Arc<Entity>,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
    /// The members that were accepted.
    draft: Arc<Draft>,
}

/// A RegistrationInfo (5.2.10): entities, and which attributes of them.
#[derive(Debug, Clone, Default)]
pub struct RegistrationInfo {
    /// Any entity, if there are none.
    pub entities: Vec<EntityInfo>,
    /// `propertyNames`.
    pub properties: Vec<AttrName>,
    /// `relationshipNames`.
    pub relationships: Vec<AttrName>,
}

/// An EntityInfo (5.2.8): one entity, those whose ids match, or those of a type.
#[derive(Debug, Clone, Default)]
pub struct EntityInfo {
    /// The types that the entities have; any if empty.
    pub types: Vec<TypeName>,
    pub id: Option<EntityId>,
    /// Absent where there is an id, which wins.
    pub id_pattern: Option<Pattern>,
}

/// How the data of a source stand to those that are here (4.3.6.2, 4.3.6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    #[default]
    Inclusive,
    Exclusive,
    Redirect,
    Auxiliary,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 4] = [Mode::Inclusive, Mode::Exclusive, Mode::Redirect, Mode::Auxiliary];

    /// The word in `mode`.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Inclusive => "inclusive",
            Mode::Exclusive => "exclusive",
            Mode::Redirect => "redirect",
            Mode::Auxiliary => "auxiliary",
        }
    }

    /// Whether the source alone has what is registered: nothing of it is kept here.
    pub fn is_proxied(self) -> bool {
        matches!(self, Mode::Exclusive | Mode::Redirect)
    }
}

/// A TimeInterval (5.2.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    pub start: Timestamp,
    /// It has not ended if absent.
    pub end: Option<Timestamp>,
}

impl Interval {
    /// Whether any time lies in both.
    pub fn meets(&self, window: &Window) -> bool {
        window.to.is_none_or(|to| self.start < to)
            && window.from.is_none_or(|from| self.end.is_none_or(|end| end >= from))
    }
}

/// RegistrationManagementInfo (5.2.34): what a broker may do by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Management {
    /// The source is asked for what it has itself only.
    pub local_only: bool,
    /// For how long its answers may be used again.
    pub cache_duration: Option<Duration>,
    /// How long it may take to answer.
    pub timeout: Option<Duration>,
    /// How long it is left alone after a failure.
    pub cooldown: Option<Duration>,
}

/// How much a Registration may say.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// Of regular expressions and geometries.
    pub query: query::Limits,
    /// RegistrationInfos, EntityInfos, names, operations and KeyValuePairs in all.
    pub entries: usize,
}

impl ReadLimits {
    /// No limits, for what was measured when it was accepted.
    pub fn of_kept() -> Self {
        Self { query: query::Limits::OF_KEPT, entries: usize::MAX }
    }
}

/// Why a Registration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// A member is not what it should be.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It asks for more work than is allowed.
    #[error(transparent)]
    TooComplex(QueryError),
}

impl RegistrationError {
    fn within(self, member: &str) -> Self {
        match self {
            Self::Read(error) => Self::Read(error.within(member)),
            other => other,
        }
    }

    fn within_item(self, index: usize) -> Self {
        match self {
            Self::Read(error) => Self::Read(error.within_item(index)),
            other => other,
        }
    }
}

impl From<QueryError> for RegistrationError {
    /// What is wrong with a pattern is told by the member that holds it.
    fn from(error: QueryError) -> Self {
        match error.kind {
            ErrorKind::TooComplex => Self::TooComplex(error),
            _ => Self::Read(ReadError::new(error.message)),
        }
    }
}

impl Registration {
    /// Whether it is still valid.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }

    /// Whether the source has history, and not what is latest.
    pub fn is_temporal(&self) -> bool {
        self.observation.is_some() || self.management_interval.is_some()
    }

    /// Whether the source can be asked for this.
    pub fn supports(&self, operation: Operation) -> bool {
        self.operations.has(operation)
    }

    /// The members that were accepted.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Where the source's data lie, if that is said: `location`.
    pub fn location(&self) -> Option<&Geometry> {
        let location = self.described.attributes.get(crate::model::Name::LOCATION)?;
        location.instances().iter().find_map(|instance| match &instance.datum {
            crate::model::Datum::GeoProperty(geometry) => Some(&**geometry),
            _ => None,
        })
    }
}

impl RegistrationInfo {
    /// The attributes that are registered; all, if there are none.
    pub fn attributes(&self) -> impl Iterator<Item = AttrName> + Clone {
        self.properties.iter().chain(&self.relationships).copied()
    }

    /// Whether any attribute is meant.
    pub fn has_all_attributes(&self) -> bool {
        self.properties.is_empty() && self.relationships.is_empty()
    }

    /// Whether an attribute is registered.
    pub fn has_attribute(&self, name: AttrName) -> bool {
        self.has_all_attributes() || self.attributes().any(|own| own == name)
    }

    /// Whether an entity is registered, by its id and types; absent types are not looked at.
    pub fn has_entity(&self, id: &EntityId, types: Option<&[TypeName]>) -> bool {
        self.entities.is_empty() || self.entities.iter().any(|one| one.has_entity(id, types))
    }
}

impl EntityInfo {
    /// Whether an id may be that of an entity of the source.
    pub fn has_id(&self, id: &EntityId) -> bool {
        match (&self.id, &self.id_pattern) {
            (Some(own), _) => own == id,
            (None, Some(pattern)) => pattern.is_match(id.as_str()),
            (None, None) => true,
        }
    }

    /// Whether an entity is meant; absent types are not looked at.
    pub fn has_entity(&self, id: &EntityId, types: Option<&[TypeName]>) -> bool {
        self.has_id(id)
            && types.is_none_or(|types| {
                self.types.is_empty() || self.types.iter().any(|own| types.contains(own))
            })
    }
}
