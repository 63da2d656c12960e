//! What is derived from readings.

use std::time::Duration;

use super::section::settings;

settings! {
    /// What is derived from readings: indices and classes by official tables.
    pub struct Derive = "derive" {
        /// The profiles whose rules are followed: `th` or `mae-moh`, which are shipped, or files
        /// whose names end in .toml. Without one nothing is derived.
        #[flag = "derive"]
        profiles: Vec<String> = Vec::new(),
        /// How far back values are derived from history when a profile is new or changed.
        backfill: Duration = Duration::from_secs(86_400),
        /// How many entities are looked at together: each reads its own history.
        at_once: usize = 8,
        /// How many events deriving may be behind before it looks at every entity once instead.
        behind: usize = 1_000_000,
    }
}
