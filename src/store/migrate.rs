//! Copying a broker from one store to another, whatever they are: entities in the order of their
//! creation with all their times, their history, and records. A copy that was interrupted goes on
//! where it was, and is compared with what it was made from in the end. Of what all tenants share a
//! copy of some takes the contexts that they host, which their subscriptions name.

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::record::encode_whole;
use super::{Archive, Records, Shelf, Store, StoreError};
use crate::model::{Action, EntityId, TenantId, Timestamp, Write};
use crate::query::{Anchor, EntityPlan, Page};

/// How many entities are copied at once.
const PAGE: usize = 500;

/// How many rows of history are copied at once, about.
const ROWS: usize = 50_000;

/// Where hosted contexts lie, with `owned` and the name of the `tenant` in each record.
const CONTEXTS: &str = "contexts";
/// What all tenants share. Who delivers what, and how far, begins anew in another store.
const SHARED: [&str; 7] =
    [CONTEXTS, "identity", "feeds", "feed-rejected", "feed-files", "feed-parts", "ending"];
/// What each tenant has of its own.
const OWN: [&str; 15] = [
    "models",
    "validation",
    "subscriptions",
    "registrations",
    "registration-subscriptions",
    "dead-letters",
    super::HISTORY_RULES,
    "entityMaps",
    "entityMapLeaves",
    "snapshots",
    "snapshotPlaces",
    "snapshot",
    "planted",
    "planted-ways",
    "source-reports",
];

/// What records say of the log of events of the store they lie in, which another store has not.
const PLACE_IN_LOG: &str = "since";

/// Where a copy is on record in the store it goes to.
const PROGRESS: Shelf = Shelf::shared("migration");

/// How far the copy of a tenant is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Progress {
    /// Where the next page begins in the store it comes from; absent at the beginning.
    after: Option<String>,
    entities: u64,
    done: bool,
    /// The same of history.
    #[serde(default)]
    past: Option<String>,
    #[serde(default)]
    past_done: bool,
    #[serde(default)]
    instances: u64,
}

/// How much of a tenant is copied so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoFar {
    pub entities: u64,
    /// How many instances of their history.
    pub instances: u64,
}

impl From<&Progress> for SoFar {
    fn from(progress: &Progress) -> Self {
        Self { entities: progress.entities, instances: progress.instances }
    }
}

/// What was copied of a tenant, or was there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub tenant: TenantId,
    pub entities: u64,
    /// How many instances their history has.
    pub instances: u64,
    pub records: u64,
    /// The same for the same entities, history and records, in whatever store.
    pub checksum: u64,
}

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("the store to copy from failed: {0}")]
    From(#[source] StoreError),
    #[error("the store to copy to failed: {0}")]
    To(#[source] StoreError),
    /// Somebody wrote meanwhile, or the other store held something before.
    #[error("{tenant}: {from} were to be copied and {to} are there: let nobody write meanwhile")]
    Different { tenant: TenantId, from: Sum, to: Sum },
    /// What all tenants share is not there as it was to be copied.
    #[error(
        "the record {key:?} of {shelf} is not there as it was copied: let nobody write meanwhile"
    )]
    Lost { shelf: &'static str, key: String },
    /// The store refused an entity, as when it is larger than it takes.
    #[error("{id} of {tenant} was refused: {why}")]
    Refused { tenant: TenantId, id: EntityId, why: String },
}

/// How many entities, recorded instances and records there are, and their checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    pub entities: u64,
    pub instances: u64,
    pub records: u64,
    pub checksum: u64,
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { entities, instances, records, checksum } = self;
        write!(
            f,
            "{entities} entities, {instances} recorded instances and {records} records \
             ({checksum:016x})"
        )
    }
}

/// Copies some tenants, or all of them with what they share. `told` hears of every page: the
/// tenant, and how much of it is copied so far.
///
/// # Errors
/// When it is begun again after an error, it goes on where it was.
pub async fn migrate(
    from: &dyn Store,
    to: &dyn Store,
    tenants: Option<&[TenantId]>,
    now: Timestamp,
    mut told: impl FnMut(&TenantId, SoFar),
) -> Result<Vec<Copied>, MigrateError> {
    let mut chosen = from.tenants().await.map_err(MigrateError::From)?;
    if let Some(tenants) = tenants {
        // Their snapshots come along.
        chosen.retain(|one| one.snapshot_of().is_some_and(|owner| tenants.contains(&owner)));
        chosen.extend_from_slice(tenants);
    }
    match tenants {
        None => {
            for name in SHARED {
                copy_shared(from, to, name, |_| true).await?;
            }
        }
        Some(tenants) => copy_shared(from, to, CONTEXTS, |one| is_hosted_by(one, tenants)).await?,
    }
    let mut copied = Vec::with_capacity(chosen.len());
    for tenant in chosen {
        copy_entities(from, to, &tenant, now, &mut told).await?;
        copy_history(from, to, &tenant, &mut told).await?;
        for name in OWN {
            copy_shelf(from, to, &Shelf::of(&tenant, name)).await?;
        }
        let (there, here) = (
            sum(from, &tenant, now).await.map_err(MigrateError::From)?,
            sum(to, &tenant, now).await.map_err(MigrateError::To)?,
        );
        if there != here {
            return Err(MigrateError::Different { tenant, from: there, to: here });
        }
        let Sum { entities, instances, records, checksum } = here;
        copied.push(Copied { tenant, entities, instances, records, checksum });
    }
    for tenant in &copied {
        // A later copy begins anew.
        let key = key(&tenant.tenant);
        to.take_record(&PROGRESS, key).await.map_err(MigrateError::To)?;
    }
    Ok(copied)
}

fn key(tenant: &TenantId) -> &str {
    tenant.name().unwrap_or_default()
}

async fn copy_entities(
    from: &dyn Store,
    to: &dyn Store,
    tenant: &TenantId,
    now: Timestamp,
    told: &mut impl FnMut(&TenantId, SoFar),
) -> Result<(), MigrateError> {
    let records: Records<'_, Progress> = Records::on(to, PROGRESS);
    let known = records.get(key(tenant)).await.map_err(MigrateError::To)?;
    let mut progress = known.unwrap_or_default();
    while !progress.done {
        let after = progress.after.as_deref().map(Anchor::new);
        let page = Page { limit: PAGE, after, ..Page::default() };
        let plan = EntityPlan { page, ..EntityPlan::default() };
        let found = from.find(tenant, &plan, now).await.map_err(MigrateError::From)?;
        progress.entities += found.entities.len() as u64;
        let restore = found
            .entities
            .iter()
            .map(|stored| Write::new(stored.id.clone(), Action::Restore(stored.entity.clone())));
        let results = to.commit(tenant, restore.collect(), now).await.map_err(MigrateError::To)?;
        for (stored, result) in found.entities.iter().zip(results) {
            if let Err(why) = result {
                let (tenant, id) = (tenant.clone(), stored.id.clone());
                return Err(MigrateError::Refused { tenant, id, why: why.to_string() });
            }
        }
        progress.done = found.next.is_none();
        progress.after = found.next.map(|next| next.as_str().to_owned());
        records.put(key(tenant), &progress).await.map_err(MigrateError::To)?;
        told(tenant, (&progress).into());
    }
    Ok(())
}

async fn copy_history(
    from: &dyn Store,
    to: &dyn Store,
    tenant: &TenantId,
    told: &mut impl FnMut(&TenantId, SoFar),
) -> Result<(), MigrateError> {
    let records: Records<'_, Progress> = Records::on(to, PROGRESS);
    let known = records.get(key(tenant)).await.map_err(MigrateError::To)?;
    let mut progress = known.unwrap_or_default();
    while !progress.past_done {
        let archives = match from.archive(tenant, progress.past.as_deref(), ROWS).await {
            // Nothing was in it, so nothing brought it into being.
            Err(StoreError::UnknownTenant(_)) => return Ok(()),
            archives => archives.map_err(MigrateError::From)?,
        };
        progress.instances += archives.archives.iter().map(Archive::rows).sum::<u64>();
        if !archives.archives.is_empty() {
            to.restore(tenant, archives.archives).await.map_err(MigrateError::To)?;
        }
        progress.past_done = archives.next.is_none();
        progress.past = archives.next;
        records.put(key(tenant), &progress).await.map_err(MigrateError::To)?;
        told(tenant, (&progress).into());
    }
    Ok(())
}

/// Copies the records of a shelf.
async fn copy_shelf(from: &dyn Store, to: &dyn Store, shelf: &Shelf) -> Result<(), MigrateError> {
    for (key, record) in from.records(shelf).await.map_err(MigrateError::From)? {
        let record = portable(record);
        to.put_record(shelf, &key, record).await.map_err(MigrateError::To)?;
    }
    Ok(())
}

/// A record as another store takes it.
fn portable(mut record: Json) -> Json {
    if let Some(members) = record.as_object_mut() {
        members.shift_remove(PLACE_IN_LOG);
    }
    record
}

/// Copies some of what all tenants share, and looks whether it is there. What else is there may
/// belong to tenants that were there before.
async fn copy_shared(
    from: &dyn Store,
    to: &dyn Store,
    name: &'static str,
    chosen: impl Fn(&Json) -> bool,
) -> Result<(), MigrateError> {
    let shelf = Shelf::shared(name);
    let mut all = from.records(&shelf).await.map_err(MigrateError::From)?;
    all.retain(|(_, record)| chosen(record));
    for (key, record) in &all {
        to.put_record(&shelf, key, record.clone()).await.map_err(MigrateError::To)?;
    }
    for (key, record) in all {
        if to.record(&shelf, &key).await.map_err(MigrateError::To)? != Some(record) {
            return Err(MigrateError::Lost { shelf: name, key });
        }
    }
    Ok(())
}

/// Whether a context is hosted for one of some tenants.
fn is_hosted_by(context: &Json, tenants: &[TenantId]) -> bool {
    let owner = context.get("tenant").and_then(Json::as_str);
    context.get("owned") == Some(&Json::Bool(true))
        && tenants.iter().any(|tenant| tenant.name() == owner)
}

/// Counts what a tenant has and sums it up, in its order.
async fn sum(store: &dyn Store, tenant: &TenantId, now: Timestamp) -> Result<Sum, StoreError> {
    let (mut sum, mut after) = (Sum::default(), None);
    loop {
        let page = Page { limit: PAGE, after, ..Page::default() };
        let plan = EntityPlan { page, ..EntityPlan::default() };
        let found = match store.find(tenant, &plan, now).await {
            // Nothing was in it, so nothing brought it into being.
            Err(StoreError::UnknownTenant(_)) => return Ok(sum),
            found => found?,
        };
        for stored in &found.entities {
            let mut hasher = rustc_hash::FxHasher::default();
            hasher.write_u64(sum.checksum);
            // Stores may differ in when they let go of what has expired.
            hasher.write(&encode_whole(&stored.entity.without_expired(now)));
            sum = Sum { entities: sum.entities + 1, checksum: hasher.finish(), ..sum };
        }
        let Some(next) = found.next else { break };
        after = Some(next);
    }
    let mut past = None;
    loop {
        let archives = store.archive(tenant, past.as_deref(), ROWS).await?;
        for archive in &archives.archives {
            sum.instances += archive.rows();
            sum.checksum = archive.sum_up(sum.checksum);
        }
        if archives.next.is_none() {
            break;
        }
        past = archives.next;
    }
    for name in OWN {
        let shelf = Shelf::of(tenant, name);
        for (key, record) in store.records(&shelf).await? {
            let mut hasher = rustc_hash::FxHasher::default();
            hasher.write_u64(sum.checksum);
            for text in [name, &key, &portable(record).to_string()] {
                hasher.write(text.as_bytes());
            }
            sum = Sum { records: sum.records + 1, checksum: hasher.finish(), ..sum };
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;
    use serde_json::json;

    use super::*;
    use crate::model::{Chronology, Datum, HistoryAction, HistoryWrite, Instance};
    use crate::store::embedded::{Embedded, Settings};
    use crate::store::mongo::Mongo;
    use crate::store::mongo::tests::settings;
    use crate::store::samples::{self, at, entity_id};

    fn readings(numbers: std::ops::Range<i64>) -> Chronology {
        let instances = numbers.map(|number| {
            let mut instance = Instance::new(Datum::Property((number as f64 / 10.0).into()));
            instance.observed_at = Some(at(number - 1_000_000));
            instance.unit = Some(samples::attribute_name(8));
            instance
        });
        let attributes = vec![(samples::attribute_name(9), instances.collect())];
        Chronology { types: vec![samples::type_name(1)], attributes, ..Chronology::default() }
    }

    async fn fill(store: &dyn Store, tenants: &[TenantId]) {
        let mut runner = TestRunner::deterministic();
        for (number, tenant) in tenants.iter().enumerate() {
            for page in 0..4 {
                let writes = (0..300).map(|id| {
                    let mut entity = samples::entity().new_tree(&mut runner).unwrap().current();
                    entity.id = entity_id(page * 300 + id);
                    entity.expires_at = None;
                    Write::new(entity.id.clone(), Action::Upsert(entity))
                });
                let writes = writes.collect();
                store.commit(tenant, writes, at(-300 + page as i64)).await.unwrap();
            }
            for name in OWN.iter().filter(|name| **name != crate::store::HISTORY_RULES) {
                let shelf = Shelf::of(tenant, name);
                store.put_record(&shelf, "a.b$", json!({"$a": {"b.c": number}})).await.unwrap();
            }
            // A history longer than what is copied at once, and one that has ended.
            let long = HistoryAction::Upsert(readings(0..ROWS as i64 + 7_000));
            let ended = Write::new(entity_id(17), Action::Delete);
            store.commit(tenant, vec![ended], at(-260)).await.unwrap();
            let write = HistoryWrite { id: entity_id(5), action: long };
            store.commit_history(tenant, vec![write], at(-259)).await.unwrap().remove(0).unwrap();
            let few = HistoryAction::Append(readings(100_000..100_010));
            let write = HistoryWrite { id: entity_id(5), action: few };
            store.commit_history(tenant, vec![write], at(-258)).await.unwrap().remove(0).unwrap();
        }
        let context = |tenant: Option<&str>| json!({"text": "{}", "owned": true, "tenant": tenant});
        for (key, context) in [
            ("x", json!({"text": "{}", "owned": false})),
            ("own", context(None)),
            ("theirs", context(tenants.last().and_then(TenantId::name))),
        ] {
            store.put_record(&Shelf::shared(CONTEXTS), key, context).await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_broker_moves_to_mongodb_and_back_though_it_is_interrupted() {
        let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
        // The samples are of a past in which things expire: nobody is to notice meanwhile.
        let sweep_every = std::time::Duration::from_secs(3_600);
        let open = |number: usize| {
            let settings = Settings::new(folders[number].path());
            Embedded::open(Settings { sweep_every, ..settings }).unwrap()
        };
        let (first, last) = (open(0), open(1));
        let mongo = Arc::new(Mongo::open(settings()).await.unwrap());
        let tenants = [TenantId::DEFAULT, TenantId::named("ลำปาง").unwrap()];
        fill(&first, &tenants).await;
        let now = at(-250);

        // One attempt ends after the second page of entities, the next after the first of history.
        let first = Arc::new(first);
        let mut heard = Vec::new();
        for last in [2, 2] {
            let (from, to) = (first.clone(), mongo.clone());
            let (sender, told) = std::sync::mpsc::channel();
            let attempt = tokio::spawn(async move {
                let mut pages = 0;
                let tell = |_: &TenantId, so_far: SoFar| {
                    sender.send(so_far).unwrap();
                    pages += 1;
                    assert!(pages < last, "interrupted on purpose");
                };
                migrate(&*from, &*to, None, now, tell).await
            });
            assert!(attempt.await.is_err());
            heard.extend(told);
        }
        let mut pages = 0;
        let there = migrate(&*first, &*mongo, None, now, |_, so_far| {
            pages += 1;
            heard.push(so_far);
        })
        .await
        .unwrap();
        let entities = heard.iter().filter(|so_far| so_far.instances == 0).count();
        assert_eq!(entities, 6, "what was copied is not copied again: {heard:?}");
        assert!(heard[3].instances > 0, "{heard:?}");
        let first_tenant =
            heard.iter().position(|so_far| so_far.entities < 1_199 && so_far.instances > 0);
        assert_eq!(first_tenant, None, "history follows its entities: {heard:?}");
        assert!(pages >= 4, "{heard:?}");
        assert_eq!(there.len(), 2);
        assert!(there.iter().all(|one| one.entities == 1_199));
        assert!(there.iter().all(|one| one.records == OWN.len() as u64 - 1), "{there:?}");
        assert!(there.iter().all(|one| one.instances > ROWS as u64), "{there:?}");
        let back = migrate(&*mongo, &last, None, now, |_, _| {}).await.unwrap();
        let mut sums: Vec<_> = there.iter().map(|one| (&one.tenant, one.checksum)).collect();
        let mut again: Vec<_> = back.iter().map(|one| (&one.tenant, one.checksum)).collect();
        sums.sort();
        again.sort();
        assert_eq!(sums, again);
        let one = last.get(&tenants[1], &entity_id(7), now).await.unwrap().unwrap();
        let origin = first.get(&tenants[1], &entity_id(7), now).await.unwrap().unwrap();
        assert_eq!(one.entity, origin.entity, "times and all");
        let shelf = Shelf::of(&tenants[1], "subscriptions");
        let subscription = last.record(&shelf, "a.b$").await.unwrap();
        assert_eq!(subscription, Some(json!({"$a": {"b.c": 1}})));
        let contexts = last.records(&Shelf::shared(CONTEXTS)).await.unwrap();
        assert_eq!(contexts.len(), 3, "{contexts:?}");

        // A tenant alone takes what it hosts along; what is written meanwhile is noticed.
        let alone = open(2);
        let one = &tenants[1..];
        let copied = migrate(&*mongo, &alone, Some(one), now, |_, _| {}).await.unwrap();
        assert_eq!(copied.len(), 1);
        assert_eq!(
            Some(copied[0].checksum),
            back.iter().find(|b| b.tenant == one[0]).map(|b| b.checksum)
        );
        let contexts = alone.records(&Shelf::shared(CONTEXTS)).await.unwrap();
        assert_eq!(contexts.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), ["theirs"]);
        assert_eq!(alone.tenants().await.unwrap(), tenants);
        alone.put_record(&shelf, "new", json!({})).await.unwrap();
        let again = migrate(&*mongo, &alone, Some(one), now, |_, _| {}).await;
        assert!(matches!(again, Err(MigrateError::Different { .. })), "{again:?}");
        mongo.drop_database().await;
    }
}
