//! What became of a write whose parts were done by several: success, one error, or a part of each
//! (6.3.17).

use super::super::failure::SourceFailure;
use super::{Failed, Part, Parts, Settled, Updated};
use crate::broker::{BatchOutcome, Error};
use crate::model::{AttrName, EntityId, Refusal};
use crate::store::StoreError;

/// When it is no failure that somebody has no such thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Missing {
    Fails,
    /// Not here, where a source alone has it.
    Here,
    /// Nowhere, if anybody has it.
    Anywhere,
}

impl<C> Parts<C> {
    /// What became of an operation on the entity as a whole.
    pub(in crate::broker) fn settle(
        mut self,
        id: &EntityId,
        missing: Missing,
    ) -> Result<Settled, Error> {
        let proxied = self.there.iter().any(|part| part.share.is_proxied());
        let anybody =
            matches!(self.here, Some(Ok(_))) || self.there.iter().any(|part| part.result.is_ok());
        let forgives = match missing {
            Missing::Fails => false,
            Missing::Here => proxied,
            Missing::Anywhere => anybody,
        };
        if missing == Missing::Anywhere && anybody {
            let is_missing = |part: &Part| matches!(&part.result, Err(Failed::Whole(failure)) if failure.is_not_found());
            self.there.retain(|part| !is_missing(part));
        }
        let here = match self.here {
            Some(Err(error)) if forgives && is_not_found(&error) => None,
            here => here,
        };
        let participants = self.there.len() + usize::from(here.is_some());
        let mut succeeded = matches!(here, Some(Ok(_)));
        let mut failed: Vec<Error> = Vec::new();
        let mut sources: Vec<SourceFailure> = Vec::new();
        for part in self.there {
            match part.result {
                Ok(()) => succeeded = true,
                Err(Failed::Whole(failure)) => sources.push(failure),
                Err(Failed::Attributes(all)) => {
                    succeeded = true;
                    sources.extend(all.into_iter().map(|(_, failure)| failure));
                }
            }
        }
        if let Some(Err(error)) = here {
            failed.push(error);
        }
        if failed.is_empty() && sources.is_empty() {
            return Ok(Settled::Done);
        }
        if !succeeded {
            let alike = collapse(&failed, &sources, participants);
            if alike {
                let first = sources.pop().map(|failure| Error::from(failure.alone()));
                return Err(failed
                    .pop()
                    .or(first)
                    .unwrap_or_else(|| Error::Internal(String::new())));
            }
        }
        let text = Some(id.as_str().to_owned());
        let failed = failed.into_iter().chain(sources.into_iter().map(Error::from));
        Ok(Settled::Partly(BatchOutcome {
            changed: if succeeded { vec![id.clone()] } else { Vec::new() },
            failed: failed.map(|error| (text.clone(), error)).collect(),
            ..BatchOutcome::default()
        }))
    }
}

impl Parts {
    /// What became of an operation on attributes.
    pub(in crate::broker) fn settle_attributes(self, about: &[AttrName]) -> Result<Updated, Error> {
        let participants = self.there.len() + usize::from(self.here.is_some());
        let mut updated = Updated::default();
        let mut succeeded = false;
        let mut failed: Vec<Error> = Vec::new();
        let mut sources: Vec<(Vec<AttrName>, SourceFailure)> = Vec::new();
        let mut claimed: Vec<AttrName> = Vec::new();
        for Part { share, result } in self.there {
            let own = share.attributes.clone().unwrap_or_else(|| about.to_vec());
            if share.is_proxied() {
                claimed.extend_from_slice(&own);
            }
            match result {
                Ok(()) => {
                    succeeded = true;
                    add(&mut updated.outcome.updated, &own);
                }
                Err(Failed::Whole(failure)) => sources.push((own, failure)),
                Err(Failed::Attributes(all)) => {
                    succeeded = true;
                    let gone = |name: &AttrName| all.iter().any(|(other, _)| other == name);
                    let done: Vec<_> = own.into_iter().filter(|name| !gone(name)).collect();
                    add(&mut updated.outcome.updated, &done);
                    sources.extend(all.into_iter().map(|(name, failure)| (vec![name], failure)));
                }
            }
        }
        match self.here {
            Some(Ok(change)) => {
                succeeded = true;
                add(&mut updated.outcome.updated, &change.outcome.updated);
                updated.outcome.untouched = change.outcome.untouched;
            }
            Some(Err(error)) => failed.push(error),
            None => {}
        }
        let only = sources.iter().map(|(_, failure)| failure.clone()).collect::<Vec<_>>();
        if !succeeded && collapse(&failed, &only, participants) {
            let first = sources.pop().map(|(_, failure)| Error::from(failure.alone()));
            return Err(failed.pop().or(first).unwrap_or_else(|| Error::Internal(String::new())));
        }
        let rest: Vec<_> = about.iter().copied().filter(|name| !claimed.contains(name)).collect();
        updated.failed.extend(sources.into_iter().map(|(names, why)| (names, why.into())));
        updated.failed.extend(failed.into_iter().map(|error| (rest.clone(), error)));
        // What failed somewhere is not called done, though it was elsewhere.
        let failed: Vec<AttrName> =
            updated.failed.iter().flat_map(|(names, _)| names).copied().collect();
        updated.outcome.updated.retain(|name| !failed.contains(name));
        Ok(updated)
    }
}

/// Whether nobody did anything for one reason, which can be told plainly: there was one to do it,
/// or it is found nowhere, or nobody offers the operation.
fn collapse(here: &[Error], sources: &[SourceFailure], participants: usize) -> bool {
    participants <= 1
        || (here.iter().all(is_not_found) && sources.iter().all(SourceFailure::is_not_found))
        || (here.is_empty() && sources.iter().all(SourceFailure::is_unsupported))
}

fn is_not_found(error: &Error) -> bool {
    matches!(
        error,
        Error::Refused(
            Refusal::NoSuchEntity(_)
                | Refusal::NoSuchAttribute { .. }
                | Refusal::NoSuchInstance { .. }
                | Refusal::NoScope
        ) | Error::NotFound(_)
            | Error::Store(StoreError::UnknownTenant(_))
    )
}

fn add(names: &mut Vec<AttrName>, more: &[AttrName]) {
    for name in more {
        if !names.contains(name) {
            names.push(*name);
        }
    }
}
