//! Entities that sources told word for word before: most of what is asked for again has not changed
//! since, and need not be read, checked and written again.
//!
//! What is told is told whole each time; only the work of understanding the same bytes is spared, so
//! nothing can be out of date. What was told once is only noted; told twice, it is remembered.

use std::hash::BuildHasher;
use std::mem;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet};
use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

use crate::model::Stored;

/// Entities that sources told before, of all sources together.
#[derive(Debug)]
pub struct Familiar {
    hasher: DefaultHashBuilder,
    shards: Vec<Mutex<Shard>>,
    /// How many bytes what is young in a shard may take before it is old.
    most: usize,
}

/// What a text looked like at its beginning.
#[derive(Debug, Clone, Copy)]
pub struct Glance(u64);

/// What is known of a text.
#[derive(Debug)]
pub enum Familiarity {
    Unknown(Glance),
    /// It begins with an entity: how many bytes and values that is.
    Known {
        entity: Arc<Stored>,
        bytes: usize,
        values: usize,
    },
}

/// Two generations: what is used stays young, and what is old goes when there is no room.
#[derive(Debug, Default)]
struct Shard {
    young: Generation,
    old: Generation,
}

#[derive(Debug, Default)]
struct Generation {
    known: HashMap<u64, Vec<Known>, FxBuildHasher>,
    /// What was told once.
    noted: HashSet<u64, FxBuildHasher>,
    bytes: usize,
}

#[derive(Debug)]
struct Known {
    text: Box<[u8]>,
    /// By which `@context` it was read.
    context: u64,
    values: usize,
    entity: Arc<Stored>,
}

/// So that those who answer at once do not wait for each other.
const SHARDS: usize = 16;

/// How much of a text is looked at to find what it may be: the id and the type are mostly there.
const BEGINNING: usize = 128;

/// How many texts that begin alike are remembered: one entity as it was and is.
const ALIKE: usize = 4;

/// What an entity costs beside its text, its own members and how it was written, each of which take
/// about as much as the text.
const OVERHEAD: usize = 512;

/// What it costs to note that something was told.
const NOTE: usize = 16;

/// Texts that are longer are not remembered: few are, and they would drive out many.
const LONGEST: usize = 64 << 10;

impl Known {
    fn cost(&self) -> usize {
        4 * self.text.len() + OVERHEAD
    }

    fn begins(&self, text: &[u8], context: u64) -> bool {
        self.context == context && text.starts_with(&self.text)
    }
}

impl Familiar {
    /// Nothing is known yet, and never more than about so many bytes.
    pub fn new(most: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { hasher: DefaultHashBuilder::default(), shards, most: most / SHARDS / 2 }
    }

    /// What is known of the entity that a text begins with, read by a context.
    pub fn recall(&self, text: &[u8], context: u64) -> Familiarity {
        let beginning = &text[..text.len().min(BEGINNING)];
        let glance = Glance(self.hasher.hash_one(beginning));
        if self.most == 0 {
            return Familiarity::Unknown(glance);
        }
        let mut shard = self.shard(glance).lock();
        if let Some(known) = shard.find(glance.0, text, context, self.most) {
            return Familiarity::Known {
                entity: known.entity.clone(),
                bytes: known.text.len(),
                values: known.values,
            };
        }
        Familiarity::Unknown(glance)
    }

    /// Takes note that a text was told that looked so at its beginning. Returns whether it was told
    /// before, and is worth to be remembered.
    pub fn note(&self, glance: Glance, text: &[u8]) -> bool {
        if self.most == 0 || text.len() > LONGEST {
            return false;
        }
        let told = self.hasher.hash_one(text);
        let mut shard = self.shard(glance).lock();
        if shard.young.noted.remove(&told) || shard.old.noted.remove(&told) {
            return true;
        }
        shard.make_room(NOTE, self.most);
        shard.young.noted.insert(told);
        false
    }

    /// Remembers the entity that a text is, which looked so at its beginning. It must not depend on
    /// the time.
    pub fn remember(
        &self,
        glance: Glance,
        text: &[u8],
        context: u64,
        values: usize,
        entity: &Arc<Stored>,
    ) {
        let known = Known { text: text.into(), context, values, entity: entity.clone() };
        if known.cost() > self.most {
            return;
        }
        let mut shard = self.shard(glance).lock();
        shard.make_room(known.cost(), self.most);
        shard.young.add(glance.0, known);
    }

    fn shard(&self, glance: Glance) -> &Mutex<Shard> {
        &self.shards[(glance.0 >> 32) as usize % SHARDS]
    }
}

impl Shard {
    fn find(&mut self, beginning: u64, text: &[u8], context: u64, most: usize) -> Option<&Known> {
        let of = |generation: &Generation| {
            let known = generation.known.get(&beginning)?;
            known.iter().position(|one| one.begins(text, context))
        };
        if let Some(place) = of(&self.young) {
            return self.young.known.get(&beginning)?.get(place);
        }
        let place = of(&self.old)?;
        let known = self.old.known.get_mut(&beginning)?.swap_remove(place);
        self.make_room(known.cost(), most);
        self.young.add(beginning, known);
        self.young.known.get(&beginning)?.last()
    }

    fn make_room(&mut self, bytes: usize, most: usize) {
        self.young.bytes += bytes;
        if self.young.bytes > most {
            self.old = mem::take(&mut self.young);
            self.young.bytes = bytes;
        }
    }
}

impl Generation {
    fn add(&mut self, beginning: u64, known: Known) {
        let alike = self.known.entry(beginning).or_default();
        if alike.len() >= ALIKE {
            // As it was longest ago.
            alike.remove(0);
        }
        alike.push(known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonld::{Context, Document, ParseLimits};
    use crate::represent::read_entity;

    fn text(number: usize, value: usize) -> Vec<u8> {
        let text = format!(
            r#"{{"id":"urn:x:{number}","type":"T","a":{{"type":"Property","value":{value}}}}}"#
        );
        text.into_bytes()
    }

    fn entity(text: &[u8]) -> Arc<Stored> {
        let document = Document::parse(text, &ParseLimits::default()).expect("JSON");
        Stored::new(read_entity(&document, &Context::core()).expect("an entity"))
    }

    fn is_known(familiar: &Familiar, text: &[u8], context: u64) -> bool {
        matches!(familiar.recall(text, context), Familiarity::Known { .. })
    }

    /// What is done with an entity that is told.
    fn tell(familiar: &Familiar, text: &[u8], context: u64) {
        if let Familiarity::Unknown(glance) = familiar.recall(text, context)
            && familiar.note(glance, text)
        {
            familiar.remember(glance, text, context, 6, &entity(text));
        }
    }

    #[test]
    fn what_was_told_twice_is_known_by_its_very_bytes_and_its_context_alone() {
        let familiar = Familiar::new(1 << 20);
        let own = text(1, 1);
        let mut followed = own.clone();
        followed.extend(vec![b','; BEGINNING]);
        for _ in 0..2 {
            assert!(!is_known(&familiar, &followed, 7));
            let Familiarity::Unknown(glance) = familiar.recall(&followed, 7) else { panic!() };
            if familiar.note(glance, &own) {
                familiar.remember(glance, &own, 7, 6, &entity(&own));
            }
        }
        match familiar.recall(&followed, 7) {
            Familiarity::Known { entity: known, bytes, values } => {
                assert_eq!(
                    (known.entity.clone(), bytes, values),
                    (entity(&own).entity.clone(), own.len(), 6)
                );
            }
            Familiarity::Unknown(_) => panic!("it was told twice"),
        }
        assert!(!is_known(&familiar, &followed, 8));
        assert!(!is_known(&familiar, &text(1, 2), 7));
        assert!(!is_known(&familiar, &own[..own.len() - 1], 7));
    }

    #[test]
    fn what_is_told_goes_on_being_known_among_much_else_and_memory_is_bounded() {
        let familiar = Familiar::new(1 << 20);
        let own = text(0, 0);
        for number in 1..20_000 {
            tell(&familiar, &own, 7);
            for _ in 0..2 {
                tell(&familiar, &text(number, number), 7);
            }
            assert!(number < 3 || is_known(&familiar, &own, 7));
        }
        let costs = familiar.shards.iter().map(|shard| {
            let Shard { young, old } = &*shard.lock();
            let all = young.known.values().chain(old.known.values()).flatten();
            all.map(Known::cost).sum::<usize>()
        });
        assert!(costs.sum::<usize>() <= 1 << 20);
    }

    #[test]
    fn of_what_changes_each_time_no_more_than_a_few_texts_are_remembered() {
        let familiar = Familiar::new(16 << 20);
        let beginning = format!(r#"{{"id":"urn:x:{}","type":"T","a":"#, "y".repeat(BEGINNING));
        for value in 0..50 {
            for _ in 0..2 {
                tell(&familiar, format!("{beginning}{value}}}").as_bytes(), 7);
            }
        }
        let known = (0..50)
            .filter(|value| is_known(&familiar, format!("{beginning}{value}}}").as_bytes(), 7));
        assert_eq!(known.collect::<Vec<_>>(), [46, 47, 48, 49]);
    }

    #[test]
    fn nothing_is_remembered_where_there_is_no_room() {
        for most in [0, 1_000] {
            let familiar = Familiar::new(most);
            (0..3).for_each(|_| tell(&familiar, &text(1, 1), 7));
            assert!(!is_known(&familiar, &text(1, 1), 7));
        }
    }
}
