//! Feeds at work: with a real web server, a real mosquitto, and real files.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../mqtt/server.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod server;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use lanna::broker::Broker;
use lanna::config::{Config, MongoUrl, Validation, Value as _};
use lanna::feed::{Feeds, Status, shipped_feeds};
use lanna::model::{EntityId, Stored, TenantId, Timestamp, Value};
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};

use server::Mosquitto;

/// A broker with feeds, on a folder that outlives it.
struct Running {
    broker: Arc<Broker>,
    feeds: Arc<Feeds>,
}

impl Running {
    async fn start(folder: &Path, run: &[&str]) -> Self {
        Self::with(folder, run, |_| {}).await
    }

    async fn with(folder: &Path, run: &[&str], change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.store.data = folder.join("data");
        config.egress.allow_private = true;
        config.models.validation = Validation::Enforce;
        config.feeds.folder = Some(folder.join("feeds"));
        config.feeds.run = run.iter().map(|name| name.to_string()).collect();
        config.feeds.retry_first = Duration::from_millis(100);
        config.feeds.retry_last = Duration::from_millis(500);
        change(&mut config);
        let config = Arc::new(config);
        let broker = Arc::new(Broker::open(&config).await.unwrap());
        let feeds = Feeds::open(config, broker.clone()).await.unwrap();
        feeds.start();
        Self { broker, feeds }
    }

    fn status(&self, name: &str) -> Status {
        self.feeds.feed(name).unwrap().status()
    }

    async fn entity(&self, id: &str) -> Option<Arc<Stored>> {
        let id = EntityId::parse(id).unwrap();
        let found = self.broker.store().get(&TenantId::DEFAULT, &id, Timestamp::now()).await;
        found.ok().flatten()
    }

    async fn wait(&self, name: &str, what: &str, is: impl Fn(&Status) -> bool) -> Status {
        let begun = Instant::now();
        loop {
            let status = self.status(name);
            if is(&status) {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{what} never came: {status:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn stop(self) {
        self.feeds.close().await;
        self.broker.close().await.unwrap();
    }
}

/// A shipped mapping with some of its text changed, in the folder of mappings.
fn mapping(folder: &Path, name: &str, changes: &[(&str, &str)]) {
    let shipped = shipped_feeds().iter().find(|feed| feed.name == name).unwrap();
    let mut text = shipped.text.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let feeds = folder.join("feeds");
    std::fs::create_dir_all(&feeds).unwrap();
    std::fs::write(feeds.join(format!("{name}.toml")), text).unwrap();
    for beside in ["pea-meters.csv", "mae-moh-tambons.csv"] {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("feeds").join(beside);
        std::fs::copy(shipped, feeds.join(beside)).unwrap();
    }
}

fn sample(name: &str) -> &'static [u8] {
    shipped_feeds().iter().find(|feed| feed.name == name).unwrap().sample
}

/// A web server that fails first, then tells the sample of Air4Thai to who has the key.
async fn agency() -> (u16, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let server = HttpServer::new(move || {
        let count = count.clone();
        App::new().default_service(web::to(move |request: HttpRequest| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let key = request.headers().get("API-Key").map(|key| key.as_bytes().to_vec());
            async move {
                if key.as_deref() != Some(env!("CARGO_MANIFEST_DIR").as_bytes()) {
                    return HttpResponse::Unauthorized().finish();
                }
                match number {
                    0 => HttpResponse::InternalServerError().finish(),
                    1 => HttpResponse::Ok().body("<html>down for maintenance</html>"),
                    _ => HttpResponse::Ok().body(sample("air4thai")),
                }
            }
        }))
    })
    .workers(1)
    .bind(("127.0.0.1", 0))
    .unwrap();
    let port = server.addrs()[0].port();
    actix_web::rt::spawn(server.run());
    (port, asked)
}

#[actix_web::test]
async fn a_web_server_is_asked_until_it_answers_and_then_only_new_things_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (port, asked) = agency().await;
    let url = format!("http://127.0.0.1:{port}/stations");
    mapping(
        folder.path(),
        "air4thai",
        &[
            ("http://air4thai.pcd.go.th/services/getNewAQI_JSON.php", &url),
            (
                "every = \"10m\"",
                "every = \"1s\"\nheaders = { API-Key = \"${CARGO_MANIFEST_DIR}\" }",
            ),
        ],
    );
    let running = Running::start(folder.path(), &["air4thai"]).await;
    let status = running.wait("air4thai", "a second answer", |s| s.tally.unchanged >= 4).await;
    assert_eq!((status.tally.stored, status.tally.failures), (4, 2), "{status:?}");
    assert_eq!((status.error, status.failures_in_a_row), (None, 0));
    assert_eq!(status.newest_observation.as_deref(), Some("2026-03-14T02:00:00Z"));
    assert!(asked.load(Ordering::SeqCst) >= 4);
    assert!(running.entity("urn:ngsi-ld:AirQualityObserved:air4thai:40t").await.is_some());
    running.stop().await;

    // What was told before the restart is nothing new after it.
    let again = Running::start(folder.path(), &["air4thai"]).await;
    let status =
        again.wait("air4thai", "an answer", |s| s.tally.runs > status.tally.runs + 1).await;
    assert!(status.tally.stored <= 8 && status.tally.unchanged >= 4, "{status:?}");
    again.stop().await;
}

/// What a server was asked: method, path with query, the header of the key, and the body.
type Question = (String, String, String, String);
type Asked = Arc<Mutex<Vec<Question>>>;

/// A web server that answers each path with what is said of it.
async fn answering(answers: &'static [(&'static str, &'static [u8])]) -> (u16, Asked) {
    let asked = Asked::default();
    let heard = asked.clone();
    let server = HttpServer::new(move || {
        let heard = heard.clone();
        App::new().default_service(web::to(move |request: HttpRequest, body: web::Bytes| {
            let key = request.headers().get("API-Key").and_then(|key| key.to_str().ok());
            heard.lock().unwrap().push((
                request.method().to_string(),
                request.uri().to_string(),
                key.unwrap_or_default().to_owned(),
                String::from_utf8_lossy(&body).into_owned(),
            ));
            let found = answers.iter().find(|(path, _)| *path == request.path());
            async move {
                match found {
                    Some((_, body)) => HttpResponse::Ok().body(*body),
                    None => HttpResponse::NotFound().finish(),
                }
            }
        }))
    })
    .workers(1)
    .bind(("127.0.0.1", 0))
    .unwrap();
    let port = server.addrs()[0].port();
    actix_web::rt::spawn(server.run());
    (port, asked)
}

#[actix_web::test]
async fn every_feed_of_the_web_is_fetched_from_a_real_server() {
    let folder = tempfile::tempdir().unwrap();
    let answers: Vec<(&'static str, &'static [u8])> = vec![
        ("/air", sample("air4thai")),
        ("/dust", sample("dustboy")),
        ("/fires", sample("gistda-hotspots")),
        ("/weather", sample("tmd-weather")),
        ("/rivers", sample("thaiwater-levels")),
    ];
    let (port, asked) = answering(Vec::leak(answers)).await;
    let base = format!("http://127.0.0.1:{port}");
    let own = |address: &str, path: &str| (address.to_owned(), format!("{base}{path}"));
    let changes = [
        ("air4thai", own("http://air4thai.pcd.go.th/services/getNewAQI_JSON.php", "/air")),
        ("dustboy", own("https://open-api.cmuccdc.org/api/dustboy/stations", "/dust")),
        (
            "gistda-hotspots",
            own("https://api-gateway.gistda.or.th/api/2.0/resources/features/viirs/1day", "/fires"),
        ),
        ("tmd-weather", own("https://data.tmd.go.th/api/Weather3Hours/V2/", "/weather")),
        (
            "thaiwater-levels",
            own(
                "https://api-v3.thaiwater.net/api/v1/thaiwater30/public/waterlevel_load",
                "/rivers",
            ),
        ),
    ];
    // Keys come from the environment; these are there wherever a test runs.
    let keys = ["${DUSTBOY_API_KEY}", "${GISTDA_API_KEY}", "${TMD_UID}", "${TMD_UKEY}"];
    for (name, (from, to)) in &changes {
        let shipped = shipped_feeds().iter().find(|feed| feed.name == *name).unwrap();
        let keys = keys.iter().filter(|key| shipped.text.contains(**key));
        let keys = keys.map(|key| (*key, "${CARGO_PKG_NAME}"));
        let all: Vec<(&str, &str)> =
            [(from.as_str(), to.as_str())].into_iter().chain(keys).collect();
        mapping(folder.path(), name, &all);
    }
    let names = changes.each_ref().map(|(name, _)| *name);
    let running = Running::start(folder.path(), &names).await;
    for (name, stored) in [
        ("air4thai", 4),
        ("dustboy", 3),
        ("gistda-hotspots", 3),
        ("tmd-weather", 2),
        ("thaiwater-levels", 2),
    ] {
        let status = running.wait(name, "an answer", |s| s.last_success.is_some()).await;
        assert_eq!((status.tally.stored, status.tally.failures), (stored, 0), "{name}: {status:?}");
    }
    let asked = asked.lock().unwrap().clone();
    let of = |path: &str| asked.iter().find(|one| one.1.starts_with(path)).unwrap().clone();
    assert_eq!(of("/dust").1, "/dust?apikey=lanna");
    assert_eq!(of("/fires").1, "/fires?pv_idn=52&limit=1000&offset=0");
    assert_eq!(of("/fires").2, "lanna", "the key is in a header");
    assert_eq!(of("/weather").1, "/weather?uid=lanna&ukey=lanna");
    assert!(asked.iter().all(|one| one.0 == "GET"), "{asked:?}");
    running.stop().await;
}

static TWO_GATES: [(&str, &[u8]); 2] = [
    ("/with", br#"[{"gate": "a", "at": "2026-03-14T09:00:00", "count": 1}]"#),
    ("/without", br#"[{"gate": "b", "at": "2026-03-14T09:00:00", "count": 2}]"#),
];

#[actix_web::test]
async fn a_feed_may_be_asked_by_post_with_a_body_or_without() {
    let folder = tempfile::tempdir().unwrap();
    let (port, asked) = answering(&TWO_GATES).await;
    std::fs::create_dir(folder.path().join("feeds")).unwrap();
    for (name, more) in [("with", "body = '{\"area\": \"${CARGO_PKG_NAME}\"}'\n"), ("without", "")]
    {
        let source = format!(
            "kind = \"http\"\nmethod = \"POST\"\nurl = \"http://127.0.0.1:{port}/{name}\"\n\
             headers = {{ API-Key = \"${{CARGO_PKG_NAME}}\" }}\n{more}"
        );
        let text = GATES.replace("kind = \"push\"\n", &source);
        std::fs::write(folder.path().join(format!("feeds/{name}.toml")), text).unwrap();
    }
    let running = Running::start(folder.path(), &["with", "without"]).await;
    for name in ["with", "without"] {
        let status = running.wait(name, "an answer", |s| s.last_success.is_some()).await;
        assert_eq!(status.tally.stored, 1, "{name}: {status:?}");
    }
    let mut asked = asked.lock().unwrap().clone();
    asked.sort();
    let own = |path: &str, body: &str| -> Question {
        ("POST".to_owned(), path.to_owned(), "lanna".to_owned(), body.to_owned())
    };
    assert_eq!(asked, [own("/with", r#"{"area": "lanna"}"#), own("/without", "")]);
    running.stop().await;
}

fn files(folder: PathBuf) -> Vec<String> {
    let all = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> =
        all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[actix_web::test]
async fn files_are_taken_once_each_and_laid_aside() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    std::fs::create_dir(&inbox).unwrap();
    let place = format!("path = \"{}\"", inbox.display());
    mapping(
        folder.path(),
        "pea-load-profile",
        &[("path = \"${PEA_FOLDER}\"", &place), ("every = \"30s\"", "every = \"1s\"")],
    );
    std::fs::write(inbox.join("2026-03-14.csv"), sample("pea-load-profile")).unwrap();
    std::fs::write(inbox.join("broken.csv"), b"Meter No,Date/Time\n\"17,never\n").unwrap();
    std::fs::write(inbox.join("notes.txt"), b"not for us").unwrap();
    let running = Running::start(folder.path(), &["pea-load-profile"]).await;
    let status = running.wait("pea-load-profile", "both files", |s| s.tally.runs >= 2).await;
    assert_eq!(status.tally.records, 192 + 1, "{status:?}");
    assert_eq!((status.tally.stored, status.tally.late), (2, 190), "{status:?}");
    assert_eq!(status.tally.impossible, 1, "the power factor of 8.8");
    let meter = running.entity("urn:ngsi-ld:EnergyMeter:pea:SAMPLE-0001").await.unwrap();
    assert!(
        meter
            .entity
            .attributes
            .iter()
            .any(|(name, _)| name.as_str().ends_with("/totalActivePower"))
    );
    let begun = Instant::now();
    while files(inbox.clone()).len() > 2 && begun.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(files(inbox.join("done")).contains(&"2026-03-14.csv".to_owned()), "{:?}", files(inbox));
    running.stop().await;

    // A file that was taken, and could not be moved before the end, is not taken again.
    let again = Running::start(folder.path(), &["pea-load-profile"]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let later = again.status("pea-load-profile");
    assert_eq!(later.tally.records, status.tally.records, "{later:?}");
    again.stop().await;
}

/// Publishes messages of QoS 1, and returns when the server has them.
async fn publish(server: &Mosquitto, messages: &[(&str, &str)]) {
    let options = MqttOptions::new("a-meter", "127.0.0.1", server.open);
    let (client, mut events) = AsyncClient::new(options, 100);
    for (topic, text) in messages {
        client.publish(*topic, QoS::AtLeastOnce, false, *text).await.unwrap();
    }
    let mut taken = 0;
    while taken < messages.len() {
        if let Event::Incoming(Incoming::PubAck(_)) = events.poll().await.unwrap() {
            taken += 1;
        }
    }
}

#[actix_web::test]
async fn messages_of_meters_are_stored_and_none_is_lost_while_the_broker_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let server = Mosquitto::start();
    let url = format!("url = \"mqtt://127.0.0.1:{}\"", server.open);
    mapping(
        folder.path(),
        "meter-mqtt",
        &[
            ("url = \"${METERS_MQTT_URL}\"", &url),
            ("user = \"${METERS_MQTT_USER}\"\n", ""),
            ("password = \"${METERS_MQTT_PASSWORD}\"\n", ""),
        ],
    );
    let running = Running::start(folder.path(), &["meter-mqtt"]).await;
    running.wait("meter-mqtt", "a connection", |s| s.last_success.is_some()).await;
    publish(
        &server,
        &[
            (
                "meters/17/readings",
                r#"{"time": "2026-03-14T09:00:00+07:00", "import_kwh": 5, "power_w": 1500}"#,
            ),
            ("meters/18/readings", r#"{"time": "2026-03-14T09:00:00+07:00", "1.8.0": "7.5"}"#),
            ("meters/18/readings", "no JSON"),
            ("other/18/readings", r#"{"time": "2026-03-14T09:00:00+07:00", "1.8.0": "9"}"#),
        ],
    )
    .await;
    let status = running.wait("meter-mqtt", "two meters", |s| s.tally.stored >= 2).await;
    assert_eq!(status.tally.stored, 2, "{status:?}");
    assert!(running.entity("urn:ngsi-ld:EnergyMeter:17").await.is_some());
    running.stop().await;

    publish(
        &server,
        &[("meters/19/readings", r#"{"time": "2026-03-14T09:15:00+07:00", "import_kwh": 6}"#)],
    )
    .await;
    let again = Running::start(folder.path(), &["meter-mqtt"]).await;
    again.wait("meter-mqtt", "what came meanwhile", |s| s.tally.stored >= 3).await;
    assert!(again.entity("urn:ngsi-ld:EnergyMeter:19").await.is_some());
    again.stop().await;
}

#[actix_web::test]
async fn of_two_brokers_that_share_a_mongodb_one_runs_a_feed_and_the_other_takes_it_over() {
    let url = std::env::var("TEST_MONGODB").expect("scripts/test starts a MongoDB");
    let database = format!("lanna-test-{}", uuid::Uuid::new_v4().simple());
    let folder = tempfile::tempdir().unwrap();
    let (port, asked) = agency().await;
    let address = format!("http://127.0.0.1:{port}/stations");
    let every = "every = \"1s\"\nheaders = { API-Key = \"${CARGO_MANIFEST_DIR}\" }";
    mapping(
        folder.path(),
        "air4thai",
        &[
            ("http://air4thai.pcd.go.th/services/getNewAQI_JSON.php", &address),
            ("every = \"10m\"", every),
        ],
    );
    let share = |config: &mut Config| {
        config.store.url = Some(MongoUrl::from_text(&url).unwrap());
        config.mongodb.database = database.clone();
        config.feeds.lease = Duration::from_secs(3);
    };
    let one = Running::with(folder.path(), &["air4thai"], share).await;
    one.wait("air4thai", "an answer", |s| s.tally.stored >= 4).await;
    let two = Running::with(folder.path(), &["air4thai"], share).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (here, there) = (one.feeds.overview().await, two.feeds.overview().await);
    assert!(here[0].runs_here && !there[0].runs_here);
    assert_eq!(two.status("air4thai").tally.runs, 0, "only one of them asks");
    one.feeds.close().await;
    let before = asked.load(Ordering::SeqCst);
    let begun = Instant::now();
    while asked.load(Ordering::SeqCst) < before + 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody took the feed over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let overview = two.feeds.overview().await;
    assert!(overview[0].runs_here);
    assert!(overview[0].status.tally.stored >= 4, "what the first counted is known");
    two.stop().await;
    one.broker.close().await.unwrap();
}

const GATES: &str = r#"
about = "Gates that tell how many people went through"
[source]
kind = "push"
[read]
format = "json"
[time]
from = "at"
zone = "Asia/Bangkok"
[entity]
id = "urn:ngsi-ld:Gate:{gate}"
type = "Gate"
[attributes]
count = { from = "count", as = "integer", unit = "none" }
[provenance]
source = "https://gates.example.org"
provider = "Example"
class = "operator"
"#;

#[actix_web::test]
async fn what_is_sent_to_one_of_two_brokers_is_known_at_both_and_counted_once() {
    let url = std::env::var("TEST_MONGODB").expect("scripts/test starts a MongoDB");
    let database = format!("lanna-test-{}", uuid::Uuid::new_v4().simple());
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("feeds")).unwrap();
    std::fs::write(folder.path().join("feeds/gates.toml"), GATES).unwrap();
    let share = |config: &mut Config| {
        config.store.url = Some(MongoUrl::from_text(&url).unwrap());
        config.mongodb.database = database.clone();
        config.feeds.lease = Duration::from_secs(3);
    };
    let one = Running::with(folder.path(), &["gates"], share).await;
    let begun = Instant::now();
    while !one.feeds.overview().await[0].runs_here {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody runs the feed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let two = Running::with(folder.path(), &["gates"], share).await;
    let push = async |running: &Running, at: &str, count: i64| {
        let text = serde_json::json!([
            {"gate": "north", "at": format!("2026-03-14T{at}:00"), "count": count},
            {"gate": "south", "at": "never", "count": count},
        ]);
        let feed = running.feeds.feed("gates").unwrap();
        feed.push(text.to_string().into()).await.unwrap().unwrap()
    };
    assert_eq!(push(&one, "09:00", 5).await.stored, 1);
    assert_eq!(push(&two, "09:30", 7).await.stored, 1);
    let late = push(&one, "09:15", 6).await;
    assert_eq!((late.stored, late.late), (0, 1), "the other broker took a newer one");
    assert_eq!(push(&two, "09:30", 7).await.unchanged, 1);
    let gate = one.entity("urn:ngsi-ld:Gate:north").await.unwrap();
    let (_, count) =
        gate.entity.attributes.iter().find(|(name, _)| name.as_str().ends_with("/count")).unwrap();
    assert_eq!(count.instances()[0].datum, lanna::model::Datum::Property(Value::from(7)));

    let known = async |running: &Running| {
        let tally = running.feeds.overview().await[0].status.tally;
        let refused = running.feeds.rejected("gates", 100).await.unwrap();
        (tally.runs, tally.records, tally.stored, tally.late, tally.rejected, refused.len())
    };
    let whole = (4, 8, 2, 1, 4, 4);
    let begun = Instant::now();
    while (known(&one).await, known(&two).await) != (whole, whole) {
        let both = (known(&one).await, known(&two).await);
        assert!(begun.elapsed() < Duration::from_secs(60), "{both:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(two.feeds.statuses().is_empty(), "only who runs it counts it for Prometheus");
    one.stop().await;
    let begun = Instant::now();
    while !two.feeds.overview().await[0].runs_here {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody took the feed over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(known(&two).await, whole, "nothing is counted twice when it is taken over");
    assert_eq!(two.feeds.statuses()[0].1.tally.rejected, 4);
    two.stop().await;
}

#[actix_web::test]
async fn every_record_that_was_refused_is_known_after_a_restart_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("feeds")).unwrap();
    std::fs::write(folder.path().join("feeds/gates.toml"), GATES).unwrap();
    let mut pushed = 0;
    for count in [1, 250, 3] {
        let running = Running::start(folder.path(), &["gates"]).await;
        let records = (pushed..pushed + count)
            .map(|n| serde_json::json!({"gate": n, "at": format!("never {n}"), "count": n}));
        let text = serde_json::Value::from_iter(records).to_string();
        // Who does not run a feed yet keeps nothing of it.
        while !running.feeds.overview().await[0].runs_here {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let feed = running.feeds.feed("gates").unwrap();
        assert_eq!(feed.push(text.into()).await.unwrap().unwrap().rejected, count);
        pushed += count;
        running.stop().await;
    }
    let running = Running::start(folder.path(), &["gates"]).await;
    let refused = running.feeds.rejected("gates", 10_000).await.unwrap();
    assert_eq!(refused.len() as u64, pushed);
    for (one, number) in refused.iter().rev().zip(0..) {
        let id = format!("urn:ngsi-ld:Gate:{number}");
        assert_eq!(one.id.as_deref(), Some(id.as_str()));
        assert!(one.why.contains(&format!("never {number}")), "{}", one.why);
    }
    assert_eq!(running.status("gates").tally.rejected, pushed);
    running.stop().await;
}

#[actix_web::test]
async fn a_feed_that_lacks_its_key_waits_and_says_for_what() {
    let folder = tempfile::tempdir().unwrap();
    mapping(
        folder.path(),
        "gistda-hotspots",
        &[("${GISTDA_API_KEY}", "${LANNA_TEST_NO_SUCH_KEY}")],
    );
    let running = Running::start(folder.path(), &["gistda-hotspots"]).await;
    let status = running.wait("gistda-hotspots", "a failure", |s| s.error.is_some()).await;
    assert!(status.error.unwrap().contains("LANNA_TEST_NO_SUCH_KEY"));
    let overview = running.feeds.overview().await;
    assert_eq!(overview[0].state, "waiting");
    running.stop().await;
}

#[actix_web::test]
async fn a_wrong_name_and_a_wrong_file_stop_the_start_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    mapping(folder.path(), "dustboy", &[("unit = \"CEL\"", "unit = \"CELL\"")]);
    let mut config = Config::default();
    config.store.data = folder.path().join("data");
    let broker = Arc::new(Broker::open(&config).await.unwrap());
    config.feeds.run = vec!["air4tahi".to_owned()];
    let told = Feeds::open(Arc::new(config.clone()), broker.clone()).await.err().unwrap();
    assert!(told.to_string().contains("did you mean air4thai?"), "{told}");
    config.feeds.folder = Some(folder.path().join("feeds"));
    let told = Feeds::open(Arc::new(config), broker).await.err().unwrap().to_string();
    assert!(
        told.contains("dustboy.toml:") && told.contains("attributes.temperature.unit"),
        "{told}"
    );
}
