//! Content types of requests and answers (6.3.4).

use actix_web::{
    HttpRequest,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};

use super::problem::{ErrorKind, Problem};

/// The media types that the API speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Media {
    /// `application/json`: the @context goes into the header `Link`.
    Json,
    /// `application/ld+json`: the @context stands in the body.
    LdJson,
    /// `application/geo+json`.
    GeoJson,
    /// `text/csv`: a table.
    Csv,
    /// `application/vnd.apache.arrow.stream`: a table.
    Arrow,
}

impl Media {
    /// The media type as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::LdJson => "application/ld+json",
            Self::GeoJson => "application/geo+json",
            Self::Csv => "text/csv",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// The media type as the value of `Content-Type`.
    pub const fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }
}

/// The type of a request's body: JSON or JSON-LD, for PATCH also merge-patch, which is taken as
/// JSON. Anything else is 415, with an empty body.
pub fn content_type(request: &HttpRequest) -> Result<Media, Problem> {
    let refused = || Problem::bare(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let value = request.headers().get(header::CONTENT_TYPE).ok_or_else(refused)?.as_bytes();
    match value {
        b"application/json" => return Ok(Media::Json),
        b"application/ld+json" => return Ok(Media::LdJson),
        _ => {}
    }
    let text = std::str::from_utf8(value).map_err(|_| refused())?;
    let mut parts = text.split(';');
    let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let foreign = parts.any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let charset = name.trim().eq_ignore_ascii_case("charset");
        charset && !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    let patch = request.method() == actix_web::http::Method::PATCH;
    match kind.as_str() {
        _ if foreign => Err(refused()),
        "application/json" => Ok(Media::Json),
        "application/ld+json" => Ok(Media::LdJson),
        "application/merge-patch+json" if patch => Ok(Media::Json),
        _ => Err(refused()),
    }
}

/// The type of the answer, from what the client accepts; `geo` where GeoJSON is offered. Without
/// weights JSON goes before JSON-LD before GeoJSON. Nothing acceptable is 406, whose body lists
/// what there is.
pub fn accept(request: &HttpRequest, geo: bool) -> Result<Media, Problem> {
    accept_one_of(
        request,
        match geo {
            true => &[Media::Json, Media::LdJson, Media::GeoJson],
            false => &[Media::Json, Media::LdJson],
        },
    )
}

/// The type of the answer, of those that are offered; what stands first goes before.
pub fn accept_one_of(request: &HttpRequest, offered: &[Media]) -> Result<Media, Problem> {
    let mut values = request.headers().get_all(header::ACCEPT);
    let Some(first) = values.next() else {
        return Ok(Media::Json);
    };
    let second = values.next();
    if second.is_none() {
        match first.as_bytes() {
            b"*/*" | b"application/json" | b"" => return Ok(Media::Json),
            b"application/ld+json" => return Ok(Media::LdJson),
            b"application/geo+json" if offered.contains(&Media::GeoJson) => {
                return Ok(Media::GeoJson);
            }
            _ => {}
        }
    }
    let mut ranges = Vec::new();
    for value in [first].into_iter().chain(second).chain(values) {
        ranges.extend(value.to_str().unwrap_or_default().split(',').filter_map(Range::parse));
    }
    let mut best: Option<(u16, Media)> = None;
    for &media in offered {
        let weight = weight_of(media, &ranges);
        if weight > best.map_or(0, |(weight, _)| weight) {
            best = Some((weight, media));
        }
    }
    best.map(|(_, media)| media).ok_or_else(|| not_acceptable(offered))
}

fn not_acceptable(offered: &[Media]) -> Problem {
    let offered: Vec<&str> = offered.iter().map(|media| media.as_str()).collect();
    Problem {
        status: 406,
        title: "None of the accepted media types is available".into(),
        ..Problem::new(ErrorKind::InvalidRequest, format!("available here: {}", offered.join(", ")))
    }
}

/// One element of `Accept`.
struct Range<'a> {
    kind: &'a str,
    /// In thousandths.
    weight: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';');
        let kind = parts.next()?.trim();
        let weight = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .and_then(|(_, weight)| weight.trim().parse::<f32>().ok())
            .filter(|weight| (0.0..=1.0).contains(weight))
            .unwrap_or(1.0);
        (!kind.is_empty()).then_some(Self { kind, weight: (weight * 1000.0) as u16 })
    }

    /// How precisely the range names a media type; 0 when it does not cover it.
    fn precision(&self, media: Media) -> u8 {
        match self.kind {
            kind if kind.eq_ignore_ascii_case(media.as_str()) => 3,
            kind if kind.eq_ignore_ascii_case("text/*") && media == Media::Csv => 2,
            kind if kind.eq_ignore_ascii_case("application/*") && media != Media::Csv => 2,
            "*/*" | "*" => 1,
            _ => 0,
        }
    }
}

/// The weight that the most precise range gives to a media type (RFC 9110, 12.5.1).
fn weight_of(media: Media, ranges: &[Range<'_>]) -> u16 {
    let covering = ranges.iter().filter(|range| range.precision(media) > 0);
    covering.max_by_key(|range| (range.precision(media), range.weight)).map_or(0, |r| r.weight)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_best_acceptable_type_is_chosen() {
        use Media::{GeoJson, Json, LdJson};
        for (accept_header, geo, expected) in [
            ("*/*", true, Some(Json)),
            ("", true, Some(Json)),
            ("application/json", true, Some(Json)),
            ("application/ld+json", false, Some(LdJson)),
            ("application/geo+json", true, Some(GeoJson)),
            ("application/geo+json", false, None),
            ("application/geo+json, */*;q=0.1", false, Some(Json)),
            ("application/ld+json, application/json", true, Some(Json)),
            ("application/ld+json, application/json;q=0.9", true, Some(LdJson)),
            ("application/*;q=0.5, application/geo+json;q=0.6", true, Some(GeoJson)),
            ("application/json;q=0, */*", true, Some(LdJson)),
            ("text/html, application/xhtml+xml, */*;q=0.8", true, Some(Json)),
            ("text/html", true, None),
            ("application/json;q=0", true, None),
            ("application/json;charset=utf-8", true, Some(Json)),
            ("Application/LD+JSON", true, Some(LdJson)),
            // A weight that cannot be read is none.
            ("application/json;q=high", true, Some(Json)),
            (",,;q=1", true, None),
        ] {
            let request = TestRequest::get().insert_header(("accept", accept_header));
            let found = accept(&request.to_http_request(), geo).ok();
            assert_eq!(found, expected, "{accept_header}");
        }
        assert_eq!(accept(&TestRequest::get().to_http_request(), true), Ok(Json));
        let two = TestRequest::get()
            .append_header(("accept", "text/html"))
            .append_header(("accept", "application/ld+json"));
        assert_eq!(accept(&two.to_http_request(), true), Ok(LdJson));
    }

    #[test]
    fn nothing_acceptable_lists_what_there_is() {
        let request = TestRequest::get().insert_header(("accept", "text/html")).to_http_request();
        let problem = accept(&request, false).unwrap_err();
        assert_eq!(problem.status, 406);
        assert_eq!(problem.detail, "available here: application/json, application/ld+json");
    }

    #[test]
    fn bodies_are_json_or_json_ld() {
        for (method, value, expected) in [
            ("POST", "application/json", Some(Media::Json)),
            ("POST", "application/json; charset=UTF-8", Some(Media::Json)),
            ("POST", "application/ld+json;charset=\"utf-8\"", Some(Media::LdJson)),
            ("POST", "APPLICATION/JSON", Some(Media::Json)),
            ("PATCH", "application/merge-patch+json", Some(Media::Json)),
            ("POST", "application/merge-patch+json", None),
            ("POST", "application/json; charset=latin1", None),
            ("POST", "application/geo+json", None),
            ("POST", "text/plain", None),
        ] {
            let method = method.parse().unwrap();
            let request =
                TestRequest::default().method(method).insert_header(("content-type", value));
            let found = content_type(&request.to_http_request());
            assert_eq!(found.as_ref().ok(), expected.as_ref(), "{value}");
            if let Err(problem) = found {
                assert!(problem.status == 415 && problem.bare);
            }
        }
        assert!(content_type(&TestRequest::post().to_http_request()).is_err());
    }
}
