//! Temporal queries (4.11, 5.7.3, 5.7.4): a plan, and what it means over the history of entities.
//!
//! A store offers the history of an entity as a [`Chronicle`]; [`HistoryPlan::selects`] and
//! [`HistoryPlan::tell`] decide what is asked for and gather it within the plan's limits, so that
//! all stores answer alike.

mod aggregate;
mod chronicle;
mod evolve;
mod gather;
mod ledger;
mod parse;
#[cfg(test)]
pub(crate) mod reference;
mod state;

pub use chronicle::{Chronicle, Column, Periods, Series, Span, Summary, Visit};
pub use ledger::Ledger;
pub use parse::{WindowParams, parse_last_n};

use super::{EntityPlan, Projection, QueryError};
use crate::model::{AttrName, Chapter, DatasetId, Kind, Recorded, TimeProperty, Timestamp, Value};

/// A temporal query, all names expanded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HistoryPlan {
    /// Which entities: they are selected by id and type; by attributes, filter and geometry if an
    /// instance in the window satisfies it; by scopes they had at any time of the window.
    /// Ordered by id alone, if at all; the page is one of entities.
    pub entities: EntityPlan,
    pub window: Window,
    /// At most so many of the latest instances of an attribute.
    pub last_n: Option<usize>,
    /// Only instances of these datasetIds, where None is the default instance; all if absent.
    pub datasets: Option<Vec<Option<DatasetId>>>,
    /// What is shown of the entities.
    pub shown: Projection,
    /// Aggregates instead of instances.
    pub aggregate: Option<Aggregate>,
    /// The entities are told of though nothing of them lies in the window (5.7.3).
    pub whatever_the_window: bool,
    pub limits: HistoryLimits,
}

/// A stretch of time (4.11). Without bounds it is all time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// The time of an instance that has to lie in the window; an instance without it does not.
    pub property: TimeProperty,
    /// `timeAt` of after and between: included.
    pub from: Option<Timestamp>,
    /// `timeAt` of before, `endTimeAt` of between: excluded.
    pub to: Option<Timestamp>,
}

impl Window {
    /// Whether a time lies in the window.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }
}

/// Aggregates of the values of each period (4.5.19).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// In the order they were asked for, each once, at least one.
    pub methods: Vec<Method>,
    /// The whole window if absent.
    pub period: Option<Period>,
    /// Only the last so many of the periods that have a value.
    pub last: Option<usize>,
}

/// The aggregation methods (4.5.19.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    TotalCount,
    DistinctCount,
    Sum,
    Avg,
    Min,
    Max,
    StdDev,
    SumSq,
}

/// A duration by the calendar, never zero: months are as long as they are, days have 24 hours,
/// since all times are UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    pub months: u32,
    /// Days and all that is shorter.
    pub micros: i64,
}

impl Period {
    /// The instant that is so much later.
    pub fn after(self, at: Timestamp) -> Timestamp {
        Timestamp::from_micros(Periods::new(at, Some(self)).begin(1))
    }
}

/// How much one answer may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Instances of all entities of a page together. What is more is cut off at a time that all
    /// attributes have in common (6.3.10).
    pub instances: usize,
    /// Periods with a value, of all entities of a page together.
    pub buckets: usize,
    /// Distinct values that are counted apart.
    pub distinct: usize,
}

impl Default for HistoryLimits {
    /// No limits.
    fn default() -> Self {
        Self { instances: usize::MAX, buckets: usize::MAX, distinct: usize::MAX }
    }
}

/// What is told of one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Evolution {
    /// Its changes of scope are those in the window, in the order of the window's time.
    pub chapter: Chapter,
    /// Attributes that have instances in the window.
    pub attributes: Vec<(AttrName, Line)>,
}

/// What is told of one attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// Instances of all datasetIds, in the order of the window's time.
    Instances(Vec<Recorded>),
    /// It has some of this kind, but the answer was cut before them.
    Cut(Kind),
    /// One for each datasetId and kind.
    Aggregates(Vec<Aggregated>),
}

/// The aggregates of the instances of one datasetId.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregated {
    pub kind: Kind,
    pub dataset: Option<DatasetId>,
    /// The methods that apply to such values, with the results of the periods that have any.
    pub methods: Vec<(Method, Vec<Bucket>)>,
}

/// The result of one method over one period.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    pub result: Value,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// What is told of a page of entities.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Told {
    pub evolutions: Vec<Evolution>,
    /// Where the instances were cut, if they were: the answer is complete from the beginning of
    /// the window to this time and with it; with `last_n`, from this time on.
    pub cut: Option<Timestamp>,
}

/// Why a plan could not be carried out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TellError<E> {
    /// The store failed.
    #[error("the history cannot be read")]
    Store(E),
    /// The question does not suit the data.
    #[error(transparent)]
    Query(QueryError),
}

#[cfg(test)]
mod tests;
