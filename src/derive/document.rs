//! Profiles as they are written: TOML, nothing in it that is not understood.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A profile: what is derived in a country or a city, and by which numbers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileDocument {
    pub name: String,
    pub title: String,
    /// The shipped context by which names are understood.
    pub context: String,
    /// Profiles whose rules hold too, unless one of the same name is here.
    #[serde(default)]
    pub extends: Vec<String>,
    /// Readings whose sub-property of this name has one of these texts are left out.
    #[serde(default)]
    pub leave_out: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub index: Vec<IndexDocument>,
    #[serde(default)]
    pub level: Vec<LevelDocument>,
    #[serde(default)]
    pub class: Vec<ClassDocument>,
}

/// An index: the largest of sub-indices, each made from an average by a table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexDocument {
    pub name: String,
    pub title: String,
    #[serde(rename = "type")]
    pub type_name: String,
    pub every: String,
    pub completeness: f64,
    pub index: String,
    pub level: Option<String>,
    pub scheme_in: Option<String>,
    pub dominant_in: Option<String>,
    pub averaged_by: Option<String>,
    pub inputs: BTreeMap<String, InputDocument>,
    pub schemes: Vec<IndexSchemeDocument>,
    #[serde(default)]
    pub levels: Vec<BandDocument>,
}

/// A quantity that is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputDocument {
    /// Over which time it is averaged; only where averages are made.
    pub period: Option<String>,
    /// The code of the unit that `units` lead to.
    pub unit: Option<String>,
    /// To how many decimals an average is rounded before it is looked up.
    pub decimals: Option<u32>,
    /// By what a value is multiplied, by the code of its unit; the empty one is for none.
    pub units: BTreeMap<String, f64>,
}

/// A table of an index, and from when to when it holds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexSchemeDocument {
    pub name: String,
    pub source: String,
    pub from: Option<String>,
    pub until: Option<String>,
    #[serde(default)]
    pub above: Above,
    pub bands: Vec<[f64; 2]>,
    pub limits: BTreeMap<String, Vec<[f64; 2]>>,
    #[serde(default)]
    pub decimals: BTreeMap<String, u32>,
}

/// What is said of concentrations above the last band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Above {
    /// The slope of the last band goes on.
    #[default]
    Extend,
    /// The next whole number after the last band, whatever the concentration.
    Cap,
}

/// A level, or a class: its value, and up to where it goes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BandDocument {
    /// Included; the last one has none.
    pub up_to: Option<f64>,
    pub value: toml::Value,
    pub colour: Option<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A level that one quantity is in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LevelDocument {
    pub name: String,
    pub title: String,
    #[serde(rename = "type")]
    pub type_name: String,
    pub level: String,
    pub of: Vec<QuantityDocument>,
    /// The units of what it is made of; those that are not named may come in any.
    #[serde(default)]
    pub inputs: BTreeMap<String, InputDocument>,
    pub decimals: u32,
    pub schemes: Vec<LevelSchemeDocument>,
}

/// How a quantity in per cent is known.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum QuantityDocument {
    Share { share: String },
    Between { level: String, bottom: String, top: String },
}

impl QuantityDocument {
    /// What it is made of.
    pub fn terms(&self) -> Vec<&str> {
        match self {
            Self::Share { share } => vec![share.as_str()],
            Self::Between { level, bottom, top } => vec![level.as_str(), bottom, top],
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LevelSchemeDocument {
    pub name: String,
    pub source: String,
    pub from: Option<String>,
    pub until: Option<String>,
    pub levels: Vec<BandDocument>,
}

/// The best class whose criteria all hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassDocument {
    pub name: String,
    pub title: String,
    #[serde(rename = "type")]
    pub type_name: String,
    pub class: String,
    pub every: String,
    pub period: String,
    #[serde(default)]
    pub needed: Vec<String>,
    pub inputs: BTreeMap<String, InputDocument>,
    pub schemes: Vec<ClassSchemeDocument>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassSchemeDocument {
    pub name: String,
    pub source: String,
    pub from: Option<String>,
    pub until: Option<String>,
    #[serde(default)]
    pub common: Vec<CriterionDocument>,
    pub classes: Vec<OneClassDocument>,
    pub otherwise: BandDocument,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneClassDocument {
    pub value: toml::Value,
    pub colour: Option<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    pub criteria: Vec<CriterionDocument>,
}

/// A limit that a statistic of samples has to keep.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CriterionDocument {
    pub input: String,
    /// Which percentile; the worst sample if absent.
    pub percentile: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub unless: Option<UnlessDocument>,
}

/// When a limit does not hold: if every sample of an input is above a number.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnlessDocument {
    pub input: String,
    pub above: f64,
}
