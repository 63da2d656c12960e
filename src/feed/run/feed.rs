//! One feed: documents come in, and what becomes of them is known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::mpsc;

use super::{Shared, resolve};
use crate::feed::mapper::{Input, Mapped, Refused};
use crate::feed::mapping::Mapping;
use crate::feed::mapping::source::{Source, Way};
use crate::feed::status::{Account, Book, Rejected, Status};
use crate::feed::writer::{NotTaken, Writer};
use crate::import::SinkError;
use crate::model::Timestamp;

/// One feed.
pub struct Feed {
    mapping: Arc<Mapping>,
    writer: Writer,
    shared: Arc<Shared>,
    pub(super) book: Mutex<Book>,
    held: Mutex<Option<Instant>>,
    /// What the last answer of a web server said of its version.
    pub(super) seen: Mutex<crate::egress::Seen>,
    pub(super) kept: Mutex<Option<Instant>>,
    /// Whoever reads or writes what the store has of it, one at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
}

/// What became of a document.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// Records that were read.
    pub records: u64,
    pub stored: u64,
    pub unchanged: u64,
    pub late: u64,
    pub rejected: u64,
    /// Readings that were left out or flagged.
    pub issues: u64,
    /// The first reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// Why a document was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TakeError {
    /// It cannot be read: it will not be better another time.
    #[error("{0}")]
    NotReadable(String),
    /// The store does not take anything: it may another time.
    #[error("{0}")]
    Store(String),
}

/// How a feed fares, for those who operate it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    pub name: String,
    pub about: String,
    #[serde(rename = "type")]
    pub types: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// `http`, `folder`, `mqtt` or `push`.
    pub source: &'static str,
    pub provider: String,
    /// Whose data it is: `official`, `low-cost`, `citizen` …
    pub source_class: &'static str,
    /// `ok`, `failing`, `quiet` or `waiting`, for something in the environment.
    pub state: &'static str,
    /// Within how many seconds something new is expected.
    pub expected_within: u64,
    /// Whether this broker runs it, of those that share the store.
    pub runs_here: bool,
    /// How many entities it is known to tell of, and those of them that are quiet.
    pub entities: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quiet_entities: Vec<String>,
    #[serde(flatten)]
    pub status: Status,
}

/// How many records are handed over at once by the thread that reads a large document.
const HANDED: usize = 500;

/// A document larger than this is read by a thread of its own.
const LARGE: usize = 256 << 10;

/// How many reasons an answer holds.
const REASONS: usize = 10;

/// How many quiet entities are named.
const QUIET: usize = 50;

type Record = Result<Mapped, Refused>;

impl Feed {
    pub(super) fn new(mapping: Mapping, shared: Arc<Shared>) -> Result<Self, SinkError> {
        let mapping = Arc::new(mapping);
        let writer = Writer::new(shared.broker.clone(), mapping.clone(), &shared.config)?;
        Ok(Self {
            mapping,
            writer,
            shared,
            book: Mutex::default(),
            held: Mutex::new(None),
            seen: Mutex::default(),
            kept: Mutex::new(None),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.mapping.name
    }

    /// Its mapping.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Where it comes from, as its mapping says.
    pub fn source(&self) -> &Source {
        &self.mapping.source
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn resolved(&self) -> Result<Source, String> {
        resolve(self.source())
    }

    /// The most bytes of one document.
    pub fn most(&self) -> usize {
        self.source().most.min(self.shared.config.feeds.most).bytes()
    }

    /// Takes a document that somebody sent, if it is a feed that is sent.
    ///
    /// # Errors
    /// Nothing if the feed is fetched; why the document was not taken otherwise.
    pub async fn push(&self, bytes: Bytes) -> Option<Result<Taken, TakeError>> {
        if self.source().way != Way::Push {
            return None;
        }
        let taken = self.run(&[Document { bytes, topic: None, file: None }]).await;
        if let Err(why) = &taken {
            self.failed(&why.to_string());
        }
        Some(taken)
    }

    /// Takes documents, as one run.
    pub(super) async fn run(&self, documents: &[Document]) -> Result<Taken, TakeError> {
        let now = Timestamp::now();
        self.book.lock().begin(now);
        let taken = self.take_all(documents, now).await?;
        self.book.lock().succeed(now);
        Ok(taken)
    }

    /// The records of all documents share commits.
    async fn take_all(&self, documents: &[Document], now: Timestamp) -> Result<Taken, TakeError> {
        let mut taken = Taken::default();
        let mut waiting = Vec::new();
        let mut broken = None;
        for document in documents {
            if document.bytes.len() > LARGE {
                self.take_large(document, now, &mut waiting, &mut taken).await?;
                continue;
            }
            let mut records = Vec::new();
            let done = self.mapping.map(document.input(), now, |record| records.push(record));
            self.sort(records, document, now, &mut waiting, &mut taken);
            if let Err(why) = done {
                self.unreadable(document, &why.0, now);
                broken = Some(why.0);
            }
            self.write_full(&mut waiting, &mut taken, now).await?;
        }
        self.write(std::mem::take(&mut waiting), &mut taken, now).await?;
        match broken {
            // Where several come together, one that is broken does not hinder the others.
            Some(why) if documents.len() == 1 => Err(TakeError::NotReadable(why)),
            _ => Ok(taken),
        }
    }

    /// A large document is read by a thread of its own, a few records ahead of the store.
    async fn take_large(
        &self,
        document: &Document,
        now: Timestamp,
        waiting: &mut Vec<Mapped>,
        taken: &mut Taken,
    ) -> Result<(), TakeError> {
        let (sender, mut handed) = mpsc::channel::<Vec<Record>>(2);
        let (mapping, own) = (self.mapping.clone(), document.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let mut some = Vec::with_capacity(HANDED);
            let done = mapping.map(own.input(), now, |record| {
                some.push(record);
                if some.len() >= HANDED {
                    // Nobody waits any more if the store failed.
                    let _ = sender.blocking_send(std::mem::take(&mut some));
                }
            });
            let _ = sender.blocking_send(some);
            done
        });
        while let Some(records) = handed.recv().await {
            self.sort(records, document, now, waiting, taken);
            self.write_full(waiting, taken, now).await?;
        }
        match reading.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => {
                self.unreadable(document, &why.0, now);
                Err(TakeError::NotReadable(why.0))
            }
            Err(_) => Err(TakeError::NotReadable("reading it failed".to_owned())),
        }
    }

    /// Parts the records that can be stored from those that cannot.
    fn sort(
        &self,
        records: Vec<Record>,
        document: &Document,
        now: Timestamp,
        waiting: &mut Vec<Mapped>,
        taken: &mut Taken,
    ) {
        let most = self.shared.config.feeds.rejected;
        let from = document.from();
        let mut book = self.book.lock();
        book.new.status.tally.records += records.len() as u64;
        taken.records += records.len() as u64;
        for record in records {
            match record {
                Ok(mapped) => {
                    taken.issues += mapped.issues.len() as u64;
                    book.issues(&mapped, from, now, most);
                    waiting.push(mapped);
                }
                Err(refused) => {
                    taken.reject(refused.number, refused.id.as_deref(), &refused.why);
                    book.refused(refused, from, now, most);
                }
            }
        }
    }

    fn unreadable(&self, document: &Document, why: &str, now: Timestamp) {
        let rejected = Rejected::new("document", document.from(), why, "refused", now);
        self.book.lock().keep(rejected, self.shared.config.feeds.rejected);
    }

    async fn write_full(
        &self,
        waiting: &mut Vec<Mapped>,
        taken: &mut Taken,
        now: Timestamp,
    ) -> Result<(), TakeError> {
        let most = self.shared.config.feeds.batch.max(1);
        while waiting.len() >= most {
            let rest = waiting.split_off(most);
            let full = std::mem::replace(waiting, rest);
            self.write(full, taken, now).await?;
        }
        Ok(())
    }

    async fn write(
        &self,
        records: Vec<Mapped>,
        taken: &mut Taken,
        now: Timestamp,
    ) -> Result<(), TakeError> {
        let written = self.writer.write(records, now).await;
        let written = written.map_err(|why| TakeError::Store(why.to_string()))?;
        taken.stored += written.stored;
        taken.unchanged += written.unchanged;
        taken.late += written.late;
        let most = self.shared.config.feeds.rejected;
        let mut book = self.book.lock();
        book.written(&written, now);
        for NotTaken { number, id, why, made } in written.refused {
            taken.reject(number, Some(&id), &why);
            let rejected = Rejected {
                number: Some(number),
                id: Some(id),
                record: made,
                ..Rejected::new("record", None, &why, "refused", now)
            };
            book.keep(rejected, most);
        }
        Ok(())
    }

    /// Notes that something failed.
    pub(super) fn failed(&self, why: &str) {
        self.book.lock().fail(why);
    }

    /// Notes that nothing has changed there.
    pub(super) fn same_as_before(&self) {
        let now = Timestamp::now();
        let mut book = self.book.lock();
        book.begin(now);
        book.succeed(now);
    }

    /// How it fares, as far as this broker knows.
    pub fn status(&self) -> Status {
        self.book.lock().status()
    }

    /// How it fares, for those who operate it.
    pub async fn overview(&self) -> Overview {
        let runs_here = self.is_held();
        let now = Timestamp::now();
        let (status, entities, quiet_entities) = self.known(now).await;
        let (mapping, source) = (&self.mapping, self.source());
        let state = match () {
            () if self.resolved().is_err() => "waiting",
            () if status.failures_in_a_row > 0 => "failing",
            () if status.is_quiet(source.expect, self.shared.started, now) => "quiet",
            () => "ok",
        };
        Overview {
            name: mapping.name.clone(),
            about: mapping.about.clone(),
            types: mapping.types.clone(),
            tenant: mapping.tenant.name().map(str::to_owned),
            source: source.word(),
            provider: mapping.provenance.provider.clone(),
            source_class: mapping.provenance.class,
            state,
            expected_within: source.expect.as_secs(),
            runs_here,
            entities,
            quiet_entities,
            status,
        }
    }

    /// How many entities it is known to tell of, and those of them that are quiet.
    pub(super) async fn quiet(&self, now: Timestamp) -> (usize, Vec<String>) {
        let expect = i64::try_from(self.source().expect.as_micros()).unwrap_or(i64::MAX);
        self.writer.quiet_since(now.plus_micros(expect.saturating_neg()), QUIET, now).await
    }

    /// Whether this broker runs it.
    pub(super) fn is_held(&self) -> bool {
        self.held.lock().is_some_and(|until| until > Instant::now())
    }

    /// Takes or renews the lease.
    pub(super) async fn claim(&self) {
        let shared = &self.shared;
        let ttl = shared.config.feeds.lease.max(Duration::from_secs(1));
        // Counted from before it is asked, so that we never think longer than the store does.
        let until = Instant::now() + ttl;
        let store = shared.broker.store();
        match store.claim(&self.lease_name(), &shared.holder, ttl).await {
            Ok(true) => {
                if !self.is_held() && store.is_shared() {
                    // Another may have run it meanwhile.
                    if !self.restore().await {
                        return;
                    }
                    self.writer.forget();
                    tracing::info!(feed = self.name(), "this broker runs the feed");
                }
                *self.held.lock() = Some(until);
            }
            Ok(false) => self.lose(),
            Err(error) => tracing::warn!(feed = self.name(), %error, "a lease cannot be renewed"),
        }
    }

    /// Another broker runs it: what is kept is known to that one, what is new is passed on to it.
    fn lose(&self) {
        if self.held.lock().take().is_some() {
            let mut book = self.book.lock();
            (book.kept, book.next) = (Account::default(), 0);
        }
    }

    /// Gives the lease back.
    pub(super) async fn release(&self) {
        if self.held.lock().take().is_some() {
            let store = self.shared.broker.store();
            let _ = store.release(&self.lease_name(), &self.shared.holder).await;
        }
    }

    fn lease_name(&self) -> String {
        format!("feed-{}", self.name())
    }
}

/// A document that came.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub bytes: Bytes,
    pub topic: Option<String>,
    pub file: Option<String>,
}

impl Document {
    fn input(&self) -> Input<'_> {
        let (topic, file) = (self.topic.as_deref(), self.file.as_deref());
        Input { bytes: &self.bytes, topic, file }
    }

    fn from(&self) -> Option<&str> {
        self.file.as_deref().or(self.topic.as_deref())
    }
}

impl Taken {
    fn reject(&mut self, number: u64, id: Option<&str>, why: &str) {
        self.rejected += 1;
        if self.reasons.len() < REASONS {
            let id = id.map_or(String::new(), |id| format!(" ({id})"));
            self.reasons.push(format!("record {number}{id}: {why}"));
        }
    }
}
