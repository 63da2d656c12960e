//! The right side of an operator.

use std::borrow::Cow;

use super::super::scan::{Cursor, is_name_character};
use super::super::{Moment, QueryError};
use super::{Literal, Operand, Text};
use crate::jsonld::Context;
use crate::model::{Number, check_uri};

/// Reads values.
pub(super) struct Values<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    /// Texts are short for IRIs of this context.
    expand: Option<&'c Context>,
}

impl<'c, 'a> Values<'c, 'a> {
    pub fn new(cursor: &'c mut Cursor<'a>, expand: Option<&'c Context>) -> Self {
        Self { cursor, expand }
    }

    /// What `==` and `!=` take: a value, `a,b` or `a..b`.
    pub fn operand(&mut self) -> Result<Operand, QueryError> {
        let start = self.cursor.at();
        let first = self.literal(true)?;
        if self.cursor.eat_spaced("..") {
            let last = self.literal(true)?;
            if !have_an_order(&first, &last) {
                return Err(self.cursor.refused(
                    "a range goes between two numbers, two texts or two dates",
                    start,
                    self.cursor.at(),
                ));
            }
            return Ok(Operand::Range(first, last));
        }
        let mut all = vec![first];
        while self.cursor.eat_spaced(",") {
            all.push(self.literal(false)?);
        }
        match (all.len(), all.pop()) {
            (1, Some(only)) => Ok(Operand::One(only)),
            (_, last) => {
                all.extend(last);
                Ok(Operand::List(all))
            }
        }
    }

    /// What an order takes: a number, a text or a date.
    pub fn comparable(&mut self) -> Result<Literal, QueryError> {
        let start = self.cursor.at();
        let literal = self.literal(true)?;
        let refuse = |what: &str, end: usize| {
            let message = format!("{what}; only == and != take them");
            Err(self.cursor.refused(message, start, end))
        };
        if let Literal::Bool(value) = literal {
            return refuse(&format!("{value} has no order"), self.cursor.at());
        }
        let rest = self.cursor.rest().trim_start();
        if rest.starts_with("..") || rest.starts_with(',') {
            return refuse("ranges and lists have no order", self.cursor.at() + 1);
        }
        Ok(literal)
    }

    /// `ranges`: two dots end a bare value.
    fn literal(&mut self, ranges: bool) -> Result<Literal, QueryError> {
        self.cursor.skip_spaces();
        self.cursor.count()?;
        if self.cursor.peek() == Some('"') {
            let text = self.quoted()?;
            return Ok(self.text(&text, true));
        }
        let start = self.cursor.at();
        let run = self.bare(ranges, true);
        if run.is_empty() {
            return Err(self.cursor.expected("a value"));
        }
        match self.classify(run) {
            Ok(literal) => Ok(literal),
            Err(message) => Err(self.cursor.refused(message, start, start + run.len())),
        }
    }

    fn text(&self, text: &str, quoted: bool) -> Literal {
        let expanded = self.expand.map(|context| context.expand_text(text).into());
        Literal::Text(Text::new(text, quoted, expanded))
    }

    /// A string as JSON writes it.
    pub fn quoted(&mut self) -> Result<String, QueryError> {
        let raw = self.raw_string()?;
        let (start, end) = (self.cursor.at() - raw.len(), self.cursor.at());
        serde_json::from_str(raw)
            .map_err(|_| self.cursor.refused(format!("{raw} is not a JSON string"), start, end))
    }

    /// A quoted string as it stands, with its quotation marks.
    fn raw_string(&mut self) -> Result<&'a str, QueryError> {
        let mut escaped = false;
        for (place, c) in self.cursor.rest().char_indices().skip(1) {
            match c {
                '"' if !escaped => return Ok(self.cursor.take(place + 1)),
                '\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
        let start = self.cursor.at();
        Err(self.cursor.refused("the quotation mark is never closed", start, start + 1))
    }

    /// A regular expression. Within quotation marks, a backslash before what JSON cannot escape
    /// belongs to the expression: clients write `"\d+"` as well as `"\\d+"`.
    pub fn expression(&mut self) -> Result<Cow<'a, str>, QueryError> {
        if self.cursor.peek() != Some('"') {
            let run = self.bare(false, false);
            return if run.is_empty() {
                Err(self.cursor.expected("a regular expression"))
            } else {
                Ok(run.into())
            };
        }
        let raw = self.raw_string()?;
        if let Ok(text) = serde_json::from_str::<String>(raw) {
            return Ok(text.into());
        }
        let mut text = String::with_capacity(raw.len());
        let mut characters = raw[1..raw.len() - 1].chars();
        while let Some(c) = characters.next() {
            match (c, characters.clone().next()) {
                ('\\', Some(next @ ('"' | '\\' | '/'))) => {
                    characters.next();
                    text.push(next);
                }
                (c, _) => text.push(c),
            }
        }
        Ok(text.into())
    }

    /// What is not quoted goes up to the next separator; parentheses within it are its own as long
    /// as they are closed again.
    fn bare(&mut self, ranges: bool, lists: bool) -> &'a str {
        let rest = self.cursor.rest();
        let mut open = 0_usize;
        let mut end = rest.len();
        for (place, c) in rest.char_indices() {
            let ends = match c {
                ';' => true,
                ',' => lists && open == 0,
                '|' => open == 0,
                '.' => ranges && rest[place..].starts_with("..") && !rest[..place].ends_with('/'),
                ')' if open == 0 => true,
                ')' => {
                    open -= 1;
                    false
                }
                '(' => {
                    open += 1;
                    false
                }
                _ => false,
            };
            if ends {
                end = place;
                break;
            }
        }
        let run = rest[..end].trim_end();
        self.cursor.take(run.len())
    }

    fn classify(&self, run: &str) -> Result<Literal, String> {
        match run {
            "true" => return Ok(Literal::Bool(true)),
            "false" => return Ok(Literal::Bool(false)),
            _ => {}
        }
        if let Ok(number) = serde_json::from_str::<serde_json::Number>(run) {
            return number_literal(&number);
        }
        if let Some(moment) = Moment::parse(run) {
            return Ok(Literal::Moment(moment));
        }
        if check_uri(run).is_ok() {
            return Ok(self.text(run, false));
        }
        if run.parse::<f64>().is_ok() && !run.starts_with(char::is_alphabetic) {
            return Err(format!(
                "{run} is not a number as JSON writes it; a text needs quotation marks"
            ));
        }
        if let Some(literal) = self.decoded(run) {
            return Ok(literal);
        }
        if run.chars().all(|c| is_name_character(c) || ".:/+%@#&$*?".contains(c)) {
            return Ok(self.text(run, false));
        }
        Err(format!("{run:?} is no value; a text needs quotation marks, like \"Mae Moh\""))
    }

    /// Some clients encode twice: what is a date or a URI once decoded is taken as that.
    fn decoded(&self, run: &str) -> Option<Literal> {
        let text = percent_decoded(run)?;
        if let Some(moment) = Moment::parse(&text) {
            return Some(Literal::Moment(moment));
        }
        check_uri(&text).is_ok().then(|| self.text(&text, true))
    }
}

fn number_literal(number: &serde_json::Number) -> Result<Literal, String> {
    let integer = number.as_i64().map(Number::Int).or(number.as_u64().map(Number::UInt));
    let float = number.as_f64().filter(|number| number.is_finite()).map(Number::Float);
    integer.or(float).map(Literal::Number).ok_or_else(|| format!("{number} is too large"))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    let mut found = false;
    while let [first, after @ ..] = rest {
        rest = after;
        let hex = |digit: u8| char::from(digit).to_digit(16);
        match (first, after) {
            (b'%', [high, low, tail @ ..]) => {
                bytes.push((hex(*high)? * 16 + hex(*low)?) as u8);
                rest = tail;
                found = true;
            }
            _ => bytes.push(*first),
        }
    }
    if found { String::from_utf8(bytes).ok() } else { None }
}

fn have_an_order(a: &Literal, b: &Literal) -> bool {
    match (a, b) {
        (Literal::Number(_), Literal::Number(_))
        | (Literal::Moment(_), Literal::Moment(_))
        | (Literal::Text(_), Literal::Text(_)) => true,
        (Literal::Moment(_), Literal::Text(text)) | (Literal::Text(text), Literal::Moment(_)) => {
            text.moment().is_some()
        }
        _ => false,
    }
}
