//! Regular expressions: POSIX extended ones (IEEE 1003.2), as 4.9 and `idPattern` ask for.

use std::fmt;
use std::sync::{Arc, OnceLock};

use regex::{Regex, RegexBuilder};

use super::{ErrorKind, Limits, QueryError};

/// A regular expression, found anywhere in a text unless it is anchored. It runs in time linear
/// in the text, whatever it says.
#[derive(Clone)]
pub struct Pattern {
    text: Box<str>,
    regex: Arc<OnceLock<Option<Regex>>>,
    /// How large it may be when it is compiled.
    bytes: usize,
}

impl Pattern {
    /// Compiles an expression of the parameter. What it means beyond POSIX (`\d`, `\b`, `(?i)`) is
    /// understood too; back-references and look-around, which POSIX has not, are refused.
    pub fn parse(parameter: &'static str, text: &str, limits: &Limits) -> Result<Self, QueryError> {
        Self::compile(parameter, text, limits, limits.pattern_bytes)
    }

    /// Compiles one of several expressions that share a budget of memory.
    pub fn parse_within(
        parameter: &'static str,
        text: &str,
        limits: &Limits,
        costs: &mut Costs,
    ) -> Result<Self, QueryError> {
        // How large a compiled expression is can only be asked by trying.
        for part in PARTS {
            let bytes = limits.pattern_bytes / part;
            match Self::compile(parameter, text, limits, bytes) {
                Err(error) if error.kind == ErrorKind::TooComplex && part > 1 => {}
                Err(error) => return Err(error),
                Ok(_) if bytes > costs.left => break,
                Ok(pattern) => {
                    costs.left -= bytes;
                    return Ok(pattern);
                }
            }
        }
        let why = "the regular expressions would together need too much memory (limits.regex)";
        Err(QueryError::too_complex(parameter, why))
    }

    /// One expression that is found wherever one of several is, if there are several and they can
    /// be put together.
    pub fn any(several: &[Pattern], limits: &Limits) -> Option<Self> {
        let texts: Vec<&str> = several.iter().map(Self::as_str).collect();
        let text = match texts.as_slice() {
            [] | [_] => return None,
            texts => format!("({})", texts.join(")|(")),
        };
        let bytes = limits.pattern_bytes.saturating_mul(SHARES + 1);
        let regex = build(&translated(&text)?, bytes).ok()?;
        Some(Self::compiled(&text, regex, bytes))
    }

    fn compiled(text: &str, regex: Regex, bytes: usize) -> Self {
        Self { text: text.into(), regex: Arc::new(Some(regex).into()), bytes }
    }

    /// The same, not compiled again until it is used: for expressions of which very many are kept,
    /// since each that is compiled takes tens of kilobytes.
    pub fn at_rest(self) -> Self {
        Self { regex: Arc::default(), ..self }
    }

    fn compile(
        parameter: &'static str,
        text: &str,
        limits: &Limits,
        bytes: usize,
    ) -> Result<Self, QueryError> {
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
        match build(&translated, bytes) {
            Ok(regex) => Ok(Self::compiled(text, regex, bytes)),
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
        // What was compiled once compiles again.
        let again = || build(&translated(&self.text)?, self.bytes).ok();
        self.regex.get_or_init(again).as_ref().is_some_and(|regex| regex.is_match(text))
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn build(translated: &str, bytes: usize) -> Result<Regex, regex::Error> {
    RegexBuilder::new(translated)
        .dot_matches_new_line(true)
        .size_limit(bytes)
        .nest_limit(64)
        .build()
}

/// How many expressions of the largest size one query may have. Eight of 256 KiB are 2 MiB, which
/// is also room for some two hundred and fifty small ones.
const SHARES: usize = 8;

/// Which parts of the largest size are told apart.
const PARTS: [usize; 3] = [32, 4, 1];

/// How much memory the expressions of one query may still take.
#[derive(Debug)]
pub struct Costs {
    left: usize,
}

impl Costs {
    /// Nothing is spent yet.
    pub fn new(limits: &Limits) -> Self {
        Self { left: limits.pattern_bytes.saturating_mul(SHARES) }
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
