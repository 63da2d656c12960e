//! What the members of a Registration mean, and whether they are what they should be (5.2.8 to
//! 5.2.11, 5.2.22, 5.2.34).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::accept::{MEMBERS, bare};
use super::source_info::is_token;
use super::{
    Draft, EntityInfo, Interval, Management, Mode, Operations, ReadLimits, Registration,
    RegistrationError, RegistrationInfo, SourceInfo,
};
use crate::jsonld::{Context, Document};
use crate::model::{
    AttrName, Entity, EntityId, Name, RegistrationId, TenantId, Timestamp, check_uri,
};
use crate::query::{Pattern, Period};
use crate::represent::subscription::values::{
    Member, attributes, boolean, datasets, expected, items, milliseconds, object, pairs, string,
    texts,
};
use crate::represent::{ReadError, Reader, Reading};

/// What a Registration has that its members do not say.
#[derive(Debug, Clone)]
pub struct Setting {
    pub id: RegistrationId,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
}

impl Draft {
    /// The Registration that these members make, if they are what they should be.
    pub fn read(
        &self,
        setting: Setting,
        limits: &ReadLimits,
    ) -> Result<Registration, RegistrationError> {
        let kind = self.required("type")?;
        if kind.as_str() != Some("ContextSourceRegistration") {
            let why = "it has to be \"ContextSourceRegistration\"";
            return Err(ReadError::new(why).within("type").into());
        }
        for name in ["registrationName", "description"] {
            self.optional(name, string)?;
        }
        let endpoint = endpoint(self.required("endpoint")?);
        let endpoint = endpoint.map_err(|error| error.within("endpoint"))?;
        let information = information(self.required("information")?, limits);
        let information = information.map_err(|error| error.within("information"))?;
        let mode = self.optional("mode", mode)?.unwrap_or_default();
        let operations = self.operations(mode)?;
        check_exclusive(mode, &information).map_err(|error| error.within("information"))?;
        let pairs = self.optional("contextSourceInfo", pairs)?.unwrap_or_default();
        let source = SourceInfo::of(&pairs).map_err(|error| error.within("contextSourceInfo"))?;
        Ok(Registration {
            described: Arc::new(self.described(&setting, limits)?),
            id: setting.id,
            endpoint,
            information,
            mode,
            operations,
            source,
            alias: self.optional("contextSourceAlias", alias)?,
            tenant: self.optional("tenant", tenant)?,
            datasets: self.optional("datasetId", datasets)?.unwrap_or_default(),
            observation: self.optional("observationInterval", interval)?,
            management_interval: self.optional("managementInterval", interval)?,
            expires_at: self.expires_at()?,
            refresh_rate: self.optional("refreshRate", duration)?,
            management: self.optional("management", management)?.unwrap_or_default(),
            created_at: setting.created_at,
            modified_at: setting.modified_at,
            draft: Arc::new(self.clone()),
        })
    }

    /// When it expires, if that is said.
    pub fn expires_at(&self) -> Result<Option<Timestamp>, RegistrationError> {
        self.optional("expiresAt", time)
    }

    fn required(&self, name: &'static str) -> Result<&Value, RegistrationError> {
        Ok(Member::of(&self.members, name).required("a registration needs it")?)
    }

    fn optional<'d, T>(
        &'d self,
        name: &'static str,
        read: impl FnOnce(&'d Value) -> Result<T, ReadError>,
    ) -> Result<Option<T>, RegistrationError> {
        Ok(Member::of(&self.members, name).read(read)?)
    }

    /// What the source can be asked. An auxiliary one is for reading only (4.3.6.2).
    fn operations(&self, mode: Mode) -> Result<Operations, RegistrationError> {
        let given = self.optional("operations", operations)?;
        match (mode, given) {
            (Mode::Auxiliary, None) => Ok(Operations::RETRIEVE),
            (Mode::Auxiliary, Some(given)) if !given.within(Operations::RETRIEVE) => {
                let why = "an auxiliary source can only be asked for entities: use retrieveOps, \
                           retrieveEntity or queryEntity";
                Err(ReadError::new(why).within("operations").into())
            }
            (_, given) => Ok(given.unwrap_or(Operations::FEDERATION)),
        }
    }

    /// The source as an entity that filters can be asked of.
    fn described(
        &self,
        setting: &Setting,
        limits: &ReadLimits,
    ) -> Result<Entity, RegistrationError> {
        let mut entity = bare(setting.id.as_str(), setting.created_at)?;
        entity.modified_at = setting.modified_at;
        let core = Context::core();
        let reader = Reader::new(&core, Reading::Whole).with_geometry_limits(limits.query.geometry);
        for (name, value) in &self.members {
            let told = match name.as_str() {
                "location" | "observationSpace" | "operationSpace" => {
                    place(value).map_err(|error| error.within(name))?
                }
                "scope" => value,
                name if MEMBERS.contains(&name) => match value {
                    Value::String(_) if !matches!(name, "type" | "expiresAt") => value,
                    _ => continue,
                },
                _ => value,
            };
            let alone = Value::from(Map::from_iter([(name.clone(), told.clone())]));
            let fragment = reader.fragment(&Document::from_json(&alone))?;
            if name == "scope" {
                entity.scopes = scopes(fragment)?;
                continue;
            }
            for (name, patch) in fragment.attributes {
                let attribute = patch.into_attribute(name);
                let attribute = attribute.map_err(|why| ReadError::new(why.to_string()))?;
                entity.attributes.insert(name, attribute);
            }
        }
        Ok(entity)
    }
}

/// A bare geometry; one that is wrapped as a GeoProperty is taken as well.
fn place(value: &Value) -> Result<&Value, ReadError> {
    match value {
        Value::Object(members) => {
            let wrapped = members.get("type").and_then(Value::as_str) == Some("GeoProperty");
            Ok(members.get("value").filter(|_| wrapped).unwrap_or(value))
        }
        other => Err(expected("a GeoJSON geometry", other)),
    }
}

fn scopes(fragment: crate::model::Fragment) -> Result<Vec<crate::model::Scope>, ReadError> {
    match fragment.scopes {
        crate::model::Edit::Put(scopes) => Ok(scopes),
        _ => Ok(Vec::new()),
    }
}

/// The base address of the source; what is appended begins with a slash.
fn endpoint(value: &Value) -> Result<Box<str>, ReadError> {
    let text = string(value)?;
    check_uri(text).map_err(|why| ReadError::new(why.to_string()))?;
    Ok(text.trim_end_matches('/').into())
}

fn information(
    value: &Value,
    limits: &ReadLimits,
) -> Result<Vec<RegistrationInfo>, RegistrationError> {
    let each = items(value)?.iter().enumerate();
    each.map(|(place, one)| info(one, limits).map_err(|error| error.within_item(place))).collect()
}

/// A RegistrationInfo (5.2.10).
fn info(value: &Value, limits: &ReadLimits) -> Result<RegistrationInfo, RegistrationError> {
    let members = object(value, "a RegistrationInfo is a JSON object")?;
    let mut info = RegistrationInfo::default();
    for (name, value) in members {
        let read = match name.as_str() {
            "entities" => entities(value, limits).map(|entities| info.entities = entities),
            "propertyNames" => names(value).map(|names| info.properties = names),
            "relationshipNames" => names(value).map(|names| info.relationships = names),
            _ => Err(ReadError::new("a RegistrationInfo has no such member").into()),
        };
        read.map_err(|error| error.within(name))?;
    }
    if info.entities.is_empty() && info.has_all_attributes() {
        let why = "it needs entities, propertyNames or relationshipNames";
        return Err(ReadError::new(why).into());
    }
    Ok(info)
}

fn names(value: &Value) -> Result<Vec<AttrName>, RegistrationError> {
    Ok(attributes(value)?)
}

fn entities(value: &Value, limits: &ReadLimits) -> Result<Vec<EntityInfo>, RegistrationError> {
    let each = items(value)?.iter().enumerate();
    each.map(|(place, one)| entity(one, limits).map_err(|error| error.within_item(place))).collect()
}

/// An EntityInfo (5.2.8). One that names no type is taken if it names an entity.
fn entity(value: &Value, limits: &ReadLimits) -> Result<EntityInfo, RegistrationError> {
    let members = object(value, "an EntityInfo is a JSON object")?;
    let mut info = EntityInfo::default();
    for (name, value) in members {
        let mut read = || -> Result<(), RegistrationError> {
            match name.as_str() {
                "type" => info.types = types(value)?,
                "id" => {
                    let id = EntityId::parse(string(value)?);
                    info.id = Some(id.map_err(|why| ReadError::new(why.to_string()))?);
                }
                "idPattern" => {
                    let text = string(value)?;
                    let pattern = Pattern::parse("idPattern", text, &limits.query)?;
                    info.id_pattern = Some(pattern.at_rest());
                }
                _ => return Err(ReadError::new("an EntityInfo has no such member").into()),
            }
            Ok(())
        };
        read().map_err(|error| error.within(name))?;
    }
    if info.id.is_some() {
        info.id_pattern = None;
    }
    if info.types.is_empty() && info.id.is_none() && info.id_pattern.is_none() {
        return Err(ReadError::new("an EntityInfo needs a type").within("type").into());
    }
    Ok(info)
}

fn types(value: &Value) -> Result<Vec<Name>, ReadError> {
    let texts = match value {
        Value::Array(_) => texts(value)?,
        single => vec![string(single)?],
    };
    let intern = |iri: &&str| Name::intern(iri).map_err(|why| ReadError::new(why.to_string()));
    texts.iter().map(intern).collect()
}

/// An exclusive source has attributes of entities that are named (4.3.6.3).
fn check_exclusive(mode: Mode, information: &[RegistrationInfo]) -> Result<(), ReadError> {
    if mode != Mode::Exclusive {
        return Ok(());
    }
    for (place, info) in information.iter().enumerate() {
        let named = !info.entities.is_empty() && info.entities.iter().all(|one| one.id.is_some());
        if !named {
            let why = "an exclusive registration names each entity by its id (4.3.6.3)";
            return Err(ReadError::new(why).within("entities").within_item(place));
        }
        if info.has_all_attributes() {
            let why = "an exclusive registration names attributes: give propertyNames or \
                       relationshipNames (4.3.6.3)";
            return Err(ReadError::new(why).within_item(place));
        }
    }
    Ok(())
}

fn mode(value: &Value) -> Result<Mode, ReadError> {
    let word = string(value)?;
    Mode::ALL.into_iter().find(|mode| mode.word() == word).ok_or_else(|| {
        ReadError::new(format!("use inclusive, exclusive, redirect or auxiliary, not {word:?}"))
    })
}

fn operations(value: &Value) -> Result<Operations, ReadError> {
    let words = texts(value)?;
    words.iter().enumerate().try_fold(Operations::NONE, |all, (place, word)| {
        let some = Operations::from_word(word).ok_or_else(|| {
            ReadError::new(format!("{word:?} is no operation and no group of operations (4.20)"))
                .within_item(place)
        })?;
        Ok(all.and(some))
    })
}

fn alias(value: &Value) -> Result<Box<str>, ReadError> {
    let text = string(value)?;
    match is_token(text) {
        true => Ok(text.into()),
        false => {
            let why = "it has to be a pseudonym as in Via: letters, digits and -._~ without spaces";
            Err(ReadError::new(why))
        }
    }
}

fn tenant(value: &Value) -> Result<TenantId, ReadError> {
    TenantId::named(string(value)?).map_err(|why| ReadError::new(why.to_string()))
}

/// A TimeInterval (5.2.11).
fn interval(value: &Value) -> Result<Interval, ReadError> {
    let members = object(value, "a TimeInterval is a JSON object")?;
    let (mut start, mut end) = (None, None);
    for (name, value) in members {
        let read = match name.as_str() {
            "startAt" => time(value).map(|time| start = Some(time)),
            "endAt" => time(value).map(|time| end = Some(time)),
            // It says what it is, which is known.
            "type" | "@type" => Ok(()),
            _ => Err(ReadError::new("a TimeInterval has no such member")),
        };
        read.map_err(|error| error.within(name))?;
    }
    let start = start.ok_or_else(|| ReadError::new("an interval needs it").within("startAt"))?;
    if end.is_some_and(|end| end < start) {
        return Err(ReadError::new("it ends before it begins").within("endAt"));
    }
    Ok(Interval { start, end })
}

/// RegistrationManagementInfo (5.2.34).
fn management(value: &Value) -> Result<Management, ReadError> {
    let members = object(value, "RegistrationManagementInfo is a JSON object")?;
    let mut management = Management::default();
    for (name, value) in members {
        let read = match name.as_str() {
            "localOnly" => boolean(value).map(|only| management.local_only = only),
            "cacheDuration" => duration(value).map(|for_| management.cache_duration = Some(for_)),
            "timeout" => milliseconds(value).map(|for_| management.timeout = Some(for_)),
            "cooldown" => milliseconds(value).map(|for_| management.cooldown = Some(for_)),
            _ => Err(ReadError::new("RegistrationManagementInfo has no such member")),
        };
        read.map_err(|error| error.within(name))?;
    }
    Ok(management)
}

/// A duration of ISO 8601. A month has thirty days here, and a year twelve months: nothing is
/// known of which month is meant.
fn duration(value: &Value) -> Result<Duration, ReadError> {
    const MONTH: i64 = 30 * 86_400 * 1_000_000;
    let period: Result<Period, _> = string(value)?.parse();
    let Ok(Period { months, micros }) = period else {
        return Err(ReadError::new("it has to be a duration like PT5M or P1D"));
    };
    let micros = i64::from(months).saturating_mul(MONTH).saturating_add(micros);
    Ok(Duration::from_micros(micros.unsigned_abs()))
}

fn time(value: &Value) -> Result<Timestamp, ReadError> {
    string(value)?.parse().map_err(|why| ReadError::new(format!("{why}")))
}
