//! Scopes: hierarchical labels of entities (4.18).

use std::fmt;

/// A scope, `/level/level`; the leading slash may be left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Box<str>);

/// The text is not a scope of clause 4.18.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a scope: write levels of letters, digits and _ after slashes, each beginning with a letter, like /MaeMoh/Air"
)]
pub struct NotAScope(pub String);

impl Scope {
    /// Checks that the text is a scope. It is kept as it was written.
    pub fn parse(text: &str) -> Result<Self, NotAScope> {
        let levels = text.strip_prefix('/').unwrap_or(text);
        if text.len() <= 1_024 && levels.split('/').all(is_level) {
            Ok(Self(text.into()))
        } else {
            Err(NotAScope(text.chars().take(100).collect()))
        }
    }

    /// Takes a text that was checked before, when it was stored.
    pub fn from_trusted(text: &str) -> Self {
        Self(text.into())
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The levels, outermost first.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.strip_prefix('/').unwrap_or(&self.0).split('/')
    }

    /// Whether two texts are the same scope, whatever their leading slashes.
    pub fn same(&self, other: &Scope) -> bool {
        self.levels().eq(other.levels())
    }
}

/// Whether the text may stand between two slashes. Combining marks are letters' parts: Thai
/// cannot be written without them.
pub fn is_level(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(char::is_alphabetic)
        && letters.all(|c| c.is_alphanumeric() || c == '_' || is_mark(c))
}

/// Whether the character is a combining mark (Unicode category M) of the scripts that need them.
pub fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_told_from_other_texts() {
        for good in ["/Madrid/Gardens", "Madrid", "/ลำปาง/แม่เมาะ", "/A_1/B2"]
        {
            assert!(Scope::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "/A//B", "/A/", "/A/#", "/+/A", "A B", "/1A", "/a-b"] {
            assert!(Scope::parse(bad).is_err(), "{bad}");
        }
    }
}
