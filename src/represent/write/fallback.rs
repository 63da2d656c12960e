//! What readers of older versions of the specification would not understand (4.3.6.8).

use super::SpecVersion;
use crate::model::Kind;

/// What is written otherwise, or left out. Each field names what a version below a certain one
/// does not know.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fallback {
    /// Below 1.9: neither `expiresAt` nor `valueType`.
    pub no_expiry: bool,
    /// Below 1.8: neither JsonProperty, VocabProperty, ListProperty, ListRelationship nor
    /// `objectType`.
    pub old_kinds: bool,
    /// Below 1.4: no LanguageProperty.
    pub no_language: bool,
    /// Below 1.4: no scope.
    pub no_scope: bool,
    /// Below 1.3: one type, one instance, neither `datasetId`, `observedAt` nor `unitCode`.
    pub single: bool,
}

impl Fallback {
    pub(super) fn for_version(version: Option<SpecVersion>) -> Self {
        let Some(version) = version.filter(|version| *version < SpecVersion::OURS) else {
            return Self::default();
        };
        let below = |minor| version < SpecVersion::new(1, minor);
        Self {
            no_expiry: below(9),
            old_kinds: below(8),
            no_language: below(4),
            no_scope: below(4),
            single: below(3),
        }
    }

    /// The kind that stands for another.
    pub(super) fn kind(self, kind: Kind) -> Kind {
        match kind {
            Kind::JsonProperty | Kind::VocabProperty | Kind::ListProperty if self.old_kinds => {
                Kind::Property
            }
            Kind::ListRelationship if self.old_kinds => Kind::Relationship,
            Kind::LanguageProperty if self.no_language => Kind::Property,
            known => known,
        }
    }
}
