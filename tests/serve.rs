//! The program as it is started by those who run it: what it explains, serves, and how it ends.

#![expect(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use lanna::config::Config;
use mongodb::bson::doc;
use serde_json::{Value, json};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A broker of its own process.
struct Broker {
    child: Child,
    base: String,
    client: reqwest::Client,
}

impl Broker {
    /// Starts the program on a free port and waits until it is ready.
    async fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::start_as("http", data, arguments, reqwest::Client::new()).await
    }

    async fn start_as(
        scheme: &str,
        data: &Path,
        arguments: &[&str],
        client: reqwest::Client,
    ) -> Self {
        Self::start_at(free_port(), scheme, data, arguments, client).await
    }

    async fn start_at(
        port: u16,
        scheme: &str,
        data: &Path,
        arguments: &[&str],
        client: reqwest::Client,
    ) -> Self {
        let listen = format!("127.0.0.1:{port}");
        let child = Command::new(env!("CARGO_BIN_EXE_lanna"))
            .args(["--listen", &listen, "--data"])
            .arg(data)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut broker = Self { child, base: format!("{scheme}://localhost:{port}"), client };
        for _ in 0..1_200 {
            let ready = broker.client.get(format!("{}/ready", broker.base)).send().await;
            if ready.is_ok_and(|answer| answer.status() == 200) {
                return broker;
            }
            assert_eq!(broker.child.try_wait().unwrap(), None, "it ended");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the broker was never ready");
    }

    async fn post(&self, entity: &Value) -> u16 {
        self.post_to("entities", entity).await
    }

    async fn post_to(&self, collection: &str, entity: &Value) -> u16 {
        let url = format!("{}/ngsi-ld/v1/{collection}", self.base);
        let request = self.client.post(url).header("content-type", "application/json");
        request.body(entity.to_string()).send().await.unwrap().status().as_u16()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}{path}", self.base)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// Asks it to end, as a service manager does, and waits until it has.
    async fn end(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_help_explains_every_setting() {
    let output = Command::new(env!("CARGO_BIN_EXE_lanna")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for key in Config::keys() {
        assert!(help.contains(&format!("--{}", key.flag())), "--{}", key.flag());
    }
    let wrong = Command::new(env!("CARGO_BIN_EXE_lanna")).arg("--lsten").output().unwrap();
    let hint = String::from_utf8(wrong.stderr).unwrap();
    assert!(!wrong.status.success() && hint.contains("--listen"), "{hint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_created_is_located_in_the_usual_letter_case() {
    use std::io::{Read, Write};
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path(), &[]).await;
    let body = json!({"id": "urn:ngsi-ld:Thing:1", "type": "Thing"}).to_string();
    let address = broker.base.replace("http://localhost", "127.0.0.1");
    let mut line = std::net::TcpStream::connect(address).unwrap();
    write!(
        line,
        "POST /ngsi-ld/v1/entities HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    let place = "\r\nLocation: /ngsi-ld/v1/entities/urn:ngsi-ld:Thing:1\r\n";
    assert!(answer.starts_with("HTTP/1.1 201 ") && answer.contains(place), "{answer}");
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_an_orderly_end() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path(), &[]).await;
    for number in 0..50 {
        let entity = json!({"id": format!("urn:a:{number}"), "type": "Vehicle", "speed": number});
        assert_eq!(broker.post(&entity).await, 201);
    }
    let status = broker.end().await;
    assert!(status.success(), "{status}");
    let again = Broker::start(data.path(), &[]).await;
    let all = again.get("/ngsi-ld/v1/entities?type=Vehicle&limit=100&format=simplified").await;
    assert_eq!(all.as_array().map(Vec::len), Some(50));
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let _first = Broker::start(data.path(), &[]).await;
    let second = Command::new(env!("CARGO_BIN_EXE_lanna"))
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("another"), "{said}");
}

#[tokio::test]
async fn https_is_spoken_with_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"])
        .args(["/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext"])
        .args(["basicConstraints=critical,CA:FALSE", "-keyout"])
        .args([&place("key"), "-out", &place("cert")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let pem = std::fs::read(place("cert")).unwrap();
    let trusted = reqwest::Certificate::from_pem(&pem).unwrap();
    let client = reqwest::Client::builder().add_root_certificate(trusted).build().unwrap();
    let arguments = ["--tls-cert", &place("cert"), "--tls-key", &place("key")];
    let broker = Broker::start_as("https", &folder.path().join("data"), &arguments, client).await;
    assert_eq!(broker.post(&json!({"id": "urn:a:1", "type": "Vehicle"})).await, 201);
    assert_eq!(broker.get("/ngsi-ld/v1/entities/urn:a:1").await["type"], "Vehicle");
}

#[tokio::test]
async fn the_sample_fills_the_five_domains() {
    let data = tempfile::tempdir().unwrap();
    let broker = Broker::start(data.path(), &["--sample"]).await;
    for name in ["AirQualityObserved", "WaterObserved", "WeatherObserved", "EnergyMeter", "Hotspot"]
    {
        let mut found = Value::Null;
        for _ in 0..300 {
            found = broker.get(&format!("/ngsi-ld/v1/entities?type={name}&limit=1")).await;
            if found.as_array().is_some_and(|all| !all.is_empty()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_ne!(found, json!([]), "{name}");
    }
}

/// A broker that goes by a name towards others, at a port that it has again when it is back.
struct Neighbour {
    alias: &'static str,
    port: u16,
    data: tempfile::TempDir,
}

impl Neighbour {
    fn new(alias: &'static str) -> Self {
        Self { alias, port: free_port(), data: tempfile::tempdir().unwrap() }
    }

    async fn start(&self) -> Broker {
        let arguments = [
            "--allow-private-egress",
            "--federation-alias",
            self.alias,
            "--federation-level",
            "1s",
        ];
        let client = reqwest::Client::new();
        Broker::start_at(self.port, "http", self.data.path(), &arguments, client).await
    }

    /// Registers another one by the name it goes by.
    async fn registers(&self, at: &Broker, other: &Broker) {
        let identity = other.get("/ngsi-ld/v1/info/sourceIdentity").await;
        let registration = json!({
            "type": "ContextSourceRegistration", "endpoint": other.base,
            "contextSourceAlias": identity["contextSourceAlias"],
            "information": [{"entities": [{"type": "Vehicle"}]}], "operations": ["federationOps"],
        });
        assert_eq!(at.post_to("csourceRegistrations", &registration).await, 201, "{}", self.alias);
    }
}

fn subscription(id: &str) -> Value {
    json!({
        "id": id, "type": "Subscription", "entities": [{"type": "Vehicle"}],
        "notification": {"endpoint": {"uri": "lanna:events"}},
    })
}

/// Waits until a broker has so many subscriptions.
async fn has_subscriptions(broker: &Broker, count: usize) {
    let mut all = Value::Null;
    for _ in 0..600 {
        all = broker.get("/ngsi-ld/v1/subscriptions?limit=100").await;
        if all.as_array().is_some_and(|all| all.len() == count) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not {count}: {all}");
}

#[tokio::test]
async fn what_is_planted_at_sources_is_known_after_a_kill_and_so_is_which_way_it_came() {
    let (here, there) = (Neighbour::new("here"), Neighbour::new("there"));
    let (mut one, mut other) = (here.start().await, there.start().await);
    here.registers(&one, &other).await;
    there.registers(&other, &one).await;
    assert_eq!(one.post_to("subscriptions", &subscription("urn:s:1")).await, 201);
    has_subscriptions(&other, 1).await;
    // Who was asked to tell does not ask back, though it was killed meanwhile.
    drop(other);
    other = there.start().await;
    assert_eq!(other.post_to("subscriptions", &subscription("urn:s:2")).await, 201);
    has_subscriptions(&one, 2).await;
    // Who asked remembers what it asked for, and asks for it once.
    drop(one);
    one = here.start().await;
    let another = json!({
        "type": "ContextSourceRegistration", "endpoint": "http://localhost:19999",
        "information": [{"entities": [{"type": "Boat"}]}],
    });
    assert_eq!(one.post_to("csourceRegistrations", &another).await, 201);
    tokio::time::sleep(Duration::from_secs(3)).await;
    has_subscriptions(&other, 2).await;
    has_subscriptions(&one, 2).await;
    // What is to go from a source that is away goes when it is back.
    drop(other);
    let url = format!("{}/ngsi-ld/v1/subscriptions/urn:s:1", one.base);
    assert_eq!(one.client.delete(url).send().await.unwrap().status(), 204);
    other = there.start().await;
    has_subscriptions(&other, 1).await;
}

/// A MongoDB of one member on this machine, which ends with the test.
struct Mongod {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Mongod {
    async fn start() -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let mongod = Self { child: Self::run(port, folder.path()), port, folder };
        let url = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
        let admin = mongodb::Client::with_uri_str(url).await.unwrap().database("admin");
        let member = doc! { "_id": 0, "host": format!("127.0.0.1:{port}") };
        let set = doc! { "replSetInitiate": { "_id": "rs0", "members": [member] } };
        while admin.run_command(set.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let hello = async || admin.run_command(doc! { "hello": 1 }).await.unwrap_or_default();
        while !hello().await.get_bool("isWritablePrimary").unwrap_or(false) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        mongod
    }

    fn run(port: u16, folder: &Path) -> Child {
        let server = std::env::var("TEST_MONGOD")
            .unwrap_or_else(|_| panic!("this test needs a mongod: scripts/test says which"));
        Command::new(server)
            .args(["--replSet", "rs0", "--bind_ip", "127.0.0.1", "--port", &port.to_string()])
            .args(["--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25", "--nounixsocket"])
            .arg("--dbpath")
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn run_again(&mut self) {
        self.child = Self::run(self.port, self.folder.path());
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_said_until_it_is_back() {
    let mut mongod = Mongod::start().await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("mongodb://127.0.0.1:{}/away?replicaSet=rs0", mongod.port);
    let arguments = ["--store", &url, "--mongodb-patience", "5s"];
    let broker = Broker::start(folder.path(), &arguments).await;
    let thing = |number: u32| json!({"id": format!("urn:ngsi-ld:Thing:{number}"), "type": "Thing"});
    // A slow machine may be given up on, and have done it after all.
    while !matches!(broker.post(&thing(1)).await, 201 | 409) {}
    let ready = async || {
        let answer = broker.client.get(format!("{}/ready", broker.base)).send().await.unwrap();
        answer.status().as_u16()
    };
    mongod.kill();
    while ready().await != 503 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let base = format!("{}/ngsi-ld/v1/entities", broker.base);
    let body = thing(2).to_string();
    for request in [
        broker.client.get(format!("{base}/urn:ngsi-ld:Thing:1")),
        broker.client.get(format!("{base}?type=Thing")),
        broker.client.post(&base).header("content-type", "application/json").body(body),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
    }
    mongod.run_again();
    while ready().await != 200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let url = format!("{base}/urn:ngsi-ld:Thing:1");
    while broker.client.get(&url).send().await.unwrap().status() != 200 {}
}
