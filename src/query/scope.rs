//! The scope query language (4.19).

use std::fmt;

use super::scan::Cursor;
use super::{Limits, QueryError};
use crate::model::{Scope, is_level};

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
    /// Reads `(/A;/B/#)|/C/+`. Commas are as good as `|`, and parentheses may be left out.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, QueryError> {
        let mut cursor = Cursor::new("scopeQ", text, limits);
        let mut alternatives = Vec::new();
        loop {
            let mut patterns = Vec::new();
            conjunction(&mut cursor, &mut patterns)?;
            alternatives.push(patterns);
            if !cursor.eat_spaced("|") && !cursor.eat_spaced(",") {
                cursor.must_end("\";\", \"|\", \",\" or the end")?;
                return Ok(Self { alternatives });
            }
        }
    }

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

/// `a;b`, where each may stand in parentheses of its own.
fn conjunction(
    cursor: &mut Cursor<'_>,
    patterns: &mut Vec<ScopePattern>,
) -> Result<(), QueryError> {
    loop {
        if cursor.eat_spaced("(") {
            cursor.enter()?;
            conjunction(cursor, patterns)?;
            cursor.leave();
            if !cursor.eat_spaced(")") {
                return Err(cursor.expected("\";\" or \")\""));
            }
        } else {
            patterns.push(pattern(cursor)?);
        }
        if !cursor.eat_spaced(";") {
            return Ok(());
        }
    }
}

fn pattern(cursor: &mut Cursor<'_>) -> Result<ScopePattern, QueryError> {
    cursor.skip_spaces();
    cursor.count()?;
    let mut pattern = ScopePattern { levels: Vec::new(), below: false };
    let rooted = cursor.eat("/");
    loop {
        let start = cursor.at();
        let level = cursor.take_while(|c| !"/;|,()".contains(c) && !c.is_whitespace());
        match level {
            "#" if rooted || !pattern.levels.is_empty() => {
                pattern.below = true;
                return Ok(pattern);
            }
            "+" => pattern.levels.push(None),
            level if is_level(level) => pattern.levels.push(Some(level.into())),
            "" => return Err(cursor.expected("a scope like /A/B, /A/+ or /A/#")),
            level => {
                return Err(cursor.refused(
                    format!(
                        "{level:?} is no level of a scope: write letters, digits and _, + or #"
                    ),
                    start,
                    cursor.at(),
                ));
            }
        }
        if pattern.levels.len() > cursor.limits().nodes {
            return Err(QueryError::too_complex(cursor.parameter(), "a scope has too many levels"));
        }
        if !cursor.eat("/") {
            return Ok(pattern);
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ErrorKind;
    use super::*;

    fn parse(text: &str) -> Result<ScopeFilter, QueryError> {
        ScopeFilter::parse(text, &Limits::default())
    }

    #[test]
    fn patterns_fit_the_scopes_of_clause_4_19() {
        let garden = &["/Madrid/Gardens/ParqueNorte", "/CompanyA/OrganizationB/UnitC"][..];
        for (query, scopes, fits) in [
            ("/Madrid/Gardens/ParqueNorte", garden, true),
            ("Madrid/Gardens/ParqueNorte", garden, true),
            ("/Madrid", garden, false),
            ("/Madrid/+/ParqueNorte", garden, true),
            ("/Madrid/+", garden, false),
            ("/+/+/+", garden, true),
            ("/CompanyA/#", garden, true),
            ("/CompanyA/OrganizationB/UnitC/#", garden, true),
            ("/CompanyB/#", garden, false),
            ("/#", garden, true),
            ("/#", &[], false),
            ("/A", &["A"], true),
            ("/Madrid/Gardens/ParqueNorte;/CompanyA/OrganizationB/UnitC", garden, true),
            ("(/Madrid/Gardens/ParqueNorte;/CompanyA/#)", garden, true),
            ("(/Madrid/Gardens/ParqueNorte;/Nowhere/AtAll)", garden, false),
            ("(/Madrid/#;/Nowhere)|/CompanyA/#", garden, true),
            ("/Nowhere,/Madrid/#", garden, true),
            ("/Nowhere | /Madrid/#", garden, true),
            ("/ลำปาง/แม่เมาะ", &["/ลำปาง/แม่เมาะ"], true),
            ("/ลำปาง/+", &["/ลำปาง/แม่เมาะ"], true),
        ] {
            let scopes: Vec<Scope> =
                scopes.iter().map(|text| Scope::parse(text).expect(text)).collect();
            let filter = parse(query).expect(query);
            assert_eq!(filter.matches(&scopes), fits, "{query} {scopes:?}");
        }
    }

    #[test]
    fn what_is_no_scope_query_is_refused_at_its_place() {
        for (query, span) in [
            ("", Some((0, 0))),
            ("/", Some((1, 1))),
            ("#", Some((0, 1))),
            ("/A//B", Some((3, 4))),
            ("/A/#/B", Some((4, 5))),
            ("/A|", Some((3, 3))),
            ("(/A;/B", Some((6, 6))),
            ("(/A|/B);/C", Some((3, 4))),
            ("/A)", Some((2, 3))),
            ("/A/B C", Some((5, 6))),
            ("/A/#B", Some((3, 5))),
        ] {
            let error = parse(query).unwrap_err();
            assert_eq!((error.kind, error.span), (ErrorKind::Syntax, span), "{query}: {error}");
        }
        let many = vec!["/A"; 600].join("|");
        assert_eq!(parse(&many).unwrap_err().kind, ErrorKind::TooComplex);
        let deep = format!("{}/A{}", "(".repeat(10_000), ")".repeat(10_000));
        assert_eq!(parse(&deep).unwrap_err().kind, ErrorKind::TooComplex);
    }

    fn any_pattern() -> impl Strategy<Value = ScopePattern> {
        let level =
            prop_oneof![Just(None), "[A-Za-zก-ฮ][a-z0-9_]{0,3}".prop_map(|l| Some(l.into()))];
        (proptest::collection::vec(level, 0..4), any::<bool>())
            .prop_map(|(levels, below)| ScopePattern { below: below || levels.is_empty(), levels })
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(
            alternatives in proptest::collection::vec(
                proptest::collection::vec(any_pattern(), 1..4), 1..4,
            ),
        ) {
            let filter = ScopeFilter { alternatives };
            prop_assert_eq!(parse(&filter.to_string()), Ok(filter));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[/#+();|,A ก่]{0,12}") {
            let _ = parse(&text);
        }
    }
}
