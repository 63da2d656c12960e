//! Promises about events and leases.

use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::model::{AttributePatch, Datum, Fragment, InstanceEdit, InstancePatch, Kind};
use crate::store::samples::{attribute_name, expiring};
use crate::store::{Event, Watch};

/// Wants the changes of entities of one type, and keeps what it is told.
struct Wants {
    type_number: usize,
    told: Mutex<Vec<(u64, EntityId)>>,
}

impl Wants {
    fn of_type(type_number: usize) -> Arc<Self> {
        Arc::new(Self { type_number, told: Mutex::default() })
    }
}

impl Watch for Wants {
    fn wants(&self, _: &TenantId, change: &Change) -> bool {
        let own = type_name(self.type_number);
        [&change.before, &change.after].into_iter().flatten().any(|entity| entity.has_type(own))
    }

    fn committed(&self, events: Vec<Event>) {
        let told = events.into_iter().map(|event| (event.sequence, event.change.id));
        self.told.lock().extend(told);
    }
}

/// All events after a sequence, page by page.
async fn log(store: &dyn Store, mut after: u64) -> Vec<Event> {
    let mut all: Vec<Event> = Vec::new();
    loop {
        let page = store.events(after, 7).await.expect("the store works");
        assert!(page.len() <= 7);
        let Some(last) = page.last() else { return all };
        after = last.sequence;
        all.extend(page);
        assert!(all.is_sorted_by(|a, b| a.sequence < b.sequence));
    }
}

fn append(id: usize, name: usize, value: i64) -> Write {
    let mut fragment = Fragment::default();
    let patch = InstancePatch {
        kind: Some(Kind::Property),
        datum: Some(Datum::Property(value.into())),
        ..InstancePatch::default()
    };
    let patch = AttributePatch(vec![InstanceEdit::Put(patch)]);
    fragment.attributes.push((attribute_name(name), patch));
    Write::new(entity_id(id), Action::Append { fragment, overwrite: true })
}

/// What was, what is, whose it is and when it happened; nothing that nobody wants, nothing that
/// was refused or changed nothing.
pub async fn wanted_changes_are_kept_as_events<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let watch = Wants::of_type(1);
    store.watch(watch.clone());
    let tenant = TenantId::named("แม่เมาะ").unwrap();
    write(&*store, create(bare_entity(0, 0)), at(0)).await.unwrap();
    write(&*store, create(bare_entity(1, 1)), at(1)).await.unwrap();
    write(&*store, create(bare_entity(1, 1)), at(2)).await.unwrap_err();
    let results = store.commit(&HERE, vec![append(1, 0, 5), append(1, 0, 6)], at(3)).await;
    assert!(results.unwrap().iter().all(Result::is_ok));
    store.commit(&tenant, vec![create(bare_entity(1, 1))], at(4)).await.unwrap();
    write(&*store, Write::new(entity_id(1), Action::Delete), at(5)).await.unwrap();
    let events = log(&*store, 0).await;
    let times: Vec<_> = events.iter().map(|event| event.change.at).collect();
    assert_eq!(times, [at(1), at(3), at(3), at(4), at(5)]);
    let tenants: Vec<_> = events.iter().map(|event| event.tenant.clone()).collect();
    assert_eq!(tenants, [HERE, HERE, HERE, tenant, HERE]);
    assert!(events.iter().all(|event| event.bytes > 0 && event.change.id == entity_id(1)));
    let [first, second, third, _, last] = &events[..] else { unreachable!() };
    assert!(first.change.outcome.created && first.change.before.is_none());
    let value = |stored: &Option<Arc<Stored>>| {
        let attribute = stored.as_ref()?.attributes.get(attribute_name(0))?.clone();
        Some(attribute.instances()[0].datum.clone())
    };
    assert_eq!(value(&second.change.before), None);
    assert_eq!(value(&second.change.after), Some(Datum::Property(5.into())));
    assert_eq!(value(&third.change.before), Some(Datum::Property(5.into())));
    assert_eq!(value(&third.change.after), Some(Datum::Property(6.into())));
    assert_eq!(third.change.outcome.updated, [attribute_name(0)]);
    assert_eq!(value(&last.change.before), Some(Datum::Property(6.into())));
    assert!(last.change.after.is_none());
    // Whoever wrote is answered first.
    while watch.told.lock().len() < events.len() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let told: Vec<_> = watch.told.lock().clone();
    let kept: Vec<_> =
        events.iter().map(|event| (event.sequence, event.change.id.clone())).collect();
    assert_eq!(told, kept, "the watch is told what is in the log");
}

/// And the sequence goes on, even when nothing is left of the log.
pub async fn events_survive_a_restart_until_they_are_forgotten<B: Backend>() {
    let mut backend = B::start().await;
    backend.store().watch(Wants::of_type(0));
    create_some(&*backend.store(), 0..20, at(0)).await;
    backend = backend.restart().await;
    let store = backend.store();
    let events = log(&*store, 0).await;
    assert_eq!(events.len(), 20);
    assert_eq!(events[7].change.after.as_ref().unwrap().entity.id, entity_id(7));
    store.forget_events(events[4].sequence).await.unwrap();
    let left = log(&*store, 0).await;
    assert_eq!(left.len(), 15);
    assert_eq!(left[0].sequence, events[5].sequence);
    assert_eq!(log(&*store, events[9].sequence).await.len(), 10);
    assert_eq!(store.latest_event().await.unwrap(), events[19].sequence);
    store.forget_events(u64::MAX).await.unwrap();
    assert!(log(&*store, 0).await.is_empty());
    drop(store);
    backend = backend.restart().await;
    let store = backend.store();
    assert_eq!(store.latest_event().await.unwrap(), events[19].sequence);
    store.watch(Wants::of_type(0));
    create_some(&*store, 20..21, at(0)).await;
    let later = log(&*store, 0).await;
    assert_eq!(later.len(), 1);
    assert!(later[0].sequence > events[19].sequence);
}

/// Sweeping tells of entities that end and of attributes that leave; so does a write that finds
/// an entity expired before it was swept away.
pub async fn expiry_makes_events<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    store.watch(Wants::of_type(1));
    for id in 0..3 {
        let mut entity = bare_entity(id, 1);
        entity.expires_at = (id > 0).then(|| at(10));
        entity.attributes.insert(attribute_name(0), expiring(1, at(5)));
        entity.attributes.insert(attribute_name(1), property(1));
        write(&*store, create(entity), at(0)).await.unwrap();
    }
    let after = log(&*store, 0).await.last().unwrap().sequence;
    write(&*store, create(bare_entity(1, 1)), at(20)).await.unwrap();
    backend.sweep(at(21)).await;
    let events = log(&*store, after).await;
    let ended = |event: &&Event| event.change.after.is_none();
    let mut gone: Vec<_> = events.iter().filter(ended).map(|e| e.change.id.clone()).collect();
    gone.sort();
    assert_eq!(gone, [entity_id(1), entity_id(2)]);
    let [left] = &events.iter().filter(|e| e.change.id == entity_id(0)).collect::<Vec<_>>()[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(left.change.outcome.updated, [attribute_name(0)]);
    let attributes = |stored: &Option<Arc<Stored>>| stored.as_ref().unwrap().attributes.len();
    assert_eq!((attributes(&left.change.before), attributes(&left.change.after)), (2, 1));
    assert_eq!(left.change.at, at(21));
    let again = events.iter().position(|event| event.change.outcome.created).unwrap();
    let end = events.iter().position(|event| event.change.id == entity_id(1)).unwrap();
    assert!(end < again, "the end of an entity is told before its new beginning");
}

/// Many write at once; who follows the log meanwhile meets every event once, in order.
pub async fn who_follows_the_log_skips_nothing<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    store.watch(Wants::of_type(0));
    let writers = (0..4).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for step in 0..25 {
                let id = writer * 100 + step;
                let result = store.commit(&HERE, vec![create(bare_entity(id, 0))], at(0)).await;
                assert!(result.unwrap()[0].is_ok());
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let (mut after, mut seen) = (0, std::collections::BTreeSet::new());
    while seen.len() < 100 {
        let done = writers.iter().all(|writer| writer.is_finished());
        let page = store.events(after, 10).await.unwrap();
        assert!(!(page.is_empty() && done), "only {} of 100 events came", seen.len());
        for event in page {
            assert!(event.sequence > after);
            after = event.sequence;
            assert!(seen.insert(event.change.id));
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

/// A lease can be taken, renewed and given back by its holder.
pub async fn leases_are_taken_renewed_and_released<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let minute = Duration::from_secs(60);
    assert!(store.claim("slot-1", "a", minute).await.unwrap());
    assert!(store.claim("slot-1", "a", minute).await.unwrap());
    assert!(store.claim("slot-2", "a", minute).await.unwrap());
    store.release("slot-1", "a").await.unwrap();
    store.release("slot-1", "a").await.unwrap();
    assert!(store.claim("slot-1", "a", minute).await.unwrap());
}

/// Wants to be told of the past alone.
struct WantsPast;

impl Watch for WantsPast {
    fn wants(&self, _: &TenantId, _: &Change) -> bool {
        false
    }

    fn wants_past(&self, _: &TenantId, change: &Change) -> bool {
        change.outcome.updated.contains(&attribute_name(1))
    }

    fn committed(&self, _: Vec<Event>) {}
}

/// Late readings change nothing of what an entity is, and yet somebody may want to know.
pub async fn changes_of_the_past_make_events<B: Backend>() {
    use crate::model::{Chronology, HistoryAction, HistoryWrite, Instance, Instances};
    let backend = B::start().await;
    let store = backend.store();
    store.watch(Arc::new(WantsPast));
    create_some(&*store, 0..1, at(1)).await;
    let told = |name: usize, seconds: i64| {
        let mut instance = Instance::new(Datum::Property(seconds.into()));
        instance.observed_at = Some(at(seconds));
        let attributes = vec![(attribute_name(name), vec![instance])];
        let told = Chronology { attributes, ..Chronology::default() };
        HistoryWrite { id: entity_id(0), action: HistoryAction::Append(told) }
    };
    let erase = |attribute: usize| HistoryWrite {
        id: entity_id(0),
        action: HistoryAction::DeleteAttribute {
            attribute: attribute_name(attribute),
            instances: Instances::All,
        },
    };
    for (write, now) in [
        (told(1, 50), 100),
        (told(1, 20), 101),
        (told(2, 20), 102),
        (erase(2), 103),
        (erase(1), 104),
        (erase(1), 105),
    ] {
        let outcome = store.commit_history(&HERE, vec![write], at(now)).await;
        assert_eq!(outcome.expect("the store works")[0].is_ok(), now != 105);
    }
    let events = log(&*store, 0).await;
    let times: Vec<_> = events.iter().map(|event| event.change.at).collect();
    assert_eq!(times, [at(100), at(101), at(104)]);
    for event in events {
        assert_eq!(event.change.outcome.updated, [attribute_name(1)]);
        let (before, after) = (event.change.before.unwrap(), event.change.after.unwrap());
        assert_eq!(before.entity, after.entity);
        assert_eq!(after.entity.id, entity_id(0));
    }
}
