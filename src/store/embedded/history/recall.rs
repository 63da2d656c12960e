//! The history of one entity as a temporal query sees it: tails and blocks together.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::{ControlFlow, Range};

use super::block::{self, Block, all};
use super::chapter::Head;
use super::key::{Line, SeriesKey};
use super::pack::read_tail;
use super::rows::{GONE, Row, Rows, THINNED, is_observed};
use super::thin::Thinned;
use crate::model::{Chapter, DatasetId, EntityId, InstanceId, OneOrMany, Recorded, ScopeChange};
use crate::model::{TimeProperty, Timestamp};
use crate::query::{Chronicle, Column, Periods, Series, Span, Summary, Visit};
use crate::store::StoreError;
use crate::store::embedded::engine::{Look, Past};
use crate::store::embedded::names::Names;
use crate::store::record::{self, decode_past, decode_scopes, thin_number};

/// What reads of histories are made with.
pub(in crate::store::embedded) struct Reading<'a> {
    pub look: &'a Look<'a>,
    pub names: &'a Names,
    pub tails: &'a Tails,
}

/// How long tails may be that are read row by row, and which were longer: what was found then is
/// not right, and is to be found again once they are packed.
pub(in crate::store::embedded) struct Tails {
    most: usize,
    long: RefCell<Vec<SeriesKey>>,
}

/// The longest tail that is read as it is: a few times what packing leaves.
const LONG: usize = 4_096;

/// How many long tails are packed before the histories are read again.
const LONG_TAILS: usize = 256;

impl Default for Tails {
    fn default() -> Self {
        Self { most: LONG, long: RefCell::default() }
    }
}

impl Tails {
    /// All are read, however long they are.
    pub fn any() -> Self {
        Self { most: usize::MAX, ..Self::default() }
    }

    /// Whether any was too long.
    pub fn found_long(&self) -> bool {
        !self.long.borrow().is_empty()
    }

    /// Those that were too long.
    pub fn long(self) -> Vec<SeriesKey> {
        self.long.into_inner()
    }

    /// The tail of a series; nothing if it is too long.
    fn read(&self, look: &Look<'_>, series: &SeriesKey) -> Result<Rows, StoreError> {
        let tail = read_tail(look, series, self.most)?;
        if !tail.more {
            return Ok(tail.rows);
        }
        let mut long = self.long.borrow_mut();
        long.push(series.clone());
        // Enough to do: what else is found is thrown away.
        if long.len() < LONG_TAILS { Ok(Rows::default()) } else { Err(StoreError::Busy) }
    }
}

/// The history of one entity.
pub(in crate::store::embedded) struct Recall<'a> {
    look: &'a Look<'a>,
    names: &'a Names,
    tails: &'a Tails,
    pub chapter: Chapter,
    series: Vec<Series>,
    lines: Vec<Kept>,
    /// The latest time at which something was shown that had been thinned.
    thinned: Cell<Option<i64>>,
}

/// A series of the entity.
struct Kept {
    key: SeriesKey,
    tail: OnceCell<Rows>,
}

impl Kept {
    fn new(key: SeriesKey) -> Self {
        Self { key, tail: OnceCell::new() }
    }
}

impl<'a> Recall<'a> {
    /// The history of an entity whose head was read.
    pub fn new(
        reading: &Reading<'a>,
        (tenant, id): (u32, EntityId),
        head: Head,
    ) -> Result<Self, StoreError> {
        let Reading { look, names, tails } = *reading;
        let (mut series, mut lines, mut scopes) = (Vec::new(), Vec::new(), Vec::new());
        for (line, number) in head.lines.into_iter().zip(head.numbers) {
            let key = SeriesKey::known(tenant, &id, &line, number);
            match line {
                Line::Attribute(one) => {
                    series.push(one);
                    lines.push(Kept::new(key));
                }
                Line::Scopes => scopes = read_scopes(look, tails, &key)?,
            }
        }
        let types = OneOrMany::from_vec(head.types)
            .ok_or(record::Damaged("the history of an entity has no type"))?;
        let chapter = Chapter {
            id,
            types,
            created_at: head.created_at,
            modified_at: head.modified_at,
            deleted_at: head.deleted_at,
            scopes,
        };
        let thinned = Cell::new(None);
        Ok(Self { look, names, tails, chapter, series, lines, thinned })
    }

    /// The latest time at which something was shown that had been thinned.
    pub fn thinned(&self) -> Option<Timestamp> {
        self.thinned.get().map(Timestamp::from_micros)
    }

    fn note_thinned(&self, row: &Row<'_>) {
        if row.ordinal == THINNED {
            self.thinned.set(self.thinned.get().max(Some(row.time)));
        }
    }

    fn recorded(&self, series: usize, row: Row<'_>) -> Result<Option<Recorded>, StoreError> {
        self.note_thinned(&row);
        let key = &self.lines[series].key;
        to_recorded(row, key, self.series[series].dataset.as_ref(), self.names)
    }

    fn tail(&self, series: usize) -> Result<&Rows, StoreError> {
        self.lines[series].tail(self.look, self.tails)
    }
}

impl Kept {
    fn tail(&self, look: &Look<'_>, tails: &Tails) -> Result<&Rows, StoreError> {
        if let Some(tail) = self.tail.get() {
            return Ok(tail);
        }
        let tail = tails.read(look, &self.key)?;
        Ok(self.tail.get_or_init(|| tail))
    }
}

/// A row as an instance; None if it takes one away.
pub(in crate::store::embedded) fn to_recorded(
    row: Row<'_>,
    key: &SeriesKey,
    dataset: Option<&DatasetId>,
    names: &Names,
) -> Result<Option<Recorded>, StoreError> {
    let Some(word) = row.word else { return Ok(None) };
    let past = record::Past {
        observed_at: is_observed(row.ordinal).then(|| Timestamp::from_micros(row.time)),
        created_at: Timestamp::from_micros(row.created),
        modified_at: Timestamp::from_micros(row.modified),
        number: row.number,
        dataset,
    };
    let (instance, deletion) = decode_past(word, &past, names)?;
    let deleted_at = deletion.then(|| Timestamp::from_micros(row.time));
    Ok(Some(Recorded { id: key.instance((row.time, row.ordinal)), instance, deleted_at }))
}

fn read_scopes(
    look: &Look<'_>,
    tails: &Tails,
    key: &SeriesKey,
) -> Result<Vec<ScopeChange>, StoreError> {
    let kept = Kept::new(key.clone());
    let tail = kept.tail(look, tails)?;
    let mut changes = Vec::new();
    let everything = Bounds { from: None, to: None, backwards: false, step: usize::MAX };
    merged(look, (key, tail), everything, &mut |row| {
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

/// Finds one row of a series, where later notes of the same group count.
pub(in crate::store::embedded) fn find_row<'n>(
    look: Option<&Look<'_>>,
    key: &SeriesKey,
    place: (i64, u32),
    notes: impl Iterator<Item = &'n [u8]>,
) -> Result<Option<Rows>, StoreError> {
    let mut rows = Rows::default();
    if let Some(look) = look {
        let bounds = Bounds {
            from: Some(place.0),
            to: Some(place.0.saturating_add(1)),
            backwards: false,
            step: usize::MAX,
        };
        let tail = tail_at(look, key, place.0)?;
        merged(look, (key, &tail), bounds, &mut |row| {
            rows.push(row);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    for bytes in notes {
        block::read(bytes, &mut rows)?;
    }
    rows.settle(false);
    let found = (0..rows.len()).find(|row| rows.key(*row) == place);
    Ok(found.map(|row| {
        rows.choose(&[row as u32]);
        rows
    }))
}

/// What the tail of a series says of one time, however long it is.
fn tail_at(look: &Look<'_>, key: &SeriesKey, time: i64) -> Result<Rows, StoreError> {
    let mut found = Rows::default();
    look.past(Past::Tails, (key.bytes(), &key.end()), false, |_, value| {
        let mut rows = Rows::default();
        block::read(&value, &mut rows)?;
        for row in (0..rows.len()).filter(|row| rows.time[*row] == time) {
            found.push(rows.get(row));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    found.settle(true);
    Ok(found)
}

/// Which rows are read, in which direction, and how many at a time.
#[derive(Clone, Copy)]
struct Bounds {
    from: Option<i64>,
    to: Option<i64>,
    backwards: bool,
    step: usize,
}

type ShowRow<'s> = dyn FnMut(Row<'_>) -> Result<ControlFlow<()>, StoreError> + 's;

/// Shows the blocks that may hold something between two times, in order.
fn blocks(
    look: &Look<'_>,
    key: &SeriesKey,
    bounds: Bounds,
    mut show: impl FnMut(&Block<'_>) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    let mut begin = key.bytes().to_vec();
    let end = match bounds.to {
        Some(to) => key.block((to, 0)),
        None => key.end(),
    };
    if let Some(from) = bounds.from.filter(|_| !bounds.backwards) {
        // The block before may reach into the time.
        let at = key.block((from, 0));
        look.past(Past::Blocks, (key.bytes(), &at), true, |key, _| {
            begin = key.to_vec();
            Ok(ControlFlow::Break(()))
        })?;
        if begin.len() == key.bytes().len() {
            begin = at;
        }
    }
    look.past(Past::Blocks, (&begin, &end), bounds.backwards, |_, value| {
        let Some(block) = block::open(&value, &mut Rows::default())? else {
            return Err(record::Damaged("a block is a row").into());
        };
        if bounds.from.is_some_and(|from| block.summary.time.1 < from) {
            // Backwards, all that follow end earlier still.
            let beyond = bounds.backwards;
            return Ok(if beyond { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        }
        show(&block)
    })
}

/// Shows the rows of a series between two times, tail and blocks as one, in the order of their
/// keys or backwards. Rows that are taken away are not shown.
fn merged(
    look: &Look<'_>,
    (key, tail): (&SeriesKey, &Rows),
    bounds: Bounds,
    show: &mut ShowRow<'_>,
) -> Result<(), StoreError> {
    let mut merge = Merge::new(tail, bounds, show);
    let mut ended = false;
    blocks(look, key, bounds, |block| {
        let flow = merge.block(block)?;
        ended = flow.is_break();
        Ok(flow)
    })?;
    if !ended {
        let _ = merge.rest()?;
    }
    Ok(())
}

/// A tail being merged with the blocks that are shown one after another.
struct Merge<'t, 's> {
    tail: &'t Rows,
    /// What is left of the tail's part between the times.
    left: Range<usize>,
    bounds: Bounds,
    show: &'t mut ShowRow<'s>,
}

impl<'t, 's> Merge<'t, 's> {
    fn new(tail: &'t Rows, bounds: Bounds, show: &'t mut ShowRow<'s>) -> Self {
        Self { tail, left: tail.within(bounds.from, bounds.to), bounds, show }
    }

    fn block(&mut self, block: &Block<'_>) -> Result<ControlFlow<()>, StoreError> {
        let count = block.summary.count;
        let mut done = 0;
        while done < count {
            let step = self.bounds.step.max(super::ints::RUN).min(count - done);
            let range = if self.bounds.backwards {
                count - done - step..count - done
            } else {
                done..done + step
            };
            done += step;
            let mut rows = Rows::default();
            block.rows(range, &mut rows)?;
            let within = rows.within(self.bounds.from, self.bounds.to);
            let flow = if self.bounds.backwards {
                self.rows(&rows, within.rev())?
            } else {
                self.rows(&rows, within)?
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn rows(
        &mut self,
        rows: &Rows,
        order: impl Iterator<Item = usize>,
    ) -> Result<ControlFlow<()>, StoreError> {
        for row in order {
            let key = rows.key(row);
            let mut own = Some(rows.get(row));
            while let Some(next) = self.peek() {
                let other = self.tail.key(next);
                let earlier = if self.bounds.backwards { other > key } else { other < key };
                if !earlier && other != key {
                    break;
                }
                self.skip();
                let mut said = self.tail.get(next);
                if other == key {
                    // The later word counts, about what was created before.
                    said.created = rows.created[row];
                    own = None;
                }
                if said.word.is_some() && (self.show)(said)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            if let Some(own) = own
                && (self.show)(own)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn peek(&self) -> Option<usize> {
        let Range { start, end } = self.left;
        (start < end).then(|| if self.bounds.backwards { end - 1 } else { start })
    }

    fn skip(&mut self) {
        if self.bounds.backwards {
            self.left.end -= 1;
        } else {
            self.left.start += 1;
        }
    }

    /// Shows what of the tail comes after all blocks.
    fn rest(&mut self) -> Result<ControlFlow<()>, StoreError> {
        while let Some(next) = self.peek() {
            self.skip();
            let row = self.tail.get(next);
            if row.word.is_some() && (self.show)(row)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
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

/// How many rows are put in order beyond twice those that are wanted, before the others go.
const SPARE: usize = 4_096;

impl Recall<'_> {
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
        let tail = kept.tail(self.look, self.tails)?;
        let mut merge = Merge::new(tail, everything, &mut show);
        blocks(self.look, &kept.key, everything, |block| {
            let (least, most) = bounds_of(block, span.property);
            let beyond = micros(span.from).is_some_and(|from| most < from)
                || micros(span.to).is_some_and(|to| to <= least);
            if beyond && !touches(tail, block) {
                return Ok(ControlFlow::Continue(()));
            }
            merge.block(block)
        })?;
        let _ = merge.rest()?;
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
                let Thinned { count, sum, sumsq, min, max } = thinned;
                let summary = Summary { first: time, last: time, count, sum, sumsq, min, max };
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
        let line = (&self.lines[series].key, self.tail(series)?);
        merged(self.look, line, bounds, &mut |row| {
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
        blocks(self.look, &self.lines[series].key, bounds, |block| {
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
pub(in crate::store::embedded) fn locate(
    lines: &[Line],
    instance: InstanceId,
    mut key: impl FnMut(&Line) -> SeriesKey,
) -> Option<(&Line, SeriesKey, (i64, u32))> {
    lines.iter().find_map(|line| {
        let key = key(line);
        let place = key.place(instance)?;
        Some((line, key, place))
    })
}
