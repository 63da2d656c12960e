//! Plain questions against servers on this machine, which say what they are told to say, in pieces
//! as small as they are told to.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::head;
use crate::config::Egress;
use crate::egress::{AskError, Asker, Budget, Client, Method, Question, Reply};

/// Longer than anything takes, however busy the machine is.
const LONG: Duration = Duration::from_secs(120);

struct Server {
    port: u16,
    /// The heads of all requests, and the number of the connection that each came by.
    asked: Arc<Mutex<Vec<(usize, String)>>>,
}

/// A server that answers every request with the same bytes, in pieces of this size, and hangs up
/// after so many requests of one connection.
async fn server(answer: Vec<u8>, piece: usize, most: usize) -> Server {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        for connection in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.set_nodelay(true);
            let (seen, answer) = (Arc::clone(&seen), answer.clone());
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut left = most;
                while left > 0 && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
                    if !request.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    let text = String::from_utf8(std::mem::take(&mut request)).unwrap();
                    seen.lock().push((connection, text));
                    for some in answer.chunks(piece) {
                        if stream.write_all(some).await.is_err() {
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                    left -= 1;
                }
            });
        }
    });
    Server { port, asked }
}

impl Server {
    fn question(&self, coding: &str) -> Question {
        Question {
            method: Method::GET,
            url: format!("http://127.0.0.1:{}/ngsi-ld/v1/entities?type=A%20B", self.port),
            headers: vec![
                ("Accept".into(), "application/json".into()),
                ("Accept-Encoding".into(), coding.into()),
                ("NGSILD-Tenant".into(), "lampang".into()),
            ],
            body: None,
            patience: LONG,
            most: 1_000,
            budget: None,
        }
    }
}

fn client() -> impl Asker {
    Client::new(&Egress { allow_private: true, ..Egress::default() }).unwrap()
}

/// What is said in an answer, or that it is none.
fn said(outcome: Result<Reply, AskError>) -> Result<(u16, Vec<u8>, Vec<String>), &'static str> {
    match outcome {
        Ok(reply) => {
            let headers = reply.headers.iter();
            let headers = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
            Ok((reply.status, reply.body.to_vec(), headers))
        }
        Err(AskError::TooLarge(_)) => Err("too large"),
        Err(AskError::Unreachable(_)) => Err("broken"),
        Err(_) => Err("otherwise"),
    }
}

const ANSWERS: [&str; 16] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nLink: <a>\r\nLink: <b>\r\n\r\nhello",
    "HTTP/1.1 200\r\ncontent-length:0\r\n\r\n",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX:\t a b \t\r\n\r\n{}",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-After: 1\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: <c>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end",
    "HTTP/1.0 200 OK\r\n\r\nof old",
    "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "SSH-2.0-OpenSSH\r\n\r\n",
];

#[tokio::test]
async fn answers_are_read_as_the_general_client_reads_them_in_however_small_pieces() {
    for answer in ANSWERS {
        for piece in [1, 7, usize::MAX] {
            let server = server(answer.into(), piece, 1).await;
            let client = client();
            let plain = said(client.ask(server.question("identity")).await);
            let general = said(client.ask(server.question("identity, *;q=0")).await);
            assert_eq!(plain, general, "{answer:?} in pieces of {piece}");
        }
    }
}

#[tokio::test]
async fn requests_are_written_as_the_general_client_writes_them() {
    let server = server(ANSWERS[0].into(), usize::MAX, 9).await;
    let client = client();
    for coding in ["identity", "identity;q=1"] {
        client.ask(server.question(coding)).await.unwrap();
    }
    let asked = server.asked.lock();
    let lines = |text: &str| {
        let text = text.replace("identity;q=1", "identity");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[1..].sort();
        lines
    };
    assert_eq!(lines(&asked[0].1), lines(&asked[1].1));
    assert!(asked[0].1.starts_with("GET /ngsi-ld/v1/entities?type=A%20B HTTP/1.1\r\nHost: 127."));
}

#[tokio::test]
async fn a_connection_is_used_again_until_the_server_closes_it() {
    let server = server(ANSWERS[0].into(), usize::MAX, 3).await;
    let client = client();
    for _ in 0..7 {
        let reply = client.ask(server.question("identity")).await.unwrap();
        assert_eq!(reply.body, "hello");
    }
    let by: Vec<usize> = server.asked.lock().iter().map(|(connection, _)| *connection).collect();
    assert_eq!(by, [0, 0, 0, 1, 1, 1, 2]);
}

#[tokio::test]
async fn what_follows_an_answer_unasked_is_no_answer() {
    let server = server([ANSWERS[0], ANSWERS[2]].concat().into(), usize::MAX, 9).await;
    let client = client();
    for _ in 0..3 {
        let reply = client.ask(server.question("identity")).await.unwrap();
        assert_eq!((reply.status, &reply.body[..]), (200, &b"hello"[..]));
    }
    let by: Vec<usize> = server.asked.lock().iter().map(|(connection, _)| *connection).collect();
    assert_eq!(by, [0, 1, 2]);
}

#[tokio::test]
async fn what_is_packed_all_the_same_is_left_to_the_general_client() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packer, b"hello").unwrap();
    let packed = packer.finish().unwrap();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    )
    .into_bytes();
    answer.extend(packed);
    let server = server(answer, usize::MAX, 9).await;
    let client = client();
    for _ in 0..2 {
        let reply = client.ask(server.question("identity")).await.unwrap();
        assert_eq!(reply.body, "hello");
    }
    // Twice for the first question, and then once.
    assert_eq!(server.asked.lock().len(), 3);
}

#[tokio::test]
async fn headers_that_would_be_others_are_refused_and_nothing_is_sent() {
    let server = server(ANSWERS[0].into(), usize::MAX, 9).await;
    for (name, value) in [("X", "a\r\nHost: b"), ("X Y", "a"), ("", "a"), ("X", "ä")] {
        let mut question = server.question("identity");
        question.headers.push((name.into(), value.into()));
        let outcome = client().ask(question).await;
        assert!(matches!(outcome, Err(AskError::Refused(_))), "{name:?}: {value:?}");
    }
    assert!(server.asked.lock().is_empty());
}

#[test]
fn only_urls_that_mean_what_they_say_are_taken_apart() {
    for (url, parts) in [
        ("http://a:1/b?c=d", Some(("a:1", "/b?c=d"))),
        ("http://127.0.0.1/", Some(("127.0.0.1", "/"))),
        ("https://a/b", None),
        ("http://a", None),
        ("http://a/b/../c", None),
        ("http://a/%2e%2e/c", None),
        ("http://a/b#c", None),
        ("http://a/b c", None),
        ("http://a/b?c='d'", None),
        ("http://a/ä", None),
        ("http://a\\b/", Some(("a\\b", "/"))),
    ] {
        assert_eq!(super::parts(url), parts, "{url}");
    }
}

#[tokio::test]
async fn where_one_may_not_go_one_does_not_go_plainly_either() {
    let server = server(ANSWERS[0].into(), usize::MAX, 9).await;
    let strict = Client::new(&Egress::default()).unwrap();
    let at = |host: &str| Question {
        url: format!("http://{host}:{}/", server.port),
        ..server.question("identity")
    };
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "a@127.0.0.1"] {
        let outcome = Asker::ask(&strict, at(host)).await;
        assert!(matches!(outcome, Err(AskError::Refused(_))), "{host}: {outcome:?}");
    }
    assert!(server.asked.lock().is_empty());
    assert_eq!(client().ask(at("LocalHost")).await.unwrap().body, "hello");
    assert_eq!(client().ask(at("localhost")).await.unwrap().body, "hello");
}

#[tokio::test]
async fn a_body_takes_room_as_it_comes_and_gives_it_back() {
    for answer in [ANSWERS[0], ANSWERS[4], ANSWERS[7]] {
        let server = server(answer.into(), 3, 1).await;
        let (client, budget) = (client(), Budget::new(12));
        let ask = || {
            let question = Question { budget: Some(budget.clone()), ..server.question("identity") };
            client.ask(question)
        };
        let reply = ask().await.unwrap();
        assert_eq!(budget.left(), 12 - reply.body.len());
        if budget.left() < reply.body.len() {
            assert_eq!(ask().await.unwrap_err(), AskError::NoRoom);
        }
        drop(reply);
        assert_eq!(budget.left(), 12, "{answer:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_head_or_none_and_nothing_else_happens(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), from in 0usize..100,
    ) {
        if let Some(end) = head::end(&bytes, from.min(bytes.len())) {
            prop_assert!(end <= bytes.len());
            let _ = head::read(&bytes[..end]);
        }
        let mut whole = b"HTTP/1.1 200 OK\r\n".to_vec();
        whole.extend(bytes);
        let _ = head::read(&whole);
    }
}
