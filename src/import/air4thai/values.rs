//! Values as Air4Thai writes them: numbers, instants and places.

use jiff::civil::{Date, DateTime, Time};
use serde_json::{Number, Value};

use crate::model::Timestamp;

/// What stands where a number should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reading {
    Number(Number),
    /// One of the ways to say that there is no number.
    Missing,
    /// Something else, as it was written.
    Unreadable(String),
}

/// Reads a number that cannot be negative: below zero there are only codes for "missing".
pub(super) fn reading(value: Option<&Value>) -> Reading {
    let text = match value {
        None | Some(Value::Null) => return Reading::Missing,
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(other) => return Reading::Unreadable(other.to_string()),
    };
    if ["", "-", "--", "n/a", "na", "null", "nan"].contains(&text.to_ascii_lowercase().as_str()) {
        return Reading::Missing;
    }
    let whole = text.parse::<u64>().ok().map(Number::from);
    let number = whole.or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64));
    match number {
        Some(number) if number.as_f64().is_some_and(|value| value < 0.0) => Reading::Missing,
        Some(number) => Reading::Number(number),
        None => Reading::Unreadable(text.chars().take(40).collect()),
    }
}

/// Hours that Thailand is ahead of UTC; it knows no summer time.
const HOURS_AHEAD: i64 = 7;

/// The instant of a Thai date (`2026-01-31`, the year of the Buddhist Era too) and time (`14:00`,
/// `24:00` for the end of the day).
pub(super) fn instant(date: &str, time: &str) -> Option<Timestamp> {
    let mut parts = date.splitn(3, '-');
    let mut number = || parts.next()?.trim().parse::<i16>().ok();
    let (year, month, day) = (number()?, number()?, number()?);
    // No calendar but the Buddhist one has reached this year.
    let year = if year >= 2400 { year - 543 } else { year };
    let date = Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok()?;
    let mut parts = time.split(':').map(|part| part.trim().parse::<i8>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let (date, hour) = match (hour, minute, second) {
        (24, 0, 0) => (date.tomorrow().ok()?, 0),
        (hour, ..) => (date, hour),
    };
    let local = DateTime::from_parts(date, Time::new(hour, minute, second, 0).ok()?);
    let as_if_utc = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond();
    Some(Timestamp::from_micros(as_if_utc).plus_micros(-HOURS_AHEAD * 3_600_000_000))
}

/// Longitude and latitude, or why they are none.
pub(super) fn position(latitude: &Value, longitude: &Value) -> Result<[f64; 2], String> {
    let degrees = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let (Some(latitude), Some(longitude)) = (degrees(latitude), degrees(longitude)) else {
        return Err(format!("its coordinates {latitude}, {longitude} are no numbers"));
    };
    if latitude == 0.0 && longitude == 0.0 {
        return Err("its coordinates are 0, 0, which is the sea off Africa".into());
    }
    if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
        return Err(format!(
            "latitude {latitude} and longitude {longitude} are nowhere on Earth: are they swapped?"
        ));
    }
    Ok([longitude, latitude])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_told_from_the_many_ways_to_say_none() {
        let number = |value: Value| match value {
            Value::Number(number) => Reading::Number(number),
            _ => panic!("is a number"),
        };
        assert_eq!(reading(Some(&json!("22.4"))), number(json!(22.4)));
        assert_eq!(reading(Some(&json!(" 7 "))), number(json!(7)));
        assert_eq!(reading(Some(&json!("0"))), number(json!(0)));
        assert_eq!(reading(Some(&json!(3.5))), number(json!(3.5)));
        for missing in ["-1", "-999", "-9999", "-1.0", "", "-", "N/A", "n/a", "NaN"] {
            assert_eq!(reading(Some(&json!(missing))), Reading::Missing, "{missing}");
        }
        assert_eq!(reading(None), Reading::Missing);
        assert_eq!(reading(Some(&json!(-999))), Reading::Missing);
        for bad in [json!("1,2"), json!("inf"), json!("many"), json!([1])] {
            assert!(matches!(reading(Some(&bad)), Reading::Unreadable(_)), "{bad}");
        }
    }

    #[test]
    fn thai_time_is_seven_hours_ahead() {
        let cases = [
            ("2026-01-31", "14:00", "2026-01-31T07:00:00Z"),
            ("2026-01-01", "03:30", "2025-12-31T20:30:00Z"),
            ("2026-02-28", "24:00", "2026-02-28T17:00:00Z"),
            ("2567-02-29", "07:00:05", "2024-02-29T00:00:05Z"),
        ];
        for (date, time, utc) in cases {
            assert_eq!(instant(date, time).map(|at| at.to_string()), Some(utc.into()));
        }
        for (date, time) in [
            ("2026-02-30", "10:00"),
            ("", "10:00"),
            ("2026-01-01", ""),
            ("2026-01-01", "25:00"),
            ("2026-01-01", "24:01"),
            ("31/01/2026", "10:00"),
        ] {
            assert_eq!(instant(date, time), None, "{date} {time}");
        }
    }

    #[test]
    fn places_that_are_none_are_refused() {
        assert_eq!(position(&json!("18.28"), &json!("99.65")), Ok([99.65, 18.28]));
        assert_eq!(position(&json!(18.28), &json!(99.65)), Ok([99.65, 18.28]));
        for (latitude, longitude) in
            [("99.65", "18.28"), ("0", "0"), ("", "99"), ("NaN", "1"), ("18", "inf")]
        {
            assert!(position(&json!(latitude), &json!(longitude)).is_err());
        }
    }
}
