//! How entity maps are kept: a head, and leaves of a thousand entities each, which never change.
//! Where a query no longer fits an entity, the head says so.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::dropped::Dropped;
use crate::broker::Error;
use crate::broker::tidy::Tidy;
use crate::config;
use crate::model::{EntityId, EntityMap, EntityMapId, Held, Holder, TenantId, Timestamp};
use crate::store::{Records, Shelf, Store, StoreError};

/// Where the heads of a tenant's maps lie, by their ids.
const HEADS: &str = "entityMaps";

/// Where the leaves lie, by the id of their map and their number.
const LEAVES: &str = "entityMapLeaves";

/// How many entities a leaf names.
const LEAF: usize = 1_000;

/// A map of no more entities than this has its leaf in its head.
const SMALL: usize = 24;

/// What the entities of a map are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::broker) enum Family {
    /// How they are.
    Current,
    /// How they were.
    Temporal,
}

/// What is kept of a map beside its leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// As [`Timestamp::bits`].
    expires_at: i64,
    pub family: Family,
    /// The fingerprint of what was asked; absent if one entity was retrieved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<u64>,
    /// How many entities the leaves name.
    count: u32,
    /// The registrations that leaves speak of, by number from 1 on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sources: Vec<String>,
    /// The registrations of context sources that have maps of their own, and where those are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    linked: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Dropped::is_empty")]
    pub dropped: Dropped,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaf: Option<Leaf>,
}

/// Some of the entities of a map, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Leaf {
    ids: Vec<String>,
    /// Who holds each, as numbers of registrations, where 0 is this broker; absent if that holds
    /// all of them alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    by: Vec<Vec<u32>>,
}

/// What a new map is made of.
pub(super) struct Draft {
    pub family: Family,
    pub asks: Option<u64>,
    pub expires_at: Timestamp,
    pub entities: Vec<Held>,
    pub linked: Vec<(String, String)>,
}

/// The entity maps of all tenants.
pub(in crate::broker) struct EntityMaps {
    store: Arc<dyn Store>,
    tidy: Arc<Tidy>,
    pub(super) limits: config::Maps,
    /// Held while a head is changed.
    changing: tokio::sync::Mutex<()>,
}

impl Head {
    /// When the map ends.
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_bits(self.expires_at)
    }

    /// The place that has so many entities before it.
    pub fn place_of(&self, number: u64) -> u32 {
        self.dropped.place_of(number).min(self.count)
    }

    /// The maps that sources made for the same query: registrations, and the ids of the maps.
    pub fn linked(&self) -> &[(String, String)] {
        &self.linked
    }

    fn leaves(&self) -> u32 {
        match self.leaf {
            Some(_) => 0,
            None => self.count.div_ceil(LEAF as u32),
        }
    }

    fn held(&self, leaf: &Leaf, place: usize) -> Option<Held> {
        let id = EntityId::from_trusted(leaf.ids.get(place)?);
        let Some(by) = leaf.by.get(place) else { return Some(Held::here(id)) };
        let holder = |number: &u32| match number.checked_sub(1) {
            None => Some(Holder::Here),
            Some(number) => {
                let source = self.sources.get(number as usize)?;
                Some(Holder::Source(source.as_str().into()))
            }
        };
        Some(Held { id, by: by.iter().filter_map(holder).collect() })
    }
}

impl EntityMaps {
    /// The maps in a store.
    pub fn new(store: Arc<dyn Store>, tidy: Arc<Tidy>, limits: config::Maps) -> Self {
        Self { store, tidy, limits, changing: tokio::sync::Mutex::default() }
    }

    fn heads(&self, tenant: &TenantId) -> Records<'_, Head> {
        Records::on(&*self.store, Shelf::of(tenant, HEADS))
    }

    fn leaves(&self, tenant: &TenantId) -> Records<'_, Leaf> {
        Records::on(&*self.store, Shelf::of(tenant, LEAVES))
    }

    /// Keeps a map. One too many is refused.
    pub(super) async fn keep(
        &self,
        tenant: &TenantId,
        id: &EntityMapId,
        draft: Draft,
        now: Timestamp,
    ) -> Result<Head, Error> {
        self.make_room(tenant, now).await?;
        self.tidy.note(tenant, now).await?;
        let Draft { family, asks, expires_at, entities, linked } = draft;
        let mut sources = Vec::new();
        let mut leaves: Vec<Leaf> =
            entities.chunks(LEAF).map(|some| leaf(some, &mut sources)).collect();
        let mut head = Head {
            expires_at: expires_at.bits(),
            family,
            asks,
            count: entities.len() as u32,
            sources,
            linked,
            dropped: Dropped::default(),
            leaf: None,
        };
        if entities.len() <= SMALL {
            head.leaf = Some(leaves.pop().unwrap_or_default());
        }
        // The head comes first: what it promises is taken away with it if the leaves do not come.
        self.heads(tenant).put(id.as_str(), &head).await?;
        for (number, leaf) in leaves.iter().enumerate() {
            self.leaves(tenant).put(&leaf_key(id, number as u32), leaf).await?;
        }
        Ok(head)
    }

    /// Refuses one map more than there may be, when those that have ended are gone.
    async fn make_room(&self, tenant: &TenantId, now: Timestamp) -> Result<(), Error> {
        let most = self.limits.per_tenant;
        let (_, count) = self.heads(tenant).page(0, 0).await?;
        if count < most || self.sweep(tenant, now).await? < most {
            return Ok(());
        }
        Err(Error::TooManyResults(format!(
            "a tenant may have {most} entity maps here: delete one that is not needed any more, or \
             wait until one expires"
        )))
    }

    /// The head of a map, unless it has ended.
    pub(super) async fn head(
        &self,
        tenant: &TenantId,
        id: &EntityMapId,
        now: Timestamp,
    ) -> Result<Option<Head>, StoreError> {
        let head = self.heads(tenant).get(id.as_str()).await?;
        Ok(head.filter(|head| head.expires_at() > now))
    }

    /// The whole map.
    pub(super) async fn whole(
        &self,
        tenant: &TenantId,
        id: &EntityMapId,
        head: &Head,
    ) -> Result<EntityMap, StoreError> {
        let left = head.count - head.dropped.len().min(head.count);
        let entities = self.entities(tenant, id, head, 0, left as usize).await?;
        Ok(EntityMap {
            id: id.clone(),
            expires_at: head.expires_at(),
            entities: entities.into_iter().map(|(_, held)| held).collect(),
            linked: head.linked.clone(),
        })
    }

    /// So many entities of a map with their places, from a place on; fewer if there are no more.
    pub(super) async fn entities(
        &self,
        tenant: &TenantId,
        id: &EntityMapId,
        head: &Head,
        from: u32,
        most: usize,
    ) -> Result<Vec<(u32, Held)>, StoreError> {
        let mut found = Vec::with_capacity(most.min(LEAF));
        let mut place = from;
        let mut loaded: Option<(u32, Leaf)> = None;
        while found.len() < most && place < head.count {
            let number = place / LEAF as u32;
            if head.leaf.is_none() && loaded.as_ref().is_none_or(|(own, _)| *own != number) {
                let leaf = self.leaves(tenant).get(&leaf_key(id, number)).await?;
                // A map that is taken away meanwhile ends here.
                let Some(leaf) = leaf else { break };
                loaded = Some((number, leaf));
            }
            let Some(leaf) = head.leaf.as_ref().or(loaded.as_ref().map(|(_, leaf)| leaf)) else {
                break;
            };
            if !head.dropped.contains(place) {
                found.extend(head.held(leaf, place as usize % LEAF).map(|held| (place, held)));
            }
            place += 1;
        }
        Ok(found)
    }

    /// Takes places out of a map whose entities do not fit its query any more.
    pub async fn drop_places(
        &self,
        tenant: &TenantId,
        id: &EntityMapId,
        places: &[u32],
    ) -> Result<(), StoreError> {
        if places.is_empty() {
            return Ok(());
        }
        let _turn = self.changing.lock().await;
        let Some(mut head) = self.heads(tenant).get(id.as_str()).await? else { return Ok(()) };
        places.iter().for_each(|place| head.dropped.insert(*place));
        self.heads(tenant).put(id.as_str(), &head).await
    }

    /// Lets a map end at another time; false if there is none.
    pub async fn end_at(
        &self,
        tenant: &TenantId,
        id: &EntityMapId,
        end: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let _turn = self.changing.lock().await;
        let Some(mut head) = self.head(tenant, id, now).await? else { return Ok(false) };
        head.expires_at = end.bits();
        self.heads(tenant).put(id.as_str(), &head).await?;
        Ok(true)
    }

    /// Takes a map away, ended or not; false if there is none.
    pub async fn take(&self, tenant: &TenantId, id: &EntityMapId) -> Result<bool, StoreError> {
        let _turn = self.changing.lock().await;
        let Some(head) = self.heads(tenant).get(id.as_str()).await? else { return Ok(false) };
        for number in 0..head.leaves() {
            self.leaves(tenant).take(&leaf_key(id, number)).await?;
        }
        // The head goes last, so that an interrupted attempt is made again.
        self.heads(tenant).take(id.as_str()).await
    }

    /// Takes all maps of a tenant away.
    pub async fn clear(&self, tenant: &TenantId) -> Result<(), StoreError> {
        for (id, _) in self.heads(tenant).all().await? {
            self.take(tenant, &EntityMapId::from_trusted(&id)).await?;
        }
        Ok(())
    }

    /// Takes the maps away that have ended; how many are left.
    pub async fn sweep(&self, tenant: &TenantId, now: Timestamp) -> Result<usize, StoreError> {
        let mut left = 0;
        for (id, head) in self.heads(tenant).all().await? {
            if head.expires_at() > now {
                left += 1;
            } else {
                self.take(tenant, &EntityMapId::from_trusted(&id)).await?;
            }
        }
        Ok(left)
    }
}

fn leaf_key(id: &EntityMapId, number: u32) -> String {
    format!("{id}/{number:06}")
}

fn leaf(entities: &[Held], sources: &mut Vec<String>) -> Leaf {
    let mut leaf = Leaf {
        ids: entities.iter().map(|held| held.id.as_str().to_owned()).collect(),
        by: Vec::new(),
    };
    if entities.iter().all(Held::is_here_alone) {
        return leaf;
    }
    let mut number = |holder: &Holder| match holder {
        Holder::Here => 0,
        Holder::Source(id) => match sources.iter().position(|known| **known == **id) {
            Some(place) => place as u32 + 1,
            None => {
                sources.push(id.to_string());
                sources.len() as u32
            }
        },
    };
    leaf.by = entities.iter().map(|held| held.by.iter().map(&mut number).collect()).collect();
    leaf
}
