//! Asking over HTTP/1.1 without encryption: a request is one write, its answer mostly one read, and
//! both are done by whoever waits for it.
//!
//! Neighbours in one network ask each other so, and there a general client costs as much as the
//! question: it has tasks, channels and layers for what such a question does not need. What is not
//! as plain as that (encryption, bodies, packed answers) is left to it.

mod answer;
mod head;
mod kept;

#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use reqwest::Method;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use url::{Host, Url};

use self::answer::Failure;
pub(super) use self::kept::Kept;
use super::exchange::{AskError, Question, Reply};
use super::resolve::{ResolveError, resolve};
use super::{EgressError, Guard};

/// Whether a question is as plain as that, but for its URL.
pub(super) fn suits(question: &Question) -> bool {
    let headers = &question.headers;
    question.method == Method::GET
        && question.body.is_none()
        && headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("accept-encoding") && value == "identity"
        })
        && !headers.iter().any(|(name, _)| head::concerns_the_way(name))
}

/// Asks over a connection that was kept, or a new one. None if the general client has to be asked:
/// the URL is another one than it looks, or the answer came in an odd form.
pub(super) async fn ask(
    guard: &Guard,
    kept: &Kept,
    connect: Duration,
    question: &Question,
) -> Option<Result<Reply, AskError>> {
    let (to, target) = parts(&question.url)?;
    if kept.is_odd(to) {
        return None;
    }
    let request = match head::request(to, target, &question.headers) {
        Ok(request) => request,
        Err(error) => return Some(Err(error)),
    };
    let mut outcome = Err(Failure::Closed(io::ErrorKind::UnexpectedEof.into()));
    if let Some(stream) = kept.take(to) {
        outcome = exchange(stream, &request, question).await;
    }
    // The server closed a kept connection just when it was used again.
    if let Err(Failure::Closed(_)) = outcome {
        // What is kept was judged when it was made: it is found by the same text.
        let url = Url::parse(&question.url).ok().filter(|url| url.as_str() == question.url)?;
        if let Err(refused) = guard.check(&url) {
            return Some(Err(AskError::Refused(refused.to_string())));
        }
        let stream = match connected(guard, connect, &url).await {
            Ok(stream) => stream,
            Err(error) => return Some(Err(error)),
        };
        outcome = exchange(stream, &request, question).await;
    }
    Some(match outcome {
        Ok((reply, stream)) => {
            if let Some(stream) = stream {
                kept.put(to, stream);
            }
            Ok(reply)
        }
        Err(Failure::Odd) => {
            kept.note_odd(to);
            return None;
        }
        Err(Failure::Ask(error)) => Err(error),
        Err(Failure::Closed(why) | Failure::Broken(why)) => Err(lost(&question.url, &why)),
    })
}

/// Host and port of a URL, and what is asked for there, if both can be sent as they stand. Dots that
/// lead elsewhere and what has to be escaped are left to others.
fn parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    let (to, target) = rest.split_at(rest.find('/')?);
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?@!$&()*+,;=%".contains(&byte);
    let good = target.bytes().all(plain) && !path.contains("/.") && !path.contains("/%");
    // Whoever has to say who they are says it in a header.
    let good = good && !to.contains('@');
    good.then_some((to, target))
}

/// Sends the request and reads its answer; and the connection, if it can be used again.
async fn exchange(
    mut stream: TcpStream,
    request: &[u8],
    question: &Question,
) -> Result<(Reply, Option<TcpStream>), Failure> {
    stream.write_all(request).await.map_err(Failure::Closed)?;
    let (reply, again) = answer::read(&mut stream, question.most, question.budget.as_ref()).await?;
    Ok((reply, again.then_some(stream)))
}

/// A connection to one of the addresses of a host that may be reached.
async fn connected(guard: &Guard, patience: Duration, url: &Url) -> Result<TcpStream, AskError> {
    let port = url.port_or_known_default().unwrap_or(80);
    let addresses = match url.host() {
        // Both were judged with the URL.
        Some(Host::Ipv4(address)) => vec![(address, port).into()],
        Some(Host::Ipv6(address)) => vec![(address, port).into()],
        Some(Host::Domain(name)) => match resolve(guard, name, port).await {
            Ok(addresses) => addresses,
            Err(ResolveError::Refused(refused)) => {
                return Err(AskError::Refused(refused.to_string()));
            }
            Err(unknown) => return Err(lost(url.as_str(), &unknown)),
        },
        None => Vec::new(),
    };
    let each = patience / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut why = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match tokio::time::timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request is one write, so it only matters where it is a long one.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => why = error,
            Err(_) => why = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(lost(url.as_str(), &why))
}

fn lost(url: &str, why: &dyn std::fmt::Display) -> AskError {
    let error = EgressError::Unreachable { url: url.to_owned(), why: why.to_string() };
    AskError::Unreachable(error.to_string())
}
