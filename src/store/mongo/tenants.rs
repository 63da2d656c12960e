//! Tenants: each has a document, laid down before its first entity, and none ever goes.

use futures_util::TryStreamExt;
use mongodb::bson::doc;

use super::{Inner, error};
use crate::model::TenantId;
use crate::store::StoreError;

impl Inner {
    /// Whether a tenant is there. Only one that was never met is asked for.
    pub async fn has_tenant(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        let Some(name) = tenant.name() else { return Ok(true) };
        if self.known.read().contains(tenant) {
            return Ok(true);
        }
        let query = self.tenants.find_one(doc! { "_id": name });
        let found = self.reading(async { query.await }).await?.is_some();
        if found {
            self.known.write().insert(tenant.clone());
        }
        Ok(found)
    }

    /// The error that says a tenant is not there, if so.
    pub async fn check_tenant(&self, tenant: &TenantId) -> Result<(), StoreError> {
        if self.has_tenant(tenant).await? {
            Ok(())
        } else {
            Err(StoreError::UnknownTenant(tenant.clone()))
        }
    }

    /// Brings a tenant into being.
    pub async fn make_tenant(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let Some(name) = tenant.name() else { return Ok(()) };
        if self.known.read().contains(tenant) {
            return Ok(());
        }
        let insert = self.tenants.insert_one(doc! { "_id": name });
        let _permit = self.gate.enter().await?;
        match insert.await {
            Ok(_) => {}
            Err(failure) if error::code(&failure).is_some_and(error::is_duplicate) => {}
            Err(failure) => return Err(error::from_write(&failure)),
        }
        self.known.write().insert(tenant.clone());
        Ok(())
    }

    /// Every tenant, the default one first.
    pub async fn all_tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let all =
            self.reading(async { self.tenants.find(doc! {}).await?.try_collect::<Vec<_>>().await });
        let mut tenants = vec![TenantId::DEFAULT];
        for document in all.await? {
            let name = document.get_str("_id").unwrap_or_default();
            tenants.extend(TenantId::from_kept(name).ok());
        }
        Ok(tenants)
    }
}
