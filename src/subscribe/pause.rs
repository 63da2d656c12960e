//! How long to wait after failures.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use rustc_hash::FxHasher;

/// Pauses that double with each failure between two bounds, spread so that many who failed
/// together do not come back together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pauses {
    pub first: Duration,
    pub last: Duration,
}

impl Pauses {
    /// The pause after so many failures in a row, for one whose name is `who`: between three
    /// quarters and all of what it would be without spreading.
    pub fn after(&self, failures: u32, who: &impl Hash) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(20));
        let full = doubled.min(self.last).max(Duration::from_millis(1));
        let mut hasher = FxHasher::default();
        (who, failures).hash(&mut hasher);
        let share = (hasher.finish() >> 48) as u32;
        full - full / 4 * share / 65_536
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_differ_a_little() {
        let pauses = Pauses { first: Duration::from_secs(1), last: Duration::from_secs(60) };
        for (failures, most) in [(0, 1), (1, 1), (2, 2), (5, 16), (7, 60), (4_000_000, 60)] {
            for who in 0..100 {
                let pause = pauses.after(failures, &who);
                let most = Duration::from_secs(most);
                assert!(pause <= most && pause >= most * 3 / 4, "{failures}: {pause:?}");
            }
        }
        assert_ne!(pauses.after(3, &1), pauses.after(3, &2));
    }
}
