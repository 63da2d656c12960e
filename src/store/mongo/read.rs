//! Entities by id.

use std::future::Future;
use std::sync::Arc;

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use mongodb::options::{Hint, ReadConcern};
use rustc_hash::FxHashMap;

use super::cache::Held;
use super::{Inner, document, error};
use crate::model::{EntityId, Stored, TenantId};
use crate::store::StoreError;

impl Inner {
    /// Reads through the gate, for as long as anyone waits.
    pub async fn reading<T>(
        &self,
        read: impl Future<Output = mongodb::error::Result<T>>,
    ) -> Result<T, StoreError> {
        let _permit = self.gate.enter().await?;
        self.in_patience(read).await
    }

    /// Waits for a read as long as anyone waits.
    async fn in_patience<T>(
        &self,
        read: impl Future<Output = mongodb::error::Result<T>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.settings.patience, read).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(failure)) => Err(error::from_read(&failure)),
            Err(_) => Err(StoreError::Broken("MongoDB did not answer in time".into())),
        }
    }

    /// The entity of an id, with expired ones too.
    pub async fn read_one(
        &self,
        tenant: &TenantId,
        id: &EntityId,
    ) -> Result<Option<Arc<Held>>, StoreError> {
        let by_id = doc! { "_id": key(tenant, id) };
        let find = self.entities.find_one(by_id).projection(what_is_read());
        let found = self.reading(async { find.await }).await?;
        if found.is_none() {
            self.cache.forget(tenant, id);
        }
        found.map(|document| self.held(tenant, id, &document)).transpose()
    }

    /// The entities of some ids, in one round trip. If it must be certain, only what a majority
    /// has counts, which no loss of a primary can take back.
    pub async fn read_many(
        &self,
        tenant: &TenantId,
        ids: &[EntityId],
        certain: bool,
    ) -> Result<FxHashMap<EntityId, Arc<Held>>, StoreError> {
        if let ([id], false) = (ids, certain) {
            let held = self.read_one(tenant, id).await?;
            return Ok(held.map(|held| (id.clone(), held)).into_iter().collect());
        }
        let _permit = self.gate.enter().await?;
        self.fetch_many(tenant, ids, certain).await
    }

    /// See [`Inner::read_many`], for those who are through the gate.
    pub async fn fetch_many(
        &self,
        tenant: &TenantId,
        ids: &[EntityId],
        certain: bool,
    ) -> Result<FxHashMap<EntityId, Arc<Held>>, StoreError> {
        let mut found = FxHashMap::default();
        // A filter is a document too, and must not outgrow what a document may be.
        for some in ids.chunks(MAX_IDS) {
            let by_ids = of_keys(some.iter().map(|id| (tenant, id)));
            let mut projection = what_is_read();
            projection.insert("_id", 1);
            let concern = if certain { ReadConcern::majority() } else { ReadConcern::local() };
            let find = self.entities.find(by_ids).hint(ids_index()).projection(projection);
            let find = find.read_concern(concern).batch_size(some.len() as u32 + 1);
            let documents: Vec<RawDocumentBuf> =
                self.in_patience(async { find.await?.try_collect().await }).await?;
            for document in documents {
                let id = id_of(&document)?;
                let held = self.held(tenant, &id, &document)?;
                found.insert(id, held);
            }
        }
        Ok(found)
    }

    /// The entity of a document; the one that is remembered if it is the same.
    pub fn held(
        &self,
        tenant: &TenantId,
        id: &EntityId,
        document: &RawDocument,
    ) -> Result<Arc<Held>, StoreError> {
        let (held, is_known) = self.held_for_now(tenant, id, document)?;
        if !is_known {
            self.cache.remember(tenant, held.clone());
        }
        Ok(held)
    }

    /// The same, and whether it is remembered: for those who look at more entities than they need.
    pub fn held_for_now(
        &self,
        tenant: &TenantId,
        id: &EntityId,
        document: &RawDocument,
    ) -> Result<(Arc<Held>, bool), StoreError> {
        let stamps = document::stamps(document)?;
        self.clock.saw(stamps.version);
        if let Some(known) = self.cache.get(tenant, id)
            && known.stamps.version == stamps.version
        {
            return Ok((known, true));
        }
        let entity = Stored::new(document::entity(document)?);
        Ok((Arc::new(Held { stamps, entity }), false))
    }
}

/// More ids than this are asked for by and by.
const MAX_IDS: usize = 5_000;

/// What of a document is read: its stamps and its record.
pub(super) fn what_is_read() -> Document {
    doc! { "_id": 0, "s": 1, "v": 1, "p": 1, "r": 1 }
}

/// The `_id` of an entity, for filters.
pub(super) fn key(tenant: &TenantId, id: &EntityId) -> Document {
    doc! { "t": document::tenant_name(tenant), "i": id.as_str() }
}

/// Lets documents of some entities through. The first member is what the index of ids holds, the
/// others what a router looks for, so that it asks those shards alone that may have them.
pub(super) fn of_keys<'k>(keys: impl Iterator<Item = (&'k TenantId, &'k EntityId)>) -> Document {
    let (mut all, mut ids, mut tenants) = (Vec::new(), Vec::new(), Vec::new());
    for (tenant, id) in keys {
        all.push(Bson::from(key(tenant, id)));
        ids.push(Bson::from(id.as_str()));
        let tenant = Bson::from(document::tenant_name(tenant));
        if !tenants.contains(&tenant) {
            tenants.push(tenant);
        }
    }
    doc! { "_id": { "$in": all }, "_id.t": { "$in": tenants }, "_id.i": { "$in": ids } }
}

/// The index that serves [`of_keys`]; all others that begin with the tenant would be tried, too.
pub(super) fn ids_index() -> Hint {
    Hint::Name("_id_".to_owned())
}

/// The id in a document's `_id`.
pub(super) fn id_of(document: &RawDocument) -> Result<EntityId, StoreError> {
    let key = document.get_document("_id").map_err(document::damaged)?;
    Ok(EntityId::from_trusted(key.get_str("i").map_err(document::damaged)?))
}
