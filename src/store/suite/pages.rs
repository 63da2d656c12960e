//! Promises about order and pages.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::query::{Anchor, Limits, Order, OrderParams};
use crate::store::samples::{attribute_name, place};

fn page(offset: usize, limit: usize) -> Page {
    Page { offset, limit, count: false, after: None }
}

/// Without an order of its own a query answers in the order of creation, changes or not.
pub async fn entities_come_in_the_order_they_were_created<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    for id in [5, 3, 9, 1] {
        create_some(&*store, id..id + 1, at(id as i64)).await;
    }
    let action = Action::Upsert(bare_entity(5, 0));
    write(&*store, Write::new(entity_id(5), action), at(20)).await.unwrap();
    let expected = [5, 3, 9, 1].map(entity_id);
    assert_eq!(ids(&*store, &everything(), at(20)).await, expected);
    assert_eq!(ids(&*store, &of_type(0, page(1, 2)), at(20)).await, expected[1..3]);
    assert!(ids(&*store, &of_type(0, page(4, 2)), at(20)).await.is_empty());
    assert!(ids(&*store, &of_type(0, page(usize::MAX, 2)), at(20)).await.is_empty());
    drop(store);
    let backend = backend.restart().await;
    assert_eq!(ids(&*backend.store(), &everything(), at(20)).await, expected);
}

/// Who follows the pages meets everyone who was there all the time exactly once.
pub async fn pages_have_neither_gaps_nor_duplicates_while_others_write<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    create_some(&*store, 0..300, at(0)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move {
            // Entities with odd numbers come and go, those with even ones change.
            for step in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let odd = step * 2 % 300 + 1;
                let _ = write(&*store, Write::new(entity_id(odd), Action::Delete), at(1)).await;
                let _ = write(&*store, create(bare_entity(odd + 300, 0)), at(1)).await;
                let even = Action::Upsert(bare_entity(odd - 1, 0));
                write(&*store, Write::new(entity_id(odd - 1), even), at(1)).await.unwrap();
            }
        }
    });
    for _ in 0..5 {
        let mut met = Vec::new();
        let mut after: Option<Anchor> = None;
        loop {
            let plan = of_type(0, Page { offset: 0, limit: 7, count: true, after });
            let found = store.find(&HERE, &plan, at(2)).await.unwrap();
            met.extend(found.entities.iter().map(|entity| entity.id.clone()));
            assert_eq!(found.more, found.next.is_some());
            assert!(found.count.unwrap() >= 150);
            let Some(next) = found.next else { break };
            after = Some(next);
        }
        let distinct: std::collections::HashSet<_> = met.iter().collect();
        assert_eq!(distinct.len(), met.len(), "nobody was met twice");
        for even in (0..300).step_by(2) {
            assert!(distinct.contains(&entity_id(even)), "{even} was not met");
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

/// The plan of a type in an order.
fn in_order(order_by: &str, page: Page) -> EntityPlan {
    let params = OrderParams {
        order_by: Some(order_by),
        order_from: Some("[99,18]"),
        ..OrderParams::default()
    };
    let order = Order::parse(&params, queries::context(), &Limits::default()).unwrap();
    EntityPlan { order, ..of_type(0, page) }
}

/// Pages in an order of one's own go on behind the entity where the last one ended, also when that
/// or others before it are gone.
pub async fn ordered_pages_go_on_where_they_ended<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    // In twos that the order does not tell apart.
    let entity = |id: usize| {
        let mut entity = bare_entity(id, 0);
        entity.attributes.insert(attribute_name(0), property((id / 2) as f64));
        entity.attributes.insert(attribute_name(1), place(99.0 + (id / 2) as f64, 18.0));
        entity.attributes.insert(attribute_name(2), property(format!("ก{}", id / 2).as_str()));
        entity
    };
    for id in 0..10 {
        write(&*store, create(entity(id)), at(id as i64 / 2)).await.unwrap();
    }
    let (up, down) = ([2, 3, 4, 5, 6, 7, 8, 9], [6, 7, 4, 5, 2, 3, 0, 1]);
    for (order, expected) in [
        ("a0", up),
        ("a0;desc", down),
        ("a2,a0;desc", up),
        ("a2;desc", down),
        ("a1;dist-asc", up),
        ("a1;dist-desc", down),
        ("createdAt", up),
        ("createdAt;desc", down),
        ("createdAt;desc,modifiedAt,createdAt", down),
        ("nothing", up),
    ] {
        for count in [false, true] {
            let page = |offset, after| Page { offset, limit: 3, count, after };
            let first = store.find(&HERE, &in_order(order, page(0, None)), at(20)).await.unwrap();
            assert!(first.more, "{order}");
            // The first two go, of which one is at the beginning of every order.
            let gone: Vec<EntityId> =
                first.entities[..2].iter().map(|entity| entity.id.clone()).collect();
            for id in &gone {
                write(&*store, Write::new(id.clone(), Action::Delete), at(20)).await.unwrap();
            }
            let mut met = vec![first.entities[2].id.clone()];
            let mut after = first.next;
            while let Some(place) = after {
                let plan = in_order(order, page(0, Some(place)));
                let found = store.find(&HERE, &plan, at(20)).await.unwrap();
                assert_eq!(found.count, count.then_some(8), "{order}");
                assert_eq!(found.more, found.next.is_some(), "{order}");
                met.extend(found.entities.iter().map(|entity| entity.id.clone()));
                after = found.next;
            }
            assert_eq!(met, expected.map(entity_id), "{order}");
            // An offset counts from the place.
            let plan = in_order(order, Page { offset: 0, limit: 2, count, after: None });
            let place = store.find(&HERE, &plan, at(20)).await.unwrap().next;
            let plan = in_order(order, page(1, place));
            assert_eq!(
                ids(&*store, &plan, at(20)).await,
                expected[3..6].iter().map(|id| entity_id(*id)).collect::<Vec<_>>(),
                "{order}"
            );
            for id in 0..10 {
                let _ = write(&*store, Write::new(entity_id(id), Action::Delete), at(20)).await;
            }
            for id in 0..10 {
                write(&*store, create(entity(id)), at(id as i64 / 2)).await.unwrap();
            }
        }
    }
}

/// Who follows the pages of an order meets everyone who was there all the time, and was ordered by
/// the same values, exactly once.
pub async fn ordered_pages_have_neither_gaps_nor_duplicates_while_others_write<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let entity = |id: usize, more: f64| {
        let mut entity = bare_entity(id, 0);
        entity.attributes.insert(attribute_name(0), property((id * 7 % 40) as f64));
        entity.attributes.insert(attribute_name(1), property(more));
        entity
    };
    let writes = (0..300).map(|id| create(entity(id, 0.0))).collect();
    store.commit(&HERE, writes, at(0)).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move {
            // Entities with odd numbers come and go, those with even ones change elsewhere.
            for step in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let odd = step * 2 % 300 + 1;
                let _ = write(&*store, Write::new(entity_id(odd), Action::Delete), at(1)).await;
                let _ = write(&*store, create(entity(odd, 0.0)), at(1)).await;
                let even = Action::Upsert(entity(odd - 1, step as f64));
                write(&*store, Write::new(entity_id(odd - 1), even), at(1)).await.unwrap();
            }
        }
    });
    for order in ["a0", "a0;desc", "id;desc", "createdAt;desc,id", "createdAt", "a0,id;desc"] {
        let mut met = Vec::new();
        let mut after: Option<Anchor> = None;
        loop {
            let plan = in_order(order, Page { offset: 0, limit: 7, count: false, after });
            let found = store.find(&HERE, &plan, at(2)).await.unwrap();
            met.extend(found.entities.iter().map(|entity| entity.id.clone()));
            assert_eq!(found.more, found.next.is_some());
            let Some(next) = found.next else { break };
            after = Some(next);
        }
        let times = |id: usize| met.iter().filter(|met| **met == entity_id(id)).count();
        for even in (0..300).step_by(2) {
            assert_eq!(times(even), 1, "{even} in the order {order}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

/// A client may send anything.
pub async fn a_wrong_anchor_is_refused<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    create_some(&*store, 0..3, at(0)).await;
    for wrong in ["", "ไม่ใช่", "-1", "zz"] {
        let page = Page { after: Some(Anchor::new(wrong)), ..Page::default() };
        let error = store.find(&HERE, &of_type(0, page), at(0)).await.unwrap_err();
        assert!(matches!(error, StoreError::BadAnchor(_)), "{wrong}");
    }
    for wrong in ["", "0", "ไม่ใช่", "[]", "[1]", "[1,[]]", "[-1,[[\"i\",1]]]", "[1,[[\"i\"]]]"]
    {
        for order in ["a0", "createdAt"] {
            let page = Page { after: Some(Anchor::new(wrong)), ..Page::default() };
            let error = store.find(&HERE, &in_order(order, page), at(0)).await.unwrap_err();
            assert!(matches!(error, StoreError::BadAnchor(_)), "{order} {wrong}");
        }
    }
    // A place by a number is none in an order by time, where the store keeps such an order itself.
    let page = Page { after: Some(Anchor::new("[1,[[\"i\",1]]]")), ..Page::default() };
    let found = store.find(&HERE, &in_order("createdAt", page), at(0)).await;
    assert!(found.is_ok() || matches!(found, Err(StoreError::BadAnchor(_))));
}

/// `limit=0&count=true` (6.3.10).
pub async fn counting_needs_no_page<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    create_some(&*store, 0..30, at(0)).await;
    let plan = of_type(0, Page { offset: 0, limit: 0, count: true, after: None });
    let found = store.find(&HERE, &plan, at(0)).await.unwrap();
    assert_eq!((found.entities.len(), found.count), (0, Some(30)));
    let found = store.find(&HERE, &of_type(1, plan.page), at(0)).await.unwrap();
    assert_eq!((found.entities.len(), found.count, found.more), (0, Some(0), false));
}
