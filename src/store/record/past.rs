//! What history keeps of an instance beside its times and its number: a word, the same for most
//! instances of a series, so that a block says it once.

use super::codec::{In, Out};
use super::{Damaged, Decoder, Encoder, Names, Numbers, decimals, decimals_of};
use crate::model::{DatasetId, Datum, Instance, Kind, More, Number, Scope, Timestamp, Value};
use crate::store::history::Thinned;

/// The bits beside the kind in the first byte of a word.
mod has {
    /// The number stands in a column of its own.
    pub const NUMBER: u8 = 1 << 3;
    /// The number was written as an integer. Without [`NUMBER`], the word is that of numbers that
    /// were thinned.
    pub const INTEGER: u8 = 1 << 4;
    pub const UNIT: u8 = 1 << 5;
    /// This is the deletion of the attribute.
    pub const DELETION: u8 = 1 << 6;
    /// Something follows that most instances do not have; behind numbers that were thinned, their
    /// spread.
    pub const MORE: u8 = 1 << 7;
}

/// Integers up to this are exact as doubles.
const MAX_EXACT: i64 = 1 << 53;

/// Beyond the word: what history keeps of an instance in columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::store) struct Past<'a> {
    pub observed_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
    pub number: f64,
    pub dataset: Option<&'a DatasetId>,
}

/// Whether the word is one of a number that stands in a column.
pub(in crate::store) fn is_number(word: &[u8]) -> bool {
    word.first().is_some_and(|first| first & has::NUMBER != 0)
}

/// Whether the word is one of a deletion.
pub(in crate::store) fn is_deletion(word: &[u8]) -> bool {
    word.first().is_some_and(|first| first & has::DELETION != 0)
}

/// The word of numbers that were thinned, of the unit that another word names.
pub(in crate::store) fn thinned_word(other: &[u8], thinned: &Thinned) -> Vec<u8> {
    let mut input = In(other);
    let unit = match input.byte() {
        Ok(bits) if bits & has::UNIT != 0 => input.number().ok(),
        _ => None,
    };
    let mut out = Out::default();
    out.byte(has::INTEGER | has::MORE | if unit.is_some() { has::UNIT } else { 0 });
    unit.into_iter().for_each(|unit| out.number(unit));
    out.number(thinned.count);
    let Thinned { sum, sumsq, min, max, spread, .. } = *thinned;
    for number in [sum, sumsq, min, max, spread] {
        out.0.extend_from_slice(&number.to_le_bytes());
    }
    out.0
}

/// The numbers that were thinned to a word, if it is one of those.
pub(in crate::store) fn thin_number(word: &[u8]) -> Option<Thinned> {
    let mut input = In(word);
    let bits = input.byte().ok()?;
    if bits & (has::INTEGER | has::NUMBER) != has::INTEGER {
        return None;
    }
    if bits & has::UNIT != 0 {
        input.number().ok()?;
    }
    read_thinned(bits, &mut input).ok()
}

fn read_thinned(bits: u8, input: &mut In<'_>) -> Result<Thinned, Damaged> {
    let count = input.number()?.max(1);
    let mut float = || {
        let bytes = input.bytes(8)?.try_into().map_err(|_| Damaged("it ends early"))?;
        Ok(f64::from_le_bytes(bytes))
    };
    let [sum, sumsq, min, max] = [float()?, float()?, float()?, float()?];
    let spread = match bits & has::MORE != 0 {
        true => float()?,
        // Words did not always say it.
        false => (sumsq - sum * (sum / count as f64)).max(0.0),
    };
    Ok(Thinned { count, sum, sumsq, min, max, spread })
}

/// The word of an instance that was modified at a time, whatever it says of that itself; and its
/// number if it is one that a column can hold.
pub(in crate::store) fn encode_past(
    instance: &Instance,
    modified_at: Timestamp,
    word: &mut Vec<u8>,
    dictionary: &mut dyn Numbers,
) -> f64 {
    word.clear();
    let number = match &instance.datum {
        // A declared type could make it something else than a number.
        _ if instance.value_type().is_some() => None,
        Datum::Property(Value::Number(Number::Int(int))) if int.abs() <= MAX_EXACT => {
            Some((*int as f64, has::NUMBER | has::INTEGER))
        }
        Datum::Property(Value::Number(Number::Float(float))) => Some((*float, has::NUMBER)),
        _ => None,
    };
    // The datasetId is in the key.
    let without_dataset = instance.dataset().and(instance.more.as_deref()).map(|more| {
        let More { expires_at, value_type, object_types, attributes, sealed, .. } = more.clone();
        More { dataset: None, expires_at, value_type, object_types, attributes, sealed }
    });
    let more = without_dataset.as_ref().or(instance.more.as_deref());
    let more = more.filter(|more| !more.is_empty());
    let decimals = decimals_of(instance);
    let bit = |there: bool, bit: u8| if there { bit } else { 0 };
    let mut encoder = Encoder {
        out: Out(std::mem::take(word)),
        dictionary,
        base: modified_at,
        // A sub-attribute is as old in every instance, and observed when the instance is.
        created_base: Timestamp::from_micros(0),
        observed_base: instance.observed_at.unwrap_or(modified_at),
    };
    encoder.out.byte(
        instance.kind() as u8
            | number.map_or(0, |(_, bits)| bits)
            | bit(instance.unit.is_some(), has::UNIT)
            | bit(more.is_some() || decimals != 0, has::MORE),
    );
    if let Some(unit) = instance.unit {
        encoder.name(unit);
    }
    if number.is_none() {
        encoder.datum(&instance.datum);
    }
    encoder.more_of(more, decimals);
    *word = encoder.out.0;
    number.map_or(0.0, |(number, _)| number)
}

/// The word of a deletion.
pub(in crate::store) fn encode_deletion(kind: Kind, word: &mut Vec<u8>) {
    word.clear();
    word.push(kind as u8 | has::DELETION);
}

/// The instance of a word; whether it is a deletion, of which only kind and datasetId are told.
pub(in crate::store) fn decode_past(
    word: &[u8],
    past: &Past<'_>,
    names: &dyn Names,
) -> Result<(Instance, bool), Damaged> {
    let mut decoder = Decoder::new(In(word), names, past.modified_at);
    decoder.created_base = Timestamp::from_micros(0);
    decoder.observed_base = past.observed_at.unwrap_or(past.modified_at);
    let bits = decoder.input.byte()?;
    let kind = Kind::ALL[usize::from(bits & 0b111)];
    let has = |bit| bits & bit != 0;
    let unit = if has(has::UNIT) { Some(decoder.name()?) } else { None };
    let datum = if has(has::DELETION) {
        nothing(kind)
    } else if has(has::INTEGER) && has(has::NUMBER) {
        Datum::Property(Value::Number(Number::Int(past.number as i64)))
    } else if has(has::NUMBER) {
        Datum::Property(Value::Number(Number::Float(past.number)))
    } else if has(has::INTEGER) {
        // One by one they are gone: their mean stands for them.
        let thinned = read_thinned(bits, &mut decoder.input)?;
        let mean = thinned.sum / thinned.count as f64;
        Datum::Property(Value::Number(Number::Float(if mean.is_finite() { mean } else { 0.0 })))
    } else {
        decoder.datum(kind)?
    };
    let thinned = has(has::INTEGER) && !has(has::NUMBER);
    let (mut more, code) = if has(has::MORE) && !thinned { decoder.more_of()? } else { (None, 0) };
    if let Some(dataset) = past.dataset {
        more.get_or_insert_default().dataset = Some(dataset.clone());
    }
    if !decoder.input.0.is_empty() {
        return Err(Damaged("something follows an instance"));
    }
    let Past { observed_at, created_at, modified_at, .. } = *past;
    let observed_at = observed_at.map(|time| decimals::restore(time, code));
    let instance = Instance { datum, observed_at, unit, created_at, modified_at, more };
    Ok((instance, has(has::DELETION)))
}

/// A datum of a kind that says nothing.
fn nothing(kind: Kind) -> Datum {
    use crate::geo::{Geometry, Position};
    use crate::model::{LanguageMap, OneOrMany};
    match kind {
        Kind::Property => Datum::Property(Value::Null),
        Kind::GeoProperty => {
            let point = Position { lon: 0.0, lat: 0.0, alt: None };
            Datum::GeoProperty(Box::new(Geometry::Point(point)))
        }
        Kind::Relationship => Datum::Relationship(OneOrMany::Many(Box::default())),
        Kind::LanguageProperty => Datum::LanguageProperty(LanguageMap::default()),
        Kind::VocabProperty => Datum::VocabProperty(OneOrMany::Many(Box::default())),
        Kind::ListProperty => Datum::ListProperty(Box::default()),
        Kind::ListRelationship => Datum::ListRelationship(Box::default()),
        Kind::JsonProperty => Datum::JsonProperty(Box::default()),
    }
}

/// The word of a change of scopes, observed at a time; none left is a removal.
pub(in crate::store) fn encode_scopes(
    scopes: &[Scope],
    observed_at: Option<Timestamp>,
    word: &mut Vec<u8>,
) {
    let mut out = Out(std::mem::take(word));
    out.0.clear();
    out.byte(if scopes.is_empty() { has::DELETION } else { 0 } | decimals::code(observed_at));
    out.count(scopes.len());
    for scope in scopes {
        out.text(scope.as_str());
    }
    *word = out.0;
}

/// The scopes of a word, and the time it was observed at as it was written.
pub(in crate::store) fn decode_scopes(
    word: &[u8],
    observed_at: Option<Timestamp>,
) -> Result<(Vec<Scope>, Option<Timestamp>), Damaged> {
    let mut input = In(word);
    let code = input.byte()?;
    let count = input.count()?;
    let scopes = (0..count).map(|_| Ok(Scope::from_trusted(input.text()?)));
    Ok((scopes.collect::<Result<_, _>>()?, observed_at.map(|at| decimals::restore(at, code))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::embedded::names::Dictionary;
    use crate::store::samples::instance;

    proptest! {
        #[test]
        fn instances_come_back_from_words(instance in instance(2)) {
            let mut dictionary = Dictionary::default();
            let mut word = vec![1, 2, 3];
            let number = encode_past(&instance, instance.modified_at, &mut word, &mut dictionary);
            let past = Past {
                observed_at: instance.observed_at,
                created_at: instance.created_at,
                modified_at: instance.modified_at,
                number,
                dataset: instance.dataset(),
            };
            let (mut again, deletion) = decode_past(&word, &past, dictionary.names()).unwrap();
            again.tidy();
            prop_assert!(!deletion);
            prop_assert_eq!(again, instance);
        }

        #[test]
        fn any_bytes_are_read_or_refused(word in prop::collection::vec(any::<u8>(), 0..80)) {
            let past = Past {
                observed_at: None,
                created_at: Timestamp::from_micros(0),
                modified_at: Timestamp::from_micros(0),
                number: 1.0,
                dataset: None,
            };
            let _ = decode_past(&word, &past, Dictionary::default().names());
            let _ = decode_scopes(&word, None);
        }
    }
}
