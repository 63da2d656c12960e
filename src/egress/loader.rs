//! Fetching @context documents (JSON-LD 1.1 API, 10.2; CIM 009, 6.3.16).

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LINK};

use crate::jsonld::{DocumentLoader, LoadError, RemoteDocument};

use super::{Client, EgressError, Fetched, freshness::max_age};

/// What is asked for.
const ACCEPT: &str = "application/ld+json, application/json;q=0.9, */*;q=0.1";

/// How many pages may point to their JSON-LD form before it must come.
const ALTERNATES: usize = 1;

#[async_trait]
impl DocumentLoader for Client {
    /// Whatever keeps the document from coming is [`LoadError::Unreachable`]; one that comes and
    /// is too large, or a page instead of JSON, is [`LoadError::Invalid`].
    async fn load(&self, url: &str) -> Result<RemoteDocument, LoadError> {
        let fetched = self.get_json(url).await.map_err(|error| match error {
            EgressError::TooLarge { .. } => LoadError::Invalid(error.to_string()),
            other => LoadError::Unreachable(other.to_string()),
        })?;
        if is_page(&fetched.headers) {
            return Err(LoadError::Invalid("it is a web page and not JSON".to_owned()));
        }
        let max_age = max_age(&fetched.headers, jiff::Timestamp::now());
        Ok(RemoteDocument { bytes: fetched.body, max_age })
    }
}

impl Client {
    /// Fetches a document that should be JSON: a page that names its JSON-LD form in a `Link`
    /// header, as schema.org does, is left for that.
    async fn get_json(&self, url: &str) -> Result<Fetched, EgressError> {
        let mut fetched = self.get(url, ACCEPT).await?;
        for _ in 0..ALTERNATES {
            if is_json(&fetched.headers) {
                break;
            }
            let alternate = alternate(&fetched.headers).and_then(|to| fetched.url.join(&to).ok());
            let Some(there) = alternate else { break };
            fetched = self.get(there.as_str(), ACCEPT).await?;
        }
        Ok(fetched)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

/// The target of `Link: <…>; rel="alternate"; type="application/ld+json"`.
fn alternate(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    for link in links.flat_map(|value| value.split(", <")) {
        let (target, parameters) = link.trim_start_matches('<').split_once('>')?;
        let has = |name: &str, wanted: &str| {
            parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(
                |(found, value)| {
                    found.trim().eq_ignore_ascii_case(name)
                        && value.trim().trim_matches('"').eq_ignore_ascii_case(wanted)
                },
            )
        };
        if has("rel", "alternate") && has("type", "application/ld+json") {
            return Some(target.to_owned());
        }
    }
    None
}

fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    kind.starts_with(b"text/html")
}
