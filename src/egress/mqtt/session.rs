//! One connection at work: publishes what it is given, and tells who gave it what became of it.

use std::{collections::HashMap, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::egress::SendError;

use super::{
    Quality, Shared,
    link::Link,
    wire::{Heard, Wire},
};

/// A message to publish.
pub struct Job {
    pub topic: String,
    pub quality: Quality,
    pub payload: Bytes,
    /// Who waits to hear what became of it.
    pub done: oneshot::Sender<Result<(), SendError>>,
}

impl Job {
    /// Says what became of the message; who no longer waits need not know.
    pub fn tell(self, outcome: Result<(), SendError>) {
        let _ = self.done.send(outcome);
    }
}

/// Why a connection is no longer used.
pub enum End {
    /// Nothing was sent for a while, or nobody can send any more.
    Unused,
    /// It broke.
    Lost(String),
}

/// How many bytes are gathered before they are sent together.
const TOGETHER: usize = 64 << 10;

/// A connection at work.
pub struct Session<'a> {
    link: Link,
    shared: &'a Shared,
    /// Messages without their acknowledgement, by number.
    flights: HashMap<u16, Flight>,
    /// Messages of QoS 0 that will have been sent with the next bytes.
    leaving: Vec<Job>,
    out: BytesMut,
    last: u16,
    used: Instant,
    spoken: Instant,
    pinged: Option<Instant>,
}

struct Flight {
    job: Job,
    since: Instant,
}

impl<'a> Session<'a> {
    /// Begins to work.
    pub fn new(link: Link, shared: &'a Shared) -> Self {
        let now = Instant::now();
        Self {
            link,
            shared,
            flights: HashMap::new(),
            leaving: Vec::new(),
            out: BytesMut::new(),
            last: 0,
            used: now,
            spoken: now,
            pinged: None,
        }
    }

    /// Works until the connection breaks or is not needed. What was not acknowledged by then is
    /// told to have failed.
    pub async fn run(mut self, first: Job, jobs: &mut mpsc::Receiver<Job>) -> End {
        let why = match self.work(first, jobs).await {
            Ok(()) => {
                self.leave().await;
                return End::Unused;
            }
            Err(why) => why,
        };
        let jobs = self.leaving.drain(..).chain(self.flights.drain().map(|(_, flight)| flight.job));
        for job in jobs {
            job.tell(Err(SendError::Unreachable(format!("the MQTT server: {why}"))));
        }
        End::Lost(why)
    }

    async fn work(&mut self, first: Job, jobs: &mut mpsc::Receiver<Job>) -> Result<(), String> {
        self.publish(first)?;
        self.flush().await?;
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Packets that came along with the welcome.
        self.listen()?;
        loop {
            let room = self.flights.len() < self.most();
            tokio::select! {
                read = self.link.stream.read_buf(&mut self.link.heard) => match read {
                    Ok(0) => return Err("it closed the connection".to_owned()),
                    Ok(_) => self.listen()?,
                    Err(why) => return Err(why.to_string()),
                },
                job = jobs.recv(), if room => match job {
                    Some(job) => self.gather(job, jobs)?,
                    None if self.flights.is_empty() => return Ok(()),
                    // Nobody sends any more; what is under way is waited for.
                    None => return self.land().await,
                },
                _ = tick.tick() => {
                    if self.is_unused() {
                        return Ok(());
                    }
                    self.tend()?;
                }
            }
            self.flush().await?;
        }
    }

    /// Waits for the last acknowledgements.
    async fn land(&mut self) -> Result<(), String> {
        let patience = self.shared.connect_timeout;
        while !self.flights.is_empty() {
            match timeout(patience, self.link.stream.read_buf(&mut self.link.heard)).await {
                Ok(Ok(0)) => return Err("it closed the connection".to_owned()),
                Ok(Ok(_)) => self.listen()?,
                Ok(Err(why)) => return Err(why.to_string()),
                Err(_) => return Err("the broker is shutting down".to_owned()),
            }
            self.flush().await?;
        }
        Ok(())
    }

    /// How many messages may wait for their acknowledgement.
    fn most(&self) -> usize {
        let theirs = self.link.terms.inflight.map_or(usize::from(u16::MAX - 1), usize::from);
        self.shared.settings.inflight.min(theirs).max(1)
    }

    /// Takes a message, and those that wait behind it as far as they can be sent together.
    fn gather(&mut self, first: Job, jobs: &mut mpsc::Receiver<Job>) -> Result<(), String> {
        self.publish(first)?;
        while self.out.len() < TOGETHER && self.flights.len() < self.most() {
            let Ok(job) = jobs.try_recv() else { break };
            self.publish(job)?;
        }
        Ok(())
    }

    fn publish(&mut self, job: Job) -> Result<(), String> {
        self.used = Instant::now();
        if job.done.is_closed() {
            return Ok(());
        }
        if let Err(why) = self.takes(&job) {
            job.tell(Err(SendError::Refused(why)));
            return Ok(());
        }
        let number = match job.quality {
            Quality::AtMostOnce => 0,
            _ => self.number(),
        };
        let wire: Wire = self.link.wire;
        let payload = job.payload.clone();
        wire.publish(&job.topic, job.quality, number, payload, &mut self.out)?;
        match number {
            0 => self.leaving.push(job),
            _ => drop(self.flights.insert(number, Flight { job, since: self.used })),
        }
        Ok(())
    }

    /// Whether the server takes such a message.
    fn takes(&self, job: &Job) -> Result<(), String> {
        let terms = &self.link.terms;
        if terms.quality.is_some_and(|most| job.quality as u8 > most) {
            return Err("the MQTT server does not take messages of this quality of service \
                        (notifierInfo MQTT-QoS)"
                .to_owned());
        }
        // What surrounds a message is shorter than this.
        let size = job.payload.len() + job.topic.len() + 64;
        match terms.packet {
            Some(most) if size > usize::try_from(most).unwrap_or(usize::MAX) => {
                Err(format!("the MQTT server takes at most {most} bytes"))
            }
            _ if size > 256 << 20 => Err("the message is too large for MQTT".to_owned()),
            _ => Ok(()),
        }
    }

    /// A number that no message under way has.
    fn number(&mut self) -> u16 {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.flights.contains_key(&self.last) {
                return self.last;
            }
        }
    }

    /// Sends what was gathered.
    async fn flush(&mut self) -> Result<(), String> {
        if self.out.is_empty() {
            return Ok(());
        }
        let patience = self.shared.settings.acknowledge;
        let sent = timeout(patience, async {
            self.link.stream.write_all(&self.out).await?;
            self.link.stream.flush().await
        });
        match sent.await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(why.to_string()),
            Err(_) => return Err(format!("it takes no bytes for {patience:?}")),
        }
        self.out.clear();
        if self.out.capacity() > 4 * TOGETHER {
            self.out = BytesMut::new();
        }
        self.spoken = Instant::now();
        for job in self.leaving.drain(..) {
            job.tell(Ok(()));
        }
        Ok(())
    }

    /// Reads what the server said.
    fn listen(&mut self) -> Result<(), String> {
        while let Some(heard) = self.link.wire.read(&mut self.link.heard)? {
            match heard {
                Heard::Acknowledged(number, outcome) => self.landed(number, outcome),
                Heard::Received(number, Ok(())) => {
                    if let Some(flight) = self.flights.get_mut(&number) {
                        flight.since = Instant::now();
                    }
                    self.link.wire.release(number, &mut self.out)?;
                }
                Heard::Received(number, Err(why)) => self.landed(number, Err(why)),
                Heard::Completed(number) => self.landed(number, Ok(())),
                Heard::Pong => self.pinged = None,
                Heard::Farewell(why) => return Err(format!("it said farewell: {why}")),
                Heard::Welcome(_)
                | Heard::Refused(_)
                | Heard::Subscribed(_)
                | Heard::Message(_)
                | Heard::Else => {}
            }
        }
        Ok(())
    }

    fn landed(&mut self, number: u16, outcome: Result<(), String>) {
        if let Some(flight) = self.flights.remove(&number) {
            flight.job.tell(outcome.map_err(|why| SendError::Answered {
                status: 400,
                retry_after: None,
                said: format!("MQTT {why}"),
            }));
        }
    }

    fn is_unused(&self) -> bool {
        self.flights.is_empty() && self.used.elapsed() >= self.shared.settings.idle
    }

    /// Looks after the connection: is it alive, does it owe acknowledgements for too long?
    fn tend(&mut self) -> Result<(), String> {
        let settings = &self.shared.settings;
        if self.flights.values().any(|flight| flight.since.elapsed() > settings.acknowledge) {
            return Err(format!("it acknowledged nothing for {:?}", settings.acknowledge));
        }
        if self.pinged.is_some_and(|pinged| pinged.elapsed() > settings.acknowledge) {
            return Err("it does not answer".to_owned());
        }
        let theirs = self.link.terms.keep_alive.filter(|seconds| *seconds > 0);
        let every =
            theirs.map_or(settings.keep_alive, |seconds| Duration::from_secs(seconds.into()));
        // Half of what was agreed: a server gives up after one and a half.
        if self.pinged.is_none() && !every.is_zero() && self.spoken.elapsed() >= every / 2 {
            self.link.wire.ping(&mut self.out)?;
            self.pinged = Some(Instant::now());
        }
        Ok(())
    }

    /// Says goodbye, if the server still listens.
    async fn leave(&mut self) {
        self.out.clear();
        if self.link.wire.disconnect(&mut self.out).is_ok() {
            let _ = self.flush().await;
            let _ = timeout(self.shared.connect_timeout, self.link.stream.shutdown()).await;
        }
    }
}
