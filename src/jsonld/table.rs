//! What a processed context comes down to: terms to IRIs and back, one look-up each.

use std::{
    borrow::Cow,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use hashbrown::HashTable;
use json_ld::iref::{Iri, IriRef};
use rustc_hash::FxHashMap;

use super::{ContextError, DEFAULT_VOCABULARY, bare};
use crate::model::Name;

/// What a term means, as the processor found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    Iri(Arc<str>),
    /// An alias of a keyword, `@id` and `@type` above all.
    Keyword(&'static str),
    /// Mapped to null, or to something no name can be: the reason.
    Nothing(&'static str),
}

/// A term definition, as far as names need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    pub term: Box<str>,
    pub meaning: Meaning,
    /// May stand before a colon.
    pub prefix: bool,
    /// Has a type, language or container of its own, so that a plain term is preferred to it.
    pub coerced: bool,
}

struct Term {
    definition: Definition,
    /// The interned IRI plus one, zero until someone needs it.
    name: AtomicU32,
}

/// Terms and IRIs of one context, the core's included.
pub(super) struct Table {
    id: u64,
    terms: Vec<Term>,
    by_text: HashTable<u32>,
    /// The preferred term of an IRI.
    by_iri: FxHashMap<Arc<str>, u32>,
    /// What IRIs may begin with to be shortened, and with what.
    prefixes: FxHashMap<Arc<str>, u32>,
    /// The distinct lengths of those beginnings.
    prefix_lengths: Vec<usize>,
    short: ShortForms,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Table {
    /// `core`: the table of the core context, whose terms are preferred to all others.
    pub(super) fn new(mut definitions: Vec<Definition>, core: Option<&Table>) -> Self {
        definitions.sort_by(|a, b| a.term.cmp(&b.term));
        let mut by_text = HashTable::with_capacity(definitions.len());
        let mut by_iri: FxHashMap<Arc<str>, u32> = FxHashMap::default();
        let mut prefixes: FxHashMap<Arc<str>, u32> = FxHashMap::default();
        let rank = |index: u32| {
            let definition: &Definition = &definitions[index as usize];
            let of_core = core.is_none_or(|core| core.find(&definition.term).is_some());
            (!of_core, definition.coerced, definition.term.len(), &definition.term)
        };
        let prefer = |place: &mut u32, other: u32| {
            if rank(other) < rank(*place) {
                *place = other;
            }
        };
        for (index, definition) in definitions.iter().enumerate() {
            let index = index as u32;
            by_text.insert_unique(bare::hash(&definition.term), index, |&index| {
                bare::hash(&definitions[index as usize].term)
            });
            let iri: Arc<str> = match &definition.meaning {
                Meaning::Iri(iri) => iri.clone(),
                Meaning::Keyword(keyword) => (*keyword).into(),
                Meaning::Nothing(_) => continue,
            };
            if definition.prefix {
                prefixes
                    .entry(iri.clone())
                    .and_modify(|place| prefer(place, index))
                    .or_insert(index);
            }
            by_iri.entry(iri).and_modify(|place| prefer(place, index)).or_insert(index);
        }
        let mut prefix_lengths: Vec<usize> = prefixes.keys().map(|iri| iri.len()).collect();
        prefix_lengths.sort_unstable();
        prefix_lengths.dedup();
        let terms = definitions
            .into_iter()
            .map(|definition| Term { definition, name: AtomicU32::new(0) })
            .collect();
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            terms,
            by_text,
            by_iri,
            prefixes,
            prefix_lengths,
            short: ShortForms::default(),
        }
    }

    /// Unique among all tables of this process.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// How many terms it has.
    pub(super) fn terms(&self) -> usize {
        self.terms.len()
    }

    /// Whether both mean the same by every term.
    pub(super) fn means_the_same(&self, other: &Table) -> bool {
        self.terms.len() == other.terms.len()
            && self.terms.iter().zip(&other.terms).all(|(a, b)| a.definition == b.definition)
    }

    fn find_hashed(&self, hash: u64, term: &str) -> Option<&Term> {
        let found = |&index: &u32| *self.terms[index as usize].definition.term == *term;
        self.by_text.find(hash, found).map(|&index| &self.terms[index as usize])
    }

    fn find(&self, term: &str) -> Option<&Definition> {
        self.find_hashed(bare::hash(term), term).map(|term| &term.definition)
    }

    pub(super) fn expand(&self, term: &str) -> Result<Name, ContextError> {
        let hash = bare::hash(term);
        if let Some(known) = self.find_hashed(hash, term) {
            return known.name();
        }
        if let Some(name) = bare::recall(hash, term) {
            return Ok(name);
        }
        let name = Name::intern(&self.expand_unmapped(term)?)?;
        if is_plain(term) {
            bare::remember(hash, name);
        }
        Ok(name)
    }

    pub(super) fn lookup(&self, term: &str) -> Option<Name> {
        let hash = bare::hash(term);
        if let Some(known) = self.find_hashed(hash, term) {
            return known.known_name();
        }
        bare::recall(hash, term).or_else(|| Name::known(&self.expand_unmapped(term).ok()?))
    }

    pub(super) fn expand_text<'t>(&'t self, term: &'t str) -> Result<Cow<'t, str>, ContextError> {
        match self.find(term) {
            Some(definition) => definition.iri().map(Cow::Borrowed),
            None => self.expand_unmapped(term),
        }
    }

    /// IRI expansion (JSON-LD 1.1 API, 5.2.2) of what is no term itself.
    fn expand_unmapped<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, ContextError> {
        if is_keyword_like(text) {
            return match KEYWORDS.iter().any(|name| name.as_str() == text) {
                true => Ok(Cow::Borrowed(text)),
                false => Err(ContextError::NotAName(text.into(), "it looks like a keyword")),
            };
        }
        if let Some((prefix, suffix)) = text.split_once(':')
            && !prefix.is_empty()
        {
            if prefix == "_" {
                return Ok(Cow::Borrowed(text));
            }
            if let Some(Definition { meaning: Meaning::Iri(iri), prefix: true, .. }) =
                self.find(prefix)
                && !suffix.starts_with("//")
                && IriRef::new(text).is_ok()
            {
                return Ok(Cow::Owned([iri, suffix].concat()));
            }
            if Iri::new(text).is_ok() {
                return Ok(Cow::Borrowed(text));
            }
        }
        Ok(Cow::Owned([DEFAULT_VOCABULARY, text].concat()))
    }

    pub(super) fn compact(&self, name: Name) -> Cow<'_, str> {
        let form = match self.short.recall(name) {
            Some(form) => form,
            None => {
                let form = match self.find_short(name.as_str()) {
                    Found::Form(form) => form,
                    Found::Compact(text) => match self.short.keep(name, text) {
                        Ok(form) => form,
                        Err(text) => return Cow::Owned(text.into()),
                    },
                };
                self.short.remember(name, form);
                form
            }
        };
        match form {
            Form::Full => Cow::Borrowed(name.as_str()),
            Form::Bare => Cow::Borrowed(&name.as_str()[DEFAULT_VOCABULARY.len()..]),
            Form::Term(index) => Cow::Borrowed(&self.terms[index as usize].definition.term),
            Form::Kept(index) => Cow::Borrowed(self.short.kept(index)),
        }
    }

    /// IRI compaction (JSON-LD 1.1 API, 6.2.3), for names of attributes, types and members: what
    /// type a term coerces its values to does not matter, since NGSI-LD reifies them (annex C.6).
    fn find_short(&self, iri: &str) -> Found {
        if let Some(&index) = self.by_iri.get(iri) {
            return Found::Form(Form::Term(index));
        }
        if let Some(suffix) = iri.strip_prefix(DEFAULT_VOCABULARY)
            && self.find(suffix).is_none()
            && (is_plain(suffix) || self.expand_unmapped(suffix).is_ok_and(|again| again == iri))
        {
            return Found::Form(Form::Bare);
        }
        let shortest = self
            .prefix_lengths
            .iter()
            .filter(|&&length| length < iri.len() && iri.is_char_boundary(length))
            .filter_map(|&length| {
                let (start, rest) = iri.split_at(length);
                let prefix = &self.terms[*self.prefixes.get(start)? as usize].definition.term;
                Some([prefix, ":", rest].concat())
            })
            .filter(|compact| self.expand_text(compact).is_ok_and(|again| again == iri))
            .min_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        match shortest {
            Some(text) => Found::Compact(text.into()),
            None => Found::Form(Form::Full),
        }
    }
}

impl Definition {
    fn iri(&self) -> Result<&str, ContextError> {
        match &self.meaning {
            Meaning::Iri(iri) => Ok(iri),
            Meaning::Keyword(keyword) => Ok(keyword),
            Meaning::Nothing(reason) => Err(ContextError::NotAName(self.term.clone(), reason)),
        }
    }
}

impl Term {
    fn name(&self) -> Result<Name, ContextError> {
        if let Some(name) = self.interned() {
            return Ok(name);
        }
        let iri = self.definition.iri()?;
        if iri.starts_with('@') && KEYWORDS.iter().all(|name| name.as_str() != iri) {
            let reason = "it is an alias of a keyword";
            return Err(ContextError::NotAName(self.definition.term.clone(), reason));
        }
        let name = Name::intern(iri)?;
        self.name.store(name.index() as u32 + 1, Ordering::Relaxed);
        Ok(name)
    }

    fn known_name(&self) -> Option<Name> {
        self.interned().or_else(|| Name::known(self.definition.iri().ok()?))
    }

    fn interned(&self) -> Option<Name> {
        let number = self.name.load(Ordering::Relaxed).checked_sub(1)?;
        Name::from_index(number as usize)
    }
}

/// The keywords that are names inside values.
const KEYWORDS: [Name; 4] = [Name::AT_TYPE, Name::AT_ID, Name::AT_VALUE, Name::AT_LANGUAGE];

/// `@` and letters: reserved by JSON-LD.
fn is_keyword_like(text: &str) -> bool {
    match text.strip_prefix('@') {
        Some(letters) => {
            !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
        }
        None => false,
    }
}

/// Whether the text can only be a term: no compact IRI, no IRI, no keyword.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('@') && memchr::memchr(b':', text.as_bytes()).is_none()
}

/// How a name is written under one context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As the IRI it is.
    Full,
    /// As what follows the default vocabulary.
    Bare,
    /// As a term, by its place in the table.
    Term(u32),
    /// As a compact IRI, by its place among those kept.
    Kept(u32),
}

enum Found {
    Form(Form),
    Compact(Box<str>),
}

/// Forms that were found before, by name: pages of numbers that are read without a lock.
struct ShortForms {
    pages: Box<[OnceLock<Box<Page>>]>,
    kept: boxcar::Vec<Box<str>>,
}

type Page = [AtomicU32; PAGE];
const PAGE: usize = 1_024;
/// Names beyond these pages are worked out anew each time, so that a context cannot grow beyond
/// 1 MiB of forms however many names are sent.
const PAGES: usize = 256;
/// Compact IRIs beyond these are worked out anew each time.
const MAX_KEPT: usize = 16_384;
const KEPT: u32 = 1 << 31;

impl Default for ShortForms {
    fn default() -> Self {
        Self { pages: (0..PAGES).map(|_| OnceLock::new()).collect(), kept: boxcar::Vec::new() }
    }
}

impl ShortForms {
    fn recall(&self, name: Name) -> Option<Form> {
        let page = self.pages.get(name.index() / PAGE)?.get()?;
        match page[name.index() % PAGE].load(Ordering::Acquire) {
            0 => None,
            1 => Some(Form::Full),
            2 => Some(Form::Bare),
            number if number >= KEPT => Some(Form::Kept(number - KEPT)),
            number => Some(Form::Term(number - 3)),
        }
    }

    fn remember(&self, name: Name, form: Form) {
        let Some(page) = self.pages.get(name.index() / PAGE) else { return };
        let page = page.get_or_init(|| Box::new([const { AtomicU32::new(0) }; PAGE]));
        let number = match form {
            Form::Full => 1,
            Form::Bare => 2,
            Form::Term(index) => index + 3,
            Form::Kept(index) => index + KEPT,
        };
        page[name.index() % PAGE].store(number, Ordering::Release);
    }

    fn keep(&self, name: Name, text: Box<str>) -> Result<Form, Box<str>> {
        match name.index() < PAGE * PAGES && self.kept.count() < MAX_KEPT {
            true => Ok(Form::Kept(self.kept.push(text) as u32)),
            false => Err(text),
        }
    }

    fn kept(&self, index: u32) -> &str {
        &self.kept[index as usize]
    }
}
