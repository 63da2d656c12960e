//! What is held: from when to when as it came, and what was thinned to hours and days.

use std::ops::ControlFlow;

use super::block::{all, open};
use super::rows::{Rows, THINNED};
use super::series::{Reach, SeriesKey, Volumes};
use super::thin::DAY;
use super::{HeldSeries, Stretch};
use crate::model::Timestamp;
use crate::query::Series;
use crate::store::StoreError;

/// What is found to be held of one series.
#[derive(Debug, Default)]
pub(in crate::store) struct Held {
    raw: Option<Stretch>,
    thinned: Vec<i64>,
}

impl Held {
    /// What the blocks of a series hold.
    pub fn of_blocks(volumes: &dyn Volumes, series: &SeriesKey) -> Result<Self, StoreError> {
        let mut held = Self::default();
        let reach = Reach { from: None, before: None, backwards: false };
        volumes.blocks(series, reach, &mut |_, bytes| {
            let Some(block) = open(bytes, &mut Rows::default())? else {
                return Ok(ControlFlow::Continue(()));
            };
            let summary = block.summary;
            if summary.all & all::NUMBERS != 0 {
                add(&mut held.raw, summary.time, summary.count);
                return Ok(ControlFlow::Continue(()));
            }
            let mut rows = Rows::default();
            block.rows(0..summary.count, &mut rows)?;
            held.rows(&rows);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(held)
    }

    /// Adds rows.
    pub fn rows(&mut self, rows: &Rows) {
        for (time, ordinal) in rows.time.iter().zip(&rows.ordinal) {
            match *ordinal {
                THINNED => self.thinned.push(*time),
                _ => add(&mut self.raw, (*time, *time), 1),
            }
        }
    }

    /// Adds what was recorded and not packed, from its bytes.
    pub fn unpacked(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let mut rows = Rows::default();
        match open(bytes, &mut rows)? {
            Some(block) => add(&mut self.raw, block.summary.time, block.summary.count),
            None => self.rows(&rows),
        }
        Ok(())
    }

    /// All of it.
    pub fn told(self, series: &Series) -> HeldSeries {
        let Self { raw, mut thinned } = self;
        thinned.sort_unstable();
        let (mut hourly, mut daily) = (None, None);
        for (place, time) in thinned.iter().enumerate() {
            let stretch = if is_day(&thinned, place) { &mut daily } else { &mut hourly };
            add(stretch, (*time, *time), 1);
        }
        let (attribute, dataset) = (series.attribute, series.dataset.clone());
        HeldSeries { attribute, dataset, daily, hourly, raw }
    }
}

/// Whether what stands in a place is the aggregate of a day: no other lies in the same day. Where
/// a day has readings in its first hour only, nothing tells the two apart, and nothing depends on it.
fn is_day(thinned: &[i64], place: usize) -> bool {
    let time = thinned[place];
    let next = thinned.get(place + 1).is_none_or(|next| *next >= time + DAY);
    let previous = place.checked_sub(1).is_none_or(|place| thinned[place] + DAY <= time);
    time.rem_euclid(DAY) == 0 && next && previous
}

fn add(stretch: &mut Option<Stretch>, (first, last): (i64, i64), count: usize) {
    let (from, to) = (Timestamp::from_micros(first), Timestamp::from_micros(last));
    let own = stretch.get_or_insert(Stretch { from, to, count: 0 });
    own.from = own.from.min(from);
    own.to = own.to.max(to);
    own.count += count as u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_days_are_told_apart() {
        let hour = DAY / 24;
        // Two days, then hours of which the first begins a day.
        let thinned = [0, DAY, 2 * DAY, 2 * DAY + hour, 2 * DAY + 5 * hour, 3 * DAY];
        let days: Vec<bool> = (0..thinned.len()).map(|place| is_day(&thinned, place)).collect();
        assert_eq!(days, [true, true, false, false, false, false]);
    }
}
