//! Warnings on their way to whoever caused them: a store shows entities to the models deep within a
//! commit, and the answer of the operation should tell what was found.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::Finding;
use crate::model::{TenantId, Timestamp};

/// How many operations may have warnings that nobody fetched; imports fetch none.
const MOST: usize = 1_024;

/// How many warnings of one operation are kept.
const EACH: usize = 16;

/// The tenant of an operation, and its time, which all that it writes bears.
type Key = (TenantId, i64);

/// Warnings that nobody has fetched yet.
#[derive(Default)]
pub(super) struct Warned {
    count: AtomicUsize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    found: FxHashMap<Key, Vec<Finding>>,
    order: VecDeque<Key>,
}

impl Warned {
    /// Something was found in what an operation of this time writes.
    pub fn add(&self, tenant: &TenantId, at: Timestamp, finding: Finding) {
        let key = (tenant.clone(), at.micros());
        let mut waiting = self.waiting.lock();
        if let Some(all) = waiting.found.get_mut(&key) {
            if all.len() < EACH {
                all.push(finding);
            }
            return;
        }
        while waiting.order.len() >= MOST {
            if let Some(oldest) = waiting.order.pop_front() {
                waiting.found.remove(&oldest);
            }
        }
        waiting.order.push_back(key.clone());
        waiting.found.insert(key, vec![finding]);
        self.count.store(waiting.found.len(), Ordering::Relaxed);
    }

    /// What was found in what an operation wrote; it is told once.
    pub fn take(&self, tenant: &TenantId, at: Timestamp) -> Vec<Finding> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let key = (tenant.clone(), at.micros());
        let mut waiting = self.waiting.lock();
        let Some(found) = waiting.found.remove(&key) else { return Vec::new() };
        waiting.order.retain(|other| *other != key);
        self.count.store(waiting.found.len(), Ordering::Relaxed);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EntityId;

    fn finding(number: usize) -> Finding {
        Finding {
            at: Timestamp::from_micros(0),
            id: EntityId::from_trusted(&format!("urn:x:{number}")),
            model: "M".into(),
            refused: false,
            violations: Box::default(),
        }
    }

    #[test]
    fn each_operation_is_told_once_what_was_found_in_its_own_writes() {
        let warned = Warned::default();
        let at = Timestamp::from_micros;
        let here = TenantId::DEFAULT;
        let there = TenantId::named("there").expect("a name");
        warned.add(&here, at(1), finding(1));
        warned.add(&here, at(1), finding(2));
        warned.add(&there, at(1), finding(3));
        assert_eq!(warned.take(&here, at(2)).len(), 0);
        assert_eq!(warned.take(&here, at(1)).len(), 2);
        assert_eq!(warned.take(&here, at(1)).len(), 0);
        assert_eq!(warned.take(&there, at(1))[0].id.as_str(), "urn:x:3");
    }

    #[test]
    fn what_nobody_fetches_is_forgotten_in_the_end() {
        let warned = Warned::default();
        for number in 0..3 * MOST {
            for _ in 0..2 * EACH {
                warned.add(
                    &TenantId::DEFAULT,
                    Timestamp::from_micros(number as i64),
                    finding(number),
                );
            }
        }
        assert_eq!(warned.waiting.lock().found.len(), MOST);
        let last = Timestamp::from_micros(3 * MOST as i64 - 1);
        assert_eq!(warned.take(&TenantId::DEFAULT, last).len(), EACH);
        assert_eq!(warned.take(&TenantId::DEFAULT, Timestamp::from_micros(0)).len(), 0);
    }
}
