//! Which feeds run, and how.

use std::{path::PathBuf, time::Duration};

use super::{ByteSize, section::settings};

settings! {
    /// Feeds: what agencies and meters publish, taken in by mapping files.
    pub struct Feeds = "feeds" {
        /// The feeds that run, by name. None does unless it is named: the broker asks nobody
        /// anything by itself. `lanna feeds list` names those there are.
        #[flag = "feeds"]
        run: Vec<String> = Vec::new(),
        /// A folder with further mapping files (`NAME.toml`); one that is called like a shipped one
        /// takes its place.
        folder: Option<PathBuf> = None,
        /// The most that is read of one document or file, whatever its mapping says.
        most: ByteSize = ByteSize::mebi(64),
        /// How many entities go into one commit at most.
        batch: usize = 500,
        /// How many messages of a topic wait to be taken before the server has to wait.
        messages: usize = 2_000,
        /// How long messages of a topic are gathered, so that many share one commit.
        gather: Duration = Duration::from_millis(200),
        /// How many records that were refused, or readings that were left out, a feed remembers
        /// with the reasons, over restarts; about 1 KB each. All are counted.
        rejected: usize = 5_000,
        /// How many entities a feed knows the last state of, to write only what is new; about 200
        /// bytes each.
        known: usize = 200_000,
        /// The pause after a failure; it doubles with each further one, and no two brokers or feeds
        /// pause for the same time.
        retry_first: Duration = Duration::from_secs(5),
        /// The longest pause after a failure.
        retry_last: Duration = Duration::from_secs(600),
        /// How long a broker that shares its store with others may be away before another takes its
        /// feeds over.
        lease: Duration = Duration::from_secs(30),
    }
}
