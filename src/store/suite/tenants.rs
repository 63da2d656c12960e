//! Promises about tenants.

use super::writes::one_property;
use super::*;

fn tenant(name: &str) -> TenantId {
    TenantId::named(name).unwrap()
}

/// The same id in another tenant, letter case included, is another entity.
pub async fn tenants_do_not_see_each_other<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let tenants = [HERE, tenant("ลำปาง"), tenant("Mae"), tenant("mae")];
    for (number, tenant) in tenants.iter().enumerate() {
        let write = create(bare_entity(0, number));
        assert!(store.commit(tenant, vec![write], at(0)).await.unwrap()[0].is_ok());
    }
    store.commit(&tenants[2], vec![Write::new(entity_id(0), Action::Delete)], at(1)).await.unwrap();
    for (number, tenant) in tenants.iter().enumerate() {
        let there = store.get(tenant, &entity_id(0), at(1)).await.unwrap();
        assert_eq!(there.is_some(), number != 2);
        assert!(there.is_none_or(|entity| entity.has_type(type_name(number))));
        let found = store.find(tenant, &everything(), at(1)).await.unwrap();
        assert_eq!(found.entities.len(), usize::from(number != 2));
        assert_eq!(store.census(tenant, at(1)).await.unwrap().types.len(), found.entities.len());
    }
    let mut listed = store.tenants().await.unwrap();
    listed.sort();
    let mut expected = tenants.to_vec();
    expected.sort();
    assert_eq!(listed, expected);
    drop(store);
    let backend = backend.restart().await;
    assert!(backend.store().get(&tenant("mae"), &entity_id(0), at(1)).await.unwrap().is_some());
}

/// Reading, changing and deleting bring no tenant into being, nor does a creation that is refused.
pub async fn a_tenant_comes_into_being_with_its_first_entity<B: Backend>() {
    let backend = B::start().await;
    let store = backend.store();
    let new = tenant("new");
    let unknown = StoreError::UnknownTenant(new.clone());
    let delete = Write::new(entity_id(0), Action::Delete);
    assert_eq!(store.get(&new, &entity_id(0), at(0)).await.unwrap_err(), unknown);
    assert_eq!(store.find(&new, &everything(), at(0)).await.unwrap_err(), unknown);
    assert_eq!(store.census(&new, at(0)).await.unwrap_err(), unknown);
    assert_eq!(store.commit(&new, vec![delete.clone()], at(0)).await.unwrap_err(), unknown);
    let incomplete = Write::new(entity_id(0), Action::UpsertUpdate(one_property(0, 1)));
    assert!(store.commit(&new, vec![incomplete], at(0)).await.unwrap()[0].is_err());
    assert_eq!(store.get(&new, &entity_id(0), at(0)).await.unwrap_err(), unknown);
    let create = create(bare_entity(0, 0));
    assert!(store.commit(&new, vec![create], at(0)).await.unwrap()[0].is_ok());
    assert!(store.commit(&new, vec![delete], at(1)).await.unwrap()[0].is_ok());
    assert_eq!(store.find(&new, &everything(), at(1)).await.unwrap().entities.len(), 0);
    assert!(store.find(&HERE, &everything(), at(1)).await.unwrap().entities.is_empty());
}
