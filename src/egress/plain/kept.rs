//! Connections of one thread that wait to be used again.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// How long a connection is kept that nobody uses.
const LIFETIME: Duration = Duration::from_secs(30);

/// How long a server is left to the general client that answered in an odd form.
const ODD: Duration = Duration::from_secs(300);

/// How many such servers are remembered.
const MOST_ODD: usize = 1_024;

/// Connections that wait to be used again, by host and port.
#[derive(Debug)]
pub(in crate::egress) struct Kept {
    most: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    idle: HashMap<Box<str>, Vec<(TcpStream, Instant)>>,
    odd: HashMap<Box<str>, Instant>,
    /// Closes what was kept too long.
    warden: Option<JoinHandle<()>>,
}

impl Kept {
    /// Nothing yet, and never more than so many connections to one server.
    pub fn new(most: usize) -> Self {
        Self { most, state: Arc::default() }
    }

    /// A connection that nobody uses and that is open, as far as is known here.
    pub(super) fn take(&self, to: &str) -> Option<TcpStream> {
        let mut state = self.state.lock();
        let idle = state.idle.get_mut(to)?;
        // The one that was used last has the best prospects.
        while let Some((stream, since)) = idle.pop() {
            if since.elapsed() < LIFETIME && is_silent(&stream) {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection for the next question.
    pub(super) fn put(&self, to: &str, stream: TcpStream) {
        let mut state = self.state.lock();
        match state.idle.get_mut(to) {
            Some(idle) if idle.len() < self.most => idle.push((stream, Instant::now())),
            Some(_) => return,
            None if self.most > 0 => {
                state.idle.insert(to.into(), vec![(stream, Instant::now())]);
            }
            None => return,
        }
        if state.warden.as_ref().is_none_or(JoinHandle::is_finished) {
            state.warden = Some(tokio::spawn(watch(Arc::downgrade(&self.state))));
        }
    }

    /// Whether a server answers in a form that is not read here.
    pub(super) fn is_odd(&self, to: &str) -> bool {
        let state = self.state.lock();
        !state.odd.is_empty() && state.odd.get(to).is_some_and(|since| since.elapsed() < ODD)
    }

    /// Takes note that it does.
    pub(super) fn note_odd(&self, to: &str) {
        let mut state = self.state.lock();
        if state.odd.len() >= MOST_ODD {
            state.odd.clear();
        }
        state.odd.insert(to.into(), Instant::now());
    }
}

/// Whether nothing came since the last answer, not even the end.
fn is_silent(stream: &TcpStream) -> bool {
    let came = stream.try_read(&mut [0]);
    came.is_err_and(|why| why.kind() == io::ErrorKind::WouldBlock)
}

/// Closes what was kept too long, until nothing is kept.
async fn watch(state: Weak<Mutex<State>>) {
    loop {
        tokio::time::sleep(LIFETIME / 2).await;
        let Some(state) = state.upgrade() else { return };
        let mut state = state.lock();
        state.idle.retain(|_, idle| {
            idle.retain(|(stream, since)| since.elapsed() < LIFETIME && is_silent(stream));
            !idle.is_empty()
        });
        if state.idle.is_empty() {
            // Before anybody else looks whether somebody watches.
            state.warden = None;
            return;
        }
    }
}
