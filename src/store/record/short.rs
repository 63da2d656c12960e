//! Short spellings of well-known IRIs: what databases hold in place of long names.
//!
//! An IRI begins with a letter, a short spelling with `~`, so that neither is taken for the other.
//! The table is part of what is stored: rows may be added at its end, none may ever change.

use std::borrow::Cow;

/// Beginnings of IRIs and what stands for them; a longer beginning before one that it begins with.
const BEGINNINGS: [(&str, &str); 12] = [
    ("~/", "https://uri.etsi.org/ngsi-ld/default-context/"),
    ("~n/", "https://uri.etsi.org/ngsi-ld/"),
    ("~s/", "https://smartdatamodels.org/"),
    ("~d/", "https://smart-data-models.github.io/data-models/"),
    ("~f/", "https://uri.fiware.org/ns/data-models#"),
    ("~F/", "https://uri.fiware.org/ns/dataModels#"),
    ("~o/", "https://schema.org/"),
    ("~O/", "http://schema.org/"),
    ("~r/", "https://saref.etsi.org/core/"),
    ("~w/", "http://www.w3.org/"),
    ("~W/", "https://www.w3.org/"),
    ("~p/", "https://purl.org/"),
];

/// The short spelling of an IRI; the IRI itself if it begins like none that is well known.
pub fn shorten(iri: &str) -> Cow<'_, str> {
    for (short, long) in BEGINNINGS {
        if let Some(rest) = iri.strip_prefix(long) {
            return Cow::Owned([short, rest].concat());
        }
    }
    Cow::Borrowed(iri)
}

/// The IRI of a spelling; None for one that begins with `~` and is none of ours.
pub fn lengthen(spelling: &str) -> Option<Cow<'_, str>> {
    if !spelling.starts_with('~') {
        return Some(Cow::Borrowed(spelling));
    }
    BEGINNINGS.iter().find_map(|(short, long)| {
        spelling.strip_prefix(short).map(|rest| Cow::Owned([long, rest].concat()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_means_one_iri() {
        for (iri, spelling) in [
            ("https://uri.etsi.org/ngsi-ld/default-context/temperature", "~/temperature"),
            ("https://uri.etsi.org/ngsi-ld/location", "~n/location"),
            ("https://uri.etsi.org/ngsi-ld/", "~n/"),
            ("https://example.org/อุณหภูมิ.$x", "https://example.org/อุณหภูมิ.$x"),
            ("urn:x", "urn:x"),
        ] {
            assert_eq!(shorten(iri), spelling);
            assert_eq!(lengthen(spelling).unwrap(), iri);
        }
        assert_eq!(lengthen("~unheard/of"), None);
    }

    #[test]
    fn no_beginning_hides_behind_a_shorter_one() {
        for (place, (_, long)) in BEGINNINGS.iter().enumerate() {
            let hides = |(_, earlier): &(&str, &str)| long.starts_with(earlier);
            assert!(!BEGINNINGS[..place].iter().any(hides), "{long}");
        }
    }
}
