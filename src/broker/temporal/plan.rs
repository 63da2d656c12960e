//! The texts of a temporal request become a plan.

use super::super::{Broker, Call, Error, ViewTexts};
use crate::query::{Aggregate, HistoryLimits, HistoryPlan, Window, WindowParams, parse_last_n};
use crate::represent::{TemporalForm, TemporalRendering};

/// What a request says about time, as a URL or a Query body said it. Lists are comma-separated.
#[derive(Debug, Clone, Default)]
pub struct HistoryTexts {
    pub timerel: Option<String>,
    pub time_at: Option<String>,
    pub end_time_at: Option<String>,
    pub time_property: Option<String>,
    pub last_n: Option<String>,
    pub aggr_methods: Option<String>,
    pub aggr_period: Option<String>,
    /// The representation; absent if it was not said.
    pub form: Option<TemporalForm>,
    /// `aggregatedValues` was mentioned, though `format` may have overruled it.
    pub mentions_aggregates: bool,
}

impl HistoryTexts {
    /// The representation that is asked for.
    fn form(&self) -> TemporalForm {
        self.form.unwrap_or_default()
    }
}

impl Broker {
    /// The part of a plan that speaks of time and looks; its entities are left open. The window is
    /// absent from the answer if there is no temporal query.
    pub(super) fn history_plan(
        &self,
        call: &Call,
        texts: &HistoryTexts,
        view: &ViewTexts,
    ) -> Result<(HistoryPlan, TemporalRendering, bool), Error> {
        let window = Window::parse(&WindowParams {
            timerel: texts.timerel.as_deref(),
            time_at: texts.time_at.as_deref(),
            end_time_at: texts.end_time_at.as_deref(),
            time_property: texts.time_property.as_deref(),
        })?;
        let bounded = texts.timerel.is_some();
        let window = window.unwrap_or(Window {
            property: crate::model::TimeProperty::Placed,
            ..Window::default()
        });
        let limits = HistoryLimits {
            instances: self.limits.temporal_instances,
            buckets: self.limits.temporal_periods,
            distinct: self.limits.temporal_distinct,
        };
        let form = texts.form();
        let aggregated = form == TemporalForm::AggregatedValues;
        if !aggregated
            && !texts.mentions_aggregates
            && (texts.aggr_methods.is_some() || texts.aggr_period.is_some())
        {
            return Err(Error::request(
                "aggrMethods and aggrPeriodDuration belong to format=aggregatedValues",
            ));
        }
        let (methods, period) = (texts.aggr_methods.as_deref(), texts.aggr_period.as_deref());
        let last_n = texts.last_n.as_deref().map(parse_last_n).transpose()?;
        // Of aggregates the last so many are those of the last periods.
        let aggregate = match aggregated {
            true => {
                let aggregate = Aggregate::parse(methods, period, &window, &limits)?;
                Some(Aggregate { last: last_n, ..aggregate })
            }
            false => None,
        };
        let rendering = self.rendering(call, view)?;
        let datasets = &rendering.datasets;
        let plan = HistoryPlan {
            window,
            last_n: last_n.filter(|_| !aggregated),
            datasets: (!datasets.is_empty()).then(|| datasets.clone()),
            shown: rendering.projection.clone(),
            aggregate,
            limits,
            ..HistoryPlan::default()
        };
        Ok((plan, TemporalRendering { form, rendering, property: window.property }, bounded))
    }
}
