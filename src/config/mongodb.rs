//! How a MongoDB is used, where `store.url` names one.

use std::time::Duration;

use super::{ByteSize, Value, section::settings};

settings! {
    /// How the MongoDB is used that `store.url` names; without one, none of this matters.
    pub struct Mongodb = "mongodb" {
        /// The database, unless the URL names one. Brokers of the same database are one.
        database: String = "lanna".to_owned(),
        /// How many connections each broker opens to a server at most.
        pool: usize = 64,
        /// How many requests may wait for a connection before more are answered with 503.
        queue: usize = 10_000,
        /// Whether a write is acknowledged when a majority of the members has it on disk, so that
        /// no loss of a member takes it back. Without, when the primary has it: for feeds that are
        /// sent again anyway.
        majority: bool = true,
        /// How long the server works on one query before it gives it up.
        time_limit: Duration = Duration::from_secs(10),
        /// How long a request waits for the database to come back before it is answered with 503.
        /// Members need ten to twelve seconds to elect a new primary.
        patience: Duration = Duration::from_secs(20),
        /// How much memory each broker fills with recently used entities, which saves reading them
        /// before they are changed.
        cache: ByteSize = ByteSize::mebi(256),
    }
}

/// The address of a MongoDB, which may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct MongoUrl(String);

impl MongoUrl {
    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for MongoUrl {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return Ok(()) };
        let hosts = rest.split(['/', '?']).next().unwrap_or_default();
        match hosts.rsplit_once('@') {
            Some((who, _)) => {
                let user = who.split(':').next().unwrap_or_default();
                write!(f, "{scheme}://{user}:***{}", &rest[who.len()..])
            }
            None => f.write_str(&self.0),
        }
    }
}

impl std::fmt::Debug for MongoUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Value for MongoUrl {
    const HINT: &'static str = "a MongoDB URL, like mongodb://127.0.0.1/?replicaSet=rs0";
    const NAME: &'static str = "URL";

    fn from_text(text: &str) -> Result<Self, String> {
        let known = ["mongodb://", "mongodb+srv://"];
        let has_host = known
            .iter()
            .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        if has_host { Ok(Self(text.to_owned())) } else { Err(String::new()) }
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (url, shown) in [
            (
                "mongodb://a:b@h1,h2:27018/x?replicaSet=r",
                "mongodb://a:***@h1,h2:27018/x?replicaSet=r",
            ),
            ("mongodb+srv://u:p%40@h/", "mongodb+srv://u:***@h/"),
            ("mongodb://h/?replicaSet=r@s", "mongodb://h/?replicaSet=r@s"),
        ] {
            assert_eq!(MongoUrl::from_text(url).map(|url| url.to_string()).as_deref(), Ok(shown));
        }
        for wrong in ["mongodb://", "http://h", "/folder"] {
            assert!(MongoUrl::from_text(wrong).is_err(), "{wrong}");
        }
    }
}
