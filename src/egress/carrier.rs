//! Brings messages wherever they should go.

use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::Config;

use super::{Client, Courier, EgressError, Message, SendError, Target, mqtt::Pool, target::Place};

/// Brings messages to web servers and MQTT servers.
pub struct Carrier {
    client: Client,
    topics: Pool,
    timeout: Duration,
    timeout_max: Duration,
}

impl Carrier {
    /// A carrier that keeps to the rules of the configuration.
    pub fn new(config: &Config) -> Result<Self, EgressError> {
        let Config { egress, post, mqtt, .. } = config;
        let client = Client::keeping(egress, post.idle_connections)?;
        let guard = client.guard.clone();
        Ok(Self {
            topics: Pool::new(guard, mqtt.clone(), egress.connect_timeout, egress.ca.clone()),
            client,
            timeout: post.timeout,
            timeout_max: post.timeout_max,
        })
    }

    /// Ends in order: what MQTT servers have not acknowledged yet is waited for, a moment.
    pub async fn close(&self) {
        self.topics.close().await;
    }
}

#[async_trait]
impl Courier for Carrier {
    async fn send(&self, to: &Target, message: &Message) -> Result<(), SendError> {
        let patience = to.timeout().unwrap_or(self.timeout).min(self.timeout_max);
        // Pinned where it is: it is large, and would be copied otherwise.
        let sent = pin!(async {
            match to.place() {
                Place::Web(web) => self.client.post(web, message).await,
                Place::Topic(topic) => self.topics.send(topic, message).await,
                Place::Stream => Ok(()),
            }
        });
        match tokio::time::timeout(patience, sent).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SendError::TimedOut(patience)),
        }
    }

    fn admits(&self, to: &Target) -> Result<(), SendError> {
        let admitted = match to.place() {
            Place::Web(web) => self.client.guard.check(&web.url),
            Place::Topic(topic) => {
                let address = &topic.address;
                self.client.guard.check_server(address.secure, &address.host, address.port)
            }
            Place::Stream => Ok(()),
        };
        admitted.map_err(|refused| SendError::Refused(refused.to_string()))
    }

    fn metrics(&self, out: &mut String) {
        use std::fmt::Write;
        let name = "lanna_mqtt_connections";
        // Writing into a string does not fail.
        let _ = writeln!(
            out,
            "# HELP {name} Connections to MQTT servers.\n# TYPE {name} gauge\n{name} {}",
            self.topics.connections()
        );
    }
}
