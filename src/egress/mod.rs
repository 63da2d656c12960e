//! The one outbound HTTP client. URLs come from strangers, so whatever the broker fetches goes
//! through a [`Guard`]: schemes, ports and addresses by rule, names resolved here and connected to
//! as checked, redirects followed one by one and checked like the first URL, answers limited in
//! size and time.
//!
//! Knows what a document is for no more than its caller tells it.

mod address;
mod client;
mod direct;
mod freshness;
mod guard;
mod loader;

#[cfg(test)]
mod tests;

pub use client::{Client, Fetched};
pub use direct::{Direct, DirectAnswer};
pub use guard::{Guard, Refused};

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
