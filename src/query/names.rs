//! Lists of names and of types (4.17).

use super::scan::{Cursor, Dots, term};
use super::{Limits, QueryError, Term};
use crate::jsonld::Context;
use crate::model::{TypeSelection, TypeTerm};

/// Reads `name,name`: the value of `attrs`, `expandValues` and the like.
pub fn parse_names(
    parameter: &'static str,
    text: &str,
    context: &Context,
    limits: &Limits,
) -> Result<Vec<Term>, QueryError> {
    let mut cursor = Cursor::new(parameter, text, limits);
    let mut names = Vec::new();
    loop {
        cursor.skip_spaces();
        cursor.count()?;
        names.push(term(cursor.name("the name of an attribute", Dots::Belong)?, context));
        if !cursor.eat_spaced(",") {
            cursor.must_end("\",\" or the end")?;
            return Ok(names);
        }
    }
}

/// Reads the value of `attrs`: names of attributes, among which `id`, `type` and `scope` are not.
pub fn parse_attrs(
    text: &str,
    context: &Context,
    limits: &Limits,
) -> Result<Vec<Term>, QueryError> {
    let names = parse_names("attrs", text, context, limits)?;
    match names.iter().find(|name| ["id", "type", "scope"].contains(&name.written())) {
        Some(name) => Err(QueryError::syntax(
            "attrs",
            format!("{name} is no attribute; pick={name} selects it"),
            None,
        )),
        None => Ok(names),
    }
}

/// Reads `A|B,(C;D)` or `*`: which entity types are meant (4.17). Parentheses may hold alternatives
/// too.
pub fn parse_types(
    text: &str,
    context: &Context,
    limits: &Limits,
) -> Result<TypeSelection, QueryError> {
    let mut cursor = Cursor::new("type", text, limits);
    cursor.skip_spaces();
    if cursor.rest().trim_end() == "*" {
        return Ok(TypeSelection::Any);
    }
    let alternatives = alternatives(&mut cursor, context, Outermost::Yes)?;
    cursor.must_end("\",\", \"|\" or the end")?;
    Ok(TypeSelection::Of(alternatives))
}

/// Whether a selection stands outside of all parentheses, where `;` does not belong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outermost {
    Yes,
    No,
}

/// `A|B`, as alternatives of combinations.
fn alternatives(
    cursor: &mut Cursor<'_>,
    context: &Context,
    outermost: Outermost,
) -> Result<Vec<Vec<TypeTerm>>, QueryError> {
    let mut all = combination(cursor, context, outermost)?;
    while cursor.eat_spaced("|") || cursor.eat_spaced(",") {
        all.extend(combination(cursor, context, outermost)?);
    }
    Ok(all)
}

/// `A;B`, each perhaps in parentheses of its own, multiplied out.
fn combination(
    cursor: &mut Cursor<'_>,
    context: &Context,
    outermost: Outermost,
) -> Result<Vec<Vec<TypeTerm>>, QueryError> {
    let mut all = unit(cursor, context)?;
    while outermost == Outermost::No && cursor.eat_spaced(";") {
        let more = unit(cursor, context)?;
        if all.len().saturating_mul(more.len()) > cursor.limits().nodes {
            let message = "its parentheses stand for too many combinations of types";
            return Err(QueryError::too_complex(cursor.parameter(), message));
        }
        let products = all.iter().flat_map(|one| {
            more.iter().map(|other| one.iter().chain(other).cloned().collect::<Vec<_>>())
        });
        all = products.collect();
    }
    Ok(all)
}

fn unit(cursor: &mut Cursor<'_>, context: &Context) -> Result<Vec<Vec<TypeTerm>>, QueryError> {
    if !cursor.eat_spaced("(") {
        return Ok(vec![vec![one_type(cursor, context)?]]);
    }
    cursor.enter()?;
    let inner = alternatives(cursor, context, Outermost::No)?;
    cursor.leave();
    match cursor.eat_spaced(")") {
        true => Ok(inner),
        false => Err(cursor.expected("\";\", \"|\" or \")\"")),
    }
}

fn one_type(cursor: &mut Cursor<'_>, context: &Context) -> Result<TypeTerm, QueryError> {
    cursor.skip_spaces();
    cursor.count()?;
    Ok(type_term(cursor.name("a type", Dots::Belong)?, context))
}

/// The meaning of a type's name.
pub(super) fn type_term(written: &str, context: &Context) -> TypeTerm {
    let term = term(written, context);
    match term.name() {
        Some(name) => TypeTerm::Known(name),
        None => TypeTerm::Unknown(term.iri().into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ErrorKind;
    use super::super::testing::{context, name};
    use super::*;

    fn parse(text: &str) -> Result<TypeSelection, QueryError> {
        parse_types(text, context(), &Limits::default())
    }

    #[test]
    fn types_are_selected() {
        for (text, types, selected) in [
            ("*", &["Other"][..], true),
            ("Building", &["Building"], true),
            ("Building", &["Vehicle"], false),
            ("Building", &["Vehicle", "Building"], true),
            ("Building,Vehicle", &["Vehicle"], true),
            ("Building|Vehicle", &["Vehicle"], true),
            ("(Building;Vehicle)", &["Vehicle"], false),
            ("(Building;Vehicle)", &["Vehicle", "Building"], true),
            ("(Building|Vehicle)", &["Vehicle"], true),
            ("((Building,Other);Vehicle)", &["Vehicle"], false),
            ("((Building,Other);Vehicle)", &["Vehicle", "Other"], true),
            ("Other | ( Building ; Vehicle )", &["Vehicle", "Building"], true),
            ("https://example.org/types/Building", &["Building"], true),
            ("<https://example.org/types/Building>", &["Building"], true),
            ("p:x", &["https://example.org/p#x"], true),
            ("สถานี", &["สถานี"], true),
            ("urn:x:y", &["urn:x:y"], true),
            ("https://example.org/a.b/C", &["https://example.org/a.b/C"], true),
        ] {
            let types: Vec<_> = types.iter().map(|term| name(term)).collect();
            assert_eq!(parse(text).expect(text).selects(&types), selected, "{text} {types:?}");
        }
    }

    #[test]
    fn a_type_may_become_known_later() {
        let selection = parse("NotYetKnown").expect("a type");
        assert_eq!(
            selection.to_string(),
            "https://uri.etsi.org/ngsi-ld/default-context/NotYetKnown"
        );
        assert!(selection.selects(&[name("NotYetKnown")]));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "", ",", "A,", "A,,B", "(A", "(A;)", "A;B", "(A|)", "()", "A)", "A B", "A*", "*,A",
            "\"A\"", "1A", "{A}",
        ] {
            assert_eq!(parse(text).unwrap_err().kind, ErrorKind::Syntax, "{text}");
        }
        let wide = ["(A|B|C|D)"; 9].join(";");
        assert_eq!(parse(&format!("({wide})")).unwrap_err().kind, ErrorKind::TooComplex);
        let deep = format!("{}A{}", "(".repeat(100), ")".repeat(100));
        assert_eq!(parse(&deep).unwrap_err().kind, ErrorKind::TooComplex);
        let many = vec!["A"; 600].join("|");
        assert_eq!(parse(&many).unwrap_err().kind, ErrorKind::TooComplex);
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(
            types in proptest::collection::vec(
                proptest::collection::vec("[A-Zก-ฮ][a-z0-9_]{0,4}|https://x\\.org/[A-Z]{1,3}", 1..4),
                1..4,
            ),
        ) {
            let text = types.iter().map(|one| format!("({})", one.join(";"))).collect::<Vec<_>>();
            let selection = parse(&text.join("|")).expect("types");
            prop_assert_eq!(parse(&selection.to_string()), Ok(selection));
        }
    }
}
