//! Feeds at work: with a real web server, a real mosquitto, and real files.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../mqtt/server.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use lanna::broker::Broker;
use lanna::config::{Config, Validation};
use lanna::feed::{Feeds, Status, shipped_feeds};
use lanna::model::{EntityId, Stored, TenantId, Timestamp};
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};

use server::Mosquitto;

/// A broker with feeds, on a folder that outlives it.
struct Running {
    broker: Arc<Broker>,
    feeds: Arc<Feeds>,
}

impl Running {
    async fn start(folder: &Path, run: &[&str]) -> Self {
        let mut config = Config::default();
        config.store.data = folder.join("data");
        config.egress.allow_private = true;
        config.models.validation = Validation::Enforce;
        config.feeds.folder = Some(folder.join("feeds"));
        config.feeds.run = run.iter().map(|name| name.to_string()).collect();
        config.feeds.retry_first = Duration::from_millis(100);
        config.feeds.retry_last = Duration::from_millis(500);
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
    std::fs::copy(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("feeds/pea-meters.csv"),
        feeds.join("pea-meters.csv"),
    )
    .unwrap();
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
