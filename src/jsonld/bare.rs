//! Bare terms that no context maps: most attribute names of a city that writes no contexts. Every
//! context ends with the core's vocabulary, so one memory serves all of them.

use std::{
    hash::BuildHasher,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use super::DEFAULT_VOCABULARY;
use crate::model::Name;

/// How many terms are remembered, 64 KiB of them; terms that meet in one place displace each other.
const PLACES: usize = 1 << 14;

static NAMES: [AtomicU32; PLACES] = [const { AtomicU32::new(0) }; PLACES];

static HASHER: LazyLock<hashbrown::DefaultHashBuilder> =
    LazyLock::new(hashbrown::DefaultHashBuilder::default);

/// The hash of a term, the same for this memory and for every table.
pub(super) fn hash(term: &str) -> u64 {
    HASHER.hash_one(term)
}

/// The name in the default vocabulary, if this term came by before.
pub(super) fn recall(hash: u64, term: &str) -> Option<Name> {
    let number = place(hash).load(Ordering::Relaxed).checked_sub(1)?;
    let name = Name::from_index(number as usize)?;
    (name.as_str().strip_prefix(DEFAULT_VOCABULARY) == Some(term)).then_some(name)
}

/// Remembers the name of a term that stands in the default vocabulary.
pub(super) fn remember(hash: u64, name: Name) {
    place(hash).store(name.index() as u32 + 1, Ordering::Relaxed);
}

fn place(hash: u64) -> &'static AtomicU32 {
    &NAMES[hash as usize % PLACES]
}
