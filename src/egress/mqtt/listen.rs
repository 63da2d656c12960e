//! Listening to a topic of an MQTT server that the operator named.
//!
//! A message is acknowledged when whoever listens says so, and not before: one that was not taken
//! comes again, after a broken connection or a restart, since the server knows the listener by name
//! and keeps for it what it has not acknowledged.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use crate::config::Config;
use crate::egress::{EgressError, Guard, Refused};

use super::link::{Link, open_as};
use super::wire::{Arrived, Heard, Identity};
use super::{Address, Shared, Version, tls};

/// How long a server keeps messages for a listener that is away, in seconds.
const KEPT: u32 = 86_400;

/// What is listened to.
#[derive(Debug, Clone)]
pub struct ListenedTopic {
    /// The server: `mqtt://host:1883` or `mqtts://host:8883`.
    pub url: String,
    /// Empty for nobody.
    pub user: String,
    pub password: String,
    pub version5: bool,
    /// The filter of topics, with `+` and `#`.
    pub filter: String,
    /// Whether messages come in QoS 1 rather than 0.
    pub sure: bool,
    /// The name by which the server knows the listener.
    pub client: String,
    /// The largest message.
    pub most: usize,
}

/// Opens connections that listen to a topic.
pub struct TopicListener {
    shared: Shared,
    address: Address,
    identity: Identity,
    topic: ListenedTopic,
}

/// A connection that listens.
pub struct Listening {
    link: Link,
    out: BytesMut,
    /// How often the server has to hear of us, and when it did last.
    alive: Duration,
    spoken: Instant,
    pinged: Option<Instant>,
    patience: Duration,
}

impl TopicListener {
    /// Gets ready to listen.
    ///
    /// # Errors
    /// If the server's address is none.
    pub fn new(config: &Config, topic: ListenedTopic) -> Result<Self, EgressError> {
        let refuse = |why: &str| Refused { url: topic.url.clone(), why: why.to_owned() };
        let url = Url::parse(&topic.url).map_err(|why| refuse(&why.to_string()))?;
        let secure = match url.scheme() {
            "mqtt" => false,
            "mqtts" => true,
            _ => return Err(refuse("it is neither mqtt nor mqtts").into()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("user and password belong in keys of their own").into());
        }
        let host = url.host_str().ok_or_else(|| refuse("it names no host"))?;
        let address = Address {
            secure,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(if secure { 8883 } else { 1883 }),
            version: if topic.version5 { Version::V5 } else { Version::V3 },
            user: topic.user.clone(),
            password: topic.password.clone(),
        };
        let shared = Shared {
            guard: Arc::new(Guard::new(&config.egress)),
            settings: config.mqtt.clone(),
            connect_timeout: config.egress.connect_timeout,
            tls: tls::Tls::new(config.egress.ca.clone()),
        };
        let kept = if topic.sure { KEPT } else { 0 };
        let identity = Identity { client: topic.client.clone(), kept };
        Ok(Self { shared, address, identity, topic })
    }

    /// Connects and begins to listen.
    ///
    /// # Errors
    /// Why it cannot, in a sentence.
    pub async fn connect(&self) -> Result<Listening, String> {
        let most = self.topic.most.saturating_add(64 << 10);
        let opened = open_as(&self.identity, most, &self.address, &self.shared).await;
        let link = opened.map_err(|why| why.to_string())?;
        let settings = &self.shared.settings;
        let theirs = link.terms.keep_alive.filter(|seconds| *seconds > 0);
        let alive = theirs.map_or(settings.keep_alive, |own| Duration::from_secs(own.into()));
        let now = Instant::now();
        let mut listening = Listening {
            link,
            out: BytesMut::new(),
            alive: alive.max(Duration::from_secs(1)),
            spoken: now,
            pinged: None,
            patience: settings.acknowledge,
        };
        listening.subscribe(&self.topic).await?;
        Ok(listening)
    }
}

impl Listening {
    /// Messages that came before the answer are read after it: their order is kept.
    async fn subscribe(&mut self, topic: &ListenedTopic) -> Result<(), String> {
        let wire = self.link.wire;
        wire.subscribe(&topic.filter, topic.sure, &mut self.out)?;
        self.flush().await
    }

    /// The next message, once it is there. Whoever stops waiting loses nothing.
    ///
    /// # Errors
    /// Why the connection is of no more use.
    pub async fn next(&mut self) -> Result<Arrived, String> {
        loop {
            match self.link.wire.read(&mut self.link.heard)? {
                Some(Heard::Message(message)) => return Ok(message),
                Some(Heard::Subscribed(Err(why))) => {
                    return Err(format!("the server does not let us listen: {why}"));
                }
                Some(Heard::Farewell(why)) => return Err(format!("it said farewell: {why}")),
                Some(Heard::Pong) => self.pinged = None,
                Some(_) => {}
                None => self.hear().await?,
            }
        }
    }

    /// Reads more, and shows now and then that we are alive.
    async fn hear(&mut self) -> Result<(), String> {
        let until = self.spoken + self.alive / 2;
        match timeout_at(until, self.link.stream.read_buf(&mut self.link.heard)).await {
            Ok(Ok(0)) => Err("it closed the connection".to_owned()),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(why)) => Err(why.to_string()),
            Err(_) if self.pinged.is_some_and(|since| since.elapsed() > self.patience) => {
                Err("it does not answer".to_owned())
            }
            Err(_) => {
                self.link.wire.ping(&mut self.out)?;
                self.pinged.get_or_insert_with(Instant::now);
                self.flush().await
            }
        }
    }

    /// Says that messages were taken: the server forgets them.
    ///
    /// # Errors
    /// Why it could not be said; they will come again.
    pub async fn acknowledge(&mut self, numbers: &[u16]) -> Result<(), String> {
        for number in numbers.iter().filter(|number| **number > 0) {
            self.link.wire.acknowledge(*number, &mut self.out)?;
        }
        self.flush().await
    }

    /// Says goodbye; the server goes on keeping what comes.
    pub async fn leave(mut self) {
        self.out.clear();
        if self.link.wire.disconnect(&mut self.out).is_ok() {
            let _ = self.flush().await;
        }
    }

    async fn flush(&mut self) -> Result<(), String> {
        if self.out.is_empty() {
            return Ok(());
        }
        let sent = timeout(self.patience, async {
            self.link.stream.write_all(&self.out).await?;
            self.link.stream.flush().await
        });
        match sent.await {
            Ok(Ok(())) => {
                self.out.clear();
                self.spoken = Instant::now();
                Ok(())
            }
            Ok(Err(why)) => Err(why.to_string()),
            Err(_) => Err(format!("it takes no bytes for {:?}", self.patience)),
        }
    }
}
