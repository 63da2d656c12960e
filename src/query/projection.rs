//! Which members of an entity are shown (4.21): `pick`, `omit` and, deprecated, `attrs`.

use std::fmt;

use super::Term;
use crate::model::AttrName;

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
    pub name: Member,
    /// `rel{…}`: what of the linked entity.
    pub linked: Option<Tree>,
}

/// What a member of a projection names.
#[derive(Debug, Clone, PartialEq)]
pub enum Member {
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
        self.keeps(|name| matches!(name, Member::Id), true)
    }

    /// Whether `type` is shown.
    pub fn keeps_type(&self) -> bool {
        self.keeps(|name| matches!(name, Member::Type), true)
    }

    /// Whether `scope` is shown.
    pub fn keeps_scope(&self) -> bool {
        self.keeps(|name| matches!(name, Member::Scope), true)
    }

    /// Whether an attribute is shown.
    pub fn keeps_attribute(&self, name: AttrName) -> bool {
        let listed =
            self.attrs.is_none_or(|attrs| attrs.iter().any(|term| term.name() == Some(name)));
        self.keeps(|member| member.is(name), listed)
    }

    fn keeps(&self, is: impl Fn(&Member) -> bool, listed: bool) -> bool {
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

impl Member {
    fn is(&self, name: AttrName) -> bool {
        matches!(self, Member::Attribute(term) if term.name() == Some(name))
    }
}

impl Tree {
    /// The members it lists.
    pub fn members(&self) -> &[Branch] {
        &self.members
    }

    fn find(&self, is: impl Fn(&Member) -> bool) -> Option<&Branch> {
        self.members.iter().find(|branch| is(&branch.name))
    }

    fn link_depth(&self) -> usize {
        let below = self.members.iter().filter_map(|branch| branch.linked.as_ref());
        below.map(|tree| 1 + tree.link_depth()).max().unwrap_or(0)
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, branch) in self.members.iter().enumerate() {
            write!(f, "{}{}", if place > 0 { "," } else { "" }, branch.name)?;
            if let Some(tree) = &branch.linked {
                write!(f, "{{{tree}}}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Id => f.write_str("id"),
            Member::Type => f.write_str("type"),
            Member::Scope => f.write_str("scope"),
            Member::Attribute(term) => write!(f, "{term}"),
        }
    }
}
