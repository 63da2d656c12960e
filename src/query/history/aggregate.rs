//! Aggregates of the values of each period (4.5.19).

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::evolve::Part;
use super::state::{Class, State, class_of, note};
use super::{
    Aggregate, Aggregated, Bucket, Chronicle, Column, HistoryPlan, Line, Method, Periods, Span,
    TellError, Visit,
};
use crate::model::{AttrName, DatasetId, Kind, Recorded, Timestamp};
use crate::query::QueryError;

impl Method {
    /// Every method.
    pub const ALL: [Method; 8] = [
        Method::TotalCount,
        Method::DistinctCount,
        Method::Sum,
        Method::Avg,
        Method::Min,
        Method::Max,
        Method::StdDev,
        Method::SumSq,
    ];

    /// How a request and an answer spell it.
    pub fn term(self) -> &'static str {
        match self {
            Method::TotalCount => "totalCount",
            Method::DistinctCount => "distinctCount",
            Method::Sum => "sum",
            Method::Avg => "avg",
            Method::Min => "min",
            Method::Max => "max",
            Method::StdDev => "stddev",
            Method::SumSq => "sumsq",
        }
    }

    /// Whether it counts, and so applies to values of any type, mixed ones too.
    fn counts(self) -> bool {
        matches!(self, Method::TotalCount | Method::DistinctCount)
    }

    /// Whether it applies to values of a class (table 4.5.19.1-1).
    fn applies_to(self, class: Class) -> bool {
        match self {
            Method::TotalCount | Method::DistinctCount => true,
            Method::Sum => matches!(class, Class::Number | Class::Array),
            Method::Avg => matches!(class, Class::Number | Class::Array | Class::Time),
            Method::Min | Method::Max => !matches!(class, Class::Object | Class::Target),
            Method::StdDev | Method::SumSq => class == Class::Number,
        }
    }
}

/// The aggregates of a page of entities, and what is left of their limits.
pub(super) struct Folds<'p> {
    plan: &'p HistoryPlan,
    buckets_left: usize,
    distinct_left: usize,
}

impl<'p> Folds<'p> {
    pub(super) fn new(plan: &'p HistoryPlan) -> Self {
        let limits = plan.limits;
        Self { plan, buckets_left: limits.buckets, distinct_left: limits.distinct }
    }

    /// The aggregates of the attributes of one entity.
    pub(super) fn entity<C: Chronicle>(
        &mut self,
        chronicle: &C,
        shown: &[(AttrName, Vec<usize>)],
        parts: &[Part],
    ) -> Result<Vec<(AttrName, Line)>, TellError<C::Error>> {
        let Some(aggregate) = &self.plan.aggregate else { return Ok(Vec::new()) };
        let Some(grid) = self.grid(chronicle, aggregate, shown, parts)? else {
            return Ok(Vec::new());
        };
        let mut lines = Vec::with_capacity(shown.len());
        for (name, places) in shown {
            let mut told = Vec::new();
            for place in places {
                let folds = self.series(chronicle, (*name, *place), parts, grid.periods)?;
                let dataset = &chronicle.series()[*place].dataset;
                for (kind, fold) in folds {
                    let aggregated = fold.told(aggregate, *name, kind, dataset, &grid);
                    told.push(aggregated.map_err(TellError::Query)?);
                }
            }
            if !told.is_empty() {
                lines.push((*name, Line::Aggregates(told)));
            }
        }
        Ok(lines)
    }

    /// The periods of one entity, which begin together; none if nothing lies in the window, though
    /// that is looked at only where they depend on it.
    fn grid<C: Chronicle>(
        &self,
        chronicle: &C,
        aggregate: &Aggregate,
        shown: &[(AttrName, Vec<usize>)],
        parts: &[Part],
    ) -> Result<Option<Grid>, TellError<C::Error>> {
        let (from, to) = (self.plan.window.from, self.plan.window.to);
        let origin = from.filter(|_| to.is_some() || aggregate.period.is_some());
        if let Some(origin) = origin {
            let periods = Periods::new(origin, aggregate.period);
            return Ok(Some(Grid { periods, end: to }));
        }
        let all = shown.iter().flat_map(|(_, places)| places.iter().copied());
        Ok(self.extent(chronicle, all, parts)?.map(|(first, last)| Grid {
            periods: Periods::new(from.unwrap_or(first), aggregate.period),
            // Without an end of its own the one period ends with what it holds.
            end: to.or(aggregate.period.is_none().then_some(last)),
        }))
    }

    /// The first and the last time in the window.
    fn extent<C: Chronicle>(
        &self,
        chronicle: &C,
        places: impl Iterator<Item = usize>,
        parts: &[Part],
    ) -> Result<Option<(Timestamp, Timestamp)>, TellError<C::Error>> {
        let mut found: Option<(Timestamp, Timestamp)> = None;
        let property = self.plan.window.property;
        for place in places {
            for (from, to) in parts {
                for backwards in [false, true] {
                    let unordered = false;
                    let span =
                        Span { property, from: *from, to: *to, backwards, unordered, most: 1 };
                    let mut visit = |recorded: Recorded| {
                        if let Some(at) = recorded.time(property) {
                            let (first, last) = found.get_or_insert((at, at));
                            *first = at.min(*first);
                            *last = at.max(*last);
                        }
                        ControlFlow::Break(())
                    };
                    chronicle.instances(place, &span, &mut visit).map_err(TellError::Store)?;
                }
            }
        }
        Ok(found)
    }

    fn series<C: Chronicle>(
        &mut self,
        chronicle: &C,
        (name, place): (AttrName, usize),
        parts: &[Part],
        periods: Periods,
    ) -> Result<Vec<(Kind, Fold)>, TellError<C::Error>> {
        let methods = self.plan.aggregate.as_ref().map_or(&[][..], |aggregate| &aggregate.methods);
        let distinct = methods.contains(&Method::DistinctCount);
        // A summary says neither which values there were nor, where they lie close together and far
        // from zero, how far apart.
        let summed = !distinct && !methods.contains(&Method::StdDev);
        let mut folds: Vec<(Kind, Fold)> = Vec::new();
        let mut too_much = None;
        for (from, to) in parts {
            let span = self.plan.span((*from, *to), usize::MAX);
            let mut visit = |column: Column<'_>| -> Visit {
                let kind = match column {
                    Column::Instance(_, recorded) => recorded.instance.kind(),
                    _ => Kind::Property,
                };
                let place = folds.iter().position(|(own, _)| *own == kind).unwrap_or_else(|| {
                    folds.push((kind, Fold::new(periods, distinct)));
                    folds.len() - 1
                });
                let fold = &mut folds[place].1;
                let before = (fold.states.len(), fold.distinct);
                fold.add(column);
                let used = fold.states.len() - before.0;
                let told = fold.distinct - before.1;
                match (self.buckets_left.checked_sub(used), self.distinct_left.checked_sub(told)) {
                    (Some(buckets), Some(distinct)) => {
                        (self.buckets_left, self.distinct_left) = (buckets, distinct);
                        ControlFlow::Continue(())
                    }
                    (None, _) => {
                        too_much = Some(too_many_periods(self.plan.limits.buckets));
                        ControlFlow::Break(())
                    }
                    (_, None) => {
                        too_much = Some(too_many_values(name, self.plan.limits.distinct));
                        ControlFlow::Break(())
                    }
                }
            };
            let whole = summed.then_some(&periods);
            chronicle.columns(place, &span, whole, &mut visit).map_err(TellError::Store)?;
            if let Some(error) = too_much {
                return Err(TellError::Query(error));
            }
        }
        Ok(folds)
    }
}

pub(super) fn too_many_periods(limit: usize) -> QueryError {
    QueryError::too_complex(
        "aggrPeriodDuration",
        format!(
            "one answer holds at most {limit} periods: use longer ones, or a shorter time, or fewer \
             entities"
        ),
    )
}

fn too_many_values(name: AttrName, limit: usize) -> QueryError {
    QueryError::too_complex(
        "aggrMethods",
        format!("distinctCount tells at most {limit} values apart, and {name} has more"),
    )
}

/// Where periods begin and where the last of them ends.
struct Grid {
    periods: Periods,
    end: Option<Timestamp>,
}

/// The states of one series, a state to a period that has values.
struct Fold {
    periods: Periods,
    distinct_wanted: bool,
    states: Vec<(i64, State)>,
    places: HashMap<i64, usize>,
    /// The period of the last value: its number, beginning and end.
    current: (usize, i64, i64),
    /// Which classes of values there are.
    classes: Vec<Class>,
    /// How many distinct values are held.
    distinct: usize,
}

impl Fold {
    fn new(periods: Periods, distinct_wanted: bool) -> Self {
        Self {
            periods,
            distinct_wanted,
            states: Vec::new(),
            places: HashMap::new(),
            current: (0, 0, 0),
            classes: Vec::new(),
            distinct: 0,
        }
    }

    /// Makes the period of a time the current one.
    fn enter(&mut self, at: i64) {
        if self.current.1 <= at && at < self.current.2 {
            return;
        }
        let number = self.periods.number(at);
        let (begin, end) = match self.periods.period {
            Some(_) => (self.periods.begin(number), self.periods.begin(number + 1)),
            None => (i64::MIN, i64::MAX),
        };
        let states = &mut self.states;
        let place = *self.places.entry(number).or_insert_with(|| {
            states.push((number, State::default()));
            states.len() - 1
        });
        self.current = (place, begin, end);
    }

    fn meet(&mut self, class: Class) {
        if !self.classes.contains(&class) {
            self.classes.push(class);
        }
    }

    fn add(&mut self, column: Column<'_>) {
        match column {
            Column::Numbers { times, values } => self.numbers(times, values),
            Column::Summary(summary) => {
                self.meet(Class::Number);
                self.enter(summary.first);
                self.states[self.current.0].1.summary(summary);
            }
            Column::Instance(_, recorded)
                if recorded.deleted_at.is_some() || recorded.instance.is_null() => {}
            Column::Instance(at, recorded) => {
                let class = class_of(&recorded.instance);
                self.meet(class);
                self.enter(at.micros());
                let state = &mut self.states[self.current.0].1;
                state.instance(class, &recorded.instance);
                if self.distinct_wanted && state.distinct.insert(note(&recorded.instance)) {
                    self.distinct += 1;
                }
            }
        }
    }

    /// Adds numbers run by run, a run to a period.
    fn numbers(&mut self, times: &[i64], values: &[f64]) {
        self.meet(Class::Number);
        let mut from = 0;
        let length = times.len().min(values.len());
        while from < length {
            self.enter(times[from]);
            let (place, begin, end) = self.current;
            let run = times[from..length].iter().take_while(|at| (begin..end).contains(*at));
            let to = from + run.count().max(1);
            let state = &mut self.states[place].1;
            state.numbers(&values[from..to]);
            if self.distinct_wanted {
                for value in &values[from..to] {
                    self.distinct += usize::from(state.distinct.insert(State::note_number(*value)));
                }
            }
            from = to;
        }
    }

    /// The results, method by method.
    fn told(
        mut self,
        aggregate: &Aggregate,
        name: AttrName,
        kind: Kind,
        dataset: &Option<DatasetId>,
        grid: &Grid,
    ) -> Result<Aggregated, QueryError> {
        self.states.sort_by_key(|(number, _)| *number);
        let applicable = self.applicable(aggregate, name)?;
        let class = self.classes.first().copied().unwrap_or(Class::Object);
        let surplus = aggregate.last.map_or(0, |last| self.states.len().saturating_sub(last));
        let methods = applicable.into_iter().map(|method| {
            let states = &self.states[surplus..];
            let buckets = states.iter().filter_map(|(number, state)| {
                let result = state.result(method, class)?;
                let (from, to) = grid.bounds(*number);
                Some(Bucket { result, from, to })
            });
            (method, buckets.collect())
        });
        Ok(Aggregated { kind, dataset: dataset.clone(), methods: methods.collect() })
    }

    /// The methods that apply to the values; an error if none does, or if values of several types
    /// would have to be reckoned together.
    fn applicable(&self, aggregate: &Aggregate, name: AttrName) -> Result<Vec<Method>, QueryError> {
        let asked = || aggregate.methods.iter().copied();
        if let [first, second, ..] = self.classes[..]
            && let Some(method) = asked().find(|method| !method.counts())
        {
            return Err(QueryError::inapplicable(
                "aggrMethods",
                format!(
                    "{name} has both {} and {} in this time, of which no {} can be made: use \
                     totalCount or distinctCount, or another time",
                    first.plural(),
                    second.plural(),
                    method.term(),
                ),
            ));
        }
        let applies = |method: Method| self.classes.iter().all(|class| method.applies_to(*class));
        let applicable: Vec<Method> = asked().filter(|method| applies(*method)).collect();
        match (applicable.is_empty(), self.classes.first()) {
            (true, Some(class)) => Err(QueryError::inapplicable(
                "aggrMethods",
                format!(
                    "{name} has {}, to which none of these methods applies (table 4.5.19.1-1): pick \
                     other attributes or methods",
                    class.plural()
                ),
            )),
            _ => Ok(applicable),
        }
    }
}

impl Grid {
    fn bounds(&self, number: i64) -> (Timestamp, Timestamp) {
        let from = Timestamp::from_micros(self.periods.begin(number));
        let to =
            self.periods.period.map(|_| Timestamp::from_micros(self.periods.begin(number + 1)));
        let end = match (to, self.end) {
            (Some(to), Some(end)) => to.min(end),
            (to, end) => to.or(end).unwrap_or(from),
        };
        (from, end)
    }
}
