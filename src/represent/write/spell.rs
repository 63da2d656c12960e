//! How names are spelled, and where: what is written under one context serves readers under
//! another, once its names are spelled anew.

use std::cell::RefCell;

use super::json;
use crate::jsonld::Context;
use crate::model::{Name, Spelled};

/// Spells names as a context has them.
pub(in crate::represent) struct Speller<'c> {
    context: &'c Context,
    notes: Option<RefCell<Notes>>,
}

/// Where names were spelled.
struct Notes {
    /// Where the rendering begins.
    start: usize,
    /// None once something else was written as this context, and perhaps no other, has it.
    names: Option<Vec<Spelled>>,
}

impl<'c> Speller<'c> {
    /// Spells names.
    pub fn new(context: &'c Context) -> Self {
        Self { context, notes: None }
    }

    /// Spells names, and notes where they stand in what is written from here on.
    pub(super) fn noting(context: &'c Context, start: usize) -> Self {
        let notes = Notes { start, names: Some(Vec::with_capacity(8)) };
        Self { context, notes: Some(RefCell::new(notes)) }
    }

    /// Appends a name as a JSON string, compacted.
    pub fn name(&self, out: &mut Vec<u8>, name: Name) {
        let from = out.len();
        json::string(out, &self.context.compact(name));
        if let Some(notes) = &self.notes {
            notes.borrow_mut().note(name, from, out.len());
        }
    }

    /// Whether something holds of how the context spells a name. What is written then may differ
    /// under other contexts in more than its names.
    pub(super) fn spells(&self, name: Name, as_asked: impl FnOnce(&str) -> bool) -> bool {
        self.binds();
        as_asked(&self.context.compact(name))
    }

    /// Takes note that what is written depends on more than the spelling of names.
    pub(super) fn binds(&self) {
        if let Some(notes) = &self.notes {
            notes.borrow_mut().names = None;
        }
    }

    /// Appends what was written under another context, as this one spells it.
    pub(super) fn respell(&self, out: &mut Vec<u8>, bytes: &[u8], names: &[Spelled]) {
        let mut done = 0;
        for Spelled { name, from, to } in names {
            out.extend_from_slice(&bytes[done..*from as usize]);
            self.name(out, *name);
            done = *to as usize;
        }
        out.extend_from_slice(&bytes[done..]);
    }

    /// Where names were spelled, if a rendering can be spelled anew by that.
    pub(super) fn noted(self) -> Option<Box<[Spelled]>> {
        self.notes?.into_inner().names.map(Vec::into_boxed_slice)
    }
}

impl Notes {
    fn note(&mut self, name: Name, from: usize, to: usize) {
        let Some(names) = &mut self.names else { return };
        let place = |place: usize| u32::try_from(place - self.start).ok();
        match place(from).zip(place(to)) {
            Some((from, to)) => names.push(Spelled { name, from, to }),
            None => self.names = None,
        }
    }
}
