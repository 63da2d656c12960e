//! How words of history spell names: by numbers of the store's dictionary, or by a dictionary of
//! their own that follows them. A word of the second sort can be read by itself; most have no
//! names, and are a byte longer.

use super::past::{decode_past, decode_scopes, encode_deletion, encode_past, encode_scopes};
use super::past::{thin_number, thinned_word};
use super::whole::{Own, read_names};
use super::{Damaged, In, Names, Numbers, Out, Past};
use crate::model::{Instance, Timestamp};
use crate::store::history::{Row, Thinned, is_observed};

/// How the names in words are read.
#[derive(Clone, Copy)]
pub(in crate::store) enum Spelling<'a> {
    /// They are numbers of this dictionary.
    Dictionary(&'a dyn Names),
    /// Each word brings its own.
    Own,
}

/// The same without the dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Spells {
    ByDictionary,
    Own,
}

/// The last byte of a word that has no names.
const NAMELESS: u8 = 0;
/// The last byte of a word whose names, and their length in four bytes, stand before it.
const NAMED: u8 = 1;

impl Spelling<'_> {
    /// See [`decode_past`].
    pub fn decode_past(self, word: &[u8], past: &Past<'_>) -> Result<(Instance, bool), Damaged> {
        match self {
            Self::Dictionary(names) => decode_past(word, past, names),
            Self::Own => {
                let (word, mut names) = open(word)?;
                decode_past(word, past, &read_names(&mut names)?)
            }
        }
    }
}

impl Spells {
    /// See [`thinned_word`].
    pub fn thinned_word(self, other: &[u8], thinned: &Thinned) -> Vec<u8> {
        match (self, open(other)) {
            (Self::Own, Ok((core, _))) => {
                let mut word = thinned_word(core, thinned);
                word.extend_from_slice(&other[core.len()..]);
                word
            }
            _ => thinned_word(other, thinned),
        }
    }
}

/// The word of an instance with its names, and its number: see [`encode_past`].
pub(in crate::store) fn own_past(
    instance: &Instance,
    modified_at: Timestamp,
    word: &mut Vec<u8>,
) -> f64 {
    let mut own = Own::default();
    let number = encode_past(instance, modified_at, word, &mut own);
    if own.names.is_empty() {
        own_word(word);
    } else {
        let mut names = Out::default();
        own.write(&mut names);
        word.extend_from_slice(&names.0);
        word.extend_from_slice(&(names.0.len() as u32).to_le_bytes());
        word.push(NAMED);
    }
    number
}

/// Writes words of one store as another spells them.
pub(in crate::store) enum Rewrite<'d> {
    Dictionary(&'d mut dyn Numbers),
    Own,
}

impl Rewrite<'_> {
    /// The word of a row, as it is spelled elsewhere; `scopes` says that it is a change of scopes.
    pub fn rewrite(
        &mut self,
        scopes: bool,
        row: &Row<'_>,
        from: Spelling<'_>,
    ) -> Result<Vec<u8>, Damaged> {
        let old = row.word.unwrap_or_default();
        let mut word = Vec::new();
        let observed_at = is_observed(row.ordinal).then(|| Timestamp::from_micros(row.time));
        if scopes {
            let (scopes, observed_at) = decode_scopes(old, observed_at)?;
            encode_scopes(&scopes, observed_at, &mut word);
            self.end(&mut word);
            return Ok(word);
        }
        let past = Past {
            observed_at,
            created_at: Timestamp::from_micros(row.created),
            modified_at: Timestamp::from_micros(row.modified),
            number: row.number,
            dataset: None,
        };
        let (instance, deletion) = from.decode_past(old, &past)?;
        if deletion {
            encode_deletion(instance.kind(), &mut word);
            self.end(&mut word);
            return Ok(word);
        }
        let modified_at = past.modified_at;
        match self {
            Self::Dictionary(numbers) => {
                encode_past(&instance, modified_at, &mut word, *numbers);
            }
            Self::Own => drop(own_past(&instance, modified_at, &mut word)),
        }
        // Of thinned numbers the instance is only the mean; its word tells the unit.
        Ok(match thin_number(old) {
            Some(thinned) => self.spells().thinned_word(&word, &thinned),
            None => word,
        })
    }

    fn spells(&self) -> Spells {
        match self {
            Self::Dictionary(_) => Spells::ByDictionary,
            Self::Own => Spells::Own,
        }
    }

    /// Ends a word that has no names.
    fn end(&self, word: &mut Vec<u8>) {
        if self.spells() == Spells::Own {
            own_word(word);
        }
    }
}

/// Ends a word that has no names.
pub(in crate::store) fn own_word(word: &mut Vec<u8>) {
    word.push(NAMELESS);
}

/// What a word says, and its names.
fn open(word: &[u8]) -> Result<(&[u8], In<'_>), Damaged> {
    let damaged = Damaged("a word does not say its names");
    match word.split_last() {
        Some((&NAMELESS, core)) => Ok((core, In(&[0]))),
        Some((&NAMED, rest)) => {
            let (rest, length) = rest.split_last_chunk::<4>().ok_or(damaged)?;
            let length = u32::from_le_bytes(*length) as usize;
            let begin = rest.len().checked_sub(length).ok_or(damaged)?;
            let (core, names) = rest.split_at(begin);
            Ok((core, In(names)))
        }
        _ => Err(damaged),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::record::{is_number, thin_number};
    use crate::store::samples::{attribute_name, instance};

    fn past<'a>(instance: &'a Instance, number: f64) -> Past<'a> {
        Past {
            observed_at: instance.observed_at,
            created_at: instance.created_at,
            modified_at: instance.modified_at,
            number,
            dataset: instance.dataset(),
        }
    }

    proptest! {
        #[test]
        fn a_word_with_its_names_reads_back_by_itself(
            instance in instance(2), place in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut word = Vec::new();
            let number = own_past(&instance, instance.modified_at, &mut word);
            let past = past(&instance, number);
            let (mut again, deletion) = Spelling::Own.decode_past(&word, &past).unwrap();
            again.tidy();
            prop_assert!(!deletion);
            prop_assert_eq!(again, instance.clone());
            let place = place.index(word.len());
            word[place] = byte;
            // It may still say something; it must not panic.
            let _ = Spelling::Own.decode_past(&word, &past);
        }
    }

    #[test]
    fn thinned_numbers_keep_their_unit() {
        let mut instance = Instance::new(crate::model::Datum::Property(2.5.into()));
        instance.unit = Some(attribute_name(9));
        let mut word = Vec::new();
        own_past(&instance, instance.modified_at, &mut word);
        assert!(is_number(&word));
        let sum = Thinned { count: 2, sum: 5.0, sumsq: 13.0, min: 2.0, max: 3.0, spread: 0.5 };
        let thinned = Spells::Own.thinned_word(&word, &sum);
        assert_eq!(thin_number(&thinned), Some(sum));
        let (mean, _) = Spelling::Own.decode_past(&thinned, &past(&instance, 0.0)).unwrap();
        assert_eq!((mean.unit, mean.datum), (instance.unit, instance.datum));
    }
}
