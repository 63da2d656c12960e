//! The temporal API (5.6.11 to 5.6.16, 5.7.3, 5.7.4).

mod add_instances;
mod again;
mod batch_evolve;
mod delete_evolution;
mod delete_instances;
mod modify_instance;
mod plan;
mod query_evolution;
mod range;
mod retrieve_evolution;
mod upsert_evolution;

pub use again::{AskedHistory, KeptHistory};
pub use plan::HistoryTexts;
pub use range::{RangeSize, TimeRange};

pub(super) use again::KeptHistories;

use crate::egress::Method;

use super::federation::{Body, Missing, Place, Telling};
use super::{Broker, Call, Error, MapUse, Settled};
use crate::federate::Warning;
use crate::model::{
    AttrName, EntityId, HistoryAction, HistoryChange, HistoryWrite, InstanceId, Refusal, Timestamp,
};
use crate::query::{HistoryPlan, Told};
use crate::represent::registration::Operation;
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
    /// What there is to say of sources.
    pub warnings: Vec<Warning>,
    /// The entity map that they were found by, if one was asked for (5.5.14).
    pub map: Option<MapUse>,
}

impl Broker {
    /// Commits one change of history; its refusal becomes the operation's error.
    pub(super) async fn commit_past(
        &self,
        call: &Call,
        write: HistoryWrite,
    ) -> Result<HistoryChange, Error> {
        let mut outcomes = self.store.commit_history(&call.tenant, vec![write], call.now).await?;
        match outcomes.pop() {
            Some(outcome) => Ok(outcome?),
            None => Err(Error::Internal("the store answered nothing".to_owned())),
        }
    }
}

impl Broker {
    /// Changes the history of one attribute here and where else it is.
    #[expect(clippy::too_many_arguments, reason = "each says another thing about one attribute")]
    async fn change_past(
        &self,
        call: &Call,
        id: &EntityId,
        name: AttrName,
        path: Place<'_>,
        body: Body<'_>,
        (operation, method, params): (Operation, Method, Vec<(&'static str, String)>),
        action: HistoryAction,
    ) -> Result<Settled, Error> {
        let attributes = Some(vec![name]);
        let telling = Telling {
            id,
            types: &[],
            only: None,
            attributes,
            operation,
            method,
            path,
            params,
            body,
        };
        match self.history_everywhere(call, &telling, action).await? {
            Ok(parts) => parts.settle(id, Missing::Anywhere),
            Err(action) => {
                self.commit_past(call, HistoryWrite { id: id.clone(), action }).await?;
                Ok(Settled::Done)
            }
        }
    }
}

/// The attribute that a path names.
fn attribute_of(call: &Call, text: &str) -> Result<AttrName, Error> {
    let name = call.context.expand(text)?;
    check_attribute_term(text)?;
    Ok(name)
}

/// The instance that a path names: a URI, and one that this broker gave or that a source may have
/// given.
fn instance_of(call: &Call, attribute: AttrName, text: &str) -> Result<InstanceId, Error> {
    crate::model::check_uri(text).map_err(|why| Error::bad(format!("instanceId: {why}")))?;
    match text.parse() {
        Ok(id) => Ok(id),
        Err(_) if call.origin().is_some() => Ok(InstanceId::of_foreign(text)),
        Err(_) => Err(Error::NotFound(format!("the attribute {attribute} has no instance {text}"))),
    }
}

/// A history write of an entity that nobody knows is refused so.
fn unknown(id: &crate::model::EntityId) -> Error {
    Error::Refused(Refusal::NoSuchEntity(id.clone()))
}
