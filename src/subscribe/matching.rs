//! Whether a change is to be told to a subscription (5.8.6). Pure.

use super::sources::Sources;
use crate::model::{Change, Difference, Entity, Timestamp};
use crate::query::{Lookup, NoLookup};
use crate::represent::subscription::{Status, Subscription};
use crate::store::{Event, Topic};

/// Whether a change is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    No,
    Yes,
    /// The query follows links: [`holds`] decides with the linked entities at hand.
    Ask,
}

/// What an event tells, as subscriptions are judged by it.
pub(super) struct Happened<'e> {
    event: &'e Event,
    what: What,
}

enum What {
    /// An entity changed.
    Entity(Difference),
    /// A registration changed.
    Registration(Sources),
    /// A subscription did, of which nobody is told.
    Subscription,
    /// A source told of it: it looked at all that is asked for.
    Told,
}

impl<'e> Happened<'e> {
    /// What an event tells.
    pub fn of(event: &'e Event) -> Self {
        let change = &event.change;
        let what = match &event.topic {
            Topic::Entity => What::Entity(difference(change)),
            Topic::Registration => What::Registration(Sources::of(&change.before, &change.after)),
            Topic::Subscription => What::Subscription,
            Topic::Told(_) => What::Told,
        };
        Self { event, what }
    }

    /// Whether it is to be told to a subscription of the same tenant.
    pub fn judge(&self, subscription: &Subscription) -> Verdict {
        let change = &self.event.change;
        if !is_after(self.event, subscription) {
            return Verdict::No;
        }
        match &self.what {
            What::Entity(_) if subscription.about_sources.is_some() => Verdict::No,
            What::Entity(difference) => judge(subscription, change, difference),
            What::Registration(sources) => {
                let active = subscription.status(change.at) == Status::Active;
                match active && sources.reason(subscription, change.at).is_some() {
                    true => Verdict::Yes,
                    false => Verdict::No,
                }
            }
            What::Subscription => Verdict::No,
            What::Told => self.judge_told(subscription),
        }
    }

    /// What a source told is for one subscription.
    fn judge_told(&self, subscription: &Subscription) -> Verdict {
        let own = matches!(&self.event.topic, Topic::Told(id) if *id == subscription.id);
        match own && subscription.status(self.event.change.at) == Status::Active {
            true => Verdict::Yes,
            false => Verdict::No,
        }
    }
}

/// Whether an event came after a subscription was made.
fn is_after(event: &Event, subscription: &Subscription) -> bool {
    match subscription.since {
        Some(since) => event.sequence > since,
        None => event.change.at >= subscription.created_at,
    }
}

/// What really changed, values compared; expired instances are not there.
pub(super) fn difference(change: &Change) -> Difference {
    let before = change.before.as_deref().map(|stored| &stored.entity);
    let after = change.after.as_deref().map(|stored| &stored.entity);
    Difference::between(before, after)
}

/// Whether the subscription tells anything at the time of the change, and the change is one of
/// those it is about, as far as its triggers, watched attributes and selectors say.
pub(super) fn concerns(
    subscription: &Subscription,
    change: &Change,
    difference: &Difference,
) -> bool {
    subscription.status(change.at) == Status::Active
        && subscription.concerns(difference)
        && subject(
            change.before.as_deref().map(|s| &s.entity),
            change.after.as_deref().map(|s| &s.entity),
            change.at,
        )
        .is_some_and(|(entity, _)| {
            let select = &subscription.plan.select;
            select.is_empty() || select.iter().any(|one| one.matches(entity))
        })
}

/// Whether the change is to be told.
fn judge(subscription: &Subscription, change: &Change, difference: &Difference) -> Verdict {
    if !concerns(subscription, change, difference) {
        return Verdict::No;
    }
    if subscription.plan.link_depth() > 0 {
        return Verdict::Ask;
    }
    let before = change.before.as_deref().map(|stored| &stored.entity);
    let after = change.after.as_deref().map(|stored| &stored.entity);
    match holds(subscription, before, after, change.at, &NoLookup) {
        true => Verdict::Yes,
        false => Verdict::No,
    }
}

/// Whether the conditions of the subscription hold of what the entity is now, or of what it was
/// if it is gone.
pub(super) fn holds(
    subscription: &Subscription,
    before: Option<&Entity>,
    after: Option<&Entity>,
    at: Timestamp,
    lookup: &dyn Lookup,
) -> bool {
    subject(before, after, at)
        .is_some_and(|(entity, at)| subscription.plan.matches(entity, at, lookup))
}

/// The entity that conditions are about, and when it was so: one that has expired was there until
/// then.
fn subject<'e>(
    before: Option<&'e Entity>,
    after: Option<&'e Entity>,
    at: Timestamp,
) -> Option<(&'e Entity, Timestamp)> {
    if let Some(after) = after {
        return Some((after, at));
    }
    let before = before?;
    let end = before.expires_at.filter(|end| *end <= at);
    Some((before, end.map_or(at, |end| end.plus_micros(-1))))
}
