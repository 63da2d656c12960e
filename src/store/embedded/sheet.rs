//! Sheets: the events of one batch in a few records, each under the number of its first event. A
//! record for each event would cost the engine more than what it says. Pure.

use crate::store::record::{Damaged, In, Out};

/// What a sheet begins with. Other records are single events, as they were written before there
/// were sheets; they begin with their version.
const SHEET: u8 = 0xe5;

/// How many events a sheet has at most, and after how many bytes another is begun: whoever looks
/// for one event reads no more than this and the event.
const EVENTS: usize = 128;
const BYTES: usize = 64 << 10;

/// Sheets being written.
#[derive(Default)]
pub(super) struct Sheets {
    /// The first event of each, and the record.
    full: Vec<(u64, Out)>,
    /// How many events are in the last one.
    count: usize,
}

impl Sheets {
    /// Adds the event that follows, written by `write`; how many bytes it takes.
    pub fn add(&mut self, sequence: u64, write: impl FnOnce(&mut Out)) -> usize {
        let room = |sheet: &(u64, Out)| self.count < EVENTS && sheet.1.0.len() < BYTES;
        if !self.full.last().is_some_and(room) {
            self.full.push((sequence, Out(vec![SHEET])));
            self.count = 0;
        }
        self.count += 1;
        let Some((_, Out(sheet))) = self.full.last_mut() else { return 0 };
        let begin = sheet.len();
        sheet.extend_from_slice(&[0; 4]);
        let mut out = Out(std::mem::take(sheet));
        write(&mut out);
        *sheet = out.0;
        let length = sheet.len() - begin - 4;
        sheet[begin..begin + 4].copy_from_slice(&(length as u32).to_le_bytes());
        length
    }

    /// The sheets, each under its first event.
    pub fn finish(self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        self.full.into_iter().map(|(first, sheet)| (first, sheet.0))
    }
}

/// The records of the events of a sheet, in order; a single event's record is its own.
pub(super) fn events(record: &[u8]) -> Events<'_> {
    match record.split_first() {
        Some((&SHEET, rest)) => Events::Sheet(In(rest)),
        _ => Events::Single(Some(record)),
    }
}

/// See [`events`].
pub(super) enum Events<'a> {
    Sheet(In<'a>),
    Single(Option<&'a [u8]>),
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<&'a [u8], Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        let sheet = match self {
            Self::Single(record) => return record.take().map(Ok),
            Self::Sheet(In([])) => return None,
            Self::Sheet(sheet) => sheet,
        };
        let mut event = || {
            let length = sheet.bytes(4)?.try_into().map_err(|_| Damaged("a sheet ends early"))?;
            sheet.bytes(u32::from_le_bytes(length) as usize)
        };
        let event = event();
        if event.is_err() {
            // Nobody knows where the next one would begin.
            *self = Self::Single(None);
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn events_read_back_from_their_sheets(
            lengths in prop::collection::vec(0usize..2_000, 1..300), first in 1u64..1_000,
        ) {
            let mut sheets = Sheets::default();
            for (length, sequence) in lengths.iter().zip(first..) {
                let written = sheets.add(sequence, |out| out.0.resize(out.0.len() + length, 7));
                prop_assert_eq!(written, *length);
            }
            let mut next = first;
            let mut read = Vec::new();
            for (first, record) in sheets.finish() {
                prop_assert_eq!(first, next, "a sheet is found by its first event");
                prop_assert!(record.len() < BYTES + 2_100);
                let all: Result<Vec<_>, _> = events(&record).collect();
                let all = all.unwrap();
                prop_assert!(all.len() <= EVENTS);
                next += all.len() as u64;
                read.extend(all.into_iter().map(<[u8]>::len));
                let torn = &record[..record.len() - 1];
                prop_assert!(events(torn).any(|event| event.is_err()));
            }
            prop_assert_eq!(read, lengths);
        }
    }

    #[test]
    fn a_record_from_before_there_were_sheets_is_one_event() {
        let record = [1, 2, 3];
        assert_eq!(events(&record).collect::<Vec<_>>(), [Ok(&record[..])]);
    }
}
