//! Retention: what is too old to be kept one by one becomes one aggregate an hour, then one a day,
//! then goes. Done in small steps by a thread of its own.

use std::ops::ControlFlow;

use super::block;
use super::chapter::Head;
use super::key::{SeriesKey, chapter_key};
use super::pack::{Packed, pack, write_blocks};
use super::rows::{Row, Rows, THINNED};
use crate::model::{EntityId, Timestamp};
use crate::store::embedded::Inner;
use crate::store::embedded::engine::{Look, Past, Rest};
use crate::store::embedded::tenants::Tenant;
use crate::store::record::{is_number, thin_number, thinned_word};
use crate::store::{HistoryRules, Keep, StoreError};

/// How many entities are looked up before others get a turn.
const TURN: usize = 256;

const HOUR: i64 = 3_600_000_000;
pub(super) const DAY: i64 = 24 * HOUR;

/// What becomes of rows by their age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ages {
    /// Rows from this time on stay as they are; the times are beginnings of days.
    raw: i64,
    /// From this time on those before become aggregates of hours.
    hourly: Option<i64>,
    /// The same of days.
    daily: Option<i64>,
}

impl Ages {
    /// None if everything is kept for ever.
    fn new(keep: &Keep, now: Timestamp) -> Option<Self> {
        let before = |days: u32| (now.micros() - i64::from(days) * DAY).div_euclid(DAY) * DAY;
        Some(Self {
            raw: before(keep.raw_days?),
            hourly: keep.hourly_days.map(before),
            daily: keep.daily_days.map(before),
        })
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

/// Numbers that become one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::store) struct Thinned {
    pub count: u64,
    pub sum: f64,
    pub sumsq: f64,
    pub min: f64,
    pub max: f64,
}

impl Thinned {
    /// One number.
    pub fn one(number: f64) -> Self {
        Self { count: 1, sum: number, sumsq: number * number, min: number, max: number }
    }

    fn add(&mut self, other: Self) {
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
    fn new(ages: Ages) -> Self {
        Self { ages, done: Rows::default(), open: None, changed: false }
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
        let word = thinned_word(&open.word, &open.sum);
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

/// Thins the blocks of a series.
fn thin(
    look: &Look<'_>,
    series: &SeriesKey,
    ages: Ages,
    packed: &mut Packed,
) -> Result<(), StoreError> {
    let mut thinning = Thinning::new(ages);
    let mut keys: Vec<Vec<u8>> = Vec::new();
    // A block that begins at the limit may stay; one that reaches over it is divided there.
    let end = series.block((ages.raw, 0));
    look.past(Past::Blocks, (series.bytes(), &end), false, |key, value| {
        let mut rows = Rows::default();
        block::read(&value, &mut rows)?;
        keys.push(key.to_vec());
        for row in 0..rows.len() {
            thinning.add(rows.get(row));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    thinning.close();
    if thinning.changed {
        for key in keys {
            packed.remove_block(key);
        }
        thinning.done.settle(false);
        write_blocks(series, &thinning.done, packed);
    }
    Ok(())
}

impl Inner {
    /// Applies the rules of retention once, as of a time.
    pub(in crate::store::embedded) fn thin_all(&self, now: Timestamp) {
        for tenant in self.tenants.all() {
            let Some(rules) = self.history.rules(tenant.number) else { continue };
            if let Err(error) = self.thin_tenant(&tenant, &rules, now) {
                tracing::warn!(tenant = %tenant.id, %error, "history could not be thinned");
            }
        }
    }

    fn thin_tenant(
        &self,
        tenant: &Tenant,
        rules: &HistoryRules,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let prefix = chapter_key(tenant.number, "");
        let end = [&prefix[..], &[0xff]].concat();
        let mut from = prefix.clone();
        loop {
            let mut heads: Vec<(EntityId, Head)> = Vec::new();
            let begin = from.clone();
            self.engine.look(|look| {
                look.rest(Rest::Chapter, (&begin, &end), false, |key, bytes| {
                    let id = String::from_utf8_lossy(&key[prefix.len()..]);
                    let head = Head::read(&bytes, &self.names)?;
                    heads.push((EntityId::from_trusted(&id), head));
                    from = [key, &[0]].concat();
                    let more = heads.len() < TURN;
                    Ok(if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
                })
            })?;
            if heads.is_empty() {
                return Ok(());
            }
            for (id, head) in &heads {
                if self.stopping.is_sent() {
                    return Ok(());
                }
                self.thin_entity(tenant.number, id, head, rules, now)?;
            }
        }
    }

    fn thin_entity(
        &self,
        tenant: u32,
        id: &EntityId,
        head: &Head,
        rules: &HistoryRules,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for (line, number) in head.lines.iter().zip(&head.numbers) {
            let Some(attribute) = line.series().map(|series| series.attribute) else { continue };
            let keep = rules.keep(&head.types, attribute);
            let Some(ages) = keep.and_then(|keep| Ages::new(keep, now)) else { continue };
            let series = SeriesKey::known(tenant, id, line, *number);
            // Two steps: what the first writes is what the second reads.
            for step in 0..2 {
                let _packing = self.history.ripe.packing.lock();
                let mut packed = self.begin_packing();
                self.engine.look(|look| match step {
                    0 => pack(look, &series, true, &mut packed),
                    _ => thin(look, &series, ages, &mut packed),
                })?;
                self.commit_packed(packed);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn thinning_twice_is_thinning_once() {
        let keep = Keep { raw_days: Some(10), daily_days: Some(30), ..Keep::default() };
        let ages = ages(keep);
        let mut once = Thinning::new(ages);
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
        let mut twice = Thinning::new(ages);
        for row in 0..rows.len() {
            twice.add(rows.get(row));
        }
        twice.close();
        assert!(!twice.changed);
    }
}
