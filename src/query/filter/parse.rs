//! Text becomes a query, by recursive descent.

use std::borrow::Cow;

use super::super::names::type_term;
use super::super::scan::{Cursor, Dots, meaning, term};
use super::super::{Limits, Pattern, QueryError, Term, parse_names};
use super::evaluate::unquoted;
use super::value::Values;
use super::{Check, Filter, Link, Member, Operand, Path, Relation, Test, TypeHint};
use crate::jsonld::Context;

/// How the names and values of a query are read (4.9).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FilterOptions {
    /// Attributes whose values are compared as IRIs: short words of them are expanded.
    pub expand_values: Vec<Term>,
    /// Attributes that hold raw JSON: nothing of them is expanded.
    pub json_keys: Vec<Term>,
}

impl FilterOptions {
    /// Reads the parameters `expandValues` and `jsonKeys`.
    pub fn parse(
        expand_values: Option<&str>,
        json_keys: Option<&str>,
        context: &Context,
        limits: &Limits,
    ) -> Result<Self, QueryError> {
        let names = |parameter, text: Option<&str>| {
            text.map_or(Ok(Vec::new()), |text| parse_names(parameter, text, context, limits))
        };
        Ok(Self {
            expand_values: names("expandValues", expand_values)?,
            json_keys: names("jsonKeys", json_keys)?,
        })
    }
}

/// What the parser knows on its way.
struct Parser<'a> {
    cursor: Cursor<'a>,
    context: &'a Context,
    options: &'a FilterOptions,
}

const TERM: &str = "an attribute or \"(\"";
const NAME: &str = "the name of an attribute";

impl Filter {
    /// Reads the parameter `q`.
    pub fn parse(
        text: &str,
        context: &Context,
        options: &FilterOptions,
        limits: &Limits,
    ) -> Result<Self, QueryError> {
        Self::parse_as("q", text, context, options, limits)
    }

    /// Reads another parameter of the same language, like `csf`.
    pub fn parse_as(
        parameter: &'static str,
        text: &str,
        context: &Context,
        options: &FilterOptions,
        limits: &Limits,
    ) -> Result<Self, QueryError> {
        let cursor = Cursor::new(parameter, text, limits);
        let mut parser = Parser { cursor, context, options };
        let filter = parser.alternatives()?;
        parser.cursor.must_end("an operator, \";\", \"|\" or the end")?;
        Ok(filter)
    }
}

/// Reads the path where a cursor stands, for other parameters that address attributes.
pub(in super::super) fn read_path<'a>(
    cursor: Cursor<'a>,
    context: &'a Context,
) -> Result<(Path, Cursor<'a>), QueryError> {
    static PLAIN: FilterOptions =
        FilterOptions { expand_values: Vec::new(), json_keys: Vec::new() };
    let mut parser = Parser { cursor, context, options: &PLAIN };
    let path = parser.path(NAME)?;
    Ok((path, parser.cursor))
}

impl<'a> Parser<'a> {
    fn alternatives(&mut self) -> Result<Filter, QueryError> {
        let mut parts = vec![self.conjunction()?];
        while self.cursor.eat_spaced("|") {
            parts.push(self.conjunction()?);
        }
        Ok(single_or(parts, Filter::Any))
    }

    fn conjunction(&mut self) -> Result<Filter, QueryError> {
        let mut parts = vec![self.unit()?];
        while self.cursor.eat_spaced(";") {
            parts.push(self.unit()?);
        }
        Ok(single_or(parts, Filter::All))
    }

    fn unit(&mut self) -> Result<Filter, QueryError> {
        if !self.cursor.eat_spaced("(") {
            return Ok(Filter::Test(self.test()?));
        }
        self.cursor.enter()?;
        let group = self.alternatives()?;
        self.cursor.leave();
        if !self.cursor.eat_spaced(")") {
            return Err(self.cursor.expected("an operator, \";\", \"|\" or \")\""));
        }
        Ok(group)
    }

    fn test(&mut self) -> Result<Test, QueryError> {
        self.cursor.skip_spaces();
        self.cursor.count()?;
        if self.cursor.eat("!") {
            self.cursor.skip_spaces();
            return Ok(Test { path: self.path(NAME)?, check: Check::Absent });
        }
        let path = self.path(TERM)?;
        let check = self.check(&path)?;
        Ok(Test { path, check })
    }

    fn path(&mut self, what: &str) -> Result<Path, QueryError> {
        let mut links: Vec<Link> = Vec::new();
        let mut names = vec![term(self.cursor.name(what, Dots::Separate)?, self.context)];
        loop {
            while self.cursor.eat(".") {
                names.push(self.next_name()?);
            }
            if !self.cursor.eat("{") {
                break;
            }
            self.cursor.enter()?;
            let (types, first) = self.hinted()?;
            links.push(Link { names: std::mem::replace(&mut names, vec![first]), types });
        }
        let member = match names.as_slice() {
            [only] => Member::of_entity(only.iri()),
            [.., last] => Member::of_instance(last.iri()),
            [] => None,
        };
        let member = member.and_then(|member| Some((member, names.pop()?)));
        let mut within = Vec::new();
        while self.cursor.eat("[") {
            self.brackets(&mut within)?;
        }
        for _ in &links {
            self.cursor.leave();
            if !self.cursor.eat("}") {
                return Err(self.cursor.expected("\".\", \"[\", \"{\" or \"}\""));
            }
        }
        Ok(Path { links, names, member, within })
    }

    fn next_name(&mut self) -> Result<Term, QueryError> {
        self.cursor.count()?;
        Ok(term(self.cursor.name(NAME, Dots::Separate)?, self.context))
    }

    /// What follows a brace: `name`, or types and a name as in `Device,Sensor:humidity`.
    fn hinted(&mut self) -> Result<(Vec<TypeHint>, Term), QueryError> {
        let mut types = Vec::new();
        loop {
            self.cursor.count()?;
            self.cursor.skip_spaces();
            let token = self.cursor.name("a type or the name of an attribute", Dots::Separate)?;
            if self.cursor.eat_spaced(",") {
                types.push(self.hint(token));
                continue;
            }
            if token.starts_with('<') && self.cursor.eat(":") {
                types.push(self.hint(token));
                return Ok((types, self.next_name()?));
            }
            return match self.split_hint(token, !types.is_empty()) {
                (Some(hint), name) => {
                    types.push(self.hint(hint));
                    Ok((types, term(name, self.context)))
                }
                (None, name) if types.is_empty() => Ok((types, term(name, self.context))),
                (None, _) => Err(self.cursor.expected("\":\" and the name of an attribute")),
            };
        }
    }

    fn hint(&self, written: &str) -> TypeHint {
        TypeHint { written: written.into(), term: type_term(written, self.context) }
    }

    /// Tells `Type:name` from `prefix:name` by what the @context knows as a prefix.
    fn split_hint<'t>(&self, token: &'t str, hint_expected: bool) -> (Option<&'t str>, &'t str) {
        let tail = if token.contains("://") {
            token.rfind(['/', '#']).map_or(0, |slash| slash + 1)
        } else {
            0
        };
        let colons: Vec<usize> =
            token[tail..].match_indices(':').map(|(place, _)| tail + place).collect();
        let whole = |colon: usize| tail == 0 && self.is_prefixed(&token[..colon]);
        let at = match colons.as_slice() {
            [] => return (None, token),
            [_] if !hint_expected && whole(token.len()) => return (None, token),
            [_, second, ..] if whole(*second) => *second,
            [first, ..] => *first,
        };
        (Some(&token[..at]), &token[at + 1..])
    }

    fn is_prefixed(&self, token: &str) -> bool {
        self.context.expand_text(token) != token
    }

    /// What follows a bracket: keys with dots between them, in quotation marks where they hold
    /// other characters.
    fn brackets(&mut self, within: &mut Vec<Term>) -> Result<(), QueryError> {
        loop {
            self.cursor.count()?;
            let written = self.key()?;
            let key = unquoted(&written);
            within.push(meaning(&written, &key, self.context));
            if self.cursor.eat("]") {
                return Ok(());
            }
            if !self.cursor.eat(".") {
                return Err(self.cursor.expected("\".\" or \"]\""));
            }
        }
    }

    fn key(&mut self) -> Result<Cow<'a, str>, QueryError> {
        if self.cursor.peek() == Some('"') {
            let text = Values::new(&mut self.cursor, None).quoted()?;
            return Ok(serde_json::Value::from(text).to_string().into());
        }
        let key = self.cursor.take_while(|c| !".[]\"".contains(c) && !c.is_control());
        if key.is_empty() {
            return Err(self.cursor.expected("a key, a language or \"*\""));
        }
        Ok(key.into())
    }

    fn check(&mut self, path: &Path) -> Result<Check, QueryError> {
        let cursor = &mut self.cursor;
        let expand = expands(path, self.options).then_some(self.context);
        // Longer operators come before those they begin with.
        if cursor.eat_spaced("!~=") {
            return Ok(Check::MatchesNot(pattern(cursor)?));
        }
        if cursor.eat_spaced("~=") {
            return Ok(Check::Matches(pattern(cursor)?));
        }
        if cursor.eat_spaced("==") {
            return Ok(Check::Equal(Values::new(cursor, expand).operand()?));
        }
        if cursor.eat_spaced("!=") {
            return Ok(Check::Unequal(Values::new(cursor, expand).operand()?));
        }
        let orders = [
            (">=", Relation::GreaterOrEqual),
            ("<=", Relation::LessOrEqual),
            (">", Relation::Greater),
            ("<", Relation::Less),
        ];
        for (operator, relation) in orders {
            if cursor.eat_spaced(operator) {
                let literal = Values::new(cursor, expand).comparable()?;
                return Ok(Check::Order(relation, literal));
            }
        }
        Ok(Check::Exists)
    }
}

fn single_or(mut parts: Vec<Filter>, several: impl Fn(Vec<Filter>) -> Filter) -> Filter {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            several(parts)
        }
    }
}

/// Whether the values that a path is compared with are short for IRIs. Types always are.
fn expands(path: &Path, options: &FilterOptions) -> bool {
    let listed = |names: &[Term]| path.names.first().is_some_and(|name| names.contains(name));
    let is_type = matches!(path.member, Some((Member::Type | Member::ObjectType, _)));
    is_type || (listed(&options.expand_values) && !listed(&options.json_keys))
}

/// A regular expression, in quotation marks or bare.
fn pattern(cursor: &mut Cursor<'_>) -> Result<Pattern, QueryError> {
    cursor.skip_spaces();
    cursor.count()?;
    let (parameter, limits) = (cursor.parameter(), cursor.limits());
    let start = cursor.at();
    let text = Values::new(cursor, None).expression()?;
    Pattern::parse(parameter, &text, limits).map_err(|mut error| {
        error.span = Some((start, cursor.at()));
        error
    })
}

impl Operand {
    /// Every literal in it.
    pub fn literals(&self) -> Vec<&super::Literal> {
        match self {
            Operand::One(literal) => vec![literal],
            Operand::List(literals) => literals.iter().collect(),
            Operand::Range(low, high) => vec![low, high],
        }
    }
}
