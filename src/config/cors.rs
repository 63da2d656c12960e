//! Which web pages may use the API from a browser (CORS).

use std::time::Duration;

use super::section::settings;

settings! {
    /// Which web pages may use the API from a browser (CORS).
    pub struct Cors = "cors" {
        /// Origins whose pages may call the API, like https://map.example.org; `*` for all of
        /// them, `loopback` for pages served by this machine at any port. Since there is no
        /// access control yet, `*` would let any page that someone here visits write entities.
        #[flag = "cors-origins"]
        origins: Vec<String> = vec!["loopback".to_owned()],
        /// How long a browser may remember the answer to its preflight question.
        max_age: Duration = Duration::from_secs(3_600),
    }
}
