//! Stamps: numbers that grow with time, none of which two brokers ever give.
//!
//! A stamp is the time in microseconds since 2020, and in the last ten bits the number of the
//! broker. Brokers follow the clock of the database rather than their own, and never fall behind a
//! stamp they have seen, so that what is created later comes later in the order of pages, whoever
//! creates it, as exactly as the brokers know the time of the database.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// 2020-01-01T00:00:00Z in microseconds since 1970.
const BEGIN: i64 = 1_577_836_800_000_000;

/// How many bits tell the broker.
const BROKER_BITS: u32 = 10;

pub(super) struct Clock {
    /// The number of the broker.
    broker: AtomicI64,
    /// What the clock of the database is ahead of ours, in microseconds.
    ahead: AtomicI64,
    /// The time of the last stamp.
    last: AtomicI64,
}

impl Clock {
    /// The clock of the broker with this number.
    pub fn new(broker: i64) -> Self {
        let broker = AtomicI64::new(Self::bits_of(broker));
        Self { broker, ahead: AtomicI64::new(0), last: AtomicI64::new(0) }
    }

    /// What stamps tell of a broker's number: those of two brokers that run differ in it.
    pub fn bits_of(broker: i64) -> i64 {
        broker & ((1 << BROKER_BITS) - 1)
    }

    /// The broker has another number from now on.
    pub fn renumber(&self, broker: i64) {
        self.broker.store(Self::bits_of(broker), Ordering::Relaxed);
    }

    /// The time by the clock of the machine, in microseconds since 1970.
    pub fn own_time() -> i64 {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        time.as_micros() as i64
    }

    /// The database's clock said this, in milliseconds, when ours said that.
    pub fn adjust(&self, theirs: i64, ours: i64) {
        let ahead = theirs.saturating_mul(1_000) - ours;
        let before = self.ahead.load(Ordering::Relaxed);
        // Small differences are the network's, and follow no clock.
        if (ahead - before).abs() > 5_000 {
            self.ahead.store(ahead, Ordering::Relaxed);
        }
    }

    /// A stamp greater than all that were given or seen.
    pub fn stamp(&self) -> i64 {
        let now = Self::own_time() + self.ahead.load(Ordering::Relaxed) - BEGIN;
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let next = now.max(last + 1);
            match self.last.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return (next << BROKER_BITS) | self.broker.load(Ordering::Relaxed),
                Err(other) => last = other,
            }
        }
    }

    /// The time of a stamp that is given now, in microseconds since 1970: no other has it here, and
    /// later ones are greater.
    pub fn micros(&self) -> i64 {
        (self.stamp() >> BROKER_BITS) + BEGIN
    }

    /// Stamps that are so old are less.
    pub fn stamp_before(&self, age: std::time::Duration) -> i64 {
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        self.stamp().saturating_sub(age.saturating_mul(1 << BROKER_BITS))
    }

    /// Never falls behind a stamp that another broker gave.
    pub fn saw(&self, stamp: i64) {
        self.last.fetch_max(stamp >> BROKER_BITS, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_grow_and_tell_brokers_apart() {
        let (one, two) = (Clock::new(1), Clock::new(2));
        two.adjust((Clock::own_time() + 60_000_000) / 1_000, Clock::own_time());
        let mut last = 0;
        for _ in 0..1_000 {
            let stamp = one.stamp();
            assert!(stamp > last);
            last = two.stamp();
            assert!(last > stamp);
            one.saw(last);
        }
        assert_ne!(one.stamp() & 1_023, two.stamp() & 1_023);
    }
}
