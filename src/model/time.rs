//! Instants of UTC with microseconds, as clause 4.6.3 writes them.

use std::{fmt, num::NonZeroI64, str::FromStr};

/// An instant in microseconds since 1970, UTC, that also remembers with how many decimals it was
/// written, so that it is printed as it came. `Option<Timestamp>` is eight bytes too.
///
/// The bits are `microseconds * 8 + decimals`, with the sign bit flipped so that none is zero.
/// Equality, order and hash look at the instant alone.
#[derive(Clone, Copy)]
pub struct Timestamp(NonZeroI64);

/// The text is not a DateTime of clause 4.6.3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a DateTime: write it like 2026-01-31T12:00:00Z, in UTC, with at most six decimals"
)]
pub struct NotADateTime(pub String);

/// The least instant that can be said, 0000-01-01T00:00:00Z.
const MIN_MICROS: i64 = -62_167_219_200_000_000;
/// The greatest instant that can be said, 9999-12-31T23:59:59.999999Z.
const MAX_MICROS: i64 = 253_402_300_799_999_999;

impl Timestamp {
    /// The instant so many microseconds after 1970, moved into the years 0 to 9999. It prints
    /// without decimals where they are zero, else with three or six.
    pub fn from_micros(micros: i64) -> Self {
        let decimals = match micros.rem_euclid(1_000_000) {
            0 => 0,
            fraction if fraction % 1_000 == 0 => 3,
            _ => 6,
        };
        Self::with_decimals(micros, decimals)
    }

    fn with_decimals(micros: i64, decimals: u8) -> Self {
        let micros = micros.clamp(MIN_MICROS, MAX_MICROS);
        Self::from_bits(micros * 8 + i64::from(decimals.min(6)))
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.bits() >> 3
    }

    fn decimals(self) -> usize {
        (self.bits() & 7).min(6) as usize
    }

    /// With how many decimals it is written, if not with as many as [`Timestamp::from_micros`]
    /// would give it.
    pub fn unusual_decimals(self) -> Option<u8> {
        let usual = Self::from_micros(self.micros()).decimals();
        (self.decimals() != usual).then_some(self.decimals() as u8)
    }

    /// The same instant, written with so many decimals.
    pub fn written_with(self, decimals: u8) -> Self {
        Self::with_decimals(self.micros(), decimals)
    }

    /// The instant and its number of decimals as one number, for a store to keep.
    pub fn bits(self) -> i64 {
        self.0.get() ^ i64::MIN
    }

    /// What [`Timestamp::bits`] gave; any other number is some instant too.
    pub fn from_bits(bits: i64) -> Self {
        let bits = bits.clamp(MIN_MICROS * 8, MAX_MICROS * 8 + 7);
        match NonZeroI64::new(bits ^ i64::MIN) {
            Some(bits) => Self(bits),
            None => Self(NonZeroI64::MIN),
        }
    }

    /// The clock's time. Only the outermost rooms ask it; others are told.
    pub fn now() -> Self {
        Self::from_micros(jiff::Timestamp::now().as_microsecond())
    }

    /// This instant moved by so many microseconds.
    pub fn plus_micros(self, micros: i64) -> Self {
        Self::from_micros(self.micros().saturating_add(micros))
    }

    /// Appends the instant as clause 4.6.3 writes it, with the decimals it came with.
    pub fn write_to(self, out: &mut Vec<u8>) {
        let micros = self.micros();
        let seconds = micros.div_euclid(1_000_000);
        let fraction = micros.rem_euclid(1_000_000) as u32;
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let second = seconds.rem_euclid(86_400) as u32;
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let mut two = |place: usize, number: u32| {
            text[place] += (number / 10) as u8;
            text[place + 1] += (number % 10) as u8;
        };
        two(0, year / 100);
        two(2, year % 100);
        two(5, month);
        two(8, day);
        two(11, second / 3_600);
        two(14, second / 60 % 60);
        two(17, second % 60);
        let end = match self.decimals() {
            0 => 19,
            decimals => {
                two(20, fraction / 10_000);
                two(22, fraction / 100 % 100);
                two(24, fraction % 100);
                20 + decimals
            }
        };
        text[end] = b'Z';
        out.extend_from_slice(&text[..=end]);
    }
}

/// Year, month and day of a count of days since 1970 in the proleptic Gregorian calendar: the
/// calendar repeats every 400 years (146 097 days), counted here from 1 March of the year 0.
fn civil_from_days(days: i64) -> (u32, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year as u32, month as u32, day as u32)
}

impl FromStr for Timestamp {
    type Err = NotADateTime;

    fn from_str(text: &str) -> Result<Self, NotADateTime> {
        parse(text.as_bytes()).ok_or_else(|| NotADateTime(text.chars().take(64).collect()))
    }
}

/// `YYYY-MM-DDThh:mm:ss[(.|,)f{1,6}]Z`, every component present.
fn parse(text: &[u8]) -> Option<Timestamp> {
    let (head, rest) = text.split_at_checked(19)?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1] =
        *head
    else {
        return None;
    };
    let year = number(&[y0, y1, y2, y3])?;
    let days = days_from_civil(year, number(&[m0, m1])?, number(&[d0, d1])?)?;
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[n0, n1])?, number(&[s0, s1])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let decimals = match rest {
        b"Z" => &[][..],
        [b'.' | b',', decimals @ .., b'Z'] if (1..=6).contains(&decimals.len()) => decimals,
        _ => return None,
    };
    let micros = number(decimals)? * 10_i64.pow(6 - decimals.len() as u32);
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(Timestamp::with_decimals(seconds * 1_000_000 + micros, decimals.len() as u8))
}

/// The count of days since 1970 of a date that exists; the reverse of [`civil_from_days`].
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_of_month).contains(&day) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.micros() == other.micros()
    }
}

impl Eq for Timestamp {}

impl std::hash::Hash for Timestamp {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.micros().hash(state);
    }
}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.micros().cmp(&other.micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(27);
        self.write_to(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_the_clause_allows() {
        for (text, printed) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
            ("2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00.5Z"),
            ("2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00.000Z"),
            ("2024-02-29T23:59:59,123456Z", "2024-02-29T23:59:59.123456Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text.parse::<Timestamp>().expect(text).to_string(), printed);
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "2026",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00Z",
            "2026-02-30T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:00+07:00",
            "2026-01-31T12:00:00.1234567Z",
            "2026-01-31T12:00:00.Z",
            "๒๐๒๖-01-31T12:00:00Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(micros in MIN_MICROS..=MAX_MICROS) {
            let instant = Timestamp::from_micros(micros);
            prop_assert_eq!(instant.to_string().parse::<Timestamp>(), Ok(instant));
        }

        #[test]
        fn dates_are_those_of_the_calendar(year in 0_i16..=9_999, month in 0_i8..14, day in 0_i8..33) {
            let days = jiff::civil::Date::new(year, month, day).ok().map(|date| {
                let since = date.duration_since(jiff::civil::date(1970, 1, 1));
                since.as_hours() / 24
            });
            prop_assert_eq!(days_from_civil(year.into(), month.into(), day.into()), days);
        }

        #[test]
        fn bits_keep_everything(micros in MIN_MICROS..=MAX_MICROS) {
            let instant = Timestamp::from_micros(micros);
            prop_assert_eq!(Timestamp::from_bits(instant.bits()).to_string(), instant.to_string());
        }

        #[test]
        fn order_is_the_order_of_time(a in any::<i32>(), b in any::<i32>()) {
            let (first, second) = (Timestamp::from_micros(a.into()), Timestamp::from_micros(b.into()));
            prop_assert_eq!(first.cmp(&second), a.cmp(&b));
        }
    }
}
