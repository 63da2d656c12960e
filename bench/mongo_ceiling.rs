//! The ceiling for the broker on MongoDB: the least that a server of the same framework could do
//! with the same driver, the same documents and the same filters.
//!
//! - `GET /one/{id}` reads the document of an entity by its `_id` and sends its record.
//! - `GET /list?TYPE` reads the records of the first 20 entities of a type, as it is spelled in the
//!   database.
//! - `PATCH /one/{id}` parses the body and writes one member of a document, acknowledged by the
//!   majority.
//!
//!     mongo_ceiling ADDRESS URL DATABASE LINK-HEADER

use std::io::{self, Write as _};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    web::{Bytes, Data, Path, get, patch},
};
use futures_util::StreamExt as _;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::options::{Acknowledgment, ClientOptions, WriteConcern};
use mongodb::{Client, Collection};

struct Shared {
    entities: Collection<RawDocumentBuf>,
    link: String,
}

#[actix_web::main]
async fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, url, database, link] = arguments.as_slice() else {
        return Err(io::Error::other("usage: mongo_ceiling ADDRESS URL DATABASE LINK"));
    };
    let mut options = ClientOptions::parse(url).await.map_err(io::Error::other)?;
    options.max_pool_size = Some(64);
    options.write_concern =
        Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    let client = Client::with_options(options).map_err(io::Error::other)?;
    let entities = client.database(database).collection("entities");
    let shared = Data::new(Shared { entities, link: link.clone() });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .route("/one/{id}", get().to(one_entity))
            .route("/one/{id}", patch().to(patch_entity))
            .route("/list", get().to(list_of_entities))
    });
    let server = server.workers(1).bind(address)?.run();
    writeln!(io::stderr(), "listening on {address}")?;
    server.await
}

fn key(id: &str) -> Document {
    doc! { "_id": { "t": "", "i": id } }
}

async fn one_entity(shared: Data<Shared>, id: Path<String>) -> HttpResponse {
    let find = shared.entities.find_one(key(&id)).projection(doc! { "_id": 0, "r": 1 });
    match find.await {
        Ok(Some(found)) => match found.get_binary("r") {
            Ok(record) => answer(&shared, record.bytes.to_vec()),
            Err(_) => HttpResponse::InternalServerError().finish(),
        },
        Ok(None) => HttpResponse::NotFound().finish(),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

async fn list_of_entities(shared: Data<Shared>, request: HttpRequest) -> HttpResponse {
    let filter = doc! {
        "_id.t": "",
        "ty": request.query_string(),
        "e": { "$not": { "$lte": i64::MAX / 2 } },
    };
    let find = shared.entities.find(filter).sort(doc! { "s": 1 }).limit(20).batch_size(21);
    let find = find.projection(doc! { "_id": 0, "r": 1 });
    let Ok(mut batches) = find.batch().await else {
        return HttpResponse::ServiceUnavailable().finish();
    };
    let mut body = Vec::with_capacity(16_384);
    while let Some(Ok(batch)) = batches.next().await {
        let Ok(documents) = batch.doc_slices() else { continue };
        for document in documents {
            let record = document.ok().and_then(|document| document.as_document());
            if let Some(Ok(record)) = record.map(|document| document.get_binary("r")) {
                body.extend_from_slice(record.bytes);
            }
        }
    }
    answer(&shared, body)
}

async fn patch_entity(shared: Data<Shared>, id: Path<String>, body: Bytes) -> HttpResponse {
    let Ok(fragment) = serde_json::from_slice::<serde_json::Value>(&body) else {
        return HttpResponse::BadRequest().finish();
    };
    let change = doc! { "$set": { "ceiling": fragment.to_string() } };
    match shared.entities.update_one(key(&id), change).await {
        Ok(done) if done.matched_count == 1 => HttpResponse::NoContent().finish(),
        Ok(_) => HttpResponse::NotFound().finish(),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

fn answer(shared: &Shared, body: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header(("Link", shared.link.as_str()))
        .body(body)
}
