//! How the broker talks to MQTT servers that subscriptions name.

use std::time::Duration;

use super::section::settings;

settings! {
    /// Notifications to MQTT servers. Which of them may be reached is for [egress] to say.
    pub struct Mqtt = "mqtt" {
        /// How many connections there are at once: one for each server, user and version. A
        /// notification that needs one more is sent later.
        connections: usize = 256,
        /// How many messages wait for one connection; further ones are sent later.
        queue: usize = 1_000,
        /// How many messages a server may leave without its acknowledgement. Servers take 20 or
        /// more, and MQTT 5 ones say so.
        inflight: usize = 100,
        /// How long a server may take to acknowledge one before its connection is given up.
        acknowledge: Duration = Duration::from_secs(30),
        /// How often a quiet connection is asked whether it lives.
        keep_alive: Duration = Duration::from_secs(30),
        /// How long a connection is kept that nothing is sent over.
        idle: Duration = Duration::from_secs(120),
        /// The longest pause between two attempts to connect.
        pause: Duration = Duration::from_secs(10),
    }
}
