//! Promises about records on shelves.

use serde_json::json;

use super::*;
use crate::model::{Outcome, SubscriptionId};
use crate::store::{Note, RecordEdit, Records, Shelf, Topic};

/// Put replaces, add does not, take says whether there was one.
pub async fn records_are_put_added_and_taken<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let shelf = Shelf::shared("contexts");
    let key = "https://example.org/ไทย?a=1";
    assert_eq!(store.record(&shelf, key).await.unwrap(), None);
    assert!(store.add_record(&shelf, key, json!({"a": 1})).await.unwrap());
    assert!(!store.add_record(&shelf, key, json!({"a": 2})).await.unwrap());
    assert_eq!(store.record(&shelf, key).await.unwrap(), Some(json!({"a": 1})));
    store.put_record(&shelf, key, json!({"a": 3})).await.unwrap();
    store.put_record(&shelf, "b", json!([])).await.unwrap();
    let others = Shelf::shared("context");
    store.put_record(&others, "c", json!(1)).await.unwrap();
    let all = store.records(&shelf).await.unwrap();
    assert_eq!(all, [("b".to_owned(), json!([])), (key.to_owned(), json!({"a": 3}))]);
    for (offset, limit, expected) in [(0, 1, &all[..1]), (1, 5, &all[1..]), (2, 5, &[])] {
        let page = store.records_page(&shelf, offset, limit).await.unwrap();
        assert_eq!(page, (expected.to_vec(), 2));
    }
    assert!(store.take_record(&shelf, key).await.unwrap());
    assert!(!store.take_record(&shelf, key).await.unwrap());
    assert_eq!(store.record(&shelf, key).await.unwrap(), None);

    let typed: Records<'_, Vec<u32>> = Records::on(&*store, Shelf::shared("typed"));
    typed.put("x", &vec![1, 2]).await.unwrap();
    assert!(!typed.add("x", &vec![3]).await.unwrap());
    assert_eq!(typed.get("x").await.unwrap(), Some(vec![1, 2]));
    assert_eq!(typed.all().await.unwrap(), [("x".to_owned(), vec![1, 2])]);
    store.put_record(&Shelf::shared("typed"), "y", json!("no list")).await.unwrap();
    assert!(matches!(typed.get("y").await.unwrap_err(), StoreError::BadRecord { .. }));
    assert!(typed.take("x").await.unwrap());
    // Many at once ask for one place; one gets it.
    let mut tasks = Vec::new();
    for number in 0..16 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            store.add_record(&Shelf::shared("race"), "place", json!(number)).await.unwrap()
        }));
    }
    let mut winners = 0;
    for task in tasks {
        winners += usize::from(task.await.unwrap());
    }
    assert_eq!(winners, 1);
}

/// A tenant's records are its own; laying one down brings the tenant into being.
pub async fn records_of_tenants_are_apart<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let tenant = |name| TenantId::named(name).unwrap();
    let (one, two) = (Shelf::of(&tenant("one"), "s"), Shelf::of(&tenant("two"), "s"));
    let unknown = StoreError::UnknownTenant(tenant("one"));
    assert_eq!(store.records(&one).await.unwrap_err(), unknown);
    assert_eq!(store.take_record(&one, "k").await.unwrap_err(), unknown);
    store.put_record(&one, "k", json!(1)).await.unwrap();
    store.put_record(&two, "k", json!(2)).await.unwrap();
    store.put_record(&Shelf::of(&HERE, "s"), "k", json!(3)).await.unwrap();
    store.put_record(&Shelf::shared("s"), "k", json!(4)).await.unwrap();
    drop(store);
    let backend = backend.restart().await;
    let store = backend.store();
    for (shelf, value) in [(one, 1), (two, 2), (Shelf::of(&HERE, "s"), 3), (Shelf::shared("s"), 4)]
    {
        assert_eq!(store.records(&shelf).await.unwrap(), [("k".to_owned(), json!(value))]);
    }
    assert_eq!(store.tenants().await.unwrap().len(), 3);
}

/// The events are there if and only if the record was changed, or left; they need nobody who wants
/// them.
pub async fn a_record_changes_together_with_its_events<B: Backend>() {
    let mut backend = B::start().await;
    let tenant = TenantId::named("ลำปาง").unwrap();
    let shelf = Shelf::of(&tenant, "registrations");
    let topic = |number: usize| match number % 3 {
        0 => Topic::Registration,
        1 => Topic::Subscription,
        _ => Topic::Told(SubscriptionId::from_trusted(&format!("urn:s:{number}"))),
    };
    let note = |number: usize| {
        let change = Change {
            id: entity_id(number),
            at: at(number as i64),
            before: None,
            after: Some(Stored::new(bare_entity(number, 0))),
            outcome: Outcome::default(),
        };
        Note { topic: topic(number), change }
    };
    let store = backend.store();
    let unknown = store.note_record(&shelf, "a", RecordEdit::Take, vec![note(0)]);
    assert_eq!(unknown.await.unwrap_err(), StoreError::UnknownTenant(tenant.clone()));
    let steps = [
        (RecordEdit::Add(json!({"a": 1})), true, Some(json!({"a": 1}))),
        (RecordEdit::Leave, true, Some(json!({"a": 1}))),
        (RecordEdit::Add(json!({"a": 2})), false, Some(json!({"a": 1}))),
        (RecordEdit::Replace(json!({"a": 3})), true, Some(json!({"a": 3}))),
        (RecordEdit::Take, true, None),
        (RecordEdit::Take, false, None),
        (RecordEdit::Leave, false, None),
        (RecordEdit::Replace(json!({"a": 4})), false, None),
        (RecordEdit::Add(json!({"a": 5})), true, Some(json!({"a": 5}))),
    ];
    let mut kept = Vec::new();
    for (number, (edit, done, left)) in steps.into_iter().enumerate() {
        let result =
            store.note_record(&shelf, "a", edit, vec![note(number), note(number + 100)]).await;
        assert_eq!(result.unwrap(), done, "step {number}");
        assert_eq!(store.record(&shelf, "a").await.unwrap(), left, "step {number}");
        let notes = [number, number + 100].into_iter().filter(|_| done);
        kept.extend(notes.map(|number| (entity_id(number), topic(number))));
    }
    drop(store);
    backend = backend.restart().await;
    let store = backend.store();
    assert_eq!(store.record(&shelf, "a").await.unwrap(), Some(json!({"a": 5})));
    let events = store.events(0, 100).await.unwrap();
    let told: Vec<_> =
        events.iter().map(|one| (one.change.id.clone(), one.topic.clone())).collect();
    assert_eq!(told, kept);
    assert!(events.iter().all(|event| event.tenant == tenant && event.change.after.is_some()));
}
