//! Records: an entity as a backend keeps it.
//!
//! A record begins with what the indexes need (a head: id, types, scopes, the names and kinds of
//! its attributes, its first expiry), so that a start reads no further. Names are numbers of a
//! dictionary, the store's own or the one that a whole record brings along; times are distances
//! from the entity's own.

mod codec;
mod decimals;
mod event;
mod own;
mod past;
pub(super) mod short;
#[cfg(test)]
mod tests;
mod values;
mod whole;

pub(super) use self::codec::{In, Out};
pub(super) use self::event::{append_event, decode_event, encode_event};
pub(super) use self::own::{Rewrite, Spelling, Spells, own_past, own_word};
pub(super) use self::past::{Past, decode_scopes, encode_deletion, encode_past};
pub(super) use self::past::{encode_scopes, is_deletion, is_number, thin_number};
use self::values::{MAX_DEPTH, read_geometry, write_geometry, write_json};
pub(super) use self::whole::{decode_whole, decode_whole_event, encode_whole, encode_whole_event};
pub(super) use self::whole::{read_name, write_name};
use crate::model::{AttrName, Attribute, Attributes, DatasetId, Datum, Entity, EntityId};
use crate::model::{Instance, Kind, LanguageMap, More, Name, OneOrMany, Scope, Sealed};
use crate::model::{Timestamp, TypeName};

/// The version that every record begins with.
const VERSION: u8 = 1;

/// Gives a name its number in a dictionary; a new one if it has none.
pub(super) trait Numbers {
    fn number(&mut self, name: Name) -> u32;
}

/// Tells which name a number of a dictionary means.
pub(super) trait Names {
    fn name(&self, number: u64) -> Option<Name>;
}

/// A record that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record is damaged: {0}")]
pub(super) struct Damaged(pub &'static str);

/// What a record says before its attributes' values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Head<'a> {
    pub id: &'a str,
    pub types: Vec<TypeName>,
    pub scopes: Vec<&'a str>,
    pub attributes: Vec<HeadAttribute<'a>>,
    /// When the entity or the first thing in it expires.
    pub expiry: Option<Timestamp>,
    base: Timestamp,
    rest: In<'a>,
}

/// An attribute that was not read further.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HeadAttribute<'a> {
    pub name: AttrName,
    /// The kinds of its instances, a bit each, by their place in [`Kind::ALL`].
    pub kinds: u8,
    body: In<'a>,
}

/// The kinds of an attribute's instances, a bit each.
pub(super) fn kinds_of(attribute: &Attribute) -> u8 {
    attribute.instances().iter().fold(0, |bits, instance| bits | 1 << instance.kind() as u8)
}

/// When the entity, or the first instance or sub-attribute in it, expires.
pub(super) fn first_expiry(entity: &Entity) -> Option<Timestamp> {
    earlier(entity.expires_at, expiry_within(&entity.attributes))
}

fn expiry_within(attributes: &Attributes) -> Option<Timestamp> {
    let instances = attributes.iter().flat_map(|(_, attribute)| attribute.instances());
    instances
        .filter_map(|instance| instance.more.as_deref())
        .map(|more| earlier(more.expires_at, expiry_within(&more.attributes)))
        .fold(None, earlier)
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, none) => one.or(none),
    }
}

/// Whether the entity nests no deeper than a record can.
pub(super) fn is_storable(entity: &Entity) -> bool {
    attributes_fit(&entity.attributes, MAX_DEPTH)
}

/// Whether an instance nests no deeper than a record can.
pub(super) fn instance_fits(instance: &Instance) -> bool {
    datum_fits(&instance.datum, MAX_DEPTH - 1)
        && (instance.more.is_none() || attributes_fit(instance.attributes(), MAX_DEPTH - 1))
}

fn datum_fits(datum: &Datum, left: usize) -> bool {
    match datum {
        Datum::Property(value) => value_fits(value, left),
        Datum::ListProperty(values) => values.iter().all(|value| value_fits(value, left)),
        Datum::JsonProperty(json) => json_fits(json, left),
        _ => true,
    }
}

fn attributes_fit(attributes: &Attributes, left: usize) -> bool {
    let instances = || attributes.iter().flat_map(|(_, attribute)| attribute.instances());
    let Some(left) = left.checked_sub(1) else { return attributes.is_empty() };
    instances().all(|instance| {
        datum_fits(&instance.datum, left)
            && (instance.more.is_none() || attributes_fit(instance.attributes(), left))
    })
}

fn value_fits(value: &crate::model::Value, left: usize) -> bool {
    use crate::model::Value;
    let Some(left) = left.checked_sub(1) else { return false };
    match value {
        Value::Array(items) => items.iter().all(|item| value_fits(item, left)),
        Value::Object(members) => members.iter().all(|(_, member)| value_fits(member, left)),
        _ => true,
    }
}

fn json_fits(json: &serde_json::Value, left: usize) -> bool {
    let Some(left) = left.checked_sub(1) else { return false };
    match json {
        serde_json::Value::Array(items) => items.iter().all(|item| json_fits(item, left)),
        serde_json::Value::Object(members) => {
            members.iter().all(|(_, member)| json_fits(member, left))
        }
        _ => true,
    }
}

/// Writes the record of an entity. Names that are new get a number.
pub(super) fn encode(entity: &Entity, dictionary: &mut dyn Numbers) -> Vec<u8> {
    let attributes = entity.attributes.len();
    let mut encoder = Encoder {
        out: Out(Vec::with_capacity(64 * attributes)),
        dictionary,
        base: entity.modified_at,
        created_base: entity.modified_at,
        observed_base: entity.modified_at,
    };
    // Bodies first, since the head tells their lengths.
    let mut ends = Vec::with_capacity(attributes);
    for (_, attribute) in entity.attributes.iter() {
        encoder.attribute(attribute);
        ends.push(encoder.out.0.len());
    }
    let bodies = std::mem::take(&mut encoder.out);
    encoder.out.0.reserve(128 + bodies.0.len() + 6 * attributes);
    encoder.head(entity, &ends);
    let mut record = encoder.out.0;
    record.extend_from_slice(&bodies.0);
    record
}

struct Encoder<'a> {
    out: Out,
    dictionary: &'a mut dyn Numbers,
    /// What times are written as distances from.
    base: Timestamp,
    /// The same for createdAt and observedAt.
    created_base: Timestamp,
    observed_base: Timestamp,
}

/// The bits beside the kind in the first byte of an instance.
mod has {
    pub const OBSERVED: u8 = 1 << 3;
    pub const UNIT: u8 = 1 << 4;
    pub const CREATED: u8 = 1 << 5;
    pub const MODIFIED: u8 = 1 << 6;
    pub const MORE: u8 = 1 << 7;
}

/// The bits that tell which rare members an instance has.
mod rare {
    pub const DATASET: u8 = 1;
    pub const EXPIRES: u8 = 1 << 1;
    pub const VALUE_TYPE: u8 = 1 << 2;
    pub const OBJECT_TYPES: u8 = 1 << 3;
    pub const ATTRIBUTES: u8 = 1 << 4;
    pub const SEALED: u8 = 1 << 5;
    pub const SEALED_ID: u8 = 1 << 6;
    /// A byte follows: the decimals of observedAt in its lower half, those of expiresAt above.
    pub const DECIMALS: u8 = 1 << 7;
}

impl Encoder<'_> {
    fn head(&mut self, entity: &Entity, ends: &[usize]) {
        self.out.byte(VERSION);
        self.out.signed(self.base.micros());
        self.optional_time(first_expiry(entity));
        self.out.text(entity.id.as_str());
        self.names(entity.types.as_slice());
        self.out.count(entity.scopes.len());
        for scope in &entity.scopes {
            self.out.text(scope.as_str());
        }
        self.out.count(entity.attributes.len());
        let mut begin = 0;
        for ((name, attribute), end) in entity.attributes.iter().zip(ends) {
            self.name(name);
            self.out.byte(kinds_of(attribute));
            self.out.count(end - begin);
            begin = *end;
        }
        self.time(entity.created_at);
        self.expires_at(entity.expires_at);
    }

    /// An optional time: zero if there is none, one if there is, more if it has unusual decimals.
    fn expires_at(&mut self, time: Option<Timestamp>) {
        self.out.byte(time.map_or(0, |_| 1 + decimals::code(time)));
        if let Some(time) = time {
            self.time(time);
        }
    }

    fn name(&mut self, name: Name) {
        let number = self.dictionary.number(name);
        self.out.number(number.into());
    }

    fn names(&mut self, names: &[Name]) {
        self.out.count(names.len());
        for name in names {
            self.name(*name);
        }
    }

    fn time(&mut self, time: Timestamp) {
        self.out.signed(time.micros() - self.base.micros());
    }

    fn optional_time(&mut self, time: Option<Timestamp>) {
        self.out.byte(time.is_some().into());
        if let Some(time) = time {
            self.time(time);
        }
    }

    fn attribute(&mut self, attribute: &Attribute) {
        self.out.count(attribute.instances().len());
        for instance in attribute.instances() {
            self.instance(instance);
        }
    }

    fn instance(&mut self, instance: &Instance) {
        let bit = |there: bool, bit: u8| if there { bit } else { 0 };
        let (created, modified) = (instance.created_at, instance.modified_at);
        let decimals = decimals_of(instance);
        self.out.byte(
            instance.kind() as u8
                | bit(instance.observed_at.is_some(), has::OBSERVED)
                | bit(instance.unit.is_some(), has::UNIT)
                | bit(created != modified, has::CREATED)
                | bit(modified != self.base, has::MODIFIED)
                | bit(instance.more.is_some() || decimals != 0, has::MORE),
        );
        if modified != self.base {
            self.time(modified);
        }
        if created != modified {
            self.out.signed(created.micros() - self.created_base.micros());
        }
        if let Some(time) = instance.observed_at {
            self.out.signed(time.micros() - self.observed_base.micros());
        }
        if let Some(unit) = instance.unit {
            self.name(unit);
        }
        self.datum(&instance.datum);
        self.more_of(instance.more.as_deref(), decimals);
    }

    /// What an instance has beside the usual, if it has anything.
    fn more_of(&mut self, more: Option<&More>, decimals: u8) {
        match more {
            Some(more) => self.more(more, decimals),
            None if decimals != 0 => self.more(&More::default(), decimals),
            None => {}
        }
    }

    fn datum(&mut self, datum: &Datum) {
        match datum {
            Datum::Property(value) => self.value(value),
            Datum::GeoProperty(geometry) => write_geometry(&mut self.out, geometry),
            Datum::Relationship(objects) => {
                self.one_or_many(objects, |this, id| this.out.text(id.as_str()));
            }
            Datum::LanguageProperty(map) => {
                self.out.count(map.0.len());
                for (tag, strings) in &map.0 {
                    self.out.text(tag);
                    self.one_or_many(strings, |this, text| this.out.text(text));
                }
            }
            Datum::VocabProperty(words) => self.one_or_many(words, |this, name| this.name(*name)),
            Datum::ListProperty(values) => self.values(values),
            Datum::ListRelationship(objects) => {
                self.out.count(objects.len());
                for id in objects {
                    self.out.text(id.as_str());
                }
            }
            Datum::JsonProperty(json) => write_json(&mut self.out, json),
            // No write leaves a bare value behind; its kind is Property (`Instance::kind`).
            Datum::Bare(bare) => self.value(&bare.value),
        }
    }

    fn one_or_many<T>(&mut self, things: &OneOrMany<T>, mut write: impl FnMut(&mut Self, &T)) {
        match things {
            OneOrMany::One(thing) => {
                self.out.byte(0);
                write(self, thing);
            }
            OneOrMany::Many(things) => {
                self.out.count(things.len() + 1);
                for thing in things.iter() {
                    write(self, thing);
                }
            }
        }
    }

    fn more(&mut self, more: &More, decimals: u8) {
        let bit = |there: bool, bit: u8| if there { bit } else { 0 };
        let sealed_id = more.sealed.as_ref().is_some_and(|sealed| sealed.id.is_some());
        self.out.byte(
            bit(more.dataset.is_some(), rare::DATASET)
                | bit(more.expires_at.is_some(), rare::EXPIRES)
                | bit(more.value_type.is_some(), rare::VALUE_TYPE)
                | bit(!more.object_types.is_empty(), rare::OBJECT_TYPES)
                | bit(!more.attributes.is_empty(), rare::ATTRIBUTES)
                | bit(more.sealed.is_some(), rare::SEALED)
                | bit(sealed_id, rare::SEALED_ID)
                | bit(decimals != 0, rare::DECIMALS),
        );
        if decimals != 0 {
            self.out.byte(decimals);
        }
        if let Some(dataset) = &more.dataset {
            self.out.text(dataset.as_str());
        }
        if let Some(time) = more.expires_at {
            self.time(time);
        }
        if let Some(name) = more.value_type {
            self.name(name);
        }
        if !more.object_types.is_empty() {
            self.names(&more.object_types);
        }
        if !more.attributes.is_empty() {
            self.out.count(more.attributes.len());
            for (name, attribute) in more.attributes.iter() {
                self.name(name);
                self.attribute(attribute);
            }
        }
        if let Some(sealed) = &more.sealed {
            if let Some(id) = &sealed.id {
                self.out.text(id.as_str());
            }
            self.names(&sealed.types);
        }
    }
}

/// The byte of [`rare::DECIMALS`]; zero if there is nothing to say.
fn decimals_of(instance: &Instance) -> u8 {
    let expires = instance.more.as_deref().and_then(|more| more.expires_at);
    decimals::code(instance.observed_at) | decimals::code(expires) << 4
}

/// Reads the head of a record.
pub(super) fn decode_head<'a>(record: &'a [u8], names: &'a dyn Names) -> Result<Head<'a>, Damaged> {
    let mut input = In(record);
    if input.byte()? != VERSION {
        return Err(Damaged("it is of another version"));
    }
    let base = Timestamp::from_micros(input.signed()?);
    let mut decoder = Decoder::new(input, names, base);
    let expiry = decoder.optional_time()?;
    let id = decoder.input.text()?;
    let types = decoder.names()?;
    if types.is_empty() {
        return Err(Damaged("the entity has no type"));
    }
    let scopes = decoder.input.count()?;
    let scopes = (0..scopes).map(|_| decoder.input.text()).collect::<Result<_, _>>()?;
    let count = decoder.input.count()?;
    let mut lengths = Vec::with_capacity(count);
    for _ in 0..count {
        let (name, kinds) = (decoder.name()?, decoder.input.byte()?);
        lengths.push((name, kinds, decoder.input.number()?));
    }
    // The members that stand between the head and the bodies.
    let mut bodies = decoder;
    bodies.time()?;
    bodies.optional_time()?;
    let mut attributes = Vec::with_capacity(count);
    for (name, kinds, length) in lengths {
        let length = usize::try_from(length).map_err(|_| Damaged("it ends early"))?;
        let body = In(bodies.input.bytes(length)?);
        attributes.push(HeadAttribute { name, kinds, body });
    }
    if !bodies.input.0.is_empty() {
        return Err(Damaged("something follows its end"));
    }
    Ok(Head { id, types, scopes, attributes, expiry, base, rest: decoder.input })
}

impl Head<'_> {
    /// Reads one attribute further.
    pub fn attribute(
        &self,
        attribute: &HeadAttribute<'_>,
        names: &dyn Names,
    ) -> Result<Attribute, Damaged> {
        let mut decoder = Decoder::new(attribute.body, names, self.base);
        let attribute = decoder.attribute()?;
        if decoder.input.0.is_empty() {
            Ok(attribute)
        } else {
            Err(Damaged("something follows an attribute"))
        }
    }
}

/// Reads the entity of a record.
pub(super) fn decode(record: &[u8], names: &dyn Names) -> Result<Entity, Damaged> {
    let head = decode_head(record, names)?;
    let mut decoder = Decoder::new(head.rest, names, head.base);
    let created_at = decoder.time()?;
    let expires_at = decoder.optional_time()?;
    let mut attributes = Vec::with_capacity(head.attributes.len());
    for attribute in &head.attributes {
        attributes.push((attribute.name, head.attribute(attribute, names)?));
    }
    Ok(Entity {
        id: EntityId::from_trusted(head.id),
        types: OneOrMany::from_vec(head.types).ok_or(Damaged("the entity has no type"))?,
        scopes: head.scopes.into_iter().map(Scope::from_trusted).collect(),
        attributes: Attributes::from_distinct(attributes),
        created_at,
        modified_at: head.base,
        expires_at,
    })
}

#[derive(Clone, Copy)]
struct Decoder<'a> {
    input: In<'a>,
    names: &'a dyn Names,
    base: Timestamp,
    created_base: Timestamp,
    observed_base: Timestamp,
    depth: usize,
}

impl<'a> Decoder<'a> {
    fn new(input: In<'a>, names: &'a dyn Names, base: Timestamp) -> Self {
        Self { input, names, base, created_base: base, observed_base: base, depth: 0 }
    }

    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Damaged>,
    ) -> Result<T, Damaged> {
        // `is_storable` counts a little differently.
        if self.depth > MAX_DEPTH + 8 {
            return Err(Damaged("it is too deep"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn name(&mut self) -> Result<Name, Damaged> {
        let number = self.input.number()?;
        self.names.name(number).ok_or(Damaged("it uses a name that the dictionary lacks"))
    }

    fn names(&mut self) -> Result<Vec<Name>, Damaged> {
        let count = self.input.count()?;
        let mut names = Vec::with_capacity(count);
        for _ in 0..count {
            names.push(self.name()?);
        }
        Ok(names)
    }

    fn time(&mut self) -> Result<Timestamp, Damaged> {
        Ok(self.base.plus_micros(self.input.signed()?))
    }

    fn optional_time(&mut self) -> Result<Option<Timestamp>, Damaged> {
        match self.input.byte()? {
            0 => Ok(None),
            there => Ok(Some(decimals::restore(self.time()?, there - 1))),
        }
    }

    fn attribute(&mut self) -> Result<Attribute, Damaged> {
        self.deeper(|this| {
            let count = this.input.count()?;
            if count == 1 {
                return Ok(Attribute::one(this.instance()?));
            }
            let instances = (0..count).map(|_| this.instance()).collect::<Result<Vec<_>, _>>()?;
            Attribute::many(instances).ok_or(Damaged("an attribute has no instance"))
        })
    }

    fn instance(&mut self) -> Result<Instance, Damaged> {
        let bits = self.input.byte()?;
        let kind = Kind::ALL[usize::from(bits & 0b111)];
        let has = |bit| bits & bit != 0;
        let modified_at = if has(has::MODIFIED) { self.time()? } else { self.base };
        let created_at = if has(has::CREATED) {
            self.created_base.plus_micros(self.input.signed()?)
        } else {
            modified_at
        };
        let observed_at = if has(has::OBSERVED) {
            Some(self.observed_base.plus_micros(self.input.signed()?))
        } else {
            None
        };
        let unit = if has(has::UNIT) { Some(self.name()?) } else { None };
        let datum = self.datum(kind)?;
        let (more, decimals) = if has(has::MORE) { self.more_of()? } else { (None, 0) };
        let observed_at = observed_at.map(|time| decimals::restore(time, decimals));
        Ok(Instance { datum, observed_at, unit, created_at, modified_at, more })
    }

    /// What an instance has beside the usual, and the [`decimals::code`] of its observedAt.
    fn more_of(&mut self) -> Result<(Option<Box<More>>, u8), Damaged> {
        let (more, decimals) = self.more()?;
        // It may be there for the decimals alone.
        let more = (decimals == 0 || !more.is_empty()).then(|| Box::new(more));
        Ok((more, decimals))
    }

    fn datum(&mut self, kind: Kind) -> Result<Datum, Damaged> {
        Ok(match kind {
            Kind::Property => Datum::Property(self.value()?),
            Kind::GeoProperty => Datum::GeoProperty(Box::new(read_geometry(&mut self.input)?)),
            Kind::Relationship => Datum::Relationship(self.one_or_many(Self::id)?),
            Kind::LanguageProperty => {
                let count = self.input.count()?;
                let languages = (0..count).map(|_| {
                    let tag = self.input.text()?.into();
                    Ok((tag, self.one_or_many(|this| Ok(this.input.text()?.into()))?))
                });
                Datum::LanguageProperty(LanguageMap(languages.collect::<Result<_, _>>()?))
            }
            Kind::VocabProperty => Datum::VocabProperty(self.one_or_many(Self::name)?),
            Kind::ListProperty => Datum::ListProperty(self.values()?),
            Kind::ListRelationship => {
                let count = self.input.count()?;
                Datum::ListRelationship((0..count).map(|_| self.id()).collect::<Result<_, _>>()?)
            }
            Kind::JsonProperty => Datum::JsonProperty(Box::new(self.json()?)),
        })
    }

    fn id(&mut self) -> Result<EntityId, Damaged> {
        Ok(EntityId::from_trusted(self.input.text()?))
    }

    fn one_or_many<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Damaged>,
    ) -> Result<OneOrMany<T>, Damaged> {
        match self.input.number()? {
            0 => Ok(OneOrMany::One(read(self)?)),
            more => {
                if more - 1 > self.input.0.len() as u64 {
                    return Err(Damaged("a count is larger than what follows"));
                }
                (1..more).map(|_| read(self)).collect::<Result<_, _>>().map(OneOrMany::many)
            }
        }
    }

    fn more(&mut self) -> Result<(More, u8), Damaged> {
        let bits = self.input.byte()?;
        let has = |bit| bits & bit != 0;
        let decimals = if has(rare::DECIMALS) { self.input.byte()? } else { 0 };
        let mut more = More::default();
        if has(rare::DATASET) {
            more.dataset = Some(DatasetId::from_trusted(self.input.text()?));
        }
        if has(rare::EXPIRES) {
            more.expires_at = Some(decimals::restore(self.time()?, decimals >> 4));
        }
        if has(rare::VALUE_TYPE) {
            more.value_type = Some(self.name()?);
        }
        if has(rare::OBJECT_TYPES) {
            more.object_types = self.names()?;
        }
        if has(rare::ATTRIBUTES) {
            let count = self.input.count()?;
            let attributes = (0..count).map(|_| Ok((self.name()?, self.attribute()?)));
            more.attributes = Attributes::from_distinct(attributes.collect::<Result<_, _>>()?);
        }
        if has(rare::SEALED) {
            let id = if has(rare::SEALED_ID) { Some(self.id()?) } else { None };
            more.sealed = Some(Box::new(Sealed { id, types: self.names()? }));
        }
        Ok((more, decimals))
    }
}
