//! Subscriptions to registrations (5.11): the same members, asked of sources.

use std::sync::Arc;

use serde_json::Value;

use super::values::{object, string};
use super::{Accept, Draft, ReadLimits, Setting, Subscription, SubscriptionError};
use super::{SubscriptionRecord, Timing};
use crate::jsonld::Context;
use crate::model::{Name, Timestamp};
use crate::query::{Term, Window, WindowParams};
use crate::represent::ReadError;
use crate::represent::registration::{Registration, Sought, SourceFilter, TriggerReason};

/// What a subscription to registrations asks of sources (5.11.7), beside its `entities`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AboutSources {
    /// `watchedAttributes` and the `attributes` of notifications: a source has one of them; any
    /// source, if there are none.
    pub attrs: Vec<Term>,
    /// `csf`, `geoQ`, `scopeQ` and `temporalQ`.
    pub filter: SourceFilter,
}

impl Draft {
    /// The subscription to registrations that these members make. `q` says nothing of sources:
    /// it is kept, and has to be a query.
    pub fn read_about_sources(
        &self,
        setting: Setting,
        limits: &ReadLimits,
    ) -> Result<Subscription, SubscriptionError> {
        let mut plain = self.clone();
        let temporal = plain.members.shift_remove("temporalQ");
        let mut subscription = plain.read(setting, limits)?;
        if subscription.notification.endpoint.accept == Accept::GeoJson {
            let why = "use application/json or application/ld+json (5.3.2)";
            let error = ReadError::new(why).within("accept").within("endpoint");
            return Err(error.within("notification").into());
        }
        let window = temporal.as_ref().map(window).transpose();
        let window = window.map_err(|error| error.within("temporalQ"))?;
        let conditions = subscription.sources.take().into_iter().collect();
        let (geo, scope) = (subscription.plan.geo.clone(), subscription.plan.scope.clone());
        subscription.about_sources = Some(Arc::new(AboutSources {
            attrs: self.attributes_of_interest(),
            filter: SourceFilter { conditions, geo, scope, window: window.flatten() },
        }));
        subscription.draft = Arc::new(self.clone());
        Ok(subscription)
    }

    /// The names were checked before.
    fn attributes_of_interest(&self) -> Vec<Term> {
        let notified = self.members.get("notification").and_then(|params| params.get("attributes"));
        let lists = [self.members.get("watchedAttributes"), notified];
        let names = lists.into_iter().flatten().filter_map(Value::as_array).flatten();
        let names = names.filter_map(|iri| Name::intern(iri.as_str()?).ok());
        names.map(Term::known).collect()
    }
}

/// A TemporalQuery (5.2.21), as far as it is about time.
fn window(value: &Value) -> Result<Option<Window>, SubscriptionError> {
    let members = object(value, "a TemporalQuery is a JSON object")?;
    let mut params = WindowParams::default();
    for (name, value) in members {
        let text = || string(value).map(Some).map_err(|error| error.within(name));
        match name.as_str() {
            "timerel" => params.timerel = text()?,
            "timeAt" => params.time_at = text()?,
            "endTimeAt" => params.end_time_at = text()?,
            "timeproperty" => params.time_property = text()?,
            "type" | "@type" | "lastN" => {}
            _ => {
                let error = ReadError::new("a TemporalQuery of sources has no such member");
                return Err(error.within(name).into());
            }
        }
    }
    Ok(Window::parse(&params)?)
}

impl SubscriptionRecord {
    /// The subscription to registrations that was kept; see [`SubscriptionRecord::subscription`].
    pub fn subscription_about_sources(
        &self,
        context: Arc<Context>,
        limits: &ReadLimits,
    ) -> Result<Subscription, SubscriptionError> {
        let (draft, setting) = self.parts(context)?;
        let read = draft.read_about_sources(setting.clone(), limits);
        let read = read.or_else(|_| draft.read_about_sources(setting, &limits.of_kept()))?;
        Ok(Subscription { since: self.since, ..read })
    }
}

impl Subscription {
    /// Which entities and attributes of sources it asks for; None where it is about entities.
    pub fn sought(&self) -> Option<Sought<'_>> {
        let about = self.about_sources.as_ref()?;
        Some(Sought { select: &self.plan.select, attrs: &about.attrs })
    }

    /// Whether it is about a registration at a time (5.11.7).
    pub fn is_about(&self, registration: &Registration, now: Timestamp) -> bool {
        match (&self.about_sources, self.sought()) {
            (Some(about), Some(sought)) => {
                registration.has(sought) && about.filter.admits(registration, now)
            }
            _ => false,
        }
    }

    /// Why it is told of a registration that was one thing and is another; None if it is not.
    pub fn reason(
        &self,
        before: Option<&Registration>,
        after: Option<&Registration>,
        at: Timestamp,
    ) -> Option<TriggerReason> {
        if !matches!(self.timing, Timing::OnChange { .. }) {
            return None;
        }
        // What has ended was there until then.
        let was = before.is_some_and(|one| {
            let end = one.expires_at.filter(|end| *end <= at);
            self.is_about(one, end.map_or(at, |end| end.plus_micros(-1)))
        });
        let is = after.is_some_and(|one| self.is_about(one, at));
        match (was, is) {
            (false, false) => None,
            (false, true) => Some(TriggerReason::NewlyMatching),
            (true, true) => Some(TriggerReason::Updated),
            (true, false) => Some(TriggerReason::NoLongerMatching),
        }
    }
}
