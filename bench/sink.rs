//! A receiver of notifications for the benchmarks, and the least that a sender could do.
//!
//!     sink serve ADDRESS...                 takes whatever is posted and counts it
//!     sink post ADDRESS FILE SECONDS TASKS  posts a file with the library that the broker uses
//!     sink subscribe BROKER FROM COUNT URI  makes subscriptions to things that never change
//!
//! `POST /fast…` is answered at once, `POST /slow…` after five seconds. `GET /counts` tells, by
//! path: notifications, entities in them, and percentiles of the milliseconds from the change
//! (`modifiedAt`) to the arrival. `DELETE /counts` begins anew.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::web::{Bytes, Data, Path, PayloadConfig, delete, get, post};
use actix_web::{App, HttpResponse, HttpServer};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;

#[derive(Default)]
struct Counted {
    notifications: u64,
    entities: u64,
    lags: Vec<f32>,
}

type Counts = Mutex<BTreeMap<String, Counted>>;

#[actix_web::main]
async fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", addresses @ ..] => serve(addresses).await,
        ["post", address, file, seconds, tasks] => {
            let number = |text: &str| text.parse::<u64>().map_err(io::Error::other);
            send(address, file, number(seconds)?, number(tasks)?).await
        }
        ["subscribe", broker, from, count, uri] => {
            let number = |text: &str| text.parse::<u64>().map_err(io::Error::other);
            subscribe(broker, number(from)?, number(count)?, uri).await
        }
        _ => Err(io::Error::other(
            "usage: sink serve ADDRESS... | sink post ADDRESS FILE SECONDS TASKS | \
             sink subscribe BROKER FROM COUNT URI",
        )),
    }
}

async fn serve(addresses: &[&str]) -> io::Result<()> {
    let counts = Data::new(Counts::default());
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(counts.clone())
            .app_data(PayloadConfig::new(64 << 20))
            .route("/counts", get().to(show))
            .route("/counts", delete().to(forget))
            .route("/{path}", post().to(take))
    });
    for address in addresses {
        server = server.bind(*address)?;
    }
    server.workers(1).run().await
}

async fn take(counts: Data<Counts>, path: Path<String>, body: Bytes) -> HttpResponse {
    let path = path.into_inner();
    let slow = path.starts_with("slow");
    {
        let mut counts = counts.lock();
        let counted = counts.entry(path).or_default();
        counted.notifications += 1;
        let (entities, changed) = look(&body);
        counted.entities += entities;
        if let Some(changed) = changed {
            let lag = Timestamp::now().duration_since(changed);
            counted.lags.push(lag.as_secs_f32() * 1_000.0);
        }
    }
    if slow {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    HttpResponse::NoContent().finish()
}

/// How many entities a notification tells of, and when the last of them changed.
fn look(body: &[u8]) -> (u64, Option<Timestamp>) {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else { return (0, None) };
    let Some(data) = body["data"].as_array() else { return (0, None) };
    let changed = data.iter().filter_map(|entity| entity["modifiedAt"].as_str()?.parse().ok());
    (data.len() as u64, changed.max())
}

async fn show(counts: Data<Counts>) -> HttpResponse {
    let mut shown = serde_json::Map::new();
    for (path, counted) in counts.lock().iter_mut() {
        counted.lags.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| {
            let place = (counted.lags.len() as f64 * share) as usize;
            counted.lags.get(place.min(counted.lags.len().saturating_sub(1))).copied()
        };
        let one = json!({
            "notifications": counted.notifications,
            "entities": counted.entities,
            "p50_ms": at(0.5),
            "p99_ms": at(0.99),
        });
        shown.insert(path.clone(), one);
    }
    HttpResponse::Ok().json(shown)
}

async fn forget(counts: Data<Counts>) -> HttpResponse {
    counts.lock().clear();
    HttpResponse::NoContent().finish()
}

async fn send(address: &str, file: &str, seconds: u64, tasks: u64) -> io::Result<()> {
    let body = Bytes::from(std::fs::read(file)?);
    let client = reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?;
    let sent = Arc::new(AtomicU64::new(0));
    let (url, end) =
        (format!("http://{address}/fast"), Instant::now() + Duration::from_secs(seconds));
    let tasks = (0..tasks).map(|_| {
        let (client, url, body, sent) = (client.clone(), url.clone(), body.clone(), sent.clone());
        tokio::spawn(async move {
            while Instant::now() < end {
                let request = client.post(&url).header("content-type", "application/json");
                if request.body(body.clone()).send().await.is_ok_and(|it| it.status().is_success())
                {
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.map_err(io::Error::other)?;
    }
    writeln!(io::stdout(), "{}", json!({"sent": sent.load(Ordering::Relaxed)}))
}

/// Subscriptions of a thousand types and as many ids as there are, made over many connections.
async fn subscribe(broker: &str, from: u64, count: u64, uri: &str) -> io::Result<()> {
    let client = reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?;
    let url = format!("http://{broker}/ngsi-ld/v1/subscriptions");
    let (next, began) = (Arc::new(AtomicU64::new(from)), Instant::now());
    let tasks = (0..32).map(|_| {
        let (client, url, next, uri) = (client.clone(), url.clone(), next.clone(), uri.to_owned());
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= from + count {
                    return Ok(());
                }
                let body = json!({
                    "id": format!("urn:ngsi-ld:Subscription:{number}"),
                    "type": "Subscription",
                    "entities": [{
                        "type": format!("Type{}", number % 1000),
                        "id": format!("urn:ngsi-ld:Thing:{number}"),
                    }],
                    "notification": {"endpoint": {"uri": uri}},
                });
                let request = client.post(&url).header("content-type", "application/json");
                let answer = request.body(body.to_string()).send().await;
                let answer = answer.map_err(io::Error::other)?;
                if answer.status() != reqwest::StatusCode::CREATED {
                    let status = answer.status();
                    let text = answer.text().await.unwrap_or_default();
                    return Err(io::Error::other(format!("{status}: {text}")));
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.map_err(io::Error::other)??;
    }
    let seconds = began.elapsed().as_secs_f64();
    writeln!(io::stdout(), "{}", json!({"subscriptions": count, "seconds": seconds}))
}
