//! Those who listen to notifications instead of being sent them.

use std::time::Duration;

use super::{ByteSize, section::settings};

settings! {
    /// Streams of notifications, at /ngsi-ld/v1/subscriptions/{id}/events.
    pub struct Stream = "stream" {
        /// How many listeners there are at once; each holds a connection.
        listeners: usize = 2_000,
        /// How many of them listen to subscriptions of one tenant.
        listeners_per_tenant: usize = 500,
        /// How many notifications wait for a listener that does not read; one more, and it is left
        /// to come back and ask for what it missed.
        queue: usize = 256,
        /// How large those may be together.
        queue_bytes: ByteSize = ByteSize::mebi(1),
        /// How many of the last notifications of a subscription that is listened to are kept for
        /// those who come back.
        keep: usize = 256,
        /// How large those may be together.
        keep_bytes: ByteSize = ByteSize::kibi(256),
        /// How long they are kept after the last listener left.
        keep_time: Duration = Duration::from_secs(60),
        /// How often a listener is sent a sign of life when there is nothing to tell. Proxies
        /// close connections that are silent for a minute.
        heartbeat: Duration = Duration::from_secs(15),
        /// When a listener whose connection broke should come back.
        retry: Duration = Duration::from_secs(2),
    }
}
