//! Recorded instances of one series side by side, column by column.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::store::record::{is_deletion, is_number};

/// Stands for a word where an instance is to be taken away.
pub(in crate::store) const GONE: u32 = u32::MAX;

/// The ordinal of an instance with observedAt, of which there is one at a time.
pub(in crate::store) const OBSERVED: u32 = 0;

/// The ordinal of what many numbers were thinned to: an aggregate from its time on.
pub(in crate::store) const THINNED: u32 = u32::MAX;

/// Whether the time of a row of this ordinal is when it was observed.
pub(in crate::store) fn is_observed(ordinal: u32) -> bool {
    ordinal == OBSERVED || ordinal == THINNED
}

/// Instances, each known by its time and ordinal. All columns are equally long.
#[derive(Debug, Default, Clone)]
pub(in crate::store) struct Rows {
    /// observedAt, or when it was recorded, in microseconds since 1970.
    pub time: Vec<i64>,
    /// [`OBSERVED`], or what tells those recorded at the same time apart.
    pub ordinal: Vec<u32>,
    pub created: Vec<i64>,
    pub modified: Vec<i64>,
    /// Zero where the word is not one of a number.
    pub number: Vec<f64>,
    /// Places in `words`, or [`GONE`].
    pub word: Vec<u32>,
    pub words: Words,
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::store) struct Row<'a> {
    pub time: i64,
    pub ordinal: u32,
    pub created: i64,
    pub modified: i64,
    pub number: f64,
    /// None takes the instance away.
    pub word: Option<&'a [u8]>,
}

/// Distinct words.
#[derive(Debug, Default, Clone)]
pub(in crate::store) struct Words {
    texts: Vec<Box<[u8]>>,
    places: FxHashMap<Box<[u8]>, u32>,
    last: u32,
}

impl Words {
    /// The place of a word.
    pub fn place(&mut self, word: &[u8]) -> u32 {
        // Most often it is the one before.
        if self.texts.get(self.last as usize).is_some_and(|last| **last == *word) {
            return self.last;
        }
        self.last = match self.places.get(word) {
            Some(place) => *place,
            None => {
                let place = self.texts.len() as u32;
                self.texts.push(word.into());
                self.places.insert(word.into(), place);
                place
            }
        };
        self.last
    }

    /// The word in a place.
    pub fn get(&self, place: u32) -> Option<&[u8]> {
        self.texts.get(place as usize).map(|text| &**text)
    }
}

impl Rows {
    pub fn len(&self) -> usize {
        self.time.len()
    }

    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }

    pub fn push(&mut self, row: Row<'_>) {
        self.time.push(row.time);
        self.ordinal.push(row.ordinal);
        self.created.push(row.created);
        self.modified.push(row.modified);
        self.number.push(row.number);
        let word = row.word.map_or(GONE, |word| self.words.place(word));
        self.word.push(word);
    }

    pub fn get(&self, row: usize) -> Row<'_> {
        Row {
            time: self.time[row],
            ordinal: self.ordinal[row],
            created: self.created[row],
            modified: self.modified[row],
            number: self.number[row],
            word: self.words.get(self.word[row]),
        }
    }

    /// What tells rows apart and puts them in order.
    pub fn key(&self, row: usize) -> (i64, u32) {
        (self.time[row], self.ordinal[row])
    }

    /// Whether a row is a number that stands in the column.
    pub fn is_number(&self, row: usize) -> bool {
        self.words.get(self.word[row]).is_some_and(is_number)
    }

    /// Whether a row records a deletion.
    pub fn is_deletion(&self, row: usize) -> bool {
        self.words.get(self.word[row]).is_some_and(is_deletion)
    }

    fn is_settled(&self) -> bool {
        let ascending = (1..self.len()).all(|row| self.key(row - 1) < self.key(row));
        ascending && self.word.iter().all(|word| *word != GONE)
    }

    /// Puts rows into order. Of several of the same key the one that was added last stays, created
    /// when the first of them was; one that is taken away goes, unless `keep_gone`.
    pub fn settle(&mut self, keep_gone: bool) {
        if self.is_settled() {
            return;
        }
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_by_key(|row| self.key(*row as usize));
        let mut kept: Vec<u32> = Vec::with_capacity(order.len());
        for row in order {
            let row = row as usize;
            match kept.last_mut().filter(|last| self.key(**last as usize) == self.key(row)) {
                None => kept.push(row as u32),
                Some(last) => {
                    let before = *last as usize;
                    *last = row as u32;
                    if self.word[before] != GONE && self.word[row] != GONE {
                        self.created[row] = self.created[before];
                    }
                }
            }
        }
        if !keep_gone {
            kept.retain(|row| self.word[*row as usize] != GONE);
        }
        self.choose(&kept);
    }

    /// Keeps these rows, in this order.
    pub fn choose(&mut self, rows: &[u32]) {
        fn pick<T: Copy>(column: &mut Vec<T>, rows: &[u32]) {
            *column = rows.iter().map(|row| column[*row as usize]).collect();
        }
        pick(&mut self.time, rows);
        pick(&mut self.ordinal, rows);
        pick(&mut self.created, rows);
        pick(&mut self.modified, rows);
        pick(&mut self.number, rows);
        pick(&mut self.word, rows);
    }

    /// The rows of a stretch of time, if they are in order.
    pub fn within(&self, from: Option<i64>, to: Option<i64>) -> Range<usize> {
        let begin = from.map_or(0, |from| self.time.partition_point(|time| *time < from));
        let end = to.map_or(self.len(), |to| self.time.partition_point(|time| *time < to));
        begin..end.max(begin)
    }
}

#[cfg(test)]
pub(super) mod samples {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Rows of few times and words, so that they meet.
    pub fn rows(most: usize) -> impl Strategy<Value = Rows> {
        let row = (-9_i64..40, 0_u32..3, 0_i64..50, 0_i64..9, -5_i32..50, 0_u8..12);
        vec(row, 0..most).prop_map(|all| {
            let mut rows = Rows::default();
            for (time, ordinal, created, later, number, word) in all {
                // The bits of a number, of a deletion, of a text, of many words.
                let text = match word {
                    0 => None,
                    1 => Some(vec![1 << 6]),
                    2..=4 => Some(vec![0, 6, 1, b'a' + word]),
                    5 => Some([&[0, 6, 100], [number as u8; 100].as_slice()].concat()),
                    _ => Some(vec![1 << 3]),
                };
                let is_number = text.as_deref().is_some_and(is_number);
                rows.push(Row {
                    time: 1_700_000_000_000_000 + time * 1_000_000,
                    ordinal,
                    created: 1_700_000_000_000_000 + created,
                    modified: 1_700_000_000_000_000 + created + later,
                    number: if is_number { f64::from(number) / 10.0 } else { 0.0 },
                    word: text.as_deref(),
                });
            }
            rows
        })
    }

    /// All rows, to be compared.
    pub fn all(rows: &Rows) -> Vec<Row<'_>> {
        (0..rows.len()).map(|row| rows.get(row)).collect()
    }

    proptest! {
        #[test]
        fn settled_rows_are_what_a_map_would_hold(rows in rows(60)) {
            let mut settled = rows.clone();
            settled.settle(false);
            let mut map = std::collections::BTreeMap::<(i64, u32), Row<'_>>::new();
            for number in 0..rows.len() {
                let mut row = rows.get(number);
                if row.word.is_none() {
                    map.remove(&rows.key(number));
                    continue;
                }
                if let Some(before) = map.get(&rows.key(number)) {
                    row.created = before.created;
                }
                map.insert(rows.key(number), row);
            }
            prop_assert_eq!(all(&settled), map.into_values().collect::<Vec<_>>());
        }
    }
}
