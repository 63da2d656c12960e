//! What a request says about the looks of its answer: media type, representation, projection,
//! language, joins, version (6.3.4, 6.3.6, 6.3.7, 6.3.20, 6.3.21).

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};

use super::negotiate::{Media, accept_one_of};
use super::params::Params;
use super::problem::Problem;
use crate::broker::{Error, ViewTexts};
use crate::represent::{Format, SpecVersion};

/// The looks of an answer, as asked for.
#[derive(Debug)]
pub struct Viewing {
    pub media: Media,
    pub texts: ViewTexts,
    /// `options=count`, which clients of older versions still send.
    pub counts: bool,
    /// `Prefer: body=json`: a GeoJSON body goes without `@context`.
    plain_body: bool,
}

/// `Prefer` (RFC 7240).
pub(super) static PREFER: HeaderName = HeaderName::from_static("prefer");

impl Viewing {
    /// What the headers say.
    pub fn negotiate(request: &HttpRequest) -> Result<Self, Problem> {
        Self::negotiate_one_of(request, &[Media::Json, Media::LdJson, Media::GeoJson])
    }

    /// What the headers say, where these media types are offered.
    pub fn negotiate_one_of(request: &HttpRequest, offered: &[Media]) -> Result<Self, Problem> {
        let media = accept_one_of(request, offered)?;
        let texts = ViewTexts {
            geojson: media == Media::GeoJson,
            version: version(request.headers()),
            ..ViewTexts::default()
        };
        let plain_body = preference(request.headers(), "body") == Some("json");
        Ok(Self { media, texts, counts: false, plain_body })
    }

    /// Whether the `@context` goes into the body (6.3.6).
    pub fn context_in_body(&self) -> bool {
        match self.media {
            Media::Json | Media::Csv | Media::Arrow => false,
            Media::LdJson => true,
            Media::GeoJson => !self.plain_body,
        }
    }

    /// Takes all parameters that a Retrieve or a Query by URL may have.
    pub fn take(&mut self, params: &mut Params<'_>) -> Result<(), Error> {
        self.take_from_url(params)?;
        let text = |text: Option<std::borrow::Cow<'_, str>>| text.map(|text| text.into_owned());
        self.texts.pick = text(params.take("pick"));
        self.texts.omit = text(params.take("omit"));
        self.texts.attrs = text(params.take("attrs"));
        self.texts.datasets = text(params.take("datasetId"));
        self.texts.lang = text(params.take("lang"));
        self.texts.join = text(params.take("join"));
        self.texts.join_level = params.take_number("joinLevel")?;
        self.texts.contained_by = params.take_ids("containedBy")?;
        Ok(())
    }

    /// Takes the parameters that stay in the URL of a Query by body: the representation.
    pub fn take_from_url(&mut self, params: &mut Params<'_>) -> Result<(), Error> {
        let mut of_options = None;
        if let Some(options) = params.take("options") {
            for word in options.split(',').map(str::trim) {
                match word {
                    "sysAttrs" => self.texts.sys_attrs = true,
                    "count" => self.counts = true,
                    word => set_format(&mut of_options, word)?,
                }
            }
        }
        let mut of_format = None;
        if let Some(word) = params.take("format") {
            set_format(&mut of_format, word.trim())?;
        }
        self.texts.format = of_format.or(of_options).unwrap_or_default();
        self.texts.geometry_property =
            params.take("geometryProperty").map(|text| text.into_owned());
        Ok(())
    }
}

/// `format` and `options` share their words; `format` wins, but both have to be right.
fn set_format(place: &mut Option<Format>, word: &str) -> Result<(), Error> {
    let Some(format) = Format::from_keyword(word) else {
        return Err(Error::request(format!(
            "there is no representation {word:?}: use normalized, concise, simplified or keyValues, and sysAttrs in options"
        )));
    };
    match place.replace(format) {
        Some(other) if other != format => {
            Err(Error::request("two representations are asked for at once"))
        }
        _ => Ok(()),
    }
}

/// The version that is preferred; one that is newer than ours is answered with ours (6.3.21).
pub fn version(headers: &HeaderMap) -> Option<SpecVersion> {
    let version: SpecVersion = preference(headers, "ngsi-ld")?.parse().ok()?;
    Some(version.min(SpecVersion::OURS))
}

/// The value of a preference in the `Prefer` headers (RFC 7240).
fn preference<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    if !headers.contains_key(&PREFER) {
        return None;
    }
    let texts = headers.get_all(&PREFER).filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case(wanted);
        named.then(|| value.trim().trim_matches('"'))
    })
}
