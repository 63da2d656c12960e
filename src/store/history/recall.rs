//! The history of one entity as a temporal query sees it: tails and blocks together.

use std::cell::Cell;
use std::ops::ControlFlow;

use super::block::{Block, all};
use super::head::Head;
use super::merge::{Bounds, Kept, Merge, ShowRow, blocks, merged};
use super::rows::{GONE, Row, Rows, THINNED, is_observed};
use super::series::{Line, Place, SeriesKey, Volumes};
use super::thin::Thinned;
use crate::model::{Chapter, DatasetId, EntityId, InstanceId, Recorded, ScopeChange};
use crate::model::{TimeProperty, Timestamp};
use crate::query::{Chronicle, Column, HistoryPlan, Periods, Series, Span, Summary, Visit};
use crate::store::StoreError;
use crate::store::record::{self, Spelling, decode_scopes, thin_number};

/// The history of one entity.
pub(in crate::store) struct Recall<'a> {
    volumes: &'a dyn Volumes,
    spelling: Spelling<'a>,
    pub chapter: Chapter,
    series: Vec<Series>,
    lines: Vec<Kept>,
    /// The latest time at which something was shown that had been thinned.
    thinned: Cell<Option<i64>>,
}

impl<'a> Recall<'a> {
    /// The history of an entity whose head was read, with its series in the order of the head's
    /// lines.
    pub fn new(
        volumes: &'a dyn Volumes,
        spelling: Spelling<'a>,
        id: EntityId,
        mut head: Head,
        all: Vec<Kept>,
    ) -> Result<Self, StoreError> {
        let (mut series, mut lines, mut scopes) = (Vec::new(), Vec::new(), Vec::new());
        for (line, kept) in std::mem::take(&mut head.lines).into_iter().zip(all) {
            match line {
                Line::Attribute(one) => {
                    series.push(one);
                    lines.push(kept);
                }
                Line::Scopes => scopes = read_scopes(volumes, &kept)?,
            }
        }
        let chapter = head.chapter(id, scopes)?;
        Ok(Self { volumes, spelling, chapter, series, lines, thinned: Cell::new(None) })
    }

    /// The latest time at which something was shown that had been thinned.
    pub fn thinned(&self) -> Option<Timestamp> {
        self.thinned.get().map(Timestamp::from_micros)
    }

    /// The series that lie in blocks, too, of those that a plan shows.
    pub fn in_blocks(&self, plan: &HistoryPlan) -> impl Iterator<Item = &SeriesKey> {
        let all = self.series.iter().zip(&self.lines);
        let shown = all.filter(|(series, kept)| kept.has_blocks && plan.shows(series));
        shown.map(|(_, kept)| &kept.key)
    }

    fn note_thinned(&self, row: &Row<'_>) {
        if row.ordinal == THINNED {
            self.thinned.set(self.thinned.get().max(Some(row.time)));
        }
    }

    fn recorded(&self, series: usize, row: Row<'_>) -> Result<Option<Recorded>, StoreError> {
        self.note_thinned(&row);
        let key = &self.lines[series].key;
        to_recorded(row, key, self.series[series].dataset.as_ref(), self.spelling)
    }

    fn tail(&self, series: usize) -> Result<&Rows, StoreError> {
        self.lines[series].tail(self.volumes)
    }
}

/// A row as an instance; None if it takes one away.
pub(in crate::store) fn to_recorded(
    row: Row<'_>,
    key: &SeriesKey,
    dataset: Option<&DatasetId>,
    spelling: Spelling<'_>,
) -> Result<Option<Recorded>, StoreError> {
    let Some(word) = row.word else { return Ok(None) };
    let past = record::Past {
        observed_at: is_observed(row.ordinal).then(|| Timestamp::from_micros(row.time)),
        created_at: Timestamp::from_micros(row.created),
        modified_at: Timestamp::from_micros(row.modified),
        number: row.number,
        dataset,
    };
    let (instance, deletion) = spelling.decode_past(word, &past)?;
    let deleted_at = deletion.then(|| Timestamp::from_micros(row.time));
    Ok(Some(Recorded {
        id: key.instance((row.time, row.ordinal)),
        foreign: None,
        instance,
        deleted_at,
    }))
}

/// The changes of scope that a series tells of.
fn read_scopes(volumes: &dyn Volumes, kept: &Kept) -> Result<Vec<ScopeChange>, StoreError> {
    let mut changes = Vec::new();
    let everything = Bounds { from: None, to: None, backwards: false, step: usize::MAX };
    merged(volumes, kept, everything, &mut |row| {
        let Some(word) = row.word else { return Ok(ControlFlow::Continue(())) };
        let time = Timestamp::from_micros(row.time);
        let observed_at = is_observed(row.ordinal).then_some(time);
        let (scopes, observed_at) = decode_scopes(word, observed_at)?;
        changes.push(ScopeChange {
            deleted_at: scopes.is_empty().then_some(time),
            scopes,
            observed_at,
            created_at: Timestamp::from_micros(row.created),
            modified_at: Timestamp::from_micros(row.modified),
        });
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(changes)
}

/// The time of a row by a property, if it has one.
fn time_of(row: &Row<'_>, property: TimeProperty) -> Option<i64> {
    let deletion = row.word.is_some_and(record::is_deletion);
    match (property, deletion) {
        (TimeProperty::DeletedAt | TimeProperty::Placed, true) => Some(row.time),
        (TimeProperty::DeletedAt, false) | (_, true) => None,
        (TimeProperty::ObservedAt, false) => is_observed(row.ordinal).then_some(row.time),
        (TimeProperty::CreatedAt, false) => Some(row.created),
        (TimeProperty::ModifiedAt, false) => Some(row.modified),
        (TimeProperty::Placed, false) => Some(row.time),
    }
}

/// Whether rows lie in the order of the property's time.
fn is_natural(property: TimeProperty) -> bool {
    !matches!(property, TimeProperty::CreatedAt | TimeProperty::ModifiedAt)
}

/// The least and greatest times of a property that a block may hold.
fn bounds_of(block: &Block<'_>, property: TimeProperty) -> (i64, i64) {
    match property {
        TimeProperty::CreatedAt => block.summary.created,
        TimeProperty::ModifiedAt => block.summary.modified,
        _ => block.summary.time,
    }
}

fn micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::micros)
}

fn contains(span: &Span, time: i64) -> bool {
    micros(span.from).is_none_or(|from| from <= time) && micros(span.to).is_none_or(|to| time < to)
}

/// Whether no row of a block lies in a span, as far as the block says without being unpacked.
fn has_nothing(block: &Block<'_>, span: &Span) -> bool {
    if span.property == TimeProperty::DeletedAt {
        return block.summary.all & all::NUMBERS != 0;
    }
    let (least, most) = bounds_of(block, span.property);
    micros(span.from).is_some_and(|from| most < from)
        || micros(span.to).is_some_and(|to| to <= least)
}

/// How many rows are put in order beyond twice those that are wanted, before the others go.
const SPARE: usize = 4_096;

impl Recall<'_> {
    /// Instances in the order in which they are at hand: those of the tail first, and then once more
    /// among the others.
    fn unordered(
        &self,
        series: usize,
        span: &Span,
        visit: &mut dyn FnMut(Recorded) -> Visit,
    ) -> Result<(), StoreError> {
        let natural = is_natural(span.property);
        let bounds = Bounds {
            from: micros(span.from).filter(|_| natural),
            to: micros(span.to).filter(|_| natural),
            backwards: span.backwards,
            step: span.most,
        };
        let kept = &self.lines[series];
        let mut left = span.most;
        let mut show = |row: Row<'_>| {
            let lies = time_of(&row, span.property).is_some_and(|time| contains(span, time));
            let Some(recorded) = lies.then(|| self.recorded(series, row)).transpose()?.flatten()
            else {
                return Ok(ControlFlow::Continue(()));
            };
            left -= 1;
            let flow = visit(recorded);
            Ok(if left == 0 { ControlFlow::Break(()) } else { flow })
        };
        let tail = kept.tail(self.volumes)?;
        for row in tail.within(bounds.from, bounds.to) {
            if show(tail.get(row))?.is_break() {
                return Ok(());
            }
        }
        self.touching(kept, span, bounds, &mut show)
    }

    /// Shows the rows of a series that may lie in a span: blocks that cannot hold any by the span's
    /// property are passed over.
    fn touching(
        &self,
        kept: &Kept,
        span: &Span,
        bounds: Bounds,
        show: &mut ShowRow<'_>,
    ) -> Result<(), StoreError> {
        let tail = kept.tail(self.volumes)?;
        let mut merge = Merge::new(tail, bounds, show);
        let mut ended = false;
        blocks(self.volumes, kept, bounds, |block| {
            if has_nothing(block, span) && !touches(tail, block) {
                return Ok(ControlFlow::Continue(()));
            }
            let flow = merge.block(block)?;
            ended = flow.is_break();
            Ok(flow)
        })?;
        if !ended {
            let _ = merge.rest()?;
        }
        Ok(())
    }

    /// Instances in the order of a time that rows do not lie in.
    fn sorted(
        &self,
        series: usize,
        span: &Span,
        visit: &mut dyn FnMut(Recorded) -> Visit,
    ) -> Result<(), StoreError> {
        let mut found = Rows::default();
        let mut order: Vec<(i64, u32)> = Vec::new();
        let keep = |found: &mut Rows, order: &mut Vec<(i64, u32)>| {
            order.sort_by_key(|(time, row)| (*time, *row));
            if span.backwards {
                order.reverse();
            }
            order.truncate(span.most);
            // Rows stay in the order of their keys, so that those of one time do.
            let mut rows: Vec<u32> = order.iter().map(|(_, row)| *row).collect();
            rows.sort_unstable();
            found.choose(&rows);
            for (_, row) in order.iter_mut() {
                *row = rows.partition_point(|other| *other < *row) as u32;
            }
        };
        let everything = Bounds { from: None, to: None, backwards: false, step: usize::MAX };
        let kept = &self.lines[series];
        let mut show = |row: Row<'_>| {
            if let Some(time) = time_of(&row, span.property).filter(|time| contains(span, *time)) {
                order.push((time, found.len() as u32));
                found.push(row);
                if found.len() >= span.most.saturating_mul(2).saturating_add(SPARE) {
                    keep(&mut found, &mut order);
                }
            }
            Ok(ControlFlow::Continue(()))
        };
        self.touching(kept, span, everything, &mut show)?;
        keep(&mut found, &mut order);
        for (_, row) in order {
            if let Some(recorded) = self.recorded(series, found.get(row as usize))?
                && visit(recorded).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    /// The columns of a block that no row of the tail touches; false if they have to be looked at
    /// row by row.
    fn whole(
        &self,
        block: &Block<'_>,
        span: &Span,
        periods: Option<&Periods>,
        visit: &mut dyn FnMut(Column<'_>) -> Visit,
    ) -> Result<Option<Visit>, StoreError> {
        let summary = &block.summary;
        let observed = summary.all & all::OBSERVED != 0;
        if summary.all & all::NUMBERS == 0
            || span.property == TimeProperty::DeletedAt
            || span.property == TimeProperty::ObservedAt && !observed
        {
            return Ok(None);
        }
        let (least, most) = bounds_of(block, span.property);
        let inside = contains(span, least) && contains(span, most);
        if inside && periods.is_some_and(|periods| periods.same(least, most)) {
            return Ok(Some(visit(Column::Summary(&Summary {
                first: least,
                last: most,
                count: summary.count as u64,
                sum: summary.sum,
                sumsq: summary.sumsq,
                spread: (summary.sumsq - summary.sum * (summary.sum / summary.count as f64))
                    .max(0.0),
                min: summary.least,
                max: summary.most,
            }))));
        }
        let rows = 0..summary.count;
        let mut times = Vec::with_capacity(summary.count);
        block.times(rows.clone(), &mut times)?;
        let mut chosen = 0..summary.count;
        if is_natural(span.property) {
            let from = micros(span.from).map_or(0, |from| times.partition_point(|at| *at < from));
            let to = micros(span.to).map_or(times.len(), |to| times.partition_point(|at| *at < to));
            chosen = from..to.max(from);
        } else {
            let mut createds = Vec::with_capacity(summary.count);
            block.createds(rows.clone(), &times, &mut createds)?;
            times = createds;
            if span.property == TimeProperty::ModifiedAt {
                let mut modifieds = Vec::with_capacity(summary.count);
                block.modifieds(rows, &times, &mut modifieds)?;
                times = modifieds;
            }
        }
        let mut values = Vec::with_capacity(chosen.len());
        block.numbers(chosen.clone(), &mut values)?;
        let mut times = times[chosen].to_vec();
        if !inside && !is_natural(span.property) {
            let within: Vec<bool> = times.iter().map(|time| contains(span, *time)).collect();
            let mut each = within.iter();
            times.retain(|_| *each.next().unwrap_or(&false));
            let mut each = within.iter();
            values.retain(|_| *each.next().unwrap_or(&false));
        }
        if times.is_empty() {
            return Ok(Some(ControlFlow::Continue(())));
        }
        Ok(Some(visit(Column::Numbers { times: &times, values: &values })))
    }

    /// Rows as columns: numbers together, all else one by one.
    fn one_by_one(
        &self,
        series: usize,
        span: &Span,
        rows: &Rows,
        visit: &mut dyn FnMut(Column<'_>) -> Visit,
    ) -> Result<Visit, StoreError> {
        let (mut times, mut values) = (Vec::new(), Vec::new());
        for number in 0..rows.len() {
            let row = rows.get(number);
            let Some(time) = time_of(&row, span.property).filter(|time| contains(span, *time))
            else {
                continue;
            };
            let thinned = row.word.filter(|_| row.ordinal == THINNED).and_then(thin_number);
            if let Some(thinned) = thinned {
                self.note_thinned(&row);
                let Thinned { count, sum, sumsq, min, max, spread } = thinned;
                let (first, last) = (time, time);
                let summary = Summary { first, last, count, sum, sumsq, spread, min, max };
                if visit(Column::Summary(&summary)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            } else if rows.is_number(number) {
                times.push(time);
                values.push(row.number);
            } else if !rows.is_deletion(number)
                && let Some(recorded) = self.recorded(series, row)?
                && visit(Column::Instance(Timestamp::from_micros(time), &recorded)).is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        if times.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(visit(Column::Numbers { times: &times, values: &values }))
    }
}

/// Whether a row of the tail lies between the first and the last row of a block.
fn touches(tail: &Rows, block: &Block<'_>) -> bool {
    let (first, last) = block.summary.time;
    !tail.within(Some(first), last.checked_add(1)).is_empty()
}

impl Chronicle for Recall<'_> {
    type Error = StoreError;

    fn chapter(&self) -> &Chapter {
        &self.chapter
    }

    fn series(&self) -> &[Series] {
        &self.series
    }

    fn instances(
        &self,
        series: usize,
        span: &Span,
        visit: &mut dyn FnMut(Recorded) -> Visit,
    ) -> Result<(), StoreError> {
        if span.most == 0 {
            return Ok(());
        }
        if span.unordered {
            return self.unordered(series, span, visit);
        }
        if !is_natural(span.property) {
            return self.sorted(series, span, visit);
        }
        let bounds = Bounds {
            from: micros(span.from),
            to: micros(span.to),
            backwards: span.backwards,
            step: span.most,
        };
        let mut left = span.most;
        self.touching(&self.lines[series], span, bounds, &mut |row| {
            if time_of(&row, span.property).is_none() {
                return Ok(ControlFlow::Continue(()));
            }
            let Some(recorded) = self.recorded(series, row)? else {
                return Ok(ControlFlow::Continue(()));
            };
            left -= 1;
            let flow = visit(recorded);
            Ok(if left == 0 { ControlFlow::Break(()) } else { flow })
        })
    }

    fn columns(
        &self,
        series: usize,
        span: &Span,
        periods: Option<&Periods>,
        visit: &mut dyn FnMut(Column<'_>) -> Visit,
    ) -> Result<(), StoreError> {
        if span.property == TimeProperty::DeletedAt {
            // Only deletions have this time.
            return Ok(());
        }
        let tail = self.tail(series)?;
        let (from, to) = (micros(span.from), micros(span.to));
        let natural = is_natural(span.property);
        let bounds = Bounds {
            from: from.filter(|_| natural),
            to: to.filter(|_| natural),
            backwards: false,
            step: usize::MAX,
        };
        let mut untouched = vec![true; tail.len()];
        let mut ended = false;
        blocks(self.volumes, &self.lines[series], bounds, |block| {
            let (first, last) = block.summary.time;
            let own = tail.within(Some(first), last.checked_add(1));
            if own.is_empty()
                && let Some(flow) = self.whole(block, span, periods, visit)?
            {
                ended = flow.is_break();
                return Ok(flow);
            }
            let mut rows = Rows::default();
            block.rows(0..block.summary.count, &mut rows)?;
            for row in own {
                untouched[row] = false;
                rows.push(tail.get(row));
            }
            rows.settle(false);
            let flow = self.one_by_one(series, span, &rows, visit)?;
            ended = flow.is_break();
            Ok(flow)
        })?;
        if ended {
            return Ok(());
        }
        let mut rows = Rows::default();
        for row in (0..tail.len()).filter(|row| untouched[*row] && tail.word[*row] != GONE) {
            rows.push(tail.get(row));
        }
        self.one_by_one(series, span, &rows, visit).map(drop)
    }
}

/// The series of an entity's attribute that an instance is of, and where it would lie in it.
pub(in crate::store) fn locate(
    lines: &[Line],
    instance: InstanceId,
    mut key: impl FnMut(&Line) -> SeriesKey,
) -> Option<(&Line, SeriesKey, Place)> {
    lines.iter().find_map(|line| {
        let key = key(line);
        let place = key.place(instance)?;
        Some((line, key, place))
    })
}
