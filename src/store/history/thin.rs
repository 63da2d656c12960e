//! Retention: what is too old to be kept one by one becomes one aggregate an hour, then one a day,
//! then goes.

use std::ops::ControlFlow;
use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::block;
use super::pack::Repacked;
use super::rows::{Row, Rows, THINNED};
use super::series::{Reach, SeriesKey, Volumes};
use crate::model::{TenantId, Timestamp};
use crate::store::record::{Spells, is_number, thin_number};
use crate::store::{HistoryRules, Keep, StoreError};

const HOUR: i64 = 3_600_000_000;
pub(super) const DAY: i64 = 24 * HOUR;

/// What becomes of rows by their age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Ages {
    /// Rows from this time on stay as they are; the times are beginnings of days.
    raw: i64,
    /// From this time on those before become aggregates of hours.
    hourly: Option<i64>,
    /// The same of days.
    daily: Option<i64>,
}

impl Ages {
    /// None if everything is kept for ever.
    pub fn new(keep: &Keep, now: Timestamp) -> Option<Self> {
        let before = |days: u32| (now.micros() - i64::from(days) * DAY).div_euclid(DAY) * DAY;
        Some(Self {
            raw: before(keep.raw_days?),
            hourly: keep.hourly_days.map(before),
            daily: keep.daily_days.map(before),
        })
    }

    /// What lies before this time is thinned.
    pub fn raw(&self) -> i64 {
        self.raw
    }

    /// The beginning of the stretch of time that a row becomes part of; None if it goes.
    fn stretch(&self, time: i64) -> Option<i64> {
        if self.hourly.is_some_and(|from| time >= from) {
            Some(time.div_euclid(HOUR) * HOUR)
        } else if self.daily.is_some_and(|from| time >= from) {
            Some(time.div_euclid(DAY) * DAY)
        } else {
            None
        }
    }
}

/// What was thinned by which rules on which day. The ages of a rule are days, so that thinning
/// again on the same day would only read all of it once more.
#[derive(Default)]
pub(in crate::store) struct Rounds {
    done: Mutex<FxHashMap<TenantId, (i64, Arc<HistoryRules>)>>,
}

impl Rounds {
    /// Whether a tenant has not been thinned by these rules on that day.
    pub fn is_due(&self, tenant: &TenantId, rules: &HistoryRules, now: Timestamp) -> bool {
        let day = now.micros().div_euclid(DAY);
        let done = self.done.lock();
        done.get(tenant).is_none_or(|(last, by)| *last != day || **by != *rules)
    }

    /// All of a tenant was thinned.
    pub fn done(&self, tenant: &TenantId, rules: Arc<HistoryRules>, now: Timestamp) {
        let day = now.micros().div_euclid(DAY);
        self.done.lock().insert(tenant.clone(), (day, rules));
    }
}

/// Numbers that become one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::store) struct Thinned {
    pub count: u64,
    pub sum: f64,
    pub sumsq: f64,
    pub min: f64,
    pub max: f64,
    /// The sum of the squares of their distances from their mean: the difference of sums would lose
    /// it where numbers lie close together and far from zero.
    pub spread: f64,
}

impl Thinned {
    /// One number.
    pub fn one(number: f64) -> Self {
        let sumsq = number * number;
        Self { count: 1, sum: number, sumsq, min: number, max: number, spread: 0.0 }
    }

    fn add(&mut self, other: Self) {
        let (own, others) = (self.count as f64, other.count as f64);
        let apart = other.sum / others - self.sum / own;
        self.spread += other.spread + apart * apart * (own * others / (own + others));
        self.count += other.count;
        self.sum += other.sum;
        self.sumsq += other.sumsq;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// Rows on their way to be fewer, in the order of time.
struct Thinning {
    ages: Ages,
    spelling: Spells,
    done: Rows,
    /// The stretch that is being gathered.
    open: Option<Open>,
    changed: bool,
}

struct Open {
    begin: i64,
    sum: Thinned,
    created: i64,
    modified: i64,
    /// The word of the first row, which tells the unit.
    word: Vec<u8>,
    /// It is a single row that was thinned to this stretch before.
    same: bool,
}

impl Thinning {
    fn new(ages: Ages, spelling: Spells) -> Self {
        Self { ages, spelling, done: Rows::default(), open: None, changed: false }
    }

    fn add(&mut self, row: Row<'_>) {
        if row.time >= self.ages.raw {
            self.close();
            self.done.push(row);
            return;
        }
        let word = row.word.unwrap_or_default();
        let own = thin_number(word).or_else(|| is_number(word).then(|| Thinned::one(row.number)));
        let (Some(begin), Some(own)) = (self.ages.stretch(row.time), own) else {
            self.changed = true;
            return;
        };
        let same = row.ordinal == THINNED && row.time == begin;
        match self.open.as_mut().filter(|open| open.begin == begin) {
            Some(open) => {
                open.sum.add(own);
                open.created = open.created.min(row.created);
                open.modified = open.modified.max(row.modified);
                open.same = false;
            }
            None => {
                self.close();
                let (created, modified, word) = (row.created, row.modified, word.to_vec());
                self.open = Some(Open { begin, sum: own, created, modified, word, same });
            }
        }
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.changed |= !open.same;
        let word = self.spelling.thinned_word(&open.word, &open.sum);
        self.done.push(Row {
            time: open.begin,
            ordinal: THINNED,
            created: open.created,
            modified: open.modified,
            number: 0.0,
            word: Some(&word),
        });
    }
}

/// Thins the blocks of a series, in which its tail was packed; None if nothing is too old.
pub(in crate::store) fn thin(
    volumes: &dyn Volumes,
    spelling: Spells,
    series: &SeriesKey,
    ages: Ages,
) -> Result<Option<Repacked>, StoreError> {
    let mut thinning = Thinning::new(ages, spelling);
    let mut packed = Repacked::default();
    // A block that begins at the limit may stay; one that reaches over it is divided there.
    let reach = Reach { from: None, before: Some((ages.raw, 0)), backwards: false };
    volumes.blocks(series, reach, &mut |place, value| {
        let mut rows = Rows::default();
        block::read(value, &mut rows)?;
        packed.removed.push(place);
        for row in 0..rows.len() {
            thinning.add(rows.get(row));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    thinning.close();
    if !thinning.changed {
        return Ok(None);
    }
    thinning.done.settle(false);
    packed.write(&thinning.done);
    Ok(Some(packed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::EVERY_TYPE;

    fn ages(keep: Keep) -> Ages {
        Ages::new(&keep, Timestamp::from_micros(1_000 * DAY + 7 * HOUR)).unwrap()
    }

    #[test]
    fn what_is_older_is_thinned_more() {
        let keep = Keep {
            raw_days: Some(10),
            hourly_days: Some(20),
            daily_days: Some(30),
            ..Keep::default()
        };
        let ages = ages(keep);
        assert_eq!(ages.raw, 990 * DAY);
        let time = 985 * DAY + 5 * HOUR + 1;
        assert_eq!(ages.stretch(time), Some(985 * DAY + 5 * HOUR));
        assert_eq!(ages.stretch(time - 10 * DAY), Some(975 * DAY));
        assert_eq!(ages.stretch(time - 20 * DAY), None);
    }

    #[test]
    fn a_round_is_due_on_another_day_and_by_other_rules() {
        let rounds = Rounds::default();
        let day = |days: i64, hours: i64| Timestamp::from_micros(days * DAY + hours * HOUR);
        let (tenant, some) = (TenantId::DEFAULT, Arc::new(HistoryRules::default()));
        assert!(rounds.is_due(&tenant, &some, day(7, 3)));
        rounds.done(&tenant, some.clone(), day(7, 3));
        assert!(!rounds.is_due(&tenant, &some, day(7, 23)));
        assert!(rounds.is_due(&tenant, &some, day(8, 0)));
        let mut others = HistoryRules::default();
        others.insert(EVERY_TYPE, crate::store::HistoryRule::default());
        assert!(rounds.is_due(&tenant, &others, day(7, 4)));
        assert!(rounds.is_due(&TenantId::named("other").unwrap(), &some, day(7, 4)));
    }

    #[test]
    fn thinning_twice_is_thinning_once() {
        let keep = Keep { raw_days: Some(10), daily_days: Some(30), ..Keep::default() };
        let ages = ages(keep);
        let mut once = Thinning::new(ages, Spells::ByDictionary);
        for hour in 0..24 * 40 {
            let time = 960 * DAY + hour * HOUR + 5;
            let (created, number) = (time, (hour % 24) as f64);
            let word = Some(&[8][..]);
            once.add(Row { time, ordinal: 0, created, modified: created, number, word });
        }
        once.close();
        assert!(once.changed);
        let rows = once.done;
        assert_eq!(rows.len(), 20 + 24 * 10);
        let first = rows.get(0);
        assert_eq!((first.time, first.ordinal), (970 * DAY, THINNED));
        let sum = thin_number(first.word.unwrap()).unwrap();
        assert_eq!((sum.count, sum.sum, sum.min, sum.max), (24, 276.0, 0.0, 23.0));
        assert!((sum.spread - 1_150.0).abs() < 1e-9, "{}", sum.spread);
        let mut twice = Thinning::new(ages, Spells::ByDictionary);
        for row in 0..rows.len() {
            twice.add(rows.get(row));
        }
        twice.close();
        assert!(!twice.changed);
    }
}
