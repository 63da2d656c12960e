//! Promises about what may be kept.

use super::*;
use crate::model::Violation;
use crate::store::samples::attribute_name;
use crate::store::{Guard, Told};

/// Refuses entities that have one attribute.
struct Without(usize);

impl Guard for Without {
    fn check(&self, _: &TenantId, after: &Entity) -> Result<(), Refusal> {
        match after.attributes.get(attribute_name(self.0)) {
            None => Ok(()),
            Some(_) => Err(Refusal::Unfit {
                id: after.id.clone(),
                model: "M".into(),
                violations: vec![Violation {
                    attribute: "a".into(),
                    dataset: None,
                    path: String::new(),
                    expected: "nothing".to_owned(),
                    received: "something".to_owned(),
                }],
            }),
        }
    }
}

/// A guard sees what an entity would become, whatever the operation; what it refuses has no effect
/// and hinders no other write of the commit.
pub async fn what_a_guard_refuses_is_not_kept<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    store.guard(Arc::new(Without(3)));
    create_some(&*store, 0..2, at(1)).await;
    let spoilt = |id: usize| {
        let mut fragment = crate::model::Fragment::default();
        let patch = crate::model::InstancePatch {
            kind: Some(crate::model::Kind::Property),
            datum: Some(crate::model::Datum::Property(1.into())),
            ..Default::default()
        };
        let patch = crate::model::AttributePatch(vec![crate::model::InstanceEdit::Put(patch)]);
        fragment.attributes.push((attribute_name(3), patch));
        Write::new(entity_id(id), Action::Append { fragment, overwrite: true })
    };
    let before = get(&*store, 0, at(2)).await.expect("it is there");
    let writes = vec![spoilt(0), create(bare_entity(7, 0)), spoilt(7)];
    let results = store.commit(&HERE, writes, at(2)).await.expect("the store works");
    let kept: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(kept, [false, true, false]);
    assert!(matches!(&results[0], Err(Refusal::Unfit { violations, .. }) if violations.len() == 1));
    let after = get(&*store, 0, at(3)).await.expect("it is there");
    assert_eq!(before.entity, after.entity);
    let created = get(&*store, 7, at(3)).await.expect("it is there");
    assert!(created.attributes.get(attribute_name(3)).is_none());
}

/// What is told of the past is judged where it changes what the entity is now, and only there.
pub async fn what_a_guard_refuses_does_not_come_by_history<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    store.guard(Arc::new(Without(3)));
    create_some(&*store, 0..1, at(1)).await;
    let told = |name: usize, id: usize| {
        let mut instance = crate::model::Instance::new(crate::model::Datum::Property(1_i64.into()));
        instance.observed_at = Some(at(5));
        let told = crate::model::Chronology {
            types: vec![type_name(0)],
            attributes: vec![(attribute_name(name), vec![instance])],
            ..Default::default()
        };
        let action = crate::model::HistoryAction::Upsert(told);
        crate::model::HistoryWrite { id: entity_id(id), action }
    };
    let writes = vec![told(3, 0), told(2, 0), told(3, 8)];
    let results = store.commit_history(&HERE, writes, at(9)).await.expect("the store works");
    let kept: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(kept, [false, true, false]);
    let after = get(&*store, 0, at(10)).await.expect("it is there");
    assert!(after.attributes.get(attribute_name(3)).is_none());
    assert!(after.attributes.get(attribute_name(2)).is_some());
    assert!(get(&*store, 8, at(10)).await.is_none());
}

/// What is copied from another place is kept as it is there, whatever the guard says of it.
pub async fn a_guard_is_not_asked_of_what_is_copied<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    store.guard(Arc::new(Without(3)));
    let mut entity = bare_entity(0, 0);
    let spoilt = crate::model::Instance::new(crate::model::Datum::Property(1_i64.into()));
    entity.attributes.insert(attribute_name(3), crate::model::Attribute::one(spoilt));
    let write = |action| vec![Write::new(entity_id(0), action)];
    let refused = store.commit(&HERE, write(Action::Create(entity.clone())), at(1)).await;
    assert!(refused.expect("the store works")[0].is_err());
    let copied = store.commit(&HERE, write(Action::Restore(entity.clone())), at(1)).await;
    assert!(copied.expect("the store works")[0].is_ok());
    let kept = get(&*store, 0, at(2)).await.expect("it is there");
    assert!(kept.attributes.get(attribute_name(3)).is_some());
}

/// Refuses that anything is told of one attribute in the past.
struct NoPast(usize);

impl Guard for NoPast {
    fn check(&self, _: &TenantId, _: &Entity) -> Result<(), Refusal> {
        Ok(())
    }

    fn check_past(&self, _: &TenantId, told: Told<'_>) -> Result<(), Refusal> {
        assert!(told.types.contains(&type_name(0)), "its types are known");
        match told.attributes.iter().any(|(name, _)| *name == attribute_name(self.0)) {
            false => Ok(()),
            true => Err(Refusal::Incomplete(format!("{:?}", told.entity.is_some()))),
        }
    }
}

/// A guard sees what is told of the past, too, where it does not change what the entity is now.
pub async fn what_a_guard_refuses_of_the_past_is_not_kept<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    store.guard(Arc::new(NoPast(3)));
    create_some(&*store, 0..1, at(50)).await;
    let told = |name: usize, time: i64| {
        let mut instance = crate::model::Instance::new(crate::model::Datum::Property(1_i64.into()));
        instance.observed_at = Some(at(time));
        let told = crate::model::Chronology {
            attributes: vec![(attribute_name(name), vec![instance])],
            ..Default::default()
        };
        let action = crate::model::HistoryAction::Append(told);
        crate::model::HistoryWrite { id: entity_id(0), action }
    };
    let new = store.commit_history(&HERE, vec![told(2, 60)], at(60)).await;
    assert!(new.expect("the store works")[0].is_ok());
    let writes = vec![told(2, 5), told(3, 5)];
    let results = store.commit_history(&HERE, writes, at(61)).await.expect("the store works");
    let kept: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(kept, [true, false]);
}
