//! Opening: what the engine holds becomes what memory needs.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use super::build::Wishes;
use super::cache::Cache;
use super::engine::{Engine, Rest};
use super::folder::Folder;
use super::group::{Writer, read_index_key};
use super::history::{History, Recorder};
use super::index::Wish;
use super::keeper::Stop;
use super::load::load;
use super::names::{Dictionary, Names};
use super::queue::Queue;
use super::recovery::Failure;
use super::tenants::{Tenant, Tenants};
use super::{Inner, Settings, events};
use crate::model::{Name, TenantId};
use crate::store::StoreError;

/// The default tenant's number.
const DEFAULT: u32 = 0;

/// Opens the store.
pub(super) fn open(settings: Settings) -> Result<Inner, StoreError> {
    let started = std::time::Instant::now();
    let folder = Folder::open(&settings.folder)?;
    let engine = Engine::open(&folder.engine(), settings.cache_bytes)?;
    let dictionary = read_dictionary(&engine)?;
    let names = dictionary.names().clone();
    let indexes = read_indexes(&engine, &names)?;
    let wanted = |number| {
        let own = indexes.iter().filter(move |(tenant, _)| *tenant == number);
        own.map(|(_, wish)| *wish).collect::<Vec<_>>()
    };
    let tenant = |id, number| {
        let state = load(&engine, &names, number, &wanted(number))?;
        Ok::<_, StoreError>(Tenant::new(id, number, state))
    };
    let default = tenant(TenantId::DEFAULT, DEFAULT)?;
    let mut others = Vec::new();
    for (number, id) in read_tenants(&engine)? {
        others.push(tenant(id, number)?);
    }
    let next_tenant = others.iter().map(|tenant| tenant.number).max().unwrap_or(DEFAULT) + 1;
    let ceiling = read_ceiling(&engine)?;
    let forgotten = engine.get(Rest::Forgotten, b"")?;
    let last = engine.last_sheet()?;
    let last = last.as_ref().map(|(first, sheet)| (*first, &**sheet));
    let next_event = events::next_sequence(forgotten.as_deref(), last)
        .ok_or_else(|| damaged("the count of events"))?;
    let tenants = Tenants::new(default, others);
    let all = tenants.all();
    let history = History::load(&engine, settings.cache_bytes / 2)?;
    for tenant in &all {
        history.load_rules(&engine, tenant.number)?;
    }
    tracing::info!(
        folder = %settings.folder.display(),
        tenants = all.len(),
        entities = all.iter().map(|tenant| tenant.state.read().seats.taken()).sum::<usize>(),
        millis = started.elapsed().as_millis() as u64,
        "opened the store"
    );
    Ok(Inner {
        engine,
        names,
        tenants,
        cache: Cache::new(settings.memory_bytes),
        writer: Writer {
            dictionary,
            next_sequence: ceiling,
            ceiling,
            next_tenant,
            next_event,
            recorder: Recorder::new((settings.clock)()),
        }
        .into(),
        history,
        queue: Queue::new(settings.queue),
        failure: Failure::default(),
        guard: OnceLock::new(),
        watch: OnceLock::new(),
        builder: Wishes::default(),
        unsynced: AtomicBool::new(false),
        stopping: Stop::default(),
        settings,
        _folder: folder,
    })
}

fn damaged(what: &str) -> StoreError {
    StoreError::Unusable(format!("the store is damaged: {what} cannot be read"))
}

fn number(key: &[u8], what: &str) -> Result<u32, StoreError> {
    Ok(u32::from_be_bytes(key.try_into().map_err(|_| damaged(what))?))
}

fn read_dictionary(engine: &Engine) -> Result<Dictionary, StoreError> {
    let what = "the dictionary of names";
    let mut names = Vec::new();
    for (key, text) in engine.all(Rest::Name, b"")? {
        // Numbers come in order and without gaps, or records would say something else.
        if number(&key, what)? as usize != names.len() {
            return Err(damaged(what));
        }
        let text = std::str::from_utf8(&text).map_err(|_| damaged(what))?;
        let name = Name::intern(text).map_err(|error| StoreError::Unusable(error.to_string()))?;
        names.push(name);
    }
    Ok(Dictionary::new(names))
}

fn read_tenants(engine: &Engine) -> Result<Vec<(u32, TenantId)>, StoreError> {
    let what = "the list of tenants";
    let mut tenants = Vec::new();
    for (key, name) in engine.all(Rest::Tenant, b"")? {
        let name = std::str::from_utf8(&name).map_err(|_| damaged(what))?;
        let id = TenantId::from_kept(name).map_err(|_| damaged(what))?;
        tenants.push((number(&key, what)?, id));
    }
    Ok(tenants)
}

fn read_indexes(engine: &Engine, names: &Names) -> Result<Vec<(u32, Wish)>, StoreError> {
    let keys = engine.all(Rest::Index, b"")?;
    Ok(keys.iter().filter_map(|(key, _)| read_index_key(key, names)).collect())
}

/// The sequence that no entity has reached; sequences begin with one.
fn read_ceiling(engine: &Engine) -> Result<u64, StoreError> {
    match engine.get(Rest::Sequence, b"")? {
        None => Ok(1),
        Some(bytes) => {
            let bytes = (*bytes).try_into().map_err(|_| damaged("the count of entities"))?;
            Ok(u64::from_be_bytes(bytes))
        }
    }
}
