//! Opening: the connection, the database's format, and this broker's number.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::Error;
use mongodb::options::{Acknowledgment, ClientOptions, WriteConcern};
use mongodb::{Client, Collection, Database};
use parking_lot::RwLock;

use super::cache::Cache;
use super::clock::Clock;
use super::commit::Locks;
use super::gate::Gate;
use super::history::{BLOCKS, CHAPTERS};
use super::{
    ENTITIES, EVENTS, Inner, LEASES, META, RECORDS, Settings, TENANTS, error, events, gate,
    indexes, number,
};
use crate::store::StoreError;

/// The format of the documents, raised when an older broker could not read them.
const FORMAT: i32 = 3;

/// Connects and prepares the database.
pub(super) async fn open(settings: Settings) -> Result<Inner, StoreError> {
    let (client, database) = connect(&settings).await?;
    let hello = database.run_command(doc! { "hello": 1 }).await.map_err(unusable)?;
    check_server(&hello)?;
    check_format(&database).await?;
    for name in [ENTITIES, TENANTS, RECORDS, LEASES, EVENTS, CHAPTERS, BLOCKS] {
        make_collection(&database, name).await?;
    }
    add_document(&database, events::new_counter()).await?;
    let holder = uuid::Uuid::new_v4().simple().to_string();
    let number = number::take(&database, &holder).await.map_err(not_opened)?;
    let clock = Clock::new(number);
    if let Ok(time) = hello.get_datetime("localTime") {
        clock.adjust(time.timestamp_millis(), Clock::own_time());
    }
    let inner = Inner {
        entities: database.collection(ENTITIES),
        tenants: database.collection(TENANTS),
        records: database.collection(RECORDS),
        leases: database.collection(LEASES),
        events: database.collection(EVENTS),
        history: super::history::History::default(),
        meta: database.collection(META),
        clock,
        gate: Gate::new(settings.pool, settings.queue, settings.patience),
        cache: Cache::new(settings.cache_bytes),
        shapes: super::census::Shapes::default(),
        locks: Locks::new(),
        watch: OnceLock::new(),
        guard: OnceLock::new(),
        listeners: parking_lot::Mutex::default(),
        teller: super::tell::Teller::new(settings.queue),
        events_turn: tokio::sync::Mutex::new(()),
        known: RwLock::new(HashSet::new()),
        holder,
        number: AtomicI64::new(number),
        settings,
        client,
        database,
    };
    indexes::ensure(&inner).await?;
    Ok(inner)
}

async fn connect(settings: &Settings) -> Result<(Client, Database), StoreError> {
    let mut options = ClientOptions::parse(&settings.url).await.map_err(unusable)?;
    options.app_name.get_or_insert_with(|| "lanna".to_owned());
    options.max_pool_size = Some(settings.pool);
    options.server_selection_timeout = Some(settings.patience);
    options.connect_timeout.get_or_insert(Duration::from_secs(5));
    // What one broker writes the others read at once, which only the primary can tell.
    if options.selection_criteria.take().is_some() || options.read_concern.take().is_some() {
        tracing::warn!("what the URL says of how to read is not followed: the primary is asked");
    }
    options.retry_writes = Some(true);
    options.retry_reads = Some(true);
    #[cfg(test)]
    options.command_event_handler.clone_from(&settings.commands);
    let concern = if settings.majority {
        WriteConcern::builder()
            .w(Acknowledgment::Majority)
            .journal(true)
            .w_timeout(settings.patience)
            .build()
    } else {
        WriteConcern::builder().w(Acknowledgment::Nodes(1)).build()
    };
    options.write_concern = Some(concern);
    let name = options.default_database.clone().unwrap_or_else(|| settings.database.clone());
    let client = Client::with_options(options).map_err(unusable)?;
    let database = client.database(&name);
    Ok((client, database))
}

/// A replica set, be it of one, or a cluster; a lone server knows neither transactions nor
/// majorities.
fn check_server(hello: &Document) -> Result<(), StoreError> {
    let is_router = hello.get_str("msg").is_ok_and(|text| text == "isdbgrid");
    if hello.contains_key("setName") || is_router {
        return Ok(());
    }
    let why = "the MongoDB server is not a member of a replica set, which may be of one: start it \
               with --replSet and run rs.initiate()";
    Err(StoreError::Unusable(why.to_owned()))
}

/// Refuses a database of a newer format; marks a new one.
async fn check_format(database: &Database) -> Result<(), StoreError> {
    add_document(database, doc! { "_id": "format", "version": FORMAT }).await?;
    let meta = database.collection::<Document>(META);
    let found =
        meta.find_one(doc! { "_id": "format" }).await.map_err(unusable)?.unwrap_or_default();
    match found.get_i32("version") {
        Ok(version) if version < FORMAT => {
            // What this broker writes an older one would lose.
            let raise = doc! { "$max": { "version": FORMAT } };
            meta.update_one(doc! { "_id": "format" }, raise).await.map_err(unusable)?;
            // Older brokers that still run hear of it meanwhile, and write no more.
            tokio::time::sleep(gate::PING * 3).await;
            Ok(())
        }
        Ok(version) if version == FORMAT => Ok(()),
        Ok(version) => Err(StoreError::Unusable(is_newer(version))),
        Err(_) => Err(StoreError::Unusable("the database does not say its format".to_owned())),
    }
}

/// Lays a document down among those that tell about the database, unless it is there.
async fn add_document(database: &Database, document: Document) -> Result<(), StoreError> {
    match database.collection::<Document>(META).insert_one(document).await {
        Ok(_) => Ok(()),
        Err(failure) if error::code(&failure).is_some_and(error::is_duplicate) => Ok(()),
        Err(failure) => Err(unusable(failure)),
    }
}

/// The server says that a collection is there already.
const NAMESPACE_EXISTS: i32 = 48;

async fn make_collection(database: &Database, name: &str) -> Result<(), StoreError> {
    match database.create_collection(name).await {
        Ok(()) => Ok(()),
        Err(failure) if error::code(&failure) == Some(NAMESPACE_EXISTS) => Ok(()),
        Err(failure) => Err(unusable(failure)),
    }
}

/// The refusal to go on once a newer broker has raised the format; none if it has not.
pub(super) async fn newer_format(meta: &Collection<Document>) -> Result<Option<String>, Error> {
    let found = meta.find_one(doc! { "_id": "format" }).await?.unwrap_or_default();
    let newer = found.get_i32("version").ok().filter(|version| *version > FORMAT);
    Ok(newer.map(is_newer))
}

fn is_newer(version: i32) -> String {
    format!("the database is of format {version}, and this broker knows only {FORMAT}: update it")
}

fn not_opened(error: StoreError) -> StoreError {
    match error {
        StoreError::Unusable(why) => StoreError::Unusable(why),
        other => StoreError::Unusable(format!("MongoDB cannot be used: {other}")),
    }
}

/// What keeps a store from being opened.
pub(super) fn unusable(failure: Error) -> StoreError {
    let why = match error::from_read(&failure) {
        StoreError::Broken(why) => why,
        other => other.to_string(),
    };
    StoreError::Unusable(format!("MongoDB cannot be used: {why}"))
}
