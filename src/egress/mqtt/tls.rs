//! Whom the broker trusts behind `mqtts`.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rumqttc::tokio_rustls::TlsConnector;
use rustls::{ClientConfig, RootCertStore};

/// Where systems keep the certificates of the authorities they trust.
const USUAL_PLACES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// Opens TLS connections; the certificates are read when the first one is wanted.
#[derive(Debug)]
pub struct Tls {
    /// More authorities to trust.
    ca: Option<PathBuf>,
    ready: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Tls {
    /// Trusts the authorities of the system, and those in a file.
    pub fn new(ca: Option<PathBuf>) -> Self {
        Self { ca, ready: OnceLock::new() }
    }

    /// What opens connections, or why it cannot.
    pub fn connector(&self) -> Result<TlsConnector, String> {
        let config = self.ready.get_or_init(|| configured(self.ca.as_deref()).map(Arc::new));
        config.clone().map(TlsConnector::from)
    }
}

fn configured(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = USUAL_PLACES.iter().map(PathBuf::from);
    if let Some(file) = named.into_iter().chain(usual).find(|file| file.is_file()) {
        add(&mut roots, &file)?;
    }
    if let Some(file) = ca {
        add(&mut roots, file)?;
    }
    if roots.is_empty() {
        return Err("this system trusts no authority: install its CA certificates, or name a \
                    file of them (egress.ca)"
            .to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| why.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn add(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    let fail = |why: std::io::Error| format!("{}: {why}", file.display());
    let pem = fs::read(file).map_err(fail)?;
    let certificates: Vec<_> =
        rustls_pemfile::certs(&mut &pem[..]).collect::<Result<_, _>>().map_err(fail)?;
    roots.add_parsable_certificates(certificates);
    Ok(())
}
