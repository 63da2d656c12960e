//! Transactions that do not outlive those who began them.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::{Error, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::ReadConcern;
use mongodb::{ClientSession, Collection};
use tokio::runtime::Handle;

use super::Inner;

/// How long one waits before a commit of which nobody knows whether it was done is repeated.
const AGAIN: Duration = Duration::from_millis(50);

/// How long, and how often, one tries to have a transaction ended that was given up. After a minute
/// the server does so by itself.
const PATIENCE: Duration = Duration::from_secs(5);
const TRIES: u32 = 12;

/// A session with the database, in a transaction or looking at one moment.
///
/// Whoever waits for a transaction may go away in the midst of it: a client that hangs up, an answer
/// that does not come in time. The driver takes back what it knows to be under way, but not a
/// transaction whose first command, or whose commit, was not answered yet. On the server that one
/// would keep everyone else from what it has changed for a minute; if it has numbered events, from
/// every change that somebody wants to be told of. So a session that is dropped in a transaction
/// begins another: the server then takes the one before back, and refuses what still comes of it.
pub(super) struct Session {
    /// There until it is dropped.
    session: Option<ClientSession>,
    meta: Collection<Document>,
    /// A transaction was begun, and neither committed nor taken back.
    is_open: bool,
}

impl Session {
    /// Begins a transaction.
    pub async fn begin(inner: &Inner) -> Result<Self, Error> {
        let mut session = inner.client.start_session().await?;
        session.start_transaction().read_concern(ReadConcern::majority()).await?;
        Ok(Self { session: Some(session), meta: inner.meta.clone(), is_open: true })
    }

    /// Begins to look at everything as of one moment.
    pub async fn look(inner: &Inner) -> Result<Self, Error> {
        if !inner.settings.majority {
            // A snapshot is what a majority has: what was acknowledged earlier is seen only by a
            // transaction. One that changes nothing is in nobody's way.
            let mut session = Self::begin(inner).await?;
            session.is_open = false;
            return Ok(session);
        }
        let session = inner.client.start_session().snapshot(true).await?;
        Ok(Self { session: Some(session), meta: inner.meta.clone(), is_open: false })
    }

    /// Ends the transaction well; the server is asked until it says whether that was done.
    pub async fn commit(&mut self) -> Result<(), Error> {
        loop {
            match self.commit_transaction().await {
                Err(failure) if failure.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) => {
                    tokio::time::sleep(AGAIN).await;
                }
                done => {
                    self.is_open = done.is_err();
                    return done;
                }
            }
        }
    }

    /// Takes everything back.
    pub async fn abort(&mut self) {
        // What is not committed is forgotten in any case.
        let _ = self.abort_transaction().await;
        self.is_open = false;
    }
}

/// Has another transaction take the place of what is under way in a session.
async fn supersede(session: &mut ClientSession, meta: &Collection<Document>) -> Result<(), Error> {
    // The driver must not think that anything is under way.
    let _ = session.abort_transaction().await;
    session.start_transaction().await?;
    meta.find_one(doc! { "_id": "format" }).session(&mut *session).await?;
    session.abort_transaction().await
}

impl Deref for Session {
    type Target = ClientSession;

    fn deref(&self) -> &ClientSession {
        self.session.as_ref().expect("a session is there until it is dropped")
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut ClientSession {
        self.session.as_mut().expect("a session is there until it is dropped")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take().filter(|_| self.is_open) else { return };
        // Where nothing runs any more nobody can be asked; the server finds out by itself.
        let Ok(handle) = Handle::try_current() else { return };
        let meta = self.meta.clone();
        // Nobody else may use the session meanwhile.
        handle.spawn(async move {
            for _ in 0..TRIES {
                match tokio::time::timeout(PATIENCE, supersede(&mut session, &meta)).await {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => tracing::debug!(%error, "a transaction cannot be ended yet"),
                    Err(_) => {}
                }
                tokio::time::sleep(AGAIN).await;
            }
        });
    }
}
