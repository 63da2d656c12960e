//! The language filter (4.15): which of a LanguageProperty's strings are shown.

use std::fmt;

use super::{Limits, QueryError};
use crate::model::{LanguageMap, OneOrMany};

/// Languages in order of preference, as an `Accept-Language` header lists them (RFC 9110, RFC 4647).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LanguageFilter {
    /// The preferred ones first; those of equal weight as they were written.
    ranges: Vec<Range>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Range {
    /// A language range, or `*`.
    tag: Box<str>,
    /// Thousandths; 0 is a language that is not wanted.
    weight: u16,
}

impl LanguageFilter {
    /// Reads `fr-CH,fr;q=0.9,*;q=0.5`.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, QueryError> {
        let mut ranges = Vec::new();
        let mut start = 0;
        for item in text.split(',') {
            let span = (start, start + item.len());
            start = span.1 + 1;
            let range = range(item).ok_or_else(|| {
                QueryError::syntax(
                    "lang",
                    format!(
                        "{:?} is not a language: write tags like th or en-GB, separated by commas, perhaps with weights like fr;q=0.8",
                        item.trim()
                    ),
                    Some(span),
                )
            })?;
            ranges.push(range);
            if ranges.len() > limits.nodes {
                return Err(QueryError::too_complex(
                    "lang",
                    format!("more than {} languages", limits.nodes),
                ));
            }
        }
        Ok(Self::new(ranges))
    }

    fn new(mut ranges: Vec<Range>) -> Self {
        ranges.sort_by_key(|range| std::cmp::Reverse(range.weight));
        Self { ranges }
    }

    /// The best language of a map and its strings: by weight, then by place, each range by the
    /// look-up of RFC 4647 and then by tags that begin with it. If none fits, `@none`, or else
    /// whatever there is. None only for an empty map.
    pub fn choose<'a>(&self, map: &'a LanguageMap) -> Option<(&'a str, &'a OneOrMany<Box<str>>)> {
        let mut wanted = self.ranges.iter().filter(|range| range.weight > 0);
        let unwanted = |tag: &str| {
            self.ranges.iter().any(|range| range.weight == 0 && begins(tag, &range.tag))
        };
        let found = wanted.find_map(|range| {
            if &*range.tag == "*" {
                map.0.iter().map(|(tag, _)| &**tag).find(|tag| !unwanted(tag))
            } else {
                look_up(&range.tag, map)
            }
        });
        let tags = || map.0.iter().map(|(tag, _)| &**tag);
        let tag = found
            .or_else(|| tags().find(|tag| *tag == "@none"))
            .or_else(|| tags().find(|tag| !unwanted(tag)))
            .or_else(|| tags().next())?;
        let (tag, texts) = map.0.iter().find(|(own, _)| **own == *tag)?;
        Some((tag, texts))
    }
}

/// The tag of the map that a range leads to: itself, one that begins with it, or, with subtags
/// taken from its end one by one, the first that is there.
fn look_up<'a>(range: &str, map: &'a LanguageMap) -> Option<&'a str> {
    let tags = || map.0.iter().map(|(tag, _)| &**tag);
    let exactly = |wanted: &str| tags().find(|tag| tag.eq_ignore_ascii_case(wanted));
    if let Some(tag) = exactly(range).or_else(|| tags().find(|tag| begins(tag, range))) {
        return Some(tag);
    }
    let mut shorter = range;
    while let Some((front, _)) = shorter.rsplit_once('-') {
        // A single letter introduces what follows it, and goes with it.
        shorter = match front.rsplit_once('-') {
            Some((before, single)) if single.len() == 1 => before,
            _ => front,
        };
        if let Some(tag) = exactly(shorter) {
            return Some(tag);
        }
    }
    None
}

/// Whether a tag is the range or a narrower one.
fn begins(tag: &str, range: &str) -> bool {
    let (tag, range) = (tag.as_bytes(), range.as_bytes());
    tag.len() >= range.len()
        && tag[..range.len()].eq_ignore_ascii_case(range)
        && (tag.len() == range.len() || tag[range.len()] == b'-')
}

fn range(item: &str) -> Option<Range> {
    let (tag, weight) = match item.split_once(';') {
        Some((tag, weight)) => (tag.trim(), weigh(weight.trim())?),
        None => (item.trim(), 1_000),
    };
    let subtag = |text: &str| {
        (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let well_formed = tag == "*"
        || tag == "@none"
        || (tag.split('-').all(subtag) && tag.starts_with(|c: char| c.is_ascii_alphabetic()));
    well_formed.then(|| Range { tag: tag.into(), weight })
}

/// `q=0.8`, in thousandths.
fn weigh(text: &str) -> Option<u16> {
    let (name, value) = text.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, decimals) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let digits = decimals.len() <= 3 && decimals.bytes().all(|b| b.is_ascii_digit());
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, digits) {
        ("0", true) => Some(thousandths),
        ("1", true) if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

impl fmt::Display for LanguageFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, range) in self.ranges.iter().enumerate() {
            write!(f, "{}{}", if place > 0 { "," } else { "" }, range.tag)?;
            if range.weight < 1_000 {
                let decimals = format!("{:03}", range.weight);
                write!(f, ";q=0.{}", decimals.trim_end_matches('0'))?;
                f.write_str(if range.weight == 0 { "0" } else { "" })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ErrorKind;
    use super::*;

    fn parse(text: &str) -> Result<LanguageFilter, QueryError> {
        LanguageFilter::parse(text, &Limits::default())
    }

    fn chosen(filter: &str, tags: &[&str]) -> Option<String> {
        let texts = |tag: &&str| ((*tag).into(), OneOrMany::One((*tag).into()));
        let map = LanguageMap(tags.iter().map(texts).collect());
        let filter = parse(filter).expect(filter);
        let (tag, texts) = filter.choose(&map)?;
        assert_eq!(&*texts.as_slice()[0], tag);
        Some(tag.to_owned())
    }

    #[test]
    fn the_best_language_is_chosen() {
        for (filter, tags, expected) in [
            ("fr", &["fr", "nl"][..], Some("fr")),
            ("nl", &["fr", "nl"], Some("nl")),
            ("FR", &["nl", "fr"], Some("fr")),
            ("*", &["fr", "nl"], Some("fr")),
            ("fr-CH,fr", &["nl", "fr"], Some("fr")),
            ("fr-CH,fr;q=0.9,en;q=0.8,*;q=0.5", &["nl", "en", "fr"], Some("fr")),
            ("fr-CH,fr;q=0.9,en;q=0.8,*;q=0.5", &["nl", "de"], Some("nl")),
            ("fr;q=0.2,nl;q=0.9", &["fr", "nl"], Some("nl")),
            ("nl-BE", &["fr", "nl"], Some("nl")),
            ("en", &["de", "en-US"], Some("en-US")),
            ("en", &["eng", "en-US"], Some("en-US")),
            ("zh-Hant-x-y", &["zh", "zh-Hant"], Some("zh-Hant")),
            ("zh-a-bc", &["zh-a", "zh"], Some("zh")),
            ("fr-CH,en", &["fr-BE", "en"], Some("en")),
            ("pt", &["fr", "@none"], Some("@none")),
            ("pt", &["fr", "nl"], Some("fr")),
            ("*,fr;q=0", &["fr", "nl"], Some("nl")),
            ("pt,fr;q=0", &["fr", "nl"], Some("nl")),
            ("fr;q=0", &["fr"], Some("fr")),
            ("th", &["@none", "th"], Some("th")),
            ("@none", &["th", "@none"], Some("@none")),
            ("th", &[], None),
        ] {
            assert_eq!(chosen(filter, tags).as_deref(), expected, "{filter} {tags:?}");
        }
    }

    #[test]
    fn filters_are_read_and_printed() {
        for (text, printed) in [
            ("fr", "fr"),
            (" fr-CH , fr ; q=0.90 ", "fr-CH,fr;q=0.9"),
            ("en;q=1.000,de;Q=0.125,it;q=0", "en,de;q=0.125,it;q=0.0"),
        ] {
            let filter = parse(text).expect(text);
            assert_eq!(filter.to_string(), printed);
            assert_eq!(parse(printed), Ok(filter));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            ",",
            "fr,",
            "f r",
            "fr;",
            "fr;q",
            "fr;q=",
            "fr;q=2",
            "fr;q=1.5",
            "fr;q=-1",
            "fr;q=0.1234",
            "fr;x=1",
            "ไทย",
            "toolongsubtag",
            "-fr",
            "1",
            "fr;q=0.๑",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Syntax, "{text}");
        }
        assert_eq!(parse("fr,x y").unwrap_err().span, Some((3, 6)));
        let many = vec!["fr"; 600].join(",");
        assert_eq!(parse(&many).unwrap_err().kind, ErrorKind::TooComplex);
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(
            ranges in proptest::collection::vec(("[a-z]{1,8}(-[a-zA-Z0-9]{1,8})?|\\*", 0_u16..=1_000), 1..6),
        ) {
            let range = |(tag, weight): (String, u16)| Range { tag: tag.into(), weight };
            let filter = LanguageFilter::new(ranges.into_iter().map(range).collect());
            prop_assert_eq!(parse(&filter.to_string()), Ok(filter));
        }
    }
}
