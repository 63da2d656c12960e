//! Dates and times of clause 4.6.3, which compare chronologically (4.9).

use std::{cmp::Ordering, fmt};

use crate::model::Timestamp;

const DAY: i64 = 86_400_000_000;

/// A DateTime, a Date or a Time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    DateTime(Timestamp),
    /// The first instant of the day.
    Date(Timestamp),
    /// That time of the first day of 1970.
    Time(Timestamp),
}

impl Moment {
    /// Reads `2026-01-31T12:00:00Z`, `2026-01-31` or `12:00:00Z`. Other texts are turned away by
    /// their first characters.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if !bytes.first()?.is_ascii_digit() || bytes.len() > 27 {
            return None;
        }
        match (bytes.get(2)?, bytes.get(4)?, bytes.len()) {
            (_, b'-', 10) => {
                let mut whole = *b"0000-00-00T00:00:00Z";
                whole[..10].copy_from_slice(bytes);
                Some(Moment::Date(instant(&whole)?))
            }
            (_, b'-', 20..) => Some(Moment::DateTime(text.parse().ok()?)),
            (b':', _, 9..=16) => {
                let mut whole = *b"1970-01-01T0000000000000000";
                whole[11..11 + bytes.len()].copy_from_slice(bytes);
                Some(Moment::Time(instant(&whole[..11 + bytes.len()])?))
            }
            _ => None,
        }
    }

    /// Which is earlier; None between a time of day and anything else. A date is before and after
    /// the instants that do not fall on it, and equal to those that do.
    pub fn compare(self, other: Moment) -> Option<Ordering> {
        let day = |instant: Timestamp| instant.micros().div_euclid(DAY);
        match (self, other) {
            (Moment::DateTime(a), Moment::DateTime(b)) => Some(a.cmp(&b)),
            (Moment::Date(a), Moment::Date(b)) => Some(a.cmp(&b)),
            (Moment::Time(a), Moment::Time(b)) => Some(a.cmp(&b)),
            (Moment::DateTime(a), Moment::Date(b)) | (Moment::Date(a), Moment::DateTime(b)) => {
                Some(day(a).cmp(&day(b)))
            }
            _ => None,
        }
    }

    /// The first and last microsecond of the day that holds this, or of the time itself: all that
    /// may be equal to it lies between.
    pub(super) fn day_micros(self) -> (i64, i64) {
        match self {
            Moment::Time(time) => (time.micros(), time.micros()),
            Moment::DateTime(at) | Moment::Date(at) => {
                let first = at.micros().div_euclid(DAY) * DAY;
                (first, first + DAY - 1)
            }
        }
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> i64 {
        match self {
            Moment::DateTime(at) | Moment::Date(at) | Moment::Time(at) => at.micros(),
        }
    }
}

fn instant(text: &[u8]) -> Option<Timestamp> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Moment::DateTime(at) => write!(f, "{at}"),
            Moment::Date(at) => f.write_str(&at.to_string()[..10]),
            Moment::Time(at) => f.write_str(&at.to_string()[11..]),
        }
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_times_and_instants_are_told_apart() {
        for (text, printed) in [
            ("2026-01-31T12:00:00Z", Some("2026-01-31T12:00:00Z")),
            ("2026-01-31T12:00:00.25Z", Some("2026-01-31T12:00:00.25Z")),
            ("2026-01-31", Some("2026-01-31")),
            ("0000-01-01", Some("0000-01-01")),
            ("23:59:59Z", Some("23:59:59Z")),
            ("23:59:59.5Z", Some("23:59:59.5Z")),
            ("23:59:59.123456Z", Some("23:59:59.123456Z")),
            ("2026-02-30", None),
            ("24:00:00Z", None),
            ("12:00Z", None),
            ("12:00:00", None),
            ("2026", None),
            ("", None),
            ("550", None),
            ("๒๐๒๖-01-31", None),
            ("12:00:00.1234567Z", None),
        ] {
            assert_eq!(Moment::parse(text).map(|m| m.to_string()).as_deref(), printed, "{text}");
        }
    }

    #[test]
    fn they_compare_chronologically() {
        let compare = |a: &str, b: &str| Moment::parse(a)?.compare(Moment::parse(b)?);
        for (a, b, order) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5Z", Some(Ordering::Less)),
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z", Some(Ordering::Equal)),
            ("2026-01-31", "2026-02-01", Some(Ordering::Less)),
            ("2026-01-31", "2026-01-31T23:59:59Z", Some(Ordering::Equal)),
            ("2026-02-01", "2026-01-31T23:59:59Z", Some(Ordering::Greater)),
            ("12:00:00Z", "11:00:00Z", Some(Ordering::Greater)),
            ("12:00:00Z", "2026-01-31", None),
        ] {
            assert_eq!(compare(a, b), order, "{a} {b}");
        }
    }
}
