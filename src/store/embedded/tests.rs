//! What only the embedded store promises; the rest is in the suite.

use super::engine::{Mend, WriteFailure};
use super::*;
use crate::model::{Action, Kept, Look};
use crate::store::samples::{at, attribute_name, bare_entity, entity_id, property};
use crate::store::suite::{Backend, store_suite};

/// A store in a folder of its own, where the time stands still unless told.
struct OnDisk {
    folder: tempfile::TempDir,
    settings: fn(PathBuf) -> Settings,
    store: Arc<Embedded>,
}

/// Settings under which nothing happens by itself.
fn quiet(folder: PathBuf) -> Settings {
    Settings { sweep_every: Duration::from_secs(3_600), ..Settings::new(folder) }
}

fn relaxed(folder: PathBuf) -> Settings {
    Settings { durability: Durability::Every(Duration::from_millis(20)), ..quiet(folder) }
}

/// So little memory that nearly everything is read from the engine.
fn bounded(folder: PathBuf) -> Settings {
    Settings { memory_bytes: Some(2_000), ..quiet(folder) }
}

impl OnDisk {
    fn start(settings: fn(PathBuf) -> Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Embedded::open(settings(folder.path().to_owned())).unwrap());
        Self { folder, settings, store }
    }

    async fn reopen(self) -> Self {
        let Self { folder, settings, mut store } = self;
        store.close().await.unwrap();
        // Whoever still holds the store is about to let go.
        let mut patience = 1_000;
        while let Err(held) = Arc::try_unwrap(store).map(drop) {
            store = held;
            patience -= 1;
            assert!(patience > 0, "the store is still in use");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let store = Arc::new(Embedded::open(settings(folder.path().to_owned())).unwrap());
        Self { folder, settings, store }
    }
}

macro_rules! backend {
    ($name:ident, $settings:expr) => {
        struct $name(OnDisk);

        #[async_trait]
        impl Backend for $name {
            async fn start() -> Self {
                Self(OnDisk::start($settings))
            }

            fn store(&self) -> Arc<dyn Store> {
                self.0.store.clone()
            }

            async fn restart(self) -> Self {
                Self(self.0.reopen().await)
            }

            async fn sweep(&self, now: Timestamp) {
                self.0.store.sweep(now).await.unwrap();
            }

            async fn settle(&self) {
                let store = self.0.store.clone();
                let settle = move || {
                    store.finish_indexes();
                    store.pack_all();
                };
                tokio::task::spawn_blocking(settle).await.unwrap();
            }
        }
    };
}

backend!(Durable, quiet);
backend!(Relaxed, relaxed);
backend!(Bounded, bounded);

store_suite!(durable, super::Durable);
store_suite!(relaxed_durability, super::Relaxed);
store_suite!(bounded_memory, super::Bounded);
store_suite!(history durable_history, super::Durable);
store_suite!(history relaxed_history, super::Relaxed);
store_suite!(history bounded_history, super::Bounded);

fn create(id: usize) -> Write {
    Write::new(entity_id(id), Action::Create(bare_entity(id, 1)))
}

#[tokio::test]
async fn a_second_store_on_the_folder_is_refused() {
    let first = OnDisk::start(quiet);
    let folder = first.folder.path().to_owned();
    let Err(error) = Embedded::open(quiet(folder.clone())) else { panic!("it opened") };
    assert!(error.to_string().contains(&folder.display().to_string()), "{error}");
    let first = first.reopen().await;
    drop(first);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_is_overcome() {
    let on_disk = OnDisk::start(quiet);
    let (store, here) = (&on_disk.store, TenantId::DEFAULT);
    store.commit(&here, vec![create(0)], at(0)).await.unwrap();
    let full = StoreError::Full("no space left".into());
    store.inner.engine.faults.set(Some(full.clone()));
    assert_eq!(store.commit(&here, vec![create(1)], at(0)).await.unwrap_err(), full);
    assert_eq!(store.commit(&here, vec![create(2)], at(0)).await.unwrap_err(), full);
    assert_eq!(store.check().await.unwrap_err(), full);
    assert!(store.get(&here, &entity_id(0), at(0)).await.unwrap().is_some());
    assert!(store.get(&here, &entity_id(1), at(0)).await.unwrap().is_none());
    store.inner.recover();
    assert_eq!(store.check().await.unwrap_err(), full, "it is still full");
    store.inner.engine.faults.set(NO_FAULT);
    store.inner.recover();
    store.check().await.unwrap();
    assert!(store.commit(&here, vec![create(2)], at(0)).await.unwrap()[0].is_ok());
    let on_disk = on_disk.reopen().await;
    let found = on_disk.store.find(&here, &EntityPlan::default(), at(0)).await.unwrap();
    let ids: Vec<_> = found.entities.iter().map(|entity| entity.id.clone()).collect();
    assert_eq!(ids, [entity_id(0), entity_id(2)]);
}

const NO_FAULT: Option<StoreError> = None;

fn failing_disk() -> Option<WriteFailure> {
    let error = StoreError::Broken("input/output error".into());
    Some(WriteFailure { error, mend: Mend::IfAllWasSynced })
}

#[tokio::test]
async fn a_disk_that_failed_for_a_while_is_overcome_if_all_was_synced() {
    let on_disk = OnDisk::start(quiet);
    let (store, here) = (&on_disk.store, TenantId::DEFAULT);
    store.commit(&here, vec![create(0)], at(0)).await.unwrap();
    store.inner.engine.faults.set(failing_disk());
    store.commit(&here, vec![create(1)], at(0)).await.unwrap_err();
    store.inner.engine.faults.set(NO_FAULT);
    store.inner.recover();
    assert!(store.commit(&here, vec![create(2)], at(0)).await.unwrap()[0].is_ok());
    let on_disk = on_disk.reopen().await;
    let found = on_disk.store.find(&here, &EntityPlan::default(), at(0)).await.unwrap();
    let ids: Vec<_> = found.entities.iter().map(|entity| entity.id.clone()).collect();
    assert_eq!(ids, [entity_id(0), entity_id(2)]);

    // What was acknowledged is not on the disk yet, and will not be for an hour.
    let on_disk = OnDisk::start(|folder| Settings {
        durability: Durability::Every(Duration::from_secs(3_600)),
        ..quiet(folder)
    });
    let store = &on_disk.store;
    store.commit(&here, vec![create(0)], at(0)).await.unwrap();
    store.inner.engine.faults.set(failing_disk());
    store.commit(&here, vec![create(1)], at(0)).await.unwrap_err();
    store.inner.engine.faults.set(NO_FAULT);
    store.inner.recover();
    let error = store.commit(&here, vec![create(1)], at(0)).await.unwrap_err();
    assert!(error.to_string().contains("restart"), "{error}");
}

#[tokio::test]
async fn a_broken_disk_closes_the_store_to_writes_only() {
    let on_disk = OnDisk::start(quiet);
    let (store, here) = (&on_disk.store, TenantId::DEFAULT);
    store.commit(&here, vec![create(0)], at(0)).await.unwrap();
    store.inner.engine.faults.set(Some(StoreError::Broken("the disk is on fire".into())));
    let error = store.commit(&here, vec![create(1)], at(0)).await.unwrap_err();
    assert!(matches!(error, StoreError::Broken(_)));
    store.inner.engine.faults.set(NO_FAULT);
    store.inner.recover();
    let error = store.commit(&here, vec![create(1)], at(0)).await.unwrap_err();
    assert!(error.to_string().contains("restart"), "{error}");
    assert!(store.get(&here, &entity_id(0), at(0)).await.unwrap().is_some());
}

/// `LANNA_SMALL_DISK` names a folder on a disk of a few dozen mebibytes; `df` must show less room
/// than 64 MiB. `LANNA_COMPRESSIBLE` fills it in another way. A file `ballast` is taken away to make room again.
#[tokio::test]
#[ignore = "needs a small disk"]
async fn a_really_full_disk_loses_nothing_and_is_overcome() {
    let folder = PathBuf::from(std::env::var("LANNA_SMALL_DISK").unwrap());
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![1; 12 << 20]).unwrap();
    let (store, here) = (Embedded::open(quiet(folder.join("data"))).unwrap(), TenantId::DEFAULT);
    // What cannot be compressed fills the journal, what can fills the tables.
    let mut noise = 1u64;
    let mut text = move || -> String {
        let mut letter = || {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b' ' + (noise >> 58) as u8)
        };
        match std::env::var("LANNA_COMPRESSIBLE") {
            Ok(_) => "ก".repeat(10_000),
            Err(_) => (0..30_000).map(|_| letter()).collect(),
        }
    };
    let mut kept = 0;
    let error = loop {
        let mut entity = bare_entity(kept, 1);
        entity.attributes.insert(attribute_name(0), property(text().as_str()));
        let write = Write::new(entity_id(kept), Action::Create(entity));
        match store.commit(&here, vec![write], at(0)).await {
            Ok(results) => assert!(results[0].is_ok()),
            Err(error) => break error,
        }
        kept += 1;
    };
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    store.inner.recover();
    assert!(store.get(&here, &entity_id(0), at(0)).await.unwrap().is_some());
    std::fs::remove_file(ballast).unwrap();
    store.inner.recover();
    store.check().await.unwrap();
    assert!(store.commit(&here, vec![create(kept + 1)], at(0)).await.unwrap()[0].is_ok());
    drop(store);
    let store = Embedded::open(quiet(folder.join("data"))).unwrap();
    for id in (0..kept).chain([kept + 1]) {
        assert!(store.get(&here, &entity_id(id), at(0)).await.unwrap().is_some(), "{id}");
    }
    assert!(store.get(&here, &entity_id(kept), at(0)).await.unwrap().is_none());
}

#[tokio::test]
async fn memory_keeps_to_its_budget() {
    let on_disk = OnDisk::start(bounded);
    let (store, here) = (&on_disk.store, TenantId::DEFAULT);
    for some in 0..20 {
        let writes = (some * 50..some * 50 + 50).map(create).collect();
        store.commit(&here, writes, at(0)).await.unwrap();
        assert!(store.numbers().entity_bytes <= 2_000);
    }
    for id in 0..1_000 {
        let entity = store.get(&here, &entity_id(id), at(0)).await.unwrap().unwrap();
        entity.rendered.keep(Kept {
            look: Look { form: 1, spelling: 1 },
            bytes: vec![0; 100].into(),
            names: None,
        });
        assert!(store.numbers().entity_bytes <= 2_000);
    }
    let inner = &store.inner;
    inner.cache.survey(&inner.tenants, 64);
    assert!(store.numbers().entity_bytes <= 2_000);
}

#[tokio::test]
async fn what_is_too_old_is_thinned_and_then_dropped() {
    use crate::model::{
        Chronology, Datum, HistoryAction, HistoryWrite, Instance, TimeProperty, Value,
    };
    use crate::query::{Aggregate, HistoryPlan, Line, Method, Window};
    use crate::store::samples::type_name;
    use crate::store::{EVERY_TYPE, HISTORY_RULES};

    let on_disk = OnDisk::start(quiet);
    let (store, here) = (&on_disk.store, TenantId::DEFAULT);
    let day = 86_400;
    // Forty days before, every six hours.
    let instances = (0..160_i64).map(|n| {
        let mut instance = Instance::new(Datum::Property(Value::from(n as f64)));
        instance.observed_at = Some(at(n * day / 4 - 40 * day));
        instance
    });
    let told = Chronology {
        types: vec![type_name(0)],
        scopes: Vec::new(),
        attributes: vec![(attribute_name(0), instances.collect())],
    };
    let write = HistoryWrite { id: entity_id(0), action: HistoryAction::Upsert(told) };
    store.commit_history(&here, vec![write], at(0)).await.unwrap().remove(0).unwrap();
    let rule = serde_json::json!({"keep": [{"raw_days": 10, "daily_days": 30}]});
    store.put_record(&Shelf::of(&here, HISTORY_RULES), EVERY_TYPE, rule).await.unwrap();
    for round in 0..2 {
        let stamp = store.history_stamp(&here, &entity_id(0));
        store.thin(at(0)).await.unwrap();
        let same = store.history_stamp(&here, &entity_id(0)) == stamp;
        assert_eq!(same, round > 0, "what is thinned already is not changed once more");
        let window = Window { property: TimeProperty::ObservedAt, ..Window::default() };
        let plan = HistoryPlan { window, ..HistoryPlan::default() };
        let found = store.evolve(&here, &plan, at(0)).await.unwrap();
        let Line::Instances(all) = &found.told.evolutions[0].attributes[0].1 else { panic!() };
        assert!((60..=66).contains(&all.len()), "20 days and 40 to 44 readings: {}", all.len());
        assert_eq!(all.last().unwrap().instance.datum, Datum::Property(159.0.into()));
        // The answer says up to when means stand for what was measured.
        let until = found.thinned.expect("some of it was thinned");
        assert!(until < at(-10 * day) && until > at(-12 * day), "{until}");
        let held = store.held_history(&here, &EntityPlan::default()).await.unwrap();
        let [series] = &held[0].series[..] else { panic!("{held:?}") };
        assert_eq!(series.daily.unwrap().to, until);
        assert_eq!((series.daily.unwrap().count, series.hourly), (20, None));
        assert_eq!(series.raw.unwrap().to, at(159 * day / 4 - 40 * day));
        assert_eq!(series.daily.unwrap().count + series.raw.unwrap().count, all.len() as u64);
        let methods = vec![Method::TotalCount, Method::Max, Method::Min];
        let aggregate = Some(Aggregate { methods, period: None, last: None });
        let found = store.evolve(&here, &HistoryPlan { aggregate, ..plan }, at(0)).await.unwrap();
        let Line::Aggregates(all) = &found.told.evolutions[0].attributes[0].1 else { panic!() };
        let result = |place: usize| match &all[0].methods[place].1[0].result {
            Value::Number(number) => number.as_f64(),
            other => panic!("{other:?}"),
        };
        assert!((117.0..=124.0).contains(&result(0)), "30 days of readings: {}", result(0));
        assert_eq!(result(1), 159.0);
        assert!((36.0..=43.0).contains(&result(2)), "the eldest of them: {}", result(2));
    }
}
