//! Getting entities that are only in the engine, several at once; and after a start, all of them
//! again, in the background, as far as memory may be used.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::Inner;
use super::seats::SeatNumber;
use super::tenants::{Away, Located, Obtained, Tenant, Whereabouts};
use crate::model::Stored;
use crate::store::StoreError;
use crate::store::record::{Damaged, decode};
use crate::store::weight::weigh;

/// To step over this many records takes as long as to look one up.
const STEPS: u64 = 8;

/// Fewer than these are looked up one by one.
const FEW: usize = 4;

/// How many seats are filled again before others get a turn.
const TURN: SeatNumber = 256;

impl Inner {
    /// Entities from memory or from the engine, in the order of their seats, without who is gone.
    /// What comes from the engine stays in memory if there is room.
    pub(super) fn obtain_all(
        &self,
        tenant: &Tenant,
        places: Vec<Located>,
    ) -> Result<Vec<Obtained>, StoreError> {
        let away: Vec<Away> = places.iter().filter_map(Located::away).collect();
        let read = self.read(tenant, &away)?;
        if self.cache.has_room() {
            self.settle_all(tenant, away.iter().zip(&read));
        }
        let mut read = read.into_iter();
        let obtained = places.into_iter().filter_map(|Located { seat, sequence, whereabouts }| {
            let (entity, away) = match whereabouts {
                Whereabouts::Here(entity) => (entity, None),
                Whereabouts::Away(away) => (read.next().flatten()?, Some(away)),
            };
            Some(Obtained { seat, sequence, entity, away })
        });
        Ok(obtained.collect())
    }

    /// Reads entities from the engine, in one go if they lie close together. None for who is gone.
    fn read(&self, tenant: &Tenant, away: &[Away]) -> Result<Vec<Option<Arc<Stored>>>, StoreError> {
        let entity = |record: &[u8]| decode(record, &self.names).map(Stored::new);
        let one = |away: &Away| {
            let record = self.engine.entity(tenant.key(away.sequence))?;
            Ok(record.map(|record| entity(&record)).transpose()?)
        };
        let (Some(first), Some(last)) = (away.first(), away.last()) else { return Ok(Vec::new()) };
        let span = last.sequence.saturating_sub(first.sequence);
        if away.len() < FEW || span > STEPS * away.len() as u64 {
            return away.iter().map(one).collect();
        }
        let mut found = vec![None; away.len()];
        let mut next = 0;
        let mut failed: Option<Damaged> = None;
        let sequences = first.sequence..last.sequence.saturating_add(1);
        self.engine.entities_within(tenant.number, sequences, |key, record| {
            while away.get(next).is_some_and(|away| away.sequence < key.sequence) {
                next += 1;
            }
            if away.get(next).is_some_and(|away| away.sequence == key.sequence) {
                match entity(&record) {
                    Ok(entity) => found[next] = Some(entity),
                    Err(damage) => {
                        failed = Some(damage);
                        return ControlFlow::Break(());
                    }
                }
            }
            ControlFlow::Continue(())
        })?;
        match failed {
            Some(damage) => Err(damage.into()),
            None => Ok(found),
        }
    }

    /// Keeps entities that were read from the engine in memory, unless they changed meanwhile.
    fn settle_all<'a>(
        &self,
        tenant: &Tenant,
        read: impl Iterator<Item = (&'a Away, &'a Option<Arc<Stored>>)>,
    ) {
        let read = read.filter_map(|(away, entity)| Some((away, entity.as_ref()?)));
        let weighed: Vec<_> = read.map(|(away, entity)| (away, entity, weigh(entity))).collect();
        if weighed.is_empty() {
            return;
        }
        let mut state = tenant.state.write();
        for (away, entity, weight) in weighed {
            if let Some(seat) = state.seats.get_mut(away.seat)
                && seat.id().is_some()
                && seat.version == away.version
                && seat.entity.is_none()
            {
                self.cache.lay_by(seat, entity.clone(), weight);
            }
        }
    }

    /// Reads all entities into memory, as far as there is room.
    pub(super) fn fill_memory(&self) {
        let started = std::time::Instant::now();
        for tenant in self.tenants.all() {
            match self.fill_from(&tenant) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, tenant = %tenant.id, "cannot read entities"),
            }
        }
        let millis = started.elapsed().as_millis() as u64;
        tracing::debug!(millis, "all entities are in memory");
    }

    /// Reads the entities of a tenant into memory; false when there is no more room, or at the end.
    fn fill_from(&self, tenant: &Tenant) -> Result<bool, StoreError> {
        let mut next = 0;
        loop {
            let places: Vec<Located> = {
                let state = tenant.state.read();
                let end = state.seats.end();
                if next >= end {
                    return Ok(true);
                }
                let some = next..end.min(next + TURN);
                next = some.end;
                some.filter_map(|seat| state.away(seat)).map(Located::from).collect()
            };
            if self.stopping.is_sent() || !self.cache.has_room() {
                return Ok(false);
            }
            self.obtain_all(tenant, places)?;
        }
    }
}
