//! Reading the datum of each kind of attribute (4.5.2, 4.5.3, 4.5.18, 4.5.20 to 4.5.24).

use super::{NGSI_LD_NULL, ReadError, Reader, Reading, is_null, wrong};
use crate::jsonld::Document;
use crate::model::{Datum, EntityId, Kind, LanguageMap, Name, OneOrMany, Value};

impl Reader<'_> {
    /// Reads what the value member of a kind holds; None if it is the NGSI-LD Null in any of its
    /// encodings.
    pub(super) fn datum(
        &self,
        kind: Kind,
        document: &Document<'_>,
    ) -> Result<Option<Datum>, ReadError> {
        if is_null(document) {
            return Ok(None);
        }
        Ok(Some(match kind {
            Kind::Property => Datum::Property(self.value(document)?),
            Kind::GeoProperty => Datum::GeoProperty(Box::new(self.geometry(document)?)),
            Kind::Relationship => Datum::Relationship(relationship(document)?),
            Kind::LanguageProperty => match self.language_map(document)? {
                Some(map) => Datum::LanguageProperty(map),
                None => return Ok(None),
            },
            Kind::VocabProperty => Datum::VocabProperty(self.vocab(document)?),
            Kind::ListProperty => match list(document)? {
                Some(items) => Datum::ListProperty(self.values(items)?),
                None => return Ok(None),
            },
            Kind::ListRelationship => match list(document)? {
                Some(items) => Datum::ListRelationship(objects(items)?),
                None => return Ok(None),
            },
            Kind::JsonProperty => Datum::JsonProperty(Box::new(raw(document)?)),
        }))
    }

    pub(super) fn values(&self, items: &[Document<'_>]) -> Result<Box<[Value]>, ReadError> {
        items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                if is_null(item) {
                    return Err(null_item().within_item(index));
                }
                self.value(item).map_err(|error| error.within_item(index))
            })
            .collect()
    }

    /// Words that the `@context` makes IRIs of.
    pub(super) fn vocab(&self, document: &Document<'_>) -> Result<OneOrMany<Name>, ReadError> {
        match document {
            Document::Array(items) if !items.is_empty() => {
                let words = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.word(item).map_err(|error| error.within_item(index)));
                words.collect::<Result<_, _>>().map(OneOrMany::many)
            }
            Document::String(_) => self.word(document).map(OneOrMany::One),
            other => Err(wrong(other, "a string, or an array of strings")),
        }
    }

    /// One word or several, as a list.
    pub(super) fn words(&self, document: &Document<'_>) -> Result<Vec<Name>, ReadError> {
        self.vocab(document).map(OneOrMany::into_vec)
    }

    pub(super) fn word(&self, document: &Document<'_>) -> Result<Name, ReadError> {
        match document {
            Document::String(text) if text == NGSI_LD_NULL => Err(null_item()),
            Document::String(text) if !text.is_empty() && !text.starts_with('@') => {
                Ok(self.context.expand(text)?)
            }
            other => Err(wrong(other, "a word or IRI, a string that is not empty")),
        }
    }

    /// Strings by language. None if the map is the NGSI-LD Null, which stands under `@none`.
    fn language_map(&self, document: &Document<'_>) -> Result<Option<LanguageMap>, ReadError> {
        let Document::Object(members) = document else {
            return Err(wrong(document, "an object of strings by language tag"));
        };
        if let [(tag, text)] = members.as_slice()
            && tag == "@none"
            && is_null(text)
        {
            return Ok(None);
        }
        if members.is_empty() {
            return Err(ReadError::new("a languageMap has one language or more"));
        }
        let mut map: Vec<(Box<str>, OneOrMany<Box<str>>)> = Vec::with_capacity(members.len());
        let mut seen = rustc_hash::FxHashSet::default();
        for (tag, text) in members {
            let strings = self.language(tag, text).map_err(|error| error.within(tag))?;
            if !seen.insert(tag.to_ascii_lowercase()) {
                return Err(ReadError::new("this language stands in the map twice").within(tag));
            }
            map.push((tag.as_ref().into(), strings));
        }
        Ok(Some(LanguageMap(map.into())))
    }

    fn language(
        &self,
        tag: &str,
        document: &Document<'_>,
    ) -> Result<OneOrMany<Box<str>>, ReadError> {
        if tag != "@none" && !is_language_tag(tag) {
            return Err(ReadError::new(
                "this is not a language tag: write one like th, en-GB or zh-Hant (RFC 5646), or @none",
            ));
        }
        match document {
            Document::String(text) if text == NGSI_LD_NULL => match self.reading {
                Reading::Merge | Reading::MergeSimplified => Ok(OneOrMany::many(Vec::new())),
                _ => Err(ReadError::new(
                    "an NGSI-LD Null for one language is for merging only (5.5.12)",
                )),
            },
            Document::String(text) => Ok(OneOrMany::One(text.as_ref().into())),
            Document::Array(items) if !items.is_empty() => items
                .iter()
                .enumerate()
                .map(|(index, item)| match item {
                    Document::String(text) if text != NGSI_LD_NULL => Ok(text.as_ref().into()),
                    other => Err(wrong(other, "a string").within_item(index)),
                })
                .collect::<Result<_, _>>()
                .map(OneOrMany::many),
            other => Err(wrong(other, "a string, or an array of strings")),
        }
    }
}

fn null_item() -> ReadError {
    ReadError::new(format!("{NGSI_LD_NULL:?} deletes nothing here: write the whole list anew"))
}

fn relationship(document: &Document<'_>) -> Result<OneOrMany<EntityId>, ReadError> {
    match document {
        Document::Array(items) if !items.is_empty() => items
            .iter()
            .enumerate()
            .map(|(index, item)| object(item).map_err(|error| error.within_item(index)))
            .collect::<Result<_, _>>()
            .map(OneOrMany::many),
        Document::String(_) => object(document).map(OneOrMany::One),
        other => Err(wrong(other, "a URI, or an array of URIs")),
    }
}

fn object(document: &Document<'_>) -> Result<EntityId, ReadError> {
    match document {
        Document::String(text) if text == NGSI_LD_NULL => Err(null_item()),
        Document::String(text) => {
            EntityId::parse(text).map_err(|error| ReadError::new(error.to_string()))
        }
        other => Err(wrong(other, "a string that is a URI")),
    }
}

/// The items of a list. None if the list is the NGSI-LD Null, which is its only item.
fn list<'a, 'd>(document: &'a Document<'d>) -> Result<Option<&'a [Document<'d>]>, ReadError> {
    match document {
        Document::Array(items) if matches!(items.as_slice(), [only] if is_null(in_list(only))) => {
            Ok(None)
        }
        Document::Array(items) => Ok(Some(items)),
        other => Err(wrong(other, "an array")),
    }
}

/// What an item of an objectList points at: `{"object": URI}`, or the URI itself.
fn in_list<'a, 'd>(item: &'a Document<'d>) -> &'a Document<'d> {
    match item.as_object() {
        Some([(key, object)]) if key == "object" => object,
        _ => item,
    }
}

fn objects(items: &[Document<'_>]) -> Result<Box<[EntityId]>, ReadError> {
    items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            match in_list(item) {
                found @ Document::String(_) => object(found),
                other => Err(wrong(other, "a URI, or an object like {\"object\": URI}")),
            }
            .map_err(|error| error.within_item(index))
        })
        .collect()
}

/// Raw JSON is kept as it came, nulls included (4.5.24).
fn raw(document: &Document<'_>) -> Result<serde_json::Value, ReadError> {
    match document {
        Document::Object(_) | Document::Array(_) => Ok(document.clone().into_json()),
        other => Err(wrong(other, "a JSON object or array")),
    }
}

/// Whether the text is well-formed as a language tag (RFC 5646, 2.1): subtags of one to eight
/// letters or digits, the first of letters only.
pub fn is_language_tag(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let primary = subtags.next().unwrap_or_default();
    let private = primary.eq_ignore_ascii_case("x") || primary.eq_ignore_ascii_case("i");
    let begins_well = primary.bytes().all(|b| b.is_ascii_alphabetic())
        && ((2..=8).contains(&primary.len()) || (private && tag.len() > 2));
    begins_well
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::is_language_tag;

    #[test]
    fn language_tags_are_told_from_other_texts() {
        for good in
            ["th", "en-GB", "zh-Hant-TW", "de-DE-u-co-phonebk", "x-lanna", "i-klingon", "nod"]
        {
            assert!(is_language_tag(good), "{good}");
        }
        for bad in ["", "t", "x", "x-", "en_GB", "th-", "-th", "thailanguage", "ไทย", "e1", "@none"]
        {
            assert!(!is_language_tag(bad), "{bad}");
        }
    }
}
