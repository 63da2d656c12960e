//! Cross-origin requests of web pages. Nothing here runs for a request without an `Origin`.

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};

use crate::config;

use super::places::Place;

/// The answer's headers that scripts may read, besides the few that browsers always show.
const EXPOSED: &str = "Link, Location, NGSILD-Results-Count, NGSILD-Tenant, NGSILD-EntityMap, \
                       NGSILD-Snapshot, NGSILD-Warning, Preference-Applied, Content-Range, \
                       Lanna-Thinned-Until, X-Request-Id";

/// The request's headers that scripts may set, when a preflight does not say which it wants.
const TAKEN: &str = "Accept, Authorization, Content-Type, Link, NGSILD-Tenant, NGSILD-EntityMap, \
                     NGSILD-Snapshot, Prefer, Via, X-Request-Id";

/// Who may call from a page.
#[derive(Debug, Clone)]
pub struct Cors {
    any: bool,
    loopback: bool,
    origins: Vec<String>,
    max_age: HeaderValue,
}

impl Cors {
    /// The rules of the configuration.
    pub fn new(settings: &config::Cors) -> Self {
        let named = |word: &str| settings.origins.iter().any(|origin| origin == word);
        Self {
            any: named("*"),
            loopback: named("loopback"),
            origins: settings
                .origins
                .iter()
                .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
                .collect(),
            max_age: settings.max_age.as_secs().into(),
        }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.any
            || origin.to_str().is_ok_and(|origin| {
                let origin = origin.to_ascii_lowercase();
                self.origins.contains(&origin) || (self.loopback && is_loopback(&origin))
            })
    }

    /// Lets the page that sent the request read its answer, when it may.
    pub fn mark(&self, request: &HeaderMap, response: &mut HeaderMap) {
        let Some(origin) = request.get(ORIGIN) else { return };
        if !self.any {
            response.append(VARY, HeaderValue::from_static("Origin"));
        }
        if self.allows(origin) {
            let allowed = if self.any { HeaderValue::from_static("*") } else { origin.clone() };
            response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }

    /// Answers a preflight question: what a page may send to a place.
    pub fn preflight(&self, place: Place, request: &HeaderMap, response: &mut HeaderMap) {
        if !request.get(ORIGIN).is_some_and(|origin| self.allows(origin)) {
            return;
        }
        if let Ok(methods) = HeaderValue::from_str(&place.allow()) {
            response.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        let asked = request.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let taken = asked.unwrap_or_else(|| HeaderValue::from_static(TAKEN));
        response.insert(ACCESS_CONTROL_ALLOW_HEADERS, taken);
        response.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
    }
}

/// Whether a page was served by this machine.
fn is_loopback(origin: &str) -> bool {
    let Ok(url) = url::Url::parse(origin) else { return false };
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &[&str], origin: &str) -> Option<String> {
        let settings = config::Cors {
            origins: origins.iter().map(|origin| origin.to_string()).collect(),
            ..config::Cors::default()
        };
        let mut request = HeaderMap::new();
        request.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        let mut response = HeaderMap::new();
        Cors::new(&settings).mark(&request, &mut response);
        let allowed = response.get(ACCESS_CONTROL_ALLOW_ORIGIN)?;
        assert!(response.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS));
        Some(allowed.to_str().unwrap().to_owned())
    }

    #[test]
    fn pages_are_let_in_as_configured() {
        let map = "https://map.example.org";
        for (origins, origin, expected) in [
            (&["*"][..], map, Some("*")),
            (&[map], map, Some(map)),
            (&["https://map.example.org/"], map, Some(map)),
            (&[map], "https://evil.example.org", None),
            (&[map], "null", None),
            (&["loopback"], "http://localhost:3000", Some("http://localhost:3000")),
            (&["loopback"], "http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            (&["loopback"], "http://[::1]", Some("http://[::1]")),
            (&["loopback"], "https://localhost.example.org", None),
            (&["loopback"], "http://127.0.0.1.nip.io", None),
            (&[], "http://localhost", None),
        ] {
            assert_eq!(allowed(origins, origin).as_deref(), expected, "{origin} in {origins:?}");
        }
    }
}
