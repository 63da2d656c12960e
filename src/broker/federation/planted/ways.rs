//! Which way requests for subscriptions came: copies of them are not planted at those who asked.

use std::collections::HashSet;
use std::time::Instant;

use super::PATIENCE;
use crate::broker::federation::Origin;
use crate::broker::{Broker, Error};
use crate::federate::Via;
use crate::model::{SubscriptionId, TenantId};
use crate::represent::subscription::SubscriptionRecord;
use crate::store::{Records, Shelf, StoreError};

/// Where the ways are noted, by the ids of subscriptions.
const WAYS: &str = "planted-ways";

impl Broker {
    fn ways(&self, tenant: &TenantId) -> Records<'_, String> {
        Records::on(&*self.store, Shelf::of(tenant, WAYS))
    }

    /// Remembers which way the request for a subscription came.
    pub async fn note_way(
        &self,
        tenant: &TenantId,
        id: &SubscriptionId,
        via: String,
    ) -> Result<(), Error> {
        self.ways(tenant).put(id.as_str(), &via).await?;
        let key = (tenant.clone(), id.as_str().to_owned());
        self.federation.planted.ways.lock().insert(key, via);
        Ok(())
    }

    /// Reads which ways are known, when the broker starts.
    pub(super) async fn recall_ways(&self, tenant: &TenantId) -> Result<(), Error> {
        let all = self.ways(tenant).all().await?.into_iter();
        let mut ways = self.federation.planted.ways.lock();
        ways.extend(all.map(|(id, via)| ((tenant.clone(), id), via)));
        Ok(())
    }

    /// Forgets the ways of subscriptions that are no more.
    pub(super) async fn forget_ways(
        &self,
        tenant: &TenantId,
        kept: &[(String, SubscriptionRecord)],
    ) -> Result<(), Error> {
        let gone: Vec<String> = {
            let ways = self.federation.planted.ways.lock();
            let kept: HashSet<&str> = kept.iter().map(|(id, _)| id.as_str()).collect();
            let own = ways.keys().filter(|(own, id)| own == tenant && !kept.contains(&**id));
            own.map(|(_, id)| id.clone()).collect()
        };
        for id in gone {
            match self.ways(tenant).take(&id).await {
                Ok(_) | Err(StoreError::UnknownTenant(_)) => {}
                Err(error) => return Err(error.into()),
            }
            self.federation.planted.ways.lock().remove(&(tenant.clone(), id));
        }
        Ok(())
    }

    /// How requests about a subscription go on: the way that the one for it came.
    pub(in crate::broker::federation) async fn origin_of(
        &self,
        tenant: &TenantId,
        id: &SubscriptionId,
    ) -> Result<Origin, Error> {
        let key = (tenant.clone(), id.as_str().to_owned());
        let via = self.federation.planted.ways.lock().get(&key).cloned();
        Ok(Origin {
            via: Via::parse(via.iter().map(String::as_str)),
            headers: Vec::new(),
            deadline: Instant::now() + PATIENCE,
            patience: PATIENCE,
            alias: self.alias(tenant).await?,
        })
    }
}
