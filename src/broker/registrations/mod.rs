//! The registry of context sources (5.9, 5.10): registrations are kept as records, and all of
//! them in memory, where they are matched.

mod conflicts;
mod delete;
mod expiry;
mod query;
mod register;
mod retrieve;
mod turn;
mod update;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

pub use query::{RegistrationPage, RegistrationTexts};

use super::{Broker, Error};
use crate::config::Limits;
use crate::egress::Guard;
use crate::model::{Change, EntityId, Outcome, RegistrationId, Stored, TenantId, Timestamp};
use crate::query::Limits as QueryLimits;
use crate::represent::registration::{
    ReadLimits, Registration, RegistrationError, RegistrationRecord,
};
use crate::store::{Note, Records, Shelf, Store, StoreError, Topic};
use crate::subscribe::REGISTRATIONS;

/// Hears of every registration that comes, changes or goes, soon after it did; on every broker
/// that shares the store.
pub trait RegistryFollower: Send + Sync {
    /// A registration is there, or is another than it was.
    fn put(&self, tenant: &TenantId, registration: &Arc<Registration>);

    /// A registration is no more.
    fn remove(&self, tenant: &TenantId, id: &RegistrationId);
}

/// The registrations of all tenants.
pub struct Registry {
    store: Arc<dyn Store>,
    guard: Guard,
    limits: ReadLimits,
    /// How many a tenant may have.
    most: usize,
    tenants: RwLock<HashMap<TenantId, BTreeMap<RegistrationId, Arc<Registration>>>>,
    /// Those that will expire, soonest first.
    expiring: Mutex<BTreeSet<(Timestamp, TenantId, RegistrationId)>>,
    followers: RwLock<Vec<Arc<dyn RegistryFollower>>>,
    /// Held while a registration is changed.
    changing: tokio::sync::Mutex<()>,
    /// Who this broker is among those that share the store.
    holder: String,
}

impl Registry {
    /// The registrations in a store. Sources may be where `guard` allows.
    pub(super) fn new(
        store: Arc<dyn Store>,
        guard: Guard,
        limits: &Limits,
        query: QueryLimits,
    ) -> Self {
        Self {
            store,
            guard,
            limits: ReadLimits { query, entries: limits.registration_entries },
            most: limits.registrations,
            tenants: RwLock::default(),
            expiring: Mutex::default(),
            followers: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
            holder: uuid::Uuid::now_v7().to_string(),
        }
    }

    /// Lets somebody follow: it hears of all that there are, then of what changes.
    pub fn follow(&self, follower: Arc<dyn RegistryFollower>) {
        // Nothing changes while the lock is held.
        let tenants = self.tenants.write();
        for (tenant, registrations) in tenants.iter() {
            registrations.values().for_each(|one| follower.put(tenant, one));
        }
        self.followers.write().push(follower);
    }

    /// The registration of this id, expired or not.
    pub fn get(&self, tenant: &TenantId, id: &RegistrationId) -> Option<Arc<Registration>> {
        self.tenants.read().get(tenant)?.get(id).cloned()
    }

    /// All registrations of a tenant that are alive, ordered by id.
    pub fn all(&self, tenant: &TenantId, now: Timestamp) -> Vec<Arc<Registration>> {
        let tenants = self.tenants.read();
        let all = tenants.get(tenant).into_iter().flat_map(BTreeMap::values);
        all.filter(|one| one.is_alive(now)).cloned().collect()
    }

    /// How many registrations a tenant has.
    pub fn count(&self, tenant: &TenantId) -> usize {
        self.tenants.read().get(tenant).map_or(0, BTreeMap::len)
    }

    fn records(&self, tenant: &TenantId) -> Records<'_, RegistrationRecord> {
        Records::on(&*self.store, shelf(tenant))
    }

    /// Reads all registrations; how many there are. One that cannot be read is left out, and said
    /// so.
    pub(super) async fn load(&self) -> Result<usize, StoreError> {
        let mut loaded = 0;
        for tenant in self.store.tenants().await? {
            let records = match self.records(&tenant).all().await {
                Err(StoreError::UnknownTenant(_)) => continue,
                records => records?,
            };
            for (id, record) in records {
                match record.registration(&ReadLimits::of_kept()) {
                    Ok(registration) => {
                        self.put(&tenant, Arc::new(registration));
                        loaded += 1;
                    }
                    Err(error) => {
                        tracing::error!(%tenant, id, %error, "a registration is not served");
                    }
                }
            }
        }
        Ok(loaded)
    }

    /// Reads a registration anew, after another broker changed it.
    pub(super) async fn refresh(&self, tenant: &TenantId, id: &str) -> Result<(), Error> {
        match self.records(tenant).get(id).await {
            Ok(Some(record)) => {
                self.put(tenant, Arc::new(record.registration(&ReadLimits::of_kept())?));
            }
            Ok(None) | Err(StoreError::UnknownTenant(_)) => {
                self.remove(tenant, &RegistrationId::from_trusted(id));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn put(&self, tenant: &TenantId, registration: Arc<Registration>) {
        let id = registration.id.clone();
        let mut tenants = self.tenants.write();
        let own = tenants.entry(tenant.clone()).or_default();
        let before = own.insert(id.clone(), registration.clone());
        let mut expiring = self.expiring.lock();
        if let Some(end) = before.and_then(|before| before.expires_at) {
            expiring.remove(&(end, tenant.clone(), id.clone()));
        }
        if let Some(end) = registration.expires_at {
            expiring.insert((end, tenant.clone(), id));
        }
        self.followers.read().iter().for_each(|one| one.put(tenant, &registration));
    }

    fn remove(&self, tenant: &TenantId, id: &RegistrationId) {
        let mut tenants = self.tenants.write();
        let Some(own) = tenants.get_mut(tenant) else { return };
        let Some(before) = own.remove(id) else { return };
        if let Some(end) = before.expires_at {
            self.expiring.lock().remove(&(end, tenant.clone(), id.clone()));
        }
        self.followers.read().iter().for_each(|one| one.remove(tenant, id));
    }

    /// The record of a registration.
    async fn record(
        &self,
        tenant: &TenantId,
        id: &RegistrationId,
    ) -> Result<RegistrationRecord, Error> {
        let record = self.records(tenant).get(id.as_str()).await?;
        record.ok_or_else(|| no_registration(id))
    }
}

impl Broker {
    /// The registry of context sources.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }
}

fn shelf(tenant: &TenantId) -> Shelf {
    Shelf::of(tenant, REGISTRATIONS)
}

fn no_registration(id: &RegistrationId) -> Error {
    Error::NotFound(format!("there is no registration {id}"))
}

/// What is kept as an event with a change of a registration.
fn note(
    id: &RegistrationId,
    before: Option<&RegistrationRecord>,
    after: Option<&RegistrationRecord>,
    at: Timestamp,
) -> Result<Note, Error> {
    let stored = |record: &RegistrationRecord| Ok::<_, Error>(Stored::new(record.to_entity()?));
    let change = Change {
        id: EntityId::from_trusted(id.as_str()),
        at,
        before: before.map(stored).transpose()?,
        after: after.map(stored).transpose()?,
        outcome: Outcome { created: before.is_none(), ..Outcome::default() },
    };
    Ok(Note { topic: Topic::Registration, change })
}

fn to_json(record: &RegistrationRecord) -> Result<serde_json::Value, Error> {
    serde_json::to_value(record).map_err(|error| Error::Internal(error.to_string()))
}

/// What has expired before it begins is refused (5.9.2.4, 5.9.3.4).
fn check_expiry(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
    match expires_at {
        Some(end) if end <= now => {
            Err(Error::bad(format!("$.expiresAt: {end} has passed; a registration ends later")))
        }
        _ => Ok(()),
    }
}

impl From<RegistrationError> for Error {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Read(error) => Error::Read(error),
            RegistrationError::TooComplex(error) => Error::Query(error),
        }
    }
}
