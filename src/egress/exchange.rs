//! Asking another server something, and reading what it answers whatever its status: what
//! forwarding is made of.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{
    Method, Request, Response,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use url::Url;

use super::{Client, EgressError, client::unreachable, post::was_closed};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// Of several with one name all are sent.
    pub headers: Vec<(String, String)>,
    pub body: Option<Bytes>,
    /// How long the answer may take, from now to its last byte.
    pub patience: Duration,
    /// The largest body that is read.
    pub most: usize,
}

/// What was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The rules forbid it.
    #[error("{0}")]
    Refused(String),
    /// The server is away, or broke off.
    #[error("{0}")]
    Unreachable(String),
    /// The server took too long.
    #[error("no answer within {0:?}")]
    TooSlow(Duration),
    /// The server answered more than is read.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// Asks other servers.
#[async_trait]
pub trait Asker: Send + Sync + 'static {
    /// Asks once. Any answer is one, whatever its status; redirects are not followed.
    async fn ask(&self, question: Question) -> Result<Reply, AskError>;
}

#[async_trait]
impl Asker for Client {
    async fn ask(&self, question: Question) -> Result<Reply, AskError> {
        let patience = question.patience;
        match tokio::time::timeout(patience, self.answer(question)).await {
            Ok(reply) => reply,
            Err(_) => Err(AskError::TooSlow(patience)),
        }
    }
}

impl Client {
    async fn answer(&self, question: Question) -> Result<Reply, AskError> {
        let Question { method, url, headers, body, most, .. } = question;
        let url = Url::parse(&url).map_err(|why| AskError::Refused(format!("{url}: {why}")))?;
        self.guard.check(&url).map_err(|refused| AskError::Refused(refused.to_string()))?;
        let headers = header_map(&headers)?;
        let http = self.of_thread();
        let once = || {
            let mut request = Request::new(method.clone(), url.clone());
            *request.headers_mut() = headers.clone();
            if let Some(body) = &body {
                *request.body_mut() = Some(body.clone().into());
            }
            http.execute(request)
        };
        let answer = match once().await {
            // The server closed a kept connection just when it was used again. What changes
            // nothing when it is done twice is asked once more.
            Err(error) if was_closed(&error) && method.is_idempotent() => once().await,
            other => other,
        };
        let answer = answer.map_err(|error| lost(&url, error))?;
        read(&url, answer, most).await
    }
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, AskError> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let pair = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .zip(HeaderValue::from_str(value).ok())
            .ok_or_else(|| AskError::Refused(format!("there can be no header {name:?}")))?;
        map.append(pair.0, pair.1);
    }
    Ok(map)
}

async fn read(url: &Url, mut answer: Response, most: usize) -> Result<Reply, AskError> {
    let status = answer.status().as_u16();
    if answer.content_length().is_some_and(|length| length > most as u64) {
        return Err(AskError::TooLarge(most));
    }
    let headers = std::mem::take(answer.headers_mut());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| lost(url, error))? {
        if chunk.len() > most - body.len() {
            return Err(AskError::TooLarge(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status, headers, body: body.into() })
}

fn lost(url: &Url, error: reqwest::Error) -> AskError {
    match unreachable(url, error) {
        EgressError::Refused(refused) => AskError::Refused(refused.to_string()),
        other => AskError::Unreachable(other.to_string()),
    }
}
