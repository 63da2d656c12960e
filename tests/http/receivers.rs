//! Receivers that hang, break off, refuse, flood or answer drop by drop, on real sockets: the
//! others hear everything meanwhile, in order, and what they cost is bounded.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::TestBroker;

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Takes,
    /// Reads the notification and never answers.
    Hangs,
    /// Breaks the connection before it has read what comes.
    Resets,
    Refuses,
    /// Answers 200 and a body without an end.
    Floods,
    /// Answers 200, and then a byte now and then for ever.
    Drips,
}

/// What a receiver saw.
#[derive(Default)]
struct Seen {
    speeds: Mutex<Vec<u64>>,
    /// Connections that are open, and the most that ever were.
    open: AtomicUsize,
    most_open: AtomicUsize,
    /// Requests that came in whole, and those of them that were answered.
    requests: AtomicUsize,
    answered: AtomicUsize,
    /// The most bytes that one answer got rid of.
    longest: AtomicUsize,
}

pub struct Receiver {
    pub address: String,
    seen: Arc<Seen>,
}

impl Receiver {
    /// One that takes whatever comes.
    pub fn taking() -> Self {
        Self::open(Manner::Takes)
    }

    fn open(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let seen = Arc::new(Seen::default());
        let own = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = own.clone();
                std::thread::spawn(move || {
                    let open = seen.open.fetch_add(1, Ordering::SeqCst) + 1;
                    seen.most_open.fetch_max(open, Ordering::SeqCst);
                    let _ = serve(stream, manner, &seen);
                    seen.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, seen }
    }

    fn count(&self, what: fn(&Seen) -> &AtomicUsize) -> usize {
        what(&self.seen).load(Ordering::SeqCst)
    }

    /// The speeds that were heard so far.
    pub fn heard(&self) -> Vec<u64> {
        self.seen.speeds.lock().expect("speeds").clone()
    }

    /// Waits until so many speeds were heard, and returns them. The broker's store may live in the
    /// thread of the test, so nothing here may hold it up.
    async fn speeds(&self, count: usize) -> Vec<u64> {
        for _ in 0..6_000 {
            if self.heard().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.heard()
    }
}

/// Answers one connection until it ends.
fn serve(mut stream: TcpStream, manner: Manner, seen: &Seen) -> std::io::Result<()> {
    if manner == Manner::Resets {
        // What is not read when a connection is closed is answered with a reset.
        stream.read_exact(&mut [0; 8])?;
        seen.requests.fetch_add(1, Ordering::SeqCst);
        return Ok(());
    }
    let mut lines = BufReader::new(stream.try_clone()?);
    loop {
        let Some(body) = read_request(&mut lines)? else { return Ok(()) };
        seen.requests.fetch_add(1, Ordering::SeqCst);
        match manner {
            Manner::Hangs => {
                // Until the broker has had enough.
                lines.read_to_end(&mut Vec::new())?;
                return Ok(());
            }
            Manner::Refuses => {
                stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\nbusy")?;
                seen.answered.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            _ => {}
        }
        let mut speeds = seen.speeds.lock().expect("speeds");
        for entity in body["data"].as_array().expect("data") {
            speeds.push(entity["speed"]["value"].as_u64().expect("a speed"));
        }
        drop(speeds);
        if manner == Manner::Takes {
            stream.write_all(b"HTTP/1.1 204 Fine\r\ncontent-length: 0\r\n\r\n")?;
            seen.answered.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        stream.write_all(b"HTTP/1.1 200 Fine\r\ntransfer-encoding: chunked\r\n\r\n")?;
        seen.answered.fetch_add(1, Ordering::SeqCst);
        let (drop, pause) = match manner {
            Manner::Floods => (vec![b'x'; 0xffff], Duration::ZERO),
            _ => (vec![b'x'], Duration::from_millis(20)),
        };
        let mut written = 0;
        loop {
            write!(stream, "{:x}\r\n", drop.len())?;
            stream.write_all(&drop)?;
            stream.write_all(b"\r\n")?;
            written += drop.len();
            seen.longest.fetch_max(written, Ordering::SeqCst);
            std::thread::sleep(pause);
        }
    }
}

/// The body of the next request; none at the end.
fn read_request(lines: &mut impl BufRead) -> std::io::Result<Option<Value>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(number) = line.strip_prefix("content-length:") {
            length = number.trim().parse().expect("a length");
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body).ok())
}

async fn subscribe(broker: &TestBroker, number: usize, receiver: &Receiver) {
    let subscription = json!({
        "id": format!("urn:s:{number}"),
        "type": "Subscription",
        "entities": [{"type": "Vehicle"}],
        "watchedAttributes": ["speed"],
        "notification": {"endpoint": {"uri": format!("http://{}/{number}", receiver.address)}},
    });
    let answer = broker.body("POST", "/subscriptions", subscription).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

async fn drive(broker: &TestBroker, speeds: std::ops::RangeInclusive<u64>) {
    for speed in speeds {
        let value = json!({"type": "Property", "value": speed});
        let answer = broker.body("PATCH", "/entities/urn:v:1/attrs/speed", value).await;
        assert_eq!(answer.status, 204, "{}", answer.text);
    }
}

/// Waits for something that has to happen.
async fn until(what: &str, happened: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} did not happen");
}

#[actix_web::test]
async fn hostile_receivers_delay_nobody_and_cost_little() {
    const STEPS: u64 = 60;
    const SUBSCRIPTIONS: usize = 20;
    let broker = TestBroker::with(|config| {
        config.egress.allow_private = true;
        // Nobody who hangs is given up before the test is over.
        config.post.timeout = Duration::from_secs(600);
        config.post.timeout_max = Duration::from_secs(600);
        config.notify.retry_first = Duration::from_millis(20);
        config.notify.retry_last = Duration::from_millis(100);
        config.notify.in_flight = 16;
        config.notify.per_receiver = 4;
        // Less than what waits for those who do not take it.
        config.notify.queue = lanna::config::ByteSize::kibi(16);
        config.notify.combine = 1;
    })
    .await;
    broker.has(json!({"id": "urn:v:1", "type": "Vehicle", "speed": 0})).await;
    let good: Vec<Receiver> = (0..3).map(|_| Receiver::open(Manner::Takes)).collect();
    let manners = [Manner::Hangs, Manner::Resets, Manner::Refuses, Manner::Floods, Manner::Drips];
    let bad = manners.map(|manner| (manner, Receiver::open(manner)));
    for (number, receiver) in good.iter().enumerate() {
        subscribe(&broker, number, receiver).await;
    }
    // Many more of them than of the others, and more than may be on their way at once.
    for number in 0..SUBSCRIPTIONS {
        for (place, (_, receiver)) in bad.iter().enumerate() {
            subscribe(&broker, 100 + number * 10 + place, receiver).await;
        }
    }
    drive(&broker, 1..=STEPS).await;
    let hanging = &bad[0].1;
    until("a notification to who hangs", || hanging.count(|seen| &seen.requests) > 0).await;
    // Those who take what comes hear all of it, in order, while others hang and flood.
    for receiver in &good {
        let speeds = receiver.speeds(STEPS as usize).await;
        assert_eq!(speeds, (1..=STEPS).collect::<Vec<_>>());
    }
    assert_eq!(hanging.count(|seen| &seen.answered), 0, "nothing was ever answered there");
    // However many subscribe, who hangs gets no more at once than one receiver may have.
    let most = hanging.count(|seen| &seen.most_open);
    assert!(most <= 4, "{most} connections at once");
    let [_, (_, resetting), (_, refusing), (_, flooding), (_, dripping)] = &bad;
    for (name, receiver) in [("reset", resetting), ("refused", refusing)] {
        until(name, || receiver.count(|seen| &seen.requests) > 3).await;
    }
    // Of a flood no more is taken than what the sockets hold; the notification counts as taken.
    until("a flood", || flooding.count(|seen| &seen.answered) > 1).await;
    let longest = flooding.count(|seen| &seen.longest);
    assert!(longest < 16 << 20, "{longest} bytes of an answer");
    until("drops", || dripping.count(|seen| &seen.answered) > 1).await;
    let metrics = broker.beside("GET", "/metrics", None).await.text;
    let dead = "lanna_notifications_total{tenant=\"\",outcome=\"dead\"} 0";
    assert!(metrics.lines().any(|line| line == dead), "nothing is given up: {metrics}");
    let failing = broker.beside("GET", "/admin/subscriptions?failing=true", None).await.json();
    let uris: Vec<&str> =
        failing.as_array().expect("a list").iter().filter_map(|one| one["uri"].as_str()).collect();
    for receiver in [resetting, refusing] {
        assert!(uris.iter().any(|uri| uri.contains(&receiver.address)), "{uris:?}");
    }
    // A broker that is asked to end does not wait for them for ever either.
}

#[actix_web::test]
async fn who_hangs_is_given_up_after_the_timeout_of_its_endpoint() {
    let broker = TestBroker::with(|config| {
        config.egress.allow_private = true;
        config.notify.retry_first = Duration::from_millis(20);
        config.notify.retry_last = Duration::from_millis(50);
    })
    .await;
    broker.has(json!({"id": "urn:v:1", "type": "Vehicle", "speed": 0})).await;
    let receiver = Receiver::open(Manner::Hangs);
    let uri = format!("http://{}/", receiver.address);
    let subscription = json!({
        "id": "urn:s:1", "type": "Subscription", "entities": [{"type": "Vehicle"}],
        "notification": {"endpoint": {"uri": uri, "timeout": 50, "cooldown": 10}},
    });
    assert_eq!(broker.body("POST", "/subscriptions", subscription).await.status, 201);
    drive(&broker, 1..=1).await;
    // It is tried again, and so it was given up before.
    until("another attempt", || receiver.count(|seen| &seen.requests) > 1).await;
    until("an end", || receiver.count(|seen| &seen.open) <= 1).await;
    let shown = broker.get("/subscriptions/urn:s:1").await.json();
    let notification = &shown["notification"];
    assert_eq!(notification["status"], "failed", "{shown}");
    assert!(notification["timesFailed"].as_u64() >= Some(1), "{shown}");
    assert!(notification["lastFailure"].is_string(), "{shown}");
    assert!(notification.get("lastSuccess").is_none(), "{shown}");
}

/// Waits until a subscription has been told, or was found not to be meant by, everything that
/// another receiver was told of.
async fn settled(broker: &TestBroker, witness: &Receiver, changes: usize) {
    witness.speeds(changes).await;
    for _ in 0..12_000 {
        let all = broker.beside("GET", "/admin/subscriptions", None).await.json();
        if all.as_array().expect("a list").iter().all(|one| one["queued"] == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("something waits for ever");
}

#[actix_web::test]
async fn queries_that_follow_relationships_are_asked_of_what_is_linked() {
    let broker = TestBroker::with(|config| config.egress.allow_private = true).await;
    let (all, near, far, inline) = (
        Receiver::open(Manner::Takes),
        Receiver::open(Manner::Takes),
        Receiver::open(Manner::Takes),
        Receiver::open(Manner::Takes),
    );
    let subscribe = async |id: &str, receiver: &Receiver, members: Value| {
        let mut body = json!({
            "id": id, "type": "Subscription", "entities": [{"type": "Vehicle"}],
            "notification": {"endpoint": {"uri": format!("http://{}/", receiver.address)}},
        });
        for (name, value) in members.as_object().expect("members") {
            body[name] = value.clone();
        }
        let answer = broker.body("POST", "/subscriptions", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    };
    let link = |id: &str| json!({"type": "Relationship", "object": id});
    // Each drives behind the next; the first is a truck, which nobody subscribed to.
    broker.has(json!({"id": "urn:v:1", "type": "Truck", "speed": 10})).await;
    broker
        .has(json!({"id": "urn:v:2", "type": "Truck", "speed": 10, "next": link("urn:v:1")}))
        .await;
    broker
        .has(json!({"id": "urn:v:3", "type": "Vehicle", "speed": 0, "next": link("urn:v:2")}))
        .await;
    subscribe("urn:s:all", &all, json!({})).await;
    subscribe("urn:s:near", &near, json!({"q": "next{speed}==30"})).await;
    subscribe("urn:s:far", &far, json!({"q": "next{next{speed}}==30"})).await;
    let uri = format!("http://{}/", inline.address);
    let joined = json!({
        "q": "next{speed}==30",
        "notification": {"join": "inline", "joinLevel": 1, "endpoint": {"uri": uri}},
    });
    subscribe("urn:s:inline", &inline, joined).await;
    let set = async |id: &str, speed: u64| {
        let value = json!({"type": "Property", "value": speed});
        let answer = broker.body("PATCH", &format!("/entities/{id}/attrs/speed"), value).await;
        assert_eq!(answer.status, 204, "{}", answer.text);
    };
    set("urn:v:3", 1).await;
    settled(&broker, &all, 1).await;
    // What is linked changes: that is no change of who links to it.
    set("urn:v:2", 30).await;
    set("urn:v:3", 2).await;
    settled(&broker, &all, 2).await;
    set("urn:v:2", 10).await;
    set("urn:v:1", 30).await;
    set("urn:v:3", 3).await;
    settled(&broker, &all, 3).await;
    // A link that leads nowhere satisfies nothing, and no link neither.
    assert_eq!(broker.delete("/entities/urn:v:2").await.status, 204);
    set("urn:v:3", 4).await;
    settled(&broker, &all, 4).await;
    assert_eq!(all.heard(), [1, 2, 3, 4]);
    assert_eq!(near.heard(), [2]);
    assert_eq!(inline.heard(), [2]);
    assert_eq!(far.heard(), [3]);
}
