//! Blocks: the rows of one series as bytes. What aggregates need of a whole block stands in front,
//! then each column by itself, so that only what is wanted is unpacked.
//!
//! A single row, as a write of one reading leaves it, has a shorter form.

use std::io::{Read, Write};
use std::ops::Range;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::ints::{read_ints, write_ints};
use super::numbers::{read_numbers, write_numbers};
use super::rows::{GONE, OBSERVED, Row, Rows};
use crate::store::record::{Damaged, In, Out, is_number};

/// The first byte.
mod form {
    /// An instance is taken away: only its key.
    pub const GONE: u8 = 0;
    /// One row.
    pub const ROW: u8 = 1;
    /// Rows by columns.
    pub const COLUMNS: u8 = 2;
    /// One row that is a number.
    pub const NUMBER: u8 = 3;
}

/// What holds of all rows of a block.
pub(in crate::store) mod all {
    /// All are numbers in the column.
    pub const NUMBERS: u8 = 1;
    /// All have an observedAt.
    pub const OBSERVED: u8 = 1 << 1;
    /// None is a deletion.
    pub const THERE: u8 = 1 << 2;
}

/// Words that take more bytes than this are compressed, if that helps.
const COMPRESS: usize = 256;

/// What a block says of all its rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::store) struct Summary {
    pub count: usize,
    /// Bits of [`all`].
    pub all: u8,
    /// The times of the first and the last row.
    pub time: (i64, i64),
    pub created: (i64, i64),
    pub modified: (i64, i64),
    /// Of the numbers, if all rows are numbers.
    pub sum: f64,
    pub sumsq: f64,
    pub least: f64,
    pub most: f64,
}

/// A block that was not unpacked.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Block<'a> {
    pub summary: Summary,
    time: In<'a>,
    ordinal: In<'a>,
    created: In<'a>,
    modified: In<'a>,
    word: In<'a>,
    words: In<'a>,
    number: In<'a>,
}

/// How many rows some bytes hold.
pub(in crate::store) fn count(bytes: &[u8]) -> Result<usize, Damaged> {
    Ok(match bytes.first() {
        Some(&form::COLUMNS) => open(bytes, &mut Rows::default())?.map_or(1, |it| it.summary.count),
        _ => 1,
    })
}

/// Writes one row, in place of what `bytes` held.
pub(in crate::store) fn write_row(row: Row<'_>, bytes: &mut Vec<u8>) {
    let mut out = Out(std::mem::take(bytes));
    out.0.clear();
    out.byte(match row.word {
        None => form::GONE,
        Some(word) if is_number(word) => form::NUMBER,
        Some(_) => form::ROW,
    });
    out.signed(row.time);
    out.number(row.ordinal.into());
    if let Some(word) = row.word {
        out.signed(row.created.wrapping_sub(row.time));
        out.signed(row.modified.wrapping_sub(row.created));
        if is_number(word) {
            out.float(row.number);
        }
        out.0.extend_from_slice(word);
    }
    *bytes = out.0;
}

/// Writes some rows, which are in order and not none. Rows to be taken away are told too.
pub(in crate::store) fn write_rows(rows: &Rows, range: Range<usize>) -> Vec<u8> {
    let summary = summarize(rows, range.clone());
    let mut out = Out(Vec::with_capacity(64 + 8 * range.len()));
    out.byte(form::COLUMNS);
    out.byte(summary.all);
    out.count(summary.count);
    let first = summary.time.0;
    out.signed(first);
    out.signed(summary.time.1.wrapping_sub(first));
    for (least, most) in [summary.created, summary.modified] {
        out.signed(least.wrapping_sub(first));
        out.signed(most.wrapping_sub(least));
    }
    if summary.all & all::NUMBERS != 0 {
        for number in [summary.sum, summary.sumsq, summary.least, summary.most] {
            out.0.extend_from_slice(&number.to_le_bytes());
        }
    }
    let mut column = |write: &mut dyn FnMut(&mut Out)| {
        let mut bytes = Out::default();
        write(&mut bytes);
        out.count(bytes.0.len());
        out.0.extend_from_slice(&bytes.0);
    };
    let all = range.clone();
    column(&mut |out| write_ints(out, &rows.time[all.clone()]));
    let ordinals: Vec<i64> = rows.ordinal[all.clone()].iter().map(|it| i64::from(*it)).collect();
    column(&mut |out| write_ints(out, &ordinals));
    // The way from the time to createdAt is short or even, and that to modifiedAt mostly nothing.
    let apart = |late: &[i64], early: &[i64]| -> Vec<i64> {
        late.iter().zip(early).map(|(late, early)| late.wrapping_sub(*early)).collect()
    };
    let created = apart(&rows.created[all.clone()], &rows.time[all.clone()]);
    column(&mut |out| write_ints(out, &created));
    let modified = apart(&rows.modified[all.clone()], &rows.created[all.clone()]);
    column(&mut |out| write_ints(out, &modified));
    let (places, words) = words_of(rows, all.clone());
    column(&mut |out| write_ints(out, &places));
    column(&mut |out| out.0.extend_from_slice(&words));
    let numbers: Vec<f64> = if summary.all & self::all::NUMBERS != 0 {
        rows.number[all].to_vec()
    } else {
        all.filter(|row| rows.is_number(*row)).map(|row| rows.number[row]).collect()
    };
    column(&mut |out| write_numbers(out, &numbers));
    out.0
}

fn summarize(rows: &Rows, range: Range<usize>) -> Summary {
    let bounds = |column: &[i64]| {
        let column = &column[range.clone()];
        let least = column.iter().copied().min().unwrap_or(0);
        (least, column.iter().copied().max().unwrap_or(0))
    };
    let holds = |bit: u8, holds: &dyn Fn(usize) -> bool| {
        if range.clone().all(holds) { bit } else { 0 }
    };
    let all = holds(all::NUMBERS, &|row| rows.is_number(row))
        | holds(all::OBSERVED, &|row| rows.ordinal[row] == OBSERVED)
        | holds(all::THERE, &|row| rows.word[row] != GONE && !rows.is_deletion(row));
    let mut summary = Summary {
        count: range.len(),
        all,
        time: bounds(&rows.time),
        created: bounds(&rows.created),
        modified: bounds(&rows.modified),
        sum: 0.0,
        sumsq: 0.0,
        least: 0.0,
        most: 0.0,
    };
    if all & self::all::NUMBERS == 0 {
        return summary;
    }
    (summary.least, summary.most) = (f64::INFINITY, f64::NEG_INFINITY);
    for number in &rows.number[range] {
        summary.sum += number;
        summary.sumsq += number * number;
        summary.least = summary.least.min(*number);
        summary.most = summary.most.max(*number);
    }
    summary
}

/// Which word each row has, counted from one, zero for none; and the words, compressed if that
/// makes them shorter.
fn words_of(rows: &Rows, range: Range<usize>) -> (Vec<i64>, Vec<u8>) {
    let mut numbers: rustc_hash::FxHashMap<u32, i64> = rustc_hash::FxHashMap::default();
    let mut plain = Out::default();
    let mut last = (GONE, 0);
    let places = rows.word[range].iter().map(|word| {
        if *word != last.0 {
            let next = numbers.len() as i64 + 1;
            let number = match rows.words.get(*word) {
                None => 0,
                Some(text) => *numbers.entry(*word).or_insert_with(|| {
                    plain.count(text.len());
                    plain.0.extend_from_slice(text);
                    next
                }),
            };
            last = (*word, number);
        }
        last.1
    });
    let places = places.collect();
    let mut words = Out::default();
    words.count(plain.0.len());
    if plain.0.len() > COMPRESS {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(4));
        let packed = encoder.write_all(&plain.0).and_then(|()| encoder.finish());
        if let Some(packed) = packed.ok().filter(|packed| packed.len() < plain.0.len()) {
            words.0.extend_from_slice(&packed);
            return (places, words.0);
        }
    }
    words.0.extend_from_slice(&plain.0);
    (places, words.0)
}

/// Reads a block of columns, or adds the one row that the bytes are to `rows`.
pub(in crate::store) fn open<'a>(
    bytes: &'a [u8],
    rows: &mut Rows,
) -> Result<Option<Block<'a>>, Damaged> {
    let mut input = In(bytes);
    let form = input.byte()?;
    if form == form::COLUMNS {
        return Block::read(input).map(Some);
    }
    let time = input.signed()?;
    let ordinal = to_ordinal(input.number()?)?;
    let mut row = Row { time, ordinal, created: 0, modified: 0, number: 0.0, word: None };
    if form != form::GONE {
        row.created = time.wrapping_add(input.signed()?);
        row.modified = row.created.wrapping_add(input.signed()?);
        if form == form::NUMBER {
            row.number = input.float()?;
        } else if form != form::ROW {
            return Err(Damaged("a block is of no known form"));
        }
        row.word = Some(input.0);
        if is_number(input.0) != (form == form::NUMBER) {
            return Err(Damaged("a number is missing"));
        }
    }
    rows.push(row);
    Ok(None)
}

/// Adds all rows of a block, of whatever form.
pub(in crate::store) fn read(bytes: &[u8], rows: &mut Rows) -> Result<(), Damaged> {
    match open(bytes, rows)? {
        Some(block) => block.rows(0..block.summary.count, rows),
        None => Ok(()),
    }
}

/// The time of the last row of a block.
pub(in crate::store) fn last_time(bytes: &[u8]) -> Result<i64, Damaged> {
    let mut rows = Rows::default();
    match open(bytes, &mut rows)? {
        Some(block) => Ok(block.summary.time.1),
        None => rows.time.first().copied().ok_or(Damaged("a block is empty")),
    }
}

fn to_ordinal(number: u64) -> Result<u32, Damaged> {
    u32::try_from(number).map_err(|_| Damaged("an ordinal is too large"))
}

/// No block has more rows: what says otherwise is damaged.
const MAX_ROWS: u64 = 1 << 20;

impl<'a> Block<'a> {
    fn read(mut input: In<'a>) -> Result<Self, Damaged> {
        let all = input.byte()?;
        let count = match input.number()? {
            0 => return Err(Damaged("a block is empty")),
            count if count > MAX_ROWS => return Err(Damaged("a block is too large")),
            count => count as usize,
        };
        let first = input.signed()?;
        let time = (first, first.wrapping_add(input.signed()?));
        let mut bounds = || {
            let least = first.wrapping_add(input.signed()?);
            Ok((least, least.wrapping_add(input.signed()?)))
        };
        let (created, modified) = (bounds()?, bounds()?);
        let mut numbers = [0.0; 4];
        if all & all::NUMBERS != 0 {
            for number in &mut numbers {
                // A sum may be beyond what doubles can say.
                let bytes = input.bytes(8)?.try_into().map_err(|_| Damaged("it ends early"))?;
                *number = f64::from_le_bytes(bytes);
            }
        }
        let [sum, sumsq, least, most] = numbers;
        let summary = Summary { count, all, time, created, modified, sum, sumsq, least, most };
        let mut column = || {
            let length = input.count()?;
            input.bytes(length).map(In)
        };
        Ok(Self {
            summary,
            time: column()?,
            ordinal: column()?,
            created: column()?,
            modified: column()?,
            word: column()?,
            words: column()?,
            number: column()?,
        })
    }

    /// Adds some of the rows to others.
    pub fn rows(&self, range: Range<usize>, rows: &mut Rows) -> Result<(), Damaged> {
        let count = self.summary.count;
        let begin = rows.len();
        self.times(range.clone(), &mut rows.time)?;
        let mut ints = Vec::with_capacity(range.len());
        read_ints(self.ordinal, count, range.clone(), &mut ints)?;
        for ordinal in &ints {
            rows.ordinal.push(to_ordinal(*ordinal as u64)?);
        }
        read_ints(self.created, count, range.clone(), &mut rows.created)?;
        read_ints(self.modified, count, range.clone(), &mut rows.modified)?;
        for row in begin..rows.time.len() {
            rows.created[row] = rows.created[row].wrapping_add(rows.time[row]);
            rows.modified[row] = rows.modified[row].wrapping_add(rows.created[row]);
        }
        self.read_words(range.clone(), rows)?;
        if self.summary.all & all::NUMBERS != 0 {
            return self.numbers(range, &mut rows.number);
        }
        self.some_numbers(begin, rows, range.start)
    }

    /// Adds the times of some rows.
    pub fn times(&self, range: Range<usize>, times: &mut Vec<i64>) -> Result<(), Damaged> {
        read_ints(self.time, self.summary.count, range, times)
    }

    /// Adds when some rows were created, given their times.
    pub fn createds(
        &self,
        range: Range<usize>,
        times: &[i64],
        all: &mut Vec<i64>,
    ) -> Result<(), Damaged> {
        let begin = all.len();
        read_ints(self.created, self.summary.count, range, all)?;
        for (created, time) in all[begin..].iter_mut().zip(times) {
            *created = created.wrapping_add(*time);
        }
        Ok(())
    }

    /// Adds when some rows were modified, given when they were created.
    pub fn modifieds(
        &self,
        range: Range<usize>,
        createds: &[i64],
        all: &mut Vec<i64>,
    ) -> Result<(), Damaged> {
        let begin = all.len();
        read_ints(self.modified, self.summary.count, range, all)?;
        for (modified, created) in all[begin..].iter_mut().zip(createds) {
            *modified = modified.wrapping_add(*created);
        }
        Ok(())
    }

    /// Adds the numbers of some rows of a block where all rows are numbers.
    pub fn numbers(&self, range: Range<usize>, numbers: &mut Vec<f64>) -> Result<(), Damaged> {
        read_numbers(self.number, self.summary.count, range, numbers)
    }

    /// Adds numbers to rows of which not all are numbers.
    fn some_numbers(&self, begin: usize, rows: &mut Rows, first: usize) -> Result<(), Damaged> {
        let mut before = 0;
        if first > 0 {
            let (mut places, texts) = (Vec::new(), self.texts()?);
            read_ints(self.word, self.summary.count, 0..first, &mut places)?;
            let texts = split(&texts)?;
            let number = |place: &&i64| {
                let text = (**place as usize).checked_sub(1).and_then(|place| texts.get(place));
                text.is_some_and(|text| is_number(text))
            };
            before = places.iter().filter(number).count();
        }
        let are: Vec<bool> = (begin..rows.time.len()).map(|row| rows.is_number(row)).collect();
        let own = are.iter().filter(|is| **is).count();
        let mut numbers = Vec::with_capacity(own);
        // How many numbers there are in all is known only to the column, and to whoever counts on.
        let count = self.count_numbers()?;
        if before + own > count {
            return Err(Damaged("a number is missing"));
        }
        read_numbers(self.number, count, before..before + own, &mut numbers)?;
        let mut numbers = numbers.into_iter();
        for is in are {
            rows.number.push(if is { numbers.next().unwrap_or(0.0) } else { 0.0 });
        }
        Ok(())
    }

    fn count_numbers(&self) -> Result<usize, Damaged> {
        let mut places = Vec::with_capacity(self.summary.count);
        read_ints(self.word, self.summary.count, 0..self.summary.count, &mut places)?;
        let texts = self.texts()?;
        let texts = split(&texts)?;
        let numbers: Vec<bool> = texts.iter().map(|text| is_number(text)).collect();
        let is = |place: &&i64| **place > 0 && numbers.get(**place as usize - 1) == Some(&true);
        Ok(places.iter().filter(is).count())
    }

    fn read_words(&self, range: Range<usize>, rows: &mut Rows) -> Result<(), Damaged> {
        let mut places = Vec::with_capacity(range.len());
        read_ints(self.word, self.summary.count, range, &mut places)?;
        let texts = self.texts()?;
        let texts = split(&texts)?;
        let mut known = vec![None; texts.len()];
        for place in places {
            if place == 0 {
                rows.word.push(GONE);
                continue;
            }
            let place = place.wrapping_sub(1) as usize;
            let text = texts.get(place).ok_or(Damaged("a word is missing"))?;
            let word = *known[place].get_or_insert_with(|| rows.words.place(text));
            rows.word.push(word);
        }
        Ok(())
    }

    /// The words, uncompressed.
    fn texts(&self) -> Result<std::borrow::Cow<'a, [u8]>, Damaged> {
        let mut words = self.words;
        let length = words.number()?;
        if length == words.0.len() as u64 {
            return Ok(words.0.into());
        }
        // Nothing is compressed to less than a thousandth.
        if length / 1_100 > words.0.len() as u64 {
            return Err(Damaged("words are too long"));
        }
        let mut plain = Vec::new();
        let read = DeflateDecoder::new(words.0).take(length).read_to_end(&mut plain);
        match read {
            Ok(read) if read as u64 == length => Ok(plain.into()),
            _ => Err(Damaged("words cannot be uncompressed")),
        }
    }
}

fn split(texts: &[u8]) -> Result<Vec<&[u8]>, Damaged> {
    let mut input = In(texts);
    let mut all = Vec::new();
    while !input.0.is_empty() {
        let length = input.count()?;
        all.push(input.bytes(length)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rows::samples::{all, rows};
    use super::*;

    proptest! {
        #[test]
        fn blocks_come_back_whole_and_in_part(rows in rows(300), keep in any::<bool>()) {
            let mut rows = rows;
            rows.settle(keep);
            if rows.is_empty() {
                return Ok(());
            }
            let bytes = write_rows(&rows, 0..rows.len());
            let mut again = Rows::default();
            read(&bytes, &mut again).unwrap();
            prop_assert_eq!(all(&again), all(&rows));
            let block = open(&bytes, &mut Rows::default()).unwrap().unwrap();
            prop_assert_eq!(block.summary, summarize(&rows, 0..rows.len()));
            let (from, to) = (rows.len() / 3, rows.len() - rows.len() / 4);
            let mut part = Rows::default();
            block.rows(from..to, &mut part).unwrap();
            prop_assert_eq!(all(&part), &all(&rows)[from..to]);
            let mut times = Vec::new();
            block.times(from..to, &mut times).unwrap();
            let (mut createds, mut modifieds) = (Vec::new(), Vec::new());
            block.createds(from..to, &times, &mut createds).unwrap();
            block.modifieds(from..to, &createds, &mut modifieds).unwrap();
            prop_assert_eq!(&createds[..], &rows.created[from..to]);
            prop_assert_eq!(&modifieds[..], &rows.modified[from..to]);
        }

        #[test]
        fn single_rows_come_back(rows in rows(20)) {
            let mut again = Rows::default();
            for row in 0..rows.len() {
                let mut bytes = vec![1, 2];
                write_row(rows.get(row), &mut bytes);
                read(&bytes, &mut again).unwrap();
            }
            for row in 0..rows.len() {
                let (own, other) = (rows.get(row), again.get(row));
                prop_assert_eq!(own.word, other.word);
                prop_assert_eq!((own.time, own.ordinal), (other.time, other.ordinal));
                if own.word.is_some() {
                    prop_assert_eq!(own, other);
                }
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..300), rows in rows(40), at in any::<u16>(),
        ) {
            let _ = read(&bytes, &mut Rows::default());
            if !rows.is_empty() {
                let mut bytes = write_rows(&rows, 0..rows.len());
                let place = usize::from(at) % bytes.len();
                bytes[place] ^= 1 << (at % 8);
                let _ = read(&bytes, &mut Rows::default());
            }
        }
    }

    #[test]
    fn a_year_of_readings_takes_little() {
        let mut rows = Rows::default();
        for number in 0..2_048_i64 {
            let time = 1_700_000_000_000_000 + number * 900_000_000;
            let created = time + 3_000_000 + number * 7_919 % 250_000;
            let number = f64::from((number * 7_919 % 600) as u32) / 10.0;
            let word = Some(&[8, 1][..]);
            rows.push(Row { time, ordinal: 0, created, modified: created, number, word });
        }
        let bytes = write_rows(&rows, 0..rows.len()).len();
        assert!(bytes < 2_048 * 4, "{bytes}");
    }
}
