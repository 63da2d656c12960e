//! Opening: what the engine holds becomes what memory needs.

use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use super::build::{Entries, Wishes};
use super::cache::Cache;
use super::engine::{Engine, EntityKey, Rest};
use super::folder::Folder;
use super::group::{Writer, read_index_key};
use super::index::Wish;
use super::keeper::Stop;
use super::names::{Dictionary, Names};
use super::queue::Queue;
use super::record::{Damaged, Head, decode_head};
use super::recovery::Failure;
use super::seats::SeatNumber;
use super::tenants::{State, Tenant, Tenants};
use super::{Inner, Settings, events};
use crate::model::{EntityId, Name, TenantId};
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
    let load = |id, number| {
        let state = load(&engine, &names, number, wanted(number))?;
        Ok::<_, StoreError>(Tenant::new(id, number, state))
    };
    let default = load(TenantId::DEFAULT, DEFAULT)?;
    let mut others = Vec::new();
    for (number, id) in read_tenants(&engine)? {
        others.push(load(id, number)?);
    }
    let next_tenant = others.iter().map(|tenant| tenant.number).max().unwrap_or(DEFAULT) + 1;
    let ceiling = read_ceiling(&engine)?;
    let forgotten = engine.get(Rest::Forgotten, b"")?;
    let next_event = events::next_sequence(forgotten.as_deref(), engine.last_event()?)
        .ok_or_else(|| damaged("the count of events"))?;
    let tenants = Tenants::new(default, others);
    let all = tenants.all();
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
        writer: Writer { dictionary, next_sequence: ceiling, ceiling, next_tenant, next_event }
            .into(),
        queue: Queue::new(settings.queue),
        failure: Failure::default(),
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
        let id = TenantId::named(name).map_err(|_| damaged(what))?;
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

/// Reads the heads of a tenant's records, in the order of creation, into memory.
fn load(
    engine: &Engine,
    names: &Names,
    tenant: u32,
    wishes: Vec<Wish>,
) -> Result<State, StoreError> {
    let mut state = State::default();
    let mut building: Vec<(Wish, Entries)> =
        wishes.into_iter().map(|wish| (wish, Entries::new(wish.sort))).collect();
    let mut failed = None;
    engine.entities_from(EntityKey { tenant, sequence: 0 }, |key, record| {
        let loaded = decode_head(&record, names)
            .and_then(|head| load_head(&mut state, key, &head, names, &mut building));
        match loaded {
            Ok(()) => ControlFlow::Continue(()),
            Err(damage) => {
                failed = Some((key, damage));
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some((key, damage)) = failed {
        return Err(StoreError::Unusable(format!(
            "the store is damaged at entity {} of tenant number {tenant}: {damage}",
            key.sequence
        )));
    }
    for (wish, entries) in building {
        entries.build(wish.attribute, &mut state.index);
    }
    Ok(state)
}

fn load_head(
    state: &mut State,
    key: EntityKey,
    head: &Head<'_>,
    names: &Names,
    building: &mut [(Wish, Entries)],
) -> Result<(), Damaged> {
    let id = EntityId::from_trusted(head.id);
    let seat: SeatNumber =
        state.seats.take(id, key.sequence).ok_or(Damaged("there are too many entities"))?;
    let index = &mut state.index;
    index.all.insert(seat);
    for name in &head.types {
        index.add_type(*name, seat);
    }
    for scope in &head.scopes {
        index.add_scope(scope, seat);
    }
    index.set_expiry(seat, None, head.expiry);
    for attribute in &head.attributes {
        index.add_attribute(attribute.name, attribute.kinds, seat);
        for (wish, entries) in building.iter_mut() {
            if wish.attribute == attribute.name {
                entries.add(seat, &head.attribute(attribute, names)?);
            }
        }
    }
    Ok(())
}
