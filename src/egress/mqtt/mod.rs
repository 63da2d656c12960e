//! Messages to MQTT servers, versions 3.1.1 and 5.0 (clause 7).
//!
//! One connection for each server, user and version, kept while it is used and opened again when
//! it breaks. The packets are those of `rumqttc`; the connection is our own, so that the guard
//! decides what is connected to, and so that a message counts as delivered when it was.

mod address;
mod link;
mod listen;
mod session;
mod tls;
mod wire;

#[cfg(test)]
mod tests;

pub use address::{Address, Quality, Version, decoded, quality_of, topic_of, version_of};
pub use listen::{ListenedTopic, Listening, TopicListener};
pub use wire::Arrived;

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::config;

use super::{Guard, Message, SendError, target::Topic};
use session::{End, Job, Session};

/// The connections to MQTT servers.
pub struct Pool {
    shared: Arc<Shared>,
    open: Mutex<HashMap<Arc<Address>, Connection>>,
}

/// What all connections need.
pub struct Shared {
    guard: Arc<Guard>,
    settings: config::Mqtt,
    connect_timeout: Duration,
    tls: tls::Tls,
}

struct Connection {
    jobs: mpsc::Sender<Job>,
    task: JoinHandle<()>,
}

impl Pool {
    /// No connection yet.
    pub fn new(
        guard: Arc<Guard>,
        settings: config::Mqtt,
        connect_timeout: Duration,
        ca: Option<PathBuf>,
    ) -> Self {
        let tls = tls::Tls::new(ca);
        let shared = Arc::new(Shared { guard, settings, connect_timeout, tls });
        Self { shared, open: Mutex::default() }
    }

    /// Publishes a message, and waits as long as its quality of service says.
    pub async fn send(&self, to: &Topic, message: &Message) -> Result<(), SendError> {
        let (done, outcome) = oneshot::channel();
        let job = Job {
            topic: to.name.clone(),
            quality: to.quality,
            payload: enveloped(&to.metadata, message),
            done,
        };
        self.hand_over(&to.address, job)?;
        outcome.await.unwrap_or_else(|_| {
            Err(SendError::Unreachable("the connection to the MQTT server ended".to_owned()))
        })
    }

    /// Queues a message for its connection, which is begun if there is none.
    fn hand_over(&self, address: &Arc<Address>, mut job: Job) -> Result<(), SendError> {
        let most = self.shared.settings.connections;
        let mut open = self.open.lock();
        if let Some(connection) = open.get(address) {
            match connection.jobs.try_send(job) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => return Err(SendError::Busy),
                // It ended, being unused; another takes its place.
                Err(mpsc::error::TrySendError::Closed(back)) => job = back,
            }
        } else if open.len() >= most {
            open.retain(|_, connection| !connection.jobs.is_closed());
            if open.len() >= most {
                return Err(SendError::Busy);
            }
        }
        let (jobs, queue) = mpsc::channel(self.shared.settings.queue.max(1));
        jobs.try_send(job).map_err(|_| SendError::Busy)?;
        let task = tokio::spawn(keep(Arc::clone(address), Arc::clone(&self.shared), queue));
        open.insert(Arc::clone(address), Connection { jobs, task });
        Ok(())
    }

    /// How many connections are kept.
    pub fn connections(&self) -> usize {
        self.open.lock().values().filter(|connection| !connection.jobs.is_closed()).count()
    }

    /// Takes no more messages for the connections there are, and waits a moment until those under
    /// way are acknowledged.
    pub async fn close(&self) {
        let open: Vec<Connection> =
            self.open.lock().drain().map(|(_, connection)| connection).collect();
        let tasks: Vec<JoinHandle<()>> =
            open.into_iter().map(|connection| connection.task).collect();
        let all = futures_util::future::join_all(tasks);
        if timeout(self.shared.connect_timeout, all).await.is_err() {
            tracing::warn!("an MQTT server did not acknowledge everything before the end");
        }
    }
}

/// The message with its metadata (7.2).
fn enveloped(metadata: &[(String, String)], message: &Message) -> Bytes {
    let own = message.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let all = metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).chain(own);
    let metadata: serde_json::Map<String, Value> =
        all.map(|(key, value)| (key.to_owned(), value.into())).collect();
    let mut text = format!("{{\"metadata\":{},\"body\":", Value::Object(metadata)).into_bytes();
    text.reserve(message.body.len() + 1);
    text.extend_from_slice(&message.body);
    text.push(b'}');
    text.into()
}

/// A connection that broke sooner than this did not work.
const WORKED: Duration = Duration::from_secs(1);

/// Keeps one connection: opens it when there is something to send, again when it broke, and ends
/// when nothing was sent for a while.
async fn keep(address: Arc<Address>, shared: Arc<Shared>, mut jobs: mpsc::Receiver<Job>) {
    let mut pause = Pause::default();
    while let Ok(Some(first)) = timeout(shared.settings.idle, jobs.recv()).await {
        if let Some(error) = pause.in_force() {
            first.tell(Err(error));
            continue;
        }
        let link = match link::open(&address, &shared).await {
            Ok(link) => link,
            Err(error) => {
                pause.begin(error.clone(), shared.settings.pause);
                first.tell(Err(error));
                continue;
            }
        };
        let began = Instant::now();
        match Session::new(link, &shared).run(first, &mut jobs).await {
            End::Unused => break,
            End::Lost(why) => {
                tracing::debug!(host = address.host, port = address.port, why, "MQTT broke");
                match began.elapsed() < WORKED {
                    true => pause.begin(SendError::Unreachable(why), shared.settings.pause),
                    false => pause = Pause::default(),
                }
            }
        }
    }
    jobs.close();
    while let Ok(job) = jobs.try_recv() {
        job.tell(Err(SendError::Busy));
    }
}

/// A server that cannot be reached is left alone for a while, longer each time, so that a thousand
/// subscriptions do not knock a thousand times. Meanwhile messages fail as the last attempt did.
#[derive(Default)]
struct Pause {
    length: Duration,
    until: Option<(Instant, SendError)>,
}

impl Pause {
    fn begin(&mut self, error: SendError, longest: Duration) {
        self.length = (self.length * 2)
            .clamp(Duration::from_millis(100), longest.max(Duration::from_millis(100)));
        self.until = Some((Instant::now() + self.length, error));
    }

    fn in_force(&self) -> Option<SendError> {
        let (until, error) = self.until.as_ref()?;
        (Instant::now() < *until).then(|| error.clone())
    }
}
