//! Schemes: tables of numbers with the time from and until which they hold. Pure.

use std::collections::BTreeMap;

use super::document::{Above, BandDocument};
use super::reading::rounded;
use crate::model::{LanguageMap, OneOrMany, Timestamp, Value};

/// A table and when it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheme<T> {
    /// What derived values cite, like `TH-PCD-2023`.
    pub name: Box<str>,
    /// Where the numbers come from, in words.
    pub source: Box<str>,
    /// Included; since ever if absent.
    pub from: Option<Timestamp>,
    /// Excluded; until further notice if absent.
    pub until: Option<Timestamp>,
    pub table: T,
}

/// The scheme that holds at a time.
pub fn at<T>(schemes: &[Scheme<T>], time: Timestamp) -> Option<&Scheme<T>> {
    schemes.iter().find(|scheme| {
        scheme.from.is_none_or(|from| from <= time) && scheme.until.is_none_or(|end| time < end)
    })
}

/// The table of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexTable {
    /// From where to where the index goes in each band.
    pub bands: Vec<[f64; 2]>,
    /// The same of the concentration, for each input in its place, and how it is rounded before.
    pub limits: Vec<Option<Column>>,
    pub(super) above: Above,
}

/// The concentrations of one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub bands: Vec<[f64; 2]>,
    pub decimals: u32,
}

/// The index of one input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SubIndex {
    pub value: f64,
    /// It lies above the last band of the table.
    pub above: bool,
}

impl IndexTable {
    /// The index of a concentration: linear within a band. None for inputs that the table lacks.
    pub fn sub_index(&self, input: usize, concentration: f64) -> Option<SubIndex> {
        let column = self.limits.get(input)?.as_ref()?;
        let value = rounded(concentration.max(0.0), column.decimals);
        let mut bands = column.bands.iter().zip(&self.bands);
        let within = bands.clone().find(|([_, high], _)| value <= *high);
        if let Some(([low, high], [first, last])) = within {
            // A value between two bands belongs to the upper one.
            let place = (value.max(*low) - low) / (high - low);
            let value = rounded(first + place * (last - first), 0);
            return Some(SubIndex { value, above: false });
        }
        let ([low, high], [first, last]) = bands.next_back()?;
        let value = match self.above {
            Above::Cap => last + 1.0,
            Above::Extend => {
                let slope = (last - first) / (high - low);
                rounded(last + (value - high) * slope, 0).max(last + 1.0)
            }
        };
        Some(SubIndex { value, above: true })
    }
}

/// A level or class as it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// Included; the last one has none.
    pub up_to: Option<f64>,
    pub value: Value,
    pub colour: Option<Box<str>>,
    /// What people call it, by language.
    pub labels: Option<LanguageMap>,
}

impl Band {
    /// A band as a profile writes it.
    pub(super) fn read(document: &BandDocument) -> Result<Self, String> {
        Ok(Self {
            up_to: document.up_to,
            value: value(&document.value)?,
            colour: document.colour.as_deref().map(Into::into),
            labels: labels(&document.labels),
        })
    }
}

/// The band that a value is in: the first that goes that far.
pub fn band(bands: &[Band], value: f64) -> Option<&Band> {
    bands.iter().find(|band| band.up_to.is_none_or(|end| value <= end))
}

/// Checks that bands go on upwards and that only the last is open.
pub(super) fn check_bands(bands: &[Band]) -> Result<(), String> {
    let Some((last, others)) = bands.split_last() else { return Ok(()) };
    if last.up_to.is_some() {
        return Err("the last level has no up_to: it takes whatever is above".into());
    }
    let ends: Option<Vec<f64>> = others.iter().map(|band| band.up_to).collect();
    match ends {
        Some(ends) if ends.is_sorted_by(|a, b| a < b) => Ok(()),
        _ => Err("every level but the last has an up_to, each above the one before".into()),
    }
}

/// Checks a column of bands of concentrations: pairs that go on upwards.
pub(super) fn check_pairs(pairs: &[[f64; 2]]) -> Result<(), String> {
    let finite = pairs.iter().flatten().all(|number| number.is_finite());
    let upwards = pairs.iter().all(|[low, high]| low < high)
        && pairs.is_sorted_by(|[_, before], [after, _]| before <= after);
    match finite && upwards && !pairs.is_empty() {
        true => Ok(()),
        false => Err("bands are pairs of numbers, each above the one before".into()),
    }
}

fn value(value: &toml::Value) -> Result<Value, String> {
    match value {
        toml::Value::String(text) => Ok(text.as_str().into()),
        toml::Value::Integer(number) => Ok((*number).into()),
        toml::Value::Float(number) if number.is_finite() => Ok((*number).into()),
        other => Err(format!("{other} is neither a text nor a number")),
    }
}

fn labels(labels: &BTreeMap<String, String>) -> Option<LanguageMap> {
    let entries = labels
        .iter()
        .map(|(tag, text)| (tag.as_str().into(), OneOrMany::One(text.as_str().into())));
    (!labels.is_empty()).then(|| LanguageMap(entries.collect()))
}
