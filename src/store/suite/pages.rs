//! Promises about order and pages.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::query::Anchor;

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
