//! Rules: what is derived from what, ready to be used. Names are expanded, numbers checked.

use super::reading::Marks;
use super::scheme::{Band, IndexTable, Scheme};
use crate::model::{AttrName, Name, TypeName};

/// One thing that is derived from entities of a type.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The profile and the rule, like `th/air-quality-index`: derived values name it.
    pub name: Box<str>,
    /// In words.
    pub title: Box<str>,
    pub type_name: TypeName,
    /// The attributes that are read, in the places by which the rest refers to them.
    pub inputs: Vec<Input>,
    /// What sub-properties of the inputs mean.
    pub marks: Marks,
    /// The attributes that are written.
    pub outputs: Vec<AttrName>,
    pub what: What,
    pub terms: Terms,
}

/// What is made of the inputs.
#[derive(Debug, Clone)]
pub enum What {
    Index(Index),
    Level(Level),
    Class(Class),
}

/// An attribute that is read.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its short name.
    pub term: Box<str>,
    pub name: AttrName,
    /// The code of the unit that the factors lead to.
    pub unit: Option<Name>,
    /// By what a value in a unit is multiplied. Any unit will do if there are none.
    pub factors: Vec<(Option<Name>, f64)>,
    /// Over which time it is averaged, in microseconds, and how that is written.
    pub period: Option<(i64, Box<str>)>,
}

/// The largest of sub-indices.
#[derive(Debug, Clone)]
pub struct Index {
    /// How often it is made, in microseconds; averages are made of means over this time.
    pub every: i64,
    pub completeness: f64,
    pub index: AttrName,
    pub level: Option<AttrName>,
    /// Where the scheme is written beside the index.
    pub scheme_in: Option<AttrName>,
    /// Where the decisive input is written, within the index.
    pub dominant_in: Option<AttrName>,
    pub schemes: Vec<Scheme<IndexTable>>,
    pub levels: Vec<Band>,
}

/// The level that a quantity in per cent is in.
#[derive(Debug, Clone)]
pub struct Level {
    pub level: AttrName,
    /// Ways to know the quantity, the best first.
    pub of: Vec<Quantity>,
    pub decimals: u32,
    pub schemes: Vec<Scheme<Vec<Band>>>,
}

/// How a quantity is known, by places of inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    Share(usize),
    Between { level: usize, bottom: usize, top: usize },
}

/// The best class whose criteria all hold.
#[derive(Debug, Clone)]
pub struct Class {
    pub class: AttrName,
    pub every: i64,
    /// Over which time samples count, in microseconds, and how that is written.
    pub period: (i64, Box<str>),
    /// Inputs without which nothing is said, by their places.
    pub needed: Vec<usize>,
    pub schemes: Vec<Scheme<ClassTable>>,
}

/// The classes, the best first, and what is said if none holds.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassTable {
    pub classes: Vec<(Band, Vec<Criterion>)>,
    pub otherwise: Band,
}

/// A limit that a statistic of samples has to keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Criterion {
    /// The place of the input.
    pub input: usize,
    /// Which percentile; the worst sample if absent.
    pub percentile: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// It does not hold where every sample of this input, by its place, is above this number.
    pub unless: Option<(usize, f64)>,
}

/// The names of what is said beside a derived value.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub derived_by: AttrName,
    pub derived_from: AttrName,
    pub scheme: AttrName,
    pub source: AttrName,
    pub inputs: AttrName,
    pub label: AttrName,
    pub colour: AttrName,
    pub above_scale: AttrName,
}

/// The sub-attribute that says by which rule a value was derived.
pub const DERIVED_BY: &str = "derivedBy";

impl Terms {
    /// The names by an expansion.
    pub fn expanded<E>(expand: impl Fn(&str) -> Result<Name, E>) -> Result<Self, E> {
        Ok(Self {
            derived_by: expand(DERIVED_BY)?,
            derived_from: expand("derivedFrom")?,
            scheme: expand("scheme")?,
            source: expand("source")?,
            inputs: expand("inputs")?,
            label: expand("label")?,
            colour: expand("colour")?,
            above_scale: expand("aboveScale")?,
        })
    }
}

impl Rule {
    /// What kind of rule it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self.what {
            What::Index(_) => "index",
            What::Level(_) => "level",
            What::Class(_) => "class",
        }
    }

    /// The attribute by which is judged whether an entity has the derived value.
    pub fn main_output(&self) -> AttrName {
        match &self.what {
            What::Index(index) => index.index,
            What::Level(level) => level.level,
            What::Class(class) => class.class,
        }
    }

    /// How long a reading counts, in microseconds.
    pub fn reach(&self) -> i64 {
        match &self.what {
            What::Index(_) => {
                let periods = self.inputs.iter().filter_map(|input| Some(input.period.as_ref()?.0));
                periods.max().unwrap_or(0)
            }
            What::Level(_) => 0,
            What::Class(class) => class.period.0,
        }
    }

    /// How often a value is made, whenever readings come, in microseconds; if absent, values are
    /// made for the times of readings.
    pub fn every(&self) -> Option<i64> {
        match &self.what {
            What::Index(index) => Some(index.every),
            What::Level(_) | What::Class(_) => None,
        }
    }

    /// Of readings within one such time, in microseconds, the last has a value; each, if absent.
    pub fn one_in(&self) -> Option<i64> {
        match &self.what {
            What::Class(class) => Some(class.every),
            What::Index(_) | What::Level(_) => None,
        }
    }

    /// Whether an attribute is read.
    pub fn reads(&self, name: AttrName) -> bool {
        self.inputs.iter().any(|input| input.name == name)
    }

    /// The names of its schemes with what they cite, and when they hold.
    pub fn schemes(&self) -> Vec<Scheme<()>> {
        fn told<T>(schemes: &[Scheme<T>]) -> Vec<Scheme<()>> {
            let without = |scheme: &Scheme<T>| Scheme {
                name: scheme.name.clone(),
                source: scheme.source.clone(),
                from: scheme.from,
                until: scheme.until,
                table: (),
            };
            schemes.iter().map(without).collect()
        }
        match &self.what {
            What::Index(index) => told(&index.schemes),
            What::Level(level) => told(&level.schemes),
            What::Class(class) => told(&class.schemes),
        }
    }
}
