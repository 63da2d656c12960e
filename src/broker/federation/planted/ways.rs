//! Which way requests for subscriptions came: copies of them are not planted at those who asked.

use std::collections::HashSet;
use std::time::Instant;

use super::PATIENCE;
use crate::broker::federation::{Held, Origin};
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
    pub(in crate::broker) async fn note_way(
        &self,
        tenant: &TenantId,
        id: &SubscriptionId,
        via: String,
    ) -> Result<(), Error> {
        Ok(self.ways(tenant).put(id.as_str(), &via).await?)
    }

    /// Forgets the ways of subscriptions that are no more.
    pub(super) async fn forget_ways(
        &self,
        tenant: &TenantId,
        kept: &[(String, SubscriptionRecord)],
    ) -> Result<(), Error> {
        let ways = self.ways(tenant).all().await?;
        let kept: HashSet<&str> = kept.iter().map(|(id, _)| id.as_str()).collect();
        for (id, _) in ways.iter().filter(|(id, _)| !kept.contains(&**id)) {
            match self.ways(tenant).take(id).await {
                Ok(_) | Err(StoreError::UnknownTenant(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// How requests about a subscription go on: the way that the one for it came.
    pub(in crate::broker::federation) async fn origin_of(
        &self,
        tenant: &TenantId,
        id: &SubscriptionId,
    ) -> Result<Origin, Error> {
        let via = match self.ways(tenant).get(id.as_str()).await {
            Err(StoreError::UnknownTenant(_)) => None,
            via => via?,
        };
        Ok(Origin {
            via: Via::parse(via.iter().map(String::as_str)),
            headers: Vec::new(),
            deadline: Instant::now() + PATIENCE,
            patience: PATIENCE,
            told_by: None,
            alias: self.alias(tenant).await?,
            held: Held::default(),
        })
    }
}
