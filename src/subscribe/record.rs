//! What is kept of deliveries: per subscription its counters and, when it is behind, its cursor;
//! per slot how far everyone else has come.

use serde::{Deserialize, Serialize};

use super::backlog::Item;
use crate::model::{TenantId, Timestamp};
use crate::represent::subscription::{DeliveryReport, DeliveryStatus};
use crate::store::Shelf;

/// Where the records of a tenant's subscriptions lie, by their ids.
pub(super) fn deliveries(tenant: &TenantId) -> Shelf {
    Shelf::of(tenant, "deliveries")
}

/// Where the records of the slots lie, by their numbers.
pub(super) const SLOTS: Shelf = Shelf::shared("delivery-slots");

/// What one notification tells, by where it stands in the log: all that the subscription is to be
/// told from the first event to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sealed {
    pub first: u64,
    pub last: u64,
    /// Whether changes of an entity were merged; older records do not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub merged: Option<bool>,
}

impl Sealed {
    /// Of the items of one notification; None if there are none.
    pub fn of(items: &[Item]) -> Option<Self> {
        let first = items.first()?;
        let last = items.iter().map(|item| item.last).max()?;
        Some(Self { first: first.begins(), last, merged: Some(first.group.is_some()) })
    }
}

/// What is kept of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Kept {
    pub report: DeliveryReport,
    /// What is after this event is still due, however far the slot has come.
    pub behind: Option<u64>,
    /// What was on its way then, in one notification.
    pub sealed: Option<Sealed>,
    /// Nothing else that is after the cursor was ever sent.
    pub exact: bool,
    /// The version of a subscription to registrations, by its `modifiedAt`, that was told of all
    /// that there were.
    pub begun: Option<Timestamp>,
}

/// How far a slot has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct SlotRecord {
    /// Everything up to this event was told to all subscriptions of the slot that have no cursor of
    /// their own.
    pub position: u64,
    /// No subscription of the slot needs an event up to this one.
    pub low: u64,
    /// Grows whenever another broker takes the slot.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fence: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl SlotRecord {
    /// As a record.
    pub fn to_json(self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    sent: u64,
    failed: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    last: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    success: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    failure: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ok: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    behind: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sealed: Option<Sealed>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    exact: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    begun: Option<i64>,
}

impl Kept {
    /// As a record.
    pub fn to_json(self) -> serde_json::Value {
        let Self { report, behind, sealed, exact, begun } = self;
        let bits = |time: Option<Timestamp>| time.map(Timestamp::bits);
        let written = Written {
            sent: report.times_sent,
            failed: report.times_failed,
            last: bits(report.last_notification),
            success: bits(report.last_success),
            failure: bits(report.last_failure),
            ok: report.status.map(|status| status == DeliveryStatus::Ok),
            behind,
            sealed,
            exact,
            begun: bits(begun),
        };
        serde_json::to_value(written).unwrap_or_default()
    }

    /// From a record; counters begin anew if it cannot be read.
    pub fn from_json(json: serde_json::Value) -> Self {
        let Ok(written) = serde_json::from_value::<Written>(json) else { return Self::default() };
        let time = |bits: Option<i64>| bits.map(Timestamp::from_bits);
        let status = |ok| if ok { DeliveryStatus::Ok } else { DeliveryStatus::Failed };
        let report = DeliveryReport {
            times_sent: written.sent,
            times_failed: written.failed,
            last_notification: time(written.last),
            last_success: time(written.success),
            last_failure: time(written.failure),
            status: written.ok.map(status),
        };
        let Written { behind, sealed, exact, .. } = written;
        Self { report, behind, sealed, exact, begun: time(written.begun) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back() {
        let mut kept = Kept::default();
        assert_eq!(Kept::from_json(kept.to_json()), kept);
        kept.report.failed(Timestamp::from_micros(1_700_000_000_123_456));
        kept.report.succeeded(Timestamp::from_micros(1_700_000_001_000_000));
        kept.behind = Some(u64::MAX);
        kept.sealed = Some(Sealed { first: 3, last: 9, merged: Some(true) });
        kept.exact = true;
        kept.begun = Some(Timestamp::from_micros(1_700_000_002_000_000));
        assert_eq!(Kept::from_json(kept.to_json()), kept);
        assert_eq!(Kept::from_json(serde_json::json!([])), Kept::default());
        let older = serde_json::json!({
            "sent": 1, "failed": 0, "behind": 2, "sealed": {"first": 3, "begins": 5, "last": 9},
        });
        let sealed = Sealed { first: 3, last: 9, merged: None };
        assert_eq!(Kept::from_json(older).sealed, Some(sealed), "as it was written before 0062");
    }
}
