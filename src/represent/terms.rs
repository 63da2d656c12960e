//! The terms that the core `@context` gives a meaning to inside entities and attributes, and what
//! the name of an attribute or type may look like (4.6.2).

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use super::ReadError;
use crate::model::{Kind, Name, check_uri, is_mark};

/// What a member of an attribute means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Term {
    Id,
    Type,
    Context,
    /// The member that holds the datum of a kind; `value` serves two kinds.
    Datum(Kind),
    ObservedAt,
    UnitCode,
    DatasetId,
    ExpiresAt,
    ValueType,
    ObjectType,
    /// Only in an `ngsildproof`.
    IdSealed,
    /// Only in an `ngsildproof`.
    TypeSealed,
    Scope,
    /// Written by brokers, ignored when a client sends it back (4.8, 4.5.23, 4.15).
    Output,
    /// Written in notifications only; no client may send it (4.5.2).
    Previous,
}

impl Term {
    /// The meaning of a term, if the core `@context` gives it one here.
    pub(super) fn of(term: &str) -> Option<Self> {
        Some(match term {
            "type" | "@type" => Term::Type,
            "value" => Term::Datum(Kind::Property),
            "object" => Term::Datum(Kind::Relationship),
            "observedAt" => Term::ObservedAt,
            "unitCode" => Term::UnitCode,
            "datasetId" => Term::DatasetId,
            "id" | "@id" => Term::Id,
            "@context" => Term::Context,
            "languageMap" => Term::Datum(Kind::LanguageProperty),
            "vocab" => Term::Datum(Kind::VocabProperty),
            "json" => Term::Datum(Kind::JsonProperty),
            "valueList" => Term::Datum(Kind::ListProperty),
            "objectList" => Term::Datum(Kind::ListRelationship),
            "expiresAt" => Term::ExpiresAt,
            "valueType" => Term::ValueType,
            "objectType" => Term::ObjectType,
            "entityIdSealed" => Term::IdSealed,
            "entityTypeSealed" => Term::TypeSealed,
            "scope" => Term::Scope,
            "createdAt" | "modifiedAt" | "deletedAt" | "instanceId" | "lang" | "entity"
            | "entityList" => Term::Output,
            "previousValue"
            | "previousObject"
            | "previousLanguageMap"
            | "previousVocab"
            | "previousJson"
            | "previousValueList"
            | "previousObjectList" => Term::Previous,
            _ => return None,
        })
    }

    /// The meaning of an expanded name: what a prefix, a full IRI or an alias may also spell.
    pub(super) fn named(name: Name) -> Option<Self> {
        static TERMS: LazyLock<FxHashMap<Name, Term>> = LazyLock::new(|| {
            const NAMES: [(&str, &str); 30] = [
                ("hasValue", "value"),
                ("hasObject", "object"),
                ("hasLanguageMap", "languageMap"),
                ("hasVocab", "vocab"),
                ("hasJSON", "json"),
                ("hasValueList", "valueList"),
                ("hasObjectList", "objectList"),
                ("observedAt", "observedAt"),
                ("unitCode", "unitCode"),
                ("datasetId", "datasetId"),
                ("expiresAt", "expiresAt"),
                ("hasValueType", "valueType"),
                ("hasObjectType", "objectType"),
                ("entityIdSealed", "entityIdSealed"),
                ("entityTypeSealed", "entityTypeSealed"),
                ("scope", "scope"),
                ("createdAt", "createdAt"),
                ("modifiedAt", "modifiedAt"),
                ("deletedAt", "deletedAt"),
                ("instanceId", "instanceId"),
                ("lang", "lang"),
                ("entity", "entity"),
                ("entityList", "entityList"),
                ("hasPreviousValue", "previousValue"),
                ("hasPreviousObject", "previousObject"),
                ("hasPreviousLanguageMap", "previousLanguageMap"),
                ("hasPreviousVocab", "previousVocab"),
                ("hasPreviousJson", "previousJson"),
                ("hasPreviousValueList", "previousValueList"),
                ("hasPreviousObjectList", "previousObjectList"),
            ];
            let named = NAMES.iter().filter_map(|(iri, term)| {
                let name = Name::intern(&format!("https://uri.etsi.org/ngsi-ld/{iri}")).ok()?;
                Some((name, Term::of(term)?))
            });
            let keywords = [(Name::AT_ID, Term::Id), (Name::AT_TYPE, Term::Type)];
            named.chain(keywords).collect()
        });
        TERMS.get(&name).copied()
    }
}

impl Term {
    /// Whether an attribute of an entity may have this name all the same. Non-reified members may
    /// not name one (4.5.1), but `value`, `object` and `vocab` are none, and any JSON-LD processor
    /// reads an attribute of that name as what it is. Not so `json`, `languageMap` and the lists,
    /// which the core `@context` gives a container or a type.
    pub(super) fn may_name_an_attribute(self) -> bool {
        matches!(self, Term::Datum(Kind::Property | Kind::Relationship | Kind::VocabProperty))
    }
}

/// Checks that a term may name an attribute (4.6.2): it is spelled as a name, and the core
/// `@context` does not use it for a member that is no attribute.
pub fn check_attribute_term(term: &str) -> Result<(), ReadError> {
    match Term::of(term) {
        None | Some(Term::Scope) => check_name(term),
        Some(core) if core.may_name_an_attribute() => Ok(()),
        Some(_) => Err(ReadError::new(format!(
            "{term} is a member of the core @context and cannot be the name of an attribute"
        ))),
    }
}

/// Checks that a term may name an attribute or a type: a letter, then letters, digits and `_`,
/// perhaps after a prefix with a colon, or a full IRI (4.6.2). Hyphens are taken too, since models
/// in use have them (`Cl-`, `N-TOT`), and what is answered has to be readable.
pub(super) fn check_name(term: &str) -> Result<(), ReadError> {
    if is_name(term.as_bytes()) || is_wide_name(term) {
        return Ok(());
    }
    let shown: String = term.chars().take(100).collect();
    Err(ReadError::new(format!(
        "{shown:?} cannot be a name: begin with a letter and use letters, digits, _ and -, perhaps after a prefix and a colon, or write a full IRI"
    )))
}

const MAX_NAME: usize = 1_024;

/// The fast path: names of ASCII letters, as most are.
fn is_name(term: &[u8]) -> bool {
    term.first().is_some_and(u8::is_ascii_alphabetic)
        && term.len() <= MAX_NAME
        && term.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn is_wide_name(term: &str) -> bool {
    if term.len() > MAX_NAME {
        return false;
    }
    match term.split_once(':') {
        None => is_local(term),
        Some((prefix, local)) => (is_local(prefix) && is_local(local)) || check_uri(term).is_ok(),
    }
}

/// Letters of every script; their combining marks are part of them.
fn is_local(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(char::is_alphabetic)
        && letters.all(|c| c.is_alphanumeric() || c == '_' || c == '-' || is_mark(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_other_texts() {
        for good in [
            "speed",
            "a_1",
            "schema:name",
            "ฝุ่น",
            "výška_1",
            "https://example.org/x#y",
            "vocab",
            "Cl-",
        ] {
            assert!(check_attribute_term(good).is_ok(), "{good}");
        }
        for bad in
            ["", "1st", "my attr", "a.b", "_a", "-a", "@x", "a:", ":a", "datasetId", "id", "json"]
        {
            assert!(check_attribute_term(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn terms_and_their_names_mean_the_same() {
        let named = |iri: &str| Name::intern(iri).ok().and_then(Term::named);
        assert_eq!(named("https://uri.etsi.org/ngsi-ld/hasValue"), Term::of("value"));
        assert_eq!(named("https://uri.etsi.org/ngsi-ld/hasJSON"), Term::of("json"));
        assert_eq!(Term::named(Name::OBSERVED_AT), Some(Term::ObservedAt));
        assert_eq!(Term::named(Name::LOCATION), None);
        assert_eq!(named("https://example.org/speed"), None);
    }
}
