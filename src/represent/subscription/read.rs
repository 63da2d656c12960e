//! What the members of a Subscription mean, and whether they are what they should be (5.2.12 to
//! 5.2.15, 5.2.21, 5.2.22, 5.2.33).

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::accept::context_of;
use super::{
    Accept, Draft, Endpoint, KeyValuePair, NotificationParams, ReadLimits, Subscription,
    SubscriptionError, Timing, Trigger, Triggers,
};
use crate::jsonld::Context;
use crate::model::{
    AttrName, DatasetId, EntityId, Name, SubscriptionId, Timestamp, TypeSelection, check_uri,
};
use crate::query::{
    EntityPlan, Filter, FilterOptions, GeoFilter, GeoParams, LanguageFilter, Order, OrderParams,
    Page, Pattern, Projection, ScopeFilter, Selector, Term, parse_types,
};
use crate::represent::ReadError;
use crate::represent::write::{Format, GeoJson, Join, JoinForm, Rendering, SpecVersion};

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
        let timing = reading.timing(watched, &plan, local_only.unwrap_or(false))?;
        let notification = reading.notification()?;
        Ok(Subscription {
            id: setting.id,
            sources: reading.filter("csf")?,
            about_sources: None,
            lookup: reading.lookup(&plan)?,
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
        let value = self.members.get(name).filter(|value| !value.is_null());
        value.ok_or_else(|| ReadError::new(why).within(name).into())
    }

    fn optional<'d, T>(
        &'d self,
        name: &str,
        read: impl FnOnce(&'d Value) -> Result<T, ReadError>,
    ) -> Result<Option<T>, SubscriptionError> {
        let given = self.members.get(name).filter(|value| !value.is_null());
        let value = given.map(read).transpose();
        value.map_err(|error| error.within(name).into())
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
            page: Page::default(),
        })
    }

    fn selectors(&self, value: &Value) -> Result<Vec<Selector>, SubscriptionError> {
        let each = items(value)?.iter().enumerate();
        each.map(|(place, one)| {
            self.selector(one).map_err(|error: SubscriptionError| error.within_item(place))
        })
        .collect()
    }

    /// An EntitySelector (5.2.33).
    fn selector(&self, value: &Value) -> Result<Selector, SubscriptionError> {
        let members = object(value, "an EntitySelector is a JSON object")?;
        let limits = &self.limits.query;
        let mut selector = Selector::default();
        for (name, value) in members {
            let mut read = || -> Result<(), SubscriptionError> {
                match name.as_str() {
                    "type" => {
                        selector.types = Some(parse_types(string(value)?, &self.core, limits)?);
                    }
                    "id" => selector.ids = ids(value)?,
                    "idPattern" => {
                        let text = string(value)?;
                        selector.id_pattern = Some(Pattern::parse("idPattern", text, limits)?);
                    }
                    _ => return Err(ReadError::new("an EntitySelector has no such member").into()),
                }
                Ok(())
            };
            read().map_err(|error| error.within(name))?;
        }
        if selector.types.is_none() {
            let why = "an EntitySelector needs a type, or \"*\"";
            return Err(ReadError::new(why).within("type").into());
        }
        Ok(selector)
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

    /// How the entities are found that `q` follows links to.
    fn lookup(&self, plan: &EntityPlan) -> Result<Option<Rendering>, SubscriptionError> {
        let depth = plan.link_depth();
        if depth > self.limits.join_level {
            let most = self.limits.join_level;
            let why = format!("it follows relationships over more than {most} entities");
            return Err(ReadError::new(why).within("q").into());
        }
        let join = |level| Join {
            form: JoinForm::Flat,
            level,
            contained_by: Vec::new(),
            limit: self.limits.join_entities,
        };
        let join = (depth > 0).then(|| join(depth as u32));
        Ok(join.map(|join| Rendering { join: Some(join), ..Rendering::default() }))
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

    fn notification(&self) -> Result<NotificationParams, SubscriptionError> {
        let value = self.draft.required("notification", "a Subscription needs it")?;
        let looks = self.looks()?;
        self.params(value, looks).map_err(|error| error.within("notification"))
    }

    /// NotificationParams (5.2.14).
    fn params(
        &self,
        value: &Value,
        looks: Rendering,
    ) -> Result<NotificationParams, SubscriptionError> {
        let members = object(value, "NotificationParams are a JSON object")?;
        let member = |name: &'static str| Member(name, members.get(name));
        let endpoint = member("endpoint").required("notifications need an endpoint")?;
        let endpoint = endpoint_of(endpoint).map_err(|error| error.within("endpoint"))?;
        let format = member("format").read(format)?.unwrap_or_default();
        let show_changes = member("showChanges").read(boolean)?.unwrap_or(false);
        if show_changes && format == Format::Simplified {
            let why = "it cannot be true where format is keyValues or simplified";
            return Err(ReadError::new(why).within("showChanges").into());
        }
        let list = |name| -> Result<Option<String>, ReadError> {
            Ok(member(name).read(texts)?.map(|texts| texts.join(",")))
        };
        let attributes = member("attributes").read(attributes)?;
        let attributes = attributes.map(|names| {
            let names: Vec<String> = names.iter().map(|name| format!("<{name}>")).collect();
            names.join(",")
        });
        let projection = Projection::parse(
            list("pick")?.as_deref(),
            list("omit")?.as_deref(),
            attributes.as_deref(),
            &self.core,
            &self.limits.query,
        )?;
        let join = self.join(&member)?;
        let level = join.as_ref().map_or(0, |join| join.level as usize);
        if projection.link_depth() > level {
            let why = "a projection into linked entities needs a join that reaches them";
            return Err(ReadError::new(why).within("join").into());
        }
        let rendering = Rendering {
            format,
            sys_attrs: member("sysAttrs").read(boolean)?.unwrap_or(false),
            projection,
            join,
            geojson: (endpoint.accept == Accept::GeoJson).then(GeoJson::default),
            ..looks
        };
        Ok(NotificationParams { rendering, show_changes, endpoint })
    }

    /// What the Subscription itself says of looks.
    fn looks(&self) -> Result<Rendering, SubscriptionError> {
        let lang = self.draft.optional("lang", string)?;
        let lang = lang.map(|text| LanguageFilter::parse(text, &self.limits.query)).transpose();
        let version = self.draft.optional("ngsildConformance", |value| {
            let version = string(value)?.parse::<SpecVersion>();
            version.map_err(|why| ReadError::new(why.to_string()))
        })?;
        Ok(Rendering {
            lang: lang.map_err(|error| SubscriptionError::from(error).within("lang"))?,
            version: version.map(|version| version.min(SpecVersion::OURS)),
            datasets: self.draft.optional("datasetId", datasets)?.unwrap_or_default(),
            ..Rendering::default()
        })
    }

    fn join<'v>(
        &self,
        member: &dyn Fn(&'static str) -> Member<'v>,
    ) -> Result<Option<Join>, SubscriptionError> {
        let form = member("join").read(|value| match string(value)? {
            "flat" => Ok(Some(JoinForm::Flat)),
            "inline" => Ok(Some(JoinForm::Inline)),
            "@none" => Ok(None),
            other => Err(ReadError::new(format!("use flat, inline or @none, not {other:?}"))),
        })?;
        let form = form.flatten();
        let most = self.limits.join_level as u64;
        let level = member("joinLevel").read(|value| match value.as_u64() {
            Some(level) if (1..=most).contains(&level) => Ok(level as u32),
            _ => Err(ReadError::new(format!("it has to be a whole number from 1 to {most}"))),
        })?;
        let contained_by = member("containedBy").read(ids)?;
        let Some(form) = form else {
            let given = [("joinLevel", level.is_some()), ("containedBy", contained_by.is_some())];
            return match given.iter().find(|(_, given)| *given) {
                Some((name, _)) => Err(ReadError::new("it needs a join").within(name).into()),
                None => Ok(None),
            };
        };
        Ok(Some(Join {
            form,
            level: level.unwrap_or(1),
            contained_by: contained_by.unwrap_or_default(),
            limit: self.limits.join_entities,
        }))
    }
}

/// A member of an object, perhaps absent.
struct Member<'v>(&'static str, Option<&'v Value>);

impl<'v> Member<'v> {
    fn read<T>(
        &self,
        read: impl FnOnce(&'v Value) -> Result<T, ReadError>,
    ) -> Result<Option<T>, ReadError> {
        self.1.map(read).transpose().map_err(|error| error.within(self.0))
    }

    fn required(&self, why: &str) -> Result<&'v Value, ReadError> {
        self.1.ok_or_else(|| ReadError::new(why).within(self.0))
    }
}

/// An Endpoint (5.2.15).
fn endpoint_of(value: &Value) -> Result<Endpoint, ReadError> {
    let members = object(value, "an Endpoint is a JSON object")?;
    let member = |name: &'static str| Member(name, members.get(name));
    let uri = string(member("uri").required("an endpoint needs one")?);
    let uri = uri.and_then(|text| match check_uri(text) {
        Ok(()) => Ok(text),
        Err(why) => Err(ReadError::new(why.to_string())),
    });
    let uri = uri.map_err(|error| error.within("uri"))?;
    let accept = member("accept").read(|value| {
        let text = string(value)?;
        let known = Accept::ALL.into_iter().find(|accept| accept.media_type() == text);
        known.ok_or_else(|| {
            ReadError::new(format!(
                "use application/json, application/ld+json or application/geo+json, not {text:?}"
            ))
        })
    })?;
    let accept = accept.unwrap_or_default();
    let scheme = uri.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if accept == Accept::GeoJson && matches!(scheme.as_str(), "mqtt" | "mqtts") {
        let why = "MQTT carries application/json and application/ld+json only (7.2)";
        return Err(ReadError::new(why).within("accept"));
    }
    Ok(Endpoint {
        uri: uri.into(),
        accept,
        receiver_info: member("receiverInfo").read(pairs)?.unwrap_or_default(),
        notifier_info: member("notifierInfo").read(pairs)?.unwrap_or_default(),
        timeout: member("timeout").read(milliseconds)?,
        cooldown: member("cooldown").read(milliseconds)?,
    })
}

pub(in crate::represent) fn pairs(value: &Value) -> Result<Vec<KeyValuePair>, ReadError> {
    let Value::Array(pairs) = value else { return Err(expected("an array", value)) };
    let pair = |value: &Value| {
        let members = object(value, "a KeyValuePair is a JSON object")?;
        let text = |name: &'static str| {
            let text = Member(name, members.get(name)).required("a KeyValuePair needs it")?;
            match text {
                Value::String(text) => Ok(text.as_str().into()),
                other => Err(expected("a string", other).within(name)),
            }
        };
        Ok(KeyValuePair { key: text("key")?, value: text("value")? })
    };
    let each = pairs.iter().enumerate();
    each.map(|(place, one)| pair(one).map_err(|error: ReadError| error.within_item(place)))
        .collect()
}

fn format(value: &Value) -> Result<Format, ReadError> {
    let word = string(value)?;
    Format::from_keyword(word).ok_or_else(|| {
        ReadError::new(format!("use normalized, concise, simplified or keyValues, not {word:?}"))
    })
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

/// Names of attributes, which are IRIs here.
pub(in crate::represent) fn attributes(value: &Value) -> Result<Vec<AttrName>, ReadError> {
    let texts = texts(value)?;
    texts
        .iter()
        .map(|iri| Name::intern(iri).map_err(|error| ReadError::new(error.to_string())))
        .collect()
}

pub(in crate::represent) fn datasets(value: &Value) -> Result<Vec<Option<DatasetId>>, ReadError> {
    let texts = texts(value)?;
    let each = texts.iter().enumerate().map(|(place, text)| match *text {
        "@none" => Ok(None),
        text => DatasetId::parse(text)
            .map(Some)
            .map_err(|why| ReadError::new(why.to_string()).within_item(place)),
    });
    each.collect()
}

/// One id, or an array of ids.
fn ids(value: &Value) -> Result<Vec<EntityId>, ReadError> {
    let id = |text: &str| EntityId::parse(text).map_err(|why| ReadError::new(why.to_string()));
    match value {
        Value::Array(_) => {
            let texts = texts(value)?;
            let each = texts.iter().enumerate();
            each.map(|(place, text)| id(text).map_err(|error| error.within_item(place))).collect()
        }
        single => Ok(vec![id(string(single)?)?]),
    }
}

fn seconds(value: &Value) -> Result<Duration, ReadError> {
    positive(value, 1.0, "seconds")
}

pub(in crate::represent) fn milliseconds(value: &Value) -> Result<Duration, ReadError> {
    positive(value, 1e-3, "milliseconds")
}

/// The longest time that a Subscription may speak of, in seconds: a hundred years.
const LONGEST: f64 = 100.0 * 365.0 * 86_400.0;

fn positive(value: &Value, unit: f64, what: &str) -> Result<Duration, ReadError> {
    let number = value.as_f64().map(|number| number * unit);
    match number {
        Some(number) if number > 0.0 && number <= LONGEST => Ok(Duration::from_secs_f64(number)),
        _ => Err(expected(&format!("a number of {what} above zero, and below a century"), value)),
    }
}

pub(in crate::represent) fn boolean(value: &Value) -> Result<bool, ReadError> {
    value.as_bool().ok_or_else(|| expected("true or false", value))
}

pub(in crate::represent) fn string(value: &Value) -> Result<&str, ReadError> {
    match value.as_str() {
        Some("") => Err(ReadError::new("it is empty")),
        Some(text) => Ok(text),
        None => Err(expected("a string", value)),
    }
}

pub(in crate::represent) fn object<'v>(
    value: &'v Value,
    why: &str,
) -> Result<&'v serde_json::Map<String, Value>, ReadError> {
    value.as_object().ok_or_else(|| ReadError::new(why))
}

pub(in crate::represent) fn items(value: &Value) -> Result<&[Value], ReadError> {
    match value {
        Value::Array(items) if items.is_empty() => Err(ReadError::new("the array is empty")),
        Value::Array(items) => Ok(items),
        other => Err(expected("an array", other)),
    }
}

pub(in crate::represent) fn texts(value: &Value) -> Result<Vec<&str>, ReadError> {
    let each = items(value)?.iter().enumerate();
    each.map(|(place, item)| string(item).map_err(|error| error.within_item(place))).collect()
}

pub(in crate::represent) fn expected(what: &str, value: &Value) -> ReadError {
    let kind = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    ReadError::new(format!("it has to be {what}, not {kind}"))
}
