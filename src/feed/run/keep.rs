//! What is kept of a feed in the store: its state, what it refused, and which files are done. So a
//! restart forgets nothing, and brokers that share a store know of each other's feeds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Feed;
use super::refused::{self, Numbered};
use crate::feed::mapping::source::Way;
use crate::feed::status::{Account, Rejected, Status, Which};
use crate::model::Timestamp;
use crate::store::{Records, Shelf, StoreError};

/// The state of feeds, by their names.
const STATES: Shelf = Shelf::shared("feeds");
/// Files that are done, by feed and name.
const FILES: Shelf = Shelf::shared("feed-files");

/// What brokers that do not run a feed took of it, until the one that does takes it into its account;
/// by the name of the feed and a number.
const PARTS: Shelf = Shelf::shared("feed-parts");

/// How many rejections a part holds: a record may not be of any size.
const PART: usize = 500;

/// How often the state of a feed is kept at most.
const EVERY: Duration = Duration::from_secs(10);
/// The same where others wait to see it: something was refused, or several brokers are sent to.
const SOON: Duration = Duration::from_secs(1);

/// The state of a feed, as it is kept.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct State {
    #[serde(flatten)]
    status: Status,
    /// Parts that are in it.
    gathered: Vec<String>,
    entities: usize,
    quiet_entities: Vec<String>,
}

/// What a file was when it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileMark {
    pub size: u64,
    pub modified: i64,
}

impl Feed {
    /// Takes up what was kept; false if it cannot be read.
    pub(super) async fn restore(&self) -> bool {
        let _turn = self.turn.lock().await;
        match self.load().await {
            Ok((state, rejected, next)) => {
                let mut book = self.book.lock();
                book.kept = Account { status: state.status, rejected };
                (book.gathered, book.next) = (state.gathered, next);
                true
            }
            Err(error) => {
                tracing::warn!(feed = self.name(), %error, "the state of a feed cannot be read");
                false
            }
        }
    }

    /// What is kept: the state, what was refused, and the number of what is refused next.
    async fn load(&self) -> Result<(State, VecDeque<Arc<Rejected>>, u64), StoreError> {
        let store = &**self.shared().broker.store();
        let state: Option<State> = Records::on(store, STATES).get(self.name()).await?;
        let most = self.shared().config.feeds.rejected;
        let (rejected, next) = refused::load(store, self.name(), most).await?;
        Ok((state.unwrap_or_default(), rejected, next))
    }

    /// Keeps what happened, unless that was done just now: whoever runs the feed keeps all that is
    /// known of it, others what came to them.
    pub(super) async fn keep(&self, at_once: bool) {
        let shared = self.shared().broker.store().is_shared();
        let every = match shared && self.source().way == Way::Push {
            false if self.book.lock().new.rejected.is_empty() => EVERY,
            _ => SOON,
        };
        if !at_once && self.kept.lock().is_some_and(|kept| kept.elapsed() < every) {
            return;
        }
        *self.kept.lock() = Some(Instant::now());
        let _turn = self.turn.lock().await;
        let kept = match (self.is_held(), shared) {
            (true, false) => self.write_down(Vec::new()).await,
            (true, true) => self.gather().await,
            (false, true) => self.pass_on().await,
            // The lease comes in a moment.
            (false, false) => Ok(()),
        };
        if let Err(error) = kept {
            tracing::warn!(feed = self.name(), %error, "the state of a feed cannot be kept");
        }
    }

    /// Lays down what happened here, for the broker that runs the feed.
    async fn pass_on(&self) -> Result<(), StoreError> {
        let mut part = {
            let mut book = self.book.lock();
            if !std::mem::take(&mut book.dirty) {
                return Ok(());
            }
            std::mem::take(&mut book.new)
        };
        let shelf = Records::on(&**self.shared().broker.store(), PARTS);
        loop {
            // What happened goes with the first, and the others hold the rest of what was refused.
            let rest = part.rejected.split_off(part.rejected.len().min(PART));
            let key = format!("{}/{}", self.name(), uuid::Uuid::now_v7().simple());
            if let Err(why) = shelf.put(&key, &part).await {
                part.rejected.extend(rest);
                self.book.lock().take_back(part, self.shared().config.feeds.rejected);
                return Err(why);
            }
            if rest.is_empty() {
                return Ok(());
            }
            part = Account { rejected: rest, ..Account::default() };
        }
    }

    /// Keeps what is known, with the parts that others laid down.
    async fn gather(&self) -> Result<(), StoreError> {
        let parts = self.parts().await?;
        let keys: Vec<String> = parts.iter().map(|(key, _)| key.clone()).collect();
        self.write_down(parts).await?;
        let shelf: Records<'_, Account> = Records::on(&**self.shared().broker.store(), PARTS);
        for key in keys {
            shelf.take(&key).await?;
        }
        Ok(())
    }

    /// The parts of this feed that lie in the store.
    async fn parts(&self) -> Result<Vec<(String, Account)>, StoreError> {
        let own = format!("{}/", self.name());
        let shelf: Records<'_, Account> = Records::on(&**self.shared().broker.store(), PARTS);
        let mut all = shelf.all().await?;
        all.retain(|(key, _)| key.starts_with(&own));
        Ok(all)
    }

    /// Keeps what is known, if anything is new.
    async fn write_down(&self, parts: Vec<(String, Account)>) -> Result<(), StoreError> {
        let most = self.shared().config.feeds.rejected;
        let (entities, quiet_entities) = self.quiet(Timestamp::now()).await;
        let (before, new, after, state) = {
            let mut book = self.book.lock();
            let dirty = std::mem::take(&mut book.dirty);
            let more = parts.iter().filter(|(key, _)| !book.gathered.contains(key));
            let more: Vec<&Account> = more.map(|(_, part)| part).collect();
            if !dirty && more.is_empty() {
                return Ok(());
            }
            let new = std::mem::take(&mut book.new);
            let mut all = book.kept.clone();
            let mut next = book.next;
            for one in [&new].into_iter().chain(more) {
                all.add(one, most);
                next += one.rejected.len() as u64;
            }
            let gathered: Vec<String> = parts.into_iter().map(|(key, _)| key).collect();
            let (status, after) = (all.status.clone(), (all.rejected.clone(), next));
            let state = State { status, gathered: gathered.clone(), entities, quiet_entities };
            let before = (
                std::mem::replace(&mut book.kept, all),
                std::mem::replace(&mut book.gathered, gathered),
                std::mem::replace(&mut book.next, next),
            );
            (before, new, after, state)
        };
        let store = &**self.shared().broker.store();
        // What was refused first: a kill in between repeats some of it, and counts nothing twice.
        let was = Numbered { all: &before.0.rejected, next: before.2 };
        let is = Numbered { all: &after.0, next: after.1 };
        let mut kept = refused::keep(store, self.name(), was, is).await;
        if kept.is_ok() {
            kept = Records::on(store, STATES).put(self.name(), &state).await;
        }
        if kept.is_err() {
            let held = self.is_held();
            let mut book = self.book.lock();
            if held {
                (book.kept, book.gathered, book.next) = before;
            }
            book.take_back(new, most);
        }
        kept
    }

    /// All that is known, by whichever broker: what happened, how many entities the feed tells of,
    /// and those that are quiet.
    pub(super) async fn known(&self, now: Timestamp) -> (Status, usize, Vec<String>) {
        let (account, seen) = self.account().await;
        let (entities, quiet) = match seen {
            Some(seen) => seen,
            None => self.quiet(now).await,
        };
        (account.status, entities, quiet)
    }

    /// What was refused last, newest first, of what is asked for.
    pub async fn rejected(&self, which: &Which, limit: usize) -> Vec<Arc<Rejected>> {
        let all = self.account().await.0.rejected;
        all.into_iter().rev().filter(|one| which.is(one)).take(limit).collect()
    }

    /// All that is known of what happened, and, if another broker runs the feed, what that one knows
    /// of entities.
    async fn account(&self) -> (Account, Option<(usize, Vec<String>)>) {
        let most = self.shared().config.feeds.rejected;
        if !self.shared().broker.store().is_shared() {
            return (self.book.lock().all(most), None);
        }
        // Parts first: what is gathered after that is in the state that is read then.
        let parts = self.parts().await.unwrap_or_default();
        let (mut all, gathered, seen) = if self.is_held() {
            let book = self.book.lock();
            (book.all(most), book.gathered.clone(), None)
        } else {
            let (state, rejected, _) = self.load().await.unwrap_or_default();
            let mut all = Account { status: state.status, rejected };
            all.add(&self.book.lock().new, most);
            (all, state.gathered, Some((state.entities, state.quiet_entities)))
        };
        let more = parts.iter().filter(|(key, _)| !gathered.contains(key));
        more.for_each(|(_, part)| all.add(part, most));
        (all, seen)
    }

    fn file_key(&self, file: &str) -> String {
        format!("{}/{file}", self.name())
    }

    /// Whether a file was done, as it is.
    pub(super) async fn is_done(&self, file: &str, mark: &FileMark) -> Result<bool, StoreError> {
        let store = &**self.shared().broker.store();
        let kept: Option<FileMark> = Records::on(store, FILES).get(&self.file_key(file)).await?;
        Ok(kept.as_ref() == Some(mark))
    }

    /// A file is done.
    pub(super) async fn mark_done(&self, file: &str, mark: &FileMark) -> Result<(), StoreError> {
        let store = &**self.shared().broker.store();
        Records::on(store, FILES).put(&self.file_key(file), mark).await
    }

    /// A file that was done is not there any more.
    pub(super) async fn unmark(&self, file: &str) -> Result<(), StoreError> {
        let store = &**self.shared().broker.store();
        Records::<FileMark>::on(store, FILES).take(&self.file_key(file)).await.map(drop)
    }

    /// The files that are marked.
    pub(super) async fn marked(&self) -> Result<Vec<String>, StoreError> {
        let store = &**self.shared().broker.store();
        let own = format!("{}/", self.name());
        let all: Vec<(String, FileMark)> = Records::on(store, FILES).all().await?;
        Ok(all
            .into_iter()
            .filter_map(|(key, _)| Some(key.strip_prefix(&own)?.to_owned()))
            .collect())
    }

    /// The name by which an MQTT server knows this feed of these brokers, whichever of them runs it.
    pub(super) async fn client_name(&self) -> Result<String, StoreError> {
        let store = &**self.shared().broker.store();
        let shelf: Records<'_, String> = Records::on(store, FILES);
        let key = self.file_key("*mqtt");
        if let Some(known) = shelf.get(&key).await? {
            return Ok(known);
        }
        let new = format!("lanna{:016x}", uuid::Uuid::new_v4().as_u64_pair().0);
        match shelf.add(&key, &new).await? {
            true => Ok(new),
            false => Ok(shelf.get(&key).await?.unwrap_or(new)),
        }
    }
}
