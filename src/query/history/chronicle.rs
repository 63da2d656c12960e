//! What a store offers of the history of one entity.

use std::ops::ControlFlow;

use super::Period;
use crate::model::{AttrName, Chapter, DatasetId, Recorded, TimeProperty, Timestamp};

/// Whether to go on.
pub type Visit = ControlFlow<()>;

/// The history of one entity: its chapter, and a series of instances for each attribute and
/// datasetId.
pub trait Chronicle {
    /// Why it cannot be read.
    type Error;

    /// The entity.
    fn chapter(&self) -> &Chapter;

    /// Its series, in the order their attributes first came.
    fn series(&self) -> &[Series];

    /// Hands out the instances of a series whose time lies in the span, in the order of that time
    /// (those of the same time as they were recorded), backwards if the span says so, until the
    /// visitor breaks or [`Span::most`] were handed out. If the span is [`Span::unordered`] they come
    /// in any order, some perhaps twice, and no more of them are held in memory than one block.
    fn instances(
        &self,
        series: usize,
        span: &Span,
        visit: &mut dyn FnMut(Recorded) -> Visit,
    ) -> Result<(), Self::Error>;

    /// Hands out all values of a series whose time lies in the span, in any order and however they
    /// are at hand: what aggregates are made from. Deletions are left out.
    ///
    /// A block of numbers that lies in one of the `periods` may be handed out as its summary, if
    /// `periods` is given; it is absent when every value is needed.
    fn columns(
        &self,
        series: usize,
        span: &Span,
        periods: Option<&Periods>,
        visit: &mut dyn FnMut(Column<'_>) -> Visit,
    ) -> Result<(), Self::Error>;
}

/// The instances of one attribute with one datasetId.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    pub attribute: AttrName,
    /// Absent for the default instance.
    pub dataset: Option<DatasetId>,
}

/// Which instances of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Instances without this time are left out.
    pub property: TimeProperty,
    /// Included.
    pub from: Option<Timestamp>,
    /// Excluded.
    pub to: Option<Timestamp>,
    /// The latest first.
    pub backwards: bool,
    /// In whatever order they are at hand.
    pub unordered: bool,
    /// No more than so many are wanted.
    pub most: usize,
}

/// Some of the values of a series.
#[derive(Debug, Clone, Copy)]
pub enum Column<'a> {
    /// Properties that are numbers, with their times in microseconds since 1970.
    Numbers { times: &'a [i64], values: &'a [f64] },
    /// Many numbers of one period at once.
    Summary(&'a Summary),
    /// Any instance, with its time.
    Instance(Timestamp, &'a Recorded),
}

/// What is known of many numbers without looking at each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The time of the first, in microseconds since 1970; it decides the period.
    pub first: i64,
    /// The time of the last.
    pub last: i64,
    pub count: u64,
    pub sum: f64,
    /// The sum of the squares.
    pub sumsq: f64,
    /// The sum of the squares of the distances from the mean; of what is handed out for `periods`
    /// no more than a guess where numbers lie close together and far from zero.
    pub spread: f64,
    pub min: f64,
    pub max: f64,
}

/// The periods that time is divided into, from an origin on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    /// In microseconds since 1970.
    pub(super) origin: i64,
    /// All time is one period if absent.
    pub(super) period: Option<Period>,
}

impl Periods {
    /// Periods that begin at an instant, and again after each period.
    pub fn new(origin: Timestamp, period: Option<Period>) -> Self {
        Self { origin: origin.micros(), period }
    }

    /// Which period an instant of microseconds since 1970 lies in; the first has the number 0.
    pub fn number(&self, at: i64) -> i64 {
        let Some(period) = self.period else { return 0 };
        let since = i128::from(at) - i128::from(self.origin);
        if period.months == 0 {
            return since.div_euclid(i128::from(period.micros)) as i64;
        }
        // A guess by the mean month, then step by step.
        let length = i128::from(period.months) * MEAN_MONTH + i128::from(period.micros);
        let mut number = since.div_euclid(length) as i64;
        while self.begin(number) > at {
            number -= 1;
        }
        while self.begin(number + 1) <= at {
            number += 1;
        }
        number
    }

    /// When a period begins, in microseconds since 1970.
    pub fn begin(&self, number: i64) -> i64 {
        let Some(period) = self.period else { return self.origin };
        let months = add_months(self.origin, i128::from(period.months) * i128::from(number));
        let micros = i128::from(months) + i128::from(period.micros) * i128::from(number);
        micros.clamp(i128::from(i64::MIN / 16), i128::from(i64::MAX / 16)) as i64
    }

    /// Whether two instants of microseconds since 1970 lie in one period.
    pub fn same(&self, a: i64, b: i64) -> bool {
        self.period.is_none() || self.number(a) == self.number(b)
    }
}

/// The mean length of a month in microseconds.
const MEAN_MONTH: i128 = 2_629_746_000_000;

/// The instant so many months later, at the month's last day if it is too short.
fn add_months(micros: i64, months: i128) -> i64 {
    let Ok(instant) = jiff::Timestamp::from_microsecond(micros) else { return micros };
    if months == 0 {
        return micros;
    }
    let beyond = if months < 0 { i64::MIN / 16 } else { i64::MAX / 16 };
    let start = jiff::tz::Offset::UTC.to_datetime(instant);
    let moved = i32::try_from(months)
        .ok()
        .and_then(|months| jiff::Span::new().try_months(months).ok())
        .and_then(|span| start.checked_add(span).ok())
        .and_then(|end| jiff::tz::Offset::UTC.to_timestamp(end).ok());
    moved.map_or(beyond, |moved| moved.as_microsecond())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a DateTime")
    }

    #[test]
    fn months_are_as_long_as_the_calendar_says() {
        let periods =
            Periods::new(at("2024-01-31T06:00:00Z"), Some(Period { months: 1, micros: 0 }));
        for (number, begin) in [
            (0, "2024-01-31T06:00:00Z"),
            (1, "2024-02-29T06:00:00Z"),
            (2, "2024-03-31T06:00:00Z"),
            (3, "2024-04-30T06:00:00Z"),
            (-2, "2023-11-30T06:00:00Z"),
        ] {
            assert_eq!(Timestamp::from_micros(periods.begin(number)), at(begin));
            assert_eq!(periods.number(at(begin).micros()), number, "{begin}");
            assert_eq!(periods.number(at(begin).micros() - 1), number - 1, "{begin}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_lies_in_the_period_that_is_named(
            origin in 0_i64..2_000_000_000, time in -2_000_000_000_i64..4_000_000_000,
            months in 0_u32..30, seconds in 0_i64..10_000_000,
        ) {
            prop_assume!(months > 0 || seconds > 0);
            let period = Period { months, micros: seconds * 1_000_000 };
            let origin = Timestamp::from_micros(origin * 1_000_000);
            let periods = Periods::new(origin, Some(period));
            let time = time * 1_000_000;
            let number = periods.number(time);
            prop_assert!(periods.begin(number) <= time && time < periods.begin(number + 1));
        }
    }
}
