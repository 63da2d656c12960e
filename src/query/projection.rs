//! Which members of an entity are shown (4.21): `pick`, `omit` and, deprecated, `attrs`.

use std::fmt;

use super::scan::{Cursor, Dots, term};
use super::{Limits, Member, QueryError, Term, parse_attrs};
use crate::jsonld::Context;
use crate::model::{AttrName, Name};

/// What is shown of an entity. The empty projection shows everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tree {
    members: Vec<Branch>,
}

/// One member of a projection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Branch {
    pub item: Item,
    /// `rel{…}`: what of the linked entity.
    pub linked: Option<Tree>,
}

/// What a member of a projection names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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

    /// The attributes of which an entity has to have one if anything is to be shown of it: what is
    /// picked, unless something is picked that is no attribute.
    pub fn needs(&self) -> Option<Vec<Term>> {
        let attribute = |branch: &Branch| match &branch.item {
            Item::Attribute(term) if Member::of_entity(term.iri()).is_none() => Some(term.clone()),
            _ => None,
        };
        self.pick.as_ref()?.members.iter().map(attribute).collect()
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

    pub(super) fn members_mut(&mut self) -> &mut [Branch] {
        &mut self.members
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ErrorKind;
    use super::super::testing::{context, name};
    use super::*;

    fn parse(
        pick: Option<&str>,
        omit: Option<&str>,
        attrs: Option<&str>,
    ) -> Result<Projection, QueryError> {
        Projection::parse(pick, omit, attrs, context(), &Limits::default())
    }

    /// What is shown of id, type, scope, and the attributes a and b.
    fn shown(view: View<'_>) -> String {
        let members = [
            (view.keeps_id(), "id"),
            (view.keeps_type(), "type"),
            (view.keeps_scope(), "scope"),
            (view.keeps_attribute(name("a")), "a"),
            (view.keeps_attribute(name("p:b")), "b"),
        ];
        members
            .iter()
            .filter(|(kept, _)| *kept)
            .map(|(_, name)| *name)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn members_are_picked_and_omitted() {
        for (pick, omit, attrs, expected) in [
            (None, None, None, "id type scope a b"),
            (Some("a"), None, None, "a"),
            (Some("id,a"), None, None, "id a"),
            (Some("id | type|scope"), None, None, "id type scope"),
            (Some("https://example.org/p#b"), None, None, "b"),
            (Some("a{x},id"), None, None, "id a"),
            (None, Some("a"), None, "id type scope b"),
            (None, Some("id,p:b"), None, "type scope a"),
            (None, Some("a{x}"), None, "id type scope a b"),
            (Some("a,p:b"), Some("id"), None, "a b"),
            (None, None, Some("a"), "id type scope a"),
            (None, None, Some("p:b,c"), "id type scope b"),
        ] {
            let projection = parse(pick, omit, attrs).expect("a projection");
            assert_eq!(shown(projection.view()), expected, "{pick:?} {omit:?} {attrs:?}");
        }
    }

    #[test]
    fn something_is_shown_of_what_has_a_picked_attribute() {
        for (pick, omit, needed) in [
            (None, None, None),
            (None, Some("id,type"), None),
            (Some("a"), None, Some(1)),
            (Some("a,neverHeardOf,r{id}"), None, Some(3)),
            (Some("a,id"), None, None),
            (Some("type"), None, None),
            (Some("a,scope"), None, None),
            (Some("a,createdAt"), None, None),
        ] {
            let projection = parse(pick, omit, None).expect("a projection");
            assert_eq!(projection.needs().map(|all| all.len()), needed, "{pick:?} {omit:?}");
        }
    }

    #[test]
    fn braces_say_what_is_shown_of_linked_entities() {
        let (r, s) = (name("r"), name("s"));
        for (pick, omit, depth, first, second) in [
            (None, None, 0, "id type scope a b", "id type scope a b"),
            (Some("id,r"), None, 0, "id type scope a b", "id type scope a b"),
            (Some("id,r{id,a}"), None, 1, "id a", "id type scope a b"),
            (Some("r{a,s{p:b,id}}"), None, 2, "a", "id b"),
            (None, Some("type,r{type}"), 1, "id scope a b", "id type scope a b"),
            (None, Some("r{a,s{a}}"), 2, "id type scope b", "id type scope b"),
            (Some("r{a,s}"), Some("r{s{id}}"), 2, "a", "type scope a b"),
        ] {
            let projection = parse(pick, omit, None).expect("a projection");
            assert_eq!(projection.link_depth(), depth, "{pick:?} {omit:?}");
            let linked = projection.view().linked(r);
            assert_eq!(shown(linked), first, "{pick:?} {omit:?}");
            assert_eq!(shown(linked.linked(s)), second, "{pick:?} {omit:?}");
        }
        assert!(parse(None, None, None).expect("nothing").is_whole());
        assert!(parse(Some("r{a}"), None, None).expect("a pick").view().linked(s).is_whole());
    }

    #[test]
    fn mistakes_are_refused() {
        for (pick, omit, attrs, kind) in [
            (Some(""), None, None, ErrorKind::Syntax),
            (Some("id;name"), None, None, ErrorKind::Syntax),
            (Some("id,locatedAt{name"), None, None, ErrorKind::Syntax),
            (Some("id,locatedAt{{name}"), None, None, ErrorKind::Syntax),
            (Some("id,,name"), None, None, ErrorKind::Syntax),
            (Some("id,locatedAt{,name}"), None, None, ErrorKind::Syntax),
            (Some("id,locatedAt{}"), None, None, ErrorKind::Syntax),
            (Some("name||airQualityLevel"), None, None, ErrorKind::Syntax),
            (Some("a}"), None, None, ErrorKind::Syntax),
            (Some("a,a"), None, None, ErrorKind::Syntax),
            (Some("a,r{id,id}"), None, None, ErrorKind::Syntax),
            (Some("id{a}"), None, None, ErrorKind::Syntax),
            (Some("a.b"), None, None, ErrorKind::Syntax),
            (None, Some("a,"), None, ErrorKind::Syntax),
            (None, None, Some("id,a"), ErrorKind::Syntax),
            (None, None, Some(""), ErrorKind::Syntax),
            (Some("name"), Some("name"), None, ErrorKind::Incompatible),
            (Some("a{b}"), Some("a"), None, ErrorKind::Incompatible),
            (Some("a{b}"), Some("a{b}"), None, ErrorKind::Incompatible),
            (Some("name"), None, Some("category"), ErrorKind::Incompatible),
            (None, Some("name"), Some("category"), ErrorKind::Incompatible),
        ] {
            let error = parse(pick, omit, attrs).unwrap_err();
            assert_eq!(error.kind, kind, "{pick:?} {omit:?} {attrs:?}: {error}");
        }
        let error = parse(Some("id,,name"), None, None).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.span),
            ("pick: expected the name of a member, found \",\" at character 4", Some((3, 4)))
        );
        let many = (0..600).map(|n| format!("a{n}")).collect::<Vec<_>>().join(",");
        assert_eq!(parse(Some(&many), None, None).unwrap_err().kind, ErrorKind::TooComplex);
        let deep = format!("{}a{}", "r{".repeat(10_000), "}".repeat(10_000));
        assert_eq!(parse(None, Some(&deep), None).unwrap_err().kind, ErrorKind::TooComplex);
    }

    fn any_tree() -> BoxedStrategy<Tree> {
        let item = prop_oneof![
            Just(item("id", context())),
            Just(item("type", context())),
            "[a-zก-ฮ][a-z_0-9]{0,4}".prop_map(|text| item(&text, context())),
            Just(item("https://example.org/x.y", context())),
            Just(item("<urn:odd(;):x>", context())),
        ];
        let unique = |mut members: Vec<Branch>| {
            let mut seen: Vec<Item> = Vec::new();
            members.retain(|branch| {
                let first = !seen.contains(&branch.item);
                seen.push(branch.item.clone());
                first
            });
            Tree { members }
        };
        let leaves = proptest::collection::vec(item.clone(), 1..4).prop_map(move |items| {
            unique(items.into_iter().map(|item| Branch { item, linked: None }).collect())
        });
        leaves
            .prop_recursive(3, 12, 3, move |inner| {
                let linked = proptest::option::of(inner);
                let branch = (item.clone(), linked).prop_map(|(item, linked)| Branch {
                    linked: linked.filter(|_| matches!(item, Item::Attribute(_))),
                    item,
                });
                proptest::collection::vec(branch, 1..4).prop_map(unique)
            })
            .boxed()
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(tree in any_tree()) {
            let text = tree.to_string();
            prop_assert_eq!(Tree::parse("pick", &text, context(), &Limits::default()), Ok(tree));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[a{}|,;<>:/ .ก่]{0,12}") {
            let _ = parse(Some(&text), Some(&text), None);
        }
    }
}
