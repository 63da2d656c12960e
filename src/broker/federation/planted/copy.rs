//! What a copy of a subscription says (5.8.1.4): reduced to what its source registered, and told to
//! this broker.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::INBOX;
use crate::broker::{Broker, Error};
use crate::federate::{About, Leg, Naming, Source, Want, types_text};
use crate::model::{AttrName, TenantId, Timestamp};
use crate::represent::registration::{Mode, Operation};
use crate::represent::subscription::{Showing, Subscription, Timing};

impl Broker {
    /// The sources that are concerned, each with the copy that is for it.
    pub(super) async fn copies_of(
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
            about: About::Latest,
            sources: subscription.sources.as_ref(),
            ..Want::default()
        };
        let matched = self.federation.register.matching(tenant, &want, origin.way(), now);
        let mut legs: Vec<(Arc<Source>, Vec<Leg>)> = Vec::new();
        for leg in matched.legs {
            let able = leg.source.supports(Operation::CreateSubscription);
            if !able || leg.source.mode() == Mode::Auxiliary || !may_change(&leg, watched) {
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
            let body = self.copy_of(subscription, (&legs, watched), split, &naming, now);
            (source, body)
        });
        Ok(each.collect())
    }

    /// The copy of a subscription, without its id.
    fn copy_of(
        &self,
        subscription: &Subscription,
        (legs, watched): (&[Leg], Option<&[AttrName]>),
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
        let spelled = |names: &[AttrName]| -> Value {
            names.iter().map(|name| naming.name(name.as_str())).collect()
        };
        // Told of when one of these changes; all that is registered is told then.
        if let Some(names) = watched_of(registered.as_deref(), watched) {
            body.insert("watchedAttributes".into(), spelled(&names));
        }
        let mut params = Map::new();
        if let Some(names) = &registered {
            params.insert("attributes".into(), spelled(names));
        }
        params.insert("sysAttrs".into(), true.into());
        let uri = format!("{}{INBOX}", self.federation.base);
        params.insert("endpoint".into(), json!({"uri": uri, "accept": "application/json"}));
        body.insert("notification".into(), params.into());
        Value::from(body).to_string()
    }
}

/// Whether a part of a source can change in a way that a subscription is told of.
fn may_change(leg: &Leg, watched: Option<&[AttrName]>) -> bool {
    match (&leg.attributes, watched) {
        (Some(own), Some(watched)) => own.iter().any(|name| watched.contains(name)),
        _ => true,
    }
}

/// The attributes that a copy watches: those that are watched here, as far as they are registered.
fn watched_of(
    registered: Option<&[AttrName]>,
    watched: Option<&[AttrName]>,
) -> Option<Vec<AttrName>> {
    let (Some(own), Some(watched)) = (registered, watched) else {
        return registered.or(watched).map(<[_]>::to_vec);
    };
    Some(watched.iter().copied().filter(|name| own.contains(name)).collect())
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
