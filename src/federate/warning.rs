//! What went wrong at sources while an answer was put together (6.3.17).

use std::fmt;

/// A value of the header `NGSILD-Warning`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub code: WarningCode,
    /// Which source: the id of its registration, or who said it.
    pub agent: Box<str>,
    pub text: Box<str>,
}

/// The codes of table 6.3.17-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WarningCode {
    /// An answer that was kept was used again.
    Stale,
    /// The source answered, but not with what was asked for.
    Invalid,
    /// No answer in time, or the request came in circles.
    Silent,
    /// The source answered that it cannot or will not.
    Failed,
}

impl WarningCode {
    const ALL: [Self; 4] = [Self::Stale, Self::Invalid, Self::Silent, Self::Failed];

    /// The number.
    pub fn number(self) -> u16 {
        match self {
            Self::Stale => 110,
            Self::Invalid => 111,
            Self::Silent => 199,
            Self::Failed => 299,
        }
    }

    /// What the number means.
    fn meaning(self) -> &'static str {
        match self {
            Self::Stale => "Response is Stale",
            Self::Invalid => "Revalidation Failed",
            Self::Silent => "Miscellaneous Warning",
            Self::Failed => "Miscellaneous Persistent Warning",
        }
    }
}

/// How long a text of another broker may be that is passed on.
const LONGEST: usize = 300;

/// How many warnings of one source are passed on.
const MOST: usize = 16;

impl Warning {
    /// A warning about a source.
    pub fn new(code: WarningCode, agent: &str, why: &str) -> Self {
        let text = format!("{}: {}", code.meaning(), plain(why));
        Self { code, agent: agent_of(agent), text: text.into() }
    }

    /// The warnings that a source gave with its own answer; what is no warning is left out.
    pub fn read<'a>(values: impl Iterator<Item = &'a str>) -> Vec<Self> {
        let mut all = Vec::new();
        for value in values {
            let mut rest = value;
            while let Some((warning, after)) = Self::first(rest) {
                if all.len() == MOST {
                    return all;
                }
                all.push(warning);
                rest = after.trim_start_matches([',', ' ']);
            }
        }
        all
    }

    /// `199 agent "text"` at the beginning of a text, and what follows.
    fn first(text: &str) -> Option<(Self, &str)> {
        let (number, rest) = text.trim_start().split_once(' ')?;
        let (agent, rest) = rest.split_once(" \"")?;
        let (said, rest) = rest.split_once('"')?;
        let number: u16 = number.parse().ok()?;
        let code = WarningCode::ALL.into_iter().find(|code| code.number() == number)?;
        // A date may follow.
        let rest = rest.find(',').map_or("", |comma| &rest[comma..]);
        Some((Self { code, agent: agent_of(agent), text: plain(said).into() }, rest))
    }
}

fn agent_of(text: &str) -> Box<str> {
    let graphic = |c: &char| c.is_ascii_graphic() && *c != '"' && *c != ',';
    let agent: String = text.chars().filter(graphic).take(LONGEST).collect();
    if agent.is_empty() { "-".into() } else { agent.into() }
}

/// What may stand between quotes in a header.
fn plain(text: &str) -> String {
    let harmless = |c: char| match c {
        '"' => '\'',
        '\\' => '/',
        c if c == ' ' || c.is_ascii_graphic() => c,
        _ => ' ',
    };
    text.chars().map(harmless).take(LONGEST).collect()
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} \"{}\"", self.code.number(), self.agent, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_written_so_that_it_reads_back() {
        let all = [
            Warning::new(WarningCode::Silent, "urn:x:1", "no \"answer\" within 5s,\r\nso"),
            Warning::new(WarningCode::Failed, "", "403"),
        ];
        let text = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        assert_eq!(
            text,
            "199 urn:x:1 \"Miscellaneous Warning: no 'answer' within 5s,  so\", \
             299 - \"Miscellaneous Persistent Warning: 403\""
        );
        assert_eq!(Warning::read([text.as_str()].into_iter()), all);
    }

    #[test]
    fn what_is_no_warning_is_not_passed_on() {
        for text in ["", "199", "700 a \"b\"", "199 a b", "x y \"z\""] {
            assert!(Warning::read([text].into_iter()).is_empty(), "{text}");
        }
        let many = vec!["110 a \"b\""; 100].join(",");
        assert_eq!(Warning::read([many.as_str()].into_iter()).len(), MOST);
    }
}
