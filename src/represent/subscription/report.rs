//! What came of a Subscription's notifications (the output members of 5.2.14).

use crate::model::Timestamp;

/// The counters and times of a Subscription's notifications. They are kept apart from the
/// Subscription, since each notification changes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliveryReport {
    /// How often it was tried to send a notification.
    pub times_sent: u64,
    /// How often that failed.
    pub times_failed: u64,
    /// When it was last tried.
    pub last_notification: Option<Timestamp>,
    /// When it last succeeded.
    pub last_success: Option<Timestamp>,
    /// When it last failed.
    pub last_failure: Option<Timestamp>,
    /// How the last one ended; absent before the first.
    pub status: Option<DeliveryStatus>,
}

/// How the last notification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    Ok,
    Failed,
}

impl DeliveryStatus {
    /// The word in `notification.status`.
    pub fn word(self) -> &'static str {
        match self {
            DeliveryStatus::Ok => "ok",
            DeliveryStatus::Failed => "failed",
        }
    }
}

impl DeliveryReport {
    /// A notification reached its endpoint.
    pub fn succeeded(&mut self, now: Timestamp) {
        self.sent(now);
        self.last_success = Some(now);
        self.status = Some(DeliveryStatus::Ok);
    }

    /// A notification did not reach its endpoint.
    pub fn failed(&mut self, now: Timestamp) {
        self.sent(now);
        self.times_failed += 1;
        self.last_failure = Some(now);
        self.status = Some(DeliveryStatus::Failed);
    }

    fn sent(&mut self, now: Timestamp) {
        self.times_sent += 1;
        self.last_notification = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_is_counted_and_the_last_one_is_told() {
        let at = Timestamp::from_micros;
        let mut report = DeliveryReport::default();
        report.failed(at(1));
        report.succeeded(at(2));
        report.succeeded(at(3));
        assert_eq!((report.times_sent, report.times_failed), (3, 1));
        assert_eq!(report.status, Some(DeliveryStatus::Ok));
        assert_eq!(report.last_notification, Some(at(3)));
        assert_eq!(report.last_failure, Some(at(1)));
    }
}
