//! The store's dictionary: small numbers for names, so that records are small.
//!
//! [`Name`] is a number of this process; a record needs numbers of the store, which stay.

use std::sync::Arc;

use crate::model::Name;
use crate::store::record;

/// The name of every number, for whoever reads records. Append-only and lock-free.
#[derive(Clone, Default)]
pub(in crate::store) struct Names(Arc<boxcar::Vec<Name>>);

impl Names {
    /// The name of this number.
    pub fn get(&self, number: u64) -> Option<Name> {
        self.0.get(usize::try_from(number).ok()?).copied()
    }

    /// How many names have a number.
    pub fn count(&self) -> usize {
        self.0.count()
    }
}

impl record::Names for Names {
    fn name(&self, number: u64) -> Option<Name> {
        self.get(number)
    }
}

impl record::Numbers for Dictionary {
    fn number(&mut self, name: Name) -> u32 {
        Dictionary::number(self, name)
    }
}

/// The dictionary as the one writer holds it.
#[derive(Default)]
pub(in crate::store) struct Dictionary {
    names: Names,
    /// By [`Name::index`]: the number and one, or zero.
    numbers: Vec<u32>,
    /// How many numbers the engine knows; later ones go along with the next batch.
    kept: usize,
}

impl Dictionary {
    /// A dictionary as the engine holds it, in the order of the numbers.
    pub fn new(names: impl IntoIterator<Item = Name>) -> Self {
        let mut dictionary = Self::default();
        for name in names {
            dictionary.number(name);
        }
        dictionary.kept = dictionary.names.count();
        dictionary
    }

    /// What readers need.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The number of a name; a new one if it has none.
    pub fn number(&mut self, name: Name) -> u32 {
        let index = name.index();
        if index >= self.numbers.len() {
            self.numbers.resize(index + 1, 0);
        }
        if self.numbers[index] == 0 {
            let number = self.names.0.push(name);
            self.numbers[index] = number as u32 + 1;
        }
        self.numbers[index] - 1
    }

    /// Names that the engine does not know yet, with their numbers.
    pub fn unkept(&self) -> impl Iterator<Item = (u32, Name)> {
        let all = self.kept..self.names.count();
        all.filter_map(|number| Some((number as u32, self.names.get(number as u64)?)))
    }

    /// The engine knows all names now.
    pub fn all_kept(&mut self) {
        self.kept = self.names.count();
    }
}
