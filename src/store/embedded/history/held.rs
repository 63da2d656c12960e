//! What is held: from when to when as it came, and what was thinned to hours and days.

use std::ops::ControlFlow;

use super::block::{all, open};
use super::chapter::Head;
use super::key::SeriesKey;
use super::rows::{Rows, THINNED};
use super::thin::DAY;
use crate::model::{EntityId, Timestamp};
use crate::query::{EntityPlan, HistoryPlan, Series};
use crate::store::embedded::Inner;
use crate::store::embedded::engine::{Look, Past};
use crate::store::embedded::tenants::Tenant;
use crate::store::{HeldHistory, HeldSeries, StoreError, Stretch};

impl Inner {
    /// See [`Store::held_history`](crate::store::Store::held_history).
    pub(in crate::store::embedded) fn held_history(
        &self,
        tenant: &Tenant,
        plan: &EntityPlan,
    ) -> Result<Vec<HeldHistory>, StoreError> {
        let most = plan.page.limit;
        let plan = HistoryPlan { entities: plan.clone(), ..HistoryPlan::default() };
        self.engine.look(|look| {
            let mut found = Vec::new();
            if most == 0 {
                return Ok(found);
            }
            self.candidates(look, tenant, &plan, &mut |id, head| {
                found.push(held_of(look, tenant.number, id, head)?);
                let more = found.len() < most;
                Ok(if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
            Ok(found)
        })
    }
}

fn held_of(
    look: &Look<'_>,
    tenant: u32,
    id: EntityId,
    head: Head,
) -> Result<HeldHistory, StoreError> {
    let mut series = Vec::with_capacity(head.lines.len());
    for (line, number) in head.lines.iter().zip(&head.numbers) {
        if let Some(own) = line.series() {
            let key = SeriesKey::known(tenant, &id, line, *number);
            series.push(held_in(look, &key, own)?);
        }
    }
    Ok(HeldHistory { id, types: head.types, series })
}

fn held_in(look: &Look<'_>, key: &SeriesKey, series: &Series) -> Result<HeldSeries, StoreError> {
    let mut raw = None;
    let mut thinned: Vec<i64> = Vec::new();
    look.past(Past::Blocks, (key.bytes(), &key.end()), false, |_, value| {
        let Some(block) = open(&value, &mut Rows::default())? else {
            return Ok(ControlFlow::Continue(()));
        };
        let summary = block.summary;
        if summary.all & all::NUMBERS != 0 {
            add(&mut raw, summary.time, summary.count);
            return Ok(ControlFlow::Continue(()));
        }
        let mut rows = Rows::default();
        block.rows(0..summary.count, &mut rows)?;
        for (time, ordinal) in rows.time.iter().zip(&rows.ordinal) {
            match *ordinal {
                THINNED => thinned.push(*time),
                _ => add(&mut raw, (*time, *time), 1),
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    look.past(Past::Tails, (key.bytes(), &key.end()), false, |_, value| {
        let mut row = Rows::default();
        match open(&value, &mut row)? {
            Some(block) => add(&mut raw, block.summary.time, block.summary.count),
            None => row.time.iter().for_each(|time| add(&mut raw, (*time, *time), 1)),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let (mut hourly, mut daily) = (None, None);
    for (place, time) in thinned.iter().enumerate() {
        let stretch = if is_day(&thinned, place) { &mut daily } else { &mut hourly };
        add(stretch, (*time, *time), 1);
    }
    let (attribute, dataset) = (series.attribute, series.dataset.clone());
    Ok(HeldSeries { attribute, dataset, daily, hourly, raw })
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
