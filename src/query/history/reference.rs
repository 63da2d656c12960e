//! A chronicle in memory, and what a plan means said as plainly as possible: the arbiters of the
//! evaluator and of stores.

use std::convert::Infallible;

use super::{Chronicle, Column, Evolution, HistoryPlan, Line, Periods, Series, Span, Told, Visit};
use crate::model::{Chapter, Recorded, Timestamp};

/// The history of one entity in memory, its instances in the order they were recorded.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    pub chapter: Chapter,
    pub series: Vec<Series>,
    pub instances: Vec<Vec<Recorded>>,
}

impl Chronicle for Ledger {
    type Error = Infallible;

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
    ) -> Result<(), Infallible> {
        let mut all = within(&self.instances[series], span);
        if span.backwards {
            all.reverse();
        }
        for recorded in all.into_iter().take(span.most) {
            if visit(recorded).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn columns(
        &self,
        series: usize,
        span: &Span,
        _: Option<&Periods>,
        visit: &mut dyn FnMut(Column<'_>) -> Visit,
    ) -> Result<(), Infallible> {
        for recorded in within(&self.instances[series], span) {
            let at = recorded.time(span.property).expect("it lies in the span");
            if recorded.deleted_at.is_none() && visit(Column::Instance(at, &recorded)).is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn within(instances: &[Recorded], span: &Span) -> Vec<Recorded> {
    let mut all: Vec<Recorded> = instances
        .iter()
        .filter(|one| {
            one.time(span.property).is_some_and(|at| {
                span.from.is_none_or(|from| from <= at) && span.to.is_none_or(|to| at < to)
            })
        })
        .cloned()
        .collect();
    all.sort_by_key(|one| one.time(span.property));
    all
}

/// What is told of entities whose instances are shown, said plainly; for plans without scopes and
/// aggregates.
pub(crate) fn tell(plan: &HistoryPlan, ledgers: &[Ledger]) -> Told {
    let property = plan.window.property;
    let time = |one: &Recorded| one.time(property).expect("it lies in the window");
    let mut evolutions: Vec<Evolution> = ledgers
        .iter()
        .map(|ledger| {
            let mut attributes = Vec::new();
            for (name, places) in super::evolve::shown(plan, ledger) {
                let all = places.iter().flat_map(|place| ledger.instances[*place].iter());
                let mut line: Vec<Recorded> = all
                    .filter(|one| one.time(property).is_some_and(|at| plan.window.contains(at)))
                    .cloned()
                    .collect();
                line.sort_by_key(time);
                let surplus = plan.last_n.map_or(0, |most| line.len().saturating_sub(most));
                line.drain(..surplus);
                if !line.is_empty() {
                    attributes.push((name, Line::Instances(line)));
                }
            }
            Evolution { chapter: ledger.chapter.clone(), attributes }
        })
        .collect();
    let mut times: Vec<Timestamp> = lines(&mut evolutions).flatten().map(|one| time(one)).collect();
    if times.len() <= plan.limits.instances {
        return Told { evolutions, cut: None };
    }
    times.sort_unstable();
    if plan.last_n.is_some() {
        times.reverse();
    }
    // The last instant that fits whole, or the first one if it does not fit either.
    let beyond = times[plan.limits.instances];
    let before = times[..plan.limits.instances].iter().rfind(|at| **at != beyond);
    let cut = *before.unwrap_or(&beyond);
    for line in lines(&mut evolutions) {
        line.retain(|one| match plan.last_n {
            Some(_) => time(one) >= cut,
            None => time(one) <= cut,
        });
    }
    Told { evolutions, cut: Some(cut) }
}

fn lines(evolutions: &mut [Evolution]) -> impl Iterator<Item = &mut Vec<Recorded>> {
    evolutions.iter_mut().flat_map(|one| one.attributes.iter_mut()).filter_map(|(_, line)| {
        match line {
            Line::Instances(line) => Some(line),
            Line::Aggregates(_) | Line::Cut(_) => None,
        }
    })
}
