//! A chronicle in memory: what is known of one entity that no store holds whole.

use std::convert::Infallible;

use super::{Chronicle, Column, Periods, Series, Span, Visit};
use crate::model::{Chapter, Recorded};

/// The history of one entity in memory, the instances of each series in any order.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub chapter: Chapter,
    pub series: Vec<Series>,
    /// Those of each series.
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
        let mut all = self.within(series, span);
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
        for recorded in self.within(series, span) {
            let Some(at) = recorded.time(span.property) else { continue };
            if recorded.deleted_at.is_none() && visit(Column::Instance(at, &recorded)).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Ledger {
    fn within(&self, series: usize, span: &Span) -> Vec<Recorded> {
        let own = self.instances.get(series).map_or(&[][..], Vec::as_slice);
        let lies = |one: &&Recorded| {
            one.time(span.property).is_some_and(|at| {
                span.from.is_none_or(|from| from <= at) && span.to.is_none_or(|to| at < to)
            })
        };
        let mut all: Vec<Recorded> = own.iter().filter(lies).cloned().collect();
        all.sort_by_key(|one| one.time(span.property));
        all
    }
}
