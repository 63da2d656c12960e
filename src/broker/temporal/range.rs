//! Which part of the time that was asked for an answer covers (6.3.10).

use crate::model::Timestamp;
use crate::query::{HistoryPlan, Line, Told};

/// The time that an answer covers whole, for every attribute in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// With lastN this is the later end.
    pub start: Timestamp,
    pub end: Timestamp,
    pub size: RangeSize,
}

/// How many instances of an attribute were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeSize {
    LastN(usize),
    Unknown,
}

impl TimeRange {
    /// The range of what is told, if it was cut.
    pub(super) fn of(plan: &HistoryPlan, told: &Told) -> Option<Self> {
        let cut = told.cut?;
        let property = plan.window.property;
        let lines = told.evolutions.iter().flat_map(|one| &one.attributes);
        let times = lines.flat_map(|(_, line)| match line {
            Line::Instances(all) => all.as_slice(),
            Line::Aggregates(_) | Line::Cut(_) => &[],
        });
        let scopes = told.evolutions.iter().flat_map(|one| &one.chapter.scopes);
        let scopes = scopes.filter_map(|change| change.time(property));
        let (mut oldest, mut newest) = (cut, cut);
        for at in times.filter_map(|one| one.time(property)).chain(scopes) {
            oldest = oldest.min(at);
            newest = newest.max(at);
        }
        Some(match plan.last_n {
            Some(most) => Self {
                start: plan.window.to.unwrap_or(newest),
                end: oldest,
                size: RangeSize::LastN(most),
            },
            None => Self {
                start: plan.window.from.unwrap_or(oldest),
                end: newest,
                size: RangeSize::Unknown,
            },
        })
    }
}
