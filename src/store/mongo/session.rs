//! Transactions that do not outlive those who began them.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use mongodb::bson::doc;
use mongodb::error::{Error, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::ReadConcern;
use mongodb::{Client, ClientSession};
use tokio::runtime::Handle;

/// How long one waits before a commit of which nobody knows whether it was done is repeated.
const AGAIN: Duration = Duration::from_millis(50);

/// A session with the database, in a transaction or looking at one moment.
///
/// Whoever waits for a transaction may go away in the midst of it: a client that hangs up, an answer
/// that does not come in time. The driver takes back what it knows to be under way, but not a
/// transaction whose first command, or whose commit, was not answered yet. On the server that one
/// would keep everyone else from what it has changed for a minute; if it has numbered events, from
/// every change that somebody wants to be told of. So a session that is dropped in a transaction is
/// ended on the server.
pub(super) struct Session {
    /// There until it is dropped.
    session: Option<ClientSession>,
    client: Client,
    /// A transaction was begun, and neither committed nor taken back.
    is_open: bool,
}

impl Session {
    /// Begins a transaction.
    pub async fn begin(client: &Client) -> Result<Self, Error> {
        let mut session = client.start_session().await?;
        session.start_transaction().read_concern(ReadConcern::majority()).await?;
        Ok(Self { session: Some(session), client: client.clone(), is_open: true })
    }

    /// Begins to look at everything as of one moment.
    pub async fn look(client: &Client) -> Result<Self, Error> {
        let session = client.start_session().snapshot(true).await?;
        Ok(Self { session: Some(session), client: client.clone(), is_open: false })
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
        let Some(session) = self.session.take().filter(|_| self.is_open) else { return };
        // Where nothing runs any more nobody can be asked; the server finds out by itself.
        let Ok(handle) = Handle::try_current() else { return };
        let admin = self.client.database("admin");
        handle.spawn(async move {
            let ended = admin.run_command(doc! { "killSessions": [session.id().clone()] }).await;
            if let Err(error) = ended {
                tracing::debug!(%error, "a transaction that was given up is left to the server");
            }
            // Only now: nobody may use the session while it is being ended.
            drop(session);
        });
    }
}
