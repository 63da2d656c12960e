//! The client against hosts on this machine, which say what they are told to say.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::config::{ByteSize, Config, Egress};
use crate::jsonld::{DocumentLoader, LoadError};

/// Longer than anything takes, however busy the machine is.
const LONG: Duration = Duration::from_secs(120);

/// A host that answers every request with what `answer` makes of its path.
async fn host(
    answer: impl Fn(&str) -> String + Send + Sync + 'static,
) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let reply = answer(&path);
                seen.lock().push(head);
                let _ = stream.write_all(reply.as_bytes()).await;
                if path == "/hang" {
                    tokio::time::sleep(10 * LONG).await;
                }
            });
        }
    });
    (port, asked)
}

fn ok(headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

fn client(change: impl FnOnce(&mut Egress)) -> Client {
    let mut settings = Egress { allow_private: true, timeout: LONG, ..Egress::default() };
    change(&mut settings);
    Client::new(&settings).unwrap()
}

#[tokio::test]
async fn a_document_is_fetched_with_its_headers() {
    let (port, asked) = host(|_| ok("x-mark: 1\r\n", "ฝุ่น")).await;
    let url = format!("http://127.0.0.1:{port}/a?b=c");
    let fetched = client(|_| {}).get(&url, "application/ld+json").await.unwrap();
    assert_eq!(fetched.body, "ฝุ่น");
    assert_eq!(fetched.headers["x-mark"], "1");
    assert_eq!(fetched.url.as_str(), url);
    let head = asked.lock()[0].to_lowercase();
    assert!(head.contains("accept: application/ld+json") && head.contains("user-agent: lanna/"));
}

#[tokio::test]
async fn names_are_judged_by_what_they_resolve_to() {
    let (port, asked) = host(|_| ok("", "secret")).await;
    let strict = client(|settings| settings.allow_private = false);
    let url = format!("http://localhost:{port}/");
    let error = strict.get(&url, "*/*").await.unwrap_err();
    assert!(matches!(error, EgressError::Refused(_)), "{error}");
    assert!(error.to_string().contains("of this machine"), "{error}");
    let error = strict.get(&format!("http://127.0.0.1:{port}/"), "*/*").await.unwrap_err();
    assert!(matches!(error, EgressError::Refused(_)), "{error}");
    assert!(asked.lock().is_empty(), "nothing was sent");
    assert_eq!(client(|_| {}).get(&url, "*/*").await.unwrap().body, "secret");
}

#[tokio::test]
async fn redirects_are_followed_one_by_one_and_judged_each() {
    let redirect = |to: &str| {
        format!(
            "HTTP/1.1 302 Found\r\nconnection: close\r\ncontent-length: 0\r\nlocation: {to}\r\n\r\n"
        )
    };
    let (port, asked) = host(move |path| match path {
        "/start" => redirect("/middle"),
        "/middle" => redirect("end"),
        "/end" => ok("", "arrived"),
        "/inside" => redirect("http://169.254.169.254/latest/meta-data"),
        "/shell" => redirect("http://127.0.0.1:22/"),
        "/file" => redirect("file:///etc/passwd"),
        _ => redirect("/round"),
    })
    .await;
    let client = client(|settings| settings.redirects = 3);
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let fetched = client.get(&at("/start"), "*/*").await.unwrap();
    assert_eq!((&fetched.body[..], fetched.url.path()), (&b"arrived"[..], "/end"));
    for (path, why) in [
        ("/inside", "cloud metadata"),
        ("/shell", "port 22"),
        ("/file", "neither http nor https"),
        ("/round", "redirects more than 3 times"),
    ] {
        let error = client.get(&at(path), "*/*").await.unwrap_err().to_string();
        assert!(error.contains(why), "{path}: {error}");
    }
    assert_eq!(asked.lock().iter().filter(|head| head.starts_with("GET /round")).count(), 4);
}

#[tokio::test]
async fn answers_take_room_of_what_they_have_together_and_give_it_back() {
    let (port, _) = host(|path| match path {
        "/chunked" => {
            let chunk = "32\r\n".to_owned() + &"x".repeat(50) + "\r\n";
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
            head.to_owned() + &chunk.repeat(2) + "0\r\n\r\n"
        }
        _ => ok("", &"x".repeat(100)),
    })
    .await;
    let (client, budget) = (client(|_| {}), Budget::new(150));
    let question = |path: &str| Question {
        method: Method::GET,
        url: format!("http://127.0.0.1:{port}{path}"),
        headers: Vec::new(),
        body: None,
        patience: Duration::from_secs(60),
        most: 1_000,
        budget: Some(budget.clone()),
    };
    for path in ["/whole", "/chunked"] {
        let reply = Asker::ask(&client, question(path)).await.unwrap();
        assert_eq!((reply.body.len(), budget.left()), (100, 50), "{path}");
        for other in ["/whole", "/chunked"] {
            let error = Asker::ask(&client, question(other)).await.unwrap_err();
            assert_eq!((error, budget.left()), (AskError::NoRoom, 50), "{path} {other}");
        }
        drop(reply);
        assert_eq!(budget.left(), 150, "{path}");
    }
}

#[tokio::test]
async fn answers_are_limited_in_size_and_time() {
    let (port, _) = host(|path| match path {
        "/honest" => ok("", &"x".repeat(101)),
        "/chunked" => {
            let chunk = "32\r\n".to_owned() + &"x".repeat(50) + "\r\n";
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
            head.to_owned() + &chunk.repeat(3) + "0\r\n\r\n"
        }
        "/hang" => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_owned(),
        _ => ok("", &"x".repeat(100)),
    })
    .await;
    let hasty = client(|settings| settings.timeout = Duration::from_millis(300));
    let client = client(|settings| settings.response = ByteSize(100));
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    assert_eq!(client.get(&at("/fits"), "*/*").await.unwrap().body.len(), 100);
    for path in ["/honest", "/chunked"] {
        let error = client.get(&at(path), "*/*").await.unwrap_err();
        assert!(matches!(error, EgressError::TooLarge { .. }), "{path}: {error}");
    }
    let error = hasty.get(&at("/hang"), "*/*").await.unwrap_err();
    assert!(matches!(error, EgressError::TooSlow { .. }), "{error}");
}

#[tokio::test]
async fn hosts_that_are_away_or_refuse_are_told_apart() {
    let (port, _) =
        host(|_| "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
    let error = client(|_| {}).get(&format!("http://127.0.0.1:{port}/"), "*/*").await.unwrap_err();
    assert!(matches!(error, EgressError::Status { status: 404, .. }), "{error}");
    let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let error = client(|_| {}).get(&format!("http://{closed}/"), "*/*").await.unwrap_err();
    assert!(matches!(error, EgressError::Unreachable { .. }), "{error}");
    let error = client(|_| {}).get("not a url", "*/*").await.unwrap_err();
    assert!(matches!(error, EgressError::Refused(_)), "{error}");
}

#[tokio::test]
async fn contexts_are_loaded_with_their_age() {
    let (port, _) = host(|path| match path {
        "/context" => ok(
            "content-type: application/ld+json\r\ncache-control: max-age=60\r\n",
            r#"{"@context":{}}"#,
        ),
        // What schema.org does.
        "/vocabulary" => ok(
            "content-type: text/html\r\n\
             link: </style.css>; rel=\"stylesheet\", </context>; rel=\"alternate\"; \
             type=\"application/ld+json\"\r\n",
            "<html>",
        ),
        "/raw" => ok("content-type: text/plain\r\n", r#"{"@context":{}}"#),
        "/page" => ok("content-type: text/html\r\n", "<html>"),
        "/large" => ok("content-type: application/json\r\n", &"x".repeat(200)),
        _ => "HTTP/1.1 503 Away\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
    })
    .await;
    let client = client(|settings| settings.response = ByteSize(100));
    let load = async |path: &str| client.load(&format!("http://127.0.0.1:{port}{path}")).await;
    for path in ["/context", "/vocabulary"] {
        let document = load(path).await.unwrap();
        assert_eq!(document.bytes, r#"{"@context":{}}"#);
        assert_eq!(document.max_age, Some(Duration::from_secs(60)), "{path}");
    }
    assert_eq!(load("/raw").await.unwrap().max_age, None);
    assert!(matches!(load("/page").await, Err(LoadError::Invalid(_))));
    assert!(matches!(load("/large").await, Err(LoadError::Invalid(_))));
    assert!(matches!(load("/away").await, Err(LoadError::Unreachable(_))));
}

/// A receiver that keeps its connections, counts them, and answers each request with what `answer`
/// makes of its path.
async fn receiver(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Receiver {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let connections = Arc::new(Mutex::new(0));
    let receiver = Receiver { port, taken: Arc::clone(&taken), connections: connections.clone() };
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            *connections.lock() += 1;
            let (taken, answer) = (Arc::clone(&taken), Arc::clone(&answer));
            tokio::spawn(async move {
                let mut request = Vec::new();
                while let Ok(1..) = stream.read_buf(&mut request).await {
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length =
                        head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                    if length.is_none_or(|length| body.len() < length.parse::<usize>().unwrap()) {
                        continue;
                    }
                    let reply = answer(head.split(' ').nth(1).unwrap());
                    taken.lock().push(text);
                    request.clear();
                    if stream.write_all(reply.as_bytes()).await.is_err() || reply.is_empty() {
                        break;
                    }
                    if reply.contains("keep it coming") {
                        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
                    }
                }
            });
        }
    });
    receiver
}

struct Receiver {
    port: u16,
    taken: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Receiver {
    fn at(&self, path: &str) -> Target {
        let key = [("X-Key".to_owned(), "a b".to_owned())];
        Target::parse(&format!("http://127.0.0.1:{}{path}", self.port), &key, &[], None).unwrap()
    }
}

fn carrier(change: impl FnOnce(&mut Config)) -> Carrier {
    let mut config = Config::default();
    config.egress.allow_private = true;
    config.post.timeout = LONG;
    config.post.timeout_max = LONG;
    change(&mut config);
    Carrier::new(&config).unwrap()
}

fn message() -> Message {
    Message {
        body: "{\"type\":\"Notification\"}".into(),
        headers: vec![
            ("Content-Type", "application/json".to_owned()),
            ("NGSILD-Tenant", "Lampang".to_owned()),
        ],
    }
}

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test]
async fn a_message_is_posted_with_its_headers_over_a_kept_connection() {
    let receiver = receiver(|path| match path {
        "/ok" => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfine!".to_owned(),
        _ => NO_CONTENT.to_owned(),
    })
    .await;
    let carrier = carrier(|_| {});
    for _ in 0..10 {
        carrier.send(&receiver.at("/ok"), &message()).await.unwrap();
        carrier.send(&receiver.at("/none?x=1"), &message()).await.unwrap();
    }
    assert_eq!((receiver.taken.lock().len(), *receiver.connections.lock()), (20, 1));
    let taken = receiver.taken.lock()[1].clone();
    assert!(taken.starts_with("POST /none?x=1 HTTP/1.1\r\n"), "{taken}");
    for line in ["Content-Type: application/json", "X-Key: a b", "Ngsild-Tenant: Lampang"] {
        assert!(taken.lines().any(|found| found == line), "{line} in {taken}");
    }
    assert!(taken.ends_with("{\"type\":\"Notification\"}"));
}

#[tokio::test]
async fn receivers_that_will_not_take_it_are_told_apart() {
    let receiver = receiver(|path| match path {
        "/broken" => "HTTP/1.1 500 Oh\r\ncontent-length: 9\r\n\r\nno\n disk\t".to_owned(),
        "/later" => "HTTP/1.1 503 Later\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "/moved" => "HTTP/1.1 307 There\r\nlocation: http://169.254.169.254/\r\n\
                     content-length: 0\r\n\r\n"
            .to_owned(),
        "/gone" => "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n".to_owned(),
        _ => String::new(),
    })
    .await;
    let carrier = carrier(|_| {});
    let fails = async |path: &str| carrier.send(&receiver.at(path), &message()).await.unwrap_err();
    assert_eq!(fails("/broken").await.to_string(), "the receiver answered 500: no disk");
    let later = fails("/later").await;
    assert_eq!((later.retry_after(), later.is_permanent()), (Some(Duration::from_secs(7)), false));
    let moved = fails("/moved").await.to_string();
    assert!(
        moved.contains("307: it redirects to http://169.254.169.254/, which is not"),
        "{moved}"
    );
    assert!(fails("/gone").await.is_permanent());
    // It hangs up instead of answering, and is tried once more on a connection of its own.
    let before = receiver.taken.lock().len();
    assert!(matches!(fails("/hangs-up").await, SendError::Unreachable(_)));
    assert_eq!(receiver.taken.lock().len(), before + 2);
    let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let closed = Target::parse(&format!("http://{closed}/"), &[], &[], None).unwrap();
    assert!(matches!(carrier.send(&closed, &message()).await, Err(SendError::Unreachable(_))));
}

#[tokio::test]
async fn a_receiver_that_floods_or_hangs_costs_little() {
    let receiver = receiver(|path| match path {
        "/flood" => "HTTP/1.1 200 OK\r\nconnection: close\r\nx: keep it coming\r\n\r\n".to_owned(),
        "/endless" => "HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\nx".to_owned(),
        // Never a whole head.
        _ => "HTTP/1.1 200".to_owned(),
    })
    .await;
    let patient = carrier(|_| {});
    for path in ["/flood", "/endless"] {
        patient.send(&receiver.at(path), &message()).await.unwrap();
    }
    let carrier = carrier(|config| config.post.timeout_max = Duration::from_millis(300));
    let error = carrier.send(&receiver.at("/hang"), &message()).await.unwrap_err();
    assert_eq!(error, SendError::TimedOut(Duration::from_millis(300)));
    let own = format!("http://127.0.0.1:{}/hang", receiver.port);
    let own = Target::parse(&own, &[], &[], Some(Duration::from_millis(50))).unwrap();
    let error = carrier.send(&own, &message()).await.unwrap_err();
    assert_eq!(error, SendError::TimedOut(Duration::from_millis(50)));
}

#[tokio::test]
async fn receivers_inside_are_refused_before_and_after_their_name_is_resolved() {
    let receiver = receiver(|_| NO_CONTENT.to_owned()).await;
    let carrier = carrier(|config| config.egress.allow_private = false);
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{}/", receiver.port);
        let target = Target::parse(&url, &[], &[], None).unwrap();
        let error = carrier.send(&target, &message()).await.unwrap_err();
        assert!(
            matches!(&error, SendError::Refused(why) if why.contains("of this machine")),
            "{error}"
        );
        assert_eq!(carrier.admits(&target).is_err(), host != "localhost", "{host}");
    }
    assert_eq!(*receiver.connections.lock(), 0);
}
