//! The language filter (4.15): which of a LanguageProperty's strings are shown.

use std::fmt;

use super::{Limits, QueryError};
use crate::model::{LanguageMap, OneOrMany};

/// Languages in order of preference, as an `Accept-Language` header lists them (RFC 9110, RFC 4647).
#[derive(Debug, Clone, PartialEq)]
pub struct LanguageFilter {
    ranges: Vec<Range>,
}

#[derive(Debug, Clone, PartialEq)]
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
        Ok(Self { ranges })
    }

    /// The best language of a map and its strings: by weight, then by place, each range by the
    /// look-up of RFC 4647 and then by tags that begin with it. If none fits, `@none`, or else
    /// whatever there is. None only for an empty map.
    pub fn choose<'a>(&self, map: &'a LanguageMap) -> Option<(&'a str, &'a OneOrMany<Box<str>>)> {
        let mut wanted: Vec<&Range> = self.ranges.iter().filter(|range| range.weight > 0).collect();
        wanted.sort_by_key(|range| std::cmp::Reverse(range.weight));
        let unwanted = |tag: &str| {
            self.ranges.iter().any(|range| range.weight == 0 && begins(tag, &range.tag))
        };
        let found = wanted.iter().find_map(|range| {
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
