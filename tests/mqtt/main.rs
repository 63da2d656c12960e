//! Messages to MQTT servers, with a real mosquitto (Debian package `mosquitto`, which
//! `scripts/test` installs): both versions, every quality of service, users, TLS, and what happens
//! when the server goes away.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod server;

use std::time::Duration;

use bytes::Bytes;
use lanna::config::Config;
use lanna::egress::{Carrier, Courier, Message, SendError, Target};
use serde_json::{Value, json};

use server::{Listener, Mosquitto};

fn config() -> Config {
    let mut config = Config::default();
    config.egress.allow_private = true;
    config.egress.connect_timeout = Duration::from_secs(5);
    config
}

fn carrier(config: &Config) -> Carrier {
    Carrier::new(config).unwrap()
}

fn target(uri: &str, version: &str, quality: u8) -> Target {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let receiver = [pair("X-Station", "แม่เมาะ")];
    let notifier = [pair("MQTT-Version", version), pair("MQTT-QoS", &quality.to_string())];
    Target::parse(uri, &receiver, &notifier, None).unwrap()
}

fn message(number: usize) -> Message {
    Message {
        body: Bytes::from(format!(r#"{{"type":"Notification","number":{number}}}"#)),
        headers: vec![
            ("Content-Type", "application/json".to_owned()),
            ("Link", "<https://a.example/c.jsonld>; rel=\"x\"".to_owned()),
        ],
    }
}

#[tokio::test]
async fn messages_arrive_in_both_versions_and_every_quality_of_service() {
    let server = Mosquitto::start();
    let mut listener = Listener::on(&server, "air/#").await;
    let carrier = carrier(&config());
    for version in ["mqtt3.1.1", "mqtt5.0"] {
        for quality in 0..=2 {
            let topic = format!("air/{version}/{quality}/%E0%B8%9D");
            let to = target(&format!("mqtt://127.0.0.1:{}/{topic}", server.open), version, quality);
            carrier.send(&to, &message(1)).await.unwrap();
            let (topic, payload) = listener.next().await;
            assert_eq!(topic, format!("air/{version}/{quality}/ฝ"));
            assert_eq!(
                serde_json::from_slice::<Value>(&payload).unwrap(),
                json!({
                    "metadata": {
                        "X-Station": "แม่เมาะ",
                        "Content-Type": "application/json",
                        "Link": "<https://a.example/c.jsonld>; rel=\"x\""
                    },
                    "body": { "type": "Notification", "number": 1 }
                })
            );
        }
    }
}

#[tokio::test]
async fn one_connection_carries_them_all_in_their_order() {
    let server = Mosquitto::start();
    let mut listener = Listener::on(&server, "air").await;
    let carrier = carrier(&config());
    for quality in 0..=2 {
        let to = target(&format!("mqtt://127.0.0.1:{}/air", server.open), "mqtt5.0", quality);
        for number in 0..100 {
            carrier.send(&to, &message(number)).await.unwrap();
        }
        for number in 0..100 {
            let (_, payload) = listener.next().await;
            let payload: Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(payload["body"]["number"], number);
        }
    }
    let mut metrics = String::new();
    carrier.metrics(&mut metrics);
    assert!(metrics.contains("lanna_mqtt_connections 1\n"), "{metrics}");
}

#[tokio::test]
async fn many_senders_share_a_connection_without_loss() {
    let server = Mosquitto::start();
    let mut listener = Listener::on(&server, "many").await;
    let carrier = std::sync::Arc::new(carrier(&config()));
    let senders = (0..20).map(|sender| {
        let carrier = carrier.clone();
        let to = target(&format!("mqtt://127.0.0.1:{}/many", server.open), "mqtt3.1.1", 1);
        tokio::spawn(async move {
            for number in 0..50 {
                carrier.send(&to, &message(sender * 50 + number)).await.unwrap();
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    let mut seen = vec![false; 1000];
    for _ in 0..1000 {
        let (_, payload) = listener.next().await;
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        seen[payload["body"]["number"].as_u64().unwrap() as usize] = true;
    }
    for sender in senders {
        sender.await.unwrap();
    }
    assert!(seen.into_iter().all(|seen| seen));
}

#[tokio::test]
async fn a_user_is_let_in_with_the_right_password_only() {
    let server = Mosquitto::start();
    let mut listener = Listener::on(&server, "who").await;
    let carrier = carrier(&config());
    let port = server.guarded;
    for version in ["mqtt3.1.1", "mqtt5.0"] {
        let to = target(&format!("mqtt://sensor:s%C3%A9cret@127.0.0.1:{port}/who"), version, 1);
        carrier.send(&to, &message(1)).await.unwrap();
        listener.next().await;
        for wrong in ["sensor:wrong@", "sensor@", "nobody:secret@", ""] {
            let to = target(&format!("mqtt://{wrong}127.0.0.1:{port}/who"), version, 1);
            let error = carrier.send(&to, &message(2)).await.unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, SendError::Unreachable(_)), "{text}");
            assert!(text.contains("NotAuthorized"), "{text}");
        }
    }
    // A user without a password, where nobody asks for one.
    let to = target(&format!("mqtt://somebody@127.0.0.1:{}/who", server.open), "mqtt5.0", 1);
    carrier.send(&to, &message(3)).await.unwrap();
    listener.next().await;
}

#[tokio::test]
async fn a_server_behind_tls_must_be_one_that_is_trusted_and_meant() {
    let server = Mosquitto::start();
    let mut listener = Listener::on(&server, "safe").await;
    let mut settings = config();
    settings.egress.ca = Some(server.authority());
    let trusting = carrier(&settings);
    for version in ["mqtt3.1.1", "mqtt5.0"] {
        let to = target(&format!("mqtts://localhost:{}/safe", server.tls), version, 2);
        trusting.send(&to, &message(1)).await.unwrap();
        listener.next().await;
    }
    // The certificate is for localhost, and not for this.
    let to = target(&format!("mqtts://127.0.0.1:{}/safe", server.tls), "mqtt5.0", 1);
    let error = trusting.send(&to, &message(1)).await.unwrap_err().to_string();
    assert!(error.contains("TLS"), "{error}");
    let to = target(&format!("mqtts://localhost:{}/safe", server.tls), "mqtt5.0", 1);
    let error = carrier(&config()).send(&to, &message(1)).await.unwrap_err().to_string();
    assert!(error.contains("TLS"), "{error}");
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let mut server = Mosquitto::start();
    let carrier = carrier(&config());
    let to = target(&format!("mqtt://127.0.0.1:{}/back", server.open), "mqtt5.0", 1);
    carrier.send(&to, &message(1)).await.unwrap();
    server.stop();
    let error = carrier.send(&to, &message(2)).await.unwrap_err();
    assert!(matches!(error, SendError::Unreachable(_)), "{error}");
    assert!(!error.is_permanent());
    server.again();
    let mut listener = Listener::on(&server, "back").await;
    // As delivery does: until it works.
    while carrier.send(&to, &message(3)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (_, payload) = listener.next().await;
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["body"]["number"], 3);
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_opened_again() {
    let server = Mosquitto::start();
    let mut settings = config();
    settings.mqtt.idle = Duration::from_millis(100);
    let carrier = carrier(&settings);
    let to = target(&format!("mqtt://127.0.0.1:{}/idle", server.open), "mqtt5.0", 1);
    carrier.send(&to, &message(1)).await.unwrap();
    let connections = || {
        let mut metrics = String::new();
        carrier.metrics(&mut metrics);
        metrics.lines().last().unwrap().rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(connections(), "1");
    while connections() != "0" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    carrier.send(&to, &message(2)).await.unwrap();
    carrier.close().await;
}

#[tokio::test]
async fn a_server_inside_is_not_reached_unless_that_is_allowed() {
    let server = Mosquitto::start();
    let carrier = carrier(&Config::default());
    for host in ["127.0.0.1", "localhost", "2130706433"] {
        let to = target(&format!("mqtt://{host}:{}/in", server.open), "mqtt5.0", 0);
        let error = carrier.send(&to, &message(1)).await.unwrap_err();
        assert!(
            matches!(&error, SendError::Refused(why) if why.contains("of this machine")),
            "{error}"
        );
        assert!(error.is_permanent());
    }
}
