//! The temporal API (5.6.11 to 5.6.16, 5.7.3, 5.7.4).

mod add_instances;
mod batch_evolve;
mod delete_evolution;
mod delete_instances;
mod modify_instance;
mod plan;
mod query_evolution;
mod range;
mod retrieve_evolution;
mod upsert_evolution;

pub use plan::HistoryTexts;
pub use range::{RangeSize, TimeRange};

use super::{Broker, Call, Error, MapUse};
use crate::model::{AttrName, HistoryChange, HistoryWrite, InstanceId, Refusal, Timestamp};
use crate::query::{HistoryPlan, Told};
use crate::represent::{TemporalRendering, check_attribute_term};

/// What was found in the history of entities.
#[derive(Debug)]
pub struct History {
    pub told: Told,
    /// What was asked.
    pub plan: HistoryPlan,
    /// How it is to look.
    pub looks: TemporalRendering,
    /// How many entities there are in all, if it was asked.
    pub count: Option<u64>,
    /// Whether there are more entities after these.
    pub more: bool,
    /// Which time the answer covers, if it could not cover all that was asked for (6.3.10).
    pub range: Option<TimeRange>,
    /// Up to when means of hours or days stand for what was thinned, if any are told.
    pub thinned: Option<Timestamp>,
    /// The entity map that they were found by, if one was asked for (5.5.14).
    pub map: Option<MapUse>,
}

impl Broker {
    /// Commits one change of history; its refusal becomes the operation's error.
    async fn commit_past(&self, call: &Call, write: HistoryWrite) -> Result<HistoryChange, Error> {
        let mut outcomes = self.store.commit_history(&call.tenant, vec![write], call.now).await?;
        match outcomes.pop() {
            Some(outcome) => Ok(outcome?),
            None => Err(Error::Internal("the store answered nothing".to_owned())),
        }
    }
}

/// The attribute that a path names.
fn attribute_of(call: &Call, text: &str) -> Result<AttrName, Error> {
    let name = call.context.expand(text)?;
    check_attribute_term(text)?;
    Ok(name)
}

/// The instance that a path names: a URI, and one that this broker gave.
fn instance_of(attribute: AttrName, text: &str) -> Result<InstanceId, Error> {
    crate::model::check_uri(text).map_err(|why| Error::bad(format!("instanceId: {why}")))?;
    text.parse()
        .map_err(|_| Error::NotFound(format!("the attribute {attribute} has no instance {text}")))
}

/// A history write of an entity that nobody knows is refused so.
fn unknown(id: &crate::model::EntityId) -> Error {
    Error::Refused(Refusal::NoSuchEntity(id.clone()))
}
