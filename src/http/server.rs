//! Starting to serve, and ending without losing anything.

use std::{io, net::SocketAddr};

use actix_web::{App, HttpServer, dev::ServerHandle, web::ServiceConfig};

use crate::config::Config;

/// A server that takes requests.
pub struct Running {
    /// The addresses it listens on; the ports are the real ones where 0 was asked for.
    pub addresses: Vec<SocketAddr>,
    handle: ServerHandle,
    server: tokio::task::JoinHandle<io::Result<()>>,
}

/// Binds the configured addresses and starts to serve. `routes` adds the application's data and
/// resources to each worker.
pub fn start<R>(config: &Config, routes: R) -> io::Result<Running>
where
    R: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let mut server = HttpServer::new(move || App::new().configure(routes.clone()))
        .disable_signals()
        .keep_alive(config.limits.keep_alive)
        .client_request_timeout(config.limits.head_timeout);
    if config.server.workers > 0 {
        server = server.workers(config.server.workers);
    }
    for address in &config.server.listen {
        server = server.bind(address)?;
    }
    let addresses = server.addrs();
    let server = server.run();
    let handle = server.handle();
    Ok(Running { addresses, handle, server: tokio::spawn(server) })
}

impl Running {
    /// Takes no new connections, lets running requests end, and returns.
    pub async fn stop(self) -> io::Result<()> {
        self.handle.stop(true).await;
        self.server.await.map_err(io::Error::other)?
    }
}
