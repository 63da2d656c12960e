//! Records on shelves: JSON as text, since BSON dislikes some names and cannot hold all numbers.
//!
//! A record that is taken leaves a mark for a while, so that a broker that only looks now and then
//! learns of it as well.

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use serde_json::Value as Json;

use super::{Inner, document, error};
use crate::model::TenantId;
use crate::store::{HISTORY_RULES, Shelf, StoreError};

impl Inner {
    pub async fn put_record(
        &self,
        shelf: &Shelf,
        key: &str,
        record: &Json,
    ) -> Result<(), StoreError> {
        self.prepare_shelf(shelf).await?;
        self.lay_down(shelf, key, record, false).await.map(drop)
    }

    pub async fn add_record(
        &self,
        shelf: &Shelf,
        key: &str,
        record: &Json,
    ) -> Result<bool, StoreError> {
        self.prepare_shelf(shelf).await?;
        self.lay_down(shelf, key, record, true).await
    }

    /// Lays a record down; one that is there is in the way if it must be new.
    async fn lay_down(
        &self,
        shelf: &Shelf,
        key: &str,
        record: &Json,
        new: bool,
    ) -> Result<bool, StoreError> {
        let id = id(shelf, key);
        let mut filter = doc! { "_id": id };
        if new {
            filter.insert("gone", doc! { "$exists": true });
        }
        let update = doc! {
            "$set": { "r": record.to_string(), "v": self.clock.stamp() },
            "$unset": { "gone": "" },
        };
        let _permit = self.gate.enter().await?;
        let laid = self.records.update_one(filter, update).upsert(true).await;
        self.record_changed(shelf.name, shelf.tenant.as_ref());
        match laid {
            Ok(_) => Ok(true),
            Err(failure) if error::code(&failure).is_some_and(error::is_duplicate) => {
                if new {
                    Ok(false)
                } else {
                    Err(error::from_write(&failure))
                }
            }
            Err(failure) => Err(error::from_write(&failure)),
        }
    }

    /// Lays a record down unless the one that is there has a higher fence.
    pub async fn put_fenced(
        &self,
        shelf: &Shelf,
        key: &str,
        record: &Json,
        fence: u64,
    ) -> Result<bool, StoreError> {
        self.prepare_shelf(shelf).await?;
        let fence = i64::try_from(fence).unwrap_or(i64::MAX);
        let filter = doc! { "_id": id(shelf, key), "f": { "$not": { "$gt": fence } } };
        let update = doc! {
            "$set": { "r": record.to_string(), "v": self.clock.stamp(), "f": fence },
            "$unset": { "gone": "" },
        };
        let _permit = self.gate.enter().await?;
        // Whoever begins the record at the same time is in the way once only.
        for last in [false, true] {
            let lay = self.records.update_one(filter.clone(), update.clone()).upsert(true);
            let laid = lay.await;
            self.record_changed(shelf.name, shelf.tenant.as_ref());
            match laid {
                Ok(_) => return Ok(true),
                Err(failure) if error::code(&failure).is_some_and(error::is_duplicate) => {
                    if last {
                        break;
                    }
                }
                Err(failure) => return Err(error::from_write(&failure)),
            }
        }
        Ok(false)
    }

    pub async fn take_record(&self, shelf: &Shelf, key: &str) -> Result<bool, StoreError> {
        self.check_shelf(shelf).await?;
        let filter = doc! { "_id": id(shelf, key), "gone": { "$exists": false } };
        let mark = vec![
            doc! { "$set": { "v": self.clock.stamp(), "gone": "$$NOW" } },
            doc! { "$unset": "r" },
        ];
        let _permit = self.gate.enter().await?;
        let taken = self.records.update_one(filter, mark).await;
        self.record_changed(shelf.name, shelf.tenant.as_ref());
        match taken {
            Ok(result) => Ok(result.matched_count > 0),
            Err(failure) => Err(error::from_write(&failure)),
        }
    }

    pub async fn record(&self, shelf: &Shelf, key: &str) -> Result<Option<Json>, StoreError> {
        self.check_shelf(shelf).await?;
        let find =
            self.records.find_one(doc! { "_id": id(shelf, key), "gone": { "$exists": false } });
        let found = self.reading(async { find.await }).await?;
        found.map(|document| read(&document).map(|(_, record)| record)).transpose()
    }

    pub async fn records(&self, shelf: &Shelf) -> Result<Vec<(String, Json)>, StoreError> {
        self.check_shelf(shelf).await?;
        self.shelf(shelf).await
    }

    /// What lies on a shelf, whether its tenant is there or not.
    pub async fn shelf(&self, shelf: &Shelf) -> Result<Vec<(String, Json)>, StoreError> {
        let find = self.records.find(of_shelf(shelf)).sort(doc! { "_id": 1 });
        let all: Vec<RawDocumentBuf> =
            self.reading(async { find.await?.try_collect().await }).await?;
        all.iter().map(read).collect()
    }

    /// Some of what lies on a shelf, ordered by key, and how much there is in all.
    pub async fn records_page(
        &self,
        shelf: &Shelf,
        offset: usize,
        limit: usize,
    ) -> Result<(Vec<(String, Json)>, usize), StoreError> {
        self.check_shelf(shelf).await?;
        let count = self.records.count_documents(of_shelf(shelf));
        let count = self.reading(async { count.await }).await?;
        // No limit is what zero means to the database.
        if limit == 0 || offset as u64 >= count {
            return Ok((Vec::new(), count as usize));
        }
        let find = self.records.find(of_shelf(shelf)).sort(doc! { "_id": 1 });
        let find = find.skip(offset as u64).limit(i64::try_from(limit).unwrap_or(i64::MAX));
        let some: Vec<RawDocumentBuf> =
            self.reading(async { find.await?.try_collect().await }).await?;
        let some = some.iter().map(read).collect::<Result<_, _>>()?;
        Ok((some, count as usize))
    }

    /// What others must not believe any more, now that a record has changed.
    pub fn record_changed(&self, shelf: &str, tenant: Option<&TenantId>) {
        if let Some(tenant) = tenant.filter(|_| shelf == HISTORY_RULES) {
            self.history.forget_rules(tenant);
        }
    }

    /// Laying a record down brings its tenant into being.
    pub(super) async fn prepare_shelf(&self, shelf: &Shelf) -> Result<(), StoreError> {
        match &shelf.tenant {
            Some(tenant) => self.make_tenant(tenant).await,
            None => Ok(()),
        }
    }

    pub(super) async fn check_shelf(&self, shelf: &Shelf) -> Result<(), StoreError> {
        match &shelf.tenant {
            Some(tenant) => self.check_tenant(tenant).await,
            None => Ok(()),
        }
    }
}

/// The `_id` of a record: the shelf, whose it is (null for all tenants), and the key.
pub(super) fn id(shelf: &Shelf, key: &str) -> Document {
    let tenant = shelf.tenant.as_ref().map(document::tenant_name);
    doc! { "n": shelf.name, "t": tenant, "k": key }
}

/// A range of the index of ids: from the shelf's least key to beyond its greatest.
fn of_shelf(shelf: &Shelf) -> Document {
    let mut beyond = id(shelf, "");
    beyond.insert("k", Bson::MaxKey);
    doc! {
        "_id": { "$gte": id(shelf, ""), "$lt": beyond },
        "gone": { "$exists": false },
    }
}

fn read(document: &RawDocumentBuf) -> Result<(String, Json), StoreError> {
    let key =
        document.get_document("_id").and_then(|id| id.get_str("k")).map_err(document::damaged)?;
    let text = document.get_str("r").map_err(document::damaged)?;
    let record = serde_json::from_str(text)
        .map_err(|error| StoreError::BadRecord { key: key.to_owned(), why: error.to_string() })?;
    Ok((key.to_owned(), record))
}
