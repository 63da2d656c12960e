//! The tenants and what is in memory of each.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::RwLock;

use super::engine::EntityKey;
use super::index::Index;
use super::seats::{Seat, SeatNumber, Seats};
use crate::model::{EntityId, Stored, TenantId};
use crate::store::StoreError;

/// A tenant.
pub(super) struct Tenant {
    pub id: TenantId,
    /// What its keys in the engine begin with. The default tenant's is zero.
    pub number: u32,
    pub state: RwLock<State>,
}

/// What is in memory of a tenant. Held only briefly: nothing is evaluated, read from the engine or
/// rendered meanwhile.
#[derive(Default)]
pub(super) struct State {
    pub seats: Seats,
    pub index: Index,
}

/// Where an entity can be had.
#[derive(Debug, Clone)]
pub(super) enum Whereabouts {
    Here(Arc<Stored>),
    Away(Away),
}

/// An entity that is only in the engine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Away {
    pub seat: SeatNumber,
    pub sequence: u64,
    /// The seat's version when it was looked at.
    pub version: u32,
}

/// Where an entity sits, and where it can be had.
#[derive(Debug, Clone)]
pub(super) struct Located {
    pub seat: SeatNumber,
    pub sequence: u64,
    pub whereabouts: Whereabouts,
}

/// An entity that was in memory, or was read for who asked.
#[derive(Debug)]
pub(super) struct Obtained {
    pub seat: SeatNumber,
    pub sequence: u64,
    pub entity: Arc<Stored>,
    /// Where it was read from.
    pub away: Option<Away>,
}

impl Located {
    /// Where the entity is to be read from, if it is not in memory.
    pub fn away(&self) -> Option<Away> {
        match self.whereabouts {
            Whereabouts::Here(_) => None,
            Whereabouts::Away(away) => Some(away),
        }
    }
}

impl From<Away> for Located {
    fn from(away: Away) -> Self {
        let Away { seat, sequence, .. } = away;
        Self { seat, sequence, whereabouts: Whereabouts::Away(away) }
    }
}

impl Away {
    fn from(number: SeatNumber, seat: &Seat) -> Self {
        Self { seat: number, sequence: seat.sequence, version: seat.version }
    }
}

impl Tenant {
    pub fn new(id: TenantId, number: u32, state: State) -> Arc<Self> {
        Arc::new(Self { id, number, state: RwLock::new(state) })
    }

    /// The key of an entity.
    pub fn key(&self, sequence: u64) -> EntityKey {
        EntityKey { tenant: self.number, sequence }
    }
}

impl State {
    /// Where the entity of this id can be had.
    pub fn locate(&self, id: &EntityId) -> Option<Located> {
        self.located(self.seats.find(id.as_str())?)
    }

    /// Where the entity of a seat can be had; None if nobody sits there.
    pub fn located(&self, number: SeatNumber) -> Option<Located> {
        let seat = self.seats.get(number)?;
        seat.id()?;
        let whereabouts = match &seat.entity {
            Some(entity) => {
                seat.touch();
                Whereabouts::Here(entity.clone())
            }
            None => Whereabouts::Away(Away::from(number, seat)),
        };
        Some(Located { seat: number, sequence: seat.sequence, whereabouts })
    }

    /// Where the entity of a seat lies, if it is only in the engine.
    pub fn away(&self, number: SeatNumber) -> Option<Away> {
        let seat = self.seats.get(number)?;
        (seat.id().is_some() && seat.entity.is_none()).then(|| Away::from(number, seat))
    }
}

/// All tenants. Finding one takes no lock.
pub(super) struct Tenants {
    default: Arc<Tenant>,
    others: ArcSwap<HashMap<TenantId, Arc<Tenant>>>,
}

impl Tenants {
    pub fn new(default: Arc<Tenant>, others: impl IntoIterator<Item = Arc<Tenant>>) -> Self {
        let others: HashMap<_, _> =
            others.into_iter().map(|tenant| (tenant.id.clone(), tenant)).collect();
        Self { default, others: ArcSwap::from_pointee(others) }
    }

    /// The tenant, if any entity was ever created in it.
    pub fn find(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        if *id == TenantId::DEFAULT {
            return Some(self.default.clone());
        }
        self.others.load().get(id).cloned()
    }

    /// The tenant, or the error that says it is not there.
    pub fn get(&self, id: &TenantId) -> Result<Arc<Tenant>, StoreError> {
        self.find(id).ok_or_else(|| StoreError::UnknownTenant(id.clone()))
    }

    /// Makes a new tenant known. Only the one writer does this.
    pub fn add(&self, tenant: Arc<Tenant>) {
        let mut others = HashMap::clone(&self.others.load());
        others.insert(tenant.id.clone(), tenant);
        self.others.store(Arc::new(others));
    }

    /// Every tenant, the default one first.
    pub fn all(&self) -> Vec<Arc<Tenant>> {
        let mut all = vec![self.default.clone()];
        all.extend(self.others.load().values().cloned());
        all
    }
}
