//! How long to wait after a failure: longer each time, and never the same for two.

use std::time::Duration;

use crate::config::Feeds;

/// The pauses of one feed.
pub(super) struct Pause {
    first: Duration,
    last: Duration,
    failures: u32,
}

impl Pause {
    pub fn new(settings: &Feeds) -> Self {
        Self { first: settings.retry_first, last: settings.retry_last, failures: 0 }
    }

    /// It went well.
    pub fn forget(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure: from half of it to all of it.
    pub fn next(&mut self) -> Duration {
        let whole = self.first.saturating_mul(1 << self.failures.min(20)).min(self.last);
        self.failures += 1;
        let random = uuid::Uuid::new_v4().as_u64_pair().0 as f64 / u64::MAX as f64;
        whole.mul_f64(0.5 + random / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_begin_anew() {
        let mut pause = Pause::new(&Feeds::default());
        let (first, last) = (pause.first, pause.last);
        let mut before = Duration::ZERO;
        for number in 0..40 {
            let next = pause.next();
            let whole = first.saturating_mul(1 << number.min(20)).min(last);
            assert!(next >= whole / 2 && next <= whole, "{next:?} of {whole:?}");
            before = before.max(next);
        }
        assert!(before > last / 2);
        pause.forget();
        assert!(pause.next() <= first);
    }
}
