//! The Subscription (5.2.12): what somebody wants to be told of, and how.
//!
//! A Subscription is held twice: as the members that were accepted, in which every name is an IRI,
//! for showing, changing and keeping; and as what they mean, for matching and notifying.

mod accept;
mod params;
mod read;
mod record;
mod report;
mod sources;
#[cfg(test)]
mod tests;
pub(super) mod values;
mod write;

use std::{sync::Arc, time::Duration};

pub use accept::Draft;
pub use params::{Accept, Endpoint, KeyValuePair, NotificationParams};
pub use read::Setting;
pub use record::SubscriptionRecord;
pub use report::{DeliveryReport, DeliveryStatus};
pub use sources::AboutSources;
pub use write::Showing;

use super::{ReadError, write::SpecVersion};
use crate::jsonld::Context;
use crate::model::{AttrName, Difference, SubscriptionId, Timestamp, Turn, Turned};
use crate::query::{self, EntityPlan, ErrorKind, Filter, Lookups, QueryError};

/// A Subscription (5.2.12), all names expanded. How often it was told of something is kept apart,
/// in a [`DeliveryReport`], since that changes with every notification.
#[derive(Debug, Clone)]
pub struct Subscription {
    pub id: SubscriptionId,
    /// Whom it is about: `entities`, `q`, `geoQ`, `scopeQ` and `ordering`; without `entities`,
    /// every entity that has one of the watched attributes. The page is left open.
    pub plan: EntityPlan,
    /// When there is something to tell.
    pub timing: Timing,
    /// `csf`: which sources the entities may come from (4.9).
    pub sources: Option<Filter>,
    /// What is asked of sources, in a subscription to registrations (5.11); it is never told of
    /// entities.
    pub about_sources: Option<Arc<AboutSources>>,
    /// Only entities of this broker count.
    pub local_only: bool,
    /// Whether entities may be spread over several sources; the broker's setting if not said.
    pub split_entities: Option<bool>,
    /// False while it is paused.
    pub is_active: bool,
    pub expires_at: Option<Timestamp>,
    /// What is told, to whom and in which form.
    pub notification: NotificationParams,
    /// By what names are compacted in notifications, and under which link: `jsonldContext`.
    pub context: Arc<Context>,
    /// The address of that context, for `Link` headers.
    pub context_address: Arc<str>,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
    /// Events of the store's log up to this one were before it; by its creation, where that is not
    /// known. Where several brokers share a store their clocks may differ.
    pub since: Option<u64>,
    /// The snapshot whose changes it tells of, if it is one's (6.3.22).
    pub snapshot: Option<Arc<str>>,
    /// The members that were accepted.
    draft: Arc<Draft>,
}

/// How much a Subscription may ask for.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// Of `q`, geometries, regular expressions.
    pub query: query::Limits,
    /// How many linked entities `q` may look at to decide on one entity.
    pub lookups: Lookups,
    /// How many levels of linked entities a notification may hold.
    pub join_level: usize,
    /// How many linked entities a notification may hold.
    pub join_entities: usize,
    /// How large a notification may be for further ones to be put into it, in bytes.
    pub join_bytes: usize,
}

impl ReadLimits {
    /// The same for Subscriptions that were accepted before, perhaps under wider limits: these bind
    /// at the door only. What is done with them stays within the limits of today.
    pub fn of_kept(&self) -> Self {
        Self { query: query::Limits::OF_KEPT, join_level: usize::MAX, ..*self }
    }
}

/// Why a Subscription was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// A member is not what it should be.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It asks for more work than is allowed.
    #[error(transparent)]
    TooComplex(QueryError),
}

impl SubscriptionError {
    fn within(self, member: &str) -> Self {
        match self {
            Self::Read(error) => Self::Read(error.within(member)),
            other => other,
        }
    }

    fn within_item(self, index: usize) -> Self {
        match self {
            Self::Read(error) => Self::Read(error.within_item(index)),
            other => other,
        }
    }
}

impl From<QueryError> for SubscriptionError {
    /// What is wrong with a query is told by the member that holds it.
    fn from(error: QueryError) -> Self {
        match error.kind {
            ErrorKind::TooComplex => Self::TooComplex(error),
            _ => Self::Read(ReadError::new(error.message)),
        }
    }
}

/// When a Subscription has something to tell (5.8.6).
#[derive(Debug, Clone, PartialEq)]
pub enum Timing {
    /// `timeInterval`: all matching entities, each time the interval has passed.
    Every(Duration),
    /// When an entity changed.
    OnChange {
        /// `watchedAttributes`: only changes of these count; of all, if there are none.
        watched: Vec<AttrName>,
        triggers: Triggers,
        /// What must pass at least between two notifications.
        throttling: Option<Duration>,
    },
}

/// What can happen to an entity or an attribute (`notificationTrigger`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    EntityCreated,
    EntityUpdated,
    EntityDeleted,
    AttributeCreated,
    AttributeUpdated,
    AttributeDeleted,
}

impl Trigger {
    /// All of them, in the order of 5.2.12.
    pub const ALL: [Trigger; 6] = [
        Trigger::EntityCreated,
        Trigger::EntityUpdated,
        Trigger::EntityDeleted,
        Trigger::AttributeCreated,
        Trigger::AttributeUpdated,
        Trigger::AttributeDeleted,
    ];

    /// The word in `notificationTrigger`.
    pub fn word(self) -> &'static str {
        match self {
            Trigger::EntityCreated => "entityCreated",
            Trigger::EntityUpdated => "entityUpdated",
            Trigger::EntityDeleted => "entityDeleted",
            Trigger::AttributeCreated => "attributeCreated",
            Trigger::AttributeUpdated => "attributeUpdated",
            Trigger::AttributeDeleted => "attributeDeleted",
        }
    }

    /// The trigger of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.word() == word)
    }
}

impl From<Turn> for Trigger {
    fn from(turn: Turn) -> Self {
        match turn {
            Turn::Created => Trigger::AttributeCreated,
            Turn::Updated => Trigger::AttributeUpdated,
            Turn::Deleted => Trigger::AttributeDeleted,
        }
    }
}

/// A set of triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Triggers(u8);

impl Triggers {
    /// No trigger.
    pub const NONE: Self = Self(0);

    /// The set of these. `entityUpdated` stands for all changes of attributes (5.2.12).
    pub fn of(triggers: &[Trigger]) -> Self {
        let bit = |trigger: &Trigger| match trigger {
            Trigger::EntityUpdated => Self::bit(Trigger::EntityUpdated) | Self::ATTRIBUTES,
            other => Self::bit(*other),
        };
        Self(triggers.iter().map(bit).fold(0, |all, one| all | one))
    }

    const ATTRIBUTES: u8 = Self::bit(Trigger::AttributeCreated)
        | Self::bit(Trigger::AttributeUpdated)
        | Self::bit(Trigger::AttributeDeleted);

    const fn bit(trigger: Trigger) -> u8 {
        1 << trigger as u8
    }

    /// Whether the trigger is in the set.
    pub fn has(self, trigger: Trigger) -> bool {
        self.0 & Self::bit(trigger) != 0
    }

    /// Whether one of the others is in the set too.
    pub fn meets(self, others: Triggers) -> bool {
        self.0 & others.0 != 0
    }
}

impl Default for Triggers {
    /// What counts where `notificationTrigger` is not given.
    fn default() -> Self {
        Self::of(&[Trigger::AttributeCreated, Trigger::AttributeUpdated])
    }
}

/// Whether a Subscription tells anything (5.2.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Active,
    Paused,
    Expired,
}

impl Status {
    /// The word in `status`.
    pub fn word(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Paused => "paused",
            Status::Expired => "expired",
        }
    }
}

impl Subscription {
    /// Whether it tells anything now (5.8.1.4, 5.8.2.4).
    pub fn status(&self, now: Timestamp) -> Status {
        match (self.expires_at, self.is_active) {
            (Some(end), _) if end <= now => Status::Expired,
            (_, true) => Status::Active,
            (_, false) => Status::Paused,
        }
    }

    /// The members that were accepted.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// The attributes whose changes count; all, if there are none.
    pub fn watched(&self) -> &[AttrName] {
        match &self.timing {
            Timing::OnChange { watched, .. } => watched,
            Timing::Every(_) => &[],
        }
    }

    /// What counts as something to tell; nothing where it tells by the clock.
    pub fn triggers(&self) -> Triggers {
        match self.timing {
            Timing::OnChange { triggers, .. } => triggers,
            Timing::Every(_) => Triggers::NONE,
        }
    }

    /// Whether what happened to an entity is something to tell (5.8.6); whether the entity is one
    /// that it is about is for the plan to say. The creation of an entity is the creation of its
    /// attributes too, and its deletion their deletion. Where attributes are watched, only
    /// entities that have one of them are of interest.
    pub fn concerns(&self, difference: &Difference) -> bool {
        let Timing::OnChange { watched, triggers, .. } = &self.timing else { return false };
        let is_watched = |turned: &&Turned| watched.is_empty() || watched.contains(&turned.name);
        let mut turns = difference.turns.iter().filter(is_watched);
        let whole = (difference.created && triggers.has(Trigger::EntityCreated))
            || (difference.deleted && triggers.has(Trigger::EntityDeleted));
        if whole && (watched.is_empty() || turns.clone().next().is_some()) {
            return true;
        }
        turns.any(|turned| triggers.has(turned.turn.into()))
    }

    /// What must pass at least between two notifications.
    pub fn throttling(&self) -> Option<Duration> {
        match self.timing {
            Timing::OnChange { throttling, .. } => throttling,
            Timing::Every(_) => None,
        }
    }

    /// The version of the specification that notifications follow (`ngsildConformance`).
    pub fn version(&self) -> Option<SpecVersion> {
        self.notification.rendering.version
    }
}
