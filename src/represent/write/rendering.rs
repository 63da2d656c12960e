//! How entities are to look in an answer.

use std::{
    hash::{BuildHasher, Hash, Hasher, RandomState},
    str::FromStr,
    sync::LazyLock,
};

use crate::model::{AttrName, DatasetId, EntityId, Instance, Look, Name};
use crate::query::{LanguageFilter, Projection};

/// How entities are to look.
#[derive(Debug, Clone, Default)]
pub struct Rendering {
    pub format: Format,
    /// System times are shown (`options=sysAttrs`, 4.8).
    pub sys_attrs: bool,
    /// `pick`, `omit` and `attrs` (4.21).
    pub projection: Projection,
    /// Only instances with these datasetIds, None for the default one; all if empty (4.5.5).
    pub datasets: Vec<Option<DatasetId>>,
    /// LanguageProperties become Properties in the best of these languages (4.15).
    pub lang: Option<LanguageFilter>,
    /// Entities become GeoJSON Features (4.5.16).
    pub geojson: Option<GeoJson>,
    /// What a reader of this version would not understand is written otherwise or left out
    /// (4.3.6.8).
    pub version: Option<SpecVersion>,
    /// Relationships are followed (4.5.23).
    pub join: Option<Join>,
}

/// A representation of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    #[default]
    Normalized,
    /// Without what can be inferred.
    Concise,
    /// Values alone, also called keyValues.
    Simplified,
}

impl Format {
    /// The format of this keyword of `format` or `options`.
    pub fn from_keyword(keyword: &str) -> Option<Self> {
        match keyword {
            "normalized" => Some(Format::Normalized),
            "concise" => Some(Format::Concise),
            "simplified" | "keyValues" => Some(Format::Simplified),
            _ => None,
        }
    }
}

/// What a Feature needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GeoJson {
    /// The GeoProperty that becomes the geometry; None for one that no entity ever had.
    pub geometry_property: Option<AttrName>,
}

impl Default for GeoJson {
    fn default() -> Self {
        Self { geometry_property: Some(Name::LOCATION) }
    }
}

/// How linked entities are joined (4.5.23).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    pub form: JoinForm,
    /// How many links are followed from an entity of the answer.
    pub level: u32,
    /// Entities that are not joined, since they are around the answer already.
    pub contained_by: Vec<EntityId>,
    /// How many entities are joined at most, and how many are written inside others.
    pub limit: usize,
    /// How large the answer may be for further ones to be written into it.
    pub bytes: usize,
}

impl Join {
    /// Follows links, one level unless told otherwise.
    pub fn new(form: JoinForm) -> Self {
        Self { form, level: 1, contained_by: Vec::new(), limit: 1_000, bytes: 64 << 20 }
    }
}

/// Where linked entities stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinForm {
    /// Inside the Relationships that lead to them.
    Inline,
    /// After the entities of the answer, each once.
    Flat,
}

/// A version of the specification, like 1.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpecVersion {
    pub major: u16,
    pub minor: u16,
}

/// The text is not a version of the specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version of the specification: write one like 1.6")]
pub struct NotAVersion(pub String);

impl SpecVersion {
    /// The version that this broker speaks.
    pub const OURS: Self = Self::new(1, 9);

    /// The version of these numbers.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl FromStr for SpecVersion {
    type Err = NotAVersion;

    /// Reads `1.6`; a third number, of editorial changes, may follow.
    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let number = |text: Option<&str>| text?.parse().ok();
        let mut parts = text.split('.');
        let version = (number(parts.next()), number(parts.next()), parts.next().map(str::parse));
        match (version, parts.next()) {
            ((Some(major), Some(minor), None | Some(Ok::<u16, _>(_))), None) => {
                Ok(Self { major, minor })
            }
            _ => Err(NotAVersion(text.chars().take(32).collect())),
        }
    }
}

impl std::fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What forms that were hashed have and others have not.
const HASHED: u64 = 1 << 63;

impl Rendering {
    /// What is equal only for renderings that write the same bytes for the same stored entity
    /// under a context with this id; under another, bytes of the same form differ in how names are
    /// spelled. None where bytes depend on other entities, or where it is told whether something
    /// was altered.
    ///
    /// The bytes of an entity of which something will expire depend on the time as well.
    pub fn look(&self, context: u64) -> Option<Look> {
        let inline = self.join.as_ref().is_some_and(|join| join.form == JoinForm::Inline);
        if self.version.is_some() || inline {
            return None;
        }
        let form = match self.is_plain() {
            true => (self.format as u64) << 1 | u64::from(self.sys_attrs),
            false => self.hashed() | HASHED,
        };
        Some(Look { form, spelling: context })
    }

    fn hashed(&self) -> u64 {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let mut hasher = HASHER.build_hasher();
        (self.format, self.sys_attrs, &self.datasets, &self.geojson).hash(&mut hasher);
        self.projection.hash(&mut hasher);
        self.lang.hash(&mut hasher);
        hasher.finish()
    }

    /// Whether entities are shown whole, as most are.
    fn is_plain(&self) -> bool {
        self.datasets.is_empty()
            && self.geojson.is_none()
            && self.lang.is_none()
            && self.projection == Projection::default()
    }

    /// Whether an instance is of a dataset that was asked for.
    pub(in crate::represent) fn asks_for(&self, instance: &Instance) -> bool {
        self.datasets.is_empty()
            || self.datasets.iter().any(|dataset| dataset.as_ref() == instance.dataset())
    }

    /// Whether an answer is a list of entities and those that they are linked with.
    pub fn joins_flat(&self) -> bool {
        self.join.as_ref().is_some_and(|join| join.form == JoinForm::Flat)
    }

    /// How many links lead from one entity into others inside it.
    pub(super) fn inline_levels(&self) -> u32 {
        match &self.join {
            Some(join) if join.form == JoinForm::Inline => join.level,
            _ => 0,
        }
    }
}
