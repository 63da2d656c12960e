//! Where entities are kept, and how safely.

use std::{path::PathBuf, time::Duration};

use super::{ByteSize, MongoUrl, Value, section::settings};

settings! {
    /// Where entities are kept, and how safely.
    pub struct Store = "store" {
        /// A MongoDB that holds everything in place of the folder, and that several brokers may
        /// share, like mongodb://127.0.0.1/?replicaSet=rs0. See `[mongodb]`.
        #[flag = "store"]
        url: Option<MongoUrl> = None,
        /// The folder that holds everything. Only one process uses it at a time.
        #[flag = "data"]
        data: PathBuf = PathBuf::from("data"),
        /// When a write is on disk: `commit`, before it is acknowledged, so that a power cut loses
        /// nothing that a client was told; or a duration such as `100ms`, which a power cut may
        /// lose, for feeds that are sent again anyway.
        #[flag = "durability"]
        durability: Durability = Durability::Commit,
        /// How much memory entities and indexes may fill; what does not fit is read from disk.
        /// 0 means no bound.
        #[flag = "memory"]
        memory: ByteSize = ByteSize::mebi(1024),
    }
}

/// When a write is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Before it is acknowledged.
    Commit,
    /// At most so long after it was acknowledged.
    Every(Duration),
}

impl Value for Durability {
    const HINT: &'static str = "commit, or a duration like 100ms";
    const NAME: &'static str = "WHEN";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "commit" => Ok(Self::Commit),
            other => match Duration::from_text(other)? {
                Duration::ZERO => Ok(Self::Commit),
                every => Ok(Self::Every(every)),
            },
        }
    }

    fn show(&self) -> Option<toml::Value> {
        match self {
            Self::Commit => Some("commit".into()),
            Self::Every(duration) => duration.show(),
        }
    }
}
