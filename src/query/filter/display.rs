//! Queries as text: what is printed parses to the same query.

use std::fmt;

use super::{Check, Filter, Link, Operand, Path, Relation, Test};

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, between) = match self {
            Filter::All(parts) => (parts, ";"),
            Filter::Any(parts) => (parts, "|"),
            Filter::Test(test) => return write!(f, "{test}"),
        };
        for (place, part) in parts.iter().enumerate() {
            if place > 0 {
                f.write_str(between)?;
            }
            match part {
                Filter::Test(test) => write!(f, "{test}")?,
                group => write!(f, "({group})")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, check } = self;
        match check {
            Check::Exists => write!(f, "{path}"),
            Check::Absent => write!(f, "!{path}"),
            Check::Equal(operand) => write!(f, "{path}=={operand}"),
            Check::Unequal(operand) => write!(f, "{path}!={operand}"),
            Check::Order(relation, literal) => write!(f, "{path}{relation}{literal}"),
            Check::Matches(pattern) => write!(f, "{path}~={}", quoted(pattern.as_str())),
            Check::MatchesNot(pattern) => write!(f, "{path}!~={}", quoted(pattern.as_str())),
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for link in &self.links {
            write!(f, "{link}")?;
        }
        let names = self.names.iter().chain(self.member.iter().map(|(_, term)| term));
        for (place, term) in names.enumerate() {
            write!(f, "{}{term}", if place > 0 { "." } else { "" })?;
        }
        for (place, key) in self.within.iter().enumerate() {
            write!(f, "{}{key}", if place > 0 { "." } else { "[" })?;
        }
        f.write_str(if self.within.is_empty() { "" } else { "]" })?;
        f.write_str(&"}".repeat(self.links.len()))
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, term) in self.names.iter().enumerate() {
            write!(f, "{}{term}", if place > 0 { "." } else { "" })?;
        }
        f.write_str("{")?;
        for (place, hint) in self.types.iter().enumerate() {
            write!(f, "{}{}", if place > 0 { "," } else { "" }, hint.written)?;
        }
        f.write_str(if self.types.is_empty() { "" } else { ":" })
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::One(literal) => write!(f, "{literal}"),
            Operand::Range(low, high) => write!(f, "{low}..{high}"),
            Operand::List(literals) => {
                for (place, literal) in literals.iter().enumerate() {
                    write!(f, "{}{literal}", if place > 0 { "," } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Relation::Less => "<",
            Relation::LessOrEqual => "<=",
            Relation::Greater => ">",
            Relation::GreaterOrEqual => ">=",
        })
    }
}
