//! JSON-LD contexts: which ones are there before anyone asks.

use super::{Preload, section::settings};

settings! {
    /// JSON-LD contexts: which ones are there before anyone asks.
    pub struct Contexts = "contexts" {
        /// The URL of the @context for requests that name none (5.5.7); the core context alone
        /// when absent.
        #[flag = "default-context"]
        default: Option<url::Url> = None,
        /// Documents that answer for a context URL without the network, as URL=FILE; FILE may be
        /// the local id of a context that comes with the broker, like weather.
        #[flag = "context"]
        preload: Vec<Preload> = Vec::new(),
    }
}
