//! Readings, and the averages and percentiles that are made from them. Pure.

use crate::model::{Attributes, Datum, Instance, Name, Recorded, TimeProperty, Timestamp, Value};
use crate::query::Period;

/// One number that was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// When, in microseconds since 1970.
    pub at: i64,
    pub value: f64,
    /// The code of its unit.
    pub unit: Option<Name>,
    /// Over which time it is a mean already, in microseconds.
    pub averaged: Option<i64>,
}

/// What sub-properties of readings mean.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Marks {
    /// The one that says over which time a reading is a mean.
    pub averaged_by: Option<Name>,
    /// Readings with one of these texts are not to be trusted.
    pub leave_out: Vec<(Name, Box<str>)>,
}

impl Reading {
    /// What an instance says, if it is a number that can be trusted.
    pub fn of(instance: &Instance, at: Timestamp, marks: &Marks) -> Option<Self> {
        let Datum::Property(Value::Number(number)) = &instance.datum else { return None };
        let attributes = instance.attributes();
        if marks.leave_out.iter().any(|(name, word)| text(attributes, *name) == Some(word)) {
            return None;
        }
        let value = number.as_f64();
        let averaged = marks.averaged_by.and_then(|name| micros(text(attributes, name)?));
        value.is_finite().then_some(Self { at: at.micros(), value, unit: instance.unit, averaged })
    }

    /// The same of what was recorded; deletions say nothing.
    pub fn of_recorded(recorded: &Recorded, marks: &Marks) -> Option<Self> {
        if recorded.deleted_at.is_some() {
            return None;
        }
        Self::of(&recorded.instance, recorded.time(TimeProperty::Placed)?, marks)
    }
}

/// When a current instance was read, as history would place it.
pub fn placed(instance: &Instance) -> Timestamp {
    instance.observed_at.unwrap_or(instance.modified_at)
}

/// The text of a sub-property.
fn text(attributes: &Attributes, name: Name) -> Option<&str> {
    match &attributes.get(name)?.instances().first()?.datum {
        Datum::Property(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// A duration of days and less, like PT24H or P1D, in microseconds.
pub fn micros(text: &str) -> Option<i64> {
    let Period { months, micros } = text.parse().ok()?;
    (months == 0 && micros > 0).then_some(micros)
}

/// Which average is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Averaging {
    /// Over which time, in microseconds.
    pub period: i64,
    /// Into which parts the time is divided: the mean is that of the means of the parts.
    pub step: i64,
    /// Which part of the parts must have a reading.
    pub completeness: f64,
}

/// An average, and what it is made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Average {
    pub value: f64,
    /// The time that it covers, its beginning excluded, in microseconds since 1970.
    pub from: i64,
    pub to: i64,
    /// How many readings were used.
    pub readings: usize,
    /// How many of the parts had a reading, and how many there are.
    pub parts: usize,
    pub of: usize,
    /// The reading was the average already.
    pub given: bool,
}

/// Why there is no average.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Shortage {
    #[error("there is no reading in the time that is averaged")]
    NoReading,
    #[error("{have} of {of} hours or parts have a reading, and {need} are needed")]
    TooFew { have: usize, need: usize, of: usize },
    #[error("no reading has a unit that the table knows{}", .0.as_ref().map_or(String::new(), |unit| format!(" ({unit})")))]
    Unit(Option<String>),
}

/// What converts readings to the unit of a table.
pub type Factors = [(Option<Name>, f64)];

/// A reading in the unit of the table; None if the table does not know its own.
pub fn converted(reading: &Reading, factors: &Factors) -> Option<f64> {
    let factor = factors.iter().find(|(unit, _)| *unit == reading.unit)?.1;
    Some(reading.value * factor)
}

/// The readings in a time, its beginning excluded and its end included. They are ordered by time.
fn within(readings: &[Reading], from: i64, to: i64) -> &[Reading] {
    let begin = readings.partition_point(|reading| reading.at <= from);
    let end = readings.partition_point(|reading| reading.at <= to);
    readings.get(begin..end).unwrap_or(&[])
}

/// The average of the time that ends at an instant. A reading that is that average already is
/// taken as it is, if it is no older than one step; means over longer times are of no use.
///
/// # Errors
/// Says what is lacking.
pub fn average(
    readings: &[Reading],
    to: i64,
    asked: &Averaging,
    factors: &Factors,
) -> Result<Average, Shortage> {
    let from = to.saturating_sub(asked.period);
    let all = within(readings, from, to);
    let given = within(all, to - asked.step, to).iter().rev();
    let mut given = given.filter(|reading| reading.averaged == Some(asked.period));
    if let Some(value) = given.find_map(|reading| converted(reading, factors)) {
        return Ok(Average { value, from, to, readings: 1, parts: 1, of: 1, given: true });
    }
    let of = usize::try_from(asked.period / asked.step).unwrap_or(1).max(1);
    let mut parts: Vec<(i64, f64, usize)> = Vec::with_capacity(of);
    let (mut used, mut foreign) = (0, None);
    for reading in all {
        if reading.averaged.is_some_and(|period| period > asked.step) {
            continue;
        }
        let Some(value) = converted(reading, factors) else {
            foreign = Some(reading.unit);
            continue;
        };
        used += 1;
        // The end of a part belongs to it.
        let part = (reading.at - from - 1).div_euclid(asked.step);
        match parts.last_mut() {
            Some((own, sum, count)) if *own == part => {
                *sum += value;
                *count += 1;
            }
            _ => parts.push((part, value, 1)),
        }
    }
    if parts.is_empty() {
        return Err(match foreign {
            Some(unit) => Shortage::Unit(unit.map(|unit| unit.to_string())),
            None => Shortage::NoReading,
        });
    }
    let need = (asked.completeness * of as f64 - 1e-9).ceil().max(1.0) as usize;
    let have = parts.len();
    if have < need {
        return Err(Shortage::TooFew { have, need, of });
    }
    let means = parts.iter().map(|(_, sum, count)| sum / *count as f64);
    let value = means.sum::<f64>() / have as f64;
    Ok(Average { value, from, to, readings: used, parts: have, of, given: false })
}

/// The values of the readings in the time that ends at an instant, smallest first, in the unit of
/// the table.
pub fn sorted(readings: &[Reading], to: i64, period: i64, factors: &Factors) -> Vec<f64> {
    let all = within(readings, to.saturating_sub(period), to).iter();
    let mut values: Vec<f64> = all.filter_map(|reading| converted(reading, factors)).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// A percentile of sorted values, between two of them in proportion; None of nothing.
pub fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = (percent / 100.0).clamp(0.0, 1.0) * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    let (low, high) = (sorted.get(below)?, sorted.get(above)?);
    Some(low + (high - low) * (place - place.floor()))
}

/// A number rounded to so many decimals, halves upwards.
pub fn rounded(value: f64, decimals: u32) -> f64 {
    let scale = 10_f64.powi(decimals.min(12) as i32);
    // What is a half in decimal is a little less in binary now and then.
    (value * scale + 0.5 + 1e-9).floor() / scale
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn unit(code: &str) -> Option<Name> {
        Some(Name::intern(code).expect("a name"))
    }

    fn at(hour: f64, value: f64) -> Reading {
        let at = (hour * HOUR as f64) as i64;
        Reading { at, value, unit: unit("GQ"), averaged: None }
    }

    fn day() -> Averaging {
        Averaging { period: 24 * HOUR, step: HOUR, completeness: 0.75 }
    }

    fn factors() -> Vec<(Option<Name>, f64)> {
        vec![(unit("GQ"), 1.0), (unit("GP"), 1_000.0)]
    }

    #[test]
    fn eighteen_hours_of_a_day_are_enough_and_seventeen_are_not() {
        let hours = |count: i32| -> Vec<Reading> {
            (1..=count).map(|hour| at(f64::from(hour) + 6.0, 10.0)).collect()
        };
        let found = average(&hours(18), 24 * HOUR, &day(), &factors()).expect("enough");
        assert_eq!((found.value, found.parts, found.of), (10.0, 18, 24));
        assert_eq!(
            average(&hours(17), 24 * HOUR, &day(), &factors()),
            Err(Shortage::TooFew { have: 17, need: 18, of: 24 })
        );
        assert_eq!(average(&[], 0, &day(), &factors()), Err(Shortage::NoReading));
    }

    #[test]
    fn an_hour_with_many_readings_counts_as_one_hour() {
        let mut readings: Vec<Reading> = (1..=24).map(|hour| at(f64::from(hour), 10.0)).collect();
        let crowd = (1..60).map(|minute| at(23.0 + f64::from(minute) / 60.0, 34.0));
        readings.splice(23..23, crowd);
        let found = average(&readings, 24 * HOUR, &day(), &factors()).expect("enough");
        let last = (59.0 * 34.0 + 10.0) / 60.0;
        assert!((found.value - (23.0 * 10.0 + last) / 24.0).abs() < 1e-9, "{}", found.value);
        assert_eq!(found.readings, 24 + 59);
    }

    #[test]
    fn the_beginning_of_a_time_is_not_in_it_and_its_end_is() {
        let hour = Averaging { period: HOUR, step: HOUR, completeness: 1.0 };
        let readings = [at(0.0, 1.0), at(1.0, 3.0), at(1.5, 9.0)];
        assert_eq!(average(&readings, HOUR, &hour, &factors()).map(|found| found.value), Ok(3.0));
    }

    #[test]
    fn what_is_an_average_already_is_taken_as_it_is() {
        let given = Reading { averaged: Some(24 * HOUR), ..at(24.0, 33.0) };
        let found = average(&[at(23.0, 1.0), given], 24 * HOUR, &day(), &factors()).expect("one");
        assert!(found.given && found.value == 33.0);
        let old = Reading { averaged: Some(24 * HOUR), ..at(22.0, 33.0) };
        assert_eq!(
            average(&[old, at(23.5, 2.0)], 24 * HOUR, &day(), &factors()),
            Err(Shortage::TooFew { have: 1, need: 18, of: 24 }),
            "a mean of a day is no reading of an hour"
        );
    }

    #[test]
    fn units_are_converted_and_unknown_ones_are_not_used() {
        let hour = Averaging { period: HOUR, step: HOUR, completeness: 1.0 };
        let milligrams = Reading { unit: unit("GP"), ..at(0.5, 0.02) };
        assert_eq!(average(&[milligrams], HOUR, &hour, &factors()).map(|a| a.value), Ok(20.0));
        let degrees = Reading { unit: unit("CEL"), ..at(0.5, 20.0) };
        let shortage = average(&[degrees], HOUR, &hour, &factors());
        assert_eq!(shortage, Err(Shortage::Unit(Some("CEL".into()))));
        let none = Reading { unit: None, ..at(0.5, 20.0) };
        assert_eq!(average(&[none], HOUR, &hour, &factors()), Err(Shortage::Unit(None)));
    }

    #[test]
    fn percentiles_lie_between_the_samples() {
        let samples = [1.0, 2.0, 3.0, 4.0, 5.0];
        for (percent, expected) in [(0.0, 1.0), (20.0, 1.8), (50.0, 3.0), (80.0, 4.2), (100.0, 5.0)]
        {
            let found = percentile(&samples, percent).expect("some");
            assert!((found - expected).abs() < 1e-9, "{percent}: {found}");
        }
        assert_eq!(percentile(&[7.0], 20.0), Some(7.0));
        assert_eq!(percentile(&[], 20.0), None);
    }

    #[test]
    fn halves_are_rounded_upwards() {
        for (value, decimals, expected) in
            [(15.05, 1, 15.1), (15.04, 1, 15.0), (0.5, 0, 1.0), (2.675, 2, 2.68), (37.45, 1, 37.5)]
        {
            assert_eq!(rounded(value, decimals), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn an_average_lies_between_the_smallest_and_the_largest(
            values in proptest::collection::vec((0.0_f64..24.0, 0.0_f64..500.0), 1..200),
        ) {
            let mut readings: Vec<Reading> = values.iter().map(|(hour, value)| at(*hour, *value)).collect();
            readings.sort_by_key(|reading| reading.at);
            let lenient = Averaging { completeness: 0.0, ..day() };
            if let Ok(found) = average(&readings, 24 * HOUR, &lenient, &factors()) {
                let used = readings.iter().filter(|reading| reading.at > 0);
                let (low, high) = used.fold((f64::MAX, f64::MIN), |(low, high), reading| {
                    (low.min(reading.value), high.max(reading.value))
                });
                prop_assert!(low - 1e-9 <= found.value && found.value <= high + 1e-9);
            }
        }
    }
}
