//! Which types and attributes there are, here and at sources (5.7.5 to 5.7.11). A source that
//! cannot be asked counts with what it registered; numbers are estimates, since nobody knows who
//! else has the same entity.

use crate::egress::Method;
use futures_util::FutureExt;
use rustc_hash::FxHashMap;
use serde_json::Value;

use super::super::{Broker, Call, Error};
use super::Origin;
use super::ask::{Heard, all};
use crate::federate::{Draft, Leg, Naming, Want, path_part};
use crate::jsonld::Context;
use crate::model::{AttrName, Kind, Name, TypeName, TypeSelection};
use crate::query::Selector;
use crate::represent::registration::{EntityInfo, Operation, Registration, RegistrationInfo};
use crate::store::{AttributeCensus, Census, StoreError, TypeCensus};

/// What is asked of the types and attributes that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inquiry {
    /// Their types, perhaps with their attributes.
    Types { details: bool },
    /// One type.
    Type(TypeName),
    /// Their attributes, perhaps with the types that have them.
    Attributes { details: bool },
    /// One attribute.
    Attribute(AttrName),
}

impl Inquiry {
    fn operation(self) -> Operation {
        match self {
            Inquiry::Types { details: false } => Operation::RetrieveEntityTypes,
            Inquiry::Types { details: true } => Operation::RetrieveEntityTypeDetails,
            Inquiry::Type(_) => Operation::RetrieveEntityTypeInfo,
            Inquiry::Attributes { details: false } => Operation::RetrieveAttrTypes,
            Inquiry::Attributes { details: true } => Operation::RetrieveAttrTypeDetails,
            Inquiry::Attribute(_) => Operation::RetrieveAttrTypeInfo,
        }
    }

    fn draft(self, naming: &Naming) -> Draft {
        let get = |path: &str| Draft::new(Method::GET, path);
        let one = |path: &str, name: Name| {
            Draft::new(Method::GET, format!("{path}/{}", path_part(&naming.name(name.as_str()))))
        };
        match self {
            Inquiry::Types { details: false } => get("/types"),
            Inquiry::Types { details: true } => get("/types").with("details", "true"),
            Inquiry::Type(name) => one("/types", name),
            Inquiry::Attributes { details: false } => get("/attributes"),
            Inquiry::Attributes { details: true } => get("/attributes").with("details", "true"),
            Inquiry::Attribute(name) => one("/attributes", name),
        }
    }
}

impl Broker {
    /// The types and attributes that there are here, and as far as is asked those at sources.
    pub(in crate::broker) async fn census_everywhere(
        &self,
        call: &Call,
        origin: &Origin,
        inquiry: Inquiry,
    ) -> Result<Census, Error> {
        let mut census = match self.store.census(&call.tenant, call.now).await {
            Err(StoreError::UnknownTenant(_)) => Census::default(),
            census => census?,
        };
        let select: Vec<Selector> = match inquiry {
            Inquiry::Type(name) => {
                vec![Selector { types: Some(TypeSelection::of(name)), ..Selector::default() }]
            }
            _ => Vec::new(),
        };
        let attributes = match inquiry {
            Inquiry::Attribute(name) => Some(vec![name]),
            _ => None,
        };
        let want = Want { select: &select, attributes: attributes.as_deref(), ..Want::default() };
        let register = &self.federation.register;
        let mut matched = register.matching(&call.tenant, &want, origin.way(), call.now);
        // Each source is asked once, whatever it registered.
        let mut seen = rustc_hash::FxHashSet::default();
        matched.legs.retain(|leg| seen.insert(leg.source.id().to_owned()));
        matched.legs.truncate(self.federation.settings.sources);
        let legs = matched.legs.iter();
        let jobs = legs.map(|leg| self.inquire(call, origin, leg, inquiry).boxed()).collect();
        for part in all(jobs).await {
            unite(&mut census, part);
        }
        census.types.sort_by_key(|one| one.name.as_str());
        census.attributes.sort_by_key(|one| one.name.as_str());
        Ok(census)
    }

    async fn inquire(&self, call: &Call, origin: &Origin, leg: &Leg, inquiry: Inquiry) -> Census {
        let registered = || registered(&leg.source.registration);
        if !leg.source.supports(inquiry.operation()) {
            return registered();
        }
        let naming = self.naming(call, &leg.source, false).await;
        let draft = inquiry.draft(&naming);
        let reply = match self.ask(origin, &leg.source, &draft, &naming).await {
            Heard::Reply(reply) | Heard::Kept(reply) if reply.status == 200 => reply,
            Heard::Reply(reply) if reply.status == 404 => return Census::default(),
            _ => return registered(),
        };
        let context = self.names_of(call, &reply, &naming).await;
        // Bounded in bytes already, and as shallow as what it is turned into.
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let mut census = read(&body, inquiry, &context, self.federation.settings.entities);
        keep_registered(&mut census, &leg.source.registration);
        census
    }
}

/// What a source says, as far as it says no more than so many names at once.
fn read(body: &Value, inquiry: Inquiry, context: &Context, most: usize) -> Census {
    let name = |value: &Value| match (value.as_str()?, Name::are_scarce()) {
        (text, true) => Name::known(&context.expand_text(text)),
        (text, false) => context.expand(text).ok(),
    };
    let names = |value: &Value| -> Vec<Name> {
        value.as_array().into_iter().flatten().take(most).filter_map(name).collect()
    };
    let kinds = |value: &Value| -> Vec<Kind> {
        let words = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        words.filter_map(Kind::from_term).collect()
    };
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let mut census = Census::default();
    match inquiry {
        Inquiry::Types { details: false } => {
            census.types.extend(names(&body["typeList"]).into_iter().map(a_type));
        }
        Inquiry::Types { details: true } => {
            for one in body.as_array().into_iter().flatten().take(most) {
                let attributes = names(&one["attributeNames"]).into_iter();
                let attributes = attributes.map(|name| (name, Vec::new())).collect();
                let own = name(&one["typeName"]);
                census.types.extend(own.map(|own| TypeCensus { attributes, ..a_type(own) }));
            }
        }
        Inquiry::Type(own) => {
            let details = body["attributeDetails"].as_array().into_iter().flatten().take(most);
            let attributes = details.filter_map(|one| {
                Some((name(&one["attributeName"])?, kinds(&one["attributeTypes"])))
            });
            let attributes = attributes.collect();
            census.types.push(TypeCensus {
                name: own,
                entities: count(&body["entityCount"]),
                attributes,
            });
        }
        Inquiry::Attributes { details: false } => {
            let list = names(&body["attributeList"]).into_iter();
            census.attributes.extend(list.map(an_attribute));
        }
        Inquiry::Attributes { details: true } => {
            for one in body.as_array().into_iter().flatten().take(most) {
                let types = names(&one["typeNames"]);
                let own = name(&one["attributeName"]);
                census
                    .attributes
                    .extend(own.map(|own| AttributeCensus { types, ..an_attribute(own) }));
            }
        }
        Inquiry::Attribute(own) => census.attributes.push(AttributeCensus {
            name: own,
            entities: count(&body["attributeCount"]),
            kinds: kinds(&body["attributeTypes"]),
            types: names(&body["typeNames"]),
        }),
    }
    census
}

/// Leaves what a source registered: nothing else is believed of it.
fn keep_registered(census: &mut Census, registration: &Registration) {
    let infos = &registration.information;
    let has_type = |name: TypeName| infos.iter().any(|info| is_of(info, name));
    census.types.retain(|one| has_type(one.name));
    for one in &mut census.types {
        let of_type = |name: AttrName| {
            infos.iter().any(|info| is_of(info, one.name) && info.has_attribute(name))
        };
        one.attributes.retain(|(name, _)| of_type(*name));
    }
    census.attributes.retain(|one| infos.iter().any(|info| info.has_attribute(one.name)));
    for one in &mut census.attributes {
        one.types.retain(|name| has_type(*name));
    }
}

/// Whether a part of a registration may be about entities of a type.
fn is_of(info: &RegistrationInfo, name: TypeName) -> bool {
    let may_be = |one: &EntityInfo| one.types.is_empty() || one.types.contains(&name);
    info.entities.is_empty() || info.entities.iter().any(may_be)
}

/// What a source registered: it may have it.
fn registered(registration: &Registration) -> Census {
    let mut census = Census::default();
    for info in &registration.information {
        let types = info.entities.iter().flat_map(|one| one.types.iter().copied());
        let types: Vec<TypeName> = types.collect();
        let kinds = |name: AttrName| match info.relationships.contains(&name) {
            true => vec![Kind::Relationship],
            false => Vec::new(),
        };
        for name in &types {
            let attributes = info.attributes().map(|name| (name, kinds(name))).collect();
            let own = vec![TypeCensus { attributes, ..a_type(*name) }];
            unite(&mut census, Census { types: own, ..Census::default() });
        }
        for name in info.attributes() {
            let own =
                AttributeCensus { kinds: kinds(name), types: types.clone(), ..an_attribute(name) };
            unite(&mut census, Census { attributes: vec![own], ..Census::default() });
        }
    }
    census
}

fn a_type(name: TypeName) -> TypeCensus {
    TypeCensus { name, entities: 0, attributes: Vec::new() }
}

fn an_attribute(name: AttrName) -> AttributeCensus {
    AttributeCensus { name, entities: 0, kinds: Vec::new(), types: Vec::new() }
}

fn unite(census: &mut Census, other: Census) {
    let mut places = places_of(census.types.iter().map(|one| one.name));
    for one in other.types {
        match places.get(&one.name) {
            Some(place) => unite_type(&mut census.types[*place], one),
            None => {
                places.insert(one.name, census.types.len());
                census.types.push(one);
            }
        }
    }
    let mut places = places_of(census.attributes.iter().map(|one| one.name));
    for one in other.attributes {
        match places.get(&one.name) {
            Some(place) => unite_attribute(&mut census.attributes[*place], one),
            None => {
                places.insert(one.name, census.attributes.len());
                census.attributes.push(one);
            }
        }
    }
}

fn places_of(names: impl Iterator<Item = Name>) -> FxHashMap<Name, usize> {
    names.enumerate().map(|(place, name)| (name, place)).collect()
}

fn unite_type(known: &mut TypeCensus, one: TypeCensus) {
    known.entities = known.entities.saturating_add(one.entities);
    for (name, kinds) in one.attributes {
        match known.attributes.iter_mut().find(|(own, _)| *own == name) {
            Some((_, own)) => add(own, kinds),
            None => known.attributes.push((name, kinds)),
        }
    }
}

fn unite_attribute(known: &mut AttributeCensus, one: AttributeCensus) {
    known.entities = known.entities.saturating_add(one.entities);
    add(&mut known.kinds, one.kinds);
    add(&mut known.types, one.types);
}

fn add<T: PartialEq>(own: &mut Vec<T>, more: Vec<T>) {
    for one in more {
        if !own.contains(&one) {
            own.push(one);
        }
    }
}
