//! Talking to a server that the operator named on the command line: no guard stands in between,
//! since whoever may start the program may also tell it whom to ask.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, header::HeaderMap};
use url::Url;

use super::EgressError;

/// A client for servers that the operator trusts. Connections are kept; redirects are not followed.
#[derive(Debug, Clone)]
pub struct Direct {
    http: reqwest::Client,
    timeout: Duration,
}

/// What a server answered, whatever its status.
#[derive(Debug, Clone)]
pub struct DirectAnswer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The longest answer that is read.
const MOST: usize = 64 << 20;

impl Direct {
    /// A client that waits so long for an answer.
    pub fn new(timeout: Duration) -> Result<Self, EgressError> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("Lanna/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(|why| EgressError::Setup(why.to_string()))?;
        Ok(Self { http, timeout })
    }

    /// Asks for a document.
    pub async fn get(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
    ) -> Result<DirectAnswer, EgressError> {
        self.send(Method::GET, url, headers, Vec::new()).await
    }

    /// Sends a body.
    pub async fn post(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<DirectAnswer, EgressError> {
        self.send(Method::POST, url, headers, body).await
    }

    /// Lays down a body where there may be one already.
    pub async fn put(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<DirectAnswer, EgressError> {
        self.send(Method::PUT, url, headers, body).await
    }

    /// Asks for something to be deleted.
    pub async fn delete(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
    ) -> Result<DirectAnswer, EgressError> {
        self.send(Method::DELETE, url, headers, Vec::new()).await
    }

    async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<DirectAnswer, EgressError> {
        let lost = |error: reqwest::Error| {
            let mut why: &dyn std::error::Error = &error;
            while let Some(cause) = why.source() {
                why = cause;
            }
            match error.is_timeout() {
                true => EgressError::TooSlow { url: url.to_string(), after: self.timeout },
                false => EgressError::Unreachable { url: url.to_string(), why: why.to_string() },
            }
        };
        let mut request = self.http.request(method, url.clone()).timeout(self.timeout);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.body(body).send().await.map_err(lost)?;
        let status = answer.status().as_u16();
        let headers = std::mem::take(answer.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(lost)? {
            if chunk.len() > MOST - body.len() {
                return Err(EgressError::TooLarge { url: url.to_string(), most: MOST });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(DirectAnswer { status, headers, body: body.into() })
    }
}
