//! A broker of one's own for each test, on a free port and a temporary folder.

use std::sync::Arc;

use actix_web::web::Data;
use lanna::broker::Broker;
use lanna::config::Config;
use lanna::derive::Deriver;
use lanna::feed::Feeds;
use lanna::http::report::Reporter;
use lanna::http::server::{self, Running};
use lanna::http::state::State;
use serde_json::Value;

/// A running broker.
pub struct TestBroker {
    base: String,
    client: reqwest::Client,
    _running: Running,
    _folder: tempfile::TempDir,
}

/// An answer with its body read.
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// A header as text, empty if absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("plain text"))
    }

    /// The last part of the problem's type.
    pub fn problem(&self) -> String {
        let json = self.json();
        json["type"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
    }
}

impl TestBroker {
    /// Starts a broker with nothing in it.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Whether the tests run against a MongoDB.
    pub fn is_on_mongodb() -> bool {
        std::env::var("TEST_HTTP_STORE").is_ok_and(|store| store == "mongodb")
    }

    /// Starts a broker with nothing in it, set up otherwise than usual.
    pub async fn with(set_up: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::default();
        config.store.data = folder.path().join("data");
        if Self::is_on_mongodb() {
            use lanna::config::Value;
            let url = std::env::var("TEST_MONGODB").expect("scripts/test starts a MongoDB");
            config.store.url = Some(lanna::config::MongoUrl::from_text(&url).expect("a URL"));
            // The server is there for this run alone, so nobody need tidy up.
            config.mongodb.database = format!("lanna-test-{}", uuid::Uuid::new_v4().simple());
            // No test rests on how fast the machine is.
            config.mongodb.patience = std::time::Duration::from_secs(600);
            config.mongodb.time_limit = std::time::Duration::from_secs(600);
        }
        config.server.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        config.server.workers = 1;
        // Brokers of one test ask each other, on a machine that may be slow and busy: who hangs is
        // tried by tests that say how long.
        config.federation.timeout = std::time::Duration::from_secs(600);
        set_up(&mut config);
        let broker = Arc::new(Broker::open(&config).await.expect("a broker"));
        let deriver = Deriver::start(&broker, &config.derive).await.expect("profiles");
        let deriver = deriver.map(Data::new);
        actix_web::rt::spawn(broker.clone().keep_house(lanna::http::problem::details));
        let config = Arc::new(config);
        let feeds = Feeds::open(config.clone(), broker.clone()).await.expect("feeds");
        let derived = deriver.clone().map(Data::into_inner);
        let reporter =
            Reporter::new(broker.clone()).with_feeds(feeds.clone()).with_deriver(derived);
        let state = State::new(config, reporter);
        let (data, shown) = (Data::from(broker), Data::from(feeds.clone()));
        let running = server::start(&state, move |config| {
            config.app_data(data.clone()).app_data(shown.clone());
            if let Some(deriver) = &deriver {
                config.app_data(deriver.clone());
            }
        })
        .expect("a server");
        feeds.start();
        let base = format!("http://{}", running.addresses[0]);
        Self { base, client: reqwest::Client::new(), _running: running, _folder: folder }
    }

    /// A request to a path below `/ngsi-ld/v1`.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/ngsi-ld/v1{path}", self.base);
        self.client.request(method.parse().expect("a method"), url)
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A request to a path that is no part of NGSI-LD, with a body if there is one.
    pub async fn beside(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let url = format!("{}{path}", self.base);
        let mut request = self.client.request(method.parse().expect("a method"), url);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        self.send(request).await
    }

    /// Sends a request that was built.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, text: response.text().await.expect("a body") }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path)).await
    }

    /// Sends JSON.
    pub async fn body(&self, method: &str, path: &str, body: Value) -> Answer {
        self.text(method, path, &body.to_string()).await
    }

    /// Sends text as JSON.
    pub async fn text(&self, method: &str, path: &str, body: &str) -> Answer {
        let request = self.request(method, path).header("content-type", "application/json");
        self.send(request.body(body.to_owned())).await
    }

    /// Creates an entity, which has to work.
    pub async fn has(&self, entity: Value) {
        let answer = self.body("POST", "/entities", entity).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }

    /// An entity as it is now, simplified.
    pub async fn values(&self, id: &str) -> Value {
        self.get(&format!("/entities/{id}?format=simplified")).await.json()
    }
}
