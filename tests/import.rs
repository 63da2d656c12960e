//! `lanna import` as people use it: years of readings from a table and from temporal entities,
//! killed on the way and taken up again, into a folder and into a broker that runs; and what
//! `lanna history` tells of them afterwards.

#![expect(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

const STATIONS: u64 = 4;
const READINGS: u64 = 9_000;
const KILLS: u64 = 4;

fn lanna(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanna"));
    command.current_dir(folder).args(words).env("LANNA_LOG_LEVEL", "warn");
    command.stdin(Stdio::null());
    command
}

fn done(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A table as an agency writes it: local times, a comma too many, another column.
fn write_table(folder: &Path) -> PathBuf {
    let mut table = "station,time,PM2.5,remark\n".to_owned();
    for reading in 0..READINGS {
        let (day, minute) = (reading / 1_440, reading % 1_440);
        for station in 0..STATIONS {
            let _ = writeln!(
                table,
                "s{station},{:02}/01/2026 {:02}:{:02},{}.5,\"ปกติ, ดี\"",
                day + 1,
                minute / 60,
                minute % 60,
                (reading + station) % 90
            );
        }
    }
    let file = folder.join("readings.csv");
    fs::write(&file, table).unwrap();
    let mapping = json!({
        "id": "urn:ngsi-ld:AirQualityObserved:{station}",
        "type": "AirQualityObserved",
        "observedAt": {"column": "time", "format": "%d/%m/%Y %H:%M", "zone": "Asia/Bangkok"},
        "attributes": {"pm25": {"column": "PM2.5", "unitCode": "GQ", "number": true}},
    });
    fs::write(folder.join("stations.json"), mapping.to_string()).unwrap();
    file
}

/// Histories, a hundred readings to a line.
fn write_histories(folder: &Path) -> PathBuf {
    let mut lines = String::new();
    for part in 0..READINGS / 100 {
        for station in 0..STATIONS {
            let instances: Vec<Value> = (part * 100..part * 100 + 100)
                .map(|reading| {
                    let (hour, minute) = (reading / 60 % 24, reading % 60);
                    let at =
                        format!("2026-02-{:02}T{hour:02}:{minute:02}:00Z", reading / 1_440 + 1);
                    json!({"type": "Property", "value": reading % 70, "observedAt": at})
                })
                .collect();
            let history = json!({
                "id": format!("urn:ngsi-ld:River:r{station}"), "type": "River", "level": instances,
            });
            let _ = writeln!(lines, "{history}");
        }
    }
    let file = folder.join("histories.ndjson");
    fs::write(&file, lines).unwrap();
    file
}

/// Begins an import again and again, kills it each time once it has come further, and lets the
/// last one end.
fn import_with_kills(folder: &Path, words: &[&str], file: &Path) {
    let bookmark = PathBuf::from(format!("{}.imported", file.display()));
    let noted = || fs::read_to_string(&bookmark).ok()?.lines().next()?.parse::<u64>().ok();
    let mut kills = 0;
    while kills < KILLS {
        let before = noted().unwrap_or(0);
        let mut child: Child =
            lanna(folder, words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let ended = loop {
            if child.try_wait().unwrap().is_some() {
                break true;
            }
            if noted().is_some_and(|now| now > before) {
                break false;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        if ended {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 0, "it was over before it could be killed");
    let from = noted();
    assert!(from.is_some_and(|from| from > 0), "it is known how far it was: {from:?}");
    let summary = text(&done(lanna(folder, words)).stdout);
    assert!(!bookmark.exists(), "nothing is left to go on with: {summary}");
}

/// A broker of its own process.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(folder: &Path) -> Self {
        // Free now, and nobody else looks for one just there.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let child = lanna(folder, &["serve", "--data", "data", "--listen", &address])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // From here on whatever goes wrong ends it.
        let served = Self { child, address };
        for _ in 0..3_000 {
            if TcpStream::connect(&served.address).is_ok() {
                return served;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the broker does not listen");
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = text(&answer);
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("not JSON: {answer}")))
    }

    /// How many instances of an attribute the entities of a type have.
    fn counts(&self, of: &str, attribute: &str) -> Vec<u64> {
        let path = format!(
            "/ngsi-ld/v1/temporal/entities?type={of}&timerel=after&timeAt=2020-01-01T00:00:00Z\
             &format=aggregatedValues&aggrMethods=totalCount&aggrPeriodDuration=PT0S"
        );
        let (status, body) = self.get(&path);
        assert_eq!(status, 200, "{body}");
        let all = body.as_array().unwrap().iter();
        all.map(|one| one[attribute]["totalCount"][0][0].as_u64().unwrap()).collect()
    }

    fn asked(&self, folder: &Path, words: &str) -> String {
        let url = self.url();
        let mut words: Vec<&str> = words.split_whitespace().collect();
        words.extend(["--to", &url]);
        text(&done(lanna(folder, &words)).stdout)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_was_and_counts_nothing_twice() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let table = write_table(folder);
    let words = [
        "import",
        "--data",
        "data",
        "--format",
        "csv",
        "--mapping",
        "stations.json",
        "--resume",
        "--batch",
        "4",
        "readings.csv",
    ];
    import_with_kills(folder, &words, &table);
    let histories = write_histories(folder);
    let words = [
        "import",
        "--data",
        "data",
        "--format",
        "temporal",
        "--resume",
        "--batch",
        "2",
        "histories.ndjson",
    ];
    import_with_kills(folder, &words, &histories);
    let broker = Served::start(folder);
    assert_eq!(broker.counts("AirQualityObserved", "pm25"), [READINGS; STATIONS as usize]);
    assert_eq!(broker.counts("River", "level"), [READINGS; STATIONS as usize]);
    // Local times became those of UTC, and units stand where the mapping says.
    let (_, first) = broker.get(
        "/ngsi-ld/v1/temporal/entities/urn:ngsi-ld:AirQualityObserved:s0?timerel=before\
         &timeAt=2025-12-31T17:01:00Z&attrs=pm25",
    );
    let pm25 = first["pm25"].as_array().map_or(&first["pm25"], |all| &all[0]);
    assert_eq!((&pm25["value"], &pm25["unitCode"]), (&json!(0.5), &json!("GQ")), "{first}");
    assert_eq!(pm25["observedAt"], "2025-12-31T17:00:00Z");

    // The same again, into a broker that runs, changes nothing.
    let words = ["import", "--to", &broker.url(), "--format", "temporal", "histories.ndjson"];
    let summary = text(&done(lanna(folder, &words)).stdout);
    assert_eq!(broker.counts("River", "level"), [READINGS; STATIONS as usize], "{summary}");
    rules_are_seen_and_changed(&broker, folder);
}

fn rules_are_seen_and_changed(broker: &Served, folder: &Path) {
    assert_eq!(broker.asked(folder, "history rules"), "none\n");
    broker.asked(folder, "history set River --attributes level --raw-days 90 --daily-days 3650");
    broker.asked(folder, "history set * --record none");
    let rules = broker.asked(folder, "history rules");
    let lines: Vec<Vec<&str>> =
        rules.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(lines.contains(&vec!["*", "none", "all", "for", "ever", "-", "-"]), "{rules}");
    let river = vec!["River", "all", "level", "90", "days", "-", "3650", "days"];
    assert!(lines.contains(&river), "{rules}");
    let held = broker.asked(folder, "history held --type River --json");
    let first: Value = serde_json::from_str(held.lines().next().unwrap()).unwrap();
    assert_eq!(first["id"], "urn:ngsi-ld:River:r0");
    let level = &first["attributes"][0];
    assert_eq!(level["attribute"], "level");
    assert_eq!(level["raw"]["from"], "2026-02-01T00:00:00Z");
    assert!(level["raw"]["count"].as_u64() >= Some(READINGS), "{held}");
    assert_eq!(held.lines().count(), STATIONS as usize);
    broker.asked(folder, "history unset River");
    broker.asked(folder, "history unset *");
    assert_eq!(broker.asked(folder, "history rules"), "none\n");
    let wrong = lanna(folder, &["history", "unset", "River", "--to", &broker.url()]).output();
    assert!(!wrong.unwrap().status.success(), "there is none any more");
}

#[test]
fn what_an_agency_published_is_imported_by_the_mapping_of_its_feed() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("feeds/air4thai.sample.json");
    let words = |name| ["import", "--data", "data", "--feed", name, sample.to_str().unwrap()];
    // Some of its records may be told to be refused; what is taken stays.
    lanna(folder, &words("air4thai")).output().unwrap();
    let broker = Served::start(folder);
    let (status, stations) = broker.get("/ngsi-ld/v1/entities?local=true&limit=100");
    assert_eq!(status, 200, "{stations}");
    let lampang = |one: &&Value| one["id"].as_str().unwrap().ends_with("air4thai:37t");
    let lampang = stations.as_array().unwrap().iter().find(lampang).expect("a station");
    assert!(lampang.to_string().contains("61.2"), "{lampang}");
    drop(broker);
    let other = lanna(folder, &words("no-such-feed")).output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert!(text(&other.stderr).contains("no-such-feed"), "{}", text(&other.stderr));
}
