//! Promises about time: expiry, and what a restart leaves.

use super::writes::one_property;
use super::*;
use crate::store::Shelf;
use crate::store::samples::{attribute_name, expiring};

/// Expired entities and attributes are hidden at once, swept away or not.
pub async fn what_has_expired_is_not_there<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    create_some(&*store, 0..2, at(0)).await;
    let mut transient = bare_entity(2, 0);
    transient.expires_at = Some(at(10));
    let mut partly = bare_entity(3, 0);
    partly.attributes.insert(attribute_name(0), expiring(1, at(10)));
    partly.attributes.insert(attribute_name(1), property(1));
    for entity in [transient, partly] {
        write(&*store, create(entity), at(0)).await.unwrap();
    }
    let with_count = |now| {
        let store = store.clone();
        async move {
            let page = Page { count: true, ..Page::default() };
            let found = store.find(&HERE, &of_type(0, page), now).await.unwrap();
            (found.entities.len(), found.count.unwrap())
        }
    };
    assert_eq!(with_count(at(9)).await, (4, 4));
    assert_eq!(with_count(at(10)).await, (3, 3));
    assert!(get(&*store, 2, at(9)).await.is_some());
    assert!(get(&*store, 2, at(10)).await.is_none());
    let census = store.census(&HERE, at(9)).await.unwrap();
    assert_eq!(census.of_type(type_name(0)).unwrap().entities, 4);
    assert!(census.of_attribute(attribute_name(0)).is_some());
    let census = store.census(&HERE, at(10)).await.unwrap();
    assert_eq!(census.of_type(type_name(0)).unwrap().entities, 3);
    assert!(census.of_attribute(attribute_name(0)).is_none());
    assert_eq!(census.of_attribute(attribute_name(1)).unwrap().entities, 1);
    // What is not there can be created.
    let created = write(&*store, create(bare_entity(2, 1)), at(11)).await.unwrap();
    assert!(created.outcome.created && created.before.is_none());
    assert!(get(&*store, 2, at(12)).await.is_some());
    assert_eq!(ids(&*store, &everything(), at(12)).await.len(), 4);
}

/// And their room is given back; what was renewed in time stays.
pub async fn what_has_expired_is_swept_away<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    for id in 0..20 {
        let mut entity = bare_entity(id, 0);
        entity.expires_at = (id % 2 == 0).then(|| at(10));
        entity.attributes.insert(attribute_name(0), expiring(1, at(12)));
        write(&*store, create(entity), at(0)).await.unwrap();
    }
    let mut renewed = bare_entity(4, 0);
    renewed.expires_at = Some(at(100));
    write(&*store, Write::new(entity_id(4), Action::Replace(renewed)), at(5)).await.unwrap();
    backend.sweep(at(11)).await;
    // Reading as of an earlier time shows what is still kept.
    assert_eq!(ids(&*store, &everything(), at(1)).await.len(), 11);
    backend.sweep(at(50)).await;
    let left = get(&*store, 1, at(1)).await.unwrap();
    assert!(left.attributes.is_empty());
    assert_eq!(left.modified_at, at(0), "to expire is no change");
    drop(store);
    let backend = backend.restart().await;
    assert_eq!(ids(&*backend.store(), &everything(), at(1)).await.len(), 11);
    backend.sweep(at(101)).await;
    assert!(get(&*backend.store(), 4, at(1)).await.is_none());
}

/// Entities, order, tenants, records: all of it.
pub async fn everything_is_there_after_a_restart<B: Backend>() {
    let mut backend = B::start().await;
    let tenant = TenantId::named("ลำปาง").unwrap();
    for round in 0..4 {
        let store = backend.store();
        create_some(&*store, round * 50..round * 50 + 50, at(0)).await;
        let writes = (0..10).map(|id| {
            Write::new(
                entity_id(id),
                Action::Append { fragment: one_property(round, 1), overwrite: true },
            )
        });
        store.commit(&HERE, writes.collect(), at(round as i64)).await.unwrap();
        let delete = Write::new(entity_id(round * 50 + 49), Action::Delete);
        write(&*store, delete, at(9)).await.unwrap();
        store.commit(&tenant, vec![create(bare_entity(round, 1))], at(0)).await.unwrap();
        let shelf = Shelf::shared("things");
        store.put_record(&shelf, &format!("{round}"), round.into()).await.unwrap();
        drop(store);
        backend = backend.restart().await;
        let store = backend.store();
        let all = ids(&*store, &everything(), at(9)).await;
        let kept = (0..round * 50 + 50).filter(|id| id % 50 != 49);
        assert_eq!(all, kept.map(entity_id).collect::<Vec<_>>());
        let changed = get(&*store, 3, at(9)).await.unwrap();
        assert_eq!(changed.attributes.len(), round + 1);
        assert_eq!(changed.modified_at, at(round as i64));
        let there = store.find(&tenant, &everything(), at(9)).await.unwrap();
        assert_eq!(there.entities.len(), round + 1);
        assert_eq!(store.records(&shelf).await.unwrap().len(), round + 1);
        let census = store.census(&HERE, at(9)).await.unwrap();
        assert_eq!(census.of_type(type_name(0)).unwrap().entities, all.len() as u64);
        assert_eq!(census.attributes.len(), round + 1);
    }
}

/// Instants with the decimals they came with.
pub const WRITTEN: [&str; 6] = [
    "2026-01-31T12:00:00Z",
    "2026-01-31T12:00:01.50Z",
    "2026-01-31T12:00:02.500Z",
    "2026-01-31T12:00:03.000Z",
    "2026-01-31T12:00:04.0Z",
    "2026-01-31T12:00:05.123400Z",
];

/// What was written as 12:00:00.50Z is not told as 12:00:00.500Z, now or after a restart.
pub async fn instants_keep_their_decimals<B: Backend>() {
    let backend = B::start().await;
    for (id, text) in WRITTEN.iter().enumerate() {
        let time: Timestamp = text.parse().unwrap();
        let far = |text: &str| text.replace("2026", "2099").parse::<Timestamp>().unwrap();
        let mut entity = bare_entity(id, 0);
        entity.expires_at = Some(far(text));
        let mut inner = property(1);
        inner.instances_mut()[0].observed_at = Some(time);
        let mut outer = property(2);
        let instance = &mut outer.instances_mut()[0];
        instance.observed_at = Some(time);
        instance.more_mut().expires_at = Some(far(text));
        instance.more_mut().attributes.insert(attribute_name(1), inner.clone());
        entity.attributes.insert(attribute_name(0), outer);
        entity.attributes.insert(attribute_name(1), inner);
        write(&*backend.store(), create(entity), at(0)).await.unwrap();
    }
    let backend = backend.restart().await;
    for (id, text) in WRITTEN.iter().enumerate() {
        let entity = get(&*backend.store(), id, at(1)).await.unwrap();
        let far = text.replace("2026", "2099");
        assert_eq!(entity.expires_at.unwrap().to_string(), far);
        let outer = &entity.attributes.get(attribute_name(0)).unwrap().instances()[0];
        assert_eq!(outer.observed_at.unwrap().to_string(), *text);
        assert_eq!(outer.more.as_deref().unwrap().expires_at.unwrap().to_string(), far);
        let within = &outer.attributes().get(attribute_name(1)).unwrap().instances()[0];
        assert_eq!(within.observed_at.unwrap().to_string(), *text);
        let plain = &entity.attributes.get(attribute_name(1)).unwrap().instances()[0];
        assert_eq!(plain.observed_at.unwrap().to_string(), *text);
        assert!(plain.more.is_none(), "nothing else is said of it");
    }
}
