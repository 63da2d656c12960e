//! All subscriptions, by tenant: found by id, and by what a change may concern.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;

use super::entry::{Entry, What};
use super::index::{Index, Place};
use super::matching;
use crate::model::{Change, SubscriptionId, TenantId};
use crate::represent::subscription::Subscription;

/// All subscriptions.
#[derive(Default)]
pub(super) struct Register {
    tenants: ArcSwap<HashMap<TenantId, Arc<Tenant>>>,
    /// Held while a tenant is added.
    adding: Mutex<()>,
}

/// The subscriptions of a tenant. The lock is held for a few steps only, so that who commits a
/// change hardly ever waits for it.
#[derive(Default)]
struct Tenant(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    index: Index,
    /// Those that are about registrations, of which there are few.
    about_sources: BTreeSet<Place>,
    places: Vec<Option<Arc<Entry>>>,
    free: Vec<Place>,
    by_id: FxHashMap<SubscriptionId, Place>,
}

impl Register {
    fn tenant(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        self.tenants.load().get(id).cloned()
    }

    /// The subscription of this id.
    pub fn get(&self, tenant: &TenantId, id: &SubscriptionId) -> Option<Arc<Entry>> {
        let tenant = self.tenant(tenant)?;
        let inner = tenant.0.read();
        let place = *inner.by_id.get(id)?;
        inner.places.get(place as usize)?.clone()
    }

    /// Adds a subscription. If somebody else was faster, theirs stays, and is returned.
    pub fn add(&self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        let tenant = self.tenant(&entry.tenant).unwrap_or_else(|| self.add_tenant(&entry.tenant));
        let mut inner = tenant.0.write();
        if let Some(place) = inner.by_id.get(&entry.id) {
            return inner.places.get(*place as usize)?.clone();
        }
        let place = inner.free.pop().unwrap_or(inner.places.len() as Place);
        inner.file(place, &entry.what.load().subscription);
        inner.by_id.insert(entry.id.clone(), place);
        match inner.places.get_mut(place as usize) {
            Some(free) => *free = Some(entry),
            None => inner.places.push(Some(entry)),
        }
        None
    }

    fn add_tenant(&self, id: &TenantId) -> Arc<Tenant> {
        let _adding = self.adding.lock();
        let known = self.tenants.load();
        if let Some(tenant) = known.get(id) {
            return tenant.clone();
        }
        let tenant = Arc::new(Tenant::default());
        let mut tenants = HashMap::clone(&known);
        tenants.insert(id.clone(), tenant.clone());
        self.tenants.store(Arc::new(tenants));
        tenant
    }

    /// Lets a subscription say something else from now on.
    pub fn replace(&self, entry: &Entry, what: What) {
        let Some(tenant) = self.tenant(&entry.tenant) else { return };
        let mut inner = tenant.0.write();
        let Some(place) = inner.by_id.get(&entry.id).copied() else { return };
        inner.unfile(place, &entry.what.load().subscription);
        inner.file(place, &what.subscription);
        entry.what.store(Arc::new(what));
    }

    /// Takes a subscription out.
    pub fn remove(&self, tenant: &TenantId, id: &SubscriptionId) -> Option<Arc<Entry>> {
        let tenant = self.tenant(tenant)?;
        let mut inner = tenant.0.write();
        let place = inner.by_id.remove(id)?;
        let entry = inner.places.get_mut(place as usize)?.take()?;
        inner.unfile(place, &entry.what.load().subscription);
        inner.free.push(place);
        Some(entry)
    }

    /// How many subscriptions a tenant has.
    pub fn count(&self, tenant: &TenantId) -> usize {
        self.tenant(tenant).map_or(0, |tenant| tenant.0.read().by_id.len())
    }

    /// The subscriptions that a change may concern.
    pub fn candidates(&self, tenant: &TenantId, change: &Change, found: &mut Vec<Arc<Entry>>) {
        found.clear();
        let Some(tenant) = self.tenant(tenant) else { return };
        let mut places = Vec::new();
        let inner = tenant.0.read();
        inner.index.candidates(change, &mut places);
        found.extend(places.iter().filter_map(|place| inner.places[*place as usize].clone()));
    }

    /// The subscriptions of a tenant that are about registrations.
    pub fn about_sources(&self, tenant: &TenantId, found: &mut Vec<Arc<Entry>>) {
        found.clear();
        let Some(tenant) = self.tenant(tenant) else { return };
        let inner = tenant.0.read();
        let places = inner.about_sources.iter();
        found.extend(places.filter_map(|place| inner.places[*place as usize].clone()));
    }

    /// Whether any subscription may want to be told of a change: all but its conditions are
    /// looked at.
    pub fn wants(&self, tenant: &TenantId, change: &Change) -> bool {
        let tenants = self.tenants.load();
        let Some(tenant) = tenants.get(tenant) else { return false };
        let mut places = Vec::new();
        let inner = tenant.0.read();
        inner.index.candidates(change, &mut places);
        if places.is_empty() {
            return false;
        }
        let difference = matching::difference(change);
        let entries = places.iter().filter_map(|place| inner.places[*place as usize].as_ref());
        let mut concerned = entries
            .map(|one| matching::concerns(&one.what.load().subscription, change, &difference));
        concerned.any(|one| one)
    }

    /// Every subscription, tenant by tenant.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        let tenants = self.tenants.load();
        tenants.values().flat_map(|tenant| tenant.entries()).collect()
    }

    /// Every subscription of a tenant, ordered by id.
    pub fn of(&self, tenant: &TenantId) -> Vec<Arc<Entry>> {
        let mut entries = self.tenant(tenant).map_or(Vec::new(), |tenant| tenant.entries());
        entries.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        entries
    }
}

impl Inner {
    fn file(&mut self, place: Place, subscription: &Subscription) {
        match subscription.about_sources {
            Some(_) => drop(self.about_sources.insert(place)),
            None => self.index.insert(place, subscription),
        }
    }

    fn unfile(&mut self, place: Place, subscription: &Subscription) {
        match subscription.about_sources {
            Some(_) => drop(self.about_sources.remove(&place)),
            None => self.index.remove(place, subscription),
        }
    }
}

impl Tenant {
    fn entries(&self) -> Vec<Arc<Entry>> {
        self.0.read().places.iter().flatten().cloned().collect()
    }
}
