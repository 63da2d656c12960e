//! Asking another server something, and reading what it answers whatever its status: what
//! forwarding is made of.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{
    Method, Request, Response,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use url::Url;

use super::client::{Own, unreachable};
use super::post::was_closed;
use super::{Budget, Client, EgressError, Room, plain};

/// What is asked.
#[derive(Debug, Clone)]
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
    /// Whose memory the body takes, if it is bounded.
    pub budget: Option<Budget>,
}

/// What was answered.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The memory that the body takes of a budget, for as long as anybody has a use for it.
    pub room: Option<Arc<Room>>,
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
    /// Other answers fill all the memory that there is for answers.
    #[error("there is no memory left to read the answer: other answers fill it")]
    NoRoom,
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
        let Own { http, kept } = self.of_thread();
        if plain::suits(&question)
            && let Some(outcome) =
                plain::ask(&self.guard, &kept, self.connect_timeout(), &question).await
        {
            return outcome;
        }
        let refused = |why: String| AskError::Refused(why);
        let url = Url::parse(&question.url);
        let url = url.map_err(|why| refused(format!("{}: {why}", question.url)))?;
        self.guard.check(&url).map_err(|why| refused(why.to_string()))?;
        let Question { method, headers, body, most, budget, .. } = question;
        let headers = header_map(&headers)?;
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
        read(&url, answer, most, budget.as_ref()).await
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

async fn read(
    url: &Url,
    mut answer: Response,
    most: usize,
    budget: Option<&Budget>,
) -> Result<Reply, AskError> {
    let status = answer.status().as_u16();
    if answer.content_length().is_some_and(|length| length > most as u64) {
        return Err(AskError::TooLarge(most));
    }
    let headers = std::mem::take(answer.headers_mut());
    let mut room = budget.map(|budget| (budget, None));
    let announced = answer.content_length().unwrap_or(0) as usize;
    let mut body: Vec<u8> = Vec::new();
    let mut whole: Option<Bytes> = None;
    while let Some(chunk) = answer.chunk().await.map_err(|error| lost(url, error))? {
        let so_far = whole.as_ref().map_or(body.len(), Bytes::len);
        if chunk.len() > most - so_far {
            return Err(AskError::TooLarge(most));
        }
        if let Some((budget, room)) = &mut room {
            take(budget, room, chunk.len())?;
        }
        // Most answers come in one piece.
        match whole.take() {
            None if body.is_empty() => whole = Some(chunk),
            first => {
                if body.is_empty() {
                    body.reserve(announced.min(AT_ONCE));
                }
                body.extend_from_slice(first.as_deref().unwrap_or_default());
                body.extend_from_slice(&chunk);
            }
        }
    }
    let body = whole.unwrap_or_else(|| body.into());
    let room = room.and_then(|(_, room)| room).map(Arc::new);
    Ok(Reply { status, headers, body, room })
}

/// How much is reserved at once at most for what is only announced.
pub(super) const AT_ONCE: usize = 256 << 10;

/// Takes room for what has come, as it comes: who announces much and sends little takes little.
pub(super) fn take(budget: &Budget, room: &mut Option<Room>, bytes: usize) -> Result<(), AskError> {
    let taken = match room {
        Some(room) => room.grow(budget, bytes),
        None => {
            *room = budget.take(bytes);
            room.is_some()
        }
    };
    if taken { Ok(()) } else { Err(AskError::NoRoom) }
}

fn lost(url: &Url, error: reqwest::Error) -> AskError {
    match unreachable(url, error) {
        EgressError::Refused(refused) => AskError::Refused(refused.to_string()),
        other => AskError::Unreachable(other.to_string()),
    }
}
