//! Whatever the broker sends or fetches on its own account. URLs come from strangers, so all of it
//! goes through a [`Guard`]: schemes, ports and addresses by rule, names resolved here and
//! connected to as checked, redirects of documents followed one by one and checked like the first
//! URL, answers limited in size and time.
//!
//! [`Client`] fetches documents; [`Carrier`] brings messages to web servers and MQTT servers;
//! [`Hub`] has them for those who listen; an [`Asker`] asks other servers. None knows what a document
//! or a message is for.

mod address;
mod guard;
mod resolve;

mod ask;
mod client;
mod direct;
mod freshness;
mod loader;

mod carrier;
mod courier;
mod exchange;
mod hub;
mod mqtt;
mod plain;
mod post;
mod room;
mod target;

#[cfg(test)]
mod tests;

pub use ask::{Ask, Seen};
pub use carrier::Carrier;
pub use client::{Client, Fetched};
pub use courier::{Courier, Message, SendError};
pub use direct::{Direct, DirectAnswer};
pub use exchange::{AskError, Asker, Question, Reply};
pub use guard::{Guard, Refused};
pub use hub::{Hub, Listener, Missed, NoRoom, Told};
pub use mqtt::{Arrived, ListenedTopic, Listening, TopicListener};
pub use room::{Budget, Room};
pub use target::{STREAM, Target, TargetError};

/// How a question is asked.
pub use reqwest::Method;

use std::time::Duration;

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The host is away, or what it speaks is not HTTP.
    #[error("{url} cannot be reached: {why}")]
    Unreachable { url: String, why: String },
    /// The host takes too long.
    #[error("{url} did not answer within {after:?}")]
    TooSlow { url: String, after: Duration },
    /// The host answers with a status that is not a success.
    #[error("{url} answered {status}")]
    Status { url: String, status: u16 },
    /// The host sends one from place to place.
    #[error("{url} redirects more than {most} times")]
    TooManyRedirects { url: String, most: usize },
    /// The host sends more than is wanted.
    #[error("{url} answered more than {most} bytes")]
    TooLarge { url: String, most: usize },
    /// The client cannot be set up.
    #[error("the outbound client cannot start: {0}")]
    Setup(String),
}
