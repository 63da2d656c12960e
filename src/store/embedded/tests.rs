//! What only the embedded store promises; the rest is in the suite.

use super::*;
use crate::model::{Action, Name};
use crate::query::{Page, Selector};
use crate::store::samples::{at, bare_entity, entity_id, type_name};

fn open(folder: &std::path::Path) -> Embedded {
    Embedded::open(Settings::new(folder)).unwrap()
}

fn create(id: usize) -> Write {
    Write::new(entity_id(id), Action::Create(bare_entity(id, 1)))
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let tenant = TenantId::DEFAULT;
    let store = open(folder.path());
    let writes = (0..100).map(create).collect();
    let results = store.commit(&tenant, writes, at(0)).await.unwrap();
    assert!(results.iter().all(|result| result.is_ok()));
    drop(store);
    let store = open(folder.path());
    let found = store.get(&tenant, &entity_id(7), at(1)).await.unwrap().unwrap();
    assert_eq!(found.entity.id, entity_id(7));
    let plan = EntityPlan {
        select: vec![Selector {
            types: Some(crate::model::TypeSelection::of(type_name(1))),
            ..Selector::default()
        }],
        page: Page { limit: 20, count: true, offset: 50, after: None },
        ..EntityPlan::default()
    };
    let found = store.find(&tenant, &plan, at(1)).await.unwrap();
    assert_eq!((found.entities.len(), found.count, found.more), (20, Some(100), true));
    assert_eq!(found.entities[0].id, entity_id(50));
    let _ = Name::count();
}
