//! Names become addresses that may be reached: what is checked is what is connected to, whatever
//! the name resolves to a moment later.

use std::{io, net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{Guard, Refused};

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the name {host} is not found: {why}")]
    Unknown { host: String, why: io::Error },
}

/// The addresses of a host that may be reached; at least one.
pub(super) async fn resolve(
    guard: &Guard,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let unknown = |why| ResolveError::Unknown { host: host.to_owned(), why };
    let found = tokio::net::lookup_host((host, port)).await.map_err(unknown)?;
    let (mut good, mut why) = (Vec::new(), None);
    for address in found {
        match guard.forbids(address.ip()) {
            None => good.push(address),
            Some(reason) => why = Some(reason),
        }
    }
    match why {
        Some(why) if good.is_empty() => Err(Refused { url: host.to_owned(), why }.into()),
        None if good.is_empty() => Err(unknown(io::ErrorKind::NotFound.into())),
        _ => Ok(good),
    }
}

/// Resolves for the HTTP client.
#[derive(Debug)]
pub(super) struct GuardedResolver {
    pub guard: Arc<Guard>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.guard);
        Box::pin(async move {
            match resolve(&guard, name.as_str(), 0).await {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                // The client looks for a refusal among the causes of its error.
                Err(ResolveError::Refused(refused)) => Err(refused.into()),
                Err(error) => Err(error.into()),
            }
        })
    }
}
