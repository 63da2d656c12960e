//! Where and how the broker is served.

use std::{net::SocketAddr, path::PathBuf};

use super::section::settings;

settings! {
    /// Where and how the broker is served.
    pub struct Server = "server" {
        /// Where to listen. Loopback unless told otherwise, since there is no access control yet:
        /// whoever reaches the port may read and write everything.
        #[flag = "listen"]
        listen: Vec<SocketAddr> = vec![SocketAddr::from(([127, 0, 0, 1], 9090))],
        /// How many threads serve requests; 0 means one for each processor.
        #[flag = "workers"]
        workers: usize = 0,
        /// The certificate chain (PEM) to serve HTTPS with.
        #[flag = "tls-cert"]
        tls_cert: Option<PathBuf> = None,
        /// The private key (PEM) of the certificate.
        #[flag = "tls-key"]
        tls_key: Option<PathBuf> = None,
        /// The URL under which clients reach the broker, when a proxy stands in front of it. It
        /// begins the URLs of hosted contexts; otherwise the Host header of a request does.
        #[flag = "public-url"]
        public_url: Option<url::Url> = None,
    }
}
