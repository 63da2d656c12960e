//! Collations: how texts are ordered (4.23), by the Unicode algorithm with the rules of a language.

use std::sync::{Arc, LazyLock};
use std::{cmp::Ordering, fmt};

use icu_collator::options::{AlternateHandling, CaseLevel, CollatorOptions, MaxVariable, Strength};
use icu_collator::preferences::{CollationCaseFirst, CollationNumericOrdering, CollationType};
use icu_collator::{CollatorBorrowed, CollatorPreferences};
use icu_locale_core::{Locale, extensions::unicode::Value};

use super::QueryError;

/// An order of texts. The default is the root collation, which suits no language in particular
/// and reads all of them sensibly: Thai vowels written before their consonant sort after it.
#[derive(Clone)]
pub struct Collation {
    tag: Box<str>,
    language: Box<str>,
    collator: Arc<CollatorBorrowed<'static>>,
    is_root: bool,
}

const PARAMETER: &str = "collation";

/// What PostgreSQL calls the root collation, and clause 4.23.1 after it.
const ROOT: &str = "und-x-icu";

impl Default for Collation {
    fn default() -> Self {
        Self::parse(ROOT).expect("the root collation is built in")
    }
}

impl Collation {
    /// Reads the parameter `collation`: a language tag with collation keywords (RFC 6067), like
    /// `th`, `de-u-co-phonebk` or `und-u-ks-level1`. What cannot be honoured is refused.
    pub fn parse(tag: &str) -> Result<Self, QueryError> {
        let shown: String = tag.chars().take(64).collect();
        let refuse = |why: &str| {
            let message = format!(
                "{shown:?} is not a collation: {why}; write a language tag like th, und or de-u-co-phonebk"
            );
            QueryError::syntax(PARAMETER, message, Some((0, tag.len())))
        };
        // ICU itself calls its root so; as a language tag it would be another language.
        let text = if tag.eq_ignore_ascii_case("root") { ROOT } else { tag };
        let locale = Locale::try_from_str(text).map_err(|_| refuse("it is no language tag"))?;
        let (preferences, options) = keywords(&locale).map_err(|why| refuse(&why))?;
        let collator = CollatorBorrowed::try_new(preferences, options)
            .map_err(|_| refuse("there is no such order"))?;
        Ok(Self {
            tag: tag.into(),
            language: locale.id.language.as_str().into(),
            collator: Arc::new(collator),
            is_root: [ROOT, "und"].iter().any(|root| text.eq_ignore_ascii_case(root)),
        })
    }

    /// Compares two texts. Different ones may be equal, as they are to readers.
    pub fn compare(&self, a: &str, b: &str) -> Ordering {
        self.collator.compare(a, b)
    }

    /// Whether it surely is the root collation, with nothing added.
    pub fn is_root(&self) -> bool {
        self.is_root
    }

    /// The tag as it was written.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The language, `und` if it is none in particular.
    pub fn language(&self) -> &str {
        &self.language
    }
}

/// The beginning of a text's key in the root collation, padded with zeros: texts whose beginnings
/// differ stand in the order of these bytes. None of a long text of which hardly anything counts.
///
/// Keys are not the same for ever: where they are kept, it has to be known which they are.
pub fn root_key(text: &str) -> Option<[u8; ROOT_KEY]> {
    static PRIMARY: LazyLock<CollatorBorrowed<'static>> = LazyLock::new(|| {
        let mut options = CollatorOptions::default();
        options.strength = Some(Strength::Primary);
        CollatorBorrowed::try_new(CollatorPreferences::default(), options)
            .expect("the root collation is built in")
    });
    let some = &text[..text.floor_char_boundary(ROOT_KEY_TEXT)];
    let mut bytes = Vec::with_capacity(2 * ROOT_KEY);
    let Ok(()) = PRIMARY.write_sort_key_to(some, &mut bytes);
    // What stands at the end of a part may belong to what follows.
    if some.len() < text.len() && bytes.len() < ROOT_KEY + 8 {
        return None;
    }
    bytes.resize(ROOT_KEY, 0);
    bytes.try_into().ok()
}

/// How many bytes [`root_key`] tells.
pub const ROOT_KEY: usize = 24;

/// How much of a text it looks at, in bytes.
const ROOT_KEY_TEXT: usize = 128;

/// What the keywords of a tag ask for, or why it cannot be had.
fn keywords(locale: &Locale) -> Result<(CollatorPreferences, CollatorOptions), String> {
    let mut preferences = CollatorPreferences::from(locale);
    let mut options = CollatorOptions::default();
    for (key, value) in locale.extensions.unicode.keywords.iter() {
        let text = value.to_string();
        let known = match key.as_str() {
            "co" => set(&mut preferences.collation_type, CollationType::try_from(value).ok()),
            "kf" => set(&mut preferences.case_first, CollationCaseFirst::try_from(value).ok()),
            "kn" => set(&mut preferences.numeric_ordering, switch(value).map(numeric)),
            "ks" => set(&mut options.strength, strength(&text)),
            "ka" => set(&mut options.alternate_handling, alternate(&text)),
            "kv" => set(&mut options.max_variable, max_variable(&text)),
            "kc" => set(&mut options.case_level, switch(value).map(case_level)),
            // Texts are always normalized.
            "kk" => switch(value).is_some(),
            "kb" | "kr" | "kh" | "vt" => false,
            // Keywords of calendars and the like say nothing about order.
            _ => true,
        };
        if !known {
            return Err(format!("{key}-{text} is not supported"));
        }
    }
    Ok((preferences, options))
}

/// Sets an option to a value, if there is one.
fn set<T>(option: &mut Option<T>, value: Option<T>) -> bool {
    let known = value.is_some();
    *option = value;
    known
}

/// Whether a keyword is on; alone it is.
fn switch(value: &Value) -> Option<bool> {
    match value.to_string().as_str() {
        "" | "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    }
}

fn numeric(on: bool) -> CollationNumericOrdering {
    if on { CollationNumericOrdering::True } else { CollationNumericOrdering::False }
}

fn case_level(on: bool) -> CaseLevel {
    if on { CaseLevel::On } else { CaseLevel::Off }
}

fn strength(text: &str) -> Option<Strength> {
    Some(match text {
        "level1" => Strength::Primary,
        "level2" => Strength::Secondary,
        "level3" => Strength::Tertiary,
        "level4" => Strength::Quaternary,
        "identic" => Strength::Identical,
        _ => return None,
    })
}

fn alternate(text: &str) -> Option<AlternateHandling> {
    Some(match text {
        "noignore" => AlternateHandling::NonIgnorable,
        "shifted" => AlternateHandling::Shifted,
        _ => return None,
    })
}

fn max_variable(text: &str) -> Option<MaxVariable> {
    Some(match text {
        "space" => MaxVariable::Space,
        "punct" => MaxVariable::Punctuation,
        "symbol" => MaxVariable::Symbol,
        "currency" => MaxVariable::Currency,
        _ => return None,
    })
}

impl PartialEq for Collation {
    fn eq(&self, other: &Self) -> bool {
        self.tag == other.tag
    }
}

impl fmt::Display for Collation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tag)
    }
}

impl fmt::Debug for Collation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(tag: &str, texts: &str) -> String {
        let collation = Collation::parse(tag).expect(tag);
        let mut texts: Vec<&str> = texts.split(' ').collect();
        texts.sort_by(|a, b| collation.compare(a, b));
        texts.join(" ")
    }

    #[test]
    fn texts_are_ordered_as_a_collation_says() {
        for (tag, texts, expected) in [
            ("und", "b á A a Á B", "a A á Á b B"),
            ("und-x-icu", "b á A", "A á b"),
            ("root", "Zebra Ähre", "Ähre Zebra"),
            ("sv", "z ä a", "a z ä"),
            ("de", "z ä a", "a ä z"),
            ("de-u-co-phonebk", "Äz Ada Af", "Ada Äz Af"),
            ("und-u-kn", "a10 a9 a1", "a1 a9 a10"),
            ("und-u-kn-false", "a10 a9 a1", "a1 a10 a9"),
            ("und-u-kf-upper", "a A", "A a"),
            ("th", "แม่ มา กา เก ขา", "กา เก ขา มา แม่"),
            ("th-TH", "เมาะ แม่ มก", "มก เมาะ แม่"),
            ("und", "เก กา แก ขา", "กา เก แก ขา"),
        ] {
            assert_eq!(sorted(tag, texts), expected, "{tag}");
        }
    }

    proptest::proptest! {
        #[test]
        fn beginnings_of_keys_stand_in_the_order_of_texts(
            a in "[ -~\u{e0}-\u{17f}\u{e01}-\u{e4f}]{0,40}|\\PC{0,300}",
            b in "[ -~\u{e0}-\u{17f}\u{e01}-\u{e4f}]{0,40}|\\PC{0,300}",
        ) {
            if let (Some(one), Some(other)) = (root_key(&a), root_key(&b))
                && one != other
            {
                proptest::prop_assert_eq!(one.cmp(&other), Collation::default().compare(&a, &b));
            }
        }
    }

    /// Keys are kept in databases. When this fails, those that are kept do not compare with new
    /// ones any more: the name of the member that keeps them has to change (`SORT_KEY`).
    #[test]
    fn keys_are_those_that_are_kept() {
        let texts = ["", "a", "Z 9", "เชียงใหม่ แม่ริม", "Ähre–ß", "東京 🚲", "x\u{301}-y_~$1,5"];
        let mut all = String::new();
        for text in texts {
            root_key(text).into_iter().flatten().for_each(|byte| all += &format!("{byte:02x}"));
            all.push('\n');
        }
        expect_test::expect![[r#"
            000000000000000000000000000000000000000000000000
            2b0000000000000000000000000000000000000000000000
            5d0424000000000000000000000000000000000000000000
            74187a6e48125a8046030474467c4a6c4600000000000000
            2b394d3305184f4f00000000000000000000000000000000
            fa354afa035c040d51440000000000000000000000000000
            59050e5b050a0c930daf14061c0000000000000000000000
        "#]]
        .assert_eq(&all);
        assert_eq!(root_key(&"\u{301}".repeat(400)), None);
    }

    #[test]
    fn a_weaker_strength_makes_texts_equal() {
        for (tag, a, b, order) in [
            ("und", "role", "Rôle", Ordering::Less),
            ("und-u-ks-level1", "role", "Rôle", Ordering::Equal),
            ("und-u-ks-level2", "role", "ROLE", Ordering::Equal),
            ("und-u-ks-level2", "role", "rôle", Ordering::Less),
            ("und-u-ks-identic", "role", "Role", Ordering::Less),
            ("und-u-ka-shifted", "a-b", "ab", Ordering::Equal),
            ("und-u-ks-level1-kc", "a", "A", Ordering::Less),
        ] {
            assert_eq!(Collation::parse(tag).expect(tag).compare(a, b), order, "{tag}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        for tag in [
            "",
            "!!nope",
            "not a bcp47 tag!!",
            "x",
            "de-u-co-nosuch",
            "und-u-ks-level9",
            "und-u-kr-thai",
            "und-u-kn-maybe",
            "ภาษาไทย",
            "th\0",
        ] {
            let error = Collation::parse(tag).expect_err(tag);
            assert_eq!((error.parameter, error.span), ("collation", Some((0, tag.len()))), "{tag}");
        }
    }
}
