//! Context source identity (5.15.1, 5.2.40).

use super::{Broker, Error};
use crate::model::{TenantId, Timestamp};
use crate::store::{Records, Shelf};

/// Who this broker is towards a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceIdentity {
    /// A URI.
    pub id: String,
    /// The pseudonym that a `Via` header names; another for each tenant, the same after a restart.
    pub alias: String,
    /// Seconds since the broker was started.
    pub uptime_seconds: i64,
    pub time: Timestamp,
}

/// Where the broker keeps the number that it gave itself when it was first started.
const SHELF: Shelf = Shelf::shared("identity");

impl Broker {
    /// Who this broker is towards a tenant. 5.15.1.
    pub async fn source_identity(
        &self,
        tenant: &TenantId,
        now: Timestamp,
    ) -> Result<SourceIdentity, Error> {
        let alias = self.alias(tenant).await?;
        Ok(SourceIdentity {
            id: format!("urn:ngsi-ld:ContextSourceIdentity:{alias}"),
            alias: alias.to_string(),
            uptime_seconds: (now.micros() - self.started_at.micros()).max(0) / 1_000_000,
            time: now,
        })
    }

    /// The number is chosen once; of several brokers on one store the first wins.
    pub(super) async fn identity(&self) -> Result<String, Error> {
        let records = Records::<String>::on(&*self.store, SHELF);
        if let Some(seed) = records.get("broker").await? {
            return Ok(seed);
        }
        let chosen = uuid::Uuid::new_v4().to_string();
        records.add("broker", &chosen).await?;
        Ok(records.get("broker").await?.unwrap_or(chosen))
    }
}

/// The name towards a tenant: the one that was chosen for this broker, or one that is made up; for
/// tenants with a name it ends otherwise for each.
pub(super) fn alias_of(own: Option<&str>, seed: &str, tenant: &TenantId) -> String {
    match (own, tenant.name()) {
        (Some(own), None) => own.to_owned(),
        (Some(own), Some(tenant)) => format!("{own}-{:016x}", fingerprint(&[own, tenant])),
        (None, tenant) => format!("lanna-{:016x}", fingerprint(&[seed, tenant.unwrap_or("")])),
    }
}

/// FNV-1a over the parts: nothing secret hangs on it, and it is the same for all times.
pub(super) fn fingerprint(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
