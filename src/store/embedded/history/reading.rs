//! What histories are read with: the engine as of a moment, and what was recorded lately.

use std::ops::ControlFlow;

use super::newest::{Epoch, Newest};
use super::pack::read_tail;
use super::recent::View;
use crate::store::StoreError;
use crate::store::embedded::Inner;
use crate::store::embedded::engine::Look;
use crate::store::history::{Reach, Rows, SeriesKey, ShowBlock, Volumes};

/// What reads of histories are made with; view and epoch were taken before the look.
pub(in crate::store::embedded) struct Reading<'a> {
    pub look: &'a Look<'a>,
    pub recent: &'a View,
    pub newest: &'a Newest,
    pub epoch: Option<Epoch>,
}

impl Inner {
    /// Reads histories.
    pub(super) fn read_past<T>(
        &self,
        act: impl FnOnce(&Reading<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (newest, recent) = (&self.history.newest, self.history.recent.view());
        let epoch = newest.epoch();
        self.engine.look(|look| act(&Reading { look, recent: &recent, newest, epoch }))
    }
}

impl Volumes for Reading<'_> {
    fn tail(&self, series: &SeriesKey) -> Result<Rows, StoreError> {
        let mut lately = Rows::default();
        self.recent.rows(series, &mut lately)?;
        let mut rows = read_tail(self.look, series, usize::MAX)?.rows;
        if rows.is_empty() {
            rows = lately;
        } else {
            (0..lately.len()).for_each(|row| rows.push(lately.get(row)));
        }
        rows.settle(true);
        Ok(rows)
    }

    fn blocks(
        &self,
        series: &SeriesKey,
        reach: Reach,
        show: &mut ShowBlock<'_>,
    ) -> Result<(), StoreError> {
        let from_the_end = reach.backwards && reach.before.is_none();
        let Some(epoch) = self.epoch.filter(|_| from_the_end) else {
            return self.look.blocks(series, reach, show);
        };
        if let Some((place, block)) = self.newest.get(epoch, series) {
            return match show(place, &block)? {
                ControlFlow::Break(()) => Ok(()),
                ControlFlow::Continue(()) => {
                    self.look.blocks(series, Reach { before: Some(place), ..reach }, show)
                }
            };
        }
        let mut is_newest = true;
        self.look.blocks(series, reach, &mut |place, block| {
            if std::mem::take(&mut is_newest) {
                self.newest.keep(epoch, series, (place, block.into()));
            }
            show(place, block)
        })
    }
}

/// What is not packed of a series says this of one time.
pub(in crate::store::embedded) fn tail_at(
    look: &Look<'_>,
    recent: &View,
    series: &SeriesKey,
    time: i64,
) -> Result<Rows, StoreError> {
    let (mut found, mut lately) = (Rows::default(), Rows::default());
    let mut take = |rows: &Rows| {
        for row in (0..rows.len()).filter(|row| rows.time[*row] == time) {
            found.push(rows.get(row));
        }
    };
    recent.rows(series, &mut lately)?;
    take(&read_tail(look, series, usize::MAX)?.rows);
    take(&lately);
    found.settle(true);
    Ok(found)
}
