//! Which members of an entity are shown (4.21): `pick`, `omit` and, deprecated, `attrs`.

use std::fmt;

use super::scan::{Cursor, Dots, term};
use super::{Limits, QueryError, Term, parse_attrs};
use crate::jsonld::Context;
use crate::model::{AttrName, Name};

/// What is shown of an entity. The empty projection shows everything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Projection {
    /// Only these.
    pub pick: Option<Tree>,
    /// Not these.
    pub omit: Option<Tree>,
    /// Only these attributes, but all members that are no attributes; never together with the
    /// others.
    pub attrs: Option<Vec<Term>>,
}

/// A list of members, and for Relationships perhaps a list for the entities they lead to.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    members: Vec<Branch>,
}

/// One member of a projection.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    pub item: Item,
    /// `rel{…}`: what of the linked entity.
    pub linked: Option<Tree>,
}

/// What a member of a projection names.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    Id,
    Type,
    Scope,
    Attribute(Term),
}

/// A projection as it applies at one level of linked entities.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pick: Option<&'a Tree>,
    omit: Option<&'a Tree>,
    attrs: Option<&'a [Term]>,
}

impl Projection {
    /// Reads the three parameters. None of them may contradict another: `attrs` stands alone, and
    /// no member is both picked and omitted.
    pub fn parse(
        pick: Option<&str>,
        omit: Option<&str>,
        attrs: Option<&str>,
        context: &Context,
        limits: &Limits,
    ) -> Result<Self, QueryError> {
        let other = pick.map(|_| "pick").or(omit.map(|_| "omit"));
        if let (Some(other), Some(_)) = (other, attrs) {
            return Err(QueryError::incompatible(
                "attrs",
                format!("it cannot stand beside {other}, which does the same and more"),
            ));
        }
        let projection = Self {
            pick: pick.map(|text| Tree::parse("pick", text, context, limits)).transpose()?,
            omit: omit.map(|text| Tree::parse("omit", text, context, limits)).transpose()?,
            attrs: attrs.map(|text| parse_attrs(text, context, limits)).transpose()?,
        };
        if let (Some(pick), Some(omit)) = (&projection.pick, &projection.omit)
            && let Some(name) = pick.contradicts(omit)
        {
            return Err(QueryError::incompatible(
                "omit",
                format!("{name} is both picked and omitted"),
            ));
        }
        Ok(projection)
    }

    /// What it says about the entity itself.
    pub fn view(&self) -> View<'_> {
        View { pick: self.pick.as_ref(), omit: self.omit.as_ref(), attrs: self.attrs.as_deref() }
    }

    /// Whether it shows everything.
    pub fn is_whole(&self) -> bool {
        self.pick.is_none() && self.omit.is_none() && self.attrs.is_none()
    }

    /// How many links it goes along: what `joinLevel` must allow (5.7.1.4).
    pub fn link_depth(&self) -> usize {
        let depth = |tree: &Option<Tree>| tree.as_ref().map_or(0, Tree::link_depth);
        depth(&self.pick).max(depth(&self.omit))
    }
}

impl<'a> View<'a> {
    /// Shows everything.
    pub const WHOLE: View<'static> = View { pick: None, omit: None, attrs: None };

    /// Whether it shows everything, along links too.
    pub fn is_whole(&self) -> bool {
        self.pick.is_none() && self.omit.is_none() && self.attrs.is_none()
    }

    /// Whether `id` is shown.
    pub fn keeps_id(&self) -> bool {
        self.keeps(|name| matches!(name, Item::Id), true)
    }

    /// Whether `type` is shown.
    pub fn keeps_type(&self) -> bool {
        self.keeps(|name| matches!(name, Item::Type), true)
    }

    /// Whether `scope` is shown.
    pub fn keeps_scope(&self) -> bool {
        self.keeps(|name| matches!(name, Item::Scope), true)
    }

    /// Whether an attribute is shown.
    pub fn keeps_attribute(&self, name: AttrName) -> bool {
        let listed =
            self.attrs.is_none_or(|attrs| attrs.iter().any(|term| term.name() == Some(name)));
        self.keeps(|member| member.is(name), listed)
    }

    fn keeps(&self, is: impl Fn(&Item) -> bool, listed: bool) -> bool {
        let picked = self.pick.is_none_or(|tree| tree.find(&is).is_some());
        // With braces the member itself stays: they say what the linked entity loses.
        let omitted = self
            .omit
            .is_some_and(|tree| tree.find(&is).is_some_and(|branch| branch.linked.is_none()));
        listed && picked && !omitted
    }

    /// What is shown of the entities that a Relationship leads to.
    pub fn linked(&self, name: AttrName) -> View<'a> {
        let below = |tree: Option<&'a Tree>| {
            tree.and_then(|tree| tree.find(|member| member.is(name))?.linked.as_ref())
        };
        View { pick: below(self.pick), omit: below(self.omit), attrs: None }
    }
}

impl Item {
    fn is(&self, name: AttrName) -> bool {
        matches!(self, Item::Attribute(term) if term.name() == Some(name))
    }
}

impl Tree {
    /// Reads `name,rel{id,name}`; `|` is as good as a comma.
    pub fn parse(
        parameter: &'static str,
        text: &str,
        context: &Context,
        limits: &Limits,
    ) -> Result<Self, QueryError> {
        let mut cursor = Cursor::new(parameter, text, limits);
        let tree = tree(&mut cursor, context)?;
        cursor.must_end("\",\", \"|\", \"{\" or the end")?;
        Ok(tree)
    }

    /// A member that this picks and the other omits.
    fn contradicts<'a>(&'a self, omit: &Tree) -> Option<&'a Item> {
        self.members.iter().find_map(|own| {
            let other = omit.members.iter().find(|other| other.item == own.item)?;
            match (&own.linked, &other.linked) {
                (Some(own), Some(other)) => own.contradicts(other),
                (None, Some(_)) => None,
                (_, None) => Some(&own.item),
            }
        })
    }

    /// The members it lists.
    pub fn members(&self) -> &[Branch] {
        &self.members
    }

    fn find(&self, is: impl Fn(&Item) -> bool) -> Option<&Branch> {
        self.members.iter().find(|branch| is(&branch.item))
    }

    fn link_depth(&self) -> usize {
        let below = self.members.iter().filter_map(|branch| branch.linked.as_ref());
        below.map(|tree| 1 + tree.link_depth()).max().unwrap_or(0)
    }
}

fn tree(cursor: &mut Cursor<'_>, context: &Context) -> Result<Tree, QueryError> {
    let mut members: Vec<Branch> = Vec::new();
    loop {
        cursor.skip_spaces();
        cursor.count()?;
        let start = cursor.at();
        let written = cursor.name("the name of a member", Dots::Belong)?;
        let item = item(written, context);
        if members.iter().any(|other| other.item == item) {
            return Err(cursor.refused(format!("{written} is listed twice"), start, cursor.at()));
        }
        let brace = cursor.at();
        let linked = if cursor.eat_spaced("{") { Some(braces(cursor, context)?) } else { None };
        if linked.is_some() && !matches!(item, Item::Attribute(_)) {
            return Err(cursor.refused(
                format!("{written} leads to no other entity"),
                brace,
                brace + 1,
            ));
        }
        members.push(Branch { item, linked });
        if !cursor.eat_spaced(",") && !cursor.eat_spaced("|") {
            return Ok(Tree { members });
        }
    }
}

/// What follows an opening brace, up to and with the closing one.
fn braces(cursor: &mut Cursor<'_>, context: &Context) -> Result<Tree, QueryError> {
    cursor.enter()?;
    let tree = tree(cursor, context)?;
    cursor.leave();
    if cursor.eat_spaced("}") { Ok(tree) } else { Err(cursor.expected("\",\", \"|\" or \"}\"")) }
}

fn item(written: &str, context: &Context) -> Item {
    let term = term(written, context);
    match term.iri() {
        "@id" => Item::Id,
        "@type" => Item::Type,
        iri if iri == Name::SCOPE.as_str() => Item::Scope,
        _ => Item::Attribute(term),
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, branch) in self.members.iter().enumerate() {
            write!(f, "{}{}", if place > 0 { "," } else { "" }, branch.item)?;
            if let Some(tree) = &branch.linked {
                write!(f, "{{{tree}}}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Id => f.write_str("id"),
            Item::Type => f.write_str("type"),
            Item::Scope => f.write_str("scope"),
            Item::Attribute(term) => write!(f, "{term}"),
        }
    }
}
