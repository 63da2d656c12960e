//! The record of an event: whose it is, when it happened, what it reported, and the entity before
//! and after.
//!
//! There are two versions. In the first both entities stand whole. In the second what was is told
//! by how it differs from what is, since most changes are of little; it is what the embedded store
//! writes. Both are read.

use rustc_hash::FxHashMap;

use super::codec::{In, Out};
use super::{Damaged, Decoder, Encoder, Names, Numbers, decode, encode};
use crate::model::{AttrName, Attribute, Attributes, Change, Entity, EntityId, Outcome};
use crate::model::{Stored, SubscriptionId, TenantId, Timestamp};
use crate::store::Topic;

/// The version in which entities stand whole.
const WHOLE: u8 = 1;
/// The version in which what was may be told by its difference.
const DIFFERENT: u8 = 2;

const CREATED: u8 = 1;
const BEFORE: u8 = 2;
const AFTER: u8 = 4;
const REGISTRATION: u8 = 8;
const SUBSCRIPTION: u8 = 16;
const TOLD: u8 = 32;
/// What was is told by its difference to what is.
const BY_DIFFERENCE: u8 = 64;

/// Writes an event's record, entities whole.
pub(in crate::store) fn encode_event(
    tenant: &TenantId,
    topic: &Topic,
    change: &Change,
    dictionary: &mut dyn Numbers,
) -> Vec<u8> {
    let before = change.before.as_deref().map(|entity| encode(entity, dictionary));
    let after = change.after.as_deref().map(|entity| encode(entity, dictionary));
    let length = [&before, &after].into_iter().flatten().map(Vec::len).sum::<usize>();
    let mut out = Out(Vec::with_capacity(length + 128));
    head(&mut out, WHOLE, 0, tenant, topic, change, dictionary);
    for record in [before, after].into_iter().flatten() {
        whole(&mut out, &record);
    }
    out.0
}

/// Appends an event's record, what was by its difference to what is where it can be. `kept` is the
/// record of what is, if it was written already.
pub(in crate::store) fn append_event(
    out: &mut Out,
    tenant: &TenantId,
    topic: &Topic,
    change: &Change,
    kept: Option<&[u8]>,
    dictionary: &mut dyn Numbers,
) {
    let Change { before, after, .. } = change;
    let pair = before.as_deref().zip(after.as_deref());
    let pair = pair.filter(|(before, after)| differ_in_attributes(before, after));
    let bit = if pair.is_some() { BY_DIFFERENCE } else { 0 };
    head(out, DIFFERENT, bit, tenant, topic, change, dictionary);
    match (after, kept) {
        (Some(_), Some(kept)) => whole(out, kept),
        (Some(after), None) => whole(out, &encode(after, dictionary)),
        (None, _) => {}
    }
    match (pair, before) {
        (Some((before, after)), _) => difference(out, before, after, dictionary),
        (None, Some(before)) => whole(out, &encode(before, dictionary)),
        (None, None) => {}
    }
}

fn head(
    out: &mut Out,
    version: u8,
    bits: u8,
    tenant: &TenantId,
    topic: &Topic,
    change: &Change,
    dictionary: &mut dyn Numbers,
) {
    out.byte(version);
    let bit = |there: bool, bit: u8| if there { bit } else { 0 };
    out.byte(
        bits | bit(change.outcome.created, CREATED)
            | bit(change.before.is_some(), BEFORE)
            | bit(change.after.is_some(), AFTER)
            | bit(*topic == Topic::Registration, REGISTRATION)
            | bit(*topic == Topic::Subscription, SUBSCRIPTION)
            | bit(matches!(topic, Topic::Told(_)), TOLD),
    );
    // No tenant has an empty name, so the default one can.
    out.text(tenant.name().unwrap_or_default());
    out.signed(change.at.bits());
    out.text(change.id.as_str());
    if let Topic::Told(subscription) = topic {
        out.text(subscription.as_str());
    }
    for names in [&change.outcome.updated, &change.outcome.untouched] {
        out.count(names.len());
        for name in names {
            out.number(dictionary.number(*name).into());
        }
    }
}

fn whole(out: &mut Out, record: &[u8]) {
    out.count(record.len());
    out.0.extend_from_slice(record);
}

/// Whether two entities differ in nothing but their attributes and when they were modified.
fn differ_in_attributes(before: &Entity, after: &Entity) -> bool {
    let bits = |time: Option<Timestamp>| time.map(Timestamp::bits);
    before.id == after.id
        && before.types == after.types
        && before.scopes == after.scopes
        && before.created_at == after.created_at
        && bits(before.expires_at) == bits(after.expires_at)
}

/// Appends when an entity had been modified and its attributes, in their order: of those that still
/// are as they were their place and one, of others zero, their name and themselves.
fn difference(out: &mut Out, before: &Entity, after: &Entity, dictionary: &mut dyn Numbers) {
    out.signed(before.modified_at.micros() - after.modified_at.micros());
    out.count(before.attributes.len());
    let mut places = Places::of(&after.attributes);
    for (name, attribute) in before.attributes.iter() {
        match places.find(name).filter(|place| *places.all[*place].1 == *attribute) {
            Some(place) => out.count(place + 1),
            None => {
                out.byte(0);
                out.number(dictionary.number(name).into());
                let base = before.modified_at;
                let (created_base, observed_base) = (base, base);
                let mut encoder = Encoder {
                    out: Out::default(),
                    dictionary: &mut *dictionary,
                    base,
                    created_base,
                    observed_base,
                };
                encoder.attribute(attribute);
                whole(out, &encoder.out.0);
            }
        }
    }
}

/// Where attributes stand. They are asked for in the order that they have, but for a few.
struct Places<'a> {
    all: Vec<(AttrName, &'a Attribute)>,
    next: usize,
    by_name: Option<FxHashMap<AttrName, usize>>,
}

impl<'a> Places<'a> {
    fn of(attributes: &'a Attributes) -> Self {
        Self { all: attributes.iter().collect(), next: 0, by_name: None }
    }

    fn find(&mut self, name: AttrName) -> Option<usize> {
        let place = match self.all.get(self.next) {
            Some((own, _)) if *own == name => self.next,
            _ => {
                let names = || self.all.iter().map(|(name, _)| *name).zip(0..).collect();
                *self.by_name.get_or_insert_with(names).get(&name)?
            }
        };
        self.next = place + 1;
        Some(place)
    }
}

/// Reads an event's record.
pub(in crate::store) fn decode_event(
    record: &[u8],
    names: &dyn Names,
) -> Result<(TenantId, Topic, Change), Damaged> {
    let mut input = In(record);
    let version = input.byte()?;
    if !matches!(version, WHOLE | DIFFERENT) {
        return Err(Damaged("an event is of another version"));
    }
    let bits = input.byte()?;
    let tenant = match input.text()? {
        "" => TenantId::DEFAULT,
        name => TenantId::from_kept(name).map_err(|_| Damaged("an event names no tenant"))?,
    };
    let at = Timestamp::from_bits(input.signed()?);
    let id = EntityId::from_trusted(input.text()?);
    let topic = match bits & (REGISTRATION | SUBSCRIPTION | TOLD) {
        0 => Topic::Entity,
        REGISTRATION => Topic::Registration,
        SUBSCRIPTION => Topic::Subscription,
        TOLD => Topic::Told(SubscriptionId::from_trusted(input.text()?)),
        _ => return Err(Damaged("an event tells of two things")),
    };
    let updated = read_names(&mut input, names)?;
    let untouched = read_names(&mut input, names)?;
    let mut entity = |bit: u8| {
        if bits & bit == 0 {
            return Ok(None);
        }
        let length = input.count()?;
        Ok(Some(Stored::new(decode(input.bytes(length)?, names)?)))
    };
    let (before, after) = if version == WHOLE {
        let before = entity(BEFORE)?;
        (before, entity(AFTER)?)
    } else {
        let after = entity(AFTER)?;
        let before = match &after {
            _ if bits & BY_DIFFERENCE == 0 => entity(BEFORE)?,
            Some(after) => Some(Stored::new(read_difference(&mut input, after, names)?)),
            None => return Err(Damaged("an event differs from nothing")),
        };
        (before, after)
    };
    let outcome = Outcome { created: bits & CREATED != 0, updated, untouched };
    Ok((tenant, topic, Change { id, at, before, after, outcome }))
}

/// Reads what [`difference`] wrote: the entity that was.
fn read_difference(
    input: &mut In<'_>,
    after: &Entity,
    names: &dyn Names,
) -> Result<Entity, Damaged> {
    let base = after.modified_at.plus_micros(input.signed()?);
    let count = input.count()?;
    let still: Vec<_> = after.attributes.iter().collect();
    let mut attributes = Vec::with_capacity(count);
    for _ in 0..count {
        let place = input.number()?.checked_sub(1);
        attributes.push(match place {
            Some(place) => {
                let same = usize::try_from(place).ok().and_then(|place| still.get(place));
                let (name, attribute) = same.ok_or(Damaged("an event names no attribute"))?;
                (*name, (*attribute).clone())
            }
            None => {
                let name = read_name(input, names)?;
                let length = input.count()?;
                let mut decoder = Decoder::new(In(input.bytes(length)?), names, base);
                let attribute = decoder.attribute()?;
                if !decoder.input.0.is_empty() {
                    return Err(Damaged("something follows an attribute"));
                }
                (name, attribute)
            }
        });
    }
    Ok(Entity {
        id: after.id.clone(),
        types: after.types.clone(),
        scopes: after.scopes.clone(),
        attributes: Attributes::from_distinct(attributes),
        created_at: after.created_at,
        modified_at: base,
        expires_at: after.expires_at,
    })
}

fn read_name(input: &mut In<'_>, names: &dyn Names) -> Result<AttrName, Damaged> {
    names.name(input.number()?).ok_or(Damaged("an event uses an unknown name"))
}

fn read_names(input: &mut In<'_>, names: &dyn Names) -> Result<Vec<AttrName>, Damaged> {
    let count = input.count()?;
    (0..count).map(|_| read_name(input, names)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::embedded::names::Dictionary;
    use crate::store::samples;

    /// An entity before and after: attributes are changed, taken away, added and moved.
    fn pair() -> impl Strategy<Value = (Entity, Entity)> {
        let choices = prop::collection::vec(0u8..6, 0..12);
        let entities = (samples::entity(), samples::entity(), choices, any::<bool>());
        entities.prop_map(|(before, other, choices, moved)| {
            let mut after = Entity { modified_at: other.modified_at, ..before.clone() };
            for (place, (name, attribute)) in before.attributes.iter().enumerate() {
                match choices.get(place) {
                    Some(0) => drop(after.attributes.remove(name)),
                    Some(1) if moved => {
                        after.attributes.remove(name);
                        after.attributes.insert(name, attribute.clone());
                    }
                    _ => {}
                }
            }
            for (place, (name, attribute)) in other.attributes.iter().enumerate() {
                if choices.get(place).is_some_and(|choice| *choice > 3) {
                    after.attributes.insert(name, attribute.clone());
                }
            }
            (before, after)
        })
    }

    fn topics() -> impl Strategy<Value = Topic> {
        prop_oneof![
            Just(Topic::Entity),
            Just(Topic::Registration),
            Just(Topic::Subscription),
            Just(Topic::Told(SubscriptionId::from_trusted("urn:x:subscription"))),
        ]
    }

    fn changes() -> impl Strategy<Value = Change> {
        let entities = prop_oneof![
            4 => pair().prop_map(|(before, after)| (Some(before), Some(after))),
            1 => (samples::entity(), samples::entity()).prop_map(|(a, b)| (Some(a), Some(b))),
            1 => samples::entity().prop_map(|entity| (None, Some(entity))),
            1 => samples::entity().prop_map(|entity| (Some(entity), None)),
        ];
        entities.prop_map(|(before, after)| {
            let known = after.as_ref().or(before.as_ref()).unwrap();
            let updated = known.attributes.iter().map(|(name, _)| name).collect();
            let outcome = Outcome { created: before.is_none(), updated, untouched: vec![] };
            let (id, at) = (known.id.clone(), known.modified_at);
            let (before, after) = (before.map(Stored::new), after.map(Stored::new));
            Change { id, at, before, after, outcome }
        })
    }

    /// What a change says, the order of attributes too.
    fn said(change: &Change) -> String {
        let entity = |stored: &Option<std::sync::Arc<Stored>>| {
            stored.as_ref().map(|stored| format!("{:?}", stored.entity))
        };
        let Change { id, at, before, after, outcome } = change;
        format!("{id:?} {at:?} {:?} {:?} {outcome:?}", entity(before), entity(after))
    }

    proptest! {
        #[test]
        fn both_versions_of_an_event_read_back(
            change in changes(), topic in topics(), kept in any::<bool>(),
        ) {
            let mut dictionary = Dictionary::default();
            let tenant = TenantId::DEFAULT;
            let whole = encode_event(&tenant, &topic, &change, &mut dictionary);
            prop_assert_eq!(whole[0], WHOLE);
            let after = change.after.as_deref().map(|after| encode(after, &mut dictionary));
            let mut out = Out::default();
            let kept = after.as_deref().filter(|_| kept);
            append_event(&mut out, &tenant, &topic, &change, kept, &mut dictionary);
            for record in [whole, out.0] {
                let (own, about, read) = decode_event(&record, dictionary.names()).unwrap();
                prop_assert_eq!((own, &about), (tenant.clone(), &topic));
                prop_assert_eq!(said(&read), said(&change));
            }
        }

        #[test]
        fn a_damaged_event_is_told_not_believed(
            change in changes(), place in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut dictionary = Dictionary::default();
            let mut out = Out::default();
            let tenant = TenantId::DEFAULT;
            append_event(&mut out, &tenant, &Topic::Entity, &change, None, &mut dictionary);
            let mut record = out.0;
            let place = place.index(record.len());
            prop_assert!(decode_event(&record[..place], dictionary.names()).is_err());
            record[place] = byte;
            // It may still say something; it must not panic.
            let _ = decode_event(&record, dictionary.names());
        }
    }

    #[test]
    fn what_was_costs_little_where_little_changed() {
        let mut before = samples::bare_entity(1, 1);
        for number in 0..12 {
            let attribute = samples::property(f64::from(number as u32) + 0.5);
            before.attributes.insert(samples::attribute_name(number), attribute);
        }
        let mut after = before.clone();
        after.attributes.insert(samples::attribute_name(3), samples::property(7));
        let record = |before: Option<&Entity>| {
            let before = before.cloned().map(Stored::new);
            let (at, after) = (after.modified_at, Some(Stored::new(after.clone())));
            let id = before.as_ref().or(after.as_ref()).unwrap().id.clone();
            let change = Change { id, at, before, after, outcome: Outcome::default() };
            let (mut out, tenant) = (Out::default(), TenantId::DEFAULT);
            let mut dictionary = Dictionary::default();
            append_event(&mut out, &tenant, &Topic::Entity, &change, None, &mut dictionary);
            out.0.len()
        };
        let more = record(Some(&before)) - record(None);
        assert!(more < 40, "{more} bytes");
    }
}
