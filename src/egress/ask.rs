//! Asking a server that the operator named for a document, again and again.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use reqwest::{Method, StatusCode};
use url::Url;

use super::client::{redirected, unreachable};
use super::{Client, EgressError, Fetched, Refused};

/// What is asked for. Headers may hold secrets: they go to the server that was named, and to none
/// that it redirects to.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    pub url: String,
    /// The body of a POST; a GET if absent.
    pub post: Option<Bytes>,
    pub headers: Vec<(String, String)>,
    /// How long it may take, redirects included.
    pub timeout: Duration,
    /// The most bytes of an answer.
    pub most: usize,
    /// What the last answer said of its version.
    pub seen: Seen,
}

/// What an answer says of its version, to be asked for only when it is another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    etag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
}

impl Seen {
    /// What these headers say.
    pub fn of(headers: &HeaderMap) -> Self {
        let own = |name: HeaderName| headers.get(name).cloned();
        Self { etag: own(ETAG), modified: own(LAST_MODIFIED) }
    }
}

impl Client {
    /// Asks for a document; nothing if it is still the one that was seen.
    pub async fn ask(&self, ask: &Ask) -> Result<Option<Fetched>, EgressError> {
        match tokio::time::timeout(ask.timeout, self.pursue(ask)).await {
            Ok(result) => result,
            Err(_) => Err(EgressError::TooSlow { url: shown(&ask.url), after: ask.timeout }),
        }
    }

    async fn pursue(&self, ask: &Ask) -> Result<Option<Fetched>, EgressError> {
        let refuse = |why: String| Refused { url: shown(&ask.url), why };
        let first = Url::parse(&ask.url).map_err(|why| refuse(why.to_string()))?;
        let mut here = first.clone();
        for _ in 0..=self.redirects() {
            self.guard.check(&here)?;
            let own = here.origin() == first.origin();
            let answer = self.put(ask, &here, own)?.send().await;
            let answer = answer.map_err(|error| hidden(unreachable(&here, error)))?;
            if answer.status() == StatusCode::NOT_MODIFIED {
                return Ok(None);
            }
            // A body is not carried from place to place.
            let next = redirected(&here, answer.status(), answer.headers());
            match next.filter(|_| ask.post.is_none()) {
                Some(there) => here = there.map_err(refuse)?,
                None => {
                    let read = self.read_up_to(here, answer, ask.most).await;
                    return read.map(Some).map_err(hidden);
                }
            }
        }
        Err(EgressError::TooManyRedirects { url: shown(&ask.url), most: self.redirects() })
    }

    fn put(&self, ask: &Ask, here: &Url, own: bool) -> Result<reqwest::RequestBuilder, Refused> {
        let method = if ask.post.is_some() { Method::POST } else { Method::GET };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        for (name, value) in ask.headers.iter().filter(|_| own) {
            let pair =
                HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
            let (name, mut value) = pair.ok_or_else(|| Refused {
                url: shown(&ask.url),
                why: format!("the header {name:?} cannot be sent"),
            })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let seen = [(IF_NONE_MATCH, &ask.seen.etag), (IF_MODIFIED_SINCE, &ask.seen.modified)];
        for (name, value) in seen {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        let mut request = self.http.request(method, here.clone()).headers(headers);
        if let Some(body) = &ask.post {
            request = request.body(body.clone());
        }
        Ok(request)
    }
}

/// A URL without what may be a key.
fn shown(url: &str) -> String {
    match url.split_once('?') {
        Some((before, _)) => format!("{before}?…"),
        None => url.to_owned(),
    }
}

fn hidden(error: EgressError) -> EgressError {
    match error {
        EgressError::Refused(Refused { url, why }) => Refused { url: shown(&url), why }.into(),
        EgressError::Unreachable { url, why } => {
            let why = why.replace(&url, &shown(&url));
            EgressError::Unreachable { url: shown(&url), why }
        }
        EgressError::TooSlow { url, after } => EgressError::TooSlow { url: shown(&url), after },
        EgressError::Status { url, status } => EgressError::Status { url: shown(&url), status },
        EgressError::TooLarge { url, most } => EgressError::TooLarge { url: shown(&url), most },
        EgressError::TooManyRedirects { url, most } => {
            EgressError::TooManyRedirects { url: shown(&url), most }
        }
        other @ EgressError::Setup(_) => other,
    }
}
