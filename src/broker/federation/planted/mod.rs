//! Subscriptions at sources (5.8.1.4, 5.8.6): whoever subscribes here is told of what happens there.
//! A copy of the subscription, reduced to what a source registered, is planted at it; what the
//! source then tells is told on under the own subscription.

mod told;
mod ways;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::egress::Method;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::subscriptions::About as Kind;
use super::super::{Broker, Error};
use super::ask::Heard;
use crate::federate::{About, Draft, Health, Leg, Naming, Source, Want, path_part, types_text};
use crate::model::{AttrName, SubscriptionId, TenantId, Timestamp};
use crate::represent::registration::{
    Mode, Operation, ReadLimits as RegistrationLimits, RegistrationRecord,
};
use crate::represent::subscription::{Showing, Subscription, Timing};
use crate::store::{Records, Shelf, StoreError};

/// Copies of subscriptions at sources, by their ids there.
#[derive(Default)]
pub(in crate::broker) struct Planted {
    known: Mutex<HashMap<String, (TenantId, Plant)>>,
    /// The way that requests for subscriptions came: they do not go back there.
    ways: Mutex<HashMap<(TenantId, String), String>>,
    /// Held while copies are brought in line.
    leveling: tokio::sync::Mutex<()>,
}

/// A copy of a subscription at a source.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Plant {
    subscription: String,
    /// The registration as it was, to find the copy when it is gone.
    registration: RegistrationRecord,
    /// What the copy says.
    body: String,
}

/// Where the copies of a tenant's subscriptions are noted.
pub(in crate::broker) const PLANTED: &str = "planted";

/// The path that sources tell.
pub const INBOX: &str = "/ngsi-ld/ex/remote-notify";

/// How long one request to a source may take here, where nobody waits.
const PATIENCE: Duration = Duration::from_secs(10);

impl Broker {
    fn copies(&self, tenant: &TenantId) -> Records<'_, Plant> {
        Records::on(&*self.store, Shelf::of(tenant, PLANTED))
    }

    /// Reads which copies there are, when the broker starts.
    pub async fn recall_planted(&self) -> Result<(), Error> {
        for tenant in self.store.tenants().await? {
            let all = match self.copies(&tenant).all().await {
                Err(StoreError::UnknownTenant(_)) => continue,
                all => all?,
            };
            let all = all.into_iter().map(|(id, copy)| (id, (tenant.clone(), copy)));
            self.federation.planted.known.lock().extend(all);
            self.recall_ways(&tenant).await?;
        }
        Ok(())
    }

    /// Brings the copies of a tenant's subscriptions in line with its subscriptions and
    /// registrations: plants, changes and removes them.
    ///
    /// Whether all of that was done; what was not is to be tried again.
    pub async fn level(&self, tenant: &TenantId) -> Result<bool, Error> {
        let planted = &self.federation.planted;
        let _leveling = planted.leveling.lock().await;
        let now = Timestamp::now();
        let known: Vec<(String, Plant)> = {
            let known = planted.known.lock();
            let own = known.iter().filter(|(_, (own, _))| own == tenant);
            own.map(|(id, (_, copy))| (id.clone(), copy.clone())).collect()
        };
        if known.is_empty() && !self.federation.register.has(tenant) {
            return Ok(true);
        }
        let mut all = true;
        let mut wanted = self.wanted(tenant, now).await?;
        for (id, copy) in known {
            let key = (copy.subscription.clone(), copy.registration.id.clone());
            match wanted.remove(&key) {
                Some((_, body)) if body == copy.body => {}
                Some((source, body)) => {
                    all &= self.change_copy(tenant, &id, copy, source, body).await?;
                }
                None => self.remove_copy(tenant, &id, &copy).await?,
            }
        }
        for ((subscription, _), (source, body)) in wanted {
            all &= self.plant(tenant, subscription, &source, body).await?;
        }
        Ok(all)
    }

    /// What should be planted: by subscription and registration, the source and the copy.
    async fn wanted(
        &self,
        tenant: &TenantId,
        now: Timestamp,
    ) -> Result<HashMap<(String, String), (Arc<Source>, String)>, Error> {
        let mut wanted = HashMap::new();
        let all = self.subscriptions();
        let records = match all.records(tenant, Kind::Entities).all().await {
            Err(StoreError::UnknownTenant(_)) => return Ok(wanted),
            records => records?,
        };
        self.forget_ways(tenant, &records).await?;
        for (_, record) in records {
            let Ok(subscription) = all.told(tenant, Kind::Entities, &record, now).await else {
                continue;
            };
            let timed = matches!(subscription.timing, Timing::Every(_));
            let over = subscription.expires_at.is_some_and(|end| end <= now);
            if subscription.local_only || timed || over {
                continue;
            }
            for (source, body) in self.copies_of(tenant, &subscription, now).await? {
                let key = (subscription.id.as_str().to_owned(), source.id().to_owned());
                wanted.insert(key, (source, body));
            }
        }
        Ok(wanted)
    }

    async fn copies_of(
        &self,
        tenant: &TenantId,
        subscription: &Subscription,
        now: Timestamp,
    ) -> Result<Vec<(Arc<Source>, String)>, Error> {
        let origin = self.origin_of(tenant, &subscription.id).await?;
        let watched = match &subscription.timing {
            Timing::OnChange { watched, .. } if !watched.is_empty() => Some(watched.as_slice()),
            _ => None,
        };
        let want = Want {
            select: &subscription.plan.select,
            attributes: watched,
            about: About::Latest,
            sources: subscription.sources.as_ref(),
            ..Want::default()
        };
        let matched = self.federation.register.matching(tenant, &want, origin.way(), now);
        let mut legs: Vec<(Arc<Source>, Vec<Leg>)> = Vec::new();
        for leg in matched.legs {
            let able = leg.source.supports(Operation::CreateSubscription);
            if !able || leg.source.mode() == Mode::Auxiliary {
                continue;
            }
            match legs.iter_mut().find(|(source, _)| Arc::ptr_eq(source, &leg.source)) {
                Some((_, own)) => own.push(leg),
                None => legs.push((leg.source.clone(), vec![leg])),
            }
        }
        let split = subscription.split_entities.unwrap_or(self.federation.splits_entities());
        let each = legs.into_iter().map(|(source, legs)| {
            let naming = Naming::of_client(&subscription.context, true, &source);
            let body = self.copy_of(subscription, &legs, split, &naming, now);
            (source, body)
        });
        Ok(each.collect())
    }

    /// The copy of a subscription, without its id.
    fn copy_of(
        &self,
        subscription: &Subscription,
        legs: &[Leg],
        split: bool,
        naming: &Naming,
        now: Timestamp,
    ) -> String {
        let showing =
            Showing { context: &naming.context, context_in_body: false, sys_attrs: false, now };
        let mut text = Vec::new();
        showing.write(&mut text, subscription, &Default::default());
        let mut body: Map<String, Value> = serde_json::from_slice(&text).unwrap_or_default();
        for name in [
            "id",
            "status",
            "csf",
            "localOnly",
            "jsonldContext",
            "throttling",
            "lang",
            "datasetId",
            "ngsildConformance",
            "subscriptionName",
            "description",
        ] {
            body.shift_remove(name);
        }
        if split {
            for name in ["q", "geoQ", "scopeQ", "expandValues", "jsonKeys"] {
                body.shift_remove(name);
            }
            body.insert("splitEntities".into(), true.into());
        } else {
            body.shift_remove("splitEntities");
        }
        body.insert("entities".into(), selectors(legs, naming));
        let registered = attributes_of(legs);
        if let Some(names) = &registered {
            let names: Vec<String> = names.iter().map(|name| naming.name(name.as_str())).collect();
            body.insert("watchedAttributes".into(), json!(names));
        }
        let mut params = Map::new();
        if let Some(names) = &registered {
            let names: Vec<String> = names.iter().map(|name| naming.name(name.as_str())).collect();
            params.insert("attributes".into(), json!(names));
        }
        params.insert("sysAttrs".into(), true.into());
        let uri = format!("{}{INBOX}", self.federation.base);
        params.insert("endpoint".into(), json!({"uri": uri, "accept": "application/json"}));
        body.insert("notification".into(), params.into());
        Value::from(body).to_string()
    }

    async fn plant(
        &self,
        tenant: &TenantId,
        subscription: String,
        source: &Arc<Source>,
        body: String,
    ) -> Result<bool, Error> {
        let id = format!("urn:ngsi-ld:Subscription:distsub:{}", uuid::Uuid::now_v7());
        let copy =
            Plant { subscription, registration: source.registration.record(), body: body.clone() };
        // Noted before it is planted, so that the first notification is not lost.
        self.copies(tenant).put(&id, &copy).await?;
        self.federation.planted.known.lock().insert(id.clone(), (tenant.clone(), copy.clone()));
        let with_id = body.replacen('{', &format!("{{\"id\":{},", json!(id)), 1);
        let draft = Draft::new(Method::POST, "/subscriptions").with_object(with_id);
        let planted = self.about_copy(tenant, &copy, source, &draft).await?;
        if !planted {
            self.forget_copy(tenant, &id).await?;
        }
        Ok(planted)
    }

    async fn change_copy(
        &self,
        tenant: &TenantId,
        id: &str,
        copy: Plant,
        source: Arc<Source>,
        body: String,
    ) -> Result<bool, Error> {
        if !source.supports(Operation::UpdateSubscription) {
            self.remove_copy(tenant, id, &copy).await?;
            return self.plant(tenant, copy.subscription, &source, body).await;
        }
        let path = format!("/subscriptions/{}", path_part(id));
        let draft = Draft::new(Method::PATCH, path).with_object(body.clone());
        let changed = self.about_copy(tenant, &copy, &source, &draft).await?;
        if changed {
            let copy = Plant { body, registration: source.registration.record(), ..copy };
            self.copies(tenant).put(id, &copy).await?;
            let mut known = self.federation.planted.known.lock();
            known.insert(id.to_owned(), (tenant.clone(), copy));
        }
        Ok(changed)
    }

    async fn remove_copy(&self, tenant: &TenantId, id: &str, copy: &Plant) -> Result<(), Error> {
        let limits = RegistrationLimits::of_kept();
        if let Ok(registration) = copy.registration.registration(&limits) {
            let source = Arc::new(Source::new(Arc::new(registration), Health::default()));
            if source.supports(Operation::DeleteSubscription) {
                let path = format!("/subscriptions/{}", path_part(id));
                let draft = Draft::new(Method::DELETE, path);
                self.about_copy(tenant, copy, &source, &draft).await?;
            }
        }
        self.forget_copy(tenant, id).await
    }

    async fn forget_copy(&self, tenant: &TenantId, id: &str) -> Result<(), Error> {
        self.federation.planted.known.lock().remove(id);
        match self.copies(tenant).take(id).await {
            Ok(_) | Err(StoreError::UnknownTenant(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a request about a copy; whether it was done.
    async fn about_copy(
        &self,
        tenant: &TenantId,
        copy: &Plant,
        source: &Arc<Source>,
        draft: &Draft,
    ) -> Result<bool, Error> {
        let id = SubscriptionId::from_trusted(&copy.subscription);
        let origin = self.origin_of(tenant, &id).await?;
        let all = self.subscriptions();
        let record = all.records(tenant, Kind::Entities).get(&copy.subscription).await;
        let naming = match record.ok().flatten() {
            Some(record) => {
                let told = all.told(tenant, Kind::Entities, &record, Timestamp::now()).await;
                told.map_or_else(
                    |_| Naming::plain(),
                    |own| Naming::of_client(&own.context, true, source),
                )
            }
            None => Naming::plain(),
        };
        let heard = self.tell(&origin, source, draft, &naming).await;
        Ok(matches!(heard, Heard::Reply(reply) if (200..300).contains(&reply.status)))
    }
}

/// The attributes that were registered; all if absent.
fn attributes_of(legs: &[Leg]) -> Option<Vec<AttrName>> {
    let mut all = Vec::new();
    for leg in legs {
        for name in leg.attributes.as_ref()? {
            if !all.contains(name) {
                all.push(*name);
            }
        }
    }
    Some(all)
}

fn selectors(legs: &[Leg], naming: &Naming) -> Value {
    let mut all = Vec::new();
    for leg in legs {
        let select = &leg.select;
        let types = select.types.as_ref().map_or("*".to_owned(), |types| types_text(types, naming));
        if select.ids.is_empty() {
            let mut one = json!({"type": types});
            if let Some(pattern) = &select.id_pattern {
                one["idPattern"] = pattern.as_str().into();
            }
            all.push(one);
        }
        let ids = select.ids.iter().map(|id| json!({"type": types, "id": id.as_str()}));
        all.extend(ids);
    }
    Value::from(all)
}
