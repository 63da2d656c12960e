//! Regular expressions: POSIX extended ones (IEEE 1003.2), as 4.9 and `idPattern` ask for.

use std::fmt;

use regex::{Regex, RegexBuilder};

use super::{Limits, QueryError};

/// A regular expression, found anywhere in a text unless it is anchored. It runs in time linear
/// in the text, whatever it says.
#[derive(Clone)]
pub struct Pattern {
    text: Box<str>,
    regex: Regex,
}

impl Pattern {
    /// Compiles an expression of the parameter. What it means beyond POSIX (`\d`, `\b`, `(?i)`) is
    /// understood too; back-references and look-around, which POSIX has not, are refused.
    pub fn parse(parameter: &'static str, text: &str, limits: &Limits) -> Result<Self, QueryError> {
        if text.chars().count() > limits.pattern_chars {
            return Err(QueryError::too_complex(
                parameter,
                format!(
                    "a regular expression may have at most {} characters",
                    limits.pattern_chars
                ),
            ));
        }
        let Some(translated) = translated(text) else {
            return Err(QueryError::syntax(
                parameter,
                format!("{text:?} is not a regular expression: it repeats a repetition"),
                None,
            ));
        };
        let regex = RegexBuilder::new(&translated)
            .dot_matches_new_line(true)
            .size_limit(limits.pattern_bytes)
            .nest_limit(64)
            .build();
        match regex {
            Ok(regex) => Ok(Self { text: text.into(), regex }),
            Err(regex::Error::CompiledTooBig(_)) => Err(QueryError::too_complex(
                parameter,
                format!("the regular expression {text:?} would need too much memory"),
            )),
            Err(error) => Err(QueryError::syntax(
                parameter,
                format!("{text:?} is not a regular expression: {}", reason(&error.to_string())),
                None,
            )),
        }
    }

    /// Whether the expression is found in the text.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The last line of a report that draws the expression and points into it.
fn reason(report: &str) -> &str {
    report.lines().last().unwrap_or(report).trim_start_matches("error: ")
}

/// The expression in the syntax of the `regex` crate, where POSIX differs: in brackets `[`, `&`,
/// `~` and `-` mean themselves, `[.x.]` and `[=x=]` a character; `{` that begins no count means
/// itself. None if a repetition follows another, as in `a**`, which POSIX leaves without a meaning.
/// (A question mark may: to prefer the shorter match is a widespread extension.)
fn translated(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    let mut repeated = false;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let repeats = matches!(c, '*' | '+');
        if repeats && repeated {
            return None;
        }
        repeated = repeats;
        rest = match c {
            '\\' => escape(after, &mut out),
            '[' => bracket(after, &mut out),
            '{' if !begins_count(after) => {
                out.push_str("\\{");
                after
            }
            _ => {
                out.push(c);
                after
            }
        };
    }
    Some(out)
}

/// One escaped character; those beyond ASCII mean themselves.
fn escape<'a>(after: &'a str, out: &mut String) -> &'a str {
    let Some(c) = after.chars().next() else {
        out.push('\\');
        return after;
    };
    if c.is_ascii() {
        out.push('\\');
    }
    out.push(c);
    &after[c.len_utf8()..]
}

fn begins_count(after: &str) -> bool {
    after.split_once('}').is_some_and(|(count, _)| {
        count.bytes().all(|b| b.is_ascii_digit() || b == b',')
            && count.bytes().any(|b| b.is_ascii_digit())
    })
}

/// What follows a `[`, up to and with its `]`.
fn bracket<'a>(after: &'a str, out: &mut String) -> &'a str {
    out.push('[');
    let mut rest = after;
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    if let Some(closing) = rest.strip_prefix(']') {
        out.push_str("\\]");
        rest = closing;
    }
    while let Some(c) = rest.chars().next() {
        let next = &rest[c.len_utf8()..];
        rest = match c {
            ']' => {
                out.push(']');
                return next;
            }
            '\\' => escape(next, out),
            '[' => named(next, out),
            '&' | '~' => {
                out.push('\\');
                out.push(c);
                next
            }
            // Twice it would be an operator of the crate; before the end it means itself.
            '-' if next.starts_with(['-', ']']) => {
                out.push_str("\\-");
                next
            }
            _ => {
                out.push(c);
                next
            }
        };
    }
    out.push_str(rest);
    rest
}

/// A class, a collating symbol or an equivalence class within brackets, after its `[`.
fn named<'a>(next: &'a str, out: &mut String) -> &'a str {
    for (opening, closing) in [(":", ":]"), (".", ".]"), ("=", "=]")] {
        let Some((name, rest)) =
            next.strip_prefix(opening).and_then(|inner| inner.split_once(closing))
        else {
            continue;
        };
        if opening == ":" {
            out.push_str("[:");
            out.push_str(name);
            out.push_str(":]");
        } else {
            out.push_str(&regex::escape(name));
        }
        return rest;
    }
    out.push_str("\\[");
    next
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ErrorKind;
    use super::*;

    #[test]
    fn expressions_mean_what_posix_says() {
        for (expression, yes, no) in [
            (".*", &["", "x", "a\nb"][..], &[][..]),
            ("^urn:ngsi-ld:V", &["urn:ngsi-ld:Vehicle:1"], &["x:urn:ngsi-ld:V"]),
            ("Merc", &["A Mercedes"], &["merc"]),
            ("^(Merc|BMW)$", &["BMW"], &["BMW M3"]),
            ("[[:alpha:]]+[[:digit:]]{2}", &["ab12"], &["12ab3"]),
            ("^[]a]$", &["]", "a"], &["b"]),
            ("^[^]a]$", &["b"], &["]"]),
            ("^[a[b]$", &["[", "a", "b"], &["c"]),
            ("^[a&&b]$", &["&", "b"], &["c"]),
            ("^[a--]$", &["-", "a"], &["b"]),
            ("^[a-]$", &["-", "a"], &["b"]),
            ("^[[.-.]x]$", &["-", "x"], &["."]),
            ("^[[=e=]]$", &["e"], &["="]),
            ("^a{$", &["a{"], &["a"]),
            ("^[]*+]+$", &["]*+"], &["a"]),
            (r"^\*+?$", &["**"], &["a"]),
            ("^a{2,3}$", &["aa"], &["a"]),
            ("^{x}$", &["{x}"], &["x"]),
            (r"^\ฝ\.$", &["ฝ."], &["ฝx"]),
            (r"^\d+$", &["12"], &["a"]),
            ("แม่เมาะ", &["อำเภอแม่เมาะ"], &["ลำปาง"]),
        ] {
            let pattern = Pattern::parse("q", expression, &Limits::default()).expect(expression);
            assert_eq!(pattern.to_string(), expression);
            for text in yes {
                assert!(pattern.is_match(text), "{expression} in {text:?}");
            }
            for text in no {
                assert!(!pattern.is_match(text), "{expression} not in {text:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_run_in_linear_time_is_refused() {
        for (expression, kind) in [
            (r"(a)\1", ErrorKind::Syntax),
            ("(?=a)", ErrorKind::Syntax),
            ("(", ErrorKind::Syntax),
            ("[a", ErrorKind::Syntax),
            ("*", ErrorKind::Syntax),
            ("a**", ErrorKind::Syntax),
            ("a*+", ErrorKind::Syntax),
            ("\\", ErrorKind::Syntax),
            ("((a{99}){99}){99}", ErrorKind::TooComplex),
            (&"a".repeat(2_000), ErrorKind::TooComplex),
        ] {
            let error = Pattern::parse("idPattern", expression, &Limits::default()).unwrap_err();
            assert_eq!((error.kind, error.parameter), (kind, "idPattern"), "{expression}");
        }
    }

    #[test]
    fn nested_parentheses_do_not_exhaust_the_stack() {
        let deep = format!("{}a{}", "(".repeat(500), ")".repeat(500));
        assert!(Pattern::parse("q", &deep, &Limits::default()).is_err());
    }
}
