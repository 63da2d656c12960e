//! Entities on their way into the broker: what is new is upserted, what is older than what is
//! there goes into its history, what was there already goes nowhere. Many share one commit.

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::mapper::{FLAGS, Mapped};
use super::mapping::Mapping;
use super::mapping::source::Way;
use crate::broker::{Broker, shipped_context};
use crate::config::Config;
use crate::import::{
    ContextChoice, Item, ItemContext, LocalSink, Mode, Place, Sink, SinkError, Verdict,
};
use crate::jsonld::ContextSource;
use crate::model::{AttrName, EntityId, Stored, Timestamp};
use crate::store::StoreError;

/// How many attributes of a mapping are watched for whether they are there.
const WATCHED: usize = 128;

/// What NGSI-LD writes for an attribute that is to go.
const GONE: &str = "urn:ngsi-ld:null";

/// Writes what a mapping made.
pub struct Writer {
    broker: Arc<Broker>,
    mapping: Arc<Mapping>,
    context: String,
    sink: LocalSink,
    past: LocalSink,
    known: Mutex<Known>,
    /// Whether other brokers write the same entities at the same time.
    others_write: bool,
}

/// What became of records.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Written {
    /// Entities that were created or changed.
    pub stored: u64,
    /// Records that told nothing new.
    pub unchanged: u64,
    /// Records that were older than what is there, and went into its history.
    pub late: u64,
    /// Records that the broker refused.
    pub refused: Vec<NotTaken>,
    /// The time of the newest record that was stored.
    pub newest: Option<Timestamp>,
}

/// A record that the broker refused.
#[derive(Debug, Clone, PartialEq)]
pub struct NotTaken {
    pub number: u64,
    pub id: String,
    pub why: String,
    /// The entity that was made of it.
    pub made: Value,
}

/// What is known of entities, to write only what is new.
struct Known {
    last: HashMap<String, Last>,
    most: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Last {
    at: Option<Timestamp>,
    /// Of the whole document; absent for what was there before this process.
    hash: Option<u64>,
    /// Which attributes it had, by their places in the mapping; the last is [`FLAGS`].
    had: u128,
    /// When it last told something new.
    fresh: Option<Timestamp>,
}

impl Writer {
    /// Gets ready to write.
    ///
    /// # Errors
    /// If the context of the mapping is none.
    pub fn new(
        broker: Arc<Broker>,
        mapping: Arc<Mapping>,
        config: &Config,
    ) -> Result<Self, SinkError> {
        let context = match mapping.context.contains("://") {
            true => mapping.context.clone(),
            false => shipped_context(config, &mapping.context),
        };
        let mode = if mapping.replace { Mode::Replace } else { Mode::Update };
        let sink = |mode| {
            let choice = ContextChoice::Url(context.clone());
            LocalSink::new(broker.clone(), mapping.tenant.clone(), choice, mode)
        };
        let others_write = broker.store().is_shared() && mapping.source.way == Way::Push;
        Ok(Self {
            others_write,
            sink: sink(mode)?,
            past: sink(Mode::History)?,
            known: Mutex::new(Known { last: HashMap::new(), most: config.feeds.known.max(1) }),
            context,
            broker,
            mapping,
        })
    }

    /// Writes records in as few commits as there are kinds of them.
    ///
    /// # Errors
    /// If the store fails: what was not written will have to come again.
    pub async fn write(&self, records: Vec<Mapped>, now: Timestamp) -> Result<Written, SinkError> {
        let mut written = Written::default();
        if records.is_empty() {
            return Ok(written);
        }
        let mut groups: Vec<Vec<Mapped>> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for record in records {
            let place = *places.entry(record.id.clone()).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[place].push(record);
        }
        self.learn(places.keys(), now).await?;
        let (mut current, mut past) = (Vec::new(), Vec::new());
        for mut group in groups {
            // What comes last counts where two tell of the same time.
            group.sort_by_key(|record| record.at);
            let Some(newest) = group.pop() else { continue };
            if let Some(late) = self.sort_in(newest, &mut current, &mut written, now) {
                group.push(late);
            }
            past.push(group);
        }
        self.upsert(current, &mut written).await?;
        self.evolve(past, &mut written).await?;
        Ok(written)
    }

    /// Decides what a record is: something new, nothing new, or late; a late one comes back.
    fn sort_in(
        &self,
        record: Mapped,
        current: &mut Vec<(Mapped, Last)>,
        written: &mut Written,
        now: Timestamp,
    ) -> Option<Mapped> {
        let known = self.known.lock();
        let before = known.last.get(&record.id).copied().unwrap_or_default();
        drop(known);
        if record.at < before.at {
            return Some(record);
        }
        let hash = Some(hash(&record.entity));
        if hash == before.hash {
            written.unchanged += 1;
            return None;
        }
        let had = self.has(&record.entity);
        current.push((record, Last { at: None, hash, had, fresh: Some(now) }));
        None
    }

    async fn upsert(
        &self,
        mut current: Vec<(Mapped, Last)>,
        written: &mut Written,
    ) -> Result<(), SinkError> {
        if current.is_empty() {
            return Ok(());
        }
        let mut items = Vec::with_capacity(current.len());
        for (record, last) in &mut current {
            last.at = record.at;
            if !self.mapping.replace {
                self.remove_what_is_gone(record, last.had);
            }
            items.push(item(record.number, &record.id, &record.entity));
        }
        let verdicts = self.sink.upsert(&items).await?;
        let mut known = self.known.lock();
        for ((record, last), verdict) in current.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Refused(why) => {
                    let Mapped { number, id, entity, .. } = record;
                    let made = Value::Object(entity);
                    written.refused.push(NotTaken { number, id, why, made });
                }
                _ => {
                    written.stored += 1;
                    written.newest = written.newest.max(record.at);
                    known.keep(record.id, last);
                }
            }
        }
        Ok(())
    }

    /// Readings that the entity had and the record has not are taken away: they would look as if
    /// they were of now.
    fn remove_what_is_gone(&self, record: &mut Mapped, has: u128) {
        let known = self.known.lock();
        let had = known.last.get(&record.id).map_or(0, |last| last.had);
        let gone = had & !has;
        if gone == 0 {
            return;
        }
        let names = self.watched();
        for (_, name) in names.filter(|(place, _)| gone & (1 << place) != 0) {
            record.entity.insert(name.to_owned(), GONE.into());
        }
    }

    /// Adds late records to the history of their entities.
    async fn evolve(
        &self,
        groups: Vec<Vec<Mapped>>,
        written: &mut Written,
    ) -> Result<(), SinkError> {
        let mut items = Vec::new();
        let mut numbers = Vec::new();
        for group in groups.into_iter().filter(|group| !group.is_empty()) {
            numbers.push((group[0].number, group[0].id.clone(), group.len() as u64));
            items.push(self.history(group));
        }
        if items.is_empty() {
            return Ok(());
        }
        let verdicts = match self.past.upsert(&items).await {
            // Nothing that is late can be kept there, ever: it need not come again.
            Err(SinkError::Broken(why)) if why.contains("keeps no history") => {
                let refused =
                    Verdict::Refused(format!("it is older than what is there, and {why}"));
                vec![refused; items.len()]
            }
            verdicts => verdicts?,
        };
        for ((number, id, count), verdict) in numbers.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Refused(why) => {
                    written.refused.push(NotTaken { number, id, why, made: Value::Null });
                }
                _ => written.late += count,
            }
        }
        Ok(())
    }

    /// Readings of one entity as its history: an array of instances to an attribute.
    fn history(&self, group: Vec<Mapped>) -> Item {
        let mut whole = Map::new();
        let (number, id) = group.first().map_or((0, String::new()), |r| (r.number, r.id.clone()));
        for record in group {
            for (name, value) in record.entity {
                if name == "id" || name == "type" {
                    whole.insert(name, value);
                } else if value.get("observedAt").is_some() {
                    let all = whole.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                    if let Value::Array(all) = all {
                        all.push(value);
                    }
                }
            }
        }
        item(number, &id, &whole)
    }

    /// The attributes that are watched, with their places.
    fn watched(&self) -> impl Iterator<Item = (usize, &str)> {
        let own = self.mapping.fields.iter().map(|(name, _)| name.as_str()).take(WATCHED - 1);
        own.enumerate().chain([(WATCHED - 1, FLAGS)])
    }

    fn has(&self, entity: &Map<String, Value>) -> u128 {
        let there = self.watched().filter(|(_, name)| entity.contains_key(*name));
        there.fold(0, |had, (place, _)| had | (1 << place))
    }

    /// Looks up what the store has of entities that are not known yet, or that others write, too.
    async fn learn(
        &self,
        ids: impl Iterator<Item = &String>,
        now: Timestamp,
    ) -> Result<(), SinkError> {
        let unknown: Vec<EntityId> = {
            let known = self.known.lock();
            let new = ids.filter(|id| self.others_write || !known.last.contains_key(*id));
            new.filter_map(|id| EntityId::parse(id).ok()).collect()
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let tenant = &self.mapping.tenant;
        let found = match self.broker.store().get_many(tenant, &unknown, now).await {
            Ok(found) => found,
            Err(StoreError::UnknownTenant(_)) => return Ok(()),
            Err(error) => return Err(SinkError::Broken(error.to_string())),
        };
        if found.is_empty() {
            return Ok(());
        }
        let source = ContextSource::Url(&self.context);
        let context = self.broker.contexts().resolve(tenant, source, now).await;
        let context = context.map_err(|why| SinkError::Denied(why.to_string()))?;
        let names: Vec<(usize, AttrName)> = self
            .watched()
            .filter_map(|(place, name)| Some((place, context.expand(name).ok()?)))
            .collect();
        let mut known = self.known.lock();
        for stored in found {
            let mut last = last_of(&stored, &names);
            let id = stored.id.as_str();
            match known.last.get(id) {
                // It is as it was left.
                Some(own) if own.at == last.at => {
                    (last.hash, last.fresh) = (own.hash, own.fresh);
                }
                // Somebody else told something new of it.
                Some(_) => last.fresh = Some(now),
                None => {}
            }
            known.keep(id.to_owned(), last);
        }
        Ok(())
    }

    /// Forgets what is known: others may have written since.
    pub fn forget(&self) {
        self.known.lock().last.clear();
    }

    /// How many entities are known, and which have told nothing new since a time.
    pub async fn quiet_since(
        &self,
        since: Timestamp,
        most: usize,
        now: Timestamp,
    ) -> (usize, Vec<String>) {
        let (all, mut quiet) = {
            let known = self.known.lock();
            let old = |last: &Last| last.fresh.is_some_and(|at| at < since);
            let quiet = known.last.iter().filter(|(_, last)| old(last));
            let quiet: Vec<String> = quiet.map(|(id, _)| id.clone()).take(most).collect();
            (known.last.len(), quiet)
        };
        if self.others_write && !quiet.is_empty() {
            let ids: Vec<EntityId> =
                quiet.iter().filter_map(|id| EntityId::parse(id).ok()).collect();
            let store = self.broker.store();
            let found = store.get_many(&self.mapping.tenant, &ids, now).await.unwrap_or_default();
            let told = |id: &String| {
                let own = found.iter().find(|stored| stored.id.as_str() == id);
                own.is_some_and(|stored| stored.entity.modified_at >= since)
            };
            quiet.retain(|id| !told(id));
        }
        quiet.sort();
        (all, quiet)
    }
}

impl Known {
    fn keep(&mut self, id: String, last: Last) {
        if self.last.len() >= self.most && !self.last.contains_key(&id) {
            // Whoever is forgotten is looked up again.
            let victims: Vec<String> =
                self.last.keys().take(self.most.div_ceil(10)).cloned().collect();
            for victim in victims {
                self.last.remove(&victim);
            }
        }
        self.last.insert(id, last);
    }
}

/// What the store says of an entity.
fn last_of(stored: &Stored, names: &[(usize, AttrName)]) -> Last {
    let mut last = Last::default();
    for (place, name) in names {
        let Some(attribute) = stored.entity.attributes.get(*name) else { continue };
        last.had |= 1 << place;
        let times = attribute.instances().iter().filter_map(|instance| instance.observed_at);
        last.at = last.at.max(times.max());
    }
    last
}

fn item(number: u64, id: &str, entity: &Map<String, Value>) -> Item {
    Item {
        place: Place { line: 0, number },
        id: id.to_owned(),
        json: serde_json::to_vec(entity).unwrap_or_default(),
        context: ItemContext::Chosen,
    }
}

fn hash(entity: &Map<String, Value>) -> u64 {
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(&serde_json::to_vec(entity).unwrap_or_default());
    hasher.finish()
}
