//! What is kept of the values of one period, whatever their type.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use super::{Method, Summary};
use crate::model::{Datum, Instance, Name, Number, Timestamp, Value};
use crate::query::Moment;

/// What sort of values an aggregate is made of (table 4.5.19.1-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Numbers, and booleans as 1 and 0.
    Number,
    Text,
    Object,
    Array,
    /// DateTimes and Dates.
    Date,
    Time,
    /// URIs: the targets of Relationships, the words of VocabProperties.
    Target,
}

impl Class {
    pub(super) fn plural(self) -> &'static str {
        match self {
            Class::Number => "numbers",
            Class::Text => "strings",
            Class::Object => "objects",
            Class::Array => "arrays",
            Class::Date => "dates",
            Class::Time => "times of day",
            Class::Target => "URIs",
        }
    }
}

/// What an aggregate sees of an instance.
pub(super) fn class_of(instance: &Instance) -> Class {
    match &instance.datum {
        Datum::Property(value) => match (value, moment(instance, value)) {
            (_, Some(Moment::Time(_))) => Class::Time,
            (_, Some(_)) => Class::Date,
            (Value::Bool(_) | Value::Number(_), _) => Class::Number,
            (Value::String(_), _) => Class::Text,
            (Value::Array(_), _) => Class::Array,
            (Value::Object(_) | Value::Null, _) => Class::Object,
        },
        Datum::JsonProperty(json) => match &**json {
            serde_json::Value::Bool(_) | serde_json::Value::Number(_) => Class::Number,
            serde_json::Value::String(_) => Class::Text,
            serde_json::Value::Array(_) => Class::Array,
            _ => Class::Object,
        },
        Datum::ListProperty(_) => Class::Array,
        Datum::Relationship(_) | Datum::ListRelationship(_) | Datum::VocabProperty(_) => {
            Class::Target
        }
        Datum::GeoProperty(_) | Datum::LanguageProperty(_) | Datum::Bare(_) => Class::Object,
    }
}

/// The date or time that a value is declared to be.
fn moment(instance: &Instance, value: &Value) -> Option<Moment> {
    let temporal = [Name::DATE_TIME, Name::DATE, Name::TIME];
    match value {
        Value::String(text)
            if instance.value_type().is_some_and(|name| temporal.contains(&name)) =>
        {
            Moment::parse(text)
        }
        Value::Object(_) => match (value.member(Name::AT_TYPE)?, value.member(Name::AT_VALUE)?) {
            (Value::String(kind), Value::String(text)) => {
                temporal.iter().any(|name| name.as_str() == &**kind).then(|| Moment::parse(text))?
            }
            _ => None,
        },
        _ => None,
    }
}

fn number(instance: &Instance) -> Option<f64> {
    match &instance.datum {
        Datum::Property(Value::Number(number)) => Some(number.as_f64()),
        Datum::Property(Value::Bool(value)) => Some(f64::from(u8::from(*value))),
        Datum::Property(Value::Array(items)) => Some(items.len() as f64),
        Datum::ListProperty(items) => Some(items.len() as f64),
        Datum::JsonProperty(json) => match &**json {
            serde_json::Value::Bool(value) => Some(f64::from(u8::from(*value))),
            serde_json::Value::Number(number) => number.as_f64(),
            serde_json::Value::Array(items) => Some(items.len() as f64),
            _ => None,
        },
        _ => None,
    }
}

/// A value by which equal data are recognised.
pub(super) fn note(instance: &Instance) -> u64 {
    if class_of(instance) == Class::Number
        && let Some(number) = number(instance)
    {
        return State::note_number(number);
    }
    let mut hasher = rustc_hash::FxHasher::default();
    format!("{:?}", instance.datum).hash(&mut hasher);
    hasher.finish()
}

/// What is known of the values of one period.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// All values.
    count: u64,
    /// Those that are numbers, or have a size.
    numbers: Numbers,
    /// The first and last text.
    texts: Option<(Box<str>, Box<str>)>,
    /// The first and last date or time, as it was written.
    moments: Option<(Moment, Moment)>,
    pub(super) distinct: HashSet<u64>,
}

/// Moments of many numbers, kept so that nothing is lost by large means.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    count: f64,
    sum: f64,
    /// What was lost when `sum` was rounded (Neumaier).
    lost: f64,
    sumsq: f64,
    mean: f64,
    /// The sum of the squares of the distances from the mean.
    spread: f64,
    min: f64,
    max: f64,
}

impl Numbers {
    fn merge(&mut self, other: Numbers) {
        if other.count == 0.0 {
            return;
        }
        if self.count == 0.0 {
            *self = other;
            return;
        }
        let count = self.count + other.count;
        let apart = other.mean - self.mean;
        self.spread += other.spread + apart * apart * (self.count * other.count / count);
        self.mean += apart * (other.count / count);
        self.count = count;
        self.add(other.sum);
        if other.lost.is_finite() {
            self.add(other.lost);
        }
        self.sumsq += other.sumsq;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    fn add(&mut self, number: f64) {
        let sum = self.sum + number;
        self.lost += if self.sum.abs() >= number.abs() {
            (self.sum - sum) + number
        } else {
            (number - sum) + self.sum
        };
        self.sum = sum;
    }

    fn of(values: &[f64]) -> Numbers {
        let Some(first) = values.first() else { return Numbers::default() };
        let mut numbers =
            Numbers { count: values.len() as f64, min: *first, max: *first, ..Numbers::default() };
        for value in values {
            numbers.add(*value);
            numbers.sumsq += value * value;
            numbers.min = numbers.min.min(*value);
            numbers.max = numbers.max.max(*value);
        }
        numbers.mean = numbers.sum() / numbers.count;
        if !numbers.mean.is_finite() {
            // The sum is beyond all numbers; the mean is not.
            numbers.mean = values.iter().map(|value| value / numbers.count).sum();
        }
        numbers.spread = values.iter().map(|value| (value - numbers.mean).powi(2)).sum();
        numbers
    }

    fn sum(&self) -> f64 {
        // What was lost of a sum beyond all numbers is none itself.
        if self.sum.is_finite() { self.sum + self.lost } else { self.sum }
    }

    fn mean(&self) -> f64 {
        let mean = self.sum() / self.count;
        if mean.is_finite() { mean } else { self.mean }
    }
}

impl State {
    /// A value by which equal numbers are recognised.
    pub(super) fn note_number(number: f64) -> u64 {
        (number + 0.0).to_bits()
    }

    pub(super) fn numbers(&mut self, values: &[f64]) {
        self.count += values.len() as u64;
        self.numbers.merge(Numbers::of(values));
    }

    pub(super) fn summary(&mut self, summary: &Summary) {
        self.count += summary.count;
        let count = summary.count as f64;
        let mean = summary.sum / count;
        self.numbers.merge(Numbers {
            count,
            sum: summary.sum,
            lost: 0.0,
            sumsq: summary.sumsq,
            mean,
            spread: summary.spread,
            min: summary.min,
            max: summary.max,
        });
    }

    pub(super) fn instance(&mut self, class: Class, instance: &Instance) {
        self.count += 1;
        match class {
            Class::Number | Class::Array => {
                self.numbers.merge(Numbers::of(number(instance).as_slice()));
            }
            Class::Text => self.text(instance),
            Class::Date | Class::Time => {
                let Datum::Property(value) = &instance.datum else { return };
                let Some(moment) = moment(instance, value) else { return };
                if class == Class::Time {
                    self.numbers.merge(Numbers::of(&[moment.micros() as f64]));
                }
                let (first, last) = self.moments.get_or_insert((moment, moment));
                if moment.micros() < first.micros() {
                    *first = moment;
                }
                if moment.micros() > last.micros() {
                    *last = moment;
                }
            }
            Class::Object | Class::Target => {}
        }
    }

    fn text(&mut self, instance: &Instance) {
        let text = match &instance.datum {
            Datum::Property(Value::String(text)) => &**text,
            Datum::JsonProperty(json) => json.as_str().unwrap_or_default(),
            _ => return,
        };
        match &mut self.texts {
            None => self.texts = Some((text.into(), text.into())),
            Some((first, _)) if text < &**first => *first = text.into(),
            Some((_, last)) if text > &**last => *last = text.into(),
            Some(_) => {}
        }
    }

    /// The result of a method that applies to values of this class; None if there are none.
    pub(super) fn result(&self, method: Method, class: Class) -> Option<Value> {
        let counted = |count: usize| Some(Value::from(count as i64));
        let numbers = &self.numbers;
        match (method, class) {
            (Method::TotalCount, _) => counted(usize::try_from(self.count).ok()?),
            (Method::DistinctCount, _) => counted(self.distinct.len()),
            (Method::Min, Class::Text) => Some(Value::String(self.texts.as_ref()?.0.clone())),
            (Method::Max, Class::Text) => Some(Value::String(self.texts.as_ref()?.1.clone())),
            (Method::Min, Class::Date | Class::Time) => Some(spell(self.moments?.0)),
            (Method::Max, Class::Date | Class::Time) => Some(spell(self.moments?.1)),
            (Method::Avg, Class::Time) => {
                let mean = Timestamp::from_micros(numbers.mean.round() as i64);
                Some(spell(Moment::Time(mean)))
            }
            _ if numbers.count == 0.0 => None,
            (Method::Sum, _) => Some(tidy(numbers.sum())),
            (Method::Avg, _) => Some(tidy(numbers.mean())),
            (Method::Min, _) => Some(tidy(numbers.min)),
            (Method::Max, _) => Some(tidy(numbers.max)),
            (Method::StdDev, _) => Some(tidy((numbers.spread / numbers.count).max(0.0).sqrt())),
            (Method::SumSq, _) => Some(tidy(numbers.sumsq)),
        }
    }
}

fn spell(moment: Moment) -> Value {
    Value::String(moment.to_string().into())
}

/// A whole number is written as one; what is beyond all numbers is the greatest there is, and what
/// is none (such values added to their opposites) zero.
fn tidy(number: f64) -> Value {
    /// Below this every whole double is an integer of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        return Value::Number(Number::Int(number as i64));
    }
    Value::from(if number.is_nan() { 0.0 } else { number.clamp(f64::MIN, f64::MAX) })
}
