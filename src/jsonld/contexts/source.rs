//! What a request says about its context, brought into the form by which compiled contexts are
//! found.

use std::hash::{Hash, Hasher};

use super::super::{ContextError, ContextLink, Document, is_core};
use crate::model::Number;

/// Where a request takes its context from (6.3.5).
#[derive(Debug, Clone, Copy)]
pub enum ContextSource<'a> {
    /// It names none.
    Default,
    /// The address in its `Link` header.
    Url(&'a str),
    /// The member `@context` of its body.
    Inline(&'a Document<'a>),
}

/// What has to be found or compiled.
pub(super) enum Wanted<'a> {
    Core,
    Url(&'a str),
    Inline(&'a Document<'a>),
}

impl<'a> Wanted<'a> {
    /// A lone address in an array is that address; the core context at the end goes without
    /// saying.
    pub(super) fn of_inline(context: &'a Document<'a>) -> Result<Self, ContextError> {
        match context {
            Document::String(url) => Ok(Self::Url(url)),
            Document::Array(entries) => match without_core(entries) {
                [] => Ok(entries.first().and_then(Document::as_str).map_or(Self::Core, Self::Url)),
                [Document::String(url)] => Ok(Self::Url(url)),
                _ => Ok(Self::Inline(context)),
            },
            Document::Object(_) => Ok(Self::Inline(context)),
            Document::Null => Ok(Self::Core),
            other => Err(ContextError::Invalid(
                format!(
                    "it has to be an address, an object, or an array of these, not {}",
                    other.kind()
                )
                .into(),
            )),
        }
    }
}

fn without_core<'e, 'a>(entries: &'e [Document<'a>]) -> &'e [Document<'a>] {
    match entries {
        [rest @ .., Document::String(last)] if is_core(last) => without_core(rest),
        all => all,
    }
}

/// How answers name a context that came inside a body: without the core context at its end, and
/// without an array around a single entry.
pub(super) fn link_of(context: &Document<'_>) -> ContextLink {
    let body = match context {
        Document::Array(entries) => match without_core(entries) {
            [single] => single.to_string(),
            own => Document::Array(own.to_vec()).to_string(),
        },
        single => single.to_string(),
    };
    ContextLink { url: None, body: body.into() }
}

/// Feeds a document to a hasher; equal documents feed the same.
pub(super) fn hash(document: &Document<'_>, state: &mut impl Hasher) {
    std::mem::discriminant(document).hash(state);
    match document {
        Document::Null => {}
        Document::Bool(value) => value.hash(state),
        Document::Number(Number::Int(number)) => number.hash(state),
        Document::Number(Number::UInt(number)) => number.hash(state),
        Document::Number(Number::Float(number)) => number.to_bits().hash(state),
        Document::String(text) => text.hash(state),
        Document::Array(items) => {
            items.len().hash(state);
            items.iter().for_each(|item| hash(item, state));
        }
        Document::Object(members) => {
            members.len().hash(state);
            for (key, value) in members {
                key.hash(state);
                hash(value, state);
            }
        }
    }
}
