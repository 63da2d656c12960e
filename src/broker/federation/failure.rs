//! Why a source did not do its part of a write, and what that means for the whole (6.3.17).

use super::super::Error;
use crate::egress::Reply;
use crate::model::RegistrationId;

/// A source that did not do its part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the source of {registration}: {why}")]
pub struct SourceFailure {
    pub registration: RegistrationId,
    pub why: Why,
}

/// Why a source did not do its part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It did not answer in time, or is left alone for a while.
    #[error("{0}")]
    Silent(String),
    /// The request was there already.
    #[error("the registration leads back to where the request came from")]
    Loop,
    /// It alone has what is to be changed, and does not support the operation.
    #[error("it alone has this, and its registration does not offer the operation {0}")]
    Unsupported(&'static str),
    /// It knows no such thing.
    #[error("it has no such thing: {0}")]
    NotFound(String),
    /// It answered otherwise; told beside what others did.
    #[error("it answered {status}: {said}")]
    Answered {
        status: u16,
        /// The last part of the type of its problem, as far as it has one.
        kind: Box<str>,
        said: String,
    },
    /// It answered otherwise, and nobody else has anything of it.
    #[error("{0}")]
    Bad(String),
}

/// How much of what a source says is repeated.
const QUOTED: usize = 300;

impl Why {
    /// Why, by the answer.
    pub(super) fn answered(reply: &Reply) -> Self {
        let (kind, said) = problem(&reply.body);
        match reply.status {
            404 => Self::NotFound(said),
            508 => Self::Loop,
            status => Self::Answered { status, kind, said },
        }
    }

    /// Why, by the answer to one of several things.
    pub(super) fn of_part(status: u16, kind: &str, said: &str) -> Self {
        let said = shortened(said);
        match status {
            404 => Self::NotFound(said),
            508 => Self::Loop,
            504 => Self::Silent(said),
            status => Self::Answered { status, kind: last_part(kind).into(), said },
        }
    }

    /// The same where nobody else has anything of what is to be changed: whatever a source answers
    /// but that there is no such thing is its failure as a gateway.
    fn alone(self) -> Self {
        match self {
            Self::Answered { status, said, .. } => {
                Self::Bad(format!("the source answered {status}: {said}"))
            }
            other => other,
        }
    }
}

impl SourceFailure {
    /// The same where nobody else has anything of what is to be changed.
    pub(super) fn alone(self) -> Self {
        Self { why: self.why.alone(), ..self }
    }

    /// Whether there is no such thing.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self.why, Why::NotFound(_))
    }

    /// Whether it was not even asked, since it does not offer the operation.
    pub(super) fn is_unsupported(&self) -> bool {
        matches!(self.why, Why::Unsupported(_))
    }
}

impl From<SourceFailure> for Error {
    fn from(failure: SourceFailure) -> Self {
        Error::Source(failure)
    }
}

/// The type and the detail of a problem.
fn problem(body: &[u8]) -> (Box<str>, String) {
    let json: serde_json::Value = match body.len() {
        0..=65_536 => serde_json::from_slice(body).unwrap_or_default(),
        _ => serde_json::Value::Null,
    };
    let text = |name: &str| json[name].as_str().unwrap_or_default();
    let said = [text("detail"), text("title")].into_iter().find(|text| !text.is_empty());
    (last_part(text("type")).into(), shortened(said.unwrap_or("it does not say why")))
}

fn last_part(uri: &str) -> &str {
    uri.rsplit('/').next().unwrap_or_default()
}

/// The beginning of a text as one printable line.
fn shortened(text: &str) -> String {
    let clean = text.chars().take(QUOTED).map(|c| if c.is_control() { ' ' } else { c });
    clean.collect()
}
