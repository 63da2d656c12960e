//! Records that change together with the events that tell of it, in one transaction.

use std::time::{Duration, Instant};

use mongodb::ClientSession;
use mongodb::bson::doc;
use mongodb::error::{Error, TRANSIENT_TRANSACTION_ERROR};

use super::session::Session;
use super::{Inner, error, records};
use crate::store::{Event, Note, RecordEdit, Shelf, StoreError};

/// What became of a transaction.
enum Noted {
    Done(Vec<Event>),
    /// The record was not as the edit wants it.
    Refused,
    /// Others were faster.
    Conflict,
}

impl Inner {
    /// See [`Store::note_record`](crate::store::Store::note_record).
    pub async fn note_record(
        &self,
        shelf: &Shelf,
        key: &str,
        edit: &RecordEdit,
        notes: &[Note],
    ) -> Result<bool, StoreError> {
        match edit {
            RecordEdit::Add(_) => self.prepare_shelf(shelf).await?,
            RecordEdit::Replace(_) | RecordEdit::Take | RecordEdit::Leave => {
                self.check_shelf(shelf).await?;
            }
        }
        // Transactions that number events cannot run side by side.
        let _turn = self.events_turn.lock().await;
        let begun = Instant::now();
        for attempt in 0_u64.. {
            let _permit = self.gate.enter().await?;
            let noted = self.transact_record(shelf, key, edit, notes);
            match tokio::time::timeout(self.settings.patience, noted).await {
                Ok(Ok(Noted::Done(events))) => {
                    if let Some(watch) = self.watch.get() {
                        watch.committed(events);
                    }
                    return Ok(true);
                }
                Ok(Ok(Noted::Refused)) => return Ok(false),
                Ok(Ok(Noted::Conflict)) => {}
                Ok(Err(failure)) if error::is_unsent(&failure) => {}
                Ok(Err(failure)) if error::is_passing(&failure) => {
                    return Err(StoreError::Uncertain(failure.kind.to_string()));
                }
                Ok(Err(failure)) => return Err(error::from_write(&failure)),
                Err(_) => {
                    let late = "MongoDB did not answer in time".to_owned();
                    return Err(StoreError::Uncertain(late));
                }
            }
            if begun.elapsed() >= self.settings.patience {
                break;
            }
            tokio::time::sleep(Duration::from_millis(attempt.min(20) + 1)).await;
        }
        Err(StoreError::Busy)
    }

    async fn transact_record(
        &self,
        shelf: &Shelf,
        key: &str,
        edit: &RecordEdit,
        notes: &[Note],
    ) -> Result<Noted, Error> {
        let mut session = Session::begin(self).await?;
        let events = match self.prepare_record(&mut session, shelf, key, edit, notes).await {
            Ok(Some(events)) => events,
            Ok(None) => {
                session.abort().await;
                return Ok(Noted::Refused);
            }
            Err(failure) => {
                session.abort().await;
                let duplicate = error::code(&failure).is_some_and(error::is_duplicate);
                if duplicate || failure.contains_label(TRANSIENT_TRANSACTION_ERROR) {
                    return Ok(Noted::Conflict);
                }
                return Err(failure);
            }
        };
        match session.commit().await {
            Ok(()) => Ok(Noted::Done(events)),
            Err(failure) if failure.contains_label(TRANSIENT_TRANSACTION_ERROR) => {
                Ok(Noted::Conflict)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Everything up to the commit; None if the record is not as the edit wants it.
    async fn prepare_record(
        &self,
        session: &mut ClientSession,
        shelf: &Shelf,
        key: &str,
        edit: &RecordEdit,
        notes: &[Note],
    ) -> Result<Option<Vec<Event>>, Error> {
        let id = records::id(shelf, key);
        let living = doc! { "_id": id.clone(), "gone": { "$exists": false } };
        let there = self.records.find_one(living).session(&mut *session).await?.is_some();
        if there == matches!(edit, RecordEdit::Add(_)) {
            return Ok(None);
        }
        let stamp = self.clock.stamp();
        match edit {
            RecordEdit::Add(record) | RecordEdit::Replace(record) => {
                let update = doc! {
                    "$set": { "r": record.to_string(), "v": stamp },
                    "$unset": { "gone": "" },
                };
                let put = self.records.update_one(doc! { "_id": id }, update).upsert(true);
                put.session(&mut *session).await?;
            }
            RecordEdit::Take => {
                let mark =
                    vec![doc! { "$set": { "v": stamp, "gone": "$$NOW" } }, doc! { "$unset": "r" }];
                self.records.update_one(doc! { "_id": id }, mark).session(&mut *session).await?;
            }
            RecordEdit::Leave => {}
        }
        let owner = shelf.tenant.clone().unwrap_or_default();
        let told = notes.iter().map(|note| (note.topic.clone(), note.change.clone()));
        self.append_events(session, &owner, told.collect()).await.map(Some)
    }
}
