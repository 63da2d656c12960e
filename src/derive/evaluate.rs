//! From readings to a derived value, with all that it cites; or the reasons why there is none.
//! Pure.

use serde_json::{Map, Value as Json, json};

use super::reading::{Averaging, Reading, average, converted, percentile, rounded, sorted};
use super::rule::{Class, Criterion, Index, Input, Level, Quantity, Rule, What};
use super::scheme::{self, Band, SubIndex};
use crate::model::{
    AttrName, Attribute, Attributes, Datum, EntityId, Instance, Name, OneOrMany, Timestamp, Value,
};

/// How many decimals of what was read are repeated.
const TOLD_DECIMALS: u32 = 4;

/// What came of a rule at a time.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The scheme that holds then.
    pub scheme: Option<Box<str>>,
    /// What is known of each input, as derived values repeat it.
    pub inputs: Vec<Json>,
    /// The attributes to write, or why there are none.
    pub outcome: Result<Vec<(AttrName, Instance)>, String>,
}

/// What a rule makes of the readings of an entity at a time: a list for each input, in the places
/// of the rule's inputs, ordered by time.
pub fn evaluate(rule: &Rule, id: &EntityId, readings: &[Vec<Reading>], at: Timestamp) -> Verdict {
    match &rule.what {
        What::Index(index) => evaluate_index(rule, index, id, readings, at),
        What::Level(level) => evaluate_level(rule, level, id, readings, at),
        What::Class(class) => evaluate_class(rule, class, id, readings, at),
    }
}

impl Verdict {
    fn nothing(inputs: Vec<Json>, why: impl Into<String>) -> Self {
        Self { scheme: None, inputs, outcome: Err(why.into()) }
    }
}

const NO_SCHEME: &str = "no scheme holds at this time";

fn evaluate_index(
    rule: &Rule,
    index: &Index,
    id: &EntityId,
    readings: &[Vec<Reading>],
    at: Timestamp,
) -> Verdict {
    let Some(scheme) = scheme::at(&index.schemes, at) else {
        return Verdict::nothing(Vec::new(), NO_SCHEME);
    };
    let mut told = Vec::with_capacity(rule.inputs.len());
    let mut found: Vec<(usize, SubIndex)> = Vec::new();
    for (place, (input, readings)) in rule.inputs.iter().zip(readings).enumerate() {
        let Some((period, written)) = &input.period else { continue };
        let asked =
            Averaging { period: *period, step: index.every, completeness: index.completeness };
        let mut one = about(input);
        one.insert("period".into(), (**written).into());
        match average(readings, at.micros(), &asked, &input.factors) {
            Ok(average) => {
                one.insert("value".into(), number(rounded(average.value, TOLD_DECIMALS)));
                one.insert("from".into(), instant(average.from));
                one.insert("to".into(), instant(average.to));
                if average.given {
                    one.insert("given".into(), true.into());
                } else {
                    one.insert("readings".into(), average.readings.into());
                    one.insert("parts".into(), average.parts.into());
                    one.insert("of".into(), average.of.into());
                }
                if let Some(sub) = scheme.table.sub_index(place, average.value) {
                    one.insert("index".into(), number(sub.value));
                    found.push((place, sub));
                }
            }
            Err(why) => drop(one.insert("lacks".into(), why.to_string().into())),
        }
        told.push(Json::Object(one));
    }
    // Of equal ones the first counts, so that the same readings always say the same.
    let worst = found.iter().rev().max_by(|a, b| a.1.value.total_cmp(&b.1.value));
    let outcome = match worst {
        None => Err("no input has an average".to_owned()),
        Some(worst) => {
            let used: Vec<Json> =
                told.iter().filter(|one| one.get("index").is_some()).cloned().collect();
            let cited = Cited { rule, id, at, scheme: (&scheme.name, &scheme.source) };
            Ok(index_attributes(&cited, index, *worst, &found, used))
        }
    };
    Verdict { scheme: Some(scheme.name.clone()), inputs: told, outcome }
}

fn index_attributes(
    cited: &Cited<'_>,
    index: &Index,
    (decisive, worst): (usize, SubIndex),
    found: &[(usize, SubIndex)],
    used: Vec<Json>,
) -> Vec<(AttrName, Instance)> {
    let rule = cited.rule;
    let mut main = cited.instance(Datum::Property(whole(worst.value)));
    let more = &mut main.more_mut().attributes;
    let mut put = |name: Name, datum: Datum| {
        more.insert(name, Attribute::one(Instance::new(datum)));
    };
    if let (Some(name), Some(input)) = (index.dominant_in, rule.inputs.get(decisive)) {
        put(name, Datum::Property((*input.term).into()));
    }
    for (place, sub) in found {
        // A sub-index stands under the name of its input: `airQualityIndex[pm25]` in a query.
        if let Some(input) = rule.inputs.get(*place) {
            put(input.name, Datum::Property(whole(sub.value)));
        }
    }
    if worst.above {
        put(rule.terms.above_scale, Datum::Property(Value::Bool(true)));
    }
    put(rule.terms.inputs, Datum::JsonProperty(Box::new(Json::Array(used))));
    let mut attributes = vec![(index.index, main)];
    if let (Some(name), Some(band)) = (index.level, scheme::band(&index.levels, worst.value)) {
        attributes.push((name, cited.banded(band)));
    }
    if let Some(name) = index.scheme_in {
        attributes.push((name, cited.instance(Datum::Property(cited.scheme.0.into()))));
    }
    attributes
}

fn evaluate_level(
    rule: &Rule,
    level: &Level,
    id: &EntityId,
    readings: &[Vec<Reading>],
    at: Timestamp,
) -> Verdict {
    let Some(scheme) = scheme::at(&level.schemes, at) else {
        return Verdict::nothing(Vec::new(), NO_SCHEME);
    };
    // What does not change with each reading counts as it was last known.
    let last = |place: usize| {
        let readings = readings.get(place)?;
        let end = readings.partition_point(|reading| reading.at <= at.micros());
        // The bed and the banks of a river were surveyed once, perhaps after this reading.
        readings.get(..end).and_then(<[_]>::last).or(readings.first())
    };
    let value = |place: usize, reading: &Reading| match &rule.inputs.get(place)?.factors[..] {
        [] => Some(reading.value),
        factors => converted(reading, factors),
    };
    let share = |quantity: &Quantity| match *quantity {
        Quantity::Share(place) => {
            let reading = last(place).filter(|reading| reading.at == at.micros())?;
            Some((value(place, reading)?, vec![place]))
        }
        Quantity::Between { level, bottom, top } => {
            let height = last(level).filter(|reading| reading.at == at.micros())?;
            let height = value(level, height)?;
            let (bed, bank) = (value(bottom, last(bottom)?)?, value(top, last(top)?)?);
            let share = (height - bed) / (bank - bed) * 100.0;
            (bank > bed).then_some((share, vec![level, bottom, top]))
        }
    };
    let Some((share, places)) = level.of.iter().find_map(share) else {
        let names: Vec<&str> = rule.inputs.iter().map(|input| &*input.term).collect();
        let why = format!("what it is made from is not known: {}", names.join(", "));
        return Verdict::nothing(Vec::new(), why);
    };
    let share = rounded(share, level.decimals);
    let inputs: Vec<Json> = places
        .iter()
        .filter_map(|place| {
            let (input, reading) = (rule.inputs.get(*place)?, last(*place)?);
            let mut one = about(input);
            let value = value(*place, reading)?;
            one.insert("value".into(), number(rounded(value, TOLD_DECIMALS)));
            one.insert("observedAt".into(), instant(reading.at));
            Some(Json::Object(one))
        })
        .collect();
    let outcome = match scheme::band(&scheme.table, share) {
        None => Err("the scheme has no level for it".to_owned()),
        Some(band) => {
            let cited = Cited { rule, id, at, scheme: (&scheme.name, &scheme.source) };
            let mut instance = cited.banded(band);
            let told = json!({ "share": number(share), "of": inputs });
            let datum = Datum::JsonProperty(Box::new(told));
            let more = &mut instance.more_mut().attributes;
            more.insert(rule.terms.inputs, Attribute::one(Instance::new(datum)));
            Ok(vec![(level.level, instance)])
        }
    };
    Verdict { scheme: Some(scheme.name.clone()), inputs, outcome }
}

fn evaluate_class(
    rule: &Rule,
    class: &Class,
    id: &EntityId,
    readings: &[Vec<Reading>],
    at: Timestamp,
) -> Verdict {
    let Some(scheme) = scheme::at(&class.schemes, at) else {
        return Verdict::nothing(Vec::new(), NO_SCHEME);
    };
    let samples: Vec<Vec<f64>> = rule
        .inputs
        .iter()
        .zip(readings)
        .map(|(input, readings)| sorted(readings, at.micros(), class.period.0, &input.factors))
        .collect();
    let of = |place: usize| samples.get(place).map_or(&[][..], Vec::as_slice);
    let mut told = Vec::new();
    for (place, input) in rule.inputs.iter().enumerate() {
        if !of(place).is_empty() {
            let mut one = about(input);
            one.insert("samples".into(), of(place).len().into());
            told.push(Json::Object(one));
        }
    }
    let term = |place: &usize| rule.inputs.get(*place).map_or("", |input| &*input.term);
    let lacking: Vec<&str> =
        class.needed.iter().filter(|place| of(**place).is_empty()).map(term).collect();
    if !lacking.is_empty() {
        let why = format!("there is no sample of {}", lacking.join(", "));
        return Verdict { scheme: Some(scheme.name.clone()), ..Verdict::nothing(told, why) };
    }
    let lifted = |(input, above): (usize, f64)| of(input).first().is_some_and(|low| *low > above);
    let holds = |criterion: &Criterion| {
        criterion.unless.is_some_and(lifted) || keeps(criterion, of(criterion.input))
    };
    let best = scheme.table.classes.iter().find(|(_, all)| all.iter().all(holds));
    let band = best.map_or(&scheme.table.otherwise, |(band, _)| band);
    // Why it is not the class above it, and what nobody measured.
    let better = scheme.table.classes.iter().take_while(|(own, _)| own != band).last();
    let mut failed: Vec<Json> = Vec::new();
    for criterion in better.iter().flat_map(|(_, all)| all).filter(|one| !holds(one)) {
        failed.push(limit(criterion, term(&criterion.input), of(criterion.input)));
    }
    let mut untested: Vec<&str> = scheme
        .table
        .classes
        .iter()
        .flat_map(|(_, all)| all)
        .filter(|one| of(one.input).is_empty())
        .map(|one| term(&one.input))
        .collect();
    untested.sort_unstable();
    untested.dedup();
    let cited = Cited { rule, id, at, scheme: (&scheme.name, &scheme.source) };
    let mut instance = cited.banded(band);
    let inputs = json!({
        "samples": told,
        "period": &*class.period.1,
        "failsBetterClassBy": failed,
        "notMeasured": untested,
    });
    let datum = Datum::JsonProperty(Box::new(inputs));
    let more = &mut instance.more_mut().attributes;
    more.insert(rule.terms.inputs, Attribute::one(Instance::new(datum)));
    let outcome = Ok(vec![(class.class, instance)]);
    Verdict { scheme: Some(scheme.name.clone()), inputs: told, outcome }
}

/// Whether samples keep a limit; what was not measured does.
fn keeps(criterion: &Criterion, samples: &[f64]) -> bool {
    let at = |otherwise: f64| percentile(samples, criterion.percentile.unwrap_or(otherwise));
    let (low, high) = (at(0.0), at(100.0));
    criterion.min.zip(low).is_none_or(|(min, low)| low >= min)
        && criterion.max.zip(high).is_none_or(|(max, high)| high <= max)
}

fn limit(criterion: &Criterion, term: &str, samples: &[f64]) -> Json {
    let mut one = Map::new();
    one.insert("attribute".into(), term.into());
    let otherwise = if criterion.min.is_some() { 0.0 } else { 100.0 };
    let percent = criterion.percentile.unwrap_or(otherwise);
    if let Some(value) = percentile(samples, percent) {
        one.insert("value".into(), number(rounded(value, TOLD_DECIMALS)));
        one.insert("percentile".into(), number(percent));
    }
    for (name, bound) in [("min", criterion.min), ("max", criterion.max)] {
        if let Some(bound) = bound {
            one.insert(name.into(), number(bound));
        }
    }
    Json::Object(one)
}

/// What a derived value cites.
struct Cited<'a> {
    rule: &'a Rule,
    id: &'a EntityId,
    at: Timestamp,
    /// Its name, and where it comes from.
    scheme: (&'a str, &'a str),
}

impl Cited<'_> {
    /// A derived value with what all of them say: by which rule, from whom, by which scheme.
    fn instance(&self, datum: Datum) -> Instance {
        let terms = &self.rule.terms;
        let (scheme, source) = self.scheme;
        let text = |text: &str| Datum::Property(text.into());
        let all = [
            (terms.derived_by, text(&self.rule.name)),
            (terms.derived_from, Datum::Relationship(OneOrMany::One(self.id.clone()))),
            (terms.scheme, text(scheme)),
            (terms.source, text(source)),
        ];
        let mut instance = Instance::new(datum);
        instance.observed_at = Some(self.at);
        let each =
            all.into_iter().map(|(name, datum)| (name, Attribute::one(Instance::new(datum))));
        instance.more_mut().attributes = each.collect::<Attributes>();
        instance
    }

    fn banded(&self, band: &Band) -> Instance {
        let mut instance = self.instance(Datum::Property(band.value.clone()));
        let more = &mut instance.more_mut().attributes;
        if let Some(labels) = &band.labels {
            let label = Instance::new(Datum::LanguageProperty(labels.clone()));
            more.insert(self.rule.terms.label, Attribute::one(label));
        }
        if let Some(colour) = &band.colour {
            let colour = Instance::new(Datum::Property((**colour).into()));
            more.insert(self.rule.terms.colour, Attribute::one(colour));
        }
        instance
    }
}

fn about(input: &Input) -> Map<String, Json> {
    let mut one = Map::new();
    one.insert("attribute".into(), (*input.term).into());
    if let Some(unit) = input.unit {
        one.insert("unitCode".into(), unit.as_str().into());
    }
    one
}

fn instant(micros: i64) -> Json {
    Timestamp::from_micros(micros).to_string().into()
}

/// A number as people write it: whole ones without a fraction.
fn number(value: f64) -> Json {
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => (value as i64).into(),
        false => value.into(),
    }
}

fn whole(value: f64) -> Value {
    Value::from(value.clamp(0.0, 1e15) as i64)
}

/// Whether two instances say the same, whenever they were written.
pub fn says_the_same(one: &Instance, other: &Instance) -> bool {
    one.datum == other.datum
        && one.observed_at == other.observed_at
        && one.unit == other.unit
        && one.attributes().len() == other.attributes().len()
        && one.attributes().iter().all(|(name, attribute)| {
            let own = attribute.instances().first();
            let others = other.attributes().get(name).and_then(|all| all.instances().first());
            own.zip(others).is_some_and(|(own, others)| says_the_same(own, others))
        })
}

#[cfg(test)]
mod tests;
