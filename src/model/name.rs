//! Expanded names (IRIs), interned: a name is four bytes, compared as a number and shared by all
//! entities, contexts and queries of the process.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::RwLock;
use rustc_hash::FxHashMap;

/// An expanded name: an attribute, a type, a vocabulary word, a member of a compound value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(NonZeroU32);

/// The expanded name of an attribute (4.6.2).
pub type AttrName = Name;
/// The expanded name of an entity type (4.6.2).
pub type TypeName = Name;

/// More distinct names were sent than the broker is configured to remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this broker already knows as many distinct names as its limit allows")]
pub struct TooManyNames;

struct Interner {
    numbers: RwLock<FxHashMap<&'static str, Name>>,
    /// Append-only and lock-free to read; names live as long as the process.
    texts: boxcar::Vec<&'static str>,
}

static LIMIT: AtomicUsize = AtomicUsize::new(4_000_000);

static INTERNER: LazyLock<Interner> = LazyLock::new(|| {
    let interner =
        Interner { numbers: RwLock::new(FxHashMap::default()), texts: boxcar::Vec::new() };
    for text in WELL_KNOWN {
        interner.insert(text);
    }
    interner
});

impl Interner {
    fn insert(&self, text: &'static str) -> Name {
        let mut numbers = self.numbers.write();
        if let Some(&known) = numbers.get(text) {
            return known;
        }
        let index = self.texts.push(text);
        let name = Name::at(index);
        numbers.insert(text, name);
        name
    }
}

impl Name {
    const fn at(index: usize) -> Self {
        match NonZeroU32::new(index as u32 + 1) {
            Some(number) => Self(number),
            None => panic!("the number of names is limited far below four thousand million"),
        }
    }

    /// The name of this IRI, remembered for the life of the process.
    pub fn intern(text: &str) -> Result<Self, TooManyNames> {
        if let Some(name) = Self::known(text) {
            return Ok(name);
        }
        if INTERNER.texts.count() >= LIMIT.load(Ordering::Relaxed) {
            return Err(TooManyNames);
        }
        Ok(INTERNER.insert(Box::leak(text.into())))
    }

    /// The name of this IRI if anyone used it before: what a query needs, since a name that no
    /// entity has can match nothing and need not be remembered.
    pub fn known(text: &str) -> Option<Self> {
        INTERNER.numbers.read().get(text).copied()
    }

    /// The IRI.
    pub fn as_str(self) -> &'static str {
        INTERNER.texts[self.index()]
    }

    /// A small dense number, for tables indexed by name.
    pub fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    /// The name with this [`Name::index`], if there is one.
    pub fn from_index(index: usize) -> Option<Self> {
        INTERNER.texts.get(index).map(|_| Self::at(index))
    }

    /// Whether the names that can still be remembered should be left to who writes here: a quarter
    /// of all is kept from those who are only asked.
    pub fn are_scarce() -> bool {
        Self::count() >= LIMIT.load(Ordering::Relaxed) / 4 * 3
    }

    /// How many distinct names may be remembered.
    pub fn set_limit(limit: usize) {
        LIMIT.store(limit, Ordering::Relaxed);
    }

    /// How many distinct names are remembered now.
    pub fn count() -> usize {
        INTERNER.texts.count()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.as_str())
    }
}

macro_rules! well_known {
    ($($(#[$doc:meta])* $constant:ident = $text:literal;)*) => {
        const WELL_KNOWN: &[&str] = &[$($text),*];
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the variants only number the constants")]
        enum Position { $($constant),* }
        /// Names that the information model itself gives a meaning to.
        impl Name {
            $($(#[$doc])* pub const $constant: Name = Name::at(Position::$constant as usize);)*
        }
    };
}

well_known! {
    /// `@type` inside a compound value.
    AT_TYPE = "@type";
    /// `@id` inside a compound value.
    AT_ID = "@id";
    /// `@value` inside a typed value.
    AT_VALUE = "@value";
    /// `@language` inside a value.
    AT_LANGUAGE = "@language";
    LOCATION = "https://uri.etsi.org/ngsi-ld/location";
    OBSERVATION_SPACE = "https://uri.etsi.org/ngsi-ld/observationSpace";
    OPERATION_SPACE = "https://uri.etsi.org/ngsi-ld/operationSpace";
    SCOPE = "https://uri.etsi.org/ngsi-ld/scope";
    OBSERVED_AT = "https://uri.etsi.org/ngsi-ld/observedAt";
    CREATED_AT = "https://uri.etsi.org/ngsi-ld/createdAt";
    MODIFIED_AT = "https://uri.etsi.org/ngsi-ld/modifiedAt";
    DELETED_AT = "https://uri.etsi.org/ngsi-ld/deletedAt";
    EXPIRES_AT = "https://uri.etsi.org/ngsi-ld/expiresAt";
    UNIT_CODE = "https://uri.etsi.org/ngsi-ld/unitCode";
    DATASET_ID = "https://uri.etsi.org/ngsi-ld/datasetId";
    VALUE_TYPE = "https://uri.etsi.org/ngsi-ld/hasValueType";
    OBJECT_TYPE = "https://uri.etsi.org/ngsi-ld/hasObjectType";
    PROOF = "https://uri.etsi.org/ngsi-ld/ngsildproof";
    DATE_TIME = "https://uri.etsi.org/ngsi-ld/DateTime";
    DATE = "https://uri.etsi.org/ngsi-ld/Date";
    TIME = "https://uri.etsi.org/ngsi-ld/Time";
    LANG_STRING = "http://www.w3.org/1999/02/22-rdf-syntax-ns#langString";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_the_names_of_their_texts() {
        for (index, text) in WELL_KNOWN.iter().enumerate() {
            assert_eq!(Name::intern(text), Ok(Name::at(index)));
            assert_eq!(Name::at(index).as_str(), *text);
            assert_eq!(Name::from_index(index), Some(Name::at(index)));
        }
    }

    #[test]
    fn equal_texts_are_one_name() {
        let first = Name::intern("https://example.org/ฝุ่น").expect("below the limit");
        assert_eq!(Name::known("https://example.org/ฝุ่น"), Some(first));
        assert_eq!(first.as_str(), "https://example.org/ฝุ่น");
        assert_eq!(Name::known("https://example.org/never-used"), None);
    }
}
