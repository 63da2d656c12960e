//! How long an answer may be kept, as its host says (RFC 9111).

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, HeaderMap, HeaderName};

/// How long an answer may be kept from now on; nothing when its host does not say.
pub(super) fn max_age(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(lifetime) = text(CACHE_CONTROL).and_then(lifetime) {
        let age = text(AGE).and_then(|age| age.trim().parse().ok()).unwrap_or(0);
        return Some(lifetime.saturating_sub(Duration::from_secs(age)));
    }
    let expires = text(EXPIRES)?;
    // A date that cannot be read, such as "0", means that it has expired already.
    let Some(expires) = date(expires) else { return Some(Duration::ZERO) };
    let sent = text(DATE).and_then(date).unwrap_or(now);
    Some(expires.duration_since(sent).try_into().unwrap_or(Duration::ZERO))
}

/// The lifetime that `Cache-Control` gives; the one for shared caches goes first.
fn lifetime(directives: &str) -> Option<Duration> {
    let mut private = None;
    let mut shared = None;
    for directive in directives.split(',') {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let seconds = || value.trim().trim_matches('"').parse().ok().map(Duration::from_secs);
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Some(Duration::ZERO),
            "s-maxage" => shared = seconds(),
            "max-age" => private = seconds(),
            _ => {}
        }
    }
    shared.or(private)
}

fn date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_say_how_long_their_answers_last() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        for (pairs, seconds) in [
            (&[("cache-control", "max-age=60")][..], Some(60)),
            (&[("cache-control", "public, max-age=60, s-maxage=10")], Some(10)),
            (&[("cache-control", "max-age=60"), ("age", "50")], Some(10)),
            (&[("cache-control", "max-age=60"), ("age", "70")], Some(0)),
            (&[("cache-control", "No-Cache")], Some(0)),
            (&[("cache-control", "no-store, max-age=60")], Some(0)),
            (&[("cache-control", "public")], None),
            (&[("cache-control", "max-age=soon")], None),
            (&[("expires", "Thu, 01 Jan 2026 01:00:00 GMT")], Some(3600)),
            (
                &[
                    ("expires", "Thu, 01 Jan 2026 01:00:00 GMT"),
                    ("date", "Thu, 01 Jan 2026 00:59:00 GMT"),
                ],
                Some(60),
            ),
            (&[("expires", "Wed, 31 Dec 2025 01:00:00 GMT")], Some(0)),
            (&[("expires", "0")], Some(0)),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            assert_eq!(max_age(&headers, now), seconds.map(Duration::from_secs), "{pairs:?}");
        }
    }
}
