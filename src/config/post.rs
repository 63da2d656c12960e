//! How long a receiver of notifications is waited for.

use std::time::Duration;

use super::section::settings;

settings! {
    /// How notifications are carried to their receivers.
    pub struct Post = "post" {
        /// How long a receiver may take to answer when its endpoint does not say.
        timeout: Duration = Duration::from_secs(10),
        /// The longest that an endpoint may ask to be waited for.
        timeout_max: Duration = Duration::from_secs(60),
        /// How many idle connections to one receiver are kept for the next notification.
        idle_connections: usize = 64,
    }
}
