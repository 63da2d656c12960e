//! What the members of a Subscription mean, and whether they are what they should be (5.2.12 to
//! 5.2.15, 5.2.21, 5.2.22, 5.2.33).

mod notification;

use std::sync::Arc;

use serde_json::Value;

use super::accept::context_of;
use super::values::{
    Member, attributes, boolean, expected, ids, items, object, seconds, string, texts,
};
use super::{Draft, ReadLimits, Subscription, SubscriptionError, Timing, Trigger, Triggers};
use crate::jsonld::Context;
use crate::model::{AttrName, SubscriptionId, Timestamp, TypeSelection, check_uri};
use crate::query::{
    Alternatives, EntityPlan, Filter, FilterOptions, GeoFilter, GeoParams, Order, OrderParams,
    ScopeFilter, Selector, Term, parse_types,
};
use crate::represent::ReadError;

/// What a Subscription has that its members do not say.
#[derive(Debug, Clone)]
pub struct Setting {
    pub id: SubscriptionId,
    /// See [`Subscription::context`].
    pub context: Arc<Context>,
    /// See [`Subscription::context_address`].
    pub context_address: Arc<str>,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
}

impl Draft {
    /// The Subscription that these members make, if they are what they should be.
    pub fn read(
        &self,
        setting: Setting,
        limits: &ReadLimits,
    ) -> Result<Subscription, SubscriptionError> {
        let kind = self.required("type", "it has to be \"Subscription\"")?;
        if kind.as_str() != Some("Subscription") {
            return Err(ReadError::new("it has to be \"Subscription\"").within("type").into());
        }
        if self.members.contains_key("temporalQ") {
            let why = "it belongs to a subscription to registrations (5.11)";
            return Err(ReadError::new(why).within("temporalQ").into());
        }
        for name in ["subscriptionName", "description", "jsonldContext"] {
            self.optional(name, string)?;
        }
        if let Some(address) = self.jsonld_context() {
            check_uri(address)
                .map_err(|why| ReadError::new(why.to_string()).within("jsonldContext"))?;
        }
        let reading = Reading { draft: self, limits, core: Context::core() };
        let local_only = self.optional("localOnly", boolean)?;
        let watched = self.optional("watchedAttributes", attributes)?;
        let plan = reading.plan(watched.as_deref(), local_only)?;
        reading.check_links(&plan)?;
        let timing = reading.timing(watched, &plan, local_only.unwrap_or(false))?;
        let notification = reading.notification()?;
        Ok(Subscription {
            id: setting.id,
            sources: reading.filter("csf")?,
            about_sources: None,
            plan,
            timing,
            local_only: local_only.unwrap_or(false),
            split_entities: self.optional("splitEntities", boolean)?,
            is_active: self.optional("isActive", boolean)?.unwrap_or(true),
            expires_at: self.expires_at()?,
            notification,
            context: setting.context,
            context_address: setting.context_address,
            created_at: setting.created_at,
            modified_at: setting.modified_at,
            since: None,
            snapshot: None,
            draft: Arc::new(self.clone()),
        })
    }

    /// When it expires, if that is said.
    pub fn expires_at(&self) -> Result<Option<Timestamp>, SubscriptionError> {
        self.optional("expiresAt", |value| {
            string(value)?.parse().map_err(|why| ReadError::new(format!("{why}")))
        })
    }

    fn required(&self, name: &'static str, why: &str) -> Result<&Value, SubscriptionError> {
        Ok(Member::of(&self.members, name).required(why)?)
    }

    fn optional<'d, T>(
        &'d self,
        name: &'static str,
        read: impl FnOnce(&'d Value) -> Result<T, ReadError>,
    ) -> Result<Option<T>, SubscriptionError> {
        Ok(Member::of(&self.members, name).read(read)?)
    }
}

struct Reading<'a> {
    draft: &'a Draft,
    limits: &'a ReadLimits,
    /// By which names are read: they are IRIs.
    core: Arc<Context>,
}

impl Reading<'_> {
    fn plan(
        &self,
        watched: Option<&[AttrName]>,
        local_only: Option<bool>,
    ) -> Result<EntityPlan, SubscriptionError> {
        let select = match self.draft.members.get("entities") {
            None => Vec::new(),
            Some(value) => self.selectors(value).map_err(|error| error.within("entities"))?,
        };
        let any = |one: &Selector| one.types == Some(TypeSelection::Any);
        if local_only == Some(false) && select.iter().any(any) {
            let why = "the type \"*\" asks for local entities, and localOnly false contradicts it";
            return Err(ReadError::new(why).within("entities").into());
        }
        let owned = watched.filter(|_| select.is_empty()).unwrap_or_default();
        let scope = self.draft.optional("scopeQ", string)?;
        let scope = scope.map(|text| ScopeFilter::parse(text, &self.limits.query)).transpose();
        Ok(EntityPlan {
            select,
            attrs: owned.iter().map(|name| Term::known(*name)).collect(),
            filter: self.filter("q")?,
            geo: self.geoquery()?,
            scope: scope.map_err(|error| SubscriptionError::from(error).within("scopeQ"))?,
            order: self.order()?,
            lookups: self.limits.lookups,
            ..EntityPlan::default()
        })
    }

    fn selectors(&self, value: &Value) -> Result<Vec<Selector>, SubscriptionError> {
        let mut alternatives = Alternatives::new("entities", &self.limits.query);
        for (place, one) in items(value)?.iter().enumerate() {
            let read = self.selector(one, &mut alternatives);
            read.map_err(|error| error.within_item(place))?;
        }
        Ok(alternatives.finish())
    }

    /// An EntitySelector (5.2.33).
    fn selector(
        &self,
        value: &Value,
        alternatives: &mut Alternatives<'_>,
    ) -> Result<(), SubscriptionError> {
        let members = object(value, "an EntitySelector is a JSON object")?;
        let limits = &self.limits.query;
        let (mut given, mut pattern, mut types) = (Vec::new(), None, None);
        for (name, value) in members {
            let mut read = || -> Result<(), SubscriptionError> {
                match name.as_str() {
                    "type" => {
                        types = Some(parse_types(string(value)?, &self.core, limits)?);
                    }
                    "id" => given = ids(value)?,
                    "idPattern" => pattern = Some(string(value)?),
                    _ => return Err(ReadError::new("an EntitySelector has no such member").into()),
                }
                Ok(())
            };
            read().map_err(|error| error.within(name))?;
        }
        if types.is_none() {
            let why = "an EntitySelector needs a type, or \"*\"";
            return Err(ReadError::new(why).within("type").into());
        }
        let added = alternatives.add(given, pattern, types);
        added.map_err(|error| SubscriptionError::from(error).within("idPattern"))
    }

    fn filter(&self, name: &'static str) -> Result<Option<Filter>, SubscriptionError> {
        let Some(text) = self.draft.optional(name, string)? else { return Ok(None) };
        let limits = &self.limits.query;
        let options = match name {
            "q" => FilterOptions::parse(
                self.draft.optional("expandValues", string)?,
                self.draft.optional("jsonKeys", string)?,
                &self.core,
                limits,
            )?,
            _ => FilterOptions::default(),
        };
        let filter = Filter::parse_as(name, text, &*self.context(name)?, &options, limits);
        Ok(Some(filter.map_err(|error| SubscriptionError::from(error).within(name))?))
    }

    /// The `@context` that a member's names were written with.
    fn context(&self, member: &str) -> Result<Arc<Context>, SubscriptionError> {
        match self.draft.names.get(member).and_then(Value::as_object) {
            Some(names) => context_of(names),
            None => Ok(self.core.clone()),
        }
    }

    /// A GeoQuery (5.2.13).
    fn geoquery(&self) -> Result<Option<GeoFilter>, SubscriptionError> {
        let Some(value) = self.draft.members.get("geoQ") else { return Ok(None) };
        let read = || -> Result<Option<GeoFilter>, SubscriptionError> {
            let members = object(value, "a GeoQuery is a JSON object")?;
            let mut params = GeoParams::default();
            let coordinates;
            for (name, value) in members {
                let text = || string(value).map(Some).map_err(|error| error.within(name));
                match name.as_str() {
                    "georel" => params.georel = text()?,
                    "geometry" => params.geometry = text()?,
                    "geoproperty" => params.geoproperty = text()?,
                    "coordinates" => {}
                    _ => {
                        let error = ReadError::new("a GeoQuery has no such member");
                        return Err(error.within(name).into());
                    }
                }
            }
            params.coordinates = match members.get("coordinates") {
                None => None,
                Some(Value::String(text)) => Some(text),
                Some(value @ Value::Array(_)) => {
                    coordinates = value.to_string();
                    Some(&coordinates)
                }
                Some(other) => {
                    return Err(expected("an array of numbers", other)
                        .within("coordinates")
                        .into());
                }
            };
            let filter = GeoFilter::parse(&params, &self.core, &self.limits.query)?;
            filter.map(Some).ok_or_else(|| ReadError::new("it asks for nothing").into())
        };
        read().map_err(|error| error.within("geoQ"))
    }

    /// OrderingParams.
    fn order(&self) -> Result<Option<Order>, SubscriptionError> {
        let Some(value) = self.draft.members.get("ordering") else { return Ok(None) };
        let read = || -> Result<Option<Order>, SubscriptionError> {
            let members = object(value, "OrderingParams are a JSON object")?;
            let (mut by, mut from) = (None, None);
            let mut params = OrderParams::default();
            for (name, value) in members {
                let mut read = || -> Result<(), ReadError> {
                    match name.as_str() {
                        "orderBy" => by = Some(texts(value)?.join(",")),
                        "collation" => params.collation = Some(string(value)?),
                        "geometry" => params.order_geometry = Some(string(value)?),
                        "coordinates" if value.is_array() => from = Some(value.to_string()),
                        "coordinates" => return Err(expected("an array of numbers", value)),
                        _ => return Err(ReadError::new("OrderingParams have no such member")),
                    }
                    Ok(())
                };
                read().map_err(|error| error.within(name))?;
            }
            params.order_by = by.as_deref();
            params.order_from = from.as_deref();
            Ok(Order::parse(&params, &*self.context("ordering")?, &self.limits.query)?)
        };
        read().map_err(|error| error.within("ordering"))
    }

    fn check_links(&self, plan: &EntityPlan) -> Result<(), SubscriptionError> {
        if plan.link_depth() > self.limits.join_level {
            let most = self.limits.join_level;
            let why = format!("it follows relationships over more than {most} entities");
            return Err(ReadError::new(why).within("q").into());
        }
        Ok(())
    }

    fn timing(
        &self,
        watched: Option<Vec<AttrName>>,
        plan: &EntityPlan,
        local_only: bool,
    ) -> Result<Timing, SubscriptionError> {
        let interval = self.draft.optional("timeInterval", seconds)?;
        let throttling = self.draft.optional("throttling", seconds)?;
        let triggers = self.draft.optional("notificationTrigger", triggers)?;
        let refuse = |name: &str, why: &str| Err(ReadError::new(why).within(name).into());
        if let Some(interval) = interval {
            return match () {
                () if watched.is_some() => refuse(
                    "watchedAttributes",
                    "it cannot stand beside timeInterval: the one tells of changes, the other by the clock",
                ),
                () if throttling.is_some() => refuse(
                    "throttling",
                    "it cannot stand beside timeInterval, which says how often to notify",
                ),
                () if plan.select.is_empty() && !local_only => {
                    refuse("entities", "timeInterval needs entities, unless localOnly is true")
                }
                () => Ok(Timing::Every(interval)),
            };
        }
        if plan.select.is_empty() && watched.is_none() && !local_only {
            return refuse(
                "entities",
                "give entities or watchedAttributes, or set localOnly to true",
            );
        }
        Ok(Timing::OnChange {
            watched: watched.unwrap_or_default(),
            triggers: triggers.unwrap_or_default(),
            throttling,
        })
    }
}

fn triggers(value: &Value) -> Result<Triggers, ReadError> {
    let words = texts(value)?;
    let each = words.iter().enumerate().map(|(place, word)| {
        Trigger::from_word(word).ok_or_else(|| {
            let known: Vec<&str> = Trigger::ALL.iter().map(|trigger| trigger.word()).collect();
            let why = format!("{word:?} is no trigger: use {}", known.join(", "));
            ReadError::new(why).within_item(place)
        })
    });
    let triggers: Vec<Trigger> = each.collect::<Result<_, _>>()?;
    Ok(Triggers::of(&triggers))
}
