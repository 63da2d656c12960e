//! Who may operate the broker over HTTP.

use std::path::PathBuf;

use super::section::settings;

settings! {
    /// Who may use /admin: see how deliveries stand, replay and drop dead letters.
    pub struct Admin = "admin" {
        /// A file whose first line is a secret: who sends it as `Authorization: Bearer …` may use
        /// /admin from anywhere. Without one, only programs of this machine may, directly and not
        /// through a proxy.
        token_file: Option<PathBuf> = None,
    }
}
