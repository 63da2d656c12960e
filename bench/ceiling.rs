//! The ceiling that the broker is measured against: the least that a server built on the same
//! framework and the same engine could do.
//!
//! - `GET /one`, `GET /list` send bytes that were read from files at the start.
//! - `PATCH /entities/{id}` parses the body, changes a map, and answers when a group commit of the
//!   engine has flushed the entity to disk.
//!
//!     ceiling ADDRESS ONE-FILE LIST-FILE DATA-FOLDER LINK-HEADER

use std::{
    collections::HashMap,
    io::{self, Write as _},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use actix_web::{
    App, HttpResponse, HttpServer,
    web::{Bytes, Data, Path, get, patch},
};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

struct Shared {
    one: Bytes,
    list: Bytes,
    link: String,
    entities: Mutex<HashMap<String, Map<String, Value>>>,
    commits: mpsc::Sender<Commit>,
}

struct Commit {
    id: String,
    document: Vec<u8>,
    done: oneshot::Sender<bool>,
}

#[actix_web::main]
async fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, one, list, data, link] = arguments.as_slice() else {
        return Err(io::Error::other("usage: ceiling ADDRESS ONE LIST DATA LINK"));
    };
    let shared = Data::new(Shared {
        one: std::fs::read(one)?.into(),
        list: std::fs::read(list)?.into(),
        link: link.clone(),
        entities: Mutex::default(),
        commits: committer(data)?,
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .route("/one", get().to(one_entity))
            .route("/list", get().to(list_of_entities))
            .route("/entities/{id}", patch().to(patch_entity))
    });
    let server = server.workers(1).bind(address)?.run();
    writeln!(io::stderr(), "listening on {address}")?;
    server.await
}

async fn one_entity(shared: Data<Shared>) -> HttpResponse {
    answer(&shared, shared.one.clone())
}

async fn list_of_entities(shared: Data<Shared>) -> HttpResponse {
    answer(&shared, shared.list.clone())
}

fn answer(shared: &Shared, body: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header(("Link", shared.link.as_str()))
        .body(body)
}

async fn patch_entity(shared: Data<Shared>, id: Path<String>, body: Bytes) -> HttpResponse {
    let Ok(fragment) = serde_json::from_slice::<Map<String, Value>>(&body) else {
        return HttpResponse::BadRequest().finish();
    };
    let id = id.into_inner();
    let document = {
        let Ok(mut entities) = shared.entities.lock() else {
            return HttpResponse::InternalServerError().finish();
        };
        let entity = entities
            .entry(id.clone())
            .or_insert_with(|| serde_json::from_slice(&shared.one).unwrap_or_default());
        let speed = entity.entry("speed").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(speed) = speed {
            speed.extend(fragment);
        }
        serde_json::to_vec(entity).unwrap_or_default()
    };
    let (done, committed) = oneshot::channel();
    if shared.commits.send(Commit { id, document, done }).is_err() {
        return HttpResponse::InternalServerError().finish();
    }
    match committed.await {
        Ok(true) => HttpResponse::NoContent().finish(),
        _ => HttpResponse::InternalServerError().finish(),
    }
}

/// The thread that takes whatever waits, writes it as one batch and flushes once.
fn committer(data: &str) -> io::Result<mpsc::Sender<Commit>> {
    let database = Database::builder(data).open().map_err(io::Error::other)?;
    let entities =
        database.keyspace("entities", KeyspaceCreateOptions::default).map_err(io::Error::other)?;
    let (sender, waiting) = mpsc::channel::<Commit>();
    let database = Arc::new(database);
    thread::spawn(move || {
        while let Ok(first) = waiting.recv() {
            let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
            let mut answers = Vec::new();
            for commit in std::iter::once(first).chain(waiting.try_iter()) {
                batch.insert(&entities, commit.id.into_bytes(), commit.document);
                answers.push(commit.done);
            }
            let durable = batch.commit().is_ok();
            for done in answers {
                let _ = done.send(durable);
            }
        }
    });
    Ok(sender)
}
