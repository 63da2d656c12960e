//! All registered sources, by tenant: found by id, and by what a request may concern.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;

use super::health::Health;
use super::index::{Clue, Index, Place};
use super::source::Source;
use crate::model::{EntityId, RegistrationId, TenantId, TypeSelection};
use crate::query::Selector;
use crate::represent::registration::Registration;
use crate::represent::subscription::DeliveryReport;

/// All registered sources.
#[derive(Debug, Default)]
pub struct Register {
    count: AtomicUsize,
    /// How many sources have headers of clients passed on.
    passing: AtomicUsize,
    tenants: ArcSwap<HashMap<TenantId, Arc<Tenant>>>,
    /// Held while a tenant is added.
    adding: Mutex<()>,
}

/// The sources of a tenant.
#[derive(Debug, Default)]
struct Tenant(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    index: Index,
    places: Vec<Option<Arc<Source>>>,
    free: Vec<Place>,
    by_id: FxHashMap<RegistrationId, Place>,
    /// The headers of clients that sources have passed on, and how many have each.
    passed: FxHashMap<Box<str>, usize>,
}

impl Register {
    /// Whether a tenant has any source. Where nobody has one, this costs one look at a number.
    pub fn has(&self, tenant: &TenantId) -> bool {
        self.count.load(Ordering::Relaxed) > 0
            && self.tenants.load().get(tenant).is_some_and(|tenant| tenant.count() > 0)
    }

    /// How many sources there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn tenant(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        self.tenants.load().get(id).cloned()
    }

    /// Takes a registration in, in place of the one of the same id; how its source fares is known
    /// already then.
    pub fn put(&self, tenant: &TenantId, registration: Arc<Registration>, report: DeliveryReport) {
        let tenant = self.tenant(tenant).unwrap_or_else(|| self.add_tenant(tenant));
        let mut inner = tenant.0.write();
        let before = inner.take(&registration.id);
        let report = before.as_ref().map_or(report, |source| source.health.report());
        self.passes(before.as_deref(), false);
        let source = Arc::new(Source::new(registration, Health::new(report)));
        self.passes(Some(&source), true);
        inner.add(source);
        if before.is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes a registration out.
    pub fn remove(&self, tenant: &TenantId, id: &RegistrationId) -> Option<Arc<Source>> {
        let source = self.tenant(tenant)?.0.write().take(id)?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.passes(Some(&source), false);
        Some(source)
    }

    /// The source of this id.
    pub fn get(&self, tenant: &TenantId, id: &RegistrationId) -> Option<Arc<Source>> {
        let tenant = self.tenant(tenant)?;
        let inner = tenant.0.read();
        let place = *inner.by_id.get(id)?;
        inner.places.get(place as usize)?.clone()
    }

    /// How a source fares, if there is one of this id.
    pub fn report(&self, tenant: &TenantId, id: &RegistrationId) -> Option<DeliveryReport> {
        self.get(tenant, id).map(|source| source.health.report())
    }

    /// Whether a request about these entities may concern any source of a tenant: mostly none.
    pub fn may_concern(&self, tenant: &TenantId, select: &[Selector]) -> bool {
        let tenants = self.tenants.load();
        let Some(tenant) = tenants.get(tenant) else { return false };
        tenant.0.read().index.concerns(select)
    }

    /// Whether a request about one entity may concern any source of a tenant, as far as its id and
    /// what is said of its types tell.
    pub fn may_concern_one(
        &self,
        tenant: &TenantId,
        id: &EntityId,
        types: Option<&TypeSelection>,
    ) -> bool {
        let tenants = self.tenants.load();
        let Some(tenant) = tenants.get(tenant) else { return false };
        tenant.0.read().index.concerns_any(std::slice::from_ref(id), types)
    }

    /// The sources that a request may concern, ordered by id.
    pub(super) fn candidates(&self, tenant: &TenantId, clue: &Clue<'_>) -> Vec<Arc<Source>> {
        let Some(tenant) = self.tenant(tenant) else { return Vec::new() };
        let inner = tenant.0.read();
        let places = inner.index.candidates(clue);
        let sources = places.iter().filter_map(|place| inner.places.get(*place as usize)?.clone());
        let mut sources: Vec<Arc<Source>> = sources.collect();
        drop(inner);
        sources.sort_unstable_by(|a, b| a.id().cmp(b.id()));
        sources
    }

    /// Every source of a tenant, ordered by id.
    pub fn of(&self, tenant: &TenantId) -> Vec<Arc<Source>> {
        let mut sources = self.tenant(tenant).map_or(Vec::new(), |tenant| tenant.sources());
        sources.sort_unstable_by(|a, b| a.id().cmp(b.id()));
        sources
    }

    /// The headers of clients that any source of a tenant has passed on.
    pub fn passed_headers(&self, tenant: &TenantId) -> Vec<Box<str>> {
        if self.passing.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let Some(tenant) = self.tenant(tenant) else { return Vec::new() };
        tenant.0.read().passed.keys().cloned().collect()
    }

    /// The tenants that have any source.
    pub fn tenants(&self) -> HashSet<TenantId> {
        let tenants = self.tenants.load();
        let some = tenants.iter().filter(|(_, tenant)| tenant.count() > 0);
        some.map(|(id, _)| id.clone()).collect()
    }

    /// Every source with its tenant.
    pub fn all(&self) -> Vec<(TenantId, Arc<Source>)> {
        let tenants = self.tenants.load();
        let each = tenants.iter().flat_map(|(id, tenant)| {
            tenant.sources().into_iter().map(|source| (id.clone(), source))
        });
        each.collect()
    }

    /// Counts a source that comes or goes, if it has headers passed on.
    fn passes(&self, source: Option<&Source>, comes: bool) {
        if source.is_some_and(|source| passed_by(source).next().is_some()) {
            match comes {
                true => self.passing.fetch_add(1, Ordering::Relaxed),
                false => self.passing.fetch_sub(1, Ordering::Relaxed),
            };
        }
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
}

impl Tenant {
    fn count(&self) -> usize {
        self.0.read().by_id.len()
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        self.0.read().places.iter().flatten().cloned().collect()
    }
}

impl Inner {
    fn add(&mut self, source: Arc<Source>) {
        let place = self.free.pop().unwrap_or(self.places.len() as Place);
        self.index.insert(place, &source.registration);
        for name in passed_by(&source) {
            *self.passed.entry(name.into()).or_default() += 1;
        }
        self.by_id.insert(source.registration.id.clone(), place);
        match self.places.get_mut(place as usize) {
            Some(free) => *free = Some(source),
            None => self.places.push(Some(source)),
        }
    }

    fn take(&mut self, id: &RegistrationId) -> Option<Arc<Source>> {
        let place = self.by_id.remove(id)?;
        let source = self.places.get_mut(place as usize)?.take()?;
        self.index.remove(place, &source.registration);
        for name in passed_by(&source) {
            if let Some(count) = self.passed.get_mut(name) {
                *count = count.saturating_sub(1);
            }
        }
        self.passed.retain(|_, count| *count > 0);
        self.free.push(place);
        Some(source)
    }
}

/// The headers of clients that a source has passed on (`urn:ngsi-ld:request`).
fn passed_by(source: &Source) -> impl Iterator<Item = &str> {
    let headers = source.registration.source.headers.iter();
    headers.filter(|header| header.value.is_none()).map(|header| &*header.name)
}
