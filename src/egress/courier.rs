//! What carries a message to where it should go, and what can go wrong on the way.

use std::{fmt::Write, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use super::Target;

/// What is carried: a notification as JSON, and what the broker says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The notification.
    pub body: Bytes,
    /// `Content-Type`, `Link`, `NGSILD-Tenant` and the like: headers of a request, or the
    /// metadata of an MQTT message (7.2).
    pub headers: Vec<(&'static str, String)>,
}

/// Carries messages.
#[async_trait]
pub trait Courier: Send + Sync + 'static {
    /// Returns when the message was delivered: answered with a 2xx over HTTP; over MQTT handed to
    /// the connection (QoS 0) or acknowledged (QoS 1 and 2). Takes no longer than the target's
    /// timeout. Any number may be under way; whoever wants an order awaits one before the next.
    async fn send(&self, to: &Target, message: &Message) -> Result<(), SendError>;

    /// Why the rules would refuse this target, as far as that can be told without asking the
    /// network.
    fn admits(&self, _: &Target) -> Result<(), SendError> {
        Ok(())
    }

    /// Writes counters in the text format of Prometheus.
    fn metrics(&self, _: &mut String) {}
}

/// Why a message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The rules forbid it, or the receiver can never take it.
    #[error("{0}")]
    Refused(String),
    /// The receiver is away, or broke off.
    #[error("{0}")]
    Unreachable(String),
    /// The receiver did not answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The receiver answered, and not with a success.
    #[error("the receiver answered {}", answered(*.status, .said))]
    Answered {
        status: u16,
        /// How long the receiver wants to be left alone.
        retry_after: Option<Duration>,
        /// The beginning of what it said.
        said: String,
    },
    /// Too much waits for this receiver here already.
    #[error("too many messages wait for this receiver")]
    Busy,
}

impl SendError {
    /// Whether the same message would fail again, so that there is no use in sending it again.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            // The receiver understood and will not have it. What may be mended meanwhile (a token,
            // a deployment, a limit) is not among these.
            Self::Answered { status, .. } => {
                matches!(status, 400 | 405 | 406 | 410 | 411 | 413 | 414 | 415 | 422 | 431 | 501)
            }
            Self::Unreachable(_) | Self::TimedOut(_) | Self::Busy => false,
        }
    }

    /// How long the receiver wants to be left alone, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// One word, for the labels of metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut(_) => "timeout",
            Self::Answered { .. } => "answered",
            Self::Busy => "busy",
        }
    }
}

fn answered(status: u16, said: &str) -> String {
    let mut text = status.to_string();
    if !said.is_empty() {
        // Writing into a string does not fail.
        let _ = write!(text, ": {said}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> SendError {
        SendError::Answered { status, retry_after: None, said: String::new() }
    }

    #[test]
    fn what_a_receiver_will_never_take_is_not_sent_again() {
        for status in [400, 410, 413, 422] {
            assert!(answered(status).is_permanent(), "{status}");
        }
        for status in [301, 401, 403, 404, 408, 425, 429, 500, 502, 503, 504] {
            assert!(!answered(status).is_permanent(), "{status}");
        }
        assert!(SendError::Refused(String::new()).is_permanent());
        assert!(!SendError::Busy.is_permanent());
    }

    #[test]
    fn an_error_reads_as_a_sentence() {
        assert_eq!(answered(503).to_string(), "the receiver answered 503");
        let error =
            SendError::Answered { status: 500, retry_after: None, said: "no disk".to_owned() };
        assert_eq!(error.to_string(), "the receiver answered 500: no disk");
    }
}
