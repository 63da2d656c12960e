//! The record of an event: whose it is, when it happened, what it reported, and the entity before
//! and after.

use super::codec::{In, Out};
use super::{Damaged, Names, Numbers, decode, encode};
use crate::model::{
    AttrName, Change, EntityId, Outcome, Stored, SubscriptionId, TenantId, Timestamp,
};
use crate::store::Topic;

/// The version that every record of an event begins with.
const VERSION: u8 = 1;

const CREATED: u8 = 1;
const BEFORE: u8 = 2;
const AFTER: u8 = 4;
const REGISTRATION: u8 = 8;
const SUBSCRIPTION: u8 = 16;
const TOLD: u8 = 32;

/// Writes an event's record.
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
    out.byte(VERSION);
    let bit = |there: bool, bit: u8| if there { bit } else { 0 };
    out.byte(
        bit(change.outcome.created, CREATED)
            | bit(before.is_some(), BEFORE)
            | bit(after.is_some(), AFTER)
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
    for record in [before, after].into_iter().flatten() {
        out.count(record.len());
        out.0.extend_from_slice(&record);
    }
    out.0
}

/// Reads an event's record.
pub(in crate::store) fn decode_event(
    record: &[u8],
    names: &dyn Names,
) -> Result<(TenantId, Topic, Change), Damaged> {
    let mut input = In(record);
    if input.byte()? != VERSION {
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
    let (before, after) = (entity(BEFORE)?, entity(AFTER)?);
    let outcome = Outcome { created: bits & CREATED != 0, updated, untouched };
    Ok((tenant, topic, Change { id, at, before, after, outcome }))
}

fn read_names(input: &mut In<'_>, names: &dyn Names) -> Result<Vec<AttrName>, Damaged> {
    let count = input.count()?;
    let name = |number| names.name(number).ok_or(Damaged("an event uses an unknown name"));
    (0..count).map(|_| input.number().and_then(name)).collect()
}
