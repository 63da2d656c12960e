//! Snapshots (5.16): what queries found at a time, kept apart from what becomes of it.

use std::time::Duration;

use super::section::settings;

settings! {
    /// Snapshots: what queries found at a time, kept apart from what becomes of it.
    pub struct Snapshots = "snapshots" {
        /// How many snapshots a tenant may have at once; one more is answered 403 TooManyResults
        /// until one is deleted or expires.
        per_tenant: usize = 20,
        /// How many queries a snapshot may be made of.
        queries: usize = 64,
        /// How many entities a snapshot may hold: they take as much room as others do. A query
        /// that would bring more fails.
        entities: usize = 1_000_000,
        /// How many instances of history a snapshot may hold.
        instances: usize = 10_000_000,
        /// How many snapshots are filled at once; others wait.
        filling: usize = 2,
        /// How long a snapshot is kept when the request does not say.
        lifetime: Duration = Duration::from_secs(7 * 86_400),
        /// The longest that a snapshot is kept; requests for more get this.
        lifetime_max: Duration = Duration::from_secs(366 * 86_400),
    }
}
