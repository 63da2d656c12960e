//! A Registration as it is kept.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::accept::bare;
use super::{Draft, ReadLimits, Registration, RegistrationError, Setting};
use crate::model::{Attribute, Datum, Entity, Instance, RegistrationId, Timestamp};
use crate::represent::ReadError;

/// A Registration as it is kept: its members in their own words, names as IRIs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegistrationRecord {
    pub id: String,
    /// JSON text, since some stores do not take every key.
    pub members: String,
    /// As [`Timestamp::bits`].
    pub created_at: i64,
    /// As [`Timestamp::bits`].
    pub modified_at: i64,
}

impl Registration {
    /// The Registration as it is kept.
    pub fn record(&self) -> RegistrationRecord {
        RegistrationRecord {
            id: self.id.to_string(),
            members: Value::from(self.draft.members.clone()).to_string(),
            created_at: self.created_at.bits(),
            modified_at: self.modified_at.bits(),
        }
    }
}

impl RegistrationRecord {
    /// The Registration that was kept.
    pub fn registration(&self, limits: &ReadLimits) -> Result<Registration, RegistrationError> {
        let members: Map<String, Value> = serde_json::from_str(&self.members)
            .map_err(|error| ReadError::new(error.to_string()))?;
        let setting = Setting {
            id: RegistrationId::from_trusted(&self.id),
            created_at: Timestamp::from_bits(self.created_at),
            modified_at: Timestamp::from_bits(self.modified_at),
        };
        Draft { id: None, members }.read(setting, limits)
    }
}

impl RegistrationRecord {
    /// The record inside an entity, as which it travels through the log of events.
    ///
    /// # Errors
    /// If the process holds as many names as it may.
    pub fn to_entity(&self) -> Result<Entity, RegistrationError> {
        let mut entity = bare(&self.id, Timestamp::from_bits(self.created_at))?;
        entity.modified_at = Timestamp::from_bits(self.modified_at);
        let kind = entity.types.as_slice()[0];
        let json = serde_json::to_value(self).map_err(|why| ReadError::new(why.to_string()))?;
        let instance = Instance::new(Datum::JsonProperty(Box::new(json)));
        entity.attributes.insert(kind, Attribute::one(instance));
        Ok(entity)
    }

    /// The record that an entity holds.
    pub fn of_entity(entity: &Entity) -> Option<Self> {
        let kind = entity.types.as_slice().first()?;
        let instance = entity.attributes.get(*kind)?.instances().first()?;
        match &instance.datum {
            Datum::JsonProperty(json) => serde_json::from_value((**json).clone()).ok(),
            _ => None,
        }
    }
}
