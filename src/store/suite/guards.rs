//! Promises about what may be kept.

use super::*;
use crate::model::Violation;
use crate::store::Guard;
use crate::store::samples::attribute_name;

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
