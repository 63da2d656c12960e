//! `/health`, `/ready` and `/metrics`: what operators and their machines ask.

use std::fmt::Write;

use actix_web::{
    HttpResponse,
    http::header::{ContentType, RETRY_AFTER},
    web::{Data, ServiceConfig},
};
use serde_json::{Map, Value, json};

use crate::config::{Config, Key};
use crate::model::Name;

use super::{metrics::gauge, places::Place, state::State};

/// Mounts the three.
pub fn routes(config: &mut ServiceConfig) {
    use actix_web::web::{get, resource};
    config
        .service(resource(Place::Health.template()).route(get().to(health)))
        .service(resource(Place::Ready.template()).route(get().to(ready)))
        .service(resource(Place::Metrics.template()).route(get().to(metrics)));
}

/// The version of the specification that is implemented.
pub const SPECIFICATION: &str = "1.9.1";

async fn health(state: Data<State>) -> HttpResponse {
    let mut body = Map::new();
    let status = if state.is_draining() { "draining" } else { "ok" };
    body.insert("status".into(), status.into());
    body.insert("name".into(), "Lanna".into());
    body.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    body.insert("specification".into(), format!("ETSI GS CIM 009 V{SPECIFICATION}").into());
    body.insert("startedAt".into(), state.started_at.to_string().into());
    body.insert("uptimeSeconds".into(), state.uptime().as_secs().into());
    body.insert("limits".into(), limits(&state.config, "limits"));
    let bounds = BOUNDING.map(|section| (section.to_owned(), limits(&state.config, section)));
    body.insert("bounds".into(), Map::from_iter(bounds).into());
    body.extend(state.report.health());
    HttpResponse::Ok().json(body)
}

/// The sections of the configuration, beside `limits`, that bound what a request or a subscription
/// may cost.
const BOUNDING: [&str; 5] = ["notify", "stream", "post", "egress", "mqtt"];

/// Every number, size and time of a section under its name, as it is written there.
fn limits(config: &Config, section: &str) -> Value {
    let keys = Config::keys().filter(|key| key.section == section);
    let value = |key: &Key| match config.get(key)? {
        toml::Value::Integer(number) => Some(number.into()),
        toml::Value::String(text) if text.starts_with(|first: char| first.is_ascii_digit()) => {
            Some(text.into())
        }
        _ => None,
    };
    keys.filter_map(|key| Some((key.name.to_owned(), value(key)?))).collect::<Map<_, _>>().into()
}

async fn ready(state: Data<State>) -> HttpResponse {
    let why_not = match state.is_draining() {
        true => Err("the broker is shutting down".to_owned()),
        false => state.report.ready(),
    };
    match why_not {
        Ok(()) => HttpResponse::Ok().json(json!({ "ready": true })),
        Err(why) => HttpResponse::ServiceUnavailable()
            .insert_header((RETRY_AFTER, "5"))
            .json(json!({ "ready": false, "reason": why })),
    }
}

async fn metrics(state: Data<State>) -> HttpResponse {
    let mut text = String::with_capacity(16 << 10);
    let build = "Always 1; the labels say what is running.";
    let _ = writeln!(
        text,
        "# HELP lanna_build_info {build}\n# TYPE lanna_build_info gauge\n\
         lanna_build_info{{version=\"{}\",specification=\"{SPECIFICATION}\"}} 1",
        env!("CARGO_PKG_VERSION")
    );
    let uptime = state.uptime().as_secs_f64();
    gauge(&mut text, "lanna_uptime_seconds", "Seconds since the start.", uptime);
    let draining = u8::from(state.is_draining());
    gauge(&mut text, "lanna_draining", "1 while the broker is shutting down.", draining);
    let names = Name::count();
    gauge(&mut text, "lanna_names", "Distinct names that are remembered.", names);
    if let Some(bytes) = resident_memory() {
        gauge(&mut text, "process_resident_memory_bytes", "Memory in use.", bytes);
    }
    state.metrics.write(&mut text);
    state.report.metrics(&mut text);
    let kind = ContentType(
        "text/plain; version=0.0.4; charset=utf-8"
            .parse()
            .unwrap_or(actix_web::mime::TEXT_PLAIN_UTF_8),
    );
    HttpResponse::Ok().insert_header(kind).body(text)
}

/// What this process holds in memory, where the system tells (Linux).
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}
