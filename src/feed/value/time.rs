//! Times as feeds write them: of a zone that they do not name, in the years of one calendar or the
//! other, with Thai digits and months.

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::TimeZone;

use super::number::arabic;
use crate::model::Timestamp;

/// Which years a feed counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Era {
    /// A year from 2400 on is of the Buddhist Era: no other calendar has reached it.
    #[default]
    Either,
    Common,
    Buddhist,
}

/// How times are written.
#[derive(Debug, Clone)]
pub struct TimeForm {
    /// As of `strptime`; ISO 8601 if there are none.
    pub formats: Vec<String>,
    /// The zone of times that name none.
    pub zone: TimeZone,
    pub era: Era,
    /// Seconds or milliseconds since 1970 instead.
    pub unix: Option<Unix>,
    /// The times name a zone which is not theirs: only the clock counts.
    pub ignore_zone: bool,
}

/// What numbers since 1970 count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unix {
    Seconds,
    Millis,
}

impl Default for TimeForm {
    fn default() -> Self {
        Self {
            formats: Vec::new(),
            zone: TimeZone::UTC,
            era: Era::default(),
            unix: None,
            ignore_zone: false,
        }
    }
}

/// How many years the Buddhist Era is ahead.
const AHEAD: i16 = 543;

/// The months as Thai writes them, long and short.
const MONTHS: [(&str, &str, &str); 12] = [
    ("มกราคม", "ม.ค.", "Jan"),
    ("กุมภาพันธ์", "ก.พ.", "Feb"),
    ("มีนาคม", "มี.ค.", "Mar"),
    ("เมษายน", "เม.ย.", "Apr"),
    ("พฤษภาคม", "พ.ค.", "May"),
    ("มิถุนายน", "มิ.ย.", "Jun"),
    ("กรกฎาคม", "ก.ค.", "Jul"),
    ("สิงหาคม", "ส.ค.", "Aug"),
    ("กันยายน", "ก.ย.", "Sep"),
    ("ตุลาคม", "ต.ค.", "Oct"),
    ("พฤศจิกายน", "พ.ย.", "Nov"),
    ("ธันวาคม", "ธ.ค.", "Dec"),
];

impl TimeForm {
    /// The instant that a text says; nothing if it says none.
    pub fn read(&self, text: &str) -> Option<Timestamp> {
        let text = text.trim();
        if text.len() > 80 {
            return None;
        }
        let text = in_latin(text);
        if let Some(unix) = self.unix {
            let number: f64 = text.parse().ok()?;
            let micros = match unix {
                Unix::Seconds => number * 1e6,
                Unix::Millis => number * 1e3,
            };
            let known = micros.is_finite() && micros.abs() < 2.5e17;
            return known.then(|| Timestamp::from_micros(micros.round() as i64));
        }
        self.read_written(&text).or_else(|| {
            // The end of a day is the beginning of the next.
            let at = text.find("24:00")?;
            let rest = &text[at + 5..];
            if !(rest.is_empty() || rest.starts_with(":00")) {
                return None;
            }
            let earlier = format!("{}00:00{rest}", &text[..at]);
            Some(self.read_written(&earlier)?.plus_micros(86_400_000_000))
        })
    }

    fn read_written(&self, text: &str) -> Option<Timestamp> {
        match self.formats.is_empty() {
            true => self.read_iso(text),
            false => self.formats.iter().find_map(|format| self.read_by(format, text)),
        }
    }

    fn read_by(&self, format: &str, text: &str) -> Option<Timestamp> {
        let text = with_zeros(format, text);
        let mut parts: BrokenDownTime = strtime::parse(format, &*text).ok()?;
        if let Some(year) = parts.year() {
            let short = format.contains("%y");
            let year = match self.era {
                Era::Common => year,
                Era::Buddhist if short => year.rem_euclid(100) + 2500 - AHEAD,
                Era::Buddhist => year.checked_sub(AHEAD)?,
                Era::Either if year >= 2400 => year - AHEAD,
                Era::Either => year,
            };
            parts.set_year(Some(year)).ok()?;
        }
        if parts.offset().is_some() && !self.ignore_zone {
            return Some(stamp(parts.to_timestamp().ok()?));
        }
        // A format without a clock means the beginning of the day.
        let local = match parts.hour() {
            Some(_) => parts.to_datetime().ok()?,
            None => parts.to_date().ok()?.to_datetime(jiff::civil::Time::midnight()),
        };
        self.of_zone(local)
    }

    fn read_iso(&self, text: &str) -> Option<Timestamp> {
        let text = self.in_common_era(text)?;
        if !self.ignore_zone
            && let Ok(instant) = text.parse::<jiff::Timestamp>()
        {
            return Some(stamp(instant));
        }
        let local = match self.ignore_zone {
            true => text.trim_end_matches(['Z', 'z']),
            false => &*text,
        };
        self.of_zone(local.parse::<DateTime>().ok()?)
    }

    fn in_common_era<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        let Some((year, rest)) = text.split_at_checked(4) else { return Some(text.into()) };
        let Ok(number) = year.parse::<i16>() else { return Some(text.into()) };
        let buddhist = match self.era {
            Era::Common => false,
            Era::Buddhist => true,
            Era::Either => number >= 2400,
        };
        Some(match buddhist {
            true => format!("{:04}{rest}", number.checked_sub(AHEAD)?).into(),
            false => text.into(),
        })
    }

    fn of_zone(&self, local: DateTime) -> Option<Timestamp> {
        Some(stamp(self.zone.to_timestamp(local).ok()?))
    }
}

fn stamp(instant: jiff::Timestamp) -> Timestamp {
    Timestamp::from_micros(instant.as_microsecond())
}

/// A clock without a colon, as satellites write it: what lost its zeros gets them back.
fn with_zeros<'t>(format: &str, text: &'t str) -> Cow<'t, str> {
    let (before, clock) = text.rsplit_once(' ').unwrap_or(("", text));
    let short = (1..4).contains(&clock.len()) && clock.bytes().all(|byte| byte.is_ascii_digit());
    match short && format.ends_with(" %H%M") {
        true => format!("{before} {clock:0>4}").into(),
        false => text.into(),
    }
}

/// Thai digits and months as the formats know them.
fn in_latin(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let mut text: String = text.chars().map(arabic).collect();
    for (long, short, latin) in MONTHS {
        for name in [long, short, short.trim_end_matches('.')] {
            if text.contains(name) {
                text = text.replace(name, latin);
                return text.into();
            }
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn thai(formats: &[&str], era: Era) -> TimeForm {
        TimeForm {
            formats: formats.iter().map(|format| format.to_string()).collect(),
            zone: TimeZone::get("Asia/Bangkok").expect("is known"),
            era,
            ..TimeForm::default()
        }
    }

    fn read(form: &TimeForm, text: &str) -> Option<String> {
        form.read(text).map(|at| at.to_string())
    }

    #[test]
    fn thai_time_is_seven_hours_ahead() {
        let form = thai(&["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"], Era::Either);
        for (text, utc) in [
            ("2026-01-31 14:00", "2026-01-31T07:00:00Z"),
            ("2026-01-01 03:30", "2025-12-31T20:30:00Z"),
            ("2026-02-28 24:00", "2026-02-28T17:00:00Z"),
            ("2567-02-29 07:00:05", "2024-02-29T00:00:05Z"),
            ("๒๕๖๙-๐๑-๓๑ ๑๔:๐๐", "2026-01-31T07:00:00Z"),
        ] {
            assert_eq!(read(&form, text), Some(utc.into()), "{text}");
        }
        for text in [
            "2026-02-30 10:00",
            " 10:00",
            "2026-01-01 ",
            "2026-01-01 25:00",
            "2026-01-01 24:01",
            "31/01/2026 10:00",
            "",
        ] {
            assert_eq!(read(&form, text), None, "{text}");
        }
    }

    #[test]
    fn each_way_to_write_a_time_has_its_form() {
        for (form, text, utc) in [
            (thai(&["%d/%m/%Y %H:%M"], Era::Buddhist), "14/03/2569 09:15", "2026-03-14T02:15:00Z"),
            (thai(&["%d/%m/%y %H:%M"], Era::Buddhist), "14/03/69 09:15", "2026-03-14T02:15:00Z"),
            (thai(&["%d %b %Y"], Era::Buddhist), "14 มี.ค. 2569", "2026-03-13T17:00:00Z"),
            (thai(&["%d %b %Y %H:%M"], Era::Either), "1 ธันวาคม 2568 00:30", "2025-11-30T17:30:00Z"),
            (thai(&["%Y-%m-%d %H%M"], Era::Common), "2026-03-14 642", "2026-03-13T23:42:00Z"),
            (thai(&[], Era::Either), "2026-03-14T09:00:00", "2026-03-14T02:00:00Z"),
            (thai(&[], Era::Either), "2569-03-14T09:00:00", "2026-03-14T02:00:00Z"),
            (thai(&[], Era::Either), "2026-03-14T09:00:00Z", "2026-03-14T09:00:00Z"),
            (thai(&[], Era::Either), "2026-03-14T09:00:00+07:00", "2026-03-14T02:00:00Z"),
            (
                TimeForm { ignore_zone: true, ..thai(&[], Era::Either) },
                "2026-03-14T09:00:00.000Z",
                "2026-03-14T02:00:00Z",
            ),
            (
                TimeForm { unix: Some(Unix::Seconds), ..TimeForm::default() },
                "1773453600",
                "2026-03-14T02:00:00Z",
            ),
            (
                TimeForm { unix: Some(Unix::Millis), ..TimeForm::default() },
                "1773453600500",
                "2026-03-14T02:00:00.500Z",
            ),
            (
                thai(&["%Y-%m-%dT%H:%M:%S%z"], Era::Either),
                "2026-03-14T09:00:00+0900",
                "2026-03-14T00:00:00Z",
            ),
        ] {
            assert_eq!(read(&form, text), Some(utc.into()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn both_eras_say_the_same_instant(minutes in 0_i64..60 * 24 * 36_500) {
            let instant = jiff::Timestamp::from_second(minutes * 60).expect("a time");
            let zone = TimeZone::get("Asia/Bangkok").expect("is known");
            let local = instant.to_zoned(zone).datetime();
            let common = local.strftime("%Y-%m-%d %H:%M").to_string();
            let buddhist = format!("{}{}", local.year() + 543, &common[4..]);
            let form = thai(&["%Y-%m-%d %H:%M"], Era::Either);
            let expected = Some(stamp(instant));
            prop_assert_eq!(form.read(&common), expected);
            prop_assert_eq!(form.read(&buddhist), expected);
        }

        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,40}") {
            thai(&["%d/%m/%Y %H:%M"], Era::Either).read(&text);
            thai(&[], Era::Buddhist).read(&text);
        }
    }
}
