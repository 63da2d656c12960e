//! Opening a connection to an MQTT server: resolve, check, connect, greet.

use std::{net::SocketAddr, time::Duration};

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::egress::{
    SendError,
    resolve::{ResolveError, resolve},
};

use super::{
    Address, Shared,
    wire::{Heard, Identity, MOST, Terms, Wire},
};

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// An open connection.
pub struct Link {
    pub stream: Box<dyn Duplex>,
    pub wire: Wire,
    pub terms: Terms,
    /// What was received and not read yet.
    pub heard: BytesMut,
}

/// Opens a connection of somebody new.
pub async fn open(address: &Address, shared: &Shared) -> Result<Link, SendError> {
    let client = format!("lanna{:016x}", uuid::Uuid::new_v4().as_u64_pair().0);
    open_as(&Identity { client, kept: 0 }, MOST, address, shared).await
}

/// Opens a connection.
pub async fn open_as(
    identity: &Identity,
    most: usize,
    address: &Address,
    shared: &Shared,
) -> Result<Link, SendError> {
    let guard = &shared.guard;
    guard
        .check_server(address.secure, &address.host, address.port)
        .map_err(|refused| SendError::Refused(refused.to_string()))?;
    let addresses = resolve(guard, &address.host, address.port).await.map_err(|why| match why {
        ResolveError::Refused(refused) => SendError::Refused(refused.to_string()),
        unknown => SendError::Unreachable(unknown.to_string()),
    })?;
    let patience = shared.connect_timeout;
    let stream = connect(&addresses, patience).await?;
    // Messages are small and wanted soon; that a socket cannot do this is no reason not to send.
    let _ = stream.set_nodelay(true);
    let stream: Box<dyn Duplex> = match address.secure {
        false => Box::new(stream),
        true => secured(stream, address, shared, patience).await?,
    };
    let wire = Wire { version: address.version, most };
    greet(stream, wire, identity, address, shared).await
}

async fn connect(addresses: &[SocketAddr], patience: Duration) -> Result<TcpStream, SendError> {
    let mut error = SendError::Unreachable("the name has no address".to_owned());
    for address in addresses {
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(why)) => error = SendError::Unreachable(format!("{address}: {why}")),
            Err(_) => error = SendError::TimedOut(patience),
        }
    }
    Err(error)
}

async fn secured(
    stream: TcpStream,
    address: &Address,
    shared: &Shared,
    patience: Duration,
) -> Result<Box<dyn Duplex>, SendError> {
    let connector = shared.tls.connector().map_err(SendError::Unreachable)?;
    let name = ServerName::try_from(address.host.clone())
        .map_err(|why| SendError::Refused(format!("{}: {why}", address.host)))?;
    match timeout(patience, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(why)) => Err(SendError::Unreachable(format!("TLS: {why}"))),
        Err(_) => Err(SendError::TimedOut(patience)),
    }
}

async fn greet(
    stream: Box<dyn Duplex>,
    wire: Wire,
    identity: &Identity,
    address: &Address,
    shared: &Shared,
) -> Result<Link, SendError> {
    let patience = shared.connect_timeout;
    let mut link = Link { stream, wire, terms: Terms::default(), heard: BytesMut::new() };
    let keep_alive = u16::try_from(shared.settings.keep_alive.as_secs()).unwrap_or(u16::MAX);
    let mut greeting = BytesMut::new();
    wire.connect(address, identity, keep_alive, &mut greeting).map_err(SendError::Refused)?;
    match timeout(patience, welcome(&mut link, &greeting)).await {
        Ok(Ok(())) => Ok(link),
        Ok(Err(why)) => Err(SendError::Unreachable(format!("the MQTT server: {why}"))),
        Err(_) => Err(SendError::TimedOut(patience)),
    }
}

async fn welcome(link: &mut Link, greeting: &[u8]) -> Result<(), String> {
    link.stream.write_all(greeting).await.map_err(|why| why.to_string())?;
    link.stream.flush().await.map_err(|why| why.to_string())?;
    loop {
        match link.wire.read(&mut link.heard)? {
            Some(Heard::Welcome(terms)) => {
                link.terms = terms;
                return Ok(());
            }
            Some(Heard::Refused(why) | Heard::Farewell(why)) => return Err(why),
            Some(_) => return Err("it does not begin with a welcome".to_owned()),
            None => {}
        }
        match link.stream.read_buf(&mut link.heard).await {
            Ok(0) => return Err("it closed the connection".to_owned()),
            Ok(_) => {}
            Err(why) => return Err(why.to_string()),
        }
    }
}
