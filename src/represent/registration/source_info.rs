//! How a source wants to be asked (`contextSourceInfo`, 5.2.22, 4.3.6.5).

use crate::model::check_uri;
use crate::represent::ReadError;
use crate::represent::subscription::KeyValuePair;
use crate::represent::write::SpecVersion;

/// The value that stands for what the client sent along with its own request.
pub(super) const FROM_REQUEST: &str = "urn:ngsi-ld:request";

/// `contextSourceInfo`, its well-known keys understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceInfo {
    /// `accept`: the media type in which the source answers.
    pub accept: Option<MediaType>,
    /// `contentType`: the media type in which the source takes bodies.
    pub content_type: Option<MediaType>,
    /// `jsonldContext`: the address of the `@context` by which names are compacted for the source.
    pub jsonld_context: Option<Box<str>>,
    /// `ngsildConformance`: the version of the specification that the source speaks.
    pub conformance: Option<SpecVersion>,
    /// Every other pair, as a header; but for those that are not for a registration to set.
    pub headers: Vec<SourceHeader>,
}

/// A media type that sources speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaType {
    Json,
    LdJson,
}

impl MediaType {
    /// As headers spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            MediaType::Json => "application/json",
            MediaType::LdJson => "application/ld+json",
        }
    }
}

/// A header that is sent to the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceHeader {
    pub name: Box<str>,
    /// Absent where the header of the client's own request is passed on (`urn:ngsi-ld:request`).
    pub value: Option<Box<str>>,
}

/// Headers that say how a request is carried or whose it is, which is not for a registration to
/// decide: they are ignored (4.3.6.5).
const OURS: [&str; 20] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "link",
    "ngsild-tenant",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
];

impl SourceInfo {
    /// What the pairs say.
    pub(super) fn of(pairs: &[KeyValuePair]) -> Result<Self, ReadError> {
        let mut info = Self::default();
        for (place, pair) in pairs.iter().enumerate() {
            info.add(pair).map_err(|error| error.within_item(place))?;
        }
        Ok(info)
    }

    fn add(&mut self, pair: &KeyValuePair) -> Result<(), ReadError> {
        let (key, value) = (&*pair.key, &*pair.value);
        let known = |error: ReadError| error.within("value");
        match key {
            "accept" => self.accept = Some(media_type(value).map_err(known)?),
            "contentType" => self.content_type = Some(media_type(value).map_err(known)?),
            "jsonldContext" => {
                check_uri(value).map_err(|why| known(ReadError::new(why.to_string())))?;
                self.jsonld_context = Some(value.into());
            }
            "ngsildConformance" => {
                let version = value.parse::<SpecVersion>();
                let version = version.map_err(|why| known(ReadError::new(why.to_string())))?;
                self.conformance = Some(version.min(SpecVersion::OURS));
            }
            name => {
                if !is_token(name) {
                    let why = "it has to be the name of a header, or one of accept, contentType, \
                               jsonldContext and ngsildConformance";
                    return Err(ReadError::new(why).within("key"));
                }
                if !value.chars().all(|c| c == '\t' || !c.is_control()) {
                    return Err(known(ReadError::new("a header cannot hold control characters")));
                }
                if !OURS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                    let value = (value != FROM_REQUEST).then(|| value.into());
                    self.headers.push(SourceHeader { name: name.into(), value });
                }
            }
        }
        Ok(())
    }
}

fn media_type(text: &str) -> Result<MediaType, ReadError> {
    let known = [MediaType::Json, MediaType::LdJson];
    known.into_iter().find(|one| one.as_str() == text).ok_or_else(|| {
        ReadError::new(format!("use application/json or application/ld+json, not {text:?}"))
    })
}

/// A token of RFC 9110, 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
