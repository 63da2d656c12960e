//! The header `NGSILD-Warning` of answers to writes: what the models found in entities that were
//! taken all the same. The form is that of 6.3.17, the code 199: a miscellaneous warning.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

use crate::broker::{Broker, Finding};
use crate::model::{TenantId, Timestamp};

static WARNING: HeaderName = HeaderName::from_static("ngsild-warning");

/// How many warnings one answer bears.
const MOST: usize = 8;

/// How long one may be, in bytes.
const LONG: usize = 400;

/// Whose operation a request was, and when.
struct Called(TenantId, Timestamp);

/// Takes note of a request that may write.
pub(super) fn note(request: &HttpRequest, tenant: &TenantId, now: Timestamp) {
    if !request.method().is_safe() {
        request.extensions_mut().insert(Called(tenant.clone(), now));
    }
}

/// Tells in the answer what the models found in what the request wrote.
pub(super) fn mark(request: &HttpRequest, broker: &Broker, response: &mut HttpResponse) {
    if request.method().is_safe() {
        return;
    }
    let found = match request.extensions().get::<Called>() {
        Some(Called(tenant, now)) => broker.models().warnings(tenant, *now),
        None => return,
    };
    for finding in found.iter().take(MOST) {
        if let Ok(value) = HeaderValue::from_str(&text(finding)) {
            response.headers_mut().append(WARNING.clone(), value);
        }
    }
}

/// `199 lanna "urn:x:1 is not as AirQualityObserved says: pm25: expected …, received …"`.
fn text(finding: &Finding) -> String {
    let what: Vec<String> = finding.violations.iter().map(ToString::to_string).collect();
    let told = format!("{} is not as {} says: {}", finding.id, finding.model, what.join("; "));
    // A quoted string of plain ASCII, which every client can read.
    let mut plain: String = told
        .chars()
        .map(|letter| match letter {
            '"' | '\\' => '\'',
            ' '..='~' => letter,
            _ => '?',
        })
        .collect();
    if plain.len() > LONG {
        plain.truncate(LONG);
        plain.push_str("...");
    }
    format!("199 lanna \"{plain}\"")
}
