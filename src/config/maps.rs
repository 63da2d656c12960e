//! Entity maps (5.14): what a query found, kept for a while so that its pages fit together.

use std::time::Duration;

use super::section::settings;

settings! {
    /// Entity maps: what a query found, kept for a while so that its pages fit together.
    pub struct Maps = "maps" {
        /// How many entity maps a tenant may have at once; one more is answered 403
        /// TooManyResults until one is deleted or expires.
        per_tenant: usize = 1_000,
        /// How many entities a map may name; a query that finds more is answered 403
        /// TooManyResults. About 60 bytes each in the store.
        entities: usize = 100_000,
        /// How long a map is kept when the request does not say: time enough to read page after
        /// page, and not much more.
        lifetime: Duration = Duration::from_secs(600),
        /// The longest that a map is kept; requests for more get this.
        lifetime_max: Duration = Duration::from_secs(86_400),
    }
}
