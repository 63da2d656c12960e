//! The event log. An event's number comes from a counter that the same transaction raises, so the
//! order of numbers is the order of commits: who has read up to a number has missed none before.

use futures_util::TryStreamExt;
use mongodb::ClientSession;
use mongodb::bson::raw::cstr;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Document, RawBinaryRef, RawDocument, RawDocumentBuf, doc};
use mongodb::error::Error;
use mongodb::options::{ReadConcern, ReturnDocument};

use super::{Inner, document, error};
use crate::model::{Change, TenantId};
use crate::store::record::{decode_whole_event, encode_whole_event};
use crate::store::{Event, StoreError, Topic};

/// How many bytes of events are read at once; one event is read in any case.
const PAGE_BYTES: usize = 4 << 20;

/// How many events are read at once at most, before their bytes are known.
const PAGE: usize = 1_000;

/// The counter's document among the few that tell about the database.
pub(super) const COUNTER: &str = "events";

impl Inner {
    /// Numbers changes and lays them down as events, within a transaction.
    pub async fn append_events(
        &self,
        session: &mut ClientSession,
        tenant: &TenantId,
        told: Vec<(Topic, Change)>,
    ) -> Result<Vec<Event>, Error> {
        let first = self.number_events(session, told.len()).await?;
        let told = told.into_iter().map(|(topic, change)| (tenant.clone(), topic, change));
        self.lay_down_events(session, first, told.collect()).await
    }

    /// Takes so many numbers within a transaction; the first of them.
    pub async fn number_events(
        &self,
        session: &mut ClientSession,
        count: usize,
    ) -> Result<i64, Error> {
        let count = count as i64;
        let raise =
            self.meta.find_one_and_update(doc! { "_id": COUNTER }, doc! { "$inc": { "n": count } });
        let raised = raise.upsert(true).return_document(ReturnDocument::After);
        let raised = raised.session(session).await?.unwrap_or_default();
        Ok(raised.get_i64("n").unwrap_or(count) - count + 1)
    }

    /// Lays changes down as events from a number on, within the transaction that took it.
    pub async fn lay_down_events(
        &self,
        session: &mut ClientSession,
        first: i64,
        told: Vec<(TenantId, Topic, Change)>,
    ) -> Result<Vec<Event>, Error> {
        let mut events = Vec::with_capacity(told.len());
        let mut documents = Vec::with_capacity(told.len());
        for ((tenant, topic, change), sequence) in told.into_iter().zip(first..) {
            let record = encode_whole_event(&tenant, &topic, &change);
            let mut document = RawDocumentBuf::new();
            document.append(cstr!("_id"), sequence);
            let binary = RawBinaryRef { subtype: BinarySubtype::Generic, bytes: &record };
            document.append(cstr!("r"), binary);
            documents.push(document);
            let bytes = record.len();
            events.push(Event { sequence: sequence as u64, tenant, topic, change, bytes });
        }
        self.events.insert_many(documents).session(session).await?;
        Ok(events)
    }

    /// Events after a number, in order: only those that a majority has, since a number that could
    /// be taken back would be given to another event.
    pub async fn events_after(&self, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let few = limit.min(PAGE);
        if few == 0 {
            return Ok(Vec::new());
        }
        let find = self.events.find(doc! { "_id": { "$gt": after } }).sort(doc! { "_id": 1 });
        let find = find.read_concern(ReadConcern::majority()).limit(few as i64);
        let found = self.reading(async {
            let mut cursor = find.await?;
            let (mut some, mut bytes) = (Vec::new(), 0);
            while let Some(document) = cursor.try_next().await? {
                bytes += document.as_bytes().len();
                some.push(document);
                if bytes >= PAGE_BYTES {
                    break;
                }
            }
            Ok(some)
        });
        let mut events = Vec::new();
        for document in found.await? {
            match read(&document) {
                Ok(event) => events.push(event),
                // What stands before the damage can still be told; then the damage is met first.
                Err(damage) if events.is_empty() => return Err(damage),
                Err(_) => break,
            }
        }
        Ok(events)
    }

    /// The last number that was given to an event that a majority has.
    pub async fn latest_event(&self) -> Result<u64, StoreError> {
        let find = self.meta.find_one(doc! { "_id": COUNTER });
        let find = find.read_concern(ReadConcern::majority());
        let found = self.reading(async { find.await }).await?;
        Ok(found.map_or(0, |counter| counter.get_i64("n").unwrap_or(0)) as u64)
    }

    /// Forgets events up to a number.
    pub async fn forget_events(&self, up_to: u64) -> Result<(), StoreError> {
        let up_to = i64::try_from(up_to).unwrap_or(i64::MAX);
        let filter = doc! { "_id": { "$lte": up_to } };
        let _permit = self.gate.enter().await?;
        match self.events.delete_many(filter).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(error::from_write(&failure)),
        }
    }
}

fn read(document: &RawDocument) -> Result<Event, StoreError> {
    let sequence = document.get_i64("_id").map_err(document::damaged)? as u64;
    let record = document.get_binary("r").map_err(document::damaged)?.bytes;
    let (tenant, topic, change) = decode_whole_event(record).map_err(document::damaged)?;
    Ok(Event { sequence, tenant, topic, change, bytes: record.len() })
}

/// The counter as a new database has it.
pub(super) fn new_counter() -> Document {
    doc! { "_id": COUNTER, "n": 0_i64 }
}
