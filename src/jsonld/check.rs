//! What a context must be before the processor sees it: well-formed, without scoped contexts
//! (4.4), and not so tangled that the processor would recurse without bound.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use super::{ContextError, Document};

/// Terms that are defined by terms that are defined by terms…
const MAX_CHAIN: usize = 32;
/// Terms of one context definition.
const MAX_TERMS: usize = 20_000;

type Members<'a> = [(Cow<'a, str>, Document<'a>)];

/// Checks the value of an `@context`.
pub(super) fn check(context: &Document<'_>) -> Result<(), ContextError> {
    match context {
        Document::Array(entries) => entries.iter().try_for_each(check_entry),
        entry => check_entry(entry),
    }
}

fn check_entry(entry: &Document<'_>) -> Result<(), ContextError> {
    match entry {
        Document::Null | Document::String(_) => Ok(()),
        Document::Object(members) => check_definition(members),
        other => Err(invalid(format!(
            "an @context is an address, an object, or an array of these, not {}",
            other.kind()
        ))),
    }
}

fn check_definition(members: &Members<'_>) -> Result<(), ContextError> {
    if members.len() > MAX_TERMS {
        return Err(invalid(format!("it defines more than {MAX_TERMS} terms")));
    }
    for (term, definition) in members {
        if term != "@context" && definition.get("@context").is_some() {
            let reason = format!("the term {term:?} has a scoped @context, which 4.4 forbids");
            return Err(invalid(reason));
        }
    }
    check_chains(members)
}

/// Finds the longest chain of definitions that need each other, without recursing.
fn check_chains(members: &Members<'_>) -> Result<(), ContextError> {
    let places: FxHashMap<&str, usize> =
        members.iter().enumerate().map(|(place, (term, _))| (&**term, place)).collect();
    let needs = |place: usize| -> Vec<usize> {
        let (term, definition) = &members[place];
        texts(definition)
            .chain([&**term])
            .flat_map(|text| [text, text.split_once(':').map_or(text, |(prefix, _)| prefix)])
            .filter_map(|text| places.get(text).copied())
            .filter(|&needed| needed != place)
            .collect()
    };
    let mut depths: Vec<Option<usize>> = vec![None; members.len()];
    let mut under_way = vec![false; members.len()];
    for start in 0..members.len() {
        let mut stack = vec![(start, needs(start), 0)];
        while let Some((place, needed, deepest)) = stack.last_mut() {
            if depths[*place].is_some() {
                stack.pop();
                continue;
            }
            under_way[*place] = true;
            if let Some(next) = needed.pop() {
                match depths[next] {
                    Some(depth) => *deepest = (*deepest).max(depth + 1),
                    // A circle: the processor refuses it when it closes.
                    None if under_way[next] => {}
                    None => {
                        needed.push(next);
                        if stack.len() > MAX_CHAIN {
                            let term = &members[next].0;
                            return Err(invalid(format!(
                                "the term {term:?} stands at the end of more than {MAX_CHAIN} others"
                            )));
                        }
                        stack.push((next, needs(next), 0));
                    }
                }
                continue;
            }
            let (place, deepest) = (*place, *deepest);
            if deepest > MAX_CHAIN {
                let term = &members[place].0;
                return Err(invalid(format!(
                    "the term {term:?} stands at the end of more than {MAX_CHAIN} others"
                )));
            }
            depths[place] = Some(deepest);
            under_way[place] = false;
            stack.pop();
        }
    }
    Ok(())
}

/// The texts in a term definition that the processor expands.
fn texts<'d>(definition: &'d Document<'_>) -> impl Iterator<Item = &'d str> {
    ["@id", "@type", "@reverse", "@index"]
        .into_iter()
        .filter_map(|key| definition.get(key)?.as_str())
        .chain(definition.as_str())
}

fn invalid(reason: String) -> ContextError {
    ContextError::Invalid(reason.into())
}
