//! Counters for Prometheus, at `/metrics`.
//!
//! Each worker counts for itself, in cells that only it writes, so that counting costs a few
//! nanoseconds and no worker waits for another; a scrape adds them up.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::http::Method;
use parking_lot::Mutex;

use super::places::Place;

/// The methods that are told apart; others count as the last.
const METHODS: [&str; 7] = ["GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "other"];

/// The statuses that are told apart; others count as the last.
const STATUSES: [u16; 30] = [
    200, 201, 203, 204, 206, 207, 304, 400, 401, 403, 404, 405, 406, 408, 409, 411, 413, 414, 415,
    422, 429, 431, 500, 501, 502, 503, 504, 507, 508, 0,
];

/// Upper bounds of the latency buckets, in microseconds.
const BUCKETS: [u64; 15] = [
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    1_000_000,
    5_000_000,
    u64::MAX,
];

/// Paths that no place has count as one more.
const PLACES: usize = Place::ALL.len() + 1;

/// A cell that one thread writes and any thread reads.
#[derive(Debug, Default)]
struct Cell(AtomicU64);

impl Cell {
    fn add(&self, more: u64) {
        // One writer: a plain load and store lose nothing, and spare the bus lock.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one worker counts.
#[derive(Debug)]
pub struct Tally {
    requests: Box<[Cell]>,
    buckets: Box<[Cell]>,
    nanoseconds: Box<[Cell]>,
    begun: Cell,
    ended: Cell,
}

impl Tally {
    fn new() -> Self {
        let cells = |count: usize| (0..count).map(|_| Cell::default()).collect();
        Self {
            requests: cells(PLACES * METHODS.len() * STATUSES.len()),
            buckets: cells(PLACES * METHODS.len() * BUCKETS.len()),
            nanoseconds: cells(PLACES * METHODS.len()),
            begun: Cell::default(),
            ended: Cell::default(),
        }
    }

    /// A request begins.
    pub fn begin(&self) {
        self.begun.add(1);
    }

    /// A request ends, answered or not.
    pub fn end(&self) {
        self.ended.add(1);
    }

    /// A request was answered.
    pub fn answered(&self, place: Option<Place>, method: &Method, status: u16, took: Duration) {
        let row = row(place) * METHODS.len() + column(method);
        let status = STATUSES.iter().position(|known| *known == status);
        self.requests[row * STATUSES.len() + status.unwrap_or(STATUSES.len() - 1)].add(1);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|bound| nanoseconds / 1_000 < *bound);
        self.buckets[row * BUCKETS.len() + bucket.unwrap_or(BUCKETS.len() - 1)].add(1);
        self.nanoseconds[row].add(nanoseconds);
    }
}

fn row(place: Option<Place>) -> usize {
    place.map_or(Place::ALL.len(), |place| place as usize)
}

fn column(method: &Method) -> usize {
    match *method {
        Method::GET => 0,
        Method::POST => 1,
        Method::PATCH => 2,
        Method::PUT => 3,
        Method::DELETE => 4,
        Method::OPTIONS => 5,
        _ => 6,
    }
}

/// What all workers counted.
#[derive(Debug, Default)]
pub struct Metrics {
    tallies: Mutex<Vec<Arc<Tally>>>,
}

impl Metrics {
    /// A tally for one more worker.
    pub fn tally(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::new());
        self.tallies.lock().push(Arc::clone(&tally));
        tally
    }

    /// Writes the counters in the text format of Prometheus.
    pub fn write(&self, out: &mut String) {
        let tallies = self.tallies.lock();
        let total = |of: &dyn Fn(&Tally) -> &Cell| -> u64 {
            tallies.iter().map(|tally| of(tally).get()).sum()
        };
        let running = total(&|tally| &tally.begun).saturating_sub(total(&|tally| &tally.ended));
        gauge(out, "lanna_http_requests_in_flight", "Requests being answered now.", running);

        head(out, "lanna_http_requests_total", "Requests answered.", "counter");
        for_each_row(|place, method, row| {
            for (index, status) in STATUSES.iter().enumerate() {
                let count = total(&|tally| &tally.requests[row * STATUSES.len() + index]);
                if count > 0 {
                    let _ = writeln!(
                        out,
                        "lanna_http_requests_total{{path=\"{place}\",method=\"{method}\",\
                         status=\"{status}\"}} {count}"
                    );
                }
            }
        });

        let name = "lanna_http_request_duration_seconds";
        head(out, name, "From a request's head read to its answer ready to send.", "histogram");
        for_each_row(|place, method, row| {
            let labels = format!("path=\"{place}\",method=\"{method}\"");
            let mut below = 0;
            let mut lines = String::new();
            for (index, bound) in BUCKETS.iter().enumerate() {
                below += total(&|tally| &tally.buckets[row * BUCKETS.len() + index]);
                let bound = match *bound {
                    u64::MAX => "+Inf".to_owned(),
                    micros => (micros as f64 / 1e6).to_string(),
                };
                let _ = writeln!(lines, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
            }
            if below > 0 {
                let seconds = total(&|tally| &tally.nanoseconds[row]) as f64 / 1e9;
                out.push_str(&lines);
                let _ = writeln!(out, "{name}_sum{{{labels}}} {seconds}");
                let _ = writeln!(out, "{name}_count{{{labels}}} {below}");
            }
        });
    }
}

fn for_each_row(mut each: impl FnMut(&str, &str, usize)) {
    let places = Place::ALL.iter().map(|place| place.template()).chain(["other"]);
    for (index, place) in places.enumerate() {
        for (offset, method) in METHODS.iter().enumerate() {
            each(place, method, index * METHODS.len() + offset);
        }
    }
}

/// Begins a metric.
pub(super) fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Writes one gauge.
pub fn gauge(out: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    head(out, name, help, "gauge");
    let _ = writeln!(out, "{name} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_adds_up_what_the_workers_counted() {
        let metrics = Metrics::default();
        let (one, two) = (metrics.tally(), metrics.tally());
        for tally in [&one, &two] {
            tally.begin();
            tally.answered(Some(Place::Entity), &Method::GET, 200, Duration::from_micros(300));
            tally.end();
        }
        two.begin();
        two.answered(None, &Method::TRACE, 299, Duration::from_secs(9));
        let mut text = String::new();
        metrics.write(&mut text);
        for line in [
            "lanna_http_requests_in_flight 1",
            "lanna_http_requests_total{path=\"/ngsi-ld/v1/entities/{entityId}\",method=\"GET\",\
             status=\"200\"} 2",
            "lanna_http_requests_total{path=\"other\",method=\"other\",status=\"0\"} 1",
            "lanna_http_request_duration_seconds_bucket{path=\"/ngsi-ld/v1/entities/{entityId}\",\
             method=\"GET\",le=\"0.00025\"} 0",
            "lanna_http_request_duration_seconds_bucket{path=\"/ngsi-ld/v1/entities/{entityId}\",\
             method=\"GET\",le=\"0.0005\"} 2",
            "lanna_http_request_duration_seconds_bucket{path=\"other\",method=\"other\",\
             le=\"+Inf\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
        }
    }
}
