//! Work that many want at once is done once, and all get its result, errors included.

use std::{hash::Hash, sync::Arc};

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::super::ContextError;

type Outcome<T> = Result<T, ContextError>;

pub(super) struct Flights<K, T> {
    under_way: Mutex<HashMap<K, Arc<OnceCell<Outcome<T>>>>>,
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self { under_way: Mutex::default() }
    }
}

impl<K: Hash + Eq + Clone, T: Clone> Flights<K, T> {
    pub(super) fn is_under_way(&self, key: &K) -> bool {
        self.under_way.lock().contains_key(key)
    }

    /// Does the work, or waits for whoever does it already. Should that one be cancelled, the next
    /// of those who wait starts anew.
    pub(super) async fn join(&self, key: &K, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        let cell = self.under_way.lock().entry(key.clone()).or_default().clone();
        let seat = Seat { flights: self, key, cell };
        seat.cell.get_or_init(|| work).await.clone()
    }
}

/// Leaves the flight when dropped; the last one out clears the place, and a result is not kept for
/// those who come later.
struct Seat<'f, K: Hash + Eq, T> {
    flights: &'f Flights<K, T>,
    key: &'f K,
    cell: Arc<OnceCell<Outcome<T>>>,
}

impl<K: Hash + Eq, T> Drop for Seat<'_, K, T> {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way.lock();
        let ours = under_way.get(self.key).is_some_and(|cell| Arc::ptr_eq(cell, &self.cell));
        // Two holders: the map and this seat.
        if ours && (self.cell.initialized() || Arc::strong_count(&self.cell) <= 2) {
            under_way.remove(self.key);
        }
    }
}
