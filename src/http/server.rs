//! Starting to serve, and ending without losing anything.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::ServerHandle,
    web::{Data, ServiceConfig},
};

use crate::config::Config;

use super::{frame::Frame, health, openapi, problem::Problem, root, state::State};

/// Why the broker cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not of this machine, or needs rights.
    #[error("cannot listen on {address}: {why}")]
    Address { address: SocketAddr, why: io::Error },
    /// The certificate or its key cannot be used.
    #[error("cannot use {}: {why}", .file.display())]
    Certificate { file: PathBuf, why: String },
    /// The server ended by itself.
    #[error("the server stopped: {0}")]
    Stopped(io::Error),
}

/// A server that takes requests.
pub struct Running {
    /// The addresses it listens on; the ports are the real ones where 0 was asked for.
    pub addresses: Vec<SocketAddr>,
    /// `http` or `https`.
    pub scheme: &'static str,
    state: Arc<State>,
    handle: ServerHandle,
    server: tokio::task::JoinHandle<io::Result<()>>,
}

/// Binds the configured addresses and starts to serve. `routes` adds the application's data and
/// resources to each worker.
pub fn start<R>(state: &Arc<State>, routes: R) -> Result<Running, ServeError>
where
    R: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let Config { server: settings, limits, .. } = &*state.config;
    let mounted = mount(Arc::clone(state), routes);
    let frame = Frame::new(Arc::clone(state));
    let workers = match settings.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        number => number,
    };
    let mut server =
        HttpServer::new(move || App::new().wrap(frame.clone()).configure(mounted.clone()))
            .workers(workers)
            .max_connections(limits.connections.div_ceil(workers))
            .keep_alive(limits.keep_alive)
            .client_request_timeout(limits.head_timeout)
            .tls_handshake_timeout(limits.head_timeout)
            .client_disconnect_timeout(Duration::from_secs(1))
            .shutdown_timeout(limits.drain.as_secs().max(1))
            .tcp_nodelay(true)
            .disable_signals();
    let tls = tls_of(state)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    for &address in &settings.listen {
        let bound = match &tls {
            Some(tls) => server.bind_rustls_0_23(address, tls.clone()),
            None => server.bind(address),
        };
        server = bound.map_err(|why| ServeError::Address { address, why })?;
    }
    let addresses = server.addrs();
    let server = server.run();
    let handle = server.handle();
    let server = tokio::spawn(server);
    Ok(Running { addresses, scheme, state: Arc::clone(state), handle, server })
}

/// What each worker's `App` is configured with: the frame's own resources and the application's.
/// To be used within [`Frame`].
pub fn mount<R>(
    state: Arc<State>,
    routes: R,
) -> impl FnOnce(&mut ServiceConfig) + Clone + Send + 'static
where
    R: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let data = Data::from(state);
    move |config: &mut ServiceConfig| {
        config.app_data(data);
        config.default_service(actix_web::web::to(|| async {
            // The frame answers unknown paths; this one is in its table, and nowhere mounted.
            Err::<&str, _>(Problem::not_found("this version does not serve the path yet"))
        }));
        root::routes(config);
        openapi::routes(config);
        health::routes(config);
        routes(config);
    }
}

impl Running {
    /// Ends in order: `/ready` answers 503 for `grace` while requests are still taken, then no
    /// more connections are, and running requests end within the configured time.
    pub async fn stop(self, grace: Duration) -> Result<(), ServeError> {
        self.state.drain();
        tokio::time::sleep(grace).await;
        self.handle.stop(true).await;
        self.server.await.map_err(io::Error::other).flatten().map_err(ServeError::Stopped)
    }

    /// Returns when the server ended by itself, which it should not.
    pub async fn ended(&mut self) -> ServeError {
        match (&mut self.server).await {
            Ok(Ok(())) => ServeError::Stopped(io::Error::other("without a reason")),
            Ok(Err(why)) => ServeError::Stopped(why),
            Err(why) => ServeError::Stopped(io::Error::other(why)),
        }
    }
}

fn tls_of(state: &State) -> Result<Option<rustls::ServerConfig>, ServeError> {
    let settings = &state.config.server;
    let (Some(cert), Some(key)) = (&settings.tls_cert, &settings.tls_key) else {
        return Ok(None);
    };
    let refuse = |file: &Path, why: String| ServeError::Certificate { file: file.to_owned(), why };
    let read = |file: &Path| fs::read(file).map_err(|why| refuse(file, why.to_string()));
    let chain: Vec<_> = rustls_pemfile::certs(&mut &read(cert)?[..])
        .collect::<Result<_, _>>()
        .map_err(|why| refuse(cert, why.to_string()))?;
    if chain.is_empty() {
        return Err(refuse(cert, "it holds no certificate in PEM form".to_owned()));
    }
    let secret = rustls_pemfile::private_key(&mut &read(key)?[..])
        .map_err(|why| refuse(key, why.to_string()))?
        .ok_or_else(|| refuse(key, "it holds no private key in PEM form".to_owned()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| refuse(cert, why.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|why| refuse(cert, why.to_string()))?;
    Ok(Some(config))
}
