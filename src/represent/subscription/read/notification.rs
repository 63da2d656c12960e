//! How a Subscription wants its notifications: NotificationParams (5.2.14) and Endpoint (5.2.15).

use serde_json::Value;

use super::Reading;
use crate::model::check_uri;
use crate::query::{LanguageFilter, Projection};
use crate::represent::ReadError;
use crate::represent::subscription::values::{
    Member, attributes, boolean, datasets, ids, milliseconds, object, pairs, string, texts,
};
use crate::represent::subscription::{Accept, Endpoint, NotificationParams, SubscriptionError};
use crate::represent::write::{Format, GeoJson, Join, JoinForm, Rendering, SpecVersion};

impl Reading<'_> {
    pub(super) fn notification(&self) -> Result<NotificationParams, SubscriptionError> {
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
        if contained_by.is_some() && form.is_some() && level.is_none() {
            return Err(ReadError::new("it needs a joinLevel").within("containedBy").into());
        }
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
            bytes: self.limits.join_bytes,
        }))
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

fn format(value: &Value) -> Result<Format, ReadError> {
    let word = string(value)?;
    Format::from_keyword(word).ok_or_else(|| {
        ReadError::new(format!("use normalized, concise, simplified or keyValues, not {word:?}"))
    })
}
