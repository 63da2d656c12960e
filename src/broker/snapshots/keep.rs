//! How snapshots are kept: a record each, and a claim on the place where its data lie.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::broker::Error;
use crate::broker::tidy::Tidy;
use crate::config;
use crate::model::{SnapshotId, TenantId, Timestamp};
use crate::represent::snapshot::{Snapshot, SnapshotStatus};
use crate::store::{Records, Shelf, Store, StoreError};

/// Where the snapshots of a tenant lie, by their ids.
const SNAPSHOTS: &str = "snapshots";

/// Which snapshot has which of a tenant's places, by their numbers.
const PLACES: &str = "snapshotPlaces";

/// The shelf of a place that says, under `of`, which snapshot it holds.
const PLACE: &str = "snapshot";

/// Who has a place, and since when, in microseconds since 1970.
type Claim = (String, i64);

/// How old a claim has to be before it is taken back for want of a snapshot: one may be on its way.
const SETTLED: i64 = 60 * 1_000_000;

/// A snapshot as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub snapshot: Snapshot,
    /// The number of the place where its data lie.
    pub place: u32,
    /// The address of the `@context` of its queries.
    pub context: String,
    /// The snapshot that it is a clone of, until it has its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// It is not seen any more, and its data are being taken away.
    #[serde(default)]
    pub ending: bool,
}

/// The snapshots of all tenants.
pub(in crate::broker) struct Snapshots {
    store: Arc<dyn Store>,
    tidy: Arc<Tidy>,
    pub(super) limits: config::Snapshots,
    /// This broker, among those that share the store.
    pub(super) holder: String,
    /// Held while a record is changed.
    changing: tokio::sync::Mutex<()>,
    /// Those that something is to be done about, in turn.
    wanting: Mutex<VecDeque<(TenantId, SnapshotId)>>,
    /// Those that something is being done about here.
    working: Mutex<HashSet<(TenantId, SnapshotId)>>,
    /// Somebody has done with one.
    freed: Notify,
    /// Held while room is made for one and taken.
    pub(super) room: tokio::sync::Mutex<()>,
    pub(in crate::broker) woken: Notify,
}

impl Kept {
    /// Whether it is still there for those who ask.
    pub fn is_there(&self, now: Timestamp) -> bool {
        !self.ending && self.snapshot.expires_at > now
    }

    /// Whether something is to be done about it.
    pub fn wants_work(&self, now: Timestamp) -> bool {
        !self.is_there(now) || self.snapshot.status == SnapshotStatus::Preparing
    }
}

impl Snapshots {
    /// The snapshots in a store.
    pub fn new(store: Arc<dyn Store>, tidy: Arc<Tidy>, limits: config::Snapshots) -> Self {
        Self {
            store,
            tidy,
            limits,
            holder: uuid::Uuid::new_v4().to_string(),
            changing: tokio::sync::Mutex::default(),
            wanting: Mutex::default(),
            working: Mutex::default(),
            freed: Notify::new(),
            room: tokio::sync::Mutex::default(),
            woken: Notify::new(),
        }
    }

    fn records(&self, tenant: &TenantId) -> Records<'_, Kept> {
        Records::on(&*self.store, Shelf::of(tenant, SNAPSHOTS))
    }

    fn places(&self, tenant: &TenantId) -> Records<'_, Claim> {
        Records::on(&*self.store, Shelf::of(tenant, PLACES))
    }

    fn sign(&self, place: &TenantId) -> Records<'_, String> {
        Records::on(&*self.store, Shelf::of(place, PLACE))
    }

    /// All snapshots of a tenant, those that are ending included.
    pub(super) async fn all(&self, tenant: &TenantId) -> Result<Vec<Kept>, StoreError> {
        Ok(self.records(tenant).all().await?.into_iter().map(|(_, kept)| kept).collect())
    }

    /// The snapshot of an id, if it is there.
    pub(super) async fn get(
        &self,
        tenant: &TenantId,
        id: &SnapshotId,
        now: Timestamp,
    ) -> Result<Option<Kept>, StoreError> {
        Ok(self.any(tenant, id).await?.filter(|kept| kept.is_there(now)))
    }

    /// The snapshot of an id, though it may be ending.
    pub(super) async fn any(
        &self,
        tenant: &TenantId,
        id: &SnapshotId,
    ) -> Result<Option<Kept>, StoreError> {
        self.records(tenant).get(id.as_str()).await
    }

    /// Keeps a new snapshot, whose place is to be found; one that has the id of another is refused.
    pub(super) async fn add(
        &self,
        tenant: &TenantId,
        snapshot: Snapshot,
        context: String,
        origin: Option<String>,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.tidy.note(tenant, now).await?;
        let id = SnapshotId::from_trusted(&snapshot.id);
        let place = self.take_place(tenant, &id, now).await?;
        let kept = Kept { snapshot, place, context, origin, ending: false };
        match self.records(tenant).add(id.as_str(), &kept).await {
            Ok(true) => {}
            Ok(false) => {
                self.give_place_back(tenant, place).await?;
                return Err(Error::AlreadyExists(format!("there is a snapshot {id} already")));
            }
            Err(error) => return Err(error.into()),
        }
        self.want(tenant, &id);
        Ok(())
    }

    /// Finds a place that no snapshot has, and says there whose it is, so that it is there though
    /// nothing may be found for it.
    async fn take_place(
        &self,
        tenant: &TenantId,
        id: &SnapshotId,
        now: Timestamp,
    ) -> Result<u32, Error> {
        let claim = (id.as_str().to_owned(), now.micros());
        let most = u32::try_from(self.limits.per_tenant).unwrap_or(u32::MAX);
        for place in 0..most {
            if self.places(tenant).add(&place.to_string(), &claim).await? {
                let there = tenant.place_for_snapshot(place);
                self.sign(&there).put("of", &claim.0).await?;
                return Ok(place);
            }
        }
        Err(Error::TooManyResults(format!(
            "a tenant may have {most} snapshots here: delete one that is not needed any more, or \
             wait until one expires"
        )))
    }

    async fn give_place_back(&self, tenant: &TenantId, place: u32) -> Result<(), StoreError> {
        self.sign(&tenant.place_for_snapshot(place)).take("of").await?;
        self.places(tenant).take(&place.to_string()).await.map(drop)
    }

    /// Takes back places that were claimed for snapshots which never came.
    pub(super) async fn sweep_places(
        &self,
        tenant: &TenantId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for (place, (id, since)) in self.places(tenant).all().await? {
            let id = SnapshotId::from_trusted(&id);
            let Ok(number) = place.parse() else { continue };
            if now.micros() - since < SETTLED {
                continue;
            }
            let owned = self.any(tenant, &id).await?.is_some_and(|kept| kept.place == number);
            if !owned {
                self.give_place_back(tenant, number).await?;
            }
        }
        Ok(())
    }

    /// Changes a snapshot, if it is kept; as it is then.
    pub(super) async fn change(
        &self,
        tenant: &TenantId,
        id: &SnapshotId,
        change: impl FnOnce(&mut Kept) + Send,
    ) -> Result<Option<Kept>, StoreError> {
        let _turn = self.changing.lock().await;
        let Some(mut kept) = self.any(tenant, id).await? else { return Ok(None) };
        change(&mut kept);
        self.records(tenant).put(id.as_str(), &kept).await?;
        Ok(Some(kept))
    }

    /// Forgets a snapshot whose data are gone.
    pub(super) async fn forget(&self, tenant: &TenantId, kept: &Kept) -> Result<(), StoreError> {
        let _turn = self.changing.lock().await;
        self.records(tenant).take(&kept.snapshot.id).await?;
        self.give_place_back(tenant, kept.place).await
    }

    /// Asks for something to be done about a snapshot.
    pub fn want(&self, tenant: &TenantId, id: &SnapshotId) {
        let mut wanting = self.wanting.lock();
        let one = (tenant.clone(), id.clone());
        if !wanting.contains(&one) {
            wanting.push_back(one);
        }
        drop(wanting);
        self.woken.notify_one();
    }

    /// The next that something is to be done about, unless as many are worked on as may be. It is
    /// worked on until [`Snapshots::done`].
    pub fn next(&self) -> Option<(TenantId, SnapshotId)> {
        let mut working = self.working.lock();
        if working.len() >= self.limits.filling.max(1) {
            return None;
        }
        let mut wanting = self.wanting.lock();
        let place = wanting.iter().position(|one| !working.contains(one))?;
        let one = wanting.remove(place)?;
        working.insert(one.clone());
        Some(one)
    }

    /// Begins to work on a snapshot, until [`Snapshots::done`], when nobody else does.
    pub async fn begin_in_turn(&self, one: &(TenantId, SnapshotId)) {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Who is done between the look and the wait is heard, too.
            freed.as_mut().enable();
            if self.working.lock().insert(one.clone()) {
                return;
            }
            freed.await;
        }
    }

    /// What could be done about a snapshot was done.
    pub fn done(&self, one: &(TenantId, SnapshotId)) {
        self.working.lock().remove(one);
        self.freed.notify_waiters();
        self.woken.notify_one();
    }
}

/// Which snapshot a place holds, if it is one.
pub(in crate::broker) async fn snapshot_in(
    store: &dyn Store,
    place: &TenantId,
) -> Result<Option<String>, StoreError> {
    match place.snapshot_of() {
        Some(_) => Records::on(store, Shelf::of(place, PLACE)).get("of").await,
        None => Ok(None),
    }
}
