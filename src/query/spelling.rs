//! The names in a query, as pairs of how they are written and what they mean: to keep a query when
//! the `@context` it was read with is gone, and to write it for readers with another one.

use super::filter::unquoted;
use super::{Check, Filter, Literal, Operand, Order, Path, Projection, Term, Tree};
use crate::jsonld::Context;
use crate::model::{Name, TypeTerm};

/// What holds names that can be told and written otherwise.
pub trait Spelled {
    /// Calls back with each name that is looked up in an `@context`, as written and as an IRI.
    fn each_name(&self, tell: &mut dyn FnMut(&str, &str));

    /// Writes each name of an attribute or type anew. Keys within values stay as they are, since
    /// they may be languages, or keys of raw JSON.
    fn respell(&mut self, spell: &dyn Fn(&str) -> String);

    /// Whether all names mean the same under another `@context`.
    fn means_the_same_under(&self, context: &Context) -> bool {
        let mut same = true;
        self.each_name(&mut |written, iri| same &= context.expand_text(written) == iri);
        same
    }
}

/// How a name is written in a query for a reader with this `@context`: short where the query
/// languages can read it so, else as an IRI in angle brackets.
pub fn spelled(iri: &str, context: &Context) -> String {
    let short = compacted(iri, context);
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    let readable = short.starts_with(|c: char| c.is_alphabetic())
        && short.chars().all(plain)
        && context.expand_text(&short) == iri;
    match readable {
        true => short,
        false => format!("<{iri}>"),
    }
}

/// How a name is written where it stands alone. The name is remembered, as those of entities are.
pub fn compacted(iri: &str, context: &Context) -> String {
    match Name::intern(iri) {
        Ok(name) => context.compact(name).into_owned(),
        Err(_) => iri.to_owned(),
    }
}

impl Spelled for Term {
    fn each_name(&self, tell: &mut dyn FnMut(&str, &str)) {
        if !self.written().starts_with('<') {
            tell(&unquoted(self.written()), self.iri());
        }
    }

    fn respell(&mut self, spell: &dyn Fn(&str) -> String) {
        let written = spell(self.iri());
        self.rewrite(&written);
    }
}

impl Spelled for Path {
    fn each_name(&self, tell: &mut dyn FnMut(&str, &str)) {
        for link in &self.links {
            link.names.iter().for_each(|term| term.each_name(tell));
            for hint in link.types.iter().filter(|hint| !hint.written.starts_with('<')) {
                tell(&hint.written, iri_of(&hint.term));
            }
        }
        let member = self.member.as_ref().map(|(_, term)| term);
        self.names.iter().chain(member).chain(&self.within).for_each(|term| term.each_name(tell));
    }

    fn respell(&mut self, spell: &dyn Fn(&str) -> String) {
        for link in &mut self.links {
            link.names.iter_mut().for_each(|term| term.respell(spell));
            for hint in &mut link.types {
                hint.written = spell(iri_of(&hint.term)).into();
            }
        }
        self.names.iter_mut().for_each(|term| term.respell(spell));
    }
}

fn iri_of(term: &TypeTerm) -> &str {
    match term {
        TypeTerm::Known(name) => name.as_str(),
        TypeTerm::Unknown(iri) => iri,
    }
}

impl Spelled for Filter {
    fn each_name(&self, tell: &mut dyn FnMut(&str, &str)) {
        match self {
            Filter::All(parts) | Filter::Any(parts) => {
                parts.iter().for_each(|part| part.each_name(tell));
            }
            Filter::Test(test) => {
                test.path.each_name(tell);
                let literals = match &test.check {
                    Check::Equal(operand) | Check::Unequal(operand) => Operand::literals(operand),
                    Check::Order(_, literal) => vec![literal],
                    _ => Vec::new(),
                };
                for literal in literals {
                    if let Literal::Text(text) = literal
                        && let Some(iri) = text.expanded()
                    {
                        tell(text.written(), iri);
                    }
                }
            }
        }
    }

    fn respell(&mut self, spell: &dyn Fn(&str) -> String) {
        match self {
            Filter::All(parts) | Filter::Any(parts) => {
                parts.iter_mut().for_each(|part| part.respell(spell));
            }
            Filter::Test(test) => test.path.respell(spell),
        }
    }
}

impl Spelled for Order {
    fn each_name(&self, tell: &mut dyn FnMut(&str, &str)) {
        self.elements().iter().for_each(|element| element.path.each_name(tell));
    }

    fn respell(&mut self, spell: &dyn Fn(&str) -> String) {
        self.elements_mut().iter_mut().for_each(|element| element.path.respell(spell));
    }
}

impl Spelled for Tree {
    fn each_name(&self, tell: &mut dyn FnMut(&str, &str)) {
        for branch in self.members() {
            if let super::Item::Attribute(term) = &branch.item {
                term.each_name(tell);
            }
            branch.linked.iter().for_each(|tree| tree.each_name(tell));
        }
    }

    fn respell(&mut self, spell: &dyn Fn(&str) -> String) {
        for branch in self.members_mut() {
            if let super::Item::Attribute(term) = &mut branch.item {
                term.respell(spell);
            }
            branch.linked.iter_mut().for_each(|tree| tree.respell(spell));
        }
    }
}

impl Spelled for Projection {
    fn each_name(&self, tell: &mut dyn FnMut(&str, &str)) {
        self.pick.iter().chain(&self.omit).for_each(|tree| tree.each_name(tell));
        self.attrs.iter().flatten().for_each(|term| term.each_name(tell));
    }

    fn respell(&mut self, spell: &dyn Fn(&str) -> String) {
        self.pick.iter_mut().chain(&mut self.omit).for_each(|tree| tree.respell(spell));
        self.attrs.iter_mut().flatten().for_each(|term| term.respell(spell));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::context;
    use super::super::{FilterOptions, Limits};
    use super::*;

    fn filter(text: &str, context: &Context, expand: Option<&str>) -> Filter {
        let limits = Limits::default();
        let options = FilterOptions::parse(expand, None, context, &limits).expect("names");
        Filter::parse(text, context, &options, &limits).expect(text)
    }

    #[test]
    fn every_name_of_a_query_is_told_with_its_meaning() {
        let filter = filter("a.p:b>1;r{T:c[d.e]}==w|!x", context(), Some("r,c"));
        let mut told = Vec::new();
        filter.each_name(&mut |written, iri| {
            assert_eq!(context().expand_text(written), iri, "{written}");
            told.push(written.to_owned());
        });
        assert_eq!(told, ["a", "p:b", "r", "T", "c", "d", "e", "w", "x"]);
        assert!(filter.means_the_same_under(context()));
        assert!(!filter.means_the_same_under(&Context::core()));
    }

    #[test]
    fn a_query_is_written_for_readers_with_another_context() {
        let mut filter = filter("a.p:b>1;r{T:c[d]}==\"w\"", context(), None);
        let before = filter.clone();
        let core = Context::core();
        filter.respell(&|iri| spelled(iri, &core));
        let text = filter.to_string();
        assert!(text.contains("<https://example.org/p#b>"), "{text}");
        assert_eq!(self::filter(&text, &core, None), before, "{text}");
        filter.respell(&|iri| spelled(iri, context()));
        assert_eq!(filter.to_string(), "a.<https://example.org/p#b>>1;r{T:c[d]}==\"w\"");
    }
}
