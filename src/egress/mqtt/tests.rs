//! Against servers that misbehave. The real one is in `tests/mqtt/`.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::config::{Config, Egress};
use crate::egress::{Carrier, Courier, Target};

/// What a server answers to a greeting: welcome.
const WELCOME_V3: [u8; 4] = [0x20, 2, 0, 0];
const WELCOME_V5: [u8; 5] = [0x20, 3, 0, 0, 0];

/// A server that treats each connection as it is told to.
async fn server<F: Future<Output = ()> + Send + 'static>(
    treat: impl Fn(TcpStream) -> F + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(treat(stream));
        }
    });
    port
}

/// Longer than anything takes, however busy the machine is.
const LONG: Duration = Duration::from_secs(120);

fn carrier(change: impl FnOnce(&mut Config)) -> Carrier {
    let mut config = Config {
        egress: Egress { allow_private: true, connect_timeout: LONG, ..Egress::default() },
        ..Config::default()
    };
    config.post.timeout = LONG;
    config.post.timeout_max = LONG;
    config.mqtt.pause = Duration::from_millis(1);
    change(&mut config);
    Carrier::new(&config).unwrap()
}

fn target(port: u16, version: &str, quality: &str) -> Target {
    let notifier = [("MQTT-Version", version), ("MQTT-QoS", quality)];
    let notifier = notifier.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Target::parse(&format!("mqtt://127.0.0.1:{port}/a"), &[], &notifier, None).unwrap()
}

fn message() -> Message {
    Message { body: Bytes::from_static(b"{}"), headers: Vec::new() }
}

#[tokio::test]
async fn servers_that_misbehave_are_left_in_time() {
    for (behaviour, answer, why) in [
        ("silent", &b""[..], "no answer within"),
        // Read as MQTT it is the beginning of a packet that never ends.
        ("another protocol", &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "no answer within"),
        ("too large", &[0x20, 0xff, 0xff, 0xff, 0x7f][..], "the MQTT server: "),
        ("malformed length", &[0x20, 0xff, 0xff, 0xff, 0xff, 0xff][..], "the MQTT server: "),
        ("empty welcome", &[0x20, 0][..], "the MQTT server: "),
        ("short welcome", &[0x20, 1, 0][..], "the MQTT server: "),
        ("no welcome", &[0xd0, 0][..], "does not begin with a welcome"),
        ("only the old version", &[0x20, 2, 0, 1][..], "does not speak MQTT 5.0"),
    ] {
        let port = server(move |mut stream| async move {
            let _ = stream.read(&mut [0; 512]).await;
            let _ = stream.write_all(answer).await;
            tokio::time::sleep(10 * LONG).await;
        })
        .await;
        let carrier = carrier(|config| {
            if why.contains("within") {
                config.egress.connect_timeout = Duration::from_millis(300);
            }
        });
        let error = carrier.send(&target(port, "mqtt5.0", "1"), &message()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(why), "{behaviour}: {text}");
        assert!(!error.is_permanent(), "{behaviour}");
    }
}

#[tokio::test]
async fn a_server_that_never_acknowledges_holds_nobody_for_ever() {
    let port = server(|mut stream| async move {
        let _ = stream.read(&mut [0; 512]).await;
        let _ = stream.write_all(&WELCOME_V3).await;
        while stream.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0) {}
    })
    .await;
    let patient = carrier(|config| config.mqtt.acknowledge = Duration::from_millis(100));
    let error = patient.send(&target(port, "mqtt3.1.1", "1"), &message()).await.unwrap_err();
    assert!(error.to_string().contains("acknowledged nothing"), "{error}");
    let hasty = carrier(|config| config.post.timeout = Duration::from_millis(100));
    let error = hasty.send(&target(port, "mqtt3.1.1", "1"), &message()).await.unwrap_err();
    assert_eq!(error, SendError::TimedOut(Duration::from_millis(100)));
    // What needs no acknowledgement is sent all the same.
    carrier(|_| {}).send(&target(port, "mqtt3.1.1", "0"), &message()).await.unwrap();
}

#[tokio::test]
async fn what_a_server_will_not_take_is_told_at_once() {
    let port = server(|mut stream| async move {
        let _ = stream.read(&mut [0; 512]).await;
        // Maximum QoS 1, maximum packet size 100.
        let welcome = [0x20, 10, 0, 0, 7, 36, 1, 39, 0, 0, 0, 100];
        let _ = stream.write_all(&welcome).await;
        let mut heard = BytesMut::new();
        while stream.read_buf(&mut heard).await.is_ok_and(|length| length > 0) {
            // Not authorized.
            let _ = stream.write_all(&[0x40, 4, 0, 1, 0x87, 0]).await;
        }
    })
    .await;
    let carrier = carrier(|_| {});
    let error = carrier.send(&target(port, "mqtt5.0", "2"), &message()).await.unwrap_err();
    assert!(matches!(&error, SendError::Refused(why) if why.contains("quality")), "{error}");
    let large = Message { body: Bytes::from("1".repeat(200)), headers: Vec::new() };
    let error = carrier.send(&target(port, "mqtt5.0", "1"), &large).await.unwrap_err();
    assert!(matches!(&error, SendError::Refused(why) if why.contains("100 bytes")), "{error}");
    let error = carrier.send(&target(port, "mqtt5.0", "1"), &message()).await.unwrap_err();
    assert!(error.to_string().contains("NotAuthorized"), "{error}");
}

#[tokio::test]
async fn queues_and_connections_are_bounded() {
    let port = server(|mut stream| async move {
        let _ = stream.read(&mut [0; 512]).await;
        let _ = stream.write_all(&WELCOME_V5).await;
        while stream.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0) {}
    })
    .await;
    let carrier = Arc::new(carrier(|config| {
        config.mqtt.queue = 2;
        config.mqtt.inflight = 3;
        config.mqtt.connections = 1;
        config.post.timeout = Duration::from_secs(2);
    }));
    let sends = (0..20).map(|_| {
        let carrier = Arc::clone(&carrier);
        let to = target(port, "mqtt5.0", "1");
        async move { carrier.send(&to, &message()).await.unwrap_err() }
    });
    let errors = futures_util::future::join_all(sends).await;
    let busy = errors.iter().filter(|error| **error == SendError::Busy).count();
    assert!(busy >= 14, "{errors:?}");
    let other = target(port, "mqtt3.1.1", "0");
    assert_eq!(carrier.send(&other, &message()).await, Err(SendError::Busy));
}

#[test]
fn a_message_is_wrapped_with_its_metadata() {
    let message = Message {
        body: Bytes::from_static(br#"{"a": 1}"#),
        headers: vec![("Content-Type", "application/json".to_owned())],
    };
    let metadata = [("X-\"Key".to_owned(), "a\"b".to_owned())];
    assert_eq!(
        enveloped(&metadata, &message),
        r#"{"metadata":{"X-\"Key":"a\"b","Content-Type":"application/json"},"body":{"a": 1}}"#
    );
}
