//! Values as queries write them, and how they compare with what entities hold.

use std::{cmp::Ordering, fmt};

use crate::model::Number;

use super::super::Moment;

/// A value in a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Bool(bool),
    Number(Number),
    /// A DateTime, Date or Time without quotation marks.
    Moment(Moment),
    Text(Text),
}

/// A string, a URI or a bare word.
#[derive(Debug, Clone)]
pub struct Text {
    written: Box<str>,
    /// Whether it stood in quotation marks.
    quoted: bool,
    /// What it means where `expandValues` asks for IRIs.
    expanded: Option<Box<str>>,
    /// What it says if it reads as a date or time.
    moment: Option<Moment>,
}

impl PartialEq for Text {
    /// Quotation marks mean nothing.
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Text {
    pub(super) fn new(written: &str, quoted: bool, expanded: Option<Box<str>>) -> Self {
        let moment = if expanded.is_none() { Moment::parse(written) } else { None };
        Self { written: written.into(), quoted, expanded, moment }
    }

    /// The text to compare with.
    pub fn as_str(&self) -> &str {
        self.expanded.as_deref().unwrap_or(&self.written)
    }

    /// The text as it was written, without quotation marks.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The IRI that it is short for, where `expandValues` asks for IRIs.
    pub fn expanded(&self) -> Option<&str> {
        self.expanded.as_deref()
    }

    /// The date or time it says.
    pub fn moment(&self) -> Option<Moment> {
        self.moment
    }
}

/// A value of an entity as far as queries can compare it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'a> {
    Bool(bool),
    Number(Number),
    Moment(Moment),
    Text(&'a str),
    /// An object, an array within an array, or null.
    Other,
}

impl Literal {
    /// Whether an entity's value is this one. Values of different types are not.
    pub(super) fn equals(&self, target: Scalar<'_>) -> bool {
        match (self, target) {
            (Literal::Bool(own), Scalar::Bool(other)) => *own == other,
            (Literal::Text(own), Scalar::Text(other)) if own.as_str() == other => true,
            _ => self.compare(target) == Some(Ordering::Equal),
        }
    }

    /// How an entity's value compares to this one; None if the two have no order.
    pub(super) fn compare(&self, target: Scalar<'_>) -> Option<Ordering> {
        match (target, self) {
            (Scalar::Number(target), Literal::Number(own)) => Some(numeric(target, *own)),
            (Scalar::Moment(target), Literal::Moment(own)) => target.compare(*own),
            (Scalar::Moment(target), Literal::Text(own)) => target.compare(own.moment?),
            (Scalar::Text(target), Literal::Moment(own)) => Moment::parse(target)?.compare(*own),
            (Scalar::Text(target), Literal::Text(own)) => {
                let moments = own.moment.and_then(|own| Moment::parse(target)?.compare(own));
                Some(moments.unwrap_or_else(|| target.cmp(own.as_str())))
            }
            _ => None,
        }
    }
}

/// By value, whatever the spelling; integers exactly.
fn numeric(a: Number, b: Number) -> Ordering {
    match (a, b) {
        (Number::Float(_), _) | (_, Number::Float(_)) => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)
        }
        _ => a.compare(b),
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Bool(value) => write!(f, "{value}"),
            Literal::Number(number) => write!(f, "{number}"),
            Literal::Moment(moment) => write!(f, "{moment}"),
            Literal::Text(text) if text.quoted => {
                f.write_str(&serde_json::Value::from(&*text.written).to_string())
            }
            Literal::Text(text) => f.write_str(&text.written),
        }
    }
}
