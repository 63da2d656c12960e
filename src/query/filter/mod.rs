//! The query language `q` (4.9), also spoken by `csf`.

mod display;
mod evaluate;
mod hints;
mod literal;
mod parse;
mod value;

pub(super) use evaluate::{unquoted, within, within_json};
pub use literal::{Literal, Text};
pub use parse::FilterOptions;
pub(super) use parse::read_path;

use super::{Pattern, Term};
use crate::model::{Name, TypeTerm};

/// A query: what must hold of an entity.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "most filters are one test, and every entity is asked it"
)]
pub enum Filter {
    /// `a;b`: every one.
    All(Vec<Filter>),
    /// `a|b`: at least one.
    Any(Vec<Filter>),
    Test(Test),
}

/// One query term: something asked about what a path leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    pub path: Path,
    pub check: Check,
}

/// Where to look, from an entity on.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// Relationships to follow first: `managedBy{…}`.
    pub links: Vec<Link>,
    /// An attribute and sub-attributes of it; none if `member` is the entity's own.
    pub names: Vec<Term>,
    /// A member that is not an attribute, and how it was written.
    pub member: Option<(Member, Term)>,
    /// `[a.b]`: the way into a compound value, the raw JSON of a JsonProperty, or a language.
    pub within: Vec<Term>,
}

/// A Relationship to follow.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The Relationship; several names if it is a sub-attribute.
    pub names: Vec<Term>,
    /// The entities it leads to count only if they have one of these types; any, if there are none.
    pub types: Vec<TypeHint>,
}

/// A type named inside the braces of a linked path, and how it was written.
#[derive(Debug, Clone)]
pub struct TypeHint {
    pub written: Box<str>,
    pub term: TypeTerm,
}

impl PartialEq for TypeHint {
    /// Whether the type was known when the text was read means nothing.
    fn eq(&self, other: &Self) -> bool {
        self.term.to_string() == other.term.to_string()
    }
}

/// A member of an entity or of an attribute's instance that is no attribute itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    Id,
    Type,
    Scope,
    CreatedAt,
    ModifiedAt,
    DeletedAt,
    ExpiresAt,
    ObservedAt,
    UnitCode,
    DatasetId,
    ValueType,
    ObjectType,
}

impl Member {
    /// The member of an entity with this IRI.
    pub fn of_entity(iri: &str) -> Option<Self> {
        Some(match iri {
            "@id" => Member::Id,
            "@type" => Member::Type,
            _ if iri == Name::SCOPE.as_str() => Member::Scope,
            _ => Self::stamp(iri)?,
        })
    }

    /// The member of an attribute's instance with this IRI.
    pub fn of_instance(iri: &str) -> Option<Self> {
        let members = [
            (Name::OBSERVED_AT, Member::ObservedAt),
            (Name::UNIT_CODE, Member::UnitCode),
            (Name::DATASET_ID, Member::DatasetId),
            (Name::VALUE_TYPE, Member::ValueType),
            (Name::OBJECT_TYPE, Member::ObjectType),
        ];
        let found = members.into_iter().find(|(name, _)| name.as_str() == iri);
        found.map(|(_, member)| member).or_else(|| Self::stamp(iri))
    }

    fn stamp(iri: &str) -> Option<Self> {
        let stamps = [
            (Name::CREATED_AT, Member::CreatedAt),
            (Name::MODIFIED_AT, Member::ModifiedAt),
            (Name::DELETED_AT, Member::DeletedAt),
            (Name::EXPIRES_AT, Member::ExpiresAt),
        ];
        stamps.into_iter().find(|(name, _)| name.as_str() == iri).map(|(_, member)| member)
    }
}

/// What is asked. Everything but [`Check::Absent`] needs the target to be there.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    Exists,
    /// `!path`: not in the grammar of 4.9, but asked for by clients.
    Absent,
    Equal(Operand),
    Unequal(Operand),
    Order(Relation, Literal),
    Matches(Pattern),
    MatchesNot(Pattern),
}

impl Check {
    /// Whether a regular expression is to be matched.
    pub fn is_pattern(&self) -> bool {
        matches!(self, Check::Matches(_) | Check::MatchesNot(_))
    }
}

/// What `==` and `!=` compare with.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    One(Literal),
    /// `a,b,c`
    List(Vec<Literal>),
    /// `a..b`, both ends included.
    Range(Literal, Literal),
}

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    /// Whether a target that compares so to the literal satisfies the relation.
    pub(super) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Relation::Less => order.is_lt(),
            Relation::LessOrEqual => order.is_le(),
            Relation::Greater => order.is_gt(),
            Relation::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Filter {
    /// Every query term, in the order they were written.
    pub fn tests(&self) -> Vec<&Test> {
        let mut tests = Vec::new();
        self.collect(&mut tests);
        tests
    }

    fn collect<'a>(&'a self, tests: &mut Vec<&'a Test>) {
        match self {
            Filter::All(parts) | Filter::Any(parts) => {
                for part in parts {
                    part.collect(tests);
                }
            }
            Filter::Test(test) => tests.push(test),
        }
    }

    /// How many links the deepest path follows: what `joinLevel` must allow (5.7.2.4).
    pub fn link_depth(&self) -> usize {
        self.tests().iter().map(|test| test.path.links.len()).max().unwrap_or(0)
    }

    /// Whether an attribute is asked about, and not system attributes and other members of the
    /// entity alone (5.7.2.4).
    pub fn names_an_attribute(&self) -> bool {
        self.tests().iter().any(|test| test.path.attribute().is_some())
    }
}

impl Path {
    /// The attribute of the entity that the path begins with; None for a member of the entity.
    pub fn attribute(&self) -> Option<&Term> {
        self.links.first().map_or(&self.names, |link| &link.names).first()
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
