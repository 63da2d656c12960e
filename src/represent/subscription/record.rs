//! A Subscription as it is kept.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Draft, ReadLimits, Setting, Subscription, SubscriptionError};
use crate::jsonld::Context;
use crate::model::{SubscriptionId, Timestamp};
use crate::represent::ReadError;

/// A Subscription as it is kept: its members in their own words, names as IRIs, so that it means
/// the same after a restart, whatever became of the `@context` it was sent with.
///
/// Members and names are JSON text, since some stores do not take every key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionRecord {
    pub id: String,
    pub members: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub names: String,
    /// The address of the `@context` of notifications.
    pub context: String,
    /// As [`Timestamp::bits`].
    pub created_at: i64,
    /// As [`Timestamp::bits`].
    pub modified_at: i64,
    /// See [`Subscription::since`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

impl Subscription {
    /// The Subscription as it is kept.
    pub fn record(&self) -> SubscriptionRecord {
        let text = |members: &Map<String, Value>| match members.is_empty() {
            true => String::new(),
            false => Value::from(members.clone()).to_string(),
        };
        SubscriptionRecord {
            id: self.id.to_string(),
            members: text(&self.draft.members),
            names: text(&self.draft.names),
            context: self.context_address.to_string(),
            created_at: self.created_at.bits(),
            modified_at: self.modified_at.bits(),
            since: self.since,
        }
    }
}

impl SubscriptionRecord {
    /// The Subscription that was kept, however much it asks for: what was accepted once is not
    /// measured again. `context` is what stands at the address, or the core context if nothing does:
    /// names are then written in full, which every reader understands.
    pub fn subscription(
        &self,
        context: Arc<Context>,
        limits: &ReadLimits,
    ) -> Result<Subscription, SubscriptionError> {
        let (draft, setting) = self.parts(context)?;
        let read = draft.read(setting.clone(), limits);
        let read = read.or_else(|_| draft.read(setting, &limits.of_kept()))?;
        Ok(Subscription { since: self.since, ..read })
    }

    /// The members that were kept, and what they do not say.
    pub(super) fn parts(
        &self,
        context: Arc<Context>,
    ) -> Result<(Draft, Setting), SubscriptionError> {
        let draft = Draft { id: None, members: map(&self.members)?, names: map(&self.names)? };
        let setting = Setting {
            id: SubscriptionId::from_trusted(&self.id),
            context,
            context_address: self.context.as_str().into(),
            created_at: Timestamp::from_bits(self.created_at),
            modified_at: Timestamp::from_bits(self.modified_at),
        };
        Ok((draft, setting))
    }
}

fn map(text: &str) -> Result<Map<String, Value>, SubscriptionError> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|error| ReadError::new(error.to_string()).into())
}
