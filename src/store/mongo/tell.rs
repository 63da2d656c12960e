//! Changes that somebody wants to be told of. A transaction that numbers events keeps all others
//! from numbering theirs until it is committed, which takes as long as a majority takes to write
//! it down. So the changes that come to a broker meanwhile share the next one: as many go in as
//! there are writers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use mongodb::bson::{RawDocumentBuf, doc};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::{mpsc, oneshot};

use super::decide::{Decision, End};
use super::read::{id_of, ids_index, of_keys};
use super::write::{Failure, Fate};
use super::{Inner, document};
use crate::model::{EntityId, TenantId};
use crate::store::StoreError;

/// How many entities share a transaction at most.
const MOST: usize = 1_000;

/// How many bytes of documents share a transaction at most: what tells of them is larger.
const MOST_BYTES: usize = 8 << 20;

/// Where changes wait to be told of.
pub(super) struct Teller {
    bundles: mpsc::Sender<Bundle>,
    coming: Mutex<Option<mpsc::Receiver<Bundle>>>,
}

/// What one commit wants to have written and told.
struct Bundle {
    tenant: TenantId,
    decisions: Vec<Decision>,
    bytes: usize,
    fate: oneshot::Sender<Fate>,
}

impl Bundle {
    fn keys(&self) -> impl Iterator<Item = (TenantId, EntityId)> + '_ {
        self.decisions.iter().map(|decision| (self.tenant.clone(), decision.id.clone()))
    }

    /// Whether what it was decided upon is not there any more.
    fn is_stale(&self, versions: &Versions) -> bool {
        let mut written = self.decisions.iter().filter(|one| !matches!(one.end, End::Same));
        written.any(|decision| {
            let there = versions.get(&(self.tenant.clone(), decision.id.clone())).copied();
            there != decision.before.as_ref().map(|before| before.stamps.version)
        })
    }
}

/// Which versions there are.
type Versions = FxHashMap<(TenantId, EntityId), i64>;

impl Teller {
    /// One before which so many may wait.
    pub fn new(most: usize) -> Self {
        let (bundles, coming) = mpsc::channel(most.max(1));
        Self { bundles, coming: Mutex::new(Some(coming)) }
    }

    /// Has changes written together with the events that tell of them.
    pub fn hand_in(
        &self,
        tenant: &TenantId,
        decisions: &[&Decision],
    ) -> Result<oneshot::Receiver<Fate>, StoreError> {
        let (fate, told) = oneshot::channel();
        let decisions: Vec<Decision> = decisions.iter().map(|one| one.without_results()).collect();
        let bytes = decisions.iter().map(Decision::bytes).sum();
        let bundle = Bundle { tenant: tenant.clone(), decisions, bytes, fate };
        match self.bundles.try_send(bundle) {
            Ok(()) => Ok(told),
            Err(mpsc::error::TrySendError::Full(_)) => Err(StoreError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                Err(StoreError::Broken("the store is closed".to_owned()))
            }
        }
    }
}

/// Writes what is handed in as long as the store is open.
pub(super) async fn keep(inner: Arc<Inner>) {
    let Some(mut coming) = inner.teller.coming.lock().take() else { return };
    let mut left = None;
    loop {
        let first = match left.take() {
            Some(left) => left,
            None => match coming.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let mut keys: FxHashSet<_> = first.keys().collect();
        let (mut count, mut bytes) = (first.decisions.len(), first.bytes);
        let mut some = vec![first];
        while count < MOST
            && let Ok(next) = coming.try_recv()
        {
            (count, bytes) = (count + next.decisions.len(), bytes + next.bytes);
            // Whoever gave up waiting may have left a change of the same entity.
            if bytes > MOST_BYTES || next.keys().any(|key| keys.contains(&key)) {
                left = Some(next);
                break;
            }
            keys.extend(next.keys());
            some.push(next);
        }
        inner.tell_together(some).await;
    }
}

impl Inner {
    /// Writes bundles in one transaction, or as many as it takes if some were decided upon what
    /// is not there any more.
    async fn tell_together(&self, mut bundles: Vec<Bundle>) {
        let begun = Instant::now();
        for attempt in 0.. {
            // Nobody waits for these any more, and nothing of them was written.
            bundles.retain(|bundle| !bundle.fate.is_closed());
            if bundles.is_empty() {
                return;
            }
            let decisions: Vec<(&TenantId, &Decision)> = bundles
                .iter()
                .flat_map(|bundle| bundle.decisions.iter().map(|one| (&bundle.tenant, one)))
                .collect();
            match self.write_told(&decisions).await {
                Fate::Conflict if begun.elapsed() < self.settings.patience => {
                    bundles = self.without_stale(bundles, attempt).await;
                }
                // One of them is to blame: each by itself.
                Fate::Failed(Failure::Crowded | Failure::Error(_))
                    if bundles.len() > 1 && self.gate.check().is_ok() =>
                {
                    for bundle in bundles {
                        Box::pin(self.tell_together(vec![bundle])).await;
                    }
                    return;
                }
                fate => {
                    answer(bundles, &fate);
                    return;
                }
            }
        }
    }

    /// After a conflict: those that are out of date are given back, the others are tried again.
    async fn without_stale(&self, bundles: Vec<Bundle>, attempt: u32) -> Vec<Bundle> {
        let Ok(versions) = self.versions(&bundles).await else {
            answer(bundles, &Fate::Failed(Failure::Passing));
            return Vec::new();
        };
        let (stale, rest): (Vec<Bundle>, Vec<Bundle>) =
            bundles.into_iter().partition(|bundle| bundle.is_stale(&versions));
        if stale.is_empty() {
            // Another broker was numbering events. Those who met should not meet again: the stamp
            // is as good as a die.
            let micros = self.clock.stamp() as u64 / 1_024 % 1_000;
            tokio::time::sleep(Duration::from_micros((1 << attempt.min(5)) * micros)).await;
        }
        answer(stale, &Fate::Conflict);
        rest
    }

    /// Which versions there are of the entities that bundles are about.
    async fn versions(&self, bundles: &[Bundle]) -> Result<Versions, StoreError> {
        let keys = bundles
            .iter()
            .flat_map(|bundle| bundle.decisions.iter().map(|one| (&bundle.tenant, &one.id)));
        let find = self.entities.find(of_keys(keys)).hint(ids_index());
        let find = find.projection(doc! { "v": 1 });
        let found: Vec<RawDocumentBuf> =
            self.reading(async { find.await?.try_collect().await }).await?;
        let mut versions = Versions::default();
        for document in found {
            let version = document.get_i64("v").map_err(document::damaged)?;
            versions.insert((document::tenant(&document)?, id_of(&document)?), version);
        }
        Ok(versions)
    }
}

fn answer(bundles: Vec<Bundle>, fate: &Fate) {
    for bundle in bundles {
        // Whoever gave up waiting is not told.
        let _ = bundle.fate.send(fate.clone());
    }
}
