//! The scope query language (4.19).

use std::fmt;

use crate::model::Scope;

/// Which scopes are meant: at least one alternative must hold, and an alternative holds if each of
/// its patterns fits one of the entity's scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeFilter {
    pub alternatives: Vec<Vec<ScopePattern>>,
}

/// `/A/+/C`, `/A/#` or, without any level, `/#`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopePattern {
    /// The levels, outermost first; None is `+` and stands for any one level.
    pub levels: Vec<Option<Box<str>>>,
    /// `/#`: the scopes below fit as well.
    pub below: bool,
}

impl ScopeFilter {
    /// Whether an entity with these scopes is meant. One without scopes never is.
    pub fn matches(&self, scopes: &[Scope]) -> bool {
        self.alternatives.iter().any(|patterns| {
            patterns.iter().all(|pattern| scopes.iter().any(|scope| pattern.fits(scope)))
        })
    }
}

impl ScopePattern {
    /// Whether the pattern fits a scope.
    pub fn fits(&self, scope: &Scope) -> bool {
        let mut own = scope.levels();
        let begins = self.levels.iter().all(|level| match (level, own.next()) {
            (Some(level), Some(own)) => **level == *own,
            (None, Some(_)) => true,
            (_, None) => false,
        });
        begins && (self.below || own.next().is_none())
    }
}

impl fmt::Display for ScopeFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, patterns) in self.alternatives.iter().enumerate() {
            if place > 0 {
                f.write_str("|")?;
            }
            match patterns.as_slice() {
                [single] => write!(f, "{single}")?,
                several => {
                    for (place, pattern) in several.iter().enumerate() {
                        write!(f, "{}{pattern}", if place > 0 { ";" } else { "(" })?;
                    }
                    f.write_str(")")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for ScopePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for level in &self.levels {
            write!(f, "/{}", level.as_deref().unwrap_or("+"))?;
        }
        f.write_str(if self.below { "/#" } else { "" })
    }
}
