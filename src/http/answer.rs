//! How what an operation found or did becomes a response (6.3.6, 6.3.9, 6.3.10, 6.3.21).

use std::cell::RefCell;

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::negotiate::Media;
use super::problem::Problem;
use super::viewing::Viewing;
use crate::broker::{Answer, BatchOutcome, Call, Settled, Updated};
use crate::federate::Warning;
use crate::jsonld::Context;
use crate::represent::results::{self, Failure};
use crate::represent::{Renderer, Rendering, SpecVersion};

/// `NGSILD-Results-Count` (6.3.13).
pub(super) static RESULTS_COUNT: HeaderName = HeaderName::from_static("ngsild-results-count");
/// `NGSILD-Warning` (6.3.17).
pub(super) static WARNING: HeaderName = HeaderName::from_static("ngsild-warning");
/// `Preference-Applied` (RFC 7240, 6.3.21).
static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// 204.
pub fn no_content() -> HttpResponse {
    HttpResponse::new(StatusCode::NO_CONTENT)
}

/// 201 with the place of what was created.
pub fn created(collection: &str, id: &str) -> HttpResponse {
    let place = HeaderValue::from_str(&place(collection, id));
    let mut response = HttpResponse::new(StatusCode::CREATED);
    if let Ok(place) = place {
        locate(&mut response, place);
    }
    response
}

/// Says where what was made is. There are clients that look for `Location` in this letter case,
/// although names of headers have none (RFC 9110, 5.1).
fn locate(response: &mut HttpResponse, place: HeaderValue) {
    response.headers_mut().insert(header::LOCATION, place);
    response.head_mut().set_camel_case_headers(true);
}

/// The path of a thing; of its id, what would end a path or is not ASCII is escaped.
pub(super) fn place(collection: &str, id: &str) -> String {
    let mut place = ["/ngsi-ld/v1/", collection, "/"].concat();
    for byte in id.bytes() {
        match byte {
            b'%' | b'?' | b'#' | b'/' | 0..=b' ' | 0x7f.. => {
                place.push_str(&format!("%{byte:02X}"));
            }
            plain => place.push(plain.into()),
        }
    }
    place
}

/// 204, or 207 with an UpdateResult (5.2.18) where attributes were left as they were, or others
/// that have some of them did not do their part.
pub fn updated(updated: Updated) -> HttpResponse {
    let Updated { outcome, failed } = updated;
    if outcome.untouched.is_empty() && failed.is_empty() {
        return no_content();
    }
    let failed: Vec<_> =
        failed.into_iter().map(|(names, error)| (names, Problem::of_part(error))).collect();
    json(StatusCode::MULTI_STATUS, results::update_result(&outcome, &failed))
}

/// 204, or 207 with a BatchOperationResult (5.2.16) where others that have parts of an entity did
/// not do theirs.
pub fn done(settled: Settled) -> HttpResponse {
    match settled {
        Settled::Done => no_content(),
        Settled::Partly(outcome) => batch_done(outcome),
    }
}

/// The same answer with the place of what was created.
pub fn located(mut response: HttpResponse, collection: &str, id: &str) -> HttpResponse {
    if let Ok(place) = HeaderValue::from_str(&place(collection, id)) {
        locate(&mut response, place);
    }
    response
}

/// 201 with the ids that were created, 204 if none was, or 207 if anything failed.
pub fn batch_created(outcome: BatchOutcome) -> HttpResponse {
    match outcome.failed.is_empty() && !outcome.created.is_empty() {
        true => json(StatusCode::CREATED, results::ids(&outcome.created)),
        false => batch_done(outcome),
    }
}

/// 204, or 207 with a BatchOperationResult (5.2.16) if anything failed.
pub fn batch_done(outcome: BatchOutcome) -> HttpResponse {
    if outcome.failed.is_empty() {
        return no_content();
    }
    let succeeded: Vec<_> = outcome.created.into_iter().chain(outcome.changed).collect();
    let failed: Vec<_> = outcome
        .failed
        .into_iter()
        .map(|(entity, error)| (entity, Problem::of_part(error)))
        .collect();
    json(StatusCode::MULTI_STATUS, results::batch_result(&succeeded, &failed))
}

/// One entity; a list, or a FeatureCollection, if others are joined with it flat, be there such
/// or not (4.5.23, 6.5.3.1).
pub fn one_entity(
    call: &Call,
    viewing: &Viewing,
    rendering: &Rendering,
    answer: &Answer,
) -> Result<HttpResponse, Problem> {
    let Some(entity) = answer.entities.first() else {
        return Err(Problem::internal("an entity was found and is not there"));
    };
    let renderer = renderer(call, viewing, rendering, answer);
    let flat = rendering.joins_flat();
    if !flat && let Some(body) = renderer.kept(entity) {
        return Ok(dressed(call, viewing, false, body));
    }
    let mut body = Vec::with_capacity(1_024);
    let written = match flat {
        true => renderer.all(&mut body, &answer.entities),
        false => renderer.stored(&mut body, entity),
    };
    if written.empty {
        let mut problem =
            Problem::not_found("the entity has none of the members that were asked for");
        problem.warn(&answer.warnings);
        return Err(problem);
    }
    let mut response = dressed(call, viewing, written.altered, body);
    warn(response.headers_mut(), &answer.warnings);
    Ok(response)
}

/// How many warnings an answer carries: clients take a hundred headers, or some kilobytes of them.
pub(super) const MOST_WARNINGS: usize = 32;

/// Says what went wrong at sources (6.3.17).
pub(super) fn warn(headers: &mut HeaderMap, warnings: &[Warning]) {
    for warning in warnings.iter().take(MOST_WARNINGS) {
        if let Ok(value) = HeaderValue::from_str(&warning.to_string()) {
            headers.append(WARNING.clone(), value);
        }
    }
}

/// A page of entities (6.4.3.2).
pub fn entities(
    call: &Call,
    viewing: &Viewing,
    rendering: &Rendering,
    answer: &Answer,
) -> HttpResponse {
    let renderer = renderer(call, viewing, rendering, answer);
    let mut body = Vec::with_capacity(64 + 768 * answer.entities.len());
    let written = renderer.all(&mut body, &answer.entities);
    let mut response = dressed(call, viewing, written.altered, body);
    let headers = response.headers_mut();
    warn(headers, &answer.warnings);
    if let Some(count) = answer.count {
        results_count(headers, count);
    }
    response
}

/// Says how many results there are in all (6.3.13).
pub fn results_count(headers: &mut HeaderMap, count: u64) {
    headers.insert(RESULTS_COUNT.clone(), count.into());
}

fn renderer<'a>(
    call: &'a Call,
    viewing: &Viewing,
    rendering: &'a Rendering,
    answer: &'a Answer,
) -> Renderer<'a> {
    let renderer = Renderer::new(rendering, &call.context, call.now).with_linked(&answer.linked);
    match viewing.context_in_body() {
        true => renderer.with_context_in_body(),
        false => renderer,
    }
}

/// A body whose `@context` was put into it or goes into a `Link` header (6.3.6), and that may
/// follow an older version (6.3.21).
pub(super) fn dressed(
    call: &Call,
    viewing: &Viewing,
    altered: bool,
    body: impl MessageBody + 'static,
) -> HttpResponse {
    let status = if altered { StatusCode::NON_AUTHORITATIVE_INFORMATION } else { StatusCode::OK };
    let mut response = HttpResponse::with_body(status, body).map_into_boxed_body();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, viewing.media.header());
    if !viewing.context_in_body() {
        name_context(headers, &call.context);
    }
    if let Some(version) = viewing.texts.version {
        apply_version(headers, version);
    }
    response
}

/// Says which version the answer follows (6.3.21).
pub fn apply_version(headers: &mut HeaderMap, version: SpecVersion) {
    if let Ok(applied) = HeaderValue::from_str(&format!("ngsi-ld={version}")) {
        headers.insert(PREFERENCE_APPLIED.clone(), applied);
    }
}

/// Adds the `Link` header that names a context, if the context has an address (6.3.6).
pub(super) fn name_context(headers: &mut HeaderMap, context: &Context) {
    thread_local! {
        /// The last header and its address: most answers in a row are under one context.
        static LAST: RefCell<Option<(Box<str>, HeaderValue)>> = const { RefCell::new(None) };
    }
    let Some(url) = context.link().url.as_deref() else { return };
    LAST.with_borrow_mut(|last| {
        if let Some((of, link)) = last
            && **of == *url
        {
            headers.append(header::LINK, link.clone());
            return;
        }
        let rest = ">; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"";
        if let Ok(link) = HeaderValue::try_from(["<", url, rest].concat()) {
            *last = Some((url.into(), link.clone()));
            headers.append(header::LINK, link);
        }
    });
}

/// A JSON object or array that `represent` wrote, with its `@context`.
pub fn document(media: Media, call: &Call, body: Vec<u8>) -> HttpResponse {
    let mut response = json(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media.header());
    if media == Media::Json {
        name_context(headers, &call.context);
    }
    response
}

/// A body of plain JSON.
pub fn json(status: StatusCode, body: Vec<u8>) -> HttpResponse {
    let mut response = HttpResponse::with_body(status, body).map_into_boxed_body();
    response.headers_mut().insert(header::CONTENT_TYPE, Media::Json.header());
    response
}

impl Failure for Problem {
    fn write_to(&self, out: &mut Vec<u8>) {
        // Writing to memory does not fail, and a problem is plain texts and a number.
        let _ = serde_json::to_writer(out, &self.body());
    }

    fn reason(&self) -> &str {
        &self.detail
    }

    fn registration(&self) -> Option<&str> {
        self.registration.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_paths_whatever_the_id() {
        for (id, expected) in [
            ("urn:ngsi-ld:Vehicle:A1", "/ngsi-ld/v1/entities/urn:ngsi-ld:Vehicle:A1"),
            ("urn:ก?#", "/ngsi-ld/v1/entities/urn:%E0%B8%81%3F%23"),
            ("http://a/b%20", "/ngsi-ld/v1/entities/http:%2F%2Fa%2Fb%2520"),
        ] {
            assert_eq!(place("entities", id), expected);
        }
    }
}
