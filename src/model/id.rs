//! Identifiers: URIs that were checked once, where they came in.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Why a text cannot identify anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a URI: {reason}")]
pub struct NotAUri {
    /// The text, cut after a hundred characters.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// The longest identifier that is taken, in bytes. The engine's keys hold 64 KiB.
static LONGEST: AtomicUsize = AtomicUsize::new(2_048);

/// Sets how long the identifiers may be that come in from now on, in bytes; those that are stored
/// stay. No more than 32 KiB, so that each fits into a key of the store.
pub fn limit_identifiers(bytes: usize) {
    LONGEST.store(bytes.min(32 << 10), Ordering::Relaxed);
}

/// The identifier of an Entity, a URI (4.5.1); IRIs, Thai ones included, are taken as they are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityId(Arc<str>);

/// The identifier that tells instances of one attribute apart (4.5.5).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetId(Arc<str>);

/// The identifier of a Subscription (5.2.12).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(Arc<str>);

/// The identifier of an EntityMap (5.2.39).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityMapId(Arc<str>);

/// The identifier of a Snapshot (5.2.41).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(Arc<str>);
/// The identifier of a Context Source Registration (5.2.9).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId(Arc<str>);

macro_rules! uri_type {
    ($name:ident) => {
        impl $name {
            /// Checks that the text is a URI (a scheme, a colon, and no character that RFC 3987
            /// forbids everywhere).
            pub fn parse(text: &str) -> Result<Self, NotAUri> {
                check_uri(text)?;
                Ok(Self(text.into()))
            }

            /// Takes a text that was checked before, when it was stored.
            pub fn from_trusted(text: &str) -> Self {
                Self(text.into())
            }

            /// The URI.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "<{}>", self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

uri_type!(EntityId);
uri_type!(DatasetId);
uri_type!(SubscriptionId);
uri_type!(EntityMapId);
uri_type!(SnapshotId);
uri_type!(RegistrationId);

/// Checks that a text is an absolute URI or IRI: a scheme, a colon, something after it, and none
/// of the characters that no URI may hold.
pub fn check_uri(text: &str) -> Result<(), NotAUri> {
    let refuse = |reason| Err(NotAUri { text: text.chars().take(100).collect(), reason });
    if text.len() > LONGEST.load(Ordering::Relaxed) {
        return refuse("it is longer than limits.identifier allows");
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return refuse("it has no scheme, like urn: or https:");
    };
    let mut letters = scheme.bytes();
    let begins_well = letters.next().is_some_and(|first| first.is_ascii_alphabetic());
    if !begins_well || !letters.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
        return refuse("what stands before its first colon is not a scheme");
    }
    if rest.is_empty() {
        return refuse("nothing follows its scheme");
    }
    // Nearly all identifiers are ASCII, which one look at each byte settles.
    if rest.bytes().all(|byte| PLAIN[usize::from(byte)]) {
        return Ok(());
    }
    let forbidden =
        |c: char| c.is_control() || c.is_whitespace() || is_invisible(c) || is_excluded(c);
    match rest.chars().any(forbidden) {
        true => refuse("it holds a character that no URI may hold"),
        false => Ok(()),
    }
}

/// The bytes that are characters of their own and may stand in a URI.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        plain[byte] = (byte as u8).is_ascii_graphic() && !is_excluded(byte as u8 as char);
        byte += 1;
    }
    plain
};

/// Visible ASCII characters that no URI holds (RFC 3986, 2).
const fn is_excluded(c: char) -> bool {
    matches!(c, '<' | '>' | '"' | '{' | '}' | '|' | '\\' | '^' | '`')
}

/// Characters that cannot be seen, or are no characters: two identifiers that differ only in them
/// look the same in every log and on every screen. They are the default ignorable code points of
/// Unicode, the blank Braille pattern, noncharacters and private use. The zero-width joiner and
/// non-joiner are taken, since Persian and Indic words cannot be spelled without them.
fn is_invisible(c: char) -> bool {
    match c {
        '\u{200C}' | '\u{200D}' => false,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' => {
            true
        }
        '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' => true,
        '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' => true,
        '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' => true,
        '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}' => true,
        '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{10FFFF}' | '\u{FDD0}'..='\u{FDEF}' => true,
        _ => u32::from(c) & 0xFFFE == 0xFFFE,
    }
}

/// A tenant: the default one is a value, not an absence (4.14). Letter case is kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TenantId(Option<Arc<str>>);

/// Stands around the number in the name of a tenant that holds a snapshot; no header can hold it.
const SNAPSHOT: char = '\u{1}';

/// The text cannot name a tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot name a tenant: use 1 to 255 visible characters")]
pub struct NotATenant(pub String);

impl TenantId {
    /// The tenant that is meant when none is named.
    pub const DEFAULT: TenantId = TenantId(None);

    /// The tenant of this name, exactly as written.
    pub fn named(name: &str) -> Result<Self, NotATenant> {
        let visible = name.chars().all(|c| !c.is_control() && !c.is_whitespace());
        if name.is_empty() || name.len() > 255 || !visible {
            return Err(NotATenant(name.chars().take(64).collect()));
        }
        Ok(Self(Some(name.into())))
    }

    /// Takes a name as a store kept it, which may be that of a place for a snapshot.
    pub fn from_kept(name: &str) -> Result<Self, NotATenant> {
        let place = name.strip_prefix(SNAPSHOT).and_then(|rest| rest.split_once(SNAPSHOT));
        match place {
            Some((number, client)) if number.parse::<u32>().is_ok() => {
                if !client.is_empty() {
                    Self::named(client)?;
                }
                Ok(Self(Some(name.into())))
            }
            _ => Self::named(name),
        }
    }

    /// The tenant that holds one of this tenant's snapshots: no client can name it, and nothing of
    /// it is seen from outside the snapshot. There are as many as there are numbers.
    pub fn place_for_snapshot(&self, number: u32) -> Self {
        let name = self.name().unwrap_or_default();
        Self(Some(format!("{SNAPSHOT}{number}{SNAPSHOT}{name}").into()))
    }

    /// Whose snapshot this holds, if it holds one.
    pub fn snapshot_of(&self) -> Option<TenantId> {
        let rest = self.name()?.strip_prefix(SNAPSHOT)?;
        let (_, name) = rest.split_once(SNAPSHOT)?;
        Some(Self((!name.is_empty()).then(|| name.into())))
    }

    /// The tenant that clients name: itself, or the one whose snapshot it holds.
    pub fn home(&self) -> TenantId {
        self.snapshot_of().unwrap_or_else(|| self.clone())
    }

    /// The name, absent for the default tenant.
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().unwrap_or("(default)"))
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenant {self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_told_from_other_texts() {
        for good in [
            "urn:ngsi-ld:Vehicle:A1",
            "https://example.org/x?y=1#z",
            "urn:ngsi-ld:สถานี:แม่เมาะ",
            "urn:ngsi-ld:City:می\u{200C}خواهم",
            "a:b",
        ] {
            assert!(check_uri(good).is_ok(), "{good}");
        }
        for bad in ["", "Vehicle", ":x", "urn:", "1a:x", "urn:a b", "urn:a<b", "urn:\u{7}", "ไทย:x"]
        {
            assert!(check_uri(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_seen_identifies_nothing() {
        for hidden in [
            '\u{202E}',
            '\u{200B}',
            '\u{FEFF}',
            '\u{2028}',
            '\u{A0}',
            '\u{FE0F}',
            '\u{E0100}',
            '\u{FDD0}',
            '\u{FFFE}',
            '\u{115F}',
            '\u{3164}',
            '\u{FFA0}',
            '\u{2800}',
            '\u{E000}',
        ] {
            let id = format!("urn:ngsi-ld:Vehicle:A{hidden}B");
            assert!(EntityId::parse(&id).is_err(), "{:x}", u32::from(hidden));
        }
    }

    #[test]
    fn tenants_keep_their_letter_case() {
        assert_ne!(TenantId::named("Mae"), TenantId::named("mae"));
        assert!(TenantId::named("").is_err());
        assert!(TenantId::named("a\nb").is_err());
    }

    #[test]
    fn a_place_for_a_snapshot_is_known_by_its_name_and_no_client_can_say_it() {
        for client in [TenantId::DEFAULT, TenantId::named("ลำปาง").expect("a tenant")] {
            assert_eq!(client.snapshot_of(), None);
            let place = client.place_for_snapshot(7);
            let name = place.name().expect("a name");
            assert_eq!(TenantId::from_kept(name).as_ref(), Ok(&place));
            assert_eq!(place.snapshot_of(), Some(client.clone()));
            assert!(TenantId::named(name).is_err());
            assert_ne!(place, client.place_for_snapshot(8));
        }
        assert!(TenantId::from_kept("\u{1}x\u{1}").is_err());
        assert_eq!(TenantId::from_kept("a"), TenantId::named("a"));
    }
}
