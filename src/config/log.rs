//! What is logged, and how.

use super::{Value, section::settings};

settings! {
    /// What is logged, and how. A message reads alone; fields are for searching.
    pub struct Log = "log" {
        /// What to log: error, warn, info, debug or trace, or directives for parts, like
        /// `info,lanna::store=debug`. Requests that succeed are logged at debug.
        #[flag = "log"]
        level: String = "info,actix_server=warn,actix_http=off".to_owned(),
        /// One line of text, or one JSON object, for each event.
        #[flag = "log-format"]
        format: LogFormat = LogFormat::Text,
    }
}

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// A line of text.
    Text,
    /// A JSON object.
    Json,
}

impl Value for LogFormat {
    const HINT: &'static str = "text or json";
    const NAME: &'static str = "FORMAT";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(String::new()),
        }
    }

    fn show(&self) -> Option<toml::Value> {
        Some(if *self == Self::Text { "text".into() } else { "json".into() })
    }
}
