//! Sending a message to a web server.

use std::time::Duration;

use reqwest::{
    Method, Request, Response, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER},
};

use super::{Client, EgressError, Message, SendError, client::unreachable, target::Web};

/// How much of an answer is read, so that its connection can be used again; a longer one costs its
/// sender the connection.
const MOST: usize = 16 << 10;

/// How long an answer may take to end after its status came.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much of what a receiver says is repeated in an error.
const QUOTED: usize = 200;

impl Client {
    /// Sends a message once; the caller limits the time. Redirects are not followed: a receiver
    /// that moved is for its subscriber to say.
    pub(super) async fn post(&self, to: &Web, message: &Message) -> Result<(), SendError> {
        self.guard.check(&to.url).map_err(|refused| SendError::Refused(refused.to_string()))?;
        let mut answer = self.attempt(to, headers(to, message)?, message).await;
        // The receiver closed a kept connection just when we began to use it. Nothing tells
        // whether it read the message; twice is better than never, and its id is the same.
        if answer.as_ref().is_err_and(was_closed) {
            answer = self.attempt(to, headers(to, message)?, message).await;
        }
        judge(answer.map_err(|error| failed(to, error))?).await
    }

    async fn attempt(
        &self,
        to: &Web,
        headers: HeaderMap,
        message: &Message,
    ) -> Result<Response, reqwest::Error> {
        let mut request = Request::new(Method::POST, to.url.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(message.body.clone().into());
        self.http.execute(request).await
    }
}

fn headers(to: &Web, message: &Message) -> Result<HeaderMap, SendError> {
    // Room for what every request has besides.
    let mut headers = HeaderMap::with_capacity(to.headers.len() + message.headers.len() + 4);
    headers.extend(to.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    for (name, value) in &message.headers {
        let pair = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .zip(HeaderValue::from_str(value).ok())
            .ok_or_else(|| SendError::Refused(format!("{name} cannot be {value:?}")))?;
        headers.insert(pair.0, pair.1);
    }
    Ok(headers)
}

/// Whether a connection ended before an answer began.
pub(super) fn was_closed(error: &reqwest::Error) -> bool {
    if error.is_connect() || error.is_timeout() {
        return false;
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
            return matches!(io.kind(), ConnectionReset | BrokenPipe | UnexpectedEof);
        }
        if cause.to_string().contains("connection closed before message completed") {
            return true;
        }
        source = cause.source();
    }
    false
}

fn failed(to: &Web, error: reqwest::Error) -> SendError {
    match unreachable(&to.url, error) {
        EgressError::Refused(refused) => SendError::Refused(refused.to_string()),
        other => SendError::Unreachable(other.to_string()),
    }
}

async fn judge(answer: Response) -> Result<(), SendError> {
    let status = answer.status();
    let retry_after = retry_after(answer.headers());
    let moved = answer.headers().get(LOCATION).and_then(|there| there.to_str().ok());
    let moved = moved.filter(|_| status.is_redirection()).map(|there| {
        format!("it redirects to {}, which is not followed", shortened(there.as_bytes()))
    });
    let said = match status {
        // It has no body.
        StatusCode::NO_CONTENT => Vec::new(),
        _ => drained(answer).await,
    };
    if status.is_success() {
        return Ok(());
    }
    let said = moved.unwrap_or_else(|| shortened(&said));
    Err(SendError::Answered { status: status.as_u16(), retry_after, said })
}

/// How long the receiver wants to be left alone. Dates are not read: clocks differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Reads an answer to its end, within limits: the beginning of it.
async fn drained(mut answer: Response) -> Vec<u8> {
    let mut said = Vec::new();
    if answer.content_length().is_some_and(|length| length == 0 || length > MOST as u64) {
        return said;
    }
    let mut read = 0;
    let all = async {
        while let Ok(Some(chunk)) = answer.chunk().await {
            read += chunk.len();
            if read > MOST {
                break;
            }
            let room = QUOTED.saturating_sub(said.len());
            said.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
    };
    // An answer that does not end has been given all the same.
    let _ = tokio::time::timeout(PATIENCE, all).await;
    said
}

/// The beginning of a text as one printable line.
fn shortened(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(QUOTED)]);
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}
