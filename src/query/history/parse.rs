//! The parameters of a temporal query and of an aggregation (4.11, 4.5.19) become what a plan
//! holds.

use std::str::FromStr;

use super::aggregate::too_many_periods;
use super::{Aggregate, HistoryLimits, Method, Period, Periods, Window};
use crate::model::{TimeProperty, Timestamp};
use crate::query::QueryError;

/// The temporal parameters as they were sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct WindowParams<'a> {
    pub timerel: Option<&'a str>,
    pub time_at: Option<&'a str>,
    pub end_time_at: Option<&'a str>,
    pub time_property: Option<&'a str>,
}

impl Window {
    /// Reads `timerel`, `timeAt`, `endTimeAt` and `timeproperty`. None if there is no temporal
    /// query: `timeproperty` alone is one, for all time.
    ///
    /// # Errors
    /// If they do not belong together, or the window would end before it begins.
    pub fn parse(params: &WindowParams<'_>) -> Result<Option<Self>, QueryError> {
        let property = params.time_property.map(time_property).transpose()?;
        let at = params.time_at.map(|text| instant("timeAt", text)).transpose()?;
        let end = params.end_time_at.map(|text| instant("endTimeAt", text)).transpose()?;
        let Some(timerel) = params.timerel else {
            return match (at, end) {
                (None, None) => {
                    Ok(property.map(|property| Self { property, from: None, to: None }))
                }
                (Some(_), _) => Err(lone("timeAt", "timerel")),
                (None, Some(_)) => Err(lone("endTimeAt", "timerel=between and timeAt")),
            };
        };
        let bounds = match (timerel, at, end) {
            ("before" | "after" | "between", None, _) => return Err(lone("timerel", "timeAt")),
            ("before", at, None) => (None, at),
            ("after", at, None) => (at, None),
            ("between", _, None) => return Err(lone("timerel=between", "endTimeAt")),
            ("between", Some(at), Some(end)) if end <= at => {
                return Err(QueryError::incompatible(
                    "endTimeAt",
                    format!("it has to be later than timeAt, and {end} is not later than {at}"),
                ));
            }
            ("between", at, end) => (at, end),
            ("before" | "after", _, Some(_)) => {
                return Err(QueryError::incompatible(
                    "endTimeAt",
                    format!("it belongs to timerel=between, not to timerel={timerel}"),
                ));
            }
            (other, ..) => {
                let message = format!("use before, after or between, not {:?}", short(other));
                return Err(QueryError::syntax("timerel", message, Some((0, other.len()))));
            }
        };
        let property = property.unwrap_or_default();
        Ok(Some(Self { property, from: bounds.0, to: bounds.1 }))
    }
}

fn lone(given: &str, missing: &str) -> QueryError {
    let parameter = match given {
        "timeAt" => "timeAt",
        "endTimeAt" => "endTimeAt",
        _ => "timerel",
    };
    QueryError::incompatible(parameter, format!("{given} needs {missing} beside it"))
}

fn instant(parameter: &'static str, text: &str) -> Result<Timestamp, QueryError> {
    text.parse().map_err(|why: crate::model::NotADateTime| {
        QueryError::syntax(parameter, why.to_string(), Some((0, text.len())))
    })
}

fn time_property(text: &str) -> Result<TimeProperty, QueryError> {
    let all = [
        TimeProperty::ObservedAt,
        TimeProperty::CreatedAt,
        TimeProperty::ModifiedAt,
        TimeProperty::DeletedAt,
    ];
    all.into_iter().find(|property| property.term() == text).ok_or_else(|| {
        QueryError::syntax(
            "timeproperty",
            format!("use observedAt, createdAt, modifiedAt or deletedAt, not {:?}", short(text)),
            Some((0, text.len())),
        )
    })
}

/// Reads `lastN`: a whole number from 1 upward.
pub fn parse_last_n(text: &str) -> Result<usize, QueryError> {
    let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok());
    match number.flatten() {
        Some(number @ 1..) => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
        _ => Err(QueryError::syntax(
            "lastN",
            format!("it has to be a whole number from 1 upward, not {:?}", short(text)),
            Some((0, text.len())),
        )),
    }
}

impl Aggregate {
    /// Reads `aggrMethods` and `aggrPeriodDuration`; a duration of zero is the whole window.
    ///
    /// # Errors
    /// If there is no method, or an unknown one, or the duration is none, or the window has more
    /// periods than the limits allow.
    pub fn parse(
        methods: Option<&str>,
        period: Option<&str>,
        window: &Window,
        limits: &HistoryLimits,
    ) -> Result<Self, QueryError> {
        let Some(text) = methods else {
            return Err(QueryError::incompatible(
                "aggrMethods",
                "aggregatedValues needs it: name at least one method",
            ));
        };
        let mut methods = Vec::new();
        for word in text.split(',').map(str::trim) {
            let Some(method) = Method::ALL.into_iter().find(|method| method.term() == word) else {
                let known = Method::ALL.map(Method::term).join(", ");
                return Err(QueryError::syntax(
                    "aggrMethods",
                    format!("there is no method {:?}: use {known}", short(word)),
                    None,
                ));
            };
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
        let period = match period.map(duration).transpose()? {
            Some(Period { months: 0, micros: 0 }) | None => None,
            other => other,
        };
        if let (Some(from), Some(to)) = (window.from, window.to) {
            let last = Periods::new(from, period).number(to.micros() - 1);
            if usize::try_from(last).is_ok_and(|last| last >= limits.buckets) {
                return Err(too_many_periods(limits.buckets));
            }
        }
        Ok(Self { methods, period, last: None })
    }
}

/// The longest period: nobody's data is older, and sums of it stay exact.
const MAX_YEARS: u64 = 10_000;

impl FromStr for Period {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        duration(text)
    }
}

fn duration(text: &str) -> Result<Period, QueryError> {
    read_duration(text).ok_or_else(|| {
        QueryError::syntax(
            "aggrPeriodDuration",
            format!(
                "{:?} is not a duration: write it like P1D, PT15M, P1Y6M or P2W, of at most \
                 {MAX_YEARS} years",
                short(text)
            ),
            Some((0, text.len())),
        )
    })
}

/// `PnYnMnDTnHnMnS` with at least one part, parts in this order, or `PnW`.
fn read_duration(text: &str) -> Option<Period> {
    const SECOND: u64 = 1_000_000;
    let body = text.strip_prefix('P')?;
    let (date, time) = match body.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (body, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let mut months = 0_u64;
    let mut micros = 0_u64;
    let day = 86_400 * SECOND;
    let weeks = date.ends_with('W');
    if weeks && !time.is_empty() {
        return None;
    }
    let units: &[(char, u64, u64)] = match weeks {
        true => &[('W', 0, 7 * day)],
        false => &[('Y', 12, 0), ('M', 1, 0), ('D', 0, day)],
    };
    let clock = [('H', 0, 3_600 * SECOND), ('M', 0, 60 * SECOND), ('S', 0, SECOND)];
    for (part, units) in [(date, units), (time, &clock)] {
        let mut rest = part;
        let mut units = units.iter();
        while !rest.is_empty() {
            let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','))?;
            let unit = rest[end..].chars().next()?;
            let (_, month, micro) = units.find(|(letter, ..)| *letter == unit)?;
            let (whole, fraction) = match rest[..end].split_once(['.', ',']) {
                Some(_) if unit != 'S' => return None,
                Some((whole, fraction)) => (whole, decimals(fraction)?),
                None => (&rest[..end], 0),
            };
            let whole: u64 = whole.parse().ok()?;
            months = months.checked_add(whole.checked_mul(*month)?)?;
            micros = micros.checked_add(whole.checked_mul(*micro)?)?.checked_add(fraction)?;
            rest = &rest[end + 1..];
        }
    }
    let fits = months <= MAX_YEARS * 12 && micros <= MAX_YEARS * 366 * day;
    fits.then_some(())?;
    Some(Period { months: u32::try_from(months).ok()?, micros: i64::try_from(micros).ok()? })
}

/// A fraction of a second as microseconds.
fn decimals(digits: &str) -> Option<u64> {
    if !(1..=6).contains(&digits.len()) {
        return None;
    }
    Some(digits.parse::<u64>().ok()? * 10_u64.pow(6 - digits.len() as u32))
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(
        timerel: Option<&str>,
        time_at: Option<&str>,
        end_time_at: Option<&str>,
        time_property: Option<&str>,
    ) -> Result<Option<Window>, QueryError> {
        Window::parse(&WindowParams { timerel, time_at, end_time_at, time_property })
    }

    const A: Option<&str> = Some("2026-01-01T00:00:00Z");
    const B: Option<&str> = Some("2026-02-01T00:00:00Z");

    #[test]
    fn windows_are_half_open() {
        let (from, to) = (A.map(|a| a.parse().expect("a time")), B.map(|b| b.parse().expect("b")));
        let property = TimeProperty::ObservedAt;
        let cases = [
            (Some("before"), B, None, Window { property, from: None, to }),
            (Some("after"), A, None, Window { property, from, to: None }),
            (Some("between"), A, B, Window { property, from, to }),
        ];
        for (timerel, at, end, expected) in cases {
            assert_eq!(window(timerel, at, end, None), Ok(Some(expected)));
        }
        assert_eq!(window(None, None, None, None), Ok(None));
        let deleted = Window { property: TimeProperty::DeletedAt, from: None, to: None };
        assert_eq!(window(None, None, None, Some("deletedAt")), Ok(Some(deleted)));
        let window = Window { property, from, to };
        let inside = |text: &str| window.contains(text.parse().expect("a time"));
        assert!(inside("2026-01-01T00:00:00Z") && !inside("2026-02-01T00:00:00Z"));
    }

    #[test]
    fn what_does_not_belong_together_is_refused_by_name() {
        for (timerel, at, end, property, parameter) in [
            (None, A, None, None, "timeAt"),
            (None, None, A, None, "endTimeAt"),
            (Some("after"), None, None, None, "timerel"),
            (Some("between"), A, None, None, "timerel"),
            (Some("between"), B, A, None, "endTimeAt"),
            (Some("between"), A, A, None, "endTimeAt"),
            (Some("before"), A, B, None, "endTimeAt"),
            (Some("during"), A, None, None, "timerel"),
            (Some("after"), Some("2026"), None, None, "timeAt"),
            (Some("between"), A, Some("tomorrow"), None, "endTimeAt"),
            (Some("after"), A, None, Some("seenAt"), "timeproperty"),
        ] {
            let error = window(timerel, at, end, property).expect_err("a refusal");
            assert_eq!(error.parameter, parameter, "{error}");
        }
    }

    #[test]
    fn last_n_is_a_count() {
        assert_eq!(parse_last_n("3"), Ok(3));
        for text in ["0", "-1", "1.5", "", "three", "99999999999999999999999", "+4"] {
            assert!(parse_last_n(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_read_by_the_calendar() {
        let second = 1_000_000_i64;
        for (text, months, micros) in [
            ("P1Y", 12, 0),
            ("P1Y2M3DT4H5M6S", 14, ((3 * 24 + 4) * 3_600 + 5 * 60 + 6) * second),
            ("PT15M", 0, 900 * second),
            ("P2W", 0, 14 * 86_400 * second),
            ("PT0.5S", 0, 500_000),
            ("PT0S", 0, 0),
            ("P0D", 0, 0),
            ("PT36H", 0, 36 * 3_600 * second),
        ] {
            assert_eq!(text.parse(), Ok(Period { months, micros }), "{text}");
        }
        for text in [
            "",
            "P",
            "PT",
            "P1",
            "1D",
            "P1DT",
            "PT1D",
            "P1H",
            "P1M1Y",
            "P-1D",
            "-P1D",
            "P1W2D",
            "P1WT1H",
            "P1.5D",
            "PT1.S",
            "P0003-06-04T12:30:05",
            "P1D1D",
            "P99999Y",
            "day",
            "P99999999999999999999D",
            "PT1S ",
            "P๑D",
        ] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_window_of_too_many_periods_is_refused() {
        let year = window(Some("between"), A, Some("2027-01-01T00:00:00Z"), None);
        let year = year.expect("a window").expect("a window");
        let limits = HistoryLimits { buckets: 1_000, ..HistoryLimits::default() };
        let parse = |period| Aggregate::parse(Some("avg"), Some(period), &year, &limits);
        assert!(parse("P1D").is_ok());
        assert_eq!(parse("PT1S").expect_err("too many").parameter, "aggrPeriodDuration");
        assert_eq!(parse("PT0S").expect("the whole").period, None);
        for (methods, parameter) in
            [(None, "aggrMethods"), (Some("mean"), "aggrMethods"), (Some("avg,"), "aggrMethods")]
        {
            let error = Aggregate::parse(methods, None, &year, &limits).expect_err("a refusal");
            assert_eq!(error.parameter, parameter);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "[P0-9YMDTHSW.,ก-]{0,16}") {
            let _ = text.parse::<Period>();
            let _ = parse_last_n(&text);
        }
    }
}
