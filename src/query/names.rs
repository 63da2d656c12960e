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

/// Reads `A|B,(C;D)` or `*`: which entity types are meant (4.17).
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
    let mut alternatives = Vec::new();
    loop {
        alternatives.push(combination(&mut cursor, context)?);
        if !cursor.eat_spaced("|") && !cursor.eat_spaced(",") {
            cursor.must_end("\",\", \"|\" or the end")?;
            return Ok(TypeSelection::Of(alternatives));
        }
    }
}

fn combination(cursor: &mut Cursor<'_>, context: &Context) -> Result<Vec<TypeTerm>, QueryError> {
    if !cursor.eat_spaced("(") {
        return Ok(vec![one_type(cursor, context)?]);
    }
    let mut types = vec![one_type(cursor, context)?];
    while cursor.eat_spaced(";") {
        types.push(one_type(cursor, context)?);
    }
    if !cursor.eat_spaced(")") {
        return Err(cursor.expected("\";\" or \")\""));
    }
    Ok(types)
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
